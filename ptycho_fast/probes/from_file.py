"""A probe read from a file of any format."""

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.numpy_files import to_complex64
from ptycho_fast.formats.truth import read_plane
from ptycho_fast.keys import Key
from ptycho_fast.kinds import FileFormat, ReadOptions, StoredSha256, kind, same_as_recorded

from . import check_shape


@kind("file")
def from_file(
    N: int,
    *,
    file: Annotated[
        str,
        Key(
            "path of an .npz with 'probeGuess', of an .npy, or of any file of a data set or a "
            "reconstruction that is read",
            synonyms=("path", "filename"),
        ),
    ],
    resize: Annotated[
        Literal["pad_or_crop", "resample"] | None,
        Key(
            "how planes of another side than N are changed: zeros around them or their middle "
            "alone, or other pixels over the same field; by default they are an error"
        ),
    ] = None,
    format: FileFormat = None,
    read: ReadOptions = None,
    sha256: StoredSha256 = None,
) -> npt.NDArray[np.complex64]:
    """Read from a file: an .npz or .npy, or any data set or reconstruction; all modes.

    Parameters
    ----------
    N : int
        Side wanted, pixels.
    file : str or path-like
        The file. The content decides what it is, not the name. All modes are taken.
    resize : {"pad_or_crop", "resample"}, optional
        How planes of another side are changed, see `resized`; by default they are an error.
    format : str, optional
        Name of the format, for files that could be of several; see `formats.FORMATS`.
    read : tuple of str, optional
        What the format's reader takes besides, each as ``OPTION=VALUE``.
    sha256 : str, optional
        What the probe has to be, see `kinds.fingerprint`; another one is an error.

    Returns
    -------
    (N, N) or (M, N, N) complex64
        The probe as stored, not normalised.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ScenarioError
        The probe in the file is another one than that of `sha256`.
    ValueError
        The file holds no finite array of numbers of that shape.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "probe.npy")
    >>> np.save(path, np.ones((2, 64, 64)))
    >>> from_file(64, file=path).shape, from_file(32, file=path, resize="resample").shape
    ((2, 64, 64), (2, 32, 32))
    """
    side = checks.count(N, "N")
    probe, name = read_plane(file, "probe", format, read)
    check_shape(probe, name)
    same_as_recorded(probe, sha256, "probe", file)
    if probe.shape[-1] == side:
        return probe
    if resize is None:
        expected = (
            f"({side}, {side}) or (M, {side}, {side}) because N = {side}; probe.resize changes the "
            "side of a probe"
        )
        raise ValueError(checks.wrong(name, f"shape {probe.shape}", expected))
    checks.choice(resize, "resize", ("pad_or_crop", "resample"))
    return to_complex64(resized(probe, side, resample=resize == "resample"), name)


def resized(probe: npt.NDArray[Any], N: int, *, resample: bool) -> npt.NDArray[Any]:
    """Give planes another side.

    Parameters
    ----------
    probe : (..., n, n), float or complex
        The planes.
    N : int
        New side, pixels.
    resample : bool
        False keeps the pixels: zeros are added around them, or the middle is cut out. True keeps
        the field: the same is done to the unitary Fourier transform, so that the pixels become
        ``n / N`` times as large. Pixel ``n // 2`` becomes pixel ``N // 2`` in both.

    Returns
    -------
    (..., N, N), as `probe` or complex128
        Of the same power, ``sum |probe|**2``, unless something is cut off.

    Examples
    --------
    >>> resized(np.ones((2, 2)), 3, resample=False)
    array([[1., 1., 0.],
           [1., 1., 0.],
           [0., 0., 0.]])
    """
    if resample:
        waves = np.fft.fftshift(
            np.fft.fft2(np.fft.ifftshift(probe, axes=(-2, -1)), norm="ortho"), axes=(-2, -1)
        )
        waves = np.fft.ifftshift(resized(waves, N, resample=False), axes=(-2, -1))
        return np.fft.fftshift(np.fft.ifft2(waves, norm="ortho"), axes=(-2, -1))
    n = probe.shape[-1]
    new, old = max(N // 2 - n // 2, 0), max(n // 2 - N // 2, 0)
    count = min(n, N)
    made = np.zeros((*probe.shape[:-2], N, N), probe.dtype)
    made[..., new : new + count, new : new + count] = probe[
        ..., old : old + count, old : old + count
    ]
    return made
