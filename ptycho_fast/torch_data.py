"""Patterns as PyTorch's tensors, for `torch.utils.data.DataLoader`; needs the extra ``torch``.

`PatternStream` gives whole batches and is the quicker one; `PatternDataset` gives patterns by
number, for a sampler of your own. Both can be used with any number of workers, however these are
started, and with any number of ranks. A worker makes its patterns on one thread; workers are told
apart by PyTorch, and the bits of a pattern are the same in all of them.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    import torch
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"ptycho_fast.torch_data: {error}; pip install 'ptycho_fast[torch]' brings PyTorch",
        name=error.name,
    ) from error
from torch.utils.data import Dataset, IterableDataset, get_worker_info
from torch.utils.dlpack import from_dlpack

from ptycho_fast import checks
from ptycho_fast.backend.host_arrays import ALIGNMENT
from ptycho_fast.data.order import Order
from ptycho_fast.data.pattern_feed import Batch, PatternFeed
from ptycho_fast.torch_slots import Slots

Tensors = dict[str, torch.Tensor]
_OTHERS = 24  # bytes of a position and a number


class _FromFeed:
    """A feed, in whatever process, and the epoch, which the main process tells all workers."""

    def __init__(self, source: Any, options: dict[str, Any]) -> None:
        self._feed = source if isinstance(source, PatternFeed) else PatternFeed(source, **options)
        if isinstance(source, PatternFeed) and options:
            expected = "none with a PatternFeed, which has its own"
            raise TypeError(checks.wrong("options", ", ".join(options), expected))
        self._state = torch.zeros(2, dtype=torch.int64)  # epoch, first step
        self._state.share_memory_()
        self._worker: int | None = None
        self._slots: Slots | None = None
        self._dtype = self._feed.dtype

    @property
    def feed(self) -> PatternFeed:
        """What makes the patterns; in a worker on one thread, unless a number was given."""
        if get_worker_info() is not None and self._worker != os.getpid():
            self._worker, self._slots = os.getpid(), Slots()
            if self._feed.threads is None:
                self._feed = self._feed.with_threads(1)
        return self._feed

    def _made(self, numbers: npt.NDArray[np.int64], epoch: int) -> Tensors:
        """The tensors of a batch, without a copy; in a worker those of a slot, if one is free."""
        feed = self.feed
        n, N = len(numbers), feed.N
        if self._slots is not None and not feed.on_gpu and n:
            size = n * N**2 * self._dtype.itemsize + _OTHERS * n + 4 * ALIGNMENT
            sent = self._slots.batch(size + (n * N**2 * 8 if feed.patches else 0))
            if sent is not None:
                out = sent.room("patterns", (n, N, N), self._dtype)
                for name, array in feed.batch(numbers, epoch, out=out).items():
                    if array is not out:
                        sent.room(name, array.shape, array.dtype)[...] = array
                return sent
        return tensors(feed.batch(numbers, epoch))

    @property
    def epoch(self) -> int:
        """The epoch that comes next, or is being read."""
        return int(self._state[0])

    def set_epoch(self, epoch: int, step: int = 0) -> None:
        """Say which epoch comes next; workers that go on living are told, too.

        Parameters
        ----------
        epoch : int
            Its number; it decides the order and fresh photons.
        step : int
            Batches that are left out at its beginning, counted over all workers of this rank.

        Raises
        ------
        TypeError, ValueError
            They are no integers, or negative.
        """
        self._state[0] = checks.integer(epoch, "epoch", 0)
        self._state[1] = checks.integer(step, "step", 0)


class PatternDataset(_FromFeed, Dataset[Tensors]):
    """Patterns by number: ``dataset[i]``.

    Parameters
    ----------
    source
        What `ptycho_fast.data.pattern_feed.PatternFeed` takes, or such a feed.
    **options
        Of `PatternFeed`: ``output``, ``patches``, ``noise``, ``domain``, ``backend``, ``threads``.

    Examples
    --------
    A batch is made by one call; with `collate` it is also handed on without a copy:

    >>> dataset = PatternDataset("gs2_ideal")
    >>> loader = torch.utils.data.DataLoader(dataset, 64, shuffle=True, collate_fn=collate)
    >>> batch = next(iter(loader))
    >>> batch["patterns"].shape, batch["positions"].dtype
    (torch.Size([64, 64, 64]), torch.float64)
    """

    def __init__(self, source: Any, **options: Any) -> None:
        super().__init__(source, options)

    def __len__(self) -> int:
        return len(self._feed)

    def __getitem__(self, number: int) -> Tensors:
        """One pattern: the entries of `PatternFeed.batch` without their first axis."""
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers: Sequence[int]) -> "Rows":
        """Several patterns, made by one call; PyTorch asks for a batch like this."""
        return Rows(self._made(np.asarray(numbers, np.int64), self.epoch))


class Rows(Sequence[Tensors]):
    """The patterns of a batch one by one, as parts of the tensors of the batch.

    Attributes
    ----------
    tensors : dict
        The batch.
    """

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors["index"])

    def __getitem__(self, row: Any) -> Any:
        if not 0 <= row < len(self):
            raise IndexError(checks.wrong("row", row, f"0 to {len(self) - 1}"))
        return {name: tensor[row] for name, tensor in self.tensors.items()}


def collate(rows: Sequence[Tensors]) -> Tensors:
    """The batch of rows that `PatternDataset` made together: no copy is needed.

    Parameters
    ----------
    rows : sequence
        From ``PatternDataset.__getitems__``; others are copied as PyTorch does it.

    Returns
    -------
    dict
        The tensors of the batch.
    """
    if isinstance(rows, Rows):
        return rows.tensors
    return torch.utils.data.default_collate(list(rows))


class PatternStream(_FromFeed, IterableDataset[Tensors]):
    """Whole batches, in order or shuffled; give it to a loader with ``batch_size=None``.

    Parameters
    ----------
    source
        What `ptycho_fast.data.pattern_feed.PatternFeed` takes, or such a feed.
    batch_size : int
        Patterns in a batch.
    shuffle : bool
        Whether every epoch has its own order.
    block, seed, drop_last
        Of `ptycho_fast.data.order.Order`.
    rank, ranks : int, optional
        Which of the processes that train together this is, and their number; by default as
        ``torch.distributed`` says, if it is initialised when the stream is made, else one.
    epochs : int or None
        Epochs of one iteration; None: without end.
    **options
        Of `PatternFeed`: ``output``, ``patches``, ``noise``, ``domain``, ``backend``, ``threads``.

    Notes
    -----
    Without `block` (and campaigns have one) the batches are the same in the same order for any
    number of workers, so that a run may go on with another number.

    Examples
    --------
    >>> stream = PatternStream("gs2_ideal", batch_size=256, shuffle=True, output="counts")
    >>> loader = torch.utils.data.DataLoader(stream, batch_size=None)
    >>> stream.set_epoch(3)
    >>> [batch["patterns"].shape[0] for batch in loader]
    [256, 256, 256, 256]
    """

    def __init__(
        self,
        source: Any,
        batch_size: int = 64,
        *,
        shuffle: bool = False,
        block: int | None = None,
        seed: int = 42,
        drop_last: bool = False,
        rank: int | None = None,
        ranks: int | None = None,
        epochs: int | None = 1,
        **options: Any,
    ) -> None:
        super().__init__(source, options)
        if rank is None and ranks is None:
            rank, ranks = _distributed()
        self._order = self._feed.order(
            Order(
                batch_size=batch_size,
                shuffle=shuffle,
                block=block,
                seed=seed,
                rank=0 if rank is None else rank,
                ranks=1 if ranks is None else ranks,
                drop_last=drop_last,
            )
        )
        self._epochs = None if epochs is None else checks.count(epochs, "epochs")
        self._order.batches(self._feed.n_patterns)  # an error now, not in a worker

    def __len__(self) -> int:
        if self._order.block is not None or self._epochs is None:
            raise TypeError("len: it depends on the number of workers, or there is no end")
        return self._order.steps(len(self._feed)) * self._epochs

    def __iter__(self) -> Iterator[Tensors]:
        epoch, step = self._state.tolist()
        order = self._order
        if (worker := get_worker_info()) is not None:
            order = order.of_worker(worker.id, worker.num_workers)
        how = {"epoch": epoch, "epochs": self._epochs, "first_step": step}
        if worker is None:  # several small batches by one call
            return map(tensors, self.feed.batches(order, **how))
        return (self._made(numbers, turn) for turn, numbers in self.feed.numbers(order, **how))


def _distributed() -> tuple[int, int]:
    """Rank and number of ranks."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def tensors(batch: Batch) -> Tensors:
    """A batch of `PatternFeed` as tensors that share the memory of its arrays.

    Parameters
    ----------
    batch : dict
        Of NumPy or CuPy arrays.
    """
    return {
        name: torch.from_numpy(array) if isinstance(array, np.ndarray) else from_dlpack(array)
        for name, array in batch.items()
    }
