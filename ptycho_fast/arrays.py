"""The gate for users' arrays: checked, converted once, never silently narrowed.

Wider floating-point types (complex128, float64) and other memory orders are accepted and converted
to what the kernels take; values that do not fit, other kinds of numbers and wrong shapes are errors
that name the argument.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

ALIGNMENT = 64  # bytes: a cache line, and what TensorFlow asks of buffers that it takes over

SMALLEST_N, LARGEST_N, MOST_MODES = 8, 2048, 16


def empty_aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Uninitialised C-contiguous array whose data starts at a multiple of 64 bytes."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size].view(dtype).reshape(shape)


def largest_part(array: npt.NDArray[Any]) -> float:
    """Largest modulus among the real (and imaginary) parts; NaN or infinity where there is one."""
    if array.size == 0:
        return 0.0
    run = np.ascontiguousarray(array).reshape(-1)
    if run.dtype.kind == "c":
        run = run.view(run.real.dtype)
    return max(-float(run.min()), float(run.max()))  # where one is NaN, so is the other


def _described(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} array of shape {array.shape}"


def floating(
    value: npt.ArrayLike, name: str, dtype: npt.DTypeLike, *, integers: bool = False
) -> npt.NDArray[Any]:
    """C-contiguous finite array of `dtype`; a copy only where one is needed.

    Raises
    ------
    TypeError, ValueError
        As `measured`.
    """
    return measured(value, name, dtype, integers=integers)[0]


def measured(
    value: npt.ArrayLike, name: str, dtype: npt.DTypeLike, *, integers: bool = False
) -> tuple[npt.NDArray[Any], float]:
    """C-contiguous finite array of `dtype`, and its `largest_part`, from one pass over it.

    Raises
    ------
    TypeError
        The numbers are of another kind: not floating point (or integers, where allowed), or complex
        where real ones are expected.
    ValueError
        NaN or infinity, or a finite number that `dtype` cannot hold.
    """
    dtype = np.dtype(dtype)
    array = np.asarray(value)
    kinds = "f" + ("c" if dtype.kind == "c" else "") + ("iu" if integers else "")
    if array.dtype.kind not in kinds:
        wider = "complex128" if dtype.kind == "c" else "float64"
        raise TypeError(f"{name}: {_described(array)} given, expected {dtype} (or {wider})")
    largest = largest_part(array)
    if not math.isfinite(largest):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name}: {array[where]} at index {where}, expected finite numbers")
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype)
    if converted.dtype != array.dtype and not math.isfinite(largest := largest_part(converted)):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(converted))[0])
        raise ValueError(f"{name}: {array[where]} at index {where} overflows {dtype}")
    return converted, largest


def as_object(obj: npt.ArrayLike) -> npt.NDArray[np.complex64]:
    """Object (H, W) complex64."""
    return measured_object(obj)[0]


def measured_object(obj: npt.ArrayLike) -> tuple[npt.NDArray[np.complex64], float]:
    """Object (H, W) complex64, and its `largest_part`."""
    array, largest = measured(obj, "obj", np.complex64)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"obj: shape {array.shape} given, expected (H, W)")
    return array, largest


def as_probe(probe: npt.ArrayLike) -> npt.NDArray[np.complex64]:
    """Probe (N, N) or (M, N, N), as (M, N, N) complex64."""
    return as_modes(floating(probe, "probe", np.complex64))


def as_modes(array: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex64]:
    """(M, N, N) of a probe, its shape checked."""
    modes = array[np.newaxis] if array.ndim == 2 else array
    if modes.ndim != 3 or modes.shape[1] != modes.shape[2]:
        raise ValueError(f"probe: shape {array.shape} given, expected (N, N) or (M, N, N)")
    if not 1 <= modes.shape[0] <= MOST_MODES:
        raise ValueError(f"probe: {modes.shape[0]} modes given, expected 1 to {MOST_MODES}")
    as_side(modes.shape[1], "probe: side N")
    return modes


def as_positions(positions: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Positions (B, 2) float64, [x, y] in object pixels."""
    array = floating(positions, "positions", np.float64, integers=True)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"positions: shape {array.shape} given, expected (B, 2) of [x, y]")
    if array.shape[0] == 0:
        raise ValueError("positions: no position given, expected at least one")
    return array


def as_rates(expected: npt.ArrayLike) -> npt.NDArray[Any]:
    """Expected photons (B, N, N), float32 or float64 as given; the sampler checks the values."""
    array = np.asarray(expected)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"expected: {_described(array)} given, expected float32 or float64")
    if array.ndim != 3 or array.shape[1] != array.shape[2] or array.size == 0:
        raise ValueError(f"expected: shape {array.shape} given, expected (B, N, N)")
    return np.ascontiguousarray(array)


def as_integer(value: object, name: str, smallest: int, largest: int) -> int:
    """An integer of the range, NumPy's among them; booleans are none."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: {value!r} given, expected an integer")
    if not smallest <= value <= largest:
        raise ValueError(f"{name}: {value} given, expected {smallest} to {largest}")
    return int(value)


def as_side(value: object, name: str = "N") -> int:
    """Patch side N."""
    return as_integer(value, name, SMALLEST_N, LARGEST_N)


def as_seed(value: object, name: str = "seed") -> int:
    """Seed or pattern number: 64 bits, unsigned."""
    return as_integer(value, name, 0, 2**64 - 1)


def as_scale(value: object) -> float:
    """Intensity scale s, finite and positive."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"scale: {value!r} given, expected a number")
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"scale: {value} given, expected a finite number > 0")
    return float(value)


def output(
    out: npt.NDArray[Any] | None,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    inputs: tuple[npt.NDArray[Any], ...],
) -> npt.NDArray[Any]:
    """The caller's `out`, checked, or a new aligned array."""
    if out is None:
        return empty_aligned(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: {type(out).__name__} given, expected a NumPy array")
    if out.dtype != np.dtype(dtype):
        raise TypeError(f"out: dtype {out.dtype} given, expected {np.dtype(dtype)}")
    if out.shape != shape:
        raise ValueError(f"out: shape {out.shape} given, expected {shape}")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out: expected a writeable, C-contiguous array")
    if any(np.may_share_memory(out, array) for array in inputs):
        raise ValueError("out: shares memory with an input, expected an array of its own")
    return out
