"""The gate for arrays in the memory of the CPU: checked, converted once, never silently narrowed.

Wider floating-point types (complex128, float64), other memory orders and unaligned arrays are
accepted and converted to what the kernels take. Values that do not fit, other kinds of numbers and
wrong shapes are errors that name the argument. `gpu_arrays` is the same gate for CuPy arrays.
"""

import functools
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

ALIGNMENT = 64  # bytes: a cache line, and what TensorFlow asks of buffers that it takes over

SMALLEST_N, LARGEST_N, MOST_MODES = 8, 2048, 16

on_gpu = False


def empty_aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Uninitialised C-contiguous array whose data starts at a multiple of 64 bytes.

    The compiled extension keeps the memory of large arrays that have ended for the next ones,
    because the first touch of new memory takes long; csrc/python/result_memory.h says how much.
    """
    dtype = np.dtype(dtype)
    if (kept := _kept_memory()) is not None:
        return kept(shape, dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size].view(dtype).reshape(shape)


@functools.cache
def _kept_memory() -> Callable[[tuple[int, ...], np.dtype[Any]], npt.NDArray[Any]] | None:
    """What gives memory that was used before; None without the extension."""
    from ptycho_fast.backend import native

    return None if native.why_not() else native.core().memory


def as_object(obj: npt.ArrayLike) -> npt.NDArray[np.complex64]:
    """Object (H, W) complex64."""
    return measured_object(obj)[0]


def measured_object(obj: npt.ArrayLike) -> tuple[npt.NDArray[np.complex64], float]:
    """Object (H, W) complex64, and its largest real or imaginary part."""
    array, largest = checks.measured(obj, "obj", np.complex64)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(checks.wrong("obj", f"shape {array.shape}", "(H, W)"))
    return array, largest


def as_slices(obj: npt.ArrayLike) -> npt.NDArray[np.complex64]:
    """Object (H, W) or (L, H, W), as (L, H, W) complex64."""
    return sliced(checks.floating(obj, "obj", np.complex64))


def sliced(array: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex64]:
    """(L, H, W) of an object, its shape checked."""
    slices = array[np.newaxis] if array.ndim == 2 else array
    if slices.ndim != 3 or slices.size == 0:
        raise ValueError(checks.wrong("obj", f"shape {array.shape}", "(H, W) or (L, H, W)"))
    return slices


def as_probe(probe: npt.ArrayLike) -> npt.NDArray[np.complex64]:
    """Probe (N, N) or (M, N, N), as (M, N, N) complex64."""
    return as_modes(checks.floating(probe, "probe", np.complex64))


def as_modes(array: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex64]:
    """(M, N, N) of a probe, its shape checked."""
    modes = array[np.newaxis] if array.ndim == 2 else array
    if modes.ndim != 3 or modes.shape[1] != modes.shape[2]:
        raise ValueError(checks.wrong("probe", f"shape {array.shape}", "(N, N) or (M, N, N)"))
    if not 1 <= modes.shape[0] <= MOST_MODES:
        raise ValueError(checks.wrong("probe", f"{modes.shape[0]} modes", f"1 to {MOST_MODES}"))
    as_side(modes.shape[1], "probe: side N")
    return modes


def as_positions(positions: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Positions (B, 2) float64, [x, y] in object pixels."""
    return checks.positions(positions)


def as_paths(positions: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Positions (B, 2) or (B, S, 2), as (B, S, 2) float64."""
    array = checks.array(positions, "positions")
    if array.ndim != 3:
        return as_positions(array)[:, np.newaxis]
    paths = shaped(
        checks.floating(array, "positions", np.float64, integers=True), "positions", ("B", "S", 2)
    )
    if paths.size == 0:
        raise ValueError(checks.wrong("positions", "no position", "at least one"))
    return paths


def as_numbers(
    value: npt.ArrayLike, name: str, dtype: npt.DTypeLike, shape: tuple[int | str, ...]
) -> npt.NDArray[Any]:
    """An array of that type and shape; a length that is a word, not a number, is free."""
    return shaped(checks.floating(value, name, dtype), name, shape)


def shaped(array: npt.NDArray[Any], name: str, shape: tuple[int | str, ...]) -> npt.NDArray[Any]:
    """The array, if it has that shape; see `as_numbers`."""
    fits = len(shape) == array.ndim and all(
        array.shape[axis] == length or isinstance(length, str) for axis, length in enumerate(shape)
    )
    if not fits:
        expected = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
        raise ValueError(checks.wrong(name, f"shape {array.shape}", expected))
    return array


def as_rates(expected: npt.ArrayLike) -> npt.NDArray[Any]:
    """Expected photons (B, N, N), float32 or float64 as given; the values are checked later."""
    array = checks.array(expected, "expected")
    dtype = array.dtype.newbyteorder("=")
    if dtype not in (np.float32, np.float64):
        raise TypeError(checks.wrong("expected", checks.described(array), "float32 or float64"))
    if array.ndim != 3 or array.shape[1] != array.shape[2] or array.size == 0:
        raise ValueError(checks.wrong("expected", f"shape {array.shape}", "(B, N, N)"))
    return checks.plain(array, dtype)


def as_indices(value: object, name: str, count: int) -> npt.NDArray[np.uint64]:
    """Pattern numbers (count,) uint64."""
    return checks.pattern_numbers(value, name, count)


def as_side(value: object, name: str = "N") -> int:
    """Patch side N."""
    return checks.integer(value, name, SMALLEST_N, LARGEST_N)


def output(
    out: npt.NDArray[Any] | None,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    inputs: tuple[npt.NDArray[Any], ...],
) -> npt.NDArray[Any]:
    """The caller's `out`, checked, or a new aligned array."""
    if out is None:
        return empty_aligned(shape, dtype)
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(checks.wrong("out", type(out).__name__, "a NumPy array"))
    if out.dtype != np.dtype(dtype):
        raise TypeError(checks.wrong("out", f"dtype {out.dtype}", str(np.dtype(dtype))))
    if out.shape != shape:
        raise ValueError(checks.wrong("out", f"shape {out.shape}", str(shape)))
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise ValueError("out: expected a writeable, aligned, C-contiguous array")
    for array in inputs:
        if np.may_share_memory(out, array) or _share_file(out, array):
            raise ValueError("out: shares memory with an input, expected an array of its own")
    return out


def _share_file(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    """Whether two arrays are maps of the same bytes of a file, which have different addresses."""
    here = _bytes_of_file(one)
    there = here and _bytes_of_file(other)
    if here is None or there is None or not os.path.samefile(here[0], there[0]):
        return False
    return here[1] < there[2] and there[1] < here[2]


def _bytes_of_file(array: npt.NDArray[Any]) -> tuple[str, int, int] | None:
    """The file that an array maps, and the first and last byte of it; None if there is no file."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and not isinstance(base.base, np.ndarray):
            name = base.filename
            if name is None or not os.path.exists(name):
                return None
            first = array.ctypes.data - base.ctypes.data + base.offset
            return os.fspath(name), first, first + array.nbytes
        base = base.base
    return None
