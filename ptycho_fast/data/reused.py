"""Arrays in memory that is used again: the first touch of new memory costs a page fault each 4 KiB.

For large arrays that come and go, one after the other and several at a time, these faults take as
long as simulating the patterns in them.
"""

import ctypes
import math
import threading
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.backend.host_arrays import empty_aligned


class Pool:
    """Memory of arrays that nobody uses any more, for the next ones.

    Examples
    --------
    >>> pool = Pool()
    >>> a = pool.array((2, 3), np.float32)
    >>> place = a.ctypes.data
    >>> del a
    >>> pool.array((2, 3), np.float32).ctypes.data == place
    True
    """

    def __init__(self) -> None:
        self._free: list[npt.NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Uninitialised, 64-byte aligned array; its memory comes back when its last view ends.

        Parameters
        ----------
        shape : tuple of int
            Its shape, not empty.
        dtype : dtype
            Its type.
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory = self._taken(size)
        lease = (ctypes.c_char * size).from_address(memory.ctypes.data)
        weakref.finalize(lease, self._free.append, memory).atexit = False
        return np.frombuffer(memoryview(lease), np.dtype(dtype)).reshape(shape)

    def _taken(self, size: int) -> npt.NDArray[np.uint8]:
        with self._lock:
            for i, memory in enumerate(self._free):
                if len(memory) >= size:
                    return self._free.pop(i)
            self._free.clear()  # too small ones
        return empty_aligned((size,), np.uint8)
