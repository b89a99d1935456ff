"""The native HDF5 file: complete, the same every time, joined of shards, and checked when read."""

import dataclasses
import json

import h5py
import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import Dataset, Scenario
from ptycho_fast.data.dataset import dose_statistics
from ptycho_fast.formats import hdf5
from ptycho_fast.simulation import dataset_of
from ptycho_fast.simulator import Simulator

FEW = {"scan.n_patterns": 150, "object.size": 200}


@pytest.fixture(scope="module")
def simulator():
    return Simulator(Scenario.preset("gs2_ideal").replace(FEW), backend="numba")


@pytest.fixture(scope="module")
def data(simulator):
    return dataset_of(simulator)


def whole_dataset():
    """One of everything that a data set may have."""
    scenario = Scenario.preset("gs1_ideal").replace(
        {
            "N": 16, "scan.n_patterns": 40, "object.size": 60,
            "probe.modes": 3, "probe.mode_kind": "hermite_gauss",
            "detector.dead_pixels": 0.05, "probe.intensity_fluctuation": 0.1,
        }
    )  # fmt: skip
    return ptycho_fast.simulate(scenario, backend="reference")


def assert_same(one, other):
    for field in dataclasses.fields(Dataset):
        if field.name == "statistics":
            continue
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name == "corrections" and mine is not None:
            assert all(map(np.array_equal, mine, theirs))
        elif field.name == "diffraction" or isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs), err_msg=field.name)
        else:
            assert mine == theirs, field.name


@pytest.mark.parametrize("compression", [None, "portable", "none"])
def test_a_data_set_comes_back_as_it_was(tmp_path, data, compression):
    data.save(tmp_path / "a.h5", compression=compression)
    with ptycho_fast.open(tmp_path / "a.h5") as back:
        assert back.is_lazy
        np.testing.assert_array_equal(back.counts[70:75], data.counts[70:75])
        assert_same(back, data)
        assert dose_statistics(back) == dose_statistics(data)


def test_everything_that_a_data_set_may_have_comes_back(tmp_path):
    data = whole_dataset()
    data.save(tmp_path / "a.h5")
    assert_same(Dataset.load(tmp_path / "a.h5"), data)


def test_intensities_without_noise_are_kept(tmp_path):
    changes = {**FEW, "noise": False}
    data = ptycho_fast.simulate(Scenario.preset("gs2_ideal").replace(changes), backend="reference")
    data.save(tmp_path / "a.h5")
    assert_same(Dataset.load(tmp_path / "a.h5"), data)


def test_amplitudes_become_the_counts_that_they_were_made_of(tmp_path, data):
    data.save(tmp_path / "a.npz")
    amplitudes = Dataset.load(tmp_path / "a.npz")
    amplitudes.save(tmp_path / "a.h5")
    np.testing.assert_array_equal(Dataset.load(tmp_path / "a.h5").counts, data.counts)
    unknown = dataclasses.replace(amplitudes, corrections=None)
    unknown.save(tmp_path / "b.h5")  # nobody knows the counts
    assert_same(Dataset.load(tmp_path / "b.h5"), unknown)


def test_patterns_that_are_made_on_the_way_give_the_same_file(tmp_path, simulator, data):
    data.save(tmp_path / "a.h5")
    dataset_of(simulator, lazy=True).save(tmp_path / "b.h5", memory=6 * 2**20)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_object_patches_are_written_on_request(tmp_path, data):
    data.save(tmp_path / "a.h5", patches=True)
    with h5py.File(tmp_path / "a.h5") as file:
        patches = file["patches"][7]
        assert patches.dtype == np.complex64
        x, y = file["positions"][7]
    assert patches.shape == (64, 64)
    near = data.object[round(y), round(x)]
    assert abs(patches[32, 32] - near) < 0.5


# --- shards ---


def test_shards_are_joined_to_the_same_data_set(tmp_path, data):
    made = data.save(tmp_path / "a.h5", shard_patterns=60)
    names = ["a.h5", "a-00000.h5", "a-00001.h5", "a-00002.h5"]
    assert [path.name for path in made] == names
    with h5py.File(tmp_path / "a.h5") as file:  # any reader sees one array
        assert file["counts"].is_virtual
        np.testing.assert_array_equal(file["counts"], data.counts)
    with ptycho_fast.open(tmp_path / "a.h5") as back:
        np.testing.assert_array_equal(back.counts[60:130], data.counts[60:130])
        assert_same(back, data)
    with ptycho_fast.open(tmp_path / "a-00001.h5") as part:
        np.testing.assert_array_equal(part.counts[:], data.counts[64:128])
        np.testing.assert_array_equal(part.positions, data.positions[64:128])
        assert part.scenario is None
        assert part.provenance["part"]["first"] == 64
    data.save(tmp_path / "b.h5")
    for name in ("a.h5", "b.h5"):
        with h5py.File(tmp_path / name) as file:
            sums = file["checksums"][:]
            assert sums.shape == (3, 32)
    assert all(whole for *_, whole in hdf5.damaged(tmp_path / "a.h5"))


def test_a_damaged_chunk_is_found(tmp_path, data):
    data.save(tmp_path / "a.h5", shard_patterns=64)
    path = tmp_path / "a-00001.h5"
    with h5py.File(path) as file:
        at = file["counts"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[at + 100] ^= 1
    path.write_bytes(content)
    found = list(hdf5.damaged(tmp_path / "a.h5"))
    assert found == [(0, 64, True), (64, 128, False), (128, 150, True)]


# --- what is refused ---


@pytest.mark.parametrize("shards", [{}, {"shard_patterns": 64}])
def test_a_damaged_chunk_is_refused_when_it_is_read(tmp_path, data, shards):
    """Also where the filter would give pixels without complaint."""
    data.save(tmp_path / "a.h5", compression="none", **shards)
    with h5py.File(tmp_path / ("a-00001.h5" if shards else "a.h5")) as file:
        path, at = file.filename, file["counts"].id.get_chunk_info(0 if shards else 1).byte_offset
    with open(path, "r+b") as file:
        file.seek(at + 1000)
        byte = file.read(1)[0]
        file.seek(at + 1000)
        file.write(bytes([byte ^ 4]))
    with ptycho_fast.open(tmp_path / "a.h5") as back:
        np.testing.assert_array_equal(back.counts[:64], data.counts[:64])
        for _ in range(2):
            with pytest.raises(ValueError, match=r"counts: patterns \d+ to \d+ are damaged"):
                back.counts[100]
        np.testing.assert_array_equal(back.counts[128:], data.counts[128:])


def test_options_that_are_wrong(tmp_path, data):
    with pytest.raises(ValueError, match=r"compression: 'gzip' given, expected one of lz4, zstd"):
        data.save(tmp_path / "a.h5", compression="gzip")
    with pytest.raises(ValueError, match=r"shard_patterns: 0 given, expected >= 1"):
        data.save(tmp_path / "a.h5", shard_patterns=0)
    assert not list(tmp_path.iterdir())


def replaced(key, value):
    def change(file):
        del file[key]
        file[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.__delitem__("probe"), r"no key 'probe', found"),
        (replaced("positions", np.zeros((3, 2))), r"positions: shape \(3, 2\) given, expected"),
        (replaced("positions", np.full((150, 2), np.inf)), r"positions: inf at index \(0, 0\)"),
        (replaced("positions", np.full((150, 2), b"1")), r"positions: \|S1 array .* given"),
        (replaced("object", np.zeros((0, 5))), r"object: shape \(0, 5\) given"),
        (replaced("counts", np.zeros((150, 64, 32), "u2")), r"counts: \(150, 64, 32\) given"),
        (replaced("counts", np.zeros((150, 64, 64))), r"counts: float64 given, expected whole"),
        (replaced("metadata", b"{"), r"metadata: no JSON"),
        (replaced("metadata", b"[" * 100_000), r"metadata: no JSON \(nested too deeply\)"),
        (replaced("metadata", b"[]"), r"metadata: list given, expected a table"),
        (replaced("metadata", b'{"domain": "x"}'), r"metadata domain: 'x' given, expected one of"),
    ],
)
def test_wrong_files_are_refused_by_name(tmp_path, data, change, says):
    data.save(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        change(file)
    with pytest.raises(ValueError, match=f"a.h5: {says}"):
        ptycho_fast.open(tmp_path / "a.h5")


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_wrong_pixels_are_refused_when_they_are_read(tmp_path, value):
    changes = {**FEW, "noise": False}
    data = ptycho_fast.simulate(Scenario.preset("gs2_ideal").replace(changes), backend="reference")
    data.diffraction[100, 3, 4] = value
    data.save(tmp_path / "a.h5")
    with ptycho_fast.open(tmp_path / "a.h5") as back:
        back.diffraction[:100]
        with pytest.raises(ValueError, match=r"in pixel \(3, 4\) of pattern 100 given, expected"):
            back.diffraction[:]


def test_metadata_are_plain_json(tmp_path, data):
    data.save(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        metadata = json.loads(file["metadata"][()])
        assert file.attrs["program"] == "ptycho_fast"
    assert metadata["scenario"] == json.loads(json.dumps(data.scenario.to_dict()))
