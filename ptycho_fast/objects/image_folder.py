"""Pictures of a folder, one for each object."""

from pathlib import Path
from typing import Annotated

from ptycho_fast import checks
from ptycho_fast.errors import ScenarioError
from ptycho_fast.formats.pictures import read_picture
from ptycho_fast.keys import Key, wrong
from ptycho_fast.kinds import kind
from ptycho_fast.rng import generator

from .images import ENDINGS, Fit, chosen, fitted
from .maps import Map, stretched


@kind("image_folder")
def image_folder(
    seed: int,
    drawing: int = 0,
    root: int | None = None,
    *,
    folder: Annotated[
        str, Key("folder of pictures, one object each", synonyms=("directory", "images", "dir"))
    ],
    index: Annotated[
        int | None,
        Key("number of the picture by name, from 0; without it, the seed draws one", ge=0),
    ] = None,
    size: Annotated[
        int | None,
        Key("side of the square object, pixels; without it, that of the picture", ge=8, le=65536),
    ] = None,
    fit: Fit = "crop",
) -> Map:
    """Picture of a folder.

    The folder's pictures are counted by name, and files that do not end like a picture are left
    out. Colours become luminance, ``0.2125 R + 0.7154 G + 0.0721 B``. The common keys say what
    becomes amplitude and phase: ``phase_min = phase_max = 0`` makes an amplitude object,
    ``amplitude_min = amplitude_max = 1`` a phase object, ``correlation = -1`` a phase that is large
    where the amplitude is small, and ``correlation = 0`` a phase of the next picture.

    Parameters
    ----------
    seed : int
        Of the window, 0 to 2**64 - 1.
    drawing, root : int
        As for `images.chosen`; with an index, the drawings after the first take the next pictures.
    folder : str or path-like
        The folder.
    index : int, optional
        Number of the picture, from 0.
    size : int, optional
        Side, pixels.
    fit : {"crop", "scale"}
        How a picture comes to that size, as for `natural_image.natural_image`.

    Returns
    -------
    (H, W) float32
        Structure map: 0 the darkest pixel, 1 the brightest. Its bits depend on Pillow,
        which reads it, and scikit-image, which scales it.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    ScenarioError
        It holds no picture, or not so many.
    ValueError
        The picture cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from skimage.io import imsave
    >>> folder = tempfile.mkdtemp()
    >>> imsave(os.path.join(folder, "0.png"), np.eye(32, dtype=np.uint8), check_contrast=False)
    >>> image_folder(1, folder=folder).shape
    (32, 32)
    """
    checks.choice(fit, "fit", ("crop", "scale"))
    side = None if size is None else checks.count(size, "size")
    pictures = pictures_in(folder)
    if index is None:
        number = chosen(len(pictures), seed, root, drawing)
    elif checks.integer(index, "index", 0) < len(pictures):
        number = (index + drawing) % len(pictures)
    else:
        expected = f"0 to {len(pictures) - 1}: {folder} holds {len(pictures)} pictures"
        raise wrong("object.index", index, expected)
    draw = generator(seed, "object_window")
    return stretched(fitted(read_picture(pictures[number]), side, fit, draw))


def pictures_in(folder: str) -> list[Path]:
    """The pictures of a folder, by name.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    ScenarioError
        It is a file, or holds no picture.
    """
    place = Path(folder)
    if not place.exists():
        raise FileNotFoundError(f"{folder}: no such folder, expected a folder of pictures")
    if not place.is_dir():
        raise wrong("object.folder", str(folder), "a folder; kind 'file' reads a single array")
    entries = sorted(p for p in place.iterdir() if p.is_file())
    pictures = [p for p in entries if p.suffix.lower() in ENDINGS]
    if not pictures:
        others = f"{len(entries)} other files" if entries else "is empty"
        holds = f"holds {others}" if entries else others
        raise ScenarioError(
            f"object.folder: {folder} {holds}, expected pictures ({', '.join(ENDINGS)})",
            key="object.folder",
        )
    return pictures
