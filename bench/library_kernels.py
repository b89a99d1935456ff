"""numba kernels around a library's FFT, written for speed: fast-math, threads over patterns."""

import math
from typing import Any

import numpy as np
from numba import njit, prange

_kernel: Any = njit(fastmath=True, parallel=True, error_model="numpy")


@njit(fastmath=True, error_model="numpy")
def _interpolate(reals, x, y, out):  # type: ignore[no-untyped-def]
    """(N, 2N) float32 bilinear samples; real and imaginary parts stand next to each other."""
    N = out.shape[0]
    i, j = math.floor(x - N // 2), math.floor(y - N // 2)
    u, v = np.float32(x - N // 2 - i), np.float32(y - N // 2 - j)
    one = np.float32(1)
    for r in range(N):
        upper, lower = reals[j + r, 2 * i :], reals[j + r + 1, 2 * i :]
        for k in range(2 * N):
            out[r, k] = (upper[k] * (one - u) + upper[k + 2] * u) * (one - v) + (
                lower[k] * (one - u) + lower[k + 2] * u
            ) * v


@_kernel
def extract_patches(reals, positions, out):  # type: ignore[no-untyped-def]
    """(B, N, 2N) float32 patches from the object as (H, 2W) float32."""
    for b in prange(positions.shape[0]):
        _interpolate(reals, positions[b, 0], positions[b, 1], out[b])


@_kernel
def exit_waves(reals, probe, positions, patches, out):  # type: ignore[no-untyped-def]
    """(B, M, N, N) complex64 probe modes times patches; `patches` (B, N, N) is workspace."""
    M, N, _ = probe.shape
    parts = patches.view(np.float32)
    for b in prange(positions.shape[0]):
        _interpolate(reals, positions[b, 0], positions[b, 1], parts[b])
        for m in range(M):
            for r in range(N):
                for c in range(N):
                    out[b, m, r, c] = patches[b, r, c] * probe[m, r, c]


@_kernel
def intensity(far_field, out):  # type: ignore[no-untyped-def]
    """(B, N, N) float32: modes summed, normalised, zero frequency at (N//2, N//2)."""
    M, N, _ = far_field.shape[1:]
    half = N // 2
    unitary = np.float32(1 / (N * N))
    for b in prange(out.shape[0]):
        for r in range(N):
            row = out[b, (r + half) % N]
            row[:] = 0
            for m in range(M):
                line = far_field[b, m, r]
                for c in range(N - half):
                    row[c + half] += unitary * (line[c].real ** 2 + line[c].imag ** 2)
                for c in range(half):
                    f = line[c + N - half]
                    row[c] += unitary * (f.real**2 + f.imag**2)


@_kernel
def poisson(rates, out):  # type: ignore[no-untyped-def]
    """(B, N, N) counts by numba's own np.random.poisson; each thread has its own stream."""
    for b in prange(rates.shape[0]):
        for r in range(rates.shape[1]):
            for c in range(rates.shape[2]):
                out[b, r, c] = np.random.poisson(rates[b, r, c])  # noqa: NPY002 - the one in numba
