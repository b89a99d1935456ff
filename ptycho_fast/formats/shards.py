"""Data sets whose files are made by many processes, each a range of patterns of its own.

A layout says which patterns are in which shard, and makes one: a file that depends on the contents
and the number of the shard alone. It is small and can be sent to other processes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ptycho_fast import checks
from ptycho_fast.files import put_folder_in_place
from ptycho_fast.formats import FORMATS, Format
from ptycho_fast.formats.contents import Contents

SHARDED = ("zarr",)
"""Formats that can be made so."""


class Sharding(Protocol):
    """How a data set is divided into shards."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, N, N)."""

    @property
    def shards(self) -> int:
        """Number of shards."""

    def range(self, number: int) -> tuple[int, int]:
        """``(first, last)``: the patterns of a shard."""

    def file_name(self, number: int) -> str:
        """The file of a shard, below the folder of all."""

    def make(self, folder: Path, number: int, contents: Contents) -> dict[str, Any]:
        """Write a shard in one motion; its ``size`` in bytes, and what `check` will compare."""

    def check(self, folder: Path, number: int) -> dict[str, Any]:
        """What `make` gave, of the file that is there; OSError or ValueError if it is not sound."""

    def finish(self, folder: Path, contents: Contents) -> None:
        """Write what joins the shards, which are all there."""


def require(one: Format) -> None:
    """Raise ValueError where a format cannot be made shard by shard."""
    if one.name not in SHARDED:
        others = (FORMATS[name] for name in SHARDED)
        listed = " or ".join(f"{other.title} ({other.suffixes[0]})" for other in others)
        expected = f"{listed}, which are made shard by shard"
        raise ValueError(checks.wrong("format", one.title, expected))


def sharding(name: str, file_name: str, contents: Contents, options: Mapping[str, Any]) -> Sharding:
    """How a data set is divided.

    Parameters
    ----------
    name : str
        Of the format, one of `SHARDED`.
    file_name : str
        Of the data set.
    contents : Contents
        Its patterns are not read.
    options : mapping
        As the format takes them.
    """
    layout: Sharding = FORMATS[name].load().sharding(file_name, contents, **options)
    return layout


def put_in_place(folder: Path, target: Path, one: Format, *, force: bool) -> None:
    """Give the files of a whole data set their names.

    Parameters
    ----------
    folder : Path
        Where they are.
    target : Path
        The data set.
    one : Format
        Its format.
    force : bool
        Whether what is there may be replaced.
    """
    if one.container == "folder":
        put_folder_in_place(folder, target, force=force, marker=one.marker)
