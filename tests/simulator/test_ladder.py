"""The same scan at several doses: what is common to them, and what is not."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptycho_fast import Scenario, ScenarioError, dose_ladder, simulate

SMALL = Scenario.preset("gs2_ideal").replace(
    {"N": 16, "object.size": 90, "scan.n_patterns": 24, "dose.nphotons": 1e5}
)


@settings(deadline=None, max_examples=20)
@given(doses=st.lists(st.floats(1.0, 1e8), min_size=2, max_size=4, unique=True))
def test_common_numbers_are_monotone_in_every_pixel(doses):
    steps = [data.counts for data in dose_ladder(SMALL, sorted(doses))]
    for less, more in pairwise(steps):
        assert (less <= more).all()


def test_each_step_is_a_data_set_of_its_own():
    for numbers in ("common", "independent"):
        for dose, data in zip(
            (1e3, 1e5), dose_ladder(SMALL, [1e3, 1e5], numbers=numbers), strict=True
        ):
            assert data.scenario.dose.nphotons == dose
            assert data.provenance["dose"]["requested"] == dose
            np.testing.assert_array_equal(simulate(data.scenario).counts, data.counts)


def test_independent_numbers_are_those_of_a_repeated_scan():
    """Counts at nearly one dose: correlated with common numbers, not with independent ones."""
    doses = [1e5, 1e5 * (1 + 1e-6)]
    one, two = (d.counts.astype(float) for d in dose_ladder(SMALL, doses))
    assert (one != two).mean() < 1e-3
    one, other = (d.counts.astype(float) for d in dose_ladder(SMALL, doses, numbers="independent"))
    np.testing.assert_array_equal(one, simulate(SMALL).counts)
    expected = simulate(SMALL, noise=False)
    mean = expected.diffraction * expected.intensity_scale**2
    bright = mean > 50
    noise, noise2 = ((c - mean)[bright] / np.sqrt(mean[bright]) for c in (one, other))
    assert abs(np.mean(noise * noise2)) < 5 / np.sqrt(bright.sum())
    assert noise2.var() == pytest.approx(1, abs=5 * np.sqrt(2 / bright.sum()))


def test_the_bad_pixels_stay_where_they_are():
    bad = SMALL.replace({"detector.dead_pixels": 0.1, "detector.readout_noise": 1.0})
    bad = bad.replace({"dose.nphotons": 1e-9})  # the noise alone
    one, two, three = dose_ladder(bad, [1e-9, 2e-9, 3e-9], numbers="independent")
    for other in (two, three):
        np.testing.assert_array_equal(one.mask, other.mask)
    noises = [data.diffraction[:, one.mask].ravel() for data in (one, two, three)]
    correlations = np.corrcoef(noises)[np.triu_indices(3, 1)]
    assert (np.abs(correlations) < 5 / noises[0].size ** 0.5).all()
    np.testing.assert_array_equal(simulate(bad).diffraction, one.diffraction)
    again = simulate(two.scenario)
    np.testing.assert_array_equal(again.diffraction, two.diffraction)
    np.testing.assert_array_equal(again.mask, two.mask)
    common = list(dose_ladder(bad, [1e-9, 2e-9]))
    np.testing.assert_array_equal(common[0].diffraction, common[1].diffraction)
    good = SMALL.replace({"detector.readout_noise": 1.0})
    one, two = dose_ladder(good, [1e3, 1e3 + 1e-6], numbers="independent")
    assert (one.diffraction != two.diffraction).mean() > 0.9


def test_doses_of_a_fluence():
    spec = {
        "dose.mode": "per_area", "dose.fluence_per_angstrom2": 1.0, "optics.object_pixel_m": 1e-10
    }  # fmt: skip
    one, two = dose_ladder(SMALL.replace(spec), [10.0, 30.0], noise=False)
    np.testing.assert_allclose(two.photons(), 3 * one.photons(), rtol=1e-6)


@pytest.mark.parametrize(
    ("doses", "changes", "message"),
    [
        ([], {}, "doses: nothing given, expected at least one number"),
        ([1e3, 1e3], {}, "and none twice"),
        ([-1.0], {}, "doses: -1.0 given"),
        ([1.0], {"dose.mode": "none"}, "dose.mode: 'none' given, expected a mode with a number"),
    ],
)
def test_wrong_doses(doses, changes, message):
    with pytest.raises((ValueError, ScenarioError), match=message):
        dose_ladder(SMALL.replace(changes), doses)
    with pytest.raises(ValueError, match="numbers: 'none' given, expected one of common"):
        dose_ladder(SMALL, [1.0], numbers="none")
