"""The files of a campaign: many experiments, each with its own draws, in a folder."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ptycho_fast.campaign import Campaign
from ptycho_fast.campaign_folder import CampaignFolder, table
from ptycho_fast.command import usage_errors
from ptycho_fast.estimate import Needs
from ptycho_fast.progress import StageClock
from ptycho_fast.runs.ladders import OF_EACH
from ptycho_fast.runs.single import Job, Result, estimate, make, prepare, refuse_before_work
from ptycho_fast.summary import time_text
from ptycho_fast.terminal import Output, bytes_text, watched


def run_campaign(
    job: Job, numbers: list[int], suffix: str, output: Output, *, dry_run: bool
) -> None:
    """One data set for each experiment; what is there already is kept.

    Parameters
    ----------
    job : Job
        What all have in common; `Job.out` is the folder, and its scenario has the draws.
    numbers : list of int
        Numbers of the experiments.
    suffix : str
        End of the names of the files.
    output : Output
        Is told of the result.
    dry_run : bool
        Whether only to estimate.
    """
    with usage_errors():
        campaign = Campaign(job.scenario)
        options = {**job.save, "dtype": job.run["dtype"]}
        folder = CampaignFolder(
            campaign, job.out, numbers, options=options, suffix=suffix, force=job.force
        )
    jobs = {
        k: dataclasses.replace(
            job,
            scenario=folder.scenarios[k],
            out=folder.place / folder.file_name(k),
            provenance={"campaign": campaign.record(k)},
            resume=not job.force,  # the same command goes on, also within a file
        )
        for k in folder.missing
    }
    announcement = _refuse(jobs)
    if announcement:
        output.remark(announcement)
    with watched(output.for_people) as clock:
        if dry_run:
            output.result(*_estimate(folder, jobs, clock))
            return
        folder.write_index()
        made = []
        with folder.telling_what_is_there():
            for number, (k, one) in enumerate(jobs.items(), 1):
                there = dataclasses.replace(one, out=folder.path(k))
                part = _PartClock(clock, f"{number} of {len(jobs)}: ")
                with campaign.naming(k):
                    made.append(make(there, prepare(there, part), part)[0])
        folder.write_index()  # again: another run may have added to it meanwhile
    output.result(*_result(folder, made))


def _refuse(jobs: dict[int, Job]) -> str:
    """As `refuse_before_work`, for all files together."""
    needs = {k: _needs(job) for k, job in jobs.items()}
    total = sum(need.file for need in needs.values())
    for k, job in jobs.items():
        dataclasses.replace(needs[k], file=total).require(job.out)
    return refuse_before_work(next(iter(jobs.values()))) if jobs else ""


def _needs(job: Job) -> Needs:
    return Needs.of_scenario(job.scenario, job.out, job.save, job.memory)


class _PartClock(StageClock):
    """The clock of one of several runs, which says on the display which one it is."""

    def __init__(self, whole: StageClock, label: str) -> None:
        super().__init__()
        self._whole, self._label = whole, label

    @contextmanager
    def stage(self, name: str, total: int = 0) -> Iterator[None]:
        with self._whole.stage(f"{self._label}{name}", total), super().stage(name, total):
            yield

    def advance(self, steps: int) -> None:
        self._whole.advance(steps)


_GROWING = (*OF_EACH, "preview")
"""Stages whose time grows with the number of patterns."""


def _estimate(folder: CampaignFolder, jobs: dict[int, Job], clock: StageClock) -> Result:
    """What a campaign would take, measured on its first, middle and last experiment."""
    numbers = list(jobs)
    chosen = {numbers[i] for i in (0, len(numbers) // 2, -1)} if numbers else set()
    estimates = []
    for k in sorted(chosen):
        part = _PartClock(clock, f"experiment {k}: ")
        with folder.campaign.naming(k):
            estimates.append(estimate(jobs[k], prepare(jobs[k], part), part)[0])
    pixels = sum(e["patterns"] * e["N"] ** 2 for e in estimates)
    usual = max((e["patterns"] for e in estimates), default=0)  # where only a file knows
    all_pixels = sum((j.scenario.scan.n_patterns or usual) * j.scenario.N**2 for j in jobs.values())
    seconds = 0.0
    for one in estimates:
        for name, value in one["seconds_by_stage"].items():
            grows = all_pixels / pixels if name in _GROWING else len(jobs) / len(estimates)
            seconds += value * grows
    entries = [folder.entry(k) for k in folder.scenarios]
    facts = _facts(folder) | {
        "dry_run": True,
        "seconds_estimated": seconds,
        "memory_bytes": max((e["memory_bytes"] for e in estimates), default=0),
        "file_bytes": sum(_file_bytes(job) for job in jobs.values()),
        "experiments": entries,
    }

    def lines() -> Iterator[tuple[str, str]]:
        name = facts["scenario"]["name"]
        yield "scenario", f"{name} (dry run, nothing is written)"
        yield from table(entries)
        yield "experiments", f"{len(jobs)} to make, {len(folder.kept)} are there"
        yield "patterns", _all_patterns(facts)
        yield "time", f"about {float(f'{seconds:.2g}'):g} s"
        yield "memory", f"about {bytes_text(facts['memory_bytes'])}"
        yield "folder", f"{folder.folder}, {bytes_text(facts['file_bytes'])} more"

    return facts, lines()


def _file_bytes(job: Job) -> int:
    return _needs(job).file


def _all_patterns(facts: dict[str, Any]) -> str:
    count = facts["patterns"]
    return "as many as the files of the scans hold" if count is None else f"{count} in all"


def _facts(folder: CampaignFolder) -> dict[str, Any]:
    counts = [scenario.scan.n_patterns for scenario in folder.scenarios.values()]
    return {
        "scenario": folder.campaign.template.to_dict(),
        "draws": folder.campaign.drawn,
        "kept": len(folder.kept),
        "patterns": None if None in counts else sum(counts),
        "folder": str(folder.folder),
        "index": str(folder.index),
    }


def _result(folder: CampaignFolder, made: list[dict[str, Any]]) -> Result:
    by_stage: dict[str, float] = {}
    for one in made:
        for name, seconds in one["seconds_by_stage"].items():
            by_stage[name] = by_stage.get(name, 0.0) + seconds
    new_patterns = sum(one["patterns"] for one in made)
    facts = _facts(folder) | {
        "made": len(made),
        "seconds": sum(by_stage.values()),
        "seconds_by_stage": by_stage,
        "file_bytes": sum(folder.path(k).stat().st_size for k in folder.scenarios),
        "experiments": [folder.entry(k) for k in folder.scenarios],
    }

    def lines() -> Iterator[tuple[str, str]]:
        yield "scenario", facts["scenario"]["name"]
        yield "draws", ", ".join(facts["draws"]) or "none; each experiment has its own seeds"
        yield "experiments", f"{len(made)} made, {len(folder.kept)} were there"
        yield "patterns", _all_patterns(facts)
        if made:
            yield "backend", made[0]["backend"]
            yield "time", time_text(facts["seconds"], by_stage, 3)
            rate = new_patterns / by_stage["patterns"]
            yield "speed", f"{rate:,.0f} patterns/s, made and written"
        yield "folder", f"{folder.folder}, {bytes_text(facts['file_bytes'])}, {folder.index.name}"

    return facts, lines()
