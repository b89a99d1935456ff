"""What the kernels can count, and what users most often get wrong: checked before the work.

No comparison here lets NaN pass.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.backend import host_arrays
from ptycho_fast.backend.records import Boundary, Exposure, Sink
from ptycho_fast.errors import DataWarning

LARGEST_RATE = 2.0**31  # photons in one pixel; the counts of a larger one might not fit 32 bits
NARROW_LIMIT = 2**16 - 1  # counts that a uint16 holds

_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_LARGEST_SCALE = math.sqrt(_LARGEST_FLOAT32)
_SMALLEST_INTENSITY = 1e-25  # 1e12 times the smallest normal float32: the accuracy that is promised
_SCANNED = 2**18  # pixels of an object that are always checked
_FEW = 64  # patches that are checked one by one
_MANY = 16  # positions that should not all lie within a pixel


def as_scale(value: object) -> float:
    """Intensity scale s: finite, above zero, with a square that float32 holds."""
    scale = checks.positive(value, "scale")
    if not scale <= _LARGEST_SCALE:
        expected = f"at most {_LARGEST_SCALE:.3g}, whose square float32 holds"
        raise ValueError(checks.wrong("scale", value, expected))
    return scale


# --- object and probe ---


def part_under_patches(
    obj: npt.ArrayLike, positions: npt.NDArray[np.float64], N: int, boundary: Boundary = "zero"
) -> tuple[npt.NDArray[np.complex64], float]:
    """The object, checked, and the largest real or imaginary part that a patch can see.

    If the object is much larger than all patches together, only the pixels under the patches are
    checked, so that a small call on a large object stays cheap.
    """
    if (
        not isinstance(obj, np.ndarray)
        or isinstance(obj, np.ma.MaskedArray)
        or obj.dtype != np.complex64
        or not obj.dtype.isnative
        or obj.ndim != 2
        or not (obj.flags.c_contiguous and obj.flags.aligned)
        or obj.size <= max(_SCANNED, 4 * len(positions) * (N + 1) ** 2)
    ):
        return host_arrays.measured_object(obj)
    H, W = obj.shape
    edge = int(boundary == "edge")  # then a patch sees at least the pixels at an edge
    corner = np.floor(positions) - N // 2
    first = np.clip(corner, 0, [W - edge, H - edge]).astype(np.int64)
    last = np.clip(corner + N + 1, edge, [W, H]).astype(np.int64)
    if len(positions) > _FEW:
        first, last = first.min(axis=0)[np.newaxis], last.max(axis=0)[np.newaxis]
    largest = 0.0
    for (left, top), (right, bottom) in zip(first.tolist(), last.tolist(), strict=True):
        here = checks.largest_part(obj[top:bottom, left:right])
        if not math.isfinite(here):
            return host_arrays.measured_object(obj)  # raises, and names the pixel
        largest = max(largest, here)
    return obj, largest


def intensity_bound(exposure: Exposure, largest_part: float) -> float:
    """Largest intensity that a pixel of any pattern may have.

    In the far field of one slice no wave is larger than the sum of the moduli of the exit wave;
    what was propagated has no more than all the energy in one pixel. `largest_part` is the largest
    real or imaginary part of the object, if that is one slice.

    Raises
    ------
    ValueError
        Intensities might overflow float32.

    Warns
    -----
    DataWarning
        All intensities are so small that float32 loses digits of them.
    """
    probe, n = exposure.probe, exposure.probe.shape[-1]
    propagated = len(exposure.object) > 1 or exposure.near is not None
    outside = 1.0 if exposure.boundary == "vacuum" else 0.0
    brightest = max(2 * largest_part**2, outside)  # at most twice too much, and quick
    if propagated:
        brightest = _gain(exposure, brightest, outside)
        waves = n * np.linalg.norm(probe, axis=(1, 2))
    else:
        waves = np.abs(probe).sum(axis=(1, 2), dtype=np.float64)
    if exposure.weights is not None:
        waves = waves * np.abs(exposure.weights).max(axis=0)
        waves[0] += waves[exposure.n_modes :].sum()
    unnormalised = brightest * float((waves[: exposure.n_modes] ** 2).sum())
    if not unnormalised <= _LARGEST_FLOAT32:
        raise ValueError(
            f"obj, probe: far-field intensities up to {unnormalised:.3g} overflow float32, "
            "expected max|obj|**2 * (sum|probe|)**2 below 3.4e38; scale them down"
        )
    bound = unnormalised / n**2
    if 0 < bound < _SMALLEST_INTENSITY:
        warnings.warn(
            f"obj, probe: intensities of at most {bound:.3g} are close to the smallest float32 "
            f"numbers (1.2e-38), expected at least {_SMALLEST_INTENSITY:g}; scale them up",
            DataWarning,
            stacklevel=4,
        )
    return bound if propagated else bound * exposure.bin**2


def _gain(exposure: Exposure, brightest: float, outside: float) -> float:
    """How many times the energy of the probe a wave may have on its way to the detector."""
    gains = [brightest]
    if len(exposure.object) > 1:
        gains = [max(float(np.abs(one).max()) ** 2, outside) for one in exposure.object]
    for transfer, times in ((exposure.between, len(exposure.object) - 1), (exposure.near, 1)):
        if transfer is not None:
            gains += [float(np.abs(transfer).max()) ** 2] * times
    largest = np.prod(np.maximum(gains, 1)) if max(gains) > 1 else np.prod(gains)
    return float(largest) * (1 + 1e-4)  # for rounding


# --- positions ---


def wholly_outside(
    positions: npt.NDArray[np.float64], shape: tuple[int, int], N: int
) -> npt.NDArray[np.bool_]:
    """(B,) bool: whether a patch has no pixel on an object of `shape` (H, W)."""
    corner = positions - N // 2
    H, W = shape
    return np.asarray(((corner <= -N) | (corner >= [W, H])).any(axis=1))


def warn_of_positions(
    positions: npt.NDArray[np.float64],
    shape: tuple[int, int],
    N: int,
    boundary: Boundary = "zero",
) -> None:
    """Warn of positions (B, 2) that are valid but can hardly be meant.

    Warns
    -----
    DataWarning
        Many positions lie within one pixel; or, where it is dark outside the object, patches lie
        wholly outside or the object is smaller than a patch.
    """
    # The smallest and the largest coordinate usually show that all is well.
    near, far = np.minimum.reduce(positions, None), np.maximum.reduce(positions, None)
    dark = boundary == "zero"
    if dark and (near <= N // 2 - N or far >= min(shape) + N // 2):
        _warn_of_dark(positions, shape, N)
    if (
        len(positions) >= _MANY
        and (abs(positions[0] - positions[-1]) < 1).all()
        and (np.ptp(positions, axis=0) < 1).all()
    ):
        _warn(
            f"positions: all {len(positions)} lie within one pixel; expected [x, y] in object "
            "pixels: divide metres by the size of an object pixel"
        )
    if dark and min(shape) < N:
        _warn(f"obj: shape {shape} is smaller than a patch of {N} x {N}; the rest of it is dark")


def _warn_of_dark(positions: npt.NDArray[np.float64], shape: tuple[int, int], N: int) -> None:
    outside = int(wholly_outside(positions, shape, N).sum())
    if outside:
        _warn(
            f"positions: {outside} of {len(positions)} patterns lie wholly outside the object of "
            f"shape {shape} and are dark; positions are [x, y] in object pixels"
        )


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=5)


# --- expected photons ---


def check_given_rates(rates: npt.NDArray[Any]) -> None:
    """Raise ValueError for the first rate that is negative, NaN, infinite or above 2**31."""
    # As unsigned integers, negative numbers (-0 too), NaN and infinity lie above all that is
    # allowed: usually the largest one shows that all is well.
    integer = np.dtype(f"u{rates.itemsize}")
    if rates.view(integer).max() > rates.dtype.type(LARGEST_RATE).view(integer):
        bad = ~((rates >= 0) & (rates <= LARGEST_RATE))
        if bad.any():
            raise _bad_rate("expected", rates, int(np.argmax(bad)))


def check_rates(
    make: Callable[[slice, Sink], None],
    shape: tuple[int, int, int],
    numbers: npt.NDArray[np.int64] | None = None,
) -> None:
    """Raise ValueError if a pixel expects more than 2**31 photons, before anything is written.

    Parameters
    ----------
    make : callable
        ``make(part, sink)`` writes the expected photons of a part of the patterns, which costs as
        much as patterns without photons.
    shape : (B, N, N)
        Of the patterns.
    numbers : (B,) int64, optional
        The patterns' numbers in messages, by default their places.
    """
    B, N, _ = shape
    chunk = max(1, 2**24 // N**2)
    for start in range(0, B, chunk):
        part = slice(start, min(start + chunk, B))
        rates = np.empty((part.stop - start, N, N), np.float32)
        make(part, Sink(rates, "expected"))
        if not rates.max() <= LARGEST_RATE:
            wrong = int(np.argmax(~(rates <= LARGEST_RATE)))
            places = np.arange(B) if numbers is None else numbers
            raise _bad_rate("scale", rates, wrong, places[part])


def _bad_rate(
    argument: str,
    rates: npt.NDArray[Any],
    flat_index: int,
    numbers: npt.NDArray[np.int64] | None = None,
) -> ValueError:
    pattern, row, column = (int(i) for i in np.unravel_index(flat_index, rates.shape))
    rate = rates[pattern, row, column]
    number = pattern if numbers is None else int(numbers[pattern])
    hint = "" if math.isnan(rate) or rate <= LARGEST_RATE else "; lower the dose"
    return ValueError(
        f"{argument}: {rate} expected photons in pattern {number}, pixel (row "
        f"{row}, column {column}), expected a finite number from 0 to 2**31{hint}"
    )
