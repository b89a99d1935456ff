"""Two-dimensional detector model: from photons to the counts that are stored.

One file per part. A part is a function of the counts; its keyword-only arguments are keys of the
table ``[detector]``, and their defaults mean that it is off.
"""

from typing import Any

import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Declared, declared_by

from .beam_stop import beam_stop
from .saturation import saturate

PARTS = (beam_stop, saturate)
"""All parts, in the order in which they act."""

_KEYS = {part: declared_by(part) for part in PARTS}


def keys() -> dict[str, Declared]:
    """The keys of all parts, in the order of `PARTS`."""
    return {name: key for keys in _KEYS.values() for name, key in keys.items()}


def apply(counts: npt.NDArray[Any], spec: Any) -> npt.NDArray[Any]:
    """Apply the parts of a detector, in the order of `PARTS`.

    Parameters
    ----------
    counts : (B, N, N) integers or floats
        Photons per pixel, zero frequency at ``(N // 2, N // 2)``; not modified.
    spec : DetectorSpec
        The table ``[detector]``: every key of `keys` as an attribute.

    Returns
    -------
    (B, N, N), same dtype
        `counts` itself if every part is off.

    Raises
    ------
    TypeError, ValueError
        The shape or dtype is another, or a key is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from ptycho_fast.scenario import DetectorSpec
    >>> apply(np.full((1, 2, 2), 9), DetectorSpec(saturation=4, beam_stop_radius=1))[0]
    array([[4, 4],
           [4, 0]])
    """
    if counts.ndim != 3 or counts.shape[1] != counts.shape[2] or counts.dtype.kind not in "iuf":
        raise ValueError(
            checks.wrong("counts", checks.described(counts), "(B, N, N) integers or floats")
        )
    for part, keys_of_part in _KEYS.items():
        counts = part(counts, **{name: getattr(spec, name) for name in keys_of_part})
    return counts
