"""The public stages: checks, defaults and the choice of a backend around the kernels.

patch -> exit wave -> far field -> intensity -> dose -> photons -> amplitude

Conventions: positions are ``[x, y]`` in object pixels and say where patch index N//2 lands on the
object; everything outside the object is zero; the far field is unitary with zero frequency at index
(N//2, N//2). Arrays of other memory orders and of the wider floating-point types (complex128,
float64) are converted once on entry; a finite number that overflows is an error.

Results are where the arrays are. NumPy's arrays give NumPy's, also from the backend "cuda", which
moves them to a GPU and back. CuPy's arrays (all of them must be, on one GPU, of exactly the type
and C-contiguous) give CuPy's: the work is put on CuPy's current stream of that GPU and not waited
for, and therefore their values are not checked.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.backend import choose, gpu_arrays
from ptycho_fast.backend import host_arrays as arrays
from ptycho_fast.threads import granted

LARGEST_RATE = 2.0**31  # photons in one pixel; the counts of a larger one might not fit 32 bits

NARROW_LIMIT = 2**16 - 1  # counts that a uint16 holds

_OUTPUTS = {"counts": (np.uint32, np.uint16), "amplitude": (np.float32,)}
_CHUNK_PIXELS = 2**22  # counts are narrowed piece by piece


def extract_patches(
    obj: npt.ArrayLike,
    positions: npt.ArrayLike,
    N: int,
    *,
    backend: str = "auto",
    threads: int | None = None,
    device: int | None = None,
    out: npt.NDArray[np.complex64] | None = None,
) -> npt.NDArray[np.complex64]:
    """Object under the probe at each position, by bilinear interpolation.

    Parameters
    ----------
    obj : (H, W) complex64
        Complex transmission of the object.
    positions : (B, 2) float64
        ``[x, y]`` in object pixels: where patch index N//2 lands.
    N : int
        Patch side in pixels, 8 to 2048.
    backend : str
        "auto" (the best there is on the processor, or "cuda" for CuPy's arrays) or a name of
        `ptycho_fast.backends`.
    threads : int, optional
        Threads over patterns; by default PTYCHO_FAST_THREADS, OMP_NUM_THREADS or all processors,
        fewer where each had less than 2**16 pixels (times modes). The result does not depend on it.
    device : int, optional
        Number of the GPU, with the backend "cuda"; by default that of the arrays or CuPy's current.
    out : (B, N, N) complex64, optional
        Array to write to.

    Returns
    -------
    (B, N, N) complex64
        The patches, zero outside the object; `out` where it was given, else 64-byte aligned.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, shape or value; the message names it.
    RuntimeError
        The backend is not available.
    """
    with _place(backend, device, obj, positions, out) as (gate, module):
        obj, at = gate.as_object(obj), gate.as_positions(positions)
        N = arrays.as_side(N)
        out = gate.output(out, (len(at), N, N), np.complex64, (obj, at))
        with granted(threads, out.size) as n_threads:
            module.extract_patches(obj, at, out, n_threads)
        return out


def diffract(
    obj: npt.ArrayLike,
    probe: npt.ArrayLike,
    positions: npt.ArrayLike,
    *,
    backend: str = "auto",
    threads: int | None = None,
    device: int | None = None,
    out: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
    """Far-field intensity at each position, probe modes summed, before dose.

    ``I = fftshift(sum_m |FFT2(probe[m] * patch)|**2) / N**2``, so that ``I.sum()`` is the energy of
    the exit waves.

    Parameters
    ----------
    obj : (H, W) complex64
        Complex transmission of the object.
    probe : (N, N) or (M, N, N) complex64
        Illumination in the object plane, 1 to 16 modes that add incoherently; N from 8 to 2048.
    positions : (B, 2) float64
        ``[x, y]`` in object pixels: where patch index N//2 lands.
    backend, threads, device
        As for `extract_patches`.
    out : (B, N, N) float32, optional
        Array to write to.

    Returns
    -------
    (B, N, N) float32
        Intensities in the probe's units squared, zero frequency at (N//2, N//2); `out` where it was
        given, else 64-byte aligned.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, shape or value, or intensities would overflow.
    RuntimeError
        The backend is not available.
    """
    with _place(backend, device, obj, probe, positions, out) as (gate, module):
        obj, probe, positions, _ = _inputs(gate, obj, probe, positions)
        shape = (len(positions), *probe.shape[1:])
        out = gate.output(out, shape, np.float32, (obj, probe, positions))
        with granted(threads, len(probe) * out.size) as n_threads:
            module.diffract(obj, probe, positions, out, n_threads)
        return out


def sample_photons(
    expected: npt.ArrayLike,
    *,
    seed: int,
    first_index: int = 0,
    dtype: npt.DTypeLike | None = None,
    overflow: str = "error",
    backend: str = "auto",
    threads: int | None = None,
    device: int | None = None,
    out: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """Photon counts: exact Poisson samples, a pure function of seed, pattern and pixel.

    Parameters
    ----------
    expected : (B, N, N) float32 or float64
        Expected photons per pixel, 0 to 2**31.
    seed : int
        Seed of the noise, 0 to 2**64 - 1.
    first_index : int
        Pattern number of ``expected[0]`` in the whole data set.
    dtype : {uint32, uint16}, optional
        Type of the counts; by default that of `out`, or uint32.
    overflow : {"error", "saturate"}
        What becomes of a count above 65535 in uint16: an error that names it, or 65535.
    backend, threads, device
        As for `extract_patches`.
    out : (B, N, N) uint32 or uint16, optional
        Array to write to; untouched where an error is raised.

    Returns
    -------
    (B, N, N) uint32 or uint16
        Counts; `out` where it was given, else 64-byte aligned.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, shape or value; a rate that is negative, NaN, infinite or
        beyond 2**31 is named by pattern and pixel.
    RuntimeError
        The backend is not available.
    """
    with _place(backend, device, expected, out) as (gate, module):
        rates = gate.as_rates(expected)
        seed = checks.seed(seed)
        first_index = checks.integer(first_index, "first_index", 0, 2**64 - len(rates))
        out = _output(gate, out, rates.shape, "counts", dtype, (rates,))
        if gate is arrays:
            _check_given_rates(rates)
        with granted(threads, out.size) as n_threads:

            def sample(first: int, last: int, counts: npt.NDArray[Any]) -> None:
                part, index = rates[first:last], first_index + first
                module.sample_photons(part, seed, index, counts, n_threads)

            return _filled(gate, out, overflow, sample)


def observe(
    obj: npt.ArrayLike,
    probe: npt.ArrayLike,
    positions: npt.ArrayLike,
    *,
    scale: float,
    seed: int,
    first_index: int = 0,
    output: str = "counts",
    dtype: npt.DTypeLike | None = None,
    overflow: str = "error",
    backend: str = "auto",
    threads: int | None = None,
    device: int | None = None,
    out: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """What the detector counts at each position: the whole chain, fused.

    Bit for bit the same as ``sample_photons(np.float32(scale**2) * diffract(...))`` on the same
    backend.

    Parameters
    ----------
    obj, probe, positions
        As for `diffract`.
    scale : float
        Intensity scale s: expected photons are ``s**2`` times the intensity (product in float32).
    seed, first_index
        As for `sample_photons`.
    output : {"counts", "amplitude"}
        Photon counts (uint32 or uint16), or ``sqrt(counts) / s`` (float32).
    dtype, overflow
        Type of the counts, as for `sample_photons`.
    backend, threads, device
        As for `extract_patches`.
    out : (B, N, N) uint32, uint16 or float32, optional
        Array to write to; untouched where an error is raised.

    Returns
    -------
    (B, N, N) uint32, uint16 or float32
        `out` where it was given, else 64-byte aligned.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, shape or value, or a pixel expects more than 2**31 photons.
    RuntimeError
        The backend is not available, or the GPU failed.
    MemoryError
        The GPU's memory is too small; the message says how many patterns at a time fit.

    Notes
    -----
    CuPy's arrays are not checked for values. A pixel whose expected photons are NaN, negative or
    more than 2**31 then holds 2**32 - 1 in uint32, 65535 in uint16, NaN as an amplitude.
    ``dtype="uint16"`` waits for the GPU to look for overflow, but not with "saturate".
    """
    with _place(backend, device, obj, probe, positions, out) as (gate, module):
        obj, probe, positions, bound = _inputs(gate, obj, probe, positions)
        scale = checks.positive(scale, "scale")
        seed = checks.seed(seed)
        first_index = checks.integer(first_index, "first_index", 0, 2**64 - len(positions))
        shape = (len(positions), *probe.shape[1:])
        out = _output(gate, out, shape, output, dtype, (obj, probe, positions))
        with granted(threads, len(probe) * out.size) as n_threads:
            check_rates(module, obj, probe, positions, scale, bound, n_threads)

            def make(first: int, last: int, to: npt.NDArray[Any]) -> None:
                at = positions[first:last]
                module.observe(obj, probe, at, scale, seed, first_index + first, to, n_threads)

            return _filled(gate, out, overflow, make)


@contextmanager
def _place(
    backend: str, device: int | None, *values: object
) -> Iterator[tuple[ModuleType, ModuleType]]:
    """Where the work is done: the gate for arrays of their kind, and the backend.

    Within it the GPU that they are on, or that `device` names, is the current one.
    """
    on_gpu = gpu_arrays.any_on_gpu(*values)
    name, module = choose(backend, on_gpu=on_gpu)
    if device is None and on_gpu:
        device = gpu_arrays.common_device(*values)
    with placed(name, module, device):
        yield gpu_arrays if on_gpu else arrays, module


def placed(backend: str, module: ModuleType, device: int | None) -> AbstractContextManager[object]:
    """Within it the GPU that `device` names is the current one; only "cuda" may be given one."""
    if device is None:
        return nullcontext()
    device = checks.integer(device, "device", 0, 2**31 - 1)
    if backend != "cuda":
        raise ValueError(f"device: {device} given, expected None with the backend {backend!r}")
    on_device: AbstractContextManager[object] = module.on(device)
    return on_device


def _output(
    gate: ModuleType,
    out: npt.NDArray[Any] | None,
    shape: tuple[int, ...],
    kind: str,
    dtype: npt.DTypeLike | None,
    inputs: tuple[npt.NDArray[Any], ...],
) -> npt.NDArray[Any]:
    if kind not in _OUTPUTS:
        raise ValueError(f"output: {kind!r} given, expected one of {', '.join(_OUTPUTS)}")
    allowed = _OUTPUTS[kind]
    if dtype is None:
        dtype = getattr(out, "dtype", None)
        dtype = dtype if dtype in allowed else allowed[0]
    if np.dtype(dtype) not in allowed:
        names = " or ".join(np.dtype(t).name for t in allowed)
        raise TypeError(f"dtype: {np.dtype(dtype)} given, expected {names} for {kind}")
    return gate.output(out, shape, dtype, inputs)


def _filled(
    gate: ModuleType,
    out: npt.NDArray[Any],
    overflow: str,
    make: Callable[[int, int, npt.NDArray[Any]], None],
) -> npt.NDArray[Any]:
    """Let `make(first, last, counts)` fill `out`; uint16 by way of pieces in uint32.

    A GPU saturates by itself. To look for an error means to wait for it.
    """
    if overflow not in ("error", "saturate"):
        raise ValueError(f"overflow: {overflow!r} given, expected 'error' or 'saturate'")
    if out.dtype != np.uint16 or (gate is gpu_arrays and overflow == "saturate"):
        make(0, len(out), out)
        return out
    empty = gate.empty_aligned
    # An error leaves `out` as it was.
    narrow = empty(out.shape, out.dtype) if overflow == "error" else out
    chunk = max(1, _CHUNK_PIXELS // out[0].size)
    for first in range(0, len(out), chunk):
        last = min(first + chunk, len(out))
        counts = empty((last - first, *out.shape[1:]), np.uint32)
        make(first, last, counts)
        if overflow == "saturate":
            np.minimum(counts, NARROW_LIMIT, out=counts)
        elif counts.max() > NARROW_LIMIT:
            flat = int((counts > NARROW_LIMIT).argmax())
            b, row, column = (int(i) for i in np.unravel_index(flat, counts.shape))
            raise ValueError(
                f"dtype: {counts[b, row, column]} photons in pattern {first + b}, pixel (row "
                f"{row}, column {column}) overflow uint16; take uint32, or overflow='saturate'"
            )
        narrow[first:last] = counts
    if narrow is not out:
        out[...] = narrow
    return out


def _check_given_rates(rates: npt.NDArray[Any]) -> None:
    """Raise ValueError for the first rate that is negative, NaN, infinite or above 2**31."""
    # As unsigned integers negative numbers, NaN and infinity lie above all that is allowed, -0 too:
    # one look at the largest tells that all is well.
    integer = np.dtype(f"u{rates.itemsize}")
    if rates.view(integer).max() > rates.dtype.type(LARGEST_RATE).view(integer):
        bad = ~((rates >= 0) & (rates <= LARGEST_RATE))
        if bad.any():
            raise _bad_rate("expected", rates, int(np.argmax(bad)))


def _inputs(
    gate: ModuleType, obj: npt.ArrayLike, probe: npt.ArrayLike, positions: npt.ArrayLike
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.complex64], npt.NDArray[np.float64], float]:
    """Check the arrays; last, what `intensity_bound` says of them, or 0 where nobody looked."""
    if gate is gpu_arrays:
        return gate.as_object(obj), gate.as_probe(probe), gate.as_positions(positions), 0.0
    obj, largest = arrays.measured_object(obj)
    probe, positions = arrays.as_probe(probe), arrays.as_positions(positions)
    return obj, probe, positions, intensity_bound(largest, probe)


def intensity_bound(largest_part: float, probe: npt.NDArray[Any]) -> float:
    """Largest intensity that a pixel of any pattern may have, by the triangle inequality.

    `largest_part` is the object's.

    Raises
    ------
    ValueError
        Intensities might overflow float32.
    """
    brightest = 2 * largest_part**2  # at most twice too much, and quick
    moduli = np.abs(probe).sum(axis=(1, 2), dtype=np.float64)
    unnormalised = brightest * float((moduli**2).sum())
    if unnormalised > float(np.finfo(np.float32).max):
        raise ValueError(
            f"obj, probe: far-field intensities up to {unnormalised:.3g} overflow float32, "
            "expected max|obj|**2 * (sum|probe|)**2 below 3.4e38; scale them down"
        )
    return unnormalised / probe.shape[-1] ** 2


def check_rates(
    module: ModuleType,
    obj: npt.NDArray[Any],
    probe: npt.NDArray[Any],
    positions: npt.NDArray[Any],
    scale: float,
    bound: float,
    threads: int,
) -> None:
    """Raise ValueError where a pixel expects more than 2**31 photons, before anything is written.

    Costs a pass without photons, but only where `bound`, the intensities', does not exclude it.
    """
    if scale**2 * bound <= LARGEST_RATE:
        return
    N = probe.shape[-1]
    chunk = max(1, 2**24 // N**2)
    for first in range(0, len(positions), chunk):
        part = positions[first : first + chunk]
        rates = np.empty((len(part), N, N), np.float32)
        module.diffract(obj, probe, part, rates, threads)
        with np.errstate(over="ignore"):
            rates *= np.float32(scale**2)
        if rates.max() > LARGEST_RATE:
            raise _bad_rate("scale", rates, int(np.argmax(rates > LARGEST_RATE)), first)


def _bad_rate(
    argument: str, rates: npt.NDArray[Any], flat_index: int, first_pattern: int = 0
) -> ValueError:
    pattern, row, column = (int(i) for i in np.unravel_index(flat_index, rates.shape))
    rate = rates[pattern, row, column]
    hint = "" if math.isnan(rate) or rate <= LARGEST_RATE else "; lower the dose"
    return ValueError(
        f"{argument}: {rate} expected photons in pattern {first_pattern + pattern}, pixel (row "
        f"{row}, column {column}), expected a finite number from 0 to 2**31{hint}"
    )
