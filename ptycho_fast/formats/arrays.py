"""Plain arrays (``.npy``, ``.npz``) and pictures (PNG, TIFF): nothing in them says what they mean.

So whoever opens them says it. Patterns need their domain, and object, probe and positions from
other files, or from other keys of an ``.npz``. A picture becomes an object by a range of amplitude
or of phase, from black to white.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats import container_of, fields, pictures, stored_counts
from ptycho_fast.formats.columns import read_columns
from ptycho_fast.formats.contents import DOMAINS as _DOMAINS
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.numpy_files import open_arrays, to_complex64
from ptycho_fast.formats.patterns import Patterns, close
from ptycho_fast.formats.truth import Truth

READ_OPTIONS = frozenset(
    {
        "amplitude",
        "domain",
        "intensity_scale",
        "levels",
        "object",
        "patterns",
        "phase",
        "positions",
        "probe",
    }
)

Given = str | os.PathLike[str] | None


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether a file is an array or a picture; every NumPy array and every picture is."""
    return True


def read(
    path: str | os.PathLike[str],
    *,
    domain: str | None = None,
    object: Given = None,
    probe: Given = None,
    positions: Given = None,
    patterns: str | None = None,
    intensity_scale: float | None = None,
) -> Contents:
    """Open patterns that stand in a file as they are.

    Parameters
    ----------
    path : path-like
        An ``.npy`` with patterns (B, N, N); an ``.npz`` with them under a key; or a picture, whose
        pages are the patterns. Zero frequency is in the middle of them.
    domain : str
        What the patterns mean, a key of `contents.DOMAINS`.
    object, probe : path-like
        Where they are: a key of the ``.npz``, or a NumPy file (`fields.given_plane`).
    positions : path-like
        Where they are, ``[x, y]`` in object pixels as everywhere here: a key of the ``.npz``, or a
        file with two columns (`columns.read_columns`).
    patterns : str, optional
        Key of the patterns in an ``.npz``; "diffraction" by default. Object, probe and positions
        have their names there by default.
    intensity_scale : float, optional
        s, see docs/conventions.md. Counts without it are taken for those of a probe in photons,
        s = 1.

    Returns
    -------
    Contents
        Patterns are left in the file.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, it is damaged, something is not said, or sizes do not fit.
    """
    meaning = fields.domain_of(path, None, domain, tuple(_DOMAINS))
    if intensity_scale is not None:
        checks.positive(intensity_scale, "intensity_scale")
    elif meaning == "count_intensity":
        intensity_scale = 1.0
    stack, inside = _stack(path, patterns, (object, probe, positions))
    B, N, width = stack.shape if len(stack.shape) == 3 else (0, 0, -1)
    if width != N or 0 in stack.shape or stack.dtype.kind not in "iuf":
        close(stack)
        given = f"{stack.dtype} array of shape {stack.shape}"
        raise ValueError(checks.wrong(f"{path}: patterns", given, "real numbers (B, N, N)"))
    planes = {
        part: inside[part] if part in inside else fields.given_plane(path, part, file)
        for part, file in (("object", object), ("probe", probe))
    }
    xy = _positions(path, inside.get("positions"), positions)
    for name, shape, expected in (
        ("probe", planes["probe"].shape[-2:], (N, N)),
        ("positions", xy.shape, (B, 2)),
    ):
        if shape != expected:
            close(stack)
            raise ValueError(checks.wrong(f"{path}: {name}", f"shape {shape}", str(expected)))
    return Contents(
        object=planes["object"],
        probe=planes["probe"],
        positions=xy,
        positions_nominal=xy,
        diffraction=stored_counts.checked(stack, f"{path}: patterns", meaning),
        domain=meaning,
        intensity_scale=intensity_scale,
    )


def truth(
    path: str | os.PathLike[str],
    *,
    amplitude: Sequence[float] | None = None,
    phase: Sequence[float] | None = None,
    levels: Sequence[float] | None = None,
) -> Truth:
    """Make an object of a picture.

    Parameters
    ----------
    path : path-like
        The picture; colours become their luminance.
    amplitude, phase : (float, float), optional
        What black and white become, phases in radians; between them it goes linearly. One of them
        at least. Without an amplitude it is 1, without a phase it is 0.
    levels : (float, float), optional
        Which values are black and white. By default 0 and the largest one of the type, which
        pictures of 32 bits or of floating point numbers do not have.

    Returns
    -------
    Truth
        With the object (H, W).

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such picture, a range is missing or wrong, or values are beyond the levels.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> path = os.path.join(tempfile.mkdtemp(), "object.png")
    >>> Image.fromarray(np.array([[0, 255]], np.uint8)).save(path)
    >>> obj = truth(path, amplitude=(0.5, 1.0), phase=(0, -0.8)).object
    >>> np.abs(obj), np.angle(obj)
    (array([[0.5, 1. ]], dtype=float32), array([[ 0. , -0.8]], dtype=float32))
    """
    if amplitude is None and phase is None:
        expected = "what black and white are, such as amplitude=(0.8, 1.0) or phase=(0, 1.5)"
        raise ValueError(checks.wrong(f"{path}: amplitude, phase", "neither", expected))
    least, most = _ends(amplitude, "amplitude") if amplitude is not None else (1.0, 1.0)
    if min(least, most) < 0:
        raise ValueError(checks.wrong("amplitude", (least, most), "none below 0"))
    first, last = _ends(phase, "phase") if phase is not None else (0.0, 0.0)
    grey = pictures.read_picture(path).astype(np.float64)
    black, white = _levels(path, levels)
    share = (grey - black) / (white - black)
    if share.min() < 0 or share.max() > 1:
        given = f"values from {grey.min():g} to {grey.max():g}"
        raise ValueError(checks.wrong(str(path), given, f"{black:g} to {white:g}, its levels"))
    modulus = least + (most - least) * share
    return Truth(object=(modulus * np.exp(1j * (first + (last - first) * share))).astype("c8"))


def _ends(value: Sequence[float], name: str) -> tuple[float, float]:
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or len(value) != 2:
        raise ValueError(checks.wrong(name, repr(value), "a pair, (black, white)"))
    black, white = (checks.number(one, name) for one in value)
    return black, white


def _levels(path: str | os.PathLike[str], levels: Sequence[float] | None) -> tuple[float, float]:
    if levels is None:
        largest = pictures.describe(path).white
        if largest is None:
            expected = "(black, white), since the type of its values has no white"
            raise ValueError(checks.wrong(f"{path}: levels", "nothing", expected))
        return 0.0, float(largest)
    black, white = _ends(levels, "levels")
    if black == white:
        raise ValueError(checks.wrong("levels", f"({black}, {white})", "two different values"))
    return black, white


def _stack(
    path: str | os.PathLike[str], key: str | None, given: tuple[Given, ...]
) -> tuple[Patterns, dict[str, Any]]:
    """The patterns, and what an ``.npz`` has beside them."""
    if container_of(path) == "image":
        found = pictures.describe(path)
        if found.dtype is None:
            raise ValueError(checks.wrong(str(path), "colours", "patterns in grey"))
        return pictures.Pages(path, found), {}
    with open_arrays(path) as file:
        if file.keys == ("",):
            return file.patterns(""), {}
        names = {"patterns": key or "diffraction"}
        for part, name in zip(("object", "probe", "positions"), given, strict=True):
            names[part] = part if name is None else os.fspath(name)
        if names["patterns"] not in file.keys:
            listed = ", ".join(file.keys)
            raise ValueError(f"{path}: patterns: no key {names['patterns']!r}, found {listed}")
        inside: dict[str, Any] = {}
        for part in ("object", "probe"):
            if names[part] in file.keys:
                name = f"{path}: {names[part]}"
                inside[part] = fields.plane(to_complex64(file.read(names[part]), name), part, name)
        if names["positions"] in file.keys:
            inside["positions"] = file.read(names["positions"])
        return file.patterns(names["patterns"]), inside


def _positions(
    path: str | os.PathLike[str], inside: npt.NDArray[Any] | None, file: Given
) -> npt.NDArray[np.float64]:
    name = f"{path}: positions"
    if inside is None:
        if file is None:
            expected = "a file with two columns, x and y in object pixels"
            raise ValueError(checks.wrong(name, "nothing", expected))
        return read_columns(file, keys=("x", "y", "positions")).values
    if inside.dtype.kind not in "iuf":
        raise ValueError(checks.wrong(name, checks.described(inside), "real numbers (B, 2)"))
    return np.asarray(checks.floating(inside, name, np.float64, integers=True))
