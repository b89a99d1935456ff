"""Files made in one motion: written aside, closed, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def check_target(path: str | os.PathLike[str], force: bool) -> Path:
    """The path to write to, or an error before any work is done.

    Raises
    ------
    FileExistsError
        There is such a file already, and `force` is not given.
    FileNotFoundError, IsADirectoryError, PermissionError
        The folder is missing or cannot be written to, or the path is a folder.
    """
    target = Path(path)
    folder = target.absolute().parent
    if target.is_dir():
        raise IsADirectoryError(f"{target}: is a folder, expected the path of a file")
    if not folder.is_dir():
        raise FileNotFoundError(f"{target}: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{target}: the folder {folder} cannot be written to")
    if target.exists() and not force:
        raise FileExistsError(f"{target}: exists; --force (force=True) replaces it")
    return target


@contextmanager
def written_aside(path: str | os.PathLike[str], *, force: bool) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of `path` if all goes well, and vanishes if not."""
    target = check_target(path, force)
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with aside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        check_target(path, force)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
