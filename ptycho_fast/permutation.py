"""Permutations of any length without a table: number by number, from a seed.

A network of Feistel type on pairs (x, y), x below a and y below b, with ``a * b >= n``: each round
adds to one of them a random function of the other, which can be undone, so that pairs are permuted.
A pair whose number is n or more goes through the network again ("cycle walking").

Source: J. Black, P. Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002, sections 4, 5.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.rng import words

LONGEST = 2**62
"""Numbers that can be permuted."""

_ROUNDS = 8
_HALF = np.uint64(32)
_STEP = np.uint64(0x9E3779B97F4A7C15)
# The mixing function of SplitMix64: Steele, Lea, Flood, OOPSLA 2014.
_MIXERS = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (
        np.uint64(27),
        np.uint64(0x94D049BB133111EB),
    ),
)
_LAST_SHIFT = np.uint64(31)

Numbers = npt.NDArray[np.uint64]


class Permutation:
    """A permutation of 0 to n - 1, a pure function of n, seed and epoch.

    Parameters
    ----------
    n : int
        How many numbers, 1 to `LONGEST`.
    seed : int
        0 to 2**64 - 1.
    epoch : int
        Each epoch has its own permutation.

    Raises
    ------
    TypeError, ValueError
        An argument is no integer, or out of range.

    Examples
    --------
    >>> shuffled = Permutation(10**12, seed=1)
    >>> shuffled(np.arange(3))
    array([396566248729, 714934642059, 975131833443])
    >>> sorted(map(int, Permutation(7, seed=1)(np.arange(7))))
    [0, 1, 2, 3, 4, 5, 6]
    """

    def __init__(self, n: int, seed: int, epoch: int = 0) -> None:
        self.n = checks.integer(n, "n", 1, LONGEST)
        epoch = checks.integer(epoch, "epoch", 0, 2**60)
        blocks = words(seed, "pattern_order", np.arange(_ROUNDS // 2) + epoch * (_ROUNDS // 2))
        pairs = blocks.astype(np.uint64).reshape(_ROUNDS, 2)
        self._keys = pairs[:, 0] | (pairs[:, 1] << _HALF)
        self._a = math.isqrt(n - 1) + 1
        self._b = -(-n // self._a)

    def __call__(
        self, numbers: npt.NDArray[np.integer[Any]], tweak: npt.ArrayLike = 0
    ) -> npt.NDArray[np.int64]:
        """Where numbers go.

        Parameters
        ----------
        numbers : (m,) array of integers
            0 to n - 1, which is not checked.
        tweak : int or (m,) array of integers
            Every other one makes another permutation of the same length.

        Returns
        -------
        (m,) int64
            As many different numbers as were given, if they have the same tweak.
        """
        tweaks = np.broadcast_to(_mixed(np.atleast_1d(tweak).astype(np.uint64)), np.shape(numbers))
        found = self._once(np.asarray(numbers).astype(np.uint64), tweaks)
        while (beyond := found >= self.n).any():
            found[beyond] = self._once(found[beyond], tweaks[beyond])
        return found.astype(np.int64)

    def _once(self, numbers: Numbers, tweaks: Numbers) -> Numbers:
        x, y = np.divmod(numbers, np.uint64(self._b))
        for j, key in enumerate(self._keys):
            if j % 2:
                y = self._shifted(y, x, key + tweaks, self._b)
            else:
                x = self._shifted(x, y, key + tweaks, self._a)
        return x * np.uint64(self._b) + y

    @staticmethod
    def _shifted(moved: Numbers, other: Numbers, key: Numbers, size: int) -> Numbers:
        """``moved + f(other) mod size``; the upper 32 bits of a mixed word choose f."""
        chance = _mixed(other + key) >> _HALF
        moved = moved + ((chance * np.uint64(size)) >> _HALF)
        moved[moved >= size] -= np.uint64(size)
        return moved


def _mixed(values: Numbers) -> Numbers:
    """Each bit depends on each bit of the value."""
    values = values * _STEP
    for shift, factor in _MIXERS:
        values = (values ^ (values >> shift)) * factor
    return values ^ (values >> _LAST_SHIFT)
