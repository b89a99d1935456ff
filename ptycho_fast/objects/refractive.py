"""An object of one material: refractive index times thickness."""

from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.numpy_files import to_complex64
from ptycho_fast.keys import Key, wrong
from ptycho_fast.kinds import kind
from ptycho_fast.optics import Geometry

from .maps import Size
from .thickness import MapName, ThicknessFile, ThicknessM, needed, thickness_of


@kind("refractive")
def refractive(
    seed: int,
    geometry: Geometry | None = None,
    slices: int = 1,
    *,
    delta: Annotated[
        float, Key("delta of the refractive index n = 1 - delta + i beta, no unit", ge=-0.1, le=0.1)
    ],
    beta: Annotated[float, Key("beta of the refractive index, no unit", ge=0, le=0.1)],
    index_energy_ev: Annotated[
        float | None,
        Key(
            "energy that delta and beta hold for, eV; at another one delta goes with E**-2, beta "
            "with E**-4",
            gt=0,
        ),
    ] = None,
    map: MapName = "spheres",
    thickness_m: ThicknessM = None,
    thickness_file: ThicknessFile = None,
    size: Size = 392,
) -> npt.NDArray[np.complex64]:
    """Refractive index times thickness, ``exp(-i k (delta - i beta) t)``.

    That is a wave ``exp(i k z)`` in a medium of ``n = 1 - delta + i beta``, relative to vacuum,
    with ``k = 2 pi / wavelength``. So the phase is ``-k delta t``, and the intensity falls as
    ``exp(-2 k beta t)`` (Beer and Lambert).

    Parameters
    ----------
    seed : int
        Of the thickness map, 0 to 2**64 - 1.
    geometry : Geometry
        Has the wavelength, and the size of an object pixel for spheres without a thickness.
    slices : int
        Each of L slices takes 1/L of the thickness.
    delta, beta : float
        Of the material, for example from https://henke.lbl.gov/optical_constants/ .
    index_energy_ev : float, optional
        The energy that they belong to, if it may differ from that of the scenario. The scaling
        holds away from absorption edges.
    map, thickness_m, thickness_file, size
        As for `thickness.thickness_of`.

    Returns
    -------
    (H, W) or (L, H, W) complex64
        The object, or its slices if there are several.

    Raises
    ------
    ScenarioError
        The wavelength or the thickness is not known, or the radiation is of electrons.
    OSError, TypeError, ValueError
        As `thickness.thickness_of`, or an argument is out of range.

    References
    ----------
    J. Als-Nielsen and D. McMorrow, Elements of Modern X-Ray Physics, chapter 3: sign and size of
    delta and beta. B. L. Henke et al., Atomic Data and Nuclear Data Tables 54, 181 (1993): values.

    Examples
    --------
    A phase of pi in 1.62 micrometres of gold at 8 keV:

    >>> from ptycho_fast.optics import make_geometry
    >>> beam = make_geometry(64, energy_ev=8e3)
    >>> t = np.pi / (2 * np.pi / beam.wavelength_m * 4.77e-5)
    >>> obj = refractive(1, beam, delta=4.77e-5, beta=0.0, map="points", thickness_m=t, size=64)
    >>> f"{t * 1e6:.2f} {abs(np.angle(obj)).max():.3f}"
    '1.62 3.142'
    """
    whom = "object.kind 'refractive'"
    decrement = checks.number(delta, "delta")
    absorption = checks.number(beta, "beta", least=0)
    parts = checks.count(slices, "slices")
    known = needed(geometry)
    if known.radiation != "photon":
        raise wrong("optics.radiation", known.radiation, f"'photon' for {whom}, or 'weak_phase'")
    wavelength = known.need("wavelength_m", whom)
    if index_energy_ev is not None:
        ratio = known.need("energy_ev", whom) / checks.positive(index_energy_ev, "index_energy_ev")
        decrement, absorption = decrement / ratio**2, absorption / ratio**4
    thickness = thickness_of(
        seed,
        geometry,
        size=size,
        map=map,
        thickness_m=thickness_m,
        thickness_file=thickness_file,
        whom=whom,
    )
    k = 2 * np.pi / wavelength
    path = np.asarray(thickness, np.float64) * (k / parts)
    transmission = to_complex64(np.exp(-(absorption + 1j * decrement) * path), "refractive object")
    return transmission if parts == 1 else np.stack([transmission] * parts)
