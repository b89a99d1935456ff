"""What becomes of the positions of any kind: errors of the stage, and the path of a fly scan."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Key
from ptycho_fast.rng import generator

_JUMP = 2.0  # median steps; a longer way to the next position is no part of the exposure


@dataclass(frozen=True, eq=False, kw_only=True)
class ScanPath:
    """Where the probe was meant to be, and where it was.

    Attributes
    ----------
    nominal : (B, 2) float64
        Intended positions ``[x, y]``, object pixels: what a user of the data is told.
    positions : (B, 2) float64
        True positions, the middle of each exposure.
    path : (B, S, 2) float64, or None
        True positions of the S sub-exposures of a fly scan, in order of time.
    """

    nominal: npt.NDArray[np.float64]
    positions: npt.NDArray[np.float64]
    path: npt.NDArray[np.float64] | None = None


def finished(
    nominal: npt.NDArray[np.float64],
    seed: int,
    *,
    boundary: Annotated[
        Literal["zero", "error", "vacuum", "edge"],
        Key("what is beyond the object: nothing, an error, transmission 1, or its edge repeated"),
    ] = "zero",
    jitter: Annotated[
        float,
        Key(
            "unknown random error of x and of y, object pixels: standard deviation if normal, half "
            "the width if uniform",
            ge=0,
            synonyms=("position_noise", "pos_noise"),
        ),
    ] = 0.0,
    jitter_law: Annotated[Literal["normal", "uniform"], Key("distribution of the jitter")] = (
        "normal"
    ),
    drift_x: Annotated[
        float, Key("unknown drift of x from the first to the last position, object pixels")
    ] = 0.0,
    drift_y: Annotated[float, Key("the same of y")] = 0.0,
    drift_law: Annotated[
        Literal["linear", "walk"],
        Key("linear in time, or a random walk whose end has that standard deviation"),
    ] = "linear",
    scale_x: Annotated[
        float, Key("unknown error of the stage: true over nominal distance along x, no unit", gt=0)
    ] = 1.0,
    scale_y: Annotated[float, Key("the same along y", gt=0)] = 1.0,
    rotation: Annotated[
        float,
        Key("unknown rotation of the scan from x towards y, radians", ge=-math.pi, le=math.pi),
    ] = 0.0,
    shear: Annotated[float, Key("unknown shear: x grows by shear times y, no unit")] = 0.0,
    fly_points: Annotated[
        int, Key("sub-exposures of a fly scan in a pattern; 1 is a step scan", ge=1)
    ] = 1,
    fly_fraction: Annotated[
        float, Key("length of an exposure, in steps to the next position", gt=0, le=1)
    ] = 1.0,
) -> ScanPath:
    """Add what a stage does to the positions of any kind, as the common keys of ``[scan]`` say.

    True positions are ``A (nominal - c) + c``, with the mean c of the nominal positions, plus drift
    plus jitter. They may leave the margin that the nominal ones keep.

    Parameters
    ----------
    nominal : (B, 2) float64
        Intended positions, object pixels.
    seed : int
        Of jitter and random walk, 0 to 2**64 - 1.
    boundary : {"zero", "error", "vacuum", "edge"}
        Not used here; see `check_inside` and the exposure.
    jitter, jitter_law
        As for `offsets`: mean zero, x and y independent.
    drift_x, drift_y, drift_law
        As for `drifted`, pixels.
    scale_x, scale_y, rotation, shear
        As for `stage_matrix`.
    fly_points, fly_fraction
        As for `fly_path`.

    Returns
    -------
    ScanPath
        With ``positions is nominal`` if all errors are off.

    Raises
    ------
    TypeError, ValueError
        A number is out of range.

    Examples
    --------
    >>> xy = np.array([[10.0, 20.0], [14.0, 20.0]])
    >>> path = finished(xy, 42, drift_x=1.0, fly_points=2)
    >>> path.positions.tolist()
    [[10.0, 20.0], [15.0, 20.0]]
    >>> path.path.tolist()
    [[[8.75, 20.0], [11.25, 20.0]], [[13.75, 20.0], [16.25, 20.0]]]
    """
    true = nominal
    matrix = stage_matrix(scale_x, scale_y, rotation, shear)
    if (matrix != np.eye(2)).any():
        centre = nominal.mean(axis=0)
        true = centre + (nominal - centre) @ matrix.T
    if drift_x or drift_y:
        true = true + drifted(len(true), (drift_x, drift_y), drift_law, seed)
    if checks.number(jitter, "jitter", least=0):
        true = true + jitter * offsets(generator(seed, "scan_jitter"), len(true), jitter_law)
    path = None
    if checks.count(fly_points, "fly_points") > 1:
        path = fly_path(true, fly_points, fly_fraction)
    return ScanPath(nominal=nominal, positions=true, path=path)


def offsets(
    draw: np.random.Generator, count: int, law: str, *, cut: float = math.inf
) -> npt.NDArray[np.float64]:
    """Random offsets of mean zero, x and y independent.

    Parameters
    ----------
    draw : numpy.random.Generator
        Where the numbers come from.
    count : int
        How many.
    law : {"uniform", "normal"}
        Uniform in ``[-1, 1)``, or normal of standard deviation 1.
    cut : float
        Normal offsets beyond it are drawn again.

    Returns
    -------
    (count, 2) float64
        The offsets.

    Raises
    ------
    ValueError
        There is no such law.

    Examples
    --------
    >>> offsets(generator(1, "scan"), 3, "uniform").shape
    (3, 2)
    """
    if checks.choice(law, "law", ("uniform", "normal")) == "uniform":
        return draw.uniform(-1, 1, (count, 2))
    found = draw.standard_normal((count, 2))
    while (beyond := np.abs(found) > cut).any():
        found[beyond] = draw.standard_normal(np.count_nonzero(beyond))
    return found


def stage_matrix(
    scale_x: float, scale_y: float, rotation: float, shear: float
) -> npt.NDArray[np.float64]:
    """The matrix from nominal to true distances: scale and shear, then rotation.

    Parameters
    ----------
    scale_x, scale_y : float
        True over nominal distance along each axis, above zero.
    rotation : float
        From x towards y, radians; clockwise where y points down.
    shear : float
        x grows by `shear` times the nominal y.

    Returns
    -------
    (2, 2) float64
        ``[[cos, -sin], [sin, cos]] @ [[scale_x, shear], [0, scale_y]]``; it multiplies columns
        ``[x, y]``.

    Raises
    ------
    TypeError, ValueError
        A number is not finite, or a scale not above zero.

    Examples
    --------
    >>> stage_matrix(1.5, 1.0, 0.0, 0.25).tolist()
    [[1.5, 0.25], [0.0, 1.0]]
    """
    angle = checks.number(rotation, "rotation")
    c, s = math.cos(angle), math.sin(angle)
    sx, sy = checks.positive(scale_x, "scale_x"), checks.positive(scale_y, "scale_y")
    stretch = np.array([[sx, checks.number(shear, "shear")], [0.0, sy]])
    return np.array([[c, -s], [s, c]]) @ stretch


def drifted(count: int, total: tuple[float, float], law: str, seed: int) -> npt.NDArray[np.float64]:
    """How far each position has drifted; the first one has not.

    Parameters
    ----------
    count : int
        Number of positions B.
    total : (float, float)
        Along x and y, pixels: of the last position if linear, its standard deviation if a walk.
    law : {"linear", "walk"}
        Linear in time, or a sum of independent normal steps.
    seed : int
        Of the walk.

    Returns
    -------
    (count, 2) float64
        Pixels.

    Raises
    ------
    TypeError, ValueError
        A number is not finite, or there is no such law.

    Examples
    --------
    >>> drifted(3, (2.0, 1.0), "linear", 42).tolist()
    [[0.0, 0.0], [1.0, 0.5], [2.0, 1.0]]
    """
    far = np.array([checks.number(t, "drift") for t in total])
    if checks.choice(law, "drift_law", ("linear", "walk")) == "linear":
        return np.linspace(0.0, 1.0, count)[:, None] * far
    steps = generator(seed, "scan_drift").standard_normal((count, 2))
    steps[0] = 0.0
    return far / math.sqrt(max(count - 1, 1)) * steps.cumsum(axis=0)


def fly_path(
    positions: npt.NDArray[np.float64], fly_points: int, fly_fraction: float
) -> npt.NDArray[np.float64]:
    """Positions of the sub-exposures of a fly scan.

    An exposure is centred on its position and runs in a straight line in the direction of the next
    one. The last position of a row takes the direction from the one before it instead, since a way
    longer than twice the median step is a jump without light. So does the last of the scan. A
    position between two jumps stays where it is.

    Parameters
    ----------
    positions : (B, 2) float64
        True positions, pixels.
    fly_points : int
        Sub-exposures S.
    fly_fraction : float
        Length of the exposure as a share of the step, above 0, at most 1.

    Returns
    -------
    (B, S, 2) float64
        The middles of S equal pieces of the exposure: from first to last they span
        ``(S - 1) / S`` of its length.

    Raises
    ------
    TypeError, ValueError
        A number is out of range.

    Examples
    --------
    >>> row = np.array([[0.0, 5.0], [4.0, 5.0], [8.0, 5.0]])
    >>> fly_path(row, 2, 0.5)[1].tolist()
    [[3.5, 5.0], [4.5, 5.0]]
    """
    pieces = checks.count(fly_points, "fly_points")
    share = checks.number(fly_fraction, "fly_fraction", above=0, most=1)
    steps = np.diff(positions, axis=0)
    length = np.hypot(steps[:, 0], steps[:, 1])
    if length.any():
        steps[length > _JUMP * np.median(length[length > 0])] = 0.0
    forward = np.concatenate([steps, np.zeros((1, 2))])
    backward = np.concatenate([np.zeros((1, 2)), steps])
    way = np.where(forward.any(axis=1, keepdims=True), forward, backward)
    times = (np.arange(pieces) + 0.5) / pieces - 0.5
    return positions[:, None] + share * times[:, None] * way[:, None]


def check_inside(positions: npt.NDArray[np.float64], shape: tuple[int, int], N: int) -> None:
    """Raise if a patch reaches beyond the object, as ``scan.boundary = "error"`` asks for.

    Parameters
    ----------
    positions : (B, 2) or (B, S, 2) float64
        ``[x, y]``, object pixels.
    shape : (int, int)
        Rows and columns ``(H, W)`` of the object.
    N : int
        Side of the patch, pixels.

    Raises
    ------
    ScenarioError
        Of ``scan.boundary``; it names the first such pattern and says how far it reaches.

    Examples
    --------
    >>> check_inside(np.array([[8.0, 8.0], [24.0, 24.0]]), (32, 32), 16)
    >>> check_inside(np.array([[8.0, 8.0], [25.5, 24.0]]), (32, 32), 16)
    Traceback (most recent call last):
        ...
    ptycho_fast.errors.ScenarioError: scan.boundary: 'error' given, expected patches inside the \
object of 32 x 32 pixels, but pattern 1 at [25.5, 24] reaches 1.5 pixels beyond it, so x has to be \
8 to 24 and y 8 to 24; a larger scan.buffer (at least 8), a larger object or boundary = "zero" helps
    """
    H, W = shape
    low = N // 2
    high = np.array([W, H]) - N + low
    flat = positions.reshape(len(positions), -1, 2)
    beyond = np.asarray(np.maximum(low - flat, flat - high).max(axis=2))
    if not (beyond > 0).any():
        return
    b = int((beyond > 0).any(axis=1).argmax())
    s = int(beyond[b].argmax())
    x, y = flat[b, s]
    raise ScenarioError(
        f"scan.boundary: 'error' given, expected patches inside the object of {H} x {W} pixels, "
        f"but pattern {b} at [{x:g}, {y:g}] reaches {beyond[b, s]:g} pixels beyond it, so x has "
        f"to be {low} to {high[0]} and y {low} to {high[1]}; a larger scan.buffer (at least "
        f'{N - N // 2}), a larger object or boundary = "zero" helps',
        key="scan.boundary",
    )
