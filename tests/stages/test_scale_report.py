"""The reported numbers: the published ones to the last bit, and the errors."""

import json
import math

import numpy as np
import pytest

from ptycho_fast import Scenario
from ptycho_fast import scale_report as report
from ptycho_fast.report.published import published_numbers
from ptycho_fast.scaling import closed_form_intensity_scale, dataset_intensity_scale

PUBLISHED = published_numbers(Scenario.preset("gs2_ideal"))
NPHOTONS, N = 1e9, 64
TEST_ENERGY, TRAIN_ENERGY = 2995.974122765142, 3388.0241783336346
S = 273.3502248877305

INFO = report.dataset_scale_info(NPHOTONS, N, TEST_ENERGY)
SPLIT = report.split_statistics_from_means(TRAIN_ENERGY, TEST_ENERGY, 512, 512, NPHOTONS)
STATE = report.scaler_state(S)
EXTERNAL = report.external_intensity_scale(S)
MODEL = STATE["exp_log_scale"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (INFO["dataset_scale"], 577.7380497400686),
        (INFO["fallback_scale"], 988.2117688026185),
        (INFO["ratio"], 0.5846298009991254),
        (INFO["delta"], -410.4737190625499),
        (SPLIT["train"]["dataset_scale"], 543.2837929569899),
        (SPLIT["train_vs_test_scale_ratio"], 0.9403635318833854),
        (SPLIT["train_vs_test_scale_delta"], -34.45425678307868),
        (SPLIT["train_vs_test_deviation_pct"], 5.9636468116614605),
        (float(report.log_scale(S)), 5.610754013061523),
        (MODEL, 273.35026999353613),
        (EXTERNAL, 273.35028076171875),
        (STATE["delta"], 4.510580561145616e-05),
        (STATE["ratio"], 1.0000001650110426),
        (report.match_percent(EXTERNAL, MODEL), 99.99999606066524),
        (report.discrepancy(EXTERNAL, MODEL), False),
        (report.amplification_ratio(0.6340575218200684, 0.08508697152137756), 7.451875539614962),
        (report.output_vs_truth_ratio(0.6340575218200684, 2.708247423171997), 0.23412097299346354),
        (report.least_squares_scale(94137.45989994772, 48090.9839380287), 1.9574866677973508),
    ],
)
def test_reference_number(value, expected):
    assert value == expected


def test_dictionaries_are_the_published_ones():
    assert PUBLISHED["dataset_scale_info"] == INFO
    assert PUBLISHED["split_intensity_stats"] == SPLIT
    assert PUBLISHED["intensity_scaler_state"] == STATE
    json.dumps([INFO, SPLIT, STATE])


def test_the_scaler_is_float32():
    assert report.log_scale(S).dtype == np.float32
    assert np.float32(EXTERNAL) == EXTERNAL


def test_scaler_state_after_training():
    moved = report.scaler_state(S, trainable=False, w=5.5)
    assert moved["trainable"] is False
    assert moved["log_scale_value"] == 5.5
    assert moved["exp_log_scale"] == math.exp(5.5)
    assert moved["params_intensity_scale"] == S


@pytest.mark.parametrize(("model", "flag"), [(100.99, False), (101.01, True), (98.99, True)])
def test_discrepancy_is_above_one_percent(model, flag):
    assert report.discrepancy(100.0, model) is flag


def test_split_statistics_averages_the_energies():
    given_means = report.split_statistics_from_means(2.0, 5.0, 3, 2, NPHOTONS)
    assert report.split_statistics([1.0, 2.0, 3.0], [4.0, 6.0], NPHOTONS) == given_means


def test_effective_photons():
    """Each scale with its own data holds the dose; the published pairing does not."""
    s = dataset_intensity_scale(NPHOTONS, TEST_ENERGY)
    assert report.effective_photons_per_pattern(s, TEST_ENERGY) == pytest.approx(1e9, rel=1e-14)
    s = closed_form_intensity_scale(NPHOTONS, N)
    assert report.effective_photons_per_pattern(s, (N / 2) ** 2) == pytest.approx(1e9, rel=1e-14)
    assert report.effective_photons_per_pattern(S, 1024) == pytest.approx(7.65e7, rel=1e-3)


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, math.inf, "many", None, 10**400])
@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("s", report.log_scale),
        ("s", report.scaler_state),
        ("s", report.external_intensity_scale),
        ("external", lambda v: report.match_percent(v, 1.0)),
        ("model", lambda v: report.discrepancy(1.0, v)),
        ("nphotons", lambda v: report.dataset_scale_info(v, 64, 1.0)),
        ("mean_test", lambda v: report.split_statistics_from_means(1.0, v, 1, 1, 1e9)),
        ("input_mean", lambda v: report.amplification_ratio(1.0, v)),
        ("truth_mean", lambda v: report.output_vs_truth_ratio(1.0, v)),
        ("denominator", lambda v: report.least_squares_scale(1.0, v)),
        ("mean_energy", lambda v: report.effective_photons_per_pattern(1.0, v)),
    ],
)
def test_not_a_positive_number(argument, call, bad):
    with pytest.raises(
        (TypeError, ValueError), match=f"^{argument}: .* given, expected a"
    ) as caught:
        call(bad)
    assert repr(bad) in str(caught.value)


@pytest.mark.parametrize(
    ("train", "message"),
    [([], "energies_train: shape"), ([0.0], "mean of energies_train: 0"), ([math.nan], "nan")],
)
def test_bad_split(train, message):
    with pytest.raises(ValueError, match=message):
        report.split_statistics(train, [1.0], 1e9)
