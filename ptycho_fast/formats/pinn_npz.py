"""The NPZ of the PtychoPINN family ("raw data"), profile ``pinn-amplitude``.

======================================  =====================================================
``xcoords``, ``ycoords``                (B,) float64, positions in object pixels
``xcoords_start``, ``ycoords_start``    (B,) float64, nominal positions
``diff3d``                              (B, N, N) float32, ``sqrt(counts) / s``
``diffraction``                         the same again, where asked for
``probeGuess``                          (N, N) complex64
``objectGuess``                         (H, W) complex64
``scan_index``                          (B,) int64, zeros
``ground_truth_patches``                (B, N, N) complex64, where asked for
``_metadata``                           unicode scalar: JSON, never a pickle
======================================  =====================================================
"""

import json
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.data.dataset import DOMAINS, Dataset
from ptycho_fast.files import written_aside
from ptycho_fast.formats.numpy_files import read_arrays
from ptycho_fast.scenario import Scenario

PROFILE = "pinn-amplitude"
SCALE_CONTRACT = "legacy_v1"
DOMAIN = "normalized_amplitude"
LARGE = 2 * 2**30  # bytes; other programs of the family load the whole file into memory


def write(
    path: str | os.PathLike[str],
    dataset: Dataset,
    *,
    force: bool = False,
    alias: bool = False,
    modes: str | None = None,
    patches: bool = False,
) -> None:
    """Write a data set as normalised amplitudes.

    The bytes are a function of the data set alone: no time, no machine, no thread count.

    Parameters
    ----------
    path : path-like
        File to make; the name is taken as it is.
    dataset : Dataset
        The data.
    force : bool
        Whether an existing file may be replaced.
    alias : bool
        Write the patterns under ``diffraction`` too, for loaders that look there.
    modes : {"first"}, optional
        What to do with several probe modes, of which the format holds one: keep the first.
    patches : bool
        Write the object patches as ``ground_truth_patches``.

    Raises
    ------
    ValueError
        The probe has several modes and `modes` does not say what to do.
    OSError
        The file exists, or cannot be written; nothing is left behind.
    """
    if modes not in (None, "first"):
        raise ValueError(f"modes: {modes!r} given, expected 'first'")
    if len(dataset.probe) > 1 and modes is None:
        raise ValueError(
            f"modes: the probe has {len(dataset.probe)} modes and the format holds one; "
            "modes='first' (--modes first) keeps the first"
        )
    amplitude = dataset.amplitude()
    contents: dict[str, npt.NDArray[Any]] = {
        "xcoords": dataset.positions[:, 0],
        "ycoords": dataset.positions[:, 1],
        "xcoords_start": dataset.positions_nominal[:, 0],
        "ycoords_start": dataset.positions_nominal[:, 1],
        "diff3d": amplitude,
        "probeGuess": dataset.probe[0],
        "objectGuess": dataset.object,
        "scan_index": np.zeros(dataset.n_patterns, np.int64),
        "_metadata": np.array(json.dumps(_metadata(dataset))),
    }
    if alias:
        contents["diffraction"] = amplitude
    if patches:
        from ptycho_fast.stages import extract_patches

        contents["ground_truth_patches"] = extract_patches(
            dataset.object, dataset.positions, dataset.N
        )
    with written_aside(path, force=force) as file:
        np.savez(file, allow_pickle=False, **contents)


def file_size(n_patterns: int, N: int, object_pixels: int, *, alias: bool, patches: bool) -> int:
    """Bytes that `write` will need, but for headers of a few kilobytes."""
    per_pattern = 5 * 8 + N**2 * (4 * (2 if alias else 1) + (8 if patches else 0))
    return n_patterns * per_pattern + 8 * (object_pixels + N**2)


def read(path: str | os.PathLike[str], *, domain: str | None = None) -> Dataset:
    """Read a file of the family.

    Parameters
    ----------
    path : path-like
        The file.
    domain : {"normalized_amplitude", "count_intensity"}, optional
        What ``diff3d`` means, for files that do not say; a file that says otherwise is an error.

    Returns
    -------
    Dataset
        With the scenario and the provenance that the file carries.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file; or it is truncated, lacks a key, has inconsistent shapes, or does not say what
        its patterns mean.
    """
    arrays, _ = read_arrays(path)
    if "" in arrays:
        raise ValueError(f"{path}: a single array, expected an .npz archive")
    metadata = _read_metadata(path, arrays)
    stated = metadata.get("measurement_domain")
    if stated is None and domain is None:
        raise ValueError(
            f"{path}: the file does not say what its patterns mean; give domain="
            "'normalized_amplitude' (sqrt(counts) / s) or 'count_intensity' (photon counts)"
        )
    if None not in (stated, domain) and stated != domain:
        raise ValueError(f"{path}: domain {domain!r} given, but the file says {stated!r}")
    meaning = stated or domain
    if meaning not in DOMAINS:
        raise ValueError(
            f"{path}: measurement domain {meaning!r}, expected one of {', '.join(DOMAINS)}"
        )

    key = "diffraction" if "diff3d" not in arrays and "diffraction" in arrays else "diff3d"
    diffraction = _get(path, arrays, key, 3)
    B, N = len(diffraction), diffraction.shape[-1]
    probe = _get(path, arrays, "probeGuess", 2)
    if diffraction.shape[1:] != (N, N) or probe.shape != (N, N):
        raise ValueError(
            f"{path}: {key} has shape {diffraction.shape} and probeGuess {probe.shape}, expected "
            "(B, N, N) and (N, N)"
        )
    positions = np.stack([_coordinate(path, arrays, f"{axis}coords", B) for axis in "xy"], axis=1)
    nominal = positions
    if "xcoords_start" in arrays and "ycoords_start" in arrays:
        starts = [_coordinate(path, arrays, f"{axis}coords_start", B) for axis in "xy"]
        nominal = np.stack(starts, axis=1)
    scenario = metadata.get("scenario")
    return Dataset(
        object=np.ascontiguousarray(_get(path, arrays, "objectGuess", 2), np.complex64),
        probe=np.ascontiguousarray(probe[np.newaxis], np.complex64),
        positions=positions,
        positions_nominal=nominal,
        diffraction=diffraction,
        domain=meaning,
        intensity_scale=metadata.get("intensity_scale"),
        scenario=Scenario.from_dict(scenario) if scenario else None,
        provenance=metadata.get("provenance", {}),
    )


def _metadata(dataset: Dataset) -> dict[str, Any]:
    scenario = dataset.scenario
    physics: dict[str, Any] = {"N": dataset.N}  # where PtychoPINN looks, or takes 1e9 photons
    if scenario:
        physics |= {"nphotons": scenario.dose.nphotons, "gridsize": scenario.gridsize}
    return {
        "program": "ptycho_fast",
        "profile": PROFILE,
        "scale_contract_version": SCALE_CONTRACT,
        "measurement_domain": DOMAIN,
        "intensity_scale": dataset.intensity_scale,
        "provenance": dataset.provenance,
        "probe_modes": len(dataset.probe),
        "scenario": scenario.to_dict() if scenario else None,
        "physics_parameters": physics,
    }


def _read_metadata(
    path: str | os.PathLike[str], arrays: dict[str, npt.NDArray[Any]]
) -> dict[str, Any]:
    text = arrays.get("_metadata")
    if text is None or text.dtype.kind != "U":
        return {}
    try:
        metadata = json.loads(str(text))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: _metadata is not JSON ({error})") from None
    return metadata if isinstance(metadata, dict) else {}


def _get(
    path: str | os.PathLike[str], arrays: dict[str, npt.NDArray[Any]], key: str, rank: int
) -> npt.NDArray[Any]:
    if key not in arrays:
        raise ValueError(f"{path}: no key {key!r}, found {', '.join(sorted(arrays)) or 'none'}")
    array = arrays[key]
    if array.ndim != rank or array.size == 0:
        raise ValueError(f"{path}: {key} has shape {array.shape}, expected {rank} dimensions")
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: {key} holds NaN or infinity, expected finite numbers")
    return array


def _coordinate(
    path: str | os.PathLike[str], arrays: dict[str, npt.NDArray[Any]], key: str, B: int
) -> npt.NDArray[np.float64]:
    values = _get(path, arrays, key, 1)
    if len(values) != B:
        raise ValueError(f"{path}: {key} has {len(values)} entries for {B} patterns")
    return values.astype(np.float64)
