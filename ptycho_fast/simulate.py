"""``python -m ptycho_fast.simulate``: a data set from one command.

``ptycho_fast.simulate(...)`` is the same as a function, also after this module was imported.
"""

import argparse
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ptycho_fast.command import (
    Parser,
    UsageError,
    add_output_flags,
    add_scenario_flags,
    add_start_flags,
    examples,
    naming_written,
    run_command,
    scenario_of,
    usage_errors,
    whole,
)
from ptycho_fast.scenario import GRAMMAR, Scenario, campaigns, known_keys, presets
from ptycho_fast.terminal import Output, bytes_of, watched

if TYPE_CHECKING:
    from ptycho_fast.runs.single import Job

_Number = TypeVar("_Number", int, float)

_EXAMPLES = (
    ("1024 patterns of 64 x 64 pixels", "ptycho-fast simulate gs2_ideal"),
    (
        "what would be made, in words",
        "ptycho-fast simulate gs2_ideal --nphotons 1e6 --out dim.h5 --explain",
    ),
    (
        "two experiments, each with its own object, probe, scan and dose",
        "ptycho-fast simulate xray_zoo --count 2 --out zoo",
    ),
)


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
    return run_command(parser(), _run, argv)


class _Parser(Parser):
    """Describes all keys, for which it looks at all kinds, only to those who ask for help."""

    def format_help(self) -> str:
        self.epilog = (
            f"{examples(*_EXAMPLES)}\n\n"
            "Keys of a scenario, for --set and TOML files:\n"
            + "\n".join(
                f"  {key:26} {info.type}, default {info.default}: {info.doc}"
                for key, info in known_keys().items()
            )
            + f"\n\n{GRAMMAR}"
        )
        return super().format_help()


def parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    parser = _Parser(
        prog="ptycho-fast simulate",
        description="Simulate a ptychography data set with exact photon statistics.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scenario",
        nargs="?",
        help=f"{', '.join(presets())}, or a TOML file; with --count also "
        f"{' or '.join(campaigns())}, which draw each experiment",
    )
    add_scenario_flags(parser)
    add_start_flags(parser.add_argument_group("to start from a data set or a reconstruction"))
    run = parser.add_argument_group("how to run")
    run.add_argument("--backend", default="auto", help="auto, native, numba, reference or cuda")
    run.add_argument("--device", type=whole, metavar="NUMBER", help="GPU, with the backend cuda")
    run.add_argument(
        "--threads", type=whole, help="threads (default: all); no effect on the result"
    )
    run.add_argument(
        "--cluster",
        metavar="WHERE",
        help="Dask distributed: local:4, or the scheduler's address, tcp://HOST:8786; see "
        "docs/cluster.md",
    )
    run.add_argument("--no-noise", action="store_true", help="noise-free intensities, no photons")
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything and estimate time, memory and file size, but make no file",
    )
    run.add_argument(
        "--explain",
        action="store_true",
        help="say in plain sentences what would be made, but make no file",
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
        "--count", type=whole, help="number of experiments, one file each; see --out and below"
    )
    campaign.add_argument(
        "--first", type=whole, metavar="K", help="number of the first experiment (default: 0)"
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
    out.add_argument(
        "--format",
        metavar="NAME",
        help="kind of file (default: by the suffix of --out): " + ", ".join(_written()),
    )
    out.add_argument("--force", action="store_true", help="replace existing files")
    out.add_argument(
        "--resume", action="store_true", help="go on with the file of a run that was ended"
    )
    out.add_argument(
        "--dtype",
        choices=["uint16", "uint32", "float32"],
        help="type of a pixel (default: uint32 for counts)",
    )
    out.add_argument(
        "--compression",
        choices=["lz4", "zstd", "portable", "none"],
        help="of HDF5 and Zarr: lz4 (default), smaller and slower, for every reader, or none",
    )
    out.add_argument(
        "--shard-patterns", type=whole, metavar="COUNT", help="about how many to a file, joined"
    )
    out.add_argument(
        "--memory",
        metavar="BYTES",
        default="512MiB",
        help="that patterns on their way to the file may take (default: 512MiB)",
    )
    out.add_argument("--alias", choices=["diffraction"], help="write the patterns there too")
    out.add_argument(
        "--modes", choices=["first", "all"], help="which of several probe modes to write"
    )
    out.add_argument("--patches", action="store_true", help="write the object patches too")
    out.add_argument("--preview", metavar="FILE", help="picture of object, probe, scan, patterns")
    out.add_argument(
        "--report", metavar="FILE", help="page (.html) that says and shows what was made"
    )
    out.add_argument(
        "--card",
        action="store_true",
        help="write its data card beside it, .md: what it is, its SHA-256, how to make it again",
    )
    add_output_flags(parser, "the summary")
    return parser


def _written() -> list[str]:
    from ptycho_fast.formats import FORMATS

    return [one.name for one in FORMATS.values() if one.writes]


# --- from flags to one call ---


def _run(options: argparse.Namespace, output: Output) -> None:
    scenario = scenario_of(options, drawn=options.count is not None)
    if options.explain:
        _explain(options, scenario, output)
        return
    if _is_recipe(options):
        _run_recipe(options, scenario, output)
        return
    if options.cluster and (options.count or options.ladder):
        raise UsageError("--cluster: given, expected neither --count nor --ladder with it")
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
    from ptycho_fast.runs import single

    name = options.out or f"{scenario.name}{_suffix(options)}"
    job = _job(options, scenario, Path(name))
    if options.cluster is not None:
        _run_on_cluster(options, job, output)
        return
    with naming_written(*job.targets):
        if announcement := single.refuse_before_work(job):
            output.remark(announcement)
        with watched(output.for_people) as clock:
            simulator = single.prepare(job, clock)
            result = single.estimate if options.dry_run else single.make
            facts, lines = result(job, simulator, clock)
        output.result(facts, lines)


def _is_recipe(options: argparse.Namespace) -> bool:
    from ptycho_fast.formats import format_of

    if options.format is not None or options.out is None:
        return options.format == "recipe"
    with usage_errors():
        suffix = Path(options.out).suffix.lower()
        return suffix == ".toml" and format_of(options.out).name == "recipe"


def _explain(options: argparse.Namespace, scenario: Scenario, output: Output) -> None:
    """What the other flags ask for, in sentences."""
    from ptycho_fast.runs import explained

    if options.dry_run or options.cluster:
        raise UsageError("--explain: given, expected neither --dry-run nor --cluster with it")
    several = options.count is not None or options.ladder is not None
    name = options.out or f"{scenario.name}{'' if several else _suffix(options)}"
    job = _job(options, scenario, Path(name))
    with watched(output.for_people) as clock:
        if options.count is not None:
            with usage_errors():
                numbers = _experiments(options)
            result = explained.explain_campaign(job, numbers, clock)
        elif options.ladder is not None:
            with usage_errors():
                doses = _numbers(options.ladder, "--ladder", float, "1e3,1e5")
            result = explained.explain_ladder(job, doses, clock)
        else:
            result = explained.explain(job, clock)
    output.result(*result)


def _run_recipe(options: argparse.Namespace, scenario: Scenario, output: Output) -> None:
    """The recipe of one experiment, or of a campaign."""
    from ptycho_fast.runs import recipes

    job = _job(options, scenario, Path(options.out or f"{scenario.name}.toml"))
    names = (
        "preview", "report", "card", "ladder", "ladder_numbers", "skip", "alias", "modes",
        "patches", "resume", "compression", "shard_patterns",
    )  # fmt: skip
    with naming_written(job.out):
        with usage_errors():
            recipes.refuse(job, {name: getattr(options, name) for name in names})
            numbers = None if options.count is None else _experiments(options)
        with watched(output.for_people) as clock:
            result = recipes.make(job, numbers, clock, dry_run=options.dry_run)
    output.result(*result)


def _run_on_cluster(options: argparse.Namespace, job: "Job", output: Output) -> None:
    """The same data set, made by workers; what they need is refused by them, before the work."""
    from ptycho_fast import cluster
    from ptycho_fast.summary import cluster_lines

    with usage_errors():
        for flag in ("dry_run", "patches", "preview", "report", "card"):
            if getattr(options, flag):
                raise ValueError(
                    f"--{flag.replace('_', '-')}: given, expected nothing of that kind with "
                    "--cluster"
                )
        cluster.check_place(options.cluster)
        cluster.check_target(job.out, job.save["format"], force=job.force)
    how = job.run | {"threads": job.run["threads"] or 1}
    with naming_written(job.out), watched(output.for_people) as clock:
        made = cluster.run(
            job.scenario,
            job.out,
            cluster=options.cluster,
            noise=job.noise,
            force=job.force,
            resume=job.resume,
            clock=clock,
            **how,
            **{name: value for name, value in job.save.items() if name != "patches"},
        )
    facts = {
        "scenario": job.scenario.to_dict(),
        "patterns": made.n_patterns,
        "shards": made.shards,
        "kept": made.kept,
        "dose": made.dose,
        "seconds": sum(made.seconds.values()),
        "seconds_by_stage": made.seconds,
        "file_bytes": made.size,
        "file": str(made.path),
    }
    output.result(facts, cluster_lines(facts))


def _run_ladder(options: argparse.Namespace, scenario: Scenario, output: Output) -> None:
    from ptycho_fast.runs.ladders import run_ladder

    job = _job(options, scenario, Path(options.out or f"{scenario.name}-ladder"))
    with usage_errors():
        doses = _numbers(options.ladder, "--ladder", float, "1e3,1e5")
    numbers = options.ladder_numbers or "common"
    run_ladder(job, doses, numbers, _suffix(options), output, dry_run=options.dry_run)


def _run_campaign(options: argparse.Namespace, scenario: Scenario, output: Output) -> None:
    from ptycho_fast.runs.campaigns import run_campaign

    if options.no_noise:
        scenario = scenario.replace({"noise": False})
    job = _job(options, scenario, Path(options.out or scenario.name))
    with usage_errors():
        for flag in ("preview", "report", "card", "ladder", "ladder_numbers"):
            if getattr(options, flag):
                raise ValueError(
                    f"--{flag.replace('_', '-')}: given, expected nothing of that kind with --count"
                )
        numbers = _experiments(options)
    run_campaign(job, numbers, _suffix(options), output, dry_run=options.dry_run)


def _job(options: argparse.Namespace, scenario: Scenario, out: Path) -> "Job":
    from ptycho_fast.runs.single import Job

    with usage_errors():
        memory = bytes_of(options.memory, "--memory")
    run = ("backend", "device", "threads")
    save = ("format", "modes", "patches", "compression", "shard_patterns")
    return Job(
        scenario=scenario,
        out=out,
        preview=Path(options.preview) if options.preview else None,
        report=Path(options.report) if options.report else None,
        card=out.with_suffix(".md") if options.card else None,
        command=options.command,
        force=options.force,
        resume=options.resume,
        noise=False if options.no_noise else None,
        memory=memory,
        run={name: getattr(options, name) for name in run} | {"dtype": _dtype(options)},
        save={"alias": options.alias is not None} | {name: getattr(options, name) for name in save},
    )


def _dtype(options: argparse.Namespace) -> str | None:
    """The type that is asked for, or the only one that the format has.

    Too high a dose for it is then refused before the work.
    """
    from ptycho_fast.formats import FORMATS

    if options.dtype is not None or options.no_noise or options.format not in FORMATS:
        return options.dtype
    dtypes: tuple[str, ...] = getattr(FORMATS[options.format].load(), "DTYPES", ())
    return dtypes[0] if len(dtypes) == 1 else None


def _suffix(options: argparse.Namespace) -> str:
    """End of the names of files that the command names itself."""
    from ptycho_fast.formats import format_of

    if options.format is None:
        return ".npz"
    with usage_errors():
        return format_of("", options.format).suffix


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


def _numbers(text: str, flag: str, kind: type[_Number], example: str) -> list[_Number]:
    """The numbers of a flag that takes several, separated by commas."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{flag}: {text!r} given, expected numbers such as {example}") from None


class _CallableModule(types.ModuleType):
    """The import system binds this module over the function of the same name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from ptycho_fast.simulation import simulate

        return simulate(*args, **options)


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    sys.exit(main())
