"""True objects: complex transmission, ``(H, W)`` complex64.

One file per kind; a new file with a function marked ``@kind(name)`` adds a kind.
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.kinds import Kinds, fingerprint
from ptycho_fast.optics import Geometry

KINDS = Kinds("object", __name__, first="lines")


def make_object(
    spec: Any,
    seed: int,
    *,
    geometry: Geometry | None = None,
    given: npt.ArrayLike | None = None,
) -> npt.NDArray[np.complex64]:
    """Make the object that a scenario describes.

    Parameters
    ----------
    spec : ObjectSpec
        The table ``[object]``: ``kind``, and the keys of that kind as attributes.
    seed : int
        Seed of the draw; kinds that draw nothing ignore it.
    geometry : Geometry, optional
        Energy and sizes of pixels, for kinds in physical units.
    given : (H, W) array, optional
        The array of the kind "given".

    Returns
    -------
    (H, W) complex64
        The object.

    Raises
    ------
    ScenarioError
        The kind is unknown, a key that it needs is missing, or the kind is "given" and the array
        is missing or another one.
    OSError, TypeError, ValueError
        As the function of the kind.

    Examples
    --------
    >>> from ptycho_fast import Scenario
    >>> scenario = Scenario.preset("gs2_ideal")
    >>> make_object(scenario.object, scenario.seeds.object).shape
    (392, 392)
    """
    array = None if given is None else as_object(given)
    return KINDS.make(spec, seed=seed, array=array, geometry=geometry)


def keys_of_given(obj: npt.ArrayLike) -> dict[str, Any]:
    """The table ``[object]`` that records an object handed over in Python."""
    return {"kind": "given", "sha256": fingerprint(as_object(obj))}


def as_object(obj: npt.ArrayLike) -> npt.NDArray[np.complex64]:
    """An object as the kernels take it, (H, W) complex64; see `checks.floating` for errors."""
    array = checks.floating(obj, "object", np.complex64, integers=True)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(checks.wrong("object", f"shape {array.shape}", "(H, W)"))
    return array


def __getattr__(name: str) -> Any:
    if name == "read_object":
        from .from_file import from_file

        warnings.warn(
            "objects.read_object(path) is now objects.from_file.from_file(file=path)",
            DeprecationWarning,
            stacklevel=2,
        )
        return lambda path: from_file(file=path)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
