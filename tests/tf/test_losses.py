"""The loss: right, finite everywhere, and differentiated right."""

import numpy as np
import pytest
import tensorflow as tf

from ptycho_fast.tf.losses import (
    EPSILON,
    LossWeights,
    loss_terms,
    poisson_deviance,
    published_likelihood,
    saturated_likelihood,
    total_variation,
)

# Dark and lit pixels, measured and predicted, in every combination.
LEVELS = [0.0, 1e-9, 1e-3, 1.0, 700.0]


def deviance(t, intensity, dtype="float64", unit=1.0):
    return poisson_deviance(tf.constant(t, dtype), tf.constant(intensity, dtype), unit)


@pytest.mark.parametrize("t", LEVELS)
@pytest.mark.parametrize("intensity", LEVELS)
def test_value_and_gradients(t, intensity):
    """Against the formula, and both derivatives against differences; beside a lit pixel."""
    rest_t, rest_i = 2.0, 3.0

    def by_hand(t, i):
        pairs = np.array([(t, i), (rest_t, rest_i)], np.longdouble)
        t, i = pairs.T
        e = np.longdouble(EPSILON)
        return (i - t - (t + e) * np.log((i + e) / (t + e))).mean() / (t.mean() + e)

    with tf.GradientTape(persistent=True) as tape:
        measured, predicted = (
            tf.constant(pair, "float64") for pair in ((t, rest_t), (intensity, rest_i))
        )
        tape.watch([measured, predicted])
        value = poisson_deviance(measured, predicted, 1.0)
    assert float(value) == pytest.approx(float(by_hand(t, intensity)), rel=1e-9, abs=1e-15)
    for n, variable in enumerate((measured, predicted)):
        gradient = float(tape.gradient(value, variable)[0])
        h = np.longdouble(1e-5) * ((t, intensity)[n] + EPSILON)
        at = [np.longdouble(t), np.longdouble(intensity)]
        up, down = list(at), list(at)
        up[n] += h
        down[n] -= h
        difference = float((by_hand(*up) - by_hand(*down)) / (2 * h))
        assert gradient == pytest.approx(difference, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_never_nan(dtype):
    """Zero counts, zero predictions, empty patterns and empty batches."""
    grids = np.meshgrid([0.0, 1e-30, 1e-8, 1.0, 1e4], [0.0, 1e-30, 1e-8, 1.0, 1e4])
    for t, intensity in (grids, (np.zeros(4), np.zeros(4)), (np.zeros(4), np.ones(4))):
        with tf.GradientTape() as tape:
            predicted = tf.constant(intensity, dtype)
            tape.watch(predicted)
            value = poisson_deviance(tf.constant(t, dtype), predicted, 1.0)
        assert np.isfinite(value)
        assert np.isfinite(tape.gradient(value, predicted)).all()
        assert np.isfinite(published_likelihood(tf.constant(t, dtype), predicted, 1.0))
        assert np.isfinite(saturated_likelihood(tf.constant(t, dtype)))


def test_deviance_does_not_depend_on_the_unit():
    rng = np.random.default_rng(0)
    t, intensity = rng.poisson(2.0, 50), rng.random(50)
    scaled = deviance(t * 9.0, intensity * 9.0, unit=9.0)
    assert float(scaled) == pytest.approx(float(deviance(t, intensity)), rel=1e-12)
    assert float(deviance(t, t)) == 0


def test_deviance_is_the_likelihood_above_its_saturated_value():
    rng = np.random.default_rng(0)
    t, intensity = rng.poisson(2.0, 500) + 1.0, rng.random(500) + 1.0
    above = published_likelihood(tf.constant(t), tf.constant(intensity), 1.0)
    above -= saturated_likelihood(tf.constant(t))
    assert float(deviance(t, intensity)) == pytest.approx(float(above) / t.mean(), rel=1e-6)


def test_published_likelihood():
    t, intensity = np.array([3.0, 0.0, 2.0]), np.array([2.0, 1.0, 5.0])
    by_hand = (intensity - t * np.log(intensity)).mean()
    assert float(published_likelihood(tf.constant(t), tf.constant(intensity), 1.0)) == by_hand


def test_terms_and_weights():
    one = tf.ones((2, 4, 4, 1))
    field = tf.constant(np.tile(np.arange(4) * (3 + 4j), (2, 4, 1)), tf.complex64)
    outputs = {"intensity": one, "amplitude": 3 * one, "object": field}
    targets = {"intensity": one, "amplitude": one, "object": field + (3 - 4j)}
    weights = LossWeights(intensity=1, amplitude=2, total_variation=3, object=4)
    terms = loss_terms(targets, outputs, 4.0, weights)
    assert {name: float(term) for name, term in terms.items()} == {
        "intensity": 0.0,
        "amplitude": 2 * (2 / 2),
        "total_variation": 15.0,
        "object": 20.0,
    }
    assert list(loss_terms(targets, outputs, 4.0, LossWeights())) == ["intensity"]
    assert float(total_variation(field)) == 5.0


def test_real_space_gradients_at_zero():
    with tf.GradientTape() as tape:
        parts = tf.zeros((2, 2, 4, 4))
        tape.watch(parts)
        field = tf.complex(parts[0], parts[1])
        loss = total_variation(field)
    assert (tape.gradient(loss, parts).numpy() == 0).all()


def test_wrong_weights():
    with pytest.raises(ValueError, match="weight of amplitude: -1"):
        LossWeights(amplitude=-1)
    with pytest.raises(ValueError, match="loss weights: all 0 given"):
        LossWeights(intensity=0)
    with pytest.raises(ValueError, match="expected 0, or data with truth=True"):
        loss_terms({}, {}, 1.0, LossWeights(intensity=0, object=1))
