"""Compression of blocks of patterns, so that several threads can compress at the same time.

HDF5 compresses inside the library, one block after the other. Here a block is compressed outside of
it, in the same bytes as HDF5's own filter would make, and is then stored as it is.

============  ======================================================================================
``lz4``       bitshuffle and LZ4, the filter of most detectors; readers need hdf5plugin or the like
``zstd``      bitshuffle and Zstandard: about a quarter smaller, four times slower
``portable``  byte shuffle and gzip, which every HDF5 library reads; ten times slower
``none``      as the patterns are in memory
============  ======================================================================================

Bitshuffle puts the bits of equal weight of many pixels side by side: counts have few of the high
ones, so most of them are runs of zeros. K. Masui et al., Astronomy and Computing 12, 181 (2015).
"""

import ctypes
import functools
import importlib.util
import threading
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

COMPRESSIONS = ("lz4", "zstd", "portable", "none")

BITSHUFFLE, DEFLATE, SHUFFLE = 32008, 1, 2
"""Numbers of the filters, as HDF5 registers them."""

_ELEMENTS = 2**14  # in what bitshuffle takes at once; the library's own 8 kB compress less well
_LZ4, _ZSTD = 2, 3  # what bitshuffle calls them
_ZSTD_LEVEL, _GZIP_LEVEL = 1, 1

Encoder = Callable[[npt.NDArray[Any]], Any]


def filters(compression: str) -> dict[str, Any]:
    """Arguments of ``h5py.Group.create_dataset`` that declare a compression.

    Parameters
    ----------
    compression : str
        One of `COMPRESSIONS`.

    Raises
    ------
    ValueError
        It is another.
    RuntimeError
        hdf5plugin is missing.

    Examples
    --------
    >>> filters("none"), filters("portable")
    ({}, {'compression': 'gzip', 'compression_opts': 1, 'shuffle': True})
    """
    checks.choice(compression, "compression", COMPRESSIONS)
    if compression == "none":
        return {}
    if compression == "portable":
        return {"compression": "gzip", "compression_opts": _GZIP_LEVEL, "shuffle": True}
    require_plugins(f"compression: {compression!r}")
    options = (_ELEMENTS, _LZ4) if compression == "lz4" else (_ELEMENTS, _ZSTD, _ZSTD_LEVEL)
    return {"compression": BITSHUFFLE, "compression_opts": options}


def require_plugins(what: str) -> None:
    """Register the filters of hdf5plugin, or raise RuntimeError where it is missing.

    Parameters
    ----------
    what : str
        What needs them, for the message.
    """
    if importlib.util.find_spec("hdf5plugin") is None:
        text = f"{what}: hdf5plugin is not installed; pip install 'ptycho_fast[hdf5]' brings it"
        if importlib.util.find_spec("h5py") is not None:
            text += ", and compression='portable' does without"
        raise RuntimeError(text)
    import hdf5plugin  # noqa: F401


def encoder(compression: str, dtype: npt.DTypeLike) -> Encoder:
    r"""What turns a block of patterns into the bytes that HDF5 stores of it.

    Parameters
    ----------
    compression : str
        One of `COMPRESSIONS`.
    dtype : dtype
        Of the patterns.

    Returns
    -------
    callable
        ``encode(block) -> bytes-like`` of a C-contiguous array. It may be called from several
        threads, which then compress at the same time.

    Raises
    ------
    ValueError, RuntimeError
        As `filters`.

    Examples
    --------
    >>> bytes(encoder("none", "<u2")(np.array([1, 2], "<u2")))
    b'\x01\x00\x02\x00'
    """
    options = filters(compression)
    size = np.dtype(dtype).itemsize
    if compression == "none":
        return lambda block: block.reshape(-1).view(np.uint8).data
    if compression == "portable":
        return lambda block: _gzipped(block, size)
    library = _bitshuffle()
    if library is None:
        return lambda block: _by_hdf5(block, options)
    function, bound = library[compression]
    level = () if compression == "lz4" else (_ZSTD_LEVEL,)
    mine = threading.local()

    def encode(block: npt.NDArray[Any]) -> memoryview:
        raw, needed = block.nbytes, 12 + bound(block.size, size, _ELEMENTS)
        out = getattr(mine, "out", None)
        if out is None or len(out) < needed:  # memory that is touched for the first time is slow
            out = mine.out = np.empty(needed, np.uint8)
        # As the filter writes it: bytes of the patterns, and bytes that are taken at once.
        out[:12].view("V12")[0] = raw.to_bytes(8, "big") + (_ELEMENTS * size).to_bytes(4, "big")
        source, target = block.ctypes.data, out.ctypes.data + 12
        written = function(source, target, block.size, size, _ELEMENTS, *level)
        if written < 0:
            raise RuntimeError(f"bitshuffle: error {written} of a block of {raw} bytes")
        return out[: 12 + written].copy().data

    return encode


def _gzipped(block: npt.NDArray[Any], size: int) -> bytes:
    """Byte k of all pixels, for each k, deflated."""
    shuffled = np.ascontiguousarray(block.reshape(-1).view(np.uint8).reshape(-1, size).T)
    return zlib.compress(shuffled.data, _GZIP_LEVEL)


@functools.cache
def _bitshuffle() -> Mapping[str, tuple[Callable[..., int], Callable[..., int]]] | None:
    """Functions of the filter's library by compression; None where it does not show them.

    Called by ctypes they run outside of Python's lock.
    """
    import hdf5plugin

    found = sorted(Path(hdf5plugin.PLUGIN_PATH).glob("*h5bshuf.*"))
    try:
        library = ctypes.CDLL(str(found[0]))
        functions = {}
        for name in ("lz4", "zstd"):
            compress = getattr(library, f"bshuf_compress_{name}")
            bound = getattr(library, f"bshuf_compress_{name}_bound")
            compress.restype, bound.restype = ctypes.c_int64, ctypes.c_size_t
            size, address = ctypes.c_size_t, ctypes.c_void_p
            compress.argtypes = [address, address, size, size, size]
            compress.argtypes += [ctypes.c_int] if name == "zstd" else []
            bound.argtypes = [size, size, size]
            functions[name] = (compress, bound)
    except (IndexError, OSError, AttributeError):
        return None
    return functions


def _by_hdf5(block: npt.NDArray[Any], options: Mapping[str, Any]) -> bytes:
    """The same by the filter itself, in a file in memory, one block after the other."""
    import h5py

    with h5py.File("block", "w", driver="core", backing_store=False) as file:
        stored = file.create_dataset("block", data=block, chunks=block.shape, **options)
        file.flush()
        data: bytes = stored.id.read_direct_chunk((0,) * block.ndim)[1]
    return data
