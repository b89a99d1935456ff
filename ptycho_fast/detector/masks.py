"""Values of the pixels that say nothing about the light."""

from typing import Annotated, Any

from ptycho_fast.keys import Key


def masks(
    *,
    hot_value: Annotated[
        float | None,
        Key(
            "signal of a hot pixel; by default the saturation, counts or ADU",
            ge=-(2**31),
            le=2**32 - 1,
        ),
    ] = None,
    masked_value: Annotated[
        float | None,
        Key(
            "signal that stands in gaps and behind the beam stop; by default 0, counts or ADU",
            ge=-(2**31),
            le=2**32 - 1,
        ),
    ] = None,
) -> dict[str, Any]:
    """Values of masked pixels; that they are masked is recorded apart, see `good_pixels`.

    Parameters
    ----------
    hot_value : float, optional
        Signal of a hot pixel; by default the saturation.
    masked_value : float, optional
        Signal in gaps and behind the beam stop; by default 0. Some programs read -2, or the largest
        number of the type, as masked.

    Returns
    -------
    dict
        Field ``masked`` of `Response`.
    """
    return {"masked": masked_value or 0.0}
