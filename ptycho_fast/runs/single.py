"""One data set in a file: refused before the work, estimated, or made and, if ended, resumed."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ptycho_fast.backend import choose, passed_over, require_device
from ptycho_fast.checks import count
from ptycho_fast.command import usage_errors
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.estimate import Needs, remaining_seconds
from ptycho_fast.files import check_targets
from ptycho_fast.formats import format_of
from ptycho_fast.formats.work import MEMORY, Work, require_memory
from ptycho_fast.probes.modes import mode_fractions
from ptycho_fast.progress import StageClock
from ptycho_fast.runs.journal import Journal, journal_of
from ptycho_fast.scaling import normalise_gain
from ptycho_fast.scenario import Scenario
from ptycho_fast.simulation import dataset_of
from ptycho_fast.simulator import Simulator
from ptycho_fast.summary import estimate_lines, summary_lines
from ptycho_fast.threads import thread_count
from ptycho_fast.version import __version__

_PICTURE, _PAGE, _CARD = 2**20, 6 * 2**20, 2**15  # bytes, at most

Result = tuple[dict[str, Any], Iterator[tuple[str, str]]]
"""Facts for ``--json``, and lines for people."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A data set that is to be made, and where.

    Attributes
    ----------
    scenario : Scenario
        What it is.
    out : Path
        Its file.
    preview : Path or None
        A picture of it.
    report : Path or None
        A page about it.
    card : Path or None
        Its data card.
    command : str or None
        The command line that asks for it, for the page.
    force : bool
        Whether existing files may be replaced.
    resume : bool
        Whether to go on with what an earlier run left.
    noise : bool or None
        As for `Simulator`.
    memory : int
        Bytes that patterns on their way to the file may take.
    run : dict
        Backend, device, threads and dtype of `Simulator`.
    save : dict
        Format and options of `Dataset.save`.
    provenance : dict
        What is added to the provenance.
    """

    scenario: Scenario
    out: Path
    preview: Path | None = None
    report: Path | None = None
    card: Path | None = None
    command: str | None = None
    force: bool = False
    resume: bool = False
    noise: bool | None = None
    memory: int = MEMORY
    run: dict[str, Any]
    save: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def simulator_options(self) -> dict[str, Any]:
        """Keywords of `Simulator`: `run`, with the type that the format has where there is one."""
        types = getattr(format_of(self.out, self.save["format"]).load(), "DTYPES", ())
        options = {"noise": self.noise, **self.run}
        if options["dtype"] is None and types and "uint32" not in types:
            options["dtype"] = types[0]  # so that a dose that is too high is refused beforehand
        return options

    @property
    def targets(self) -> list[Path]:
        """The files that are made."""
        return [path for path in (self.out, self.preview, self.report, self.card) if path]

    @property
    def beside(self) -> dict[Path, int]:
        """Bytes, at most, of the files that are made beside the data set's."""
        sizes = {self.preview: _PICTURE, self.report: _PAGE, self.card: _CARD}
        return {path: size for path, size in sizes.items() if path}


def refuse_before_work(job: Job, files: int = 1) -> str:
    """Raise for what cannot be done; return what the user should know about the backend.

    `files` are as many as are made like this one, and have to fit on the disk.
    """
    with usage_errors():
        _, backend = choose(job.run["backend"])
        with backend.place(require_device(job.run["device"], backend)):
            thread_count(job.run["threads"])
        B, N = job.scenario.scan.n_patterns or 1, job.scenario.N
        require_memory(count(job.memory, "memory"), (B, N, N), np.uint32)
        if os.path.isdir(job.out) and not job.out.suffix:
            check_targets(job.out, force=job.force)  # says that it is a folder
        file_format = format_of(job.out, job.save["format"])
        # A run may have been ended when its file had its name, but others were missing.
        force = job.force or (job.resume and os.path.exists(journal_of(job.out)))
        if file_format.container == "folder":
            file_format.check_target(job.out, force)
            check_targets(*job.targets[1:], force=force)
        else:
            check_targets(*job.targets, force=force)
    if job.preview:
        from ptycho_fast.drawing.overview import require_matplotlib
        from ptycho_fast.report.preview import picture_format

        with usage_errors():
            picture_format(job.preview)
        require_matplotlib()
    if job.report:
        from ptycho_fast.report.page import check_name, require_libraries

        with usage_errors():
            check_name(job.report)
        require_libraries()
    with usage_errors():  # options that the format does not take
        needs = Needs.of_scenario(job.scenario, job.out, job.save, job.memory)
    dataclasses.replace(needs, file=files * needs.file).require(job.out, job.beside)
    return backend.first_call()


def prepare(job: Job, clock: StageClock) -> Simulator:
    """Make all but the patterns, and refuse what can be known only now."""
    simulator = Simulator(job.scenario, **job.simulator_options, clock=clock)
    with usage_errors():
        dataset_of(simulator, lazy=True).check(job.out, **job.save)
    needs = Needs.of_experiment(simulator.experiment, job.out, job.save, job.memory)
    needs.require(job.out, job.beside)
    return simulator


def make(job: Job, simulator: Simulator, clock: StageClock) -> Result:
    """Make the patterns and write them, block by block."""
    dataset = dataset_of(simulator, lazy=True)
    dataset.provenance.update(job.provenance)
    simulator.check_dose()
    fingerprint = fingerprint_of(dataset, simulator, job.save)
    if job.card:
        fingerprint["card"] = True
    work = Work(force=job.force, memory=job.memory, threads=job.run["threads"], clock=clock)
    with ExitStack() as stack:
        with usage_errors():  # what an earlier run left
            journal = stack.enter_context(
                Journal.opened(job.out, fingerprint, resume=job.resume, force=job.force)
            )
        work.journal, work.force = journal, job.force or journal.replaces(job.out)
        with clock.stage("patterns", total=simulator.n_patterns):
            files = dataset.save(job.out, work=work, card=_card_inside(job), **job.save)
    if job.preview:
        from ptycho_fast.report.preview import preview

        with clock.stage("preview"):
            preview(dataset, job.preview, force=job.force)
    if job.report:
        from ptycho_fast.report.page import write_page

        write_page(dataset, job.report, force=job.force, command=job.command, seconds=clock.seconds)
    if job.card:
        with clock.stage("card"):
            _write_card(job, dataset)
    facts = common_facts(job, simulator) | {
        "noise": simulator.noise,
        "dose": dataset.provenance["dose"],
        "normalise_gain": _normalise_gain(dataset),
        "seconds": sum(clock.seconds.values()),
        "seconds_by_stage": clock.seconds,
        "patterns_per_second": simulator.n_patterns / clock.seconds["patterns"],
        "file_bytes": sum(map(_size, files)),
        "files": [str(path) for path in files],
        **({"preview": str(job.preview)} if job.preview else {}),
        **({"report": str(job.report)} if job.report else {}),
        **({"card": str(job.card)} if job.card else {}),
    }
    return facts, summary_lines(facts)


def _card_inside(job: Job) -> Callable[[Dataset], str] | None:
    """What writes the card that the file itself keeps, without the command: its bytes say where."""
    if not job.card:
        return None
    from ptycho_fast.card import card

    file_format = format_of(job.out, job.save["format"])
    return partial(card, file=job.out, file_format=file_format, inside=True)


def _write_card(job: Job, made: Dataset) -> None:
    """The card of the file as it is, or of what was made where the format cannot be read."""
    from ptycho_fast.card import card
    from ptycho_fast.data.opening import open as open_data
    from ptycho_fast.files import written_aside

    file_format = format_of(job.out, job.save["format"])
    with ExitStack() as stack:
        dataset = made
        if file_format.reads:
            dataset = stack.enter_context(open_data(job.out, format=file_format.name))
        text = card(dataset, job.out, file_format, job.command)
    with written_aside(str(job.card), force=job.force) as file:
        file.write(text.encode(errors="backslashreplace"))  # names need not be UTF-8


def estimate(job: Job, simulator: Simulator, clock: StageClock) -> Result:
    """Measure on some patterns what the whole run would take."""
    simulator.check_dose()
    seconds = clock.seconds | remaining_seconds(
        simulator, job.out, job.save, preview=job.preview, **job.run
    )
    needs = Needs.of_experiment(simulator.experiment, job.out, job.save, job.memory)
    facts = common_facts(job, simulator) | {
        "dry_run": True,
        "threads": thread_count(job.run["threads"]),
        "dose": dict(simulator.experiment.dose),
        "memory_bytes": needs.memory,
        "seconds_estimated": sum(seconds.values()),
        "seconds_by_stage": seconds,
        "file_bytes": needs.file,
    }
    return facts, estimate_lines(facts)


def fingerprint_of(
    dataset: Dataset, simulator: Simulator, save: Mapping[str, Any]
) -> dict[str, Any]:
    """All that the bytes of a file depend on: what a resumed run has to agree on.

    Parameters
    ----------
    dataset : Dataset
        Before its patterns are made.
    simulator : Simulator
        That makes them.
    save : mapping
        Format and options of `Dataset.save`.
    """
    arrays = ("object", "probe", "positions", "positions_nominal", "mask", "eigenprobes", "weights")
    scenario = dataset.scenario
    return {
        "version": __version__,
        "backend": simulator.backend,
        "patterns": [list(dataset.diffraction.shape), str(dataset.diffraction.dtype)],
        "domain": dataset.domain,
        "options": dict(save),
        "scenario": scenario.to_dict() if scenario else None,
        "provenance": dataset.provenance,
        "arrays": {
            name: hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
            for name in arrays
            if (array := getattr(dataset, name)) is not None
        },
    }


def common_facts(job: Job, simulator: Simulator) -> dict[str, Any]:
    """What is said of a data set that is made, and of one that would be."""
    e = simulator.experiment
    good = 1.0 if e.mask is None else float(e.mask.mean())
    geometry = dataclasses.asdict(e.geometry) if e.geometry else {}
    return {
        "scenario": simulator.scenario.to_dict(),
        "patterns": simulator.n_patterns,
        "N": simulator.N,
        "backend": _backend_text(job.run["backend"], simulator.backend),
        "intensity_scale": e.intensity_scale,
        "geometry": {name: value for name, value in geometry.items() if value is not None},
        "slices": len(e.slices),
        "mode_fractions": mode_fractions(e.probe).tolist(),
        "eigenprobes": 0 if e.eigenprobes is None else len(e.eigenprobes),
        "sub_exposures": e.paths.shape[1],
        "good_pixels": good,
        "domain": simulator.domain,
        "format": format_of(job.out, job.save["format"]).name,
        "file": str(job.out),
    }


def _backend_text(asked: str, got: str) -> str:
    if asked != "auto":
        return f"{got} (asked for)"
    missing = "".join(f"; not {name}: {reason}" for name, reason in passed_over(got).items())
    return f"{got} (the best available{missing})"


def _normalise_gain(dataset: Dataset) -> float | None:
    """Gain of the normalise stage; None where there is no light to normalise."""
    energy = float(dataset.energies().mean())
    return normalise_gain(energy, dataset.N) if energy > 0 else None


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
