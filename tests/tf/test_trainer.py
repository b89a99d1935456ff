"""The trainer: the same numbers on every backend, resumed runs, schedules, no NaN."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from networks import SCENARIO, losses, network, trained

import ptycho_fast
from ptycho_fast.tf import LossWeights, Trainer, TrainSpec, prepare

# --- unchanged ---


@pytest.fixture(scope="module")
def training_by():
    """Feed and history of the same training on the data of a backend."""
    done = {}

    def get(name):
        if name not in done:
            feed = prepare(SCENARIO, backend=name, noise="fresh")
            done[name] = feed, losses(trained(feed).history)
        return done[name]

    return get


def test_the_same_training_on_the_data_of_every_backend(training_by, fast_backend):
    """Within 1e-5 of the definition, whose float64 data are rounded only once."""
    (feed, history), (definition, truth) = training_by(fast_backend), training_by("reference")
    assert feed.source.simulator.backend == fast_backend
    assert definition.source.simulator.backend == "reference"
    assert history == [pytest.approx(values, rel=1e-5) for values in truth]


@pytest.mark.native
def test_the_same_training_on_equal_data(training_by):
    """These two backends make the same bits, so all numbers of the training are the same."""
    (feed, history), (other, again) = training_by("native"), training_by("numba")
    np.testing.assert_array_equal(feed.data.counts, other.data.counts)
    assert history == again


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
    with pytest.raises(ValueError, match="epochs: 0 given"):
        TrainSpec(epochs=0)
    net.scaler.log_scale.assign(np.nan)
    with pytest.raises(FloatingPointError, match="loss is nan in epoch 1, step 1"):
        trained(feed, net=net)
