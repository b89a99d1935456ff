"""The NPZ of the PtychoPINN family ("raw data"), profile ``pinn-amplitude``.

=================================  ================================================================
``xcoords``, ``ycoords``           (B,) float64, positions in object pixels
``xcoords_start``, ``ycoords_..``  (B,) float64, nominal positions
``diff3d``                         (B, N, N) float32, ``sqrt(counts) / s``
``diffraction``                    the same again, on request
``probeGuess``                     (N, N) complex64; read also with several modes, (M, N, N)
``objectGuess``                    (H, W) complex64; of a thick object the product of its slices
``scan_index``                     (B,) int64, zeros
``bad_pixels``                     (N, N) bool, True is bad; only where the data set has a mask
``ground_truth_patches``, ``Y``    (B, N, N) complex64, the object patches, on request
``_metadata``                      unicode scalar: JSON, never a pickle
=================================  ================================================================

What other programs of the family do not know stands under keys of its own, where there is any:

=================================  ================================================================
``probe_modes``                    (M, N, N) complex64, all modes, with ``modes="all"``
``eigenprobes``                    (K, N, N) complex64, added to the first mode with weights
``probe_weights``                  (B, M + K) float32, factors of modes and eigenprobes
``object_slices``                  (L, H, W) complex64, along the beam
``positions_path``                 (B, S, 2) float64, sub-exposures of a fly scan
``dose_factors``                   (B,) float64, dose of each pattern in units of the common one
``corrected_pixels``               (n,) int64, of the flat ``diff3d``, whose count the amplitude
                                   does not give back
``corrections``                    (n,) int32, what is added to ``rint((diff3d * s)**2)`` there
=================================  ================================================================

The metadata hold the scenario, the provenance with the dose, the intensity scale s, the shares of
the modes, and under ``geometry`` energy, distances and sizes of pixels in SI units.
"""

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.amplitudes import Corrections
from ptycho_fast.formats.array_archive import ArrayArchive
from ptycho_fast.formats.contents import DOMAINS as ALL_DOMAINS
from ptycho_fast.formats.contents import Contents, projected
from ptycho_fast.formats.number_types import Conversion, counted, exactly, measured
from ptycho_fast.formats.numpy_files import ArrayFile, open_arrays, to_complex64
from ptycho_fast.formats.patterns import Converted, Patterns
from ptycho_fast.formats.work import Work

PROFILE = "pinn-amplitude"
DOMAINS = ("normalized_amplitude",)
OPTIONS = frozenset({"alias", "modes"})
READ_OPTIONS = frozenset({"domain", "position_offset"})
_READ = [domain for domain in ALL_DOMAINS if domain != "detector_signal"]

_LARGE = 2 * 2**30  # bytes; other programs of the family load the whole file into memory
_TEXT = 8_000  # bytes of headers and metadata, about
_LONGEST_METADATA = 2**26  # bytes

_KINDS = {
    "i": "integers",
    "iuf": "real numbers",
    "iufc": "real or complex numbers",
    "b": "booleans",
}

_log = logging.getLogger(__name__)


# --- writing ---


@dataclass(frozen=True)
class Profile:
    """What ``diff3d`` means in a file, and what the file says of it.

    Attributes
    ----------
    name : str
        As the metadata and ``--format`` have it.
    domain : str
        A key of `contents.DOMAINS`.
    key : str
        Where the patterns stand.
    contract : str or None
        ``scale_contract_version``; None: the file states neither this nor its domain.
    dtypes : tuple of str
        Types that patterns may have; others are converted to the last one.
    physical : bool
        Whether the energy of ``probeGuess`` is the photons of a pattern in vacuum.
    """

    name: str
    domain: str
    key: str
    contract: str | None
    dtypes: tuple[str, ...]
    physical: bool = False


PROFILES = {
    one.name: one
    for one in (
        Profile("pinn-amplitude", "normalized_amplitude", "diff3d", "legacy_v1", ("float32",)),
        Profile(
            "pinn-counts",
            "count_intensity",
            "diff3d",
            "ci_intensity_v2",
            ("uint16", "uint32"),
            physical=True,
        ),
        Profile("pinn-raw", "count_intensity", "diffraction", None, ("uint16",)),
    )
}
"""The three meanings of patterns in the wild."""


def check(
    contents: Contents, *, alias: bool = False, modes: str | None = None, profile: str = PROFILE
) -> None:
    """Raise ValueError where `write` would, which can be known before the patterns are made.

    Parameters
    ----------
    contents : Contents
        What is to be written.
    alias, modes, profile
        As for `write`.
    """
    one = PROFILES[profile]
    if modes is not None:
        checks.choice(modes, "modes", ("first", "all"))
    if (probe_modes := len(contents.probe)) > 1 and modes is None:
        raise ValueError(
            f"modes: a probe of {probe_modes} modes given, expected modes='first' to keep the "
            "first, because the format holds one, or modes='all' to write the others beside it, "
            "where only ptycho_fast looks for them"
        )
    checks.choice(contents.domain, "domain", (one.domain,))
    if one.physical and contents.intensity_scale is None:
        expected = "the intensity scale s, to give the probe its energy in photons"
        raise ValueError(checks.wrong("intensity_scale", None, expected))


def write(
    path: str | os.PathLike[str],
    contents: Contents,
    work: Work,
    *,
    alias: bool = False,
    modes: str | None = None,
    profile: str = PROFILE,
) -> list[Path]:
    """Write a data set; patterns go into the archive block by block.

    The bytes depend on the contents alone: not on the time, the machine or the number of threads.

    Parameters
    ----------
    path : path-like
        File to make; the name is taken as it is.
    contents : Contents
        The data, with ``diffraction`` (B, N, N) in the profile's domain. Its ``patches``, if there
        are any, are written as ``ground_truth_patches`` and ``Y``.
    work : Work
        Whether an existing file may be replaced, and how patterns are made on the way.
    alias : bool
        Write the patterns under ``diffraction`` too, for loaders that look there.
    modes : {"first", "all"}, optional
        What to do with several probe modes, of which the format holds one: keep the first, and
        nothing of how the others vary, or write all under a key of their own as well.
    profile : str
        A name of `PROFILES`.

    Returns
    -------
    list of Path
        The file.

    Raises
    ------
    ValueError
        The probe has several modes and `modes` does not say what to do; another domain; or counts
        that the profile's type does not hold.
    OSError
        The file exists, or cannot be written; nothing is left behind.
    """
    one = PROFILES[profile]
    check(contents, alias=alias, modes=modes, profile=profile)
    size = file_size(contents, alias=alias, modes=modes, profile=profile)
    if size > _LARGE:
        _log.warning(
            "%s: %.1f GB; the programs that read this format load the whole file into memory",
            path,
            size / 1e9,
        )
    patterns = _typed(contents.diffraction, one)
    with work.aside(path) as file, ArrayArchive(file, work) as archive:
        positions, nominal = contents.positions, contents.positions_nominal
        archive.write("xcoords", positions[:, 0])
        archive.write("ycoords", positions[:, 1])
        archive.write("xcoords_start", nominal[:, 0])
        archive.write("ycoords_start", nominal[:, 1])
        archive.stream(one.key, patterns)
        contents = contents.completed()
        archive.write("probeGuess", _probe_guess(contents, one))
        archive.write("objectGuess", projected(contents.object))
        archive.write("scan_index", np.zeros(len(patterns), np.int64))
        archive.write("_metadata", np.array(json.dumps(_metadata(contents, one))))
        if alias:
            archive.stream("diffraction", patterns)
        if contents.patches is not None:
            for key in ("ground_truth_patches", "Y"):
                archive.stream(key, contents.patches)
        if contents.mask is not None:
            archive.write("bad_pixels", ~contents.mask)
        for key, array in _own_arrays(contents, modes, one).items():
            archive.write(key, array)
    return [Path(path)]


def _typed(patterns: Patterns, profile: Profile) -> Patterns:
    """Patterns of a type that the profile knows."""
    if patterns.dtype.name in profile.dtypes:
        return patterns
    dtype = np.dtype(profile.dtypes[-1])

    def converted(first: int, frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return exactly(frames, dtype, f"{profile.name} {profile.key}", first)

    return Converted(patterns, converted, dtype)


def _probe_guess(contents: Contents, profile: Profile) -> npt.NDArray[np.complex64]:
    probe = contents.probe[0]
    if not profile.physical:
        return probe
    return (probe * np.float64(contents.intensity_scale)).astype(np.complex64)


def _own_arrays(
    contents: Contents, modes: str | None, profile: Profile
) -> dict[str, npt.NDArray[Any]]:
    """What only this package looks for."""
    one = contents
    whole = len(one.probe) == 1 or modes == "all"
    several = one.probe if whole else one.probe[:1]
    arrays = {
        # In units of the intensity before dose, also where probeGuess is in photons.
        "probe_modes": several if len(several) > 1 or profile.physical else None,
        "eigenprobes": one.eigenprobes if whole else None,
        "probe_weights": one.weights if whole else None,
        "object_slices": one.object if one.object.ndim == 3 else None,
        "positions_path": one.path,
        "dose_factors": one.dose_factors,
        "corrected_pixels": None if one.corrections is None else one.corrections[0],
        "corrections": None if one.corrections is None else one.corrections[1],
    }
    return {key: array for key, array in arrays.items() if array is not None}


def file_size(
    contents: Contents, *, alias: bool = False, modes: str | None = None, profile: str = PROFILE
) -> int:
    """Bytes that `write` will need, to a few kilobytes; without corrections.

    Parameters
    ----------
    contents : Contents
        What is to be written; of its arrays only shape and type are looked at.
    alias, modes, profile
        As for `write`.
    """
    one, (H, W) = contents, contents.object.shape[-2:]
    patterns = _typed(one.diffraction, PROFILES[profile])
    size = one.positions.nbytes + one.positions_nominal.nbytes + 8 * len(one.diffraction)
    size += patterns.nbytes * (2 if alias else 1) + one.probe[0].nbytes + 8 * H * W
    size += 0 if one.patches is None else 2 * one.patches.nbytes
    size += 0 if one.mask is None else one.mask.nbytes
    own = _own_arrays(one, modes, PROFILES[profile])
    return size + sum(array.nbytes for array in own.values()) + _TEXT


def _metadata(contents: Contents, profile: Profile) -> dict[str, Any]:
    # PtychoPINN looks for the dose here, and takes 1e9 photons where there is none.
    physics = {
        "N": contents.diffraction.shape[-1],
        "nphotons": contents.nphotons,
        "gridsize": contents.gridsize,
    }
    contract = {
        "scale_contract_version": profile.contract, "measurement_domain": contents.domain
    }  # fmt: skip
    return {
        "program": "ptycho_fast",
        "profile": profile.name,
        **(contract if profile.contract else {}),
        "intensity_scale": contents.intensity_scale,
        "provenance": contents.provenance,
        "probe_modes": len(contents.probe),
        "mode_fractions": _shares(contents.probe),
        "geometry": contents.geometry,
        "scenario": contents.scenario,
        "physics_parameters": {key: value for key, value in physics.items() if value is not None},
    }


def _shares(probe: npt.NDArray[np.complex64]) -> list[float]:
    """Share of the power in each mode; all of it in the first where the probe is dark."""
    power = np.square(np.abs(probe), dtype=np.float64).sum(axis=(1, 2))
    total = float(power.sum())
    return [float(p) / total for p in power] if total else [1.0, *[0.0] * (len(power) - 1)]


# --- reading ---


def read(
    path: str | os.PathLike[str],
    *,
    domain: str | None = None,
    position_offset: float | Sequence[float] = 0.0,
) -> Contents:
    """Read a file of the family.

    Only the keys that are needed are read and unpacked, after all shapes and types were checked.
    Patterns stay in the file; they are checked when they are read.

    Parameters
    ----------
    path : path-like
        The file.
    domain : {"normalized_amplitude", "count_intensity"}, optional
        What ``diff3d`` means, for files that do not say; a file that says otherwise is an error.
    position_offset : float or (dx, dy)
        Added to x and y, pixels. Files of ptychodus 1.7 need 0.5: there a position points half a
        pixel lower than here.

    Returns
    -------
    Contents
        ``diffraction``, not in memory, is uint16 or uint32 for counts, else float32; ``patches``
        are left in the file.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is damaged, lacks a key, holds arrays or metadata that cannot be right, or does not say
        what its patterns mean. The message names the file and the key. Of patterns this is raised
        when they are read.
    """
    offset = _offset(position_offset)
    with open_arrays(path) as file:
        if file.keys == ("",):
            raise ValueError(f"{path}: a single array, expected an .npz archive")
        metadata = _read_metadata(file)
        meaning = _domain(file, metadata, domain)
        aliased = "diff3d" not in file.keys and "diffraction" in file.keys
        pattern_key = "diffraction" if aliased else "diff3d"
        keys = _checked_headers(file, pattern_key)

        positions = nominal = _positions(file, "coords", offset)
        if "xcoords_start" in keys:
            nominal = _positions(file, "coords_start", offset)
        probe_key = "probe_modes" if "probe_modes" in keys else "probeGuess"
        probe = to_complex64(file.read(probe_key), f"{path}: {probe_key}")
        object_key = "object_slices" if "object_slices" in keys else "objectGuess"
        corrections = _corrections(file, keys) if meaning == "normalized_amplitude" else None
        return Contents(
            object=to_complex64(file.read(object_key), f"{path}: {object_key}"),
            probe=probe.reshape(-1, *probe.shape[-2:]),
            positions=positions,
            positions_nominal=nominal,
            domain=meaning,
            mask=_mask(file) if "bad_pixels" in keys else None,
            intensity_scale=_intensity_scale(file, metadata),
            eigenprobes=_own(file, keys, "eigenprobes", np.complex64),
            weights=_own(file, keys, "probe_weights", np.float32),
            path=_path(file, keys, offset),
            dose_factors=_own(file, keys, "dose_factors", np.float64),
            corrections=corrections,
            geometry=_table(file, metadata, "geometry"),
            scenario=_table(file, metadata, "scenario"),
            provenance=_table(file, metadata, "provenance") or {},
            diffraction=_patterns(file, pattern_key, meaning),
        )


def recognises(path: str | os.PathLike[str], *, profile: str = PROFILE) -> bool:
    """Whether a file is of a profile; an archive that says nothing is taken for the first one."""
    try:
        stated = metadata(path).get("profile")
    except (ValueError, OSError):
        stated = None
    return profile == (stated if stated in PROFILES else PROFILE)


def metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file says about itself, without its arrays.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    dict
        The JSON of ``_metadata``; empty where there is none.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, or it is damaged.
    """
    with open_arrays(path) as file:
        return _read_metadata(file)


def _offset(given: float | Sequence[float]) -> tuple[float, float]:
    pair = given if isinstance(given, Sequence | np.ndarray) else (given, given)
    if isinstance(given, str) or len(pair) != 2:
        raise ValueError(
            checks.wrong("position_offset", repr(given), "a number or a pair (dx, dy), pixels")
        )
    dx, dy = (checks.number(value, "position_offset") for value in pair)
    return dx, dy


class _Rule(NamedTuple):
    """What the array under a key has to be."""

    kinds: str  # of its dtype, as NumPy's letters
    expected: str
    fits: Callable[[tuple[int, ...]], bool]
    may_be_empty: bool = False


def _checked_headers(file: ArrayFile, pattern_key: str) -> set[str]:
    """Check shapes and types of all arrays that will be read; return their keys."""
    square = _Rule(
        "iuf", "(B, N, N), a square for each position", lambda s: len(s) == 3 and s[1] == s[2]
    )
    B, N, _ = _checked_shape(file, pattern_key, square)
    these = f"as the patterns of {pattern_key}"
    number = _Rule(
        "iuf", f"({B},), a number for each pattern of {pattern_key}", lambda s: s == (B,)
    )
    rules = {
        "xcoords": number,
        "ycoords": number,
        "probeGuess": _Rule(
            "iufc",
            f"({N}, {N}) or (M, {N}, {N}), {these}",
            lambda s: len(s) in (2, 3) and s[-2:] == (N, N),
        ),
        "objectGuess": _Rule("iufc", "(H, W)", lambda s: len(s) == 2),
    }
    starts = ("xcoords_start", "ycoords_start")
    if set(starts) <= set(file.keys):
        rules |= dict.fromkeys(starts, number)
    if "bad_pixels" in file.keys:
        rules["bad_pixels"] = _Rule("b", f"({N}, {N}), {these}", lambda s: s == (N, N))
    rules |= _own_rules(file, B, N)
    for key, rule in rules.items():
        _checked_shape(file, key, rule)
    return set(rules)


def _own_rules(file: ArrayFile, B: int, N: int) -> dict[str, _Rule]:
    """Rules for the keys that only this package writes, of those that are there."""
    modes = file.header("probe_modes").shape if "probe_modes" in file.keys else (1, N, N)
    added = file.header("eigenprobes").shape if "eigenprobes" in file.keys else (0, N, N)
    planes = modes[0] + added[0] if modes and added else 0
    stack = _Rule("iufc", f"(planes, {N}, {N})", lambda s: len(s) == 3 and s[1:] == (N, N))
    rules = {
        "probe_modes": stack,
        "eigenprobes": stack,
        "probe_weights": _Rule("iuf", f"({B}, {planes})", lambda s: s == (B, planes)),
        "object_slices": _Rule("iufc", "(L, H, W)", lambda s: len(s) == 3),
        "positions_path": _Rule(
            "iuf", f"({B}, S, 2)", lambda s: len(s) == 3 and (s[0], s[2]) == (B, 2)
        ),
        "dose_factors": _Rule("iuf", f"({B},)", lambda s: s == (B,)),
    }
    if "corrected_pixels" in file.keys:
        n = file.header("corrected_pixels").shape
        rules["corrected_pixels"] = _Rule("i", "(n,)", lambda s: len(s) == 1, True)
        rules["corrections"] = _Rule("i", f"{n}", lambda s: s == n, True)
    return {k: rule for k, rule in rules.items() if k in file.keys or k == "corrections"}


def _own(file: ArrayFile, keys: set[str], key: str, dtype: npt.DTypeLike) -> Any:
    """An array that only this package writes; None where there is none."""
    if key not in keys:
        return None
    return checks.floating(file.read(key), f"{file.path}: {key}", dtype, integers=True)


def _corrections(file: ArrayFile, keys: set[str]) -> Corrections | None:
    if "corrections" not in keys:
        return None
    index, difference = (file.read(key) for key in ("corrected_pixels", "corrections"))
    if not (np.diff(index, prepend=-1) > 0).all():
        raise ValueError(
            f"{file.path}: corrected_pixels: not in order, expected numbers of pixels, rising"
        )
    return index.astype(np.int64), difference.astype(np.int32)


def _path(
    file: ArrayFile, keys: set[str], offset: tuple[float, float]
) -> npt.NDArray[np.float64] | None:
    path: npt.NDArray[np.float64] | None = _own(file, keys, "positions_path", np.float64)
    return path if path is None or not any(offset) else path + offset


def _checked_shape(file: ArrayFile, key: str, rule: _Rule) -> tuple[int, ...]:
    if key not in file.keys:
        raise ValueError(f"{file.path}: no key {key!r}, found {', '.join(sorted(file.keys))}")
    header = file.header(key)
    if header.dtype.kind not in rule.kinds:
        raise _wrong(file, key, header, f"{_KINDS[rule.kinds]} of shape {rule.expected}")
    if (0 in header.shape and not rule.may_be_empty) or not rule.fits(header.shape):
        raise _wrong(file, key, f"shape {header.shape}", rule.expected)
    return header.shape


def _wrong(file: ArrayFile, key: str, given: object, expected: str) -> ValueError:
    return ValueError(checks.wrong(f"{file.path}: {key}", given, expected))


def _positions(file: ArrayFile, name: str, offset: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Positions (B, 2), ``[x, y]``."""
    axes = []
    for axis, shift in zip("xy", offset, strict=True):
        key = f"{axis}{name}"
        along = checks.floating(file.read(key), f"{file.path}: {key}", np.float64, integers=True)
        axes.append(along + shift if shift else along)
    return np.stack(axes, axis=1)


def _mask(file: ArrayFile) -> npt.NDArray[np.bool_]:
    """The detector's good pixels; in the file True is bad."""
    return np.ascontiguousarray(~file.read("bad_pixels"))


def _patterns(file: ArrayFile, key: str, domain: str) -> Patterns:
    """The patterns as counts or float32, none of them negative, left in the file."""
    name, stored = f"{file.path}: {key}", file.patterns(key)
    if domain == "count_intensity":
        if stored.dtype.isnative and stored.dtype in (np.uint16, np.uint32):
            return stored
        return Converted(stored, Conversion(counted, (name,)), np.uint32)
    return Converted(stored, Conversion(measured, (name,)), np.float32)


# --- metadata ---


def _read_metadata(file: ArrayFile) -> dict[str, Any]:
    """What ``_metadata`` says; nothing where it is missing or in another program's form."""
    if "_metadata" not in file.keys:
        return {}
    name = f"{file.path}: _metadata"
    try:
        header = file.header("_metadata")
    except ValueError as error:
        if "pickled" in str(error):  # as PtychoPINN itself writes it; never opened
            return {}
        raise
    if header.dtype.kind != "U":
        return {}
    size = header.dtype.itemsize
    if header.shape not in ((), (1,)) or size > _LONGEST_METADATA:
        raise ValueError(checks.wrong(name, header, "one JSON text"))
    try:
        metadata = json.loads(file.read("_metadata").item())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name}: no JSON ({str(error) or 'nested too deeply'})") from None
    return metadata if isinstance(metadata, dict) else {}


def _domain(file: ArrayFile, metadata: dict[str, Any], domain: str | None) -> str:
    stated = metadata.get("measurement_domain")
    if stated is None and metadata.get("profile") in PROFILES:
        stated = PROFILES[metadata["profile"]].domain
    if domain is not None:
        checks.choice(domain, "domain", _READ)
    if stated is None and domain is None:
        raise ValueError(
            f"{file.path}: the file does not say what its patterns mean; give domain="
            "'normalized_amplitude' (sqrt(counts) / s) or 'count_intensity' (photon counts)"
        )
    if None not in (stated, domain) and stated != domain:
        raise ValueError(f"{file.path}: domain {domain!r} given, but the file says {stated!r}")
    return checks.choice(stated or domain, f"{file.path}: measurement_domain", _READ)


def _intensity_scale(file: ArrayFile, metadata: dict[str, Any]) -> float | None:
    scale = metadata.get("intensity_scale")
    if scale is None and metadata.get("scale_contract_version") == "ci_intensity_v2":
        return 1.0  # its probe is in photons
    try:
        return None if scale is None else checks.positive(scale, f"{file.path}: intensity_scale")
    except TypeError as error:  # what a file holds is a wrong value
        raise ValueError(str(error)) from None


def _table(file: ArrayFile, metadata: dict[str, Any], key: str) -> dict[str, Any] | None:
    value = metadata.get(key)
    if value is None or isinstance(value, dict):
        return value
    raise _wrong(file, key, repr(value)[:40], "a table")
