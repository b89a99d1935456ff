"""Data sets whose files are made by many processes, each a range of patterns of its own.

A layout says which patterns are in which shard, and makes one: a file that depends on the contents
and the number of the shard alone. It is small and can be sent to other processes.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ptycho_fast import checks
from ptycho_fast.files import check_target, put_folder_in_place
from ptycho_fast.formats import FORMATS, Format
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.work import Work

_BYTES = 2**26, 2**30  # least and most of a shard before compression, if nobody says
_SHARDS = 100  # that are aimed at between these

SHARDED = ("zarr", "hdf5")
"""Formats that can be made so."""


class Sharding(ABC):
    """How a data set is divided into shards; small, and can be sent to other processes.

    Attributes
    ----------
    shape : (B, N, N)
        Of all patterns.
    shard : int
        Patterns in a shard, the last one may have fewer.
    """

    shape: tuple[int, int, int]
    shard: int

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.shape[0] // self.shard)

    def range(self, number: int) -> tuple[int, int]:
        """``(first, last)``: the patterns of a shard."""
        first = number * self.shard
        return first, min(first + self.shard, self.shape[0])

    @abstractmethod
    def file_name(self, number: int) -> str:
        """The file of a shard, below the folder of all."""

    @abstractmethod
    def make(self, folder: Path, number: int, contents: Contents, work: Work) -> dict[str, Any]:
        """Write a shard in one motion; its ``size`` in bytes, and what `check` will compare."""

    @abstractmethod
    def check(self, folder: Path, number: int) -> dict[str, Any]:
        """What `make` gave, of the file that is there; OSError or ValueError if it is not sound."""

    @abstractmethod
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


def usual_size(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Patterns in a shard if nobody says how many; a function of the data set alone.

    A hundredth of them, but between 64 MiB and 1 GiB before compression: enough shards for many
    workers, of some seconds each, and few enough for file systems and schedulers.

    Examples
    --------
    >>> [usual_size((B, 64, 64), np.dtype("u4")) for B in (1000, 10**6, 10**9)]
    [1000, 10000, 65536]
    """
    B, one = shape[0], math.prod(shape[1:]) * dtype.itemsize
    least, most = (max(1, bound // one) for bound in _BYTES)
    return min(max(math.ceil(B / _SHARDS), least), most, B)


def check_targets(layout: Sharding, target: Path, one: Format, *, force: bool) -> None:
    """Raise FileExistsError where the file of a shard will go and there is one; without `force`."""
    if one.container == "folder" or force:
        return
    for number in range(layout.shards):
        check_target(target.with_name(layout.file_name(number)), force)


def put_in_place(layout: Sharding, folder: Path, target: Path, one: Format, *, force: bool) -> None:
    """Give the files of a whole data set their names.

    Parameters
    ----------
    layout : Sharding
        How it is divided.
    folder : Path
        Where the files are.
    target : Path
        The data set.
    one : Format
        Its format.
    force : bool
        Whether what is there may be replaced.
    """
    if one.container == "folder":
        put_folder_in_place(folder, target, force=force, marker=one.marker)
        return
    one.check_target(target, force)
    for number in range(layout.shards):
        name = layout.file_name(number)
        (folder / name).replace(target.with_name(name))
    (folder / target.name).replace(target)  # last: it needs the others
