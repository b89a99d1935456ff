"""Descent along the gradient of all patterns together, with a memory of how it changed.

The L-BFGS method: Nocedal, Mathematics of Computation 35 (1980) 773. It is asked where to look and
told what is there, so that whoever calls it decides when, and can stop after any look.
"""

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.complexfloating[Any, Any]]

_PAIRS = 5  # changes that are remembered
_ENOUGH = 1e-4  # of the fall that the slope promises (Armijo)
_SHORTEST = 1e-4  # part of a step after which no point is lower


class QuasiNewton:
    """Looks for the smallest value of a function of complex numbers.

    Parameters
    ----------
    start : (n,) complex
        Where to begin.
    follows : (n,) float
        How far each number goes for a gradient of 1: about the inverse of its curvature. What has a
        0 stays as it is.

    Attributes
    ----------
    point : (n,) complex
        Where to look next.
    step : float
        Length of the step to it; 1 is that of Newton.
    settled : bool
        Nothing lower was found, to the last digits.

    Examples
    --------
    >>> aim = np.array([1 + 2j, 3j])
    >>> descent = QuasiNewton(np.zeros(2, complex), np.full(2, 0.1))
    >>> for _ in range(9):
    ...     off = descent.point - aim
    ...     descent.tell(float(np.square(np.abs(off)).sum()), 2 * off)
    >>> bool(np.allclose(descent.point, aim))
    True
    """

    def __init__(self, start: Vector, follows: npt.NDArray[np.floating[Any]]) -> None:
        self.point = start
        self.step = 0.0
        self.settled = False
        self._follows = follows
        self._pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=_PAIRS)
        self._here: tuple[Vector, float, Vector] | None = None

    def tell(self, value: float, gradient: Vector) -> None:
        """Say what is at `point`, which moves on.

        Parameters
        ----------
        value : float
            The function; not finite is higher than all.
        gradient : (n,) complex
            Derivative by the real part, plus i times that by the imaginary part.
        """
        if self._here is not None:
            point, before, slope_there = self._here
            if not value <= before + _ENOUGH * self.step * self._slope:
                self._shorten(value - before)
                return
            moved, turned = self.point - point, gradient - slope_there
            curvature = dot(moved, turned)
            if curvature > 0:
                self._pairs.append((moved, turned, curvature))
        self._here = self.point, value, gradient
        self._aim(gradient)

    def _aim(self, gradient: Vector) -> None:
        """Set out from here in the direction that the memory advises."""
        self._direction = -self._inverse(gradient)
        self._slope = dot(self._direction, gradient)
        self._go(1.0)

    def _shorten(self, rise: float) -> None:
        """Go less far, to the bottom of the parabola through both ends."""
        # Along the way the function begins with the slope.
        bend = 2 * (rise - self.step * self._slope)
        part = -self.step * self._slope / bend if np.isfinite(bend) and bend > 0 else 0.0
        step = self.step * min(max(part, 0.1), 0.5)
        if step > _SHORTEST:
            self._go(step)
        elif self._pairs and self._here is not None:
            self._pairs.clear()
            self._aim(self._here[2])
        else:
            self.settled = True

    def _go(self, step: float) -> None:
        assert self._here is not None
        self.step = step
        self.point = self._here[0] + self._direction.dtype.type(step) * self._direction

    def _inverse(self, gradient: Vector) -> Vector:
        """The gradient times the inverse of the remembered curvature."""
        rest, parts = gradient, []
        for moved, turned, curvature in reversed(self._pairs):
            part = dot(moved, rest) / curvature
            rest = rest - rest.dtype.type(part) * turned
            parts.append(part)
        found = self._follows * rest
        if self._pairs:
            _, turned, curvature = self._pairs[-1]
            found = found * found.dtype.type(curvature / dot(turned, self._follows * turned))
        for (moved, turned, curvature), part in zip(self._pairs, reversed(parts), strict=True):
            found = found + found.dtype.type(part - dot(turned, found) / curvature) * moved
        return found


def dot(a: Vector, b: Vector) -> float:
    """Scalar product of complex vectors as real ones of twice the length."""
    return float((a.real * b.real + a.imag * b.imag).sum(dtype=np.float64))
