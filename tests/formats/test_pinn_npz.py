"""The PtychoPINN NPZ: what it holds, what comes back, and what is refused."""

import errno
import json

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.formats import pinn_npz


@pytest.fixture(scope="module")
def dataset():
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace({"scan.n_patterns": 12})
    return ptycho_fast.simulate(scenario)


def test_contents(dataset, tmp_path):
    path = tmp_path / "set.npz"
    dataset.save(path)
    with np.load(path, allow_pickle=False) as file:
        shapes = {key: (file[key].shape, str(file[key].dtype)) for key in file.files}
        metadata = json.loads(str(file["_metadata"]))
        amplitude, x = file["diff3d"], file["xcoords"]
    assert shapes.pop("_metadata")[0] == ()
    assert shapes == {
        "xcoords": ((12,), "float64"),
        "ycoords": ((12,), "float64"),
        "xcoords_start": ((12,), "float64"),
        "ycoords_start": ((12,), "float64"),
        "diff3d": ((12, 64, 64), "float32"),
        "probeGuess": ((64, 64), "complex64"),
        "objectGuess": ((392, 392), "complex64"),
        "scan_index": ((12,), "int64"),
    }
    np.testing.assert_array_equal(x, dataset.positions[:, 0])
    s = dataset.intensity_scale
    np.testing.assert_array_equal(amplitude, (np.sqrt(dataset.counts) / s).astype(np.float32))
    assert metadata["scale_contract_version"] == "legacy_v1"
    assert metadata["measurement_domain"] == "normalized_amplitude"
    assert metadata["profile"] == "pinn-amplitude"
    assert metadata["intensity_scale"] == s
    assert metadata["scenario"] == dataset.scenario.to_dict()
    assert metadata["physics_parameters"] == {"N": 64, "nphotons": 1e9, "gridsize": 2}
    provenance = metadata["provenance"]
    assert provenance["version"] == ptycho_fast.__version__
    assert provenance["backend"] == dataset.provenance["backend"]
    photons = dataset.counts.sum(axis=(1, 2), dtype=np.uint64)
    assert provenance["dose"]["requested"] == 1e9
    assert provenance["dose"]["measured"]["mean"] == photons.mean()
    assert provenance["dose"]["measured"]["max"] == photons.max()


def test_round_trip(dataset, tmp_path):
    path = tmp_path / "set.npz"
    dataset.save(path, alias=True, patches=True)
    back = Dataset.load(path)
    for name in ("object", "probe", "positions", "positions_nominal"):
        np.testing.assert_array_equal(getattr(back, name), getattr(dataset, name))
    np.testing.assert_array_equal(back.amplitude(), dataset.amplitude())
    assert back.domain == "normalized_amplitude"
    assert (back.scenario, back.intensity_scale) == (dataset.scenario, dataset.intensity_scale)
    assert back.provenance == dataset.provenance
    np.testing.assert_allclose(back.photons(), dataset.photons(), rtol=1e-6)
    np.testing.assert_allclose(back.energies(), dataset.energies(), rtol=1e-6)
    with pytest.raises(
        ValueError, match=r"counts: sqrt\(counts\) / s, .* given, expected photon counts"
    ):
        _ = back.counts
    with np.load(path) as file:
        np.testing.assert_array_equal(file["diffraction"], file["diff3d"])
        patches = ptycho_fast.extract_patches(dataset.object, dataset.positions, 64)
        np.testing.assert_array_equal(file["ground_truth_patches"], patches)
    again = tmp_path / "again.npz"
    back.save(again, alias=True, patches=True)
    assert again.read_bytes() == path.read_bytes()


def test_noise_free_amplitude_is_the_root_of_the_intensity(tmp_path):
    scenario = ptycho_fast.Scenario.preset("gs1_ideal").replace({"scan.n_patterns": 3})
    dataset = ptycho_fast.simulate(scenario, noise=False)
    dataset.save(tmp_path / "free.npz")
    back = Dataset.load(tmp_path / "free.npz")
    np.testing.assert_array_equal(back.diffraction, np.sqrt(dataset.diffraction))
    assert back.provenance["noise"] is False


def test_several_modes_need_a_policy(dataset, tmp_path):
    import dataclasses

    two = dataclasses.replace(dataset, probe=np.concatenate([dataset.probe, dataset.probe]))
    with pytest.raises(ValueError, match="modes: a probe of 2 modes given, expected modes='first'"):
        two.save(tmp_path / "two.npz")
    with pytest.raises(ValueError, match="modes: 'sum' given"):
        two.save(tmp_path / "two.npz", modes="sum")
    assert list(tmp_path.iterdir()) == []
    two.save(tmp_path / "two.npz", modes="first")
    np.testing.assert_array_equal(Dataset.load(tmp_path / "two.npz").probe, dataset.probe)


def foreign(tmp_path, dataset, **changes):
    """A file as other programs write it: no metadata that says what it means."""
    contents = {
        "xcoords": dataset.positions[:, 0],
        "ycoords": dataset.positions[:, 1],
        "diffraction": dataset.amplitude(),
        "probeGuess": dataset.probe[0],
        "objectGuess": dataset.object,
    } | changes
    path = tmp_path / "foreign.npz"
    np.savez(path, **{k: v for k, v in contents.items() if v is not None})
    return path


def test_a_file_that_does_not_say_what_it_means(dataset, tmp_path):
    path = foreign(tmp_path, dataset)
    with pytest.raises(ValueError, match="does not say what its patterns mean; give domain="):
        Dataset.load(path)
    back = Dataset.load(path, domain="normalized_amplitude")
    np.testing.assert_array_equal(back.diffraction, dataset.amplitude())
    assert back.scenario is None
    with pytest.raises(ValueError, match="intensity_scale: none given, expected one"):
        back.photons()
    with pytest.raises(ValueError, match="domain: 'volts' given, expected one of count_intensity"):
        Dataset.load(path, domain="volts")
    dataset.save(tmp_path / "ours.npz")
    with pytest.raises(ValueError, match="domain 'count_intensity' given, but the file says"):
        Dataset.load(tmp_path / "ours.npz", domain="count_intensity")


def test_pickled_metadata_is_never_opened(dataset, tmp_path):
    path = foreign(tmp_path, dataset, _metadata=np.array({"a": 1}, object))
    assert Dataset.load(path, domain="normalized_amplitude").n_patterns == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xcoords": None}, "no key 'xcoords', found diffraction"),
        ({"probeGuess": None}, "no key 'probeGuess'"),
        ({"diffraction": None}, "no key 'diff3d'"),
        (
            {"xcoords": np.zeros(3)},
            r"xcoords: shape \(3,\) given, expected \(12,\), a number for each",
        ),
        (
            {"probeGuess": np.ones((8, 8))},
            r"probeGuess: shape \(8, 8\) given, expected \(64, 64\) or \(M, 64, 64\)",
        ),
        ({"objectGuess": np.ones(8)}, r"objectGuess: shape \(8,\) given, expected \(H, W\)"),
        ({"ycoords": np.full(12, np.nan)}, "ycoords: nan at index"),
    ],
)
def test_inconsistent_files(dataset, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        Dataset.load(foreign(tmp_path, dataset, **changes), domain="normalized_amplitude")


def test_unreadable_files(dataset, tmp_path):
    path = tmp_path / "set.npz"
    dataset.save(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"PK\x03\x04", b"text", whole[100:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="set.npz:.* cannot be read"):
            Dataset.load(path)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match="set.npz:.* cannot be read"):
        Dataset.load(path)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(ValueError, match="one.npy: a single array, expected an .npz"):
        Dataset.load(tmp_path / "one.npy")
    with pytest.raises(FileNotFoundError, match="none.npz: no such file"):
        Dataset.load(tmp_path / "none.npz")


def test_a_save_that_fails_changes_nothing(dataset, tmp_path, monkeypatch):
    path = tmp_path / "set.npz"
    path.write_text("old")

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pinn_npz.np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        dataset.save(path, force=True)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["set.npz"]


def test_the_predicted_size_is_the_size(dataset, tmp_path):
    for alias in (False, True):
        for patches in (False, True):
            path = tmp_path / f"{alias}{patches}.npz"
            dataset.save(path, alias=alias, patches=patches)
            size = pinn_npz.file_size(12, 64, 392**2, alias=alias, patches=patches)
            assert 0 <= path.stat().st_size - size < 10_000
