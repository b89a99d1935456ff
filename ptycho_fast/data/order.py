"""Which patterns come when, and who makes them: a calculation with numbers, without a table.

The patterns of an epoch stand in a row, in their own order or shuffled. The row is cut into pieces,
which are dealt out to the ranks, and those of a rank to its workers, like cards. Whatever their
numbers, each pattern is dealt once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.permutation import Permutation

_AT_ONCE = 4096  # numbers that are shuffled in one go
_ENDLESS = 2**62
_WHOLE_BLOCKS = 2**63  # a tweak that is no number of a block


@dataclass(frozen=True, kw_only=True)
class Order:
    """How the patterns of a data set become batches.

    Attributes
    ----------
    batch_size : int
        Patterns in a batch; the last one may be smaller.
    shuffle : bool
        Whether every epoch has its own order.
    block : int, optional
        So many patterns that follow each other stay together: they are dealt to one worker, and
        shuffled among themselves; so are the whole blocks. For data of which neighbours are quickly
        made or read together. By default one batch is dealt at a time, and all patterns are
        shuffled; the batches are then the same, in the same order, for any number of workers.
    seed : int
        Seed of the order.
    rank, ranks : int
        Which of the processes that train together this is for, and their number.
    worker, workers : int
        Which of the workers that make the batches of a rank this is, and their number.
    drop_last : bool
        Leave out batches that are not full or that other ranks do not have, so that all ranks have
        as many.

    Raises
    ------
    TypeError, ValueError
        A value is not allowed.

    Examples
    --------
    >>> for rank in (0, 1):
    ...     print([list(map(int, b)) for b in Order(batch_size=2, rank=rank, ranks=2).batches(7)])
    [[0, 1], [4, 5]]
    [[2, 3], [6]]
    """

    batch_size: int = 64
    shuffle: bool = False
    block: int | None = None
    seed: int = 42
    rank: int = 0
    ranks: int = 1
    worker: int = 0
    workers: int = 1
    drop_last: bool = False

    def __post_init__(self) -> None:
        checks.count(self.batch_size, "batch_size")
        checks.seed(self.seed)
        if self.block is not None:
            checks.count(self.block, "block")
        for name in ("rank", "worker"):
            whole = checks.count(getattr(self, f"{name}s"), f"{name}s")
            checks.integer(getattr(self, name), name, 0, whole - 1)

    def of_worker(self, worker: int, workers: int) -> Self:
        """The order of one of the workers of this rank."""
        return replace(self, worker=worker, workers=workers)

    def steps(self, n: int) -> int:
        """Number of batches of an epoch of n patterns, for this rank and worker."""
        if self.drop_last:
            return min(self._share(n, rank) for rank in range(self.ranks)) // self.batch_size
        return -(-self._share(n, self.rank) // self.batch_size)

    def share(self, n: int) -> int:
        """Number of patterns of an epoch of n patterns, for this rank and worker."""
        share = self._share(n, self.rank)
        return min(share, self.steps(n) * self.batch_size) if self.drop_last else share

    def batches(
        self, n: int | None, *, epoch: int = 0, first_step: int = 0
    ) -> Iterator[npt.NDArray[np.int64]]:
        """Pattern numbers of each batch of an epoch.

        Parameters
        ----------
        n : int or None
            Number of patterns; None: there is no end.
        epoch : int
            Which epoch.
        first_step : int
            Batches of this rank and worker that are left out at the beginning.

        Yields
        ------
        (m,) int64
            Pattern numbers.

        Raises
        ------
        TypeError, ValueError
            An argument is no integer or out of range; or patterns without end are to be shuffled,
            and there is no `block`.
        """
        epoch = checks.integer(epoch, "epoch", 0, 2**60)
        first_step = checks.integer(first_step, "first_step", 0)
        if n is None and self.shuffle and self.block is None:
            raise ValueError(
                checks.wrong("block", None, "a number, to shuffle patterns without end")
            )
        return self._batches(n, epoch, first_step)

    def _batches(
        self, n: int | None, epoch: int, first_step: int
    ) -> Iterator[npt.NDArray[np.int64]]:
        size, piece = self.batch_size, self._piece
        end = _ENDLESS if n is None else self.share(n)
        consumer, consumers = self.rank + self.ranks * self.worker, self.ranks * self.workers
        shuffled = self._shuffled(n, epoch)
        at_once = size * max(1, _AT_ONCE // size)
        for first in range(first_step * size, end, at_once):
            mine = np.arange(first, min(first + at_once, end))
            places = (consumer + consumers * (mine // piece)) * piece + mine % piece
            numbers = shuffled(places) if self.shuffle else places
            for start in range(0, len(numbers), size):
                yield numbers[start : start + size]

    @property
    def _piece(self) -> int:
        return self.block or self.batch_size

    def _share(self, n: int, rank: int) -> int:
        """Patterns of a rank, for this worker."""
        consumer, consumers = rank + self.ranks * self.worker, self.ranks * self.workers
        whole, rest = divmod(n, self._piece)
        share = max(0, -(-(whole - consumer) // consumers)) * self._piece
        return share + (rest if whole % consumers == consumer else 0)

    def _shuffled(
        self, n: int | None, epoch: int
    ) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]]:
        """The pattern number at each place of the row. Blocks that are not full stay at the end."""
        if n is not None and not n:
            return lambda places: places
        if self.block is None:
            return Permutation(n or 1, self.seed, epoch)
        block = self.block
        inside = Permutation(block, self.seed, epoch)
        blocks, rest = (0, 0) if n is None else divmod(n, block)
        outside = Permutation(blocks, self.seed, epoch) if blocks else None
        at_end = Permutation(rest, self.seed, epoch) if rest else None

        def shuffled(places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
            which, where = np.divmod(places, block)
            if outside is not None:
                full = which < blocks
                which[full] = outside(which[full], tweak=_WHOLE_BLOCKS)
            numbers = which * block + inside(where, which)
            if at_end is not None and (last := which == blocks).any():
                numbers[last] = blocks * block + at_end(where[last], blocks)
            return numbers

        return shuffled
