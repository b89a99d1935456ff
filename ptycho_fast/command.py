"""The command line of ``python -m ptycho_fast.simulate``."""

import argparse
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptycho_fast.errors import ScenarioError
from ptycho_fast.progress import StageClock
from ptycho_fast.scenario import GRAMMAR, Scenario, known_keys, parse_assignment, presets, resolve
from ptycho_fast.version import __version__

OK, RUNTIME_ERROR, USAGE_ERROR = 0, 1, 2

# Flags for the keys that are changed most often; every other key is reached by --set.
_DIRECT = {
    "--nphotons": ("dose.nphotons", float, "mean detected photons per pattern"),
    "--n-patterns": ("scan.n_patterns", int, "number of scan positions"),
    "--N": ("N", int, "patch and detector side, pixels"),
    "--gridsize": ("gridsize", int, "patterns per group: gridsize squared"),
    "--object-size": ("object.size", int, "side of the object, pixels"),
    "--object-file": ("object.file", str, "object from an .npz (objectGuess) or .npy"),
    "--probe-file": ("probe.file", str, "probe from an .npz (probeGuess) or .npy"),
    "--seed": ("seeds.photons", int, "seed of the photon noise"),
}


class UsageError(Exception):
    """The command line asks for what cannot be."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit code 0, 1 (it failed) or 2 (it was asked wrongly)."""
    return run_command(_parser(), _run, argv, lambda _: "interrupted; nothing was written")


def run_command(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None,
    interrupted: Callable[[argparse.Namespace], str],
) -> int:
    """Run a command and turn what goes wrong into one line and an exit code."""
    options = parser.parse_args(argv)
    try:
        run(options)
    except (Exception, KeyboardInterrupt) as error:
        if options.traceback:
            traceback.print_exc()
        if isinstance(error, KeyboardInterrupt):
            message = interrupted(options)
        elif isinstance(error, MemoryError):
            hint = "; --dry-run shows what is needed" if "dry_run" in options else ""
            message = f"out of memory ({error}){hint}"
        else:
            message = (str(error) or type(error).__name__) + _hint(error)
        sys.stderr.write(f"{parser.prog}: error: {message}\n")
        return USAGE_ERROR if isinstance(error, ScenarioError | UsageError) else RUNTIME_ERROR
    return OK


def _hint(error: BaseException) -> str:
    """The flag that gives the key of an error, if there is one."""
    flags = {key: flag for flag, (key, _, _) in _DIRECT.items()}
    flag = flags.get(error.key) if isinstance(error, ScenarioError) else None
    return f" ({flag})" if flag else ""


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
    parser.add_argument("scenario", help=f"{', '.join(presets())}, or a TOML file")
    add_scenario_flags(parser)
    run = parser.add_argument_group("how to run")
    run.add_argument("--backend", default="auto", help="auto, native, numba, reference or cuda")
    run.add_argument("--threads", type=int, help="threads (default: all); no effect on the result")
    run.add_argument("--no-noise", action="store_true", help="noise-free intensities, no photons")
    run.add_argument("--dry-run", action="store_true", help="validate and estimate, write nothing")
    out = parser.add_argument_group("what to write")
    out.add_argument("--out", metavar="FILE", help="the data set (default: NAME.npz)")
    out.add_argument("--force", action="store_true", help="replace existing files")
    out.add_argument("--alias", choices=["diffraction"], help="write the patterns there too")
    out.add_argument("--modes", choices=["first"], help="which of several probe modes to write")
    out.add_argument("--patches", action="store_true", help="write the object patches too")
    out.add_argument("--preview", metavar="FILE", help="picture of object, probe, scan, patterns")
    say = parser.add_argument_group("what to say")
    say.add_argument("--quiet", action="store_true", help="only errors")
    say.add_argument("--json", action="store_true", help="the summary as JSON on standard output")
    say.add_argument("--traceback", action="store_true", help="show where an error came from")
    say.add_argument("--version", action="version", version=f"ptycho_fast {__version__}")
    return parser


def add_scenario_flags(parser: argparse._ActionsContainer) -> None:
    """The flags that `scenario_of` reads."""
    parser.add_argument("--config", metavar="FILE", help="TOML file laid over the scenario")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="set any key (see below)"
    )
    for flag, (key, kind, doc) in _DIRECT.items():
        parser.add_argument(flag, dest=key, type=kind, metavar="VALUE", help=f"{doc} ({key})")


def scenario_of(options: argparse.Namespace) -> Scenario:
    """Flag before file before preset."""
    changes = dict(parse_assignment(text) for text in options.set)
    given = vars(options)
    changes |= {key: given[key] for key, _, _ in _DIRECT.values() if given[key] is not None}
    for table in ("object", "probe"):
        if f"{table}.file" in changes:
            changes.setdefault(f"{table}.kind", "file")
    scenario = resolve(options.scenario, changes, options.config)
    scenario.require_runnable()
    return scenario


def _run(options: argparse.Namespace) -> None:
    from ptycho_fast.files import check_target
    from ptycho_fast.simulator import simulate

    scenario = scenario_of(options)
    out = Path(options.out or f"{scenario.name}.npz")
    preview = Path(options.preview) if options.preview else None
    if options.dry_run:
        _say(options, _estimate(scenario, options, out))
        return
    try:
        check_target(out, options.force)
        if preview:
            from ptycho_fast.report import preview as report

            check_target(preview, options.force)
            report.require_matplotlib()
    except (FileExistsError, IsADirectoryError) as error:
        raise UsageError(str(error).replace("force=True", "--force")) from None
    _check_space(out, _file_size(scenario, options))

    shown = not (options.quiet or options.json)
    with _watched(shown) as clock:
        dataset = simulate(
            scenario,
            backend=options.backend,
            noise=not options.no_noise,
            threads=options.threads,
            clock=clock,
        )
        with clock.stage("write"):
            dataset.save(
                out,
                force=options.force,
                alias=options.alias is not None,
                modes=options.modes,
                patches=options.patches,
            )
        if preview:
            with clock.stage("preview"):
                report.preview(dataset, preview, force=options.force)
    _say(options, _summary(dataset, clock, options.backend, out, preview))


# --- before: what a run will need ---


def _file_size(scenario: Scenario, options: argparse.Namespace) -> int:
    from ptycho_fast.formats import pinn_npz

    return pinn_npz.file_size(
        scenario.scan.n_patterns,
        scenario.N,
        _object_pixels(scenario),
        alias=options.alias is not None,
        patches=options.patches,
    )


def _object_pixels(scenario: Scenario) -> int:
    if scenario.object.kind == "lines":
        return scenario.object.size**2
    from ptycho_fast.objects import make_object

    return make_object(scenario.object, scenario.seeds.object).size


def _check_space(out: Path, size: int) -> None:
    free = shutil.disk_usage(out.absolute().parent).free
    if size > free:
        raise OSError(f"{out}: the file needs {_bytes(size)}, the disk has {_bytes(free)} free")


def _estimate(scenario: Scenario, options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """What a run would need; the time is measured on a few patterns."""
    from ptycho_fast.simulator import Simulator
    from ptycho_fast.threads import thread_count

    clock = StageClock()
    simulator = Simulator(
        scenario,
        noise=not options.no_noise,
        backend=options.backend,
        threads=options.threads,
        clock=clock,
    )
    simulator.check_dose()
    few = max(1, min(simulator.n_patterns, 2**16 // scenario.N**2))
    seconds = []
    for _ in range(2):  # the first call may compile
        start = time.perf_counter()
        simulator.frames(0, few)
        seconds.append(time.perf_counter() - start)
    file_size = _file_size(scenario, options)
    patterns = 4 * simulator.n_patterns * scenario.N**2
    return {
        "dry_run": True,
        "scenario": scenario.to_dict(),
        "patterns": simulator.n_patterns,
        "backend": _backend_text(options.backend, simulator.backend),
        "threads": thread_count(options.threads),
        "nphotons_requested": scenario.dose.nphotons,
        "intensity_scale": simulator.experiment.intensity_scale,
        "memory_bytes": int(
            2 * patterns + (file_size - patterns) + 8 * simulator.experiment.object.size
        ),
        "seconds_estimated": sum(clock.seconds.values()) + seconds[1] / few * simulator.n_patterns,
        "file": str(out),
        "file_bytes": file_size,
    }


# --- after: what came out ---


def _backend_text(asked: str, got: str) -> str:
    from ptycho_fast.backend import passed_over

    if asked != "auto":
        return f"{got} (asked for)"
    missing = "".join(f"; not {name}: {reason}" for name, reason in passed_over(got).items())
    return f"{got} (the best available{missing})"


def _summary(
    dataset: Any, clock: StageClock, asked: str, out: Path, preview: Path | None
) -> dict[str, Any]:
    from ptycho_fast import scaling

    total = sum(clock.seconds.values())
    return {
        "scenario": dataset.scenario.to_dict(),
        "patterns": dataset.n_patterns,
        "N": dataset.N,
        "backend": _backend_text(asked, dataset.provenance["backend"]),
        "noise": dataset.provenance["noise"],
        "dose": dataset.provenance["dose"],
        "intensity_scale": dataset.intensity_scale,
        "normalise_gain": scaling.normalise_gain(float(dataset.energies().mean()), dataset.N),
        "seconds": total,
        "seconds_by_stage": clock.seconds,
        "patterns_per_second": dataset.n_patterns / clock.seconds["patterns"],
        "file": str(out),
        "file_bytes": out.stat().st_size,
        **({"preview": str(preview)} if preview else {}),
    }


def _say(options: argparse.Namespace, facts: dict[str, Any]) -> None:
    if options.json:
        sys.stdout.write(json.dumps(facts) + "\n")
    elif not options.quiet:
        lines = _estimate_lines(facts) if facts.get("dry_run") else _summary_lines(facts)
        sys.stdout.write("".join(f"{label:<18} {text}\n" for label, text in lines))


def _estimate_lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "scenario", f"{facts['scenario']['name']} (dry run, nothing is written)"
    yield "patterns", f"{facts['patterns']} of {facts['scenario']['N']} x {facts['scenario']['N']}"
    yield "backend", f"{facts['backend']}, {facts['threads']} threads"
    yield "dose requested", f"{facts['nphotons_requested']:.6g} photons per pattern"
    yield "intensity scale s", f"{facts['intensity_scale']!r}"
    yield "time", f"about {facts['seconds_estimated']:.2g} s"
    yield "memory", f"about {_bytes(facts['memory_bytes'])}"
    yield "file", f"{facts['file']}, {_bytes(facts['file_bytes'])}"


def _summary_lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    dose, total = facts["dose"], facts["seconds"]
    measured = dose["measured"]
    yield "scenario", facts["scenario"]["name"]
    yield "patterns", f"{facts['patterns']} of {facts['N']} x {facts['N']} pixels"
    yield "backend", facts["backend"]
    yield "dose requested", f"{dose['requested']:.6g} photons per pattern"
    yield (
        "dose measured" if facts["noise"] else "dose expected",
        f"{measured['mean']:.6g} mean, {measured['min']:.6g} min, {measured['max']:.6g} max",
    )
    yield "intensity scale s", f"{facts['intensity_scale']!r}"
    yield "normalise gain g", f"{facts['normalise_gain']!r}"
    shares = ", ".join(
        f"{name} {seconds / total:.0%}"
        for name, seconds in sorted(facts["seconds_by_stage"].items(), key=lambda item: -item[1])
        if seconds / total >= 0.005
    )
    yield "time", f"{total:.3g} s: {shares}"
    yield "speed", f"{facts['patterns_per_second']:,.0f} patterns/s"
    yield "file", f"{facts['file']}, {_bytes(facts['file_bytes'])}"
    if "preview" in facts:
        yield "preview", facts["preview"]


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


# --- meanwhile: a progress bar on a terminal ---


@contextmanager
def _watched(shown: bool) -> Iterator[StageClock]:
    if not (shown and sys.stderr.isatty()):
        yield StageClock()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    class Bar(StageClock):
        """Shows the current stage, its rate and the time left."""

        @contextmanager
        def stage(self, name: str, total: int = 0) -> Iterator[None]:
            self._start = time.perf_counter()
            self._task = progress.add_task(name, total=total or None, rate="")
            with super().stage(name, total):
                yield
            progress.remove_task(self._task)

        def advance(self, steps: int) -> None:
            progress.advance(self._task, steps)
            done = progress.tasks[-1].completed
            rate = done / (time.perf_counter() - self._start)
            progress.update(self._task, rate=f"{rate:,.0f}/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bar()
