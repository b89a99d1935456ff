"""Scans: positions ``(B, 2)`` float64, ``[x, y]`` in object pixels.

One file per kind; a new file with a function marked ``@kind(name)`` adds a kind.
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.kinds import Kinds, fingerprint

KINDS = Kinds("scan", __name__, first="random")


def make_scan(
    spec: Any, shape: tuple[int, int], seed: int, *, given: npt.ArrayLike | None = None
) -> npt.NDArray[np.float64]:
    """Make the scan that a scenario describes.

    Parameters
    ----------
    spec : ScanSpec
        The table ``[scan]``: ``kind``, and the keys of that kind as attributes.
    shape : (int, int)
        Rows and columns of the object.
    seed : int
        Seed of the draw.
    given : (B, 2) array, optional
        The positions of the kind "given".

    Returns
    -------
    (n_patterns, 2) float64
        Positions ``[x, y]``.

    Raises
    ------
    ScenarioError
        The kind is unknown, a key that it needs is missing, or the kind is "given" and the array
        is missing or another one.
    TypeError, ValueError
        As the function of the kind.

    Examples
    --------
    >>> from ptycho_fast import Scenario
    >>> scenario = Scenario.preset("gs2_ideal")
    >>> make_scan(scenario.scan, (392, 392), scenario.seeds.scan).shape
    (1024, 2)
    """
    array = None if given is None else checks.positions(given)
    return KINDS.make(spec, shape=shape, seed=seed, array=array)


def keys_of_given(positions: npt.ArrayLike) -> dict[str, Any]:
    """The table ``[scan]`` that records positions handed over in Python."""
    array = checks.positions(positions)
    return {"kind": "given", "n_patterns": len(array), "sha256": fingerprint(array)}


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
