"""An object read from a NumPy file."""

import os
from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast.checks import wrong
from ptycho_fast.formats.numpy_files import read_array, to_complex64
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind


@kind("file")
def from_file(
    *,
    file: Annotated[
        str,
        Key("path of an .npz with 'objectGuess', or of an .npy", synonyms=("path", "filename")),
    ],
) -> npt.NDArray[np.complex64]:
    """Read from a file: ``objectGuess`` of an .npz, or an .npy.

    Parameters
    ----------
    file : str or path-like
        The file. The content decides between .npz and .npy, not the name.

    Returns
    -------
    (H, W) or (L, H, W) complex64
        The object, of one slice or several.

    Raises
    ------
    FileNotFoundError
        There is no such file.
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
    name = f"{os.fspath(file)}: objectGuess"
    obj = to_complex64(read_array(file, "objectGuess"), name)
    if obj.ndim not in (2, 3):
        raise ValueError(wrong(name, f"shape {obj.shape}", "(H, W) or (L, H, W)"))
    return obj
