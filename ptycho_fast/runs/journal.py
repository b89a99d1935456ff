"""What makes a run that was ended go on where it was.

While a file is made its bytes are in a part beside it, ``NAME.part1``, and the journal, lines of
JSON in ``NAME.journal``, says of every block of patterns where in the part it lies, its checksum,
and what was measured of it on the way. A run that is killed leaves both. The next one makes a new
part, takes over the blocks whose checksum is right and makes the others: the file is the same, byte
by byte, as one that was made in one go. When the file is whole, part and journal are gone.

The first line says what the run makes, down to the version. A run of anything else does not go on.
A journal is locked as long as its run lives, so that two runs cannot make one file.
"""

import ctypes
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from ptycho_fast import checks
from ptycho_fast.files import check_target, lock, naming, put_in_place, sync_folder
from ptycho_fast.formats.work import Block, Kept

_LONGEST_LINE = 2**26  # bytes; one is as long as what is kept of a block
_PART = re.compile(r".+\.part[0-9]+")
_PUNCH_HOLE = 0x02 | 0x01  # in a file, whose size stays

_Key = tuple[str, int, int]


class _Place(NamedTuple):
    """Where a block of an earlier run is, and the line of the journal that says so."""

    part: int
    offset: int
    size: int
    checksum: str
    line: int
    length: int


class LeftOver(FileExistsError):
    """An earlier run was ended, and nobody says whether to go on with it."""


def journal_of(target: str | os.PathLike[str]) -> Path:
    """The journal of the run that makes a file.

    Examples
    --------
    >>> journal_of("data/scan.h5").name
    'scan.h5.journal'
    """
    path = Path(os.path.realpath(target))
    return path.with_name(f"{path.name}.journal")


class Journal:
    """The journal of a run, which is a `formats.work.Journal`; opened by `opened`.

    Parameters
    ----------
    target : Path
        The file that the run makes, or the first of them.
    fingerprint : mapping
        What it makes: all that its bytes depend on, plain JSON types.

    Attributes
    ----------
    path : Path
        The journal itself.
    found : int
        Blocks of an earlier run that are there.
    """

    def __init__(self, target: Path, fingerprint: Mapping[str, Any]) -> None:
        self.path = journal_of(target)
        self.found = 0
        self._target = target
        self._fingerprint = json.loads(json.dumps(fingerprint))
        self._parts: list[Path] = []
        self._placed: dict[int, Path] = {}  # parts that have their target's name
        self._sizes: dict[int, int] = {}
        self._sources: dict[int, int] = {}  # descriptors of parts of earlier runs
        self._kept: dict[_Key, _Place] = {}
        self._current: tuple[int, IO[bytes]] | None = None
        self._of = ""  # name of the file that is being made
        self._stored = 0  # blocks of this run
        self._file: Any = None

    @classmethod
    @contextmanager
    def opened(
        cls,
        target: str | os.PathLike[str],
        fingerprint: Mapping[str, Any],
        *,
        resume: bool = False,
        force: bool = False,
    ) -> Iterator[Self]:
        """A journal for the making of a file.

        It is gone when the ``with`` block ends, unless an interruption or the system ended it: then
        it stays with the part, and the error has a note that says how to go on.

        Parameters
        ----------
        target : path-like
            The file, or the first of several.
        fingerprint : mapping
            All that its bytes depend on.
        resume : bool
            Whether to go on with what an earlier run left; if it left nothing, all is made.
        force : bool
            Whether what an earlier run left may be thrown away.

        Raises
        ------
        LeftOver
            An earlier run left something, and neither `resume` nor `force` is given.
        FileExistsError
            Another run makes the file at this moment.
        ValueError
            What is left is of another scenario, version, format or option.
        """
        journal = cls(Path(target), fingerprint)
        with journal._locked():
            journal._begin(resume, force)
            try:
                yield journal
            except BaseException as error:
                # What is wrong with the scenario or an argument is wrong the next time too.
                lasting = isinstance(error, ValueError | TypeError)
                if lasting or not (journal._stored or journal._kept):
                    journal._remove()
                else:
                    error.add_note(
                        f"what is made of {journal._target} is kept beside it: --resume goes on "
                        "with it, --force begins again"
                    )
                raise
            else:
                journal._remove()
            finally:
                journal._close_sources()

    # --- as writers know it ---

    @contextmanager
    def aside(self, path: str | os.PathLike[str], *, force: bool) -> Iterator[IO[bytes]]:
        """A part, which takes the place of `path` when it is whole; see `formats.work.Journal`."""
        target = Path(os.path.realpath(path))
        force = force or self.replaces(target)
        check_target(target, force)
        part, number, file = self._new_part(target)
        stored = self._stored
        self._current, self._of = (number, file), target.name
        try:
            with file, naming(path):
                yield file
                file.flush()
                os.fsync(file.fileno())
                check_target(target, force)
                size = os.fstat(file.fileno()).st_size
                self._write({"placed": number, "as": target.name, "size": size})
                put_in_place(part, target, force)
        except BaseException:
            if self._stored == stored:
                part.unlink(missing_ok=True)
            raise
        part.unlink(missing_ok=True)
        sync_folder(target.parent)

    def kept(self, name: str, first: int, last: int, of: str = "") -> Kept | None:
        """A block of an earlier run, if its checksum is right."""
        place = self._kept.get((f"{of or self._of}/{name}", first, last))
        if place is None:
            return None
        data = os.pread(self._sources[place.part], place.size, place.offset)
        if hashlib.sha256(data).hexdigest() != place.checksum:
            return None
        line = os.pread(self._file.fileno(), place.length, place.line)
        return Kept(data, json.loads(line)["notes"])

    def stored(self, block: Block, offset: int, size: int) -> None:
        """Keep where a block lies in the part that is being written."""
        assert self._current is not None, "a block is stored in a file that `aside` opened"
        part, file = self._current
        file.flush()
        key = (f"{self._of}/{block.name}", block.first, block.last)
        place = [*key, part, offset, size, block.checksum.hex()]
        self._write({"block": place, "notes": block.notes})
        self._stored += 1
        if (old := self._kept.pop(key, None)) and old.part not in self._placed:
            _release(self._sources[old.part], old.offset, old.size)

    def whole(self, path: str | os.PathLike[str]) -> list[tuple[int, int, list[Any]]] | None:
        """First, last, notes of each block of a file that an earlier run made, if it is whole."""
        target = Path(os.path.realpath(path))
        number = next((n for n, placed in self._placed.items() if placed == target), None)
        if number is None or target.stat().st_size != self._sizes[number]:
            return None
        blocks = []
        for (name, first, last), place in self._kept.items():
            if place.part == number:
                kept = self.kept(name.removeprefix(f"{target.name}/"), first, last, target.name)
                if kept is None:
                    return None
                blocks.append((first, last, kept.notes))
        return blocks

    def replaces(self, path: str | os.PathLike[str]) -> bool:
        """Whether a file is there because an earlier run had made it when it was ended."""
        return Path(os.path.realpath(path)) in self._placed.values()

    # --- inside ---

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")

    def _new_part(self, target: Path) -> tuple[Path, int, IO[bytes]]:
        for number in range(1, 10_000):
            part = target.with_name(f"{target.name}.part{number}")
            with suppress(FileExistsError):
                file = part.open("xb")
                self._parts.append(part)
                self._write({"part": part.name})
                return part, len(self._parts) - 1, file
        raise FileExistsError(f"{target}: too many parts of it are there, expected some at most")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The journal's file, open and locked."""
        while True:
            with self.path.open("a+b", buffering=0) as file:
                if lock(file.fileno()) is False:
                    raise FileExistsError(
                        f"{self._target}: another run is making it, expected one at a time "
                        f"({self.path.name} is locked)"
                    )
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(file.fileno()), os.stat(self.path)):
                        self._file = file
                        yield
                        return
            # The run that had it has finished meanwhile.

    def _begin(self, resume: bool, force: bool) -> None:
        """Read what an earlier run left, and write the head of what is new."""
        head = self._read()
        if strays := self._strays():
            if not force:
                self._close_sources()
                if not self.path.stat().st_size:  # made a moment ago
                    self.path.unlink()
                raise LeftOver(
                    f"{strays[0]}: is left from a run whose journal is gone, so that nothing can "
                    "go on with it; expected force=True to remove it, or another name for it"
                )
            for stray in strays:
                stray.unlink(missing_ok=True)
        if self._kept and not resume and not force:
            self._close_sources()
            raise LeftOver(
                f"{self._target}: an earlier run was ended and left {self.path.name}; expected "
                "resume=True to go on with it, or force=True to begin again"
            )
        if self._kept and resume:
            if wrong := difference(self._fingerprint, head):
                self._close_sources()
                raise ValueError(
                    f"{self.path}: {wrong}, as in the run that was ended; without resume=True and "
                    "with force=True it is made anew"
                )
            self.found = len(self._kept)
            self._remove_parts(keep={place.part for place in self._kept.values()})
            return
        self._remove_parts(keep=set())
        self._close_sources()
        self._kept, self._parts, self._placed = {}, [], {}
        self._file.truncate(0)
        self._write({"journal": 1, "fingerprint": self._fingerprint})

    def _strays(self) -> list[Path]:
        """Parts of this target, or of its shards, that the journal does not know."""
        target = self.path.with_suffix("")
        stem, suffix = re.escape(target.stem), re.escape(target.suffix)
        ours = re.compile(rf"({stem}(?:-[0-9]{{5}})?{suffix})\.part[0-9]+")
        strays = []
        for path in self.path.parent.iterdir():
            match = ours.fullmatch(path.name)
            if match is None or path in self._parts:
                continue
            # A file that is named like a shard may be made by a run of its own.
            own = match[1] == target.name or not journal_of(path.with_name(match[1])).exists()
            strays += [path] if own else []
        return sorted(strays)

    def _read(self) -> Any:
        """What an earlier run was to make; its parts and blocks are known then."""
        head: Any = None
        with suppress(ValueError, KeyError, TypeError, IndexError, RecursionError):
            for at, line in self._lines():
                entry = json.loads(line)
                if "block" in entry:
                    name, first, last, part, offset, size, checksum = entry["block"]
                    place = _Place(int(part), int(offset), int(size), checksum, at, len(line))
                    self._kept[str(name), int(first), int(last)] = place
                elif "part" in entry:
                    if not _PART.fullmatch(name := Path(entry["part"]).name):
                        raise ValueError(name)
                    self._parts.append(self.path.with_name(name))
                elif "placed" in entry:
                    target = self.path.with_name(Path(entry["as"]).name)
                    self._placed[int(entry["placed"])] = target
                    self._sizes[int(entry["placed"])] = int(entry["size"])
                elif "journal" in entry:
                    head = entry["fingerprint"]
        for number, part in enumerate(self._parts):
            path = self._placed.get(number, part)
            if path is not part and not path.is_file():  # killed just before
                path = part
                del self._placed[number]
            if path.is_file():
                self._sources[number] = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        if head is None:
            self._kept = {}
        self._kept = {k: p for k, p in self._kept.items() if p.part in self._sources}
        return head

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Whole lines, and where each begins; a line that was cut off is ended."""
        at = 0
        with self.path.open("rb") as file:
            while line := file.readline(_LONGEST_LINE):
                if not line.endswith(b"\n"):  # the run was killed while it wrote
                    self._file.write(b"\n")
                    return
                yield at, line
                at += len(line)

    def _remove_parts(self, keep: set[int]) -> None:
        for number, part in enumerate(self._parts):
            if number not in keep:
                part.unlink(missing_ok=True)

    def _remove(self) -> None:
        self._remove_parts(keep=set())
        self.path.unlink(missing_ok=True)

    def _close_sources(self) -> None:
        for descriptor in self._sources.values():
            os.close(descriptor)
        self._sources = {}


def _release(descriptor: int, offset: int, size: int) -> None:
    """Give the disk space of a block back, where the system can: it is in the new part now."""
    if not sys.platform.startswith("linux"):
        return
    fallocate = getattr(ctypes.CDLL(None), "fallocate", None)
    if fallocate is not None:
        integer = ctypes.c_longlong
        fallocate(descriptor, _PUNCH_HOLE, integer(offset), integer(size))


def difference(found: Mapping[str, Any], expected: Mapping[str, Any], where: str = "") -> str:
    """The first value by which two nested mappings differ, in words; empty if they are equal.

    Parameters
    ----------
    found, expected : mapping
        Plain JSON types.
    where : str
        What stands before the keys in the message.

    Examples
    --------
    >>> difference({"dose": {"nphotons": 1.0}}, {"dose": {"nphotons": 2.0}})
    'dose.nphotons: 1.0 given, expected 2.0'
    """
    for key in [*found, *(key for key in expected if key not in found)]:
        old, new = found.get(key), expected.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            if inner := difference(old, new, f"{where}{key}."):
                return inner
        elif old != new:
            return checks.wrong(f"{where}{key}", repr(old), repr(new))
    return ""
