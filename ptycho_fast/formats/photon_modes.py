"""Probe and energy as ptychodus keeps them, in its own files and in CXI.

A probe is an array (coherent, incoherent, N, N) in photons: the first coherent entry holds all
modes, the others are eigenprobes of the first mode, with a weight in each pattern. Energies are
those of photons; of electrons it is the energy of a photon of the same wavelength, from which such
programs take the wavelength.
"""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import constants

from ptycho_fast import checks
from ptycho_fast.errors import DataWarning, ScenarioError
from ptycho_fast.formats.contents import Contents

_HC = constants.h * constants.c  # J m


class Modes(NamedTuple):
    """A probe in parts.

    Attributes
    ----------
    probe : (M, N, N) complex64
        Modes.
    eigenprobes : (K, N, N) complex64 or None
        What is added to the first mode with weights.
    weights : (B, M + K) float32 or None
        Factors of modes and eigenprobes.
    """

    probe: npt.NDArray[np.complex64]
    eigenprobes: npt.NDArray[np.complex64] | None = None
    weights: npt.NDArray[np.float32] | None = None


def stacked(contents: Contents) -> npt.NDArray[np.complex128]:
    """(1 + K, M, N, N) complex128: modes and eigenprobes in photons.

    In double precision, so that the probe comes back in the same bits.
    """
    modes, added = contents.probe, contents.eigenprobes
    K = 0 if added is None else len(added)
    stack = np.zeros((1 + K, *modes.shape), np.complex128)
    stack[0] = modes
    if added is not None:
        stack[1:, 0] = added
    stack *= in_photons(contents)
    return stack


def opr_weights(contents: Contents) -> npt.NDArray[np.float64] | None:
    """(B, 1 + K) factors of the first mode and of the eigenprobes; None where nothing varies."""
    if contents.weights is None:
        return None
    M = len(contents.probe)
    return np.concatenate([contents.weights[:, :1], contents.weights[:, M:]], 1).astype(np.float64)


def check_modes(contents: Contents, whom: str) -> None:
    """Warn where modes besides the first vary, which these layouts cannot say.

    Parameters
    ----------
    contents : Contents
        The data set.
    whom : str
        The layout, for the message.
    """
    others = () if contents.weights is None else contents.weights[:, 1 : len(contents.probe)]
    if np.size(others) and not (np.asarray(others) == 1).all():
        warnings.warn(
            f"weights: modes 1 to {len(contents.probe) - 1} vary from pattern to pattern, and "
            f"{whom} holds weights of mode 0 and of eigenprobes alone; the others go where only "
            "ptycho_fast looks for them",
            DataWarning,
            stacklevel=2,
        )


def in_photons(contents: Contents) -> float:
    """What turns our probe into one whose energy is photons in vacuum; 1 where nobody knows."""
    if contents.domain == "normalized_intensity" or contents.intensity_scale is None:
        return 1.0
    return contents.intensity_scale


def taken_apart(
    stack: npt.NDArray[Any], weights: npt.NDArray[Any] | None, scale: float, n_patterns: int
) -> Modes:
    """Our probe from the array and the weights of a file; the reverse of `stacked`.

    Parameters
    ----------
    stack : (C, M, N, N) complex array
        Coherent and incoherent modes.
    weights : (B, C) array or None
        Of the coherent ones.
    scale : float
        What `in_photons` was; 1 for files of other programs.
    n_patterns : int
        B.
    """
    own = (np.asarray(stack, np.complex128) / scale).astype(np.complex64)
    M = own.shape[1]
    if weights is None or not len(own):
        return Modes(own[0])
    ones = np.ones((n_patterns, M - 1))
    factors = np.concatenate([weights[:, :1], ones, weights[:, 1:]], axis=1).astype(np.float32)
    return Modes(own[0], np.ascontiguousarray(own[1:, 0]) if len(own) > 1 else None, factors)


# --- the object ---

_OUTSIDE = {"vacuum": {"constant_values": 1}, "edge": {"mode": "edge"}}  # zero where it is another


def surrounded(contents: Contents) -> tuple[npt.NDArray[np.complex64], int]:
    """(L, H + 2 m, W + 2 m) complex64: slices with a margin m in which all patches lie.

    Other programs cut patches out of the array and know no outside. The margin is equal on all
    sides, so that the middle of the object stays where it is, and holds what the scan finds beyond
    the edges: nothing, vacuum, or the nearest pixel. Where all patches are inside there is none.

    Returns
    -------
    slices : (L, H + 2 m, W + 2 m) complex64
        The object.
    margin : int
        m, at most the side of a patch.
    """
    slices = contents.object.reshape(-1, *contents.object.shape[-2:])
    N, (height, width) = contents.probe.shape[-1], slices.shape[1:]
    low = N // 2 - contents.positions.min(axis=0)
    high = contents.positions.max(axis=0) - N // 2 + N - (width, height)
    margin = int(np.clip(np.ceil(max(low.max(), high.max())), 0, N))
    if not margin:
        return slices, 0
    scan = (contents.scenario or {}).get("scan")
    boundary = scan.get("boundary") if isinstance(scan, Mapping) else None
    how: Any = _OUTSIDE.get(str(boundary), {})
    return np.pad(slices, ((0, 0), (margin, margin), (margin, margin)), **how), margin


def without_margin(
    obj: npt.NDArray[np.complex64], margin: object, name: str
) -> npt.NDArray[np.complex64]:
    """(H, W) or (L, H, W): the object of a file, (L, H, W) or (H, W), without its margin.

    Parameters
    ----------
    obj : array
        As in the file.
    margin : object
        What the file says.
    name : str
        File and key, for messages.
    """
    most = (min(obj.shape[-2:]) - 1) // 2
    try:
        m = checks.integer(margin, name, 0, most)
    except TypeError as error:  # what a file holds is a wrong value
        raise ValueError(str(error)) from None
    inner = obj[..., m : obj.shape[-2] - m, m : obj.shape[-1] - m]
    return np.ascontiguousarray(inner[0] if inner.ndim == 3 and len(inner) == 1 else inner)


# --- energies and lengths ---


def photon_energy(contents: Contents, whom: str) -> float:
    """Energy of a photon of the wavelength, joules.

    Raises
    ------
    ScenarioError
        The wavelength is not known.
    """
    return _HC / needed(contents, "wavelength_m", whom)


def needed(contents: Contents, name: str, whom: str) -> float:
    """A length of the experiment that a layout cannot do without.

    Parameters
    ----------
    contents : Contents
        The data set.
    name : str
        Name in its geometry.
    whom : str
        The layout, for the message.

    Raises
    ------
    ScenarioError
        It is not known; the message names the keys that give it.
    """
    value = (contents.geometry or {}).get(name)
    if value is None:
        key = "optics.energy_ev" if name == "wavelength_m" else f"optics.{name}"
        raise ScenarioError(
            checks.wrong(
                key,
                "nothing",
                f"a number, since {whom} needs it; optics.energy_ev (or optics.wavelength_m), "
                "optics.detector_distance_m and optics.detector_pixel_m say what it is",
            ),
            key=key,
        )
    return checks.positive(value, f"geometry {name}")


def far_field_geometry(
    energy_j: float, distance_m: float, detector_pixel_m: float, N: int
) -> dict[str, Any]:
    """Geometry of an experiment with photons in the far field, by the names of `Contents`.

    Examples
    --------
    >>> far_field_geometry(8e3 * constants.e, 2.0, 75e-6, 64)["object_pixel_m"].__format__(".4e")
    '6.4575e-08'
    """
    wave = _HC / energy_j
    return {
        "radiation": "photon",
        "energy_ev": energy_j / constants.e,
        "wavelength_m": wave,
        "detector_distance_m": distance_m,
        "detector_pixel_m": detector_pixel_m,
        "object_pixel_m": wave * distance_m / (N * detector_pixel_m),
        "propagation": "far_field",
    }
