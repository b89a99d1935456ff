"""How a file is written: what may be replaced, how much memory, how many threads."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.files import written_aside
from ptycho_fast.formats.patterns import Patterns, ranges
from ptycho_fast.progress import StageClock

MEMORY = 2**29
"""Bytes that patterns on their way to a file may take, where nobody says how many."""

Encode = Callable[[int, npt.NDArray[Any]], Any]
"""``encode(first, frames)``: what is stored of a block, an array or bytes."""


@dataclass(frozen=True, eq=False)
class Block:
    """Some patterns in a row, as they go to a file.

    Attributes
    ----------
    first, last : int
        Patterns `first` to before `last`.
    data : bytes-like or ndarray
        What `encode` made of them; the patterns as they are, in C order, where there is none.
    name : str
        Name of the array in the file.
    """

    first: int
    last: int
    data: Any
    name: str = ""


@dataclass(eq=False)
class Work:
    """How a writer works; made for each file.

    A writer opens its file by `aside`, takes the patterns from `blocks`, and tells `stored` where
    each of them lies, which a run that is resumed needs to know.

    Attributes
    ----------
    force : bool
        Whether existing files may be replaced.
    memory : int
        Bytes that patterns on their way to the file may take.
    threads : int or None
        Threads that make and encode them; None: as many as there are cores.
    clock : StageClock
        Told of the patterns that are written.
    """

    force: bool = False
    memory: int = MEMORY
    threads: int | None = None
    clock: StageClock = field(default_factory=StageClock)

    @contextmanager
    def aside(self, path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
        """A file that takes the place of `path` when it is whole; see `files.written_aside`.

        Libraries that want a name instead of a file open ``file.name``, which is there already.
        """
        with written_aside(path, force=self.force) as file:
            yield file

    def blocks(
        self,
        patterns: Patterns,
        per_block: int | None = None,
        encode: Encode | None = None,
        name: str = "diffraction",
    ) -> Iterator[Block]:
        """All patterns in order, block by block, each made and encoded when it is asked for.

        Parameters
        ----------
        patterns : Patterns
            An array, or patterns that are not in memory; those may be read from several threads.
        per_block : int, optional
            Patterns in a block; the last one may have fewer.
        encode : callable, optional
            ``encode(first, frames)``: what is stored of a block. May be called from several
            threads, and must depend on its arguments alone.
        name : str
            Name of the array in the file. One that is written twice has two names.

        Yields
        ------
        Block
            In order. The writer passes each to `stored` before it asks for the next.
        """
        for first, last in ranges(patterns, per_block):
            frames = np.ascontiguousarray(patterns[first:last])
            yield Block(first, last, encode(first, frames) if encode else frames, name)
            self.clock.advance(last - first)

    def stored(self, block: Block, offset: int, size: int) -> None:
        """Learn where the data of a block lie in the file that is being written.

        Parameters
        ----------
        block : Block
            One that `blocks` gave.
        offset, size : int
            First byte in the file, and number of bytes.
        """
