"""What travels from the public functions to the kernels, by value: Exposure, Counting, Sink.

The arrays are what the gate returned: of the exact dtype, C-contiguous, of fitting shapes, all in
the memory of the CPU (NumPy) or all on one GPU (CuPy). Nothing below checks them again. The
extension reads these records field by field, so a new field is declared here and in
``csrc/model.h``, and nowhere between.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from ptycho_fast.detector import Response as Response

Array = Any  # a NumPy or CuPy array

Boundary = Literal["zero", "vacuum", "edge"]
BOUNDARIES: tuple[Boundary, ...] = get_args(Boundary)
SinkKind = Literal["intensity", "expected", "counts", "amplitude", "signal"]


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """What falls on the detector: the mean over sub-exposures of the sum over modes.

    The last axes of probe and object are those of the exit wave, n x n pixels; a pattern has
    N x N pixels, n = q N. All that has a default is off by default and then costs nothing.

    Attributes
    ----------
    object : (L, H, W) complex64
        Complex transmission of the object, slice by slice along the beam; usually L = 1.
    probe : (M + K, n, n) complex64
        M probe modes, which add incoherently, then K eigenprobes.
    positions : (B, S, 2) float64
        ``[x, y]`` in object pixels of the S sub-exposures of each pattern; usually S = 1.
    boundary : {"zero", "vacuum", "edge"}
        What lies outside the object: 0, 1, or its nearest pixel.
    modes : int, optional
        M; by default all planes of the probe are modes.
    weights : (B, M + K) float32, optional
        Mode m of pattern b is multiplied by ``weights[b, m]``; eigenprobe k, times
        ``weights[b, M + k]``, is added to mode 0.
    between : (n, n) complex64, optional
        Transfer function from a slice to the next, zero frequency at (0, 0).
    near : (n, n) complex64, optional
        Transfer function from the last slice to a detector in the near field, of which the
        pattern is an image; by default the detector is in the far field.
    bin : int
        q: how many pixels of the transform, along each axis, make a pixel of the detector.
    spread : (R + 1,) float32, optional
        Half of a symmetric kernel that blurs the pattern along both axes, periodically.
    """

    object: Array
    probe: Array
    positions: Array
    boundary: Boundary = "zero"
    modes: int | None = None
    weights: Array | None = None
    between: Array | None = None
    near: Array | None = None
    bin: int = 1
    spread: Array | None = None

    def part(self, chosen: slice | Array) -> "Exposure":
        """The same exposure at some of its positions: a slice, or their numbers."""
        weights = None if self.weights is None else self.weights[chosen]
        return replace(self, positions=self.positions[chosen], weights=weights)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, N, N): shape of the patterns."""
        N = self.probe.shape[-1] // self.bin
        return len(self.positions), N, N

    @property
    def plain(self) -> bool:
        """Whether it is the far field of one slice at one position, all planes being modes."""
        single = len(self.object) == self.positions.shape[1] == self.bin == 1
        return single and self.weights is self.near is self.spread is None

    @property
    def n_modes(self) -> int:
        """M, the number of waves of a sub-exposure."""
        return len(self.probe) if self.modes is None else self.modes

    @property
    def n_pixels(self) -> int:
        """Pixels of all exit waves, once for each transform: the work grows with it."""
        B, S, _ = self.positions.shape
        transforms = 2 * len(self.object) - 1 + (self.near is not None)
        return B * S * self.n_modes * int(self.probe[0].size) * transforms


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
    factors : (B,) float64, optional
        Dose of each pattern in units of the common one, as a beam that fluctuates gives it: a pixel
        then expects ``float32(s**2 * factor) * intensity`` photons.
    detector : Response, optional
        What a detector makes of the photons: signals, and amplitudes of these.
    """

    scale: float
    seed: int
    indices: Array
    factors: Array | None = None
    detector: Response | None = None

    def part(self, chosen: slice) -> "Counting":
        """The same for some of the patterns."""
        factors = None if self.factors is None else self.factors[chosen]
        return replace(self, indices=self.indices[chosen], factors=factors)

    def picked(self, chosen: Array, numbers: Array) -> "Counting":
        """The same for some of the patterns, whose numbers are given."""
        factors = None if self.factors is None else self.factors[chosen]
        return replace(self, indices=numbers, factors=factors)


@dataclass(frozen=True, slots=True, eq=False)
class Sink:
    """Where results go, and what they are.

    Attributes
    ----------
    array : (B, N, N)
        float32; for counts uint32, or uint16, where counts above 65535 are stored as 65535; for
        signals uint32, int32 or float32.
    kind : {"intensity", "expected", "counts", "amplitude", "signal"}
        Intensity before dose; expected photons ``float32(s**2) * intensity``; photon counts;
        ``sqrt(counts) / s``, with a detector ``sqrt(max((signal - offset) / gain, 0)) / s``;
        signals of the detector.
    """

    array: Array
    kind: SinkKind

    def part(self, chosen: slice) -> "Sink":
        """The part of the array for some of the patterns."""
        return replace(self, array=self.array[chosen])
