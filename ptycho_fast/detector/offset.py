"""Offset: the signal of a pixel without counts, also called pedestal."""

from typing import Annotated, Any

from ptycho_fast.keys import Key


def offset(
    *,
    offset: Annotated[
        float | None,
        Key(
            "signal of no count, in units of the signal (ADU)",
            ge=-1e9,
            le=1e9,
            synonyms=("pedestal", "bias"),
        ),
    ] = None,
) -> dict[str, Any]:
    """Add a constant to the signal.

    Parameters
    ----------
    offset : float, optional
        Signal of no count.

    Returns
    -------
    dict
        Field ``offset`` of `Response`.
    """
    return {} if offset is None else {"offset": offset}
