"""The public stages: arguments are checked, a backend is chosen, its kernels do the work.

patch -> exit wave -> far field -> intensity -> dose -> photons -> amplitude

Conventions: positions are ``[x, y]`` in object pixels and say where patch index N//2 lands on the
object; everything outside the object is zero; the far field is unitary with zero frequency at index
(N//2, N//2). Arrays of other memory orders and of wider floating-point types (complex128, float64)
are converted once on entry; a finite number that overflows is an error.

Results are in the same memory as the arrays. NumPy arrays give NumPy arrays, also with the backend
"cuda", which copies them to a GPU and the results back. CuPy arrays (then all arrays must be CuPy
arrays on one GPU, of exactly the right type and C-contiguous) give CuPy arrays: the work is queued
on CuPy's current stream of that GPU, the call returns before it is done, and therefore the values
of the arrays are not checked.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.backend import host_arrays, working
from ptycho_fast.backend.protocol import Backend, Gate
from ptycho_fast.backend.records import Counting, Exposure, Sink
from ptycho_fast.limits import (
    LARGEST_RATE,
    NARROW_LIMIT,
    as_scale,
    check_given_rates,
    check_rates,
    intensity_bound,
    part_under_patches,
    warn_of_positions,
)
from ptycho_fast.threads import granted

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
        "auto" (the best one on the CPU, or "cuda" for CuPy arrays) or a name of
        `ptycho_fast.backends`.
    threads : int, optional
        Threads over patterns; by default PTYCHO_FAST_THREADS, OMP_NUM_THREADS or all CPUs, but
        fewer if each had less than 2**16 pixels (times modes). The result does not depend on it.
    device : int, optional
        Number of the GPU, with the backend "cuda"; by default that of the arrays or CuPy's current.
    out : (B, N, N) complex64, optional
        Array to write to.

    Returns
    -------
    (B, N, N) complex64
        The patches, zero outside the object; `out` if it was given, else 64-byte aligned.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, shape or value; the message names it.
    RuntimeError
        The backend is not available.

    Warns
    -----
    DataWarning
        Positions look wrong: patches outside the object, or all at one place.

    Examples
    --------
    >>> import numpy as np
    >>> obj = np.arange(400, dtype=np.complex64).reshape(20, 20)
    >>> patch = extract_patches(obj, [[10, 9]], N=8)[0]
    >>> bool(patch[4, 4] == obj[9, 10])
    True
    """
    with working(backend, device, obj, positions, out) as (gate, chosen):
        at = gate.as_positions(positions)
        N = host_arrays.as_side(N)
        obj = gate.as_object(obj) if gate.on_gpu else part_under_patches(obj, at, N)[0]
        out = gate.output(out, (len(at), N, N), np.complex64, (obj, at))
        if not gate.on_gpu:
            warn_of_positions(at, obj.shape, N)
        with granted(threads, out.size) as n_threads:
            chosen.patches(obj, at, out, n_threads)
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
        Intensities in the probe's units squared, zero frequency at (N//2, N//2); `out` if it was
        given, else 64-byte aligned.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, shape or value, or intensities would overflow.
    RuntimeError
        The backend is not available.

    Warns
    -----
    DataWarning
        Positions look wrong, or intensities are near the smallest float32 numbers.

    Examples
    --------
    >>> import numpy as np
    >>> vacuum, probe = np.ones((40, 40)), np.ones((16, 16))
    >>> float(diffract(vacuum, probe, [[20, 20]]).sum())
    256.0
    """
    with working(backend, device, obj, probe, positions, out) as (gate, chosen):
        exposure, _ = _exposure(gate, obj, probe, positions)
        out = gate.output(out, exposure.shape, np.float32, _arrays(exposure))
        with granted(threads, exposure.n_pixels) as n_threads:
            chosen.frames(exposure, None, Sink(out, "intensity"), n_threads)
        return out


def sample_photons(
    expected: npt.ArrayLike,
    *,
    seed: int,
    index: int | npt.ArrayLike = 0,
    dtype: npt.DTypeLike | None = None,
    overflow: str = "error",
    backend: str = "auto",
    threads: int | None = None,
    device: int | None = None,
    out: npt.NDArray[Any] | None = None,
    first_index: int | None = None,
) -> npt.NDArray[Any]:
    """Photon counts: exact Poisson samples, a pure function of seed, pattern number and pixel.

    Parameters
    ----------
    expected : (B, N, N) float32 or float64
        Expected photons per pixel, 0 to 2**31.
    seed : int
        Seed of the noise, 0 to 2**64 - 1.
    index : int or (B,) array of integers
        Pattern numbers in the whole data set; an integer is that of ``expected[0]``, and the
        others follow it.
    dtype : {uint32, uint16}, optional
        Type of the counts; by default that of `out`, or uint32.
    overflow : {"error", "saturate"}
        What becomes of a count above 65535 in uint16: an error that names it, or 65535.
    backend, threads, device
        As for `extract_patches`.
    out : (B, N, N) uint32 or uint16, optional
        Array to write to; untouched if an error is raised.
    first_index : int, optional
        Old name of `index`.

    Returns
    -------
    (B, N, N) uint32 or uint16
        Counts; `out` if it was given, else 64-byte aligned.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, shape or value; a rate that is negative, NaN, infinite or
        beyond 2**31 is named by pattern and pixel.
    RuntimeError
        The backend is not available.

    Examples
    --------
    >>> import numpy as np
    >>> expected = np.full((3, 8, 8), 100.0)
    >>> counts = sample_photons(expected, seed=1)
    >>> bool((sample_photons(expected[2:], seed=1, index=2) == counts[2:]).all())
    True
    """
    with working(backend, device, expected, out) as (gate, chosen):
        rates = gate.as_rates(expected)
        seed = checks.seed(seed)
        indices = _indices(gate, index, first_index, len(rates))
        out = _output(gate, out, rates.shape, "counts", dtype, (rates, indices))
        if not gate.on_gpu:
            check_given_rates(rates)
        counting = Counting(1.0, seed, indices)
        with granted(threads, out.size) as n_threads:

            def sample(part: slice, sink: Sink) -> None:
                chosen.photons(rates[part], counting.part(part), sink, n_threads)

            return filled(gate, chosen, Sink(out, "counts"), overflow, sample)


def observe(
    obj: npt.ArrayLike,
    probe: npt.ArrayLike,
    positions: npt.ArrayLike,
    *,
    scale: float,
    seed: int,
    index: int | npt.ArrayLike = 0,
    output: str = "counts",
    dtype: npt.DTypeLike | None = None,
    overflow: str = "error",
    backend: str = "auto",
    threads: int | None = None,
    device: int | None = None,
    out: npt.NDArray[Any] | None = None,
    first_index: int | None = None,
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
    seed, index, first_index
        As for `sample_photons`.
    output : {"counts", "amplitude"}
        Photon counts (uint32 or uint16), or ``sqrt(counts) / s`` (float32).
    dtype, overflow
        Type of the counts, as for `sample_photons`.
    backend, threads, device
        As for `extract_patches`.
    out : (B, N, N) uint32, uint16 or float32, optional
        Array to write to; untouched if an error is raised.

    Returns
    -------
    (B, N, N) uint32, uint16 or float32
        `out` if it was given, else 64-byte aligned.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, shape or value, or a pixel expects more than 2**31 photons.
    RuntimeError
        The backend is not available, or the GPU failed.
    MemoryError
        The GPU's memory is too small; the message says how many patterns at a time fit.

    Warns
    -----
    DataWarning
        As `diffract`.

    Notes
    -----
    The values of CuPy arrays are not checked. A pixel whose expected photons are NaN, negative or
    more than 2**31 then holds 2**32 - 1 in uint32, 65535 in uint16, NaN as an amplitude.
    ``dtype="uint16"`` waits for the GPU to look for overflow, unless overflow is "saturate".

    Examples
    --------
    >>> import numpy as np
    >>> vacuum, probe = np.ones((40, 40)), np.ones((16, 16))
    >>> counts = observe(vacuum, probe, [[20, 20], [21.5, 20]], scale=100.0, seed=1)
    >>> counts.shape, counts.dtype.name
    ((2, 16, 16), 'uint32')
    """
    with working(backend, device, obj, probe, positions, out) as (gate, chosen):
        exposure, bound = _exposure(gate, obj, probe, positions)
        scale = as_scale(scale)
        seed = checks.seed(seed)
        counting = Counting(scale, seed, _indices(gate, index, first_index, exposure.shape[0]))
        inputs = (*_arrays(exposure), counting.indices)
        out = _output(gate, out, exposure.shape, output, dtype, inputs)
        with granted(threads, exposure.n_pixels) as n_threads:
            if not gate.on_gpu and not scale**2 * bound <= LARGEST_RATE:
                check_rates(chosen, exposure, counting, n_threads)

            def make(part: slice, sink: Sink) -> None:
                chosen.frames(exposure.part(part), counting.part(part), sink, n_threads)

            sink = Sink(out, "counts" if output == "counts" else "amplitude")
            return filled(gate, chosen, sink, overflow, make)


# --- arguments ---


def _arrays(exposure: Exposure) -> tuple[Any, ...]:
    return exposure.object, exposure.probe, exposure.positions


def _exposure(
    gate: Gate, obj: npt.ArrayLike, probe: npt.ArrayLike, positions: npt.ArrayLike
) -> tuple[Exposure, float]:
    """The checked arrays, and the largest intensity that a pixel may have; 0 if not checked."""
    if gate.on_gpu:
        arrays = gate.as_object(obj), gate.as_probe(probe), gate.as_positions(positions)
        return Exposure(*arrays), 0.0
    modes, at = gate.as_probe(probe), gate.as_positions(positions)
    N = modes.shape[-1]
    whole, largest = part_under_patches(obj, at, N)
    warn_of_positions(at, whole.shape, N)
    return Exposure(whole, modes, at), intensity_bound(largest, modes)


def _indices(gate: Gate, index: Any, first_index: int | None, count: int) -> Any:
    if first_index is not None:
        warnings.warn("first_index is now called index", DeprecationWarning, stacklevel=3)
        return gate.as_indices(first_index, "first_index", count)
    return gate.as_indices(index, "index", count)


def _output(
    gate: Gate,
    out: npt.NDArray[Any] | None,
    shape: tuple[int, ...],
    kind: str,
    dtype: npt.DTypeLike | None,
    inputs: tuple[Any, ...],
) -> npt.NDArray[Any]:
    allowed = _OUTPUTS[checks.choice(kind, "output", _OUTPUTS)]
    if dtype is None:
        dtype = getattr(out, "dtype", None)
        dtype = dtype if dtype in allowed else allowed[0]
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = None
    if wanted not in allowed:
        expected = " or ".join(np.dtype(t).name for t in allowed)
        raise TypeError(checks.wrong("dtype", wanted or repr(dtype), f"{expected} for {kind}"))
    return gate.output(out, shape, wanted, inputs)


def filled(
    gate: Gate,
    backend: Backend,
    sink: Sink,
    overflow: str,
    make: Callable[[slice, Sink], None],
) -> npt.NDArray[Any]:
    """Let `make(part, sink of that part)` fill the sink's array, and return that.

    Counts in uint16 are made in uint32, piece by piece, unless the backend writes them itself. On a
    GPU looking for an overflow means to wait for it.
    """
    checks.choice(overflow, "overflow", ("error", "saturate"))
    out = sink.array
    if out.dtype != np.uint16 or (backend.capabilities.narrow and overflow == "saturate"):
        make(slice(0, len(out)), sink)
        return out
    empty = gate.empty_aligned
    # An error leaves `out` as it was.
    narrow = empty(out.shape, out.dtype) if overflow == "error" else out
    chunk = max(1, _CHUNK_PIXELS // out[0].size)
    for first in range(0, len(out), chunk):
        part = slice(first, min(first + chunk, len(out)))
        counts = empty((part.stop - first, *out.shape[1:]), np.uint32)
        make(part, Sink(counts, sink.kind))
        if overflow == "saturate":
            np.minimum(counts, NARROW_LIMIT, out=counts)
        elif counts.max() > NARROW_LIMIT:
            flat = int((counts > NARROW_LIMIT).argmax())
            b, row, column = (int(i) for i in np.unravel_index(flat, counts.shape))
            raise ValueError(
                f"dtype: {counts[b, row, column]} photons in pattern {first + b}, pixel (row "
                f"{row}, column {column}) overflow uint16; take uint32, or overflow='saturate'"
            )
        narrow[part] = counts
    if narrow is not out:
        out[...] = narrow
    return out
