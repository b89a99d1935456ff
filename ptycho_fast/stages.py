"""The public stages: arguments are checked, a backend is chosen, its kernels do the work.

patch -> exit wave -> [propagate] -> far field -> intensity -> dose -> photons -> amplitude

Conventions: positions are ``[x, y]`` in object pixels and say where patch index N//2 lands on the
object; everything outside the object is zero, or what `boundary` says; the far field is unitary
with zero frequency at index (N//2, N//2). Arrays of other memory orders and of wider floating-point
types (complex128, float64) are converted once on entry; a finite number that overflows is an error.

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
from ptycho_fast.backend.records import (
    BOUNDARIES,
    Boundary,
    Counting,
    Exposure,
    Response,
    Sink,
    SinkKind,
)
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

_OUTPUTS: dict[SinkKind, tuple[type[np.generic], ...]] = {
    "counts": (np.uint32, np.uint16),
    "amplitude": (np.float32,),
    "signal": (np.uint32, np.int32, np.float32),
}
_CHUNK_PIXELS = 2**22  # counts are narrowed piece by piece


def extract_patches(
    obj: npt.ArrayLike,
    positions: npt.ArrayLike,
    N: int,
    *,
    boundary: Boundary = "zero",
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
    boundary : {"zero", "vacuum", "edge"}
        What lies outside the object: 0, 1, or its nearest pixel.
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
        The patches; `out` if it was given, else 64-byte aligned.

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
        checks.choice(boundary, "boundary", BOUNDARIES)
        obj = gate.as_object(obj) if gate.on_gpu else part_under_patches(obj, at, N, boundary)[0]
        out = gate.output(out, (len(at), N, N), np.complex64, (obj, at))
        if not gate.on_gpu:
            warn_of_positions(at, obj.shape, N, boundary)
        with granted(threads, out.size) as n_threads:
            chosen.patches(obj, at, boundary, out, n_threads)
        return out


def diffract(
    obj: npt.ArrayLike,
    probe: npt.ArrayLike,
    positions: npt.ArrayLike,
    *,
    boundary: Boundary = "zero",
    weights: npt.ArrayLike | None = None,
    modes: int | None = None,
    between: npt.ArrayLike | None = None,
    near: npt.ArrayLike | None = None,
    bin: int = 1,
    spread: npt.ArrayLike | None = None,
    backend: str = "auto",
    threads: int | None = None,
    device: int | None = None,
    out: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
    """Intensity on the detector at each position, probe modes summed, before dose.

    ``I = fftshift(sum_m |FFT2(probe[m] * patch)|**2) / N**2``, so that ``I.sum()`` is the energy of
    the exit waves. All keywords that describe the exposure are off by default.

    Parameters
    ----------
    obj : (H, W) or (L, H, W) complex64
        Complex transmission of the object, or of its slices along the beam.
    probe : (n, n) or (M, n, n) complex64
        Illumination in the object plane, 1 to 16 modes that add incoherently; n from 8 to 2048.
    positions : (B, 2) or (B, S, 2) float64
        ``[x, y]`` in object pixels: where patch index n//2 lands. With S sub-exposures of a fly
        scan a pattern is the mean of theirs.
    boundary : {"zero", "vacuum", "edge"}
        What lies outside the object: 0, 1, or its nearest pixel.
    weights : (B, M) or (B, M + K) float32, optional
        Mode m of pattern b is multiplied by ``weights[b, m]``.
    modes : int, optional
        M, where the probe has M modes and then K eigenprobes: eigenprobe k, multiplied by
        ``weights[b, M + k]``, is added to mode 0 of pattern b (orthogonal probe relaxation).
    between : (n, n) complex64, optional
        Transfer function from a slice to the next, zero frequency at (0, 0); slices need it:
        ``psi -> IFFT2(between * FFT2(psi)) * next patch``.
    near : (n, n) complex64, optional
        Transfer function to a detector in the near field, in place of the far field:
        ``I = sum_m |IFFT2(near * FFT2(psi[m]))|**2``, an image without shift.
    bin : int
        q: each detector pixel is as wide as q pixels of the transform, so n = q N. Pixel N//2 is
        centred on frequency zero; for even q the pixels at its rim are shared with its neighbours.
    spread : (R + 1,) float32, optional
        Half of a symmetric kernel, ``k[0] + 2 * k[1:].sum() == 1``, that blurs the pattern along
        both axes; periodic, so energy is conserved.
    backend, threads, device
        As for `extract_patches`.
    out : (B, N, N) float32, optional
        Array to write to.

    Returns
    -------
    (B, N, N) float32
        Intensities in the probe's units squared, zero frequency at (N//2, N//2); N = n without
        `bin`. `out` if it was given, else 64-byte aligned.

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
        exposure, _ = _exposure(
            gate, obj, probe, positions, boundary, weights, modes, between, near, bin, spread
        )
        out = gate.output(out, exposure.shape, np.float32, _arrays(exposure))
        with granted(threads, exposure.n_pixels) as n_threads:
            chosen.frames(exposure, None, Sink(out, "intensity"), n_threads)
        return out


def sample_photons(
    expected: npt.ArrayLike,
    *,
    seed: int,
    index: int | npt.ArrayLike = 0,
    detector: Response | None = None,
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
    detector : Response, optional
        A detector, whose signals are then returned; see `ptycho_fast.detector.response`.
    dtype : {uint32, uint16}, optional
        Type of the counts; by default that of `out`, or uint32. Of signals: uint32, int32 or
        float32; by default that of `out`, or what suits the detector.
    overflow : {"error", "saturate"}
        What becomes of a count above 65535 in uint16: an error that names it, or 65535.
    backend, threads, device
        As for `extract_patches`.
    out : (B, N, N) array, optional
        Array to write to; untouched if an error is raised.
    first_index : int, optional
        Old name of `index`.

    Returns
    -------
    (B, N, N) uint32 or uint16
        Counts (signals, with a detector); `out` if it was given, else 64-byte aligned.

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
        kind: SinkKind = "counts" if detector is None else "signal"
        out = _output(gate, out, rates.shape, kind, dtype, (rates, indices), detector)
        if not gate.on_gpu:
            check_given_rates(rates)
        counting = Counting(1.0, seed, indices, detector=detector)
        with granted(threads, out.size) as n_threads:

            def sample(part: slice, sink: Sink) -> None:
                chosen.photons(rates[part], counting.part(part), sink, n_threads)

            return filled(gate, chosen, Sink(out, kind), overflow, sample)


def observe(
    obj: npt.ArrayLike,
    probe: npt.ArrayLike,
    positions: npt.ArrayLike,
    *,
    scale: float,
    seed: int,
    index: int | npt.ArrayLike = 0,
    factors: npt.ArrayLike | None = None,
    boundary: Boundary = "zero",
    weights: npt.ArrayLike | None = None,
    modes: int | None = None,
    between: npt.ArrayLike | None = None,
    near: npt.ArrayLike | None = None,
    bin: int = 1,
    spread: npt.ArrayLike | None = None,
    detector: Response | None = None,
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
    obj, probe, positions, boundary, weights, modes, between, near, bin, spread
        As for `diffract`.
    scale : float
        Intensity scale s: expected photons are ``s**2`` times the intensity (product in float32).
    seed, index, first_index
        As for `sample_photons`.
    factors : (B,) float64, optional
        Dose of each pattern in units of the common one, as a beam that fluctuates gives it: a
        pixel expects ``float32(s**2 * factors[b])`` times its intensity.
    detector : Response, optional
        A detector; see `ptycho_fast.detector.response`.
    output : {"counts", "amplitude", "signal"}
        Photon counts (uint32 or uint16); ``sqrt(counts) / s`` (float32), with a detector
        ``sqrt(max((signal - offset) / gain, 0)) / s``; signals of the detector (uint32, int32 or
        float32). Counts are what the detector would see if it were ideal.
    dtype, overflow
        Type of counts or signals, as for `sample_photons`.
    backend, threads, device
        As for `extract_patches`.
    out : (B, N, N) array, optional
        Array to write to; untouched if an error is raised.

    Returns
    -------
    (B, N, N) uint32, uint16, int32 or float32
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
        exposure, bound = _exposure(
            gate, obj, probe, positions, boundary, weights, modes, between, near, bin, spread
        )
        scale, B = as_scale(scale), exposure.shape[0]
        seed = checks.seed(seed)
        indices = _indices(gate, index, first_index, B)
        if factors is not None:
            factors, brightest = _factors(gate, factors, B, scale)
            bound *= brightest
        counting = Counting(scale, seed, indices, factors, detector)
        inputs = (*_arrays(exposure), counting.indices)
        kind = _kind(output)
        if kind == "signal" and detector is None:
            raise ValueError(checks.wrong("detector", None, "a Response, since output is 'signal'"))
        out = _output(gate, out, exposure.shape, kind, dtype, inputs, detector)
        with granted(threads, exposure.n_pixels) as n_threads:

            def make(part: slice, sink: Sink) -> None:
                chosen.frames(exposure.part(part), counting.part(part), sink, n_threads)

            if not gate.on_gpu and not scale**2 * bound <= LARGEST_RATE:
                check_rates(make, exposure.shape)

            return filled(gate, chosen, Sink(out, kind), overflow, make)


# --- arguments ---


def _arrays(exposure: Exposure) -> tuple[Any, ...]:
    arrays = (exposure.object, exposure.probe, exposure.positions, exposure.weights)
    more = (exposure.between, exposure.near, exposure.spread)
    return tuple(array for array in (*arrays, *more) if array is not None)


def _exposure(
    gate: Gate,
    obj: npt.ArrayLike,
    probe: npt.ArrayLike,
    positions: npt.ArrayLike,
    boundary: Boundary,
    weights: npt.ArrayLike | None,
    modes: int | None,
    between: npt.ArrayLike | None,
    near: npt.ArrayLike | None,
    bin: int,
    spread: npt.ArrayLike | None,
) -> tuple[Exposure, float]:
    """The checked arguments, and the largest intensity that a pixel may have; 0 if not checked."""
    checks.choice(boundary, "boundary", BOUNDARIES)
    if gate.on_gpu:
        slices, largest = gate.as_slices(obj), 0.0
    planes, at = gate.as_probe(probe), gate.as_paths(positions)
    n = planes.shape[-1]
    if not gate.on_gpu:
        xy = at.reshape(-1, 2)
        slices, largest = _slices_under_patches(obj, xy, n, boundary)
        warn_of_positions(xy, slices.shape[1:], n, boundary)
    exposure = Exposure(
        slices,
        planes,
        at,
        boundary,
        _modes(modes, len(planes), weights),
        _given(gate, weights, "weights", np.float32, (len(at), len(planes))),
        _between(gate, between, len(slices), n),
        _given(gate, near, "near", np.complex64, (n, n)),
        bin if bin == 1 else _bin(bin, n),
        None if spread is None else _spread(gate, spread, n // bin),
    )
    return exposure, 0.0 if gate.on_gpu else intensity_bound(exposure, largest)


def _slices_under_patches(
    obj: npt.ArrayLike, positions: npt.NDArray[np.float64], n: int, boundary: Boundary
) -> tuple[npt.NDArray[np.complex64], float]:
    """(L, H, W) of the object; if it is one slice, also its largest part."""
    if checks.array(obj, "obj").ndim == 3:
        return host_arrays.as_slices(obj), 0.0
    whole, largest = part_under_patches(obj, positions, n, boundary)
    return whole[np.newaxis], largest


def _given(
    gate: Gate, value: Any, name: str, dtype: npt.DTypeLike, shape: tuple[int | str, ...]
) -> Any:
    return None if value is None else gate.as_numbers(value, name, dtype, shape)


def _modes(modes: int | None, planes: int, weights: Any) -> int | None:
    if modes is None:
        return None
    modes = checks.integer(modes, "modes", 1, planes)
    if modes < planes and weights is None:
        expected = f"(B, {planes}), with those of the {planes - modes} eigenprobes"
        raise ValueError(checks.wrong("weights", None, expected))
    return modes


def _between(gate: Gate, between: Any, slices: int, n: int) -> Any:
    if slices > 1 and between is None:
        expected = f"the transfer function ({n}, {n}) from a slice to the next"
        raise ValueError(checks.wrong("between", f"None for {slices} slices", expected))
    return _given(gate, between, "between", np.complex64, (n, n))


def _bin(bin: int, n: int) -> int:
    bin = checks.integer(bin, "bin", 1, n)
    if n % bin:
        raise ValueError(checks.wrong("bin", bin, f"a divisor of the probe's side {n}"))
    return bin


def _spread(gate: Gate, spread: Any, N: int) -> Any:
    kernel = gate.as_numbers(spread, "spread", np.float32, ("R + 1",))
    if 2 * len(kernel) - 1 > N:
        raise ValueError(
            checks.wrong("spread", f"{len(kernel)} numbers", f"at most {(N + 1) // 2} for N = {N}")
        )
    if isinstance(kernel, np.ndarray):
        total = 2 * float(kernel.sum(dtype=np.float64)) - float(kernel[0])
        if kernel.min() < 0 or not abs(total - 1) < 1e-5:
            expected = "no negative number, and k[0] + 2 * k[1:].sum() == 1"
            raise ValueError(checks.wrong("spread", f"a kernel that sums to {total:.6g}", expected))
    return kernel


def _factors(gate: Gate, factors: Any, count: int, scale: float) -> tuple[Any, float]:
    """Dose factors, and the largest of them."""
    checked = gate.as_numbers(factors, "factors", np.float64, (count,))
    if gate.on_gpu:
        return checked, 1.0
    if checked.min() < 0:
        raise ValueError(checks.wrong("factors", checked.min(), "numbers >= 0"))
    largest = float(checked.max())
    as_scale(scale * largest**0.5)
    return checked, largest


def _indices(gate: Gate, index: Any, first_index: int | None, count: int) -> Any:
    if first_index is not None:
        warnings.warn("first_index is now called index", DeprecationWarning, stacklevel=3)
        return gate.as_indices(first_index, "first_index", count)
    return gate.as_indices(index, "index", count)


def _kind(output: str) -> SinkKind:
    checks.choice(output, "output", _OUTPUTS)
    return next(kind for kind in _OUTPUTS if kind == output)


def _output(
    gate: Gate,
    out: npt.NDArray[Any] | None,
    shape: tuple[int, ...],
    kind: SinkKind,
    dtype: npt.DTypeLike | None,
    inputs: tuple[Any, ...],
    detector: Response | None,
) -> npt.NDArray[Any]:
    allowed = _OUTPUTS[kind]
    if detector is not None:
        _check_detector(detector, shape)
    if dtype is None:
        dtype = getattr(out, "dtype", None)
        usual = detector.dtype if kind == "signal" and detector is not None else allowed[0]
        dtype = dtype if dtype in allowed else usual
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = None
    if wanted not in allowed:
        expected = " or ".join(np.dtype(t).name for t in allowed)
        raise TypeError(checks.wrong("dtype", wanted or repr(dtype), f"{expected} for {kind}"))
    return gate.output(out, shape, wanted, inputs)


def _check_detector(detector: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(detector, Response):
        raise TypeError(checks.wrong("detector", type(detector).__name__, "a Response"))
    if detector.pixels is not None and detector.pixels.shape != shape[1:]:
        given = f"pixels of shape {detector.pixels.shape}"
        raise ValueError(checks.wrong("detector", given, f"shape {shape[1:]}, as the patterns"))


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
