"""NPZ files of ptychodus, which look like those of the PtychoPINN family and mean something else.

Its **export for PtychoPINN** has ``diff3d`` (B, N, N) in counts, ``probeGuess`` (M, N, N) with all
modes, and positions half a pixel lower than the family. What it calls **SLAC_NPZ** has
``diffraction`` (N, N, B), the patterns along the last axis, and does not say what they mean.

Both are read by name alone (``format="ptychodus-npz"``): by its keys a file could be the family's.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats import pinn_npz, stored_counts
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.fields import domain_of
from ptycho_fast.formats.frames import FRAMES
from ptycho_fast.formats.numpy_files import ArrayFile, open_arrays, to_complex64

DOMAINS = ("count_intensity", "normalized_amplitude")
READ_OPTIONS = frozenset({"domain"})

_METRES = 1e-3  # coordinates that are all smaller are metres, as ptychodus has it


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether a file is one of these for certain: never, see above."""
    return False


def read(path: str | os.PathLike[str], *, domain: str | None = None) -> Contents:
    """Read one of the two files.

    Parameters
    ----------
    path : path-like
        The file.
    domain : {"count_intensity", "normalized_amplitude"}, optional
        What the patterns mean. An export holds counts; SLAC_NPZ has to be told.

    Returns
    -------
    Contents
        Positions in our convention.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, it is damaged, or holds what cannot be right; the message names file
        and key.
    """
    with open_arrays(path) as file:
        exported = "diff3d" in file.keys
    return _export(path, domain or DOMAINS[0]) if exported else _slac(path, domain)


def _export(path: str | os.PathLike[str], domain: str) -> Contents:
    found = pinn_npz.read(path, domain=domain)
    frame = FRAMES["ptychodus_pixels"]
    place = ((found.object.shape[-2], found.object.shape[-1]), found.probe.shape[-1])
    return replace(
        found,
        positions=frame.back(found.positions, *place),
        positions_nominal=frame.back(found.positions_nominal, *place),
    )


def _slac(path: str | os.PathLike[str], domain: str | None) -> Contents:
    meaning = domain_of(path, None, domain, DOMAINS)
    with open_arrays(path) as file:
        expected = "(N, N, B), patterns along the last axis"
        shape = _checked(file, "diffraction", "iuf", expected, lambda s: s[0] == s[1], 3)
        N, B = shape[1:]
        _checked(file, "probeGuess", "iufc", f"({N}, {N})", lambda s: s[-2:] == (N, N), 2, 3)
        _checked(file, "objectGuess", "iufc", "(H, W)", lambda s: True, 2)
        along = []
        for key in ("xcoords_start", "ycoords_start"):
            _checked(file, key, "iuf", f"({B},)", lambda s: s == (B,), 1)
            name = f"{path}: {key}"
            along.append(checks.floating(file.read(key), name, np.float64, integers=True))
        positions = np.stack(along, axis=1)
        if np.abs(positions).max() < _METRES:
            given = f"numbers up to {np.abs(positions).max():.3g}, which look like metres,"
            raise ValueError(checks.wrong(f"{path}: xcoords_start", given, "object pixels"))
        probe = to_complex64(file.read("probeGuess"), f"{path}: probeGuess")
        frames = np.ascontiguousarray(np.moveaxis(file.read("diffraction"), -1, 0))
        checked = stored_counts.checked(frames, f"{path}: diffraction", meaning)
        patterns: npt.NDArray[Any] = checked[:]
        return Contents(
            object=to_complex64(file.read("objectGuess"), f"{path}: objectGuess"),
            probe=probe.reshape(-1, N, N),
            positions=positions,
            positions_nominal=positions,
            diffraction=patterns,
            domain=meaning,
        )


def _checked(
    file: ArrayFile,
    key: str,
    kinds: str,
    expected: str,
    fits: Callable[[tuple[int, ...]], bool],
    *axes: int,
) -> tuple[int, ...]:
    """Shape of an array that has to be there."""
    if key not in file.keys:
        raise ValueError(f"{file.path}: no key {key!r}, found {', '.join(sorted(file.keys))}")
    header = file.header(key)
    good = len(header.shape) in axes and 0 not in header.shape and fits(header.shape)
    if header.dtype.kind not in kinds or not good:
        raise ValueError(checks.wrong(f"{file.path}: {key}", header, f"numbers {expected}"))
    return header.shape
