"""Read arrays from NumPy files (``.npz``, ``.npy``) safely: no pickles, and only what is needed.

Patterns can be left in the file: of those that are stored as they are any range is read at once,
compressed ones are unpacked from the beginning up to it.
"""

import functools
import math
import os
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.patterns import LazyPatterns, Patterns

_CRC_POLYNOMIAL = 0xEDB88320
_MOST_AHEAD = 64  # runs of patterns that wait for others before them

_DEFLATE = 1032  # deflated data are at least 1/1032 of what they unfold to

_ZIP, _NPY = (b"PK\x03\x04", b"PK\x05\x06"), b"\x93NUMPY"
_HDF5 = b"\x89HDF\r\n\x1a\n"  # at 0 or after a user block of 512, 1024, ... bytes
_OTHERS = {  # how files begin that are given by mistake
    b"MATLAB": "a MATLAB file",
    _HDF5: "an HDF5 file",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
    b"II+\0": "a TIFF picture",
    b"MM\0+": "a TIFF picture",
    b"%PDF": "a PDF file",
    b"\x1f\x8b": "a gzip file",
    **{b"\x80" + bytes([protocol]): "a pickle, which is never opened" for protocol in range(2, 6)},
}


class Header(NamedTuple):
    """Shape and dtype of a stored array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype} array of shape {self.shape}"


class _Layout(NamedTuple):
    """Also whether its axes are in Fortran order, and where its numbers begin."""

    header: Header
    fortran: bool
    start: int


class ArrayFile:
    """An open ``.npz`` archive or ``.npy`` file; each array is read only when it is asked for.

    Attributes
    ----------
    path : Path
        The file, for messages.
    keys : tuple of str
        Keys of the arrays; the one array of an ``.npy`` file has the key "".
    """

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self.path = path
        self._stream = stream
        self._size = os.fstat(stream.fileno()).st_size
        start = stream.read(8)
        self._archive: zipfile.ZipFile | None = None
        self.keys: tuple[str, ...] = ("",)
        if start.startswith(_NPY):
            return
        if not start.startswith(_ZIP):
            raise ValueError(self._what_it_is())
        with self._reading(""):
            self._archive = zipfile.ZipFile(stream)
            names = self._archive.namelist()
            self.keys = tuple(n.removesuffix(".npy") for n in names if n.endswith(".npy"))
        if not self.keys:
            raise ValueError(
                f"{path}: is a zip archive without arrays, expected an .npz or .npy file"
            )

    def header(self, key: str) -> Header:
        """Shape and dtype of an array, without reading it.

        Raises
        ------
        ValueError
            The file is damaged, claims more than it holds, or the array is pickled.
        """
        return self._layout(key).header

    def _layout(self, key: str) -> _Layout:
        with self._reading(key), self._opened(key) as (stream, size):
            return _read_header(stream, size, exactly=self._archive is not None)

    def read(self, key: str) -> npt.NDArray[Any]:
        """An array, as stored.

        Raises
        ------
        ValueError
            As `header`.
        MemoryError
            The array does not fit.
        """
        self.header(key)
        with self._reading(key), self._opened(key) as (stream, _):
            array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
            if self._archive is not None:
                stream.read(1)  # at the end the checksum is compared
            return array

    def patterns(self, key: str) -> Patterns:
        """An array (B, ...) of which any range is read later, also when this file is closed.

        Whoever takes it closes it. One in Fortran order is read at once.

        Raises
        ------
        ValueError
            As `header`; later, when patterns are read that are damaged. A checksum is compared as
            soon as all have been read in order.
        """
        layout = self._layout(key)
        if layout.fortran:
            return self.read(key)
        if self._archive is None:
            return _Stored(self, key, layout, 0, None)
        member = self._archive.getinfo(f"{key}.npy")
        if member.compress_type != zipfile.ZIP_STORED:
            return _Packed(self, key, layout)
        with self._reading(key):
            return _Stored(self, key, layout, self._data_of(member), member.CRC)

    def _data_of(self, member: zipfile.ZipInfo) -> int:
        """Where the data of a member begin; its local header has names and fields of its own."""
        descriptor = self._stream.fileno()
        local = os.pread(descriptor, 30, member.header_offset)
        if not local.startswith(_ZIP[0]) or len(local) < 30:
            raise ValueError("no local header")
        lengths = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
        data = member.header_offset + 30 + lengths
        if data + member.file_size > self._size:
            raise ValueError(f"{self._size - data} bytes where {member.file_size} should be")
        return data

    def _what_it_is(self) -> str:
        self._stream.seek(0)
        start = self._stream.read(4096 + len(_HDF5))
        kinds = (kind for magic, kind in _OTHERS.items() if start.startswith(magic))
        kind = next(kinds, None)
        if kind is None and any(start[at:].startswith(_HDF5) for at in (512, 1024, 2048, 4096)):
            kind = _OTHERS[_HDF5]
        problem = f"is {kind}" if kind else "cannot be read (it is no NumPy file)"
        return f"{self.path}: {problem}, expected an .npz or .npy file"

    @contextmanager
    def _opened(self, key: str) -> Iterator[tuple[IO[bytes], int]]:
        """A stream of an array's bytes, and how many there are."""
        if self._archive is None:
            self._stream.seek(0)
            yield self._stream, self._size
            return
        member = self._archive.getinfo(f"{key}.npy")
        most = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: _DEFLATE}.get(member.compress_type)
        if most and member.file_size > most * min(member.compress_size, self._size):
            raise ValueError(f"{member.file_size} bytes in {member.compress_size} cannot be")
        with self._archive.open(member) as stream:
            yield stream, member.file_size

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        """Name the file and the key in whatever the zip and header parsers raise."""
        with _naming(self.path, key):
            yield


@contextmanager
def _naming(path: Path, key: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        at = f" key {key!r}:" if key else ""
        raise ValueError(
            f"{path}:{at} cannot be read ({str(error) or type(error).__name__}), expected a whole "
            ".npz or .npy file without pickles"
        ) from error


class _InFile(LazyPatterns):
    """An array that stays in its file; sent to another process, it is opened there."""

    def __init__(self, file: ArrayFile, key: str, layout: _Layout) -> None:
        self.shape, self.dtype = layout.header
        self._path, self._key = file.path.absolute(), key
        self._descriptor = os.dup(file._stream.fileno())
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened_again, (self._path, self._key, self.shape, self.dtype)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()

    def _open_descriptor(self) -> int:
        if self._descriptor < 0:
            raise ValueError("the data set is closed")
        return self._descriptor


def _opened_again(path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Patterns:
    with open_arrays(path) as file:
        if file.header(key) != (shape, dtype):
            expected = f"{Header(shape, dtype)}, as when it was opened first"
            raise ValueError(checks.wrong(f"{path}: {key}", file.header(key), expected))
        return file.patterns(key)


class _Stored(_InFile):
    """An array that lies in its file as it is, any range of which is read at once.

    Its header is at `place` in the file; `checksum` is that of header and numbers.
    """

    def __init__(
        self, file: ArrayFile, key: str, layout: _Layout, place: int, checksum: int | None
    ) -> None:
        super().__init__(file, key, layout)
        self._start = place + layout.start
        self._expected = checksum
        self._next = 0  # the pattern before which all have passed, with this checksum:
        self._checksum = zlib.crc32(os.pread(self._descriptor, layout.start, place))
        self._ahead: dict[int, tuple[int, int]] = {}  # last pattern and checksum of runs by first

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        with _naming(self._path, self._key):
            size = (last - first) * self._pattern_bytes
            out = np.empty((last - first, *self.shape[1:]), self.dtype)
            view = out.reshape(-1).view(np.uint8).data
            at, done = self._start + first * self._pattern_bytes, 0
            while done < size:
                got = os.preadv(self._open_descriptor(), [view[done:]], at + done)
                if not got:
                    raise ValueError(f"the file ends within patterns {first} to {last - 1}")
                done += got
            self._check(first, last, view)
            return out

    def _check(self, first: int, last: int, data: memoryview) -> None:
        """Compare the checksum when all have passed, in whatever order threads read them."""
        if self._expected is None or not 0 <= self._next <= first:
            return
        checksum = zlib.crc32(data)
        with self._lock:
            if len(self._ahead) < _MOST_AHEAD:
                self._ahead[first] = last, checksum
            while (run := self._ahead.pop(self._next, None)) is not None:
                size = (run[0] - self._next) * self._pattern_bytes
                self._checksum = joined_checksum(self._checksum, run[1], size)
                self._next = run[0]
            if self._next == len(self):
                self._next = -1
                if self._checksum != self._expected:
                    raise ValueError("its checksum is wrong: it is damaged")


class _Packed(_InFile):
    """A compressed array: patterns are unpacked in order, a step back begins anew."""

    def __init__(self, file: ArrayFile, key: str, layout: _Layout) -> None:
        super().__init__(file, key, layout)
        self._start = layout.start
        self._archive: zipfile.ZipFile | None = None
        self._stream: IO[bytes] | None = None
        self._process = os.getpid()

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        with _naming(self._path, self._key), self._lock:
            if self._process != os.getpid():  # a fork, which would move the place of the other
                self._stream, self._process = None, os.getpid()
            stream = self._stream or self._opened()
            stream.seek(self._start + first * self._pattern_bytes)
            data = stream.read((last - first) * self._pattern_bytes)
            if len(data) != (last - first) * self._pattern_bytes:
                raise ValueError(f"the file ends within patterns {first} to {last - 1}")
            if last == len(self):
                stream.read(1)  # at the end the checksum is compared
            out = np.frombuffer(bytearray(data), self.dtype)
            return out.reshape(last - first, *self.shape[1:])

    def _opened(self) -> IO[bytes]:
        there = os.fstat(self._open_descriptor())
        self._archive = zipfile.ZipFile(self._path)
        assert self._archive.fp is not None
        if not os.path.samestat(os.fstat(self._archive.fp.fileno()), there):
            raise ValueError("the file was replaced while it was open")
        self._stream = self._archive.open(f"{self._key}.npy")
        return self._stream

    def close(self) -> None:
        """Let go of the file."""
        super().close()
        with self._lock:
            if self._archive is not None:
                self._archive.close()
            self._archive = self._stream = None


def _read_header(stream: IO[bytes], size: int, *, exactly: bool) -> _Layout:
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:  # later ones are for names of fields, which no array of numbers has
        raise ValueError(f"version {version} of the .npy format")
    try:
        shape, fortran, dtype = readers[version](stream)
    except MemoryError:  # from Python's parser, where brackets are nested too deeply
        raise ValueError("its header is no description of an array") from None
    if dtype.hasobject:
        raise ValueError("it is pickled, which is never opened")
    needed, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if needed < 0 or needed > held or (exactly and needed != held):
        raise ValueError(f"{held} bytes for a {Header(shape, dtype)}, which takes {needed}")
    return _Layout(Header(shape, dtype), fortran, stream.tell())


# --- checksums of parts ---


def joined_checksum(first: int, second: int, size: int) -> int:
    """CRC-32 of two runs of bytes from those of each; the second one has `size` bytes.

    A CRC is linear over the bits, so bytes that follow multiply it by a matrix: M. Adler's
    ``crc32_combine`` of zlib, which Python does not have.

    Examples
    --------
    >>> import zlib
    >>> joined_checksum(zlib.crc32(b"ab"), zlib.crc32(b"cde"), 3) == zlib.crc32(b"abcde")
    True
    """
    return _times(_followed_by(size), first) ^ second


@functools.lru_cache(64)
def _followed_by(size: int) -> tuple[int, ...]:
    """What `size` bytes of zeros make of a CRC: images of its 32 bits."""
    power = (_CRC_POLYNOMIAL, *(1 << bit for bit in range(31)))  # one bit of zero
    for _ in range(3):
        power = _squared(power)  # one byte
    out = tuple(1 << bit for bit in range(32))
    while size:
        if size & 1:
            out = tuple(_times(power, image) for image in out)
        power, size = _squared(power), size >> 1
    return out


def _times(matrix: tuple[int, ...], vector: int) -> int:
    product = 0
    for image in matrix:
        if vector & 1:
            product ^= image
        vector >>= 1
    return product


def _squared(matrix: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(_times(matrix, image) for image in matrix)


@contextmanager
def open_arrays(path: str | os.PathLike[str]) -> Iterator[ArrayFile]:
    """Open an ``.npz`` archive or an ``.npy`` file; the content decides which it is, not the name.

    Parameters
    ----------
    path : path-like
        The file.

    Yields
    ------
    ArrayFile
        Keys, headers and arrays.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is a folder or no sound NumPy file. What it is instead is said where that is known, for
        example HDF5 or MATLAB.
    OSError
        It cannot be opened.
    """
    file = Path(path)
    if file.is_dir():
        raise ValueError(f"{file}: is a folder, expected an .npz or .npy file")
    try:
        stream = file.open("rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"{file}: no such file, expected an .npz or .npy file") from None
    with stream:
        yield ArrayFile(file, stream)


def read_array(path: str | os.PathLike[str], key: str) -> npt.NDArray[Any]:
    """Read an array from an ``.npz`` (under a key) or an ``.npy`` file, as stored.

    Parameters
    ----------
    path : path-like
        The file.
    key : str
        Key of the array in an archive; an ``.npy`` file holds only one.

    Returns
    -------
    ndarray
        The array.

    Raises
    ------
    FileNotFoundError, ValueError
        As `open_arrays` and `ArrayFile.read`, or there is no such key.
    """
    with open_arrays(path) as file:
        if file.keys == ("",):
            return file.read("")
        if key not in file.keys:
            raise ValueError(f"{path}: no key {key!r}, found {', '.join(file.keys)}")
        return file.read(key)


def to_complex64(array: npt.ArrayLike, name: str) -> npt.NDArray[np.complex64]:
    """Convert numbers to a C-contiguous complex64 array; what it cannot hold is an error.

    Parameters
    ----------
    array : array of integer, float or complex
        The numbers.
    name : str
        What they are (file and key), for messages.

    Returns
    -------
    ndarray, complex64
        Array of the same shape.

    Raises
    ------
    TypeError
        If it is a masked array.
    ValueError
        If the array is empty, does not hold numbers, holds NaN or infinity, or a finite value
        overflows to infinity.

    Examples
    --------
    >>> to_complex64([[1, 2]], "object")
    array([[1.+0.j, 2.+0.j]], dtype=complex64)
    """
    given = checks.array(array, name)
    if given.dtype.kind not in "iufc":
        raise ValueError(f"{name}: dtype {given.dtype} given, expected real or complex numbers")
    if given.size == 0:
        raise ValueError(f"{name}: shape {given.shape} given, which is empty")
    return checks.floating(given, name, np.complex64, integers=True)
