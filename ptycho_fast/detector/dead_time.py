"""Dead time: a counting pixel misses photons that come too soon after another."""

from typing import Annotated, Any

from ptycho_fast.keys import Key, wrong


def dead_time(
    *,
    dead_time_s: Annotated[
        float | None,
        Key("dead time of a pixel after a count, s", ge=0, synonyms=("dead_time", "tau")),
    ] = None,
    exposure_time_s: Annotated[
        float | None,
        Key("exposure time of a frame, s", gt=0, synonyms=("exposure_time", "exposure")),
    ] = None,
    paralysable: Annotated[
        bool | None,
        Key("whether photons in the dead time prolong it", synonyms=("paralyzable",)),
    ] = None,
) -> dict[str, Any]:
    """Dead time as a share of the exposure.

    Of n photons in an exposure T, with a steady beam, about ``n / (1 + n tau / T)`` are counted if
    the pixel is not paralysable, ``n exp(-n tau / T)`` if it is (G. F. Knoll, Radiation Detection
    and Measurement, section 4.VII), with variances ``n / (1 + x)**3`` and
    ``n exp(-x) (1 - 2 x exp(-x))``, x = n tau / T. The kernels have this mean and this variance;
    the shape of the distribution is an approximation.

    Parameters
    ----------
    dead_time_s, exposure_time_s : float, optional
        tau and T, s. A dead time needs an exposure time.
    paralysable : bool, optional
        By default not.

    Returns
    -------
    dict
        Fields ``dead_time`` and ``paralysable`` of `Response`.

    Raises
    ------
    ScenarioError
        There is no exposure time, or it is not longer than the dead time.

    Examples
    --------
    >>> dead_time(dead_time_s=0.25, exposure_time_s=1.0)["dead_time"]
    0.25
    """
    if paralysable and dead_time_s is None:
        raise wrong("detector.paralysable", True, "false, or detector.dead_time_s with it")
    if not dead_time_s:
        return {}
    if exposure_time_s is None:
        expected = f"a number > 0 (s), since there is a dead time of {dead_time_s:g} s"
        raise wrong("detector.exposure_time_s", None, expected)
    if not dead_time_s < exposure_time_s:
        expected = f"a number > {dead_time_s:g}, the dead time (s)"
        raise wrong("detector.exposure_time_s", exposure_time_s, expected)
    return {"dead_time": dead_time_s / exposure_time_s, "paralysable": bool(paralysable)}
