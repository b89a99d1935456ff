"""Losses: the Poisson likelihood, finite everywhere, and the real-space terms.

Predicted and measured intensity come in the units of the scaled input, ``(s X)**2``; `unit` is
``s**2``, so that losses do not depend on the scale of the data.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

import tensorflow as tf

from ptycho_fast import checks

EPSILON = 1e-8  # intensity, in units of X**2, below which a pixel counts as dark


@tf.custom_gradient
def deviance(measured: tf.Tensor, predicted: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """``I - t - (t + e) log((I + e) / (t + e))``, elementwise; both gradients without cancellation.

    Finite for zero counts, zero predictions and both.
    """
    excess = (predicted - measured) / (measured + EPSILON)  # -1 and more: no intensity is negative
    near = excess > -0.5
    log_ratio = tf.where(
        near,
        tf.math.log1p(tf.where(near, excess, 0)),
        tf.math.log((predicted + EPSILON) / (measured + EPSILON)),
    )
    value = (measured + EPSILON) * (excess - log_ratio)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        wrt_predicted = (predicted - measured) / (predicted + EPSILON)
        return -upstream * log_ratio, upstream * wrt_predicted

    return value, gradient


def poisson_deviance(measured: tf.Tensor, predicted: tf.Tensor, unit: float) -> tf.Tensor:
    """Half the Poisson deviance of a batch over its mean intensity; 0 where all is explained.

    The published likelihood up to constants, without its saturated value, which is more than 99 %
    of that number.
    """
    t, intensity = measured / unit, predicted / unit
    return tf.reduce_mean(deviance(t, intensity)) / (tf.reduce_mean(t) + EPSILON)


def published_likelihood(measured: tf.Tensor, predicted: tf.Tensor, unit: float) -> tf.Tensor:
    """Mean of ``I - t log I`` over all pixels, finite where I is zero; for reports."""
    floor = tf.constant(EPSILON * unit, predicted.dtype)
    return tf.reduce_mean(predicted - measured * tf.math.log(tf.maximum(predicted, floor)))


def saturated_likelihood(measured: tf.Tensor) -> tf.Tensor:
    """The smallest value of `published_likelihood`, at I = t."""
    return tf.reduce_mean(measured - tf.math.xlogy(measured, measured))


def total_variation(field: tf.Tensor) -> tf.Tensor:
    """Mean modulus of the differences of neighbouring pixels of (G, N, N), along x and y."""
    steps = field[:, 1:] - field[:, :-1], field[:, :, 1:] - field[:, :, :-1]
    return sum(tf.reduce_mean(_modulus(step)) for step in steps)


def _modulus(z: tf.Tensor) -> tf.Tensor:
    """Modulus whose gradient at zero is zero."""
    squares = tf.math.real(z) ** 2 + tf.math.imag(z) ** 2
    there = squares > 0
    return tf.where(there, tf.sqrt(tf.where(there, squares, 1)), 0)


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of the loss; a term of weight 0 is not computed.

    Attributes
    ----------
    intensity : float
        Poisson deviance of the predicted intensity.
    amplitude : float
        Mean absolute error of the predicted amplitude, in units of X.
    total_variation : float
        Total variation of the object.
    object : float
        Mean modulus of the difference from the true object; needs a feed with ``truth=True``.
    """

    intensity: float = 1.0
    amplitude: float = 0.0
    total_variation: float = 0.0
    object: float = 0.0

    def __post_init__(self) -> None:
        for weight in fields(self):
            checks.number(getattr(self, weight.name), f"weight of {weight.name}", least=0)
        if not any(asdict(self).values()):
            raise ValueError(checks.wrong("loss weights", "all 0", "one above 0"))


def loss_terms(
    targets: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor], unit: float, weights: LossWeights
) -> dict[str, tf.Tensor]:
    """Weighted terms whose sum is the loss, by the name of their weight."""
    terms: dict[str, tf.Tensor] = {}
    if weights.intensity:
        terms["intensity"] = poisson_deviance(targets["intensity"], outputs["intensity"], unit)
    if weights.amplitude:
        difference = tf.abs(outputs["amplitude"] - targets["amplitude"])
        terms["amplitude"] = tf.reduce_mean(difference) / unit**0.5
    if weights.total_variation:
        terms["total_variation"] = total_variation(outputs["object"])
    if weights.object:
        if "object" not in targets:
            given = "a weight for data without the true object"
            raise ValueError(checks.wrong("weight of object", given, "0, or data with truth=True"))
        terms["object"] = tf.reduce_mean(_modulus(outputs["object"] - targets["object"]))
    return {name: getattr(weights, name) * term for name, term in terms.items()}
