"""Zarr: any part can be made by anybody, other programs read it, and nothing bad is believed."""

import hashlib
import json
import pickle
import shutil
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptycho_fast.formats import zarr as ours
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.patterns import LazyPatterns
from ptycho_fast.formats.work import Work

zarr = pytest.importorskip("zarr")


class Made(LazyPatterns):
    """Photons that follow from the number of the pattern."""

    def __init__(self, B, N, dtype=np.uint32):
        self.shape, self.dtype = (B, N, N), np.dtype(dtype)

    def _read(self, first, last):
        numbers = np.arange(first, last, dtype=np.uint64)[:, None, None]
        pixels = np.arange(self.shape[1] ** 2, dtype=np.uint64).reshape(1, *self.shape[1:])
        return ((numbers * 2654435761 + pixels * 40503) >> 7 & 255).astype(self.dtype)


def contents(B=37, N=16, dtype=np.uint32, domain="count_intensity", **more):
    rng = np.random.default_rng(3)
    waves = rng.normal(size=(2, N, N)) + 1j * rng.normal(size=(2, N, N))
    positions = rng.uniform(20, 80, (B, 2))
    return Contents(
        object=np.ones((90, 100), np.complex64),
        probe=waves.astype(np.complex64),
        positions=positions,
        positions_nominal=np.round(positions),
        diffraction=Made(B, N, dtype),
        domain=domain,
        intensity_scale=12.5,
        **{"provenance": {"version": "0", "dose": {"measured": {"mean": 1.5}}}, **more},
    )


def written(path, what, **options):
    assert ours.write(path, what, Work(), **options) == [path]
    return path


def digest(folder):
    """Of all files, their names included."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()


@pytest.mark.parametrize("compression", ours.COMPRESSIONS)
@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int32, np.float32])
def test_zarr_python_reads_what_is_written(tmp_path, compression, dtype):
    what = contents(dtype=dtype)
    path = written(tmp_path / "a.zarr", what, compression=compression, shard_patterns=12)
    group = zarr.open_group(path, mode="r")
    counts = group["counts"]
    assert counts.shape == (37, 16, 16)
    assert counts.shards == (12, 16, 16)
    np.testing.assert_array_equal(counts[:], what.diffraction[:])
    np.testing.assert_array_equal(counts[13:26], what.diffraction[13:26])
    for name in ("object", "probe", "positions", "positions_nominal"):
        np.testing.assert_array_equal(group[name][...], getattr(what, name))
    assert group.attrs["ptycho_fast"]["domain"] == "count_intensity"


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    B=st.integers(1, 50),
    N=st.integers(1, 9),
    shard=st.none() | st.integers(1, 60),
    compression=st.sampled_from(ours.COMPRESSIONS),
    data=st.data(),
)
def test_any_division_gives_all_patterns_back(tmp_path, B, N, shard, compression, data):
    path = tmp_path / "a.zarr"
    shutil.rmtree(path, ignore_errors=True)
    what = contents(B, N)
    written(path, what, shard_patterns=shard, compression=compression)
    read = ours.read(path).diffraction
    first = data.draw(st.integers(0, B))
    last = data.draw(st.integers(first, B))
    np.testing.assert_array_equal(read[first:last], what.diffraction[first:last])
    assert ours.verify(path) == B


def test_everything_comes_back(tmp_path):
    B, N = 6, 8
    rng = np.random.default_rng(1)
    more = {
        "mask": rng.random((N, N)) > 0.5,
        "eigenprobes": np.full((3, N, N), 1 + 2j, np.complex64),
        "weights": rng.random((B, 5)).astype(np.float32),
        "path": rng.random((B, 4, 2)),
        "dose_factors": rng.random(B),
        "geometry": {"wavelength_m": 1e-10},
        "scenario": {"name": "x"},
        "nphotons": 1e5,
        "gridsize": 2,
        "corrections": (np.array([3, 77]), np.array([1, -2], np.int32)),
    }
    what = contents(B, N, np.float32, "normalized_amplitude", **more)
    back = ours.read(written(tmp_path / "a.zarr", what))
    for name in ("object", "probe", "positions", "positions_nominal", *more, "provenance"):
        np.testing.assert_equal(getattr(back, name), getattr(what, name), name)
    assert back.domain == "normalized_amplitude"
    assert back.intensity_scale == 12.5
    none = contents(corrections=(np.empty(0, np.int64), np.empty(0, np.int32)))
    assert len(ours.read(written(tmp_path / "b.zarr", none)).corrections[0]) == 0


def test_shards_made_alone_in_any_order_are_the_same_bytes(tmp_path):
    what = contents(shard := 100, 8)
    whole = written(tmp_path / "a.zarr", what, shard_patterns=16)
    layout = pickle.loads(pickle.dumps(ours.sharding("a.zarr", what, shard_patterns=16)))
    apart = tmp_path / "b.zarr"
    for number in np.random.default_rng(5).permutation(layout.shards):
        said = layout.make(apart, int(number), what, Work())
        assert said == layout.check(apart, int(number), chunks=True)
    layout.make(apart, 3, what, Work(force=True))  # again, over the one that is there
    layout.finish(apart, what)
    assert digest(apart) == digest(whole)
    assert shard == ours.verify(apart)


def test_a_shard_says_when_only_the_disk_is_left_to_wait_for(tmp_path):
    what = contents(100, 8)
    layout = ours.sharding("a.zarr", what, shard_patterns=64)
    found = []

    def written():
        (part,) = (path for path in tmp_path.rglob("*") if path.is_file())
        found.append(part)
        assert part.name != Path(layout.file_name(0)).name
        assert part.stat().st_size > 0

    layout.make(tmp_path, 0, what, Work(written=written))
    assert len(found) == 1
    assert not found[0].exists()


def test_patches_are_written_as_they_pass(tmp_path):
    patches = (np.arange(37 * 256).reshape(37, 16, 16) * 1j).astype(np.complex64)
    path = written(tmp_path / "a.zarr", contents(patches=patches), shard_patterns=12)
    np.testing.assert_array_equal(zarr.open_group(path, mode="r")["patches"][:], patches)


def test_the_final_provenance_is_what_was_known_last(tmp_path):
    what = contents(finish=lambda: {"provenance": {"seen": 37}})
    assert ours.read(written(tmp_path / "a.zarr", what)).provenance == {"seen": 37}


def test_the_size_is_known_before(tmp_path):
    what = contents()
    for options in ({"compression": "none"}, {"compression": "none", "shard_patterns": 4}):
        path = tmp_path / f"{len(options)}.zarr"
        written(path, what, **options)
        held = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
        assert held <= ours.file_size(what, **options) < held + 2**14


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"compression": "gzip9"}, ValueError, "compression: 'gzip9' given, expected one of"),
        ({"shard_patterns": 0}, ValueError, "shard_patterns: 0 given"),
        ({"shard_patterns": 1.5}, TypeError, "shard_patterns: 1.5 given"),
        ({"shard_patterns": 2**39}, ValueError, "at most 1048576 chunks"),
    ],
)
def test_wrong_options_are_refused_before_the_work(tmp_path, options, error, message):
    for refused in (ours.check, lambda *a, **k: ours.write(tmp_path / "a.zarr", *a, Work(), **k)):
        with pytest.raises(error, match=message):
            refused(contents(), **options)
    assert not list(tmp_path.iterdir())


def test_what_fails_leaves_nothing(tmp_path):
    class Broken(Made):
        def _read(self, first, last):
            if last > 20:
                raise OSError("no light")
            return super()._read(first, last)

    what = contents()
    object.__setattr__(what, "diffraction", Broken(37, 16))
    with pytest.raises(OSError, match="no light"):
        ours.write(tmp_path / "a.zarr", what, Work(), shard_patterns=8)
    assert not list(tmp_path.iterdir())


def test_only_a_group_is_replaced_and_only_with_force(tmp_path):
    path = written(tmp_path / "a.zarr", contents(5))
    with pytest.raises(FileExistsError, match="exists, expected a new name"):
        ours.write(path, contents(6), Work())
    ours.write(path, contents(6), Work(force=True))
    assert len(ours.read(path).diffraction) == 6
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter.txt").write_text("1")
    with pytest.raises(FileExistsError, match="without zarr.json"):
        ours.write(mine, contents(), Work(force=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr", "thesis"]


# --- bad folders ---


@pytest.fixture
def group(tmp_path):
    return written(tmp_path / "a.zarr", contents(), shard_patterns=12)


def change(path, **values):
    content = json.loads((path / "zarr.json").read_text())
    (path / "zarr.json").write_text(json.dumps(content | values))


def test_every_damaged_byte_of_a_shard_is_found(group):
    path = group / "counts/c/1/0/0"
    good = path.read_bytes()
    for at in range(0, len(good), 61):
        path.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        with pytest.raises(ValueError, match=r"counts/c/1/0/0.*(checksum|beyond)"):
            ours.verify(group)
    for length in (0, 3, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(ValueError, match="counts/c/1/0/0"):
            ours.verify(group)
    path.unlink()
    with pytest.raises(ValueError, match="counts/c/1/0/0.*No such file"):
        ours.read(group).diffraction[12:13]


def test_a_missing_last_shard_is_found_at_once(group):
    (group / "counts/c/3/0/0").unlink()
    with pytest.raises(ValueError, match="counts/c/3/0/0"):
        ours.read(group)


def test_claims_allocate_nothing(group):
    tracemalloc.start()
    array = group / "counts"
    for B in (10**12, 2**47):
        change(array, shape=[B, 16, 16])
        with pytest.raises(ValueError, match="counts/c/.*cannot be read"):
            ours.read(group)
    change(array, shape=[37, 16, 16])
    change(group / "positions", shape=[2**40, 2])
    with pytest.raises(ValueError, match="positions/zarr.json: data_type"):
        ours.read(group)
    whole = ours._array([2**40, 2], "float64", [2**40, 2], [ours._LITTLE, ours._CHECKED])
    (group / "positions/zarr.json").write_text(json.dumps(whole))
    with pytest.raises(ValueError, match=r"positions/c/0/0: cannot be read \(596 bytes, expected"):
        ours.read(group)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_chunks_that_unfold_to_more_than_they_may_are_refused():
    layout = ours.Layout("counts", (8, 16, 16), "uint32", shard=8, chunk=8, compression="lz4")
    good = layout.encode(0, np.ones((8, 16, 16), np.uint32))
    bomb = good[:4] + struct.pack("<I", 2**31 - 1) + good[8:-4]
    with pytest.raises(ValueError, match="Blosc says"):
        layout.decode(bomb + ours._crc(bomb))
    for size in (7, 12, 15):
        with pytest.raises(ValueError, match="too short"):
            layout.decode(good[:size] + ours._crc(good[:size]))
    layout = ours.Layout("counts", (8, 16, 16), "uint32", shard=8, chunk=8, compression="portable")
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(bytes(2**24)) + packer.flush()
    with pytest.raises(ValueError, match="more than 8192 bytes"):
        layout.decode(bomb + ours._crc(bomb))


@pytest.mark.parametrize(
    ("where", "values", "message"),
    [
        ("", {"zarr_format": 2}, "no group of Zarr version 3"),
        ("", {"attributes": {}}, "of another program"),
        ("", {"attributes": {"ptycho_fast": {"layout": 99}}}, "layout 99"),
        ("counts", {"shape": [37, 16]}, "expected \\(B, N, N\\)"),
        ("counts", {"shape": [37, -16, 16]}, "positive integers"),
        ("counts", {"shape": [True, 16, 16]}, "positive integers"),
        ("counts", {"data_type": "object"}, "data_type: object given"),
        ("counts", {"codecs": []}, "another coding"),
        ("counts", {"codecs": [{"name": "pickle"}]}, "another coding"),
        ("counts", {"storage_transformers": [{"name": "x"}]}, "another coding"),
        ("probe", {"shape": [2, 16, 17]}, "probe/zarr.json: data_type"),
        ("mask", {}, "mask/zarr.json"),
    ],
)
def test_metadata_of_other_kinds_are_refused(group, where, values, message):
    if where == "mask":
        (group / "mask").mkdir()
        (group / "mask/zarr.json").write_text("[" * 100_000)
    else:
        change(group / where, **values)
    with pytest.raises(ValueError, match=message):
        ours.read(group)


def test_a_group_is_recognised(group, tmp_path):
    assert ours.recognises(group)
    other = tmp_path / "other.zarr"
    zarr.create_group(other, zarr_format=3)
    assert not ours.recognises(other)
    assert not ours.recognises(tmp_path)
    with pytest.raises(FileNotFoundError):
        ours.read(tmp_path / "none.zarr")


def test_numbers_that_are_none_are_refused(group):
    path = group / "positions/c/0/0"
    data = np.full((37, 2), np.nan).tobytes()
    path.write_bytes(data + ours._crc(data))
    with pytest.raises(ValueError, match="positions/c/0/0: NaN or infinity"):
        ours.read(group)
