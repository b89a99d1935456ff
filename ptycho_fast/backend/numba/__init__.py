"""The backend without a compiler: numba kernels, SciPy's FFT for sides with large factors.

Kernels are serial and release the GIL; this module starts its own threads for each call. So results
cannot depend on how patterns are batched, and many threads may call at the same time. Every kernel
repeats the operations of ``csrc/`` in float32.
"""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.backend import reference
from ptycho_fast.backend.protocol import Capabilities
from ptycho_fast.backend.records import BOUNDARIES, Boundary, Counting, Exposure, Sink
from ptycho_fast.backend.series import PickedSeries

Array = npt.NDArray[Any]

capabilities = Capabilities()

_CHUNK = 2**16  # pixels that one call of a kernel works on: a pattern or more


def why_not() -> str:
    """Empty where numba can be used, else the reason and the remedy."""
    try:
        _kernels()
    except Exception as error:  # a broken numba or llvmlite raises whatever it likes
        return f"numba cannot be imported ({error}); reinstall it with 'pip install numba'"
    return ""


def first_call() -> str:
    """See `protocol.Backend`."""
    folder = _kernels().intensities.stats.cache_path
    if folder and any(Path(folder).glob("kernels.intensities-*.nbi")):
        return ""
    return "numba compiles its kernels at the first call, which takes about ten seconds"


def place(device: int | None) -> AbstractContextManager[object]:
    """See `protocol.Backend`."""
    return nullcontext()


def resident(array: Array) -> Array:
    """See `protocol.Backend`."""
    return array


@functools.cache
def _kernels() -> ModuleType:
    from ptycho_fast.backend.numba import kernels

    return kernels


def _for_each_chunk(out: Array, threads: int, work: Callable[[slice], Any]) -> list[Any]:
    """Results of `work` on slices of patterns; the slices depend on the shape of `out` alone."""
    size = max(1, _CHUNK // out[0].size)
    chunks = [slice(b, min(b + size, len(out))) for b in range(0, len(out), size)]
    if threads == 1 or len(chunks) == 1:
        return [work(chunk) for chunk in chunks]
    with ThreadPoolExecutor(min(threads, len(chunks))) as pool:
        return list(pool.map(work, chunks))


def _read_only(array: Array) -> Array:
    """Flat and read-only: a writable array is another type to numba, which compiles once more."""
    flat = array.reshape(-1)
    flat.flags.writeable = False
    return flat


@functools.cache
def _plan(N: int) -> tuple[Array, ...] | None:
    """Passes, twiddles and the order of the frequencies; None where a prime factor exceeds 5."""
    radices, rest = [], N
    for radix in (8, 4, 2, 5, 3):
        while rest % radix == 0:
            radices.append(radix)
            rest //= radix
    if rest > 1:
        return None
    frequency, span, factor = np.zeros(N, np.int64), N, 1
    for radix in radices:
        span //= radix
        frequency += np.arange(N) // span % radix * factor
        factor *= radix
    pixel_of_position = (frequency + N // 2) % N
    turns = np.exp(-2j * np.pi * np.arange(N) / N).astype(np.complex64)
    return (
        np.array(radices),
        turns.real.copy(),
        turns.imag.copy(),
        np.argsort(pixel_of_position),
        pixel_of_position,
    )


def patches(object: Array, positions: Array, boundary: Boundary, out: Array, threads: int) -> None:
    """See `protocol.Backend`."""
    kernels, flat, at = _kernels(), _read_only(object), _read_only(positions).reshape(-1, 2)
    outside = BOUNDARIES.index(boundary)
    _for_each_chunk(
        out,
        threads,
        lambda chunk: kernels.patches(
            flat, object.shape, at[chunk], out.shape[-1], outside, out[chunk].reshape(-1)
        ),
    )


def _intensities(exposure: Exposure) -> Callable[[slice, Array], None]:
    """Function that writes the intensities of a slice of patterns."""
    plan = _plan(exposure.probe.shape[-1])
    if not (plan and exposure.plain):
        return lambda chunk, out: _general(exposure.part(chunk), out)
    kernels = _kernels()
    obj, probe = exposure.object[0], exposure.probe
    modes, N, _ = probe.shape
    flat, illumination = _read_only(obj), _read_only(probe)
    at, outside = _read_only(exposure.positions).reshape(-1, 2), BOUNDARIES.index(exposure.boundary)

    def planned(chunk: slice, out: Array) -> None:
        kernels.intensities(
            flat, obj.shape, illumination, modes, at[chunk], N, outside, plan, out.reshape(-1)
        )

    return planned


def _general(exposure: Exposure, out: Array) -> None:
    """Intensities of any exposure, pattern by pattern, with SciPy's transforms."""
    import scipy.fft

    n, S = exposure.probe.shape[-1], exposure.positions.shape[1]
    for b, path in enumerate(exposure.positions):
        probe, total = _illumination(exposure, b), np.zeros((n, n), np.float32)
        for position in path:
            waves = _product(probe, _patch(exposure, 0, position))
            for number in range(1, len(exposure.object)):
                waves = _propagated(waves, exposure.between)
                waves = _product(waves, _patch(exposure, number, position))
            if exposure.near is None:
                waves = scipy.fft.fft2(waves, overwrite_x=True, workers=1)
            else:
                waves = _propagated(waves, exposure.near)
            for wave in waves:
                total += wave.real**2 + wave.imag**2
        if exposure.near is None:
            total = np.fft.fftshift(total)
        mean = total * (1 / np.float32(S * (n * n if exposure.near is None else 1)))
        if exposure.bin > 1:
            mean = reference.binned(mean, exposure.bin)
        out[b] = mean if exposure.spread is None else reference.blurred(mean, exposure.spread)


def _illumination(exposure: Exposure, b: int) -> Array:
    """The modes of pattern b."""
    if exposure.weights is None:
        return exposure.probe
    M, planes = exposure.n_modes, exposure.probe * exposure.weights[b][:, None, None]
    planes[0] += planes[M:].sum(axis=0)
    return planes[:M]


def _patch(exposure: Exposure, number: int, position: Array) -> Array:
    """(n, n) of one slice."""
    out = np.empty((1, *exposure.probe.shape[1:]), np.complex64)
    patches(exposure.object[number], position[np.newaxis], exposure.boundary, out, 1)
    return out[0]


def _product(waves: Array, factor: Array) -> Array:
    """In real numbers: NumPy's product of complex ones rounds as the processor suggests."""
    out = np.empty_like(waves)
    out.real = waves.real * factor.real - waves.imag * factor.imag
    out.imag = waves.real * factor.imag + waves.imag * factor.real
    return out


def _propagated(waves: Array, transfer: Any) -> Array:
    import scipy.fft

    far = scipy.fft.fft2(waves, overwrite_x=True, workers=1)
    return scipy.fft.ifft2(_product(far, transfer), overwrite_x=True, workers=1)


def _count(rates: Array, counting: Counting, out: Array) -> None:
    """Photons of some patterns."""
    flat = _read_only(rates).reshape(len(rates), -1)
    counts = out.reshape(flat.shape)
    _kernels().poisson_counts(flat, counts, np.uint64(counting.seed), _read_only(counting.indices))


def _detect(rates: Array, counting: Counting, sink: Sink) -> None:
    """Photons of some patterns, as the sink wants them; a detector's response by its definition."""
    if sink.kind == "counts":
        return _count(rates, counting, sink.array)
    counts = np.empty(rates.shape, np.uint32)
    _count(rates, counting, counts)
    if counting.detector is None:
        roots = np.sqrt(counts, dtype=np.float64)
        np.divide(roots, counting.scale, out=sink.array, casting="same_kind")
    else:
        for b, one in enumerate(counts):
            sink.array[b] = reference.counted(one, counting, sink, b)
    return None


def _doses(counting: Counting) -> Any:
    """Expected photons for each unit of intensity: one number, or one for each pattern."""
    if counting.factors is None:
        return np.float32(counting.scale**2)
    doses: Array = counting.scale**2 * counting.factors
    return doses.astype(np.float32)[:, np.newaxis, np.newaxis]


def frames(exposure: Exposure, counting: Counting | None, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`."""
    intensities = _intensities(exposure)

    def work(chunk: slice) -> None:
        out = sink.array[chunk]
        if sink.kind == "intensity" or counting is None:
            intensities(chunk, out)
            return
        rates = out if sink.kind == "expected" else np.empty(out.shape, np.float32)
        intensities(chunk, rates)
        with np.errstate(over="ignore"):  # infinite rates are found by the check that follows
            rates *= _doses(counting.part(chunk))
        if sink.kind != "expected":
            _detect(rates, counting.part(chunk), sink.part(chunk))

    _for_each_chunk(sink.array, threads, work)


def series(exposure: Exposure, counting: Counting) -> PickedSeries:
    """See `protocol.Backend`."""
    return PickedSeries(frames, exposure, counting)


def photons(rates: Array, counting: Counting, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`."""

    def work(chunk: slice) -> None:
        _detect(rates[chunk], counting.part(chunk), sink.part(chunk))

    _for_each_chunk(sink.array, threads, work)
