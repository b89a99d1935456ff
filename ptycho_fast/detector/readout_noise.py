"""Read-out noise: what the electronics add to the signal of each pixel."""

from typing import Annotated, Any

from ptycho_fast.keys import Key


def readout_noise(
    *,
    readout_noise: Annotated[
        float | None,
        Key(
            "standard deviation of the read-out noise, in units of the signal (ADU)",
            ge=0,
            le=1e6,
            synonyms=("read_noise", "readout", "electronic_noise"),
        ),
    ] = None,
) -> dict[str, Any]:
    """Gaussian noise around zero, the same in every pixel; signals may become negative.

    Parameters
    ----------
    readout_noise : float, optional
        Standard deviation, signal.

    Returns
    -------
    dict
        Field ``readout`` of `Response`.
    """
    return {} if not readout_noise else {"readout": readout_noise}
