"""The gate for CuPy arrays: checked as they are, never converted or moved.

The functions are those of `host_arrays`. Their values are not checked, because that would mean to
wait for the GPU; `ptycho_fast.observe` says what becomes of a rate that cannot be counted.
"""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.backend import cuda, host_arrays

on_gpu = True


def _kind() -> Any:
    """The class of CuPy arrays; empty if CuPy was never loaded, since there can be none then."""
    return getattr(sys.modules.get("cupy"), "ndarray", ())


def any_on_gpu(*values: object) -> bool:
    """Whether one of the values is a CuPy array."""
    kind = _kind()
    return kind != () and any(isinstance(value, kind) for value in values)


def common_device(*values: object) -> int:
    """Number of the GPU that the first CuPy array is on; `_checked` wants the others there, too."""
    return next(_device(value) for value in values if isinstance(value, _kind()))


def _device(value: Any) -> int:
    return int(value.device.id)


def copied(array: Any) -> Any:
    """A C-contiguous copy on the same GPU."""
    with array.device:
        return array.copy(order="C")


def wait_for(array: Any) -> None:
    """Wait for the current stream of the GPU that the array is on."""
    with array.device:
        cuda.cupy().cuda.get_current_stream().synchronize()


def _checked(value: Any, name: str, dtypes: tuple[npt.DTypeLike, ...], shape: str) -> Any:
    if not isinstance(value, _kind()):
        raise TypeError(
            f"{name}: {type(value).__name__} given, expected a CuPy array as the others are; "
            "cupy.asarray moves it"
        )
    here = cuda.cupy().cuda.Device().id
    if _device(value) != here:
        raise ValueError(f"{name}: on GPU {_device(value)}, expected GPU {here}")
    if value.dtype not in dtypes:
        expected = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise TypeError(
            f"{name}: {value.dtype} array of shape {value.shape} given, expected {expected}"
        )
    if value.size == 0:
        raise ValueError(f"{name}: shape {value.shape} given, expected {shape}")
    if not value.flags.c_contiguous:
        raise ValueError(f"{name}: expected a C-contiguous array; cupy.ascontiguousarray makes one")
    return value


def as_object(obj: Any) -> Any:
    """Object (H, W) complex64."""
    array = _checked(obj, "obj", (np.complex64,), "(H, W)")
    if array.ndim != 2:
        raise ValueError(f"obj: shape {array.shape} given, expected (H, W)")
    return array


def as_slices(obj: Any) -> Any:
    """Object (H, W) or (L, H, W), as (L, H, W) complex64."""
    return host_arrays.sliced(_checked(obj, "obj", (np.complex64,), "(H, W) or (L, H, W)"))


def as_probe(probe: Any) -> Any:
    """Probe (N, N) or (M, N, N), as (M, N, N) complex64."""
    return host_arrays.as_modes(_checked(probe, "probe", (np.complex64,), "(N, N) or (M, N, N)"))


def as_positions(positions: Any) -> Any:
    """Positions (B, 2) float64, [x, y] in object pixels."""
    array = _checked(positions, "positions", (np.float64,), "(B, 2) of [x, y]")
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"positions: shape {array.shape} given, expected (B, 2) of [x, y]")
    return array


def as_paths(positions: Any) -> Any:
    """Positions (B, 2) or (B, S, 2), as (B, S, 2) float64."""
    if getattr(positions, "ndim", 2) != 3:
        return as_positions(positions)[:, np.newaxis]
    array = _checked(positions, "positions", (np.float64,), "(B, S, 2) of [x, y]")
    return host_arrays.shaped(array, "positions", ("B", "S", 2))


def as_numbers(value: Any, name: str, dtype: npt.DTypeLike, shape: tuple[int | str, ...]) -> Any:
    """An array of that type and shape (see `host_arrays.as_numbers`); it may be NumPy's, too."""
    if isinstance(value, _kind()):
        return host_arrays.shaped(_checked(value, name, (dtype,), str(shape)), name, shape)
    return cuda.to_gpu(host_arrays.as_numbers(value, name, dtype, shape))


def as_rates(expected: Any) -> Any:
    """Expected photons (B, N, N), float32 or float64."""
    array = _checked(expected, "expected", (np.float32, np.float64), "(B, N, N)")
    if array.ndim != 3 or array.shape[1] != array.shape[2]:
        raise ValueError(f"expected: shape {array.shape} given, expected (B, N, N)")
    return array


def as_indices(value: Any, name: str, count: int) -> Any:
    """Pattern numbers (count,) uint64; an array of them may be NumPy's, too."""
    if isinstance(value, _kind()):
        numbers = _checked(value, name, (np.uint64,), f"({count},)")
        if numbers.shape != (count,):
            raise ValueError(checks.wrong(name, f"shape {numbers.shape}", f"({count},)"))
        return numbers
    return cuda.to_gpu(checks.pattern_numbers(value, name, count))


def empty_aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    """Uninitialised array on the current GPU; CuPy aligns its memory to 512 bytes."""
    return cuda.empty(shape, dtype)


def output(out: Any, shape: tuple[int, ...], dtype: npt.DTypeLike, inputs: tuple[Any, ...]) -> Any:
    """The caller's `out`, checked, or a new array."""
    if out is None:
        return empty_aligned(shape, dtype)
    _checked(out, "out", (dtype,), str(shape))
    if out.shape != shape:
        raise ValueError(f"out: shape {out.shape} given, expected {shape}")
    first, last = _bounds(out)
    for begin, end in map(_bounds, inputs):
        if first < end and begin < last:
            raise ValueError("out: shares memory with an input, expected an array of its own")
    return out


def _bounds(array: Any) -> tuple[int, int]:
    return array.data.ptr, array.data.ptr + array.nbytes
