"""Scans: positions ``(B, 2)`` float64, ``[x, y]`` in object pixels, and their split in halves."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks


class _ScanSpec(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def n_patterns(self) -> int: ...
    @property
    def buffer(self) -> float: ...


def legacy_generator(seed: int) -> np.random.RandomState:
    """Return NumPy's legacy generator, which the published draws of object and scan came from.

    Parameters
    ----------
    seed : int
        Seed, 0 .. 2**32 - 1.

    Returns
    -------
    numpy.random.RandomState
        A fresh generator.

    Raises
    ------
    ValueError
        If the seed is not a whole number in that range.
    """
    if checks.integer(seed, "seed", least=0) >= 2**32:
        raise ValueError(f"seed: {seed} given, expected at most 2**32 - 1")
    return np.random.RandomState(seed)


def random_scan(
    shape: tuple[int, int], n_patterns: int, buffer: float, seed: int
) -> npt.NDArray[np.float64]:
    """Draw positions uniformly over the object, all x first, then all y.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns ``(H, W)`` of the object.
    n_patterns : int
        Number of positions.
    buffer : float
        Margin kept free at every edge, pixels, zero or more.
    seed : int
        Seed of NumPy's legacy generator.

    Returns
    -------
    ndarray, (n_patterns, 2), float64
        ``x`` in ``[buffer, W - buffer)``, ``y`` in ``[buffer, H - buffer)``.

    Raises
    ------
    ValueError
        If `n_patterns` is below 1, `buffer` is negative or leaves no area, or the seed is out of
        range.
    """
    height, width = (checks.count(side, "shape") for side in shape)
    count = checks.count(n_patterns, "n_patterns")
    margin = checks.number(buffer, "buffer")
    if margin < 0 or 2 * margin >= min(height, width):
        raise ValueError(
            f"buffer: {buffer!r} given, expected 0 or more and less than half of the shorter side "
            f"of the object ({height} x {width}), which leaves an area to scan"
        )
    draw = legacy_generator(seed)
    x = draw.uniform(margin, width - margin, count)
    y = draw.uniform(margin, height - margin, count)
    return np.stack([x, y], axis=1)


def split_on_y(
    positions: npt.ArrayLike, train_fraction: float = 0.5
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split a scan by height: smaller y for training, the rest for test.

    Parameters
    ----------
    positions : array, (B, 2)
        ``[x, y]`` in pixels.
    train_fraction : float
        Share of the patterns used for training, 0 to 1; ``int(train_fraction * B)`` of them.

    Returns
    -------
    train, test : ndarray, int64
        Indices of the patterns, each in ascending order of y (stable).

    Raises
    ------
    TypeError
        If the positions are not real numbers.
    ValueError
        If the positions are malformed or the fraction is out of range.
    """
    y = checks.positions(positions)[:, 1]
    fraction = checks.number(train_fraction, "train_fraction")
    if not 0 <= fraction <= 1:
        raise ValueError(f"train_fraction: {train_fraction!r} given, expected a number from 0 to 1")
    order = np.argsort(y, kind="stable").astype(np.int64, copy=False)
    count = int(fraction * len(y))
    return order[:count], order[count:]


def make_scan(spec: _ScanSpec, shape: tuple[int, int], seed: int) -> npt.NDArray[np.float64]:
    """Make the scan a scenario describes.

    Parameters
    ----------
    spec : object with attributes ``kind``, ``n_patterns``, ``buffer``
        ``kind`` is ``"random"``.
    shape : (int, int)
        Rows and columns of the object.
    seed : int
        Seed of the draw.

    Returns
    -------
    ndarray, (n_patterns, 2), float64
        Positions ``[x, y]``.

    Raises
    ------
    ValueError
        For an unknown kind, and as `random_scan`.
    """
    if spec.kind == "random":
        return random_scan(shape, spec.n_patterns, spec.buffer, seed)
    raise ValueError(f"scan.kind: {spec.kind!r} given, expected 'random'")
