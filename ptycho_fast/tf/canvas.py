"""The object of a whole scan on one canvas: patches of any patterns, and their diffraction.

Letters: n patterns of a batch, S sub-exposures, M probe modes, K side of what is cut out, H and W
of the object. The same bilinear hat functions as `layers.placement`; here a patch is gathered from
the few pixels that it touches, since a scan is much larger than the canvas of a group.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .layers import intensity_of

_DARK = 1e-9  # share of the brightest pixel of a probe: what is darker is not cut out
_FILL = {"zero": 0.0, "vacuum": 1.0, "edge": 0.0}


def support(probe: npt.NDArray[np.complexfloating[Any, Any]]) -> int:
    """Side of the centred square that holds all light of a probe (M, N, N).

    Examples
    --------
    >>> probe = np.zeros((1, 16, 16), np.complex64)
    >>> probe[0, 6:11, 7:10] = 1
    >>> support(probe)
    6
    """
    N = probe.shape[-1]
    power = np.square(np.abs(probe), dtype=np.float64).sum(axis=0)
    lit = np.argwhere(power > _DARK * power.max()) - N // 2
    # The square has its middle at (K/2, K/2), as patches have.
    reach = int(max(-lit.min(), lit.max() + 1))
    return N if 2 * reach >= N else 2 * reach


@dataclass(frozen=True)
class Batch:
    """What a batch of patterns needs besides its photons.

    Attributes
    ----------
    corner : (n, S, 2) int32
        Row and column of the canvas where each window begins.
    fraction : (n, S, 2) float32
        How much of a pixel further it really begins.
    weights : (n, M + E) float32
        Factor of each mode and eigenprobe.
    factor : (n,) float32
        Dose in units of the common one.
    """

    corner: Any
    fraction: Any
    weights: Any
    factor: Any

    @property
    def arrays(self) -> tuple[Any, ...]:
        """In the order in which `ScanCanvas.intensity` takes them."""
        return self.corner, self.fraction, self.weights, self.factor


class ScanCanvas:
    """Where patterns lie on the canvas of a scan, and what they see of it.

    Parameters
    ----------
    shape : (int, int)
        H and W of the object.
    positions : (B, S, 2) float64
        True ``[x, y]`` of all sub-exposures.
    N, K : int
        Side of a pattern, and of the square around the probe that is cut out.
    modes : int
        Number of probe modes; further planes are eigenprobes, added to the first.
    weights : (B, M + E) float32
        Factors of the planes.
    factors : (B,) float64
        Doses of the patterns in units of the common one.
    boundary : {"zero", "vacuum", "edge"}
        What is beyond the object.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        positions: npt.NDArray[np.float64],
        *,
        N: int,
        K: int,
        modes: int,
        weights: npt.NDArray[np.float32],
        factors: npt.NDArray[np.float64],
        boundary: str = "zero",
    ) -> None:
        self.shape, self.N, self.K, self.modes = shape, N, K, modes
        self._weights, self._factors = weights, factors
        # Beyond an "edge" the nearest pixel goes on; else a margin that never changes.
        self._margin = 0 if boundary == "edge" else K + 1
        self._fill = _FILL[boundary]
        self.side = tuple(length + 2 * self._margin for length in shape)
        first = positions[..., ::-1] - (K // 2) + self._margin
        # Windows that are completely outside are equal, however far away they are.
        first = np.clip(first, -(K + 1) + self._margin, np.array(self.side) - self._margin)
        self._corner = np.floor(first).astype(np.int32)
        self._fraction = (first - self._corner).astype(np.float32)

    def cut(self, planes: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The square (..., K, K) that is cut out of probe planes (..., N, N)."""
        first = self.N // 2 - self.K // 2
        here = slice(first, first + self.K)
        return planes[..., here, here]

    def uncut(self, planes: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Probe planes (..., N, N) with zeros around the square."""
        first = self.N // 2 - self.K // 2
        after = self.N - self.K - first
        return np.pad(planes, [(0, 0)] * (planes.ndim - 2) + [(first, after)] * 2)

    def laid(self, obj: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The object (H, W) with its margin, flat."""
        return np.pad(obj, self._margin, constant_values=self._fill).ravel()

    def lifted(self, canvas: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The object (H, W) of a flat canvas."""
        (H, W), m = self.shape, self._margin
        return canvas.reshape(self.side)[m : m + H, m : m + W]

    def inside(self) -> npt.NDArray[np.bool_]:
        """Which pixels of the flat canvas belong to the object."""
        return np.pad(np.ones(self.shape, bool), self._margin).ravel()

    def batch(self, numbers: npt.NDArray[np.int64]) -> Batch:
        """What is needed of some patterns."""
        return Batch(
            self._corner[numbers],
            self._fraction[numbers],
            self._weights[numbers],
            self._factors[numbers].astype(np.float32),
        )

    # --- in graphs ---

    @property
    def signature(self) -> list[tf.TensorSpec]:
        """Shapes and types of the arrays of a batch of any size."""
        places = (None, *self._corner.shape[1:])
        planes = (None, self._weights.shape[1])
        return [
            tf.TensorSpec(places, tf.int32),
            tf.TensorSpec(places, tf.float32),
            tf.TensorSpec(planes, tf.float32),
            tf.TensorSpec((None,), tf.float32),
        ]

    def patches(self, canvas: tf.Tensor, corner: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
        """Patches (n, S, K, K) of a flat canvas, real or complex."""
        reach = tf.range(self.K + 1)
        rows = corner[..., 0, None] + reach
        columns = corner[..., 1, None] + reach
        rows = tf.clip_by_value(rows, 0, self.side[0] - 1)
        columns = tf.clip_by_value(columns, 0, self.side[1] - 1)
        tap = tf.gather(canvas, rows[..., :, None] * self.side[1] + columns[..., None, :])
        v, u = (tf.cast(fraction[..., axis, None, None], canvas.dtype) for axis in (0, 1))
        tap = (1 - u) * tap[..., :-1] + u * tap[..., 1:]
        return (1 - v) * tap[..., :-1, :] + v * tap[..., 1:, :]

    def intensity(
        self,
        canvas: tf.Tensor,
        planes: tf.Tensor,
        corner: tf.Tensor,
        fraction: tf.Tensor,
        weights: tf.Tensor,
        factor: tf.Tensor,
    ) -> tf.Tensor:
        """Intensity (n, N, N) before dose, zero frequency at (0, 0).

        Parameters
        ----------
        canvas : (pixels,) complex64
            The flat canvas.
        planes : (M + E, K, K) complex64
            The cut probe modes, then eigenprobes.
        corner, fraction, weights, factor
            Of a `Batch`.
        """
        light = planes * tf.cast(weights[:, :, None, None] / self.N, planes.dtype)
        modes = light[:, : self.modes]
        if planes.shape[0] > self.modes:
            more = tf.reduce_sum(light[:, self.modes :], axis=1, keepdims=True)
            modes = tf.concat([modes[:, :1] + more, modes[:, 1:]], axis=1)
        waves = self.patches(canvas, corner, fraction)[:, :, None] * modes[:, None]
        # Where in N x N a wave stands makes no difference to its intensity.
        rest = [0, self.N - self.K]
        waves = tf.pad(waves, [[0, 0]] * 3 + [rest, rest])
        mean = tf.reduce_mean(intensity_of(waves), axis=1)
        return mean * tf.cast(factor[:, None, None], mean.dtype)
