"""The focus of a Fresnel zone plate, and planes near it."""

import math
from typing import Annotated, Literal, NamedTuple

import numpy as np

from ptycho_fast import checks
from ptycho_fast.keys import Key, wrong
from ptycho_fast.kinds import kind
from ptycho_fast.optics import Geometry

from .sampling import (
    Complex,
    DefocusM,
    check_fits,
    covered,
    focused,
    frequencies,
    pixel_size,
    radii,
    unit_power,
    wavelength_of,
)


class ZonePlate(NamedTuple):
    """A zone plate: diameter, outermost zone width, diameter of the central stop, metres."""

    diameter_m: float
    outer_zone_width_m: float
    central_stop_m: float


ZONE_PLATES = {
    "2-ID-D": ZonePlate(160e-6, 70e-9, 60e-6),
    "HXN": ZonePlate(160e-6, 30e-9, 80e-6),
    "LYNX": ZonePlate(114.8e-6, 60e-9, 40e-6),
    "PtychoProbe": ZonePlate(180e-6, 15e-9, 15e-6),
    "Velociprobe": ZonePlate(180e-6, 50e-9, 60e-6),
}
"""Zone plates of the Advanced Photon Source, under the names that ptychodus gives them.

Source of all: ptychodus, ``plugins/fresnel_zone_plate.py``. "2-ID-D" is at beamline 2-ID-D (also
tike, ``ptycho/fresnel.py``, "2idd"), "HXN" at 26-ID-C of CNM and APS, "LYNX" at 31-ID-E (tike:
"lamni"), "PtychoProbe" and "Velociprobe" (tike: "velo") at 33-ID-C.
"""


@kind("zone_plate")
def zone_plate(
    N: int,
    geometry: Geometry | None = None,
    *,
    zone_plate: Annotated[
        Literal["2-ID-D", "HXN", "LYNX", "PtychoProbe", "Velociprobe"] | None,
        Key(
            "zone plate of an instrument, in place of diameter_m, outer_zone_width_m and "
            "central_stop_m; one of these given beside it wins",
            synonyms=("beamline", "instrument", "fzp"),
        ),
    ] = None,
    diameter_m: Annotated[float | None, Key("diameter of the zone plate, metres", gt=0)] = None,
    outer_zone_width_m: Annotated[
        float | None, Key("width of its outermost zone, metres", gt=0)
    ] = None,
    central_stop_m: Annotated[
        float | None, Key("diameter of the central stop, metres; 0 is none", ge=0)
    ] = None,
    defocus_m: DefocusM = 0.0,
) -> Complex:
    """Fresnel zone plate: its first order, at the focus or near it.

    The zone plate is a thin lens with focal length ``f = D dr / wavelength`` and an opaque central
    stop; other orders and the efficiency are left out. The field at the distance ``f + defocus``
    behind it is its Fresnel integral, exact in the paraxial approximation::

        exp(i pi r**2 / (wavelength (f + defocus))) * sum over zone plate of
            exp(-i pi s**2 defocus / (wavelength f (f + defocus)))
            * exp(2 pi i r s / (wavelength (f + defocus)))

    Source of the focal length: D. Attwood, "Soft X-Rays and Extreme Ultraviolet Radiation",
    chapter 9 (2000); NA is ``wavelength / (2 dr)``.

    Parameters
    ----------
    N : int
        Side, pixels.
    geometry : Geometry
        Has the wavelength of the photons and the size of an object pixel.
    zone_plate : str, optional
        A name in `ZONE_PLATES`.
    diameter_m, outer_zone_width_m, central_stop_m : float, optional
        Diameter D, outermost zone width dr and diameter of the central stop (without it, none),
        metres.
    defocus_m : float
        How far the object is behind the focus, metres; before it if negative. The same sign as in
        tike and ptychodus.

    Returns
    -------
    (N, N) complex128
        The probe, of unit power, centred on pixel ``(N // 2, N // 2)``.

    Raises
    ------
    ScenarioError
        A number is missing or contradicts another one, or the beam does not fit into N pixels.

    Examples
    --------
    >>> from ptycho_fast.optics import Geometry
    >>> optics = Geometry(N=128, wavelength_m=1.4e-10, object_pixel_m=1.5e-8)
    >>> probe = zone_plate(128, optics, zone_plate="Velociprobe", defocus_m=4e-4)
    >>> probe.shape, f"{(abs(probe) ** 2).sum():.4f}"
    ((128, 128), '1.0000')
    """
    wanted_by = "probe.kind 'zone_plate'"
    wavelength = wavelength_of(geometry, "photon", wanted_by)
    pixel = pixel_size(geometry, wanted_by)
    plate = _chosen(zone_plate, diameter_m, outer_zone_width_m, central_stop_m)
    focus = plate.diameter_m * plate.outer_zone_width_m / wavelength
    away = checks.number(defocus_m, "defocus_m")
    distance = focus + away
    if not distance > 0:
        expected = f"metres behind the focus, above minus the focal length ({focus:.4g} m)"
        raise wrong("probe.defocus_m", defocus_m, expected)
    check_fits(
        "zone_plate",
        N,
        pixel,
        cone=plate.diameter_m / (wavelength * distance) * N * pixel,
        diameter_m=max(
            plate.diameter_m * abs(away) / focus, 2.44 * wavelength * distance / plate.diameter_m
        ),
    )
    ky, kx = frequencies(N, pixel)
    place = wavelength * distance * np.hypot(ky, kx)  # on the zone plate, metres
    step = wavelength * distance / (N * pixel)
    pupil = covered((plate.diameter_m / 2 - place) / step)
    if plate.central_stop_m > 0:
        pupil = pupil - covered((plate.central_stop_m / 2 - place) / step)
    phase = -math.pi * place**2 * away / (wavelength * focus * distance)
    curved = math.pi * (radii(N) * pixel) ** 2 / (wavelength * distance)
    return unit_power(focused(pupil * np.exp(1j * phase)) * np.exp(1j * curved), "probe")


def _chosen(
    name: str | None, diameter: float | None, width: float | None, stop: float | None
) -> ZonePlate:
    """The zone plate of a name, with what was given beside it, or the one that was given."""
    known = ZonePlate(0.0, 0.0, 0.0)
    if name is not None:
        known = ZONE_PLATES[checks.choice(name, "zone_plate", ZONE_PLATES)]
    own = (diameter, width, stop)
    given = ZonePlate(*(a if b is None else b for a, b in zip(known, own, strict=True)))
    for key in ("diameter_m", "outer_zone_width_m"):
        value = getattr(given, key)
        if value == 0 and name is None:
            names = ", ".join(ZONE_PLATES)
            raise wrong(f"probe.{key}", None, f"metres, or probe.zone_plate, one of {names}")
        checks.positive(value, key)
    if not 0 <= given.central_stop_m < given.diameter_m:
        expected = f"0 to less than the diameter of the zone plate, {given.diameter_m:.4g} m"
        raise wrong("probe.central_stop_m", given.central_stop_m, expected)
    if not given.outer_zone_width_m < given.diameter_m / 4:
        expected = f"metres, far less than the diameter of the zone plate, {given.diameter_m:.4g} m"
        raise wrong("probe.outer_zone_width_m", given.outer_zone_width_m, expected)
    return given
