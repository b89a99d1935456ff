"""A scan for ptypy, ``.ptyd`` (HDF5).

======================  ==========================================================================
``chunks/0/data``       (B, N, N), zero frequency in the middle; counts as int32
``chunks/0/positions``  (B, 2) float64, (row, column), metres, as `frames.FRAMES["ptypy"]`
``chunks/0/weights``    (B, N, N) float32, 1 where a pixel is good, 0 where it is bad
``meta/...``            energy (keV), distance, psize (2,), shape (2,), center (2,), num_frames,
                        version; an attribute ``type`` says which of them are scalars
======================  ==========================================================================

ptypy makes the wavelength from the energy of a photon; for electrons the file has that of a photon
of their wavelength. Object and probe have no place in the layout: they stand in the group of
`rest`. ptypy itself may write several chunks; all of them are read.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats import fields, rest
from ptycho_fast.formats.compression import encoder, filters
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.frames import FRAMES
from ptycho_fast.formats.hdf5_file import (
    Hdf5File,
    chunk_patterns,
    create,
    open_file,
    write_array,
    write_patterns,
)
from ptycho_fast.formats.number_types import Conversion, exactly
from ptycho_fast.formats.patterns import Converted, LazyPatterns, Patterns, close, ranges
from ptycho_fast.formats.scans import Scan
from ptycho_fast.formats.truth import Truth
from ptycho_fast.formats.work import Work

NAME = "ptyd"
DOMAINS = ("count_intensity", "normalized_intensity", "detector_signal")
OPTIONS = frozenset({"compression"})
READ_OPTIONS = frozenset({"domain", "object", "probe"})

_FRAME = FRAMES["ptypy"]
_LENGTHS = ("wavelength_m", "detector_distance_m", "detector_pixel_m", "object_pixel_m")
_MOST_CHUNKS = 100_000
_TEXT = 2**15  # bytes of metadata and headers, about


# --- writing ---


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
        An option is wrong.
    ScenarioError
        Wavelength, distance or a size of pixels is not known.
    """
    filters(compression or "none")
    fields.check_domain(contents, DOMAINS)
    for name in _LENGTHS:
        fields.length(contents, name, "ptypy")


def file_size(contents: Contents, **_: Any) -> int:
    """Bytes of the file without compression, about; weights take next to nothing."""
    planes = contents.object.size + contents.probe.size
    return contents.diffraction.nbytes + 32 * len(contents.positions) + 8 * planes + _TEXT


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
        File to make.
    contents : Contents
        The data, counts, intensities or signals.
    work : Work
        How to write.
    compression : str, optional
        One of `compression.COMPRESSIONS`; "none" by default, since ptypy reads patterns one by
        one. It opens "lz4" and "zstd" only where hdf5plugin was imported.

    Returns
    -------
    list of Path
        The file.

    Raises
    ------
    ValueError, ScenarioError
        As `check`; or a pixel holds more than 2**31 - 1 photons, which shows when its pattern is
        written.
    OSError
        The file exists, or cannot be written; nothing is left behind.
    """
    check(contents, compression=compression)
    patterns = contents.diffraction
    if contents.domain == "count_intensity":
        name = f"{path}: chunks/0/data"
        patterns = Converted(patterns, Conversion(exactly, (np.int32, name)), np.int32)
    pixel = fields.length(contents, "object_pixel_m", "ptypy")
    B, N, _ = patterns.shape
    with create(path, work) as file:
        chunk = file.create_group("chunks/0")
        write_patterns(chunk, "data", patterns, work, compression=compression or "none")
        metres = _FRAME.to(contents.positions, contents.object.shape[-2:], N, pixel)
        write_array(chunk, "positions", metres)
        _write_weights(chunk, contents.mask, patterns.shape)
        for name, value in _meta(contents, B, N).items():
            kind = "array" if np.ndim(value) else "scalar"
            write_array(file, f"meta/{name}", value, type=kind)
        rest.write(file, contents.completed(), format=NAME)
    return [Path(path)]


def _meta(contents: Contents, B: int, N: int) -> dict[str, Any]:
    pixel = fields.length(contents, "detector_pixel_m", "ptypy")
    return {
        "energy": fields.photon_energy_ev(contents, "ptypy") / 1e3,
        "distance": fields.length(contents, "detector_distance_m", "ptypy"),
        "psize": np.array([pixel, pixel]),
        "shape": np.array([N, N]),
        "center": np.array([N // 2, N // 2], np.float64),
        "num_frames": B,
        "version": 0.1,
    }


def _write_weights(group: Any, mask: npt.NDArray[np.bool_] | None, shape: tuple[int, ...]) -> None:
    """Weights of all patterns: every chunk of them is the same, and compressed once."""
    dtype, n = np.dtype("<f4"), chunk_patterns(shape)
    good = np.ones(shape[1:], dtype) if mask is None else mask.astype(dtype)
    weights = group.create_dataset(
        "weights", shape, dtype, chunks=(n, *shape[1:]), **filters("portable")
    )
    chunk = np.ascontiguousarray(np.broadcast_to(good, (n, *good.shape)))
    stored = encoder("portable", dtype)(chunk)
    for first in range(0, shape[0], n):
        weights.id.write_direct_chunk((first, 0, 0), stored)


# --- reading ---


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether an HDF5 file is a scan of ptypy."""
    return "chunks/0/data" in fields.keys_of(path)


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
        Patterns are left in the file. The positions of other programs' files are those in metres,
        divided by the side of an object pixel.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, it is damaged, has chunks in other files, masks that differ between
        patterns, or holds what cannot be right.
    """
    with open_file(path) as file:
        scan = _scan(file)
        meaning = fields.domain_of(path, scan.rest.domain, domain, DOMAINS)
        parts: list[Patterns] = [file.patterns(f"{chunk}/data") for chunk in _chunks(file)]
    patterns = parts[0] if len(parts) == 1 else _Joined(parts)
    return scan.contents(
        patterns, f"{path}: data", meaning, path, {"object": object, "probe": probe}
    )


def truth(path: str | os.PathLike[str]) -> Truth:
    """Positions, mask and lengths of a file, and object and probe where it has them.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read`.
    """
    with open_file(path) as file:
        return _scan(file).truth()


def _scan(file: Hdf5File) -> Scan:
    chunks = _chunks(file)
    shapes = [fields.stack(file, f"{chunk}/data") for chunk in chunks]
    N = shapes[0][1]
    if any(side != N for _, side in shapes):
        given = f"patterns of sides {sorted({side for _, side in shapes})}"
        raise ValueError(checks.wrong(f"{file.path}: chunks", given, "of one side"))
    more = rest.read(file, sum(count for count, _ in shapes), N)
    metres = np.concatenate(
        [_positions(file, chunk, n) for chunk, (n, _) in zip(chunks, shapes, strict=True)]
    )
    told = {"geometry": _lengths(file, N)} | more.fields()
    if not more.metadata:
        told["mask"] = _mask(file, chunks, N)
    name = "object_pixel_m"
    pixel = fields.positive(told["geometry"].get(name), f"{file.path}: {name}")
    sides = told["object"].shape[-2:] if "object" in told else (N, N)
    return Scan(_FRAME.back(metres, sides, N, pixel), told, more)


def _chunks(file: Hdf5File) -> list[str]:
    """Names of the groups with patterns, in order."""
    names = {key.split("/")[1] for key in file.keys if key.startswith("chunks/")}
    numbers = sorted(int(name) for name in names if name.isdecimal())
    if not numbers:
        raise ValueError(f"{file.path}: no chunks of patterns, expected chunks/0")
    return [f"chunks/{number}" for number in numbers]


def _positions(file: Hdf5File, chunk: str, n: int) -> npt.NDArray[np.float64]:
    key = f"{chunk}/positions"
    fields.shape(file, key, "iuf", f"({n}, 2)", lambda s: s == (n, 2))
    return np.asarray(fields.finite(file.read(key), f"{file.path}: {key}", np.float64))


def _lengths(file: Hdf5File, N: int) -> dict[str, float]:
    """Energy, distance and sizes of pixels, SI units and eV."""
    energy = fields.number(file, "meta/energy") * 1e3
    distance = fields.number(file, "meta/distance")
    fields.shape(file, "meta/psize", "iuf", "(2,) or one number", lambda s: s in ((), (1,), (2,)))
    sizes = np.unique(file.read("meta/psize"))
    if len(sizes) != 1:
        expected = "one number, for square pixels"
        raise ValueError(checks.wrong(f"{file.path}: meta/psize", sizes.tolist(), expected))
    pixel = fields.positive(sizes[0], f"{file.path}: meta/psize")
    wavelength = fields.photon_wavelength_m(energy)
    return {
        "energy_ev": energy,
        "wavelength_m": wavelength,
        "detector_distance_m": distance,
        "detector_pixel_m": pixel,
        "object_pixel_m": wavelength * distance / (N * pixel),
    }


def _mask(file: Hdf5File, chunks: list[str], N: int) -> npt.NDArray[np.bool_] | None:
    """The good pixels, which have to be the same in all patterns; None where all are good."""
    mask: npt.NDArray[np.bool_] | None = None
    for chunk in chunks:
        key = f"{chunk}/weights"
        if key not in file.keys:
            continue
        weights = file.patterns(key)
        if weights.shape[1:] != (N, N):
            expected = f"(n, {N}, {N})"
            raise ValueError(
                checks.wrong(f"{file.path}: {key}", f"shape {weights.shape}", expected)
            )
        for first, last in ranges(weights):
            good = weights[first:last] > 0
            mask = good[0] if mask is None else mask
            if not (good == mask).all():
                expected = "one mask for all patterns"
                raise ValueError(checks.wrong(f"{file.path}: {key}", "masks that differ", expected))
        close(weights)
    return None if mask is None or mask.all() else mask


class _Joined(LazyPatterns):
    """Patterns of several chunks, one behind the other."""

    def __init__(self, parts: list[Patterns]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])
        self.shape = (int(self._starts[-1]), *parts[0].shape[1:])
        self.dtype = np.result_type(*(part.dtype for part in parts))

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        out = np.empty((last - first, *self.shape[1:]), self.dtype)
        for start, part in zip(self._starts, self._parts, strict=False):
            low, high = max(first, start), min(last, start + len(part))
            if low < high:
                out[low - first : high - first] = part[low - start : high - start]
        return out

    def close(self) -> None:
        """Close all parts."""
        for part in self._parts:
            close(part)
