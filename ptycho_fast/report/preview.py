"""Pictures of a data set."""

import os
from pathlib import Path

from ptycho_fast.data.dataset import Dataset
from ptycho_fast.drawing.overview import require_matplotlib
from ptycho_fast.files import written_aside

_WITHOUT_DATE: dict[str, dict[str, str | None]] = {  # the same data give the same bytes
    "png": {"Software": "ptycho_fast"},
    "pdf": {"Creator": "ptycho_fast", "CreationDate": None},
    "svg": {"Creator": "ptycho_fast", "Date": None},
}


def picture_format(path: str | os.PathLike[str]) -> str:
    """The format that the suffix of a picture's name asks for: "png", "pdf" or "svg".

    Raises
    ------
    ValueError
        It is another suffix, or there is none.

    Examples
    --------
    >>> picture_format("scan.PDF")
    'pdf'
    >>> picture_format("scan.gif")
    Traceback (most recent call last):
    ValueError: scan.gif: suffix '.gif' given, expected .png, .pdf or .svg
    """
    suffix = Path(path).suffix.lower()
    if suffix.removeprefix(".") not in _WITHOUT_DATE:
        given = f"suffix {suffix!r}" if suffix else "a name without suffix"
        raise ValueError(f"{path}: {given} given, expected .png, .pdf or .svg")
    return suffix.removeprefix(".")


def preview(dataset: Dataset, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Draw object, probe, scan, and up to four patterns on a log scale.

    Many positions are drawn as their density. Of several probe modes the amplitude is that of the
    sum of intensities, the phase that of the first.

    Parameters
    ----------
    dataset : Dataset
        The data; one that was read from a file of another program will do.
    path : path-like
        File to make; the suffix, ``.png``, ``.pdf`` or ``.svg``, decides the format.
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    ValueError
        Another suffix.
    RuntimeError
        Matplotlib is missing; the message names the extra.
    OSError
        The file exists or cannot be written.
    """
    kind = picture_format(path)
    require_matplotlib()
    import matplotlib as mpl

    figure = dataset.plot()
    with written_aside(path, force=force) as file, mpl.rc_context({"svg.hashsalt": "ptycho_fast"}):
        figure.savefig(file, format=kind, dpi=80, metadata=_WITHOUT_DATE[kind])
