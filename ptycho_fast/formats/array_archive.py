"""Write an ``.npz`` archive array by array, patterns block by block: the bytes of ``np.savez``."""

import zipfile
from contextlib import nullcontext, suppress
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from ptycho_fast.formats.patterns import Patterns
from ptycho_fast.formats.work import Work


class ArrayArchive:
    """An open archive; a context manager.

    Parameters
    ----------
    file : binary file
        To write to; it can seek.
    work : Work
        Where the blocks of patterns come from.
    """

    def __init__(self, file: IO[bytes], work: Work) -> None:
        self._file, self._work = file, work
        self._archive = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True)

    def write(self, key: str, array: npt.NDArray[Any]) -> None:
        """Write an array under a key."""
        with self._archive.open(f"{key}.npy", "w", force_zip64=True) as to:
            np.lib.format.write_array(to, np.asanyarray(array), allow_pickle=False)

    def stream(self, key: str, patterns: Patterns) -> None:
        """Write patterns under a key; only some of them are in memory at a time."""
        header = {
            "descr": np.lib.format.dtype_to_descr(patterns.dtype),
            "fortran_order": False,
            "shape": tuple(patterns.shape),
        }
        with self._archive.open(f"{key}.npy", "w", force_zip64=True) as to:
            np.lib.format.write_array_header_1_0(to, header)
            for block in self._work.blocks(patterns, name=key):
                offset = self._file.tell()
                data = memoryview(block.data).cast("B")
                to.write(data)
                self._work.stored(block, offset, len(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        with suppress(OSError) if kind else nullcontext():  # the first error is the one to tell
            self._archive.close()
