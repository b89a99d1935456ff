"""Energy and wavelength of photons and electrons."""

import math
from typing import Literal

from ptycho_fast import checks

Radiation = Literal["photon", "electron"]

# CODATA 2018; h, c and e are exact since the SI of 2019.
_PLANCK = 6.62607015e-34 / 1.602176634e-19  # eV s
_LIGHT = 299792458.0  # m/s
_REST = 0.51099895000e6  # rest energy of the electron, eV
_HC = _PLANCK * _LIGHT  # eV m


def wavelength(energy_ev: float, radiation: Radiation = "photon") -> float:
    """Wavelength of a photon, or of an electron behind an accelerating voltage.

    Parameters
    ----------
    energy_ev : float
        Energy of the photon, or kinetic energy of the electron, eV.
    radiation : {"photon", "electron"}
        What carries it.

    Returns
    -------
    float
        ``hc / E`` of a photon, ``hc / sqrt(E (E + 2 m c**2))`` of an electron (relativistic; de
        Broglie), metres.

    Raises
    ------
    TypeError, ValueError
        The energy is not above zero, or the radiation unknown.

    Examples
    --------
    >>> f"{wavelength(8e3):.4e} {wavelength(300e3, 'electron'):.4e}"
    '1.5498e-10 1.9687e-12'
    """
    e = checks.positive(energy_ev, "energy_ev")
    if checks.choice(radiation, "radiation", ("photon", "electron")) == "photon":
        return _HC / e
    return _HC / math.sqrt(e * (e + 2 * _REST))


def energy(wavelength_m: float, radiation: Radiation = "photon") -> float:
    """Energy that belongs to a wavelength; the inverse of `wavelength`.

    Parameters
    ----------
    wavelength_m : float
        Metres.
    radiation : {"photon", "electron"}
        What carries it.

    Returns
    -------
    float
        Of the photon, or kinetic energy of the electron, eV.

    Raises
    ------
    TypeError, ValueError
        The wavelength is not above zero, or the radiation unknown.

    Examples
    --------
    >>> round(energy(wavelength(60e3, "electron"), "electron"), 6)
    60000.0
    """
    pc = _HC / checks.positive(wavelength_m, "wavelength_m")
    if checks.choice(radiation, "radiation", ("photon", "electron")) == "photon":
        return pc
    return pc * pc / (math.hypot(pc, _REST) + _REST)
