"""Start a simulation from a reconstruction or a data set: its object, probe, positions, optics."""

import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ptycho_fast import checks, objects, optics, probes, scans
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.errors import DataWarning, ScenarioError
from ptycho_fast.formats.truth import Truth, read_truth
from ptycho_fast.kinds import fingerprint
from ptycho_fast.scenario import names

_WORDS = {"radiation": ("photon", "electron"), "propagation": ("far_field", "near_field")}
_LESS_CERTAIN = ("detector_pixel_m", "detector_distance_m")
"""What a program may have left as it was when it binned or cropped patterns."""


def changes_from(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    position_offset: float = 0.0,
    options: Sequence[str] = (),
) -> dict[str, Any]:
    """The keys of a scenario that take what a file holds, for `Scenario.replace`.

    The tables of object, probe and scan get the kind "file", with the SHA-256 of what the file
    holds, so that a file that was changed is noticed. The probe is taken as it is, with all modes:
    its power is not changed. N is its side. Energy, distances and sizes of pixels go to
    ``[optics]``, bad pixels to ``detector.bad_pixels_file``.

    Parameters
    ----------
    path : path-like
        The file; its content decides what it is.
    format : str, optional
        A name of `formats.FORMATS`, for files that could be of several formats.
    position_offset : float
        Added to x and y, pixels; 0.5 for NPZ files that ptychodus exported.
    options : sequence of str
        What the format's reader takes besides, each as ``OPTION=VALUE``.

    Returns
    -------
    dict
        Values by dotted key, with ``name`` after the name of the file.

    Raises
    ------
    FileNotFoundError, ValueError, RuntimeError
        The file cannot be read, or holds none of the three.

    Warns
    -----
    DataWarning
        One of the three is not there, and stays as the scenario has it; or the file holds
        something that a scenario cannot take; or its lengths contradict each other.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "reconstruction.npz"
    >>> np.savez(path, objectGuess=np.ones((90, 90)), probeGuess=np.ones((2, 16, 16)),
    ...          xcoords=[40.0, 50.5], ycoords=[40.0, 45.0])
    >>> from ptycho_fast import Scenario
    >>> scenario = Scenario().replace(changes_from(path))
    >>> scenario.name, scenario.N, scenario.scan.n_patterns, scenario.probe.normalise
    ('reconstruction', 16, 2, False)
    """
    truth, file = read_truth(path, format, options), os.path.abspath(path)
    changes: dict[str, Any] = {"name": names.as_name(Path(path).stem)}
    source = {"kind": "file", "file": file, "format": format, "read": tuple(options) or None}
    if truth.object is not None:
        kept = objects.keys_of_given(truth.object)
        changes["object"] = kept | source | {"sha256": fingerprint(truth.object)}
    if truth.probe is not None:
        kept = probes.keys_of_given(truth.probe)
        changes["probe"] = kept | source | {"sha256": fingerprint(truth.probe)}
        changes["N"] = truth.probe.shape[-1]
    if truth.positions is not None:
        kept = scans.keys_of_given(truth.positions)
        offset = checks.number(position_offset, "position_offset") or None
        sha256 = fingerprint(np.ascontiguousarray(truth.positions, np.float64))
        changes["scan"] = kept | source | {"sha256": sha256, "position_offset": offset}
    _tell_what_lacks(file, truth)
    if truth.mask is not None and not truth.mask.all():
        changes["detector.bad_pixels_file"] = file
        changes["detector.bad_pixels_sha256"] = fingerprint(truth.mask)
    return changes | optics_keys(truth.geometry, changes.get("N"), file)


def optics_keys(geometry: Mapping[str, Any] | None, N: int | None, whose: str) -> dict[str, Any]:
    """The keys of the table ``[optics]`` for the geometry of a file; empty where it is not known.

    Parameters
    ----------
    geometry : mapping, optional
        Values by the names of `optics.Geometry`.
    N : int, optional
        Side of the detector, pixels.
    whose : str
        The file, for messages.

    Warns
    -----
    DataWarning
        Lengths contradict each other; the sizes of object pixels are believed.
    """
    known = {
        name: value
        for name, value in (geometry or {}).items()
        if name in optics.KEYS and (value in _WORDS.get(name, ()) or _is_length(value))
    }
    if not set(known) - set(_WORDS):
        return {}
    if known.get("energy_ev") is not None:
        known.pop("wavelength_m", None)
    for doubtful in (*_LESS_CERTAIN, None):
        try:
            optics.make_geometry(N or 64, **known)
            break
        except ScenarioError as error:
            if doubtful is None or known.get("object_pixel_m") is None:
                raise ScenarioError(f"{whose}: {error}", key=error.key) from error
            if known.pop(doubtful, None) is not None:
                warnings.warn(
                    f"{whose}: {doubtful} is left out, because it contradicts the others: {error}",
                    DataWarning,
                    stacklevel=4,
                )
    return {f"optics.{name}": known.get(name, rule.default) for name, rule in optics.KEYS.items()}


def _is_length(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(float(value)) and float(value) > 0  # type: ignore[arg-type]


def _tell_what_lacks(file: str, truth: Truth) -> None:
    parts = {"object": truth.object, "probe": truth.probe, "positions": truth.positions}
    missing = [name for name, array in parts.items() if array is None]
    if len(missing) == len(parts):
        raise ValueError(f"{file}: holds no object, probe or positions, expected one of them")
    if missing:
        warnings.warn(
            f"{file}: holds no {' and no '.join(missing)}; the scenario makes "
            f"{'it' if len(missing) == 1 and missing != ['positions'] else 'them'}",
            DataWarning,
            stacklevel=4,
        )
    _tell_what_is_left_out(file, truth.left_out)


def _tell_what_is_left_out(whose: str, left_out: Iterable[str]) -> None:
    for what in left_out:
        warnings.warn(f"{whose}: {what} is left out", DataWarning, stacklevel=4)


def begun(
    start: "Dataset | str | os.PathLike[str] | None", given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a simulation starts with: arrays, and keys of its scenario.

    Parameters
    ----------
    start : Dataset, str, path or None
        A data set in Python, whose arrays are taken; or a file, see `changes_from`.
    given : mapping
        ``object``, ``probe`` and ``positions``, arrays that win over it, or None.

    Returns
    -------
    arrays : dict
        By the same names.
    changes : dict
        For `Scenario.replace`.

    Raises
    ------
    TypeError
        `start` is something else.
    """
    if start is None:
        return dict(given), {}
    if isinstance(start, str | os.PathLike):
        return dict(given), changes_from(start)
    if not isinstance(start, Dataset):
        expected = "a Dataset or the path of a file"
        raise TypeError(checks.wrong("start", type(start).__name__, expected))
    arrays = {
        name: getattr(start, name) if array is None else array for name, array in given.items()
    }
    varying = start.eigenprobes is not None or start.weights is not None
    left_out = {
        "how its probe varies from pattern to pattern": varying,
        "the path of its fly scan": start.path is not None,
        "the dose of each pattern": start.dose_factors is not None,
        "its mask": start.mask is not None,
    }
    _tell_what_is_left_out("start", (what for what, there in left_out.items() if there))
    geometry = asdict(start.geometry) if start.geometry else None
    return arrays, optics_keys(geometry, start.N, "start")
