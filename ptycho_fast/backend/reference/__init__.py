"""The definition: NumPy in float64, plain, pattern by pattern. Results are rounded at the end."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.backend.protocol import Capabilities
from ptycho_fast.backend.records import Counting, Exposure, Sink
from ptycho_fast.backend.reference.poisson import counts as photons_of

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


def patch(obj: Array, position: Array, N: int) -> Array:
    """(N, N) complex128: bilinear samples of `obj` around a position [x, y], zero outside."""
    corner = np.asarray(position, np.float64) - N // 2
    H, W = obj.shape
    corner = np.clip(corner, -N - 2, [W + 1, H + 1])  # far outside is just outside
    i, j = np.floor(corner).astype(np.int64)
    u, v = corner - np.floor(corner)
    taps = np.zeros((N + 1, N + 1), np.complex128)
    rows, columns = slice(max(0, -j), min(N + 1, H - j)), slice(max(0, -i), min(N + 1, W - i))
    if rows.start < rows.stop and columns.start < columns.stop:
        taps[rows, columns] = obj[
            j + rows.start : j + rows.stop, i + columns.start : i + columns.stop
        ]
    return (
        (1 - u) * (1 - v) * taps[:-1, :-1]
        + u * (1 - v) * taps[:-1, 1:]
        + (1 - u) * v * taps[1:, :-1]
        + u * v * taps[1:, 1:]
    )


def exit_wave(probe: Array, patch: Array) -> Array:
    """(M, N, N) complex128: one wave for each probe mode."""
    return probe.astype(np.complex128) * patch


def far_field(exit_wave: Array) -> Array:
    """(M, N, N) complex128: unitary Fourier transform, zero frequency at (0, 0)."""
    return np.fft.fft2(exit_wave, norm="ortho")


def intensity(far_field: Array) -> Array:
    """(N, N) float64: modes summed, zero frequency at (N//2, N//2)."""
    return np.fft.fftshift((far_field.real**2 + far_field.imag**2).sum(axis=0))


def expected_photons(intensity: Array, scale: float) -> Array:
    """Float32 photons per pixel, from float32 intensities, as the conventions say."""
    with np.errstate(over="ignore"):  # infinite rates are found by the check that follows
        return np.float32(scale**2) * intensity.astype(np.float32)


def amplitude(counts: Array, scale: float) -> Array:
    """Float32 sqrt(counts) / s, evaluated in float64."""
    return (np.sqrt(counts.astype(np.float64)) / scale).astype(np.float32)


def patches(object: Array, positions: Array, out: Array, threads: int) -> None:
    """See `protocol.Backend`."""
    for b, position in enumerate(positions):
        out[b] = patch(object, position, out.shape[-1])


def frames(exposure: Exposure, counting: Counting | None, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`."""
    N = exposure.probe.shape[-1]
    for b, position in enumerate(exposure.positions):
        psi = exit_wave(exposure.probe, patch(exposure.object, position, N))
        sink.array[b] = _observed(intensity(far_field(psi)), counting, sink, b)


def _observed(intensity: Array, counting: Counting | None, sink: Sink, b: int) -> Array:
    """One pattern, as the sink wants it."""
    if sink.kind == "intensity" or counting is None:
        return intensity
    expected = expected_photons(intensity, counting.scale)
    if sink.kind == "expected":
        return expected
    counts = photons_of(expected, counting.seed, int(counting.indices[b]))
    return counts if sink.kind == "counts" else amplitude(counts, counting.scale)


def photons(rates: Array, counting: Counting, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`."""
    for b, rate in enumerate(rates):
        sink.array[b] = photons_of(rate, counting.seed, int(counting.indices[b]))
