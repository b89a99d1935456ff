"""Positions read from a file."""

import os
import re
import warnings
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.errors import DataWarning, ScenarioError
from ptycho_fast.formats import container_of, recognise
from ptycho_fast.formats.columns import read_columns
from ptycho_fast.formats.truth import read_truth
from ptycho_fast.keys import Key, wrong
from ptycho_fast.kinds import FileFormat, ReadOptions, StoredSha256, kind, same_as_recorded
from ptycho_fast.optics import Geometry

from .area import pixel_size

Unit = Literal["pixel", "m", "mm", "um", "nm"]
_METRES = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "nm": 1e-9}
_STATED = ("hdf5", "folder", "text")  # a text is a recipe: see `container_of`
_SMALL = 1e-2  # pixels; a whole scan within it is one in metres


@kind("file")
def from_file(
    shape: tuple[int, int],
    geometry: Geometry | None = None,
    *,
    file: Annotated[
        str,
        Key(
            "path of a text (CSV, TXT), .npz, .npy or HDF5 file with columns x and y, or of any "
            "file of a data set or a reconstruction that is read",
            synonyms=("path", "filename"),
        ),
    ],
    x_column: Annotated[
        str | None,
        Key(
            "name of the column of x, or its number from 0 in quotes; without it, a column with a "
            "usual name such as x or xcoords, or the first",
            synonyms=("columns",),
        ),
    ] = None,
    y_column: Annotated[str | None, Key("the same of y; without it, the second")] = None,
    dataset: Annotated[
        str | None,
        Key("array (B, C) in a NumPy or HDF5 file whose columns are x and y", synonyms=("array",)),
    ] = None,
    unit: Annotated[
        Unit, Key("unit in the file; all but pixel need the size of an object pixel")
    ] = "pixel",
    place: Annotated[
        Literal["as_is", "zero_centred", "centred"],
        Key(
            "as in the file; or moved so that its (0, 0), or the middle of the scan, is the middle "
            "of the object",
            synonyms=("origin", "centre", "offset"),
        ),
    ] = "as_is",
    n_patterns: Annotated[
        int | None, Key("take the first so many rows; without it, all", ge=1)
    ] = None,
    position_offset: Annotated[
        float | None,
        Key(
            "added to x and y, pixels; 0.5 for an .npz that ptychodus exported, whose positions "
            "point half a pixel lower than here"
        ),
    ] = None,
    format: FileFormat = None,
    read: ReadOptions = None,
    sha256: StoredSha256 = None,
) -> npt.NDArray[np.float64]:
    r"""Read from a file: CSV, TXT, NumPy or HDF5, or any data set or reconstruction.

    Positions may be beyond the object; ``scan.boundary`` decides what is there.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns ``(H, W)`` of the object.
    geometry : Geometry, optional
        Has the size of an object pixel.
    file : str or path-like
        The file; its content decides what it is. See `formats.columns.read_columns`. Positions of
        a data set or a reconstruction of another program come in object pixels already.
    x_column, y_column, dataset : str, optional
        Where x and y are.
    unit : {"pixel", "m", "mm", "um", "nm"}
        Unit in the file.
    place : {"as_is", "zero_centred", "centred"}
        What is added to all positions: nothing, the middle of the object ``(W/2, H/2)``, or what
        brings the middle of the range of x and of y there.
    n_patterns : int, optional
        Rows to take, from the first.
    position_offset : float, optional
        Added to x and y, pixels.
    format : str, optional
        Name of the format, for files that could be of several; see `formats.FORMATS`.
    read : tuple of str, optional
        What the format's reader takes besides, each as ``OPTION=VALUE``.
    sha256 : str, optional
        What all rows in the file have to be, see `kinds.fingerprint`; others are an error.

    Returns
    -------
    (B, 2) float64
        ``[x, y]``, object pixels.

    Raises
    ------
    ScenarioError
        A column is missing, there are fewer rows than `n_patterns`, no position is on the object,
        the unit cannot be right, or the size of an object pixel is not known.
    OSError, RuntimeError, ValueError
        As `formats.columns.read_columns`.

    Warns
    -----
    DataWarning
        The name of a column ends in another unit, such as ``x_um``.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "scan.txt"
    >>> _ = path.write_text("# x_um y_um\n-1.0 0.0\n1.0 0.5\n")
    >>> from ptycho_fast.optics import make_geometry
    >>> geometry = make_geometry(64, object_pixel_m=1e-7)
    >>> from_file((80, 100), geometry, file=str(path), unit="um", place="zero_centred").round(9)
    array([[40., 40.],
           [60., 45.]])
    """
    converted = stored(file, format, read) if (x_column, y_column, dataset) == (None,) * 3 else None
    if converted is None:
        keys = ("scan.x_column", "scan.y_column", "scan.dataset")
        found, names = read_columns(file, (x_column, y_column), array=dataset, keys=keys)
    else:
        found, names = converted, ()
        if unit != "pixel":
            expected = f"'pixel': those of {file} are converted to object pixels as they are read"
            raise wrong("scan.unit", unit, expected)
    same_as_recorded(found, sha256, "scan", file)
    if n_patterns is not None:
        wanted = checks.count(n_patterns, "n_patterns")
        if wanted > len(found):
            expected = f"at most {len(found)}, the number of rows in {file}"
            raise wrong("scan.n_patterns", n_patterns, expected)
        found = found[:wanted]
    checks.choice(unit, "unit", ("pixel", *_METRES))
    for name in names:
        said = re.search(r"[_ (\[](mm|um|nm|m)[)\]]?$", name)
        if said and said[1] != unit:
            warnings.warn(
                f"scan.unit: {unit!r} given, but a column of {file} is called {name!r}; is its "
                f"unit {said[1]!r}?",
                DataWarning,
                stacklevel=4,
            )
            break
    if unit != "pixel":
        found = found * (_METRES[unit] / pixel_size(geometry, f"scan.unit = {unit!r}"))
    spread = float(np.ptp(found, axis=0).max())
    if 0 < spread < _SMALL:
        others = [name for name in ("pixel", *_METRES) if name != unit]
        raise wrong(
            "scan.unit",
            unit,
            f"{', '.join(others[:-1])} or {others[-1]}: all positions in {file} lie within "
            f"{spread:.3g} pixels",
        )
    if position_offset is not None:
        found = found + checks.number(position_offset, "position_offset")
    high = np.array([shape[1], shape[0]], dtype=np.float64)
    checks.choice(place, "place", ("as_is", "zero_centred", "centred"))
    if place == "zero_centred":
        found = found + high / 2
    elif place == "centred":
        found = found + (high / 2 - (found.min(axis=0) + found.max(axis=0)) / 2)
    if not ((found >= 0) & (found < high)).all(axis=1).any():
        x, y = zip(found.min(axis=0), found.max(axis=0), strict=True)
        raise ScenarioError(
            f"scan.file: no position of {file} is on the object of {shape[0]} x {shape[1]} pixels "
            f"(x is {x[0]:.6g} to {x[1]:.6g} pixels, y {y[0]:.6g} to {y[1]:.6g}), expected one at "
            'least; scan.place = "centred" moves them to its middle, scan.unit tells their unit',
            key="scan.file",
        )
    return found


def stored(
    file: str | os.PathLike[str],
    format: str | None = None,
    options: Sequence[str] | None = None,
) -> npt.NDArray[np.float64] | None:
    """Positions (B, 2) of a file whose format says what they are, in object pixels; else None.

    Texts, NumPy files and HDF5 files of no known format are taken by their columns.
    """
    if format is None:
        if not os.path.exists(file) or container_of(file) not in _STATED:
            return None
        try:
            format = recognise(file).name
        except ValueError:  # columns of somebody's own
            return None
    return read_truth(file, format, options).positions
