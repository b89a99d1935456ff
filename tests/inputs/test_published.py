"""Object, probe, scan and energies of the published scenario."""

from pathlib import Path

import numpy as np
import pytest

from ptycho_fast.data.split import split_on_y
from ptycho_fast.dose.energy import pattern_energies
from ptycho_fast.objects import make_object
from ptycho_fast.probes import make_probe
from ptycho_fast.report.published import published_numbers
from ptycho_fast.scale_report import split_statistics
from ptycho_fast.scans import make_scan
from ptycho_fast.scenario import Scenario

DATA = Path(__file__).parents[1] / "data"
PUBLISHED = published_numbers(Scenario.preset("gs2_ideal"))
SCENARIO = Scenario.preset("gs2_ideal")


@pytest.fixture(scope="module")
def obj():
    return make_object(SCENARIO.object, SCENARIO.seeds.object)


@pytest.fixture(scope="module")
def probe():
    return make_probe(SCENARIO.probe, SCENARIO.N)


@pytest.fixture(scope="module")
def positions(obj):
    return make_scan(SCENARIO.scan, obj.shape, SCENARIO.seeds.scan).positions


@pytest.fixture(scope="module")
def reference():
    with np.load(DATA / "gs2_noise_free.npz") as file:
        return dict(file)


@pytest.mark.parametrize("statistic", ["mean", "max", "min", "std"])
def test_object_statistics(obj, statistic):
    published = PUBLISHED["ground_truth_amplitude"][statistic]
    assert obj.dtype == np.complex64
    assert (obj.imag == 0).all()
    value = getattr(obj.real.astype(np.float64), statistic)()
    assert value == pytest.approx(published, rel=6e-8)


def test_object_patches(obj, positions, reference):
    """Each by hand, with an object that is zero outside its array."""
    rim = 64  # no patch of this scan reaches further outside
    canvas = np.pad(obj.astype(complex), rim)
    for b, patch in zip(reference["patch_pick"], reference["patch"], strict=True):
        x, y = positions[b] - 32
        i, j = int(np.floor(x)), int(np.floor(y))
        u, v = x - i, y - j
        taps = canvas[j + rim : j + rim + 65, i + rim : i + rim + 65]
        assert taps.shape == (65, 65)
        rows = (1 - v) * taps[:-1] + v * taps[1:]
        by_hand = (1 - u) * rows[:, :-1] + u * rows[:, 1:]
        np.testing.assert_allclose(by_hand, patch, rtol=2e-5, atol=2e-6)


def test_probe(probe, reference):
    assert probe.dtype == np.complex64
    modulus = np.abs(probe.astype(complex))
    assert modulus.mean() == pytest.approx(0.1, rel=1e-6)
    assert modulus.max() == pytest.approx(1.0893617, rel=1e-6)
    np.testing.assert_allclose(probe, reference["probe"], rtol=0, atol=2e-7)


def test_scan_is_the_published_one(positions, reference):
    np.testing.assert_array_equal(positions[:, 0], reference["x"])
    np.testing.assert_array_equal(positions[:, 1], reference["y"])


def test_energies_and_scales(obj, probe, positions, reference):
    energies = pattern_energies(obj, probe, positions)
    np.testing.assert_allclose(energies, reference["sum_intensity"], rtol=2e-6)
    train, test = split_on_y(positions)
    assert energies[train].mean() == pytest.approx(3388.02569, rel=2e-6)
    assert energies[test].mean() == pytest.approx(2995.97766, rel=2e-6)
    statistics = split_statistics(energies[train], energies[test], 1e9)
    for half in ("train", "test"):
        published = PUBLISHED["split_intensity_stats"][half]["dataset_scale"]
        assert statistics[half]["dataset_scale"] == pytest.approx(published, rel=1e-6)
        assert statistics[half]["n_samples"] == 512
