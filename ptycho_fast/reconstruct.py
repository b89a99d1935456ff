"""``python -m ptycho_fast.reconstruct``: object and probe of a data set, with no network at all."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ptycho_fast.command import (
    Parser,
    UsageError,
    add_output_flags,
    add_reading_flags,
    examples,
    reading_of,
    run_command,
    usage_errors,
    whole,
)
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.scenario import presets
from ptycho_fast.terminal import Output, watched

_EXAMPLES = (
    ("the object of a data set", "ptycho-fast reconstruct gs2_ideal.npz --out object"),
    (
        "object and probe, from half of the patterns of a scenario",
        "ptycho-fast reconstruct gs2_ideal --part test --probe joint --out both",
    ),
    (
        "from what was found before, with a smaller rate",
        "ptycho-fast reconstruct gs2_ideal.npz --start object/object.npz --learning-rate 0.01 "
        "--out more",
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


def parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    parser = Parser(
        prog="ptycho-fast reconstruct",
        description="Find the object of a data set, and its probe if asked for, by descent along "
        "the gradient over all its patterns.",
        epilog=examples(*_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", metavar="DATA", help=f"a data set, a recipe .toml, or {', '.join(presets())}"
    )
    parser.add_argument("--out", metavar="FOLDER", required=True, help="folder of the result")
    how = parser.add_argument_group("how to find it")
    how.add_argument("--part", choices=["all", "train", "test"], default="all", help="patterns")
    how.add_argument(
        "--probe",
        choices=["fixed", "joint"],
        default="fixed",
        help="whether the probe in the data is right, or only where to start",
    )
    how.add_argument(
        "--start",
        metavar="FILE",
        default="flat",
        help="flat (default), or a file with an object, such as prediction.npz of a training",
    )
    how.add_argument("--passes", type=whole, help="how often each pattern is used")
    how.add_argument("--batch-size", type=whole, help="patterns in a step")
    how.add_argument("--learning-rate", type=float, help="of Adam, at the start")
    how.add_argument("--seed", type=whole, metavar="VALUE", help="seed of the order of patterns")
    how.add_argument("--loss", choices=["amplitude", "poisson"], help="what is made small")
    how.add_argument("--force", action="store_true", help="replace an earlier result")
    how.add_argument("--no-pictures", action="store_true", help="numbers only")
    how.add_argument(
        "--report", metavar="FILE", help="page (.html) about the data and what was found"
    )
    add_reading_flags(parser.add_argument_group("how to read the data"))
    add_output_flags(parser, "report.json")
    return parser


def _run(options: argparse.Namespace, output: Output) -> None:
    # TensorFlow's own messages (for example that there is no GPU) are not for the command's user;
    # errors are raised as exceptions too.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not options.no_pictures:
        from ptycho_fast.drawing.overview import require_matplotlib

        require_matplotlib("pictures")
    folder = Path(options.out)
    if options.report:
        from ptycho_fast.report.page import check_target

        with usage_errors():
            check_target(options.report, force=options.force)
    if output.for_people:  # before whatever TensorFlow says when it is loaded
        sys.stdout.write(f"{options.source}; loading TensorFlow\n")
        sys.stdout.flush()
    with _data(options) as data:
        from ptycho_fast.tf import reconstruction
        from ptycho_fast.tf.refine import Refiner
        from ptycho_fast.tf.train import Watcher

        names = ("passes", "batch_size", "learning_rate", "seed", "loss")
        values = {name: getattr(options, name) for name in names}
        given = {name: value for name, value in values.items() if value is not None}
        with usage_errors():
            reconstruction.claim(folder, force=options.force)
            start: Any = options.start
            if start != "flat":
                start = reconstruction.object_to_start(start, data.projection.shape)
            refiner = Refiner(data, part=options.part, probe=options.probe, start=start, **given)
        request = {"source": options.source, "start": options.start, **refiner.request}
        how: dict[str, Any] = {"request": request, "draw": not options.no_pictures}

        with watched(output.for_people) as clock, clock.stage("refine", refiner.steps):

            class Bar(Watcher):
                def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
                    clock.advance(1)

            try:
                for _ in refiner.passes(Bar()):
                    pass
            except KeyboardInterrupt as error:
                _keep(refiner, data, folder, how, error)
                raise
        found = refiner.result()
        report = reconstruction.write(found, data, folder, numbers=refiner.numbers, **how)
        if options.report:
            _write_page(options, data, folder, report)
    output.result(report, _lines(report, folder))


def _keep(
    refiner: Any, data: Dataset, folder: Path, how: dict[str, Any], error: KeyboardInterrupt
) -> None:
    """Write what was found before an interruption, and say so."""
    from ptycho_fast.tf import reconstruction

    done = len(refiner.history)
    if not done:
        error.add_note("stopped before the first pass was over; nothing was written")
        return
    found = refiner.result("interrupted")
    reconstruction.write(found, data, folder, numbers=refiner.numbers, **how)
    error.add_note(f"{folder} has the best object of {done} passes")


def _write_page(
    options: argparse.Namespace, data: Dataset, folder: Path, report: dict[str, Any]
) -> None:
    from ptycho_fast.report.page import Result, write_page
    from ptycho_fast.tf import reconstruction

    shown = [(folder / name, name.partition(".")[0]) for name in report.get("pictures", [])]
    sentences, rows = list(reconstruction.verdict(report)), list(reconstruction.lines(report))
    result = Result("Reconstruction", sentences, ("what", "value"), rows, shown)
    write_page(data, options.report, force=options.force, command=options.command, results=[result])


def _data(options: argparse.Namespace) -> Dataset:
    from ptycho_fast.data.source import is_data, load

    if is_data(options.source) or (options.read and os.path.exists(options.source)):
        return reading_of(options, options.source)
    for flag in ("from_format", "domain", "position_offset", "read"):
        if getattr(options, flag):
            name = flag.replace("_", "-")
            raise UsageError(f"--{name}: given, expected nothing of that kind with a scenario")
    return load(options.source)


def _lines(report: dict[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    from ptycho_fast.tf import reconstruction

    yield from reconstruction.lines(report)
    yield "report", str(folder / "summary.md")


if __name__ == "__main__":
    sys.exit(main())
