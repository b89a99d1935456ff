"""Scans: positions ``(B, 2)`` float64, ``[x, y]`` in object pixels.

One file per kind; a new file with a function marked ``@kind(name)`` adds a kind. `path.finished`
has the keys that all kinds share.
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import declared_by
from ptycho_fast.kinds import Kinds, fingerprint
from ptycho_fast.optics import Geometry

from .path import ScanPath, check_inside, finished

__all__ = ["COMMON", "KINDS", "ScanPath", "check_inside", "keys_of_given", "make_scan"]

KINDS = Kinds("scan", __name__, first="random")
COMMON = declared_by(finished)


def make_scan(
    spec: Any,
    shape: tuple[int, int],
    seed: int,
    *,
    geometry: Geometry | None = None,
    given: npt.ArrayLike | None = None,
) -> ScanPath:
    """Make the scan that a scenario describes.

    Parameters
    ----------
    spec : ScanSpec
        The table ``[scan]``: ``kind``, the keys of that kind, and those of `path.finished`, as
        attributes.
    shape : (int, int)
        Rows and columns of the object.
    seed : int
        Seed of the draw.
    geometry : Geometry, optional
        Has the size of an object pixel, which steps and files in metres need.
    given : (B, 2) array, optional
        The positions of the kind "given".

    Returns
    -------
    ScanPath
        Nominal and true positions, and the path of a fly scan.

    Raises
    ------
    ScenarioError
        The kind is unknown, a key that it needs is missing, the scan does not fit, or the kind is
        "given" and the array is missing or another one.
    OSError, TypeError, ValueError
        As the function of the kind and `path.finished`.

    Examples
    --------
    >>> from ptycho_fast import Scenario
    >>> scenario = Scenario.preset("gs2_ideal")
    >>> scan = make_scan(scenario.scan, (392, 392), scenario.seeds.scan)
    >>> scan.nominal.shape, scan.positions is scan.nominal, scan.path
    ((1024, 2), True, None)
    """
    array = None if given is None else checks.positions(given)
    nominal = KINDS.make(spec, shape=shape, seed=seed, array=array, geometry=geometry)
    return finished(nominal, seed, **{name: getattr(spec, name) for name in COMMON})


def keys_of_given(positions: npt.ArrayLike) -> dict[str, Any]:
    """The table ``[scan]`` that records true positions handed over in Python: all errors are off.

    The boundary stays as it is, and so does a fly scan.
    """
    array = checks.positions(positions)
    stays = ("boundary", "fly_points", "fly_fraction")
    off = {name: rule.default for name, rule in COMMON.items() if name not in stays}
    return {"kind": "given", "n_patterns": len(array), "sha256": fingerprint(array), **off}


def __getattr__(name: str) -> Any:
    found: Any
    if name == "split_on_y":
        from ptycho_fast.data.split import split_on_y as found

        new = "data.split.split_on_y"
    elif name == "legacy_generator":
        from ptycho_fast.rng import legacy_generator as found

        new = "rng.legacy_generator"
    elif name == "random_scan":
        from .random import random

        new = "scans.random.random(shape, seed, n_patterns=..., buffer=...)"

        def found(
            shape: tuple[int, int], n_patterns: int, buffer: float, seed: int
        ) -> npt.NDArray[np.float64]:
            return random(shape, seed, n_patterns=n_patterns, buffer=buffer)

    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"scans.{name} is now {new}", DeprecationWarning, stacklevel=2)
    return found
