"""The first object of a group by projections, and the U-net that corrects it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks import SCENARIO, losses, network, trained

from ptycho_fast.data.feed import Feed
from ptycho_fast.tf import prepare
from ptycho_fast.tf.corrector import Corrector
from ptycho_fast.tf.layers import placement
from ptycho_fast.tf.model import PtychoNet, load_model
from ptycho_fast.tf.projections import Projections
from ptycho_fast.tf.recipes import RECIPES


def complex_of(patches):
    return patches[:, :, 0] + 1j * patches[:, :, 1]


def plain(measured, offsets, probe, passes, P):
    """The same in complex128 NumPy, pattern by pattern: (C, N, N) of one group."""
    C, N = measured.shape[:2]
    rows, columns = (w.numpy()[0] for w in placement(tf.constant(offsets[None]), N, P))
    power = np.square(np.abs(probe)).sum(0)
    back = probe.conj() / (power + 0.02 * power.max())
    weight = power / power.max()
    patches = np.ones((C, N, N), complex)
    for _ in range(passes):
        total, covered = np.full((P, P), 1e-3, complex), np.full((P, P), 1e-3)
        for c in range(C):
            wave = probe * patches[c]
            far = np.fft.fft2(wave)
            modulus = np.sqrt(np.square(np.abs(far)).sum(0))
            projected = np.fft.ifft2(far * measured[c] / modulus)
            patches[c] += ((projected - wave) * back).sum(0)
            total += rows[c] @ (patches[c] * weight) @ columns[c].T
            covered += rows[c] @ weight @ columns[c].T
        mean = total / covered
        patches = np.stack([rows[c].T @ mean @ columns[c] for c in range(C)])
    return patches


@pytest.mark.parametrize("passes", [1, 5])
def test_as_in_numpy(passes):
    rng = np.random.default_rng(8)
    N, P = 16, 28
    amplitude = rng.random((2, N, N, 4))
    offsets = rng.uniform(-5, 5, (2, 1, 2, 4))
    probe = rng.normal(size=(3, N, N, 2)) @ [1, 1j]
    layer = Projections(passes, P, dtype="float64")
    found = complex_of(layer(amplitude, offsets, tf.constant(probe)).numpy())
    for g in range(2):
        measured = np.moveaxis(amplitude[g], -1, 0)
        truth = plain(measured, offsets[g], probe, passes, P)
        np.testing.assert_allclose(found[g], truth, atol=1e-9 * np.abs(truth).max())


@pytest.fixture(scope="module")
def feed():
    """Groups whose patterns overlap much, of a probe without symmetry, without photon noise."""
    dense = {
        "object.size": 120,
        "scan.n_patterns": 300,
        "noise": False,
        "probe.curvature": 8.0,
        "N": 32,
    }
    return prepare(SCENARIO.replace(dense), part="test", n_groups=40, include_seed=True)


def found(feed, passes):
    """How far off lit amplitudes are, and the misfit, of what projections alone give for a feed."""
    net = network(feed, projections=passes)
    (amplitude, offsets), _ = next(iter(feed.epoch(0, 40, shuffle=False)))
    amplitude = net.scaler(amplitude)
    patches = net.projections(amplitude, offsets, net.diffract.shifted())
    measured = net.diffract(patches).numpy()
    power = np.square(np.abs(feed.data.probe)).sum(axis=0)
    error = np.square(np.abs(complex_of(patches.numpy())) - np.abs(feed.true_patches())) * power
    truth = np.square(np.abs(feed.true_patches())) * power
    misfit = np.square(np.sqrt(measured) - amplitude).sum() / np.square(amplitude).sum()
    return np.sqrt(error.sum() / truth.sum()), float(misfit)


def test_more_passes_find_more(feed):
    results = [found(feed, passes) for passes in (1, 4, 30)]
    error, misfit = zip(*results, strict=True)
    assert error[0] > error[1] > error[2]
    assert misfit[0] > misfit[1] > misfit[2]
    assert error[2] < 0.03, results


def test_dark_and_empty_patterns_stay_finite():
    probe = tf.complex(*tf.unstack(tf.random.stateless_normal((2, 1, 16, 16), (1, 2))))
    for amplitude in (np.zeros((1, 16, 16, 4), "float32"), np.eye(16, dtype="f4")[None, ..., None]):
        channels = amplitude.shape[-1]
        patches = Projections(3, 16)(amplitude, np.zeros((1, 1, 2, channels), "f4"), probe)
        assert np.isfinite(patches).all()


def test_no_light_no_change():
    """Where the probe is dark, the object stays empty."""
    N, probe = 16, np.zeros((1, 16, 16), "complex64")
    probe[0, 6:11, 6:11] = 1
    amplitude = np.random.default_rng(1).random((1, N, N, 1)).astype("float32")
    patches = Projections(2, N)(amplitude, np.zeros((1, 1, 2, 1), "float32"), probe).numpy()
    dark = np.abs(probe[0]) == 0
    np.testing.assert_allclose(complex_of(patches)[0, 0][dark], 1, atol=1e-6)


# --- the U-net ---


@pytest.mark.parametrize("side", [8, 16, 24, 32])
def test_begins_without_correction(side):
    corrector = Corrector(4, 8, seed=1)
    patches = np.random.default_rng(2).normal(size=(3, 4, 2, side, side)).astype("float32")
    np.testing.assert_array_equal(corrector(patches), patches)
    assert corrector.map_values() > 2 * 8 * side**2 - 1
    again, other = Corrector(4, 8, seed=1), Corrector(4, 8, seed=2)
    for layer in (again, other):
        layer.build((None, 4, 2, side, side))
    for a, b, c in zip(corrector.weights, again.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert "kernel" not in a.path or np.ptp(a) == 0 or not np.array_equal(a, c)


def test_gradients_of_the_correction_match_differences():
    """In float64, from the weights to the loss of the whole network."""
    rng = np.random.default_rng(9)
    net = PtychoNet(16, 2, 28, 50.0, n_filters_scale=1, projections=2, dtype="float64")
    net.set_probe(rng.normal(size=(1, 16, 16, 2)) @ [1, 1j])
    amplitude = 50 * rng.random((2, 16, 16, 4))
    offsets = rng.uniform(-5, 5, (2, 1, 2, 4))
    last = net.corrector.last.kernel
    last.assign(0.01 * rng.normal(size=last.shape))

    def loss():
        outputs = net((amplitude, offsets))
        return net.compute_loss(y={"intensity": amplitude**2}, y_pred=outputs)

    variables = net.trainable_variables
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, variables)
    assert all(gradient is not None for gradient in gradients)
    for _ in range(3):
        steps = [1e-6 * rng.normal(size=v.shape) for v in variables]
        expected = sum(float(tf.reduce_sum(g * s)) for g, s in zip(gradients, steps, strict=True))
        sides = []
        for sign in (1, -2):
            for variable, step in zip(variables, steps, strict=True):
                variable.assign_add(sign * step)
            sides.append(float(loss()))
        for variable, step in zip(variables, steps, strict=True):
            variable.assign_add(step)
        assert expected == pytest.approx((sides[0] - sides[1]) / 2, rel=1e-4, abs=1e-12)


def test_saved_trained_and_goes_on(tmp_path):
    feed = prepare(SCENARIO)
    whole = trained(feed, net=network(feed, projections=2), epochs=3)
    assert whole.history[-1]["loss"] < whole.history[0]["loss"]
    part = trained(feed, tmp_path, net=network(feed, projections=2), epochs=2)
    again = type(part).resume(tmp_path, epochs=3)
    again.train(feed)
    assert losses(again.history) == losses(whole.history)
    loaded = load_model(next(tmp_path.glob("model-*.keras")))
    assert loaded.settings["projections"] == 2
    assert isinstance(loaded.corrector, Corrector)
    assert keras.saving.get_registered_name(Projections).startswith("ptycho_fast")


def test_a_window_is_needed():
    with pytest.raises(ValueError, match="probe_big: True given, expected False with projections"):
        PtychoNet(16, 1, 16, 1.0, projections=1, probe_big=True)
    with pytest.raises(ValueError, match="projections: -1"):
        PtychoNet(16, 1, 16, 1.0, projections=-1)


def test_recipe_shows_true_objects_of_the_stream():
    recipe = RECIPES["endless"].adapted(SCENARIO, projections=3, object_loss=0.5)
    train, test = recipe.feeds(SCENARIO)
    assert isinstance(train, Feed)
    assert train.truth
    assert not test.truth
    assert recipe.network(train, test).settings["projections"] == 3
    assert recipe.spec.weights.object == 0.5
    alone = RECIPES["endless"].adapted(SCENARIO, object_loss=0.0)
    assert not alone.feeds(SCENARIO)[0].truth
