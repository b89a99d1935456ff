"""Objects and probes from files, sound and damaged ones."""

import numpy as np
import pytest

from ptycho_fast.formats.numpy_files import read_array
from ptycho_fast.objects import make_object
from ptycho_fast.objects.from_file import from_file as object_from_file
from ptycho_fast.probes.from_file import from_file as probe_from_file
from ptycho_fast.scenario import ObjectSpec


@pytest.mark.parametrize("stored", [np.complex64, np.complex128, np.float32, np.uint8])
def test_files_are_converted(tmp_path, stored):
    given = np.asfortranarray(np.arange(64).reshape(8, 8).astype(stored))
    np.savez(tmp_path / "a.npz", objectGuess=given, probeGuess=given)
    np.save(tmp_path / "a.npy", given)
    for path in (tmp_path / "a.npz", str(tmp_path / "a.npy")):
        for array in (object_from_file(file=path), probe_from_file(8, file=path)):
            assert array.dtype == np.complex64
            assert array.flags.c_contiguous
            np.testing.assert_array_equal(array, given)
    spec = ObjectSpec(kind="file", file=str(tmp_path / "a.npy"))
    np.testing.assert_array_equal(make_object(spec, 42), given)


def test_modes_are_kept(tmp_path):
    np.save(tmp_path / "modes.npy", np.ones((3, 8, 8)))
    assert probe_from_file(8, file=tmp_path / "modes.npy").shape == (3, 8, 8)


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
        probe_from_file(8, file=tmp_path / "bad.npz")


def test_bad_object_file(tmp_path):
    np.savez(tmp_path / "bad.npz", objectGuess=np.ones((2, 2, 8, 8)))
    with pytest.raises(
        ValueError, match=r"objectGuess: shape \(2, 2, 8, 8\) given, expected \(H, W\)"
    ):
        object_from_file(file=tmp_path / "bad.npz")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such file"):
        object_from_file(file=tmp_path / "none.npz")
    with pytest.raises(ValueError, match="is a folder"):
        object_from_file(file=tmp_path)
    np.savez(tmp_path / "other.npz", probe=np.ones((8, 8)))
    with pytest.raises(ValueError, match=r"no key 'probeGuess', found probe"):
        probe_from_file(8, file=tmp_path / "other.npz")
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "pickle.npz", objectGuess=np.array([{}]))
    for name in ("pickle.npy", "pickle.npz"):
        with pytest.raises(ValueError, match=f"{name}.*cannot be read"):
            object_from_file(file=tmp_path / name)
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npy").write_text("no array")
    for name in ("empty.npz", "text.npy"):
        with pytest.raises(ValueError, match=f"{name}: cannot be read"):
            object_from_file(file=tmp_path / name)


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
            object_from_file(file=damaged)
        except ValueError as error:
            assert "damaged" in str(error)  # noqa: PT017 - some flips do no harm
