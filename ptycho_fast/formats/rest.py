"""What a layout of another program has no place for: the group ``ptycho_fast`` of an HDF5 file.

Programs that read the layout pass over the group. It makes the file whole: the scenario and its
provenance, what the patterns mean, the intended positions, masks, modes that vary, the path of a
fly scan. Each is there only where there is something to say that the layout itself does not.

=========================  =======================================================================
``metadata``               JSON: format, domain, intensity scale, geometry, scenario, provenance,
                           and facts of the layout, such as the frame of its positions
``positions_nominal``      (B, 2) float64, ``[x, y]`` in object pixels
``mask``                   (N, N) bool, True is good
``object``                 (H, W) or (L, H, W) complex64, where the layout holds another shape
``probe``                  (M, N, N) complex64, where the layout holds fewer modes or none
``eigenprobes``            (K, N, N) complex64
``weights``                (B, M + K) float32
``path``                   (B, S, 2) float64
``dose_factors``           (B,) float64
``corrections_index``      (n,) int64, pixels of all patterns whose counts the layout rounds
``corrections_difference`` (n,) int32, what has to be added there
=========================  =======================================================================
"""

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats import stored_counts
from ptycho_fast.formats.contents import DOMAINS, Contents
from ptycho_fast.formats.fields import Fits, photon_scale
from ptycho_fast.formats.hdf5_file import Hdf5File, write_array
from ptycho_fast.formats.numpy_files import to_complex64
from ptycho_fast.formats.patterns import Patterns
from ptycho_fast.formats.stored_counts import Corrections

GROUP = "ptycho_fast"

_ARRAYS = (
    "positions_nominal",
    "mask",
    "object",
    "probe",
    "eigenprobes",
    "weights",
    "path",
    "dose_factors",
)


class Rest(NamedTuple):
    """What the group of a file says.

    Attributes
    ----------
    metadata : dict
        JSON; empty where there is no group, as in files of other programs.
    arrays : dict
        Arrays by the names of fields of `Contents`.
    corrections : (index, difference) or None
        Of counts that the layout rounds.
    """

    metadata: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]
    corrections: Corrections | None = None

    @property
    def domain(self) -> str | None:
        """What the patterns mean, a key of `contents.DOMAINS`; None where the group is missing."""
        return self.metadata.get("measurement_domain")

    @property
    def photon_scale(self) -> float:
        """What the probe of a file of this package was multiplied by; 1 for other files."""
        scale, provenance = self.metadata.get("intensity_scale"), self.metadata.get("provenance")
        return photon_scale(self.domain, scale, provenance or {})

    def checked(self, patterns: Patterns, name: str, domain: str) -> Patterns:
        """Patterns of the file, see `stored_counts.checked`."""
        kind = self.metadata.get("number_type")
        return stored_counts.checked(patterns, name, domain, self.corrections, kind)

    def fields(self) -> dict[str, Any]:
        """Fields of `Contents` that the group fills."""
        told = {
            name: self.metadata[name]
            for name in ("scenario", "intensity_scale", "geometry", "provenance")
            if self.metadata.get(name) is not None
        }
        return self.arrays | told


def write(
    file: Any,
    contents: Contents,
    *,
    format: str,
    held: Collection[str] = (),
    corrections: Corrections | None = None,
    **facts: Any,
) -> None:
    """Write the group; the last thing that a writer does, when all patterns have passed.

    Parameters
    ----------
    file : h5py.File
        The file, or a group of it.
    contents : Contents
        The data set, `completed`.
    format : str
        Name of the layout.
    held : collection of str
        Fields that the layout itself holds as they are.
    corrections : (index, difference), optional
        Of counts that the layout rounds.
    **facts
        What else a reader has to know; JSON types.
    """
    group = file.create_group(GROUP)
    same = np.array_equal(contents.positions, contents.positions_nominal)
    for name in _ARRAYS:
        array = getattr(contents, name)
        if array is not None and name not in held and not (name == "positions_nominal" and same):
            write_array(group, name, array)
    if corrections is not None and len(corrections[0]):
        write_array(group, "corrections_index", corrections[0])
        write_array(group, "corrections_difference", corrections[1])
    metadata = {
        "program": "ptycho_fast",
        "format": format,
        "measurement_domain": contents.domain,
        "number_type": str(contents.diffraction.dtype),
        "intensity_scale": contents.intensity_scale,
        "provenance": contents.provenance,
        "geometry": contents.geometry,
        "scenario": contents.scenario,
    } | facts
    write_array(group, "metadata", json.dumps(metadata))


def read(file: Hdf5File, B: int, N: int, *, within: str = "") -> Rest:
    """Read the group, if there is one, after all shapes and types were checked.

    Parameters
    ----------
    file : Hdf5File
        The file.
    B, N : int
        Number of patterns and their side, as the layout says; 0 patterns where it holds none.
    within : str
        Group in which the group is, with a slash at the end.

    Returns
    -------
    Rest
        Empty where the file has no such group.

    Raises
    ------
    ValueError
        An array or the metadata cannot be right; the message names file and key.
    """
    group = f"{within}{GROUP}"
    metadata = _metadata(file, group)
    planes = _planes(file, group)
    rules: dict[str, tuple[str, str, Fits]] = {
        "positions_nominal": ("iuf", f"({B}, 2)", lambda s: s == (B, 2)),
        "mask": ("b", f"({N}, {N})", lambda s: s == (N, N)),
        "object": ("c", "(H, W) or (L, H, W)", lambda s: len(s) in (2, 3)),
        "probe": ("c", f"(M, {N}, {N})", lambda s: len(s) == 3 and s[1:] == (N, N)),
        "eigenprobes": ("c", f"(K, {N}, {N})", lambda s: len(s) == 3 and s[1:] == (N, N)),
        "weights": ("f", f"({B}, M + K)", lambda s: len(s) == 2 and s[0] == B and s[1] >= planes),
        "path": ("f", f"({B}, S, 2)", lambda s: len(s) == 3 and (s[0], s[2]) == (B, 2)),
        "dose_factors": ("f", f"({B},)", lambda s: s == (B,)),
    }
    arrays = {}
    for name, (kinds, expected, fits) in rules.items():
        key = f"{group}/{name}"
        if key not in file.keys:
            continue
        header = file.header(key)
        if header.dtype.kind not in kinds or 0 in header.shape or not fits(header.shape):
            raise ValueError(checks.wrong(f"{file.path}: {key}", header, expected))
        arrays[name] = _checked(file, key, name)
    return Rest(metadata, arrays, _corrections(file, group, B * N * N))


def _checked(file: Hdf5File, key: str, name: str) -> npt.NDArray[Any]:
    array, where = file.read(key), f"{file.path}: {key}"
    if array.dtype.kind == "b":
        return np.ascontiguousarray(array)
    if array.dtype.kind == "c":
        return to_complex64(array, where)
    dtype = np.float32 if name == "weights" else np.float64
    return checks.floating(array, where, dtype, integers=True)


def _planes(file: Hdf5File, group: str) -> int:
    """Eigenprobes in the group, of which each pattern has a weight."""
    key = f"{group}/eigenprobes"
    shape = file.header(key).shape if key in file.keys else ()
    return shape[0] if shape else 0


def _corrections(file: Hdf5File, group: str, pixels: int) -> Corrections | None:
    keys = [f"{group}/corrections_{name}" for name in ("index", "difference")]
    if keys[0] not in file.keys:
        return None
    for key in keys:
        if key not in file.keys:
            raise ValueError(f"{file.path}: no key {key!r}, which belongs to {keys[0]}")
        header = file.header(key)
        if len(header.shape) != 1 or header.dtype.kind != "i":
            raise ValueError(checks.wrong(f"{file.path}: {key}", header, "(n,) whole numbers"))
    index, difference = (file.read(key) for key in keys)
    if len(index) != len(difference):
        given = f"{len(index)} pixels and {len(difference)} numbers"
        raise ValueError(checks.wrong(f"{file.path}: {keys[0]}", given, "a number for each pixel"))
    inside = len(index) == 0 or (index[0] >= 0 and index[-1] < pixels)
    if not inside or (np.diff(index) <= 0).any():
        expected = f"rising numbers from 0 to {pixels - 1}"
        raise ValueError(checks.wrong(f"{file.path}: {keys[0]}", "another order", expected))
    return index.astype(np.int64), difference.astype(np.int32)


def _metadata(file: Hdf5File, group: str) -> dict[str, Any]:
    key = f"{group}/metadata"
    if key not in file.keys:
        return {}
    name = f"{file.path}: {key}"
    try:
        metadata = json.loads(file.text(key))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{name}: no JSON ({str(error) or 'nested too deeply'})") from None
    if not isinstance(metadata, dict):
        raise ValueError(checks.wrong(name, type(metadata).__name__, "a table"))
    _check_types(metadata, name)
    return metadata


def _check_types(metadata: Mapping[str, Any], name: str) -> None:
    if (domain := metadata.get("measurement_domain")) is not None:
        checks.choice(domain, f"{name}: measurement_domain", DOMAINS)
    if (scale := metadata.get("intensity_scale")) is not None:
        try:
            checks.positive(scale, f"{name}: intensity_scale")
        except TypeError as error:  # what a file holds is a wrong value
            raise ValueError(str(error)) from None
    for table in ("scenario", "geometry", "provenance"):
        value = metadata.get(table)
        if value is not None and not isinstance(value, dict):
            raise ValueError(checks.wrong(f"{name}: {table}", repr(value)[:40], "a table"))
