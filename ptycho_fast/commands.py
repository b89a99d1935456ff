"""``ptycho-fast COMMAND``: the table of commands, each of which is a module with a `main`.

A command imports its own module alone, so it starts as fast as ``python -m ptycho_fast.COMMAND``.
"""

import importlib
import sys
from collections.abc import Sequence

_TABLE = {
    "simulate": "make a data set, a dose ladder or a campaign",
    "train": "train a network on a scenario, and compare its object with the truth",
    "reconstruct": "find object and probe of a data set",
    "info": "what a file is, and whether it is what it says",
    "convert": "from any format that is read to any that is written",
    "new": "write a scenario with every key explained, to edit",
    "gallery": "draw every kind of object, probe and scan, with its code",
    "bench": "patterns per second on this machine",
    "doctor": "what is installed, whether it works, and how to mend it",
    "completion": "the script that completes this command line in a shell",
}


def commands() -> dict[str, str]:
    """What each command does, by name.

    Examples
    --------
    >>> list(commands())[0]
    'simulate'
    """
    return dict(_TABLE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The command's name and its arguments, by default those of the process.

    Returns
    -------
    int
        The exit code of the command; see `command.run_command`. 2 if there is no such command.

    Examples
    --------
    >>> main(["--help"])  # doctest: +ELLIPSIS
    usage: ptycho-fast COMMAND ...
    """
    name, *rest = [*(sys.argv[1:] if argv is None else argv), ""]
    if name in _TABLE:
        code: int = importlib.import_module(f"ptycho_fast.{name}").main(rest[:-1])
        return code
    from ptycho_fast.terminal import steady_streams

    with steady_streams():
        if name in ("", "-h", "--help"):
            sys.stdout.write(_help())
        elif name == "--version":
            from ptycho_fast.version import __version__

            sys.stdout.write(f"ptycho_fast {__version__}\n")
        else:
            sys.stderr.write(f"ptycho-fast: error: {_unknown(name)}\n")
            return 2
    return 0


def _help() -> str:
    lines = "".join(f"  {name:12} {doc}\n" for name, doc in _TABLE.items())
    return (
        "usage: ptycho-fast COMMAND [flags]\n\n"
        "Photon-exact, bit-reproducible simulation of ptychography data sets.\n\n"
        f"commands:\n{lines}\n"
        "ptycho-fast COMMAND --help has the flags of a command, and examples.\n"
        "python -m ptycho_fast COMMAND is the same.\n"
    )


def _unknown(name: str) -> str:
    import difflib

    from ptycho_fast.checks import wrong

    names = list(commands())
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return wrong("command", repr(name), f"one of {', '.join(names)}{meant}")
