"""Serial numba kernels for one pattern. Compiled on first use; nothing is cached on disk."""

import math
from typing import Any

import numpy as np
from numba import njit

from .numba_photons import poisson_counts as poisson_counts

_kernel: Any = njit(nogil=True, error_model="numpy", boundscheck=False)


@_kernel
def _split(x, low, high):  # type: ignore[no-untyped-def]
    if not x > low:
        return int(low), 0.0
    if not x < high:
        return int(high), 0.0
    whole = math.floor(x)
    return int(whole), x - whole


@_kernel
def _tap(obj, row, column):  # type: ignore[no-untyped-def]
    if 0 <= row < obj.shape[0] and 0 <= column < obj.shape[1]:
        return obj[row, column]
    return np.complex64(0)


@_kernel
def patch(obj, x, y, out):  # type: ignore[no-untyped-def]
    """(N, N) complex64 bilinear samples of `obj` around (x, y), zero outside."""
    N = out.shape[0]
    H, W = obj.shape
    i, u = _split(x - N // 2, -2.0 - N, W + 1.0)
    j, v = _split(y - N // 2, -2.0 - N, H + 1.0)
    left, right = np.float32(1 - u), np.float32(u)
    upper, lower = np.float32(1 - v), np.float32(v)
    inside = i >= 0 and j >= 0 and i + N < W and j + N < H
    for r in range(N):
        for c in range(N):
            if inside:
                a, b = obj[j + r, i + c], obj[j + r, i + c + 1]
                d, e = obj[j + r + 1, i + c], obj[j + r + 1, i + c + 1]
            else:
                a, b = _tap(obj, j + r, i + c), _tap(obj, j + r, i + c + 1)
                d, e = _tap(obj, j + r + 1, i + c), _tap(obj, j + r + 1, i + c + 1)
            re = (a.real * left + b.real * right) * upper + (d.real * left + e.real * right) * lower
            im = (a.imag * left + b.imag * right) * upper + (d.imag * left + e.imag * right) * lower
            out[r, c] = complex(re, im)


@_kernel
def exit_waves(obj, probe, x, y, out):  # type: ignore[no-untyped-def]
    """(M, N, N) complex64: probe modes times the patch."""
    M, N, _ = probe.shape
    o = out[M - 1]  # the patch is kept where the last mode's wave will stand
    patch(obj, x, y, o)
    for m in range(M):
        for r in range(N):
            for c in range(N):
                p, q = probe[m, r, c], o[r, c]
                out[m, r, c] = complex(
                    p.real * q.real - p.imag * q.imag, p.real * q.imag + p.imag * q.real
                )


@_kernel
def intensity(far_field, out):  # type: ignore[no-untyped-def]
    """(N, N) float32: modes summed and shifted, from an unnormalised transform."""
    M, N, _ = far_field.shape
    unitary = np.float32(1) / (np.float32(N) * np.float32(N))
    half = N // 2
    for r in range(N):
        y = r + half if r + half < N else r + half - N
        for c in range(N):
            total = np.float32(0)
            for m in range(M):
                f = far_field[m, r, c]
                total += f.real * f.real + f.imag * f.imag
            x = c + half if c + half < N else c + half - N
            out[y, x] = total * unitary


@_kernel
def first_bad_rate(rates):  # type: ignore[no-untyped-def]
    """Index of the first rate that is negative, NaN, infinite or above 2**31, or -1."""
    for i in range(rates.size):
        if not (rates[i] >= 0 and rates[i] <= 2147483648.0):
            return i
    return -1


@_kernel
def amplitude(counts, scale, out):  # type: ignore[no-untyped-def]
    """(N, N) float32: sqrt(counts) / s, evaluated in float64."""
    for r in range(counts.shape[0]):
        for c in range(counts.shape[1]):
            out[r, c] = math.sqrt(float(counts[r, c])) / scale
