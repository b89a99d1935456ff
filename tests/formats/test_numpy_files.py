"""NumPy files: what is given instead of one is called by its name."""

import gzip
import pickle
import zipfile

import numpy as np
import pytest

from ptycho_fast.formats.numpy_files import open_arrays, read_array, to_complex64

BEGINNINGS = {
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "a MATLAB file": b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(100),
    "a PNG picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "a TIFF picture": b"II*\0" + bytes(100),
    "a gzip file": gzip.compress(b"text"),
    "a pickle, which is never opened": pickle.dumps({}),
}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_other_files_are_called_by_their_name(tmp_path, kind):
    path = tmp_path / "probe.npz"
    path.write_bytes(BEGINNINGS[kind])
    with pytest.raises(ValueError, match=f"probe.npz: is {kind}, expected an .npz or .npy file"):
        read_array(path, "probeGuess")


def test_hdf5_behind_a_user_block(tmp_path):
    path = tmp_path / "probe.npz"
    path.write_bytes(bytes(1024) + b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(ValueError, match="is an HDF5 file"):
        read_array(path, "probeGuess")


def test_an_archive_of_something_else(tmp_path):
    path = tmp_path / "letter.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.xml", "text")
    with pytest.raises(ValueError, match="letter.docx: is a zip archive without arrays, expected"):
        read_array(path, "probeGuess")


def test_headers_without_reading(tmp_path):
    np.savez(tmp_path / "a.npz", one=np.ones((2, 3), np.int16), two=np.array([{}]))
    np.save(tmp_path / "a.npy", np.ones(4))
    with open_arrays(tmp_path / "a.npz") as file:
        assert file.keys == ("one", "two")
        assert file.header("one") == ((2, 3), np.int16)
        with pytest.raises(ValueError, match=r"a.npz: key 'two': cannot be read \(it is pickled"):
            file.header("two")
    with open_arrays(tmp_path / "a.npy") as file:
        assert file.keys == ("",)
        assert file.header("") == ((4,), np.float64)


def test_orders_and_byte_orders(tmp_path):
    stored = np.asfortranarray(np.arange(6.0).reshape(2, 3)).astype(">f8")
    np.savez_compressed(tmp_path / "a.npz", a=stored)
    np.save(tmp_path / "a.npy", stored)
    for name in ("a.npz", "a.npy"):
        np.testing.assert_array_equal(read_array(tmp_path / name, "a"), stored)


@pytest.mark.parametrize("header", ["[" * 5000, "(" * 9000 + ")", "{'descr': 'O'}", "{'shape': 1}"])
def test_headers_that_are_none(tmp_path, header):
    text = header.encode() + b"\n"
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(ValueError, match="a.npy: cannot be read"):
        read_array(path, "a")


def test_a_small_array_that_claims_much(tmp_path):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        header = {"descr": "<c8", "fortran_order": False, "shape": (10**6, 10**6)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ValueError, match="a.npy: cannot be read .0 bytes for a complex64 array"):
        read_array(path, "a")


def test_to_complex64_refuses_what_it_cannot_hold():
    with pytest.raises(ValueError, match=r"probe: 1e\+300 at index \(0,\) overflows complex64"):
        to_complex64([1e300], "probe")
    with pytest.raises(ValueError, match="probe: dtype bool given"):
        to_complex64([True], "probe")
    with pytest.raises(TypeError, match="probe: a masked array given"):
        to_complex64(np.ma.ones(3), "probe")
