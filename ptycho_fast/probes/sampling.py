"""The grid of a probe, and what must hold for a beam of metres to fit on it."""

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Key, wrong
from ptycho_fast.optics import Geometry

Real = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

DefocusM = Annotated[
    float,
    Key(
        "distance between focus and object, metres; zone_plate: > 0 has the object behind the "
        "focus; electron: > 0 is underfocus (-C10), the object before the focus",
        synonyms=("defocus", "c10"),
    ),
]
_SLIP = 1e3  # a beam this many times too large is a slip of units


def offsets(N: int) -> Real:
    """Distance from pixel ``N // 2``, where a position points, along one axis.

    Parameters
    ----------
    N : int
        Side, pixels.

    Returns
    -------
    (N,) float64
        Pixels.

    Raises
    ------
    TypeError, ValueError
        `N` is not an integer of at least 1.

    Examples
    --------
    >>> offsets(4)
    array([-2., -1.,  0.,  1.])
    """
    return np.arange(checks.count(N, "N"), dtype=np.float64) - N // 2


def radii(N: int) -> Real:
    """Distance from pixel ``(N // 2, N // 2)``, (N, N) float64, pixels."""
    along = offsets(N)
    return np.hypot(along[:, None], along)


def frequencies(N: int, pixel_m: float) -> tuple[Real, Real]:
    """Spatial frequencies along y and x, as they lie in a transform.

    Parameters
    ----------
    N : int
        Side, pixels.
    pixel_m : float
        Size of a pixel of the object, metres.

    Returns
    -------
    (N, 1) and (1, N) float64
        Cycles per metre; zero is at index 0.

    Examples
    --------
    >>> ky, kx = frequencies(4, 0.5)
    >>> kx
    array([[ 0. ,  0.5, -1. , -0.5]])
    """
    along = np.fft.fftfreq(checks.count(N, "N"), pixel_m).astype(np.float64)
    return along[:, None], along[None, :]


def covered(inside: Real) -> Real:
    """What share of a pixel an aperture leaves open, from its distance to the edge.

    Parameters
    ----------
    inside : ndarray, float64
        Distance from the pixel's centre to the edge, pixels; above zero inside.

    Returns
    -------
    ndarray, float64
        0 to 1: a straight ramp, one pixel wide, which keeps the aperture's size between pixels.

    Examples
    --------
    >>> covered(np.array([-1.0, 0.0, 0.25, 1.0]))
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    return np.clip(inside + 0.5, 0.0, 1.0)


def focused(pupil: npt.NDArray[Any]) -> Complex:
    """The field in the focal plane of a pupil, centred on pixel ``(N // 2, N // 2)``.

    Parameters
    ----------
    pupil : (N, N), float or complex
        Amplitude by spatial frequency, zero frequency at (0, 0).

    Returns
    -------
    (N, N) complex128
        Its unitary inverse transform: a plane wave ``exp(2 pi i k r)`` for each frequency, so that
        it ends at the same frequency on the detector.
    """
    return np.fft.fftshift(np.fft.ifft2(pupil, norm="ortho"))


def unit_power(probe: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Scale a probe to ``sum |probe|**2 = 1``.

    Raises
    ------
    ValueError
        It is zero everywhere.

    Examples
    --------
    >>> unit_power(np.ones((2, 2)), "probe")
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    power = float(np.square(np.abs(probe), dtype=np.float64).sum())
    return probe / np.sqrt(checks.positive(power, f"power of the {name}"))


def pixel_size(geometry: Geometry | None, wanted_by: str) -> float:
    """Size of an object pixel, metres.

    Raises
    ------
    ScenarioError
        It is not known; `wanted_by` says what needs it.
    """
    return _known(geometry).need("object_pixel_m", wanted_by)


def wavelength_of(geometry: Geometry | None, radiation: str, wanted_by: str) -> float:
    """The wavelength, metres, of the radiation that a kind of probe is made of.

    Raises
    ------
    ScenarioError
        It is not known, or the radiation is another one.
    """
    known = _known(geometry)
    if known.radiation != radiation:
        raise wrong("optics.radiation", known.radiation, f"{radiation!r} for {wanted_by}")
    return known.need("wavelength_m", wanted_by)


def _known(geometry: Geometry | None) -> Geometry:
    return Geometry(N=1) if geometry is None else geometry


def in_pixels(
    name: str,
    pixels: float | None,
    metres: float | None,
    geometry: Geometry | None,
    default: float,
) -> float:
    """A length that a table may give in pixels or in metres.

    Parameters
    ----------
    name : str
        Of the key in pixels; that in metres has ``_m`` behind it.
    pixels, metres : float or None
        The two keys, at most one of them given.
    geometry : Geometry or None
        Has the size of an object pixel, which metres need.
    default : float
        Where neither is given, pixels.

    Returns
    -------
    float
        Pixels.

    Raises
    ------
    ScenarioError
        Both are given, or metres without the size of an object pixel.

    Examples
    --------
    >>> in_pixels("sigma", None, None, None, default=8.0)
    8.0
    """
    if metres is None:
        return default if pixels is None else checks.positive(pixels, name)
    if pixels is not None:
        raise wrong(f"probe.{name}_m", metres, f"nothing beside probe.{name}")
    key = f"probe.{name}_m"
    return checks.positive(metres, f"{name}_m") / pixel_size(geometry, key)


def beam_width(
    name: str,
    pixels: float | None,
    metres: float | None,
    geometry: Geometry | None,
    N: int,
    *,
    default: float,
    limits: tuple[float, float],
) -> float:
    """A width of a beam as by `in_pixels`, checked as by `check_width`."""
    width = in_pixels(name, pixels, metres, geometry, default)
    given, key = (pixels, name) if metres is None else (metres, f"{name}_m")
    check_width(key, width if given is None else given, width, limits, N)
    return width


def check_width(key: str, given: float, pixels: float, limits: tuple[float, float], N: int) -> None:
    """Raise unless a width is one that N pixels can hold, both of the beam and of its pattern.

    Parameters
    ----------
    key : str
        The key that the width came from.
    given : float
        Its value, for the message.
    pixels : float
        The width, object pixels.
    limits : (float, float)
        The narrowest and the widest that N pixels can hold.
    N : int
        Side, pixels.

    Raises
    ------
    ScenarioError
        The beam is too wide, or its pattern; the message says what to change.

    Examples
    --------
    >>> check_width("sigma", 3.0, 3.0, (0.3, 8.0), 32)
    >>> check_width("sigma_m", 3e-3, 3e5, (0.3, 8.0), 32)
    Traceback (most recent call last):
        ...
    ptycho_fast.errors.ScenarioError: probe.sigma_m: 0.003 given (3e+05 pixels), expected 0.3 to 8 \
pixels, for a beam and a pattern inside N = 32; is it in metres?
    """
    least, most = limits
    if least <= pixels <= most:
        return
    slip = not least / _SLIP < pixels < most * _SLIP
    unit = "metres" if key.endswith("_m") else "pixels"
    hint = f"is it in {unit}?" if slip else "take a larger N or another width"
    raise ScenarioError(
        f"probe.{key}: {given:g} given ({pixels:.4g} pixels), expected {least:.4g} to {most:.4g} "
        f"pixels, for a beam and a pattern inside N = {N}; {hint}",
        key=f"probe.{key}",
    )


def check_fits(kind: str, N: int, pixel_m: float, cone: float, diameter_m: float) -> None:
    """Raise unless the cone fits on the detector and the beam into the field of view.

    Parameters
    ----------
    kind : str
        Of the probe, for messages.
    N : int
        Side, pixels.
    pixel_m : float
        Size of an object pixel, metres.
    cone : float
        Diameter of the illumination's cone on the detector, detector pixels.
    diameter_m : float
        Of the beam at the object, metres.

    Raises
    ------
    ScenarioError
        The beam would be aliased; the message says what to change.

    Examples
    --------
    >>> check_fits("electron", 64, 2e-11, 30.0, 9e-10)
    >>> check_fits("electron", 64, 2e-11, 30.0, 9e-9)
    Traceback (most recent call last):
        ...
    ptycho_fast.errors.ScenarioError: probe.kind: 'electron' given, whose beam is 9e-09 m wide at \
the object, expected at most N * optics.object_pixel_m = 64 * 2e-11 m = 1.28e-09 m, since it would \
be aliased: take a larger N or object pixel, or less defocus and aberration
    """
    if not cone < N:
        raise ScenarioError(
            f"probe.kind: {kind!r} given, whose cone is {cone:.4g} detector pixels wide, expected "
            f"less than N = {N}: take a larger N, an object pixel smaller than {pixel_m:.3g} m "
            "(a shorter optics.detector_distance_m), or a smaller numerical aperture",
            key="probe.kind",
        )
    field = N * pixel_m
    if not diameter_m <= field:
        slip = diameter_m > _SLIP * field
        raise ScenarioError(
            f"probe.kind: {kind!r} given, whose beam is {diameter_m:.3g} m wide at the object, "
            f"expected at most N * optics.object_pixel_m = {N} * {pixel_m:.3g} m = {field:.3g} m, "
            "since it would be aliased: "
            + (
                "are all lengths in metres?"
                if slip
                else "take a larger N or object pixel, or less defocus and aberration"
            ),
            key="probe.kind",
        )
