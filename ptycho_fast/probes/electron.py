"""The probe of an electron microscope, with aberrations."""

import math
from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.optics import Geometry

from .sampling import (
    Complex,
    DefocusM,
    Real,
    check_fits,
    covered,
    focused,
    frequencies,
    pixel_size,
    unit_power,
    wavelength_of,
)


@kind("electron")
def electron(
    N: int,
    geometry: Geometry | None = None,
    *,
    semi_angle: Annotated[
        float,
        Key(
            "half the opening angle of the probe's cone, radians",
            gt=0,
            lt=0.5,
            synonyms=("semiangle", "semiangle_cutoff", "convergence_angle"),
        ),
    ] = 0.02,
    defocus_m: DefocusM = 0.0,
    cs_m: Annotated[
        float, Key("spherical aberration C30 = Cs, metres", synonyms=("cs", "c3", "c30"))
    ] = 0.0,
    astigmatism_m: Annotated[
        float, Key("two-fold astigmatism C12 = A1, metres", synonyms=("c12", "a1"))
    ] = 0.0,
    astigmatism_angle: Annotated[
        float, Key("its direction phi12, from x towards y, radians", synonyms=("phi12",))
    ] = 0.0,
    coma_m: Annotated[
        float, Key("axial coma C21 = 3 B2, metres", synonyms=("c21", "b2", "coma"))
    ] = 0.0,
    coma_angle: Annotated[
        float, Key("its direction phi21, from x towards y, radians", synonyms=("phi21",))
    ] = 0.0,
) -> Complex:
    """Electron probe: a cone of electrons with aberrations.

    The probe is the inverse transform of ``A(alpha) exp(-i chi(alpha, phi))``, where A is 1 up to
    the semi-angle and chi is that of `aberration_phase`.

    Parameters
    ----------
    N : int
        Side, pixels.
    geometry : Geometry
        Has the relativistic wavelength of the electrons and the size of an object pixel.
    semi_angle : float
        Largest angle of the cone, radians.
    defocus_m : float
        ``-C10``, metres: above zero is underfocus, where the focus is behind the object.
    cs_m, astigmatism_m, coma_m : float
        C30, C12 and C21, metres.
    astigmatism_angle, coma_angle : float
        phi12 and phi21, radians.

    Returns
    -------
    (N, N) complex128
        The probe, of unit power, centred on pixel ``(N // 2, N // 2)``.

    Raises
    ------
    ScenarioError
        The radiation is not "electron", a number is missing, or the beam does not fit into N
        pixels.

    Examples
    --------
    >>> from ptycho_fast.optics import Geometry
    >>> optics = Geometry(
    ...     N=128, radiation="electron", energy_ev=2e5, wavelength_m=2.508e-12, object_pixel_m=2e-11
    ... )
    >>> probe = electron(128, optics, semi_angle=0.02, defocus_m=2e-8, cs_m=1e-5)
    >>> probe.shape, f"{(abs(probe) ** 2).sum():.4f}"
    ((128, 128), '1.0000')
    """
    wanted_by = "probe.kind 'electron'"
    wavelength = wavelength_of(geometry, "electron", wanted_by)
    pixel = pixel_size(geometry, wanted_by)
    largest = checks.number(semi_angle, "semi_angle", above=0, most=0.5)
    ky, kx = frequencies(N, pixel)
    alpha, phi = wavelength * np.hypot(ky, kx), np.arctan2(ky, kx)
    step = wavelength / (N * pixel)  # angle of a detector pixel
    pupil = covered((largest - alpha) / step)
    chi = aberration_phase(
        alpha,
        phi,
        wavelength,
        defocus_m=defocus_m,
        cs_m=cs_m,
        astigmatism_m=astigmatism_m,
        astigmatism_angle=astigmatism_angle,
        coma_m=coma_m,
        coma_angle=coma_angle,
    )
    # A ray at frequency k meets the object at (d chi / d k) / (2 pi) from the axis.
    slopes = np.gradient(np.fft.fftshift(chi), 1 / (N * pixel))
    shift = np.hypot(*slopes)[np.fft.fftshift(alpha <= largest)].max() / (2 * math.pi)
    check_fits(
        "electron",
        N,
        pixel,
        cone=2 * largest / step,
        diameter_m=max(2 * float(shift), 1.22 * wavelength / largest),
    )
    return unit_power(focused(pupil * np.exp(-1j * chi)), "probe")


def aberration_phase(
    alpha: npt.ArrayLike,
    phi: npt.ArrayLike,
    wavelength_m: float,
    *,
    defocus_m: float = 0.0,
    cs_m: float = 0.0,
    astigmatism_m: float = 0.0,
    astigmatism_angle: float = 0.0,
    coma_m: float = 0.0,
    coma_angle: float = 0.0,
) -> Real:
    """Phase chi by which a lens with aberrations is too late, in the convention of abTEM.

    ::

        chi = 2 pi / wavelength * (alpha**2 / 2 * (C10 + C12 cos(2 (phi - phi12)))
                                   + alpha**3 / 3 * C21 cos(phi - phi21)
                                   + alpha**4 / 4 * C30),    C10 = -defocus

    and the wave is multiplied by ``exp(-i chi)``. Source: abTEM, ``transfer.py``, after equation
    2.22 of E. J. Kirkland, "Advanced Computing in Electron Microscopy", 2nd edition (2010).

    Parameters
    ----------
    alpha : (...) float
        Angle to the axis, radians.
    phi : (...) float
        Azimuth, from x (columns) towards y (rows), radians. abTEM's first axis is x, so its arrays
        are transposed.
    wavelength_m : float
        Of the electrons, metres.
    defocus_m, cs_m, astigmatism_m, astigmatism_angle, coma_m, coma_angle : float
        As in `electron`.

    Returns
    -------
    (...) float64
        Radians.

    Raises
    ------
    TypeError, ValueError
        A number is not finite, or the wavelength not above zero.

    Examples
    --------
    At 10 mrad, 10 nm of defocus are 0.5 micrometres times pi / 2.5 pm times 1e-6:

    >>> print(f"{aberration_phase(0.01, 0.0, 2.5e-12, defocus_m=1e-8):.4f}")
    -1.2566
    """
    angle, azimuth = np.asarray(alpha, np.float64), np.asarray(phi, np.float64)
    c10, c30 = -checks.number(defocus_m, "defocus_m"), checks.number(cs_m, "cs_m")
    c12, c21 = checks.number(astigmatism_m, "astigmatism_m"), checks.number(coma_m, "coma_m")
    twofold = c12 * np.cos(2 * (azimuth - checks.number(astigmatism_angle, "astigmatism_angle")))
    onefold = c21 * np.cos(azimuth - checks.number(coma_angle, "coma_angle"))
    way = angle**2 / 2 * (c10 + twofold) + angle**3 / 3 * onefold + angle**4 / 4 * c30
    return 2 * math.pi / checks.positive(wavelength_m, "wavelength_m") * way
