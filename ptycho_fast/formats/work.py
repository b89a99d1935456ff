"""How a file is written: what may be replaced, how much memory, how many threads."""

import functools
import hashlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.files import written_aside
from ptycho_fast.formats.patterns import Patterns, observers, ranges
from ptycho_fast.progress import StageClock
from ptycho_fast.threads import one_thread_here, thread_count

MEMORY = 2**29
"""Bytes that patterns on their way to a file may take, where nobody says how many."""

Encode = Callable[[int, npt.NDArray[Any]], Any]
"""``encode(first, frames)``: what is stored of a block, an array or bytes."""

_BLOCK_PIXELS = 2**20  # where nobody says how many patterns a block has
_TASK_PIXELS = 2**20  # that a thread makes at once, about; fewer where memory is short
_TO_DISK = 2**24  # bytes that go to the disk at once
_LARGEST_BLOCK = 2**20  # bytes that a format stores as one, where a pixel has up to four
_COPIES = 6  # of a block's pixels at one time: made, converted in double precision, encoded


def require_memory(memory: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
    """Raise ValueError where patterns cannot be written with so little memory, in any format.

    Parameters
    ----------
    memory : int
        Bytes that patterns on their way to a file may take.
    shape : (B, N, N)
        Of all patterns.
    dtype : dtype
        Of a pixel.

    Examples
    --------
    >>> require_memory(3, (10**6, 64, 64), np.uint32)
    Traceback (most recent call last):
    ValueError: memory: 3 bytes given, expected at least 6291456, for one block of patterns
    """
    B, *frame = shape
    pixels, size = max(1, math.prod(frame)), np.dtype(dtype).itemsize
    block = max(_LARGEST_BLOCK, _LARGEST_BLOCK // 4 * size, pixels * size)
    _require(memory, _COPIES * min(block, B * pixels * size))


def _require(memory: int, least: int) -> None:
    if memory < least:
        expected = f"at least {least}, for one block of patterns"
        raise ValueError(checks.wrong("memory", f"{memory} bytes", expected))


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
    notes : list
        What observers of the patterns keep of this block; see `patterns.Observer`.
    """

    first: int
    last: int
    data: Any
    name: str = ""
    notes: list[Any] = field(default_factory=list)

    @functools.cached_property
    def checksum(self) -> bytes:
        """SHA-256 of the data."""
        return hashlib.sha256(self.data).digest()


class Kept(NamedTuple):
    """A block that an earlier run stored: its data, and what observers kept of it."""

    data: bytes
    notes: list[Any]


class Journal(Protocol):
    """What a run that can be resumed keeps of its files and blocks."""

    def aside(
        self, path: str | os.PathLike[str], *, force: bool
    ) -> AbstractContextManager[IO[bytes]]:
        """A file that takes the place of `path` when it is whole, and is kept where it is not."""

    def kept(self, name: str, first: int, last: int) -> Kept | None:
        """A block of an earlier run, if it is whole; may be called from several threads."""

    def stored(self, block: Block, offset: int, size: int) -> None:
        """Keep where a block lies in the file that was opened last."""

    def whole(self, path: str | os.PathLike[str]) -> list[tuple[int, int, list[Any]]] | None:
        """First, last, notes of each block of a file that an earlier run made, if it is whole."""


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
    journal : Journal or None
        What makes it possible to resume the run.
    written : callable or None
        Called when all is written, and what is left is to wait for the disk.
    """

    force: bool = False
    memory: int = MEMORY
    threads: int | None = None
    clock: StageClock = field(default_factory=StageClock)
    journal: Journal | None = None
    written: Callable[[], None] | None = None
    _to_disk: "_ToDisk | None" = field(default=None, init=False, repr=False)

    @contextmanager
    def aside(self, path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
        """A file that takes the place of `path` when it is whole; see `files.written_aside`.

        Libraries that want a name instead of a file open ``file.name``, which is there already.
        """
        aside = self.journal.aside if self.journal else written_aside
        with aside(path, force=self.force) as file, self.written_back(file):
            yield file
            file.flush()
            if self.written:
                self.written()

    @contextmanager
    def written_back(self, file: IO[bytes]) -> Iterator[None]:
        """Have a file go to the disk while it grows, as `stored` or `wrote` tell of its bytes."""
        self._to_disk = _ToDisk(file.fileno())
        try:
            yield
        finally:
            self._to_disk.close()

    def has_made(self, path: str | os.PathLike[str], patterns: Patterns) -> bool:
        """Whether an earlier run made one of several files, and it is whole.

        Parameters
        ----------
        path : path-like
            The file.
        patterns : Patterns
            What is in it, as `blocks` would take them: their observers get their notes back.
        """
        blocks = self.journal.whole(path) if self.journal else None
        for first, last, notes in blocks or ():
            for seer, note in zip(observers(patterns), notes, strict=True):
                seer.restore(first, last, note)
        return blocks is not None

    def blocks(
        self,
        patterns: Patterns,
        per_block: int | None = None,
        encode: Encode | None = None,
        name: str = "diffraction",
    ) -> Iterator[Block]:
        """All patterns in order, block by block.

        Threads make and encode the next ones while the writer writes this one: each takes some
        blocks at a time, with one thread for all that it calls. Blocks that the journal has are
        not made again.

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

        Raises
        ------
        ValueError
            One block takes more than `memory`.
        """
        pixels = max(1, math.prod(patterns.shape[1:]))
        per_pattern = _COPIES * pixels * patterns.dtype.itemsize
        n = per_block or max(1, min(_BLOCK_PIXELS // pixels, self.memory // per_pattern))
        _require(self.memory, min(n, len(patterns)) * per_pattern)
        threads = thread_count(self.threads)
        # Every thread has a task at work and one that is done and waits for the writer.
        fit = min(_TASK_PIXELS // pixels, self.memory // (2 * threads * per_pattern))
        per_task = max(1, fit // n) * n
        depth = max(1, min(2 * threads, self.memory // (per_task * per_pattern)))

        make = functools.partial(self._made, patterns, n, encode, name)
        pool = ThreadPoolExecutor(min(threads, depth), "blocks", one_thread_here)
        tasks = ranges(patterns, per_task)
        waiting: deque[Future[list[Block]]] = deque()
        try:
            for first, last in tasks:
                waiting.append(pool.submit(make, first, last))
                if len(waiting) >= depth:
                    yield from self._counted(waiting.popleft().result())
            while waiting:
                yield from self._counted(waiting.popleft().result())
        finally:
            pool.shutdown(cancel_futures=True)

    def _counted(self, blocks: list[Block]) -> Iterator[Block]:
        while blocks:
            block = blocks.pop(0)  # so that it is gone when the writer has it no more
            yield block
            self.clock.advance(block.last - block.first)

    def _made(
        self, patterns: Patterns, n: int, encode: Encode | None, name: str, first: int, last: int
    ) -> list[Block]:
        """The blocks of `n` patterns from `first` to before `last`."""
        seers = observers(patterns)
        blocks: list[Block] = []
        missing: list[tuple[int, int]] = []
        for start in range(first, last, n):
            end = min(start + n, last)
            kept = self.journal.kept(name, start, end) if self.journal else None
            if kept is None:
                missing.append((start, end))
                continue
            for seer, notes in zip(seers, kept.notes, strict=True):
                seer.restore(start, end, notes)
            blocks.append(Block(start, end, kept.data, name, kept.notes))
        if missing:
            begin = missing[0][0]
            made = np.ascontiguousarray(patterns[begin : missing[-1][1]])
            for start, end in missing:
                frames = made[start - begin : end - begin]
                data = encode(start, frames) if encode else frames
                notes = [seer.notes(start, end) for seer in seers] if self.journal else []
                block = Block(start, end, data, name, notes)
                if self.journal or encode:
                    _ = block.checksum  # here, in a thread of its own
                blocks.append(block)
            blocks.sort(key=lambda block: block.first)
        return blocks

    def stored(self, block: Block, offset: int, size: int) -> None:
        """Learn where the data of a block lie in the file that is being written.

        Parameters
        ----------
        block : Block
            One that `blocks` gave.
        offset, size : int
            First byte in the file, and number of bytes.
        """
        if self.journal:
            self.journal.stored(block, offset, size)
        self.wrote(size)

    def wrote(self, size: int) -> None:
        """Learn of bytes that were written, where no journal keeps their place."""
        if self._to_disk:
            self._to_disk.add(size)


class _ToDisk:
    """Has a file written to the disk while it grows: then the sync at its end has little to do.

    Otherwise systems keep what is written in memory for half a minute.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._size = descriptor, 0
        self._pool = ThreadPoolExecutor(1, "to disk")
        self._task: Future[None] | None = None

    def add(self, size: int) -> None:
        """Learn of bytes that were written."""
        self._size += size
        if self._size >= _TO_DISK and (self._task is None or self._task.done()):
            self._task = self._pool.submit(_sync_quietly, self._descriptor)
            self._size = 0

    def close(self) -> None:
        """Wait for what is under way; the file may be closed then."""
        self._pool.shutdown()


def _sync_quietly(descriptor: int) -> None:
    with suppress(OSError):  # the sync at the end tells
        os.fsync(descriptor)
