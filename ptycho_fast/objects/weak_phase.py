"""A thin specimen for electrons."""

import math
from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.numpy_files import to_complex64
from ptycho_fast.keys import Key, wrong
from ptycho_fast.kinds import kind
from ptycho_fast.optics import Geometry, wavelength

from .maps import Size
from .thickness import MapName, ThicknessFile, ThicknessM, needed, thickness_of

_REST = 0.51099895000e6  # rest energy of the electron, eV (CODATA 2018)


@kind("weak_phase")
def weak_phase(
    seed: int,
    geometry: Geometry | None = None,
    slices: int = 1,
    *,
    potential_v: Annotated[
        float,
        Key(
            "mean inner potential of the specimen, volts: about 9 carbon, 12 silicon, 25 gold",
            ge=-1000,
            le=1000,
        ),
    ] = 9.0,
    absorption: Annotated[
        float,
        Key("share of the potential that absorbs (amplitude contrast), no unit", ge=0, le=1),
    ] = 0.0,
    map: MapName = "random_field",
    thickness_m: ThicknessM = 20e-9,
    thickness_file: ThicknessFile = None,
    size: Size = 392,
) -> npt.NDArray[np.complex64]:
    """Thin specimen for electrons: phase ``sigma V t`` of the mean inner potential V.

    The transmission is ``exp(i sigma V t (1 + i absorption))``; where ``sigma V t`` is small, this
    is the weak phase object ``1 + i sigma V t``. `interaction` is sigma.

    Parameters
    ----------
    seed : int
        Of the thickness map, 0 to 2**64 - 1.
    geometry : Geometry
        Has the energy of the electrons, and the size of an object pixel for spheres without a
        thickness.
    slices : int
        Each of L slices takes 1/L of the thickness.
    potential_v : float
        V, volts.
    absorption : float
        Imaginary over real part of the potential.
    map, thickness_m, thickness_file, size
        As for `thickness.thickness_of`.

    Returns
    -------
    (H, W) or (L, H, W) complex64
        The object, or its slices if there are several.

    Raises
    ------
    ScenarioError
        The energy or the thickness is not known, or the radiation is not of electrons.
    OSError, TypeError, ValueError
        As `thickness.thickness_of`, or an argument is out of range.

    Examples
    --------
    >>> from ptycho_fast.optics import make_geometry
    >>> beam = make_geometry(64, radiation="electron", energy_ev=300e3)
    >>> print(f"{np.angle(weak_phase(1, beam, size=64)).max():.3f}")  # 20 nm of carbon
    1.175
    """
    whom = "object.kind 'weak_phase'"
    volts = checks.number(potential_v, "potential_v")
    share = checks.number(absorption, "absorption", least=0)
    parts = checks.count(slices, "slices")
    known = needed(geometry)
    energy = known.need("energy_ev", whom)
    if known.radiation != "electron":
        raise wrong("optics.radiation", known.radiation, f"'electron' for {whom}")
    thickness = thickness_of(
        seed,
        geometry,
        size=size,
        map=map,
        thickness_m=thickness_m,
        thickness_file=thickness_file,
        whom=whom,
    )
    phase = np.asarray(thickness, np.float64) * (interaction(energy) * volts / parts)
    transmission = to_complex64(np.exp((1j - share) * phase), "weak phase object")
    return transmission if parts == 1 else np.stack([transmission] * parts)


def interaction(energy_ev: float) -> float:
    """Interaction constant sigma of electrons: phase for each volt and metre.

    Parameters
    ----------
    energy_ev : float
        Kinetic energy E, eV.

    Returns
    -------
    float
        ``2 pi / (lambda E) * (m c**2 + E) / (2 m c**2 + E)``, radians / (V m); equal to
        ``2 pi m e lambda / h**2`` with the relativistic mass m.

    References
    ----------
    E. J. Kirkland, Advanced Computing in Electron Microscopy, 2nd edition, equation 5.6; 0.7288
    radians / (kV angstrom) at 200 kV.

    Examples
    --------
    >>> f"{interaction(200e3) * 1e-9:.5f}"  # radians / (V nm)
    '0.00729'
    """
    e = checks.positive(energy_ev, "energy_ev")
    return 2 * math.pi / (wavelength(e, "electron") * e) * (_REST + e) / (2 * _REST + e)
