"""``python -m ptycho_fast.gallery``: pictures of all that can be simulated, with their code."""

import argparse
import sys
from collections.abc import Sequence

from ptycho_fast.command import (
    Parser,
    add_output_flags,
    examples,
    naming_written,
    run_command,
    usage_errors,
)
from ptycho_fast.terminal import Output, bytes_text, watched

_EXAMPLES = (
    ("all of it", "ptycho-fast gallery"),
    ("the scans alone", "ptycho-fast gallery --only scans --out scans"),
    (
        "a page in Markdown",
        "ptycho-fast gallery --only detector --out pictures --page detector.md",
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
        prog="ptycho-fast gallery",
        description="Draw every kind of object, probe and scan, every part of the detector and "
        "what else there is, each with the lines of code that made it.",
        epilog=examples(*_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        default="gallery",
        help="folder of the pictures (default: gallery)",
    )
    parser.add_argument(
        "--page", metavar="FILE", help="the page, .html or .md (default: index.html in the folder)"
    )
    parser.add_argument(
        "--only", metavar="SECTION", action="append", help="one section; may be given again"
    )
    parser.add_argument("--force", action="store_true", help="replace existing files")
    add_output_flags(parser, "the list of files")
    return parser


def _run(options: argparse.Namespace, output: Output) -> None:
    from ptycho_fast import checks
    from ptycho_fast.drawing.overview import require_matplotlib
    from ptycho_fast.report.gallery import draw_gallery, prepare
    from ptycho_fast.report.panels import SECTIONS, panels

    require_matplotlib("gallery")
    with usage_errors():
        wanted = [checks.choice(name, "only", SECTIONS) for name in options.only or SECTIONS]
        chosen = [panel for panel in panels() if panel.section in wanted]
        targets = prepare(options.out, chosen, page=options.page, force=options.force)
    with naming_written(*targets), watched(output.for_people) as clock:
        written = draw_gallery(
            options.out, page=options.page, force=options.force, chosen=chosen, clock=clock
        )
    size = sum(path.stat().st_size for path in written)
    facts = {
        "files": [str(path) for path in written],
        "bytes": size,
        "seconds": sum(clock.seconds.values()),
    }
    lines = [
        ("pictures", f"{len(written) - 1}, {bytes_text(size)}"),
        ("page", str(written[-1])),
        ("time", f"{facts['seconds']:.3g} s"),
    ]
    output.result(facts, lines)


if __name__ == "__main__":
    sys.exit(main())
