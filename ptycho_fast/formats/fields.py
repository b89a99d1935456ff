"""Arrays and numbers of an HDF5 file of another program, checked before they are read."""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import constants

from ptycho_fast import checks
from ptycho_fast.errors import ScenarioError
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.hdf5_file import Hdf5File, open_file
from ptycho_fast.formats.numpy_files import read_array, to_complex64

_HC = constants.h * constants.c / constants.e  # eV m

_KINDS = {"iuf": "real numbers", "iufc": "real or complex numbers", "b": "booleans"}

Fits = Callable[[tuple[int, ...]], bool]


def keys_of(path: str | os.PathLike[str]) -> frozenset[str]:
    """Names of the arrays in an HDF5 file; none where it is damaged."""
    try:
        with open_file(path) as file:
            return frozenset(file.keys)
    except ValueError:
        return frozenset()


def siblings(path: str | os.PathLike[str], ends: tuple[str, str], suffix: str) -> tuple[Path, Path]:
    """Names of two files that belong together, from one of them or from what they share.

    Parameters
    ----------
    path : path-like
        A name; without a suffix it gets `suffix`.
    ends : (str, str)
        What the two have behind the name that they share.
    suffix : str
        Of both, if `path` has none.

    Examples
    --------
    >>> [path.name for path in siblings("scan_dp.h5", ("", "_dp"), ".h5")]
    ['scan.h5', 'scan_dp.h5']
    """
    file = Path(path)
    stem = file.stem
    for end in ends:
        stem = stem.removesuffix(end)
    one, two = (file.with_name(f"{stem}{end}{file.suffix or suffix}") for end in ends)
    return one, two


def shape(file: Hdf5File, key: str, kinds: str, expected: str, fits: Fits) -> tuple[int, ...]:
    """Shape of an array that has to be there.

    Parameters
    ----------
    file : Hdf5File
        The file.
    key : str
        Path of the array.
    kinds : str
        Kinds of dtype that it may have, as NumPy's letters.
    expected : str
        The shape that is wanted, in words.
    fits : callable
        Whether a shape is that one.

    Raises
    ------
    ValueError
        There is no such array, or it is another; the message names file and key.
    """
    if key not in file.keys:
        listed = ", ".join(sorted(file.keys)[:20]) or "nothing"
        raise ValueError(f"{file.path}: no key {key!r}, found {listed}")
    header = file.header(key)
    if header.dtype.kind not in kinds:
        given = f"{_KINDS.get(kinds, 'numbers')} of shape {expected}"
        raise ValueError(checks.wrong(f"{file.path}: {key}", header, given))
    if 0 in header.shape or not fits(header.shape):
        raise ValueError(checks.wrong(f"{file.path}: {key}", f"shape {header.shape}", expected))
    return header.shape


def stack(file: Hdf5File, key: str) -> tuple[int, int]:
    """Number and side (B, N) of the patterns under a key."""
    expected = "(B, N, N), a square for each position"
    B, N, _ = shape(file, key, "iuf", expected, lambda s: len(s) == 3 and s[1] == s[2])
    return B, N


def column(file: Hdf5File, key: str, B: int) -> npt.NDArray[np.float64]:
    """(B,) finite numbers under a key; (B, 1) and (1, B) will do."""
    shape(file, key, "iuf", f"({B},)", lambda s: s in ((B,), (B, 1), (1, B)))
    where = f"{file.path}: {key}"
    found = checks.floating(file.read(key).reshape(B), where, np.float64, integers=True)
    return np.asarray(found)


def complex_array(file: Hdf5File, key: str, expected: str, fits: Fits) -> npt.NDArray[np.complex64]:
    """A finite array of complex numbers under a key."""
    shape(file, key, "iufc", expected, fits)
    return to_complex64(file.read(key), f"{file.path}: {key}")


def number(file: Hdf5File, key: str) -> float:
    """A positive number under a key, in an array of any shape with one element."""
    shape(file, key, "iuf", "one number", lambda s: int(np.prod(s)) == 1)
    return positive(file.read(key).item(), f"{file.path}: {key}")


def attribute(file: Hdf5File, key: str, name: str) -> float:
    """A positive number that an array has as attribute."""
    found, where = file.attributes(key), f"{file.path}: {key}, attribute {name}"
    if name not in found:
        raise ValueError(checks.wrong(where, "nothing", "a number"))
    return positive(found[name], where)


def finite(values: npt.NDArray[Any], name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Finite numbers of a file in another type."""
    return checks.floating(values, name, dtype, integers=True)


def positive(value: Any, name: str) -> float:
    """A positive number out of a file; any other thing raises ValueError."""
    try:
        return checks.positive(np.asarray(value).item(), name)
    except (TypeError, ValueError) as error:  # what a file holds is a wrong value
        raise ValueError(str(error)) from None


def length(contents: Contents, name: str, whom: str) -> float:
    """A length or an energy of the experiment that a layout cannot do without.

    Parameters
    ----------
    contents : Contents
        The data set.
    name : str
        Name in its geometry, such as "object_pixel_m".
    whom : str
        The layout, for the message.

    Raises
    ------
    ScenarioError
        It is not known; the message names the key that gives it.
    """
    value = (contents.geometry or {}).get(name)
    if value is None:
        key = f"optics.{name}"
        expected = f"it, since {whom} needs it"
        if name == "wavelength_m":
            expected = f"it or optics.energy_ev, since {whom} needs one of them"
        if name == "object_pixel_m":
            expected += "; it follows from energy, detector_distance_m and detector_pixel_m too"
        raise ScenarioError(checks.wrong(key, "nothing", expected), key=key)
    return checks.positive(value, f"geometry {name}")


def domain_of(
    path: str | os.PathLike[str], stated: str | None, given: str | None, domains: tuple[str, ...]
) -> str:
    """What the patterns of a file mean: as it says itself, or as the caller does.

    Parameters
    ----------
    path : path-like
        The file, for messages.
    stated, given : str or None
        What the file and the caller say.
    domains : tuple of str
        Those that are possible.

    Raises
    ------
    ValueError
        Nobody says it, or they contradict each other.
    """
    if given is not None:
        checks.choice(given, "domain", domains)
    if stated is None and given is None:
        listed = " or ".join(repr(one) for one in domains)
        raise ValueError(
            f"{path}: the file does not say what its patterns mean; give domain={listed}"
        )
    if None not in (stated, given) and stated != given:
        raise ValueError(f"{path}: domain {given!r} given, but the file says {stated!r}")
    return checks.choice(stated or given, f"{path}: measurement_domain", domains)


def given_plane(
    path: str | os.PathLike[str], part: str, file: str | os.PathLike[str] | None
) -> npt.NDArray[np.complex64]:
    """Object or probe from another file, for a layout that holds none.

    Parameters
    ----------
    path : path-like
        The file that holds none, for messages.
    part : {"object", "probe"}
        What is wanted.
    file : path-like or None
        An ``.npy`` with it, or an ``.npz`` with ``objectGuess`` or ``probeGuess``.

    Returns
    -------
    complex64
        The object (H, W) or (L, H, W), or the probe (M, N, N).

    Raises
    ------
    ValueError
        There is no such file, or it holds another array.
    """
    if file is None:
        expected = f"an .npy file with it, since this one holds no {part}"
        raise ValueError(checks.wrong(f"{path}: {part}", "nothing", expected))
    name = f"{os.fspath(file)}: {part}"
    found = to_complex64(read_array(file, f"{part}Guess"), name)
    return plane(found, part, name)


def plane(found: npt.NDArray[np.complex64], part: str, name: str) -> npt.NDArray[np.complex64]:
    """An object (H, W) or (L, H, W), or a probe (M, N, N), which may be given as (N, N)."""
    if found.ndim not in (2, 3):
        raise ValueError(checks.wrong(name, f"shape {found.shape}", "a plane, or several"))
    return found[None] if part == "probe" and found.ndim == 2 else found


def photon_scale(
    domain: str | None, intensity_scale: float | None, provenance: Mapping[str, Any]
) -> float:
    """What turns our probe into the one whose waves give the patterns of a file.

    Parameters
    ----------
    domain : str or None
        What the patterns of the file are.
    intensity_scale : float or None
        s, where it is known.
    provenance : mapping
        Has the gain of signals, under ``signal``.

    Returns
    -------
    float
        s of counts, and ``s * sqrt(gain)`` of signals; 1 of intensities.

    Examples
    --------
    >>> photon_scale("count_intensity", 3.0, {}), photon_scale("normalized_intensity", 3.0, {})
    (3.0, 1.0)
    """
    if intensity_scale is None or domain not in ("count_intensity", "detector_signal"):
        return 1.0
    signal = provenance.get("signal") if domain == "detector_signal" else None
    return intensity_scale * math.sqrt(signal["gain"]) if signal else intensity_scale


def photon_energy_ev(contents: Contents, whom: str) -> float:
    """Energy of a photon with the wavelength of the experiment, eV; that of electrons too.

    Programs make the wavelength from it by ``hc / E``.
    """
    return _HC / length(contents, "wavelength_m", whom)


def photon_wavelength_m(energy_ev: float) -> float:
    """Wavelength of a photon, metres."""
    return _HC / energy_ev


def check_domain(contents: Contents, domains: tuple[str, ...]) -> None:
    """Raise ValueError if patterns are of none of these domains."""
    checks.choice(contents.domain, "domain", domains)
