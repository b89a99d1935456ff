"""The eight orientations of a square detector: transposed or not, mirrored along x, along y."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

_TOLERANCE = 1e-5  # of the largest modulus


@dataclass(frozen=True)
class Symmetry:
    """Transpose (first), then mirror x, then mirror y; for arrays whose last axes are (y, x)."""

    transpose: bool
    mirror_x: bool
    mirror_y: bool

    def field(self, field: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A real-space field, turned about the middle of its array, index (N - 1) / 2."""
        if self.transpose:
            field = np.swapaxes(field, -1, -2)
        return field[..., :: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]

    def back(self, field: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What `field` turns into its argument."""
        field = field[..., :: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]
        return np.swapaxes(field, -1, -2) if self.transpose else field

    def pattern(self, pattern: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The pattern of the turned field: it turns about N/2, its zero frequency."""
        turned = self.field(pattern)
        if pattern.shape[-1] % 2 == 0:
            turned = np.roll(turned, (int(self.mirror_y), int(self.mirror_x)), axis=(-2, -1))
        return turned

    def offsets(self, offsets: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Local offsets (..., 1, 2, C), ``[x, y]``."""
        x, y = (offsets[..., int(self.transpose ^ axis), :] for axis in (False, True))
        return np.stack([-x if self.mirror_x else x, -y if self.mirror_y else y], axis=-2)

    def group(
        self, patterns: npt.NDArray[Any], offsets: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Patterns (C, N, N) and offsets (1, 2, C) of a group, its channels in order again."""
        patterns, offsets = self.groups(patterns[np.newaxis], offsets[np.newaxis])
        return patterns[0], offsets[0]

    def groups(
        self, patterns: npt.NDArray[Any], offsets: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Patterns (G, C, N, N) and offsets (G, 1, 2, C) of groups, as `group`."""
        patterns, offsets = self.pattern(patterns), self.offsets(offsets)
        order = channel_order(offsets)
        ordered = patterns[np.arange(len(order))[:, np.newaxis], order]
        return ordered, np.take_along_axis(offsets, order[:, np.newaxis, np.newaxis], axis=-1)

    def group_back(self, fields: npt.NDArray[Any], offsets: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Fields (C, N, N) of a turned group, in the channels of the group at `offsets`."""
        found = np.empty_like(fields)
        found[channel_order(self.offsets(offsets))] = self.back(fields)
        return found


SYMMETRIES = tuple(Symmetry(*choice) for choice in product((False, True), repeat=3))
UPRIGHT, HALF_TURN = SYMMETRIES[0], Symmetry(False, True, True)


def channel_order(offsets: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Rows of smaller y first, each by x; offsets (..., 1, 2, C) run against the positions."""
    x, y = (-offsets[..., 0, axis, :] for axis in (0, 1))
    gridsize = round(np.sqrt(x.shape[-1]))
    rows = np.lexsort((x, y))
    x, y = (
        np.take_along_axis(values, rows, axis=-1).reshape(-1, gridsize, gridsize)
        for values in (x, y)
    )
    ordered = np.take_along_axis(rows.reshape(x.shape), np.lexsort((y, x)), axis=-1)
    return ordered.reshape(rows.shape)


def has_twins(probe: npt.NDArray[np.complex64]) -> bool:
    """Whether a patch and its twin, turned by 180 degrees and conjugated, give the same pattern.

    They do if the probe (M, N, N) is its own twin, but for a phase of each mode.

    Examples
    --------
    >>> has_twins(np.ones((1, 8, 8), np.complex64))
    True
    """
    twin = HALF_TURN.field(probe).conj()
    phase = np.exp(1j * np.angle((twin.conj() * probe).sum(axis=(1, 2), keepdims=True)))
    return _same(probe, phase * twin)


def _same(probe: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return float(np.abs(other - probe).max()) <= _TOLERANCE * float(np.abs(probe).max())


def is_symmetric(probe: npt.NDArray[np.complex64]) -> bool:
    """Whether a probe (M, N, N) is the same in all orientations of a square."""
    return all(_same(probe, s.field(probe)) for s in SYMMETRIES)


def require_symmetric(probe: npt.NDArray[np.complex64]) -> None:
    """Raise ValueError unless a probe (M, N, N) is the same in all orientations."""
    if not is_symmetric(probe):
        given = "one that changes when it is mirrored or transposed"
        expected = "one that is symmetric about its middle, for augment and both_twins"
        raise ValueError(checks.wrong("probe", given, expected))
