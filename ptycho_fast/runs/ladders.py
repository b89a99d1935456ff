"""The files of a dose ladder: the same scan at several doses, in a folder."""

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ptycho_fast.command import naming_written, usage_errors
from ptycho_fast.errors import DataWarning
from ptycho_fast.experiment import Experiment
from ptycho_fast.ladder import as_doses, at_dose, dose_changes, dose_text
from ptycho_fast.runs.single import Job, Result, estimate, make, prepare, refuse_before_work
from ptycho_fast.simulator import Simulator
from ptycho_fast.summary import spread_text, time_text
from ptycho_fast.terminal import Output, bytes_text, watched


def run_ladder(
    job: Job, doses: Sequence[float], numbers: str, suffix: str, output: Output, *, dry_run: bool
) -> None:
    """One data set for each dose; what can be refused is refused before any work.

    Parameters
    ----------
    job : Job
        What all have in common; `Job.out` is the folder.
    doses : sequence of float
        What ``dose.nphotons`` is in each.
    numbers : {"common", "independent"}
        Whether all doses have the same random numbers.
    suffix : str
        End of the names of the files.
    output : Output
        Is told of the result.
    dry_run : bool
        Whether only to estimate.
    """
    scenario, folder = job.scenario, job.out
    with usage_errors():
        of_one = {"--preview": job.preview, "--report": job.report, "--card": job.card}
        for flag, path in of_one.items():
            if path:
                raise ValueError(f"{flag}: a file given, expected none with --ladder")
        doses = as_doses(doses)
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder}: is a file, expected a folder for the data sets")
    steps = [scenario.replace(dose_changes(scenario, d, k, numbers)) for k, d in enumerate(doses)]
    # A folder that is not there yet is made at the end of all checks, in one that is.
    place = folder if folder.exists() else folder.parent
    names = [f"{scenario.name}-{dose_text(dose)}{suffix}" for dose in doses]
    jobs = [
        dataclasses.replace(job, scenario=step, out=place / name)
        for step, name in zip(steps, names, strict=True)
    ]
    made: list[dict[str, Any]] = []
    with naming_written(*(folder / name for name in names)):
        for one in jobs:
            announcement = refuse_before_work(one, files=len(jobs))
        if announcement:
            output.remark(announcement)
        with watched(output.for_people) as clock:
            first = prepare(jobs[0], clock)
            experiments = [at_dose(first.experiment, d, k, numbers) for k, d in enumerate(doses)]
            simulators = [_again(one, e) for one, e in zip(jobs, experiments, strict=True)]
            for simulator in simulators:
                simulator.check_dose()
            if dry_run:
                facts, lines = estimate(jobs[0], simulators[0], clock)
                output.result(*_several(facts, lines, folder, len(doses)))
                return
            folder.mkdir(exist_ok=True)
            for one, name, simulator in zip(jobs, names, simulators, strict=True):
                there = dataclasses.replace(one, out=folder / name)
                made.append(make(there, simulator, clock)[0])
        output.result(*_result(made, folder, numbers))


def _again(job: Job, experiment: Experiment) -> Simulator:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # said about the first one
        return Simulator(experiment, **job.simulator_options)


OF_EACH = ("patterns",)
"""Stages that every data set of a ladder goes through."""


def _several(
    facts: dict[str, Any], lines: Iterator[tuple[str, str]], folder: Path, count: int
) -> Result:
    """An estimate for data sets that differ in their dose only."""
    more = {"data_sets": count, "folder": str(folder), "file_bytes": count * facts["file_bytes"]}
    again = (facts["seconds_by_stage"].get(name, 0.0) for name in OF_EACH)
    more["seconds_estimated"] = facts["seconds_estimated"] + (count - 1) * sum(again)

    def all_lines() -> Iterator[tuple[str, str]]:
        yield from (line for line in lines if line[0] not in ("time", "file"))
        yield "time", f"about {more['seconds_estimated']:.2g} s for {count} data sets"
        yield "folder", f"{folder}, {count} data sets, {bytes_text(more['file_bytes'])}"

    return facts | more, all_lines()


def _result(made: list[dict[str, Any]], folder: Path, numbers: str) -> Result:
    timed = ("seconds", "seconds_by_stage", "patterns_per_second")
    facts = {
        "folder": str(folder),
        "numbers": numbers,
        "data_sets": [{k: v for k, v in one.items() if k not in timed} for one in made],
        "seconds": made[-1]["seconds"],  # one clock ran for all
        "seconds_by_stage": made[-1]["seconds_by_stage"],
        "file_bytes": sum(one["file_bytes"] for one in made),
    }

    def lines() -> Iterator[tuple[str, str]]:
        first = made[0]
        yield "scenario", first["scenario"]["name"]
        yield "patterns", f"{first['patterns']} of {first['N']} x {first['N']} pixels, at each dose"
        yield "backend", first["backend"]
        yield "random numbers", numbers
        for one in made:
            measured = spread_text(one["dose"]["measured"])
            yield f"dose {one['dose']['requested']:.6g}", f"{measured}: {one['file']}"
        yield "time", time_text(facts["seconds"], facts["seconds_by_stage"], 3)
        yield "folder", f"{folder}, {bytes_text(facts['file_bytes'])}"

    return facts, lines()
