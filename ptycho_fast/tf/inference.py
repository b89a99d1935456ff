"""From a trained network to an object: predictions of groups, put together where they cover it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ptycho_fast import checks
from ptycho_fast.data.symmetry import HALF_TURN, UPRIGHT, Symmetry, require_symmetric

from .model import PtychoNet
from .streams import Feed, require_same_shape

WINDOW = 20  # side of the central window of a prediction that is stitched, pixels


def window_side(N: int) -> int:
    """Side of the stitched window: `WINDOW`, less where the heads' own window is not larger."""
    return min(WINDOW, N // 2 - 2)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network predicts for the groups of a feed, in its own units (gain not undone).

    Attributes
    ----------
    objects : (G, N, N) complex64
        Object of each group about its mean position.
    patches : (G, C, N, N) complex64
        Object of each pattern, zero outside the window that the heads fill.
    likelihood : float
        Published likelihood of the feed.
    """

    objects: npt.NDArray[np.complex64]
    patches: npt.NDArray[np.complex64]
    likelihood: float


def predict(
    model: PtychoNet, feed: Feed, batch_size: int = 16, *, both_twins: bool = False
) -> Prediction:
    """Run a network over the groups of a feed, in their order.

    Parameters
    ----------
    model : PtychoNet
        The network.
    feed : Feed
        The groups.
    batch_size : int
        Groups at a time.
    both_twins : bool
        Average with the prediction for the group turned by 180 degrees, turned back. If a probe
        gives an object and its turned twin the same pattern, a network predicts one of the two at
        random; their mean is the better guess.

    Raises
    ------
    ValueError
        The network was made for data of another shape, or the probe changes when it is turned.
    """
    require_same_shape([feed], model.N, model.gridsize, model.canvas)
    feed = feed.at_scale(model.settings["intensity_scale"])
    if both_twins:
        require_symmetric(feed.data.probe)
    turns = (UPRIGHT, HALF_TURN) if both_twins else (UPRIGHT,)
    results: list[tuple[Any, Any, Any]] = []
    sizes: list[int] = []
    for (amplitude, offsets), _ in feed.epoch(0, batch_size, shuffle=False):
        parts = [_turned(model.predicted, turn, amplitude, offsets) for turn in turns]
        results.append(tuple(np.mean(part, axis=0) for part in zip(*parts, strict=True)))
        sizes.append(len(amplitude))
    objects, windows = (np.concatenate([r[n] for r in results]) for n in (0, 1))
    margin = (feed.N - windows.shape[-1]) // 2
    return Prediction(
        objects,
        np.pad(windows, [(0, 0), (0, 0), (margin, margin), (margin, margin)]),
        float(np.average([r[2] for r in results], weights=sizes)),
    )


def _turned(run: Any, turn: Symmetry, amplitude: Any, offsets: Any) -> tuple[Any, Any, Any]:
    """Objects, patches and likelihood of groups that are turned for the network, and back."""
    pairs = [turn.group(np.moveaxis(a, -1, 0), o) for a, o in zip(amplitude, offsets, strict=True)]
    shown = np.stack([np.moveaxis(patterns, 0, -1) for patterns, _ in pairs])
    moved = np.stack([offset for _, offset in pairs])
    results = run(*map(tf.constant, (shown, moved, np.square(shown))))
    objects, patches, likelihood = (result.numpy() for result in results)
    back = [turn.group_back(p, o) for p, o in zip(patches, offsets, strict=True)]
    return turn.back(objects), np.stack(back), likelihood


def stitch(
    fields: npt.NDArray[np.complexfloating[Any, Any]],
    positions: npt.NDArray[np.float64],
    shape: tuple[int, int],
    window: int,
) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.bool_]]:
    """Mean of the central windows of fields on the grid of the object.

    Parameters
    ----------
    fields : (B, N, N) complex
        Object about each position.
    positions : (B, 2)
        ``[x, y]`` in object pixels: where index N/2 of a field lies.
    shape : (int, int)
        Rows and columns of the object.
    window : int
        Side of the window, pixels, below N: every field fills the ``window**2`` pixels about its
        position by bilinear interpolation.

    Returns
    -------
    stitched : (H, W) complex128
        Zero where nothing covers.
    covered : (H, W) bool
        Pixels inside at least one window.
    """
    N = fields.shape[-1]
    if not 0 < window < N:
        raise ValueError(checks.wrong("window", window, f"1 to {N - 1}"))
    margin = window + 1  # windows may reach beyond the object
    total = np.zeros((shape[0] + 2 * margin, shape[1] + 2 * margin), np.complex128)
    times = np.zeros(total.shape, np.int64)
    half = window // 2
    for field, (x, y) in zip(fields, positions, strict=True):
        column, row = (int(np.ceil(at)) - half for at in (x, y))
        u, v = column - x + N // 2, row - y + N // 2
        i, j = int(u), int(v)
        u, v = u - i, v - j
        tap = field[j : j + window + 1, i : i + window + 1]
        across = (1 - u) * tap[:, :-1] + u * tap[:, 1:]
        here = np.s_[margin + row :, margin + column :]
        if -margin <= row < shape[0] + 1 and -margin <= column < shape[1] + 1:
            total[here][:window, :window] += (1 - v) * across[:-1] + v * across[1:]
            times[here][:window, :window] += 1
    inner = np.s_[margin:-margin, margin:-margin]
    covered = times[inner] > 0
    return total[inner] / np.maximum(times[inner], 1), covered


def stitch_groups(feed: Feed, prediction: Prediction) -> Any:
    """Stitched object of a prediction, its groups at their mean positions; gain undone."""
    positions = feed.groups.coords_offsets[:, 0, :, 0]
    side = window_side(feed.N)
    stitched, covered = stitch(prediction.objects, positions, feed.data.object.shape, side)
    return stitched / feed.gain, covered


def stitch_patches(feed: Feed, prediction: Prediction) -> Any:
    """Stitched object of a prediction, every pattern at its own position; gain undone."""
    positions = np.moveaxis(feed.groups.coords[:, 0], 1, 2).reshape(-1, 2)
    fields = prediction.patches.reshape(-1, feed.N, feed.N)
    side = window_side(feed.N)
    stitched, covered = stitch(fields, positions, feed.data.object.shape, side)
    return stitched / feed.gain, covered
