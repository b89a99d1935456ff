"""A network's object beside what refinement makes of it, and of nothing.

Three columns, the keys of `TITLES`. The two refinements use the very patterns that the objects are
judged by, so they say what the data allow; the network says what one look at a pattern gives.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import quality
from ptycho_fast.data.dataset import Dataset

from .refine import Refinement, refine
from .train import Watcher

_SAMPLE = 256  # patterns of which the noise is known

TITLES = {
    "network": "network",
    "refined": "network + refinement",
    "flat": "flat start + refinement",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Found:
    """An object of the test part, and what it took.

    Attributes
    ----------
    object : (H, W) complex
        The object.
    seconds : float
        Training for a network, and the passes of a refinement; all that came before it counts.
    history : list of dict
        Of a refinement, pass by pass.
    stopped : str or None
        Why a refinement ended; of `refine.Refinement`.
    """

    object: npt.NDArray[np.complexfloating[Any, Any]]
    seconds: float
    history: list[dict[str, float]] = field(default_factory=list)
    stopped: str | None = None

    @classmethod
    def of(cls, result: Refinement, before: float = 0.0) -> "Found":
        """What a refinement found, `before` seconds after the start."""
        seconds = before + result.seconds
        return cls(
            object=result.object, seconds=seconds, history=result.history, stopped=result.stopped
        )


def refinements(
    network: Found,
    covered: npt.NDArray[np.bool_],
    data: Dataset,
    passes: int,
    seed: int,
    watcher: Watcher,
) -> Iterator[tuple[str, Found]]:
    """Refine a network's object, and then a flat one, with the patterns of the test part.

    Parameters
    ----------
    network : Found
        The network's object, gain undone.
    covered : (H, W) bool
        Where the network says something; elsewhere both starts are flat.
    data : Dataset
        The data.
    passes, seed : int
        As for `refine`.
    watcher : Watcher
        Called after every batch and pass.

    Yields
    ------
    (str, Found)
        "refined", then "flat".

    Raises
    ------
    ValueError
        The data cannot be refined, for example because patterns overlap nowhere.
    """
    how: dict[str, Any] = {"part": "test", "passes": passes, "seed": seed, "watcher": watcher}
    watcher.begin("refinement of the network's object", passes)
    start = np.where(covered, network.object, np.nan).astype(np.complex64)
    yield "refined", Found.of(refine(data, start=start, **how), network.seconds)
    watcher.begin("refinement from a flat start", passes)
    yield "flat", Found.of(refine(data, start="flat", **how))


def compared(
    found: Mapping[str, Found], covered: npt.NDArray[np.bool_], data: Dataset
) -> dict[str, Any]:
    """The objects against the truth, all over the same pixels.

    Parameters
    ----------
    found : mapping
        Objects by column.
    covered : (H, W) bool
        Where the network says something; pixels that no pattern lights are left out.
    data : Dataset
        The data.

    Returns
    -------
    dict
        ``columns``: of each object the numbers of `quality.compare`, ``seconds``, ``history`` and
        ``stopped``; ``photon_limit``, the smallest normalised error that the photons allow, and
        ``noise_misfit``, the misfit of the true object, None where photons are not known; and the
        number of ``pixels``.
    """
    positions = data.positions[data.split()[1]]
    truth = data.projection
    coverage = quality.coverage(positions, data.probe, truth.shape)
    here = covered & (coverage > 0)
    pixel_m = data.geometry.object_pixel_m if data.geometry else None
    limit = noise = None
    if data.intensity_scale is not None and data.provenance.get("noise", True):
        light = quality.illumination(positions, data.probe, truth.shape)
        limit = quality.photon_limit(truth, data.intensity_scale**2 * light, here)
        noise = _noise_misfit(data, data.intensity_scale)
    return {
        "pixels": int(here.sum()),
        "photon_limit": limit,
        "noise_misfit": noise,
        "columns": {
            name: {
                **quality.compare(
                    one.object, truth, here, np.where(here, coverage, 0), pixel_m=pixel_m
                ),
                "seconds": one.seconds,
                "stopped": one.stopped,
                "history": one.history,
            }
            for name, one in found.items()
        },
    }


def _noise_misfit(data: Dataset, scale: float) -> float:
    """Square of the noise of the amplitudes over that of the amplitudes, of up to 256 patterns.

    The root of a number of photons varies by 1/4 about that of its mean, whatever the mean is, and
    by about twice the mean where that is below one photon. There one photon or none is counted;
    so a pixel with one photon stands for 1, which is right within a fifth.
    """
    test = data.split()[1]
    some = test[:: -(-len(test) // _SAMPLE)]
    photons = np.rint(np.square(scale * data.amplitude(some).astype(np.float64)))
    single = np.count_nonzero(photons == 1)
    return float((0.25 * np.count_nonzero(photons > 1) + single) / photons.sum())
