"""Quantum efficiency: the share of the photons that a detector sees."""

from typing import Annotated, Literal

import numpy as np

from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Key, wrong
from ptycho_fast.optics import Geometry

# Density in g/cm3; energy in keV and total mass attenuation in cm2/g. Source of the attenuation:
# pyFAI, resources/sensors/Si.abs and CdTe.abs, which hold the tables of NIST (J. H. Hubbell and
# S. M. Seltzer, NISTIR 5632). An edge is listed twice, below and above.
_SENSORS = {
    "Si": (
        2.33,
        "2 3 4 5 6 8 10 15 20 30 40 50 60 80 100",
        "2777 978.4 452.9 245 147 64.68 33.89 10.34 4.464 1.436 .7012 .4385 .3207 .2228 .1835",
    ),
    "CdTe": (
        5.85,
        "5 6 8 10 15 20 26.7112 26.7112 30 31.8138 31.8138 40 50 60 80 100",
        "839.2 528.6 249.2 138.1 46.57 21.44 9.834 29.43 21.82 18.73 34.92 19.3 10.67 6.542 3.019 "
        "1.671",
    ),
}


def absorbed(material: str, thickness_m: float, energy_ev: float) -> float:
    """Share of the photons that a sensor absorbs: ``1 - exp(-attenuation * thickness)``.

    Without dead layer, and fluorescence is not followed. The attenuation is interpolated between
    the tabulated energies, logarithm against logarithm.

    Parameters
    ----------
    material : {"Si", "CdTe"}
        Of the sensor.
    thickness_m : float
        Its thickness, m.
    energy_ev : float
        Of the photons, eV.

    Raises
    ------
    ScenarioError
        The energy is not in the table of the material.

    Examples
    --------
    >>> round(absorbed("Si", 450e-6, 12e3), 2)
    0.88
    """
    density, *columns = _SENSORS[material]
    energies, attenuation = ([float(number) for number in text.split()] for text in columns)
    keV = energy_ev / 1000
    if not energies[0] <= keV <= energies[-1]:
        expected = (
            f"{energies[0] * 1000:g} to {energies[-1] * 1000:g} eV for a sensor of {material}"
        )
        raise wrong("optics.energy_ev", energy_ev, f"{expected}; or detector.quantum_efficiency")
    log_of = np.interp(np.log(keV), np.log(energies), np.log(attenuation))
    return float(-np.expm1(-np.exp(log_of) * density * thickness_m * 100))


def efficiency(
    geometry: Geometry | None,
    *,
    quantum_efficiency: Annotated[
        float | None,
        Key("share of the photons that is detected, no unit", gt=0, le=1, synonyms=("qe",)),
    ] = None,
    material: Annotated[
        Literal["Si", "CdTe"] | None,
        Key(
            "material of the sensor, which with its thickness gives the quantum efficiency",
            synonyms=("detector_material", "sensor", "sensor_material"),
        ),
    ] = None,
    thickness_m: Annotated[
        float | None,
        Key("thickness of the sensor, m", gt=0, le=0.1, synonyms=("thickness", "sensor_thickness")),
    ] = None,
) -> float:
    """Share of the photons that is detected.

    Detected photons are Poisson distributed with this share of the mean, so it is a factor of the
    dose: with a dose in photons of the beam it lowers the counts, with one in detected photons it
    changes nothing.

    Parameters
    ----------
    geometry : Geometry, optional
        With the energy of the photons, for a material.
    quantum_efficiency : float, optional
        The share itself.
    material, thickness_m : str and float, optional
        The sensor; see `absorbed`.

    Returns
    -------
    float
        0 to 1; 1 if nothing is given.

    Raises
    ------
    ScenarioError
        Material without thickness or the other way round, no energy, or electrons.

    Examples
    --------
    >>> efficiency(None, quantum_efficiency=0.9)
    0.9
    """
    if quantum_efficiency is not None:
        return quantum_efficiency
    if material is None and thickness_m is None:
        return 1.0
    if material is None or thickness_m is None:
        missing, other = (
            ("material", "thickness_m") if material is None else ("thickness_m", "material")
        )
        raise wrong(f"detector.{missing}", None, f"a value, since detector.{other} is given")
    if geometry is None:
        expected = "optics.energy_ev, since detector.material needs it"
        raise wrong("optics.energy_ev", None, expected)
    if geometry.radiation != "photon":
        raise ScenarioError(
            f"detector.material: {material} given for electrons, expected "
            "detector.quantum_efficiency: the table is of photons",
            key="detector.material",
        )
    return absorbed(material, thickness_m, geometry.need("energy_ev", "detector.material"))
