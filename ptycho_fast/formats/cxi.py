"""CXI, the format of the Coherent X-ray Imaging Data Bank (F. Maia, Nature Methods 9, 854, 2012).

Below ``entry_1``, in SI units:

======================================  ============================================================
``data_1/data``                         (B, N, N), the patterns; a link to those of the detector
``data_1/translation``                  a link to that of the sample
``instrument_1/detector_1/data``        int32, or float32, axes ``translation:y:x``
``.../detector_1/distance``             metres
``.../detector_1/x_pixel_size``         metres, and ``y_pixel_size``
``.../detector_1/mask``                 (N, N) uint32, 0 is good; only where there is a mask
``instrument_1/source_1/energy``        joules
``sample_1/geometry_1/translation``     (B, 3) float64, metres: x, y, z; see below
``image_1/data``, ``image_2/data``      probe (1 + K, M, N, N) and object (L, H, W), as ptychodus
                                        stores them
``ptychodus/...``                       sides of their pixels, weights, photons: its own names
======================================  ============================================================

Counts are stored as int32, because some programs open unsigned ones and cannot work with them.

CXI has x to the left and y up, seen along the beam, and its translation is the way of the
**sample**: with ``motion="sample"`` (the default) a sample at +x shows the probe what lies at
larger columns. Files in which it is the way of the probe, in the same axes, need
``motion="probe"``. Translations count from the middle of the object.
"""

import math
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import constants

from ptycho_fast import checks
from ptycho_fast.errors import DataWarning
from ptycho_fast.formats import fields, photon_modes, rest, stored_counts
from ptycho_fast.formats.compression import filters
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.frames import FRAMES
from ptycho_fast.formats.hdf5_file import Hdf5File, create, open_file, write_array, write_patterns
from ptycho_fast.formats.number_types import Conversion, exactly
from ptycho_fast.formats.patterns import Converted, Patterns
from ptycho_fast.formats.truth import Truth
from ptycho_fast.formats.work import Work

NAME = "cxi"
DOMAINS = ("count_intensity", "detector_signal", "normalized_intensity")
OPTIONS = frozenset({"compression", "motion"})
READ_OPTIONS = frozenset({"domain", "motion"})

MOTIONS = ("sample", "probe")
"""What a translation moves."""

_VERSION = 160
_BAD, _HAS_SIGNAL = 0x1, 0x1000  # bits of the mask; the second one does not make a pixel bad
_TEXT = 2**15  # bytes of metadata and headers, about

_ENTRY = "entry_1"
_DETECTOR = f"{_ENTRY}/instrument_1/detector_1"
_SOURCE = f"{_ENTRY}/instrument_1/source_1"
_TRANSLATION = f"{_ENTRY}/sample_1/geometry_1/translation"
_PTYCHODUS = f"{_ENTRY}/ptychodus"
_DATA = (f"{_ENTRY}/data_1/data", f"{_DETECTOR}/data")
_TRANSLATIONS = (_TRANSLATION, f"{_ENTRY}/data_1/translation")
_PROBES = (f"{_ENTRY}/image_1/data", f"{_SOURCE}/illumination")
_OBJECT = f"{_ENTRY}/image_2/data"


# --- writing ---


def check(contents: Contents, *, compression: str = "none", motion: str = "sample") -> None:
    """Raise for what `write` would refuse.

    Parameters
    ----------
    contents : Contents
        The data set; of its patterns only shape and dtype are looked at.
    compression, motion : str
        As for `write`.

    Raises
    ------
    ValueError
        An option is unknown, or the detector is in the near field, which CXI cannot say.
    ScenarioError
        Energy, distance or sizes of pixels are not known.
    """
    filters(compression)
    checks.choice(motion, "motion", MOTIONS)
    checks.choice(contents.domain, "domain", DOMAINS)
    photon_modes.photon_energy(contents, "a CXI file")
    for name in ("detector_distance_m", "detector_pixel_m", "object_pixel_m"):
        photon_modes.needed(contents, name, "a CXI file")
    if (contents.geometry or {}).get("propagation") == "near_field":
        expected = "'far_field', since programs take the patterns of a CXI file for far fields"
        raise ValueError(checks.wrong("optics.propagation", "'near_field'", expected))
    photon_modes.check_modes(contents, "a CXI file")


def file_size(contents: Contents, *, compression: str = "none", motion: str = "sample") -> int:
    """Bytes of the file without compression, about."""
    added = 0 if contents.eigenprobes is None else len(contents.eigenprobes)
    modes = len(contents.probe) * (1 + added)
    B, N, _ = contents.diffraction.shape
    return B * (4 * N * N + 8 * 8) + 8 * contents.object.size + 16 * modes * N * N + _TEXT


def write(
    path: str | os.PathLike[str],
    contents: Contents,
    work: Work,
    *,
    compression: str = "none",
    motion: str = "sample",
) -> list[Path]:
    """Write a CXI file.

    Parameters
    ----------
    path : path-like
        The file to make.
    contents : Contents
        The data.
    work : Work
        How to write.
    compression : str
        One of `compression.COMPRESSIONS`. "none" and "portable" are read by every program.
    motion : {"sample", "probe"}
        Whose way the translations are.

    Returns
    -------
    list of Path
        The file.

    Raises
    ------
    ValueError, ScenarioError
        As `check`; or a count beyond int32.
    OSError
        The file exists, or cannot be written; nothing is left behind.
    """
    check(contents, compression=compression, motion=motion)
    patterns: Patterns = contents.diffraction
    if patterns.dtype.kind in "iu":
        name = f"{path}: {_DATA[1]}"
        patterns = Converted(patterns, Conversion(exactly, (np.int32, name)), np.int32)
    with create(path, work) as file:
        _write_experiment(file, contents, motion)
        write_patterns(
            file, _DATA[1], patterns, work, compression=compression, axes="translation:y:x"
        )
        _link(file, _DATA[0], _DATA[1])
        _link(file, _TRANSLATIONS[1], _TRANSLATION)
        margin = _write_images(file, contents)
        rest.write(
            file,
            contents.completed(),
            format=NAME,
            held=("object", "probe", "mask"),
            motion=motion,
            object_margin=margin,
        )
    return [Path(path)]


def _link(file: Any, name: str, target: str) -> None:
    import h5py

    file[name] = h5py.SoftLink(f"/{target}")


def _write_experiment(file: Any, contents: Contents, motion: str) -> None:
    detector = photon_modes.needed(contents, "detector_pixel_m", NAME)
    write_array(file, "cxi_version", _VERSION)
    write_array(file, "number_of_entries", 1)
    write_array(file, f"{_SOURCE}/energy", photon_modes.photon_energy(contents, NAME))
    distance = photon_modes.needed(contents, "detector_distance_m", NAME)
    write_array(file, f"{_DETECTOR}/distance", distance)
    write_array(file, f"{_DETECTOR}/x_pixel_size", detector)
    write_array(file, f"{_DETECTOR}/y_pixel_size", detector)
    if contents.mask is not None:
        bad = np.where(contents.mask, 0, _BAD).astype(np.uint32)
        write_array(file, f"{_DETECTOR}/mask", bad)
    pixel = photon_modes.needed(contents, "object_pixel_m", NAME)
    shape, N = contents.object.shape[-2:], contents.probe.shape[-1]
    metres = FRAMES[f"cxi_{motion}"].to(contents.positions, (shape[0], shape[1]), N, pixel)
    write_array(file, _TRANSLATION, np.pad(metres, ((0, 0), (0, 1))))


def _write_images(file: Any, contents: Contents) -> int:
    """Probe and object where ptychodus looks for them; the margin of the object."""
    pixel = photon_modes.needed(contents, "object_pixel_m", NAME)
    probe = photon_modes.stacked(contents)
    obj, margin = photon_modes.surrounded(contents)
    images = ((_PROBES[0], probe, "coherent:incoherent:y:x"), (_OBJECT, obj, "layer:y:x"))
    for name, image, axes in images:
        write_array(file, name, image, axes=axes)
        sides = np.array([image.shape[-1] * pixel, image.shape[-2] * pixel, 0.0])
        write_array(file, name.replace("/data", "/image_size"), sides)
    facts: dict[str, Any] = {
        "probe_position_indexes": np.arange(len(contents.positions)),
        "probe_photon_count": float(np.square(np.abs(probe[0])).sum()),
        "object_center_x_m": 0.0,
        "object_center_y_m": 0.0,
        "tomography_angle_deg": 0.0,
    }
    for what in ("probe", "object"):
        facts |= {f"{what}_pixel_width_m": pixel, f"{what}_pixel_height_m": pixel}
    if (weights := photon_modes.opr_weights(contents)) is not None:
        facts["opr_weights"] = weights
    if len(obj) > 1:
        spacing = photon_modes.needed(contents, "slice_distance_m", NAME)
        facts["object_layer_spacing_m"] = np.full(len(obj) - 1, spacing)
    for name, value in facts.items():
        write_array(file, f"{_PTYCHODUS}/{name}", value)
    return margin


# --- reading ---


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether an HDF5 file has patterns or images where CXI has them."""
    try:
        with open_file(path) as file:
            return any(key in file.keys for key in (*_DATA, *_PROBES, _OBJECT))
    except ValueError:  # damaged: the name alone says what it was
        return Path(path).suffix.lower() == ".cxi"


def read(
    path: str | os.PathLike[str], *, domain: str | None = None, motion: str | None = None
) -> Contents:
    """Open a CXI file.

    Parameters
    ----------
    path : path-like
        The file.
    domain : str, optional
        What the patterns mean, for files that do not say: one of `DOMAINS`.
    motion : {"sample", "probe"}, optional
        Whose way the translations are. Files of this package say it; others are taken as the
        format wants it, "sample".

    Returns
    -------
    Contents
        Patterns are left in the file. A file that holds no object gets vacuum, and one that holds
        no probe darkness in its place, with a DataWarning; ``provenance["missing"]`` names them.

    Raises
    ------
    FileNotFoundError, ValueError
        It is damaged, lacks something, or holds what cannot be right; the message names file and
        key.
    """
    with open_file(path) as file:
        key = _present(file, _DATA, "patterns")
        B, N = fields.stack(file, key)
        more = rest.read(file, B, N)
        meaning = fields.domain_of(file.path, more.domain, domain, DOMAINS)
        geometry = _geometry(file, N)
        pixel = geometry["object_pixel_m"]
        told = more.fields()
        scale = told.get("intensity_scale") if meaning != "normalized_intensity" else None
        modes = _modes(file, B, N, scale or 1.0)
        obj = _object(file, more)
        metres = _translation(file, B)
        frame = FRAMES[f"cxi_{_motion(file, more, motion)}"]
        missing = [name for name, it in (("object", obj), ("probe", modes)) if it is None]
        if obj is None:
            height, width = _extent(metres, pixel, N)
            obj = np.ones((height, width), np.complex64)
            metres = metres - (metres.min(axis=0) + metres.max(axis=0)) / 2
        if missing:
            warnings.warn(
                f"{path}: holds no {' and no '.join(missing)}; vacuum stands for an object, "
                "darkness for a probe",
                DataWarning,
                stacklevel=2,
            )
            told["provenance"] = dict(told.get("provenance", {})) | {"missing": missing}
        positions = frame.back(metres, (obj.shape[-2], obj.shape[-1]), N, pixel)
        given: dict[str, Any] = {
            "object": obj,
            "positions": positions,
            "positions_nominal": positions,
            "geometry": geometry,
            "mask": _mask(file, N),
        }
        if modes is not None:
            given |= {"eigenprobes": modes.eigenprobes, "weights": modes.weights}
        given["probe"] = np.zeros((1, N, N), np.complex64) if modes is None else modes.probe
        if "intensity_scale" not in told and modes is not None and meaning != DOMAINS[2]:
            given["intensity_scale"] = _photon_scale(file, modes.probe)
        return Contents(
            **(given | told),
            diffraction=stored_counts.checked(
                file.patterns(key), f"{file.path}: {key}", meaning, more.corrections
            ),
            domain=meaning,
        )


def truth(path: str | os.PathLike[str]) -> Truth:
    """Object, probe and positions of a file, which needs no patterns.

    Parameters
    ----------
    path : path-like
        The file; translations are taken for those of the sample where it does not say.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read`.
    """
    with open_file(path) as file:
        key = _present(file, (*_DATA, *_PROBES), "patterns or a probe")
        N = file.header(key).shape[-1] if file.header(key).shape else 0
        moves = file.header(_present(file, _TRANSLATIONS, "translations")).shape
        B = moves[0] if moves else 0
        more = rest.read(file, B, N)
        scale = more.metadata.get("intensity_scale") or 1.0
        unscaled = more.domain in (None, DOMAINS[2])
        modes = _modes(file, B, N, 1.0 if unscaled else scale)
        obj, positions = _object(file, more), None
        if obj is not None:
            shape, pixel = (obj.shape[-2], obj.shape[-1]), _geometry(file, N)["object_pixel_m"]
            frame = FRAMES[f"cxi_{_motion(file, more, None)}"]
            positions = frame.back(_translation(file, B), shape, N, pixel)
        return Truth(
            object=obj,
            probe=None if modes is None else modes.probe,
            positions=positions,
            mask=_mask(file, N),
            geometry=_geometry(file, N),
            left_out=() if modes is None or modes.weights is None else ("how its probe varies",),
        )


def _present(file: Hdf5File, keys: tuple[str, ...], what: str) -> str:
    for key in keys:
        if key in file.keys:
            return key
    raise ValueError(checks.wrong(f"{file.path}: {keys[0]}", "nothing", f"{what} here"))


def _geometry(file: Hdf5File, N: int) -> dict[str, Any]:
    wave_key, energy_key = f"{_SOURCE}/wavelength", f"{_SOURCE}/energy"
    if energy_key not in file.keys and wave_key in file.keys:
        energy = constants.h * constants.c / fields.number(file, wave_key)
    else:
        energy = fields.number(file, energy_key)
    if not 1e-3 < energy / constants.e < 1e9:
        expected = f"joules; {energy:g} J are {energy / constants.e:.3g} eV"
        raise ValueError(checks.wrong(f"{file.path}: {energy_key}", energy, expected))
    distance = fields.number(file, f"{_DETECTOR}/distance")
    side = f"{_PTYCHODUS}/object_pixel_width_m"
    if f"{_DETECTOR}/x_pixel_size" not in file.keys and side in file.keys:
        # A product of ptychodus. In the far field the formula is its own inverse.
        pixel = fields.number(file, side)
        x = photon_modes.far_field_geometry(energy, distance, pixel, N)["object_pixel_m"]
        return photon_modes.far_field_geometry(energy, distance, x, N)
    x, y = (fields.number(file, f"{_DETECTOR}/{axis}_pixel_size") for axis in "xy")
    if not math.isclose(x, y, rel_tol=1e-6):
        name = f"{file.path}: {_DETECTOR}/y_pixel_size"
        raise ValueError(checks.wrong(name, y, f"{x}, as x_pixel_size: square pixels"))
    return photon_modes.far_field_geometry(energy, distance, x, N)


def _modes(file: Hdf5File, B: int, N: int, scale: float) -> photon_modes.Modes | None:
    key = next((key for key in _PROBES if key in file.keys), None)
    if key is None:
        return None
    expected = f"(coherent, incoherent, {N}, {N}), (M, {N}, {N}) or ({N}, {N})"
    fields.shape(file, key, "iufc", expected, lambda s: 2 <= len(s) <= 4 and s[-2:] == (N, N))
    found = checks.floating(file.read(key), f"{file.path}: {key}", np.complex128, integers=True)
    stack = found.reshape((1,) * (4 - found.ndim) + found.shape)
    weights, name = None, f"{_PTYCHODUS}/opr_weights"
    if name in file.keys:
        shape = (B, len(stack))
        fields.shape(file, name, "iuf", str(shape), lambda s: s == shape)
        weights = fields.finite(file.read(name), f"{file.path}: {name}", np.float64)
    return photon_modes.taken_apart(stack, weights, scale, B)


def _object(file: Hdf5File, more: rest.Rest) -> npt.NDArray[np.complex64] | None:
    if _OBJECT not in file.keys:
        return None
    obj = fields.complex_array(file, _OBJECT, "(L, H, W)", lambda s: len(s) in (2, 3))
    margin = more.metadata.get("object_margin", 0)
    return photon_modes.without_margin(obj, margin, f"{file.path}: object_margin")


def _translation(file: Hdf5File, B: int) -> npt.NDArray[np.float64]:
    """(B, 2) x and y in metres, from the middle of the object."""
    key = _present(file, _TRANSLATIONS, "translations")
    expected = f"({B}, 3), x, y and z of each pattern"
    fields.shape(file, key, "iuf", expected, lambda s: len(s) == 2 and s[0] == B and s[1] >= 2)
    metres = fields.finite(file.read(key)[:, :2], f"{file.path}: {key}", np.float64)
    names = [f"{_PTYCHODUS}/object_center_{axis}_m" for axis in "xy"]
    if set(names) <= set(file.keys):
        for name in names:
            fields.shape(file, name, "iuf", "one number", lambda s: math.prod(s) == 1)
        metres = metres - [fields.finite(file.read(n).item(), n, np.float64) for n in names]
    return np.asarray(metres)


def _extent(metres: npt.NDArray[np.float64], pixel: float, N: int) -> tuple[int, int]:
    """Rows and columns of an object that holds all patches."""
    wide, high = np.ptp(metres, axis=0) / pixel
    longest = 2**15
    if max(wide, high) > longest:
        given = f"a scan of {max(wide, high):.3g} object pixels"
        raise ValueError(checks.wrong(_TRANSLATION, given, f"metres, and at most {longest}"))
    return math.ceil(high) + N + 2, math.ceil(wide) + N + 2


def _motion(file: Hdf5File, more: rest.Rest, given: str | None) -> str:
    if given is not None:
        checks.choice(given, "motion", MOTIONS)
    stated = more.metadata.get("motion")
    if stated is not None:
        checks.choice(stated, f"{file.path}: motion", MOTIONS)
        if given not in (None, stated):
            raise ValueError(f"{file.path}: motion {given!r} given, but the file says {stated!r}")
    return str(stated or given or "sample")


def _mask(file: Hdf5File, N: int) -> npt.NDArray[np.bool_] | None:
    """(N, N) bool, True is good; None where all are."""
    key = f"{_DETECTOR}/mask"
    if key not in file.keys:
        return None
    fields.shape(file, key, "iub", f"({N}, {N})", lambda s: s == (N, N))
    good = (file.read(key).astype(np.int64) & ~_HAS_SIGNAL) == 0
    return None if good.all() else np.ascontiguousarray(good)


def _photon_scale(file: Hdf5File, probe: npt.NDArray[np.complex64]) -> float | None:
    key = f"{_PTYCHODUS}/probe_photon_count"
    energy = float(np.square(np.abs(probe), dtype=np.float64).sum())
    if key not in file.keys or not energy:
        return None
    return math.sqrt(fields.number(file, key) / energy)
