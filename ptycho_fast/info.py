"""``python -m ptycho_fast.info FILE``: what a file is, and whether it is what it says."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ptycho_fast import checks
from ptycho_fast.card import card, facts_of, kept_card, lines_of, version_text
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
from ptycho_fast.data.recipe import Recipe
from ptycho_fast.data.verification import Verified, verify, verify_recipe
from ptycho_fast.formats import Format, recognise
from ptycho_fast.formats.truth import read_truth
from ptycho_fast.summary import bytes_in, scenario_lines
from ptycho_fast.terminal import Output, bytes_text, watched

_EXAMPLES = (
    ("what it is", "ptycho-fast info gs2_ideal.npz"),
    ("whether it is that, to the bit", "ptycho-fast info gs2_ideal.npz --verify"),
    ("a page to publish with it", "ptycho-fast info gs2_ideal.npz --card"),
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
        The exit code; see `command.run_command`. A file that is damaged, or that its scenario does
        not make again, is 1.
    """
    return run_command(parser(), _run, argv)


def parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    parser = Parser(
        prog="ptycho-fast info",
        description="Say what a file is; patterns are read only to verify them. The exit code is "
        "0, 1 if the file is damaged or different, or 2 for a wrong command line.",
        epilog=examples(*_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="a data set of any format, or a recipe")
    add_reading_flags(parser.add_argument_group("how to read"))
    look = parser.add_argument_group("how to verify")
    look.add_argument(
        "--verify",
        action="store_true",
        help="compare all patterns with their checksums, and make some of them again from the "
        "scenario: every bit has to be the same",
    )
    look.add_argument(
        "--patterns", type=whole, metavar="K", help="patterns that are made again (default: 8)"
    )
    parser.add_argument(
        "--card",
        action="store_true",
        help="print its data card, a page of Markdown: what it is, its SHA-256, and how to make it "
        "again",
    )
    add_output_flags(parser, "all of it")
    return parser


def _run(options: argparse.Namespace, output: Output) -> None:
    with usage_errors():
        if options.patterns is not None and not options.verify:
            raise ValueError("--patterns: given, expected --verify too")
        if options.card and options.verify:
            raise ValueError("--card: given, expected no --verify with it")
        count = checks.count(8 if options.patterns is None else options.patterns, "--patterns")
        file_format = recognise(options.file, options.from_format)
    path = Path(options.file)
    facts: dict[str, Any] = {
        "file": str(path),
        "format": file_format.name,
        "title": file_format.title,
        "file_bytes": bytes_in(path),
    }
    if options.card and file_format.name == "recipe":
        raise UsageError(f"--card: given, expected patterns in {path}, which is a recipe of them")
    if file_format.name == "recipe":
        problems = _look_at_recipe(options, output, facts)
    else:
        problems = _look_at_file(options, output, facts, file_format, count)
    if problems:
        raise ValueError(f"{path}: {'; '.join(problems)}")


def _look_at_recipe(
    options: argparse.Namespace, output: Output, facts: dict[str, Any]
) -> list[str]:
    recipe = Recipe.load(options.file)
    facts |= {
        "version": recipe.version,
        "backend": recipe.backend,
        "domain": recipe.domain,
        "patterns": recipe.patterns or recipe.scenario.scan.n_patterns,
        "experiments": recipe.count,
        "scenario": recipe.scenario.to_dict(),
    }

    def lines() -> Iterator[tuple[str, str]]:
        kind = "recipe" if recipe.is_recipe else "scenario"
        yield "file", f"{facts['file']}: {kind}, {bytes_text(facts['file_bytes'])}"
        if recipe.version is not None:
            yield "version", version_text(recipe.version)
        if recipe.is_campaign:
            yield "experiments", str(recipe.count or "as many as are asked for")
        yield from scenario_lines(recipe.scenario)

    return _told(options, output, facts, lines(), lambda: verify_recipe(recipe))


def _look_at_file(
    options: argparse.Namespace,
    output: Output,
    facts: dict[str, Any],
    file_format: Format,
    count: int,
) -> list[str]:
    try:
        dataset = reading_of(options, options.file)
    except ValueError:
        if options.card or not hasattr(file_format.load(), "truth"):
            raise
        return _look_at_truth(options, output, facts, file_format)
    with dataset:
        facts |= facts_of(dataset)
        path = Path(options.file)
        kept = facts["card_inside"] = kept_card(path, file_format)
        agrees = kept is not None and kept == card(dataset, path, file_format, inside=True)

        def lines() -> Iterator[tuple[str, str]]:
            size = bytes_text(facts["file_bytes"])
            yield "file", f"{facts['file']}: {facts['title']}, {size}"
            yield from lines_of(facts, dataset)
            if kept is not None:
                yield "card", "in the file; " + ("it agrees" if agrees else "it says other things")

        def verified() -> Verified:
            with watched(output.for_people) as clock, clock.stage("verify", total=len(dataset)):
                return verify(
                    options.file, file_format, dataset, patterns=count, advance=clock.advance
                )

        if options.card:
            facts["card"] = card(dataset, Path(options.file), file_format)
        return _told(options, output, facts, lines(), verified)


def _look_at_truth(
    options: argparse.Namespace, output: Output, facts: dict[str, Any], file_format: Format
) -> list[str]:
    """Of a file without patterns."""
    truth = read_truth(options.file, file_format.name, options.read)
    shapes = {
        name: None if array is None else list(array.shape)
        for name, array in (
            ("object", truth.object), ("probe", truth.probe), ("positions", truth.positions)
        )
    }  # fmt: skip
    facts |= {"patterns": 0, "shapes": shapes, "geometry": dict(truth.geometry or {})}

    def lines() -> Iterator[tuple[str, str]]:
        yield "file", f"{facts['file']}: {facts['title']}, {bytes_text(facts['file_bytes'])}"
        yield "patterns", "none; simulate --from takes what there is"
        for name, shape in shapes.items():
            yield name, "none" if shape is None else " x ".join(map(str, shape))

    def verified() -> Verified:
        return Verified(undone=["the file has no patterns to compare with"])

    return _told(options, output, facts, lines(), verified)


def _told(
    options: argparse.Namespace,
    output: Output,
    facts: dict[str, Any],
    lines: Iterator[tuple[str, str]],
    verified: Any,
) -> list[str]:
    """Verify if that is asked for, write the result, and return the problems."""
    report = None
    if options.verify:
        report = verified()
        facts["verified"] = asdict(report)

    def all_lines() -> Iterator[tuple[str, str]]:
        yield from lines
        if report is not None:
            for text in report.done:
                yield "verified", text
            for text in report.undone:
                yield "not verified", text

    if options.card and output.for_people:
        sys.stdout.write(facts["card"])
    else:
        output.result(facts, all_lines())
    return [] if report is None else report.problems


if __name__ == "__main__":
    sys.exit(main())
