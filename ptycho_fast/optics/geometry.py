"""Sizes of pixels, distances and wavelength of an experiment, and what follows from them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Key, wrong

from .propagation import farthest, transfer_function
from .wavelength import Radiation, energy, wavelength

Propagation = Literal["far_field", "near_field"]

_AGREE = 1e-3  # relative; numbers that were given twice are often rounded
_SLOWEST = 1e3  # eV; electrons for ptychography are far above
_SAME_WAVE = ("energy_ev", "wavelength_m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """An experiment in physical units; what is not known is None.

    Attributes
    ----------
    N : int
        Side of the detector, pixels.
    radiation : {"photon", "electron"}
        What is scattered.
    energy_ev : float or None
        Energy of a photon, or kinetic energy of an electron.
    wavelength_m : float or None
        Wavelength.
    detector_distance_m : float or None
        From the object to the detector.
    detector_pixel_m : float or None
        Side of a detector pixel.
    object_pixel_m : float or None
        Side of a pixel of object and probe.
    propagation : {"far_field", "near_field"}
        Where the detector is.
    slice_distance_m : float or None
        From a slice of a thick object to the next.
    """

    N: int
    radiation: Radiation = "photon"
    energy_ev: float | None = None
    wavelength_m: float | None = None
    detector_distance_m: float | None = None
    detector_pixel_m: float | None = None
    object_pixel_m: float | None = None
    propagation: Propagation = "far_field"
    slice_distance_m: float | None = None

    def need(self, name: str, whom: str) -> float:
        """A length or an energy that something cannot do without.

        Parameters
        ----------
        name : str
            Name of the attribute.
        whom : str
            What needs it, for the message: ``"probe.kind 'zone_plate'"``.

        Raises
        ------
        ScenarioError
            It is not known; the message says which keys give it.
        """
        value = getattr(self, name)
        if value is not None:
            return float(value)
        if name in _SAME_WAVE:
            expected = "optics.energy_ev or optics.wavelength_m"
        elif name == "object_pixel_m":
            expected = (
                "optics.object_pixel_m, or the energy (or wavelength), optics.detector_distance_m "
                "and optics.detector_pixel_m, from which it follows"
            )
        else:
            expected = f"optics.{name}"
        raise wrong(f"optics.{name}", None, f"{expected}, since {whom} needs it")

    def slice_transfer(self, n: int) -> npt.NDArray[np.complex64]:
        """Transfer function (n, n) from a slice of the object to the next.

        Raises
        ------
        ScenarioError
            Something is not known, or the distance too long for n pixels.
        """
        distance = self.need("slice_distance_m", "an object of several slices")
        return self._transfer(n, distance, "slice_distance_m", "an object of several slices")

    def near_transfer(self, n: int) -> npt.NDArray[np.complex64] | None:
        """Transfer function (n, n) from the object to a detector in the near field.

        With a diverging beam, which magnifies M = detector pixel / object pixel times, the detector
        sees what a parallel beam shows at the distance z / M (Fresnel scaling theorem; D. Paganin,
        Coherent X-Ray Optics, appendix B).

        Returns
        -------
        (n, n) complex64, or None
            None in the far field.

        Raises
        ------
        ScenarioError
            Something is not known, or the distance too long for n pixels.
        """
        if self.propagation == "far_field":
            return None
        whom = "propagation 'near_field'"
        magnified = self.need("detector_pixel_m", whom) / self.need("object_pixel_m", whom)
        distance = self.need("detector_distance_m", whom) / magnified
        return self._transfer(n, distance, "detector_distance_m", whom)

    def _transfer(self, n: int, distance: float, key: str, whom: str) -> npt.NDArray[np.complex64]:
        pixel, wave = self.need("object_pixel_m", whom), self.need("wavelength_m", whom)
        limit = farthest(n, pixel, wave)
        if abs(distance) > limit * (1 + 1e-9):
            raise ScenarioError(
                f"optics.{key}: {getattr(self, key):g} given (a parallel beam over {distance:.4g} "
                f"m), expected at most {limit:.4g} m of a parallel beam, so that {n} pixels of "
                f"{pixel:.4g} m carry the wave without aliasing (n * pixel**2 / wavelength); take "
                "a shorter distance, more or larger pixels",
                key=f"optics.{key}",
            )
        return transfer_function(n, pixel, wave, distance).astype(np.complex64)


def make_geometry(
    N: int,
    *,
    radiation: Annotated[Radiation, Key("what is scattered: photons or electrons")] = "photon",
    energy_ev: Annotated[
        float | None,
        Key(
            "energy of a photon, or kinetic energy of an electron, eV",
            gt=0,
            synonyms=("energy", "energy_kev", "energy_kv", "voltage"),
        ),
    ] = None,
    wavelength_m: Annotated[
        float | None,
        Key(
            "wavelength, metres, in place of the energy",
            gt=0,
            le=1e-3,
            synonyms=("wavelength", "lambda"),
        ),
    ] = None,
    detector_distance_m: Annotated[
        float | None,
        Key("from the object to the detector, metres", gt=0, le=100, synonyms=("distance", "z")),
    ] = None,
    detector_pixel_m: Annotated[
        float | None,
        Key("side of a detector pixel, metres", gt=0, le=0.01, synonyms=("pixel_size", "pixel_m")),
    ] = None,
    object_pixel_m: Annotated[
        float | None,
        Key(
            "side of a pixel of object and probe, metres; in the far field it follows from "
            "wavelength, distance and detector pixel",
            gt=0,
            le=0.01,
            synonyms=("dx",),
        ),
    ] = None,
    propagation: Annotated[
        Propagation, Key("where the detector is", synonyms=("propagator", "regime"))
    ] = "far_field",
    slice_distance_m: Annotated[
        float | None,
        Key(
            "from a slice of a thick object to the next, metres",
            gt=0,
            le=1,
            synonyms=("thickness",),
        ),
    ] = None,
) -> Geometry:
    """Complete what is known of an experiment: the table ``[optics]``.

    In the far field ``object_pixel = wavelength * distance / (N * detector_pixel)``, so any three
    of them give the fourth. In the near field an object pixel that is not given is a detector
    pixel.

    Parameters
    ----------
    N : int
        Side of the detector, pixels.
    radiation : {"photon", "electron"}
        What is scattered.
    energy_ev : float, optional
        eV.
    wavelength_m : float, optional
        Metres.
    detector_distance_m, detector_pixel_m, object_pixel_m : float, optional
        Metres.
    propagation : {"far_field", "near_field"}
        Where the detector is.
    slice_distance_m : float, optional
        Metres.

    Returns
    -------
    Geometry
        With all that follows from what was given.

    Raises
    ------
    ScenarioError
        Values contradict each other, or look like another unit.

    Examples
    --------
    >>> make_geometry(
    ...     128, energy_ev=8e3, detector_distance_m=2.0, detector_pixel_m=75e-6
    ... ).object_pixel_m.__format__(".4e")
    '3.2288e-08'
    """
    if radiation == "electron" and energy_ev is not None and energy_ev < _SLOWEST:
        expected = f"electronvolts, at least {_SLOWEST:g} for electrons; 300 kV are 300e3"
        raise wrong("optics.energy_ev", energy_ev, expected)
    wave = wavelength_m if energy_ev is None else wavelength(energy_ev, radiation)
    if energy_ev is not None and wavelength_m is not None:
        _agree("wavelength_m", wavelength_m, wave, "of that energy")
    p, z, dx = detector_pixel_m, detector_distance_m, object_pixel_m
    if propagation == "near_field":
        dx = dx or p
    elif wave and z and p:
        follows = wave * z / (N * p)
        if dx is not None:
            whence = f"wavelength * distance / (N * detector pixel) for N = {N}"
            _agree("object_pixel_m", dx, follows, whence)
        dx = dx or follows
    elif dx and p and z:
        wave = dx * N * p / z
    elif dx and p and wave:
        z = dx * N * p / wave
    elif dx and z and wave:
        p = wave * z / (N * dx)
    if propagation == "far_field" and dx and wave and dx < wave / 2 * (1 - _AGREE):
        key = "object_pixel_m" if object_pixel_m is not None else "detector_pixel_m"
        raise ScenarioError(
            f"optics.{key}: {object_pixel_m or detector_pixel_m} given, an object pixel of "
            f"{dx:.4g} m, expected at least half of the wavelength, {wave / 2:.4g} m, since light "
            "reaches a flat detector in the far field from one side alone; are all lengths in "
            "metres and energies in eV?",
            key=f"optics.{key}",
        )
    return Geometry(
        N=N,
        radiation=radiation,
        energy_ev=energy(wave, radiation) if wave and energy_ev is None else energy_ev,
        wavelength_m=wave,
        detector_distance_m=z,
        detector_pixel_m=p,
        object_pixel_m=dx,
        propagation=propagation,
        slice_distance_m=slice_distance_m,
    )


_LENGTHS = {
    "energy_ev": "energy {:.6g} eV",
    "object_pixel_m": "object pixel {:.4g} m",
    "detector_pixel_m": "detector pixel {:.4g} m",
    "detector_distance_m": "detector at {:.4g} m",
    "slice_distance_m": "{:.4g} m from slice to slice",
}


def geometry_text(geometry: Mapping[str, Any]) -> str:
    """Energy and lengths in words; empty where none is known."""
    known = [
        text.format(geometry[name])
        for name, text in _LENGTHS.items()
        if geometry.get(name) is not None
    ]
    return ", ".join([f"{geometry.get('radiation', 'photon')}s", *known]) if known else ""


def _agree(key: str, given: float, follows: float | None, whence: str) -> None:
    """Raise unless a value that was given is the one that follows from others."""
    if follows is None or math.isclose(given, follows, rel_tol=_AGREE):
        return
    ratio, hint = given / follows, ""
    for power in (3, 6, 9, 10, 12):
        if any(math.isclose(ratio, 10.0**exponent, rel_tol=0.2) for exponent in (power, -power)):
            hint = f"; it is about 1e{power if ratio > 1 else -power} times that: a slip of units?"
    raise wrong(f"optics.{key}", given, f"{follows:.6g}, {whence}, or one of them left out{hint}")
