"""Maps of a thickness, for kinds that follow from one."""

import os
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.numpy_files import read_array
from ptycho_fast.keys import Key, wrong
from ptycho_fast.optics import Geometry

from .dead_leaves import dead_leaves
from .diagonals import diagonals
from .fractal_noise import fractal_noise
from .maps import Map
from .natural_image import natural_image
from .points import points
from .random_field import random_field
from .random_shapes import random_shapes
from .siemens_star import siemens_star
from .spheres import chords, spheres
from .v_shapes import v_shapes

_THICKEST = 0.1  # metres; no object for ptychography is that thick
_DRAWN: dict[str, Callable[..., Map]] = {
    "dead_leaves": dead_leaves,
    "diagonals": diagonals,
    "fractal_noise": fractal_noise,
    "natural_image": natural_image,
    "points": points,
    "random_field": random_field,
    "random_shapes": random_shapes,
    "spheres": spheres,
    "v_shapes": v_shapes,
}

MapName = Annotated[
    Literal[
        "spheres", "dead_leaves", "diagonals", "fractal_noise", "natural_image", "points",
        "random_field", "random_shapes", "siemens_star", "v_shapes", "file",
    ],
    Key("where the thickness comes from: another kind with its defaults, or thickness_file"),
]  # fmt: skip
ThicknessM = Annotated[
    float | None,
    Key(
        "largest thickness, metres; spheres without it are as thick as they are wide",
        gt=0,
        le=_THICKEST,
    ),
]
ThicknessFile = Annotated[
    str | None,
    Key("path of an .npy, or an .npz with 'thickness': (H, W), metres; for map = 'file'"),
]


def thickness_of(
    seed: int,
    geometry: Geometry | None,
    *,
    size: int,
    map: str,
    thickness_m: float | None,
    thickness_file: str | None,
    whom: str,
) -> npt.NDArray[np.floating[Any]]:
    """A map of the thickness of an object.

    Parameters
    ----------
    seed : int
        Of the drawing, 0 to 2**64 - 1.
    geometry : Geometry or None
        Has the size of an object pixel, for spheres without a thickness.
    size : int
        Side, pixels; a file has its own.
    map : str
        Name of the kind that draws it, with its defaults, or "file".
    thickness_m : float, optional
        Thickness where the map is 1, metres.
    thickness_file : str, optional
        The file.
    whom : str
        What needs it, for messages.

    Returns
    -------
    (H, W) float32 or float64
        Metres.

    Raises
    ------
    ScenarioError
        The thickness is not known, given twice, or negative.
    OSError, TypeError, ValueError
        As the drawing and the file.
    """
    checks.choice(map, "map", ("siemens_star", "file", *_DRAWN))
    if map == "file":
        if thickness_file is None:
            raise wrong("object.thickness_file", None, "the file, since object.map is 'file'")
        if thickness_m is not None:
            raise wrong("object.thickness_m", thickness_m, "nothing: the file holds metres")
        return _thickness_in(thickness_file)
    if thickness_file is not None:
        raise wrong("object.thickness_file", thickness_file, f"nothing for object.map = {map!r}")
    if thickness_m is not None:
        drawn = siemens_star(size=size) if map == "siemens_star" else _DRAWN[map](seed, size=size)
        return drawn * checks.positive(thickness_m, "thickness_m")
    if map != "spheres":
        raise wrong("object.thickness_m", None, "the largest thickness, metres")
    return chords(seed, size=size) * needed(geometry).need("object_pixel_m", whom)


def needed(geometry: Geometry | None) -> Geometry:
    """The geometry, or one in which nothing is known."""
    return Geometry(N=1) if geometry is None else geometry


def _thickness_in(file: str) -> npt.NDArray[np.floating[Any]]:
    name = f"{os.fspath(file)}: thickness"
    thickness = checks.floating(read_array(file, "thickness"), name, np.float64, integers=True)
    if thickness.ndim != 2 or thickness.size == 0:
        raise ValueError(checks.wrong(name, f"shape {thickness.shape}", "(H, W), metres"))
    if thickness.min() < 0:
        raise ValueError(checks.wrong(name, thickness.min(), "no negative thickness, metres"))
    if thickness.max() > _THICKEST:
        expected = f"metres, at most {_THICKEST:g}; micrometres times 1e-6 are metres"
        raise ValueError(checks.wrong(name, f"{thickness.max():g}", expected))
    return thickness
