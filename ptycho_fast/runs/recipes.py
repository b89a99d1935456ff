"""Recipes from the command line: nothing is made but the first patterns."""

from collections.abc import Mapping
from typing import Any

from ptycho_fast import checks
from ptycho_fast.campaign import Campaign
from ptycho_fast.data.recipe import write_campaign
from ptycho_fast.files import check_target
from ptycho_fast.formats.work import Work
from ptycho_fast.progress import StageClock
from ptycho_fast.runs.single import Job, Result
from ptycho_fast.simulation import dataset_of
from ptycho_fast.simulator import Simulator
from ptycho_fast.summary import recipe_lines


def refuse(job: Job, flags: Mapping[str, object]) -> None:
    """Raise for what a recipe cannot be written with.

    Parameters
    ----------
    job : Job
        The file, and whether an existing one may be replaced.
    flags : mapping
        What was given on the command line of what is about patterns in a file.

    Raises
    ------
    ValueError, OSError
        One of the flags is given, or the file cannot be made.
    """
    for flag, value in flags.items():
        if value is not None and value is not False:
            expected = f"nothing of that kind for {job.out.name}: a recipe holds no patterns"
            raise ValueError(checks.wrong(f"--{flag.replace('_', '-')}", "something", expected))
    check_target(job.out, job.force)


def make(job: Job, numbers: list[int] | None, clock: StageClock, *, dry_run: bool) -> Result:
    """Write the recipe of an experiment, or of a campaign.

    Parameters
    ----------
    job : Job
        What it is, and where.
    numbers : list of int, optional
        Numbers of the experiments of a campaign, in a row.
    clock : StageClock
        Told of every stage.
    dry_run : bool
        Whether nothing is written.

    Returns
    -------
    Result
        What is said of it.
    """
    facts: dict[str, Any] = {"dry_run": dry_run}
    if numbers is None:
        simulator = Simulator(job.scenario, noise=job.noise, **job.run, clock=clock)
        dataset = dataset_of(simulator, lazy=True)
        dataset.check(job.out, format="recipe")
        if not dry_run:
            with clock.stage("recipe"):
                dataset.save(job.out, format="recipe", work=Work(force=job.force))
        return _told(job, simulator, facts, clock)
    first, count = numbers[0], len(numbers)
    run = {name: value for name, value in job.run.items() if name != "dtype"}
    if job.run.get("dtype") is not None:
        expected = "nothing of that kind for the recipe of a campaign"
        raise ValueError(checks.wrong("--dtype", job.run["dtype"], expected))
    scenario = job.scenario.replace({"noise": False}) if job.noise is False else job.scenario
    campaign = Campaign(scenario, count=first + count, **run)
    with clock.stage("first experiment"):
        simulator = campaign.simulator(first)
    if not dry_run:
        with clock.stage("recipe"):
            write_campaign(job.out, campaign, count=count, first=first, force=job.force)
    facts |= {"experiments": count, "first": first, "draws": campaign.drawn}
    return _told(job, simulator, facts, clock)


def _told(job: Job, simulator: Simulator, more: dict[str, Any], clock: StageClock) -> Result:
    facts = {
        "scenario": job.scenario.to_dict(),
        "patterns": simulator.n_patterns,
        "N": simulator.N,
        "backend": simulator.backend,
        "dtype": simulator.dtype.name,
        "domain": simulator.domain,
        "dose": dict(simulator.experiment.dose),
        "seconds": sum(clock.seconds.values()),
        "seconds_by_stage": clock.seconds,
        "file": str(job.out),
        "file_bytes": 0 if more["dry_run"] else job.out.stat().st_size,
        **more,
    }
    return facts, recipe_lines(facts)
