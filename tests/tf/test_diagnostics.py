"""Diagnostics: the published numbers from the published inputs, to the last bit; scores."""

import json

import numpy as np
import pytest
from networks import network, trained

from ptycho_fast import Scenario, scale_report
from ptycho_fast.report.published import published_numbers
from ptycho_fast.tf import prepare
from ptycho_fast.tf.diagnostics import (
    diagnose,
    factors,
    first_nan,
    forward_pass,
    prediction_scale,
    score,
    share_percent,
    training_summary,
    windowed_truth,
)
from ptycho_fast.tf.inference import Prediction, predict

PUBLISHED = published_numbers(Scenario.preset("gs2_ideal"))


def test_published_forward_pass():
    published = PUBLISHED["forward_pass_diagnostics"]
    state = PUBLISHED["intensity_scaler_state"]
    external = scale_report.external_intensity_scale(state["params_intensity_scale"])
    found = forward_pass(
        external,
        scale_report.scaler_state(state["params_intensity_scale"])["exp_log_scale"],
        published["input_mean"],
        published["output_mean"],
        published["ground_truth_mean"],
    )
    assert found == published


def test_published_scaler_state():
    published = PUBLISHED["intensity_scaler_state"]
    s, w = published["params_intensity_scale"], published["log_scale_value"]
    assert scale_report.scaler_state(s) == scale_report.scaler_state(s, w=w) == published


def test_published_scales():
    info, split = PUBLISHED["dataset_scale_info"], PUBLISHED["split_intensity_stats"]
    energy = info["batch_mean_sum_intensity"]
    assert scale_report.dataset_scale_info(info["nphotons"], info["N"], energy) == info
    halves = [split[part]["batch_mean_sum_intensity"] for part in ("train", "test")]
    assert scale_report.split_statistics_from_means(*halves, 512, 512, info["nphotons"]) == split


def test_published_prediction_scale():
    published = PUBLISHED["prediction_scale"]
    # One pixel each: <truth, prediction> and <prediction, prediction> as published.
    predicted = np.array([published["denominator"]]) ** 0.5
    found = prediction_scale(predicted, published["numerator"] / predicted, 1.0)
    assert found.keys() == published.keys()
    assert found["value"] == pytest.approx(published["value"], rel=1e-12)
    exact = scale_report.least_squares_scale(published["numerator"], published["denominator"])
    assert exact == published["value"]
    assert prediction_scale(predicted, predicted, 0.5, "none")["value"] == 1
    assert prediction_scale(predicted, predicted, 0.5, "recorded")["value"] == 2
    with pytest.raises(ValueError, match="mode: 'best'"):
        prediction_scale(predicted, predicted, 0.5, "best")


def test_published_share():
    training = PUBLISHED["training"]
    share = share_percent(training["pred_intensity_loss"]["last"], training["loss"]["last"])
    assert share == training["dominant_share_pct"]


def test_published_stage_means():
    """The mean input is the gain times the mean of the grouped amplitude, up to float32."""
    means = PUBLISHED["stage_means"]
    product = means["normalize_gain"] * means["grouped_diffraction"]
    assert product == pytest.approx(means["grouped_X_full"], rel=1e-7)


# --- of our own runs ---


def test_every_published_key_is_reported(data):
    feed, test = prepare(data), prepare(data, part="test")
    trainer = trained(feed)
    report = diagnose(trainer.model, test, predict(trainer.model, test))
    report["training"] = training_summary(trainer.history, 4, len(feed), 1e-3)

    def missing(published, ours, path=""):
        for key, value in published.items():
            if key not in ours:
                yield path + key
            elif isinstance(value, dict):
                yield from missing(value, ours[key], f"{path}{key}.")

    assert list(missing(PUBLISHED, report)) == []
    forward = report["forward_pass_diagnostics"]
    assert forward["scale_match_pct"] >= 99.9999
    assert not forward["scale_discrepancy_flag"]
    assert report["decomposition"]["product"] == pytest.approx(forward["output_vs_truth_ratio"])
    assert report["training"]["dominant_loss"] == "pred_intensity_loss"
    assert not report["training"]["has_nan"]
    assert report["pairing"]["mismatch_flag"]
    json.dumps(report, allow_nan=False)


def test_first_nan():
    history = [{"a": 1.0, "b": 1.0}, {"a": 2.0, "b": float("nan")}, {"a": 1.0, "b": float("inf")}]
    assert first_nan(history) == {"a": None, "b": 2}


def test_factors_of_a_perfect_network(data):
    """The true object put through the windows: the rest is 1, the border is what is missing."""
    test = prepare(data, part="test")
    net = network(test)
    truth = windowed_truth(net, test)
    report = diagnose(net, test, Prediction(truth, test.true_patches(), 0.0), undo_gain=False)
    parts = report["decomposition"]
    assert parts["gain"] == test.gain
    assert parts["rest"] == pytest.approx(1, abs=1e-6)
    assert parts["border"] < 1
    assert report["score"]["patches"]["ratio"] == pytest.approx(1, abs=0.01)
    assert report["score"]["patches"]["pearson_r"] > 0.99
    assert report["prediction_scale"]["value"] == pytest.approx(1 / test.gain, rel=0.2)


def test_factors_multiply_to_the_published_ratio():
    forward = PUBLISHED["forward_pass_diagnostics"]
    gain, truth = PUBLISHED["stage_means"]["normalize_gain"], forward["ground_truth_mean"]
    parts = factors(forward["output_mean"], 0.487 * truth, truth, gain)
    assert parts["product"] == pytest.approx(forward["output_vs_truth_ratio"], rel=1e-12)
    assert parts["rest"] == pytest.approx(0.83, abs=0.01)
    assert parts["largest"] == "border"


def test_score():
    rng = np.random.default_rng(0)
    truth = rng.random((30, 30)) * np.exp(1j * rng.random((30, 30)))
    covered = np.zeros((30, 30), bool)
    covered[3:20] = True
    perfect = score(np.where(covered, 2 * truth * np.exp(0.7j), 0), truth, covered)
    assert perfect["ratio"] == pytest.approx(2)
    assert perfect["pearson_r"] == pytest.approx(1)
    assert perfect["phase"]["max"] < 1e-12
    assert perfect["phase"]["pearson_r"] == pytest.approx(1)
    assert perfect["amplitude"]["max"] == pytest.approx(np.abs(truth[covered]).max())
    assert score(truth, np.abs(truth), covered)["phase"]["pearson_r"] is None
