"""What a file of diffraction patterns holds: plain arrays, numbers and JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

DOMAINS = {
    "count_intensity": "photon counts, uint32",
    "normalized_intensity": "noise-free intensity before dose, float32",
    "normalized_amplitude": "sqrt(counts) / s, or sqrt(intensity) where there is no noise, float32",
}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Contents:
    """What a writer takes and a reader returns.

    Attributes
    ----------
    object : (H, W) complex64
        The object.
    probe : (M, N, N) complex64
        Probe modes in the object plane.
    positions, positions_nominal : (B, 2) float64
        True and intended ``[x, y]`` in object pixels.
    diffraction : (B, N, N)
        The patterns: uint32 counts or float32, as `domain` says.
    domain : str
        A key of `DOMAINS`.
    intensity_scale : float or None
        s; None where the file does not say.
    mask : (N, N) bool or None
        True where a detector pixel is good; None where all are.
    patches : (B, N, N) complex64 or None
        True object patches, for the writer; a reader leaves them in the file.
    scenario : mapping or None
        The scenario as plain JSON types, not looked at here.
    provenance : mapping
        Version, backend, noise and dose, plain JSON types.
    nphotons, gridsize : float, int or None
        Requested dose and group side, for programs that look for them in the file.
    """

    object: npt.NDArray[np.complex64]
    probe: npt.NDArray[np.complex64]
    positions: npt.NDArray[np.float64]
    positions_nominal: npt.NDArray[np.float64]
    diffraction: npt.NDArray[Any]
    domain: str
    intensity_scale: float | None = None
    mask: npt.NDArray[np.bool_] | None = None
    patches: npt.NDArray[np.complex64] | None = None
    scenario: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    nphotons: float | None = None
    gridsize: int | None = None
