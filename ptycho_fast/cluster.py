"""One data set made by many processes, on one machine or on many, with Dask distributed.

The work is divided into shards: ranges of patterns of a size that the data set alone decides. A
task is the number of a shard. The description of the run goes out, some numbers come back;
patterns go from the process that makes them straight into a file of their own. So the bytes are
those of one process, whoever makes which shard, in any order, also twice.

Beside the data set that is made, ``NAME``, stands the folder ``NAME.part`` until it is whole:

- ``run.json``: what is made, so that another run does not go on with it;
- ``data/``: the files that are there already, each under its name only when it is whole;
- ``records/k.json``: for each shard that is whole, its size, a checksum, and the dose that was
  measured as its patterns passed.

Nothing else is kept, in no process: a run that was ended in whatever way goes on with what is
there.
"""

import dataclasses
import hashlib
import json
import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptycho_fast import checks
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.errors import DataWarning
from ptycho_fast.files import locked_folder, written_aside
from ptycho_fast.formats import Format, format_of, shards
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.patterns import observers
from ptycho_fast.formats.work import Work
from ptycho_fast.progress import StageClock
from ptycho_fast.runs.journal import difference
from ptycho_fast.scenario import Scenario, resolve
from ptycho_fast.simulation import dataset_of
from ptycho_fast.simulator import Simulator
from ptycho_fast.threads import MOST_THREADS, thread_count
from ptycho_fast.version import __version__

if TYPE_CHECKING:
    from distributed import Client, Future

_IN_FLIGHT = 4  # shards for each thread of the cluster that the scheduler knows of at a time
_RECOUNT = 10.0  # seconds after which the threads of the cluster are counted again
_WAIT = 60.0  # seconds in which a first worker has to be there
# Without a port of its own the scheduler's server of numbers takes 8787, or warns that it is taken.
_NO_DASHBOARD = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
# Of processes that end with the run. Dask has workers give freed memory back at once: then every
# block is in new pages, which the system fills with zeros first, and a pattern takes twice as long.
# That they watch themselves takes a tenth of a core.
_LOCAL = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
}
_SEEN_LATE = 30.0  # seconds in which a network file system shows what another machine wrote


@dataclass(frozen=True)
class Made:
    """What a run made.

    Attributes
    ----------
    path : Path
        The data set.
    n_patterns : int
        Number of patterns B.
    shards, kept : int
        Number of shards, and how many of them were there already.
    size : int
        Bytes of the shards.
    dose : dict
        Requested, expected and measured dose, as in `Dataset.provenance`.
    seconds : dict of str to float
        Of each stage.
    """

    path: Path
    n_patterns: int
    shards: int
    kept: int
    size: int
    dose: dict[str, Any]
    seconds: dict[str, float]


def run(
    scenario: Scenario | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    client: "Client | None" = None,
    cluster: str | None = None,
    format: str | None = None,
    noise: bool | None = None,
    dtype: str | None = None,
    backend: str = "auto",
    device: int | None = None,
    threads: int = 1,
    force: bool = False,
    resume: bool = False,
    clock: StageClock | None = None,
    **options: Any,
) -> Made:
    """Make a data set with the workers of a cluster.

    The files have the same bytes for any number of workers, and whichever of them are lost while
    they work: what a lost worker had in hand is made again.

    Parameters
    ----------
    scenario : Scenario, str or path
        The description, or the name or path of one. Files that it names are read by the workers.
    out : path-like
        The data set to make, in a folder that all workers see under this name.
    client : distributed.Client, optional
        Of a cluster that is running.
    cluster : str, optional
        In place of a client: ``local:4``, four processes on this machine that end with the run; or
        the address of a scheduler, ``tcp://HOST:8786``. Without both, this process makes all
        shards, on as many threads as it may use.
    format : str, optional
        A name of `formats.FORMATS`, by default what the suffix of `out` asks for: ``.zarr``, or
        ``.h5`` for HDF5 shards joined by a virtual data set.
    noise, dtype, backend, device
        As for `Simulator`. What "auto" means, the first worker decides for all.
    threads : int
        Threads of each task; the number of tasks that a worker has at a time is that of its own
        threads.
    force : bool
        Whether a data set that is there, or the remains of a run, may be replaced.
    resume : bool
        Whether to go on with what a run that was ended has left.
    clock : StageClock, optional
        Told of every stage as it begins and goes on.
    **options
        As the format takes them: ``compression``, ``shard_patterns``.

    Returns
    -------
    Made
        Where the data set is, and what was made.

    Raises
    ------
    ScenarioError
        The scenario cannot be simulated; the message names the key.
    ValueError, TypeError
        An argument is at fault.
    FileExistsError, BlockingIOError
        The data set is there, a run that was ended has left something, or another run writes to it.
    FileNotFoundError
        A worker does not see the folder.
    RuntimeError
        Dask is missing, no worker is there, a worker has another version of this package or makes
        another experiment, or workers die of one and the same shard.

    Examples
    --------
    >>> import tempfile
    >>> import ptycho_fast
    >>> out = Path(tempfile.mkdtemp()) / "set.zarr"
    >>> made = run("gs2_ideal", out, shard_patterns=256)
    >>> made.n_patterns, made.shards
    (1024, 4)
    >>> with ptycho_fast.open(out) as data:
    ...     data.counts[1000:1010].shape
    (10, 64, 64)
    """
    if client is not None and cluster is not None:
        raise ValueError(checks.wrong("client, cluster", "both", "one of them, or neither"))
    described = scenario if isinstance(scenario, Scenario) else resolve(scenario)
    described.require_runnable()
    target = Path(os.path.abspath(out))
    one = format_of(target, format)
    shards.require(one)
    clock = clock or StageClock()
    how = {"noise": noise, "dtype": dtype, "backend": backend, "device": device}
    plan = Plan(
        scenario=described.to_dict(),
        how={**how, "threads": checks.count(threads, "threads")},
        format=one.name,
        options=one.options(options),
        folder=str(target.with_name(f"{target.name}.part")),
        name=target.name,
        version=__version__,
    )
    with ExitStack() as stack:
        if cluster is not None:
            client = stack.enter_context(connected(cluster))
        stack.enter_context(_part(target, plan, one, force=force, resume=resume))
        crew = _Here() if client is None else _Dask(client, plan)
        return _made(target, plan, one, crew, clock, force=force, resume=resume)


# --- the run, as the process sees it that asked for it ---


@dataclass(frozen=True)
class Plan:
    """What a worker needs to know to make any shard: some kilobytes, plain types.

    Attributes
    ----------
    scenario : dict
        The scenario.
    how : dict
        Further arguments of `Simulator`.
    format, options : str, dict
        What is written.
    folder : str
        ``NAME.part``.
    name : str
        Of the data set.
    version : str
        Of this package.
    experiment : str
        SHA-256 of the arrays of the experiment, which every worker makes for itself; empty where it
        is not known yet.
    """

    scenario: dict[str, Any]
    how: dict[str, Any]
    format: str
    options: dict[str, Any]
    folder: str
    name: str
    version: str
    experiment: str = ""

    @property
    def data(self) -> Path:
        """Where the files of the data set are made."""
        return Path(self.folder) / "data"

    @property
    def run_file(self) -> Path:
        """What says what is made in the folder."""
        return Path(self.folder) / "run.json"

    def record(self, number: int) -> Path:
        """The record of a shard."""
        return Path(self.folder) / "records" / f"{number}.json"

    def decided(self, backend: str, experiment: str) -> "Plan":
        """The plan with what is known only when the experiment has been made."""
        return dataclasses.replace(
            self, how={**self.how, "backend": backend}, experiment=experiment
        )

    @property
    def key(self) -> str:
        """Of the experiment and how it is written, for a worker to know it again."""
        what = [self.scenario, self.how, self.format, self.options]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


@contextmanager
def _part(target: Path, plan: Plan, one: Format, *, force: bool, resume: bool) -> Iterator[None]:
    """``NAME.part``, locked; or an error that says what to do with the one that is there."""
    one.check_target(target, force)
    folder = Path(plan.folder)
    if folder.exists() and not (resume or force):
        raise FileExistsError(
            f"{folder}: is left from a run that was ended, expected resume=True to go on with it, "
            "or force=True to begin again"
        )
    folder.mkdir(exist_ok=True)
    with locked_folder(folder):
        if not resume:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for part in (plan.data, plan.record(0).parent):
            part.mkdir(exist_ok=True)
        try:
            yield
        except BaseException as error:
            done = sum(1 for _ in plan.record(0).parent.iterdir())
            if isinstance(error, _OtherRunError):
                pass  # --resume is what it refuses
            elif done:
                whole = "1 shard is" if done == 1 else f"{done} shards are"
                error.add_note(f"{whole} complete in {folder}; --resume goes on there")
            else:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder)


def _made(
    target: Path,
    plan: Plan,
    one: Format,
    crew: "_Crew",
    clock: StageClock,
    *,
    force: bool,
    resume: bool,
) -> Made:
    with clock.stage("experiment"):
        about = crew.call(describe, plan)
        plan = plan.decided(about["backend"], about["experiment"])
        _check_run(plan)
    layout = about["layout"]
    shards.check_targets(layout, target, one, force=force or resume)
    missing = [k for k in range(layout.shards) if _kept(plan, layout, k) is None]
    with clock.stage("patterns", total=layout.shape[0]):
        whole = layout.shape[0] - sum(_length(layout.range(k)) for k in missing)
        clock.advance(whole)
        for number in crew.each(make, plan, missing):
            clock.advance(_length(layout.range(number)))
    with clock.stage("write"):
        end = crew.call(finish, plan)
        shards.put_in_place(layout, plan.data, target, one, force=force)
    if not end["dose"]["measured"]["max"] > 0:
        warnings.warn(
            "no photon was detected in any pattern: the dose is too low, or all light falls on "
            "masked pixels",
            DataWarning,
            stacklevel=3,
        )
    return Made(
        path=target,
        n_patterns=layout.shape[0],
        shards=layout.shards,
        kept=layout.shards - len(missing),
        size=end["size"],
        dose=end["dose"],
        seconds=clock.seconds,
    )


def _length(bounds: tuple[int, int]) -> int:
    return bounds[1] - bounds[0]


def _check_run(plan: Plan) -> None:
    """Go on with a folder only if the same is made there; else the error names the difference."""
    what = dataclasses.asdict(plan)
    del what["folder"]
    del what["how"]["threads"]  # has no effect on the result
    what = json.loads(json.dumps(what))
    path = plan.run_file
    if not path.exists():
        with written_aside(path, force=True) as file:
            file.write(json.dumps(what).encode())
        return
    try:
        there = dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError, RecursionError):
        wrong_file = f"{path}: cannot be read, expected the description of a run"
        raise _OtherRunError(wrong_file) from None
    if wrong := difference(what, there):
        raise _OtherRunError(
            f"{plan.folder}: another run was begun there ({wrong}); force=True begins again"
        )


class _OtherRunError(ValueError):
    """The folder holds shards of another run."""


def _kept(plan: Plan, layout: Any, number: int) -> dict[str, Any] | None:
    """The record of a shard that is there and whole; None where it is to be made."""
    try:
        record: dict[str, Any] = json.loads(plan.record(number).read_bytes())
        return record if layout.check(plan.data, number) == record["check"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


# --- the tasks, as a worker does them ---


def describe(plan: Plan, store: dict[str, Any]) -> dict[str, Any]:
    """What is made: the backend, a hash of the experiment, and how it is divided into shards."""
    dataset, contents = _experiment(plan, store)
    store["simulator"].check_dose()
    return {
        "backend": dataset.provenance["backend"],
        "experiment": store["asked"]["experiment"],
        "layout": shards.sharding(plan.format, plan.name, contents, plan.options),
    }


def make(plan: Plan, store: dict[str, Any], number: int) -> None:
    """Make a shard and its record."""
    _, contents = _experiment(plan, store)
    layout = shards.sharding(plan.format, plan.name, contents, plan.options)
    if _kept(plan, layout, number) is None:
        work = Work(force=True, threads=plan.how["threads"], written=store.get("written"))
        check = layout.make(plan.data, number, contents, work)
        first, last = layout.range(number)
        notes = [seer.notes(first, last) for seer in observers(contents.diffraction)]
        record = {"shard": number, "check": check, "notes": notes}
        with written_aside(plan.record(number), force=True) as file:
            file.write(json.dumps(record).encode())


def finish(plan: Plan, store: dict[str, Any]) -> dict[str, Any]:
    """Write what is known only when all shards are there; the dose, and the bytes of the shards."""
    dataset, contents = _experiment(plan, store)
    layout = shards.sharding(plan.format, plan.name, contents, plan.options)
    size = 0
    for number in range(layout.shards):
        record = _seen(plan, layout, number)
        size += record["check"]["size"]
        seers = observers(contents.diffraction)
        for seer, notes in zip(seers, record["notes"], strict=True):
            seer.restore(*layout.range(number), notes)
    layout.finish(plan.data, contents.completed())
    return {"dose": dataset.provenance["dose"], "size": size}


def _seen(plan: Plan, layout: Any, number: int) -> dict[str, Any]:
    """The record of a shard, which another machine may have written a moment ago."""
    end = time.monotonic() + _SEEN_LATE
    while (record := _kept(plan, layout, number)) is None:
        if time.monotonic() > end:
            path = plan.data / layout.file_name(number)
            raise FileNotFoundError(f"{path}: the shard was made, but is not there or damaged")
        time.sleep(0.2)
    return record


def _experiment(plan: Plan, store: dict[str, Any]) -> tuple[Dataset, Contents]:
    """The data set, whose patterns are made when they are asked for; kept for the next task.

    The first task of a run makes it anew: a file that the scenario names may have been changed.
    """
    if plan.version != __version__:
        raise RuntimeError(_other_version(_where(), __version__, plan.version))
    if not plan.data.is_dir():
        raise FileNotFoundError(_not_seen(_where(), plan.folder))
    with store.setdefault("lock", threading.Lock()):
        asked = {"key": plan.key, "experiment": plan.experiment}
        if not plan.experiment or store.get("asked") != asked:
            for name in ("asked", "made"):  # before the next one is made
                store.pop(name, None)
            store["simulator"] = Simulator(Scenario.from_dict(plan.scenario), **plan.how)
            dataset = dataset_of(store["simulator"], lazy=True)
            domains = format_of(plan.name, plan.format).load().DOMAINS
            made = dataset, dataset.contents(domains)
            decided = plan.decided(dataset.provenance["backend"], _hash(dataset))
            if plan.experiment not in ("", decided.experiment):
                raise RuntimeError(
                    f"{_where()}: makes another experiment of the scenario than the first worker; "
                    "are the files that it names, and the versions of NumPy and SciPy, the same?"
                )
            store["made"] = made
            store["asked"] = {"key": decided.key, "experiment": decided.experiment}
        result: tuple[Dataset, Contents] = store["made"]
        return result


def _hash(dataset: Dataset) -> str:
    """SHA-256 of all arrays that the patterns follow from."""
    one = dataset
    total = hashlib.sha256(repr((one.intensity_scale, one.diffraction.shape)).encode())
    arrays = (one.object, one.probe, one.positions, one.eigenprobes, one.weights, one.path)
    for array in (*arrays, one.dose_factors, one.mask):
        total.update(b"-" if array is None else np.ascontiguousarray(array).data)
    return total.hexdigest()


def _where() -> str:
    """The worker that this is called in."""
    with suppress(Exception):
        from distributed import get_worker

        return f"worker {get_worker().address}"
    return "this process"


def _other_version(who: str, given: object, expected: str) -> str:
    return checks.wrong(f"{who}: ptycho_fast", given, f"{expected}, as the one that asks has")


def _not_seen(who: str, folder: str) -> str:
    return (
        f"{who}: does not see {folder}, expected a folder on a file system that all workers share, "
        "under the same name"
    )


# --- who does the tasks ---

_Task = Callable[..., Any]


class _Crew(ABC):
    """Does tasks, each in one of several places at the same time."""

    @abstractmethod
    def call(self, task: _Task, plan: Plan) -> Any:
        """The result of one task."""

    @abstractmethod
    def each(self, task: _Task, plan: Plan, numbers: list[int]) -> Iterator[int]:
        """A task for each number; the numbers as the tasks are done."""


class _Here(_Crew):
    """Threads of this process."""

    def __init__(self) -> None:
        self._store: dict[str, Any] = {}

    def call(self, task: _Task, plan: Plan) -> Any:
        return task(plan, self._store)

    def each(self, task: _Task, plan: Plan, numbers: list[int]) -> Iterator[int]:
        # One more than is at work, while a shard waits for the disk.
        count = max(1, thread_count(None) // plan.how["threads"]) + 1
        todo = iter(numbers)
        pool = ThreadPoolExecutor(count, "shards")
        try:
            waiting = {pool.submit(task, plan, self._store, k): k for k in islice(todo, count)}
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    yield waiting.pop(future)
                more = islice(todo, len(done))
                waiting |= {pool.submit(task, plan, self._store, k): k for k in more}
        finally:
            pool.shutdown(cancel_futures=True)


class _Dask(_Crew):
    """The workers of a cluster."""

    def __init__(self, client: "Client", plan: Plan) -> None:
        self._client = client
        self._in_flight, self._recount = 0, 0.0
        self._check_workers(plan)

    def _check_workers(self, plan: Plan) -> None:
        """Wait for a worker; refuse those that have another version or do not see the folder."""
        client = self._client
        address = client.scheduler.address if client.scheduler else "the scheduler"
        try:
            client.wait_for_workers(1, timeout=_WAIT)
        except TimeoutError:
            raise RuntimeError(
                f"{address}: no worker is there after {_WAIT:g} s, expected at least one"
            ) from None
        token = tempfile.NamedTemporaryFile(dir=plan.folder, prefix="token-")  # noqa: SIM115
        with token:
            found = client.run(_looking_around(token.name))
        for worker, (version, sees) in sorted(found.items()):
            if version != plan.version:
                given = version or "not installed there"
                raise RuntimeError(_other_version(f"worker {worker}", given, plan.version))
            if not sees:
                raise FileNotFoundError(_not_seen(f"worker {worker}", plan.folder))

    def call(self, task: _Task, plan: Plan) -> Any:
        with _deaths_named(task.__name__):
            return self._submit(task, plan).result()

    def each(self, task: _Task, plan: Plan, numbers: list[int]) -> Iterator[int]:
        from distributed import as_completed

        # Without a loop it would take that of the client that was made last, perhaps another one.
        todo = iter(numbers)
        waiting = as_completed(loop=self._client.loop)
        here: dict[Future[Any], int] = {}
        try:
            self._fill(waiting, here, todo, task, plan)
            with _deaths_named("a shard"):
                for future in waiting:
                    if future.status != "finished":
                        future.result()  # raises what went wrong
                    yield here.pop(future)
                    self._fill(waiting, here, todo, task, plan)
        finally:  # of a run that is ended here nothing stays with the scheduler
            self._client.cancel(list(here))

    def _fill(
        self,
        waiting: Any,
        here: "dict[Future[Any], int]",
        todo: Iterator[int],
        task: _Task,
        plan: Plan,
    ) -> None:
        """Let the scheduler know of so many tasks that no thread has to wait, and no more."""
        while len(here) < self._most() and (number := next(todo, None)) is not None:
            future = self._submit(task, plan, number)
            here[future] = number
            waiting.add(future)

    def _submit(self, task: _Task, plan: Plan, *rest: int) -> "Future[Any]":
        name = "-".join(["ptycho_fast", task.__name__, plan.key[:16], *map(str, rest)])
        # A key of its own: a result that the scheduler still has of another run is not this one's.
        key = f"{name}-{secrets.token_hex(4)}"
        return self._client.submit(_on_worker, task, plan, *rest, key=key, pure=False)

    def _most(self) -> int:
        now = time.monotonic()
        if now >= self._recount:
            threads = sum(self._client.nthreads().values())
            self._in_flight = _IN_FLIGHT * max(1, threads)
            self._recount = now + _RECOUNT
        return self._in_flight


def _on_worker(task: _Task, plan: Plan, *rest: int) -> Any:
    """Do a task; what it keeps for the next one, it keeps with the worker."""
    from distributed import get_worker, secede

    # While a shard waits for the disk, the worker's thread begins with the next one.
    store: dict[str, Any] = vars(get_worker()).setdefault("_ptycho_fast", {"written": secede})
    return task(plan, store, *rest)


def _looking_around(path: str) -> Callable[[], tuple[str | None, bool]]:
    """What says of a worker which version it has, and whether it sees a file.

    A function in a function goes to the worker as code: it works there without this package.
    """

    def look() -> tuple[str | None, bool]:
        import importlib
        import os

        try:
            version = importlib.import_module("ptycho_fast.version").__version__
        except ImportError:
            version = None
        return version, os.path.exists(path)

    return look


@contextmanager
def _deaths_named(what: str) -> Iterator[None]:
    from distributed import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise RuntimeError(
            f"{what}: the workers that were to make it died, one after the other, the last one at "
            f"{error.last_worker.address}; their logs may say why, often it is memory"
        ) from None


def check_target(out: str | os.PathLike[str], format: str | None, *, force: bool) -> None:
    """Raise ValueError or OSError where `run` would, because of the file that is asked for."""
    one = format_of(out, format)
    shards.require(one)
    one.check_target(out, force)


def check_place(cluster: str) -> int:
    """Number of processes that ``local:4`` asks for; 0 for the address of a scheduler.

    Raises
    ------
    ValueError
        The text is neither.

    Examples
    --------
    >>> check_place("local:4"), check_place("tcp://10.0.0.1:8786")
    (4, 0)
    """
    kind, _, rest = cluster.partition(":")
    if kind == "local" and rest.isdecimal() and 0 < int(rest) <= MOST_THREADS:
        return int(rest)
    if kind == "local" or "://" not in cluster:
        expected = "local:COUNT, such as local:4, or the address of a scheduler, tcp://HOST:8786"
        raise ValueError(checks.wrong("cluster", repr(cluster), expected))
    return 0


@contextmanager
def connected(cluster: str) -> "Iterator[Client]":
    """A client of the cluster that a text names: ``local:4`` or the address of a scheduler.

    Raises
    ------
    ValueError
        The text is neither.
    RuntimeError
        Dask is missing, or there is no such scheduler.
    """
    processes = check_place(cluster)
    try:
        import dask
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"cluster: {error.name} is not installed; pip install 'ptycho_fast[cluster]' brings it"
        ) from None
    with ExitStack() as stack:
        address: Any = cluster
        if processes:
            stack.enter_context(dask.config.set(_LOCAL))
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ptycho_fast-"))
            address = stack.enter_context(
                LocalCluster(
                    n_workers=processes,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address=None,
                    scheduler_kwargs=_NO_DASHBOARD,
                    worker_dashboard_address=None,
                    memory_limit=0,
                    local_directory=folder,
                    silence_logs=logging.CRITICAL,
                )
            )
        try:
            client = stack.enter_context(Client(address, timeout=_WAIT))
        except OSError as error:
            raise RuntimeError(f"{cluster}: no scheduler answers ({error})") from None
        yield client
