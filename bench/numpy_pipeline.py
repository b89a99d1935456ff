"""Pure NumPy in float32, twice: as one writes it well, and tuned for the cache.

The first works on the whole batch, stage by stage, with slices and broadcasting: the yardstick. The
second is what remains possible in NumPy with effort: chunks of the batch that fit the cache, no
arrays made on the way, transforms in place, real weights applied to real and imaginary parts alike,
and the zero frequency moved while the result is written.
"""

import numpy as np

from bench.pipeline import Array, Pipeline


class NumpyPipeline(Pipeline):
    """Batched NumPy; `numpy.fft` and `Generator.poisson` work on one thread."""

    kind = "numpy"

    def __init__(self, obj: Array, probe: Array, threads: int = 1) -> None:
        super().__init__(obj, probe)
        self.generator = np.random.default_rng(1)

    def extract_patches(self, positions: Array, out: Array) -> Array:
        """See `Pipeline`: linear interpolation between rows, then between columns."""
        N = self.N
        corners = positions - N // 2
        whole = np.floor(corners).astype(np.int64)
        weights = (corners - whole).astype(np.float32)
        for patch, (i, j), (u, v) in zip(out, whole, weights, strict=True):
            taps = self.obj[j : j + N + 1, i : i + N + 1]
            rows = (1 - v) * taps[:-1] + v * taps[1:]
            patch[...] = (1 - u) * rows[:, :-1] + u * rows[:, 1:]
        return out

    def diffract(self, positions: Array, out: Array) -> Array:
        """See `Pipeline`."""
        patches = np.empty((len(positions), self.N, self.N), np.complex64)
        self.extract_patches(positions, patches)
        total = np.zeros(patches.shape, np.float32)
        for mode in self.probe:
            field = np.fft.fft2(patches * mode)
            total += field.real**2 + field.imag**2
        total *= np.float32(1 / self.N**2)
        out[...] = np.fft.fftshift(total, axes=(-2, -1))
        return out

    def sample_photons(self, rates: Array, out: Array) -> Array:
        """See `Pipeline`."""
        out[...] = self.generator.poisson(rates)
        return out

    def observe(self, positions: Array, scale: float, out: Array) -> Array:
        """See `Pipeline`, but in one chunk."""
        rates = np.empty(out.shape, np.float32)
        self.diffract(positions, rates)
        return self.sample_photons(np.float32(scale**2) * rates, out)


class TunedNumpyPipeline(Pipeline):
    """NumPy in cache."""

    kind = "numpy"

    def __init__(self, obj: Array, probe: Array, threads: int = 1) -> None:
        super().__init__(obj, probe)
        N = self.N
        self.reals = obj.view(np.float32)  # (H, 2W): real, imaginary, real, ...
        self.rows = np.empty((2, N, 2 * N + 2), np.float32)
        self.patches = np.empty((self.chunk, N, N), np.complex64)
        self.waves = np.empty_like(self.patches)
        self.total = np.empty(self.patches.shape, np.float32)
        self.generator = np.random.default_rng(1)

    def extract_patches(self, positions: Array, out: Array) -> Array:
        """See `Pipeline`: linear interpolation between rows, then between columns."""
        N, (rows, lower) = self.N, self.rows
        corners = positions - N // 2
        whole = np.floor(corners).astype(np.int64)
        weights = (corners - whole).astype(np.float32)
        for patch, (i, j), (u, v) in zip(out.view(np.float32), whole, weights, strict=True):
            taps = self.reals[j : j + N + 1, 2 * i : 2 * (i + N + 1)]
            np.multiply(taps[:-1], 1 - v, out=rows)
            rows += np.multiply(taps[1:], v, out=lower)
            np.multiply(rows[:, :-2], 1 - u, out=patch)
            patch += np.multiply(rows[:, 2:], u, out=lower[:, 2:])
        return out

    def diffract(self, positions: Array, out: Array) -> Array:
        """See `Pipeline`."""
        for part in self.parts(len(positions)):
            n = part.stop - part.start
            patches, waves, total = self.patches[:n], self.waves[:n], self.total[:n]
            self.extract_patches(positions[part], patches)
            for m, mode in enumerate(self.probe):
                np.multiply(patches, mode, out=waves)
                np.fft.fft2(waves, out=waves)
                squares = waves.view(np.float32)
                np.square(squares, out=squares)
                if m == 0:
                    np.add(squares[..., ::2], squares[..., 1::2], out=total)
                else:
                    total += squares[..., ::2]
                    total += squares[..., 1::2]
            self._shift(total, out[part])
        return out

    def _shift(self, total: Array, out: Array) -> None:
        """Normalise, and move the zero frequency to (N//2, N//2), quadrant by quadrant."""
        half = self.N // 2
        unitary = np.float32(1 / self.N**2)
        moves = ((slice(0, -half), slice(half, None)), (slice(-half, None), slice(0, half)))
        for rows, to_rows in moves:
            for columns, to_columns in moves:
                np.multiply(total[:, rows, columns], unitary, out=out[:, to_rows, to_columns])

    def sample_photons(self, rates: Array, out: Array) -> Array:
        """See `Pipeline`."""
        for part in self.parts(len(rates)):
            out[part] = self.generator.poisson(rates[part])
        return out
