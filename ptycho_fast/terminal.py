"""Standard output and standard error of a command: results, warnings and a progress bar."""

import errno
import json
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from ptycho_fast.checks import wrong
from ptycho_fast.errors import DataWarning
from ptycho_fast.progress import StageClock

_READER_GONE = (errno.EPIPE, errno.EBADF)


# --- streams that a closed pipe does not disturb ---


class _Steady:
    """A text stream whose writer goes on when the reader has gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._unless_gone():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._unless_gone():
            self._stream.flush()

    def finish(self) -> None:
        """Flush for the last time; what still cannot be written is given up."""
        try:
            self.flush()
        except OSError:
            self._give_up()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _unless_gone(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _READER_GONE:
                raise
            self._give_up()

    def _give_up(self) -> None:
        # Otherwise the interpreter would fail at its last flush.
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream.flush()


@contextmanager
def steady_streams() -> Iterator[None]:
    """Within it a closed pipe or a closed standard stream changes nothing for the command."""
    # A file that the command opens must not get the number of a closed standard stream.
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w") as nowhere:
        streams: list[Any] = [_Steady(stream or nowhere) for stream in before]
        sys.stdout, sys.stderr = streams
        try:
            yield
        finally:
            for stream in streams:
                stream.finish()
            sys.stdout, sys.stderr = before


# --- results and warnings ---


class Output:
    """What a command tells its user.

    Parameters
    ----------
    quiet : bool
        No results.
    as_json : bool
        Results as one line of JSON.

    Attributes
    ----------
    warnings : list of str
        Those shown so far.
    """

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        self._quiet = quiet
        self._json = as_json
        self.warnings: list[str] = []

    @property
    def for_people(self) -> bool:
        """Whether somebody reads along: neither quiet nor JSON."""
        return not (self._quiet or self._json)

    def result(self, facts: dict[str, Any], lines: Iterable[tuple[str, str]]) -> None:
        """Write the result: the facts as JSON, or its lines, each a label and a text."""
        if self._json:
            sys.stdout.write(json.dumps({**facts, "warnings": self.warnings}) + "\n")
        elif not self._quiet:
            sys.stdout.write("".join(f"{label:<18} {text}\n" for label, text in lines))

    def remark(self, text: str) -> None:
        """Write a line for somebody who waits, on standard error."""
        if self.for_people:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def warn(self, text: str) -> None:
        """Write a warning as one line on standard error, once."""
        line = " ".join(text.split())
        if line not in self.warnings:
            self.warnings.append(line)
            sys.stderr.write(f"warning: {line}\n")

    @contextmanager
    def showing_warnings(self) -> Iterator[None]:
        """Within it the package's warnings, raised or logged, go through `warn`."""

        def show(message: Warning | str, *_: Any, **__: Any) -> None:
            self.warn(str(message))

        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: self.warn(record.getMessage())  # type: ignore[method-assign]
        logger = logging.getLogger("ptycho_fast")
        with warnings.catch_warnings():
            warnings.simplefilter("always", DataWarning)
            warnings.showwarning = show
            logger.addHandler(handler)
            try:
                yield
            finally:
                logger.removeHandler(handler)


def bytes_text(size: float) -> str:
    """A number of bytes with a unit, three digits.

    Examples
    --------
    >>> bytes_text(5_242_880)
    '5.24 MB'
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} PB"


def bytes_of(text: str, name: str) -> int:
    """The number of bytes that a text such as ``512MiB``, ``2 GB`` or ``1e9`` means.

    Raises
    ------
    ValueError
        It means none.

    Examples
    --------
    >>> bytes_of("512MiB", "--memory"), bytes_of("2 GB", "--memory"), bytes_of("1e6", "--memory")
    (536870912, 2000000000, 1000000)
    """
    match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kMGT]?)(i?)B?\s*", text)
    with suppress(ValueError, OverflowError):
        if match:
            power = " kMGT".index(match[2] or " ")
            size = int(float(match[1]) * (1024 if match[3] else 1000) ** power)
            if size > 0:
                return size
    raise ValueError(wrong(name, repr(text), "a number of bytes, such as 512MiB or 2GB"))


# --- meanwhile: a progress bar on a terminal ---


@contextmanager
def watched(shown: bool) -> Iterator[StageClock]:
    """A clock that shows the current stage on a terminal, its rate and the time left."""
    if not (shown and sys.stderr.isatty()):
        yield StageClock()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    class Bar(StageClock):
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
