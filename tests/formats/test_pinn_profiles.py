"""The three meanings of an NPZ: what each says, and that counts come back to the photon."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptycho_fast
from ptycho_fast import Dataset, Simulator
from ptycho_fast.formats import amplitudes
from ptycho_fast.formats.amplitudes import LEAST_UNSURE, Roots, Squares, Unit
from ptycho_fast.simulation import dataset_of

SMALL = ptycho_fast.Scenario.preset("gs2_ideal").replace({"scan.n_patterns": 12})


@pytest.fixture(scope="module")
def dataset():
    return ptycho_fast.simulate(SMALL)


@pytest.fixture(scope="module")
def dim():
    return ptycho_fast.simulate(SMALL, nphotons=1e5)


def metadata(path):
    with np.load(path) as file:
        return json.loads(file["_metadata"].item())


@pytest.mark.parametrize("profile", ["pinn-amplitude", "pinn-counts", "pinn-raw"])
def test_counts_survive(dim, profile, tmp_path):
    path = tmp_path / "a.npz"
    assert dim.save(path, format=profile) == [path]
    with ptycho_fast.open(path) as back:
        assert back.is_lazy
        np.testing.assert_array_equal(back.counts[3:9], dim.counts[3:9])
        np.testing.assert_array_equal(back.amplitude(5, 7), dim.amplitude(5, 7))
        np.testing.assert_array_equal(back.probe, dim.probe)
        assert back.intensity_scale == dim.intensity_scale
        assert back.scenario == dim.scenario
    whole = Dataset.load(path)
    np.testing.assert_array_equal(whole.counts, dim.counts)
    assert whole.provenance == dim.provenance
    again = tmp_path / "again.npz"
    whole.save(again, format=profile)
    assert again.read_bytes() == path.read_bytes()
    assert metadata(path)["profile"] == profile


def test_bright_counts_survive(dataset, tmp_path):
    """The brightest pixels are beyond what float32 keeps; corrections make them exact."""
    path = tmp_path / "a.npz"
    dataset.save(path)
    back = Dataset.load(path)
    np.testing.assert_array_equal(back.counts, dataset.counts)
    alone = np.rint(np.square(back.diffraction.astype(np.float64) * back.intensity_scale))
    lost = alone != dataset.counts
    assert lost.sum() == len(back.corrections[0]) == 193
    assert dataset.counts[lost].min() > LEAST_UNSURE
    with pytest.raises(ValueError, match="counts: .* no corrections given, expected less than"):
        _ = replace(back, corrections=None).counts
    part = back[5:8]
    np.testing.assert_array_equal(part.counts, dataset.counts[5:8])
    assert back[2:].amplitude().shape == (10, 64, 64)


@pytest.mark.parametrize("dose", [1e5, 1e9])
def test_from_one_profile_to_another(dose, tmp_path):
    """Amplitudes become counts again on the way, also without all of them in memory."""
    dataset = ptycho_fast.simulate(SMALL, nphotons=dose)
    dataset.save(tmp_path / "a.npz")
    with ptycho_fast.open(tmp_path / "a.npz") as opened:
        opened.save(tmp_path / "b.npz", format="pinn-counts")
    dataset.save(tmp_path / "c.npz", format="pinn-counts")
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "c.npz").read_bytes()
    with ptycho_fast.open(tmp_path / "c.npz") as opened:
        opened.save(tmp_path / "d.npz")
    assert (tmp_path / "d.npz").read_bytes() == (tmp_path / "a.npz").read_bytes()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(1e-3, 1e9), st.sampled_from([2**10, 2**23, 2**27, 2**32]))
def test_amplitudes_and_corrections_are_the_counts(seed, scale, most):
    counts = np.random.default_rng(seed).integers(0, most, (3, 16, 16), np.uint32, endpoint=False)
    roots = Roots(Unit("count_intensity", scale))
    second, first = roots(1, counts[1:]), roots(0, counts[:1])  # in any order
    roots(1, counts[1:2])  # and again
    resumed = Roots(Unit("count_intensity", scale))
    for start, end in ((2, 3), (0, 2)):
        resumed.restore(start, end, json.loads(json.dumps(roots.notes(start, end))))
    for kept in (roots.corrections, resumed.corrections):
        back = Squares(scale, kept, "file")(0, np.concatenate([first, second]))
        np.testing.assert_array_equal(back, counts)
    assert (roots.corrections is None) == (counts.max() < LEAST_UNSURE)


def test_many_corrections_wait_in_a_file(dataset, tmp_path, monkeypatch):
    dataset.save(tmp_path / "a.npz")
    monkeypatch.setattr(amplitudes, "_IN_MEMORY", 100)
    dataset.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_amplitudes_that_are_of_no_counts(dim, tmp_path):
    half = replace(
        dim, diffraction=dim.diffraction + np.float32(0.5), domain="normalized_intensity"
    )
    half.save(tmp_path / "a.npz")
    back = Dataset.load(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="counts: .* expected amplitudes of whole numbers"):
        _ = back.counts
    free = ptycho_fast.simulate(SMALL, noise=False)
    with pytest.raises(ValueError, match="counts: noise-free intensity before dose"):
        _ = free.counts


def test_the_physical_probe(dim, tmp_path):
    """In vacuum a pattern has as many photons as the probe has energy."""
    path = tmp_path / "a.npz"
    dim.save(path, format="pinn-counts")
    with np.load(path) as file:
        energy = np.square(np.abs(file["probeGuess"]), dtype=np.float64).sum()
        assert file["diff3d"].dtype == np.uint32
        np.testing.assert_array_equal(file["probe_modes"], dim.probe)
    vacuum = Simulator(
        object=np.ones((392, 392)), probe=dim.probe, positions=dim.positions, nphotons=energy
    )
    assert vacuum.experiment.intensity_scale == pytest.approx(dim.intensity_scale, rel=1e-6)
    stated = metadata(path)
    assert stated["scale_contract_version"] == "ci_intensity_v2"
    assert stated["measurement_domain"] == "count_intensity"


def test_a_physical_probe_of_another_program(dim, tmp_path):
    """It is in photons already, so that s is 1."""
    dim.save(tmp_path / "a.npz", format="pinn-counts")
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    del arrays["probe_modes"]
    stated = {"scale_contract_version": "ci_intensity_v2", "measurement_domain": "count_intensity"}
    np.savez(tmp_path / "b.npz", **arrays | {"_metadata": np.array(json.dumps(stated))})
    back = Dataset.load(tmp_path / "b.npz")
    assert back.intensity_scale == 1
    again = Simulator(object=back.object, probe=back.probe, positions=back.positions, nphotons=1e5)
    expected = again.expected(0, 12).sum() / again.experiment.intensity_scale**2
    assert back.counts.sum() == pytest.approx(expected, rel=2e-3)


def test_raw_counts(dim, dataset, tmp_path):
    path = tmp_path / "a.npz"
    dim.save(path, format="pinn-raw")
    with np.load(path) as file:
        assert file["diffraction"].dtype == np.uint16
        assert "diff3d" not in file
        np.testing.assert_array_equal(file["probeGuess"], dim.probe[0])
    assert "measurement_domain" not in metadata(path)
    with pytest.raises(ValueError, match=r"pinn-raw diffraction: \d+ in pattern 0 .* for uint16"):
        dataset.save(tmp_path / "b.npz", format="pinn-raw")
    with pytest.raises(TypeError, match="alias: True given, expected of writing pinn-raw only: m"):
        dim.save(tmp_path / "b.npz", format="pinn-raw", alias=True)
    assert not (tmp_path / "b.npz").exists()


@pytest.mark.parametrize("profile", ["pinn-counts", "pinn-raw"])
def test_what_counts_cannot_hold_is_said_before_the_work(profile, tmp_path, monkeypatch):
    monkeypatch.setattr(Simulator, "frames", None)
    noisy = SMALL.replace({"detector.readout_noise": 2.0})
    for scenario in (SMALL.replace({"noise": False}), noisy):
        lazy = dataset_of(Simulator(scenario), lazy=True)
        with pytest.raises(ValueError, match=f"{profile}: domain: .* given, expected one of"):
            lazy.check(tmp_path / "a.npz", format=profile)
    modes = SMALL.replace({"probe.modes": 3, "probe.mode_kind": "hermite_gauss"})
    lazy = dataset_of(Simulator(modes), lazy=True)
    with pytest.raises(ValueError, match="modes: a probe of 3 modes given, expected modes='first'"):
        lazy.check(tmp_path / "a.npz", format=profile)


@pytest.mark.parametrize("profile", ["pinn-amplitude", "pinn-counts", "pinn-raw"])
def test_all_modes_are_kept(profile, tmp_path):
    scenario = SMALL.replace(
        {"probe.modes": 3, "probe.mode_kind": "hermite_gauss", "dose.nphotons": 1e5}
    )
    dataset = ptycho_fast.simulate(scenario)
    dataset.save(tmp_path / "a.npz", format=profile, modes="all")
    back = Dataset.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(back.probe, dataset.probe)
    dataset.save(tmp_path / "b.npz", format=profile, modes="first")
    np.testing.assert_array_equal(Dataset.load(tmp_path / "b.npz").probe, dataset.probe[:1])


# --- patterns that are never all in memory ---


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dose.nphotons": 1e5, "split.train_fraction": 0.3},
        {"noise": False},
        {"detector.readout_noise": 2.0, "detector.beam_stop_radius": 2.0},
        {"detector.saturation": 500},
    ],
)
def test_a_streamed_file_has_the_same_bytes(changes, tmp_path):
    scenario = SMALL.replace(changes)
    lazy, whole = dataset_of(Simulator(scenario), lazy=True), ptycho_fast.simulate(scenario)
    lazy.save(tmp_path / "lazy.npz", alias=True, patches=True)
    whole.save(tmp_path / "whole.npz", alias=True, patches=True)
    assert (tmp_path / "lazy.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert lazy.provenance == whole.provenance
    assert lazy.peak() == whole.peak()
    if whole.domain == "normalized_intensity":
        assert whole.peak() == float((whole.diffraction * whole.intensity_scale**2).max())
    np.testing.assert_array_equal(lazy.energies(), whole.energies())


def test_a_dark_data_set_is_remarked_when_it_is_made(tmp_path):
    dark = SMALL.replace({"dose.nphotons": 1e-9})
    lazy = dataset_of(Simulator(dark), lazy=True)
    with pytest.warns(ptycho_fast.DataWarning, match="no photon was detected in any pattern"):
        lazy.save(tmp_path / "a.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_range_of_an_archive(dim, tmp_path, save, order):
    dim.save(tmp_path / "a.npz", format="pinn-counts")
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    save(tmp_path / "b.npz", **arrays | {"diff3d": np.array(dim.counts, order=order)})
    with ptycho_fast.open(tmp_path / "b.npz") as back:
        for which in (slice(7, 9), 3, -1, [5, 0, 5], slice(None, None, -4), slice(4, 4)):
            np.testing.assert_array_equal(back.counts[which], dim.counts[which])
        np.testing.assert_array_equal(np.asarray(back.counts), dim.counts)


def test_a_closed_file(dim, tmp_path):
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "b.npz", diff3d=dim.counts, xcoords=np.arange(12.0),
             ycoords=np.arange(12.0), probeGuess=dim.probe[0], objectGuess=dim.object)  # fmt: skip
        with ptycho_fast.open(tmp_path / "b.npz", domain="count_intensity") as back:
            back.counts[2]
        with pytest.raises(ValueError, match=r"b\.npz: key 'diff3d': .*the data set is closed"):
            back.counts[2]


def test_a_damaged_file_is_noticed_when_it_is_read(dim, tmp_path):
    path = tmp_path / "a.npz"
    dim.save(path, format="pinn-counts")
    whole = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("diff3d.npy").header_offset + 10_000
    whole[place] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"a.npz: key 'diff3d': .*its checksum is wrong"):
        Dataset.load(path)
    with ptycho_fast.open(path) as back:
        back.counts[4:6], back.counts[:2]
        with pytest.raises(ValueError, match="its checksum is wrong"):  # read in another order
            back.counts[6:], back.counts[2:4]
    with ptycho_fast.open(path) as back:
        path.write_bytes(whole[: place + 5_000])  # cut off while it is open
        with pytest.raises(ValueError, match=r"a.npz: key 'diff3d': .*the file ends within"):
            back.counts[4:6]


def test_corrections_that_cannot_be(dataset, tmp_path):
    dataset.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    for key, array, message in (
        ("corrected_pixels", arrays["corrected_pixels"][::-1], "not in order"),
        ("corrected_pixels", arrays["corrected_pixels"] - 10**9, "not in order"),
        ("corrections", arrays["corrections"][1:], r"corrections: shape \(192,\) given"),
        ("corrections", arrays["corrections"] * 0.5, "float64 array .*expected integers"),
    ):
        np.savez(tmp_path / "b.npz", **arrays | {key: array})
        with pytest.raises(ValueError, match=f"b.npz: {key}: {message}|{message}"):
            Dataset.load(tmp_path / "b.npz")
