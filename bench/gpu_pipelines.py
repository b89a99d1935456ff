"""What the GPU backend is set against: pipelines of CuPy and of PyTorch, as fast as they go.

A pipeline gathers, multiplies, transforms, squares and samples in separate launches. `CuPyPlain` is
how one writes it with array functions; `CuPyTuned` has kernels of its own before and after the
transform and keeps plans and memory. Both work on chunks that suit them.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

Array = Any

GATHER_AND_DETECT = r"""
extern "C" __global__ void gather(const float2* object, int columns, const double* positions,
                                  const float2* probe,
                                  int modes, int n, int patterns, float2* waves) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x, plane = (long long)n * n;
  if (i >= patterns * plane) return;
  const int pattern = i / plane, pixel = i % plane, r = pixel / n, c = pixel % n;
  const double x = positions[2 * pattern] - n / 2, y = positions[2 * pattern + 1] - n / 2;
  const float u = x - floor(x), v = y - floor(y);
  const float2* at = object + ((long long)floor(y) + r) * columns + (long long)floor(x) + c;
  const float2 a = at[0], b = at[1], d = at[columns], e = at[columns + 1];
  const float re = (1 - v) * ((1 - u) * a.x + u * b.x) + v * ((1 - u) * d.x + u * e.x);
  const float im = (1 - v) * ((1 - u) * a.y + u * b.y) + v * ((1 - u) * d.y + u * e.y);
  for (int m = 0; m < modes; ++m) {
    const float2 p = probe[m * plane + pixel];
    const float2 wave = make_float2(p.x * re - p.y * im, p.x * im + p.y * re);
    waves[(pattern * (long long)modes + m) * plane + pixel] = wave;
  }
}
extern "C" __global__ void detect(const float2* waves, int modes, int n, int patterns,
                                  float scale, float* out) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x, plane = (long long)n * n;
  if (i >= patterns * plane) return;
  const int pattern = i / plane, pixel = i % plane, r = pixel / n, c = pixel % n;
  const int from = (r + (n + 1) / 2) % n * n + (c + (n + 1) / 2) % n;
  float sum = 0;
  for (int m = 0; m < modes; ++m) {
    const float2 w = waves[(pattern * (long long)modes + m) * plane + from];
    sum += w.x * w.x + w.y * w.y;
  }
  out[i] = sum * scale;
}
"""


class GpuPipeline(ABC):
    """A way to simulate on a GPU; arrays are CuPy's, patches lie within the object."""

    def __init__(self, obj: Array, probe: Array, chunk: int) -> None:
        self.obj, self.probe, self.chunk = obj, probe, chunk
        self.modes, self.N, _ = probe.shape

    def chunks(self, n: int) -> list[slice]:
        """Patterns in pieces."""
        return [slice(i, min(i + self.chunk, n)) for i in range(0, n, self.chunk)]

    @abstractmethod
    def diffract(self, positions: Array, out: Array) -> None:
        """(B, N, N) float32 intensities into `out`."""

    @abstractmethod
    def observe(self, positions: Array, scale: float, out: Array) -> None:
        """(B, N, N) uint32 counts into `out`."""


class PtychoFast(GpuPipeline):
    """The project's own, a batch in a call."""

    def diffract(self, positions: Array, out: Array) -> None:
        """See `GpuPipeline`."""
        import ptycho_fast

        ptycho_fast.diffract(self.obj, self.probe, positions, out=out)

    def observe(self, positions: Array, scale: float, out: Array) -> None:
        """See `GpuPipeline`."""
        import ptycho_fast

        ptycho_fast.observe(self.obj, self.probe, positions, scale=scale, seed=1, out=out)


class CuPyPlain(GpuPipeline):
    """Array functions one after another."""

    def __init__(self, obj: Array, probe: Array, chunk: int) -> None:
        import cupy

        super().__init__(obj, probe, chunk)
        self.cupy, self.generator = cupy, cupy.random.default_rng(1)

    def _intensity(self, positions: Array) -> Array:
        cp, N = self.cupy, self.N
        corner = positions - N // 2
        whole = cp.floor(corner)
        u, v = ((corner - whole).astype(cp.float32)[:, k, None, None] for k in (0, 1))
        at = whole.astype(cp.int64)
        rows = at[:, 1, None, None] + cp.arange(N)[None, :, None]
        columns = at[:, 0, None, None] + cp.arange(N)[None, None, :]
        patch = (1 - v) * ((1 - u) * self.obj[rows, columns] + u * self.obj[rows, columns + 1])
        patch += v * ((1 - u) * self.obj[rows + 1, columns] + u * self.obj[rows + 1, columns + 1])
        total = 0
        for mode in self.probe:
            field = cp.fft.fft2(mode * patch)
            total = total + field.real**2 + field.imag**2
        return cp.fft.fftshift(total, axes=(-2, -1)) * cp.float32(1 / N**2)

    def diffract(self, positions: Array, out: Array) -> None:
        """See `GpuPipeline`."""
        for part in self.chunks(len(positions)):
            out[part] = self._intensity(positions[part])

    def observe(self, positions: Array, scale: float, out: Array) -> None:
        """See `GpuPipeline`."""
        for part in self.chunks(len(positions)):
            rates = self._intensity(positions[part]) * np.float32(scale**2)
            out[part] = self.generator.poisson(rates)


class CuPyTuned(GpuPipeline):
    """Fused kernels around a planned transform in place."""

    def __init__(self, obj: Array, probe: Array, chunk: int) -> None:
        import cupy
        from cupyx.scipy import fft

        super().__init__(obj, probe, chunk)
        self.fft, self.generator = fft, cupy.random.default_rng(1)
        module = cupy.RawModule(code=GATHER_AND_DETECT)
        self.gather, self.detect = (module.get_function(name) for name in ("gather", "detect"))
        self.waves = cupy.empty((chunk, *probe.shape), np.complex64)
        self.rates = cupy.empty((chunk, self.N, self.N), np.float32)
        self.plans: dict[int, Any] = {}

    def _intensity(self, positions: Array, scale: float, out: Array) -> None:
        n, N, modes = len(positions), np.int32(self.N), np.int32(self.modes)
        waves, blocks = self.waves[:n], (-(-n * self.N**2 // 256),)
        columns = np.int32(self.obj.shape[1])
        args = (self.obj, columns, positions, self.probe, modes, N, np.int32(n), waves)
        self.gather(blocks, (256,), args)
        if n not in self.plans:
            self.plans[n] = self.fft.get_fft_plan(waves, axes=(-2, -1))
        with self.plans[n]:
            waves = self.fft.fft2(waves, axes=(-2, -1), overwrite_x=True)
        factor = np.float32(scale / self.N**2)
        self.detect(blocks, (256,), (waves, modes, N, np.int32(n), factor, out))

    def diffract(self, positions: Array, out: Array) -> None:
        """See `GpuPipeline`."""
        for part in self.chunks(len(positions)):
            self._intensity(positions[part], 1.0, out[part])

    def observe(self, positions: Array, scale: float, out: Array) -> None:
        """See `GpuPipeline`."""
        for part in self.chunks(len(positions)):
            rates = self.rates[: part.stop - part.start]
            self._intensity(positions[part], scale**2, rates)
            out[part] = self.generator.poisson(rates)


class Torch(GpuPipeline):
    """PyTorch's array functions, memory shared by DLPack."""

    def __init__(self, obj: Array, probe: Array, chunk: int) -> None:
        import cupy
        import torch

        super().__init__(obj, probe, chunk)
        self.torch = torch
        # The caller times on CuPy's stream.
        self.stream = torch.cuda.ExternalStream(cupy.cuda.get_current_stream().ptr)
        self.t_obj, self.t_probe = torch.from_dlpack(obj), torch.from_dlpack(probe)

    def _intensity(self, positions: Array) -> Any:
        torch, N = self.torch, self.N
        corner = torch.from_dlpack(positions) - N // 2
        whole = torch.floor(corner)
        u, v = ((corner - whole).float()[:, k, None, None] for k in (0, 1))
        at = whole.long()
        steps = torch.arange(N, device=at.device)
        rows, columns = at[:, 1, None, None] + steps[:, None], at[:, 0, None, None] + steps
        obj = self.t_obj
        patch = (1 - v) * ((1 - u) * obj[rows, columns] + u * obj[rows, columns + 1])
        patch += v * ((1 - u) * obj[rows + 1, columns] + u * obj[rows + 1, columns + 1])
        field = torch.fft.fft2(self.t_probe * patch[:, None])
        total = (field.real**2 + field.imag**2).sum(dim=1)
        return torch.fft.fftshift(total, dim=(-2, -1)) * (1 / N**2)

    def diffract(self, positions: Array, out: Array) -> None:
        """See `GpuPipeline`."""
        with self.torch.cuda.stream(self.stream):
            for part in self.chunks(len(positions)):
                self.torch.from_dlpack(out[part]).copy_(self._intensity(positions[part]))

    def observe(self, positions: Array, scale: float, out: Array) -> None:
        """See `GpuPipeline`."""
        torch = self.torch
        with torch.cuda.stream(self.stream):
            for part in self.chunks(len(positions)):
                counts = torch.poisson(self._intensity(positions[part]) * scale**2)
                torch.from_dlpack(out[part].view(np.int32)).copy_(counts)


CONTENDERS = {
    "ptycho_fast": PtychoFast, "CuPy, tuned": CuPyTuned, "CuPy, plain": CuPyPlain, "PyTorch": Torch,
}  # fmt: skip
