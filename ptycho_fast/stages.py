"""The public stages: checks, defaults and the choice of a backend around the kernels.

patch -> exit wave -> far field -> intensity -> dose -> photons -> amplitude

Conventions: positions are ``[x, y]`` in object pixels and say where patch index N//2 lands on the
object; everything outside the object is zero; the far field is unitary with zero frequency at index
(N//2, N//2). Arrays of other memory orders and of the wider floating-point types (complex128,
float64) are converted once on entry; a finite number that overflows is an error.
"""

import math
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from . import arrays
from .backend import choose
from .threads import thread_count

LARGEST_RATE = 2.0**31  # photons in one pixel; the counts of a larger one might not fit 32 bits

_OUTPUTS = {"counts": np.uint32, "amplitude": np.float32}


def extract_patches(
    obj: npt.ArrayLike,
    positions: npt.ArrayLike,
    N: int,
    *,
    backend: str = "auto",
    threads: int | None = None,
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
        "auto" (the best there is) or a name of `ptycho_fast.backends`.
    threads : int, optional
        Threads over patterns; by default PTYCHO_FAST_THREADS, OMP_NUM_THREADS or all processors.
        The result does not depend on it.
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
    obj, positions = arrays.as_object(obj), arrays.as_positions(positions)
    N = arrays.as_side(N)
    out = arrays.output(out, (len(positions), N, N), np.complex64, (obj, positions))
    choose(backend)[1].extract_patches(obj, positions, out, thread_count(threads))
    return out


def diffract(
    obj: npt.ArrayLike,
    probe: npt.ArrayLike,
    positions: npt.ArrayLike,
    *,
    backend: str = "auto",
    threads: int | None = None,
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
    backend, threads
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
    obj, probe, positions = _inputs(obj, probe, positions)
    intensity_bound(obj, probe)
    shape = (len(positions), *probe.shape[1:])
    out = arrays.output(out, shape, np.float32, (obj, probe, positions))
    choose(backend)[1].diffract(obj, probe, positions, out, thread_count(threads))
    return out


def sample_photons(
    expected: npt.ArrayLike,
    *,
    seed: int,
    first_index: int = 0,
    backend: str = "auto",
    threads: int | None = None,
) -> npt.NDArray[np.uint32]:
    """Photon counts: exact Poisson samples, a pure function of seed, pattern and pixel.

    Parameters
    ----------
    expected : (B, N, N) float32 or float64
        Expected photons per pixel, 0 to 2**31.
    seed : int
        Seed of the noise, 0 to 2**64 - 1.
    first_index : int
        Pattern number of ``expected[0]`` in the whole data set.
    backend, threads
        As for `extract_patches`.

    Returns
    -------
    (B, N, N) uint32
        Counts, 64-byte aligned.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, shape or value; a rate that is negative, NaN, infinite or
        beyond 2**31 is named by pattern and pixel.
    RuntimeError
        The backend is not available.
    """
    rates = arrays.as_rates(expected)
    seed = arrays.as_seed(seed)
    first_index = arrays.as_integer(first_index, "first_index", 0, 2**64 - len(rates))
    out = arrays.empty_aligned(rates.shape, np.uint32)
    module = choose(backend)[1]
    bad = module.sample_photons(rates, seed, first_index, out, thread_count(threads))
    if bad >= 0:
        raise _bad_rate("expected", rates, bad)
    return out


def observe(
    obj: npt.ArrayLike,
    probe: npt.ArrayLike,
    positions: npt.ArrayLike,
    *,
    scale: float,
    seed: int,
    first_index: int = 0,
    output: str = "counts",
    backend: str = "auto",
    threads: int | None = None,
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
        Photon counts (uint32), or ``sqrt(counts) / s`` (float32).
    backend, threads
        As for `extract_patches`.
    out : (B, N, N) uint32 or float32, optional
        Array to write to; untouched where an error is raised.

    Returns
    -------
    (B, N, N) uint32 or float32
        `out` where it was given, else 64-byte aligned.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type, shape or value, or a pixel expects more than 2**31 photons.
    RuntimeError
        The backend is not available.
    """
    obj, probe, positions = _inputs(obj, probe, positions)
    scale = arrays.as_scale(scale)
    seed = arrays.as_seed(seed)
    first_index = arrays.as_integer(first_index, "first_index", 0, 2**64 - len(positions))
    if output not in _OUTPUTS:
        raise ValueError(f"output: {output!r} given, expected one of {', '.join(_OUTPUTS)}")
    shape = (len(positions), *probe.shape[1:])
    out = arrays.output(out, shape, _OUTPUTS[output], (obj, probe, positions))
    n_threads = thread_count(threads)
    module = choose(backend)[1]
    check_rates(module, obj, probe, positions, scale, n_threads)
    module.observe(obj, probe, positions, scale, seed, first_index, out, n_threads)
    return out


def _inputs(
    obj: npt.ArrayLike, probe: npt.ArrayLike, positions: npt.ArrayLike
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.complex64], npt.NDArray[np.float64]]:
    return arrays.as_object(obj), arrays.as_probe(probe), arrays.as_positions(positions)


def intensity_bound(obj: npt.NDArray[Any], probe: npt.NDArray[Any]) -> float:
    """Largest intensity that a pixel of any pattern may have, by the triangle inequality.

    Raises
    ------
    ValueError
        Intensities might overflow float32.
    """
    brightest = float(np.abs(obj).max()) ** 2
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
    threads: int,
) -> None:
    """Raise ValueError where a pixel expects more than 2**31 photons, before anything is written.

    Costs a pass without photons, but only where the bound does not already exclude it.
    """
    if scale**2 * intensity_bound(obj, probe) <= LARGEST_RATE:
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
