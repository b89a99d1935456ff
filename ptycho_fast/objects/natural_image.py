"""Photographs that come with scikit-image."""

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from ptycho_fast import checks
from ptycho_fast.formats.pictures import read_picture
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.rng import generator

from .images import Fit, chosen, fitted
from .maps import Map, Size, stretched

# Part of every installation since 0.24; nothing is downloaded.
_FILES = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera": "camera.png",
    "cell": "cell.png",
    "chelsea": "chelsea.png",
    "clock": "clock_motion.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "hubble_deep_field": "hubble_deep_field.jpg",
    "immunohistochemistry": "ihc.png",
    "microaneurysms": "microaneurysms.png",
    "moon": "moon.png",
    "page": "page.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "text": "text.png",
}
Image = Annotated[
    Literal[
        "any", "astronaut", "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins",
        "grass", "gravel", "hubble_deep_field", "immunohistochemistry", "microaneurysms", "moon",
        "page", "retina", "rocket", "text",
    ],
    Key("name of the picture in skimage.data; any draws one", synonyms=("picture",)),
]  # fmt: skip


@kind("natural_image")
def natural_image(
    seed: int,
    drawing: int = 0,
    root: int | None = None,
    *,
    size: Size = 392,
    image: Image = "any",
    fit: Fit = "crop",
) -> Map:
    """Photograph that comes with scikit-image.

    Colours become luminance, ``0.2125 R + 0.7154 G + 0.0721 B``. A second drawing (of a slice, of a
    phase of its own) is the next picture, or another window of the one that is named.

    Parameters
    ----------
    seed : int
        Of the window, 0 to 2**64 - 1.
    drawing, root : int
        As for `images.chosen`.
    size : int
        Side, pixels.
    image : str
        Its name in ``skimage.data``, or "any".
    fit : {"crop", "scale"}
        A window at a random place, enlarged only where the picture is too small; or the square in
        the middle, scaled.

    Returns
    -------
    (size, size) float32
        Structure map: 0 the darkest pixel, 1 the brightest. Its bits depend on Pillow,
        which reads it, and scikit-image, which scales it.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range.

    Examples
    --------
    >>> natural_image(1, size=64, image="camera").shape
    (64, 64)
    """
    side = checks.count(size, "size")
    checks.choice(image, "image", ("any", *_FILES))
    checks.choice(fit, "fit", ("crop", "scale"))
    names = list(_FILES)
    name = names[chosen(len(names), seed, root, drawing)] if image == "any" else image
    return stretched(fitted(_picture(name), side, fit, generator(seed, "object_window")))


@cache  # all of them take 24 MB
def _picture(name: str) -> Map:
    picture = read_picture(str(files("skimage.data") / _FILES[name]))
    picture.setflags(write=False)
    return picture
