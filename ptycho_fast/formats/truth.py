"""Object, probe and positions of any file that is read, whether or not it has patterns.

A format's module whose files may hold no patterns has a function ``truth(path) -> Truth`` beside
``read``, which needs them.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats import FORMATS, container_of, patterns, pinn_npz, recognise
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.numpy_files import ArrayFile, open_arrays, to_complex64

_NPZ_KEYS = {"object": ("object_slices", "objectGuess"), "probe": ("probe_modes", "probeGuess")}
_NUMPY = ("zip", "npy", None)  # None: a damaged file, whose error is best told as one of NumPy's


@dataclass(frozen=True, eq=False, kw_only=True)
class Truth:
    """What a file holds of an experiment besides its patterns; None where it has none.

    Attributes
    ----------
    object : (H, W) or (L, H, W) complex64, or None
        The object, or its slices.
    probe : (N, N) or (M, N, N) complex64, or None
        Probe modes.
    positions : (B, 2) float64, or None
        ``[x, y]`` in object pixels.
    mask : (N, N) bool, or None
        True where a detector pixel is good.
    geometry : mapping or None
        Energy, distances and sizes of pixels by name, in SI units.
    names : mapping
        What object and probe are called in messages; by default file and part.
    left_out : tuple of str
        What the file has besides, in words.
    """

    object: npt.NDArray[np.complex64] | None = None
    probe: npt.NDArray[np.complex64] | None = None
    positions: npt.NDArray[np.float64] | None = None
    mask: npt.NDArray[np.bool_] | None = None
    geometry: Mapping[str, Any] | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def read_truth(
    path: str | os.PathLike[str], format: str | None = None, options: Sequence[str] | None = None
) -> Truth:
    """Read all but the patterns of a file of any format.

    Parameters
    ----------
    path : path-like
        The file, or folder. Its content decides what it is. Of an ``.npz`` any of the keys of the
        PtychoPINN family are taken that are there; an ``.npy`` is one array and has no such parts.
    format : str, optional
        A name of `formats.FORMATS`, for files that could be of several formats.
    options : sequence of str, optional
        What the format's reader takes, each as ``OPTION=VALUE`` with a value of TOML.

    Returns
    -------
    Truth
        What there is.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is damaged, of no known format, or holds arrays that cannot be right.
    RuntimeError
        A package that its format needs is missing.
    """
    given = _values(options or ())
    if _is_numpy(path, format):
        if given:
            expected = f"nothing, since {path} is a NumPy file, whose reader takes no options"
            raise ValueError(checks.wrong("read", ", ".join(given), expected))
        with open_arrays(path) as file:
            if file.keys == ("",):
                expected = "a file with an object, a probe and positions"
                raise ValueError(checks.wrong(str(path), "a single array", expected))
            return _of_npz(file)
    file_format = recognise(path, format)
    module = file_format.load()
    # Some options are about a file with its patterns alone.
    readers = [getattr(module, name) for name in ("truth", "read") if hasattr(module, name)]
    takes = [set(signature(one).parameters) & set(module.READ_OPTIONS) for one in readers]
    for name, value in given.items():
        if name not in set().union(*takes):
            listed = ", ".join(sorted(set().union(*takes))) or "nothing"
            expected = f"of {file_format.name} only: {listed}"
            raise ValueError(checks.wrong(f"read {name}", repr(value), expected))
    reader = next((one for one, t in zip(readers, takes, strict=True) if set(given) <= t), None)
    if reader is None:
        listed = " or ".join(", ".join(sorted(some)) for some in takes)
        raise ValueError(checks.wrong("read", ", ".join(given), f"together only: {listed}"))
    found: Truth | Contents = reader(path, **given)
    return found if isinstance(found, Truth) else of_contents(found)


def read_plane(
    path: str | os.PathLike[str],
    part: str,
    format: str | None = None,
    options: Sequence[str] | None = None,
) -> tuple[npt.NDArray[np.complex64], str]:
    """Read the object or the probe of a file.

    Parameters
    ----------
    path : path-like
        As for `read_truth`; also an ``.npy``, which is the array.
    part : {"object", "probe"}
        Which of them.
    format, options
        As for `read_truth`.

    Returns
    -------
    array : complex64
        All slices, or all modes.
    name : str
        File and key, for messages.

    Raises
    ------
    FileNotFoundError, ValueError, RuntimeError
        As `read_truth`, or the file does not have it.
    """
    if _is_numpy(path, format) and not options:
        with open_arrays(path) as file:
            key = _npz_key(file, part)
            name = f"{path}: {key or _NPZ_KEYS[part][-1]}"
            return to_complex64(file.read(key), name), name
    truth = read_truth(path, format, options)
    found: npt.NDArray[np.complex64] | None = getattr(truth, part)
    if found is None:
        raise ValueError(f"{path}: holds no {part}, expected a file with one")
    return found, truth.names.get(part, f"{path}: {part}")


def read_mask(path: str | os.PathLike[str]) -> npt.NDArray[np.bool_] | None:
    """Read the mask of a file: True where a detector pixel is good; None where it has none.

    Parameters
    ----------
    path : path-like
        As for `read_truth`; also an ``.npy`` of booleans, where True is bad.

    Raises
    ------
    FileNotFoundError, ValueError, RuntimeError
        As `read_truth`, or the ``.npy`` has no booleans.
    """
    if _is_numpy(path, None):
        with open_arrays(path) as file:
            if file.keys == ("",):
                header = file.header("")
                if header.dtype.kind != "b":
                    raise ValueError(checks.wrong(str(path), str(header), "booleans, True is bad"))
                return np.asarray(~file.read(""))
    return read_truth(path).mask


def _values(options: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text in options:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not name or not equals:
            raise ValueError(checks.wrong("read", repr(text), "OPTION=VALUE"))
        try:
            values[name] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError):  # a text without quotes
            values[name] = value
    return values


def _is_numpy(path: str | os.PathLike[str], format: str | None) -> bool:
    if format is not None:
        return FORMATS[format].container in _NUMPY if format in FORMATS else False
    return os.path.isfile(path) and container_of(path) in _NUMPY


# --- from NumPy files ---


def _npz_key(file: ArrayFile, part: str) -> str:
    if file.keys == ("",):
        return ""
    found = [key for key in _NPZ_KEYS[part] if key in file.keys]
    if not found:
        key = _NPZ_KEYS[part][-1]
        raise ValueError(f"{file.path}: no key {key!r}, found {', '.join(file.keys)}")
    return found[0]


def _of_npz(file: ArrayFile) -> Truth:
    found: dict[str, Any] = {}
    names = {}
    for part, keys in _NPZ_KEYS.items():
        if set(keys) & set(file.keys):
            names[part] = f"{file.path}: {_npz_key(file, part)}"
            found[part] = to_complex64(file.read(_npz_key(file, part)), names[part])
    if {"xcoords", "ycoords"} <= set(file.keys):
        x, y = (np.asarray(file.read(key)).reshape(-1) for key in ("xcoords", "ycoords"))
        found["positions"] = checks.positions(np.stack([x, y], axis=1))
    if "bad_pixels" in file.keys and file.header("bad_pixels").dtype.kind == "b":
        found["mask"] = ~file.read("bad_pixels")
    geometry = pinn_npz.metadata(file.path).get("geometry")
    varying = {"eigenprobes", "probe_weights"} & set(file.keys)
    return Truth(
        **found,
        geometry=geometry if isinstance(geometry, dict) else None,
        names=names,
        left_out=_left_out(varying, "positions_path" in file.keys, "dose_factors" in file.keys),
    )


# --- from all others ---


def of_contents(contents: Contents) -> Truth:
    """What is left of the contents of a file without its patterns, which are closed."""
    one = contents
    patterns.close(one.diffraction)
    varying = one.eigenprobes is not None or one.weights is not None
    return Truth(
        object=one.object,
        probe=one.probe,
        positions=one.positions,
        mask=one.mask,
        geometry=one.geometry,
        left_out=_left_out(varying, one.path is not None, one.dose_factors is not None),
    )


def _left_out(varying: object, path: bool, factors: bool) -> tuple[str, ...]:
    found = {
        "how its probe varies from pattern to pattern": bool(varying),
        "the path of its fly scan": path,
        "the dose of each pattern": factors,
    }
    return tuple(what for what, there in found.items() if there)
