"""What kind of file it is, files that lie about themselves, and patterns not in memory."""

import io
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import Dataset
from ptycho_fast.formats import FORMATS, Format, container_of, format_of, recognise
from ptycho_fast.formats.patterns import Converted, LazyPatterns, Part, ranges


@pytest.fixture(scope="module")
def dataset():
    return ptycho_fast.simulate(
        object=np.ones((60, 60)),
        probe=np.ones((16, 16)),
        positions=[[30, 30], [20.5, 25], [31, 22]],
        nphotons=1e9,  # bright enough for corrections
    )


# --- kinds of files ---


def test_the_content_decides_not_the_name(dataset, tmp_path):
    for profile in ("pinn-amplitude", "pinn-counts", "pinn-raw"):
        path = tmp_path / f"{profile}.dat"
        ptycho_fast.simulate("gs2_ideal", nphotons=1e4, backend="native")[:3].save(
            path, format=profile
        )
        assert recognise(path).name == profile
        assert container_of(path) == "zip"
        np.testing.assert_array_equal(Dataset.load(path).counts.shape, (3, 64, 64))


def test_what_is_nothing_that_is_known(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "folder").mkdir()
    for name in ("a.txt", "folder"):
        with pytest.raises(ValueError, match=rf"{name}: is .*expected pinn-amplitude, .*format="):
            ptycho_fast.open(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"b\.h5: no such file, expected a data set"):
        ptycho_fast.open(tmp_path / "b.h5")
    with pytest.raises(ValueError, match="format: 'nonsense' given, expected one of pinn-amp"):
        ptycho_fast.open(tmp_path / "a.txt", format="nonsense")


def test_options_that_a_reader_does_not_take(dataset, tmp_path):
    dataset.save(tmp_path / "a.npz")
    with pytest.raises(TypeError, match="motion: 'beam' given, expected of reading pinn-amplitude"):
        ptycho_fast.open(tmp_path / "a.npz", motion="beam")


def test_the_table():
    """Every module has what the table promises."""
    for one in FORMATS.values():
        module = one.load()
        if one.writes:
            assert {"check", "file_size", "write", "OPTIONS", "DOMAINS"} <= set(dir(module)), one
        if one.reads:
            assert {"read", "recognises", "READ_OPTIONS"} <= set(dir(module)), one
        if one.writes:
            for suffix in one.suffixes:
                first = format_of(f"a{suffix}")
                assert suffix in first.suffixes
    assert format_of("A.NPZ").name == "pinn-amplitude"
    assert format_of("a.npz", "pinn-raw").name == "pinn-raw"


# --- files that are damaged, or lie ---


def mutations(whole, rng):
    """The bytes of a file, damaged in one of four ways."""
    data = bytearray(whole)
    at = int(rng.integers(len(data)))
    match int(rng.integers(4)):
        case 0:
            for place in rng.integers(len(data), size=3):
                data[place] = rng.integers(256)
        case 1:
            del data[at:]
        case 2:
            del data[at : at + int(rng.integers(1, 50))]
        case _:  # in a header
            magic = (b"PK\x01\x02", b"PK\x03\x04", b"NUMPY", b"PK\x05\x06")[rng.integers(4)]
            place = max(0, data.find(magic, at)) + int(rng.integers(4, 100))
            data[min(place, len(data) - 1)] = rng.integers(256)
    return data


@pytest.mark.parametrize("profile", ["pinn-amplitude", "pinn-counts"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_is_an_error_that_names_the_file_or_does_no_harm(dataset, profile, save, tmp_path):
    path = tmp_path / "a.npz"
    dataset.save(path, format=profile)
    with np.load(path) as file:
        save(path, **dict(file))
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    messages = []
    for _ in range(80):
        path.write_bytes(mutations(whole, rng))
        try:
            back = Dataset.load(path)
        except (ValueError, OSError) as error:
            messages.append(str(error))
        else:
            np.testing.assert_array_equal(back.counts, dataset.counts)
    assert len(messages) > 40
    assert all("a.npz" in message for message in messages)


def test_a_few_bytes_that_claim_much(tmp_path):
    header = io.BytesIO()
    claim = {"descr": "<u4", "fortran_order": False, "shape": (10**12, 64, 64)}
    np.lib.format.write_array_header_1_0(header, claim)
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
            for key in ("diff3d", "xcoords", "ycoords", "probeGuess", "objectGuess"):
                archive.writestr(f"{key}.npy", header.getvalue())
        with pytest.raises(ValueError, match="a.npz: key '.*0 bytes for a uint32 array of shape"):
            ptycho_fast.open(tmp_path / "a.npz", domain="count_intensity")


@pytest.mark.parametrize("key", ["xcoords", "ycoords_start", "probeGuess", "objectGuess"])
@pytest.mark.parametrize("how", ["text", "pickle", "nan", "inf", "dates"])
def test_no_numbers(dataset, tmp_path, key, how):
    dataset.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    given = arrays[key]
    arrays[key] = {
        "text": lambda: np.full(given.shape, "12.5"),
        "pickle": lambda: np.full(given.shape, 1, object),
        "nan": lambda: np.full_like(given, np.nan),
        "inf": lambda: np.full_like(given, np.inf),
        "dates": lambda: np.full(given.shape, "2026-01-01", "M8[D]"),
    }[how]()
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(ValueError, match=rf"b\.npz: (key ')?{key}"):
        ptycho_fast.open(tmp_path / "b.npz")


# --- patterns that are not in memory ---


class Counted(LazyPatterns):
    """Pattern b holds b everywhere; knows how many were read."""

    def __init__(self, B):
        self.shape, self.dtype, self.read = (B, 4, 4), np.dtype(np.int32), 0

    def _read(self, first, last):
        self.read += last - first
        return np.repeat(np.arange(first, last, dtype="i4"), 16).reshape(-1, 4, 4)


INDICES = [
    slice(None), slice(3, 7), slice(-2, None), slice(None, None, 3), slice(None, None, -1),
    slice(5, 5), slice(7, 3), 0, -1, np.int64(4), [1, 1, 9, 0], [], np.arange(10) % 3 == 0,
    np.array([-1, 2]), np.uint8([3]), ..., (2, 1), (slice(2, 4), 1, slice(None, 2)), ([0, 5], 1),
]  # fmt: skip


@pytest.mark.parametrize("which", INDICES, ids=repr)
def test_indices_are_those_of_an_array(which):
    lazy = Counted(10)
    array = np.asarray(lazy)
    for patterns, expected in (
        (lazy, array),
        (Converted(lazy, lambda first, frames: frames * 2.0, float), array * 2.0),
        (Part(Counted(14), 2, 12), array + 2),
    ):
        got = patterns[which]
        np.testing.assert_array_equal(got, expected[which])
        assert np.shape(got) == np.shape(expected[which])
        assert got.dtype == expected.dtype


WRONG = [10, -11, [3, 10], 1.5, "a", [0.5], np.ones(9, bool), np.zeros((2, 2), int), None, True]


@pytest.mark.parametrize("which", WRONG, ids=repr)
def test_indices_that_cannot_be(which):
    with pytest.raises(IndexError, match="given, expected"):
        Counted(10)[which]


def test_only_what_is_asked_for_is_read():
    lazy = Counted(10**9)
    lazy[10**8], lazy[5:8], lazy[[10**9 - 1, 3]]
    assert lazy.read == 6
    assert (len(lazy), lazy.ndim, lazy.nbytes) == (10**9, 3, 64 * 10**9)
    assert "not in memory" in repr(lazy)
    assert next(iter(ranges(lazy))) == (0, 2**18)
    with pytest.raises(ValueError, match="copy=False given"):
        np.array(lazy, copy=False)
    assert [int(pattern[0, 0]) for pattern in Counted(4)] == [0, 1, 2, 3]


def test_a_part_of_a_data_set(dataset, tmp_path):
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace({"scan.n_patterns": 20})
    whole = ptycho_fast.simulate(scenario)
    whole.save(tmp_path / "a.npz")
    with ptycho_fast.open(tmp_path / "a.npz") as opened:
        for data in (whole, opened):
            part = data[5:9]
            assert (len(part), part.scenario) == (4, None)
            assert part.provenance["part"]["first"] == 5
            assert "measured" not in part.provenance["dose"]
            np.testing.assert_array_equal(part.counts[:], whole.counts[5:9])
            np.testing.assert_array_equal(part.positions, whole.positions[5:9])
            np.testing.assert_allclose(part.photons(), whole.photons()[5:9], rtol=1e-7)
            part.save(tmp_path / "b.npz", force=True)
            np.testing.assert_array_equal(Dataset.load(tmp_path / "b.npz").counts, part.counts)
    for which in (3, slice(0, 9, 2), [1]):
        with pytest.raises(TypeError, match=r"expected a range of patterns, dataset\[first:last\]"):
            whole[which]
    with pytest.raises(IndexError, match="expected a part of the 20 patterns"):
        whole[25:]


@pytest.mark.parametrize("profile", ["pinn-amplitude", "pinn-counts"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_open_data_set_in_another_process(dataset, profile, save, tmp_path, monkeypatch):
    """It is opened there; a file that changed meanwhile is an error."""
    monkeypatch.chdir(tmp_path)
    dataset.save("a.npz", format=profile)
    with np.load("a.npz") as file:
        save("a.npz", **dict(file))
    with ptycho_fast.open("a.npz") as opened:
        sent = pickle.dumps(opened)
        monkeypatch.chdir("/")
        with pickle.loads(sent) as there:
            np.testing.assert_array_equal(there.counts[1:], dataset.counts[1:])
    dataset[:2].save(tmp_path / "a.npz", format=profile, force=True)
    with pytest.raises(ValueError, match="a.npz: diff3d: .* as when it was opened first"):
        pickle.loads(sent)


FORK = """
import os, sys, ptycho_fast
data = ptycho_fast.open(sys.argv[1])
data.counts[:1]
child = os.fork()
for _ in range(20):
    sums = [int(data.counts[b].sum()) for b in (2, 1, 0, 1)]
if child == 0:
    os._exit(sum(sums) % 251)
_, status = os.waitpid(child, 0)
print(sums, os.waitstatus_to_exitcode(status) == sum(sums) % 251)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_processes_unpack_one_file(dataset, tmp_path):
    """A fork has the same place in the file as its parent; each has to find its own."""
    dataset.save(tmp_path / "a.npz", format="pinn-counts")
    with np.load(tmp_path / "a.npz") as file:
        np.savez_compressed(tmp_path / "b.npz", **dict(file))
    printed = subprocess.run(
        [sys.executable, "-c", FORK, tmp_path / "b.npz"], capture_output=True, text=True, check=True
    ).stdout
    sums = [int(dataset.counts[b].sum()) for b in (2, 1, 0, 1)]
    assert printed == f"{sums} True\n"


def test_a_pair_of_files_is_told_by_the_name_that_it_was_given(tmp_path):
    (tmp_path / "cells_dp.hdf5").touch()
    with pytest.raises(FileNotFoundError, match=r"cells\.hdf5: no such file.*cells_dp\.hdf5"):
        ptycho_fast.open(tmp_path / "cells.hdf5")


def test_a_library_that_is_missing_is_asked_for_only_where_it_may_help(tmp_path, monkeypatch):
    """A folder of ptycho-fm needs nothing of Zarr, which is asked before it."""
    folder = tmp_path / "pack"
    folder.mkdir()
    asked = []

    class Knows:
        @staticmethod
        def recognises(path):
            asked.append(path)
            return True

    def load(self):
        if self.name == "zarr":
            raise RuntimeError("zarr: google_crc32c is not installed")
        return Knows

    monkeypatch.setattr(Format, "load", load)
    assert recognise(folder).name == "ptycho-fm"
    monkeypatch.setattr(Knows, "recognises", lambda path: False)
    with pytest.raises(RuntimeError, match="google_crc32c is not installed"):
        recognise(folder)
