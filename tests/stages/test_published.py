"""The published gs2_ideal scenario, from noise-free arrays to scaling numbers."""

from pathlib import Path

import cases
import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import scaling
from ptycho_fast.report.published import published_numbers

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def published():
    with np.load(DATA / "gs2_noise_free.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def numbers():
    return published_numbers(ptycho_fast.Scenario.preset("gs2_ideal"))


@pytest.fixture(scope="module")
def noise_free():
    return ptycho_fast.simulate("gs2_ideal", noise=False)


@pytest.fixture(scope="module")
def observed():
    return ptycho_fast.simulate("gs2_ideal")


def test_noise_free_amplitudes(backend, published, noise_free):
    pick = published["pick"][: len(published["amplitude"])]
    intensity = ptycho_fast.diffract(
        noise_free.object, noise_free.probe, noise_free.positions[pick], backend=backend
    )
    amplitude = np.sqrt(intensity.astype(np.float64))
    truth = published["amplitude"].astype(np.float64)
    error = np.sqrt(((amplitude - truth) ** 2).sum(axis=(1, 2)) / (truth**2).sum(axis=(1, 2)))
    assert error.max() <= cases.PUBLISHED_ERROR
    sums = intensity.sum(axis=(1, 2), dtype=np.float64)
    truth_sums = published["sum_intensity"][pick]
    assert np.abs(sums / truth_sums - 1).max() <= cases.PUBLISHED_ERROR


def test_every_sum(published, noise_free):
    np.testing.assert_array_equal(noise_free.positions[:, 0], published["x"])
    np.testing.assert_array_equal(noise_free.positions[:, 1], published["y"])
    sums = noise_free.energies()
    assert np.abs(sums / published["sum_intensity"] - 1).max() <= cases.PUBLISHED_ERROR


def test_mean_energies_and_scales(noise_free, observed, numbers):
    split = numbers["split_intensity_stats"]
    for part, index in zip(("train", "test"), noise_free.split(), strict=True):
        free = noise_free.energies()[index].mean()
        assert free == pytest.approx({"train": 3388.02569, "test": 2995.97766}[part], rel=2e-6)
        for dataset in (noise_free, observed):
            energy = dataset.energies()[index].mean()
            assert energy == pytest.approx(split[part]["batch_mean_sum_intensity"], rel=2e-6)
            scale = scaling.dataset_intensity_scale(1e9, energy)
            assert scale == pytest.approx(split[part]["dataset_scale"], rel=1e-6)


def test_mean_over_the_data_set(backend, noise_free):
    """Float32 patterns keep the mean energy of the float64 definition."""
    from ptycho_fast.dose.energy import pattern_energies

    at = noise_free.positions[:64]
    intensity = ptycho_fast.diffract(noise_free.object, noise_free.probe, at, backend=backend)
    exact = pattern_energies(noise_free.object, noise_free.probe, at).mean()
    mean = intensity.sum(axis=(1, 2), dtype=np.float64).mean()
    assert abs(mean / exact - 1) <= cases.MEAN_ENERGY_ERROR


def test_raw_diffraction_of_the_test_split(observed, numbers):
    _, test = observed.split()
    amplitude = observed.amplitude()[test].astype(np.float64)
    truth = numbers["raw_diffraction_test"]
    assert list(amplitude.shape) == truth["shape"]
    assert amplitude.mean() == pytest.approx(truth["mean"], rel=2e-4)
    assert amplitude.max() == pytest.approx(truth["max"], rel=2e-4)
    assert amplitude.std() == pytest.approx(truth["std"], rel=2e-4)


def test_normalised_input(observed, numbers):
    """Groups are drawn at random, so the mean is within two per cent of the published draw's."""
    from ptycho_fast.data.grouping import grouped

    arrays = grouped(observed.amplitude(), observed.groups("test"))
    assert arrays["X_full"].shape == (64, 64, 64, 4)
    assert arrays["X_full"].mean() == pytest.approx(0.0851, rel=0.02)
    assert arrays["X_full"].std() == pytest.approx(0.4927, rel=0.02)


def test_the_dose_is_what_was_asked_for(observed):
    dose = observed.provenance["dose"]
    assert dose["requested"] == 1e9
    assert dose["measured"]["mean"] == pytest.approx(1e9, rel=5 / np.sqrt(1e9 * 1024))
    assert dose["measured"]["min"] <= dose["measured_train"]["mean"] <= dose["measured"]["max"]


def test_intensity_scale(observed, noise_free):
    """The scale that the published simulation used, to its float32."""
    assert observed.intensity_scale == pytest.approx(559.7169189453125, rel=2e-6)
    assert observed.intensity_scale == noise_free.intensity_scale
    from ptycho_fast.dose.energy import pattern_energies

    energy = pattern_energies(observed.object, observed.probe, observed.positions).mean()
    assert observed.intensity_scale == scaling.dataset_intensity_scale(1e9, float(energy))


def test_reference_and_native_counts(observed):
    """Counts of the definition differ only where its intensities round differently."""
    few = slice(0, 4)
    counts = ptycho_fast.observe(
        observed.object,
        observed.probe,
        observed.positions[few],
        scale=observed.intensity_scale,
        seed=observed.scenario.seeds.photons,
        backend="reference",
    ).astype(np.float64)
    ours = observed.counts[few].astype(np.float64)
    assert np.abs(counts - ours).max() <= 1 + 1e-6 * ours.max()
    assert counts.sum() == pytest.approx(ours.sum(), rel=1e-6)
