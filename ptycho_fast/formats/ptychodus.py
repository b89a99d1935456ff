"""The product of ptychodus, ``NAME.h5``, and its patterns, ``NAME_dp.h5``.

Product:

================================  ==================================================================
``object``                        (L, H, W) complex64, with a margin where patches reach beyond
``object_layer_spacing_m``        (L - 1,) float64
``probe``                         (1 + K, M, N, N) complex128, in photons; see `photon_modes`
``opr_weights``                   (B, 1 + K) float64, only where the probe varies
``probe_position_x_m``,           (B,) float64, metres from the middle of the object
``probe_position_y_m``
``probe_position_indexes``        (B,) int64, numbers of the patterns
``loss_epochs``, ``loss_values``  empty
================================  ==================================================================

The root has energy, distance and dose as attributes, object and probe the sides of their pixels. A
product has no place for the patterns; they are in a file of their own:

================================  ==================================================================
``patterns``                      (B, N, N), counts as they are, zero frequency in the middle
``indexes``                       (B,) int64
``bad_pixels``                    (N, N) bool, True is bad
================================  ==================================================================

Versions of 2025 and of 2026 want different attributes; all of them are written. What the layout has
no place for is in a group of its own, see `rest`.

Read are also products without patterns, of which `truth` gives object, probe and positions, and the
training data that ptychodus exports to one HDF5 file.
"""

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import constants

from ptycho_fast import checks
from ptycho_fast.files import check_targets
from ptycho_fast.formats import fields, photon_modes, rest, stored_counts
from ptycho_fast.formats.compression import filters
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.frames import FRAMES
from ptycho_fast.formats.hdf5_file import Hdf5File, create, open_file, write_array, write_patterns
from ptycho_fast.formats.patterns import LazyPatterns, Patterns
from ptycho_fast.formats.truth import Truth
from ptycho_fast.formats.work import Work

NAME = "ptychodus"
DOMAINS = ("count_intensity", "detector_signal", "normalized_intensity")
OPTIONS = frozenset({"compression"})
READ_OPTIONS = frozenset({"domain", "patterns"})

_POSITIONS = ("probe_position_x_m", "probe_position_y_m")
_PIXELS = ("probe_position_x_px", "probe_position_y_px")  # of exported training data
_TEXT = 2**15  # bytes of metadata and headers, about


class Names(NamedTuple):
    """Names of the two files."""

    product: Path
    patterns: Path


def names(path: str | os.PathLike[str]) -> Names:
    """Names of the product and of the patterns, from either of them.

    Examples
    --------
    >>> names("scan.h5").patterns.name, names("scan_dp.h5").product.name
    ('scan_dp.h5', 'scan.h5')
    """
    return Names(*fields.siblings(path, ("", "_dp"), ".h5"))


def targets(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The files that `write` makes."""
    return names(path)


# --- writing ---


def check(contents: Contents, *, compression: str = "none") -> None:
    """Raise for what `write` would refuse.

    Parameters
    ----------
    contents : Contents
        The data set; of its patterns only shape and dtype are looked at.
    compression : str
        As for `write`.

    Raises
    ------
    ValueError
        The compression is unknown.
    ScenarioError
        Energy, distance or sizes of pixels are not known.
    """
    filters(compression)
    checks.choice(contents.domain, "domain", DOMAINS)
    whom = "a product of ptychodus"
    photon_modes.photon_energy(contents, whom)
    for name in ("detector_distance_m", "detector_pixel_m", "object_pixel_m"):
        photon_modes.needed(contents, name, whom)
    if contents.object.ndim == 3 and len(contents.object) > 1:
        photon_modes.needed(contents, "slice_distance_m", whom)
    photon_modes.check_modes(contents, whom)


def file_size(contents: Contents, *, compression: str = "none") -> int:
    """Bytes of both files without compression, about."""
    added = 0 if contents.eigenprobes is None else len(contents.eigenprobes)
    modes = len(contents.probe) * (1 + added)
    B, N, _ = contents.diffraction.shape
    per_pattern = contents.diffraction.dtype.itemsize * N * N + 8 * 8
    return B * per_pattern + 8 * contents.object.size + 16 * modes * N * N + _TEXT


def write(
    path: str | os.PathLike[str], contents: Contents, work: Work, *, compression: str = "none"
) -> list[Path]:
    """Write product and patterns; both take their places when both are whole.

    Parameters
    ----------
    path : path-like
        Name of the product, from which that of the patterns is made (`names`).
    contents : Contents
        The data.
    work : Work
        How to write.
    compression : str
        Of the patterns, one of `compression.COMPRESSIONS`.

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
    check(contents, compression=compression)
    both = names(path)
    check_targets(*both, force=work.force)
    B, N, _ = contents.diffraction.shape
    pixel = photon_modes.needed(contents, "detector_pixel_m", NAME)
    with create(both.patterns, work) as file:
        write_array(file, "indexes", np.arange(B))
        bad = np.zeros((N, N), bool) if contents.mask is None else ~contents.mask
        write_array(file, "bad_pixels", bad)
        sides = {"detector_pixel_width_m": pixel, "detector_pixel_height_m": pixel}
        write_patterns(
            file, "patterns", contents.diffraction, work, compression=compression, **sides
        )
        # The patterns still have their name aside: nothing is half there if this fails.
        with create(both.product, Work(force=work.force)) as product:
            _write_product(product, contents.completed())
    return list(both)


def _write_product(file: Any, contents: Contents) -> None:
    probe = photon_modes.stacked(contents)
    file.attrs.update(_attributes(contents, probe))
    pixel = photon_modes.needed(contents, "object_pixel_m", NAME)
    sides = {"pixel_width_m": pixel, "pixel_height_m": pixel}
    slices, margin = photon_modes.surrounded(contents)
    write_array(file, "object", slices, **sides, center_x_m=0.0, center_y_m=0.0)
    spacing = [photon_modes.needed(contents, "slice_distance_m", NAME)] if len(slices) > 1 else []
    write_array(file, "object_layer_spacing_m", np.repeat(spacing, len(slices) - 1))
    write_array(file, "probe", probe, **sides)
    if (weights := photon_modes.opr_weights(contents)) is not None:
        write_array(file, "opr_weights", weights)
    write_array(file, "probe_position_indexes", np.arange(len(contents.positions)))
    shape = contents.object.shape[-2:]  # a margin leaves the middle where it is
    metres = FRAMES["ptychodus"].to(contents.positions, shape, probe.shape[-1], pixel)
    for axis, name in enumerate(_POSITIONS):
        write_array(file, name, metres[:, axis])
    write_array(file, "loss_epochs", np.zeros(0, np.int64))
    write_array(file, "loss_values", np.zeros(0))
    held = ("object", "probe", "mask")
    rest.write(file, contents, format=NAME, held=held, object_margin=margin)


def _attributes(contents: Contents, probe: npt.NDArray[np.complex128]) -> dict[str, Any]:
    """What the root says; versions of 2025 look for other names than those of 2026."""
    energy = photon_modes.photon_energy(contents, NAME) / constants.e
    distance = photon_modes.needed(contents, "detector_distance_m", NAME)
    near = (contents.geometry or {}).get("propagation") == "near_field"
    ratio = 1.0
    if near:
        ratio = photon_modes.needed(contents, "detector_pixel_m", NAME) / photon_modes.needed(
            contents, "object_pixel_m", NAME
        )
    return {
        "name": str((contents.scenario or {}).get("name") or "ptycho_fast"),
        "comments": "",
        "detector_object_distance_m": distance,
        "photon_energy_eV": energy,
        "probe_energy_eV": energy,
        "probe_photon_count": float(np.square(np.abs(probe[0])).sum()),
        "exposure_time_s": 0.0,
        "mass_attenuation_m2_per_kg": 0.0,
        "tomography_angle_deg": 0.0,
        "far_field": not near,
        # A beam from a focus is magnified (focus to detector) / (focus to object) times.
        "focus_object_distance_m": 0.0 if math.isclose(ratio, 1) else distance / (ratio - 1),
    }


# --- reading ---


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether an HDF5 file is a product, the patterns of one, or exported training data."""
    try:
        with open_file(path) as file:
            keys, root = set(file.keys), file.attributes()
    except ValueError:  # damaged
        return False
    product = {"object", "probe", *_POSITIONS}
    return (
        {"patterns", "indexes"} <= keys
        or {"patterns", "probe", "object", *_PIXELS} <= keys
        or (product <= keys and "detector_object_distance_m" in root)
    )


def read(
    path: str | os.PathLike[str],
    *,
    domain: str | None = None,
    patterns: str | os.PathLike[str] | None = None,
) -> Contents:
    """Open a product with its patterns.

    Parameters
    ----------
    path : path-like
        The product, or the patterns beside it; or exported training data.
    domain : str, optional
        What the patterns mean, for files that do not say: one of `DOMAINS`.
    patterns : path-like, optional
        File of the patterns; without it ``NAME_dp.h5`` or ``diffraction.h5`` beside the product.

    Returns
    -------
    Contents
        Patterns are left in their file. Of both files those are taken whose indexes both have, in
        the order of the product. Of other programs' files the probe stays as it is, and the
        intensity scale takes its energy to ``probe_photon_count``, where that is known.

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing, damaged, or holds what cannot be right; the message names file and key.
    """
    with open_file(path) as file:
        if set(_PIXELS) <= set(file.keys):
            return _training(file, domain)
        both = names(path)
        if "patterns" in file.keys:
            both = Names(_product_of(Path(path)), Path(path))
        else:
            both = Names(Path(path), Path(patterns) if patterns else _patterns_of(Path(path)))
    with open_file(both.product) as product, open_file(both.patterns) as stored:
        return _joined(product, stored, domain)


def truth(path: str | os.PathLike[str]) -> Truth:
    """Object, probe and positions of a product, which needs no patterns; their mask if it has them.

    Parameters
    ----------
    path : path-like
        As for `read`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read`.
    """
    with open_file(path) as file:
        if set(_PIXELS) <= set(file.keys):
            found = _training(file, DOMAINS[0])
            return Truth(
                object=found.object,
                probe=found.probe,
                positions=found.positions,
                mask=found.mask,
                geometry=found.geometry,
            )
        product = _product_of(Path(path)) if "patterns" in file.keys else Path(path)
    with open_file(product) as file:
        one = _Product(file)
    mask, beside = None, [file for file in _beside(product) if file.exists()]
    if beside:
        with open_file(beside[0]) as stored:
            mask = _mask(stored, one.modes.probe.shape[-1])
    return Truth(
        object=one.object,
        probe=one.modes.probe,
        positions=one.positions,
        mask=mask,
        geometry=one.geometry,
        left_out=() if one.modes.weights is None else ("how its probe varies",),
    )


def _beside(product: Path) -> list[Path]:
    """Where the patterns of a product may be."""
    files = (names(product).patterns, product.with_name(f"diffraction{product.suffix}"))
    return [file for file in files if file != product]


def _product_of(path: Path) -> Path:
    beside = [names(path).product, path.with_name(f"product{path.suffix}")]
    found = next((file for file in beside if file.exists() and file != path), None)
    if found is None:
        raise ValueError(
            f"{path}: holds patterns alone, expected its product beside it, {beside[0].name}"
        )
    return found


def _patterns_of(path: Path) -> Path:
    found = next((file for file in _beside(path) if file.exists()), None)
    if found is None:
        raise ValueError(
            f"{path}: holds no patterns, expected them in {names(path).patterns.name}, or "
            "patterns=... (the file that has them); simulate --from takes its object, probe and "
            "positions"
        )
    return found


class _Product:
    """What a product says."""

    def __init__(self, file: Hdf5File) -> None:
        B = math.prod(fields.shape(file, _POSITIONS[0], "iuf", "(B,)", lambda s: len(s) == 1))
        self.indexes = _indexes(file, "probe_position_indexes", B)
        stack = _probe(file)
        N = stack.shape[-1]
        self.more = rest.read(file, B, N)
        expected = "(L, H, W)"
        layers = fields.complex_array(file, "object", expected, lambda s: len(s) in (2, 3))
        margin = self.more.metadata.get("object_margin", 0)
        self.object = photon_modes.without_margin(layers, margin, f"{file.path}: object_margin")
        pixel = _square_pixel(file, "object", "pixel_width_m", "pixel_height_m")
        at = file.attributes("object")
        center = [_finite(file, at, f"center_{axis}_m", "object") for axis in "xy"]
        metres = np.stack([fields.column(file, name, B) for name in _POSITIONS], axis=1)
        self.positions = FRAMES["ptychodus"].back(metres - center, self.object.shape[-2:], N, pixel)
        weights = None
        if "opr_weights" in file.keys:
            C = len(stack)
            fields.shape(file, "opr_weights", "iuf", f"({B}, {C})", lambda s: s == (B, C))
            weights = fields.finite(
                file.read("opr_weights"), f"{file.path}: opr_weights", np.float64
            )
        self.scale = self.more.metadata.get("intensity_scale")
        ours = bool(self.more.metadata)
        domain = self.more.domain
        scale = self.scale if ours and domain != "normalized_intensity" and self.scale else 1.0
        self.modes = photon_modes.taken_apart(stack, weights, scale, B)
        root = file.attributes()
        if not ours:
            self.scale = _photon_scale(file, root, self.modes.probe)
        self.geometry = _geometry(file, root, pixel, N) | {
            "slice_distance_m": _spacing(file, self.object)
        }

    def fields(self) -> dict[str, Any]:
        """Fields of `Contents` as the product has them."""
        told = self.more.fields()
        return {
            "object": self.object,
            "probe": self.modes.probe,
            "eigenprobes": self.modes.eigenprobes,
            "weights": self.modes.weights,
            "positions": self.positions,
            "positions_nominal": self.positions,
            "geometry": self.geometry,
            "intensity_scale": self.scale,
        } | told


def _joined(product: Hdf5File, stored: Hdf5File, domain: str | None) -> Contents:
    """Contents of both files, for the indexes that both have."""
    one = _Product(product)
    told = one.fields()
    B, N = fields.stack(stored, "patterns")
    side = one.modes.probe.shape[-1]
    if side != N:
        expected = f"side {side}, as the probe of {product.path.name}"
        raise ValueError(checks.wrong(f"{stored.path}: patterns", f"side {N}", expected))
    meaning = fields.domain_of(stored.path, one.more.domain, domain, DOMAINS)
    pixel = _square_pixel(stored, "patterns", "detector_pixel_width_m", "detector_pixel_height_m")
    # Of a file of this package the geometry is in the group, in full.
    if "geometry" not in one.more.metadata:
        told["geometry"] = one.geometry | {"detector_pixel_m": pixel}
    frames = stored_counts.checked(
        stored.patterns("patterns"), f"{stored.path}: patterns", meaning, one.more.corrections
    )
    rows, numbers = _common(product, one.indexes, stored, _indexes(stored, "indexes", B))
    if not np.array_equal(rows, np.arange(len(one.indexes))):
        for name in ("positions", "positions_nominal", "weights", "path", "dose_factors"):
            if told.get(name) is not None:
                told[name] = told[name][rows]
    if not np.array_equal(numbers, np.arange(B)):
        frames = _Chosen(frames, numbers)
    mask = _mask(stored, N)
    return Contents(**(told | {"mask": mask}), diffraction=frames, domain=meaning)


def _common(
    product: Hdf5File,
    of_product: npt.NDArray[np.int64],
    stored: Hdf5File,
    of_patterns: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the product, and numbers of the patterns that belong to them."""
    _, rows, numbers = np.intersect1d(
        of_product, of_patterns, assume_unique=True, return_indices=True
    )
    if not len(rows):
        raise ValueError(
            f"{stored.path}: indexes: none of those in {product.path.name} given, expected some of "
            "its probe_position_indexes"
        )
    order = np.argsort(rows)
    return rows[order], numbers[order]


class _Chosen(LazyPatterns):
    """Some patterns of others, in another order."""

    def __init__(self, base: Patterns, numbers: npt.NDArray[np.int64]) -> None:
        self.base, self._numbers_of = base, numbers
        self.shape, self.dtype = (len(numbers), *base.shape[1:]), base.dtype

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        return np.asarray(self.base[self._numbers_of[first:last]])

    def close(self) -> None:
        """Close the base."""
        if isinstance(self.base, LazyPatterns):
            self.base.close()


def _training(file: Hdf5File, domain: str | None) -> Contents:
    """Contents of exported training data: one HDF5 file, positions in pixels."""
    B, N = fields.stack(file, "patterns")
    meaning = fields.domain_of(file.path, None, domain, DOMAINS)
    probe = photon_modes.taken_apart(_probe(file), None, 1.0, B).probe
    if probe.shape[-1] != N:
        given = f"side {probe.shape[-1]}"
        raise ValueError(checks.wrong(f"{file.path}: probe", given, f"side {N}, as the patterns"))
    obj = fields.complex_array(file, "object", "(H, W)", lambda s: len(s) == 2)
    pixels = np.stack([fields.column(file, name, B) for name in _PIXELS], axis=1)
    positions = FRAMES["ptychodus_pixels"].back(pixels, (obj.shape[0], obj.shape[1]), N)
    width, height = (fields.number(file, f"object_pixel_{s}_m") for s in ("width", "height"))
    pixel = _same(f"{file.path}: object_pixel_height_m", width, height)
    distance = fields.number(file, "detector_object_distance_m")
    energy = fields.number(file, "photon_energy_eV") * constants.e
    # In the far field the formula is its own inverse.
    detector = photon_modes.far_field_geometry(energy, distance, pixel, N)["object_pixel_m"]
    return Contents(
        object=obj,
        probe=probe,
        positions=positions,
        positions_nominal=positions,
        diffraction=stored_counts.checked(
            file.patterns("patterns"), f"{file.path}: patterns", meaning
        ),
        domain=meaning,
        mask=_mask(file, N),
        geometry=photon_modes.far_field_geometry(energy, distance, detector, N),
    )


def _probe(file: Hdf5File) -> npt.NDArray[np.complex128]:
    """(C, M, N, N) complex128: coherent and incoherent modes."""
    expected = "(coherent, incoherent, N, N), (M, N, N) or (N, N)"
    fields.shape(file, "probe", "iufc", expected, lambda s: 2 <= len(s) <= 4 and s[-1] == s[-2])
    found = checks.floating(file.read("probe"), f"{file.path}: probe", np.complex128, integers=True)
    return found.reshape((1,) * (4 - found.ndim) + found.shape)


def _indexes(file: Hdf5File, key: str, B: int) -> npt.NDArray[np.int64]:
    fields.shape(file, key, "iu", f"({B},), a number for each pattern", lambda s: s == (B,))
    indexes = file.read(key).astype(np.int64)
    if len(np.unique(indexes)) != B:
        raise ValueError(checks.wrong(f"{file.path}: {key}", "a number twice", "each only once"))
    return indexes


def _mask(file: Hdf5File, N: int) -> npt.NDArray[np.bool_] | None:
    """(N, N) bool, True is good; None where all are."""
    if "bad_pixels" not in file.keys:
        return None
    fields.shape(file, "bad_pixels", "b", f"({N}, {N})", lambda s: s == (N, N))
    bad = file.read("bad_pixels")
    return np.ascontiguousarray(~bad) if bad.any() else None


def _square_pixel(file: Hdf5File, key: str, width: str, height: str) -> float:
    one, other = fields.attribute(file, key, width), fields.attribute(file, key, height)
    return _same(f"{file.path}: {key}, attribute {height}", one, other)


def _same(name: str, width: float, height: float) -> float:
    if not math.isclose(width, height, rel_tol=1e-6):
        raise ValueError(checks.wrong(name, height, f"{width}, as the width: square pixels"))
    return width


def _finite(file: Hdf5File, attributes: dict[str, Any], name: str, key: str) -> float:
    """A number beside an array; 0 where there is none."""
    where = f"{file.path}: {key}, attribute {name}"
    try:
        return checks.number(np.asarray(attributes.get(name, 0.0)).item(), where)
    except (TypeError, ValueError) as error:  # what a file holds is a wrong value
        raise ValueError(str(error)) from None


def _photon_scale(
    file: Hdf5File, root: dict[str, Any], probe: npt.NDArray[np.complex64]
) -> float | None:
    """s: its square takes the probe's energy to the photons that the product names."""
    photons = _finite(file, root, "probe_photon_count", "root")
    energy = float(np.square(np.abs(probe), dtype=np.float64).sum())
    if photons < 0:
        where = f"{file.path}: root, attribute probe_photon_count"
        raise ValueError(checks.wrong(where, photons, "no negative number"))
    return math.sqrt(photons / energy) if photons and energy else None


def _geometry(file: Hdf5File, root: dict[str, Any], pixel: float, N: int) -> dict[str, Any]:
    energy_key = next((k for k in ("photon_energy_eV", "probe_energy_eV") if k in root), None)
    where = f"{file.path}: root, attribute"
    if energy_key is None:
        raise ValueError(checks.wrong(f"{where} photon_energy_eV", "nothing", "a number"))
    energy = fields.positive(root[energy_key], f"{where} {energy_key}") * constants.e
    key = "detector_object_distance_m"
    distance = fields.positive(root.get(key), f"{where} {key}")
    if not bool(root.get("far_field", True)):
        geometry = photon_modes.far_field_geometry(energy, distance, pixel, N)
        return geometry | {
            "propagation": "near_field",
            "object_pixel_m": pixel,
            "detector_pixel_m": None,
        }
    detector = photon_modes.far_field_geometry(energy, distance, pixel, N)["object_pixel_m"]
    return photon_modes.far_field_geometry(energy, distance, detector, N) | {
        "object_pixel_m": pixel
    }


def _spacing(file: Hdf5File, obj: npt.NDArray[Any]) -> float | None:
    """From a layer to the next, metres; None of a thin object."""
    key, gaps = "object_layer_spacing_m", len(obj) - 1 if obj.ndim == 3 else 0
    if not gaps:
        return None
    fields.shape(file, key, "iuf", f"({gaps},)", lambda s: s == (gaps,))
    spacing = fields.finite(file.read(key), f"{file.path}: {key}", np.float64)
    if not np.allclose(spacing, spacing[0], rtol=1e-6, atol=0):
        raise ValueError(checks.wrong(f"{file.path}: {key}", spacing, "equal distances"))
    return fields.positive(spacing[0], f"{file.path}: {key}")
