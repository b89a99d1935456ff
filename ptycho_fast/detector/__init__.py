"""Two-dimensional detector model: what stands between the photons and the stored counts."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks


class _DetectorSpec(Protocol):
    @property
    def saturation(self) -> int | None: ...
    @property
    def beam_stop_radius(self) -> float: ...


def apply(counts: npt.NDArray[Any], spec: _DetectorSpec) -> npt.NDArray[Any]:
    """Apply a beam stop, then saturation.

    Parameters
    ----------
    counts : ndarray, (B, N, N), integer or float
        Photons per pixel, zero frequency at ``(N // 2, N // 2)``; not modified.
    spec : object with attributes ``saturation``, ``beam_stop_radius``
        Pixels closer to the zero frequency than ``beam_stop_radius`` (pixels, 0: off) become 0;
        values above ``saturation`` (photons, None: off) become that.

    Returns
    -------
    ndarray, (B, N, N)
        Same dtype; `counts` itself if everything is off.

    Raises
    ------
    ValueError
        If the shape or dtype is another, the radius is negative or not finite, or the saturation
        is below 1.
    """
    if counts.ndim != 3 or counts.shape[1] != counts.shape[2] or counts.dtype.kind not in "iuf":
        raise ValueError(
            f"counts: shape {counts.shape} and dtype {counts.dtype} given, "
            "expected (B, N, N) integers or floats"
        )
    radius = checks.number(spec.beam_stop_radius, "beam_stop_radius", least=0)
    limit = None if spec.saturation is None else checks.count(spec.saturation, "saturation")
    if radius == 0 and limit is None:
        return counts

    seen = counts.copy()
    if radius > 0:
        N = counts.shape[-1]
        square = (np.arange(N) - N // 2) ** 2
        seen[:, np.sqrt(square[:, None] + square) < radius] = 0
    if limit is not None:
        if counts.dtype.kind != "f":  # a limit beyond the type's range never acts
            limit = min(limit, int(np.iinfo(counts.dtype).max))
        np.minimum(seen, limit, out=seen)
    return seen
