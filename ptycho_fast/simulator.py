"""From a scenario to a data set."""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks, detector, objects, probes, scaling, scans
from ptycho_fast.backend import choose
from ptycho_fast.backend import host_arrays as arrays
from ptycho_fast.data.dataset import Dataset, dose_statistics
from ptycho_fast.dose.energy import pattern_energies
from ptycho_fast.errors import ScenarioError
from ptycho_fast.progress import StageClock
from ptycho_fast.scenario import DetectorSpec, Scenario, resolve
from ptycho_fast.stages import check_rates, intensity_bound, placed
from ptycho_fast.threads import granted, thread_count
from ptycho_fast.version import __version__

CHUNK_PIXELS = 2**20  # patterns are made in chunks, so that a run can be watched and interrupted


def simulate(
    scenario: Scenario | str,
    *,
    backend: str = "auto",
    seed: int | None = None,
    noise: bool = True,
    threads: int | None = None,
    device: int | None = None,
    clock: StageClock | None = None,
) -> Dataset:
    """Simulate the data set that a scenario describes.

    Parameters
    ----------
    scenario : Scenario or str
        The description, or the name of a preset, or the path of a TOML file.
    backend : str
        "auto" (the best there is) or a name of `ptycho_fast.backends`.
    seed : int, optional
        Seed of the photon noise instead of the scenario's ``seeds.photons``.
    noise : bool
        Whether photons are drawn; without, the data set holds noise-free intensities.
    threads : int, optional
        Threads over patterns; the result does not depend on it.
    device : int, optional
        Number of the GPU, with the backend "cuda"; by default CuPy's current.
    clock : StageClock, optional
        Told of every stage as it begins and goes on.

    Returns
    -------
    Dataset
        Counts (or intensities), object, probe, positions, intensity scale, scenario and provenance.

    Raises
    ------
    ScenarioError
        The scenario cannot be simulated; the message names the key.
    ValueError, TypeError, RuntimeError, OSError
        An argument or an input file is at fault, or the backend is not available.
    """
    if isinstance(scenario, str):
        scenario = resolve(scenario)
    if seed is not None:
        scenario = scenario.replace({"seeds.photons": checks.seed(seed)})
    clock = clock or StageClock()
    backend, module = choose(backend)
    place = placed(backend, module, device)
    thread_count(threads)  # an error before the work begins

    obj, probe, positions, scale = inputs(scenario, clock)
    # An error of this one is the files', not the dose's.
    bound = intensity_bound(checks.largest_part(obj), probe)

    shape = (len(positions), scenario.N, scenario.N)
    diffraction = arrays.empty_aligned(shape, np.uint32 if noise else np.float32)
    share = granted(threads, len(probe) * diffraction.size)
    with clock.stage("patterns", total=len(positions)), share as n_threads, place:
        if noise:
            try:
                check_rates(module, obj, probe, positions, scale, bound, n_threads)
            except ValueError as error:
                raise ScenarioError(
                    f"dose.nphotons: {scenario.dose.nphotons} given: {error}", key="dose.nphotons"
                ) from None
        here = (obj, probe)
        chunk_pixels = CHUNK_PIXELS
        if backend == "cuda":  # they stay there, and a round of launches wants more patterns
            here, chunk_pixels = (module.to_gpu(obj), module.to_gpu(probe)), module.CHUNK_PIXELS
        make = functools.partial(module.observe if noise else module.diffract, *here)
        chunk = max(1, chunk_pixels // scenario.N**2)
        for first in range(0, len(positions), chunk):
            part, out = positions[first : first + chunk], diffraction[first : first + chunk]
            if noise:
                make(part, scale, scenario.seeds.photons, first, out, n_threads)
            else:
                make(part, out, n_threads)
            if scenario.detector != DetectorSpec():
                out[...] = _detected(out, scenario.detector, scale**2)
            clock.advance(len(part))

    dataset = Dataset(
        object=obj,
        probe=probe,
        positions=positions,
        positions_nominal=positions,
        diffraction=diffraction,
        domain="count_intensity" if noise else "normalized_intensity",
        intensity_scale=scale,
        scenario=scenario,
        provenance={"version": __version__, "backend": backend, "noise": noise},
    )
    with clock.stage("statistics"):
        dataset.provenance["dose"] = {
            "requested": scenario.dose.nphotons,
            **dose_statistics(dataset),
        }
    return dataset


def inputs(
    scenario: Scenario, clock: StageClock
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.complex64], npt.NDArray[np.float64], float]:
    """Object (H, W), probe (M, N, N), positions (B, 2) and intensity scale s of a scenario."""
    scenario.require_runnable()
    with clock.stage("object"):
        obj = arrays.as_object(objects.make_object(scenario.object, scenario.seeds.object))
    with clock.stage("probe"):
        probe = arrays.as_probe(probes.make_probe(scenario.probe, scenario.N))
    with clock.stage("scan"):
        positions = scans.make_scan(scenario.scan, obj.shape, scenario.seeds.scan)
    with clock.stage("intensity scale"):
        energy = float(pattern_energies(obj, probe, positions).mean())
        if energy == 0:
            raise ValueError(
                "object, probe: no light reaches the detector at any position, so no dose can be "
                "given; expected an object and a probe that are not zero"
            )
        scale = scaling.dataset_intensity_scale(scenario.dose.nphotons, energy)
    return obj, probe, positions, scale


def _detected(
    patterns: npt.NDArray[Any], spec: DetectorSpec, photons_per_unit: float
) -> npt.NDArray[Any]:
    """Patterns behind the detector, whose limits are in photons."""
    if patterns.dtype == np.uint32:
        return detector.apply(patterns, spec)
    return detector.apply(patterns * np.float64(photons_per_unit), spec) / photons_per_unit
