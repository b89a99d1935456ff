"""What the commands share: the flags of a scenario, errors as exit codes, and signals."""

import argparse
import os
import re
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from ptycho_fast.errors import ScenarioError
from ptycho_fast.scenario import Scenario, parse_assignment, presets, resolve
from ptycho_fast.terminal import Output, steady_streams
from ptycho_fast.version import __version__

if TYPE_CHECKING:
    from ptycho_fast.data.dataset import Dataset

OK, RUNTIME_ERROR, USAGE_ERROR = 0, 1, 2

_KEPT = (".journal", ".part")  # what a run that can be resumed leaves beside its target


class UsageError(Exception):
    """The command line asks for something impossible."""


class Parser(argparse.ArgumentParser):
    """The flags of a command; what is wrong with a command line is said in one line.

    Examples
    --------
    >>> Parser(prog="ptycho-fast look").exit_on_error
    True
    """

    def error(self, message: str) -> NoReturn:
        """End the process with 2; a usage line of forty flags would hide the message."""
        message = message.removeprefix("argument ")
        self.exit(USAGE_ERROR, f"{self.prog}: error: {message}; --help lists all flags\n")


def whole(text: str) -> int:
    """A whole number of a command line; 1e3 is one, too.

    Raises
    ------
    argparse.ArgumentTypeError
        It is none.

    Examples
    --------
    >>> whole("1e3"), whole("12")
    (1000, 12)
    """
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        number = float(text)
        if number.is_integer() and abs(number) <= 2**53:  # beyond it not every number is a float
            return int(number)
    raise argparse.ArgumentTypeError(f"{text!r} given, expected a whole number")


# Flags for the keys that are changed most often; every other key is reached by --set.
_DIRECT: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "--nphotons": ("dose.nphotons", float, "mean detected photons per pattern"),
    "--n-patterns": ("scan.n_patterns", whole, "number of scan positions"),
    "--N": ("N", whole, "patch and detector side, pixels"),
    "--gridsize": ("gridsize", whole, "patterns per group: gridsize squared"),
    "--object-size": ("object.size", whole, "side of the object, pixels"),
    "--object-file": ("object.file", str, "object from an .npz (objectGuess) or .npy"),
    "--probe-file": ("probe.file", str, "probe from an .npz (probeGuess) or .npy"),
    "--scan-file": ("scan.file", str, "positions from a CSV, TXT, .npz, .npy or HDF5 file"),
    "--seed": ("seeds.photons", whole, "seed of the photon noise"),
}


class Terminated(KeyboardInterrupt):
    """The process was told to end by another signal than Ctrl-C.

    Code that tidies up after Ctrl-C does the same here.

    Attributes
    ----------
    signal : signal.Signals
        The signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signal = signal.Signals(signum)


def run_command(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace, Output], None],
    argv: Sequence[str] | None,
) -> int:
    """Run a command; every failure becomes one line on standard error and an exit code.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        With the flags of `add_output_flags`.
    run : callable
        The command. The notes of its exceptions are added to the message.
    argv : sequence of str, optional
        Arguments, by default those of the process.

    Returns
    -------
    int
        0; 1 if the command failed; 2 if the command line asks for something impossible; 128 plus
        the number of the signal if one ended it (Ctrl-C: 130, SIGTERM: 143).
    """
    with steady_streams():
        arguments = sys.argv[1:] if argv is None else list(argv)
        options = parser.parse_args(_keys_as_set(arguments))
        options.command = shlex.join([*parser.prog.split(), *arguments])
        output = Output(quiet=options.quiet, as_json=options.json)
        with _signals_raise() as ignore_signals:
            try:
                with output.showing_warnings():
                    run(options, output)
                    sys.stdout.flush()
            except (Exception, KeyboardInterrupt) as error:
                ignore_signals()  # the message is on its way
                if options.traceback:
                    traceback.print_exc()
                sys.stderr.write(f"{parser.prog}: error: {_message(error)}\n")
                return _exit_code(error)
    return OK


def _keys_as_set(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``--dose.nphotons 1e7`` spelt ``--set dose.nphotons=1e7``."""
    found, rest = [], list(arguments)
    while rest and rest[0] != "--":
        one = rest.pop(0)
        key, equals, value = one.removeprefix("--").partition("=")
        if not (one.startswith("--") and re.fullmatch(r"[a-z]+\.\w+", key)):
            found.append(one)
            continue
        if not equals and rest and not rest[0].startswith("--"):
            value = rest.pop(0)
        found += ["--set", f"{key}={value}"]
    return found + rest


def add_output_flags(parser: argparse.ArgumentParser, result: str) -> None:
    """Add the flags about what is said; `result` names what ``--json`` writes."""
    say = parser.add_argument_group("what to say")
    say.add_argument("--quiet", action="store_true", help="only warnings and errors")
    say.add_argument("--json", action="store_true", help=f"{result} as JSON on standard output")
    say.add_argument("--traceback", action="store_true", help="show where an error came from")
    say.add_argument("--version", action="version", version=f"ptycho_fast {__version__}")


def examples(*pairs: tuple[str, str]) -> str:
    """The part of a command's help that shows how it is used; all of it is run by a test.

    Parameters
    ----------
    *pairs : (str, str)
        What a command line does, and the line.

    Examples
    --------
    >>> examples(("a data set", "ptycho-fast simulate gs2_ideal")).splitlines()
    ['Examples:', '  # a data set', '  ptycho-fast simulate gs2_ideal']
    """
    return "\n".join(["Examples:", *(f"  # {does}\n  {line}" for does, line in pairs)])


# --- errors ---


@contextmanager
def usage_errors() -> Iterator[None]:
    """Within it a wrong value or file name is a mistake in the command line."""
    try:
        yield
    except ScenarioError:
        raise
    except (ValueError, TypeError, OSError) as error:
        raise UsageError(_text(error)) from error


def _in_flags(message: str) -> str:
    """A message about Python arguments, in flags: ``force=True`` becomes ``--force``."""
    message = re.sub(r"\b([a-z_]+)=True\b", r"--\1", message)
    return re.sub(r"\b([a-z_]+)='(\w+)'", r"--\1 \2", message)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return 128 + getattr(error, "signal", signal.SIGINT)
    return USAGE_ERROR if isinstance(error, ScenarioError | UsageError) else RUNTIME_ERROR


def _message(error: BaseException) -> str:
    if isinstance(error, Terminated):
        message = f"ended by {error.signal.name}"
    elif isinstance(error, KeyboardInterrupt):
        message = "interrupted"
    elif isinstance(error, MemoryError):
        message = f"out of memory ({error})"
    elif isinstance(error, ScenarioError):
        message = f"{error}{_flag_hint(error)}"
    elif isinstance(error, UsageError | ValueError | TypeError | OSError | RuntimeError):
        message = _in_flags(_text(error))
    else:  # not foreseen: the text alone may say nothing
        message = f"{type(error).__name__}: {error} (--traceback shows where)"
    return "; ".join([message, *getattr(error, "__notes__", [])])


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _flag_hint(error: ScenarioError) -> str:
    """How to give a key that is missing."""
    flag = next((flag for flag, (key, *_) in _DIRECT.items() if key == error.key), None)
    if flag is None or f"{error.key}: nothing given" not in str(error) or flag in str(error):
        return ""
    value = "PATH" if error.key.endswith(".file") else "VALUE"
    return f"; give it with {flag} {value} or --set {error.key}={value}"


# --- signals ---


@contextmanager
def _signals_raise() -> Iterator[Callable[[], None]]:
    """Within it SIGTERM and SIGHUP raise `Terminated` as Ctrl-C raises KeyboardInterrupt.

    A signal that is ignored (as by ``nohup``), or that the caller of `main` handles, is left alone.
    The yielded function makes further signals do nothing.
    """
    over = False

    def handle(signum: int, frame: FrameType | None) -> None:
        if not over:
            raise KeyboardInterrupt if signum == signal.SIGINT else Terminated(signum)

    def ignore() -> None:
        nonlocal over
        over = True

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        for signum in (getattr(signal, name) for name in names):  # Windows has no SIGHUP
            handler = signal.getsignal(signum)
            if handler in (signal.SIG_DFL, signal.default_int_handler):
                before[signum] = handler
                signal.signal(signum, handle)
    try:
        yield ignore
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


# --- files ---


@contextmanager
def naming_written(*paths: Path) -> Iterator[None]:
    """Add to an error raised within it which of the files were written.

    Of a run that can be resumed the error says already what is kept beside them.
    """
    from ptycho_fast.files import file_state

    before = [file_state(path) for path in paths]
    try:
        yield
    except BaseException as error:
        written = [
            str(path)
            for path, state in zip(paths, before, strict=True)
            if file_state(path) not in (state, None)
        ]
        beside = (path.with_name(path.name + end) for path in paths for end in _KEPT)
        if written or not (
            isinstance(error, UsageError | ScenarioError) or any(map(os.path.exists, beside))
        ):
            were = "were" if len(written) > 1 else "was"
            error.add_note(f"{' and '.join(written) or 'nothing'} {were} written")
        raise


# --- data sets that are read ---


def add_reading_flags(parser: argparse._ActionsContainer) -> None:
    """Add the flags that `reading_of` reads."""
    parser.add_argument(
        "--from-format", metavar="NAME", help="its format, where the content leaves several"
    )
    parser.add_argument(
        "--domain",
        choices=["count_intensity", "normalized_amplitude"],
        help="what its patterns mean, where the file does not say",
    )
    parser.add_argument(
        "--position-offset",
        type=float,
        metavar="PIXELS",
        help="added to x and y; 0.5 for an .npz that ptychodus exported",
    )
    parser.add_argument(
        "--read",
        metavar="OPTION=VALUE",
        action="append",
        default=[],
        help="any option of the format's reader, such as experiment=3 of a campaign's recipe",
    )


def reading_of(options: argparse.Namespace, path: str) -> "Dataset":
    """Open the data set that the command line names; close it by ``with``.

    Parameters
    ----------
    options : argparse.Namespace
        Of a parser with the flags of `add_reading_flags`.
    path : str
        The file.

    Raises
    ------
    UsageError
        There is no such file, or its format takes no such option.
    OSError, ValueError, RuntimeError
        It cannot be read.
    """
    from ptycho_fast.data.opening import open as open_data
    from ptycho_fast.formats import recognise

    with usage_errors():
        more = dict(parse_assignment(text) for text in options.read)
        offset = options.position_offset or 0.0
        given = {"domain": options.domain, "position_offset": offset or None, **more}
        recognise(path, options.from_format).options(given, reading=True)
    return open_data(
        path,
        format=options.from_format,
        domain=options.domain,
        position_offset=offset,
        **more,
    )


# --- the scenario ---


def add_start_flags(parser: argparse._ActionsContainer) -> None:
    """Add the flags that take object, probe and positions from a file."""
    parser.add_argument(
        "--from",
        dest="start",
        metavar="FILE",
        help="take object, probe modes, positions, energy and sizes of pixels from a data set or a "
        "reconstruction; other flags win over it",
    )
    parser.add_argument(
        "--from-format",
        metavar="NAME",
        help="format of that file, where its content leaves several",
    )
    parser.add_argument(
        "--position-offset",
        type=float,
        metavar="PIXELS",
        help="added to x and y of that file; 0.5 for an .npz that ptychodus exported",
    )
    parser.add_argument(
        "--read",
        metavar="OPTION=VALUE",
        action="append",
        help="what the reader of that file's format takes besides; see docs/formats.md",
    )


def _start_of(options: argparse.Namespace) -> dict[str, Any]:
    """The keys that take what the file of ``--from`` holds."""
    if getattr(options, "start", None) is None:
        for flag in ("from_format", "position_offset", "read"):
            if getattr(options, flag, None) is not None:
                name = flag.replace("_", "-")
                raise UsageError(f"--{name}: given, expected --from too, the file that it is about")
        return {}
    from ptycho_fast import checks
    from ptycho_fast.formats import FORMATS
    from ptycho_fast.start import changes_from

    if options.from_format is not None:
        with usage_errors():
            readers = [one.name for one in FORMATS.values() if one.reads]
            checks.choice(options.from_format, "--from-format", readers)
    return changes_from(
        options.start,
        format=options.from_format,
        position_offset=options.position_offset or 0.0,
        options=options.read or (),
    )


def add_scenario_flags(parser: argparse._ActionsContainer) -> None:
    """Add the flags that `scenario_of` reads."""
    parser.add_argument("--config", metavar="FILE", help="TOML file laid over the scenario")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set any key (see below); --KEY VALUE does it too for keys with a dot",
    )
    for flag, (key, kind, doc) in _DIRECT.items():
        parser.add_argument(flag, dest=key, type=kind, metavar="VALUE", help=f"{doc} ({key})")


def given_keys(options: argparse.Namespace) -> dict[str, Any]:
    """Values by key of the flags of `add_scenario_flags` that were given, without ``--set``."""
    given = vars(options)
    return {key: given[key] for key, _, _ in _DIRECT.values() if given[key] is not None}


def changes_of(options: argparse.Namespace) -> dict[str, Any]:
    """Values by key of all flags of `add_scenario_flags` but ``--config``."""
    changes = dict(parse_assignment(text) for text in options.set) | given_keys(options)
    for table in ("object", "probe", "scan"):
        if f"{table}.file" in changes and changes.setdefault(f"{table}.kind", "file") == "file":
            changes = {f"{table}.sha256": None, f"{table}.format": None} | changes
    return changes


def scenario_of(options: argparse.Namespace, *, drawn: bool = False) -> Scenario:
    """The scenario that the command line describes: a flag wins over a file, a file over a preset.

    Parameters
    ----------
    options : argparse.Namespace
        Of a parser with the flags of `add_scenario_flags`.
    drawn : bool
        Whether it may have ranges and choices, for a campaign to draw from.

    Raises
    ------
    ScenarioError
        There is no such scenario, or it cannot be simulated.
    """
    changes = changes_of(options)
    start = _start_of(options)
    if options.scenario is None and not start:
        raise UsageError(
            f"scenario: nothing given, expected {', '.join(presets())}, a TOML file, or --from FILE"
        )
    if options.scenario is not None:
        start.pop("name", None)
    scenario = resolve(options.scenario, changes, options.config, start=start)
    if not drawn:
        scenario.require_runnable()
        if "dose.nphotons" in changes:
            from ptycho_fast.dose.modes import require_nphotons

            require_nphotons(scenario.dose)
    return scenario
