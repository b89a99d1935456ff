"""The one validator: what users give is checked here, with one grammar of messages.

Every message reads ``argument: what was given, what was expected``. A value of the wrong kind
raises TypeError, a value out of range ValueError. No comparison here lets NaN pass.
"""

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

LARGEST_SEED = 2**64 - 1


def wrong(name: str, given: object, expected: str) -> str:
    """The message about an argument.

    Parameters
    ----------
    name : str
        Name of the argument.
    given : object
        What was given, already as text or as a value.
    expected : str
        What is allowed, in words.
    """
    return f"{name}: {given} given, expected {expected}"


# --- single values ---


def _range(least: float | None, above: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f"{least} to {most}"
    parts = ((">=", least), (">", above), ("<=", most))
    return " and ".join(f"{sign} {bound}" for sign, bound in parts if bound is not None)


def _inside(value: float, least: float | None, above: float | None, most: float | None) -> bool:
    return (
        (least is None or value >= least)
        and (above is None or value > above)
        and (most is None or value <= most)
    )


def integer(value: object, name: str, least: int | None = None, most: int | None = None) -> int:
    """An integer from `least` to `most`; NumPy's integers are allowed, booleans are not.

    Raises
    ------
    TypeError
        The value is not an integer.
    ValueError
        It is out of range.
    """
    if type(value) is int:
        number = value
    elif isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(wrong(name, repr(value), "an integer"))
    else:
        number = int(value)
    if not _inside(number, least, None, most):
        raise ValueError(wrong(name, number, _range(least, None, most)))
    return number


def count(value: object, name: str) -> int:
    """An integer of at least 1; see `integer`."""
    return integer(value, name, 1)


def number(
    value: object,
    name: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
) -> float:
    """A finite number of the range, as float.

    Raises
    ------
    TypeError
        The value is not a real number.
    ValueError
        It is not finite, or out of range.
    """
    if type(value) is not float and (
        isinstance(value, bool | np.bool_) or not isinstance(value, Real)
    ):
        raise TypeError(wrong(name, repr(value), "a number"))
    try:
        as_float = float(value)
    except OverflowError:
        as_float = math.inf
    if not (math.isfinite(as_float) and _inside(as_float, least, above, most)):
        expected = f"a finite number {_range(least, above, most)}".rstrip()
        raise ValueError(wrong(name, value, expected))
    return as_float


def positive(value: object, name: str) -> float:
    """A finite number above zero; see `number`."""
    return number(value, name, above=0)


def choice(value: object, name: str, allowed: Collection[str]) -> str:
    """One of some words.

    Raises
    ------
    ValueError
        It is none of them.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(wrong(name, repr(value), f"one of {', '.join(allowed)}"))
    return value


def seed(value: object, name: str = "seed") -> int:
    """A seed: an unsigned integer of 64 bits."""
    return integer(value, name, 0, LARGEST_SEED)


# --- arrays ---


def described(array: npt.NDArray[Any]) -> str:
    """What an array is, in a message."""
    return f"{array.dtype} array of shape {array.shape}"


def array(value: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Any array-like as a NumPy array.

    Raises
    ------
    TypeError
        It is a masked array, or nothing that can be an array of numbers.
    ValueError
        Its rows have different lengths.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(wrong(name, "a masked array", "a plain array; .filled(0) makes one"))
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(wrong(name, f"rows of different lengths ({error})", "an array")) from None
    except Exception as error:  # a container may raise anything while it is converted
        kind = type(value).__name__
        raise TypeError(wrong(name, f"{kind} ({error})", "an array of numbers")) from None


def plain(given: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The array in `dtype`, C-contiguous and aligned; a copy is made only if one is needed."""
    flags = given.flags
    if given.dtype == dtype and flags.c_contiguous and flags.aligned:
        return given
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(given, dtype)
    return converted if converted.flags.aligned else converted.copy()


def largest_part(values: npt.NDArray[Any]) -> float:
    """Largest modulus among the real (and imaginary) parts; NaN or infinity if there is one."""
    if values.size == 0:
        return 0.0
    run = values if values.flags.c_contiguous else np.ascontiguousarray(values)
    run = run.reshape(-1)
    if run.dtype.kind == "c":
        run = run.view(f"f{run.itemsize // 2}" if run.dtype.isnative else run.real.dtype)
    # The ufuncs themselves: for small arrays the methods around them cost more than the work.
    smallest, largest = np.minimum.reduce(run), np.maximum.reduce(run)
    return max(-float(smallest), float(largest))  # if one is NaN, so is the other


def floating(
    value: npt.ArrayLike, name: str, dtype: npt.DTypeLike, *, integers: bool = False
) -> npt.NDArray[Any]:
    """C-contiguous, aligned, finite array of `dtype`; a copy is made only if one is needed.

    Raises
    ------
    TypeError, ValueError
        As `measured`.
    """
    return measured(value, name, dtype, integers=integers)[0]


def measured(
    value: npt.ArrayLike, name: str, dtype: npt.DTypeLike, *, integers: bool = False
) -> tuple[npt.NDArray[Any], float]:
    """C-contiguous, aligned, finite array of `dtype` and its `largest_part`, in one pass over it.

    Raises
    ------
    TypeError
        The numbers are of another kind: not floating point (or integers, if allowed), or complex
        if real ones are expected.
    ValueError
        NaN or infinity, or a finite number that `dtype` cannot hold.
    """
    dtype = np.dtype(dtype)
    given = array(value, name)
    kinds = "f" + ("c" if dtype.kind == "c" else "") + ("iu" if integers else "")
    if given.dtype.kind not in kinds:
        wider = "complex128" if dtype.kind == "c" else "float64"
        raise TypeError(wrong(name, described(given), f"{dtype} (or {wider})"))
    largest = largest_part(given)
    if not math.isfinite(largest):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(given))[0])
        raise ValueError(f"{name}: {given[where]} at index {where}, expected finite numbers")
    converted = plain(given, dtype)
    if converted is not given and not math.isfinite(largest := largest_part(converted)):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(converted))[0])
        raise ValueError(f"{name}: {given[where]} at index {where} overflows {dtype}")
    return converted, largest


def positions(value: npt.ArrayLike, name: str = "positions") -> npt.NDArray[np.float64]:
    """Positions (B, 2) float64, ``[x, y]`` in object pixels, at least one.

    Raises
    ------
    TypeError, ValueError
        As `measured`, or the shape is another.
    """
    xy = floating(value, name, np.float64, integers=True)
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise ValueError(wrong(name, f"shape {xy.shape}", "(B, 2) of [x, y]"))
    if xy.shape[0] == 0:
        raise ValueError(wrong(name, "no position", "at least one"))
    return xy


def pattern_numbers(value: object, name: str, count: int) -> npt.NDArray[np.uint64]:
    """Pattern numbers (count,) uint64: given one by one, or the first of a run of them.

    Parameters
    ----------
    value : int or (count,) array of integers
        0 to 2**64 - 1.
    name : str
        Name of the argument.
    count : int
        How many patterns there are.

    Raises
    ------
    TypeError, ValueError
        The numbers are not integers, out of range, or not `count` of them.
    """
    if isinstance(value, int | np.integer):
        first = integer(value, name, 0, 2**64 - count)
        return np.arange(count, dtype=np.uint64) + np.uint64(first)
    numbers = array(value, name)  # type: ignore[arg-type]
    if numbers.dtype.kind not in "iu":
        raise TypeError(wrong(name, described(numbers), "an integer or an array of integers"))
    if numbers.shape != (count,):
        raise ValueError(wrong(name, f"shape {numbers.shape}", f"({count},), one for each pattern"))
    if numbers.dtype.kind == "i" and numbers.size and int(numbers.min()) < 0:
        raise ValueError(wrong(name, int(numbers.min()), "0 to 2**64 - 1"))
    return plain(numbers, np.uint64)


def indices(first: Any, last: int | None, count: int) -> npt.NDArray[np.int64]:
    """Numbers of patterns, from ``(first, last)``, without the last, or from an array of them.

    Parameters
    ----------
    first : int or (n,) array of integers
        The first of a run, or all numbers, in any order, also repeated.
    last : int or None
        The end of the run; None with an array.
    count : int
        How many patterns there are.

    Returns
    -------
    (n,) int64
        0 to ``count - 1``.

    Raises
    ------
    TypeError, ValueError, IndexError
        The numbers are not integers, or out of range.
    """
    if last is not None:
        start = integer(first, "first", 0, count)
        return np.arange(start, integer(last, "last", start, count))
    numbers = array(first, "indices")
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        if numbers.ndim == 0 and numbers.dtype.kind in "iu":
            expected = "first and last, or an array of pattern numbers"
            raise TypeError(wrong("indices", f"the integer {first}", expected))
        if numbers.size:
            raise TypeError(wrong("indices", described(numbers), "an array (n,) of integers"))
        numbers = numbers.reshape(0).astype(np.int64)
    if not _within(numbers, count):
        beyond = (numbers < 0) | (numbers >= count)
        raise IndexError(wrong("indices", numbers[beyond][0], f"0 to {count - 1}"))
    return numbers.astype(np.int64)


def _within(numbers: npt.NDArray[Any], count: int) -> bool:
    """Whether all integers are from 0 to ``count - 1``."""
    if numbers.size > 16:
        return bool(numbers.min() >= 0 and numbers.max() < count)
    few = numbers.tolist()  # a ufunc would take longer
    return not few or (min(few) >= 0 and max(few) < count)
