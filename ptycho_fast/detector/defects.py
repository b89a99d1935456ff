"""Dead and hot pixels: single pixels that say nothing about the light."""

from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast import rng
from ptycho_fast.keys import Key, wrong

from .record import DEAD, HOT


def defects(
    N: int,
    seed: int,
    *,
    dead_pixels: Annotated[
        float | None, Key("share of the pixels whose signal is always 0, no unit", ge=0, lt=1)
    ] = None,
    hot_pixels: Annotated[
        float | None,
        Key("share of the pixels that always have the signal hot_value, no unit", ge=0, lt=1),
    ] = None,
) -> npt.NDArray[np.uint8]:
    """Which pixels are dead or hot: each one with the same probability, by chance.

    Parameters
    ----------
    N : int
        Side of the pattern, pixels.
    seed : int
        Seed of the choice.
    dead_pixels, hot_pixels : float, optional
        Probabilities; together below 1.

    Returns
    -------
    (N, N) uint8
        1 for a dead pixel, 2 for a hot one, else 0. More dead pixels keep the ones there were.

    Raises
    ------
    ScenarioError
        The probabilities add up to 1 or more.

    Examples
    --------
    >>> int((defects(64, 1, dead_pixels=0.01) == 1).sum())
    33
    """
    dead, hot = dead_pixels or 0.0, hot_pixels or 0.0
    state = np.zeros((N, N), np.uint8)
    if dead + hot == 0:
        return state
    if not dead + hot < 1:
        raise wrong("detector.hot_pixels", hot, f"a number < {1 - dead:g}, since others are dead")
    u = rng.uniforms(seed, "detector_defects", np.arange(N * N)).reshape(N, N)
    state[u < dead] = DEAD
    state[u > 1 - hot] = HOT
    return state
