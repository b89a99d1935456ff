"""The definition: NumPy in float64, plain, pattern by pattern. Results are rounded at the end."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.backend.protocol import Capabilities
from ptycho_fast.backend.records import Boundary, Counting, Exposure, Sink
from ptycho_fast.backend.reference.detector import amplitude as amplitude_of_signal
from ptycho_fast.backend.reference.detector import signal, stored
from ptycho_fast.backend.reference.poisson import counts as photons_of
from ptycho_fast.backend.series import PickedSeries

Array = npt.NDArray[Any]

capabilities = Capabilities()


def why_not() -> str:
    """Empty: NumPy and SciPy are all that it needs."""
    return ""


def first_call() -> str:
    """See `protocol.Backend`."""
    return ""


def place(device: int | None) -> AbstractContextManager[object]:
    """See `protocol.Backend`."""
    return nullcontext()


def resident(array: Array) -> Array:
    """See `protocol.Backend`."""
    return array


def patch(obj: Array, position: Array, N: int, boundary: Boundary = "zero") -> Array:
    """(N, N) complex128: bilinear samples of `obj` (H, W) around a position [x, y]."""
    corner = np.asarray(position, np.float64) - N // 2
    H, W = obj.shape
    corner = np.clip(corner, -N - 2, [W + 1, H + 1])  # far outside is just outside
    i, j = np.floor(corner).astype(np.int64)
    u, v = corner - np.floor(corner)
    rows, columns = j + np.arange(N + 1)[:, None], i + np.arange(N + 1)
    taps = obj[rows.clip(0, H - 1), columns.clip(0, W - 1)].astype(np.complex128)
    if boundary != "edge":
        inside = (rows >= 0) & (rows < H) & (columns >= 0) & (columns < W)
        taps[~inside] = 1 if boundary == "vacuum" else 0
    return (
        (1 - u) * (1 - v) * taps[:-1, :-1]
        + u * (1 - v) * taps[:-1, 1:]
        + (1 - u) * v * taps[1:, :-1]
        + u * v * taps[1:, 1:]
    )


def illumination(probe: Array, modes: int, weights: Array | None) -> Array:
    """(M, N, N) complex128: the modes of one pattern, eigenprobes added to the first."""
    planes = probe.astype(np.complex128)
    if weights is not None:
        planes *= weights.astype(np.float64)[:, None, None]
        planes[0] += planes[modes:].sum(axis=0)
    return planes[:modes]


def exit_wave(probe: Array, patch: Array) -> Array:
    """(M, N, N) complex128: one wave for each probe mode."""
    return probe.astype(np.complex128) * patch


def propagated(waves: Array, transfer: Any) -> Array:
    """(M, N, N) complex128: the waves in another plane."""
    return np.fft.ifft2(transfer.astype(np.complex128) * np.fft.fft2(waves))


def far_field(exit_wave: Array) -> Array:
    """(M, N, N) complex128: unitary Fourier transform, zero frequency at (0, 0)."""
    return np.fft.fft2(exit_wave, norm="ortho")


def intensity(far_field: Array) -> Array:
    """(N, N) float64: modes summed, zero frequency at (N//2, N//2)."""
    return np.fft.fftshift(image(far_field))


def image(waves: Array) -> Array:
    """(N, N) float64: modes summed, in the order of the waves."""
    return np.asarray((waves.real**2 + waves.imag**2).sum(axis=0))


def binned(intensity: Array, q: int) -> Array:
    """(N, N) from (q N, q N): q pixels make one; of q + 1, the outer two count half."""
    n = len(intensity)
    first = n // 2 - n // q // 2 * q - q // 2
    weights = np.ones(q) if q % 2 else np.r_[0.5, np.ones(q - 1), 0.5]
    places = (first + q * np.arange(n // q)[:, None] + np.arange(len(weights))) % n
    along_rows = np.einsum("t,itc->ic", weights, intensity[places])
    return np.einsum("t,rit->ri", weights, along_rows[:, places])


def blurred(intensity: Array, half: Array) -> Array:
    """(N, N): convolved along both axes, periodically, with a symmetric kernel."""
    for axis in (0, 1):
        whole = half[0] * intensity
        for r, weight in enumerate(half[1:].astype(np.float64), 1):
            whole = whole + weight * (
                np.roll(intensity, r, axis=axis) + np.roll(intensity, -r, axis=axis)
            )
        intensity = whole
    return intensity


def detected(exposure: Exposure, b: int) -> Array:
    """(N, N) float64: intensity of pattern b, the mean over its sub-exposures."""
    n = exposure.probe.shape[-1]
    weights = None if exposure.weights is None else exposure.weights[b]
    probe = illumination(exposure.probe, exposure.n_modes, weights)
    total = np.zeros((n, n))
    for position in exposure.positions[b]:
        waves = exit_wave(probe, patch(exposure.object[0], position, n, exposure.boundary))
        for one in exposure.object[1:]:
            waves = propagated(waves, exposure.between)
            waves = exit_wave(waves, patch(one, position, n, exposure.boundary))
        if exposure.near is None:
            total += intensity(far_field(waves))
        else:
            total += image(propagated(waves, exposure.near))
    mean = total / exposure.positions.shape[1]
    if exposure.bin > 1:
        mean = binned(mean, exposure.bin)
    return mean if exposure.spread is None else blurred(mean, exposure.spread)


def expected_photons(intensity: Array, scale: float, factor: float = 1.0) -> Array:
    """Float32 photons per pixel, from float32 intensities, as the conventions say."""
    with np.errstate(over="ignore"):  # infinite rates are found by the check that follows
        return np.float32(scale**2 * factor) * intensity.astype(np.float32)


def amplitude(counts: Array, scale: float) -> Array:
    """Float32 sqrt(counts) / s, evaluated in float64."""
    return (np.sqrt(counts.astype(np.float64)) / scale).astype(np.float32)


def patches(object: Array, positions: Array, boundary: Boundary, out: Array, threads: int) -> None:
    """See `protocol.Backend`."""
    for b, position in enumerate(positions):
        out[b] = patch(object, position, out.shape[-1], boundary)


def frames(exposure: Exposure, counting: Counting | None, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`."""
    for b in range(len(sink.array)):
        sink.array[b] = _observed(detected(exposure, b), counting, sink, b)


def _observed(intensity: Array, counting: Counting | None, sink: Sink, b: int) -> Array:
    """One pattern, as the sink wants it."""
    if sink.kind == "intensity" or counting is None:
        return intensity
    factor = 1.0 if counting.factors is None else float(counting.factors[b])
    expected = expected_photons(intensity, counting.scale, factor)
    if sink.kind == "expected":
        return expected
    counts = photons_of(expected, counting.seed, int(counting.indices[b]))
    return counted(counts, counting, sink, b)


def counted(counts: Array, counting: Counting, sink: Sink, b: int) -> Array:
    """What the sink wants of the counts of pattern b."""
    if sink.kind == "counts":
        return counts
    if counting.detector is None:
        return amplitude(counts, counting.scale)
    seen = signal(counts, counting.detector, int(counting.indices[b]))
    if sink.kind == "amplitude":
        return amplitude_of_signal(seen, counting.detector, counting.scale)
    return stored(seen, sink.array.dtype)


def series(exposure: Exposure, counting: Counting) -> PickedSeries:
    """See `protocol.Backend`."""
    return PickedSeries(frames, exposure, counting)


def photons(rates: Array, counting: Counting, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`."""
    for b, rate in enumerate(rates):
        counts = photons_of(rate, counting.seed, int(counting.indices[b]))
        sink.array[b] = counted(counts, counting, sink, b)
