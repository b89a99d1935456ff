"""``ptycho-fast new FILE``: a scenario to edit, every key with its meaning, unit and default."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ptycho_fast.command import (
    Parser,
    add_output_flags,
    add_scenario_flags,
    changes_of,
    examples,
    naming_written,
    run_command,
    usage_errors,
)
from ptycho_fast.files import check_targets, written_aside
from ptycho_fast.scenario import campaigns, presets, resolve
from ptycho_fast.scenario.commented import commented
from ptycho_fast.scenario.names import as_name
from ptycho_fast.terminal import Output

_EXAMPLES = (
    ("the scenario of the published data set", "ptycho-fast new mine.toml"),
    ("a campaign, whose experiments are drawn", "ptycho-fast new zoo.toml --from xray_zoo"),
    (
        "with some keys set already",
        "ptycho-fast new star.toml --nphotons 1e6 --object.kind siemens_star",
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
        prog="ptycho-fast new",
        description="Write a scenario to edit: every key with its meaning, unit and default. As it "
        "is, it means the same as the one that it is made from.",
        epilog=examples(*_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", metavar="FILE", help="the TOML file to write")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="SCENARIO",
        default="gs2_ideal",
        help=f"{', '.join((*presets(), *campaigns()))}, or a TOML file (default: gs2_ideal)",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    add_scenario_flags(parser.add_argument_group("keys to set in it"))
    add_output_flags(parser, "what was written")
    return parser


def _run(options: argparse.Namespace, output: Output) -> None:
    out = Path(options.out)
    with usage_errors():
        check_targets(out, force=options.force)
    scenario = resolve(options.start, changes_of(options), options.config)
    drawn = bool(scenario.undrawn())
    run = f"ptycho-fast simulate {out}" + (f" --count 10 --out {out.stem}" if drawn else "")
    head = (
        f"# A scenario of ptycho_fast, from {options.start}.\n"
        f"# A line that begins with #key shows a default; take the # away to change it.\n"
        f"# The same in words: {run} --explain\n\n"
    )
    text = head + commented(scenario, as_name(out.stem))
    with naming_written(out), written_aside(out, force=options.force) as file:
        file.write(text.encode())
    facts = {"file": str(out), "from": options.start, "scenario": scenario.to_dict()}
    output.result(facts, [("from", options.start), ("file", str(out)), ("try", run)])


if __name__ == "__main__":
    sys.exit(main())
