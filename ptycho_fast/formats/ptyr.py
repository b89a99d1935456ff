"""Probe and object of a reconstruction by ptypy, ``.ptyr`` (HDF5); read only.

The file has ``content/probe/NAME/data`` (M, N, N) and ``content/obj/NAME/data`` (1, H, W) of each
storage, with the side of a pixel in ``_psize`` and the energy in ``_energy`` (keV). What ptypy has
pickled beside them is never opened.

ptypy multiplies the wave behind the object by a curved phase, ``exp(i pi r**2 / (wavelength *
distance))``, before its transform. Here the transform stands alone, so the probe is ptypy's times
that phase; its power is the same. Wavelength times distance is not in the file and has to be given.
"""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats import fields
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.hdf5_file import Hdf5File, open_file
from ptycho_fast.formats.truth import Truth

READ_OPTIONS = frozenset({"storage", "wavelength_distance_m2"})


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether an HDF5 file is a reconstruction by ptypy."""
    return bool(_storages(fields.keys_of(path), "probe"))


def read(path: str | os.PathLike[str], **_: Any) -> Contents:
    """Refuse: there are no patterns in such a file; `truth` reads what there is."""
    raise ValueError(
        f"{path}: holds no patterns, expected a data set; simulate --from takes its object and "
        "probe"
    )


def truth(
    path: str | os.PathLike[str],
    *,
    wavelength_distance_m2: float | None = None,
    storage: str | None = None,
) -> Truth:
    """Read probe and object.

    Parameters
    ----------
    path : path-like
        The file.
    wavelength_distance_m2 : float
        Wavelength times distance from the object to the detector, square metres.
    storage : str, optional
        Name of the storages, for files with several scans.

    Returns
    -------
    Truth
        Object, probe modes (in photons, as ptypy normalises them) and lengths.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, it is damaged, lacks something, or wavelength times distance is not
        given.
    """
    with open_file(path) as file:
        probe_key, obj_key = (_storage(file, what, storage) for what in ("probe", "obj"))
        expected = "(M, N, N)"
        probe = fields.complex_array(
            file, f"{probe_key}/data", expected, lambda s: len(s) == 3 and s[1] == s[2]
        )
        expected = "(1, H, W), one object"
        obj = fields.complex_array(
            file, f"{obj_key}/data", expected, lambda s: len(s) == 3 and s[0] == 1
        )
        pixel = _pixel(file, probe_key)
        energy = f"{probe_key}/_energy"
        energy_ev = fields.number(file, energy) * 1e3 if energy in file.keys else None
    if wavelength_distance_m2 is None:
        expected = (
            "the wavelength times the distance to the detector, square metres, since the phase "
            "that ptypy adds to the wave depends on it and the file does not hold it"
        )
        raise ValueError(checks.wrong(f"{path}: wavelength_distance_m2", "nothing", expected))
    area = checks.positive(wavelength_distance_m2, "wavelength_distance_m2")
    geometry: dict[str, Any] = {"object_pixel_m": pixel}
    geometry["detector_pixel_m"] = area / (probe.shape[-1] * pixel)
    if energy_ev is not None:
        wavelength = fields.photon_wavelength_m(energy_ev)
        geometry |= {
            "energy_ev": energy_ev,
            "wavelength_m": wavelength,
            "detector_distance_m": area / wavelength,
        }
    return Truth(
        object=obj[0],
        probe=(probe * curvature(probe.shape[-1], pixel, area)).astype(np.complex64),
        geometry=geometry,
    )


def curvature(N: int, pixel_m: float, area_m2: float) -> npt.NDArray[np.complex128]:
    """(N, N): the phase by which ptypy's probe has to be multiplied.

    Parameters
    ----------
    N : int
        Side of the probe.
    pixel_m : float
        Side of its pixels.
    area_m2 : float
        Wavelength times distance.
    """
    along = ((np.arange(N) - N // 2) * pixel_m) ** 2
    return np.exp(1j * np.pi * (along[:, None] + along) / area_m2)


def _storages(keys: Iterable[str], what: str) -> list[str]:
    ends = (f"content/{what}/", "/data")
    inside = [key for key in keys if key.startswith(ends[0]) and key.endswith(ends[1])]
    return sorted(key.removesuffix("/data") for key in inside if key.count("/") == 3)


def _storage(file: Hdf5File, what: str, name: str | None) -> str:
    found = _storages(file.keys, what)
    listed = ", ".join(key.split("/")[-1] for key in found) or "none"
    for key in found:
        if key.endswith(f"/{name}") or (name is None and len(found) == 1):
            return key
    given = "no name" if name is None else repr(name)
    expected = f"one of the storages of {what}: {listed}"
    raise ValueError(checks.wrong(f"{file.path}: storage", given, expected))


def _pixel(file: Hdf5File, storage: str) -> float:
    key = f"{storage}/_psize"
    fields.shape(file, key, "iuf", "(2,)", lambda s: s in ((), (1,), (2,)))
    sizes = np.unique(file.read(key))
    if len(sizes) != 1:
        raise ValueError(checks.wrong(f"{file.path}: {key}", sizes.tolist(), "square pixels"))
    return fields.positive(sizes[0], f"{file.path}: {key}")
