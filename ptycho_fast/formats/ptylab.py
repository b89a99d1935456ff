"""The input file of PtyLab (HDF5).

==============  ==================================================================================
``ptychogram``  (B, N, N), counts or intensities, zero frequency in the middle
``encoder``     (B, 2) float64, (row, column) in metres, with zero in the middle of the scan
``wavelength``  metres
``zo``          from the object to the detector, metres
``dxd``         side of a detector pixel, metres
==============  ==================================================================================

PtyLab makes an object around zero, as large as the scan needs, and rounds positions to its pixels.
So only scans on whole pixels are written; others would be read as another scan. Object and probe
have no place in the layout: they stand in the group of `rest`.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats import fields, rest
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.frames import FRAMES
from ptycho_fast.formats.hdf5_file import Hdf5File, create, open_file, write_array, write_patterns
from ptycho_fast.formats.scans import Scan
from ptycho_fast.formats.truth import Truth
from ptycho_fast.formats.work import Work

NAME = "ptylab"
DOMAINS = ("count_intensity", "normalized_intensity", "detector_signal")
OPTIONS = frozenset({"compression"})
READ_OPTIONS = frozenset({"domain", "object", "probe"})

_FRAME = FRAMES["ptylab_encoder"]
_SCALARS = {"wavelength": "wavelength_m", "zo": "detector_distance_m", "dxd": "detector_pixel_m"}
_COMPRESSIONS = ("none", "portable")  # PyTables, which reads the file there, has no other filters
_SAME = 1e-6  # pixels by which a position may miss a whole one
_TEXT = 2**15  # bytes of metadata and headers, about


def check(contents: Contents, *, compression: str | None = None) -> None:
    """Raise for what `write` would refuse.

    Parameters
    ----------
    contents : Contents
        The data set; of its patterns only shape and dtype are looked at.
    compression
        As for `write`.

    Raises
    ------
    ValueError
        Positions are no whole pixels, there is one pattern only, or an option is wrong.
    ScenarioError
        Wavelength, distance or a size of pixels is not known.
    """
    checks.choice(compression or "none", "compression", _COMPRESSIONS)
    fields.check_domain(contents, DOMAINS)
    for name in ("wavelength_m", "detector_distance_m", "detector_pixel_m", "object_pixel_m"):
        fields.length(contents, name, "PtyLab")
    if len(contents.positions) < 2:
        raise ValueError(checks.wrong("positions", "1", "at least 2, since PtyLab reads no fewer"))
    off = np.abs(contents.positions - np.round(contents.positions))
    if off.max() > _SAME:
        pattern, axis = np.argwhere(off > _SAME)[0]
        given = f"{'xy'[axis]} = {contents.positions[pattern, axis]} of pattern {pattern}"
        raise ValueError(
            checks.wrong("positions", given, "whole pixels, since PtyLab rounds positions to them")
        )


def file_size(contents: Contents, **_: Any) -> int:
    """Bytes of the file without compression, about."""
    planes = contents.object.size + contents.probe.size
    return contents.diffraction.nbytes + 16 * len(contents.positions) + 8 * planes + _TEXT


def write(
    path: str | os.PathLike[str],
    contents: Contents,
    work: Work,
    *,
    compression: str | None = None,
) -> list[Path]:
    """Write a file.

    Parameters
    ----------
    path : path-like
        File to make. PtyLab opens ``.hdf5`` and ``.h5``.
    contents : Contents
        The data, counts, intensities or signals.
    work : Work
        How to write.
    compression : {"none", "portable"}, optional
        "none" by default.

    Returns
    -------
    list of Path
        The file.

    Raises
    ------
    ValueError, ScenarioError
        As `check`.
    OSError
        The file exists, or cannot be written; nothing is left behind.
    """
    check(contents, compression=compression)
    middle = _middle_of_scan(contents.positions)
    N = contents.diffraction.shape[-1]
    with create(path, work) as file:
        write_patterns(
            file, "ptychogram", contents.diffraction, work, compression=compression or "none"
        )
        pixel = fields.length(contents, "object_pixel_m", "PtyLab")
        metres = _FRAME.to(contents.positions, _around(middle), N, pixel)
        write_array(file, "encoder", metres)
        for key, name in _SCALARS.items():
            write_array(file, key, fields.length(contents, name, "PtyLab"))
        rest.write(file, contents.completed(), format=NAME, middle=middle.tolist())
    return [Path(path)]


def _middle_of_scan(positions: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """``[x, y]`` of the whole pixel in the middle of the scan."""
    return np.round((positions.min(axis=0) + positions.max(axis=0)) / 2).astype(np.int64)


def _around(middle: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Sides of an object that has its middle there."""
    x, y = 2 * middle
    return int(y), int(x)


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether an HDF5 file is an input file of PtyLab."""
    return {"ptychogram", "encoder"} <= fields.keys_of(path)


def read(
    path: str | os.PathLike[str],
    *,
    domain: str | None = None,
    object: str | os.PathLike[str] | None = None,
    probe: str | os.PathLike[str] | None = None,
) -> Contents:
    """Open a file.

    Parameters
    ----------
    path : path-like
        The file.
    domain : str, optional
        One of `DOMAINS`: what the patterns mean, for files that do not say.
    object, probe : path-like, optional
        NumPy files with them, for files of other programs, which hold none; see
        `fields.given_plane`.

    Returns
    -------
    Contents
        Patterns are left in the file. The positions of other programs' files count from the upper
        left corner of the smallest object that holds all patches.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, it is damaged, or holds what cannot be right.
    """
    with open_file(path) as file:
        scan = _scan(file)
        meaning = fields.domain_of(path, scan.rest.domain, domain, DOMAINS)
        patterns = file.patterns("ptychogram")
    return scan.contents(
        patterns, f"{path}: ptychogram", meaning, path, {"object": object, "probe": probe}
    )


def truth(path: str | os.PathLike[str]) -> Truth:
    """Positions and lengths of a file, and object and probe where it has them.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read`.
    """
    with open_file(path) as file:
        return _scan(file).truth()


def _scan(file: Hdf5File) -> Scan:
    B, N = fields.stack(file, "ptychogram")
    more = rest.read(file, B, N)
    geometry: dict[str, Any] = {name: fields.number(file, key) for key, name in _SCALARS.items()}
    far = geometry["wavelength_m"] * geometry["detector_distance_m"]
    geometry["object_pixel_m"] = far / (N * geometry["detector_pixel_m"])
    told = {"geometry": geometry} | more.fields()
    name = "object_pixel_m"
    pixel = fields.positive(told["geometry"].get(name), f"{file.path}: {name}")
    positions = _FRAME.back(_encoder(file, B), _around(_middle(file.path, more)), N, pixel)
    if not more.metadata:
        positions += N // 2 - positions.min(axis=0)
    return Scan(positions, told, more)


def _encoder(file: Hdf5File, B: int) -> npt.NDArray[np.float64]:
    """(B, 2) rows and columns, metres; some files have them as (2, B)."""
    fields.shape(file, "encoder", "iuf", f"({B}, 2)", lambda s: s in ((B, 2), (2, B)))
    values = file.read("encoder")
    turned = values if values.shape == (B, 2) else values.T
    return np.asarray(fields.finite(turned, f"{file.path}: encoder", np.float64))


def _middle(path: str | os.PathLike[str], more: rest.Rest) -> npt.NDArray[np.int64]:
    """``[x, y]`` of the file's zero, as its writer noted it."""
    stated = more.metadata.get("middle", [0, 0])
    try:
        x, y = (checks.integer(value, "middle") for value in stated)
    except (TypeError, ValueError):
        raise ValueError(
            checks.wrong(f"{path}: middle", repr(stated)[:40], "[x, y], whole numbers")
        ) from None
    return np.array([x, y])
