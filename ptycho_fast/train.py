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
from ptycho_fast.command import (
    UsageError,
    add_output_flags,
    add_scenario_flags,
    examples,
    given_keys,
    run_command,
    scenario_of,
    usage_errors,
)
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.scenario import Scenario, presets
from ptycho_fast.terminal import Output

_RECIPES = {
    "published": "sigmoid head, gain not undone, 5 epochs",
    "corrected": "softplus head, gain undone, cosine rate, 5 epochs",
    "full": "every pattern a group, mirrored copies, cosine rate, 60 epochs, a network a quarter "
    "of the size",
}
_EXAMPLES = (
    ("a network that has seen 256 groups, and its object", "ptycho-fast train gs2_ideal --out gs2"),
    (
        "with fewer photons, on patterns that are drawn anew in every epoch",
        "ptycho-fast train gs2_ideal --nphotons 1e5 --noise fresh --out dim",
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
    parser = argparse.ArgumentParser(
        prog="ptycho-fast train",
        description="Train a physics-informed network, and compare its object with the truth.",
        epilog=f"{examples(*_EXAMPLES)}\n\nRecipes:\n"
        + "\n".join(f"  {name:10} {doc}" for name, doc in _RECIPES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", help=f"{', '.join(presets())}, a TOML file, or a data set .npz")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="folder of the run")
    train = parser.add_argument_group("how to train")
    train.add_argument("--recipe", choices=list(_RECIPES), default="corrected", help="see below")
    train.add_argument("--epochs", type=int, help="passes over the data")
    train.add_argument("--batch-size", type=int, help="groups in a step")
    train.add_argument("--learning-rate", type=float, help="of Adam, at the start")
    train.add_argument("--filters", type=int, help="size of the network: factor of its filters")
    train.add_argument(
        "--noise", choices=["fixed", "fresh"], help="the same photons in every epoch, or new ones"
    )
    train.add_argument(
        "--both-twins",
        action="store_true",
        default=None,
        help="average predictions with those of half-turned patterns",
    )
    train.add_argument("--train-seed", type=int, default=42, help="seed of weights and order")
    train.add_argument("--backend", default="auto", help="backend of the simulator")
    train.add_argument("--device", type=int, metavar="NUMBER", help="GPU, with the backend cuda")
    train.add_argument("--domain", help="what the patterns mean, for a file that does not say")
    train.add_argument("--resume", action="store_true", help="go on from the last whole epoch")
    train.add_argument("--force", action="store_true", help="remove an earlier run from the folder")
    train.add_argument(
        "--score-every",
        type=int,
        default=0,
        metavar="EPOCHS",
        help="compare with the truth after every so many epochs",
    )
    train.add_argument("--no-pictures", action="store_true", help="numbers only")
    add_output_flags(parser, "run_metadata.json")
    add_scenario_flags(parser.add_argument_group("what to simulate"))
    return parser


def _run(options: argparse.Namespace, output: Output) -> None:
    # TensorFlow's own messages (for example that there is no GPU) are not for the command's user;
    # errors are raised as exceptions too.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not options.no_pictures:
        from ptycho_fast.drawing.overview import require_matplotlib

        require_matplotlib("pictures")
    source = _source(options)
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
    with usage_errors():
        check_side(source.N)
        recipe = RECIPES[options.recipe].adapted(
            scenario,
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            n_filters_scale=options.filters,
            noise=options.noise,
            both_twins=options.both_twins,
        )
    asked = run.request(options.scenario, recipe, scenario, options.train_seed)
    with usage_errors():
        if options.resume:
            run.check_request(folder, asked)
        else:
            run.check_free(folder, force=options.force)

    with _naming_last_epoch(folder):
        data = _simulated(source, options, output)
        with _watched(output.for_people, recipe.spec.epochs) as watcher:
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
                keep_data=isinstance(source, Scenario),
                draw=not options.no_pictures,
                watcher=watcher,
            )
    output.result(metadata, _summary(metadata, folder))


def _check_how(options: argparse.Namespace, output: Output) -> None:
    """Refuse a backend or GPU that is not there, and announce a long first call."""
    from ptycho_fast.backend import choose, require_device

    with usage_errors():
        _, backend = choose(options.backend)
        with backend.place(require_device(options.device, backend)):
            pass
        checks.integer(options.score_every, "score_every", 0)
    if announcement := backend.first_call():
        output.remark(announcement)


def _source(options: argparse.Namespace) -> Scenario | Dataset:
    """The scenario that the flags describe, or the data set of a file."""
    if not options.scenario.endswith(".npz"):
        scenario = scenario_of(options)
        scenario.require_runnable(groups=True)
        return scenario
    data = Dataset.load(options.scenario, domain=options.domain)
    wrong = list(given_keys(options))
    if wrong or options.set or options.config:
        raise UsageError(f"{', '.join(wrong) or '--set'}: {options.scenario} is simulated already")
    return data


@contextmanager
def _naming_last_epoch(folder: Path) -> Iterator[None]:
    """Add to an interruption within it what is kept of the training."""
    try:
        yield
    except KeyboardInterrupt as error:
        if any(folder.glob("model-*.keras")):
            kept = f"{folder} keeps the last whole epoch, --resume goes on from it"
        else:
            kept = "stopped before the first epoch was over; nothing to go on from"
        error.add_note(kept)
        raise


def _simulated(source: Scenario | Dataset, options: argparse.Namespace, output: Output) -> Dataset:
    if isinstance(source, Dataset):
        return source
    from ptycho_fast.simulation import simulate

    data = simulate(source, backend=options.backend, device=options.device)
    if output.for_people:
        sys.stdout.write(
            f"{source.name}: {data.n_patterns} patterns by {data.provenance['backend']}\n"
        )
    return data


def _summary(metadata: dict[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    score = metadata["score"][metadata["stitched_by"]]
    forward, parts = metadata["forward_pass_diagnostics"], metadata["decomposition"]
    training, likelihood = metadata["training"], metadata["likelihood"]
    lines = {
        "trained": f"{training['epochs']} epochs in {_seconds(training['seconds'])}, "
        f"{training['waiting_pct']:.2g} % of it waiting for data",
        "likelihood": f"{likelihood['value']:.6g}, {likelihood['above_saturated_pct']:.3g} % above "
        "its saturated value",
        "scale match": f"{forward['scale_match_pct']:.6f} %",
        "output/truth": f"{forward['output_vs_truth_ratio']:.4f} = {parts['gain']:.4f} gain x "
        f"{parts['border']:.4f} border x {parts['rest']:.4f} rest",
        "stitched": f"amplitude ratio {score['ratio']:.4f}, Pearson r {score['pearson_r']:.4f} "
        f"over {score['covered_pixels']} pixels",
        "time": _seconds(metadata["seconds"]),
        "report": str(folder / "summary.md"),
    }
    yield from lines.items()


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


# --- meanwhile ---


@contextmanager
def _watched(shown: bool, epochs: int) -> Iterator[Any]:
    """A line for every epoch, and on a terminal a bar for the steps of the current one."""
    from ptycho_fast.tf.train import Watcher

    if not shown:
        yield Watcher()
        return

    class Lines(Watcher):
        def epoch(self, epoch: int, values: dict[str, float]) -> None:
            judged = f", validation {values['val_loss']:.5f}" if "val_loss" in values else ""
            sys.stdout.write(
                f"epoch {epoch}/{epochs}: loss {values['loss']:.5f}{judged}, rate "
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
            text = f"epoch {epoch}/{epochs} step {step}/{steps} loss {loss:.5f}"
            progress.update(task, description=text, completed=step, total=steps)

    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    width = shutil.get_terminal_size().columns
    console = Console(stderr=True, width=width)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("")
        yield Bar()


if __name__ == "__main__":
    sys.exit(main())
