"""Groups as batches, for any framework: one part of a data set, normalised, epoch after epoch.

A batch is a pure function of the feed's seed, the epoch and the groups in it, so a run that was
interrupted goes on with the same data. Batches are NumPy arrays, or CuPy arrays on a GPU.
"""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks, scale_report, scaling
from ptycho_fast.ahead import made_ahead
from ptycho_fast.campaign import Campaign
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.data.grouping import Groups
from ptycho_fast.data.source import (
    NOISES,
    PARTS,
    Given,
    Selection,
    Source,
    load,
    opened,
    require_scale,
)
from ptycho_fast.data.symmetry import SYMMETRIES, is_symmetric, require_symmetric
from ptycho_fast.rng import uniforms
from ptycho_fast.scenario import GroupSpec, Scenario
from ptycho_fast.simulator import Simulator

PAIRINGS = ("published", "consistent")
PHOTONS = (*NOISES, "unique")
RENEWALS = ("scan", "object", "experiment")
_HELD_OUT = 2**31  # added to seeds, and to numbers of experiments, that no training reaches
_MEASURED_PIXELS = 2**22  # of patterns whose energy is measured at a time
_BLOCK_PIXELS = 2**18  # of patterns that are made in one call, for several small batches

Batch = tuple[tuple[Any, Any], dict[str, Any]]


@dataclass(frozen=True)
class Stream:
    """How batches follow each other.

    Attributes
    ----------
    batch_size : int
        Groups in a batch; the last batch of an epoch may be smaller.
    shuffle : bool
        Whether every epoch has its own order.
    first_epoch : int
        The epoch to begin with, for a run that is continued.
    epochs : int
        Number of epochs; not used with `renew`.
    renew : {"scan", "object", "experiment"}, optional
        Go on without end: after each epoch, simulate new positions, or a new object as well, or the
        next experiment of the campaign. A thread makes it while the epoch before is shown.

    Raises
    ------
    TypeError, ValueError
        A value is not allowed.
    """

    batch_size: int = 4
    shuffle: bool = True
    first_epoch: int = 0
    epochs: int = 1
    renew: str | None = None

    def __post_init__(self) -> None:
        checks.count(self.batch_size, "batch_size")
        checks.integer(self.first_epoch, "first_epoch", least=0)
        checks.count(self.epochs, "epochs")
        if self.renew is not None:
            checks.choice(self.renew, "renew", RENEWALS)


class Made(NamedTuple):
    """A batch, and where it stands in its stream.

    Attributes
    ----------
    batch : tuple
        As `Feed.stream` gives it.
    feed : Feed
        What it is of: with `Stream.renew`, the feed of this epoch.
    epoch : int
        Number of the epoch.
    number, of : int
        Number of the batch in its epoch, from 0, and how many there are.
    cpu_seconds : float
        Time that the threads of the feed worked on it; with `threads` other than 1 the kernels
        have threads of their own, which are not counted. The first batch of a renewed feed has
        the time for making object, scan and groups as well.
    """

    batch: Batch
    feed: "Feed"
    epoch: int
    number: int
    of: int
    cpu_seconds: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Feed:
    """One part of a data set as a network sees it; `prepare` makes it.

    Attributes
    ----------
    source : Source
        Where patterns and the true object come from.
    groups : Groups
        Which patterns belong together.
    selection : Selection
        How the groups were drawn.
    gain : float
        g of ``X = g * amplitude``; undo it before objects are compared.
    intensity_scale : float
        s of the network's input ``s * X``.
    pairing : {"published", "consistent"}
        Whether s belongs to the amplitude or to X.
    nphotons : float
        Requested photons of a mean pattern.
    seed : int
        Seed of order and orientations.
    noise : {"fixed", "fresh", "unique"}
        Whether all epochs have the photons of the data set, or each epoch its own, or each group in
        each epoch: no pattern is ever shown twice, though groups share positions of the scan.
    augment : bool
        Whether every epoch shows each group in another of the square's eight orientations.
    truth : bool
        Whether targets hold the true object.
    on_gpu : bool
        Whether batches are CuPy arrays; the source's backend has to work on a GPU.
    first, whole : int
        Number of the first group, and number of groups, of the feed that this one is part of.
    """

    source: Source
    groups: Groups
    selection: Selection
    gain: float
    intensity_scale: float
    pairing: str
    nphotons: float
    seed: int = 42
    noise: str = "fixed"
    augment: bool = False
    truth: bool = False
    on_gpu: bool = False
    first: int = 0
    whole: int = 0

    def __len__(self) -> int:
        return len(self.groups.nn_indices)

    @property
    def data(self) -> Dataset:
        """The data set."""
        return self.source.data

    @property
    def amplitude(self) -> npt.NDArray[np.float32]:
        """Diffraction amplitude (B, N, N) of all patterns, before normalisation."""
        return self.source.amplitude

    @property
    def N(self) -> int:
        """Patch side, pixels."""
        return self.source.N

    @property
    def channels(self) -> int:
        """Number of patterns in a group, C."""
        return self.groups.nn_indices.shape[1]

    @property
    def gridsize(self) -> int:
        """Square root of `channels`."""
        return self.selection.gridsize

    @property
    def largest_offset(self) -> float:
        """Largest local offset along x or y, pixels; `tf.canvas_side` takes it."""
        return float(np.abs(self.groups.coords_relative).max())

    @property
    def effective_photons(self) -> float:
        """Photons in a mean pattern of the network's input."""
        return scale_report.effective_photons_per_pattern(self.intensity_scale, (self.N / 2) ** 2)

    def part(self, start: int, stop: int | None = None) -> Self:
        """The feed of some of the groups, with the gain and scale of all of them."""
        groups = self.groups.take(slice(start, stop))
        return replace(self, groups=groups, first=self.first + start)

    def at_scale(self, intensity_scale: float) -> Self:
        """The same data for a network that was made for another intensity scale."""
        return replace(self, intensity_scale=intensity_scale)

    # --- batches ---

    def stream(self, how: Stream) -> Iterator[Batch]:
        """Batches of the epochs that `how` names, in order.

        Yields
        ------
        inputs : tuple
            Scaled amplitude ``s * X`` (G, N, N, C) float32, local offsets (G, 1, 2, C) float32.
        targets : dict
            ``amplitude`` and ``intensity`` (its square); with `truth` also ``object``, the true
            object (G, N, N) complex64.

        Raises
        ------
        ValueError
            New scans are asked for, and the data have no scenario.
        """
        return (made.batch for made in self.steps(how))

    def steps(self, how: Stream) -> Generator[Made]:
        """As `stream`, and with each batch where it stands; close it to stop its thread.

        Raises
        ------
        ValueError
            As `stream`.
        """
        self.check(how)
        return self._steps(how)

    def _steps(self, how: Stream) -> Generator[Made]:
        size = how.batch_size
        with closing(self._passes(how)) as passes:
            for epoch, feed, seconds in passes:
                batches, of = feed.epoch(epoch, size, shuffle=how.shuffle), feed.steps_of(size)
                for number in range(of):
                    start = time.thread_time()
                    batch = next(batches)
                    seconds += time.thread_time() - start
                    yield Made(batch, feed, epoch, number, of, seconds)
                    seconds = 0.0

    def _passes(self, how: Stream) -> Generator[tuple[int, Self, float]]:
        """Numbers of epochs, what is shown in them, and the seconds that a thread made it for."""
        if how.renew is None:
            for epoch in range(how.first_epoch, how.first_epoch + how.epochs):
                yield epoch, self, 0.0
        else:
            yield from made_ahead(self._renewals(how.first_epoch, how.renew), 1)

    def _renewals(self, first: int, what: str) -> Generator[tuple[int, Self, float]]:
        for turn in count(first):
            start = time.thread_time()
            feed = self.renewed(turn, what) if turn else self
            yield turn, feed, time.thread_time() - start

    def check(self, how: Stream) -> None:
        """Raise ValueError if `how` cannot be streamed: there is nothing to simulate again."""
        if how.renew == "experiment" and self.source.campaign is None:
            raise ValueError(checks.wrong("renew", "'experiment'", "another; there is no campaign"))
        if how.renew and self.source.scenario is None:
            given = f"{how.renew!r} for data without a scenario"
            raise ValueError(checks.wrong("renew", given, "None, or data with one"))

    def steps_of(self, batch_size: int) -> int:
        """Number of batches in an epoch."""
        return -(-len(self) // batch_size)

    def epoch(self, epoch: int, batch_size: int, *, shuffle: bool = True) -> Iterator[Batch]:
        """Batches of one epoch; see `stream`."""
        order = np.arange(len(self))
        if shuffle:
            chance = uniforms(self.seed, "order", epoch * len(self) + order)
            order = np.argsort(chance, kind="stable")
        fit = _BLOCK_PIXELS // (batch_size * self.channels * self.N**2)
        block = batch_size * max(1, fit)
        for start in range(0, len(order), block):
            made = self._made(order[start : start + block], epoch)
            for first in range(0, len(made[0][0]), batch_size):
                yield _some(made, slice(first, first + batch_size))

    def _made(self, chosen: npt.NDArray[np.int64], epoch: int) -> Batch:
        """The groups `chosen` as one batch; the only place where batches are made.

        NumPy's functions and indices work on CuPy arrays too.
        """
        offsets = self.groups.coords_relative[chosen]
        members = self.groups.nn_indices[chosen]
        exposures: dict[str, int | npt.NDArray[np.int64]] = {
            "fresh": epoch,
            "unique": epoch * self.whole + self.first + chosen,
        }
        drawn = exposures.get(self.noise)
        scaled = self.source.amplitudes(members, drawn, self.on_gpu)
        scaled *= np.float32(self.intensity_scale * self.gain)
        objects = self.true_objects(chosen) if self.truth else None
        if self.augment:
            chance = uniforms(self.seed, "symmetry", epoch * len(self) + chosen)
            picks = (chance * len(SYMMETRIES)).astype(int)
            for pick, symmetry in enumerate(SYMMETRIES):
                turned = np.flatnonzero(picks == pick)
                scaled[turned], offsets[turned] = symmetry.groups(scaled[turned], offsets[turned])
                if objects is not None:
                    objects[turned] = symmetry.field(objects[turned])
        shape = len(chosen), self.N, self.N, self.channels
        amplitude, intensity = (self.source.empty(shape, self.on_gpu) for _ in range(2))
        for channel in range(self.channels):  # four times as fast as a copy of all
            amplitude[..., channel] = scaled[:, channel]
        targets = {"amplitude": amplitude, "intensity": np.square(amplitude, out=intensity)}
        if objects is not None:
            targets["object"] = objects
        return (amplitude, self.source.moved(offsets.astype(np.float32), self.on_gpu)), targets

    def renewed(self, turn: int, what: str) -> Self:
        """The feed of a new scan, or of a new object as well, normalised like this one.

        Groups with larger offsets than this feed's, which a canvas may not hold, are left out.

        Parameters
        ----------
        turn : int
            Added to the scenario's seeds; of a campaign the number of the experiment.
        what : {"scan", "object", "experiment"}
            What is new.

        Raises
        ------
        ScenarioError, ValueError
            It cannot be made, or none of its groups is left.
        """
        source = replace(self.source, given=self._simulator(turn, what))
        groups = self.selection.groups(source)
        fits = np.abs(groups.coords_relative).max(axis=(1, 2, 3)) <= self.largest_offset
        if not fits.any():
            given = f"no group of experiment {turn} with offsets below {self.largest_offset:.1f}"
            raise ValueError(checks.wrong("renew", given, "scans as dense as the first one"))
        return self._with(source, groups.take(fits))

    def held_out(self, number: int, part: str = "test") -> Self:
        """All groups of an experiment that `Stream.renew` never shows, to judge a network by.

        Each pattern of the part seeds a group, with itself as a member.

        Parameters
        ----------
        number : int
            Which one, from 0. It has the seeds of turn 2**31 + number of `renewed`, with a new
            object; of a campaign it is the experiment with this number.
        part : {"train", "test", "all"}
            Which side of its split.

        Raises
        ------
        ValueError
            There is no scenario, the campaign ends, or the object is the same every time.
        """
        checks.integer(number, "number", 0, _HELD_OUT - 1)
        what = "experiment" if self.source.campaign else "object"
        self.check(Stream(renew=what))
        source = replace(self.source, given=self._simulator(_HELD_OUT + number, what))
        if np.array_equal(source.object, self.source.object):
            kind = self.source.scenario.object.kind if self.source.scenario else ""
            given = f"object.kind = {kind!r}, the same object for every seed"
            raise ValueError(checks.wrong("held_out", given, "an object that is drawn"))
        selection = replace(self.selection, part=part, n_groups=None, include_seed=True)
        held = self._with(source, selection.groups(source))
        return replace(held, selection=selection, noise="fixed", augment=False, truth=False)

    def _simulator(self, turn: int, what: str) -> Simulator:
        """What makes the patterns of the experiment of a turn."""
        if what == "experiment":
            assert self.source.campaign is not None  # `check` has seen to it
            return self.source.campaign.simulator(turn)
        assert self.source.scenario is not None  # as well
        seeds = self.source.scenario.seeds
        changes = {
            "seeds.scan": (seeds.scan + turn) % 2**32,
            "seeds.photons": (seeds.photons + turn) % 2**64,
        }
        if what == "object":
            changes["seeds.object"] = (seeds.object + turn) % 2**32
        scenario = self.source.scenario.replace(changes)
        return Simulator(scenario, backend=self.source.backend, threads=self.source.threads)

    def _with(self, source: Source, groups: Groups) -> Self:
        """The feed of other data."""
        return replace(self, source=source, groups=groups, first=0, whole=len(groups.nn_indices))

    # --- truth ---

    def true_objects(self, chosen: npt.NDArray[np.int64] | slice = slice(None)) -> Any:
        """True objects (G, N, N) of groups, at their mean position, in the network's units."""
        return self._true_patches(self.groups.coords_offsets[chosen, 0, :, 0])

    def true_patches(self) -> Any:
        """True patches (G, C, N, N) of all groups, in the network's units."""
        xy = np.moveaxis(self.groups.coords[:, 0], 1, 2)
        patches = self._true_patches(xy.reshape(-1, 2))
        return patches.reshape(*xy.shape[:2], self.N, self.N)

    def _true_patches(self, positions: npt.NDArray[np.float64]) -> Any:
        patches = self.source.patches(positions, self.on_gpu)
        patches *= np.float32(self.gain)
        return patches

    # --- making ---

    @classmethod
    def prepare(
        cls,
        source: Given | Scenario | str | os.PathLike[str],
        gridsize: int | None = None,
        *,
        part: str = "train",
        n_groups: int | None = None,
        include_seed: bool | None = None,
        noise: str = "fixed",
        augment: bool = False,
        truth: bool = False,
        pairing: str = "published",
        nphotons: float | None = None,
        domain: str | None = None,
        seed: int = 42,
        backend: str = "auto",
        threads: int | None = None,
    ) -> Self:
        """Group and normalise one part of a data set.

        Parameters
        ----------
        source : Scenario, Campaign, Simulator, Dataset, str or path-like
            A scenario or its name (which is simulated), experiment 0 of a campaign, a data set, or
            the path of one in any format. Of a data set that is not in memory, or of a recipe, all
            patterns of the groups pass once, to be measured, and then those of each batch; without
            a scenario or `nphotons` all patterns of the data set pass, for their mean dose.
        gridsize : int, optional
            Square root of the patterns in a group; by default the scenario's, else 1.
        part : {"train", "test", "all"}
            Side of the split, or the whole scan.
        n_groups : int, optional
            Number of groups; by default the scenario's, else, and for the whole scan, as many as
            the part has patterns.
        include_seed : bool, optional
            Whether a group's seed pattern is a member of it; by default as the scenario says.
        noise : {"fixed", "fresh", "unique"}
            The photons of the data set in all epochs, or new ones in every epoch, or for every
            group in every epoch.
        augment : bool
            Show groups mirrored and transposed at random; the probe must have these symmetries.
        truth : bool
            Give the true object of each group as a target.
        pairing : {"published", "consistent"}
            Intensity scale of the data set's groups, or the closed form, which belongs to X.
        nphotons : float, optional
            Photons of a mean pattern; by default the scenario's dose, else those measured.
        domain : str, optional
            Meaning of the patterns, for a file that does not say; a key of `dataset.DOMAINS`.
        seed : int
            Seed of order and orientations, and for data without a scenario of groups and photons.
        backend : str
            Backend of the simulator.
        threads : int, optional
            Of the simulator; by default as many as there are cores.

        Returns
        -------
        Feed
            Ready for `Feed.stream`.

        Raises
        ------
        ScenarioError, ValueError, TypeError
            An argument is wrong, or the data cannot be grouped like this; the message names it.

        Examples
        --------
        >>> feed = prepare("gs2_ideal", n_groups=10, noise="fresh")
        >>> batches = list(feed.stream(Stream(batch_size=4, epochs=2)))
        >>> [len(offsets) for (amplitude, offsets), targets in batches]
        [4, 4, 2, 4, 4, 2]
        """
        checks.choice(part, "part", PARTS)
        checks.choice(noise, "noise", PHOTONS)
        checks.choice(pairing, "pairing", PAIRINGS)
        given = opened(source, domain=domain, backend=backend, threads=threads)
        data = load(given)
        _check_data(data, noise, augment)
        scenario = data.scenario
        spec = scenario.groups if scenario else GroupSpec()
        campaign = given if isinstance(given, Campaign) else None
        origin = Source(given=data, backend=backend, seed=seed, campaign=campaign, threads=threads)
        if gridsize is None:
            gridsize = scenario.gridsize if scenario else 1
        if n_groups is None and scenario and part != "all":
            n_groups = getattr(spec, f"n_{part}")
        selection = Selection(
            part=part,
            gridsize=gridsize,
            n_groups=n_groups,
            include_seed=spec.include_seed if include_seed is None else include_seed,
            seed=scenario.seeds.groups if scenario else seed,
        )
        groups = selection.groups(origin)
        energies = _energies(origin, groups, kept=noise == "fixed")
        if nphotons is None:
            nphotons = scenario.dose.nphotons if scenario else float(data.photons().mean())
        if pairing == "published":
            s = scaling.dataset_intensity_scale(nphotons, float(energies.sum(axis=1).mean()))
        else:
            s = scaling.closed_form_intensity_scale(nphotons, data.N)
        return cls(
            source=origin,
            groups=groups,
            selection=selection,
            gain=scaling.normalise_gain(float(energies.mean()), data.N),
            intensity_scale=s,
            pairing=pairing,
            nphotons=nphotons,
            seed=seed,
            noise=noise,
            augment=augment,
            truth=truth,
            whole=len(groups.nn_indices),
        )


prepare = Feed.prepare


def _some(batch: Batch, groups: slice) -> Batch:
    """Some of the groups of a batch, without a copy."""
    (amplitude, offsets), targets = batch
    return (amplitude[groups], offsets[groups]), {k: v[groups] for k, v in targets.items()}


def _check_data(data: Dataset, noise: str, augment: bool) -> None:
    """Raise ValueError if the data cannot be fed as asked for."""
    if not data.is_lazy and data.diffraction.dtype.kind == "f":
        _check_finite(np.asarray(data.diffraction), np.arange(data.n_patterns))
    if noise != "fixed":
        require_scale(data)
    if augment:
        require_symmetric(data.probe)
        if (order := _order(data)) != "fixed":
            given = f"True with groups.order = {order!r}"
            raise ValueError(checks.wrong("augment", given, "groups.order = 'fixed'"))


def can_augment(data: Dataset) -> bool:
    """Whether groups of these data can be shown mirrored and transposed."""
    return is_symmetric(data.probe) and _order(data) == "fixed"


def _order(data: Dataset) -> str:
    return data.scenario.groups.order if data.scenario else "fixed"


def _check_finite(patterns: npt.NDArray[Any], numbers: npt.NDArray[np.int64]) -> None:
    """Raise ValueError if a pattern is not all numbers."""
    finite = np.isfinite(patterns).all(axis=(1, 2))
    if not finite.all():
        given = f"pattern {numbers[np.argmin(finite)]} with NaN or infinity"
        raise ValueError(checks.wrong("source", given, "numbers"))


def _energies(source: Source, groups: Groups, *, kept: bool) -> npt.NDArray[np.float64]:
    """Energies (G, C) of the patterns of groups, of which few are in memory at a time.

    `kept`: the amplitudes will be needed again. Fresh photons never need them.

    Raises
    ------
    ValueError
        A pattern holds no numbers.
    """
    members, place = np.unique(groups.nn_indices, return_inverse=True)
    energies = np.empty(len(members))
    step = max(1, _MEASURED_PIXELS // source.N**2)
    for first in range(0, len(members), step):
        some = members[first : first + step]
        amplitude = source.amplitudes(some[:, None])[:, 0] if kept else source.patterns(some)
        _check_finite(amplitude, some)
        energies[first : first + step] = scaling.amplitude_energies(amplitude)
    return energies[place.reshape(groups.nn_indices.shape)]
