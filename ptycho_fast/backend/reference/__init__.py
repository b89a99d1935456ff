"""The definition: NumPy in float64, plain, pattern by pattern. Results are rounded at the end."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.backend.reference import photons

Array = npt.NDArray[Any]


def why_not() -> str:
    """Needs NumPy and SciPy alone."""
    return ""


def patch(obj: Array, position: Array, N: int) -> Array:
    """(N, N) complex128: bilinear samples of `obj` around a position [x, y], zero outside."""
    corner = np.asarray(position, np.float64) - N // 2
    H, W = obj.shape
    corner = np.clip(corner, -N - 2, [W + 1, H + 1])  # wholly outside is outside
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
    """Float32 photons per pixel, from float32 intensities, as conventions have it."""
    return np.float32(scale**2) * intensity.astype(np.float32)


def amplitude(counts: Array, scale: float) -> Array:
    """Float32 sqrt(counts) / s, evaluated in float64."""
    return (np.sqrt(counts.astype(np.float64)) / scale).astype(np.float32)


def extract_patches(obj: Array, positions: Array, out: Array, threads: int) -> None:
    """See `ptycho_fast.extract_patches`."""
    for b, position in enumerate(positions):
        out[b] = patch(obj, position, out.shape[-1])


def diffract(obj: Array, probe: Array, positions: Array, out: Array, threads: int) -> None:
    """See `ptycho_fast.diffract`."""
    for b, position in enumerate(positions):
        psi = exit_wave(probe, patch(obj, position, probe.shape[-1]))
        out[b] = intensity(far_field(psi))


def sample_photons(expected: Array, seed: int, first_index: int, out: Array, threads: int) -> None:
    """See `ptycho_fast.sample_photons`."""
    for b, rate in enumerate(expected):
        out[b] = photons.counts(rate, seed, first_index + b)


def observe(
    obj: Array,
    probe: Array,
    positions: Array,
    scale: float,
    seed: int,
    first_index: int,
    out: Array,
    threads: int,
) -> None:
    """See `ptycho_fast.observe`."""
    intensities = np.empty(out.shape, np.float32)
    diffract(obj, probe, positions, intensities, threads)
    counts = np.empty(out.shape, np.uint32) if out.dtype == np.float32 else out
    sample_photons(expected_photons(intensities, scale), seed, first_index, counts, threads)
    if out.dtype == np.float32:
        out[...] = amplitude(counts, scale)
