"""A whole data set in memory, made by one call."""

import os
import warnings

import numpy.typing as npt

from ptycho_fast.backend import host_arrays
from ptycho_fast.data.dataset import Dataset, dose_statistics
from ptycho_fast.errors import DataWarning
from ptycho_fast.progress import StageClock
from ptycho_fast.scenario import Scenario
from ptycho_fast.simulator import Simulator
from ptycho_fast.version import __version__


def simulate(
    scenario: "Scenario | str | os.PathLike[str] | None" = None,
    *,
    object: npt.ArrayLike | None = None,
    probe: npt.ArrayLike | None = None,
    positions: npt.ArrayLike | None = None,
    nphotons: float | None = None,
    seed: int | None = None,
    noise: bool | None = None,
    backend: str = "auto",
    device: int | None = None,
    threads: int | None = None,
    clock: StageClock | None = None,
) -> Dataset:
    """Simulate the whole data set that a scenario describes, in memory.

    Parameters
    ----------
    scenario, object, probe, positions, nphotons, seed, noise, backend, device, threads
        As for `Simulator`.
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

    Examples
    --------
    >>> import numpy as np
    >>> data = simulate(
    ...     object=np.ones((90, 90)), probe=np.ones((16, 16)), positions=[[40, 40], [50.5, 45]],
    ...     nphotons=1e6,
    ... )
    >>> data.counts.shape
    (2, 16, 16)
    """
    clock = clock or StageClock()
    simulator = Simulator(
        scenario, object=object, probe=probe, positions=positions, nphotons=nphotons, seed=seed,
        noise=noise, backend=backend, device=device, threads=threads, clock=clock,
    )  # fmt: skip
    return dataset_of(simulator, clock)


def dataset_of(simulator: Simulator, clock: StageClock | None = None) -> Dataset:
    """All frames of a simulator with their truth and provenance, in memory.

    Warns
    -----
    DataWarning
        No photon was detected at all.
    """
    clock = clock or StageClock()
    e, B = simulator.experiment, simulator.n_patterns
    with clock.stage("patterns", total=B):
        diffraction = host_arrays.empty_aligned((B, e.N, e.N), simulator.dtype)
        for first in range(0, B, simulator.chunk):  # so that a run can be watched and interrupted
            last = min(first + simulator.chunk, B)
            simulator.frames(first, last, out=diffraction[first:last])
            clock.advance(last - first)
    dataset = Dataset(
        object=e.object,
        probe=e.probe,
        positions=e.positions,
        positions_nominal=e.positions_nominal,
        diffraction=diffraction,
        domain=simulator.domain,
        intensity_scale=e.intensity_scale,
        eigenprobes=e.eigenprobes,
        weights=e.weights,
        path=e.path,
        dose_factors=e.dose_factors,
        mask=e.mask,
        geometry=e.geometry,
        scenario=e.scenario,
        provenance={
            "version": __version__, "backend": simulator.backend, "noise": simulator.noise
        },
    )  # fmt: skip
    if simulator.domain == "detector_signal" and simulator.response:
        one = simulator.response
        dataset.provenance["signal"] = {"gain": one.gain, "offset": one.offset}
    with clock.stage("statistics"):
        dataset.provenance["dose"] = {**e.dose, **dose_statistics(dataset)}
    if not dataset.provenance["dose"]["measured"]["max"] > 0:
        warnings.warn(
            "no photon was detected in any pattern: the dose is too low, or all light falls on "
            "masked pixels",
            DataWarning,
            stacklevel=3,
        )
    return dataset
