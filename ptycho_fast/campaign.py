"""Many experiments of one scenario that gives ranges, choices and distributions instead of values.

Experiment k is a pure function of the scenario and k: which others are made, in what order, by how
many workers, changes nothing.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.backend import host_arrays
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.errors import ScenarioError
from ptycho_fast.experiment import Experiment
from ptycho_fast.keys import wrong
from ptycho_fast.scenario import Scenario, resolve, toml
from ptycho_fast.scenario.draws import Draws, key_seed
from ptycho_fast.simulation import dataset_of
from ptycho_fast.simulator import Simulator

MOST_EXPERIMENTS = 2**32
"""Seeds of 32 bits are different for as many experiments."""

_SEED_STEP = 0x9E3779B97F4A7C15  # odd: its multiples are all different modulo a power of two
_COUNTED_AT_ONCE = 1024  # experiments whose numbers of patterns are drawn in one go


class Campaign:
    """Experiments 0, 1, 2, ... of a scenario, each with draws and seeds of its own.

    A key that the scenario draws takes its value from ``seeds.campaign``, the name of the key and
    k, so that another key more or less changes no draw of the others. Each seed of experiment k
    (object, probe, scan, photons, groups, detector) is derived from ``seeds.campaign``, the
    scenario's own seed and k; no two experiments share one. A seed that is drawn is left as drawn:
    ``seeds.object = {choice = [42]}`` gives all experiments the object of seed 42.

    Parameters
    ----------
    scenario : Scenario, str or path
        The description, with or without ranges, or the name or path of one.
    count : int, optional
        Number of experiments; without it that of a recipe, and else there is no end.
    backend, device, threads
        As for `Simulator`.
    kept : int
        Experiments that are kept in memory, those used last.

    Attributes
    ----------
    template : Scenario
        The description.
    count : int or None
        Number of experiments.
    kept : int
        As given.

    Raises
    ------
    ScenarioError
        There is no such scenario.
    TypeError, ValueError
        Another argument is at fault.

    Examples
    --------
    >>> zoo = Scenario.preset("gs2_ideal").replace(
    ...     {"scan.n_patterns": 100, "dose.nphotons": {"min": 1e5, "max": 1e9, "scale": "log"}}
    ... )
    >>> campaign = Campaign(zoo)
    >>> campaign.draws(3)
    {'dose.nphotons': 9996284.24753}
    >>> campaign.scenario(3).dose.nphotons
    9996284.24753
    >>> campaign.locate([0, 99, 100, 250])
    (array([0, 0, 1, 2]), array([ 0, 99,  0, 50]))
    """

    def __init__(
        self,
        scenario: Scenario | str | os.PathLike[str],
        *,
        count: int | None = None,
        backend: str = "auto",
        device: int | None = None,
        threads: int | None = None,
        kept: int = 4,
    ) -> None:
        self.template = scenario if isinstance(scenario, Scenario) else resolve(scenario)
        self.count = None
        if count is None and not isinstance(scenario, Scenario):
            count = _recorded_count(scenario)
        if count is not None:
            self.count = checks.integer(count, "count", 1, MOST_EXPERIMENTS)
        self._how: dict[str, Any] = {"backend": backend, "device": device, "threads": threads}
        self.kept = checks.count(kept, "kept")
        self._drawing = Draws(self.template)
        self._made: OrderedDict[int, Future[Simulator]] = OrderedDict()
        self._ends = np.zeros(0, np.int64)
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        how = {**self._how, "count": self.count, "kept": self.kept}
        return _rebuilt, (self.template, how)

    def __repr__(self) -> str:
        many = "experiments without end" if self.count is None else f"{self.count} experiments"
        keys = ", ".join(self.drawn) or "the seeds alone"
        return f"Campaign({self.template.name!r}, {many}, draws {keys})"

    def with_threads(self, threads: int | None) -> Self:
        """The same campaign, with another number of threads.

        Parameters
        ----------
        threads : int or None
            As for `Simulator`.
        """
        how = {**self._how, "threads": threads}
        return type(self)(self.template, count=self.count, kept=self.kept, **how)

    @property
    def drawn(self) -> list[str]:
        """Dotted keys that are drawn; ``object.choice`` stands for a choice of whole tables."""
        return self._drawing.keys

    # --- one experiment ---

    def draws(self, k: int) -> dict[str, Any]:
        """The drawn values of experiment k.

        Parameters
        ----------
        k : int
            Number of the experiment, from 0.

        Returns
        -------
        dict
            Values by dotted key. Of a choice of tables, ``object.choice`` is the number of the one
            that was drawn, from 0, and ``object.kind`` its kind.

        Raises
        ------
        TypeError, ValueError
            There is no such experiment.
        """
        return self._drawing.at(self._number(k))[0]

    def scenario(self, k: int) -> Scenario:
        """The scenario of experiment k, without ranges: it can be simulated by itself.

        Parameters
        ----------
        k : int
            Number of the experiment, from 0.

        Returns
        -------
        Scenario
            A pure function of `template` and k.

        Raises
        ------
        TypeError, ValueError
            There is no such experiment.
        ScenarioError
            The draws do not go together; the message has k and the draws.
        """
        k = self._number(k)
        changes = self._drawing.at(k)[1]
        with self.naming(k):
            scenario = self.template.replace(self._seeds(k) | changes)
            scenario.require_runnable()
        return scenario

    def simulator(self, k: int) -> Simulator:
        """What makes the patterns of experiment k; the last ones are kept.

        Parameters
        ----------
        k : int
            Number of the experiment, from 0.

        Returns
        -------
        Simulator
            Of `scenario` (k). Threads that ask for it at the same time get the same one.

        Raises
        ------
        TypeError, ValueError, RuntimeError, OSError
            As `Simulator`.
        ScenarioError
            The experiment cannot be made; the message has k and the draws.
        """
        k = self._number(k)
        with self._lock:
            made = self._made.get(k)
            mine = made is None
            if made is None:
                made = self._made[k] = Future()
            self._made.move_to_end(k)
            while len(self._made) > self.kept:
                self._made.popitem(last=False)
        if mine:
            try:
                scenario = self.scenario(k)
                with self.naming(k):
                    made.set_result(Simulator(scenario, **self._how))
            except BaseException as error:
                with self._lock:
                    self._made.pop(k, None)
                made.set_exception(error)
        return made.result()

    def experiment(self, k: int) -> Experiment:
        """Object, probe, positions and dose of experiment k; see `simulator`."""
        return self.simulator(k).experiment

    def dataset(self, k: int) -> Dataset:
        """The whole data set of experiment k, in memory, with its draws in the provenance."""
        simulator = self.simulator(k)
        with self.naming(k):
            dataset = dataset_of(simulator)
        dataset.provenance["campaign"] = self.record(k)
        return dataset

    def record(self, k: int) -> dict[str, Any]:
        """What a file tells of the campaign that it is from.

        Parameters
        ----------
        k : int
            Number of the experiment, from 0.

        Returns
        -------
        dict
            ``scenario`` (with its ranges), ``k`` and ``draws``; plain JSON types.
        """
        k = self._number(k)
        return {"scenario": self.template.to_dict(), "k": k, "draws": _plain(self.draws(k))}

    @contextmanager
    def naming(
        self, k: int, errors: tuple[type[Exception], ...] = (ValueError, TypeError)
    ) -> Iterator[None]:
        """Within it errors about values say which experiment and which draws they come from.

        Parameters
        ----------
        k : int
            Number of the experiment.
        errors : tuple of types
            Which errors become a ScenarioError with k and the draws.
        """
        try:
            yield
        except errors as error:
            draws = self._drawing.at(k)[0]
            values = ", ".join(f"{key} = {value!r}" for key, value in draws.items())
            raise ScenarioError(
                f"experiment {k} ({values or 'no draws'}): {error}; draw from less, or leave this "
                f"experiment out (--skip {k})",
                key=getattr(error, "key", ""),
            ) from error
        except (OSError, MemoryError, RuntimeError) as error:
            error.add_note(f"in experiment {k}")
            raise

    # --- patterns of all experiments under one index ---

    def n_patterns(self, k: int) -> int | None:
        """Number of patterns of experiment k; None where only a file of positions knows it."""
        return self._patterns(range(self._number(k), k + 1))[0]

    @property
    def total(self) -> int | None:
        """Number of patterns of all experiments; None without end."""
        return None if self.count is None else self._end()

    def locate(self, indices: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Experiment, and pattern in it, of patterns that are counted through all experiments.

        Parameters
        ----------
        indices : (n,) array of integers
            Pattern 0 is the first one of experiment 0; after its last one comes the first one of
            experiment 1.

        Returns
        -------
        experiments, patterns : (n,) int64
            Numbers k, and pattern numbers in experiment k.

        Raises
        ------
        TypeError, IndexError
            The indices are no integers, or beyond the last experiment.
        ScenarioError
            The number of patterns of an experiment is not known from its scenario.
        """
        return self._located(checks.indices(indices, None, self._end()))

    def frames(
        self,
        first: int | npt.ArrayLike,
        last: int | None = None,
        *,
        epoch: int = 0,
        out: Any = None,
    ) -> Any:
        """Observed patterns of any experiments, ``frames(first, last)`` or ``frames(indices)``.

        Each experiment is made when it is needed, so indices that are near each other should be
        asked for together.

        Parameters
        ----------
        first, last : int
            Patterns `first` to `last`, without the last, counted through all experiments as
            `locate` does.
        first : (n,) array of integers
            Or any pattern numbers, in any order, also repeated.
        epoch : int
            Which exposure; see `Simulator.frames`.
        out : (n, N, N) array, optional
            Array to write to; an error may leave it half written.

        Returns
        -------
        (n, N, N) array
            As `Simulator.frames` of each experiment.

        Raises
        ------
        TypeError, ValueError, IndexError
            An argument is at fault, or the experiments do not count in the same type.
        ScenarioError
            N or noise is drawn; or an experiment cannot be made.
        """
        self.require_same_frames()
        indices = checks.indices(first, last, self._end())
        experiments, patterns = self._located(indices)
        shape = (len(indices), self.template.N, self.template.N)
        dtype = None
        for k in map(int, np.unique(experiments) if len(indices) else [0]):
            here = np.flatnonzero(experiments == k)
            simulator = self.simulator(k)
            with self.naming(k, (ScenarioError,)):
                frames = simulator.frames(patterns[here], epoch=epoch)
            if dtype is None:
                dtype = frames.dtype
                out = host_arrays.output(out, shape, dtype, ())
            if frames.dtype != dtype:
                given = f"{frames.dtype} in experiment {k}"
                expected = f"{dtype} as in the others, for frames across experiments"
                raise ValueError(checks.wrong("detector", given, expected))
            out[here] = frames
        return out

    def require_same_frames(self) -> None:
        """Raise ScenarioError where patterns of different experiments do not fit into one array."""
        undrawn = self.template.undrawn()
        for key in ("N", "noise"):
            if key in undrawn:
                expected = "one value for frames across experiments; simulator(k).frames has those"
                raise wrong(key, undrawn[key].to_dict(), f"{expected} of one experiment")

    # --- how ---

    def _number(self, k: object) -> int:
        return checks.integer(k, "k", 0, (self.count or MOST_EXPERIMENTS) - 1)

    def _seeds(self, k: int) -> dict[str, int]:
        """The seeds of experiment k that are not drawn, by dotted key."""
        spec, campaign = self.template.seeds, self.template.seeds.campaign
        found = {}
        for name, rule in spec.known().items():
            base = getattr(spec, name)
            if name != "campaign" and isinstance(base, int):
                start = key_seed(campaign, f"seeds.{name} {base}")
                found[f"seeds.{name}"] = (start + k * _SEED_STEP) % (int(rule.key.le or 0) + 1)
        return found

    def _patterns(self, numbers: range) -> list[Any]:
        fixed = getattr(self.template.scan, "n_patterns", None)
        return self._drawing.values("scan", "n_patterns", fixed, numbers)

    def _same_in_all(self) -> int | None:
        """The number of patterns of every experiment, if it is not drawn."""
        if {"scan.n_patterns", "scan.choice"} & set(self.drawn):
            return None
        return self._known(self.template.scan.n_patterns)

    def _known(self, count: int | None) -> int:
        if count is None:
            raise wrong("scan.n_patterns", None, "a number, for an index across experiments")
        return count

    def _end(self) -> int:
        """Number of patterns in all; without `count` what an index can hold."""
        if self.count is None:
            return np.iinfo(np.int64).max
        same = self._same_in_all()
        if same is not None:
            return self.count * same
        self._count_up_to(experiments=self.count)
        return int(self._ends[self.count - 1])

    def _located(
        self, indices: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        same = self._same_in_all()
        if same is not None:
            experiments, patterns = np.divmod(indices, same)
            return experiments, patterns
        self._count_up_to(patterns=int(indices.max(initial=0)) + 1)
        experiments = np.searchsorted(self._ends, indices, side="right")
        starts = np.concatenate([[0], self._ends])
        return experiments, indices - starts[experiments]

    def _count_up_to(self, *, experiments: int = 0, patterns: int = 0) -> None:
        """Sum the numbers of patterns up to an experiment, or to a pattern."""
        with self._lock:
            ends = self._ends
            while len(ends) < experiments or (ends[-1] if len(ends) else 0) < patterns:
                first = len(ends)
                last = min(first + max(_COUNTED_AT_ONCE, first), MOST_EXPERIMENTS)
                more = [self._known(count) for count in self._patterns(range(first, last))]
                ends = np.concatenate([ends, np.cumsum(more) + (ends[-1] if first else 0)])
            self._ends = ends


def _rebuilt(template: Scenario, how: dict[str, Any]) -> Campaign:
    return Campaign(template, **how)


def _recorded_count(path: str | os.PathLike[str]) -> int | None:
    """Where the experiments of a recipe end; None for other scenarios."""
    if not os.path.isfile(path):
        return None
    table = toml.recipe(toml.read(path))
    count, first = table.get("count"), table.get("first", 0)
    return count + first if isinstance(count, int) and isinstance(first, int) else None


def _plain(draws: dict[str, Any]) -> dict[str, Any]:
    return {key: list(v) if isinstance(v, tuple) else v for key, v in draws.items()}
