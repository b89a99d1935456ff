"""The trainer: the same numbers on every backend, resumed runs, schedules, whole recipes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import ptycho_fast
from ptycho_fast import scale_report
from ptycho_fast.tf import LossWeights, PtychoNet, Trainer, TrainSpec, canvas_side, prepare
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
from ptycho_fast.tf.inference import Prediction, predict, stitch, stitch_groups, stitch_patches
from ptycho_fast.tf.recipes import RECIPES
from ptycho_fast.tf.run import memory_needed, require_memory

SCENARIO = ptycho_fast.Scenario.preset("gs2_ideal").replace(
    {
        "N": 16,
        "object.size": 70,
        "scan.n_patterns": 60,
        "dose.nphotons": 1e5,
        "groups.n_train": 12,
        "groups.n_test": 8,
    }
)
PUBLISHED = json.loads((Path(__file__).parents[1] / "data" / "gs2_ideal.json").read_text())


@pytest.fixture(scope="module")
def data():
    return ptycho_fast.simulate(SCENARIO)


def network(feed, **options):
    options = {"n_filters_scale": 1, "modes": len(feed.data.probe)} | options
    canvas = canvas_side(feed.N, feed.largest_offset + 4)
    net = PtychoNet(feed.N, feed.gridsize, canvas, feed.intensity_scale, **options)
    net.set_probe(feed.data.probe)
    return net


def trained(feed, folder=None, weights=None, net=None, **spec):
    spec = {"epochs": 2, "validation": 0.2} | spec
    spec["weights"] = weights or LossWeights()
    trainer = Trainer(net or network(feed), TrainSpec(**spec), folder)
    trainer.train(feed)
    return trainer


def losses(history):
    clock = ("seconds", "waiting_seconds")
    return [{k: v for k, v in values.items() if k not in clock} for values in history]


# --- unchanged ---


def test_the_same_training_on_every_backend(backend):
    """Bit-equal data give the same history; others one within 1e-5."""
    histories = {}
    for name in (backend, "reference"):
        feed = prepare(SCENARIO, backend=name, noise="fresh")
        histories[name] = feed, losses(trained(feed).history)
    (feed, history), (definition, truth) = histories.values() if len(histories) == 2 else (
        histories["reference"], histories["reference"],
    )  # fmt: skip
    equal = np.array_equal(feed.data.counts, definition.data.counts)
    for values, expected in zip(history, truth, strict=True):
        if equal and np.array_equal(feed.expected, definition.expected):
            assert values == expected
        assert values == pytest.approx(expected, rel=1e-5)


@pytest.mark.gpu
def test_the_same_training_on_a_gpu():
    """The same batches, bit by bit; the same history, if TensorFlow computes on the processor."""
    feeds = [prepare(SCENARIO, backend=name, noise="fresh") for name in ("native", "cuda")]
    for one, other in zip(*(feed.tensors(4, epochs=2) for feed in feeds), strict=True):
        for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
            assert a.numpy().tobytes() == b.numpy().tobytes()
    there = bool(tf.config.list_logical_devices("GPU"))  # convolutions there sum in any order
    for values, expected in zip(*(losses(trained(feed).history) for feed in feeds), strict=True):
        assert values == pytest.approx(expected, rel=1e-5 if there else 0, abs=0)


def test_a_seed_gives_the_same_training_again(data):
    feed = prepare(data, noise="fresh", augment=True)
    assert losses(trained(feed).history) == losses(trained(feed).history)


# --- the trainer ---


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(data, tmp_path):
    feed = prepare(data, noise="fresh")
    options = {"schedule": "cosine", "validation": 0.2}
    whole = trained(feed, epochs=4, **options)
    net = network(feed)
    stopped = Trainer(net, TrainSpec(epochs=4, **options), tmp_path)

    class Interrupted(Exception):
        pass

    class Watcher:
        def step(self, epoch, step, steps, loss):
            if (epoch, step) == (3, 2):
                raise Interrupted

        def epoch(self, epoch, values):
            pass

    with pytest.raises(Interrupted):
        stopped.train(feed, Watcher())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model-0002.keras", "state.json"]
    again = Trainer.resume(tmp_path)
    assert again.epoch == 2
    again.train(feed)
    assert losses(again.history) == losses(whole.history)
    for a, b in zip(again.model.weights, whole.model.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model-0004.keras", "state.json"]
    again.train(feed)  # nothing is left to do
    assert again.epoch == 4
    assert Trainer.resume(tmp_path, epochs=5).spec.epochs == 5


def test_resume_needs_a_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        Trainer.resume(tmp_path)
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(ValueError, match="not a checkpoint"):
        Trainer.resume(tmp_path)


def test_plateau_halves_and_stops(data):
    trainer = Trainer(network(prepare(data)), TrainSpec(epochs=50))
    rates = []
    for loss in (3.0, 2.0, 2.5, 2.4, 1.9, 2.0, 2.0, 2.0):
        trainer.history.append({"val_loss": loss, "loss": 0.0, "learning_rate": trainer.rate})
        trainer._plateau()
        rates.append(trainer.rate)
        if trainer._rests():
            break
    assert rates == [1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 5e-4, 2.5e-4, 2.5e-4]
    assert trainer.epoch == 8  # three epochs after the best
    trainer.rate = 1.5e-4
    trainer.history += [{"val_loss": 9.0, "loss": 0.0, "learning_rate": 1.5e-4}] * 2
    trainer._plateau()
    assert trainer.rate == trainer.spec.floor


def test_cosine():
    spec = TrainSpec(schedule="cosine", learning_rate=1.0, final_rate=0.2)
    assert [spec.rate(share) for share in (0, 0.5, 1)] == pytest.approx([1, 0.6, 0.2])


def test_keras_fit_learns_as_well(data):
    feed = prepare(data)
    net = network(feed)
    Trainer(net, TrainSpec())  # compiles
    history = net.fit(feed.batches(4), epochs=3, verbose=0, shuffle=False).history["loss"]
    assert history[-1] < history[0]


def test_terms_of_the_loss(data):
    weights = LossWeights(intensity=1, amplitude=0.1, total_variation=0.01, object=0.1)
    last = trained(prepare(data, truth=True), weights=weights).history[-1]
    terms = [last[f"loss_{name}"] for name in vars(weights)]
    assert last["loss"] == pytest.approx(sum(terms), rel=1e-5)
    assert min(terms) > 0


@pytest.mark.parametrize("activation", ["relu", "softplus"])
def test_no_nan_whatever_the_head(data, activation):
    """A head that gives zeros only, and an empty pattern among the data."""
    dark = data.counts.copy()
    dark[prepare(data).groups.nn_indices[0, 0]] = 0
    feed = prepare(replace(data, diffraction=dark))
    net = network(feed, amplitude_activation=activation, amplitude_bias=-50.0)
    start = net(next(feed.epoch(0, 4))[0])["intensity"].numpy()
    assert start.max() < 1e-6
    history = trained(feed, net=net, epochs=1).history
    assert all(np.isfinite(list(values.values())).all() for values in history)
    assert all(np.isfinite(w).all() for w in net.get_weights())


def test_gs1_ideal_trains_without_nan():
    """The published runs of this scenario die of NaN."""
    scenario = ptycho_fast.Scenario.preset("gs1_ideal").replace({"groups.n_train": 17})
    feed = prepare(scenario)
    assert feed.effective_photons == pytest.approx(3.19e8, rel=0.05)
    history = trained(feed, epochs=1, batch_size=8, validation=0.05).history
    assert all(np.isfinite(list(values.values())).all() for values in history)


def test_what_a_trainer_refuses(data):
    feed = prepare(data)
    net = network(feed)
    with pytest.raises(ValueError, match="gridsize 1 given, expected N = 16 and gridsize 2"):
        trained(prepare(data, 1), net=net)
    with pytest.raises(ValueError, match="1 groups given, expected more than 1"):
        trained(feed.part(0, 1), net=net)
    with pytest.raises(ValueError, match="schedule: 'step'"):
        TrainSpec(schedule="step")
    with pytest.raises(ValueError, match="validation: 1"):
        TrainSpec(validation=1)
    with pytest.raises(ValueError, match="epochs is 0"):
        TrainSpec(epochs=0)
    net.scaler.log_scale.assign(np.nan)
    with pytest.raises(FloatingPointError, match="loss is nan in epoch 1, step 1"):
        trained(feed, net=net)


# --- stitching ---


def test_stitching_the_truth_gives_the_truth():
    rng = np.random.default_rng(0)
    obj = (rng.normal(size=(60, 75)) + 1j * rng.normal(size=(60, 75))).astype(np.complex64)
    positions = np.array([[20.0, 18.0], [31.0, 25.0], [0.0, 0.0], [74.0, 59.0]])
    fields = ptycho_fast.extract_patches(obj, positions, 16)
    stitched, covered = stitch(fields, positions, obj.shape, 8)
    np.testing.assert_allclose(stitched[covered], obj[covered], rtol=1e-5)
    assert (stitched[~covered] == 0).all()
    expected = np.zeros(obj.shape, bool)
    expected[14:22, 16:24] = expected[21:29, 27:35] = expected[:4, :4] = expected[55:, 70:] = True
    np.testing.assert_array_equal(covered, expected)


def test_stitching_between_pixels():
    """A field that is linear in x and y is interpolated exactly."""
    y, x = np.mgrid[:60, :75]
    obj = (2 * x + 3j * y + 1).astype(np.complex64)
    positions = np.array([[20.3, 18.8], [37.5, 30.25]])
    fields = ptycho_fast.extract_patches(obj, positions, 16)
    stitched, covered = stitch(fields, positions, obj.shape, 10)
    assert covered.sum() == 200
    np.testing.assert_allclose(stitched[covered], obj[covered], rtol=1e-5)
    with pytest.raises(ValueError, match="window: 16 given, expected 1 to 15"):
        stitch(fields, positions, obj.shape, 16)


# --- diagnostics: the published numbers from the published inputs, to the last bit ---


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

    assert list(missing({k: v for k, v in PUBLISHED.items() if k != "about"}, report)) == []
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


def test_data_come_at_the_scale_of_the_network(data):
    """The test half has a scale of its own; given to the network it would look brighter."""
    feed, test = prepare(data), prepare(data, part="test")
    assert test.intensity_scale / feed.intensity_scale != pytest.approx(1, abs=0.01)
    net = network(feed)
    prediction = predict(net, test)
    X = np.moveaxis(np.float32(test.gain) * test.amplitude[test.groups.nn_indices], 1, -1)
    offsets = test.groups.coords_relative.astype(np.float32)
    outputs = net((np.float32(feed.intensity_scale) * X, offsets))
    np.testing.assert_allclose(prediction.objects, outputs["object"], rtol=1e-3, atol=1e-5)


def test_prediction(data):
    feed = prepare(data, part="test")
    net = network(feed)
    prediction = predict(net, feed, batch_size=3)
    (amplitude, offsets), _ = next(feed.epoch(0, 8, shuffle=False))
    np.testing.assert_allclose(
        prediction.objects, net((amplitude, offsets))["object"], rtol=1e-4, atol=1e-5
    )
    assert prediction.patches.shape == (8, 4, 16, 16)
    assert (prediction.patches[..., :4, :] == 0).all()
    for stitched, covered in (stitch_groups(feed, prediction), stitch_patches(feed, prediction)):
        assert stitched.shape == covered.shape == data.object.shape
        assert covered.any()


def test_the_grouped_dictionary_for_other_trainers(data):
    """The keys and shapes that docs/ptychopinn.md promises."""
    arrays = data.grouped("test")
    shapes = {
        "diffraction": (8, 16, 16, 4),
        "X_full": (8, 16, 16, 4),
        "Y": (8, 16, 16, 4),
        "coords_offsets": (8, 1, 2, 1),
        "coords_relative": (8, 1, 2, 4),
        "coords_start_offsets": (8, 1, 2, 1),
        "coords_start_relative": (8, 1, 2, 4),
        "nn_indices": (8, 4),
        "objectGuess": data.object.shape,
    }
    assert {key: value.shape for key, value in arrays.items()} == shapes
    document = (Path(__file__).parents[2] / "docs" / "ptychopinn.md").read_text()
    for key in shapes:
        assert f"`{key}`" in document
    assert data.grouped("test", patches=False)["Y"] is None


def test_both_twins(data):
    """The mean of the prediction and of the half-turned one, which a half-turn does not change."""
    feed = prepare(data, part="test")
    net = network(feed)
    one, both = predict(net, feed), predict(net, feed, both_twins=True)
    assert both.likelihood == pytest.approx(one.likelihood, rel=0.2)
    assert not np.allclose(one.patches, both.patches, rtol=1e-3)
    single = prepare(data, 1, part="test")
    alone = PtychoNet(16, 1, 16, single.intensity_scale, n_filters_scale=1)
    alone.set_probe(data.probe)
    # One pattern of a real object is its own half-turn, so both twins weigh the same.
    patches = predict(alone, single, both_twins=True).patches
    turned = patches[..., ::-1, ::-1]
    np.testing.assert_allclose(patches, turned, atol=0.05 * np.abs(patches).max())
    probe = data.probe.copy()
    probe[0, 5, 4] *= 1.1
    with pytest.raises(ValueError, match="the probe changes when it is mirrored"):
        predict(net, replace(feed, data=replace(data, probe=probe)), both_twins=True)


# --- recipes ---


def test_recipes(data):
    recipe = RECIPES["full"].adapted(data.scenario, epochs=3, noise="fresh")
    train, test = recipe.feeds(data)
    assert (len(train), len(test)) == (30, 30)
    assert train.augment
    assert (train.noise, test.noise) == ("fresh", "fixed")
    assert recipe.spec.epochs == 3
    assert recipe.spec.batch_size == 4
    assert (
        RECIPES["corrected"].adapted(ptycho_fast.Scenario.preset("gs1_ideal")).spec.batch_size == 8
    )
    published = RECIPES["published"].network(train, test)
    assert published.settings["amplitude_activation"] == "sigmoid"
    largest = max(train.largest_offset, test.largest_offset)
    assert published.canvas == canvas_side(16, largest)


def test_memory():
    net = PtychoNet(64, 2, 120, 1.0, n_filters_scale=2)
    needed = memory_needed((1024, 64, 64), net, 4)
    assert 0.7e9 < needed < 4e9
    assert memory_needed((1024, 64, 64), net, 400) > 5e9
    require_memory(1)
    with pytest.raises(MemoryError, match=r"about 1e\+09 GB needed"):
        require_memory(10**18)
