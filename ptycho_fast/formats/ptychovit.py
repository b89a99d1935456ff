"""The pair ``NAME_dp.hdf5`` and ``NAME_para.hdf5`` of pty-chi, PtychoViT and ptycho-fm.

==========================  ======================================================================
``dp``                      (B, N, N) float32, counts or intensities, zero frequency in the middle
``object``                  (1, H, W) complex64, H and W even
``probe``                   (1, M, N, N) complex64: in photons, and divided by N, since the
                            transform of these programs is not normalised
``probe_position_x_m``,     (B,) float64, metres from the middle of the object
``probe_position_y_m``
``probe_position_indexes``  (B,) int64, numbers of the patterns
==========================  ======================================================================

Object and probe have the sides of their pixels as attributes ``pixel_height_m`` and
``pixel_width_m``, the object also ``center_x_m`` and ``center_y_m``, 0.

An object with an odd side gets one row of zeros at the bottom, or a column at the right: with odd
sides pty-chi and ptychodus read positions half a pixel apart. Positions count from the middle of
the object that is in the file; `read` takes the zeros off again.

Versions of pty-chi disagree by one pixel about the middle of an object (`ORIGINS`): the option
``origin`` says for which one a file is written, or was written.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.files import check_targets
from ptycho_fast.formats import fields, rest, stored_counts
from ptycho_fast.formats.compression import filters
from ptycho_fast.formats.contents import Contents, projected
from ptycho_fast.formats.frames import FRAMES
from ptycho_fast.formats.hdf5_file import (
    Hdf5File,
    create,
    open_file,
    write_array,
    write_patterns,
)
from ptycho_fast.formats.patterns import Patterns
from ptycho_fast.formats.truth import Truth
from ptycho_fast.formats.work import Work

NAME = "ptychovit"
DOMAINS = ("count_intensity", "normalized_intensity", "detector_signal")
OPTIONS = frozenset({"compression", "origin"})
READ_OPTIONS = frozenset({"domain", "origin"})

ORIGINS = ("ptychi", "ptychi_head")
"""What ``origin`` may be, keys of `frames.FRAMES`.

"ptychi" is the package of the index (2.2.0), with which ptychodus agrees. "ptychi_head" is the
repository of 2026-08; ptycho-fm and the converter of PtychoPINN count so too: a pixel lower.
"""

POSITIONS = ("probe_position_y_m", "probe_position_x_m")
_TEXT = 2**15  # bytes of metadata and headers, about


class Pair(NamedTuple):
    """Names of the two files."""

    patterns: Path
    parameters: Path


def names(path: str | os.PathLike[str]) -> Pair:
    """Names of the two files; of one of them, or of both without ``_dp`` and ``_para``.

    Examples
    --------
    >>> pair = names("scan_7.hdf5")
    >>> pair.patterns.name, pair.parameters.name
    ('scan_7_dp.hdf5', 'scan_7_para.hdf5')
    >>> names("scan_7_para.hdf5") == pair
    True
    """
    return Pair(*fields.siblings(path, ("_dp", "_para"), ".hdf5"))


def targets(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The files that `write` makes."""
    return names(path)


# --- the values, which the packed shards hold too ---


def even(obj: npt.NDArray[np.complex64], least: tuple[int, int] = (0, 0)) -> Any:
    """(H, W) complex64: an object with zeros below and at the right, so that its sides are even.

    Parameters
    ----------
    obj : (H, W) complex64
        The object.
    least : (int, int)
        Sides that it shall have at least.
    """
    sides = [max(n, m) for n, m in zip(obj.shape, least, strict=True)]
    return np.pad(obj, [(0, n + n % 2 - had) for n, had in zip(sides, obj.shape, strict=True)])


def to_metres(
    positions: npt.NDArray[np.float64],
    shape: tuple[int, int],
    N: int,
    pixel_m: float,
    origin: str,
) -> npt.NDArray[np.float64]:
    """Positions (B, 2), ``[y, x]`` in metres from the middle of an object.

    Examples
    --------
    >>> to_metres(np.array([[62.0, 52.0]]), (128, 128), 64, 1.0, "ptychi")
    array([[-12.,  -2.]])
    """
    return FRAMES[origin].to(positions, shape, N) * pixel_m


def from_metres(
    metres: npt.NDArray[np.float64],
    shape: tuple[int, int],
    N: int,
    pixel_m: float,
    origin: str,
) -> npt.NDArray[np.float64]:
    """Positions (B, 2), ``[x, y]`` in object pixels; the reverse of `to_metres`."""
    return FRAMES[origin].back(metres / pixel_m, shape, N)


def stored_probe(contents: Contents) -> npt.NDArray[np.complex64]:
    """(1, M, N, N) complex64: the probe in photons, for a transform that is not normalised."""
    scale = fields.photon_scale(contents.domain, contents.intensity_scale, contents.provenance)
    factor = np.float64(scale / contents.probe.shape[-1])
    return (contents.probe * factor).astype(np.complex64)[None]


def own_probe(stored: npt.NDArray[np.complex64], scale: float) -> npt.NDArray[np.complex64]:
    """(M, N, N) complex64: the probe of a file (M, N, N) in our units; reverse of `stored_probe`.

    Parameters
    ----------
    stored : (M, N, N) complex64
        As in the file.
    scale : float
        `rest.Rest.photon_scale`.
    """
    return (stored * np.float64(stored.shape[-1] / scale)).astype(np.complex64)


# --- writing ---


def check(contents: Contents, *, compression: str | None = None, origin: str | None = None) -> None:
    """Raise for what `write` would refuse.

    Parameters
    ----------
    contents : Contents
        The data set; of its patterns only shape and dtype are looked at.
    compression, origin
        As for `write`.

    Raises
    ------
    ValueError
        An option is unknown, or the object has several slices, which the pair does not hold.
    ScenarioError
        The side of an object pixel is not known.
    """
    checks.choice(origin or "ptychi", "origin", ORIGINS)
    filters(compression or "none")
    fields.check_domain(contents, DOMAINS)
    fields.length(contents, "object_pixel_m", "the pair of pty-chi")
    one_slice(contents, "the pair of pty-chi")


def one_slice(contents: Contents, whom: str) -> None:
    """Raise ValueError if the object has several slices."""
    if contents.object.ndim == 3 and len(contents.object) > 1:
        given = f"{len(contents.object)} slices"
        raise ValueError(checks.wrong("object", given, f"one, which is what {whom} holds"))


def file_size(contents: Contents, **_: Any) -> int:
    """Bytes of both files without compression, about."""
    pixels = contents.object.size + contents.probe.size
    B, N = contents.diffraction.shape[:2]
    return B * (4 * N * N + 3 * 8 + 8 * 2) + 8 * pixels + _TEXT


def write(
    path: str | os.PathLike[str],
    contents: Contents,
    work: Work,
    *,
    compression: str | None = None,
    origin: str | None = None,
) -> list[Path]:
    """Write the pair.

    Parameters
    ----------
    path : path-like
        ``NAME.hdf5``, from which both names are made (`names`).
    contents : Contents
        The data, counts or intensities.
    work : Work
        How to write.
    compression : str, optional
        One of `compression.COMPRESSIONS`; "none" by default. The programs open compressed files too
        where they find the filter; "portable" needs none.
    origin : str, optional
        One of `ORIGINS`; "ptychi" by default.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    ValueError, ScenarioError
        As `check`.
    OSError
        A file exists, or cannot be written; nothing is left behind.
    """
    check(contents, compression=compression, origin=origin)
    pair = names(path)
    check_targets(*pair, force=work.force)
    patterns, rounding = stored_counts.as_float32(contents.diffraction)
    with create(pair.patterns, work) as file:
        write_patterns(file, "dp", patterns, work, compression=compression or "none")
        # Here, while the patterns are still aside: if it fails, neither file is there.
        with create(pair.parameters, Work(force=work.force)) as parameters:
            _write_parameters(parameters, contents.completed(), rounding, origin or "ptychi")
    return list(pair)


def _write_parameters(
    file: Any, contents: Contents, rounding: stored_counts.Rounding, origin: str
) -> None:
    pixel = fields.length(contents, "object_pixel_m", "the pair of pty-chi")
    whole = projected(contents.object)
    obj = even(whole)
    sides = {"pixel_height_m": pixel, "pixel_width_m": pixel}
    write_array(file, "object", obj[None], **sides, center_x_m=0.0, center_y_m=0.0)
    write_array(file, "probe", stored_probe(contents), **sides)
    B, N = len(contents.positions), contents.probe.shape[-1]
    write_array(file, "probe_position_indexes", np.arange(B))
    metres = to_metres(contents.positions, obj.shape, N, pixel, origin)
    for axis, name in enumerate(POSITIONS):
        write_array(file, name, metres[:, axis])
    rest.write(
        file,
        contents,
        format=NAME,
        held=("object", "probe"),
        corrections=rounding.corrections(B),
        origin=origin,
        object_shape=list(whole.shape),
    )


# --- reading ---


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether an HDF5 file is one of the two."""
    keys = fields.keys_of(path)
    if "dp" in keys:
        return "n_dp" not in keys
    if not {"object", "probe", *POSITIONS} <= keys:
        return False
    products = {"detector_object_distance_m", "photon_energy_eV", "probe_energy_eV"}
    with open_file(path) as file:
        return not products & set(file.attributes())


def read(
    path: str | os.PathLike[str], *, domain: str | None = None, origin: str | None = None
) -> Contents:
    """Open a pair.

    Parameters
    ----------
    path : path-like
        One of the two files, or ``NAME.hdf5``.
    domain : {"count_intensity", "normalized_intensity"}, optional
        What ``dp`` means, for files that do not say; a file that says otherwise is an error.
    origin : str, optional
        One of `ORIGINS`. Files of this package say it; others are taken as those of
        "ptychi" if the sides of their object are even, and have to be told if not.

    Returns
    -------
    Contents
        Patterns are left in the file. Of other programs' files the probe is in photons and the
        intensity scale 1.

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing, damaged, or holds what cannot be right.
    """
    pair = names(path)
    found = _parameters(pair, origin)
    if not pair.patterns.exists():
        raise ValueError(
            f"{pair.parameters}: holds no patterns, expected {pair.patterns.name} beside it; "
            "simulate --from takes its object, probe and positions"
        )
    meaning = fields.domain_of(pair.patterns, found.rest.domain, domain, DOMAINS)
    patterns = _patterns(
        pair.patterns, len(found.positions), found.probe.shape[-1], meaning, found.rest
    )
    return contents_of(found, meaning, patterns)


def truth(path: str | os.PathLike[str], *, origin: str | None = None) -> Truth:
    """Object, probe and positions of a pair, of which ``NAME_dp.hdf5`` may be missing.

    Parameters
    ----------
    path, origin
        As for `read`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read`.
    """
    found = _parameters(names(path), origin)
    told = found.rest.fields()
    return Truth(
        object=found.object,
        probe=found.probe,
        positions=found.positions,
        mask=told.get("mask"),
        geometry=told.get("geometry", {"object_pixel_m": found.pixel_m}),
    )


class Parameters(NamedTuple):
    """What stands beside the patterns, in our units and order."""

    object: npt.NDArray[np.complex64]  # (H, W) or (L, H, W)
    probe: npt.NDArray[np.complex64]  # (M, N, N)
    positions: npt.NDArray[np.float64]
    pixel_m: float
    rest: rest.Rest


def _parameters(pair: Pair, origin: str | None) -> Parameters:
    if not pair.parameters.exists():
        raise FileNotFoundError(
            f"{pair.parameters}: no such file, expected it beside {pair.patterns.name}"
        )
    with open_file(pair.parameters) as file:
        B = _length(file, POSITIONS[0])
        metres = np.stack([fields.column(file, name, B) for name in POSITIONS], axis=1)
        probe = _probe(file)
        more = rest.read(file, B, probe.shape[-1])
        expected = "(1, H, W) or (L, H, W)"
        obj = fields.complex_array(file, "object", expected, lambda s: len(s) == 3)
        pixel = fields.attribute(file, "object", "pixel_height_m")
        frame = _origin(file, more, origin, obj.shape[1:])
    return parameters_of(more, obj, probe, metres, pixel, frame)


def parameters_of(
    more: rest.Rest,
    obj: npt.NDArray[np.complex64],
    probe: npt.NDArray[np.complex64],
    metres: npt.NDArray[np.float64],
    pixel_m: float,
    origin: str,
) -> Parameters:
    """Values as they stand in a file, in our units and order.

    Parameters
    ----------
    more : Rest
        What the layout has no place for.
    obj : (L, H, W) complex64
        The object, with the zeros that were added to it.
    probe : (M, N, N) complex64
        The probe.
    metres : (B, 2) float64
        Positions, ``[y, x]``.
    pixel_m : float
        Side of an object pixel.
    origin : str
        One of `ORIGINS`.
    """
    height, width = obj.shape[1:]
    positions = from_metres(metres, (height, width), probe.shape[-1], pixel_m, origin)
    height, width = _cropped(more, (height, width))
    whole = obj[:, :height, :width]
    return Parameters(
        whole[0] if len(whole) == 1 else whole,
        own_probe(probe, more.photon_scale),
        positions,
        pixel_m,
        more,
    )


def _patterns(path: Path, B: int, N: int, domain: str, more: rest.Rest) -> Patterns:
    with open_file(path) as file:
        if (found := fields.stack(file, "dp")) != (B, N):
            expected = f"{B} patterns of side {N}, as positions and probe"
            given = f"{found[0]} patterns of side {found[1]}"
            raise ValueError(checks.wrong(f"{path}: dp", given, expected))
        return more.checked(file.patterns("dp"), f"{path}: dp", domain)


def _length(file: Hdf5File, key: str) -> int:
    shape = fields.shape(file, key, "iuf", "(B,)", lambda s: len(s) in (1, 2))
    return int(np.prod(shape))


def _probe(file: Hdf5File) -> npt.NDArray[np.complex64]:
    """(M, N, N) complex64 as in the file."""
    expected = "(1, M, N, N) or (M, N, N)"
    found = fields.complex_array(
        file, "probe", expected, lambda s: len(s) in (3, 4) and s[-1] == s[-2]
    )
    if found.ndim == 4:
        if len(found) > 1:
            given = f"{len(found)} modes that vary"
            raise ValueError(checks.wrong(f"{file.path}: probe", given, "1, shape (1, M, N, N)"))
        found = found[0]
    return found


def _origin(file: Hdf5File, more: rest.Rest, given: str | None, shape: tuple[int, ...]) -> str:
    if given is not None:
        checks.choice(given, "origin", ORIGINS)
    stated = more.metadata.get("origin")
    if stated is not None:
        checks.choice(stated, f"{file.path}: origin", ORIGINS)
        if given not in (None, stated):
            raise ValueError(f"{file.path}: origin {given!r} given, but the file says {stated!r}")
        return str(stated)
    if given is None and any(n % 2 for n in shape):
        listed = " or ".join(repr(one) for one in ORIGINS)
        raise ValueError(
            f"{file.path}: an object {shape[0]} x {shape[1]}, of odd sides, where programs read "
            f"positions half a pixel apart; give origin={listed}"
        )
    return given or "ptychi"


def contents_of(found: Parameters, domain: str, patterns: Patterns) -> Contents:
    """What `read` returns.

    In files of other programs the probe is in photons already, so that s is 1.
    """
    counted = domain == "count_intensity" and not found.rest.metadata
    given: dict[str, Any] = {
        "object": found.object,
        "probe": found.probe,
        "positions_nominal": found.positions,
        "geometry": {"object_pixel_m": found.pixel_m},
        "intensity_scale": 1.0 if counted else None,
    }
    return Contents(
        **(given | found.rest.fields()),
        positions=found.positions,
        diffraction=patterns,
        domain=domain,
    )


def _cropped(more: rest.Rest, shape: tuple[int, int]) -> tuple[int, int]:
    """Sides of the object before zeros were added to it."""
    sides = more.metadata.get("object_shape", shape)
    try:
        height, width = (
            checks.integer(n, "object_shape", 1, most) for n, most in zip(sides, shape, strict=True)
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"object_shape: {sides!r} given, expected at most {shape}") from error
    return height, width
