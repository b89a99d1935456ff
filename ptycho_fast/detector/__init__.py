"""Two-dimensional detector model: from the intensity to the numbers that are stored.

One file per part. A part is a function whose keyword-only arguments are keys of the table
``[detector]``; a key without a value takes that of the preset, and without a preset the part is
off. The parts act in a fixed order, see `PARTS`; the arithmetic is in the kernels, which get a
`Response`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Declared, declared_by, wrong
from ptycho_fast.optics import Geometry

from . import beam_stop as _beam_stop
from . import oversample as _oversample
from . import point_spread as _point_spread
from . import presets as _presets
from . import source_blur as _source_blur
from .bad_pixels import bad_pixels
from .dark_counts import dark_counts
from .dead_time import dead_time
from .defects import defects
from .efficiency import efficiency as _efficiency
from .gain import gain
from .gaps import gaps
from .masks import masks
from .offset import offset
from .point_spread import spread_kernel
from .quantisation import quantise
from .readout_noise import readout_noise
from .record import DEAD, GOOD, HOT, MASKED, Response
from .saturation import saturate

__all__ = [
    "PARTS",
    "Response",
    "check",
    "efficiency",
    "good_pixels",
    "keys",
    "oversample",
    "response",
    "signal_dtype",
    "spread",
    "spread_kernel",
    "without_noise",
]

PARTS: tuple[Callable[..., Any], ...] = (
    _presets.preset,
    _efficiency,
    _source_blur.source_blur,
    _oversample.oversample,
    _point_spread.point_spread,
    dead_time,
    dark_counts,
    gain,
    readout_noise,
    offset,
    saturate,
    quantise,
    defects,
    gaps,
    _beam_stop.beam_stop,
    bad_pixels,
    masks,
)
"""All parts, in the order in which they act; photons are counted between spread and dead time."""

_AGREE = 1e-3  # relative; numbers that were given twice are often rounded
_KEYS = {part: declared_by(part) for part in PARTS}
_NUMBERS = (dead_time, dark_counts, gain, readout_noise, offset, saturate, quantise)


def keys() -> dict[str, Declared]:
    """The keys of all parts, in the order of `PARTS`."""
    return {name: key for keys in _KEYS.values() for name, key in keys.items()}


def _values(spec: Any) -> dict[str, Any]:
    """Every key; where there is no value, that of the preset."""
    given = {name: getattr(spec, name) for name in keys()}
    preset = _presets.preset(preset=given["preset"])
    return {name: preset.get(name) if value is None else value for name, value in given.items()}


def _part(part: Callable[..., Any], values: dict[str, Any], *context: Any) -> Any:
    try:
        return part(*context, **{name: values[name] for name in _KEYS[part]})
    except ScenarioError as error:
        preset = _presets.preset(preset=values["preset"])
        filled = [
            f"{name} {preset[name]}"
            for name in _KEYS[part]
            if name in preset and preset[name] == values[name]
        ]
        if not filled:
            raise
        whose = f"detector.preset {values['preset']!r} has {', '.join(filled)}"
        raise ScenarioError(f"{error}; {whose}", key=error.key) from None


def efficiency(spec: Any, geometry: Geometry | None = None) -> float:
    """Share of the photons that is detected, a factor of the dose.

    Parameters
    ----------
    spec : DetectorSpec
        The table ``[detector]``.
    geometry : Geometry, optional
        With the energy, if the sensor is given by material and thickness. The sensor of a preset
        counts where the energy of photons is known.

    Returns
    -------
    float
        Above 0, at most 1.

    Raises
    ------
    ScenarioError
        See `ptycho_fast.detector.efficiency`.

    Examples
    --------
    >>> from ptycho_fast.scenario import DetectorSpec
    >>> efficiency(DetectorSpec(quantum_efficiency=0.5))
    0.5
    """
    values = _values(spec)
    if spec.quantum_efficiency is not None:
        for name in ("material", "thickness_m"):
            if getattr(spec, name) is not None:
                expected = "nothing beside detector.quantum_efficiency"
                raise wrong(f"detector.{name}", getattr(spec, name), expected)
    if spec.material is spec.thickness_m is None and (
        geometry is None or geometry.energy_ev is None or geometry.radiation != "photon"
    ):
        values |= {"material": None, "thickness_m": None}
    return float(_part(_efficiency, values, geometry))


def spread(spec: Any) -> float:
    """Standard deviation of the blur of the expected photons, detector pixels.

    Parameters
    ----------
    spec : DetectorSpec
        The table ``[detector]``.

    Returns
    -------
    float
        Source blur and point spread together, whose variances add; 0 is off. `spread_kernel` makes
        the kernel.

    Examples
    --------
    >>> from ptycho_fast.scenario import DetectorSpec
    >>> spread(DetectorSpec(source_blur=0.3, point_spread=0.4))
    0.5
    """
    values = _values(spec)
    blur = _part(_source_blur.source_blur, values) + _part(_point_spread.point_spread, values)
    return float(blur**0.5)


def check(spec: Any, N: int, geometry: Geometry | None = None) -> None:
    """Raise if a detector does not go with a pattern or with the optics.

    Parameters
    ----------
    spec : DetectorSpec
        The table ``[detector]``.
    N : int
        Side of the pattern, pixels.
    geometry : Geometry, optional
        With the side of a detector pixel, which may be several of the preset's.

    Raises
    ------
    ScenarioError
        The blur is wider than the pattern, or the preset has other pixels.

    Examples
    --------
    >>> from ptycho_fast.scenario import DetectorSpec
    >>> check(DetectorSpec(preset="eiger2"), 64, Geometry(N=64, detector_pixel_m=150e-6))
    """
    blur = spread(spec)
    try:
        spread_kernel(blur, N)
    except ValueError:
        values = _values(spec)
        name = max(("source_blur", "point_spread"), key=lambda key: values[key] or 0.0)
        expected = f"less, so that the tails of the blur end within {N} pixels"
        raise wrong(f"detector.{name}", values[name], expected) from None
    side = _presets.PIXELS.get(spec.preset or "")
    pixel = None if geometry is None else geometry.detector_pixel_m
    if side is None or pixel is None:
        return
    binned = max(round(pixel / side), 1)
    if abs(pixel / (binned * side) - 1) > _AGREE:
        expected = f"{side:g} m, a pixel of detector.preset = {spec.preset!r}, or a multiple of it"
        raise wrong("optics.detector_pixel_m", pixel, expected)


def oversample(spec: Any) -> int:
    """Points of the far field along each side of a detector pixel; 1 is off."""
    return int(_part(_oversample.oversample, _values(spec)))


def response(
    spec: Any,
    N: int,
    seed: int = 0,
    *,
    defects_seed: int | None = None,
) -> Response | None:
    """What the kernels need to know of a detector.

    Parameters
    ----------
    spec : DetectorSpec
        The table ``[detector]``.
    N : int
        Side of the pattern, pixels.
    seed : int
        Seed of the noise.
    defects_seed : int, optional
        Seed of the choice of dead and hot pixels; by default `seed`.

    Returns
    -------
    Response or None
        None if everything that acts on counted photons is off.

    Raises
    ------
    ScenarioError
        Values that contradict each other; the message names the key.

    Examples
    --------
    >>> from ptycho_fast.scenario import DetectorSpec
    >>> response(DetectorSpec(), 64) is None
    True
    >>> response(DetectorSpec(saturation=100, gain=2.0), 64).ceiling
    100.0
    """
    values = _values(spec)
    numbers = _numbers(values)
    pixels = _pixels(values, N, seed if defects_seed is None else defects_seed)
    if pixels.any():
        numbers["pixels"] = pixels
        numbers |= _part(masks, values)
        numbers["hot"] = _hot(values, numbers) if (pixels == HOT).any() else 0.0
    if not numbers:
        return None
    made = Response(seed=seed, **numbers)
    if made.wrap and made.dtype == np.float32:
        expected = "false, or detector.quantisation as well: only whole signals wrap around"
        raise wrong("detector.wrap", True, expected)
    return made


def _numbers(values: dict[str, Any]) -> dict[str, Any]:
    """What all parts that act on counted photons put into a `Response`."""
    numbers: dict[str, Any] = {}
    for part in _NUMBERS:
        numbers |= _part(part, values)
    return numbers


def _hot(values: dict[str, Any], numbers: dict[str, Any]) -> float:
    if values["hot_value"] is not None:
        return float(values["hot_value"])
    if "ceiling" not in numbers:
        expected = "a number, since there are hot pixels and no detector.saturation"
        raise wrong("detector.hot_value", None, expected)
    return float(numbers["ceiling"])


def _pixels(values: dict[str, Any], N: int, seed: int) -> npt.NDArray[np.uint8]:
    """(N, N) uint8: the state of each pixel."""
    pixels: npt.NDArray[np.uint8] = _part(defects, values, N, seed)
    masked = _part(gaps, values, N) | _part(_beam_stop.beam_stop, values, N)
    pixels[masked | _part(bad_pixels, values, N)] = MASKED
    return pixels


def good_pixels(spec: Any, N: int, seed: int = 0) -> npt.NDArray[np.bool_] | None:
    """Which pixels tell something about the light.

    Parameters
    ----------
    spec : DetectorSpec
        The table ``[detector]``.
    N : int
        Side of the pattern, pixels.
    seed : int
        Seed of the choice of dead and hot pixels.

    Returns
    -------
    (N, N) bool, or None
        False where a pixel is dead, hot, in a gap, behind the beam stop, or bad in a
        file; None if all are good.

    Examples
    --------
    >>> from ptycho_fast.scenario import DetectorSpec
    >>> int((~good_pixels(DetectorSpec(beam_stop_radius=1.1), 64)).sum())
    5
    """
    good = _pixels(_values(spec), N, seed) == GOOD
    return None if good.all() else good


def signal_dtype(spec: Any) -> np.dtype[Any]:
    """Type of the signals.

    Parameters
    ----------
    spec : DetectorSpec
        The table ``[detector]``.

    Returns
    -------
    dtype
        uint32 for whole signals, int32 if they may be negative, float32 if they are not whole.

    Examples
    --------
    >>> from ptycho_fast.scenario import DetectorSpec
    >>> signal_dtype(DetectorSpec(readout_noise=2.0)).name
    'float32'
    >>> signal_dtype(DetectorSpec(readout_noise=2.0, quantisation=1.0)).name
    'int32'
    """
    values = _values(spec)
    numbers = _numbers(values)
    numbers |= _part(masks, values) | {"hot": values["hot_value"] or 0.0}
    return Response(**numbers).dtype


def without_noise(photons: npt.NDArray[Any], response: Response) -> npt.NDArray[Any]:
    """What a detector leaves of expected photons: saturation and bad pixels, in photons.

    Parameters
    ----------
    photons : (B, N, N) floats
        Expected photons per pixel, zero frequency at ``(N // 2, N // 2)``; not modified.
    response : Response
        Its noise, dead time, gain and offset do not act; its limits are taken to photons.

    Returns
    -------
    (B, N, N), same dtype
        `photons` itself if nothing acts.

    Examples
    --------
    >>> without_noise(np.array([[[5.0, 500.0]]]), Response(ceiling=200.0, gain=2.0))
    array([[[  5., 100.]]])
    """

    def in_photons(signal: float) -> float:
        return (signal - response.offset) / response.gain

    seen = photons
    if response.ceiling:
        largest = in_photons(response.ceiling)
        if response.wrap:
            seen = seen % (largest + (response.step or 1.0) / response.gain)
        else:
            seen = np.minimum(seen, largest)
    if response.pixels is None:
        return seen
    if seen is photons:
        seen = photons.copy()
    states = ((DEAD, 0.0), (HOT, in_photons(response.hot)), (MASKED, response.masked))
    for state, value in states:
        seen[:, response.pixels == state] = value
    return seen
