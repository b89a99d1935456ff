"""Every format of files in one table: found by name, by suffix, or by what a file holds.

A format's module takes and returns plain arrays (`contents.Contents`) and has

- ``DOMAINS``: the domains that it stores, keys of `contents.DOMAINS`, the best one first;
- ``OPTIONS`` and ``READ_OPTIONS``: names of the keywords that writing and reading take;
- ``check(contents, **options)``: an error for what `write` would refuse, before any work. Of the
  patterns only shape and dtype are looked at;
- ``file_size(contents, **options) -> int``: bytes that the files will take, about;
- ``write(path, contents, work, **options) -> list of Path``: make the files. Patterns are taken
  from ``work.blocks``; after the last one ``contents.completed()`` knows what was measured;
- ``read(path, **options) -> Contents``: open a file. Patterns are left in it (`patterns`);
- ``recognises(path) -> bool``: whether a file of the right container is of this format;
- ``truth(path) -> truth.Truth``, if its files may hold object, probe and positions alone;
- ``damaged(path) -> iterator of (first, last, whole)``, if its files have checksums: whether the
  patterns `first` to before `last` are as they were written; or ``verify(path)``, which raises
  ValueError if one is not.
- ``targets(path) -> tuple of Path``: the files that `write` makes, where they have other names.

A module that only reads or only writes has its half of them. Adding a format is a module and a line
in the table.
"""

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ptycho_fast import checks
from ptycho_fast.files import check_folder, check_targets

_HDF5 = b"\x89HDF\r\n\x1a\n"  # at 0 or after a user block of 512, 1024, ... bytes
_MAGIC = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x93NUMPY": "npy",
    _HDF5: "hdf5",
    b"\x89PNG": "image",
    b"II*\0": "image",
    b"MM\0*": "image",
    b"II+\0": "image",
    b"MM\0+": "image",
}
_BLOCKS = (512, 1024, 2048, 4096)
_KINDS = {
    "zip": "a zip archive",
    "npy": "a NumPy array",
    "hdf5": "an HDF5 file",
    "image": "a picture",
    "folder": "a folder",
    "text": "a text",
}


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of files.

    Attributes
    ----------
    name : str
        As ``--format`` takes it.
    title : str
        What it is, in a few words.
    module : str
        Where it is written and read, below ``ptycho_fast``; see `formats` what the module has.
    container : str
        What its files are by their first bytes: "zip", "npy", "hdf5", "image", "folder" or "text".
    suffixes : tuple of str
        Ends of names, with the dot, that mean this format when a file is written. The first format
        of the table with a suffix has it; others with the same need their name.
    writes, reads : bool
        What this version does.
    extra : str or None
        The extra that installs what the module imports.
    marker : str
        Of a folder: the file in it without which a folder that exists is never replaced.
    """

    name: str
    title: str
    module: str
    container: str
    suffixes: tuple[str, ...] = ()
    writes: bool = True
    reads: bool = True
    extra: str | None = None
    marker: str = ""

    @property
    def suffix(self) -> str:
        """End of the names of new files; that of the container where others have it first."""
        usual = {"zip": ".npz", "hdf5": ".h5", "text": ".toml"}
        return (*self.suffixes, usual.get(self.container, ""))[0]

    def check_target(self, path: str | os.PathLike[str], force: bool) -> Path:
        """`files.check_target` of all files that are made, or for a folder `files.check_folder`."""
        if self.container == "folder":
            return check_folder(path, force, self.marker)
        module = self.load()
        return check_targets(*getattr(module, "targets", _itself)(path), force=force)[0]

    def load(self) -> ModuleType:
        """The module.

        Raises
        ------
        RuntimeError
            A package that it needs is missing; the message names the extra.
        """
        try:
            return importlib.import_module(f"ptycho_fast.{self.module}")
        except ModuleNotFoundError as error:
            if self.extra is None or (error.name or "").startswith("ptycho_fast"):
                raise
            raise RuntimeError(
                f"{self.title}: {error.name} is not installed; pip install "
                f"'ptycho_fast[{self.extra}]' brings it"
            ) from None

    def options(self, given: Mapping[str, Any], *, reading: bool = False) -> dict[str, Any]:
        """The options that the module takes, of those given; None and False are not given.

        Raises
        ------
        TypeError
            It takes no option of some name; the message lists those it takes.
        """
        module = self.load()
        names = module.READ_OPTIONS if reading else module.OPTIONS
        for name, value in given.items():
            if name not in names and value is not None and value is not False:
                listed = ", ".join(sorted(names)) or "nothing"
                kind = "reading" if reading else "writing"
                raise TypeError(
                    checks.wrong(name, repr(value), f"of {kind} {self.name} only: {listed}")
                )
        return {name: value for name, value in given.items() if name in names and value is not None}


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format(
            name="pinn-amplitude",
            title="PtychoPINN NPZ, normalised amplitudes",
            module="formats.pinn_npz",
            container="zip",
            suffixes=(".npz",),
        ),
        Format(
            name="pinn-counts",
            title="PtychoPINN NPZ, photon counts",
            module="formats.pinn_counts",
            container="zip",
        ),
        Format(
            name="pinn-raw",
            title="PtychoPINN NPZ, photon counts for its conversion tools",
            module="formats.pinn_raw",
            container="zip",
        ),
        Format(
            name="hdf5",
            title="HDF5 of ptycho_fast",
            module="formats.hdf5",
            container="hdf5",
            suffixes=(".h5", ".hdf5"),
            extra="hdf5",
        ),
        Format(
            name="cxi",
            title="CXI",
            module="formats.cxi",
            container="hdf5",
            suffixes=(".cxi",),
            extra="hdf5",
        ),
        Format(
            name="ptychodus",
            title="a product of ptychodus, and its patterns",
            module="formats.ptychodus",
            container="hdf5",
            extra="hdf5",
        ),
        Format(
            name="ptychodus-npz",
            title="NPZ that ptychodus exports, and SLAC_NPZ",
            module="formats.ptychodus_npz",
            container="zip",
            writes=False,
        ),
        Format(
            name="zarr",
            title="Zarr version 3, sharded",
            module="formats.zarr",
            container="folder",
            suffixes=(".zarr",),
            marker="zarr.json",
            extra="cluster",
        ),
        Format(
            name="recipe",
            title="recipe: the scenario, whose patterns are made when they are asked for",
            module="data.recipe",
            container="text",
            suffixes=(".toml",),
        ),
        Format(
            name="ptychovit",
            title="the pair of pty-chi, PtychoViT and ptycho-fm",
            module="formats.ptychovit",
            container="hdf5",
            extra="hdf5",
        ),
        Format(
            name="ptycho-fm",
            title="packed shards of ptycho-fm",
            module="formats.ptycho_fm",
            container="folder",
            marker="pack_index.json",
            extra="hdf5",
        ),
        Format(
            name="ptyd",
            title="scan for ptypy",
            module="formats.ptyd",
            container="hdf5",
            suffixes=(".ptyd",),
            extra="hdf5",
        ),
        Format(
            name="ptyr",
            title="reconstruction by ptypy",
            module="formats.ptyr",
            container="hdf5",
            suffixes=(".ptyr",),
            writes=False,
            extra="hdf5",
        ),
        Format(
            name="ptylab",
            title="input of PtyLab",
            module="formats.ptylab",
            container="hdf5",
            extra="hdf5",
        ),
        Format(
            name="array",
            title="NumPy arrays without more",
            module="formats.arrays",
            container="npy",
            suffixes=(".npy",),
            writes=False,
        ),
        Format(
            name="image",
            title="pictures",
            module="formats.arrays",
            container="image",
            suffixes=(".png", ".tif", ".tiff"),
            writes=False,
        ),
    )
}
"""All formats, by name."""


def _itself(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    return (Path(path),)


def format_of(path: str | os.PathLike[str], name: str | None = None) -> Format:
    """The format to write: the one that is named, or the one that the suffix asks for.

    Parameters
    ----------
    path : path-like
        Name of a file, which need not exist. Case does not matter.
    name : str, optional
        A name of `FORMATS`.

    Returns
    -------
    Format
        A format that this version writes.

    Raises
    ------
    ValueError
        There is no such format; the message lists those that there are.

    Examples
    --------
    >>> format_of("scan.npz").name
    'pinn-amplitude'
    >>> format_of("scan.unknown")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: scan.unknown: suffix '.unknown' given, expected .npz...
    """
    writers = {one.name: one for one in FORMATS.values() if one.writes}
    if name is not None:
        return writers[checks.choice(name, "format", writers)]
    suffix = Path(path).suffix.lower()
    for one in writers.values():
        if suffix in one.suffixes:
            return one
    given = f"suffix {suffix!r}" if suffix else "a name without suffix"
    suffixes = dict.fromkeys(end for one in writers.values() for end in one.suffixes)
    raise ValueError(
        f"{path}: {given} given, expected {', '.join(suffixes)}, or a format by its name: "
        f"{', '.join(writers)}"
    )


def recognise(path: str | os.PathLike[str], name: str | None = None) -> Format:
    """The format to read a file by: the one that is named, or what the file's content says.

    Parameters
    ----------
    path : path-like
        A file or a folder.
    name : str, optional
        A name of `FORMATS`, for files that could be of several formats.

    Returns
    -------
    Format
        A format that this version reads. Where the content says nothing (an empty or damaged file),
        the suffix decides, so that the error is about the file.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is of none of the formats, or of none by that name; the message lists them.
    RuntimeError
        The same, and it may be of a format whose library is missing.
    """
    readers = {one.name: one for one in FORMATS.values() if one.reads}
    if name is not None:
        checks.choice(name, "format", readers)
    if not os.path.exists(path):
        expected = "a data set" if name is None else FORMATS[name].title
        file = Path(path)
        pair = file.with_name(f"{file.stem}_dp{file.suffix}")  # as --format ptychovit names it
        if pair.exists():
            expected = f"the name of a file that is there, such as {pair.name}"
        raise FileNotFoundError(f"{path}: no such file, expected {expected}")
    if name is not None:
        return readers[name]
    suffix = Path(path).suffix.lower()
    container = container_of(path)
    by_suffix = [one for one in readers.values() if suffix in one.suffixes]
    if container is None:
        if by_suffix:
            return by_suffix[0]
        raise _unknown(path, "is no file of a kind that is known", readers)
    candidates = [one for one in readers.values() if one.container == container]
    # Formats of this suffix are asked first.
    candidates.sort(key=lambda one: suffix not in one.suffixes)
    missing: RuntimeError | None = None
    for one in candidates:
        try:
            module = one.load()
        except RuntimeError as error:  # its library is not installed; the file may be another one's
            missing = missing or error
            continue
        if module.recognises(path):
            return one
    if missing is not None:
        raise missing
    raise _unknown(path, f"is {_KINDS[container]} of no kind that is known", readers)


def container_of(path: str | os.PathLike[str]) -> str | None:
    """What a file is by its first bytes; None where they say nothing.

    Returns
    -------
    {"zip", "npy", "hdf5", "image", "folder", "text"} or None
        "text" only for names that end in ``.toml``: a text may be anything.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    if os.path.isdir(path):
        return "folder"
    with open(path, "rb") as file:
        start = file.read(_BLOCKS[-1] + len(_HDF5))
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
    if any(start[at:].startswith(_HDF5) for at in _BLOCKS):
        return "hdf5"
    return "text" if Path(path).suffix.lower() == ".toml" else None


def _unknown(path: str | os.PathLike[str], what: str, readers: Mapping[str, Format]) -> ValueError:
    return ValueError(
        f"{path}: {what}, expected {', '.join(readers)}; format=... names one of them"
    )
