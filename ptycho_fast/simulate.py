"""``python -m ptycho_fast.simulate``: a data set from one command.

``ptycho_fast.simulate(...)`` is the same as a function, also after this module was imported.
"""

import argparse
import dataclasses
import sys
import types
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ptycho_fast.command import (
    UsageError,
    add_output_flags,
    add_scenario_flags,
    naming_written,
    run_command,
    scenario_of,
    usage_errors,
)
from ptycho_fast.progress import StageClock
from ptycho_fast.scenario import GRAMMAR, Scenario, campaigns, known_keys, presets
from ptycho_fast.summary import estimate_lines, spread_text, summary_lines, time_text
from ptycho_fast.terminal import Output, bytes_text, watched

if TYPE_CHECKING:
    from ptycho_fast.campaign_folder import CampaignFolder
    from ptycho_fast.data.dataset import Dataset
    from ptycho_fast.experiment import Experiment
    from ptycho_fast.simulator import Simulator

_Number = TypeVar("_Number", int, float)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments, by default those of the process.

    Returns
    -------
    int
        The exit code; see `command.run_command`.
    """
    return run_command(_parser(), _run, argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ptycho_fast.simulate",
        description="Simulate a ptychography data set with exact photon statistics.",
        epilog="Keys of a scenario, for --set and TOML files:\n"
        + "\n".join(
            f"  {key:26} {info.type}, default {info.default}: {info.doc}"
            for key, info in known_keys().items()
        )
        + f"\n\n{GRAMMAR}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scenario",
        help=f"{', '.join(presets())}, or a TOML file; with --count also "
        f"{' or '.join(campaigns())}, which draw each experiment",
    )
    add_scenario_flags(parser)
    run = parser.add_argument_group("how to run")
    run.add_argument("--backend", default="auto", help="auto, native, numba, reference or cuda")
    run.add_argument("--device", type=int, metavar="NUMBER", help="GPU, with the backend cuda")
    run.add_argument("--threads", type=int, help="threads (default: all); no effect on the result")
    run.add_argument("--no-noise", action="store_true", help="noise-free intensities, no photons")
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything and estimate time, memory and file size, but make no file",
    )
    ladder = parser.add_argument_group("the same scan at several doses")
    ladder.add_argument(
        "--ladder", metavar="DOSES", help="such as 1e3,1e5,1e7: a data set at each; see --out"
    )
    ladder.add_argument(
        "--ladder-numbers",
        choices=["common", "independent"],
        help="whether all doses have the same random numbers (default) or each its own",
    )
    campaign = parser.add_argument_group("a campaign: many experiments, each with its own draws")
    campaign.add_argument(
        "--count", type=int, help="number of experiments, one file each; see --out and below"
    )
    campaign.add_argument(
        "--first", type=int, metavar="K", help="number of the first experiment (default: 0)"
    )
    campaign.add_argument(
        "--skip", metavar="K,K", help="numbers of experiments to leave out, such as 17,203"
    )
    out = parser.add_argument_group("what to write")
    out.add_argument(
        "--out",
        metavar="FILE",
        help="the data set (default: NAME.npz); with --ladder or --count a folder (default: "
        "NAME-ladder, NAME)",
    )
    out.add_argument("--force", action="store_true", help="replace existing files")
    out.add_argument("--alias", choices=["diffraction"], help="write the patterns there too")
    out.add_argument(
        "--modes", choices=["first", "all"], help="which of several probe modes to write"
    )
    out.add_argument("--patches", action="store_true", help="write the object patches too")
    out.add_argument("--preview", metavar="FILE", help="picture of object, probe, scan, patterns")
    add_output_flags(parser, "the summary")
    return parser


# --- from flags to one call ---


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What the command line asks for, in the words of the functions that do it."""

    scenario: Scenario
    out: Path
    preview: Path | None
    force: bool
    noise: bool | None
    run: dict[str, Any]
    save: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def targets(self) -> list[Path]:
        return [self.out, self.preview] if self.preview else [self.out]


def _run(options: argparse.Namespace, output: Output) -> None:
    scenario = scenario_of(options, drawn=options.count is not None)
    if options.count is not None:
        _run_campaign(options, scenario, output)
        return
    for flag in ("first", "skip"):
        if getattr(options, flag) is not None:
            raise UsageError(f"--{flag}: given, expected --count too, the number of experiments")
    if options.ladder is not None:
        _run_ladder(options, scenario, output)
        return
    if options.ladder_numbers is not None:
        raise UsageError("--ladder-numbers: given, expected --ladder too, the doses")
    job = _job(options, scenario, Path(options.out or f"{scenario.name}.npz"))
    with naming_written(*job.targets):
        if announcement := _refuse_before_work(job):
            output.remark(announcement)
        with watched(output.for_people) as clock:
            simulator = _prepare(job, clock)
            result = _estimate if options.dry_run else _make
            facts, lines = result(job, simulator, clock)
        output.result(facts, lines)


def _job(options: argparse.Namespace, scenario: Scenario, out: Path) -> _Job:
    return _Job(
        scenario=scenario,
        out=out,
        preview=Path(options.preview) if options.preview else None,
        force=options.force,
        noise=False if options.no_noise else None,
        run={name: getattr(options, name) for name in ("backend", "device", "threads")},
        save={
            "alias": options.alias is not None,
            "modes": options.modes,
            "patches": options.patches,
        },
    )


def _run_ladder(options: argparse.Namespace, scenario: Scenario, output: Output) -> None:
    """One data set for each dose, in a folder; what can be refused is refused before any work."""
    from ptycho_fast.ladder import as_doses, at_dose, dose_changes, dose_text

    folder = Path(options.out or f"{scenario.name}-ladder")
    numbers = options.ladder_numbers or "common"
    with usage_errors():
        if options.preview:
            raise ValueError("--preview: a file given, expected none with --ladder")
        doses = as_doses(_numbers(options.ladder, "--ladder", float, "1e3,1e5"))
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder}: is a file, expected a folder for the data sets")
    steps = [scenario.replace(dose_changes(scenario, d, k, numbers)) for k, d in enumerate(doses)]
    # A folder that is not there yet is made at the end of all checks, in one that is.
    place = folder if folder.exists() else folder.parent
    names = [f"{scenario.name}-{dose_text(dose)}.npz" for dose in doses]
    jobs = [_job(options, step, place / name) for step, name in zip(steps, names, strict=True)]
    made: list[dict[str, Any]] = []
    with naming_written(*(folder / name for name in names)):
        for job in jobs:
            announcement = _refuse_before_work(job, files=len(jobs))
        if announcement:
            output.remark(announcement)
        with watched(output.for_people) as clock:
            first = _prepare(jobs[0], clock)
            experiments = [at_dose(first.experiment, d, k, numbers) for k, d in enumerate(doses)]
            simulators = [_again(job, e) for job, e in zip(jobs, experiments, strict=True)]
            for simulator in simulators:
                simulator.check_dose()
            if options.dry_run:
                facts, lines = _estimate(jobs[0], simulators[0], clock)
                output.result(*_several(facts, lines, folder, len(doses)))
                return
            folder.mkdir(exist_ok=True)
            for job, name, simulator in zip(jobs, names, simulators, strict=True):
                there = dataclasses.replace(job, out=folder / name)
                made.append(_make(there, simulator, clock)[0])
        output.result(*_ladder_result(made, folder, numbers))


def _run_campaign(options: argparse.Namespace, scenario: Scenario, output: Output) -> None:
    """One data set for each experiment, in a folder; what is there already is kept."""
    from ptycho_fast.campaign import Campaign
    from ptycho_fast.campaign_folder import CampaignFolder

    if options.no_noise:
        scenario = scenario.replace({"noise": False})
    job = _job(options, scenario, Path(options.out or scenario.name))
    with usage_errors():
        for flag in ("preview", "ladder", "ladder_numbers"):
            if getattr(options, flag) is not None:
                raise ValueError(
                    f"--{flag.replace('_', '-')}: given, expected nothing of that kind with --count"
                )
        numbers = _experiments(options)
        campaign = Campaign(scenario)
        folder = CampaignFolder(campaign, job.out, numbers, options=job.save, force=job.force)
    jobs = {
        k: dataclasses.replace(
            job,
            scenario=folder.scenarios[k],
            out=folder.place / folder.file_name(k),
            provenance={"campaign": campaign.record(k)},
        )
        for k in folder.missing
    }
    announcement = _refuse_before_campaign(jobs)
    if announcement:
        output.remark(announcement)
    with watched(output.for_people) as clock:
        if options.dry_run:
            output.result(*_campaign_estimate(folder, jobs, clock))
            return
        folder.write_index()
        made = []
        with folder.telling_what_is_there():
            for number, (k, one) in enumerate(jobs.items(), 1):
                there = dataclasses.replace(one, out=folder.path(k))
                part = _PartClock(clock, f"{number} of {len(jobs)}: ")
                with campaign.naming(k):
                    made.append(_make(there, _prepare(there, part), part)[0])
        folder.write_index()  # again: another run may have added to it meanwhile
    output.result(*_campaign_result(folder, made))


def _experiments(options: argparse.Namespace) -> list[int]:
    """Numbers of the experiments that are asked for."""
    from ptycho_fast import checks
    from ptycho_fast.campaign import MOST_EXPERIMENTS

    first = checks.integer(options.first or 0, "--first", 0, MOST_EXPERIMENTS - 1)
    count = checks.integer(options.count, "--count", 1, MOST_EXPERIMENTS - first)
    left_out = _numbers(options.skip, "--skip", int, "17,203") if options.skip else []
    numbers = [k for k in range(first, first + count) if k not in left_out]
    if not numbers:
        raise ValueError("--skip: all experiments given, expected at least one that is made")
    return numbers


def _refuse_before_campaign(jobs: dict[int, _Job]) -> str:
    """As `_refuse_before_work`, for all files together."""
    from ptycho_fast.estimate import Needs

    needs = {k: Needs.of_scenario(job.scenario, job.out, job.save) for k, job in jobs.items()}
    total = sum(need.file for need in needs.values())
    for k, job in jobs.items():
        dataclasses.replace(needs[k], file=total).require(job.out)
    return _refuse_before_work(next(iter(jobs.values()))) if jobs else ""


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


def _numbers(text: str, flag: str, kind: type[_Number], example: str) -> list[_Number]:
    """The numbers of a flag that takes several, separated by commas."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{flag}: {text!r} given, expected numbers such as {example}") from None


def _again(job: _Job, experiment: "Experiment") -> "Simulator":
    from ptycho_fast.errors import DataWarning
    from ptycho_fast.simulator import Simulator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # said about the first one
        return Simulator(experiment, noise=job.noise, **job.run)


def _refuse_before_work(job: _Job, files: int = 1) -> str:
    """Raise for what cannot be done; return what the user should know about the backend.

    `files` are as many as are made like this one, and have to fit on the disk.
    """
    from ptycho_fast.backend import choose, require_device
    from ptycho_fast.estimate import Needs
    from ptycho_fast.files import check_targets
    from ptycho_fast.formats import format_of
    from ptycho_fast.threads import thread_count

    with usage_errors():
        _, backend = choose(job.run["backend"])
        with backend.place(require_device(job.run["device"], backend)):
            thread_count(job.run["threads"])
        check_targets(*job.targets, force=job.force)
        format_of(job.out)
    if job.preview:
        from ptycho_fast.report.preview import picture_format, require_matplotlib

        with usage_errors():
            picture_format(job.preview)
        require_matplotlib()
    needs = Needs.of_scenario(job.scenario, job.out, job.save)
    dataclasses.replace(needs, file=files * needs.file).require(job.out)
    return backend.first_call()


def _prepare(job: _Job, clock: StageClock) -> "Simulator":
    """Make all but the patterns, and refuse what can be known only now."""
    from ptycho_fast.estimate import Needs
    from ptycho_fast.simulation import dataset_of
    from ptycho_fast.simulator import Simulator

    simulator = Simulator(job.scenario, noise=job.noise, **job.run, clock=clock)
    with usage_errors():
        dataset_of(simulator, lazy=True).check(job.out, **job.save)
    Needs.of_experiment(simulator.experiment, job.out, job.save).require(job.out)
    return simulator


_Result = tuple[dict[str, Any], Iterator[tuple[str, str]]]


def _make(job: _Job, simulator: "Simulator", clock: StageClock) -> _Result:
    """Make and write the data set."""
    from ptycho_fast.simulation import dataset_of

    dataset = dataset_of(simulator, clock)
    dataset.provenance.update(job.provenance)
    with clock.stage("write"):
        dataset.save(job.out, force=job.force, **job.save)
    if job.preview:
        from ptycho_fast.report.preview import preview

        with clock.stage("preview"):
            preview(dataset, job.preview, force=job.force)
    facts = _common_facts(job, simulator) | {
        "noise": simulator.noise,
        "dose": dataset.provenance["dose"],
        "normalise_gain": _normalise_gain(dataset),
        "seconds": sum(clock.seconds.values()),
        "seconds_by_stage": clock.seconds,
        "patterns_per_second": simulator.n_patterns / clock.seconds["patterns"],
        "file_bytes": job.out.stat().st_size,
        **({"preview": str(job.preview)} if job.preview else {}),
    }
    return facts, summary_lines(facts)


def _estimate(job: _Job, simulator: "Simulator", clock: StageClock) -> _Result:
    """Measure on some patterns what the whole run would take."""
    from ptycho_fast.estimate import Needs, remaining_seconds
    from ptycho_fast.threads import thread_count

    simulator.check_dose()
    seconds = clock.seconds | remaining_seconds(
        simulator, job.out, job.save, preview=job.preview, **job.run
    )
    needs = Needs.of_experiment(simulator.experiment, job.out, job.save)
    facts = _common_facts(job, simulator) | {
        "dry_run": True,
        "threads": thread_count(job.run["threads"]),
        "dose": dict(simulator.experiment.dose),
        "memory_bytes": needs.memory,
        "seconds_estimated": sum(seconds.values()),
        "seconds_by_stage": seconds,
        "file_bytes": needs.file,
    }
    return facts, estimate_lines(facts)


# --- what came out, or would ---


_OF_EACH = ("patterns", "statistics", "write")
"""Stages that every data set of a ladder goes through."""


def _several(
    facts: dict[str, Any], lines: Iterator[tuple[str, str]], folder: Path, count: int
) -> _Result:
    """An estimate for data sets that differ in their dose only."""
    more = {"data_sets": count, "folder": str(folder), "file_bytes": count * facts["file_bytes"]}
    again = (facts["seconds_by_stage"].get(name, 0.0) for name in _OF_EACH)
    more["seconds_estimated"] = facts["seconds_estimated"] + (count - 1) * sum(again)

    def all_lines() -> Iterator[tuple[str, str]]:
        yield from (line for line in lines if line[0] not in ("time", "file"))
        yield "time", f"about {more['seconds_estimated']:.2g} s for {count} data sets"
        yield "folder", f"{folder}, {count} data sets, {bytes_text(more['file_bytes'])}"

    return facts | more, all_lines()


def _ladder_result(made: list[dict[str, Any]], folder: Path, numbers: str) -> _Result:
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


_GROWING = (*_OF_EACH, "preview")
"""Stages whose time grows with the number of patterns."""


def _campaign_estimate(
    folder: "CampaignFolder", jobs: dict[int, _Job], clock: StageClock
) -> _Result:
    """What a campaign would take, measured on its first, middle and last experiment."""
    from ptycho_fast.campaign_folder import table

    numbers = list(jobs)
    chosen = {numbers[i] for i in (0, len(numbers) // 2, -1)} if numbers else set()
    estimates = []
    for k in sorted(chosen):
        part = _PartClock(clock, f"experiment {k}: ")
        with folder.campaign.naming(k):
            estimates.append(_estimate(jobs[k], _prepare(jobs[k], part), part)[0])
    pixels = sum(e["patterns"] * e["N"] ** 2 for e in estimates)
    usual = max((e["patterns"] for e in estimates), default=0)  # where only a file knows
    all_pixels = sum((j.scenario.scan.n_patterns or usual) * j.scenario.N**2 for j in jobs.values())
    seconds = 0.0
    for estimate in estimates:
        for name, value in estimate["seconds_by_stage"].items():
            grows = all_pixels / pixels if name in _GROWING else len(jobs) / len(estimates)
            seconds += value * grows
    entries = [folder.entry(k) for k in folder.scenarios]
    facts = _campaign_facts(folder) | {
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


def _file_bytes(job: _Job) -> int:
    from ptycho_fast.estimate import Needs

    return Needs.of_scenario(job.scenario, job.out, job.save).file


def _all_patterns(facts: dict[str, Any]) -> str:
    count = facts["patterns"]
    return "as many as the files of the scans hold" if count is None else f"{count} in all"


def _campaign_facts(folder: "CampaignFolder") -> dict[str, Any]:
    counts = [scenario.scan.n_patterns for scenario in folder.scenarios.values()]
    return {
        "scenario": folder.campaign.template.to_dict(),
        "draws": folder.campaign.drawn,
        "kept": len(folder.kept),
        "patterns": None if None in counts else sum(counts),
        "folder": str(folder.folder),
        "index": str(folder.index),
    }


def _campaign_result(folder: "CampaignFolder", made: list[dict[str, Any]]) -> _Result:
    by_stage: dict[str, float] = {}
    for one in made:
        for name, seconds in one["seconds_by_stage"].items():
            by_stage[name] = by_stage.get(name, 0.0) + seconds
    new_patterns = sum(one["patterns"] for one in made)
    facts = _campaign_facts(folder) | {
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
            yield "speed", f"{new_patterns / by_stage['patterns']:,.0f} patterns/s"
        yield "folder", f"{folder.folder}, {bytes_text(facts['file_bytes'])}, {folder.index.name}"

    return facts, lines()


def _common_facts(job: _Job, simulator: "Simulator") -> dict[str, Any]:
    from ptycho_fast.probes.modes import mode_fractions

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
        "file": str(job.out),
    }


def _backend_text(asked: str, got: str) -> str:
    from ptycho_fast.backend import passed_over

    if asked != "auto":
        return f"{got} (asked for)"
    missing = "".join(f"; not {name}: {reason}" for name, reason in passed_over(got).items())
    return f"{got} (the best available{missing})"


def _normalise_gain(dataset: "Dataset") -> float | None:
    """Gain of the normalise stage; None where there is no light to normalise."""
    from ptycho_fast.scaling import normalise_gain

    energy = float(dataset.energies().mean())
    return normalise_gain(energy, dataset.N) if energy > 0 else None


class _CallableModule(types.ModuleType):
    """The import system binds this module over the function of the same name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from ptycho_fast.simulation import simulate

        return simulate(*args, **options)


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    sys.exit(main())
