"""Packed shards of ptycho-fm: a folder with many objects, each with its patterns, in a few files.

=======================  =========================================================================
``packed_00000.hdf5``    the first shard; o objects in it, each padded with zeros to the largest
``  n_dp``               (o,) int64, patterns of each object
``  dp``                 (o, n, N, N) float32, counts or intensities
``  object``             (o, 1, H, W) complex64, H and W even
``  probe``              (o, 1, 10, N, N) complex64, in photons, divided by N; dark modes at the end
``  probe_position_x_m`` (o, n) float64, metres from the middle of the padded object; and ``_y_m``
``  pixel_height_m``     (o,) float64, side of an object pixel
``  normalization``      (o,) float64, largest value of the object's patterns
``  object_key``         (o,) UTF-8, names of the objects
``pack_index.json``      names of the objects in each shard
``normalization.json``   the largest value by name of the object
=======================  =========================================================================

ptycho-fm itself keeps the largest values in a pickle; docs/formats.md has two lines that make it
from the JSON. Its loader counts positions as `frames.FRAMES["ptychi_head"]`.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.files import folder_aside
from ptycho_fast.formats import fields, ptychovit, rest, stored_counts
from ptycho_fast.formats.compression import filters
from ptycho_fast.formats.contents import Contents, projected
from ptycho_fast.formats.hdf5_file import Hdf5File, Hdf5Patterns, create, open_file, write_array
from ptycho_fast.formats.numpy_files import Header
from ptycho_fast.formats.work import Work

NAME = "ptycho-fm"
DOMAINS = ptychovit.DOMAINS
OPTIONS = frozenset({"compression", "key"})
READ_OPTIONS = frozenset({"domain", "key"})
INDEX = "pack_index.json"
"""The file by which a folder is known."""

_NORMALISATION = "normalization.json"
_ORIGIN = "ptychi_head"
_MODES = 10  # of the probe, that a shard has room for
_CHUNK_BYTES = 2**22  # of patterns that are compressed as one
_LONGEST_INDEX = 2**28  # bytes

Named = tuple[str, Contents]
"""Name of an object, and its data set."""


# --- writing ---


def check(contents: Contents, *, compression: str | None = None, key: str | None = None) -> None:
    """Raise for what `write` would refuse.

    Parameters
    ----------
    contents : Contents
        The data set; of its patterns only shape and dtype are looked at.
    compression, key
        As for `write`.

    Raises
    ------
    ValueError
        An option is wrong, the object has several slices, or the probe more than 10 modes.
    ScenarioError
        The side of an object pixel is not known.
    """
    filters(compression or "none")
    if key is not None:
        _check_key(key)
    fields.check_domain(contents, DOMAINS)
    fields.length(contents, "object_pixel_m", "a shard of ptycho-fm")
    ptychovit.one_slice(contents, "a shard of ptycho-fm")
    if len(contents.probe) > _MODES:
        given = f"{len(contents.probe)} modes"
        raise ValueError(checks.wrong("probe", given, f"at most {_MODES}, the room in a shard"))


def _check_key(key: str) -> str:
    if not key or not key.isprintable():
        raise ValueError(checks.wrong("key", repr(key), "a name of the object"))
    return key


def file_size(contents: Contents, **_: Any) -> int:
    """Bytes of the folder without compression, about."""
    more = (_MODES - len(contents.probe)) * contents.probe[0].size
    return ptychovit.file_size(contents) + 8 * more


def write(
    path: str | os.PathLike[str],
    contents: Contents,
    work: Work,
    *,
    compression: str | None = None,
    key: str | None = None,
) -> list[Path]:
    """Write a folder with one object.

    Parameters
    ----------
    path : path-like
        The folder to make.
    contents : Contents
        The data, counts or intensities.
    work : Work
        How to write.
    compression : str, optional
        One of `compression.COMPRESSIONS`; "none" by default, since the loader of ptycho-fm reads
        patterns one by one.
    key : str, optional
        Name of the object; by default that of the folder.

    Returns
    -------
    list of Path
        The files of the folder.

    Raises
    ------
    ValueError, ScenarioError
        As `check`.
    OSError
        The folder exists, or cannot be written; nothing is left behind.
    """
    name = Path(path).name if key is None else key
    return write_objects(path, [(name, contents)], work, compression=compression)


def write_objects(
    path: str | os.PathLike[str],
    objects: Iterable[Named],
    work: Work,
    *,
    compression: str | None = None,
    per_shard: int = 16,
) -> list[Path]:
    """Write a folder with many objects, such as the experiments of a campaign.

    Parameters
    ----------
    path : path-like
        The folder to make.
    objects : iterable of (str, Contents)
        Names, each once, and data sets; those of a shard are held in memory, without their
        patterns if these are lazy. All have one domain and patterns of one side.
    work : Work
        How to write.
    compression : str, optional
        As for `write`.
    per_shard : int
        Objects in a shard; the last one may have fewer.

    Returns
    -------
    list of Path
        The files of the folder: shards, index, normalisation.

    Raises
    ------
    ValueError, ScenarioError
        As `check`; there is no object, or a name comes twice.
    OSError
        The folder exists, or cannot be written; nothing is left behind.
    """
    checks.count(per_shard, "per_shard")
    index: dict[str, list[str]] = {}
    largest: dict[str, float] = {}
    with folder_aside(path, force=work.force, marker=INDEX) as folder:
        for shard, named in enumerate(_runs(objects, per_shard)):
            for key, contents in named:
                check(contents, compression=compression, key=key)
                if key in largest:
                    raise ValueError(checks.wrong("objects", f"{key!r} twice", "each name once"))
                largest[key] = 0.0
            file = f"packed_{shard:05d}.hdf5"
            index[file] = [key for key, _ in named]
            with create(folder / file, Work(force=True)) as shard_file:
                maxima = _write_shard(shard_file, named, work, compression)
            largest |= zip(index[file], maxima, strict=True)
        if not index:
            raise ValueError(checks.wrong("objects", "none", "at least one"))
        for name, table in ((INDEX, index), (_NORMALISATION, largest)):
            text = json.dumps(table, indent=2, ensure_ascii=False)
            (folder / name).write_text(f"{text}\n", encoding="utf-8")
    return [Path(path) / name for name in (*index, INDEX, _NORMALISATION)]


def _runs(objects: Iterable[Named], n: int) -> Iterator[list[Named]]:
    run: list[Named] = []
    for named in objects:
        run.append(named)
        if len(run) == n:
            yield run
            run = []
    if run:
        yield run


def _write_shard(
    file: Any, objects: list[Named], work: Work, compression: str | None
) -> list[float]:
    """Write some objects; the largest value of each one's patterns."""
    all_contents = [contents for _, contents in objects]
    counts = [len(contents.positions) for contents in all_contents]
    N = all_contents[0].probe.shape[-1]
    for key, contents in objects:
        if contents.probe.shape[-1] != N or contents.domain != all_contents[0].domain:
            given = f"patterns of side {contents.probe.shape[-1]}, {contents.domain}, in {key!r}"
            expected = f"{N}, {all_contents[0].domain}, as those of {objects[0][0]!r}"
            raise ValueError(checks.wrong("objects", given, expected))
    wholes = [projected(contents.object) for contents in all_contents]
    least = max(len(one) for one in wholes), max(one.shape[1] for one in wholes)
    padded = np.stack([ptychovit.even(one, least) for one in wholes])
    probe = np.zeros((len(objects), 1, _MODES, N, N), np.complex64)
    metres = np.zeros((2, len(objects), max(counts)))
    pixels = [fields.length(one, "object_pixel_m", "a shard of ptycho-fm") for one in all_contents]
    for row, contents in enumerate(all_contents):
        probe[row, :, : len(contents.probe)] = ptychovit.stored_probe(contents)
        metres[:, row, : counts[row]] = ptychovit.to_metres(
            contents.positions, padded.shape[1:], N, pixels[row], _ORIGIN
        ).T

    file.attrs["max_probe_modes"] = _MODES
    shape = (len(objects), max(counts), N, N)
    n = max(1, min(max(counts), _CHUNK_BYTES // (4 * N * N)))
    stored = file.create_dataset(
        "dp", shape, "<f4", chunks=(1, n, N, N), fillvalue=0.0, **filters(compression or "none")
    )
    maxima = []
    for row, (key, contents) in enumerate(objects):
        patterns, rounding = stored_counts.as_float32(contents.diffraction)
        maximum = 0.0
        for block in work.blocks(patterns, n, name=f"dp/{row}"):
            stored[row, block.first : block.last] = block.data
            maximum = max(maximum, float(np.max(block.data)))
        maxima.append(maximum)
        rest.write(
            file.create_group(_own(row)),
            contents.completed(),
            format=NAME,
            held=("object", "probe"),
            corrections=rounding.corrections(counts[row]),
            key=key,
            origin=_ORIGIN,
            object_shape=list(wholes[row].shape),
            probe_modes=len(contents.probe),
        )
    write_array(file, "object", padded[:, None])
    write_array(file, "probe", probe)
    for name, values in zip(ptychovit.POSITIONS, metres, strict=True):
        write_array(file, name, values)
    write_array(file, "n_dp", np.array(counts, np.int64))
    write_array(file, "pixel_height_m", np.array(pixels))
    write_array(file, "normalization", np.array(maxima))
    keys = [key.encode() for key, _ in objects]
    file["object_key"] = np.array(keys, _utf8(max(map(len, keys))))
    return maxima


def _utf8(length: int) -> Any:
    import h5py

    return h5py.string_dtype("utf-8", length)


def _own(row: int) -> str:
    """Group of what the layout has no place for."""
    return f"objects/{row:05d}"


# --- reading ---


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether a folder has the index of packed shards."""
    return (Path(path) / INDEX).is_file()


def keys(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Names of the objects in each shard of a folder, in order.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no index, or it is damaged.
    """
    file = Path(path) / INDEX
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file, expected a folder of packed shards")
    if file.stat().st_size > _LONGEST_INDEX:
        raise ValueError(checks.wrong(str(file), f"{file.stat().st_size} bytes", "an index"))
    try:
        index = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: no JSON ({str(error) or 'nested too deeply'})") from None
    sound = isinstance(index, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in index.values()
    )
    if not sound or not any(index.values()):
        raise ValueError(f"{file}: another table, expected lists of names by shard")
    for shard in index:
        if Path(shard).name != shard:
            raise ValueError(checks.wrong(str(file), repr(shard), "a file in the folder"))
    return index


def read(
    path: str | os.PathLike[str], *, domain: str | None = None, key: str | None = None
) -> Contents:
    """Open an object of a folder of packed shards.

    Parameters
    ----------
    path : path-like
        The folder.
    domain : {"count_intensity", "normalized_intensity"}, optional
        What ``dp`` means, for files that do not say.
    key : str, optional
        Name of the object; a folder with one needs none.

    Returns
    -------
    Contents
        Patterns are left in the file.

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing, damaged, or holds what cannot be right; there is no such object.
    """
    index = keys(path)
    places = {
        name: (shard, row) for shard, names in index.items() for row, name in enumerate(names)
    }
    if key is None and len(places) == 1:
        key = next(iter(places))
    if key is None or key not in places:
        listed = ", ".join(list(places)[:10]) + (", ..." if len(places) > 10 else "")
        given = "none" if key is None else repr(key)
        raise ValueError(
            f"{path}: key: {given} given, expected one of its {len(places)} objects: {listed}"
        )
    shard, row = places[key]
    with open_file(Path(path) / shard) as file:
        return _read_object(file, row, domain)


def _read_object(file: Hdf5File, row: int, domain: str | None) -> Contents:
    header = _header(file, "dp", "iuf", "(objects, n, N, N)", 4)
    o, most, N, width = header.shape
    if width != N or row >= o:
        expected = f"at least {row + 1} objects, patterns of equal sides"
        raise ValueError(checks.wrong(f"{file.path}: dp", f"shape {header.shape}", expected))
    B = int(_row(file, "n_dp", "iu", (o,), row))
    if not 1 <= B <= most:
        raise ValueError(checks.wrong(f"{file.path}: n_dp", B, f"1 to {most}"))
    axes = [_row(file, name, "f", (o, most), row)[:B] for name in ptychovit.POSITIONS]
    metres = np.stack(axes, axis=1)
    _, L, *sides = _header(file, "object", "c", "(objects, 1, H, W)", 4).shape
    obj = _row(file, "object", "c", (o, L, *sides), row)
    modes = _header(file, "probe", "c", "(objects, 1, M, N, N)", 5).shape[2]
    probe = _row(file, "probe", "c", (o, 1, modes, N, N), row)[0]
    where = f"{file.path}: "
    pixel = fields.positive(_row(file, "pixel_height_m", "f", (o,), row), f"{where}pixel_height_m")
    more = rest.read(file, B, N, within=f"{_own(row)}/")
    used = more.metadata.get("probe_modes") or _bright(probe)
    found = ptychovit.parameters_of(
        more,
        fields.finite(obj, f"{where}object", np.complex64),
        fields.finite(probe[:used], f"{where}probe", np.complex64),
        fields.finite(metres, f"{where}positions", np.float64),
        pixel,
        _ORIGIN,
    )
    meaning = fields.domain_of(file.path, more.domain, domain, DOMAINS)
    patterns = _RowPatterns(file.path, "dp", header, row, B)
    checked = more.checked(patterns, f"{where}dp", meaning)
    return ptychovit.contents_of(found, meaning, checked)


def _bright(probe: npt.NDArray[np.complex64]) -> int:
    """Modes up to the last one that is not dark."""
    lit = np.flatnonzero(np.abs(probe).max(axis=(1, 2)))
    return int(lit[-1]) + 1 if len(lit) else 1


def _header(file: Hdf5File, key: str, kinds: str, expected: str, axes: int) -> Header:
    fields.shape(file, key, kinds, expected, lambda s: len(s) == axes)
    return file.header(key)


def _row(file: Hdf5File, key: str, kinds: str, shape: tuple[int, ...], row: int) -> Any:
    """What belongs to one object."""
    fields.shape(file, key, kinds, str(shape), lambda s: s == shape)
    return file.read(key, row)


class _RowPatterns(Hdf5Patterns):
    """Patterns of one object of a shard."""

    def __init__(self, path: Path, key: str, header: Header, row: int, count: int) -> None:
        super().__init__(path, key, header)
        self.shape, self._row = (count, *header.shape[2:]), row

    def _part(self, dataset: Any, first: int, last: int) -> Any:
        return dataset[self._row, first:last]
