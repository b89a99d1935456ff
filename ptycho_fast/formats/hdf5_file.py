"""HDF5 files: opened with care, and written in the same bytes by every run.

A file from somewhere may claim anything. What it says is looked at before memory is asked for, and
nothing in it leads to another file: external links, data in external files, object references and
links of other kinds are refused, and so are filters that no package registers. A data set that is
joined of others (a virtual one) may take them from the folder of the file alone.
"""

import hashlib
import importlib.util
import math
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.files import naming
from ptycho_fast.formats.compression import encoder, filters, require_plugins
from ptycho_fast.formats.numpy_files import Header
from ptycho_fast.formats.patterns import LazyPatterns, Patterns
from ptycho_fast.formats.work import Block, Work
from ptycho_fast.machine import memory_available

if TYPE_CHECKING:
    import h5py

CHECKSUMS = "checksums"  # of the chunks of the patterns that its attribute ``of`` names
SIGNATURE = b"\x89HDF\r\n\x1a\n"  # at 0, or after a user block of 512, 1024, ... bytes

_CHUNK_PIXELS = 2**18  # in what is compressed, and read, at once
_LOOKED_AT = 512  # bytes, at both ends of a chunk that was written
_LARGEST_CHUNK = 2**30  # bytes; more is no chunk that anybody writes
_MOST_OBJECTS = 100_000  # in a file; a scan has some dozens
_MOST_LINKS = 16  # soft links that lead to each other
_LONGEST_TEXT = 2**26  # bytes
_LIBVER = ("earliest", "v110")  # readable by all versions since 1.8, virtual data sets since 1.10

_OWN_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset"}
_H5PY_FILTERS = {32000: "lzf"}
_PLUGIN_FILTERS = {
    307: "bzip2",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32018: "fcidecomp",
    32026: "blosc2",
}


# --- writing ---


@contextmanager
def create(path: str | os.PathLike[str], work: Work) -> "Iterator[h5py.File]":
    """A new HDF5 file, which takes the place of `path` when it is whole.

    Its bytes depend on what is written to it alone: no times are stored.

    Parameters
    ----------
    path : path-like
        The file to make.
    work : Work
        Says what may be replaced.

    Yields
    ------
    h5py.File
        Open for writing.

    Raises
    ------
    RuntimeError
        h5py is missing.
    OSError
        The file exists or cannot be written; the disk is full.
    """
    h5py = _h5py(path)
    with (
        work.aside(path) as part,
        naming(path),  # before the file is closed, which may be another error
        h5py.File(part.name, "w", libver=_LIBVER, locking=False) as file,
    ):
        yield file


def write_array(
    group: "h5py.Group", name: str, values: npt.ArrayLike, **attributes: Any
) -> "h5py.Dataset":
    """A data set of an array or number, in one piece; its bytes are little-endian.

    Parameters
    ----------
    group : h5py.Group
        Where to; groups in `name` that are missing are made.
    name : str
        Its name.
    values : array-like
        Numbers, booleans, or text (which becomes UTF-8 of fixed length).
    **attributes
        Written beside it, in the order of the arguments.
    """
    if isinstance(values, str):
        values = np.bytes_(values.encode())
    array = np.asarray(values)
    dataset = group.create_dataset(name, data=array.astype(_little(array.dtype), copy=False))
    dataset.attrs.update(attributes)
    return dataset


class WrittenPatterns(NamedTuple):
    """Patterns in a file.

    Attributes
    ----------
    dataset : h5py.Dataset
        (B, N, N), in chunks of n patterns.
    checksums : (chunks, 32) uint8
        SHA-256 of the stored bytes of each chunk.
    """

    dataset: "h5py.Dataset"
    checksums: npt.NDArray[np.uint8]


def write_patterns(
    group: "h5py.Group",
    name: str,
    patterns: Patterns,
    work: Work,
    *,
    compression: str = "lz4",
    **attributes: Any,
) -> WrittenPatterns:
    """Write patterns chunk by chunk: threads make and compress the next ones meanwhile.

    Parameters
    ----------
    group : h5py.Group
        Where to, in a file that `create` gave.
    name : str
        Name of the data set.
    patterns : (B, N, N) patterns
        An array, or patterns that are made as they are asked for.
    work : Work
        Memory and threads; it learns where every chunk lies.
    compression : str
        One of `compression.COMPRESSIONS`.
    **attributes
        Of the data set.

    Returns
    -------
    WrittenPatterns
        The data set, and checksums of its chunks.

    Raises
    ------
    ValueError, RuntimeError
        The compression is unknown, or hdf5plugin is missing.
    OSError
        The file cannot be written.
    """
    B, *frame = patterns.shape
    dtype = _little(patterns.dtype)
    n = chunk_patterns(patterns.shape)
    encode = encoder(compression, dtype)
    dataset = group.create_dataset(
        name, shape=patterns.shape, dtype=dtype, chunks=(n, *frame), **filters(compression)
    )
    dataset.attrs.update(attributes)

    def stored_form(first: int, frames: npt.NDArray[Any]) -> Any:
        whole = np.ascontiguousarray(frames, dtype)
        if len(whole) < n:  # all chunks are of one size
            whole = np.concatenate([whole, np.zeros((n - len(whole), *frame), dtype)])
        return encode(whole)

    checksums = np.empty((-(-B // n), 32), np.uint8)
    place = _Place(dataset)
    try:
        for block in work.blocks(patterns, n, stored_form, dataset.name.lstrip("/")):
            offset = place.write(block)
            work.stored(block, offset, len(block.data))
            checksums[block.first // n] = np.frombuffer(block.checksum, np.uint8)
    finally:
        place.close()
    return WrittenPatterns(dataset, checksums)


def chunk_patterns(shape: tuple[int, ...]) -> int:
    """How many patterns of an array (B, N, N) are stored as one chunk.

    Examples
    --------
    >>> chunk_patterns((10**6, 64, 64)), chunk_patterns((10**6, 1024, 1024))
    (64, 1)
    """
    return max(1, min(shape[0], _CHUNK_PIXELS // math.prod(shape[1:])))


class _Place:
    """Writes chunks and finds out where HDF5 put them.

    To ask HDF5 for the place of a chunk takes longer the more chunks there are. A new chunk nearly
    always begins where the file ended, or behind the chunk before; whether it does is read back.
    """

    def __init__(self, dataset: "h5py.Dataset") -> None:
        self._id, self._file = dataset.id, dataset.file.id
        self._zeros = (0,) * (dataset.ndim - 1)
        self._read = os.open(dataset.file.filename, os.O_RDONLY)
        self._behind = 0

    def write(self, block: Block) -> int:
        data = block.data
        with _one_at_a_time():
            end = self._file.get_filesize()
            self._id.write_direct_chunk((block.first, *self._zeros), data)
        ends = slice(0, _LOOKED_AT), slice(max(0, len(data) - _LOOKED_AT), len(data))
        for offset in (end, self._behind):
            if all(
                os.pread(self._read, len(data[part]), offset + part.start) == data[part]
                for part in ends
            ):
                break
        else:
            offset = self._id.get_chunk_info_by_coord((block.first, *self._zeros)).byte_offset
        self._behind = offset + len(data)
        return int(offset)

    def close(self) -> None:
        os.close(self._read)


def _one_at_a_time() -> Any:
    """The lock that h5py takes around calls of HDF5, but not around those of whole chunks.

    Of two threads that write or read chunks at the same time, one would get an error without it.
    """
    from h5py._objects import phil

    return phil


def _little(dtype: npt.DTypeLike) -> np.dtype[Any]:
    return np.dtype(dtype).newbyteorder("<")


# --- reading ---


def open_file(path: str | os.PathLike[str]) -> "Hdf5File":
    """Open an HDF5 file that may be damaged or hostile.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    Hdf5File
        What is in it; a context manager.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is a folder, no HDF5 file, or damaged.
    RuntimeError
        h5py is missing.
    """
    file = Path(path)
    if file.is_dir():
        raise ValueError(f"{file}: is a folder, expected an HDF5 file")
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file, expected an HDF5 file")
    h5py = _h5py(file)
    with _damage(file):
        return Hdf5File(file, h5py.File(file, "r", locking=False))


def _h5py(path: str | os.PathLike[str]) -> Any:
    if importlib.util.find_spec("h5py") is None:
        raise RuntimeError(
            f"{path}: is an HDF5 file, and h5py is not installed; pip install 'ptycho_fast[hdf5]' "
            "brings it"
        )
    import h5py

    return h5py


@contextmanager
def _damage(path: Path, key: str = "") -> Iterator[None]:
    """Name the file and the key in whatever HDF5 raises."""
    at = f" key {key!r}:" if key else ""
    try:
        yield
    except PermissionError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        if isinstance(error, RuntimeError) and "pip install" in str(error):
            raise
        raise ValueError(
            f"{path}:{at} cannot be read ({str(error) or type(error).__name__}), expected a whole "
            "HDF5 file"
        ) from error


class Hdf5File:
    """An open HDF5 file; each array is read only when it is asked for.

    Attributes
    ----------
    path : Path
        The file, for messages.
    keys : tuple of str
        Names of all data sets, as ``group/name`` without a slash at the beginning, those that soft
        links lead to under the name of the link too.
    """

    def __init__(self, path: Path, file: "h5py.File") -> None:
        self.path = path
        self._file = file
        try:
            self._size = os.path.getsize(path)
            found, groups = _walk(file, path)
        except BaseException:
            file.close()
            raise
        self._paths, self._groups = found, groups
        self.keys = tuple(key for key, leads_to in found.items() if leads_to is not None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Patterns that were taken from it open it again when they are read."""
        self._file.close()

    def header(self, key: str) -> Header:
        """Shape and dtype of a data set, which is whole and can be read, without reading it.

        Raises
        ------
        ValueError
            There is no such key, it is damaged or claims more than the file holds, or it leads out
            of the file. The message names file and key.
        RuntimeError
            Its filter needs hdf5plugin, which is missing.
        """
        with _damage(self.path, key):
            return _checked(self.path, key, self._dataset(key), self._size)

    def read(self, key: str, row: int | None = None) -> npt.NDArray[Any]:
        """An array, as stored, or one entry of its first axis.

        Raises
        ------
        ValueError, RuntimeError
            As `header`.
        MemoryError
            The array does not fit.
        """
        header = self.header(key)
        shape = header.shape if row is None else header.shape[1:]
        self._require_memory(key, math.prod(shape) * header.dtype.itemsize)
        with _damage(self.path, key):
            return np.asarray(self._dataset(key)[() if row is None else row])

    def text(self, key: str) -> str:
        """A text, of fixed or variable length.

        Raises
        ------
        ValueError
            As `header`, or it is no text in UTF-8.
        """
        import h5py

        with _damage(self.path, key):
            dataset = self._dataset(key)
            if dataset.shape not in ((), (1,)) or h5py.check_string_dtype(dataset.dtype) is None:
                raise ValueError(self._wrong(key, f"{dataset.dtype} {dataset.shape}", "a text"))
            if max(dataset.dtype.itemsize, dataset.id.get_storage_size()) > _LONGEST_TEXT:
                raise ValueError(self._wrong(key, "a longer text", f"{_LONGEST_TEXT} bytes"))
            value = dataset[()] if dataset.shape == () else dataset[0]
        return _text(value, f"{self.path}: {key}")

    def attributes(self, key: str = "") -> dict[str, Any]:
        """Numbers, small arrays of numbers and texts beside a data set, group or the root.

        What is of another kind (references, lists of texts) is left out.
        """
        import h5py

        with _damage(self.path, key):
            item = self._item(key)
            values: dict[str, Any] = {}
            for name in item.attrs:
                at = item.attrs.get_id(name)
                is_text = h5py.check_string_dtype(at.dtype) is not None
                if at.shape is None or not (is_text or at.dtype.kind in "biufc"):
                    continue
                if math.prod(at.shape) * at.dtype.itemsize > _LONGEST_TEXT:
                    raise ValueError(self._wrong(f"{key} @{name}", at.shape, "a small array"))
                if not is_text:
                    values[name] = item.attrs[name]
                elif math.prod(at.shape) == 1:
                    value = np.asarray(item.attrs[name], object).reshape(-1)[0]
                    values[name] = _text(value, f"{self.path}: {key} @{name}")
        return values

    def patterns(self, key: str) -> "Hdf5Patterns | JoinedPatterns":
        """Patterns (B, N, N) that stay in the file until they are asked for.

        Raises
        ------
        ValueError, RuntimeError
            As `header`, or they are not of three axes; of a joined data set a file is missing.
        """
        header = self.header(key)
        if len(header.shape) != 3 or 0 in header.shape or header.dtype.kind not in "iuf":
            expected = "real numbers of shape (B, N, N)"
            raise ValueError(self._wrong(key, header, expected))
        with _damage(self.path, key):
            dataset = self._dataset(key)
            if dataset.is_virtual:
                return JoinedPatterns(self.path, key, header, dataset.virtual_sources())
        return Hdf5Patterns(self.path, key, header)

    def stored_chunks(self, key: str) -> Iterator[tuple[int, bytes]]:
        """``(first, data)``: the stored bytes of each chunk of patterns, and its first pattern.

        Raises
        ------
        ValueError
            As `header`; a chunk is missing.
        """
        header = self.header(key)
        with _damage(self.path, key):
            dataset = self._dataset(key)
            if dataset.chunks is None or dataset.chunks[1:] != header.shape[1:]:
                raise ValueError(self._wrong(key, f"chunks {dataset.chunks}", "whole patterns"))
            zeros = (0,) * (len(header.shape) - 1)
            for first in range(0, header.shape[0], dataset.chunks[0]):
                with _one_at_a_time():
                    chunk = dataset.id.read_direct_chunk((first, *zeros))[1]
                yield first, chunk

    def checksums(self, key: str) -> dict[int, bytes]:
        """SHA-256 of the stored bytes of each chunk of patterns by its number, if they are there.

        Raises
        ------
        ValueError, MemoryError
            As `read`.
        """
        if CHECKSUMS not in self.keys or self.attributes(CHECKSUMS).get("of") != key:
            return {}
        stored = self.read(CHECKSUMS)
        if stored.ndim != 2 or stored.shape[1] != 32 or stored.dtype != np.uint8:
            raise ValueError(self._wrong(CHECKSUMS, stored.shape, "(chunks, 32) uint8"))
        return {number: row.tobytes() for number, row in enumerate(stored)}

    def chunk_length(self, key: str) -> int:
        """Patterns in a chunk."""
        with _damage(self.path, key):
            return int((self._dataset(key).chunks or (1,))[0])

    def parts(self, key: str) -> list[tuple[int, Path]]:
        """The files that patterns lie in, and the first pattern of each; the file itself if one.

        Raises
        ------
        ValueError
            As `patterns`.
        """
        patterns = self.patterns(key)
        return patterns.files if isinstance(patterns, JoinedPatterns) else [(0, self.path)]

    # --- what a name leads to ---

    def _item(self, key: str) -> Any:
        if key in self._groups:
            return self._file[self._groups[key]] if key else self._file
        return self._dataset(key)

    def _dataset(self, key: str) -> Any:
        if key not in self._paths:
            found = ", ".join(self.keys) or "nothing"
            raise ValueError(f"{self.path}: no key {key!r}, found {found}")
        leads_to = self._paths[key]
        if leads_to is None:
            raise ValueError(
                f"{self.path}: key {key!r} leads out of the file, which is not followed; expected "
                "a data set in the file"
            )
        return self._file[leads_to]

    def _wrong(self, key: str, given: object, expected: str) -> str:
        return checks.wrong(f"{self.path}: {key}", given, expected)

    def _require_memory(self, key: str, needed: int) -> None:
        available = memory_available()
        if available is not None and needed > available:
            raise MemoryError(
                f"{self.path}: {key}: {needed} bytes needed, {available} bytes available"
            )


def _text(value: Any, name: str) -> str:
    try:
        return value if isinstance(value, str) else bytes(value).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: byte {error.start} is no UTF-8, expected a text") from None


def _walk(file: "h5py.File", path: Path) -> tuple[dict[str, str | None], dict[str, str]]:
    """Data sets and groups by name: where each is, by hard links alone; None: not in this file."""
    import h5py

    datasets: dict[str, str | None] = {}
    groups: dict[str, str] = {"": "/"}
    soft: dict[str, str] = {}
    waiting, seen = [("", file)], {h5py.h5o.get_info(file.id).addr}
    while waiting:
        above, group = waiting.pop()
        for name in group:
            key = f"{above}/{name}" if above else name
            if len(datasets) + len(groups) + len(soft) > _MOST_OBJECTS:
                raise ValueError(f"{path}: more than {_MOST_OBJECTS} objects, expected a data set")
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink):
                soft[key] = str(PurePosixPath("/", above, link.path)).lstrip("/")
            elif not isinstance(link, h5py.HardLink):
                datasets[key] = None
            elif isinstance(item := group[name], h5py.Group):
                address = h5py.h5o.get_info(item.id).addr
                if address not in seen:  # a group may hold itself
                    seen.add(address)
                    groups[key] = key
                    waiting.append((key, item))
            elif isinstance(item, h5py.Dataset):
                datasets[key] = key
    for key in soft:
        target = key
        for _ in range(_MOST_LINKS):
            if target not in soft:
                break
            target = soft[target]
        if target in datasets:
            datasets[key] = datasets[target]
        elif target in groups:
            groups[key] = target
            below = f"{target}/"
            datasets |= {
                f"{key}/{name.removeprefix(below)}": at
                for name, at in list(datasets.items())
                if name.startswith(below)
            }
    return datasets, groups


# --- is a data set what it says? ---


def _checked(path: Path, key: str, dataset: Any, file_size: int) -> Header:
    """Shape and dtype, or an error if it cannot be read, or is not all there."""
    import h5py

    name = f"{path}: {key}"
    dtype, shape = dataset.dtype, dataset.shape
    if dtype.kind == "O" or h5py.check_ref_dtype(dtype) is not None:
        text = h5py.check_string_dtype(dtype) is not None
        given = "texts" if text else "references or lists, which are never followed"
        raise ValueError(checks.wrong(name, given, "an array of numbers"))
    if shape is None:
        raise ValueError(checks.wrong(name, "an empty data set", "an array"))
    header = Header(tuple(int(n) for n in shape), dtype)
    if dataset.external:
        raise ValueError(checks.wrong(name, "data in other files", "data in the file"))
    if dataset.is_virtual:
        _check_sources(path, name, dataset)
        return header
    _require_filters(name, dataset)
    needed, stored = math.prod(header.shape) * dtype.itemsize, dataset.id.get_storage_size()
    missing = f"{stored} bytes for a {header}, which takes {needed}"
    if stored > file_size:
        raise ValueError(checks.wrong(name, missing, f"at most {file_size}, the file's size"))
    if dataset.chunks is None:
        if stored < needed:
            raise ValueError(checks.wrong(name, missing, "all of them in the file"))
    elif needed:
        chunk = math.prod(dataset.chunks) * dtype.itemsize
        if chunk > _LARGEST_CHUNK:
            raise ValueError(checks.wrong(name, f"chunks of {chunk} bytes", f"{_LARGEST_CHUNK}"))
        expected = math.prod(-(-n // c) for n, c in zip(header.shape, dataset.chunks, strict=True))
        there = dataset.id.get_num_chunks() if stored else 0
        if there != expected:
            raise ValueError(
                checks.wrong(name, f"{there} chunks of a {header}", f"{expected}, all of them")
            )
    return header


def _require_filters(name: str, dataset: Any) -> None:
    """Raise unless all filters of a data set are known and there."""
    import h5py

    properties = dataset.id.get_create_plist()
    for i in range(properties.get_nfilters()):
        number = properties.get_filter(i)[0]
        if number in _PLUGIN_FILTERS:
            require_plugins(f"{name}: compressed by {_PLUGIN_FILTERS[number]}")
        elif number not in _OWN_FILTERS | _H5PY_FILTERS:
            raise ValueError(checks.wrong(name, f"filter {number}", "a filter that is known"))
        if not h5py.h5z.filter_avail(number):
            known = _OWN_FILTERS | _H5PY_FILTERS | _PLUGIN_FILTERS
            raise RuntimeError(f"{name}: this HDF5 library has no filter {known[number]}")


def _check_sources(path: Path, name: str, dataset: Any) -> None:
    """Raise unless all parts of a virtual data set are files beside this one."""
    for source in dataset.virtual_sources():
        _beside(path, name, source.file_name)


def _beside(path: Path, name: str, file_name: str) -> Path:
    if file_name == ".":
        return path
    if file_name != Path(file_name).name or file_name == "..":
        given = f"parts in {file_name!r}"
        raise ValueError(checks.wrong(name, given, "files in the folder of this one"))
    there = path.parent / file_name
    if not there.is_file():
        raise ValueError(f"{name}: {there}, which holds a part of it, is missing")
    return there


# --- patterns in files ---


class Hdf5Patterns(LazyPatterns):
    """Patterns in an HDF5 file, read when they are asked for.

    The file is opened when it is needed, once in each process: a copy in another process (through
    a pickle, or behind a fork) opens it again. Where the file has checksums of its chunks, that of
    a chunk is compared when it is read for the first time.
    """

    def __init__(self, path: Path, key: str, header: Header) -> None:
        self.path, self.key = path, key
        self.shape, self.dtype = header.shape, header.dtype.newbyteorder("=")
        self._stored_shape = header.shape
        self._forget()

    def _forget(self) -> None:
        self._open: tuple[int, Any] | None = None
        self._unchecked: dict[int, bytes] = {}  # chunks and their checksums
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        own = ("_open", "_unchecked", "_lock")
        return {k: v for k, v in self.__dict__.items() if k not in own}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        with _damage(self.path, self.key):
            dataset = self._dataset()
            self._check(dataset, first, last)
            stored = np.asarray(self._part(dataset, first, last))
        return np.ascontiguousarray(stored, self.dtype)

    def _check(self, dataset: Any, first: int, last: int) -> None:
        """Compare the checksums of chunks that were not read before."""
        if not self._unchecked or dataset.chunks is None:
            return
        n = dataset.chunks[0]
        for number in range(first // n, -(-last // n)):
            expected = self._unchecked.get(number)
            if expected is None:
                continue
            with _one_at_a_time():
                data = dataset.id.read_direct_chunk((number * n, *(0,) * (dataset.ndim - 1)))[1]
            if hashlib.sha256(data).digest() != expected:
                until = min((number + 1) * n, len(self))
                raise ValueError(
                    f"{self.path}: {self.key}: patterns {number * n} to {until - 1} are damaged, "
                    "expected the bytes that their checksum is of"
                )
            self._unchecked.pop(number, None)

    def _part(self, dataset: Any, first: int, last: int) -> Any:
        return dataset[first:last]

    def _dataset(self) -> Any:
        mine = self._open
        if mine is not None and mine[0] == os.getpid():
            return mine[1]
        with self._lock:
            file = open_file(self.path)
            header = file.header(self.key)
            if header.shape != self._stored_shape or header.dtype.newbyteorder("=") != self.dtype:
                file.close()
                raise ValueError(f"{self.path}: {self.key}: the file changed since it was opened")
            self._unchecked = file.checksums(self.key)
            self._open = (os.getpid(), file._dataset(self.key))
            return self._open[1]

    def close(self) -> None:
        """Close the file, if it is open; reading opens it again."""
        if self._open is not None and self._open[0] == os.getpid():
            self._open[1].file.close()
        self._open = None


class JoinedPatterns(LazyPatterns):
    """Patterns of a virtual data set, whose parts are runs of patterns in files beside it.

    Attributes
    ----------
    files : list of (int, Path)
        The first pattern of each part, and its file.
    """

    def __init__(self, path: Path, key: str, header: Header, sources: list[Any]) -> None:
        self.shape, self.dtype = header.shape, header.dtype.newbyteorder("=")
        name = f"{path}: {key}"
        runs = sorted(_run(name, source, header.shape) for source in sources)
        ends = [0, *(last for _, last, *_ in runs)]
        if [first for first, *_ in runs] != ends[:-1] or ends[-1] != len(self):
            raise ValueError(
                f"{name}: its parts do not follow each other, expected runs of patterns"
            )
        self._starts = np.array([first for first, *_ in runs], np.int64)
        self._parts: list[Hdf5Patterns | tuple[Path, str, int]] = [
            (_beside(path, name, file), source, last - first) for first, last, file, source in runs
        ]
        self.files = [(first, _beside(path, name, file)) for first, _, file, _ in runs]

    def _part(self, i: int) -> Hdf5Patterns:
        part = self._parts[i]
        if isinstance(part, tuple):
            path, key, count = part
            with open_file(path) as file:
                header = file.header(key)
                if header.shape != (count, *self.shape[1:]) or header.dtype != self.dtype:
                    expected = f"{self.dtype} array of shape {(count, *self.shape[1:])}"
                    raise ValueError(checks.wrong(f"{path}: {key}", header, expected))
            part = self._parts[i] = Hdf5Patterns(path, key, header)
        return part

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        out = np.empty((last - first, *self.shape[1:]), self.dtype)
        at = first
        while at < last:
            i = int(np.searchsorted(self._starts, at, "right")) - 1
            part, start = self._part(i), int(self._starts[i])
            end = min(last, start + len(part))
            out[at - first : end - first] = part[at - start : end - start]
            at = end
        return out

    def close(self) -> None:
        """Close the files that are open."""
        for part in self._parts:
            if isinstance(part, Hdf5Patterns):
                part.close()


def _run(name: str, source: Any, shape: tuple[int, ...]) -> tuple[int, int, str, str]:
    """Which patterns a part of a virtual data set holds, and where it is."""
    import h5py

    low, high = source.vspace.get_select_bounds()
    whole = tuple(n - 1 for n in shape[1:])
    count = high[0] - low[0] + 1
    starts_there = True
    if source.src_space.get_select_type() == h5py.h5s.SEL_HYPERSLABS:  # else all of the source
        from_low, from_high = source.src_space.get_select_bounds()
        starts_there = tuple(from_low) == (0, 0, 0) and from_high[0] == count - 1
    if low[1:] != (0, 0) or high[1:] != whole or not starts_there:
        raise ValueError(f"{name}: its parts are no whole patterns, expected runs of patterns")
    return int(low[0]), int(high[0]) + 1, source.file_name, source.dset_name.lstrip("/")
