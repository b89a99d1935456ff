"""Layers of the physics-informed network: the intensity scaler and the diffraction experiment.

Letters: G groups, C patterns of a group, N patch side, K side of the window that a head fills,
P side of the canvas that a group is put together on, M probe modes. Fields are carried as real and
imaginary part, ``(G, C, 2, N, N)``, so that all products but the last are of real matrices.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ptycho_fast import checks, scale_report

registered = keras.saving.register_keras_serializable(package="ptycho_fast")


@registered
class IntensityScaler(keras.layers.Layer):
    """Divides by ``exp(w)``; ``w = float32(log(s))`` is a variable shared with the inverse.

    Parameters
    ----------
    scale : float
        The intensity scale s.
    trainable : bool
        Whether an optimiser may change w.
    """

    def __init__(self, scale: float, **options: Any) -> None:
        super().__init__(**options)
        self.scale = checks.positive(scale, "scale")
        self.log_scale = self.add_weight(
            name="log_scale",
            shape=(),
            dtype="float32",
            initializer=keras.initializers.Constant(float(scale_report.log_scale(self.scale))),
        )
        self.built = True

    def factor(self) -> tf.Tensor:
        """``exp(w)`` in the dtype of the computation."""
        return tf.exp(tf.cast(self.log_scale, self.compute_dtype))

    def call(self, amplitude: tf.Tensor) -> tf.Tensor:
        """Scaled amplitude to network input."""
        return amplitude / self.factor()

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the layer again."""
        return {**super().get_config(), "scale": self.scale}


@registered
class IntensityScalerInverse(keras.layers.Layer):
    """Multiplies a simulated intensity by ``exp(w)**2``, the amplitude thus by ``exp(w)``.

    Parameters
    ----------
    scaler : IntensityScaler
        The layer whose variable is shared.
    """

    def __init__(self, scaler: IntensityScaler, **options: Any) -> None:
        super().__init__(**options)
        self.scaler = scaler

    def call(self, intensity: tf.Tensor) -> tf.Tensor:
        """Intensity in units of the network input to scaled intensity."""
        return intensity * self.scaler.factor() ** 2

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the layer again."""
        scaler = keras.saving.serialize_keras_object(self.scaler)
        return {**super().get_config(), "scaler": scaler}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "IntensityScalerInverse":
        """The layer that `get_config` describes."""
        scaler = keras.saving.deserialize_keras_object(config.pop("scaler"))
        return cls(scaler, **config)


def placement(offsets: tf.Tensor, side: int, canvas: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Bilinear weights between patches and the canvas of their group.

    Patch pixel ``k`` lies at canvas coordinate ``k - offset + (canvas - side) / 2``; the weight is
    the hat function of the distance. The same weights put patches onto the canvas and take
    them off.

    Parameters
    ----------
    offsets : (G, 1, 2, C)
        Local offsets ``[x, y]``, the group's mean position minus the pattern's.
    side, canvas : int
        Sides of patch and canvas, both even.

    Returns
    -------
    rows, columns : (G, C, canvas, side)
    """
    at = tf.range(side, dtype=offsets.dtype) + (canvas - side) // 2
    pixel = tf.range(canvas, dtype=offsets.dtype)

    def weights(offset: tf.Tensor) -> tf.Tensor:
        distance = pixel[:, None] - (at - offset[..., None, None])
        return tf.nn.relu(1 - tf.abs(distance))

    return weights(offsets[:, 0, 1]), weights(offsets[:, 0, 0])


def put(patches: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Sum of patches (G, C, T, K, K) on the canvas of their group, (G, T, P, P)."""
    drawn = tf.einsum("gcrk,gctkl->gtrcl", rows, patches)
    return tf.einsum("gtrcl,gcsl->gtrs", drawn, columns)


def take(canvas: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Patches (G, C, T, K, K) of a canvas (G, T, P, P)."""
    cut = tf.einsum("gcrk,gtrs->gctks", rows, canvas)
    return tf.einsum("gctks,gcsl->gctkl", cut, columns)


@registered
class Reassemble(keras.layers.Layer):
    """The windows of a group's patches on one canvas, averaged where they overlap.

    Parameters
    ----------
    canvas : int
        Side P of the canvas.
    """

    def __init__(self, canvas: int, **options: Any) -> None:
        super().__init__(**options)
        self.canvas = canvas

    def call(self, patches: tf.Tensor, offsets: tf.Tensor) -> tf.Tensor:
        """(G, C, 2, K, K) and (G, 1, 2, C) to (G, 2, P, P)."""
        rows, columns = placement(offsets, patches.shape[-1], self.canvas)
        # How often each pixel is covered: a sum over k and l of the same weights.
        covered = tf.einsum("gcr,gcs->grs", tf.reduce_sum(rows, -1), tf.reduce_sum(columns, -1))
        return put(patches, rows, columns) / (covered[:, None] + 0.001)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the layer again."""
        return {**super().get_config(), "canvas": self.canvas}


@registered
class Extract(keras.layers.Layer):
    """Patches at the local offsets of a canvas.

    Parameters
    ----------
    N : int
        Side of the patches.
    """

    def __init__(self, N: int, **options: Any) -> None:
        super().__init__(**options)
        self.N = N

    def call(self, canvas: tf.Tensor, offsets: tf.Tensor) -> tf.Tensor:
        """(G, 2, P, P) and (G, 1, 2, C) to (G, C, 2, N, N)."""
        return take(canvas, *placement(offsets, self.N, canvas.shape[-1]))

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the layer again."""
        return {**super().get_config(), "N": self.N}


def intensity_of(waves: tf.Tensor) -> tf.Tensor:
    """Sum over modes of the squared transforms of waves: (..., M, N, N) complex to (..., N, N)."""
    far_field = tf.signal.fft2d(waves)
    # No modulus: its gradient is not defined in a dark pixel, that of the squares is zero.
    squares = tf.math.real(far_field) ** 2 + tf.math.imag(far_field) ** 2
    return tf.reduce_sum(squares, axis=-3)


@registered
class Diffract(keras.layers.Layer):
    """Far-field intensity of patches under the probe, zero frequency at (N/2, N/2).

    Parameters
    ----------
    modes, N : int
        Number M and side of the probe modes; their values are set by `set_probe`.
    """

    def __init__(self, modes: int, N: int, **options: Any) -> None:
        super().__init__(**options)
        self.modes, self.N = modes, N
        self.probe = self.add_weight(
            name="probe", shape=(2, modes, N, N), initializer="zeros", trainable=False
        )

    def set_probe(self, probe: np.ndarray) -> None:
        """Take over a probe (M, N, N) complex."""
        self.probe.assign(np.stack([probe.real, probe.imag]))

    def shifted(self) -> tf.Tensor:
        """The modes (M, N, N) as `call` uses them, complex."""
        # Unitary, and shifted by half the detector: signs of a checkerboard in real space.
        sign = tf.cast(1 - 2 * (tf.range(self.N) % 2), self.compute_dtype)
        shifted = self.probe * (sign[:, None] * sign / self.N)
        return tf.complex(shifted[0], shifted[1])

    def call(self, patches: tf.Tensor) -> tf.Tensor:
        """(G, C, 2, N, N) to (G, N, N, C)."""
        patch = tf.complex(patches[:, :, 0], patches[:, :, 1])
        return tf.transpose(intensity_of(patch[:, :, None] * self.shifted()), [0, 2, 3, 1])

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the layer again."""
        return {**super().get_config(), "modes": self.modes, "N": self.N}


def root(intensity: tf.Tensor) -> tf.Tensor:
    """Square root whose gradient at zero is zero, not infinite."""
    lit = intensity > 0
    return tf.where(lit, tf.sqrt(tf.where(lit, intensity, 1)), 0)
