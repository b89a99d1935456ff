"""Read two columns of numbers from a text, NumPy or HDF5 file."""

import csv
import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.errors import ScenarioError

from .numpy_files import ArrayFile, open_arrays

_HDF5 = b"\x89HDF\r\n\x1a\n"  # at 0, or after a user block of 512, 1024, ... bytes
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_COMMENTS = ("#", "%", "//")
_DELIMITERS = ("\t", ";", ",")  # a comma last: it may be a decimal one
_NAMES = (  # pairs that are looked for if no columns are named, in lower case
    ("x", "y"),
    ("xcoords", "ycoords"),
    ("x_pixel", "y_pixel"),
    ("x_m", "y_m"),
    ("x_um", "y_um"),
    ("x_nm", "y_nm"),
    ("pos_x", "pos_y"),
    ("position_x_m", "position_y_m"),
)
_ARRAYS = ("positions", "coords", "coordinates", "xy", "translation")

Columns = tuple[str | None, str | None]


class TwoColumns(NamedTuple):
    """What was read.

    Attributes
    ----------
    values : (B, 2) float64
        The columns.
    names : tuple of str
        What the file calls them; empty where it does not name them.
    """

    values: npt.NDArray[np.float64]
    names: tuple[str, ...] = ()


def read_columns(
    path: str | os.PathLike[str],
    columns: Columns = (None, None),
    *,
    array: str | None = None,
    keys: tuple[str, str, str] = ("x", "y", "array"),
) -> TwoColumns:
    r"""Read two columns of numbers; the content decides what the file is, not its name.

    Text has one row per line, with commas, semicolons, tabs or blanks between the fields. Lines
    above the first row of numbers are a header, and the last one may name the columns. Lines that
    begin with ``#``, ``%`` or ``//`` are comments; the last one above the rows may name the columns
    too. In NumPy and HDF5 files the columns are arrays (B,), or columns of one array (B, C).

    Parameters
    ----------
    path : path-like
        The file.
    columns : (str or None, str or None)
        Names of the columns, or their numbers from 0 as text. Without them: columns called x and y,
        xcoords and ycoords or the like, and else the first two; but more than two columns whose
        names are all others are an error.
    array : str, optional
        Name of an array (B, C), in a NumPy or HDF5 file.
    keys : (str, str, str)
        What messages call the two columns and the array.

    Returns
    -------
    TwoColumns
        The columns, at least one row, and what the file calls them.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is a folder, no such file, damaged, has no such columns, no rows, or a field that is no
        finite number; the message says where.
    RuntimeError
        It is an HDF5 file and h5py is missing.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scan.csv"
    >>> _ = path.write_text("time, x, y\n0.0, 10, 20\n0.1, 12, 20\n")
    >>> read_columns(path).values.tolist()
    [[10.0, 20.0], [12.0, 20.0]]
    >>> read_columns(path, ("0", "y")).values.tolist()
    [[0.0, 20.0], [0.1, 20.0]]
    """
    file = Path(path)
    if file.is_dir():
        raise ValueError(f"{file}: is a folder, expected a text, .npz, .npy or HDF5 file")
    try:
        with file.open("rb") as stream:
            start = stream.read(4096 + len(_HDF5))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{file}: no such file, expected a text, .npz, .npy or HDF5 file"
        ) from None
    if any(start[at:].startswith(_HDF5) for at in (0, 512, 1024, 2048, 4096)):
        with _hdf5(file) as found:
            xy, names = _from_arrays(found, columns, array, keys)
    elif _BINARY.search(start):
        with open_arrays(file) as archive:
            xy, names = _from_arrays(_Archive(archive), columns, array, keys)
    else:
        if array is not None:
            raise _wrong(
                keys[2], array, f"nothing, since {file} is a text file, which has no names"
            )
        xy, names = _Text(file).columns(columns, keys)
    if len(xy) == 0:
        raise ValueError(f"{file}: no rows of numbers, expected at least one")
    bad = ~np.isfinite(xy)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"{file}: {xy[row, column]} in row {row} of {keys[column]} (from 0), expected finite "
            "numbers; remove such rows"
        )
    return TwoColumns(xy, names)


def _wrong(key: str, given: str | None, expected: str) -> ScenarioError:
    shown = "nothing" if given is None else repr(given)
    return ScenarioError(checks.wrong(key, shown, expected), key=key)


# --- text ---


class _Text:
    """A text file: its header, and its rows of fields."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{file}: byte {error.start} is no UTF-8, expected text in UTF-8"
            ) from None
        lines = [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1)]
        comments = [(i, line) for i, line in lines if line.startswith(_COMMENTS)]
        lines = [(i, line) for i, line in lines if line and not line.startswith(_COMMENTS)]
        if not lines:
            raise ValueError(f"{file}: no rows of numbers, expected at least one")
        first = next((n for n, (_, line) in enumerate(lines) if _numbers(line) >= 2), None)
        if first is None:
            number, line = lines[0]
            raise ValueError(
                f"{file}: no line has two numbers (line {number} is {_short(line)}), expected rows "
                "of x and y with a comma, semicolon, tab or blanks between, and decimal points"
            )
        self._delimiter = _delimiter(lines[first][1])
        self._rows = [(i, self._split(line)) for i, line in lines[first:]]
        self._width = len(self._rows[0][1])
        header = [(i, self._split(line)) for i, line in lines[:first]]
        for i, fields in header:
            if len(fields) == self._width and any(_is_number(field) for field in fields):
                raise ValueError(
                    f"{file}: line {i} is {_short(', '.join(fields))}, expected numbers, or a "
                    "header without any"
                )
        above = [self._split(line.lstrip("#%/ ")) for i, line in comments if i < lines[first][0]]
        named = [fields for _, fields in header] or above[-1:]
        self._names = named[-1] if named and len(named[-1]) == self._width else []

    def columns(self, columns: Columns, keys: tuple[str, str, str]) -> TwoColumns:
        if self._width < 2:
            raise ValueError(f"{self._file}: one column, expected two at least, x and y")
        x, y = _chosen(self._names, self._width, columns, keys, str(self._file))
        rows = [self._row(i, fields, (x, y)) for i, fields in self._rows]
        names = tuple(self._names[c] for c in (x, y)) if self._names else ()
        return TwoColumns(np.array(rows, dtype=np.float64), names)

    def _row(self, line: int, fields: list[str], wanted: tuple[int, int]) -> tuple[float, float]:
        if len(fields) != self._width:
            raise ValueError(
                f"{self._file}: line {line} has {len(fields)} fields, expected {self._width} as in "
                "the first row"
            )
        try:
            return float(fields[wanted[0]]), float(fields[wanted[1]])
        except ValueError:
            bad = next(fields[c] for c in wanted if not _is_number(fields[c]))
            raise ValueError(
                f"{self._file}: line {line} has {_short(bad)}, expected a number (with a decimal "
                "point) in each row"
            ) from None

    def _split(self, line: str) -> list[str]:
        return _split(line, self._delimiter)


def _split(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    fields = [field.strip() for field in fields]
    return fields[:-1] if len(fields) > 2 and not fields[-1] else fields  # a delimiter at the end


def _delimiter(line: str) -> str | None:
    return next((d for d in _DELIMITERS if d in line), None)


def _numbers(line: str) -> int:
    return sum(map(_is_number, _split(line, _delimiter(line))))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _chosen(
    names: list[str], width: int, columns: Columns, keys: tuple[str, str, str], where: str
) -> tuple[int, int]:
    """Numbers of the two columns."""
    small = [name.lower() for name in names]
    pairs = [(small.index(x), small.index(y)) for x, y in _NAMES if x in small and y in small]
    found = list(pairs[0]) if pairs else [0, 1]
    if names and not pairs and width > 2 and columns == (None, None):
        raise _wrong(
            keys[0],
            None,
            f"one of {', '.join(names)}, or a number from 0 to {width - 1}, for the columns of "
            f"{where}, since none of them has a usual name such as x",
        )
    for i, wanted in enumerate(columns):
        if wanted is None:
            continue
        if wanted in names:
            found[i] = names.index(wanted)
        elif wanted.isdecimal() and int(wanted) < width:
            found[i] = int(wanted)
        else:
            numbers = f"a number from 0 to {width - 1}"
            listed = f"one of {', '.join(names)}, or {numbers}" if names else numbers
            raise _wrong(keys[i], wanted, f"{listed}, for the columns of {where}")
    if found[0] == found[1]:
        i = 0 if columns[1] is None else 1
        raise _wrong(keys[i], columns[i], f"another column than that of {'yx'[i]}, in {where}")
    return found[0], found[1]


# --- files of named arrays ---


class _Archive:
    """Names and arrays of a NumPy file."""

    def __init__(self, file: ArrayFile) -> None:
        self.path = file.path
        self._file = file
        self.names = [name for name in file.keys if name]

    def shape(self, name: str) -> tuple[int, ...]:
        return self._file.header(name).shape

    def read(self, name: str) -> npt.NDArray[Any]:
        return self._file.read(name)


class _Hdf5:
    """Names and arrays of an HDF5 file."""

    def __init__(self, path: Path, file: Any) -> None:
        import h5py

        self.path = path
        self._file = file
        self.names: list[str] = []
        file.visititems(
            lambda name, item: self.names.append(name) if isinstance(item, h5py.Dataset) else None
        )

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._file[name].shape or ())

    def read(self, name: str) -> npt.NDArray[Any]:
        return np.asarray(self._file[name][()])


@contextmanager
def _hdf5(path: Path) -> Iterator[_Hdf5]:
    if importlib.util.find_spec("h5py") is None:
        raise RuntimeError(
            f"{path}: is an HDF5 file, and h5py is not installed; pip install 'ptycho_fast[hdf5]' "
            "brings it"
        )
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield _Hdf5(path, file)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error}), expected a whole HDF5 file") from error


def _from_arrays(
    file: _Archive | _Hdf5, columns: Columns, array: str | None, keys: tuple[str, str, str]
) -> TwoColumns:
    array = array.strip("/") if array is not None else None
    wanted = [None if c is None else c.strip("/") for c in columns]
    if array is None and any(name in file.names for name in wanted):
        for i, name in enumerate(wanted):
            if name not in file.names:
                expected = f"one of {', '.join(file.names)}, the arrays of {file.path}"
                raise _wrong(keys[i], columns[i], expected)
        return _pair(file, str(wanted[0]), str(wanted[1]))
    if array is None and wanted == [None, None]:
        small = {name.lower(): name for name in file.names}
        for x, y in _NAMES:
            if x in small and y in small:
                return _pair(file, small[x], small[y])
    name = _table(file, array, columns, keys)
    values = file.read(name)
    where = f"{file.path}: {name}" if name else str(file.path)
    if values.dtype.names:
        names = list(values.dtype.names)
        pair = _chosen(names, len(names), columns, keys, where)
        chosen = tuple(names[c] for c in pair)
        return TwoColumns(np.stack([_real(values[c], where) for c in chosen], axis=1), chosen)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(
            checks.wrong(where, f"shape {values.shape}", "(B, C), a row for each position")
        )
    pair = _chosen([], values.shape[1], columns, keys, where)
    return TwoColumns(np.stack([_real(values[:, c], where) for c in pair], axis=1))


def _table(
    file: _Archive | _Hdf5, array: str | None, columns: Columns, keys: tuple[str, str, str]
) -> str:
    """Name of the array whose columns are meant."""
    if not file.names:  # an .npy file has one array, without a name
        if array is not None:
            raise _wrong(keys[2], array, f"nothing, since {file.path} is one array without a name")
        return ""
    if array is not None:
        if array in file.names:
            return array
        raise _wrong(keys[2], array, f"one of {', '.join(file.names)}, the arrays of {file.path}")
    tables = [name for name in file.names if name.rpartition("/")[2].lower() in _ARRAYS]
    if not tables and len(file.names) == 1:
        tables = file.names
    if len(tables) == 1:
        return tables[0]
    which = next((i for i, c in enumerate(columns) if c is not None), 0)
    raise _wrong(
        keys[which],
        columns[which],
        f"one of {', '.join(file.names)}, the arrays of {file.path}; or name with {keys[2]} the "
        "one whose columns are x and y",
    )


def _pair(file: _Archive | _Hdf5, x: str, y: str) -> TwoColumns:
    pair = [_real(file.read(name), f"{file.path}: {name}") for name in (x, y)]
    flat = [
        values.reshape(-1) if values.size == max(values.shape, default=1) else values
        for values in pair
    ]
    if flat[0].ndim != 1 or flat[0].shape != flat[1].shape:
        raise ValueError(
            f"{file.path}: {x} of shape {pair[0].shape} and {y} of shape {pair[1].shape} given, "
            "expected two arrays (B,) of one length"
        )
    return TwoColumns(np.stack(flat, axis=1), (x, y))


def _real(values: npt.NDArray[Any], where: str) -> npt.NDArray[np.float64]:
    if values.dtype.kind not in "iuf":
        raise ValueError(checks.wrong(where, checks.described(values), "real numbers"))
    return values.astype(np.float64)
