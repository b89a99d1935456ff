"""The native HDF5 file: a data set that is complete in itself, or joined of shards.

===========================================  ======================================================
``counts``, ``signals``, ``intensities`` or  (B, N, N), the patterns, as their domain says;
``amplitudes``                               compressed in chunks of whole patterns
``checksums``                                (chunks, 32) uint8, SHA-256 of each chunk as stored
``positions``, ``positions_nominal``         (B, 2) float64, ``[x, y]`` in object pixels
``object``                                   (H, W) or (L, H, W) complex64
``probe``                                    (M, N, N) complex64, all modes
``metadata``                                 text, JSON: domain, intensity scale, scenario,
                                             provenance with the dose, geometry
``card``                                     text, Markdown: the data card, where it was asked for
===========================================  ======================================================

and where the data set has them ``mask`` (N, N) bool, True is good, ``eigenprobes`` (K, N, N),
``weights`` (B, M + K), ``path`` (B, S, 2), ``dose_factors`` (B,), ``corrected_pixels`` and
``corrections`` (n,) as in an NPZ, and ``patches`` (B, N, N) complex64 on request.

With ``shard_patterns`` the patterns are in files of their own beside it, ``NAME-00000.h5``,
``NAME-00001.h5``, ..., each of them complete in itself, and ``NAME.h5`` joins them by a virtual
data set: every HDF5 reader since 1.10 sees one array.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.compression import COMPRESSIONS, encoder
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.hdf5_file import (
    CHECKSUMS,
    Hdf5File,
    chunk_patterns,
    create,
    open_file,
    write_array,
    write_patterns,
)
from ptycho_fast.formats.patterns import Converted, Part, Patterns
from ptycho_fast.formats.shards import Sharding, usual_size
from ptycho_fast.formats.work import Work

DOMAINS = ("count_intensity", "detector_signal", "normalized_intensity", "normalized_amplitude")
OPTIONS = frozenset({"compression", "shard_patterns"})
READ_OPTIONS: frozenset[str] = frozenset()

_PROGRAM, _VERSION = "ptycho_fast", 1
_KEYS = dict(zip(DOMAINS, ("counts", "signals", "intensities", "amplitudes"), strict=True))
_METADATA = "metadata"
_CARD = "card"
_FIXED = 50_000  # bytes of headers, index and metadata, about
_SHRINKS = 3  # to what part patterns are compressed at least, about
_OPTIONAL = {  # shape, with B patterns of N x N; None is anything
    "mask": ("N", "N"),
    "eigenprobes": (None, "N", "N"),
    "weights": ("B", None),
    "path": ("B", None, 2),
    "dose_factors": ("B",),
}
_TYPES: dict[str, Any] = {
    "mask": np.bool_, "eigenprobes": np.complex64, "weights": np.float32, "path": np.float64,
    "dose_factors": np.float64,
}  # fmt: skip


# --- writing ---


def check(
    contents: Contents, *, compression: str | None = None, shard_patterns: int | None = None
) -> None:
    """Raise where `write` would, which can be known before the patterns are made.

    Parameters
    ----------
    contents : Contents
        What is to be written.
    compression, shard_patterns
        As for `write`.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `write`.
    """
    checks.choice(contents.domain, "domain", DOMAINS)
    encoder(compression or COMPRESSIONS[0], contents.diffraction.dtype)
    if shard_patterns is not None:
        shard_size(contents.diffraction.shape, shard_patterns)


def file_size(
    contents: Contents, *, compression: str | None = None, shard_patterns: int | None = None
) -> int:
    """Bytes that `write` will need, about: how far patterns can be compressed is not known."""
    one = contents
    arrays = (one.object, one.probe, one.positions, one.positions_nominal, one.mask)
    more = (one.eigenprobes, one.weights, one.path, one.dose_factors, one.patches)
    packed = one.diffraction.nbytes // (1 if compression == "none" else _SHRINKS)
    return packed + sum(array.nbytes for array in (*arrays, *more) if array is not None) + _FIXED


def write(
    path: str | os.PathLike[str],
    contents: Contents,
    work: Work,
    *,
    compression: str | None = None,
    shard_patterns: int | None = None,
) -> list[Path]:
    """Write a data set.

    The bytes depend on the contents and the options alone: not on the time, the machine, the number
    of threads, or on whether the work was interrupted.

    Parameters
    ----------
    path : path-like
        File to make.
    contents : Contents
        The data, in any domain.
    work : Work
        How to work.
    compression : {"lz4", "zstd", "portable", "none"}, optional
        See `formats.compression`; by default "lz4".
    shard_patterns : int, optional
        About how many patterns are in a shard; without it there is one file.

    Returns
    -------
    list of Path
        The file, and its shards behind it.

    Raises
    ------
    ValueError, TypeError
        An option is at fault.
    RuntimeError
        h5py or hdf5plugin is missing.
    OSError
        A file exists, or cannot be written.
    """
    check(contents, compression=compression, shard_patterns=shard_patterns)
    name = compression or COMPRESSIONS[0]
    if shard_patterns is None:
        _write_one(Path(path), contents, work, name)
        return [Path(path)]
    size = shard_size(contents.diffraction.shape, shard_patterns)
    shards = []
    for number, first in enumerate(range(0, len(contents.diffraction), size)):
        last = min(first + size, len(contents.diffraction))
        shards.append(shard_path(path, number))
        part = part_of(contents, first, last)
        if not work.has_made(shards[-1], part.diffraction):
            _write_one(shards[-1], part, work, name)
    join(path, contents.completed(), work, shards)
    return [Path(path), *shards]


def shard_size(shape: tuple[int, ...], shard_patterns: int) -> int:
    """Patterns in a shard: as many as are asked for, rounded up to whole chunks.

    Examples
    --------
    >>> shard_size((10**6, 64, 64), 1000)
    1024
    """
    n = chunk_patterns(shape)
    return -(-checks.count(shard_patterns, "shard_patterns") // n) * n


def shard_path(path: str | os.PathLike[str], number: int) -> Path:
    """The file of a shard.

    Examples
    --------
    >>> shard_path("data/scan.h5", 3).name
    'scan-00003.h5'
    """
    path = Path(path)
    return path.with_name(f"{path.stem}-{number:05d}{path.suffix}")


@dataclass(frozen=True)
class Shards(Sharding):
    """How a data set is divided into files that other processes make; see `formats.shards`.

    Attributes
    ----------
    name : str
        File name of the data set.
    shape : (B, N, N)
        Of all patterns.
    shard : int
        Patterns in a shard, the last one may have fewer.
    compression : str
        As for `write`.

    Examples
    --------
    >>> layout = Shards("scan.h5", (10, 4, 4), shard=8, compression="lz4")
    >>> layout.shards, layout.range(1), layout.file_name(1)
    (2, (8, 10), 'scan-00001.h5')
    """

    name: str
    shape: tuple[int, int, int]
    shard: int
    compression: str

    def file_name(self, number: int) -> str:
        """The file of a shard."""
        return shard_path(self.name, number).name

    def make(self, folder: Path, number: int, contents: Contents, work: Work) -> dict[str, Any]:
        """Write a shard of the contents of the whole data set; what `check` says of it."""
        part = part_of(contents, *self.range(number))
        _write_one(folder / self.file_name(number), part, work, self.compression)
        return self.check(folder, number)

    def check(self, folder: Path, number: int) -> dict[str, Any]:
        """``size`` of a shard in bytes, and the SHA-256 of the checksums of its chunks."""
        path = folder / self.file_name(number)
        with open_file(path) as file:
            of_chunks = file.read(CHECKSUMS)
        digest = hashlib.sha256(of_chunks.tobytes()).hexdigest()
        return {"size": path.stat().st_size, "sha256": digest}

    def finish(self, folder: Path, contents: Contents) -> None:
        """Write the file that joins the shards, which are all there."""
        paths = [folder / self.file_name(number) for number in range(self.shards)]
        join(folder / self.name, contents, Work(force=True), paths)


def sharding(
    name: str,
    contents: Contents,
    *,
    compression: str | None = None,
    shard_patterns: int | None = None,
) -> Shards:
    """How a data set of some name is divided into shards.

    Parameters
    ----------
    name : str
        File name of the data set.
    contents : Contents
        Its patterns are not read.
    compression, shard_patterns
        As for `write`; without `shard_patterns` of `shards.usual_size`.
    """
    check(contents, compression=compression, shard_patterns=shard_patterns)
    B, N, M = contents.diffraction.shape
    wanted = shard_patterns or usual_size((B, N, M), contents.diffraction.dtype)
    size = shard_size((B, N, M), wanted)
    return Shards(name, (B, N, M), size, compression or COMPRESSIONS[0])


def part_of(contents: Contents, first: int, last: int) -> Contents:
    """The contents of a range of patterns, which know of what they are a part."""
    one, here = contents, slice(first, last)
    dose = {k: v for k, v in one.provenance.get("dose", {}).items() if not k.startswith("measured")}
    part = {"first": first, "last": last, "of": len(one.diffraction), "scenario": one.scenario}
    return replace(
        one,
        positions=one.positions[here],
        positions_nominal=one.positions_nominal[here],
        diffraction=Part(one.diffraction, first, last),
        patches=None if one.patches is None else Part(one.patches, first, last),
        weights=None if one.weights is None else one.weights[here],
        path=None if one.path is None else one.path[here],
        dose_factors=None if one.dose_factors is None else one.dose_factors[here],
        scenario=None,
        provenance={**one.provenance, "dose": dose, "part": part},
        corrections=None,
        finish=None,
    )


def _write_one(path: Path, contents: Contents, work: Work, compression: str) -> None:
    with create(path, work) as file:
        _head(file, contents)
        key = _KEYS[contents.domain]
        patterns = contents.diffraction
        checksums = write_patterns(file, key, patterns, work, compression=compression).checksums
        contents = contents.completed()
        write_array(file, CHECKSUMS, checksums, of=key)
        if contents.patches is not None:
            write_patterns(file, "patches", contents.patches, work, compression=compression)
        _rest(file, contents)


def join(
    path: str | os.PathLike[str], contents: Contents, work: Work, shards: Sequence[Path]
) -> None:
    """Write the file that joins shards which are there.

    Parameters
    ----------
    path : path-like
        File to make, beside the shards.
    contents : Contents
        Of all patterns, as `Contents.completed` gives it; its patterns are not read.
    work : Work
        How to work.
    shards : sequence of Path
        Their files, in order.
    """
    import h5py

    key = _KEYS[contents.domain]
    joined = [key, *(["patches"] if contents.patches is not None else [])]
    checksums = []
    with create(path, work) as file:
        _head(file, contents)
        layouts: dict[str, h5py.VirtualLayout] = {}
        first = 0
        for shard in shards:
            with open_file(shard) as part:
                checksums.append(part.read(CHECKSUMS))
                count = part.header(key).shape[0]
                for name in joined:
                    shape, dtype = part.header(name)
                    whole = (len(contents.diffraction), *shape[1:])
                    layout = layouts.setdefault(name, h5py.VirtualLayout(whole, dtype))
                    source = h5py.VirtualSource(shard.name, name, shape, dtype)
                    layout[first : first + count] = source
            first += count
        for name, layout in layouts.items():
            layout.dcpl.set_obj_track_times(False)  # no time in the file, as everywhere else
            file.create_virtual_dataset(name, layout)
        write_array(file, CHECKSUMS, np.concatenate(checksums), of=key)
        _rest(file, contents)


def _head(file: Any, contents: Contents) -> None:
    file.attrs["program"] = _PROGRAM
    file.attrs["format_version"] = _VERSION
    file.attrs["domain"] = contents.domain


def _rest(file: Any, contents: Contents) -> None:
    """All but the patterns."""
    one = contents
    arrays: dict[str, npt.NDArray[Any] | None] = {
        "positions": one.positions,
        "positions_nominal": one.positions_nominal,
        "object": one.object,
        "probe": one.probe,
    }
    arrays |= {key: getattr(one, key) for key in _OPTIONAL}
    if one.corrections is not None:
        arrays["corrected_pixels"], arrays["corrections"] = one.corrections
    for key, array in arrays.items():
        if array is not None:
            write_array(file, key, array)
    metadata = {
        "domain": one.domain,
        "intensity_scale": one.intensity_scale,
        "scenario": one.scenario,
        "provenance": one.provenance,
        "geometry": one.geometry,
    }
    write_array(file, _METADATA, json.dumps(metadata))
    if one.card is not None:
        write_array(file, _CARD, one.card)


# --- reading ---


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether an HDF5 file is a native one."""
    try:
        with open_file(path) as file:
            return file.attributes().get("program") == _PROGRAM and _METADATA in file.keys
    except ValueError:  # damaged: the name alone says what it was
        return Path(path).suffix.lower() == ".h5"


def read(path: str | os.PathLike[str]) -> Contents:
    """Open a native file; patterns stay in it.

    Parameters
    ----------
    path : path-like
        The file, or one that joins shards.

    Returns
    -------
    Contents
        ``diffraction`` is of the type in the file; ``patches`` are left in it.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is damaged, lacks a key, or holds arrays or metadata that cannot be right. The message
        names the file and the key.
    RuntimeError
        h5py or hdf5plugin is missing.
    """
    with open_file(path) as file:
        metadata = _metadata(file)
        domain = checks.choice(metadata.get("domain"), f"{path}: metadata domain", DOMAINS)
        key = _KEYS[domain]
        patterns = file.patterns(key)
        B, N, side = patterns.shape
        if side != N:
            raise ValueError(checks.wrong(f"{path}: {key}", patterns.shape, "(B, N, N), squares"))
        sizes = {"B": B, "N": N}
        expected = "iuf" if domain != "count_intensity" else "iu"
        if patterns.dtype.kind not in expected:
            raise ValueError(checks.wrong(f"{path}: {key}", patterns.dtype, "whole numbers"))
        optional = {
            name: _array(file, name, shape, sizes, _TYPES[name])
            for name, shape in _OPTIONAL.items()
            if name in file.keys
        }
        corrections = None
        if "corrections" in file.keys:
            index, difference = (
                _array(file, name, (None,), sizes, dtype)
                for name, dtype in (("corrected_pixels", np.int64), ("corrections", np.int32))
            )
            corrections = index, difference
        is_thick = len(file.header("object").shape) == 3
        return Contents(
            object=_array(file, "object", (None,) * (2 + is_thick), sizes, np.complex64),
            probe=_array(file, "probe", (None, "N", "N"), sizes, np.complex64),
            positions=_array(file, "positions", ("B", 2), sizes, np.float64),
            positions_nominal=_array(file, "positions_nominal", ("B", 2), sizes, np.float64),
            diffraction=_sound(patterns, f"{path}: {key}", signed=domain == "detector_signal"),
            domain=domain,
            intensity_scale=_scale(file, metadata),
            geometry=_table(file, metadata, "geometry"),
            scenario=_table(file, metadata, "scenario"),
            provenance=_table(file, metadata, "provenance") or {},
            corrections=corrections,
            **optional,
        )


def card(path: str | os.PathLike[str]) -> str | None:
    """The data card in a native file; None where there is none.

    Parameters
    ----------
    path : path-like
        The file, or one that joins shards.

    Raises
    ------
    FileNotFoundError, ValueError, RuntimeError
        As `read`.
    """
    with open_file(path) as file:
        return file.text(_CARD) if _CARD in file.keys else None


def damaged(path: str | os.PathLike[str]) -> Iterator[tuple[int, int, bool]]:
    """Compare the checksum of every chunk.

    Parameters
    ----------
    path : path-like
        A native file; of one that joins shards, all shards are read.

    Yields
    ------
    first, last : int
        Patterns of a chunk, in order.
    whole : bool
        Whether its bytes are those that were written.

    Raises
    ------
    ValueError
        As `read`; or the file has no checksums.
    """
    with open_file(path) as file:
        key = _KEYS[checks.choice(_metadata(file).get("domain"), f"{path}: domain", DOMAINS)]
        checksums = iter(_array(file, CHECKSUMS, (None, 32), {}, np.uint8))
        for start, shard in file.parts(key):
            with open_file(shard) as one:
                count, n = one.header(key).shape[0], one.chunk_length(key)
                for first, data in one.stored_chunks(key):
                    expected = next(checksums, np.empty(0)).tobytes()
                    last = min(first + n, count)
                    yield start + first, start + last, hashlib.sha256(data).digest() == expected


def _sound(patterns: Patterns, name: str, *, signed: bool) -> Patterns:
    """Patterns that are finite, and not below zero unless they are signals, where that can be."""
    if patterns.dtype.kind == "u":
        return patterns

    def checked(first: int, frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
        good = np.isfinite(frames) if signed else (frames >= 0) & (frames < np.inf)
        if not good.all():
            b, row, column = (int(i) for i in np.argwhere(~good)[0])
            where = f"in pixel ({row}, {column}) of pattern {first + b}"
            expected = "finite numbers" + ("" if signed else ", none below zero")
            raise ValueError(checks.wrong(name, f"{frames[b, row, column]} {where}", expected))
        return frames

    return Converted(patterns, checked, patterns.dtype)


def _array(
    file: Hdf5File,
    key: str,
    shape: tuple[str | int | None, ...],
    sizes: Mapping[str, int],
    dtype: Any,
) -> Any:
    """An array of the file, of the shape that it must have."""
    name = f"{file.path}: {key}"
    header = file.header(key)
    wanted = tuple(sizes.get(n, n) if isinstance(n, str) else n for n in shape)
    fits = len(header.shape) == len(wanted) and all(
        want in (None, got) for want, got in zip(wanted, header.shape, strict=True)
    )
    may_be_empty = wanted == (None,)
    if not fits or (0 in header.shape and not may_be_empty):
        text = ", ".join("any" if n is None else str(n) for n in wanted)
        raise ValueError(checks.wrong(name, f"shape {header.shape}", f"({text})"))
    dtype = np.dtype(dtype)
    kinds = {"b": "b", "u": "iu", "i": "iu", "f": "iuf", "c": "iufc"}[dtype.kind]
    if header.dtype.kind not in kinds:
        raise ValueError(checks.wrong(name, header, str(dtype)))
    array = file.read(key)
    if dtype.kind in "fc":
        return checks.floating(array, name, dtype, integers=True)
    return np.ascontiguousarray(array, dtype)


def _metadata(file: Hdf5File) -> dict[str, Any]:
    name = f"{file.path}: {_METADATA}"
    try:
        metadata = json.loads(file.text(_METADATA))
    except RecursionError:
        raise ValueError(f"{name}: no JSON (nested too deeply)") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{name}: no JSON ({error})") from None
    if not isinstance(metadata, dict):
        raise ValueError(checks.wrong(name, type(metadata).__name__, "a table"))
    return metadata


def _scale(file: Hdf5File, metadata: Mapping[str, Any]) -> float | None:
    scale = metadata.get("intensity_scale")
    name = f"{file.path}: intensity_scale"
    try:
        return None if scale is None else checks.positive(scale, name)
    except TypeError as error:  # what a file holds is a wrong value
        raise ValueError(str(error)) from None


def _table(file: Hdf5File, metadata: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    value = metadata.get(key)
    if value is None or isinstance(value, dict):
        return value
    raise ValueError(checks.wrong(f"{file.path}: metadata {key}", repr(value)[:40], "a table"))
