"""Saturation: the largest signal that a pixel can hold."""

from typing import Annotated, Any

from ptycho_fast.keys import Key, wrong


def saturate(
    *,
    saturation: Annotated[
        int | None,
        Key(
            "largest signal a pixel can hold, counts (or ADU, with a gain)",
            ge=1,
            le=2**32 - 1,
            synonyms=("full_well", "max_count", "overflow"),
        ),
    ] = None,
    wrap: Annotated[
        bool | None,
        Key("whether a larger signal begins again at 0", synonyms=("wrap_around", "on_overflow")),
    ] = None,
) -> dict[str, Any]:
    """Cut signals off at a largest value, or let them begin again at 0.

    Parameters
    ----------
    saturation : int, optional
        The largest signal; by default there is none.
    wrap : bool, optional
        Whether the signal is taken modulo ``saturation + 1`` (more exactly: plus a step of the
        quantisation), as by a counter without overflow protection.

    Returns
    -------
    dict
        Fields ``ceiling`` and ``wrap`` of `Response`.

    Raises
    ------
    ScenarioError
        There is nothing to wrap at.

    Examples
    --------
    >>> saturate(saturation=255, wrap=True)
    {'ceiling': 255.0, 'wrap': True}
    """
    if saturation is None:
        if wrap:
            raise wrong("detector.saturation", None, "an integer >= 1, since detector.wrap is true")
        return {}
    return {"ceiling": float(saturation), "wrap": bool(wrap)}
