"""The yardstick: ptychography simulation written well in NumPy alone, in float32, by the batch.

Four shifted views of the object per pattern, weights in float32, one batched transform per mode.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


def extract_patches(obj: Array, positions: Array, N: int) -> Array:
    """(B, N, N) complex64; positions whose patches lie within the object."""
    corners = positions - N // 2
    whole = np.floor(corners).astype(np.int64)
    u, v = (corners - whole).T.astype(np.float32)
    out = np.empty((len(positions), N, N), np.complex64)
    for b, (i, j) in enumerate(whole):
        upper, lower = obj[j : j + N, i : i + N + 1], obj[j + 1 : j + N + 1, i : i + N + 1]
        rows = (1 - v[b]) * upper + v[b] * lower
        out[b] = (1 - u[b]) * rows[:, :-1] + u[b] * rows[:, 1:]
    return out


def diffract(obj: Array, probe: Array, positions: Array) -> Array:
    """(B, N, N) float32 intensities."""
    N = probe.shape[-1]
    patches = extract_patches(obj, positions, N)
    total = np.zeros(patches.shape, np.float32)
    for mode in probe:
        field = np.fft.fft2(patches * mode)
        total += field.real**2 + field.imag**2
    total *= np.float32(1 / N**2)
    return np.fft.fftshift(total, axes=(-2, -1))


def sample_photons(expected: Array, generator: np.random.Generator) -> Array:
    """(B, N, N) uint32 counts."""
    return generator.poisson(expected).astype(np.uint32)


def observe(
    obj: Array, probe: Array, positions: Array, scale: float, generator: np.random.Generator
) -> Array:
    """(B, N, N) uint32 counts."""
    return sample_photons(np.float32(scale**2) * diffract(obj, probe, positions), generator)
