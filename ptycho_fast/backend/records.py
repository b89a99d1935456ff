"""What travels from the public functions to the kernels, by value: Exposure, Counting, Sink.

The arrays are what the gate returned: of the exact dtype, C-contiguous, of fitting shapes, all in
the memory of the CPU (NumPy) or all on one GPU (CuPy). Nothing below checks them again. The
extension reads these records field by field, so a new field is declared here and in
``csrc/model.h``, and nowhere between.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

Array = Any  # a NumPy or CuPy array

SinkKind = Literal["intensity", "expected", "counts", "amplitude"]


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """What falls on the detector.

    Attributes
    ----------
    object : (H, W) complex64
        Complex transmission of the object.
    probe : (M, N, N) complex64
        Probe modes, which add incoherently.
    positions : (B, 2) float64
        ``[x, y]`` in object pixels.
    """

    object: Array
    probe: Array
    positions: Array

    def part(self, chosen: slice) -> "Exposure":
        """The same exposure at some of its positions."""
        return replace(self, positions=self.positions[chosen])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, N, N): shape of the patterns."""
        return (len(self.positions), *self.probe.shape[1:])

    @property
    def n_pixels(self) -> int:
        """Pixels of all exit waves, which is what the work grows with."""
        return len(self.positions) * int(self.probe.size)


@dataclass(frozen=True, slots=True, eq=False)
class Counting:
    """How photons are counted.

    Attributes
    ----------
    scale : float
        Intensity scale s: a pixel expects ``float32(s**2) * intensity`` photons.
    seed : int
        Seed of the photon noise, 64 bits, unsigned.
    indices : (B,) uint64
        Pattern number of each pattern, which with the seed and the pixel decides the noise.
    """

    scale: float
    seed: int
    indices: Array

    def part(self, chosen: slice) -> "Counting":
        """The same for some of the patterns."""
        return replace(self, indices=self.indices[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Sink:
    """Where results go, and what they are.

    Attributes
    ----------
    array : (B, N, N)
        float32; for counts uint32, or uint16, where counts above 65535 are stored as 65535.
    kind : {"intensity", "expected", "counts", "amplitude"}
        Intensity before dose; expected photons ``float32(s**2) * intensity``; photon counts;
        ``sqrt(counts) / s``.
    """

    array: Array
    kind: SinkKind

    def part(self, chosen: slice) -> "Sink":
        """The part of the array for some of the patterns."""
        return replace(self, array=self.array[chosen])
