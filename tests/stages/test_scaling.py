"""The three normalisations: every published number to the last bit, and the errors."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptycho_fast
from ptycho_fast import scale_report, scaling

NPHOTONS, N = 1e9, 64
TEST_ENERGY, TRAIN_ENERGY = 2995.974122765142, 3388.0241783336346


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (scaling.closed_form_intensity_scale(NPHOTONS, N), 988.2117688026185),
        (scaling.dataset_intensity_scale(NPHOTONS, TEST_ENERGY), 577.7380497400686),
        (scaling.dataset_intensity_scale(NPHOTONS, TRAIN_ENERGY), 543.2837929569899),
    ],
)
def test_reference_number(value, expected):
    assert value == expected


@settings(deadline=None)
@given(
    shape=st.sampled_from([(3, 4, 4), (1, 5, 5), (2, 4, 4, 4), (700, 64, 64)]),
    seed=st.integers(0, 100),
)
def test_energies_and_means(shape, seed):
    amplitude = np.random.default_rng(seed).random(shape, dtype=np.float32)
    energies = scaling.amplitude_energies(amplitude)
    direct = (amplitude.astype(np.float64) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(energies, direct, rtol=1e-14)
    # For groups the mean runs over groups alone: channels are summed.
    per_entry = direct.reshape(len(direct), -1).sum(axis=1)
    assert scaling.mean_energy(amplitude) == pytest.approx(per_entry.mean(), rel=1e-14)
    # A pattern's energy does not depend on its neighbours.
    np.testing.assert_array_equal(scaling.amplitude_energies(amplitude[-1:]), energies[-1:])


@pytest.mark.parametrize("shape", [(5, 16, 16), (5, 16, 16, 4)])
def test_gain_brings_the_mean_pattern_to_its_energy(shape):
    amplitude = np.random.default_rng(1).random(shape, dtype=np.float32)
    g = scaling.normalise_gain(amplitude, 16)
    assert np.mean(g**2 * scaling.amplitude_energies(amplitude)) == pytest.approx(64, rel=1e-14)
    known = float(scaling.amplitude_energies(amplitude).mean())
    assert scaling.normalise_gain(known, 16) == g


@pytest.mark.parametrize("s", [3.7, 40.0, 273.3502248877305])
def test_amplitudes_times_the_scale_are_the_counts(s):
    """What is stored is sqrt(counts) / s, so the scale gives the counts back."""
    rng = np.random.default_rng(3)
    obj = rng.random((40, 40)).astype(np.complex64)
    probe = rng.random((16, 16)).astype(np.complex64)
    shared = {"obj": obj, "probe": probe, "positions": rng.uniform(8, 32, (5, 2))}
    counts = ptycho_fast.observe(**shared, scale=s, seed=4)
    amplitude = ptycho_fast.observe(**shared, scale=s, seed=4, output="amplitude")
    assert counts.max() > 10
    again = (amplitude.astype(np.float64) * s) ** 2
    np.testing.assert_allclose(again, counts, rtol=2**-22)
    np.testing.assert_array_equal(np.rint(again), counts)


BAD = [0, -1.0, math.nan, math.inf, "many", None, 10**400]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("nphotons", lambda v: scaling.dataset_intensity_scale(v, 1.0)),
        ("mean_energy", lambda v: scaling.dataset_intensity_scale(1e9, v)),
        ("nphotons", lambda v: scaling.closed_form_intensity_scale(v, 64)),
        ("mean energy", lambda v: scaling.normalise_gain(v, 64)),
    ],
)
def test_not_a_positive_number(argument, call, bad):
    with pytest.raises(
        (TypeError, ValueError), match=f"^{argument}: .* given, expected a"
    ) as caught:
        call(bad)
    assert repr(bad) in str(caught.value)


@pytest.mark.parametrize("bad", [0, -64, 63.5, math.nan, "64"])
@pytest.mark.parametrize(
    "call",
    [
        lambda v: scaling.closed_form_intensity_scale(1e9, v),
        lambda v: scaling.normalise_gain(1.0, v),
    ],
)
def test_not_a_side(call, bad):
    with pytest.raises((TypeError, ValueError), match=r"^N: .* given, expected (an integer|>= 1)"):
        call(bad)


@pytest.mark.parametrize(
    ("amplitude", "message"),
    [
        (np.ones((0, 4, 4)), r"shape \(0, 4, 4\)"),
        (np.ones((4, 4)), r"shape \(4, 4\)"),
        (np.ones((2, 4, 5)), r"shape \(2, 4, 5\)"),
        (np.ones((2, 4, 4), np.complex64), "dtype complex64"),
        (np.full((2, 4, 4), np.nan), r"an energy of nan in entry \[0\]"),
        (np.stack([np.ones((4, 4)), np.full((4, 4), 1e200)]), r"an energy of inf in entry \[1\]"),
        ([[1.0, 2.0], [3.0]], "rows of different lengths"),
        (np.ma.masked_array(np.ones((2, 4, 4))), "a masked array"),
    ],
)
def test_bad_amplitude(amplitude, message):
    for function in (scaling.mean_energy, lambda a: scaling.normalise_gain(a, 4)):
        with (
            np.errstate(over="ignore"),
            pytest.raises((TypeError, ValueError), match=f"^amplitude: .*{message}.*, expected"),
        ):
            function(amplitude)


def test_gain_of_other_side_or_without_light():
    with pytest.raises(ValueError, match="side N = 8"):
        scaling.normalise_gain(np.ones((1, 4, 4)), 8)
    with pytest.raises(ValueError, match="mean energy of the amplitude: 0"):
        scaling.normalise_gain(np.zeros((1, 4, 4)), 4)


def test_the_module_holds_the_normalisations_and_nothing_else():
    own = {
        name
        for name, value in vars(scaling).items()
        if getattr(value, "__module__", None) == scaling.__name__ and not name.startswith("_")
    }
    assert own == set(scaling.__all__)


def test_names_of_earlier_versions_warn_and_work():
    moved = {name for name in vars(scale_report) if name in scaling._MOVED}
    assert moved == scaling._MOVED
    for name in moved:
        with pytest.warns(
            DeprecationWarning, match=rf"scaling\.{name} moved to .*\.{name}"
        ) as seen:
            old = getattr(scaling, name)
        assert old is getattr(scale_report, name)
        assert seen[0].filename == __file__


def test_an_old_name_can_be_imported():
    with pytest.warns(DeprecationWarning, match="moved to ptycho_fast.scale_report"):
        from ptycho_fast.scaling import log_scale
    assert log_scale is scale_report.log_scale


def test_a_wrong_name_is_an_attribute_error():
    with warnings.catch_warnings(), pytest.raises(AttributeError, match="no attribute 'gain'"):
        _ = scaling.gain
