"""A whole data set, made by one call, or pattern by pattern as they are asked for."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.backend import host_arrays
from ptycho_fast.data.dataset import Dataset, measured_dose
from ptycho_fast.formats.patterns import LazyPatterns, Patterns, ranges
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
    start: "Dataset | str | os.PathLike[str] | None" = None,
    nphotons: float | None = None,
    seed: int | None = None,
    noise: bool | None = None,
    backend: str = "auto",
    device: int | None = None,
    threads: int | None = None,
    dtype: npt.DTypeLike | None = None,
    clock: StageClock | None = None,
) -> Dataset:
    """Simulate the whole data set that a scenario describes, in memory.

    Parameters
    ----------
    scenario, object, probe, positions, start, nphotons, seed, noise
        As for `Simulator`.
    backend, device, threads, dtype
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
        scenario, object=object, probe=probe, positions=positions, start=start,
        nphotons=nphotons, seed=seed, noise=noise, backend=backend, device=device, threads=threads,
        dtype=dtype, clock=clock,
    )  # fmt: skip
    return dataset_of(simulator, clock)


def dataset_of(
    simulator: Simulator, clock: StageClock | None = None, *, lazy: bool = False
) -> Dataset:
    """All frames of a simulator with their truth and provenance.

    Parameters
    ----------
    simulator : Simulator
        Of the experiment.
    clock : StageClock, optional
        Told of every stage as it begins and goes on.
    lazy : bool
        Whether patterns are made only when they are asked for. Their dose is measured as they pass
        on their way to a file, and stands in `Dataset.provenance` when it is written.

    Warns
    -----
    DataWarning
        No photon was detected at all; where patterns are made later, when they are.

    Examples
    --------
    >>> simulator = Simulator("gs2_ideal", backend="reference")
    >>> data = dataset_of(simulator, lazy=True)
    >>> bool((data.counts[1000:1003] == simulator.frames(1000, 1003)).all())
    True
    """
    clock = clock or StageClock()
    e, B = simulator.experiment, simulator.n_patterns
    patterns: Patterns = SimulatedPatterns(simulator)
    if not lazy:
        with clock.stage("patterns", total=B):
            made = host_arrays.empty_aligned(patterns.shape, simulator.dtype)
            # By chunks, so that a run can be watched and interrupted.
            for first, last in ranges(patterns, simulator.chunk):
                simulator.frames(first, last, out=made[first:last])
                clock.advance(last - first)
        patterns = made
    dataset = Dataset(
        object=e.object,
        probe=e.probe,
        positions=e.positions,
        positions_nominal=e.positions_nominal,
        diffraction=patterns,
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
    dataset.provenance["dose"] = dict(e.dose)
    if lazy:
        return dataset.measuring()
    with clock.stage("statistics"):
        dataset.provenance["dose"] = measured_dose(dataset)
    return dataset


class SimulatedPatterns(LazyPatterns):
    """The frames of a simulator, made when they are asked for; any of them in any order.

    Parameters
    ----------
    simulator : Simulator
        What makes them.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.shape = (simulator.n_patterns, simulator.N, simulator.N)
        self.dtype = simulator.dtype

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        return self.simulator.frames(first, last)

    def _take(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        return self.simulator.frames(numbers)
