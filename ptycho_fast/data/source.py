"""Where the patterns of a feed come from, and which of them: a data set, or a simulator."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.backend import choose, gpu_arrays, host_arrays
from ptycho_fast.backend.protocol import Backend
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.data.grouping import Groups, make_groups
from ptycho_fast.data.split import split_on_y
from ptycho_fast.experiment import described_by, make_experiment
from ptycho_fast.formats.contents import projected
from ptycho_fast.scenario import GroupSpec, Scenario, resolve
from ptycho_fast.simulation import dataset_of, simulate
from ptycho_fast.simulator import Simulator
from ptycho_fast.stages import extract_patches

DATA_SUFFIXES = (".npz", ".npy")  # of a data set's file; other names are those of scenarios
PARTS = ("train", "test")


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """Amplitudes and true patches of any patterns; what is costly is made once, when needed.

    Attributes
    ----------
    given : Dataset or Simulator
        A data set, or a simulator that makes the patterns which are asked for.
    backend : str
        Backend of the simulator.
    seed : int
        Seed of new photons for a data set without a scenario.
    """

    given: Dataset | Simulator
    backend: str = "auto"
    seed: int = 42

    @property
    def scenario(self) -> Scenario | None:
        """The description, if there is one."""
        return self.given.scenario

    @property
    def N(self) -> int:
        """Patch side, pixels."""
        return self.given.N

    @cached_property
    def object(self) -> npt.NDArray[np.complex64]:
        """(H, W) the true object, of a thick one the product of its slices."""
        given = self.given
        return projected(given.object if isinstance(given, Dataset) else given.experiment.object)

    @property
    def positions(self) -> npt.NDArray[np.float64]:
        """(B, 2) ``[x, y]`` in object pixels."""
        given = self.given
        return given.positions if isinstance(given, Dataset) else given.experiment.positions

    def split(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pattern numbers for training and for test; see `Dataset.split`."""
        if isinstance(self.given, Dataset):
            return self.given.split()
        return split_on_y(self.positions, self.given.scenario.split.train_fraction)

    @cached_property
    def data(self) -> Dataset:
        """The whole data set in memory."""
        return self.given if isinstance(self.given, Dataset) else dataset_of(self.given)

    @cached_property
    def amplitude(self) -> npt.NDArray[np.float32]:
        """Amplitude (B, N, N) of all patterns of the data set."""
        return self.data.amplitude()

    @cached_property
    def simulator(self) -> Simulator:
        """What makes the patterns, also with other photons."""
        if isinstance(self.given, Simulator):
            return self.given
        data = self.given
        arrays: dict[str, Any] = {
            "object": data.object, "probe": data.probe, "positions": data.positions
        }  # fmt: skip
        if data.scenario:
            scenario = described_by(data.scenario, **arrays, noise=True)
        else:
            nphotons = float(data.photons().mean())
            scenario = described_by(None, **arrays, nphotons=nphotons, seed=self.seed)
        experiment = make_experiment(scenario, **arrays, intensity_scale=data.intensity_scale)
        return Simulator(experiment, backend=self.backend)

    # --- what batches are made of, on the CPU or on a GPU ---

    @property
    def can_be_on_gpu(self) -> bool:
        """Whether the backend works on a GPU."""
        return self._backend.capabilities.on_gpu

    def moved(self, array: npt.NDArray[Any], on_gpu: bool) -> Any:
        """The array, or its copy on the GPU."""
        return self._backend.resident(array) if on_gpu else array

    def empty(self, shape: tuple[int, ...], on_gpu: bool) -> Any:
        """Uninitialised float32 array, aligned so that frameworks take it without a copy."""
        gate = gpu_arrays if on_gpu else host_arrays
        return gate.empty_aligned(shape, np.float32)

    def amplitudes(
        self, members: npt.NDArray[np.int64], epoch: int | None, on_gpu: bool = False
    ) -> Any:
        """Amplitudes of patterns, in a new array.

        Parameters
        ----------
        members : (G, C) int64
            Pattern numbers.
        epoch : int, optional
            Draw the photons of this epoch; those of epoch 0 are the data set's. None: the patterns
            of the data set as they are.
        on_gpu : bool
            Whether the result is a CuPy array.

        Returns
        -------
        (G, C, N, N) float32
            ``sqrt(counts) / s``, or ``sqrt(intensity)`` without noise.
        """
        if epoch is None and isinstance(self.given, Dataset):
            return (self._amplitude_on_gpu if on_gpu else self.amplitude)[members]
        made = self.simulator.amplitudes(members.ravel(), epoch=epoch or 0, on_gpu=on_gpu)
        return made.reshape(*members.shape, self.N, self.N)

    def patches(self, positions: npt.NDArray[np.float64], on_gpu: bool = False) -> Any:
        """True patches (n, N, N) complex64 of the object at positions (n, 2)."""
        obj = self._object_on_gpu if on_gpu else self.object
        at = self.moved(np.ascontiguousarray(positions), on_gpu)
        outside = self.scenario.scan.outside if self.scenario else "zero"
        return extract_patches(obj, at, self.N, boundary=outside, backend=self.backend)

    @property
    def _backend(self) -> Backend:
        return choose(self.backend)[1]

    @cached_property
    def _amplitude_on_gpu(self) -> Any:
        return self.moved(self.amplitude, True)

    @cached_property
    def _object_on_gpu(self) -> Any:
        return self.moved(self.object, True)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which groups of a scan are shown.

    Attributes
    ----------
    part : {"train", "test"}
        Side of the split.
    gridsize : int
        Square root of the patterns in a group.
    n_groups : int
        Number of groups.
    include_seed : bool
        Whether a group's seed pattern is a member of it.
    seed : int
        Seed of the draw.
    """

    part: str
    gridsize: int
    n_groups: int
    include_seed: bool
    seed: int

    def groups(self, source: Source) -> Groups:
        """Draw the groups from the scan of a source."""
        spec = source.scenario.groups if source.scenario else GroupSpec()
        return make_groups(
            source.positions,
            self.gridsize,
            self.n_groups,
            neighbours=spec.neighbours,
            seed=self.seed,
            order=spec.order,
            include_seed=self.include_seed,
            indices=source.split()[PARTS.index(self.part)],
        )


def load(
    source: Scenario | Dataset | str | os.PathLike[str],
    *,
    domain: str | None = None,
    backend: str = "auto",
) -> Dataset:
    """The data set of a source: simulated from a scenario, as given, or read from a file.

    Parameters
    ----------
    source, domain, backend
        As for `feed.prepare`.

    Returns
    -------
    Dataset
        In memory.

    Raises
    ------
    ScenarioError, ValueError, TypeError, OSError
        There is no such scenario or file, or it cannot be simulated or read.
    """
    if isinstance(source, Dataset):
        return source
    if not isinstance(source, Scenario):
        if os.fspath(source).endswith(DATA_SUFFIXES):
            return Dataset.load(source, domain=domain)
        source = resolve(source)
    return simulate(source, backend=backend)
