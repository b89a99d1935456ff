"""The loop of ptychodus 1.7, restated from its description: serial NumPy in double precision.

Pattern by pattern: cut the patch at whole pixels, move it by the rest with a Fourier shift,
multiply by each mode, transform, add the intensities, draw photons. No code of that program was
used.
"""

import numpy as np

from bench.pipeline import Array, Pipeline


class SerialLoopPipeline(Pipeline):
    """One pattern at a time, complex128, whole images in every step."""

    kind = "loop"
    whole_pixels = True

    def __init__(self, obj: Array, probe: Array, threads: int = 1) -> None:
        super().__init__(obj.astype(np.complex128), probe.astype(np.complex128))
        frequency = np.fft.fftfreq(self.N)
        self.fy, self.fx = np.meshgrid(frequency, frequency, indexing="ij")
        self.generator = np.random.default_rng(1)

    def _patch(self, position: Array) -> Array:
        N = self.N
        corner = position - N // 2
        i, j = np.round(corner).astype(np.int64)
        u, v = corner - (i, j)
        ramp = np.exp(2j * np.pi * (u * self.fx + v * self.fy))
        return np.fft.ifft2(np.fft.fft2(self.obj[j : j + N, i : i + N]) * ramp)

    def _intensity(self, position: Array) -> Array:
        patch = self._patch(position)
        total = np.zeros((self.N, self.N))
        for mode in self.probe:
            field = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(mode * patch), norm="ortho"))
            total += np.abs(field) ** 2
        return total

    def extract_patches(self, positions: Array, out: Array) -> Array:
        """See `Pipeline`; exact at whole pixels, sines in between."""
        for patch, position in zip(out, positions, strict=True):
            patch[...] = self._patch(position)
        return out

    def diffract(self, positions: Array, out: Array) -> Array:
        """See `Pipeline`."""
        for pattern, position in zip(out, positions, strict=True):
            pattern[...] = self._intensity(position)
        return out

    def sample_photons(self, rates: Array, out: Array) -> Array:
        """See `Pipeline`."""
        for counts, rate in zip(out, rates, strict=True):
            counts[...] = self.generator.poisson(rate)
        return out

    def observe(self, positions: Array, scale: float, out: Array) -> Array:
        """See `Pipeline`, pattern by pattern."""
        for counts, position in zip(out, positions, strict=True):
            counts[...] = self.generator.poisson(scale**2 * self._intensity(position))
        return out
