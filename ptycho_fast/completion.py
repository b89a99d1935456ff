"""``ptycho-fast completion SHELL``: the script that completes the command line in a shell.

The script holds all flags, so that completing starts no Python. shtab writes it, from the parsers
of the commands.
"""

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ptycho_fast.command import Parser, add_output_flags, examples, run_command
from ptycho_fast.commands import commands
from ptycho_fast.terminal import Output

_SHELLS = ("bash", "zsh", "fish")
_EXAMPLES = (
    ("for this bash alone: source <(ptycho-fast completion bash)", "ptycho-fast completion bash"),
    (
        "for every zsh: redirect it to _ptycho-fast in a folder of $fpath",
        "ptycho-fast completion zsh",
    ),
    (
        "for every fish: to ~/.config/fish/completions/ptycho-fast.fish",
        "ptycho-fast completion fish",
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
        prog="ptycho-fast completion",
        description="Print the script that completes ptycho-fast, its flags and their values.",
        epilog=examples(*_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=_SHELLS, help=f"one of {', '.join(_SHELLS)}")
    add_output_flags(parser, "the script")
    return parser


def _run(options: argparse.Namespace, output: Output) -> None:
    import shtab

    script: str = shtab.complete(_whole(), options.shell)
    if output.for_people:
        sys.stdout.write(script if script.endswith("\n") else f"{script}\n")
    output.result({"shell": options.shell, "script": script}, ())


def _whole() -> argparse.ArgumentParser:
    """One parser of all commands."""
    whole = argparse.ArgumentParser(prog="ptycho-fast")
    places = whole.add_subparsers(dest="command", metavar="COMMAND")
    known = _values()
    for name, doc in commands().items():
        own = importlib.import_module(f"ptycho_fast.{name}").parser()
        part = places.add_parser(name, help=doc, parents=[own], add_help=False)
        for action in part._actions:
            if (found := _completed(action, known)) is not None:
                action.complete = found  # type: ignore[attr-defined]
    return whole


def _values() -> dict[str, list[str]]:
    """Words that a flag takes, where the parser does not list them itself."""
    from ptycho_fast.backend import names
    from ptycho_fast.formats import FORMATS
    from ptycho_fast.report.panels import SECTIONS

    return {
        "backend": ["auto", *names()],
        "format": [one.name for one in FORMATS.values() if one.writes],
        "from_format": [one.name for one in FORMATS.values() if one.reads],
        "only": list(SECTIONS),
    }


def _completed(action: argparse.Action, known: dict[str, list[str]]) -> Any:
    """What a flag or a place is completed with, as shtab has it; None: nothing, or its choices."""
    import shtab

    if action.choices is not None or action.nargs == 0:
        return None
    if action.dest in known:
        return _words(action.dest, known[action.dest])
    if action.dest == "scenario" or action.metavar in ("SCENARIO", "DATA"):
        return _scenarios()
    named = str(action.metavar or action.dest)
    if named == "FOLDER":
        return shtab.DIRECTORY
    return shtab.FILE if named in ("FILE", "IN", "OUT", "PATH") or "file" in named else None


def _words(name: str, words: Sequence[str]) -> dict[str, Any]:
    """Some words, in each shell's language."""
    listed, function = " ".join(words), f"_ptycho_fast_{name}"
    return {
        "bash": function,
        "zsh": f"({listed})",
        "fish": f"(string split ' ' '{listed}')",
        "preamble": {"bash": f'{function}() {{\n  compgen -W "{listed}" -- "$1"\n}}'},
    }


def _scenarios() -> dict[str, Any]:
    """The scenarios that come with the package, and files."""
    listed = " ".join(_scenario_names())
    function = "_ptycho_fast_scenarios"
    return {
        "bash": function,
        "zsh": function,
        "fish": f"(string split ' ' '{listed}'; __fish_complete_path (commandline -ct))",
        "preamble": {
            "bash": f'{function}() {{\n  compgen -W "{listed}" -- "$1"\n  compgen -f -- "$1"\n}}',
            "zsh": f"{function}() {{\n  _alternative 'scenarios:scenario:({listed})' "
            "'files:file:_files'\n}",
        },
    }


def _scenario_names() -> Iterator[str]:
    from ptycho_fast.scenario import campaigns, presets

    yield from presets()
    yield from campaigns()


if __name__ == "__main__":
    sys.exit(main())
