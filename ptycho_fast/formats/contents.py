"""What a file of diffraction patterns holds: plain arrays, numbers and JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ptycho_fast.formats.patterns import Patterns

DOMAINS = {
    "count_intensity": "photon counts, uint32",
    "detector_signal": "what the detector stores, gain * counts + offset, uint32, int32 or float32",
    "normalized_intensity": "noise-free intensity before dose, float32",
    "normalized_amplitude": "sqrt(counts) / s, or sqrt(intensity) where there is no noise, float32",
}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Contents:
    """What a writer takes and a reader returns.

    Attributes
    ----------
    object : (H, W) or (L, H, W) complex64
        The object, or its slices along the beam.
    probe : (M, N, N) complex64
        Probe modes in the object plane.
    positions, positions_nominal : (B, 2) float64
        True and intended ``[x, y]`` in object pixels.
    diffraction : (B, N, N) patterns
        An array, or patterns that are read or made when they are asked for (`LazyPatterns`), as
        `domain` says.
    domain : str
        A key of `DOMAINS`.
    intensity_scale : float or None
        s; None where the file does not say.
    mask : (N, N) bool or None
        True where a detector pixel is good; None where all are.
    eigenprobes : (K, N, N) complex64 or None
        What is added to the first mode, pattern by pattern.
    weights : (B, M + K) float32 or None
        Factors of modes and eigenprobes in each pattern.
    path : (B, S, 2) float64 or None
        True positions of the sub-exposures of a fly scan.
    dose_factors : (B,) float64 or None
        Dose of each pattern in units of the common one.
    geometry : mapping or None
        Energy, distances and sizes of pixels by name, in SI units, as far as they are known.
    patches : (B, N, N) complex64 patterns or None
        True object patches, for the writer; a reader leaves them in the file.
    scenario : mapping or None
        The scenario as plain JSON types, not looked at here.
    provenance : mapping
        Version, backend, noise and dose, plain JSON types.
    nphotons, gridsize : float, int or None
        Requested dose and group side, for programs that look for them in the file.
    corrections : ((n,) int64, (n,) int32) or None
        Of amplitudes that do not give all counts back: numbers of pixels in the flat array of all
        patterns, rising, and what has to be added to ``rint((amplitude * s)**2)`` there. Empty
        arrays say that nothing has to be added; None says nothing.
    card : str or None
        The data card, for formats that have a place for it.
    finish : callable or None
        For the writer: gives, by name, the fields that are known only when all patterns have
        passed (``provenance`` with the measured dose, ``corrections``, ``card``).
    """

    object: npt.NDArray[np.complex64]
    probe: npt.NDArray[np.complex64]
    positions: npt.NDArray[np.float64]
    positions_nominal: npt.NDArray[np.float64]
    diffraction: Patterns
    domain: str
    intensity_scale: float | None = None
    mask: npt.NDArray[np.bool_] | None = None
    eigenprobes: npt.NDArray[np.complex64] | None = None
    weights: npt.NDArray[np.float32] | None = None
    path: npt.NDArray[np.float64] | None = None
    dose_factors: npt.NDArray[np.float64] | None = None
    geometry: Mapping[str, Any] | None = None
    patches: Patterns | None = None
    scenario: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    nphotons: float | None = None
    gridsize: int | None = None
    corrections: tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]] | None = None
    card: str | None = None
    finish: Callable[[], Mapping[str, Any]] | None = None

    def completed(self) -> Self:
        """The same with what is known after the last pattern; a writer asks for it then."""
        return replace(self, **self.finish(), finish=None) if self.finish else self


def projected(obj: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex64]:
    """(H, W) of an object (H, W) or (L, H, W): the product of its slices, as a thin object."""
    return obj if obj.ndim == 2 else np.ascontiguousarray(obj.prod(axis=0, dtype=np.complex64))
