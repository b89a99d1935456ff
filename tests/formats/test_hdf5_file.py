"""HDF5 files: the same bytes every time, opened by other readers, and hostile ones refused."""

import hashlib
import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptycho_fast.formats import compression, hdf5_file
from ptycho_fast.formats.hdf5_file import create, open_file, write_array, write_patterns
from ptycho_fast.formats.work import Work


def photons(shape=(150, 32, 32), dtype="<u2", seed=0):
    return np.random.default_rng(seed).poisson(3, shape).astype(dtype)


def written(path, patterns, **options):
    with create(path, Work(force=True)) as file:
        checksums = write_patterns(file, "counts", patterns, Work(), **options).checksums
    return checksums


# --- writing ---


@pytest.mark.parametrize("name", compression.COMPRESSIONS)
@pytest.mark.parametrize("dtype", ["<u2", "<u4", "<i4", "<f4"])
def test_every_compression_gives_the_patterns_back_to_every_reader(tmp_path, name, dtype):
    patterns = photons((600, 32, 32), dtype)
    checksums = written(tmp_path / "a.h5", patterns, compression=name)
    with h5py.File(tmp_path / "a.h5") as file:  # HDF5's own filter unpacks
        np.testing.assert_array_equal(file["counts"], patterns)
        assert file["counts"].dtype == np.dtype(dtype)
    with open_file(tmp_path / "a.h5") as file:
        chunks = list(file.stored_chunks("counts"))
    assert [first for first, _ in chunks] == [0, 256, 512]
    assert [hashlib.sha256(data).digest() for _, data in chunks] == [c.tobytes() for c in checksums]


@settings(deadline=None, max_examples=25)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 17), st.integers(1, 17)),
    dtype=st.sampled_from(["<u2", "<u4", "<f4"]),
    name=st.sampled_from(compression.COMPRESSIONS),
    seed=st.integers(0, 99),
)
def test_bytes_are_those_of_the_filter(shape, dtype, name, seed):
    block = photons(shape, dtype, seed)
    mine = bytes(compression.encoder(name, dtype)(block))
    if name == "portable":  # another library of the same format may pack otherwise
        with h5py.File("x", "w", driver="core", backing_store=False) as file:
            options = compression.filters(name)
            dataset = file.create_dataset("x", shape, dtype, chunks=shape, **options)
            dataset.id.write_direct_chunk((0, 0, 0), mine)
            np.testing.assert_array_equal(dataset, block)
    else:
        assert mine == compression._by_hdf5(block, compression.filters(name))


def test_the_filter_itself_packs_where_its_library_shows_no_functions(tmp_path, monkeypatch):
    first = written(tmp_path / "a.h5", photons())
    monkeypatch.setattr(compression, "_bitshuffle", lambda: None)
    second = written(tmp_path / "b.h5", photons())
    np.testing.assert_array_equal(first, second)


def test_a_file_is_the_same_every_time(tmp_path):
    for name in ("a.h5", "b.h5"):
        with create(tmp_path / name, Work()) as file:
            write_patterns(file, "entry/counts", photons(), Work(), unit="photons")
            write_array(file, "entry/energy", 8.0, unit="keV")
            write_array(file, "title", "a scan with ü")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    with open_file(tmp_path / "a.h5") as file:
        assert file.text("title") == "a scan with ü"
        assert file.attributes("entry/counts") == {"unit": "photons"}
        assert file.read("entry/energy") == 8.0


def test_several_threads_may_write_files_at_the_same_time(tmp_path):
    patterns = photons((64, 32, 32))

    def write_and_read(number):
        path = tmp_path / f"{number}.h5"
        for _ in range(10):
            written(path, patterns, compression="none")
            with open_file(path) as file:
                assert len(list(file.stored_chunks("counts"))) == 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_and_read, range(4)))


def test_small_chunks_are_found_too(tmp_path):
    """HDF5 puts chunks of some bytes into a common block, not at the file's end."""

    class Places(Work):
        def stored(self, block, offset, size):
            places.append((offset, bytes(block.data)))

    places = []
    with create(tmp_path / "a.h5", Work()) as file:
        write_patterns(file, "counts", np.zeros((9, 512, 512), "<u2"), Places())
    content = (tmp_path / "a.h5").read_bytes()
    assert len(places) == 9
    assert all(content[at : at + len(data)] == data for at, data in places)


def test_missing_plugin_is_named(tmp_path, monkeypatch):
    written(tmp_path / "a.h5", photons())
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    find = compression.importlib.util.find_spec
    monkeypatch.setattr(
        compression.importlib.util,
        "find_spec",
        lambda name: None if name == "hdf5plugin" else find(name),
    )
    with pytest.raises(RuntimeError, match=r"compression: 'lz4': hdf5plugin is not installed; pip"):
        written(tmp_path / "b.h5", photons())
    with (
        open_file(tmp_path / "a.h5") as file,
        pytest.raises(
            RuntimeError,
            match=r"a.h5: counts: compressed by bitshuffle: hdf5plugin is not installed",
        ),
    ):
        file.patterns("counts")
    assert sorted(os.listdir(tmp_path)) == ["a.h5"]
    written(tmp_path / "b.h5", photons(), compression="portable")


def test_portable_is_no_way_out_without_h5py(monkeypatch):
    for there, end in ((True, "compression='portable' does without"), (None, "brings it")):
        monkeypatch.setattr(
            compression.importlib.util,
            "find_spec",
            lambda name, there=there: there if name == "h5py" else None,
        )
        with pytest.raises(RuntimeError, match=f"hdf5plugin is not installed; .*{end}$"):
            compression.filters("lz4")


def test_missing_h5py_is_named(tmp_path, monkeypatch):
    written(tmp_path / "a.h5", photons())
    monkeypatch.setattr(hdf5_file.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"a.h5: is an HDF5 file, and h5py is not installed"):
        open_file(tmp_path / "a.h5")


# --- reading ---


def test_patterns_are_read_when_they_are_asked_for(tmp_path):
    patterns = photons()
    written(tmp_path / "a.h5", patterns)
    with open_file(tmp_path / "a.h5") as file:
        lazy = file.patterns("counts")
    copy = pickle.loads(pickle.dumps(lazy))  # goes to another process
    for one in (lazy, copy):
        np.testing.assert_array_equal(one[70:75], patterns[70:75])
        np.testing.assert_array_equal(one[[149, 3, 3]], patterns[[149, 3, 3]])
        one.close()
        np.testing.assert_array_equal(one[0], patterns[0])
        one.close()


def test_big_endian_numbers_are_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["counts"] = photons(dtype=">u2")
    with open_file(tmp_path / "a.h5") as file:
        lazy = file.patterns("counts")
    assert lazy.dtype.isnative
    np.testing.assert_array_equal(lazy[3:9], photons()[3:9])
    lazy.close()


def test_links_inside_a_file_are_followed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/detector/data"] = np.arange(3)
        file["entry/data"] = h5py.SoftLink("/entry/detector/data")
        file["entry/near"] = h5py.SoftLink("detector/data")
        file["copy"] = h5py.SoftLink("/entry/detector")
        file["nowhere"] = h5py.SoftLink("/no/such")
        file["round"] = h5py.SoftLink("/round")
        file["entry/itself"] = file["entry"]
    with open_file(tmp_path / "a.h5") as file:
        keys = {"entry/detector/data", "entry/data", "entry/near", "copy/data"}
        assert set(file.keys) == keys
        assert all(file.read(key).tolist() == [0, 1, 2] for key in keys)


def joined(folder, counts, n=4):
    layout = h5py.VirtualLayout(counts.shape, counts.dtype)
    for first in range(0, len(counts), n):
        part = counts[first : first + n]
        with h5py.File(folder / f"part-{first}.h5", "w") as file:
            file["counts"] = part
        layout[first : first + n] = h5py.VirtualSource(f"part-{first}.h5", "counts", part.shape)
    with h5py.File(folder / "all.h5", "w", libver=("earliest", "v110")) as file:
        file.create_virtual_dataset("counts", layout)


def test_joined_files_are_one(tmp_path):
    counts = photons((10, 8, 8))
    joined(tmp_path, counts)
    with open_file(tmp_path / "all.h5") as file:
        lazy = file.patterns("counts")
    np.testing.assert_array_equal(np.asarray(lazy), counts)
    np.testing.assert_array_equal(lazy[3:9], counts[3:9])
    lazy.close()


def test_a_missing_part_is_named(tmp_path):
    """HDF5 alone would give zeros for it."""
    joined(tmp_path, photons((10, 8, 8)))
    (tmp_path / "part-4.h5").unlink()
    with (
        open_file(tmp_path / "all.h5") as file,
        pytest.raises(
            ValueError, match=r"all.h5: counts: .*part-4.h5, which holds a part of it, is missing"
        ),
    ):
        file.patterns("counts")


def test_a_part_of_another_shape_is_named(tmp_path):
    joined(tmp_path, photons((10, 8, 8)))
    with h5py.File(tmp_path / "part-4.h5", "w") as file:
        file["counts"] = photons((3, 8, 8))
    with open_file(tmp_path / "all.h5") as file:
        lazy = file.patterns("counts")
    lazy[0:4]
    with pytest.raises(ValueError, match=r"part-4.h5: counts: uint16 array of shape \(3, 8, 8\)"):
        lazy[5]
    lazy.close()


# --- hostile and damaged files ---


def hostile(path, make):
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        make(file)
    return path


def external_data(file):
    file.create_dataset("counts", (4,), "<u2", external=[("/etc/passwd", 0, 8)])


def outside(file):
    layout = h5py.VirtualLayout((4, 2, 2), "<u2")
    layout[:] = h5py.VirtualSource("/etc/passwd", "counts", (4, 2, 2))
    file.create_virtual_dataset("counts", layout)


def unknown_filter(file):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((2,))
    properties.set_filter(511, h5py.h5z.FLAG_OPTIONAL, (1,))
    space = h5py.h5s.create_simple((2,))
    one = h5py.h5d.create(file.id, b"counts", h5py.h5t.STD_U16LE, space, properties)
    one.write_direct_chunk((0,), b"1234")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda f: f.__setitem__("counts", h5py.ExternalLink("b.h5", "/x")), "leads out of the fi"),
        (external_data, "data in other files given, expected data in the file"),
        (outside, "parts in '/etc/passwd' given, expected files in the folder of this one"),
        (unknown_filter, "filter 511 given, expected a filter that is known"),
        (
            lambda f: f.create_dataset("counts", (2,), h5py.ref_dtype),
            "references or lists, which are never followed given",
        ),
        (lambda f: f.create_dataset("counts", data=["a", "b"]), "texts given, expected an array"),
        (
            lambda f: f.create_dataset("counts", (10**12, 64, 64), "<u2", chunks=(1, 64, 64)),
            r"0 chunks of a uint16 array of shape \(1000000000000, 64, 64\) given",
        ),
        (
            lambda f: f.create_dataset("counts", (10**12, 64, 64), "<u2"),
            "0 bytes for a uint16 array of shape .* given, expected all of them in the file",
        ),
        (
            lambda f: f.create_dataset(
                "counts", (4,), "u1", chunks=(2**31,), maxshape=(None,)
            ).id.write_direct_chunk((0,), b"12"),
            "chunks of 2147483648 bytes given",
        ),
        (lambda f: f.create_dataset("counts", dtype="u2", shape=None), "an empty data set given"),
        (lambda f: f.create_dataset("other", data=1), "no key 'counts', found other"),
    ],
)
def test_hostile_files_are_refused_before_anything_is_read(tmp_path, make, says):
    path = hostile(tmp_path / "a.h5", make)
    with open_file(path) as file, pytest.raises(ValueError, match=f"a.h5.*counts.*{says}|{says}"):
        file.read("counts")


def test_files_that_are_none(tmp_path):
    (tmp_path / "a.h5").write_bytes(hdf5_file.SIGNATURE + b"ab")
    with pytest.raises(ValueError, match=r"a.h5: cannot be read .*expected a whole HDF5 file"):
        open_file(tmp_path / "a.h5")
    with pytest.raises(FileNotFoundError, match=r"b.h5: no such file, expected an HDF5 file"):
        open_file(tmp_path / "b.h5")
    with pytest.raises(ValueError, match=r"is a folder, expected an HDF5 file"):
        open_file(tmp_path)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_truncated_files_are_refused(tmp_path, share):
    written(tmp_path / "a.h5", photons())
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"a.h5: cannot be read .*truncated"):
        open_file(tmp_path / "a.h5")


def test_a_damaged_chunk_is_an_error_that_names_it(tmp_path):
    written(tmp_path / "a.h5", photons(), compression="portable")
    content = bytearray((tmp_path / "a.h5").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    (tmp_path / "a.h5").write_bytes(content)
    with open_file(tmp_path / "a.h5") as file:
        lazy = file.patterns("counts")
    with pytest.raises(ValueError, match=r"a.h5: key 'counts': cannot be read"):
        np.asarray(lazy)
    lazy.close()
