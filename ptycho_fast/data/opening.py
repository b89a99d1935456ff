"""Open a data set of any format: what is needed of it is read when it is asked for."""

import os
from collections.abc import Sequence
from typing import Any

from ptycho_fast.data.dataset import Dataset, opened


def open(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    domain: str | None = None,
    position_offset: float | Sequence[float] = 0.0,
    **options: Any,
) -> Dataset:
    """Open a data set; patterns stay where they are until they are asked for.

    Parameters
    ----------
    path : path-like
        The file; what it holds decides what kind of file it is, not its name.
    format : str, optional
        A name of `formats.FORMATS`, for files that could be of several formats.
    domain : {"normalized_amplitude", "count_intensity"}, optional
        What the patterns mean, for files that do not say.
    position_offset : float or (dx, dy)
        Added to x and y, pixels; 0.5 for NPZ files that ptychodus 1.7 exported.
    **options
        As the format's ``read`` takes them.

    Returns
    -------
    Dataset
        With the scenario and the provenance that the file holds. It is a context manager; `close`
        lets go of the file.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError, TypeError
        It is of no format that is known, is damaged, lacks what it needs, or does not take such an
        option; the message names the file and the key.
    RuntimeError
        A package that reads the format is missing; the message says how to install it.
    ScenarioError
        The scenario in the file is wrong or contradicts the arrays. The message names the file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import ptycho_fast
    >>> path = Path(tempfile.mkdtemp()) / "scan.npz"
    >>> _ = ptycho_fast.simulate("gs2_ideal", backend="reference").save(path)
    >>> with ptycho_fast.open(path) as data:
    ...     print(len(data), data.amplitude(500, 504).shape, data.counts[7].dtype)
    1024 (4, 64, 64) uint32
    """
    return opened(path, format, domain, position_offset, options)
