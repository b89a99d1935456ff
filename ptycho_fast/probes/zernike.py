"""A beam through an aperture whose phase is a sum of Zernike polynomials."""

import math
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Key, wrong
from ptycho_fast.kinds import kind
from ptycho_fast.rng import generator

from .sampling import Complex, Real, covered, focused, offsets, unit_power


@kind("zernike")
def zernike(
    N: int,
    seed: int = 0,
    *,
    aperture: Annotated[
        Literal["disk", "annulus", "square"], Key("shape of the opening, with sharp edges")
    ] = "disk",
    aperture_radius: Annotated[
        float | None,
        Key(
            "its radius, or half the side of a square, pixels: of the object, or of the detector "
            "with plane = fourier; by default N/4",
            gt=0,
        ),
    ] = None,
    obstruction: Annotated[
        float, Key("inner over outer radius of an annulus, no unit", gt=0, lt=1)
    ] = 0.5,
    plane: Annotated[
        Literal["object", "fourier"],
        Key("where the aperture is: at the object, or in a lens whose focus is at the object"),
    ] = "object",
    coefficients: Annotated[
        tuple[float, ...] | None,
        Key("coefficient of each Zernike polynomial in indices, root mean square"),
    ] = None,
    indices: Annotated[
        tuple[int, ...] | None, Key("numbers of the Zernike polynomials", ge=0, le=1000)
    ] = None,
    ordering: Annotated[
        Literal["noll", "osa"], Key("how they are numbered: Noll from 1, or OSA/ANSI from 0")
    ] = "noll",
    phase_unit: Annotated[
        Literal["radians", "waves"], Key("unit of the coefficients; a wave is 2 pi")
    ] = "radians",
    random_rms: Annotated[
        float,
        Key("root mean square of further, random aberrations, in phase_unit; 0 is none", ge=0),
    ] = 0.0,
    random_degree: Annotated[
        int, Key("radial degrees of the random aberrations: from 2 (defocus) to this", ge=2, le=20)
    ] = 4,
) -> Complex:
    """Aperture with a phase of Zernike polynomials.

    The polynomials have unit variance over the unit disk (see `polynomial`), so a coefficient is
    the root mean square of its phase over a full disk. The unit disk is the disk or the annulus'
    outer edge, or goes through the corners of the square; on an annulus or a square the
    polynomials are the same ones and no longer orthogonal.

    Parameters
    ----------
    N : int
        Side, pixels.
    seed : int
        Of the random aberrations, 0 to 2**64 - 1.
    aperture : {"disk", "annulus", "square"}
        Shape of the opening.
    aperture_radius : float, optional
        Its radius or half side, pixels; N/4 by default.
    obstruction : float
        Inner over outer radius of an annulus.
    plane : {"object", "fourier"}
        Whether the aperture is at the object or in its Fourier plane, where pixels are those of the
        detector.
    coefficients, indices : tuple, optional
        Coefficients and numbers of the polynomials, as many of each; without them, a flat phase.
    ordering : {"noll", "osa"}
        How they are numbered.
    phase_unit : {"radians", "waves"}
        Unit of the coefficients.
    random_rms : float
        Root mean square over a full disk of random aberrations: normal coefficients of all
        polynomials of degree 2 to `random_degree`, scaled so that it is exact.
    random_degree : int
        Highest radial degree of the random aberrations.

    Returns
    -------
    (N, N) complex128
        The probe, of unit power, centred on pixel ``(N // 2, N // 2)``.

    Raises
    ------
    ScenarioError
        There are not as many indices as coefficients, an index is none of the ordering, the
        aperture does not fit into N pixels, or the phase is too steep for them.

    Examples
    --------
    Half a radian of defocus, Noll's number 4:

    >>> probe = zernike(64, coefficients=(0.5,), indices=(4,))
    >>> inside = abs(probe) > 0.4 * abs(probe).max()
    >>> print(f"{np.angle(probe[inside] / probe[32, 32]).std():.1f}")
    0.5
    """
    checks.choice(aperture, "aperture", ("disk", "annulus", "square"))
    checks.choice(plane, "plane", ("object", "fourier"))
    checks.choice(phase_unit, "phase_unit", ("radians", "waves"))
    along = offsets(N)
    edge = N / 4 if aperture_radius is None else checks.positive(aperture_radius, "aperture_radius")
    if edge > N / 2:
        raise wrong("probe.aperture_radius", aperture_radius, f"at most N/2 = {N / 2:g} pixels")
    sizes, numbers = coefficients or (), indices or ()
    if len(sizes) != len(numbers):
        given = f"{len(sizes)} numbers given, expected {len(numbers)}"
        raise ScenarioError(
            f"probe.coefficients: {given}, one for each of probe.indices", key="probe.coefficients"
        )
    if len(set(numbers)) < len(numbers):
        raise wrong("probe.indices", numbers, "each number once")
    y, x = along[:, None], along[None, :]
    r = np.hypot(y, x)
    if aperture == "square":
        side = covered(edge - np.abs(along))
        opening, unit = np.outer(side, side), edge * math.sqrt(2)
    else:
        opening, unit = covered(edge - r), edge
        if aperture == "annulus":
            inner = checks.number(obstruction, "obstruction", above=0, most=1)
            opening = opening - covered(inner * edge - r)
    phase, theta = np.zeros((N, N)), np.arctan2(y, x)
    terms = [(size, *degrees(j, ordering)) for size, j in zip(sizes, numbers, strict=True)]
    for size, n, m in [*terms, *random_terms(seed, random_rms, random_degree)]:
        phase += size * polynomial(n, m, r / unit, theta)
    if phase_unit == "waves":
        phase *= 2 * math.pi
    steepest = _steepest(phase, opening > 0.5)
    if steepest > math.pi:
        name = "coefficients" if any(sizes) else "random_rms"
        expected = (
            f"less: the phase changes by up to {steepest:.3g} rad from pixel to pixel, and more "
            "than pi is aliased"
        )
        raise wrong(f"probe.{name}", coefficients if any(sizes) else random_rms, expected)
    probe = opening * np.exp(1j * phase)
    if plane == "fourier":
        probe = focused(np.fft.ifftshift(probe))
    return unit_power(probe, "probe")


def _steepest(phase: Real, inside: npt.NDArray[np.bool_]) -> float:
    """The largest step of a phase from a pixel to the next in a row or column, radians."""
    steps = [
        np.abs(np.diff(phase, axis=axis))[
            inside.take(range(1, len(phase)), axis) & inside.take(range(len(phase) - 1), axis)
        ]
        for axis in (0, 1)
    ]
    return max(float(step.max(initial=0.0)) for step in steps)


def random_terms(seed: int, rms: float, degree: int) -> list[tuple[float, int, int]]:
    """Random coefficients of the Zernike polynomials of degree 2 to `degree`.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    rms : float
        Root of the sum of their squares; 0 gives none.
    degree : int
        Highest radial degree.

    Returns
    -------
    list of (float, int, int)
        Coefficient, n and m of each.

    Examples
    --------
    >>> terms = random_terms(42, 0.5, 3)
    >>> len(terms), f"{sum(size**2 for size, _, _ in terms):.4f}"
    (7, '0.2500')
    """
    if not checks.number(rms, "random_rms", least=0):
        return []
    highest = checks.integer(degree, "random_degree", 2)
    orders = [(n, m) for n in range(2, highest + 1) for m in range(-n, n + 1, 2)]
    drawn = generator(seed, "probe_aberrations").standard_normal(len(orders))
    sizes = (rms / np.linalg.norm(drawn) * drawn).tolist()
    return [(size, n, m) for size, (n, m) in zip(sizes, orders, strict=True)]


def degrees(index: int, ordering: str) -> tuple[int, int]:
    """Radial degree n and azimuthal degree m of a Zernike polynomial's number.

    Parameters
    ----------
    index : int
        From 1 in Noll's ordering, from 0 in that of OSA and ANSI.
    ordering : {"noll", "osa"}
        Which numbers. Sources: R. J. Noll, J. Opt. Soc. Am. 66, 207 (1976); L. N. Thibos et al.,
        J. Refract. Surg. 18, S652 (2002), ANSI Z80.28.

    Returns
    -------
    (int, int)
        n and m; m < 0 is the sine of ``|m| theta``.

    Raises
    ------
    ScenarioError
        There is no such number.

    Examples
    --------
    >>> [degrees(j, "noll") for j in (1, 2, 3, 4, 5, 8, 11)]
    [(0, 0), (1, 1), (1, -1), (2, 0), (2, -2), (3, 1), (4, 0)]
    >>> [degrees(j, "osa") for j in (0, 1, 2, 4, 12)]
    [(0, 0), (1, -1), (1, 1), (2, 0), (4, 0)]
    """
    checks.choice(ordering, "ordering", ("noll", "osa"))
    first = 1 if ordering == "noll" else 0
    if index < first:
        raise wrong("probe.indices", index, f"{first} or more in the ordering {ordering!r}")
    place = index - first
    n = (math.isqrt(8 * place + 1) - 1) // 2
    place -= n * (n + 1) // 2
    if ordering == "osa":
        return n, 2 * place - n
    m = 2 * ((place + 1 + n % 2) // 2) - n % 2  # 0, 2, 2, 4, 4 ... or 1, 1, 3, 3 ...
    return n, m if index % 2 == 0 else -m


def polynomial(n: int, m: int, rho: npt.NDArray[np.floating], theta: npt.ArrayLike) -> Real:
    """A Zernike polynomial of unit variance over the unit disk (Noll 1976).

    ``sqrt(n + 1) R(rho)`` for m = 0, otherwise ``sqrt(2 (n + 1)) R(rho)`` times ``cos(m theta)``,
    or ``sin(|m| theta)`` for m < 0.

    Parameters
    ----------
    n, m : int
        Radial and azimuthal degree, ``|m| <= n``, ``n - m`` even.
    rho : (...) float
        Distance from the centre in units of the disk's radius.
    theta : (...) float
        Angle from x (columns) towards y (rows), radians.

    Returns
    -------
    (...) float64
        No unit.

    Examples
    --------
    >>> print(polynomial(2, 0, np.array([0.0, 1.0]), 0.0))
    [-1.73205081  1.73205081]
    """
    from scipy.special import eval_jacobi

    turns, rho = abs(m), np.asarray(rho, np.float64)
    # R as a Jacobi polynomial in 1 - 2 rho**2: Born and Wolf, "Principles of Optics", 9.2.1.
    half = (n - turns) // 2
    radial = (-1) ** half * rho**turns * eval_jacobi(half, turns, 0, 1 - 2 * rho**2)
    around = np.sin(turns * np.asarray(theta)) if m < 0 else np.cos(turns * np.asarray(theta))
    return math.sqrt((n + 1) * (1 if m == 0 else 2)) * radial * around
