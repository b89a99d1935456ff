"""Object, probe and scan of the published scenario, and files as inputs."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ptycho_fast.dose.energy import pattern_energies
from ptycho_fast.formats.numpy_files import read_array
from ptycho_fast.objects import lines, make_object, read_object
from ptycho_fast.probes import ideal_disk, make_probe, normalise, read_probe, support_mask
from ptycho_fast.scale_report import split_statistics
from ptycho_fast.scans import make_scan, random_scan, split_on_y

DATA = Path(__file__).parents[1] / "data"
PUBLISHED = json.loads((DATA / "gs2_ideal.json").read_text())


@pytest.fixture(scope="module")
def obj():
    return make_object(SimpleNamespace(kind="lines", size=392, file=None), 42)


@pytest.fixture(scope="module")
def probe():
    return make_probe(probe_spec(), 64)


@pytest.fixture(scope="module")
def positions():
    return make_scan(SimpleNamespace(kind="random", n_patterns=1024, buffer=10), (392, 392), 42)


@pytest.fixture(scope="module")
def reference():
    with np.load(DATA / "gs2_noise_free.npz") as file:
        return dict(file)


def probe_spec(**changes):
    default = {"kind": "ideal_disk", "scale": 10.0, "normalise": True, "curvature": 0.0}
    default["file"] = None
    return SimpleNamespace(**(default | changes))


# The published scenario


@pytest.mark.parametrize("statistic", ["mean", "max", "min", "std"])
def test_object_statistics(obj, statistic):
    published = PUBLISHED["ground_truth_amplitude"][statistic]
    assert obj.dtype == np.complex64
    assert (obj.imag == 0).all()
    value = getattr(obj.real.astype(np.float64), statistic)()
    assert value == pytest.approx(published, rel=6e-8)


def test_object_patches(obj, positions, reference):
    for b, patch in zip(reference["patch_pick"], reference["patch"], strict=True):
        x, y = positions[b] - 32
        i, j = int(x), int(y)
        if min(i, j) < 0 or max(i, j) > 392 - 65:
            continue
        u, v = x - i, y - j
        taps = obj[j : j + 65, i : i + 65].astype(complex)
        rows = (1 - v) * taps[:-1] + v * taps[1:]
        np.testing.assert_allclose((1 - u) * rows[:, :-1] + u * rows[:, 1:], patch, rtol=2e-5)


def test_probe(probe, reference):
    assert probe.dtype == np.complex64
    modulus = np.abs(probe.astype(complex))
    assert modulus.mean() == pytest.approx(0.1, rel=1e-6)
    assert modulus.max() == pytest.approx(1.0893617, rel=1e-6)
    np.testing.assert_allclose(probe, reference["probe"], rtol=0, atol=2e-7)


def test_scan_is_the_published_one(positions, reference):
    np.testing.assert_array_equal(positions[:, 0], reference["x"])
    np.testing.assert_array_equal(positions[:, 1], reference["y"])


def test_energies_and_scales(obj, probe, positions, reference):
    energies = pattern_energies(obj, probe, positions)
    np.testing.assert_allclose(energies, reference["sum_intensity"], rtol=2e-6)
    train, test = split_on_y(positions)
    assert energies[train].mean() == pytest.approx(3388.02569, rel=2e-6)
    assert energies[test].mean() == pytest.approx(2995.97766, rel=2e-6)
    statistics = split_statistics(energies[train], energies[test], 1e9)
    for half in ("train", "test"):
        published = PUBLISHED["split_intensity_stats"][half]["dataset_scale"]
        assert statistics[half]["dataset_scale"] == pytest.approx(published, rel=1e-6)
        assert statistics[half]["n_samples"] == 512


# Objects


@pytest.mark.parametrize("size", [64, 65])
def test_lines_size_and_seed(size):
    assert lines(size, 0).shape == (size, size)
    np.testing.assert_array_equal(lines(size, 0), lines(size, 0))
    assert (lines(size, 0) != lines(size, 1)).any()


# Probes


@pytest.mark.parametrize("N", [8, 33, 64, 128])
def test_disk_and_mask(N):
    disk, mask = ideal_disk(N), support_mask(N)
    np.testing.assert_allclose(disk, disk[::-1, ::-1], atol=1e-15)
    np.testing.assert_allclose(disk, disk.T, atol=1e-15)
    assert disk.min() >= 1e-9
    assert 0.4 < disk.max() < 1.1
    middle = (N - 1) / 2
    for (i, j), inside in np.ndenumerate(mask):
        assert inside == (np.hypot(i - middle, j - middle) < N // 4)


@given(modes=st.integers(0, 4), scale=st.floats(0.01, 100), seed=st.integers(0, 100), N=st.just(16))
def test_normalise(modes, scale, seed, N):
    rng = np.random.default_rng(seed)
    shape = (modes, N, N) if modes else (N, N)
    probe = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    once = normalise(probe, scale)
    assert once.dtype == np.complex64
    modulus = np.sqrt((np.abs(once.astype(complex)) ** 2).reshape(-1, N, N).sum(axis=0))
    assert (modulus * support_mask(N)).mean() == pytest.approx(1 / scale, rel=1e-6)
    np.testing.assert_allclose(normalise(once, scale), once, rtol=2e-7)
    np.testing.assert_allclose(once / once.flat[0], probe / probe.flat[0], rtol=1e-5)


def test_curvature_defocuses():
    flat, curved = make_probe(probe_spec(), 64), make_probe(probe_spec(curvature=2.0), 64)
    np.testing.assert_allclose(np.abs(curved), np.abs(flat), rtol=1e-6)
    phase = np.angle(curved)
    assert phase[31, 31] == pytest.approx(2.0 * 0.5 / 16**2, rel=1e-5)
    assert phase[31, 47] == pytest.approx(2.0 * (0.5**2 + 15.5**2) / 16**2, rel=1e-5)
    np.testing.assert_array_equal(curved, curved[::-1, ::-1])


def test_probe_from_file_with_and_without_normalisation(tmp_path):
    given = 7 * ideal_disk(32)
    np.savez(tmp_path / "probe.npz", probeGuess=given)
    spec = probe_spec(kind="file", file=tmp_path / "probe.npz", scale=4.0)
    assert (np.abs(make_probe(spec, 32)) * support_mask(32)).mean() == pytest.approx(0.25, rel=1e-6)
    spec.normalise = False
    np.testing.assert_array_equal(make_probe(spec, 32), given.astype(np.complex64))


# Scans


def test_scan_of_an_oblong_object():
    x, y = random_scan((50, 200), 500, 20, 7).T
    assert 20 <= x.min() < x.max() < 180
    assert 20 <= y.min() < y.max() < 30
    assert x.max() > 100


@given(
    y=hnp.arrays(np.float64, st.integers(1, 30), elements=st.integers(0, 5)),
    fraction=st.floats(0, 1),
)
def test_split(y, fraction):
    train, test = split_on_y(np.stack([np.zeros_like(y), y], axis=1), fraction)
    assert len(train) == int(fraction * len(y))
    assert sorted([*train, *test]) == list(range(len(y)))
    joined = np.concatenate([train, test])
    # Ascending in y, and in index where y is equal.
    assert sorted(joined, key=lambda b: (y[b], b)) == list(joined)


# Files


@pytest.mark.parametrize("stored", [np.complex64, np.complex128, np.float32, np.uint8])
def test_files_are_converted(tmp_path, stored):
    given = np.asfortranarray(np.arange(64).reshape(8, 8).astype(stored))
    np.savez(tmp_path / "a.npz", objectGuess=given, probeGuess=given)
    np.save(tmp_path / "a.npy", given)
    for path in (tmp_path / "a.npz", str(tmp_path / "a.npy")):
        for array in (read_object(path), read_probe(path, 8)):
            assert array.dtype == np.complex64
            assert array.flags.c_contiguous
            np.testing.assert_array_equal(array, given)
    spec = SimpleNamespace(kind="file", size=0, file=tmp_path / "a.npy")
    np.testing.assert_array_equal(make_object(spec, 42), given)


def test_modes_are_kept(tmp_path):
    np.save(tmp_path / "modes.npy", np.ones((3, 8, 8)))
    assert read_probe(tmp_path / "modes.npy", 8).shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(8), r"shape \(8,\)"),
        (np.ones((8, 9)), r"shape \(8, 9\)"),
        (np.ones((1, 1, 8, 8)), "shape"),
        (
            np.ones((16, 16)),
            r"shape \(16, 16\) given, expected .* because N = 8",
        ),
        (np.ones((0, 8, 8)), "empty"),
        (np.array(["a"]), "dtype <U1"),
        (np.ones((8, 8), bool), "dtype bool"),
        (np.full((8, 8), np.nan), r"nan at index \(0, 0\)"),
        (np.full((8, 8), 1j * np.inf), r"at index \(0, 0\)"),
        (np.full((8, 8), 1e39), r"1e\+39 at index \(0, 0\) overflows"),
    ],
)
def test_bad_probe_file(tmp_path, array, message):
    np.savez(tmp_path / "bad.npz", probeGuess=array)
    with pytest.raises(ValueError, match=rf"bad\.npz: probeGuess: .*{message}"):
        read_probe(tmp_path / "bad.npz", 8)


def test_bad_object_file(tmp_path):
    np.savez(tmp_path / "bad.npz", objectGuess=np.ones((2, 8, 8)))
    with pytest.raises(
        ValueError, match=r"objectGuess: shape \(2, 8, 8\) given, expected \(H, W\)"
    ):
        read_object(tmp_path / "bad.npz")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such file"):
        read_object(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="is a folder"):
        read_object(tmp_path)
    np.savez(tmp_path / "other.npz", probe=np.ones((8, 8)))
    with pytest.raises(ValueError, match=r"no key 'probeGuess', found probe"):
        read_probe(tmp_path / "other.npz", 8)
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "pickle.npz", objectGuess=np.array([{}]))
    for name in ("pickle.npy", "pickle.npz"):
        with pytest.raises(ValueError, match=f"{name}.*cannot be read"):
            read_object(tmp_path / name)
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npy").write_text("no array")
    for name in ("empty.npz", "text.npy"):
        with pytest.raises(ValueError, match=f"{name}: cannot be read"):
            read_object(tmp_path / name)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_damaged_files_never_raise_anything_else(tmp_path, suffix):
    whole, damaged = tmp_path / f"whole.{suffix}", tmp_path / f"damaged.{suffix}"
    if suffix == "npy":
        np.save(whole, np.ones((4, 4)))
    else:
        np.savez_compressed(whole, objectGuess=np.ones((4, 4)))
    content = whole.read_bytes()
    rng = np.random.default_rng(0)
    for length in range(len(content)):
        damaged.write_bytes(content[:length])
        with pytest.raises(ValueError, match="damaged"):
            read_array(damaged, "objectGuess")
    for _ in range(300):
        flipped = bytearray(content)
        flipped[rng.integers(len(content))] ^= 1 << rng.integers(8)
        damaged.write_bytes(flipped)
        try:
            read_object(damaged)
        except ValueError as error:
            assert "damaged" in str(error)  # noqa: PT017 - some flips do no harm


# Other errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lines(0, 42), "size: 0"),
        (lambda: lines(8, -1), "seed: -1"),
        (lambda: lines(8, 2**32), "seed: 4294967296"),
        (lambda: make_object(SimpleNamespace(kind="dots", size=8, file=None), 1), "kind: 'dots'"),
        (lambda: make_object(SimpleNamespace(kind="file", size=8, file=None), 1), "file: None"),
        (lambda: ideal_disk(0), "N: 0"),
        (lambda: normalise(np.ones((8, 8)), 0), "scale: 0"),
        (lambda: normalise(np.zeros((8, 8)), 1), "mean of the probe in its support: 0"),
        (lambda: normalise(np.ones((8, 9)), 1), r"shape \(8, 9\)"),
        (lambda: make_probe(probe_spec(kind="square"), 8), "kind: 'square'"),
        (lambda: make_probe(probe_spec(kind="file"), 8), "file: None"),
        (lambda: random_scan((50, 50), 0, 5, 1), "n_patterns: 0"),
        (lambda: random_scan((50, 50), 5, 25, 1), "buffer: 25"),
        (lambda: random_scan((50, 20), 5, 10, 1), r"buffer: 10.*\(50 x 20\)"),
        (lambda: random_scan((50, 50), 5, -1, 1), "buffer: -1"),
        (lambda: random_scan((50, 50), 5, np.nan, 1), "buffer: nan"),
        (lambda: random_scan((0, 50), 5, 0, 1), "shape: 0"),
        (lambda: make_scan(SimpleNamespace(kind="spiral"), (50, 50), 1), "kind: 'spiral'"),
        (lambda: split_on_y(np.ones((4, 2)), 1.5), r"train_fraction: 1\.5"),
        (lambda: split_on_y(np.ones(4)), r"positions: shape \(4,\)"),
        (lambda: split_on_y([[0.0, np.nan]]), "positions: nan at index"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
