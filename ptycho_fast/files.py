"""Files made in one motion: written aside, synced, then put in place.

A file is written under a short random name in the folder of its target (a "part") and takes the
target's name when it is whole. Whatever happens in between, the target is either as it was before
or complete, and the part is removed.

A part is locked while it is written. The operating system releases the lock when the writer ends,
however it ends, so a part whose lock can be taken is left from a run that was killed; the next
writer in that folder removes it.
"""

import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

if sys.platform != "win32":
    import fcntl

_PART = re.compile(r"\.ptycho_fast-([0-9a-f]{8})-[0-9a-f]{16}\.part")
_FORGOTTEN = 7 * 24 * 3600  # seconds after which a part of another machine is given up

_OF_THE_DISK = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO)

_KINDS = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


# --- before the work: can the file be written? ---


def check_target(path: str | os.PathLike[str], force: bool) -> Path:
    """The file to write to, or an error before any work is done.

    Parameters
    ----------
    path : path-like
        The name that was asked for.
    force : bool
        Whether a regular file that exists may be replaced.

    Returns
    -------
    Path
        `path`; or, where it is a symbolic link, the file that it points to.

    Raises
    ------
    FileExistsError
        There is such a file and `force` is False; or, whatever `force` is, the path is a device, a
        FIFO, a socket, or a symbolic link to nothing.
    FileNotFoundError, IsADirectoryError, PermissionError
        The folder is missing or cannot be written to, or the path is a folder.
    ValueError
        The name is too long.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> check_target(folder / "new.npz", force=False) == folder / "new.npz"
    True
    >>> check_target(folder, force=True)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    IsADirectoryError: ...: is a folder, expected the path of a file
    """
    target, there = _looked_up(Path(path))
    if there and stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(f"{path}: is a folder, expected the path of a file")
    if there and not stat.S_ISREG(there.st_mode):
        kind = _KINDS.get(stat.S_IFMT(there.st_mode), "no regular file")
        raise FileExistsError(f"{path}: is {kind}, expected a regular file or a new name")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{path}: the folder {folder} does not exist")
    _check_length(path, folder / target.name)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{path}: the folder {folder} cannot be written to")
    if there and not force:
        raise _exists(path)
    return target


def check_targets(*paths: str | os.PathLike[str], force: bool) -> list[Path]:
    """Check the files that one run will write: each by `check_target`, and no two are the same.

    Parameters
    ----------
    *paths : path-like
        The names that were asked for.
    force : bool
        As for `check_target`.

    Returns
    -------
    list of Path
        What `check_target` returns for each.

    Raises
    ------
    ValueError
        Two of the names mean one file, also through links or another spelling of the path; or a
        name is too long.
    OSError
        As `check_target`.

    Examples
    --------
    >>> check_targets("a.npz", "./a.npz", force=True)
    Traceback (most recent call last):
    ValueError: a.npz, ./a.npz: the same file twice given, expected a file for each output
    """
    targets = [check_target(path, force) for path in paths]
    for i, first in enumerate(paths):
        for second in paths[i + 1 :]:
            if same_file(first, second):
                raise ValueError(
                    f"{first}, {second}: the same file twice given, expected a file for each output"
                )
    return targets


def same_file(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Whether two names mean one file, which need not exist.

    Relative paths, symbolic links and hard links are followed.
    """
    if os.path.realpath(first) == os.path.realpath(second):
        return True
    try:
        return os.path.samefile(first, second)
    except OSError:  # one of them does not exist
        return False


def file_state(path: str | os.PathLike[str]) -> tuple[int, ...] | None:
    """What changes when a file is made or replaced; None where there is no file.

    A command that failed compares this with the state before it began, to know whether it wrote
    the file.
    """
    try:
        there = os.stat(path)
    except OSError:
        return None
    return there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns


def _looked_up(path: Path) -> tuple[Path, os.stat_result | None]:
    """Follow a symbolic link; the file, and what is there already."""
    target = Path(os.path.realpath(path)) if os.path.islink(path) else path
    try:
        return target, os.stat(target)
    except (FileNotFoundError, NotADirectoryError):
        if target is path:
            return target, None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _too_long(path) from None
        if error.errno != errno.ELOOP:
            raise
    raise FileExistsError(
        f"{path}: is a symbolic link to {target}, which does not exist; expected a regular file or "
        "a new name"
    )


def _check_length(path: str | os.PathLike[str], target: Path) -> None:
    for name in (target, target.with_name(_part_name())):
        try:
            os.lstat(name)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise _too_long(path) from None
            raise


def _too_long(path: str | os.PathLike[str]) -> ValueError:
    name = Path(path).name
    shown = name if len(name) <= 40 else f"{name[:40]}..."
    length = len(os.fsencode(os.path.abspath(path)))
    return ValueError(
        f"{shown}: a name of {len(os.fsencode(name))} bytes in a path of {length} given, expected "
        "a shorter one; file systems usually allow 255 and 4095",
    )


def _exists(path: str | os.PathLike[str]) -> FileExistsError:
    return FileExistsError(
        f"{path}: exists, expected a new name, or force=True to replace the file"
    )


# --- the motion ---


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within it an error of the disk that names no file (it is full, say) is given this name.

    HDF5 hides the number of such an error in a text, and zipfile knows no name.

    Examples
    --------
    >>> with naming("scan.npz"):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'scan.npz'
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        hidden = (number for number in _OF_THE_DISK if f"errno = {number}," in str(error))
        number = getattr(error, "errno", None) or next(hidden, None)
        if number in _OF_THE_DISK and getattr(error, "filename", None) is None:
            raise OSError(number, os.strerror(number), str(path)) from error
        raise


@contextmanager
def written_aside(path: str | os.PathLike[str], *, force: bool) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of `path` if all goes well and vanishes if not.

    Without `force` exactly one of several writers at the same time makes the file and the others
    get FileExistsError; with `force` the last one replaces the others' files. A reader never sees
    half a file. A symbolic link stays a link: the file that it points to is replaced.

    On file systems without hard links (FAT, some network file systems) the name is first claimed by
    an empty file; a run that is killed in that moment leaves the empty file.

    Parameters
    ----------
    path : path-like
        The file to make.
    force : bool
        Whether a regular file that exists may be replaced.

    Yields
    ------
    binary file
        Open for writing; it can seek.

    Raises
    ------
    OSError, ValueError
        As `check_target`, or the file cannot be written; nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "greeting.txt"
    >>> with written_aside(path, force=False) as file:
    ...     _ = file.write(b"hello")
    >>> path.read_text()
    'hello'
    """
    target = check_target(path, force).absolute()
    _remove_forgotten_parts(target.parent)
    file = None
    while file is None:
        part = target.with_name(_part_name())
        # The name is random, so what is removed under it is ours.
        try:
            file = _locked_part(part)
            if file is None:
                continue
            with file, naming(path):  # open, and thus locked, until the file is in its place
                yield file
                file.flush()
                os.fsync(file.fileno())
                check_target(target, force)
                put_in_place(part, target, force)
        finally:
            part.unlink(missing_ok=True)
    sync_folder(target.parent)


def put_in_place(part: Path, target: Path, force: bool) -> None:
    """Give a part the name of its target; without `force` an error where the name is taken."""
    if force:
        part.replace(target)
        return
    try:
        os.link(part, target)  # atomic, and fails where the name is taken
    except FileExistsError:
        # A network file system may answer so when it had to ask twice.
        if not os.path.samestat(os.lstat(part), os.lstat(target)):
            raise _exists(target) from None
    except OSError:
        _rename_to_new_name(part, target)


def _rename_to_new_name(part: Path, target: Path) -> None:
    """Rename without replacing anything, where there are no hard links."""
    try:
        claim = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        raise _exists(target) from None
    claimed = os.fstat(claim)
    os.close(claim)
    try:
        part.replace(target)
    except BaseException:
        if os.path.samestat(os.lstat(target), claimed):
            target.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --- folders ---


def check_folder(path: str | os.PathLike[str], force: bool, marker: str) -> Path:
    """The folder to make, or an error before any work is done.

    Parameters
    ----------
    path : path-like
        The name that was asked for.
    force : bool
        Whether a folder that exists may be replaced, with all that is in it.
    marker : str
        Name of a file: only a folder that holds it is ever replaced.

    Returns
    -------
    Path
        `path`; or, where it is a symbolic link, the folder that it points to.

    Raises
    ------
    FileExistsError
        There is such a folder, and `force` is False or it has no `marker`; or the path is a file.
    FileNotFoundError, PermissionError, ValueError
        As `check_target`.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> check_folder(folder, force=True, marker="zarr.json")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileExistsError: ...: is a folder without zarr.json, expected a new name; it is not replaced
    """
    target, there = _looked_up(Path(path))
    if there is None:
        return check_target(path, force)
    if not stat.S_ISDIR(there.st_mode):
        raise FileExistsError(f"{path}: is a file, expected the name of a folder")
    if not force:
        raise FileExistsError(
            f"{path}: exists, expected a new name, or force=True to replace the folder"
        )
    if not (target / marker).is_file():
        raise FileExistsError(
            f"{path}: is a folder without {marker}, expected a new name; it is not replaced"
        )
    if not os.access(target.absolute().parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{path}: the folder {target.absolute().parent} cannot be written to")
    return target


@contextmanager
def folder_aside(path: str | os.PathLike[str], *, force: bool, marker: str) -> Iterator[Path]:
    """A folder to write to, which takes the place of `path` if all goes well and vanishes if not.

    The files in it are to be synced by those who write them. With `force`, a folder that is there
    is moved away in the last moment; between two renames there is none.

    Parameters
    ----------
    path, force, marker
        As for `check_folder`.

    Yields
    ------
    Path
        An empty folder beside `path`.

    Raises
    ------
    OSError, ValueError
        As `check_folder`, or the folder cannot be written; nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "greetings"
    >>> with folder_aside(path, force=False, marker="hello.txt") as folder:
    ...     _ = (folder / "hello.txt").write_text("hello")
    >>> [file.name for file in path.iterdir()]
    ['hello.txt']
    """
    target = check_folder(path, force, marker).absolute()
    _remove_forgotten_parts(target.parent)
    part = target.with_name(_part_name())
    part.mkdir()
    try:
        with locked_folder(part), naming(path):
            yield part
            put_folder_in_place(part, target, force=force, marker=marker)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep other writers, and those who tidy up, away from a folder; released however a run ends.

    Raises
    ------
    BlockingIOError
        Another process has locked it.
    """
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if lock(descriptor) is False:
            raise BlockingIOError(errno.EAGAIN, "another run writes to it", str(folder))
        yield
    finally:
        os.close(descriptor)


def put_folder_in_place(part: Path, target: Path, *, force: bool, marker: str) -> None:
    """Give a whole folder its name; with `force`, one that is there is removed."""
    sync_folder(part)
    old = None
    if check_folder(target, force, marker) and target.exists():
        old = target.with_name(_part_name())
        target.rename(old)
    try:
        part.rename(target)
    except BaseException:
        if old is not None:
            old.rename(target)
        raise
    sync_folder(target.parent)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


# --- parts, and those that dead runs left ---


def _part_name() -> str:
    """A new name, of one length whatever the target is called."""
    return f".ptycho_fast-{_kernel()}-{secrets.token_hex(8)}.part"


@functools.cache
def _kernel() -> str:
    """Eight digits for the running kernel, which all containers on a machine share.

    Locks are certain between the processes of one kernel; a network file system may not pass them
    on to other machines. Process numbers would not do: in a container every run is process 1.
    """
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _locked_part(part: Path) -> IO[bytes] | None:
    """Create and lock a part; None if another process, which tidies up, was faster to lock it."""
    file = part.open("xb")
    try:
        if lock(file.fileno()) is not False and os.fstat(file.fileno()).st_nlink:
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def lock(descriptor: int) -> bool | None:
    """Lock a file until it is closed: whether that worked, None where locks are not supported."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _remove_forgotten_parts(folder: Path) -> None:
    if sys.platform == "win32":
        return
    try:
        with os.scandir(folder) as entries:
            found = [m for entry in entries if (m := _PART.fullmatch(entry.name))]
    except OSError:
        return
    for match in found:
        with suppress(OSError):  # it is gone, or somebody else's
            _remove_if_forgotten(folder / match[0], match[1])


def _remove_if_forgotten(part: Path, kernel: str) -> None:
    """Remove a part if it is certain that nobody writes to it."""
    is_folder = stat.S_ISDIR(os.lstat(part).st_mode)
    flags: Any = os.O_RDONLY if is_folder else os.O_RDWR
    descriptor = os.open(part, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        there = os.fstat(descriptor)
        if kernel != _kernel() and time.time() - there.st_mtime < _FORGOTTEN:
            return
        if lock(descriptor) and os.path.samestat(os.lstat(part), there):
            if stat.S_ISREG(there.st_mode):
                part.unlink()
            elif is_folder:
                shutil.rmtree(part)
    finally:
        os.close(descriptor)
