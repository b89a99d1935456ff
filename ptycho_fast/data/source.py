"""Where the patterns of a feed come from, and which of them: a data set, or a simulator."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.backend import choose, gpu_arrays, host_arrays
from ptycho_fast.backend.protocol import Backend
from ptycho_fast.campaign import Campaign
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.data.grouping import Groups, make_groups
from ptycho_fast.data.opening import open
from ptycho_fast.data.recipe import Recipe
from ptycho_fast.data.split import split_on_y
from ptycho_fast.experiment import Experiment, described_by, make_experiment
from ptycho_fast.formats import FORMATS
from ptycho_fast.formats.contents import DOMAINS, projected
from ptycho_fast.formats.patterns import Observed
from ptycho_fast.scenario import GroupSpec, Scenario, resolve
from ptycho_fast.simulation import SimulatedPatterns, dataset_of
from ptycho_fast.simulator import Simulator
from ptycho_fast.stages import extract_patches

DATA_SUFFIXES = tuple(
    suffix for one in FORMATS.values() if one.reads for suffix in one.suffixes if suffix != ".toml"
)
"""Ends of names that are files of data; other names are those of scenarios."""

PARTS = ("train", "test", "all")
NOISES = ("fixed", "fresh")
OUTPUTS = ("patterns", "counts", "amplitude")

Given = Dataset | Simulator | Campaign
OfOneExperiment = Dataset | Experiment | Simulator


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
    campaign : Campaign, optional
        What `given` is experiment 0 of.
    threads : int, optional
        Of the simulator; by default as many as there are cores.
    """

    given: Dataset | Simulator
    backend: str = "auto"
    seed: int = 42
    campaign: Campaign | None = None
    threads: int | None = None

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
    def probe(self) -> npt.NDArray[np.complex64]:
        """(M, N, N) modes of the probe."""
        given = self.given
        return given.probe if isinstance(given, Dataset) else given.experiment.probe

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
        """The data set; that of a simulator is in memory."""
        return self.given if isinstance(self.given, Dataset) else dataset_of(self.given)

    @cached_property
    def amplitude(self) -> npt.NDArray[np.float32]:
        """Amplitude (B, N, N) of all patterns of the data set."""
        return self.data.amplitude()

    @cached_property
    def simulator(self) -> Simulator:
        """What makes the patterns, also with other photons."""
        if self._maker is not None and self._maker.noise:
            return self._maker
        data = self.given
        if isinstance(data, Simulator):
            return data
        arrays: dict[str, Any] = {
            "object": data.object, "probe": data.probe, "positions": data.positions
        }  # fmt: skip
        if data.scenario:
            scenario = described_by(data.scenario, **arrays, noise=True)
        else:
            nphotons = float(data.photons().mean())
            scenario = described_by(None, **arrays, nphotons=nphotons, seed=self.seed)
        experiment = make_experiment(scenario, **arrays, intensity_scale=data.intensity_scale)
        return Simulator(experiment, backend=self.backend, threads=self.threads)

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

    @cached_property
    def _maker(self) -> Simulator | None:
        """What makes the patterns as they are; None where they are in memory or in a file."""
        return maker(self.given)

    def check(self, output: str, noise: str) -> None:
        """Raise ValueError if patterns cannot be had like this.

        Parameters
        ----------
        output, noise
            As for `patterns`, and of `NOISES`.
        """
        given = self.given
        counted = given.domain == "count_intensity" or (
            isinstance(given, Dataset)
            and given.domain == "normalized_amplitude"
            and given.provenance.get("noise", True)
        )
        if output == "counts" and not counted:
            raise ValueError(
                checks.wrong("output", f"'counts' of {DOMAINS[given.domain]}", "another")
            )
        if noise == "fresh":
            require_scale(given)

    def dtype(self, output: str) -> np.dtype[Any]:
        """Type of `patterns`."""
        if output == "amplitude":
            return np.dtype(np.float32)
        given = self._maker or self.given
        if isinstance(given, Simulator):
            return given.dtype
        if output == "counts" and given.domain != "count_intensity":
            return np.dtype(np.uint32)
        return given.diffraction.dtype

    def patterns(
        self,
        numbers: npt.NDArray[np.int64],
        output: str = "amplitude",
        epoch: int | npt.NDArray[np.int64] | None = None,
        on_gpu: bool = False,
        out: Any = None,
    ) -> Any:
        """Any patterns; no others are made or read.

        Parameters
        ----------
        numbers : (n,) int64
            Pattern numbers.
        output : {"patterns", "counts", "amplitude"}
            As they are, as photon counts, or as normalised amplitudes.
        epoch : int or (n,) int64, optional
            Draw the photons of this epoch, or of one for each pattern; those of epoch 0 are the
            data set's. None: the patterns as they are.
        on_gpu : bool
            Whether the result is a CuPy array.
        out : (n, N, N) array, optional
            Array to write to.

        Returns
        -------
        (n, N, N) array
            A new one without `out`. Amplitudes are float32, ``sqrt(counts) / s``, or
            ``sqrt(intensity)`` without noise.
        """
        made_by = self._maker if epoch is None else self.simulator
        if made_by is not None:
            make = made_by.amplitudes if output == "amplitude" else made_by.frames
            return make(numbers, epoch=0 if epoch is None else epoch, out=out, on_gpu=on_gpu)
        if output == "amplitude":
            found = self.data.amplitude(numbers)
        else:
            found = (self._counts if output == "counts" else self.data.diffraction)[numbers]
        if out is None:
            return self.moved(found, on_gpu)
        out[...] = found
        return out

    def amplitudes(
        self,
        members: npt.NDArray[np.int64],
        epoch: int | npt.NDArray[np.int64] | None = None,
        on_gpu: bool = False,
    ) -> Any:
        """Amplitudes of patterns, in a new array.

        Parameters
        ----------
        members : (G, C) int64
            Pattern numbers.
        epoch : int or (G,) int64, optional
            Draw the photons of this epoch, or of one for each group; those of epoch 0 are the data
            set's. None: the patterns of the data set as they are.
        on_gpu : bool
            Whether the result is a CuPy array.

        Returns
        -------
        (G, C, N, N) float32
            ``sqrt(counts) / s``, or ``sqrt(intensity)`` without noise.
        """
        if epoch is None and isinstance(self.given, Dataset) and not self.given.is_lazy:
            return (self._amplitude_on_gpu if on_gpu else self.amplitude)[members]
        if isinstance(epoch, np.ndarray):
            epoch = np.repeat(epoch, members.shape[1])
        made = self.patterns(members.ravel(), "amplitude", epoch, on_gpu)
        return made.reshape(*members.shape, self.N, self.N)

    def patches(self, positions: npt.NDArray[np.float64], on_gpu: bool = False) -> Any:
        """True patches (n, N, N) complex64 of the object at positions (n, 2)."""
        obj = self._object_on_gpu if on_gpu else self.object
        at = self.moved(np.ascontiguousarray(positions), on_gpu)
        outside = self.scenario.scan.outside if self.scenario else "zero"
        return extract_patches(obj, at, self.N, boundary=outside, backend=self.backend)

    @cached_property
    def _counts(self) -> Any:
        return self.data.counts

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
    part : {"train", "test", "all"}
        Side of the split, or the whole scan.
    gridsize : int
        Square root of the patterns in a group.
    n_groups : int, optional
        Number of groups; by default as many as the part has patterns.
    include_seed : bool
        Whether a group's seed pattern is a member of it.
    seed : int
        Seed of the draw.
    """

    part: str
    gridsize: int
    n_groups: int | None
    include_seed: bool
    seed: int

    def indices(self, source: Source) -> npt.NDArray[np.int64]:
        """Numbers of the patterns of the part."""
        if self.part == "all":
            return np.arange(len(source.positions))
        return source.split()[PARTS.index(self.part)]

    def groups(self, source: Source) -> Groups:
        """Draw the groups from the scan of a source."""
        spec = source.scenario.groups if source.scenario else GroupSpec()
        indices = self.indices(source)
        return make_groups(
            source.positions,
            self.gridsize,
            len(indices) if self.n_groups is None else self.n_groups,
            neighbours=spec.neighbours,
            seed=self.seed,
            order=spec.order,
            include_seed=self.include_seed,
            indices=indices,
        )


def is_data(source: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a file of data, which is there or not, and not of a scenario."""
    name = os.fspath(source)
    return name.endswith(DATA_SUFFIXES) or (os.path.exists(name) and not name.endswith(".toml"))


def maker(given: Given) -> Simulator | None:
    """What makes patterns when they are asked for; None where they are in memory or in a file."""
    if isinstance(given, Dataset):
        patterns = given.diffraction
        while isinstance(patterns, Observed):
            patterns = patterns.base
        return patterns.simulator if isinstance(patterns, SimulatedPatterns) else None
    return given if isinstance(given, Simulator) else None


def require_scale(given: Given) -> None:
    """Raise ValueError if new photons cannot be drawn."""
    if isinstance(given, Dataset) and given.intensity_scale is None:
        expected = "'fixed' for data without an intensity scale"
        raise ValueError(checks.wrong("noise", "'fresh'", expected))


def opened(
    source: Given | Experiment | Scenario | str | os.PathLike[str],
    *,
    domain: str | None = None,
    backend: str = "auto",
    threads: int | None = None,
) -> Given:
    """What gives the patterns of a source, of which none is made or read yet.

    Parameters
    ----------
    source, domain, backend, threads
        As for `pattern_feed.PatternFeed`.

    Returns
    -------
    Dataset, Simulator or Campaign
        A data set for a file; a campaign for a scenario or a recipe with ranges; else a simulator.

    Raises
    ------
    ScenarioError, ValueError, TypeError, OSError
        There is no such scenario or file, or it cannot be simulated or opened.
    """
    if isinstance(source, Dataset | Simulator | Campaign):
        return source
    how: dict[str, Any] = {"backend": backend, "threads": threads}
    if isinstance(source, Experiment):
        return Simulator(source, **how)
    if not isinstance(source, Scenario):
        if is_data(source):
            return open(source, domain=domain)
        if os.fspath(source).endswith(".toml") and os.path.exists(source):
            return _from_recipe(Recipe.load(source), how)
        source = resolve(source)
    return Campaign(source, **how) if source.undrawn() else Simulator(source, **how)


def _from_recipe(recipe: Recipe, how: dict[str, Any]) -> Simulator | Campaign:
    """What makes the patterns of a recipe, or of the scenario in a TOML file."""
    how = how | {"backend": recipe.backend_for(how["backend"])}
    if not recipe.is_campaign:
        return recipe.simulator(**how)
    if recipe.first:
        given = f"{recipe.path} with recipe.first = {recipe.first}"
        expected = "a campaign from experiment 0; open(path, experiment=k) has one experiment"
        raise ValueError(checks.wrong("source", given, expected))
    return recipe.campaign(**how)


def load(
    source: Given | Scenario | str | os.PathLike[str],
    *,
    domain: str | None = None,
    backend: str = "auto",
) -> Dataset:
    """The data set of a source; patterns of a file or a recipe stay there.

    Parameters
    ----------
    source, domain, backend
        As for `feed.prepare`.

    Returns
    -------
    Dataset
        In memory where it is simulated, or was given like that; of a campaign experiment 0.

    Raises
    ------
    ScenarioError, ValueError, TypeError, OSError
        There is no such scenario or file, or it cannot be simulated or read.
    """
    given = opened(source, domain=domain, backend=backend)
    if isinstance(given, Campaign):
        return given.dataset(0)
    return given if isinstance(given, Dataset) else dataset_of(given)


def lazy(source: OfOneExperiment) -> Dataset:
    """The data set of a source, whose patterns are made or read when they are asked for.

    Parameters
    ----------
    source : Dataset, Experiment or Simulator
        What it is of; a data set is returned as it is.

    Raises
    ------
    TypeError
        It is something else.
    """
    if isinstance(source, Experiment):
        source = Simulator(source)
    if isinstance(source, Simulator):
        return dataset_of(source, lazy=True)
    if not isinstance(source, Dataset):
        expected = "a Dataset, an Experiment or a Simulator"
        raise TypeError(checks.wrong("data", type(source).__name__, expected))
    return source
