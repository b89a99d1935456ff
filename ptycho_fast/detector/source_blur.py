"""Source blur: the source is not a point, so each point of the pattern is a spot."""

from typing import Annotated

from ptycho_fast.keys import Key


def source_blur(
    *,
    source_blur: Annotated[
        float | None,
        Key(
            "standard deviation of the source's image on the detector, detector pixels",
            ge=0,
            le=1000,
            synonyms=("source_size",),
        ),
    ] = None,
) -> float:
    """Variance of the blur of the intensity by a Gaussian incoherent source.

    A source of finite size shifts the far field by its angle, and the intensities add: a Gaussian
    source blurs the intensity, which is the Fourier transform of a Gaussian degree of coherence
    (van Cittert-Zernike).

    Parameters
    ----------
    source_blur : float, optional
        Standard deviation, detector pixels.

    Returns
    -------
    float
        Variance, detector pixels squared.
    """
    return (source_blur or 0.0) ** 2
