"""An object read from a file of any format."""

from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast.checks import wrong
from ptycho_fast.formats.truth import read_plane
from ptycho_fast.keys import Key
from ptycho_fast.kinds import FileFormat, ReadOptions, StoredSha256, kind, same_as_recorded


@kind("file")
def from_file(
    *,
    file: Annotated[
        str,
        Key(
            "path of an .npz with 'objectGuess', of an .npy, or of any file of a data set or a "
            "reconstruction that is read",
            synonyms=("path", "filename"),
        ),
    ],
    format: FileFormat = None,
    read: ReadOptions = None,
    sha256: StoredSha256 = None,
) -> npt.NDArray[np.complex64]:
    """Read from a file: an .npz or .npy, or any data set or reconstruction.

    Parameters
    ----------
    file : str or path-like
        The file. The content decides what it is, not the name. All slices of a thick object are
        taken.
    format : str, optional
        Name of the format, for files that could be of several; see `formats.FORMATS`.
    read : tuple of str, optional
        What the format's reader takes besides, each as ``OPTION=VALUE``.
    sha256 : str, optional
        What the object has to be, see `kinds.fingerprint`; another one is an error.

    Returns
    -------
    (H, W) or (L, H, W) complex64
        The object, of one slice or several.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ScenarioError
        The object in the file is another one than that of `sha256`.
    ValueError
        The file holds no finite array of numbers of that shape.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "object.npy")
    >>> np.save(path, np.ones((30, 40)))
    >>> from_file(file=path).shape
    (30, 40)
    """
    obj, name = read_plane(file, "object", format, read)
    if obj.ndim not in (2, 3):
        raise ValueError(wrong(name, f"shape {obj.shape}", "(H, W) or (L, H, W)"))
    same_as_recorded(obj, sha256, "object", file)
    return obj
