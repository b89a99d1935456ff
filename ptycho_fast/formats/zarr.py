"""Zarr v3: a folder, with the patterns in shards that can be made apart from each other.

Layout of the group, all of it plain Zarr v3 that zarr-python and other libraries open:

- ``counts`` (or ``signal``, ``intensity``, ``amplitude``) (B, N, N), in shards of many patterns and
  chunks of about a megabyte within them. A chunk is compressed by itself (Blosc with bitshuffle,
  or gzip) and ends with its CRC-32C; so does the index of a shard. One pattern is read by reading
  one chunk.
- ``positions``, ``positions_nominal``, ``probe``, ``object`` and what else there is, each in one
  chunk with a CRC-32C.
- Attribute ``ptycho_fast`` of the group: domain, intensity scale, geometry, scenario, provenance.

A shard is a file of its own that is written once, by one writer, and holds nothing that depends on
the other shards: so any number of processes can make the shards of one data set without a lock, in
any order, and the bytes are the same. `Layout` knows which patterns are in which file.

Format: https://zarr-specs.readthedocs.io/en/latest/v3/core/ and
https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/.
"""

import itertools
import json
import math
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from ptycho_fast import checks, files
from ptycho_fast.formats import contents as meanings
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.patterns import LazyPatterns, Part, Patterns
from ptycho_fast.formats.shards import Sharding, usual_size
from ptycho_fast.formats.work import Block, Work

DOMAINS = tuple(meanings.DOMAINS)
OPTIONS = frozenset({"compression", "shard_patterns"})
READ_OPTIONS: frozenset[str] = frozenset()
COMPRESSIONS = ("lz4", "zstd", "portable", "none")
MARKER = "zarr.json"
"""File that says that a folder is a Zarr group."""

ARRAYS = {
    "count_intensity": "counts",
    "detector_signal": "signal",
    "normalized_intensity": "intensity",
    "normalized_amplitude": "amplitude",
}
"""Name of the array of patterns, by domain."""

_LAYOUT = 1  # version of what stands here
_CHUNK_BYTES = 2**20  # before compression: what is read and unpacked to get at one pattern
_LEVELS = {"lz4": 5, "zstd": 1, "portable": 1}
_LONGEST_METADATA = 2**24  # bytes of a zarr.json
_MOST_CHUNKS = 2**20  # in a shard: its index takes 16 bytes for each
_LARGEST_CHUNK = 2**31 - 2**16  # bytes, of Blosc
_NOTHING = 2**64 - 1  # where an index has no chunk
_CHECKED = {"name": "crc32c"}
_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
_TYPES = ("bool", "uint8", "uint16", "uint32", "int32", "int64", "float32", "float64", "complex64")
_SMALL = {  # arrays of `Contents` besides the patterns: dtype
    "object": "complex64",
    "probe": "complex64",
    "positions": "float64",
    "positions_nominal": "float64",
    "mask": "bool",
    "eigenprobes": "complex64",
    "weights": "float32",
    "path": "float64",
    "dose_factors": "float64",
}
_CORRECTIONS = {"correction_pixels": "int64", "correction_counts": "int32"}


# --- which patterns are in which file ---


@dataclass(frozen=True)
class Layout(Sharding):
    """How an array of patterns is divided into files, and how each is coded. Small and picklable.

    Attributes
    ----------
    name : str
        Name of the array.
    shape : (B, N, N)
        Of the array.
    dtype : str
        Of a pixel, as Zarr names it.
    shard, chunk : int
        Patterns in a shard, the last one may have fewer; and in a chunk, which divides it.
    compression : str
        One of `COMPRESSIONS`.

    Examples
    --------
    >>> layout = Layout("counts", (10, 4, 4), "uint32", shard=8, chunk=4, compression="lz4")
    >>> layout.shards, layout.range(1), layout.file_name(1)
    (2, (8, 10), 'counts/c/1/0/0')
    """

    name: str
    shape: tuple[int, int, int]
    dtype: str
    shard: int
    chunk: int
    compression: str

    def file_name(self, number: int) -> str:
        """The file of a shard, below the folder of the group."""
        return f"{self.name}/c/{number}/0/0"

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk before compression."""
        return self.chunk * math.prod(self.shape[1:]) * np.dtype(self.dtype).itemsize

    @property
    def index_bytes(self) -> int:
        """Bytes of the index at the end of a shard, with its checksum."""
        return 16 * (self.shard // self.chunk) + 4

    @property
    def metadata(self) -> dict[str, Any]:
        """The array's ``zarr.json``."""
        _, N, M = self.shape
        codecs = [_LITTLE, *_compressor(self), _CHECKED]
        sharding = {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [self.chunk, N, M],
                "codecs": codecs,
                "index_codecs": [_LITTLE, _CHECKED],
                "index_location": "end",
            },
        }
        return _array(self.shape, self.dtype, [self.shard, N, M], [sharding])

    def encode(self, first: int, frames: npt.NDArray[Any]) -> bytes:
        """The bytes of a chunk; the same ones in every thread and process.

        Parameters
        ----------
        first : int
            Number of the first pattern; it changes nothing.
        frames : (n, N, N)
            The patterns, n at most `chunk`; what is missing is filled with zeros.
        """
        if len(frames) < self.chunk:
            frames = np.concatenate(
                [frames, np.zeros((self.chunk - len(frames), *frames.shape[1:]), frames.dtype)]
            )
        raw = np.ascontiguousarray(frames, np.dtype(self.dtype).newbyteorder("<"))
        data = _compressed(raw, self.compression)
        return data + _crc(data)

    def decode(self, data: bytes) -> npt.NDArray[Any]:
        """(chunk, N, N) patterns of the bytes of a chunk; ValueError if they are not sound."""
        stored = memoryview(data)[:-4]
        if len(data) < 4 or _crc(stored) != data[-4:]:
            raise ValueError("its checksum does not fit")
        dtype = np.dtype(self.dtype).newbyteorder("<")
        raw = _uncompressed(stored, self.chunk_bytes, self.compression)
        return np.frombuffer(raw, dtype).reshape(self.chunk, *self.shape[1:])

    def write(self, file: IO[bytes], chunks: Iterable[bytes]) -> None:
        """Write a shard: its encoded chunks in order, as they come, and the index."""
        index = np.full((self.shard // self.chunk, 2), _NOTHING, "<u8")
        offset = 0
        for number, data in enumerate(chunks):
            file.write(data)
            index[number] = offset, len(data)
            offset += len(data)
        file.write(index.tobytes() + _crc(index.tobytes()))

    def make(self, folder: Path, number: int, contents: Contents, work: Work) -> dict[str, Any]:
        """Write one shard of a data set that others may write to at the same time.

        Only some chunks at a time are in memory. The file has its name when it is whole.

        Parameters
        ----------
        folder : Path
            Of the group; it is made where it is not there.
        number : int
            Of the shard.
        contents : Contents
            Of the whole data set.
        work : Work
            How to work.

        Returns
        -------
        dict
            ``size`` in bytes and ``crc32c`` of the file's index, which has the sizes of the chunks.
        """
        first, last = self.range(number)
        path = folder / self.file_name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        with work.aside(path) as file:
            part = Part(contents.diffraction, first, last)
            self.write(file, _data(work.blocks(part, self.chunk, self.encode), work))
        return self.check(folder, number)

    def check(self, folder: Path, number: int, *, chunks: bool = False) -> dict[str, Any]:
        """What `make` said about a shard that is there; ValueError if it is not sound.

        Parameters
        ----------
        folder, number
            As for `make`.
        chunks : bool
            Whether the checksums of all chunks are compared too, not only that of the index.
        """
        shards = ShardedPatterns(self, folder)
        first, last = self.range(number)
        if chunks:
            for start in range(first, last, self.chunk):
                shards.read_chunk(start // self.chunk)
        index = shards.index(number)
        size = os.stat(folder / self.file_name(number)).st_size
        return {"size": size, "crc32c": int.from_bytes(_crc(index.tobytes()), "little")}

    def finish(self, folder: Path, contents: Contents) -> None:
        """Write all but the patterns: the small arrays and the metadata.

        Parameters
        ----------
        folder : Path
            Of the group, which holds all shards.
        contents : Contents
            The data set, completed.
        """
        _write_rest(folder, self, contents)


def layout_of(
    patterns: Patterns,
    name: str,
    *,
    compression: str | None = None,
    shard_patterns: int | None = None,
) -> Layout:
    """How an array of patterns is divided; a function of its shape, its type and the options alone.

    Parameters
    ----------
    patterns : (B, N, N)
        Only shape and dtype are looked at.
    name : str
        Name of the array.
    compression : str, optional
        One of `COMPRESSIONS`, by default "lz4".
    shard_patterns : int, optional
        Patterns in a shard, by default `shards.usual_size`.

    Raises
    ------
    TypeError, ValueError
        An option, the shape or the type is at fault.

    Examples
    --------
    >>> layout_of(np.zeros((1000, 64, 64), np.uint32), "counts").shard
    1024
    """
    compression = checks.choice(compression or "lz4", "compression", COMPRESSIONS)
    B, N, M = patterns.shape
    dtype = patterns.dtype.name
    if dtype not in _TYPES:
        raise ValueError(checks.wrong(name, f"dtype {dtype}", " or ".join(_TYPES)))
    one = N * M * patterns.dtype.itemsize
    if one > _LARGEST_CHUNK:
        raise ValueError(
            checks.wrong(name, f"{one} bytes a pattern", f"at most {_LARGEST_CHUNK}, for Blosc")
        )
    chunk = min(max(1, _CHUNK_BYTES // one), B)
    if shard_patterns is None:
        shard = chunk * math.ceil(usual_size(patterns.shape, patterns.dtype) / chunk)
    else:
        shard = checks.integer(shard_patterns, "shard_patterns", 1, 2**40)
        chunk = next(n for n in range(min(chunk, shard), 0, -1) if shard % n == 0)
    if shard // chunk > _MOST_CHUNKS:
        raise ValueError(
            checks.wrong(
                "shard_patterns",
                f"{shard}, {shard // chunk} chunks of {chunk} patterns",
                f"at most {_MOST_CHUNKS} chunks in a shard",
            )
        )
    return Layout(name, (B, N, M), dtype, shard, chunk, compression)


# --- writing ---


def check(
    contents: Contents, *, compression: str | None = None, shard_patterns: int | None = None
) -> None:
    """Raise ValueError or TypeError for what `write` would refuse; the patterns are not read.

    Parameters
    ----------
    contents : Contents
        What is to be written.
    compression, shard_patterns
        As for `layout_of`.
    """
    sharding("", contents, compression=compression, shard_patterns=shard_patterns)


def sharding(name: str, contents: Contents, **options: Any) -> Layout:
    """`layout_of` of the patterns of a data set, whatever its name is; see `formats.shards`."""
    return layout_of(contents.diffraction, ARRAYS[contents.domain], **options)


def file_size(
    contents: Contents, *, compression: str | None = None, shard_patterns: int | None = None
) -> int:
    """Bytes that the folder takes at most: patterns that do not compress at all.

    Parameters
    ----------
    contents, compression, shard_patterns
        As for `check`.
    """
    layout = sharding("", contents, compression=compression, shard_patterns=shard_patterns)
    chunks = -(-layout.shape[0] // layout.chunk)
    shards = chunks * (layout.chunk_bytes + 32) + layout.shards * layout.index_bytes
    others = sum(array.nbytes for _, array in _small_arrays(contents))
    patches = contents.patches.nbytes if contents.patches is not None else 0
    return shards + others + patches + 2**14


def write(
    path: str | os.PathLike[str],
    contents: Contents,
    work: Work,
    *,
    compression: str | None = None,
    shard_patterns: int | None = None,
) -> list[Path]:
    """Write a data set as a Zarr group; the bytes are a function of the contents and the options.

    Parameters
    ----------
    path : path-like
        The folder to make, by custom ``NAME.zarr``.
    contents : Contents
        The data set. Its patterns may be of any domain.
    work : Work
        How to write.
    compression, shard_patterns
        As for `layout_of`.

    Returns
    -------
    list of Path
        The folder.

    Raises
    ------
    ValueError, TypeError
        As `check`.
    OSError
        The folder exists, or cannot be written; nothing is left behind.
    """
    options: dict[str, Any] = {"compression": compression, "shard_patterns": shard_patterns}
    layout = sharding("", contents, **options)
    with files.folder_aside(path, force=work.force, marker=MARKER) as folder:
        _write_patterns(folder, layout, contents.diffraction, work)
        if contents.patches is not None:
            patches = layout_of(contents.patches, "patches", **options)
            _write_patterns(folder, patches, contents.patches, work)
        layout.finish(folder, contents.completed())
    return [Path(path)]


def _data(blocks: Iterable[Block], work: Work) -> Iterator[bytes]:
    for block in blocks:
        yield block.data
        work.wrote(len(block.data))


def _write_patterns(folder: Path, layout: Layout, patterns: Patterns, work: Work) -> None:
    blocks = work.blocks(patterns, layout.chunk, layout.encode, name=layout.name)
    for number in range(layout.shards):
        first, last = layout.range(number)
        path = folder / layout.file_name(number)
        path.parent.mkdir(parents=True)
        here = itertools.islice(blocks, -(-(last - first) // layout.chunk))
        with path.open("xb") as file, work.written_back(file):
            layout.write(file, _data(here, work))
            file.flush()
            os.fsync(file.fileno())
    for _ in blocks:  # none is left; now the last one is known to be stored
        raise AssertionError("more blocks than patterns")
    _write_json(folder / layout.name, layout.metadata)


def _write_rest(folder: Path, layout: Layout, contents: Contents) -> None:
    for name, array in _small_arrays(contents):
        data = array.tobytes()
        _write_file(folder / name / "/".join(["c", *"0" * array.ndim]), data + _crc(data))
        codecs = [_LITTLE, _CHECKED]
        _write_json(folder / name, _array(array.shape, array.dtype.name, array.shape, codecs))
    _write_json(folder / layout.name, layout.metadata)
    one = contents
    about = {
        "program": "ptycho_fast",
        "layout": _LAYOUT,
        "patterns": layout.name,
        "domain": one.domain,
        "intensity_scale": one.intensity_scale,
        "geometry": one.geometry,
        "scenario": one.scenario,
        "provenance": one.provenance,
        "nphotons": one.nphotons,
        "gridsize": one.gridsize,
        "corrected": one.corrections is not None,
    }
    group = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"ptycho_fast": {k: v for k, v in about.items() if v is not None}},
    }
    _write_json(folder, group)  # last: before it this is no data set


def _small_arrays(contents: Contents) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    arrays = {name: (getattr(contents, name), dtype) for name, dtype in _SMALL.items()}
    if contents.corrections is not None and len(contents.corrections[0]):
        both = zip(contents.corrections, _CORRECTIONS.items(), strict=True)
        arrays |= {name: (array, dtype) for array, (name, dtype) in both}
    for name, (array, dtype) in arrays.items():
        if array is not None:
            yield name, np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<"))


def _array(
    shape: Iterable[int], dtype: str, chunk: Iterable[int], codecs: list[Any]
) -> dict[str, Any]:
    zero: Any = False if dtype == "bool" else [0.0, 0.0] if dtype == "complex64" else 0
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0 if dtype.startswith("float") else zero,
        "codecs": codecs,
        "attributes": {},
    }


def _write_json(folder: Path, content: Mapping[str, Any]) -> None:
    _write_file(folder / MARKER, json.dumps(content, indent=1).encode())


def _write_file(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


# --- the bytes of a chunk ---


def _compressor(layout: Layout) -> list[dict[str, Any]]:
    if layout.compression == "none":
        return []
    level = _LEVELS[layout.compression]
    if layout.compression == "portable":
        return [{"name": "gzip", "configuration": {"level": level}}]
    configuration = {
        "typesize": np.dtype(layout.dtype).itemsize,
        "cname": layout.compression,
        "clevel": level,
        "shuffle": "bitshuffle",
        "blocksize": layout.chunk_bytes,
    }
    return [{"name": "blosc", "configuration": configuration}]


def _compressed(raw: npt.NDArray[Any], compression: str) -> bytes:
    if compression == "none":
        return raw.tobytes()
    level = _LEVELS[compression]
    if compression == "portable":  # with zlib's header of gzip, which has no time in it
        packer = zlib.compressobj(level, wbits=31)
        return packer.compress(raw.data) + packer.flush()
    # The chunk is one block of Blosc: of several, Blosc's own threads would store first the one
    # that is ready first, and the bytes would not be the same again.
    name, size = compression.encode(), raw.nbytes
    packed: bytes = blosc.compress(raw.reshape(-1), name, level, blosc.BITSHUFFLE, size)
    return packed


def _uncompressed(stored: memoryview, size: int, compression: str) -> Any:
    """The bytes of a chunk, exactly `size` of them; nothing larger is ever made."""
    if compression == "none":
        raw: Any = stored
    elif compression == "portable":
        unpacker = zlib.decompressobj(wbits=31)
        try:
            raw = unpacker.decompress(stored, size)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if not (unpacker.eof or unpacker.decompress(unpacker.unconsumed_tail, 1) == b""):
            raise ValueError(f"more than {size} bytes in it")
    else:
        if len(stored) < 16:
            raise ValueError("too short for Blosc")
        held, _, packed = struct.unpack_from("<3I", stored, 4)
        if (held, packed) != (size, len(stored)):
            raise ValueError(
                f"Blosc says {packed} bytes for {held}, expected {len(stored)}, {size}"
            )
        raw = np.empty(size, np.uint8)
        try:
            blosc.decompress(stored, raw)
        except RuntimeError as error:
            raise ValueError(str(error)) from None
    if len(raw) != size:
        raise ValueError(f"{len(raw)} bytes in it, expected {size}")
    return raw


def _crc(data: Any) -> bytes:
    return int(google_crc32c.value(np.frombuffer(data, np.uint8))).to_bytes(4, "little")


# --- reading ---


class ShardedPatterns(LazyPatterns):
    """The patterns of a group: chunks are read, and checked, when they are asked for.

    Parameters
    ----------
    layout : Layout
        Of the array.
    folder : Path
        Of the group.
    """

    def __init__(self, layout: Layout, folder: Path) -> None:
        self.layout, self.folder = layout, folder
        self.shape, self.dtype = layout.shape, np.dtype(layout.dtype)
        self.index = lru_cache(maxsize=64)(self._index)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.layout, self.folder)

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        out = np.empty((last - first, *self.shape[1:]), self.dtype)
        step = self.layout.chunk
        for number in range(first // step, -(-last // step)):
            start = number * step
            begin, end = max(first, start), min(last, start + step)
            out[begin - first : end - first] = self.read_chunk(number)[begin - start : end - start]
        return out

    def read_chunk(self, number: int) -> npt.NDArray[Any]:
        """(chunk, N, N): a chunk of the array, with what fills up the last one.

        Raises
        ------
        ValueError
            It is damaged; the message names the file and the patterns.
        """
        layout = self.layout
        shard, inside = divmod(number, layout.shard // layout.chunk)
        offset, size = (int(value) for value in self.index(shard)[inside])
        path = self.folder / layout.file_name(shard)
        if offset == _NOTHING:
            raise self._damaged(path, number, "it is not there")
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return layout.decode(file.read(size))
        except (OSError, ValueError) as error:
            raise self._damaged(path, number, str(error)) from None

    def _index(self, number: int) -> npt.NDArray[np.uint64]:
        """(chunks, 2) uint64: first byte and number of bytes of each chunk of a shard."""
        layout = self.layout
        path = self.folder / layout.file_name(number)
        try:
            with path.open("rb") as file:
                held = os.fstat(file.fileno()).st_size - layout.index_bytes
                if held < 0:
                    raise ValueError(f"{held + layout.index_bytes} bytes, too few for its index")
                file.seek(held)
                data = file.read(layout.index_bytes)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: the shard cannot be read ({error})") from None
        if _crc(data[:-4]) != data[-4:]:
            raise ValueError(f"{path}: the checksum of the shard's index does not fit")
        index = np.frombuffer(data[:-4], "<u8").reshape(-1, 2)
        there = index[:, 0] != _NOTHING
        offset, size = index[there].T
        if ((size > held) | (offset > held - np.minimum(size, held))).any():
            raise ValueError(f"{path}: the shard's index points beyond its {held} bytes")
        return index.astype(np.uint64)

    def _damaged(self, path: Path, number: int, why: str) -> ValueError:
        first = number * self.layout.chunk
        last = min(first + self.layout.chunk, len(self)) - 1
        return ValueError(f"{path}: patterns {first} to {last} cannot be read ({why})")


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is a group that this package wrote."""
    try:
        return _about(Path(path))["program"] == "ptycho_fast"
    except (ValueError, KeyError):
        return False


def read(path: str | os.PathLike[str]) -> Contents:
    """Open a Zarr group that this package wrote; its patterns are left in the files.

    All shapes and types are compared with each other and with the sizes of the files before
    anything is allocated.

    Parameters
    ----------
    path : path-like
        The folder.

    Returns
    -------
    Contents
        With lazy patterns (`ShardedPatterns`); patches are left in the files.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    ValueError
        It is no such group, or damaged; the message names the file.
    """
    folder = Path(path)
    if not folder.is_dir():
        if not folder.exists():
            raise FileNotFoundError(f"{folder}: no such folder, expected a Zarr group")
        raise ValueError(f"{folder}: is a file, expected the folder of a Zarr group")
    about = _about(folder)
    if about.get("layout") != _LAYOUT or about.get("domain") not in ARRAYS:
        expected = f"a group that ptycho_fast wrote, layout {_LAYOUT}, and one of its domains"
        given = f"layout {about.get('layout')!r}, domain {about.get('domain')!r}"
        raise ValueError(checks.wrong(f"{folder / MARKER}: ptycho_fast", given, expected))
    layout = _read_layout(folder, ARRAYS[about["domain"]])
    patterns = ShardedPatterns(layout, folder)
    patterns.index(layout.shards - 1)  # the claim about the number of patterns is no empty one
    B, N, _ = layout.shape
    names = (*_SMALL, *_CORRECTIONS)
    arrays: dict[str, Any] = {name: _small_array(folder, name) for name in names}
    _check_shapes(folder, arrays, B, N)
    pixels, counts = (arrays.pop(name) for name in _CORRECTIONS)
    corrections: Any = None
    if about.get("corrected"):
        corrections = (
            np.empty(0, np.int64) if pixels is None else pixels,
            np.empty(0, np.int32) if counts is None else counts,
        )
    return Contents(
        **arrays,
        diffraction=patterns,
        domain=about["domain"],
        intensity_scale=_number(folder, about, "intensity_scale"),
        nphotons=_number(folder, about, "nphotons"),
        gridsize=about.get("gridsize"),
        geometry=_table(folder, about, "geometry"),
        scenario=_table(folder, about, "scenario"),
        provenance=_table(folder, about, "provenance") or {},
        corrections=corrections,
    )


def verify(path: str | os.PathLike[str]) -> int:
    """Compare all checksums of a group; how many patterns there are.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read`, or a chunk is damaged; the message names the file and the patterns.
    """
    patterns = read(path).diffraction
    assert isinstance(patterns, ShardedPatterns)
    for number in range(-(-len(patterns) // patterns.layout.chunk)):
        patterns.read_chunk(number)
    return len(patterns)


def _about(folder: Path) -> dict[str, Any]:
    """What the package says in the group's attributes."""
    group = _read_json(folder)
    if (group.get("zarr_format"), group.get("node_type")) != (3, "group"):
        raise ValueError(f"{folder / MARKER}: is no group of Zarr version 3")
    about = _inside(group, "attributes", "ptycho_fast")
    if not isinstance(about, dict):
        raise ValueError(
            f"{folder / MARKER}: is a Zarr group of another program, expected the attribute "
            "'ptycho_fast'"
        )
    return about


def _read_json(folder: Path) -> dict[str, Any]:
    path = folder / MARKER
    try:
        if path.stat().st_size > _LONGEST_METADATA:
            raise ValueError(f"more than {_LONGEST_METADATA} bytes")
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file, expected a whole Zarr group") from None
    except (OSError, ValueError, RecursionError) as error:
        why = str(error) or "nested too deeply"
        raise ValueError(f"{path}: cannot be read ({why})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: is no JSON object, expected the metadata of Zarr")
    return content


def _inside(content: Any, *keys: str) -> Any:
    """A value of nested JSON; None where there is none."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _shape(folder: Path, content: Mapping[str, Any]) -> tuple[int, ...]:
    shape = content.get("shape")
    sound = isinstance(shape, list) and all(type(n) is int and 0 < n < 2**48 for n in shape)
    if not sound or not isinstance(shape, list) or len(shape) > 4:
        raise _wrong(folder, "shape", shape, "a few positive integers")
    if content.get("data_type") not in _TYPES:
        raise _wrong(folder, "data_type", content.get("data_type"), " or ".join(_TYPES))
    return tuple(shape)


def _read_layout(folder: Path, name: str) -> Layout:
    """The layout of an array of patterns, only if it is one that is written here."""
    content = _read_json(folder / name)
    shape = _shape(folder / name, content)
    if len(shape) != 3:
        raise _wrong(folder / name, "shape", list(shape), "(B, N, N)")
    shards = _inside(content, "chunk_grid", "configuration", "chunk_shape")
    codecs = content.get("codecs")
    sharding = codecs[0] if isinstance(codecs, list) and codecs else None
    chunks = _inside(sharding, "configuration", "chunk_shape")
    coding = _inside(sharding, "configuration", "codecs")
    compression = _compression_of(coding)
    sides = [_first(value, shape) for value in (shards, chunks)]
    if None in sides or compression is None:
        raise _wrong(folder / name, "codecs", "another coding", "shards as ptycho_fast writes them")
    layout = Layout(
        name, shape, content["data_type"], shard=sides[0], chunk=sides[1], compression=compression
    )
    if sides[0] % sides[1] or sides[0] // sides[1] > _MOST_CHUNKS:
        raise _wrong(folder / name, "chunk_shape", sides, f"at most {_MOST_CHUNKS} in a shard")
    if layout.chunk_bytes > _LARGEST_CHUNK:
        raise _wrong(folder / name, "chunk_shape", sides[1], f"at most {_LARGEST_CHUNK} bytes")
    if content != json.loads(json.dumps(layout.metadata)):
        raise _wrong(folder / name, "codecs", "another coding", "shards as ptycho_fast writes them")
    return layout


def _compression_of(codecs: Any) -> str | None:
    if not isinstance(codecs, list) or not 2 <= len(codecs) <= 3:
        return None
    if len(codecs) == 2:
        return "none"
    if _inside(codecs[1], "name") == "gzip":
        return "portable"
    name = _inside(codecs[1], "configuration", "cname")
    return name if name in ("lz4", "zstd") else None


def _first(value: Any, shape: tuple[int, ...]) -> Any:
    """The number of patterns in ``[patterns, N, N]``; None if it is something else."""
    sound = isinstance(value, list) and len(value) == 3 and value[1:] == list(shape[1:])
    return value[0] if sound and type(value[0]) is int and 0 < value[0] <= 2**40 else None


def _small_array(folder: Path, name: str) -> npt.NDArray[Any] | None:
    """An array in one chunk; None where there is none."""
    place = folder / name
    if not place.is_dir():
        return None
    content = _read_json(place)
    shape, dtype = _shape(place, content), (_SMALL | _CORRECTIONS)[name]
    if content != json.loads(json.dumps(_array(shape, dtype, shape, [_LITTLE, _CHECKED]))):
        given = f"{content.get('data_type')}, or another coding"
        raise _wrong(place, "data_type", given, f"{dtype} in one chunk with crc32c")
    path = place.joinpath("c", *"0" * len(shape))
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        held = path.stat().st_size
        if held != size + 4:
            raise ValueError(f"{held} bytes, expected {size + 4}")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    raw = np.frombuffer(data[:-4], np.dtype(dtype).newbyteorder("<"))
    if _crc(data[:-4]) != data[-4:]:
        raise ValueError(f"{path}: its checksum does not fit")
    if dtype == "bool" and raw.view(np.uint8).max() > 1:
        raise ValueError(f"{path}: a byte that is neither 0 nor 1 given, expected true or false")
    array = raw.astype(dtype).reshape(shape)
    if array.dtype.kind in "fc" and not np.isfinite(array).all():
        raise ValueError(f"{path}: NaN or infinity given, expected finite numbers")
    return array


def _check_shapes(folder: Path, arrays: Mapping[str, Any], B: int, N: int) -> None:
    shapes = {name: array.shape for name, array in arrays.items() if array is not None}
    for name in ("object", "probe", "positions", "positions_nominal"):
        if name not in shapes:
            raise ValueError(f"{folder}: no array {name!r}, expected a whole data set")
    planes = shapes["probe"][0] + shapes.get("eigenprobes", (0,))[0]
    rules = {
        "object": ("(H, W) or (L, H, W)", lambda s: len(s) in (2, 3)),
        "probe": (f"(M, {N}, {N})", lambda s: len(s) == 3 and s[1:] == (N, N)),
        "positions": (f"({B}, 2)", lambda s: s == (B, 2)),
        "positions_nominal": (f"({B}, 2)", lambda s: s == (B, 2)),
        "mask": (f"({N}, {N})", lambda s: s == (N, N)),
        "eigenprobes": (f"(K, {N}, {N})", lambda s: len(s) == 3 and s[1:] == (N, N)),
        "weights": (f"({B}, {planes})", lambda s: s == (B, planes)),
        "path": (f"({B}, S, 2)", lambda s: len(s) == 3 and (s[0], s[2]) == (B, 2)),
        "dose_factors": (f"({B},)", lambda s: s == (B,)),
    }
    for name, shape in shapes.items():
        expected, fits = rules.get(name, ("(n,)", lambda s: len(s) == 1))
        if not fits(shape):
            raise _wrong(folder / name, "shape", list(shape), expected)


def _number(folder: Path, about: Mapping[str, Any], key: str) -> float | None:
    value = about.get(key)
    if value is None:
        return None
    try:
        return checks.positive(value, f"{folder / MARKER}: {key}")
    except TypeError as error:  # what a file holds is a wrong value
        raise ValueError(str(error)) from None


def _table(folder: Path, about: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    value = about.get(key)
    if value is None or isinstance(value, dict):
        return value
    raise _wrong(folder, key, repr(value)[:40], "a table")


def _wrong(folder: Path, key: str, given: object, expected: str) -> ValueError:
    return ValueError(checks.wrong(f"{folder / MARKER}: {key}", given, expected))
