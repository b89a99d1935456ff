"""Patterns as batches, for any framework: from a scenario, a campaign, a recipe or a data set.

The bits of a pattern depend on its number and the epoch alone, never on the batch that it is in or
on who makes it. Only the patterns of a batch are made or read.
"""

import os
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import replace
from itertools import count, groupby, islice
from operator import itemgetter
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.ahead import made_ahead
from ptycho_fast.backend import gpu_arrays, host_arrays
from ptycho_fast.backend.protocol import Gate
from ptycho_fast.campaign import Campaign
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.data.order import Order
from ptycho_fast.data.source import NOISES, OUTPUTS, Given, Source, opened
from ptycho_fast.errors import ScenarioError
from ptycho_fast.experiment import Experiment
from ptycho_fast.scenario import Scenario

_CALL_PIXELS = 2**20  # of patterns that are made in one call, for several small batches
_WITHOUT_END = 2**62  # of patterns

Batch = dict[str, Any]
Numbers = tuple[int, npt.NDArray[np.int64]]


class PatternFeed:
    """The patterns of a source, batch by batch.

    Parameters
    ----------
    source : Scenario, Simulator, Experiment, Campaign, Dataset, str or path-like
        What patterns are of: a scenario or its name, which are made when they are asked for; the
        experiments of a campaign (a scenario with ranges is one, without end); a data set, also one
        of which the patterns are not in memory; or the path of a file of any format, a recipe too.
    output : {"patterns", "counts", "amplitude"}
        Patterns as the source has them; photon counts, or an error; or normalised amplitudes.
    patches : bool
        Whether batches have the true object at each position, too.
    noise : {"fixed", "fresh"}
        The photons of the data set in all epochs, or new ones in every epoch; 0 has the former.
    domain : str, optional
        Meaning of the patterns, for a file that does not say.
    backend : str
        Backend of the simulator.
    threads : int, optional
        Threads of the simulator; by default as they are for it.
    on_gpu : bool
        Whether batches are CuPy arrays, with the backend "cuda".

    Raises
    ------
    ScenarioError, ValueError, TypeError, OSError
        An argument is wrong, or the source cannot be opened or simulated.

    Examples
    --------
    >>> feed = PatternFeed("gs2_ideal", output="counts")
    >>> feed
    PatternFeed(1024 patterns of 64 x 64, counts)
    >>> feed.batch([900, 3])["patterns"].shape
    (2, 64, 64)
    >>> order = Order(batch_size=500, shuffle=True)
    >>> [batch["index"][:2].tolist() for batch in feed.batches(order)]
    [[559, 998], [888, 50], [607, 840]]
    """

    def __init__(
        self,
        source: Given | Experiment | Scenario | str | os.PathLike[str],
        *,
        output: str = "amplitude",
        patches: bool = False,
        noise: str = "fixed",
        domain: str | None = None,
        backend: str = "auto",
        threads: int | None = None,
        on_gpu: bool = False,
    ) -> None:
        self.output = checks.choice(output, "output", OUTPUTS)
        self.noise = checks.choice(noise, "noise", NOISES)
        self.patches, self.on_gpu = patches, on_gpu
        self._how: dict[str, Any] = {"domain": domain, "backend": backend, "threads": threads}
        self._from = source
        self._open()
        self._first.check(self.output, self.noise)

    # --- the source ---

    def _open(self) -> None:
        given = opened(self._from, **self._how)
        if isinstance(given, Campaign):
            given.require_same_frames()
            self._source = None
        else:
            self._source = Source(given=given, **self._made_by)
        in_file = isinstance(given, Dataset) and isinstance(self._from, str | os.PathLike)
        if not in_file:
            self._from = given  # what other processes get; a file is opened by each for itself
        self._given, self._process = given, os.getpid()

    @property
    def _made_by(self) -> dict[str, Any]:
        return {"backend": self._how["backend"]}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_given": None, "_source": None, "_process": None}

    @property
    def given(self) -> Given:
        """The source; a file is opened anew in a process that was forked or that got a copy."""
        if self._process != os.getpid():
            self._open()
        return self._given

    def with_threads(self, threads: int | None) -> Self:
        """The same feed, of which a call takes another number of threads.

        Parameters
        ----------
        threads : int or None
            As for `Simulator`. Patterns that are read, not made, are not concerned.
        """
        given = self.given
        other = copy(self)
        other._how = self._how | {"threads": threads}
        if not isinstance(given, Dataset):
            other._from = given.with_threads(threads)
        other._open()
        return other

    @property
    def threads(self) -> int | None:
        """As given."""
        return self._how["threads"]

    @property
    def campaign(self) -> Campaign | None:
        """The campaign, if patterns are of one."""
        return self.given if isinstance(self.given, Campaign) else None

    @property
    def n_patterns(self) -> int | None:
        """Number of patterns; None for a campaign without end."""
        given = self.given
        return given.total if isinstance(given, Campaign) else given.n_patterns

    @property
    def N(self) -> int:
        """Patch side, pixels."""
        given = self.given
        return given.template.N if isinstance(given, Campaign) else given.N

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a batch's patterns; of the experiments of a campaign that of the first one."""
        if self.output == "amplitude":
            return np.dtype(np.float32)
        return self._first.dtype(self.output)

    @property
    def _first(self) -> Source:
        """The source, or that of the first experiment."""
        given = self.given
        if isinstance(given, Campaign):
            return Source(given=given.simulator(0), **self._made_by)
        assert self._source is not None
        return self._source

    def __len__(self) -> int:
        if self.n_patterns is None:
            raise TypeError("len: a campaign without end given, expected one with count")
        return self.n_patterns

    def __repr__(self) -> str:
        many = "patterns without end" if self.n_patterns is None else f"{self.n_patterns} patterns"
        return f"PatternFeed({many} of {self.N} x {self.N}, {self.output})"

    # --- batches ---

    def batch(self, numbers: npt.ArrayLike, epoch: int = 0, *, out: Any = None) -> Batch:
        """Any patterns.

        Parameters
        ----------
        numbers : (n,) array of integers
            Pattern numbers, in any order, also repeated; of a campaign counted through all
            experiments.
        epoch : int
            Whose photons, if `noise` is fresh.
        out : (n, N, N) array, optional
            Array for the patterns, of the type `dtype`; an error may leave it half written.

        Returns
        -------
        dict
            ``patterns`` (n, N, N); ``positions`` (n, 2) float64, the true ``[x, y]`` in object
            pixels; ``index`` (n,) int64, the numbers; and ``patches`` (n, N, N) complex64, if they
            are wanted. Patterns and patches are CuPy arrays with `on_gpu`.

        Raises
        ------
        TypeError, ValueError, IndexError
            An argument is at fault.
        ScenarioError
            A pattern cannot be made.
        """
        end = _WITHOUT_END if self.n_patterns is None else self.n_patterns
        indices = checks.indices(numbers, None, end)
        epoch = checks.integer(epoch, "epoch", 0)
        drawn = epoch if self.noise == "fresh" else None
        campaign = self.campaign
        if campaign is None:
            found = self._of(self._first, indices, drawn, out)
        else:
            experiments, within = campaign.locate(indices)
            numbers, first = np.unique(experiments, return_index=True)
            parts = []
            for k in map(int, numbers[np.argsort(first)] if len(indices) else [0]):
                here = np.flatnonzero(experiments == k)
                with campaign.naming(k, (ScenarioError,)):
                    source = Source(given=campaign.simulator(k), **self._made_by)
                    to = out if len(numbers) == 1 else None
                    parts.append((here, self._of(source, within[here], drawn, to)))
            found = _joined(parts, len(indices), out)
        return {**found, "index": indices}

    def _of(
        self, source: Source, numbers: npt.NDArray[np.int64], epoch: int | None, out: Any
    ) -> Batch:
        """The patterns of one experiment or data set."""
        positions = source.positions[numbers]
        found = {
            "patterns": source.patterns(numbers, self.output, epoch, self.on_gpu, out),
            "positions": positions,
        }
        if self.patches:
            found["patches"] = source.patches(positions, self.on_gpu)
        return found

    def order(self, order: Order | None = None) -> Order:
        """The order to use: for a campaign, which is slow from experiment to experiment, by blocks.

        Parameters
        ----------
        order : Order, optional
            What is asked for. If it has no `Order.block`, patterns of a campaign get one: as many
            as one experiment has, or with `Order.shuffle` half of those that a campaign keeps in
            memory, so that also where two blocks meet in a batch none is made twice.
        """
        order = order or Order()
        campaign = self.campaign
        if campaign is None or order.block is not None:
            return order
        experiments = max(1, campaign.kept // 2) if order.shuffle else 1
        return replace(order, block=experiments * (campaign.n_patterns(0) or 1))

    def batches(
        self,
        order: Order | None = None,
        *,
        epoch: int = 0,
        epochs: int | None = 1,
        first_step: int = 0,
        ahead: int = 0,
    ) -> Iterator[Batch]:
        """Batches of some epochs.

        Parameters
        ----------
        order : Order, optional
            Size of a batch, shuffling, and which rank and worker it is for; see `order`.
        epoch : int
            The epoch to begin with.
        epochs : int or None
            Number of epochs; None: go on without end.
        first_step : int
            Batches of the first epoch that are left out, to go on where a run was ended; counted
            over all workers of this rank, which go on in turn. With `Order.block` that is exact as
            long as no worker has come to its end, and their number stays the same.
        ahead : int
            Batches that a thread makes before they are asked for.

        Yields
        ------
        dict
            As `batch` describes it.

        Raises
        ------
        TypeError, ValueError
            An argument is wrong.
        """
        ahead = checks.integer(ahead, "ahead", 0)
        order = self.order(order)
        numbers = self.numbers(order, epoch=epoch, epochs=epochs, first_step=first_step)
        batches = self._batches(numbers, order)
        return made_ahead(batches, ahead) if ahead else batches

    def _batches(self, numbers: Iterator[Numbers], order: Order) -> Iterator[Batch]:
        """Small batches are made together, by one call, and handed out as parts of it."""
        patterns = min(_CALL_PIXELS // self.N**2, order.block or _CALL_PIXELS)
        together = max(1, patterns // order.batch_size)
        for epoch, of_epoch in groupby(numbers, key=itemgetter(0)):
            while some := [each for _, each in islice(of_epoch, together)]:
                made = self.batch(np.concatenate(some) if len(some) > 1 else some[0], epoch)
                start = 0
                for one in some:
                    end = start + len(one)
                    yield {name: array[start:end] for name, array in made.items()}
                    start = end

    def numbers(
        self,
        order: Order | None = None,
        *,
        epoch: int = 0,
        epochs: int | None = 1,
        first_step: int = 0,
    ) -> Iterator[Numbers]:
        """Which patterns the batches of some epochs have.

        Parameters
        ----------
        order, epoch, epochs, first_step
            As for `batches`.

        Yields
        ------
        epoch : int
            The epoch of a batch.
        numbers : (n,) int64
            The pattern numbers in it, as `batch` takes them.

        Raises
        ------
        TypeError, ValueError
            An argument is wrong.
        """
        order = self.order(order)
        epoch = checks.integer(epoch, "epoch", 0)
        first_step = checks.integer(first_step, "first_step", 0)
        order.batches(self.n_patterns)  # an error now, not with the first batch
        if epochs is None:
            return self._numbers(order, count(epoch), first_step)
        turns = range(epoch, epoch + checks.count(epochs, "epochs"))
        return self._numbers(order, turns, first_step)

    def _numbers(self, order: Order, turns: Iterable[int], first_step: int) -> Iterator[Numbers]:
        """Workers take their batches in turn, also from one epoch to the next."""
        in_turn, workers = order.block is None, order.workers
        dealt = -first_step  # batches of this rank, before the epoch
        for epoch in turns:
            worker = (order.worker - dealt) % workers if in_turn else order.worker
            mine, step = order.of_worker(worker, workers), -(-(first_step - worker) // workers)
            for numbers in mine.batches(self.n_patterns, epoch=epoch, first_step=max(0, step)):
                yield epoch, numbers
            first_step = 0
            if in_turn and self.n_patterns is not None:
                dealt += order.of_worker(0, 1).steps(self.n_patterns)


def _joined(parts: list[tuple[npt.NDArray[np.intp], Batch]], n: int, patterns: Any = None) -> Batch:
    """One batch of the patterns of several experiments; the arrays of a single one as they are."""
    if len(parts) == 1:
        return parts[0][1]
    out: Batch = {} if patterns is None else {"patterns": patterns}
    for here, found in parts:
        for name, array in found.items():
            if name not in out:
                out[name] = _like(array, n)
            if array.dtype != out[name].dtype:
                expected = f"{out[name].dtype} as in the others"
                raise ValueError(
                    checks.wrong("detector", f"{array.dtype} in one experiment", expected)
                )
            out[name][here] = array
    return out


def _like(array: Any, n: int) -> Any:
    """An uninitialised array for n of such items, where this one is."""
    gate: Gate = gpu_arrays if gpu_arrays.any_on_gpu(array) else host_arrays
    return gate.empty_aligned((n, *array.shape[1:]), array.dtype)
