"""``python -m ptycho_fast.train``: a network trained on a scenario, from data to report."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptycho_fast import checks
from ptycho_fast.campaign import Campaign
from ptycho_fast.command import (
    Parser,
    UsageError,
    add_output_flags,
    add_scenario_flags,
    examples,
    given_keys,
    run_command,
    scenario_of,
    usage_errors,
    whole,
)
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.scenario import Scenario, presets
from ptycho_fast.terminal import Output

# Flags that the run takes under other names, or only after TensorFlow is loaded, and their least.
_LEAST = {"refine": 0, "projections": 0, "epochs": 1, "filters": 1, "batch_size": 1}
_RECIPES = {
    "default": "every pattern a group, mirrored copies, cosine rate, 15 epochs, a small network",
    "published": "sigmoid head, gain not undone, 5 epochs, no refinement",
    "corrected": "softplus head, gain undone, cosine rate, 5 epochs",
    "full": "as default, 60 epochs",
    "endless": "new objects, scans and photons in every pass (--endless); corrects 4 projections, "
    "the loss knows the object",
}
_ALL_GROUPS = ("default", "full", "endless")  # each pattern has a group, whatever is asked for
_EXAMPLES = (
    ("a network, its object, and that refined", "ptycho-fast train gs2_ideal --out gs2"),
    (
        "with fewer photons, on patterns that are drawn anew in every epoch",
        "ptycho-fast train gs2_ideal --nphotons 1e5 --noise fresh --out dim",
    ),
    (
        "on other objects in every pass, and judged by two that it never sees",
        "ptycho-fast train gs2_ideal --endless --minutes 30 --score-at 5,15,30 --out endless",
    ),
    ("on a data set that is there", "ptycho-fast train gs2_ideal.npz --out from_file"),
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


def parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    parser = Parser(
        prog="ptycho-fast train",
        description="Train a physics-informed network, and compare its object with the truth.",
        epilog=f"{examples(*_EXAMPLES)}\n\nRecipes:\n"
        + "\n".join(f"  {name:10} {doc}" for name, doc in _RECIPES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", help=f"{', '.join(presets())}, a TOML file, or a data set")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="folder of the run")
    train = parser.add_argument_group("how to train")
    train.add_argument("--recipe", choices=list(_RECIPES), help="see below")
    train.add_argument("--epochs", type=whole, help="passes over the data")
    train.add_argument("--minutes", type=float, help="time of the training, instead of --epochs")
    train.add_argument(
        "--endless",
        action="store_true",
        help="new object, scan and photons in every pass, of a campaign the next experiment; the "
        "score is that of held-out objects",
    )
    train.add_argument("--batch-size", type=whole, help="groups in a step")
    train.add_argument("--learning-rate", type=float, help="of Adam, at the start")
    train.add_argument("--filters", type=whole, help="size of the network: factor of its filters")
    train.add_argument(
        "--projections",
        type=whole,
        metavar="PASSES",
        help="give the network a first object, made of each group's patterns by so many passes of "
        "projections; 0: the amplitudes",
    )
    train.add_argument(
        "--object-loss",
        type=float,
        metavar="WEIGHT",
        help="weight of the difference from the true object in the loss; 0: patterns alone",
    )
    train.add_argument(
        "--noise", choices=["fixed", "fresh"], help="the same photons in every epoch, or new ones"
    )
    train.add_argument(
        "--both-twins",
        action="store_true",
        default=None,
        help="average predictions with those of half-turned patterns",
    )
    train.add_argument(
        "--refine",
        type=whole,
        metavar="PASSES",
        help="afterwards refine the object, and one from a flat start, with the test patterns, so "
        "many passes over them; 0 for not at all",
    )
    train.add_argument("--train-seed", type=whole, default=42, help="seed of weights and order")
    train.add_argument("--backend", default="auto", help="auto, native, numba, reference or cuda")
    train.add_argument("--device", type=whole, metavar="NUMBER", help="GPU, with the backend cuda")
    train.add_argument(
        "--domain",
        choices=["count_intensity", "normalized_amplitude"],
        help="what its patterns mean, where the file does not say",
    )
    train.add_argument("--resume", action="store_true", help="go on from the last whole epoch")
    train.add_argument("--force", action="store_true", help="remove an earlier run from the folder")
    train.add_argument(
        "--score-every",
        type=whole,
        default=0,
        metavar="EPOCHS",
        help="compare with the truth after every so many epochs",
    )
    train.add_argument(
        "--score-at",
        type=minutes,
        default=(),
        metavar="MINUTES,...",
        help="compare with the truth after these minutes of training, 5,15,30 for example",
    )
    train.add_argument(
        "--held-out",
        type=whole,
        metavar="OBJECTS",
        help="number of objects, never trained with, that scores are made of; 2 with --endless",
    )
    train.add_argument("--no-pictures", action="store_true", help="numbers only")
    train.add_argument(
        "--report", metavar="FILE", help="page (.html) about the data and the training"
    )
    add_output_flags(parser, "run_metadata.json")
    add_scenario_flags(parser.add_argument_group("what to simulate"))
    return parser


def minutes(text: str) -> tuple[float, ...]:
    """Numbers between commas, as ``--score-at`` has them."""
    return tuple(float(part) for part in text.split(","))


def _run(options: argparse.Namespace, output: Output) -> None:
    # TensorFlow's own messages (for example that there is no GPU) are not for the command's user;
    # errors are raised as exceptions too.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not options.no_pictures:
        from ptycho_fast.drawing.overview import require_matplotlib

        require_matplotlib("pictures")
    if options.report:
        from ptycho_fast.report.page import check_target

        with usage_errors():
            check_target(options.report, force=options.force)
    _check_length(options)
    source = _source(options)
    if options.report and isinstance(source, Scenario) and source.undrawn():
        raise UsageError("--report: given, expected none for a campaign, which has many data sets")
    _check_how(options, output)
    if output.for_people:  # before whatever TensorFlow says when it is loaded
        name = source.name if isinstance(source, Scenario) else options.scenario
        sys.stdout.write(f"{name}, recipe {options.recipe}; loading TensorFlow\n")
        sys.stdout.flush()
    from ptycho_fast.tf import run
    from ptycho_fast.tf.model import check_side
    from ptycho_fast.tf.recipes import RECIPES

    folder = Path(options.out)
    scenario = source if isinstance(source, Scenario) else source.scenario
    recipe = RECIPES[options.recipe]
    if options.endless:
        recipe = recipe.endless("experiment" if scenario and scenario.undrawn() else "object")
    with usage_errors():
        check_side(source.N)
        recipe = recipe.adapted(
            scenario,
            epochs=options.epochs,
            minutes=options.minutes,
            held_out=options.held_out,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            n_filters_scale=options.filters,
            projections=options.projections,
            object_loss=options.object_loss,
            noise=options.noise,
            both_twins=options.both_twins,
            refine=options.refine,
        )
    asked = run.request(options.scenario, recipe, scenario, options.train_seed)
    with usage_errors():
        if options.resume:
            run.check_request(folder, asked)
        else:
            run.check_free(folder, force=options.force)

    with _naming_last_epoch(folder):
        data = _simulated(source, options, output)
        passes = "" if options.minutes else f"/{recipe.spec.epochs}"
        with _watched(output.for_people, passes) as watcher:
            metadata = run.execute(
                data,
                recipe,
                folder,
                asked=asked,
                seed=options.train_seed,
                backend=options.backend,
                resume=options.resume,
                force=options.force,
                score_every=options.score_every,
                score_at=options.score_at,
                keep_data=isinstance(source, Scenario),
                draw=not options.no_pictures,
                watcher=watcher,
            )
    if options.report and isinstance(data, Dataset):
        _write_page(options, data, metadata, folder)
    output.result(metadata, _summary(metadata, folder))


def _write_page(
    options: argparse.Namespace, data: Dataset, metadata: dict[str, Any], folder: Path
) -> None:
    from ptycho_fast.report.page import Result, write_page
    from ptycho_fast.tf import summary

    head, *rows = summary.compared_rows(metadata)
    result = Result(
        "Training",
        summary.verdict(metadata),
        head,
        [(name, *map(summary.number, values)) for name, *values in rows],
        [(folder / name, summary.PICTURES[name]) for name in metadata["pictures"]],
    )
    write_page(data, options.report, force=options.force, command=options.command, results=[result])


def _check_how(options: argparse.Namespace, output: Output) -> None:
    """Refuse a backend or GPU that is not there, and announce a long first call."""
    from ptycho_fast.backend import choose, require_device

    with usage_errors():
        _, backend = choose(options.backend)
        with backend.place(require_device(options.device, backend)):
            pass
        checks.integer(options.score_every, "score_every", 0)
        for name, least in _LEAST.items():
            if (given := getattr(options, name)) is not None:
                checks.integer(given, name, least)
        if options.object_loss is not None:
            checks.number(options.object_loss, "object_loss", least=0)
    if announcement := backend.first_call():
        output.remark(announcement)


def _check_length(options: argparse.Namespace) -> None:
    """Refuse flags that contradict each other, and fill in those that follow from others."""
    if options.recipe is None:
        options.recipe = "endless" if options.endless else "default"
    options.endless = options.endless or options.recipe == "endless"
    if options.held_out is None:
        options.held_out = 2 if options.endless else 0
    if options.epochs is not None and options.minutes is not None:
        raise UsageError("--epochs, --minutes: both given, expected one of them")
    with usage_errors():
        checks.integer(options.held_out, "held_out", int(options.endless))
        for minute in options.score_at:
            checks.positive(minute, "score_at")
        if options.minutes is not None:
            checks.positive(options.minutes, "minutes")
            if max(options.score_at, default=0) > options.minutes:
                given = f"{max(options.score_at):g}"
                expected = f"at most the {options.minutes:g} minutes of the training"
                raise ValueError(checks.wrong("score_at", given, expected))
    if options.endless and options.noise:
        raise UsageError("--noise: each pattern of --endless has photons of its own")


def _source(options: argparse.Namespace) -> Scenario | Dataset:
    """The scenario that the flags describe, or the data set of a file."""
    if not _is_data(options.scenario):
        scenario = scenario_of(options, drawn=options.endless)
        if scenario.undrawn():
            Campaign(scenario).require_same_frames()
        else:
            checked = _grouped(scenario) if options.recipe in _ALL_GROUPS else scenario
            checked.require_runnable(groups=not options.endless)
        return scenario
    data = Dataset.load(options.scenario, domain=options.domain)
    if options.held_out and data.scenario is None:
        flag = "--endless" if options.endless else "--held-out"
        raise UsageError(f"{flag}: {options.scenario} has no scenario to make other objects by")
    wrong = list(given_keys(options))
    if wrong or options.set or options.config:
        raise UsageError(f"{', '.join(wrong) or '--set'}: {options.scenario} is simulated already")
    return data


def _is_data(name: str) -> bool:
    """Whether it is a file of patterns, of any format, and not the name of a scenario."""
    from ptycho_fast.formats import FORMATS

    suffix = Path(name).suffix.lower()
    return suffix != ".toml" and any(suffix in one.suffixes for one in FORMATS.values())


def _grouped(scenario: Scenario) -> Scenario:
    """The scenario with a group for every pattern, to be checked."""
    if scenario.scan.n_patterns is None:
        return scenario
    n_train, n_test = scenario.split.sizes(scenario.scan.n_patterns)
    return scenario.replace({"groups.n_train": max(n_train, 1), "groups.n_test": max(n_test, 1)})


@contextmanager
def _naming_last_epoch(folder: Path) -> Iterator[None]:
    """Add to an interruption within it what is kept of the training."""
    try:
        yield
    except KeyboardInterrupt as error:
        if getattr(error, "__notes__", None):  # the training was over
            raise
        if any(folder.glob("model-*.keras")):
            kept = f"{folder} keeps the last whole epoch, --resume goes on from it"
        else:
            kept = "stopped before the first epoch was over; nothing to go on from"
        error.add_note(kept)
        raise


def _simulated(
    source: Scenario | Dataset, options: argparse.Namespace, output: Output
) -> Dataset | Campaign:
    if isinstance(source, Dataset):
        return source
    if source.undrawn():
        return Campaign(source, backend=options.backend, device=options.device, threads=1)
    from ptycho_fast.simulation import simulate

    data = simulate(source, backend=options.backend, device=options.device)
    if output.for_people:
        sys.stdout.write(
            f"{source.name}: {data.n_patterns} patterns by {data.provenance['backend']}\n"
        )
    return data


def _summary(metadata: dict[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    forward, parts = metadata["forward_pass_diagnostics"], metadata["decomposition"]
    training, likelihood = metadata["training"], metadata["likelihood"]
    lines = {
        "trained": f"{training['epochs']} epochs in {_seconds(training['seconds'])}, "
        f"{training['waiting_pct']:.2g} % of it waiting for data"
        + _share(training.get("making_data_pct_of_cpu")),
        "likelihood": f"{likelihood['value']:.6g}, {likelihood['above_saturated_pct']:.3g} % above "
        "its saturated value",
        "scale match": f"{forward['scale_match_pct']:.6f} %",
        "output/truth": f"{forward['output_vs_truth_ratio']:.4f} = {parts['gain']:.4f} gain x "
        f"{parts['border']:.4f} border x {parts['rest']:.4f} rest",
        **{name: _quality(column) for name, column in metadata["refinement"]["columns"].items()},
        "time": _seconds(metadata["seconds"]),
        "report": str(folder / "summary.md"),
    }
    yield from lines.items()


def _share(making: float | None) -> str:
    return "" if making is None else f", {making:.2g} % of its CPU time making them"


def _quality(column: dict[str, Any]) -> str:
    """Ratio, r and error of an object on a line."""
    r = column["pearson_r"]
    told = "" if r is None else f", Pearson r {r:.4f}"
    error = f"normalised error {100 * column['normalised_error']:.2g} %"
    return f"amplitude ratio {column['ratio']:.4f}{told}, {error}, {_seconds(column['seconds'])}"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


# --- meanwhile ---


@contextmanager
def _watched(shown: bool, of: str) -> Iterator[Any]:
    """A line for every epoch, and on a terminal a bar for the steps of the current one."""
    from ptycho_fast.tf.train import Watcher

    if not shown:
        yield Watcher()
        return

    class Lines(Watcher):
        doing: str | None = None

        def begin(self, what: str, epochs: int) -> None:
            self.doing, self.passes, self.seconds = what, epochs, 0.0

        def epoch(self, epoch: int, values: dict[str, float]) -> None:
            if self.doing:
                self.refined(epoch, values)
            else:
                self.trained(epoch, values)

        def refined(self, epoch: int, values: dict[str, float]) -> None:
            self.seconds += values["seconds"]
            if epoch == self.passes:
                sys.stdout.write(
                    f"{self.doing}: {epoch} passes, misfit {values['misfit']:.2g}, "
                    f"{self.seconds:.1f} s\n"
                )
                sys.stdout.flush()

        def trained(self, epoch: int, values: dict[str, float]) -> None:
            judged = f", validation {values['val_loss']:.5f}" if "val_loss" in values else ""
            sys.stdout.write(
                f"epoch {epoch}{of}: loss {values['loss']:.5f}{judged}, rate "
                f"{values['learning_rate']:.2g}, {values['seconds']:.1f} s\n"
            )
            sys.stdout.flush()

    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    class Bar(Lines):
        def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
            whole = f"{self.doing}: pass {epoch}/{self.passes}" if self.doing else None
            text = f"{whole or f'epoch {epoch}{of}'} step {step}/{steps} loss {loss:.3g}"
            progress.update(task, description=text, completed=step, total=steps)

    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    width = shutil.get_terminal_size().columns
    console = Console(stderr=True, width=width)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("")
        yield Bar()


if __name__ == "__main__":
    sys.exit(main())
