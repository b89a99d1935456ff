"""The dose that comes out is the one that was asked for, in every mode."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptycho_fast import Dataset, DataWarning, Scenario, ScenarioError, Simulator, simulate
from ptycho_fast.data.source import Source
from ptycho_fast.dose.modes import step_area
from ptycho_fast.experiment import make_experiment

OPTICS = {"optics.energy_ev": 8e3, "optics.object_pixel_m": 50e-9}
SMALL = Scenario.preset("gs2_ideal").replace(
    {"N": 16, "object.size": 90, "scan.n_patterns": 40, "dose.nphotons": 2e4, **OPTICS}
)
RASTER = SMALL.replace(
    {"scan.kind": "raster", "scan.n_patterns": 30, "scan.columns": 6, "scan.step": 4.0}
)
MODES = ["detected_mean", "incident", "per_pattern", "per_pixel_mean", "max_pattern", "per_area"]
# 2e4 photons on each square of 4 x 4 pixels of 50 nm.
FLUENCE = 2e4 / (4 * 50e-9) ** 2


def at(mode, scenario=RASTER, times=1.0):
    changes = {"dose.mode": mode}
    if mode == "per_area":
        changes["dose.fluence_per_m2"] = FLUENCE * times
    elif mode == "per_pixel_mean":
        changes["dose.nphotons"] = 80.0 * times
    else:
        changes["dose.nphotons"] = 2e4 * times
    return scenario.replace(changes)


def quietly(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return function(*arguments, **options)


def measured(data, mode):
    """What the mode speaks of, counted in the patterns; and how many photons were counted."""
    photons, e = data.photons(), data.provenance["dose"]["expected"]
    total = photons.sum()
    if mode == "max_pattern":
        return photons[photons.argmax()], photons.max()
    if mode == "per_pixel_mean":
        return photons.mean() / data.N**2, total
    if mode in ("incident", "per_area"):
        transmission = e["mean"] / e["incident"]
        return photons.mean() / transmission, total
    return photons.mean(), total


@pytest.mark.parametrize("mode", MODES)
def test_closure(mode):
    data = quietly(simulate, at(mode))
    wanted = 80.0 if mode == "per_pixel_mean" else 2e4
    found, counted = measured(data, mode)
    assert abs(found / wanted - 1) < 5 / math.sqrt(counted)
    dose = data.provenance["dose"]
    assert dose["mode"] == mode
    assert dose["requested"] == (FLUENCE if mode == "per_area" else wanted)
    expected = dose["expected"]
    assert expected["mean"] == pytest.approx(data.photons().mean(), abs=5 * math.sqrt(2e4))
    pixel = dose["measured_pixel"]
    assert pixel["max"] == data.counts.max()
    assert pixel["mean"] == pytest.approx(data.counts.mean())
    assert expected["per_m2"] == pytest.approx(expected["incident"] / 2e4 * FLUENCE)


@pytest.mark.parametrize("mode", MODES)
def test_twice_the_dose_is_twice_the_mean(mode):
    one, two = (quietly(simulate, at(mode, times=t), noise=False).photons() for t in (1, 2))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-6)


def test_incident_is_the_power_of_the_probe():
    """A vacuum object loses nothing; a grey one of transmission 1/4 loses three quarters."""
    given = {"probe": np.ones((16, 16)), "positions": [[40.0, 40.0], [44.0, 41.0]]}
    incident = Scenario().replace({"dose.mode": "incident", "N": 16})
    vacuum = simulate(incident, object=np.ones((90, 90)), nphotons=1e6, noise=False, **given)
    np.testing.assert_allclose(vacuum.photons(), 1e6, rtol=1e-6)
    grey = simulate(incident, object=np.full((90, 90), 0.5), nphotons=1e6, noise=False, **given)
    np.testing.assert_allclose(grey.photons(), 2.5e5, rtol=1e-6)


def test_per_pattern_is_equal_and_says_so():
    with pytest.warns(DataWarning, match="'per_pattern' gives every pattern the same number"):
        sim = Simulator(at("per_pattern"))
    sums = sim.expected(0, 30).sum(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(sums, 2e4, rtol=1e-6)
    assert sim.experiment.dose_factors.std() > 0.02
    plain = Simulator(at("detected_mean")).expected(0, 30).sum(axis=(1, 2), dtype=np.float64)
    assert plain.std() / 2e4 > 0.02


def test_fresh_photons_of_a_file_at_that_dose(tmp_path):
    """What a file holds is enough to expose it again, pattern by pattern at its own dose."""
    data = quietly(simulate, at("per_pattern"))
    data.save(tmp_path / "a.npz")
    back = Dataset.load(tmp_path / "a.npz")
    np.testing.assert_allclose(back.photons(), data.photons(), rtol=1e-6)
    again = quietly(lambda: Source(given=back).simulator)
    np.testing.assert_array_equal(again.frames(0, 30), data.counts)
    free = quietly(simulate, at("per_pattern"), noise=False)
    np.testing.assert_allclose(free.photons(), 2e4, rtol=1e-6)


def test_max_pattern():
    sums = Simulator(at("max_pattern")).expected(0, 30).sum(axis=(1, 2), dtype=np.float64)
    assert sums.max() == pytest.approx(2e4, rel=1e-6)


def test_none_takes_the_intensity_as_photons():
    data = simulate(at("none"), noise=False)
    assert data.intensity_scale == 1.0
    assert data.provenance["dose"]["requested"] is None
    np.testing.assert_allclose(data.photons(), data.diffraction.sum(axis=(1, 2), dtype=float))


def test_per_area_in_square_angstrom():
    per_m2 = make_experiment(at("per_area"))
    electrons = at("detected_mean").replace(
        {"dose.mode": "per_area", "dose.fluence_per_angstrom2": FLUENCE * 1e-20}
    )
    other = make_experiment(electrons)
    assert other.intensity_scale == pytest.approx(per_m2.intensity_scale, rel=1e-12)
    assert other.dose["requested"] == pytest.approx(FLUENCE)


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(2, 9),
    step=st.floats(0.1, 30),
    angle=st.floats(-3, 3),
)
def test_step_area_of_a_raster(rows, columns, step, angle):
    y, x = np.meshgrid(np.arange(rows) * step, np.arange(columns) * step, indexing="ij")
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    points = np.stack([x.ravel(), y.ravel()], axis=1) @ turn
    assert step_area(points) == pytest.approx(step**2, rel=1e-4)


def test_step_area_of_random_positions():
    points = np.random.default_rng(1).uniform(0, 100, (2500, 2))
    assert step_area(points) == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"dose.mode": "per_area"}, "dose.fluence_per_m2", "nothing given, expected photons"),
        (
            {
                "dose.mode": "per_area", "dose.fluence_per_m2": 1.0,
                "dose.fluence_per_angstrom2": 1.0,
            },
            "dose.fluence_per_angstrom2", "1.0 given, expected nothing beside",
        ),
        (
            {"dose.fluence_per_m2": 1e3}, "dose.fluence_per_m2",
            "1000.0 given, expected nothing with dose.mode 'detected_mean'",
        ),
        (
            {
                "dose.mode": "per_area", "dose.fluence_per_m2": 1e3, "optics.object_pixel_m": None,
                "optics.energy_ev": None,
            },
            "optics.object_pixel_m", "since dose.mode 'per_area' needs it",
        ),
        (
            {"dose.mode": "per_area", "dose.fluence_per_m2": 1e3, "scan.n_patterns": 1},
            "dose.mode", "at least two different positions",
        ),
        (
            {
                "dose.mode": "per_area", "dose.fluence_per_angstrom2": 1e20,
                "optics.object_pixel_m": 1e-8, "optics.energy_ev": None,
            },
            "dose.fluence_per_angstrom2", "1e\\+20 given: .* lower the dose",
        ),
        ({"dose.mode": "per_electron"}, "dose.mode", "expected one of detected_mean, incident"),
    ],
)  # fmt: skip
def test_contradictions_are_named(changes, key, message):
    with pytest.raises(ScenarioError, match=message) as error:
        Simulator(SMALL.replace(changes)).check_dose()
    assert error.value.key == key


def test_nphotons_where_another_number_counts():
    with pytest.raises(ScenarioError, match="'per_area', which takes dose.fluence_per_m2"):
        simulate(at("per_area"), nphotons=1e5)
    with pytest.raises(ScenarioError, match="nothing with dose.mode 'none'"):
        simulate(at("none"), nphotons=1e5)


def test_another_dose_of_the_same_experiment():
    e = make_experiment(SMALL)
    brighter = e.with_dose({"dose.nphotons": 8e4})
    assert brighter.intensity_scale == make_experiment(brighter.scenario).intensity_scale
    assert brighter.object is e.object
    with pytest.raises(ValueError, match="changes: 'N' given, expected keys of dose"):
        e.with_dose({"N": 32})
