"""Gain: the signal of a count."""

from typing import Annotated, Any

from ptycho_fast.keys import Key


def gain(
    *,
    gain: Annotated[
        float | None,
        Key("signal of a count, in units of the signal (ADU)", gt=0, le=1e5, synonyms=("adu",)),
    ] = None,
) -> dict[str, Any]:
    """Multiply the counts.

    Parameters
    ----------
    gain : float, optional
        Signal of a count; by default 1, so that signals are counts.

    Returns
    -------
    dict
        Field ``gain`` of `Response`.
    """
    return {} if gain is None else {"gain": gain}
