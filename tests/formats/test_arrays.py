"""Plain arrays and pictures: nothing is guessed."""

import numpy as np
import pytest
from PIL import Image

import ptycho_fast
from ptycho_fast.formats import arrays, recognise

B, N, H, W = 5, 16, 40, 33


@pytest.fixture
def known(tmp_path):
    """Patterns, object, probe and positions as arrays, and the files with the last three."""
    rng = np.random.default_rng(1)
    values = {
        "diffraction": rng.integers(0, 900, (B, N, N), dtype=np.uint16),
        "object": (rng.random((H, W)) + 1j).astype(np.complex64),
        "probe": (rng.random((N, N)) + 2j).astype(np.complex64),
        "positions": rng.uniform(8, 24, (B, 2)),
    }
    files = {}
    for name in ("object", "probe", "positions"):
        files[name] = tmp_path / f"{name}.npy"
        np.save(files[name], values[name])
    return values, files


def check(found, values):
    np.testing.assert_array_equal(found.counts[:], values["diffraction"])
    np.testing.assert_array_equal(found.counts[3:1:-1], values["diffraction"][3:1:-1])
    np.testing.assert_array_equal(found.object, values["object"])
    np.testing.assert_array_equal(found.probe, values["probe"][None])
    np.testing.assert_array_equal(found.positions, values["positions"])
    assert found.intensity_scale == 1
    found.close()


def test_an_array(known, tmp_path):
    values, files = known
    np.save(tmp_path / "a.npy", values["diffraction"])
    found = ptycho_fast.open(tmp_path / "a.npy", domain="count_intensity", **files)
    assert found.is_lazy
    check(found, values)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_archive(known, tmp_path, order):
    values, _ = known
    stored = values | {"diffraction": np.array(values["diffraction"], order=order)}
    np.savez(tmp_path / "a.npz", **stored)
    check(ptycho_fast.open(tmp_path / "a.npz", format="array", domain="count_intensity"), values)
    renamed = {f"my_{name}": array for name, array in stored.items()}
    np.savez(tmp_path / "b.npz", **renamed)
    names = {name: f"my_{name}" for name in ("object", "probe", "positions")}
    found = ptycho_fast.open(
        tmp_path / "b.npz",
        format="array",
        domain="count_intensity",
        patterns="my_diffraction",
        **names,
    )
    check(found, values)


def test_a_picture_of_many_pages(known, tmp_path):
    values, files = known
    pages = [Image.fromarray(page) for page in values["diffraction"]]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    check(ptycho_fast.open(tmp_path / "a.tif", domain="count_intensity", **files), values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"domain": None}, "does not say what its patterns mean; give domain='count_intensity'"),
        ({"object": None}, "object: nothing given, expected an .npy file"),
        ({"probe": None}, "probe: nothing given, expected an .npy file"),
        ({"positions": None}, "positions: nothing given, expected a file with two columns"),
        ({"intensity_scale": -1.0}, "intensity_scale: -1.0 given"),
        ({"domain": "furlongs"}, "domain: 'furlongs' given, expected one of count_intensity"),
    ],
)
def test_what_is_not_said(known, tmp_path, options, message):
    values, files = known
    np.save(tmp_path / "a.npy", values["diffraction"])
    given = {"domain": "count_intensity"} | files | options
    with pytest.raises(ValueError, match=message):
        ptycho_fast.open(tmp_path / "a.npy", **given)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("a", np.zeros((B, N, N + 1)), r"a.npy: patterns: .* given, expected real numbers"),
        ("a", np.zeros((N, N)), "a.npy: patterns: .* given, expected real numbers"),
        ("a", np.full((B, N, N), "text"), "a.npy: patterns: .* given, expected real numbers"),
        ("a", np.zeros((0, N, N)), "a.npy: patterns: .* given, expected real numbers"),
        ("probe", np.zeros((N + 1, N)), "a.npy: probe: shape"),
        ("probe", np.full((N, N), np.inf), "probe.npy: probe: .*inf.* at index"),
        ("probe", np.full((N, N), "text"), "probe.npy: probe: dtype"),
        ("object", np.zeros(N), "object.npy: object: shape"),
        ("positions", np.zeros((B - 1, 2)), "a.npy: positions: shape"),
        ("positions", np.full((B, 2), np.nan), "positions.npy: nan in row 0"),
    ],
)
def test_what_does_not_fit(known, tmp_path, name, array, message):
    values, files = known
    np.save(tmp_path / "a.npy", values["diffraction"])
    np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(ValueError, match=message):
        ptycho_fast.open(tmp_path / "a.npy", domain="count_intensity", **files)


@pytest.mark.parametrize("bad", [-1.0, np.nan, 0.5])
def test_no_counts(known, tmp_path, bad):
    values, files = known
    patterns = values["diffraction"].astype(float)
    patterns[3, 2, 1] = bad
    np.save(tmp_path / "a.npy", patterns)
    with ptycho_fast.open(tmp_path / "a.npy", domain="count_intensity", **files) as found:
        found.counts[:3]
        with pytest.raises(ValueError, match=r"a.npy: patterns: .* in pattern 3 given"):
            found.counts[2:]


def test_damaged(known, tmp_path):
    values, files = known
    np.save(tmp_path / "a.npy", values["diffraction"])
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="a.npy"):
        ptycho_fast.open(tmp_path / "a.npy", domain="count_intensity", **files)
    (tmp_path / "b.tif").write_bytes(b"II*\0" + b"\0" * 20)
    with pytest.raises(ValueError, match="b.tif: cannot be read"):
        ptycho_fast.open(tmp_path / "b.tif", domain="count_intensity", **files)


# --- pictures as objects ---


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_black_and_white(tmp_path, dtype, white, suffix):
    grey = np.array([[0, white], [white // 5, white // 3]], dtype)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(grey).save(path)
    assert recognise(path).name == "image"
    obj = arrays.truth(path, amplitude=(0.5, 1.5), phase=(0.2, -0.8)).object
    assert obj.dtype == np.complex64
    share = np.array([[0, 1], [0.2, 1 / 3]])
    np.testing.assert_allclose(np.abs(obj), 0.5 + share, rtol=1e-6)
    np.testing.assert_allclose(np.angle(obj), 0.2 - share, rtol=1e-5)
    np.testing.assert_allclose(np.abs(arrays.truth(path, phase=(0, 1)).object), 1, rtol=1e-6)
    np.testing.assert_array_equal(np.angle(arrays.truth(path, amplitude=(0, 1)).object), 0)


def test_floating_point_has_no_white(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(np.array([[-2.0, 3.0]], np.float32)).save(path)
    with pytest.raises(ValueError, match="levels: nothing given, expected .black, white."):
        arrays.truth(path, phase=(0, 1))
    obj = arrays.truth(path, phase=(0, 1), levels=(-2, 3)).object
    np.testing.assert_allclose(np.angle(obj), [[0, 1]], rtol=1e-6)
    with pytest.raises(ValueError, match="values from -2 to 3 given, expected 0 to 3, its levels"):
        arrays.truth(path, phase=(0, 1), levels=(0, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "amplitude, phase: neither given"),
        ({"amplitude": (-0.1, 1)}, "amplitude: .* given, expected none below 0"),
        ({"amplitude": 1.0}, "amplitude: 1.0 given, expected a pair"),
        ({"phase": (0, np.inf)}, "phase: inf given"),
        ({"phase": (0, 1), "levels": (3, 3)}, "levels: .* given, expected two different values"),
    ],
)
def test_ranges(tmp_path, options, message):
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=message):
        arrays.truth(tmp_path / "a.png", **options)
