"""Where the positions of a scan may be, and how a pattern of any kind is put there."""

from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Key, wrong
from ptycho_fast.optics import Geometry

NPatterns = Annotated[
    int,
    Key(
        "number of scan positions, one diffraction pattern each",
        ge=1,
        synonyms=("count", "positions", "points", "patterns", "n"),
    ),
]
Buffer = Annotated[
    float,
    Key(
        "margin that positions keep from the object's border, object pixels",
        ge=0,
        synonyms=("margin", "border"),
    ),
]
Step = Annotated[
    float | None,
    Key(
        "distance of the positions, object pixels; without it, the largest that fits",
        gt=0,
        synonyms=("spacing", "pitch"),
    ),
]
StepM = Annotated[
    float | None,
    Key("the step in metres, in place of scan.step; needs the size of an object pixel", gt=0),
]
_LEAST_STEP = 1e-3  # pixels; a smaller step is one in metres


class Area(NamedTuple):
    """A rectangle of the object, ``[x, y]`` in object pixels.

    Attributes
    ----------
    low, high : (2,) float64
        Its corners.
    """

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]

    @property
    def sides(self) -> npt.NDArray[np.float64]:
        """Width and height, (2,) float64."""
        return self.high - self.low

    @property
    def centre(self) -> npt.NDArray[np.float64]:
        """Its middle, (2,) float64."""
        return (self.low + self.high) / 2


def inside(shape: tuple[int, int], buffer: float) -> Area:
    """The object without its margin, ``[buffer, W - buffer]`` by ``[buffer, H - buffer]``.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns ``(H, W)`` of the object.
    buffer : float
        Width of the margin, pixels.

    Returns
    -------
    Area
        What is left. Its middle is ``(W/2, H/2)``: a patch of even side there is in the middle of
        an object of even sides.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range, or the margin leaves no area.

    Examples
    --------
    >>> area = inside((100, 200), 20)
    >>> print(area.sides, area.centre)
    [160.  60.] [100.  50.]
    """
    height, width = (checks.count(side, "shape") for side in shape)
    margin = checks.number(buffer, "buffer", least=0)
    if 2 * margin >= min(height, width):
        raise ValueError(
            checks.wrong(
                "buffer",
                buffer,
                f"less than half of the shorter side of the object ({height} x {width}), "
                "which leaves an area to scan",
            )
        )
    return Area(np.full(2, margin), np.array([width - margin, height - margin]))


def placed(
    pattern: npt.NDArray[np.float64],
    area: Area,
    *,
    step: float | None,
    step_m: float | None,
    geometry: Geometry | None,
    extent: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]:
    """Put a pattern of step 1 around the centre of an area.

    Parameters
    ----------
    pattern : (B, 2) float64
        Positions around ``(0, 0)``, in steps.
    area : Area
        What they have to stay inside.
    step : float or None
        The step, pixels; without it, the largest that fits.
    step_m : float or None
        The step in metres, in place of `step`.
    geometry : Geometry or None
        Has the size of an object pixel, which `step_m` needs.
    extent : (2,) float64, optional
        Half sides of the room to keep, steps; by default, those of the pattern.

    Returns
    -------
    (B, 2) float64
        Positions ``[x, y]`` inside `area`.

    Raises
    ------
    ScenarioError
        The pattern does not fit, `step` and `step_m` are both given, or the size of an object
        pixel is not known.

    Examples
    --------
    >>> row = np.array([[-1.0, 0], [0, 0], [1, 0]])
    >>> placed(row, inside((60, 80), 10), step=None, step_m=None, geometry=None)[:, 0]
    array([10., 40., 70.])
    """
    if extent is None:
        extent = np.abs(pattern).max(axis=0)
    with np.errstate(divide="ignore"):
        largest = float((area.sides / 2 / extent).min())
    wanted = _in_pixels(step, step_m, geometry)
    if wanted is None:
        wanted = largest if np.isfinite(largest) else 0.0  # a single position has no step
    elif wanted > largest * (1 + 1e-12):
        width, height = area.sides
        key, given = ("scan.step", step) if step_m is None else ("scan.step_m", step_m)
        raise ScenarioError(
            f"{key}: {given} given{'' if step_m is None else f' ({wanted:.6g} pixels)'}, expected "
            f"at most {largest:.6g} pixels, so that {len(pattern)} positions fit into the "
            f"{width:g} x {height:g} pixels (width x height) that scan.buffer leaves; take a "
            "smaller step, fewer positions or a larger object",
            key=key,
        )
    # The clip takes away rounding of the last bit.
    return np.clip(area.centre + wanted * pattern, area.low, area.high)


def _in_pixels(step: float | None, step_m: float | None, geometry: Geometry | None) -> float | None:
    if step_m is not None:
        if step is not None:
            raise wrong("scan.step_m", step_m, "nothing beside scan.step")
        return checks.positive(step_m, "step_m") / pixel_size(geometry, "scan.step_m")
    if step is None:
        return None
    if checks.positive(step, "step") < _LEAST_STEP:
        expected = f"object pixels, at least {_LEAST_STEP}; a step in metres is scan.step_m"
        raise wrong("scan.step", step, expected)
    return float(step)


def pixel_size(geometry: Geometry | None, wanted_by: str) -> float:
    """Size of an object pixel, metres.

    Raises
    ------
    ScenarioError
        It is not known.
    """
    if geometry is None:
        raise wrong("optics.object_pixel_m", None, f"metres, since {wanted_by} is given")
    return float(geometry.need("object_pixel_m", wanted_by))
