"""``simulate --explain``: what a run would make, in sentences; nothing is written."""

import dataclasses
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from ptycho_fast.campaign import Campaign
from ptycho_fast.explain import in_words
from ptycho_fast.formats import format_of
from ptycho_fast.progress import StageClock
from ptycho_fast.runs.single import Job, Result, estimate, prepare, refuse_before_work
from ptycho_fast.simulator import Simulator
from ptycho_fast.terminal import bytes_text

_WIDTH = 80  # columns of text beside the labels


def explain(job: Job, clock: StageClock) -> Result:
    """One data set.

    Parameters
    ----------
    job : Job
        What would be made. What cannot be made is refused as by the run itself.
    clock : StageClock
        Of the estimate.

    Returns
    -------
    Result
        The facts of ``--dry-run`` and ``words``; a line for each part.
    """
    simulator, facts = _estimated(job, clock)
    words = [
        ("scenario", f"{facts['scenario']['name']}. Nothing is made now."),
        *in_words(simulator.experiment),
        *_costs(facts, 1),
    ]
    return _told(facts, words)


def explain_ladder(job: Job, doses: Sequence[float], clock: StageClock) -> Result:
    """The same scan at several doses; as `explain`."""
    simulator, facts = _estimated(_part(job, "dose"), clock)
    words = dict(in_words(simulator.experiment))
    listed = ", ".join(f"{dose:.4g}" for dose in doses)
    words["dose"] = (
        f"A data set at each of {len(doses)} doses: {listed} {facts['dose']['unit']}. Object, "
        "probe and scan are the same in all."
    )
    name = facts["scenario"]["name"]
    lines = [
        ("scenario", f"{name}, a dose ladder. Nothing is made now."),
        *words.items(),
        *_costs(facts, len(doses)),
    ]
    return _told(facts | {"data_sets": len(doses)}, lines)


def explain_campaign(job: Job, numbers: Sequence[int], clock: StageClock) -> Result:
    """Several experiments, each with its own draws; as `explain`, of the first one."""
    campaign, first = Campaign(job.scenario), numbers[0]
    one = dataclasses.replace(_part(job, str(first)), scenario=campaign.scenario(first))
    simulator, facts = _estimated(one, clock)
    drawn = ", ".join(campaign.drawn) or "nothing but the seeds"
    words = [
        ("scenario", f"{job.scenario.name}, a campaign. Nothing is made now."),
        ("experiments", f"{len(numbers)}. Each draws its own {drawn}, and has its own seeds."),
        ("for example", f"experiment {first}:"),
        *in_words(simulator.experiment),
        *_costs(facts, len(numbers)),
    ]
    return _told(facts | {"experiments": len(numbers), "draws": campaign.drawn}, words)


def _part(job: Job, label: str) -> Job:
    """One of the data sets of a folder that is not there yet."""
    suffix = format_of("", job.save["format"]).suffix if job.save["format"] else ".npz"
    return dataclasses.replace(job, out=job.out.parent / f"{job.out.name}-{label}{suffix}")


def _estimated(job: Job, clock: StageClock) -> tuple[Simulator, dict[str, Any]]:
    refuse_before_work(job)
    simulator = prepare(job, clock)
    return simulator, estimate(job, simulator, clock)[0]


def _costs(facts: dict[str, Any], count: int) -> Iterator[tuple[str, str]]:
    """What the run takes: of one data set, and of all of them if there are several."""
    file, seconds = facts["file_bytes"], facts["seconds_estimated"]
    each = f"{bytes_text(file)} of format {facts['format']}"
    if count == 1:
        yield "file", f"{facts['file']}: {each}."
    else:
        yield "files", f"{count}, about {each} each: {bytes_text(count * file)} in all."
    yield "memory", f"About {bytes_text(facts['memory_bytes'])}."
    took = f"About {_seconds(seconds)}" + (
        "." if count == 1 else f" each: {_seconds(count * seconds)} in all."
    )
    yield "time", f"{took} Backend {facts['backend']}, {facts['threads']} threads."
    yield "again", "The same command makes the same bits, with any number of threads."


def _seconds(value: float) -> str:
    if value < 120:
        return f"{value:.2g} s"
    return f"{value / 60:.2g} min" if value < 7200 else f"{value / 3600:.2g} h"


def _told(facts: dict[str, Any], words: Sequence[tuple[str, str]]) -> Result:
    lines = (
        (label, f"\n{'':19}".join(textwrap.wrap(text, _WIDTH, break_on_hyphens=False)))
        for label, text in words
    )
    return facts | {"words": dict(words)}, iter(list(lines))
