"""Quantisation: the converter knows multiples of its step only."""

from typing import Annotated, Any

from ptycho_fast.keys import Key


def quantise(
    *,
    quantisation: Annotated[
        float | None,
        Key(
            "step of the converter, in units of the signal (ADU)",
            gt=0,
            le=1e6,
            synonyms=("quantization", "adc_step", "step"),
        ),
    ] = None,
) -> dict[str, Any]:
    """Round the signal to the nearest multiple of a step.

    Parameters
    ----------
    quantisation : float, optional
        The step; by default signals are not rounded.

    Returns
    -------
    dict
        Field ``step`` of `Response`.
    """
    return {} if quantisation is None else {"step": quantisation}
