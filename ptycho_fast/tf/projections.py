"""Where a network can begin: the object that explains a group's patterns, by projections."""

from typing import Any

import keras
import tensorflow as tf

from ptycho_fast import checks

from .layers import intensity_of, placement, put, registered, root, take

_DIM = 0.02  # share of the brightest pixel: where the probe is darker, a wave says little
_UNLIT = 1e-3  # weight of an empty object, which is left where no probe has light


@registered
class Projections(keras.layers.Layer):
    """Patches of a group's object from measured amplitudes and the probe, without any weights.

    Every pass gives the far field of each pattern its measured modulus, moves the patch by what the
    wave changed over the probe, and averages the patches of the group on their canvas, weighted by
    the probe's power. This is the ptychographic iterative engine (Maiden and Rodenburg,
    Ultramicroscopy 109, 1256, 2009) with all patterns of a group at once, from an empty object. Of
    one pattern it is error reduction. Gradients end here.

    Parameters
    ----------
    passes : int
        Number of passes, 1 or more.
    canvas : int
        Side P of the canvas of a group.
    """

    def __init__(self, passes: int, canvas: int, **options: Any) -> None:
        super().__init__(**options)
        self.passes, self.canvas = checks.count(passes, "passes"), canvas

    def call(self, amplitude: tf.Tensor, offsets: tf.Tensor, probe: tf.Tensor) -> tf.Tensor:
        """Patches of the object.

        Parameters
        ----------
        amplitude : (G, N, N, C)
            Measured, in units of the network's input.
        offsets : (G, 1, 2, C)
            Local offsets.
        probe : (M, N, N) complex
            Modes, of `Diffract.shifted`.

        Returns
        -------
        (G, C, 2, N, N)
            Real and imaginary part.
        """
        measured = tf.transpose(amplitude, [0, 3, 1, 2])
        power = tf.reduce_sum(tf.abs(probe) ** 2, axis=0)
        brightest = tf.reduce_max(power)
        back = tf.math.conj(probe) / tf.cast(power + _DIM * brightest, probe.dtype)
        weight = tf.broadcast_to(power / brightest, tf.shape(measured))[:, :, None]
        places = placement(offsets, measured.shape[-1], self.canvas)
        # An object of ones everywhere, with a small weight.
        empty = _UNLIT * tf.constant([1.0, 0.0], weight.dtype)[:, None, None]
        covered = put(weight, *places) + _UNLIT
        patches = tf.concat([tf.ones_like(weight), tf.zeros_like(weight)], axis=2)
        for _ in range(self.passes):
            patch = tf.complex(patches[:, :, 0], patches[:, :, 1])
            wave = patch[:, :, None] * probe
            modulus = root(intensity_of(wave))
            factor = tf.math.divide_no_nan(measured, modulus)[:, :, None]
            projected = tf.signal.ifft2d(tf.signal.fft2d(wave) * tf.cast(factor, wave.dtype))
            patch += tf.reduce_sum((projected - wave) * back, axis=2)
            patches = tf.stack([tf.math.real(patch), tf.math.imag(patch)], axis=2)
            mean = (put(patches * weight, *places) + empty) / covered
            patches = take(mean, *places)
        return tf.stop_gradient(patches)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the layer again."""
        return {**super().get_config(), "passes": self.passes, "canvas": self.canvas}
