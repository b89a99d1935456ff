"""Scaling formulas: every published number to the last bit, and the errors."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptycho_fast import scaling

PUBLISHED = json.loads((Path(__file__).parents[1] / "data/gs2_ideal.json").read_text())
NPHOTONS, N = 1e9, 64
TEST_ENERGY, TRAIN_ENERGY = 2995.974122765142, 3388.0241783336346
S = 273.3502248877305

INFO = scaling.dataset_scale_info(NPHOTONS, N, TEST_ENERGY)
SPLIT = scaling.split_statistics_from_means(TRAIN_ENERGY, TEST_ENERGY, 512, 512, NPHOTONS)
STATE = scaling.scaler_state(S)
EXTERNAL = scaling.external_intensity_scale(S)
MODEL = STATE["exp_log_scale"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (scaling.closed_form_intensity_scale(NPHOTONS, N), 988.2117688026185),
        (scaling.dataset_intensity_scale(NPHOTONS, TEST_ENERGY), 577.7380497400686),
        (scaling.dataset_intensity_scale(NPHOTONS, TRAIN_ENERGY), 543.2837929569899),
        (INFO["ratio"], 0.5846298009991254),
        (INFO["delta"], -410.4737190625499),
        (SPLIT["train_vs_test_scale_ratio"], 0.9403635318833854),
        (SPLIT["train_vs_test_scale_delta"], -34.45425678307868),
        (SPLIT["train_vs_test_deviation_pct"], 5.9636468116614605),
        (float(scaling.log_scale(S)), 5.610754013061523),
        (MODEL, 273.35026999353613),
        (EXTERNAL, 273.35028076171875),
        (STATE["delta"], 4.510580561145616e-05),
        (STATE["ratio"], 1.0000001650110426),
        (scaling.match_percent(EXTERNAL, MODEL), 99.99999606066524),
        (scaling.discrepancy(EXTERNAL, MODEL), False),
        (scaling.amplification_ratio(0.6340575218200684, 0.08508697152137756), 7.451875539614962),
        (scaling.output_vs_truth_ratio(0.6340575218200684, 2.708247423171997), 0.23412097299346354),
        (scaling.least_squares_scale(94137.45989994772, 48090.9839380287), 1.9574866677973508),
    ],
)
def test_reference_number(value, expected):
    assert value == expected


def test_dictionaries_are_the_published_ones():
    assert PUBLISHED["dataset_scale_info"] == INFO
    assert PUBLISHED["split_intensity_stats"] == SPLIT
    assert PUBLISHED["intensity_scaler_state"] == STATE
    json.dumps([INFO, SPLIT, STATE])


def test_log_scale_is_float32():
    assert scaling.log_scale(S).dtype == np.float32
    assert np.float32(EXTERNAL) == EXTERNAL


def test_scaler_state_repeats_trainable():
    assert scaling.scaler_state(S, trainable=False)["trainable"] is False


@pytest.mark.parametrize(("model", "flag"), [(100.99, False), (101.01, True), (98.99, True)])
def test_discrepancy_is_above_one_percent(model, flag):
    assert scaling.discrepancy(100.0, model) is flag


def test_split_statistics_averages_the_energies():
    given_means = scaling.split_statistics_from_means(2.0, 5.0, 3, 2, NPHOTONS)
    assert scaling.split_statistics([1.0, 2.0, 3.0], [4.0, 6.0], NPHOTONS) == given_means


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


def test_effective_photons():
    # Each scale with its own data holds the dose; the published pairing does not.
    s = scaling.dataset_intensity_scale(NPHOTONS, TEST_ENERGY)
    assert scaling.effective_photons_per_pattern(s, TEST_ENERGY) == pytest.approx(1e9, rel=1e-14)
    s = scaling.closed_form_intensity_scale(NPHOTONS, N)
    assert scaling.effective_photons_per_pattern(s, (N / 2) ** 2) == pytest.approx(1e9, rel=1e-14)
    assert scaling.effective_photons_per_pattern(S, 1024) == pytest.approx(7.65e7, rel=1e-3)


@given(st.floats(1e-3, 1e6), st.integers(0, 2**24))
def test_scaling_is_undone(s, count):
    assert (count / s) * s == pytest.approx(count, rel=1e-15)


BAD = [0, -1.0, math.nan, math.inf, "many", None, 10**400]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("nphotons", lambda v: scaling.dataset_intensity_scale(v, 1.0)),
        ("mean_energy", lambda v: scaling.dataset_intensity_scale(1e9, v)),
        ("nphotons", lambda v: scaling.closed_form_intensity_scale(v, 64)),
        ("mean energy", lambda v: scaling.normalise_gain(v, 64)),
        ("s", scaling.log_scale),
        ("s", scaling.scaler_state),
        ("s", scaling.external_intensity_scale),
        ("external", lambda v: scaling.match_percent(v, 1.0)),
        ("model", lambda v: scaling.discrepancy(1.0, v)),
        ("mean_test", lambda v: scaling.split_statistics_from_means(1.0, v, 1, 1, 1e9)),
        ("input_mean", lambda v: scaling.amplification_ratio(1.0, v)),
        ("truth_mean", lambda v: scaling.output_vs_truth_ratio(1.0, v)),
        ("denominator", lambda v: scaling.least_squares_scale(1.0, v)),
        ("mean_energy", lambda v: scaling.effective_photons_per_pattern(1.0, v)),
    ],
)
def test_not_a_positive_number(argument, call, bad):
    with pytest.raises(
        (TypeError, ValueError), match=f"^{argument}: .* given, expected a"
    ) as caught:
        call(bad)
    assert repr(bad) in str(caught.value)


@pytest.mark.parametrize("bad", [0, -64, 63.5, math.nan, "64"])
def test_not_a_side(bad):
    with pytest.raises((TypeError, ValueError), match=r"^N: .* given, expected (an integer|>= 1)"):
        scaling.closed_form_intensity_scale(1e9, bad)


@pytest.mark.parametrize(
    ("amplitude", "message"),
    [
        (np.ones((0, 4, 4)), r"shape \(0, 4, 4\)"),
        (np.ones((4, 4)), r"shape \(4, 4\)"),
        (np.ones((2, 4, 5)), r"shape \(2, 4, 5\)"),
        (np.ones((2, 4, 4), np.complex64), "dtype complex64"),
        (np.full((2, 4, 4), np.nan), r"not finite.*\[0\]"),
    ],
)
def test_bad_amplitude(amplitude, message):
    for function in (scaling.mean_energy, lambda a: scaling.normalise_gain(a, 4)):
        with pytest.raises(ValueError, match=f"^amplitude.*{message}"):
            function(amplitude)


def test_gain_of_other_side_or_without_light():
    with pytest.raises(ValueError, match="side N = 8"):
        scaling.normalise_gain(np.ones((1, 4, 4)), 8)
    with pytest.raises(ValueError, match="mean energy of the amplitude: 0"):
        scaling.normalise_gain(np.zeros((1, 4, 4)), 4)


@pytest.mark.parametrize(
    ("train", "message"),
    [([], "energies_train: shape"), ([0.0], "mean of energies_train: 0"), ([math.nan], "nan")],
)
def test_bad_split(train, message):
    with pytest.raises(ValueError, match=message):
        scaling.split_statistics(train, [1.0], 1e9)
