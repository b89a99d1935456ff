"""A probe read from a NumPy file."""

import os
from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.numpy_files import read_array, to_complex64
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind

from . import check_shape


@kind("file")
def from_file(
    N: int,
    *,
    file: Annotated[
        str, Key("path of an .npz with 'probeGuess', or of an .npy", synonyms=("path", "filename"))
    ],
) -> npt.NDArray[np.complex64]:
    """Read from a file: ``probeGuess`` of an .npz, or an .npy.

    Parameters
    ----------
    N : int
        Side wanted, pixels.
    file : str or path-like
        The file. The content decides between .npz and .npy, not the name.

    Returns
    -------
    (N, N) or (M, N, N) complex64
        The probe as stored, not normalised.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file holds no finite array of numbers of that shape.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "probe.npy")
    >>> np.save(path, np.ones((2, 64, 64)))
    >>> from_file(64, file=path).shape
    (2, 64, 64)
    """
    side = checks.count(N, "N")
    name = f"{os.fspath(file)}: probeGuess"
    probe = to_complex64(read_array(file, "probeGuess"), name)
    check_shape(probe, name)
    if probe.shape[-1] != side:
        expected = f"({side}, {side}) or (M, {side}, {side}) because N = {side}"
        raise ValueError(checks.wrong(name, f"shape {probe.shape}", expected))
    return probe
