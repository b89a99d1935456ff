"""Modes of the dose: what ``[dose]`` asks for, as an intensity scale and a factor for each pattern.

A pixel of pattern b expects ``s**2 factor_b I`` counts. The scale s has the detector's quantum
efficiency q in it: modes that speak of incident photons multiply them by q, modes that speak of
detected photons mean those that are left behind it.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks, scaling
from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import wrong
from ptycho_fast.optics import Geometry
from ptycho_fast.scenario import DoseSpec

MEANINGS = {
    "detected_mean": "{} per pattern",
    "incident": "{} in the probe",
    "per_pattern": "{} in every pattern",
    "per_pixel_mean": "{} per detector pixel",
    "max_pattern": "{} in the brightest pattern",
    "per_area": "{} per square metre of the object",
    "none": "no scale, the intensity is taken as {}",
}
"""What the number of each mode counts."""

_ANGSTROM2 = 1e-20  # square metres


@dataclass(frozen=True, eq=False, kw_only=True)
class Dose:
    """The dose of an experiment.

    Attributes
    ----------
    scale : float
        Intensity scale s.
    factors : (B,) float64, or None
        Dose of each pattern in units of the common one; None where all are 1.
    report : dict
        What was asked for and what is expected; plain JSON types. See `make_dose`.
    """

    scale: float
    factors: npt.NDArray[np.float64] | None
    report: dict[str, Any]


def make_dose(
    spec: DoseSpec,
    energies: npt.NDArray[np.float64],
    incident: npt.NDArray[np.float64],
    *,
    positions: npt.NDArray[np.float64],
    geometry: Geometry,
    efficiency: float = 1.0,
    scale: float | None = None,
) -> Dose:
    """Find scale and factors of a dose.

    Parameters
    ----------
    spec : DoseSpec
        The table ``[dose]``.
    energies : (B,) float64
        Energy of each pattern over all pixels, masked ones too, before dose; not all zero.
    incident : (B,) or (1,) float64
        Energy of the probe in each pattern.
    positions : (B, 2) float64
        Intended positions, object pixels; "per_area" finds the step in them.
    geometry : Geometry
        With the object pixel for "per_area", and the detector's side.
    efficiency : float
        Quantum efficiency q of the detector.
    scale : float, optional
        That of an existing data set, in place of the one that `spec` asks for.

    Returns
    -------
    Dose
        Its report has ``mode``, ``requested`` (None without a number), ``unit`` of that, and
        ``expected``: detected photons ``mean``, ``min``, ``max`` per pattern, ``incident`` photons
        per pattern, ``pixel_mean`` per pattern and pixel, and ``per_m2``, incident photons per
        square metre of the object, where its pixel and the step of the scan are known.

    Raises
    ------
    ScenarioError
        "per_area" lacks the size of an object pixel or two positions.

    Examples
    --------
    Ten thousand photons in the probe, of which the object and the detector each lose half:

    >>> geometry = Geometry(N=8)
    >>> at = np.array([[0.0, 0.0], [1.0, 0.0]])
    >>> spec = DoseSpec(mode="incident", nphotons=1e4)
    >>> energies, probe = np.array([32.0, 32.0]), np.array([64.0])
    >>> dose = make_dose(spec, energies, probe, positions=at, geometry=geometry, efficiency=0.5)
    >>> round(dose.report["expected"]["mean"], 6)
    2500.0
    """
    mean = float(energies.mean())
    light = float(incident.mean())
    requested, factors = requested_number(spec), None
    if scale is not None:
        scale = checks.positive(scale, "intensity_scale")
    elif spec.mode == "none":
        scale = 1.0
    elif spec.mode == "per_pixel_mean":
        scale = scaling.dataset_intensity_scale(spec.nphotons * geometry.N**2, mean)
    elif spec.mode == "max_pattern":
        scale = scaling.dataset_intensity_scale(spec.nphotons, float(energies.max()))
    elif spec.mode == "incident":
        scale = scaling.dataset_intensity_scale(spec.nphotons * efficiency, light)
    elif spec.mode == "per_area":
        pixel = geometry.need("object_pixel_m", "dose.mode 'per_area'")
        photons = _number(requested) * step_area(positions) * pixel**2
        scale = scaling.dataset_intensity_scale(photons * efficiency, light)
    else:
        scale = scaling.dataset_intensity_scale(spec.nphotons, mean)
    if spec.mode == "per_pattern":
        factors = np.divide(mean, energies, out=np.zeros_like(energies), where=energies > 0)
    return Dose(
        scale=scale,
        factors=factors,
        report={
            "mode": spec.mode,
            "requested": requested,
            "unit": MEANINGS[spec.mode].format(f"{geometry.radiation}s"),
            "quantum_efficiency": efficiency,
            "expected": _expected(scale, factors, energies, light, positions, geometry, efficiency),
        },
    )


def requested_number(spec: DoseSpec) -> float | None:
    """The number that a mode asks for, in its unit (see `MEANINGS`); None if there is none."""
    if spec.mode == "none":
        return None
    if spec.mode != "per_area":
        return spec.nphotons
    if spec.fluence_per_m2 is not None:
        return spec.fluence_per_m2
    return _number(spec.fluence_per_angstrom2) / _ANGSTROM2


def given_dose(spec: DoseSpec) -> tuple[str, object]:
    """The key that decides how large a dose is, and its value; of mode "none" that is the mode.

    Examples
    --------
    >>> given_dose(DoseSpec(nphotons=1e5))
    ('dose.nphotons', 100000.0)
    """
    name = "nphotons"
    if spec.mode == "none":
        name = "mode"
    elif spec.mode == "per_area":
        metres = spec.fluence_per_angstrom2 is None
        name = "fluence_per_m2" if metres else "fluence_per_angstrom2"
    return f"dose.{name}", getattr(spec, name)


def require_nphotons(spec: DoseSpec) -> None:
    """Raise where ``nphotons`` was asked for, but the mode has another number or none.

    Raises
    ------
    ScenarioError
        Of ``dose.nphotons``.

    Examples
    --------
    >>> require_nphotons(DoseSpec(mode="none"))
    Traceback (most recent call last):
        ...
    ptycho_fast.errors.ScenarioError: dose.nphotons: 1000000000.0 given, expected nothing with \
dose.mode 'none'
    """
    key, _ = given_dose(spec)
    if key != "dose.nphotons":
        instead = f", which takes {key}" if key != "dose.mode" else ""
        expected = f"nothing with dose.mode {spec.mode!r}{instead}"
        raise wrong("dose.nphotons", spec.nphotons, expected)


def key_of_number(spec: DoseSpec) -> str:
    """The key that holds the number of a dose.

    Raises
    ------
    ScenarioError
        The mode has no number.

    Examples
    --------
    >>> key_of_number(DoseSpec())
    'dose.nphotons'
    """
    key, given = given_dose(spec)
    if key == "dose.mode":
        raise wrong(key, given, "a mode with a number, to make several doses")
    return key


def step_area(positions: npt.NDArray[np.float64]) -> float:
    """Area of the object for each position of a scan, as the square of a mean step d.

    Pick's theorem counts the points of a square lattice within a hull of area A and perimeter P,
    rim included: ``B = A / d**2 + P / (2 d) + 1``. Solved for d it gives the step of a raster of
    any size exactly, that of a single line too, and for other scans the area per position without
    the half steps that a hull leaves out around its rim.

    Parameters
    ----------
    positions : (B, 2) float64
        ``[x, y]``, in any unit of length.

    Returns
    -------
    float
        d squared, in that unit squared.

    Raises
    ------
    ScenarioError
        There are fewer than two different positions.

    Examples
    --------
    >>> x, y = np.meshgrid(np.arange(5) * 3.0, np.arange(4) * 3.0)
    >>> round(step_area(np.stack([x.ravel(), y.ravel()], axis=1)), 9)
    9.0
    """
    from scipy.spatial import ConvexHull, QhullError

    extent = float(np.hypot(*np.ptp(positions, axis=0)))
    if extent == 0:
        raise ScenarioError(
            "dose.mode: 'per_area' given, expected a scan of at least two different positions, "
            "from whose step the area is known; 'incident' gives the photons in the probe",
            key="dose.mode",
        )
    try:
        hull = ConvexHull(positions)
        area, perimeter = float(hull.volume), float(hull.area)
    except QhullError:  # all on a line
        area, perimeter = 0.0, 2 * extent
    # A u**2 + P / 2 u - (B - 1) = 0 for u = 1 / d, in the form that holds for A = 0 too.
    count = len(positions) - 1
    inverse = 2 * count / (perimeter / 2 + math.sqrt(perimeter**2 / 4 + 4 * area * count))
    return 1 / inverse**2


def _expected(
    scale: float,
    factors: npt.NDArray[np.float64] | None,
    energies: npt.NDArray[np.float64],
    light: float,
    positions: npt.NDArray[np.float64],
    geometry: Geometry,
    efficiency: float,
) -> dict[str, float]:
    detected = scale**2 * (energies if factors is None else factors * energies)
    mean_factor = 1.0 if factors is None else float(factors.mean())
    incident = scale**2 * mean_factor * light / efficiency
    found = {
        "mean": float(detected.mean()),
        "min": float(detected.min()),
        "max": float(detected.max()),
        "incident": incident,
        "pixel_mean": float(detected.mean()) / geometry.N**2,
    }
    pixel = geometry.object_pixel_m
    if pixel is not None and np.ptp(positions, axis=0).any():
        found["per_m2"] = incident / (step_area(positions) * pixel**2)
    return found


def _number(value: float | None) -> float:
    if value is None:
        expected = "photons (or electrons) on a square metre, or dose.fluence_per_angstrom2"
        raise wrong("dose.fluence_per_m2", None, f"{expected}, for dose.mode 'per_area'")
    return value
