"""Training data: one part of a data set, grouped and normalised, as a stream of batches.

Everything a batch holds is a pure function of the feed's seed, the epoch and the group, so a run
that was interrupted goes on with the same data. The simulator's public functions are used where
photons or scans are drawn anew, and nowhere else.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks, detector, scale_report, scaling
from ptycho_fast.ahead import made_ahead
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.data.grouping import Groups, group_energies, make_groups
from ptycho_fast.rng import uniforms
from ptycho_fast.scenario import GroupSpec, Scenario, resolve

from .symmetry import SYMMETRIES, Symmetry, require_symmetric

PAIRINGS = ("published", "consistent")
NOISES = ("fixed", "fresh")
RENEWALS = ("scan", "object")
_AHEAD = 8  # batches that are made while the network trains

Batch = tuple[tuple[Any, Any], dict[str, Any]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Feed:
    """One part of a data set as a network sees it.

    Attributes
    ----------
    data : Dataset
        Patterns, object, probe, positions.
    groups : Groups
        Which patterns belong together.
    amplitude : (B, N, N) float32
        Diffraction amplitude of all patterns, before normalisation.
    gain : float
        g of ``X = g * amplitude``; has to be undone before objects are compared.
    intensity_scale : float
        s of the network's input ``s * X``.
    pairing : str
        Whether s belongs to the amplitude ("published") or to X ("consistent").
    nphotons : float
        The dose that was asked for.
    seed : int
        Seed of order and symmetries.
    noise : {"fixed", "fresh"}
        Whether every epoch has photons of its own.
    augment : bool
        Whether every epoch shows each group in another of the square's eight orientations.
    truth : bool
        Whether targets hold the true object.
    backend : str
        Of the simulator, where photons are drawn anew.
    on_gpu : bool
        Whether batches are made on a GPU, as CuPy's arrays; see `tensors`.
    drawn : dict
        Part, number and kind of the groups, as `prepare` takes them, to draw them from a new scan.
    """

    data: Dataset
    groups: Groups
    amplitude: npt.NDArray[np.float32]
    gain: float
    intensity_scale: float
    pairing: str
    nphotons: float
    seed: int = 42
    noise: str = "fixed"
    augment: bool = False
    truth: bool = False
    backend: str = "auto"
    on_gpu: bool = False
    drawn: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.groups.nn_indices)

    @property
    def N(self) -> int:
        """Patch side."""
        return self.data.N

    @property
    def channels(self) -> int:
        """Patterns of a group, C."""
        return self.groups.nn_indices.shape[1]

    @property
    def gridsize(self) -> int:
        """Square root of `channels`."""
        return int(np.sqrt(self.channels))

    @property
    def largest_offset(self) -> float:
        """Largest local offset along x or y, pixels; `model.canvas_side` takes it."""
        return float(np.abs(self.groups.coords_relative).max())

    @property
    def effective_photons(self) -> float:
        """Photons that a mean pattern of the network's input holds."""
        return scale_report.effective_photons_per_pattern(self.intensity_scale, (self.N / 2) ** 2)

    def part(self, start: int, stop: int | None = None) -> "Feed":
        """The feed of some of the groups; its gain and scale stay those of all."""
        return replace(self, groups=self.groups.take(slice(start, stop)))

    def at_scale(self, intensity_scale: float) -> "Feed":
        """The same data for a network that was made for another intensity scale."""
        return replace(self, intensity_scale=intensity_scale)

    def _there(self, array: npt.NDArray[Any]) -> Any:
        """An array where batches are made."""
        if not self.on_gpu:
            return array
        from ptycho_fast.handover import to_gpu

        return to_gpu(array)

    # --- batches ---

    def epoch(self, epoch: int, batch_size: int, *, shuffle: bool = True) -> Iterator[Batch]:
        """Batches of arrays: ``((amplitude, offsets), targets)``; see `dataset`."""
        order = np.arange(len(self))
        if shuffle:
            chance = uniforms(self.seed, "order", epoch * len(self) + order)
            order = np.argsort(chance, kind="stable")
        for first in range(0, len(order), batch_size):
            yield self._batch(order[first : first + batch_size], epoch)

    def _batch(self, chosen: npt.NDArray[np.int64], epoch: int) -> Batch:
        """Groups `chosen`; the one place where batches are made.

        CuPy's arrays take part in NumPy's functions and take NumPy's indices.
        """
        offsets = self.groups.coords_relative[chosen]
        scaled = self._amplitudes(self.groups.nn_indices[chosen], epoch)
        scaled *= np.float32(self.intensity_scale * self.gain)
        objects = self.true_objects(chosen) if self.truth else None
        if self.augment:
            chance = uniforms(self.seed, "symmetry", epoch * len(self) + chosen)
            for n, pick in enumerate((chance * len(SYMMETRIES)).astype(int)):
                symmetry: Symmetry = SYMMETRIES[pick]
                scaled[n], offsets[n] = symmetry.group(scaled[n], offsets[n])
                if objects is not None:
                    objects[n] = symmetry.field(objects[n])
        amplitude = np.moveaxis(scaled, 1, -1).copy(order="C")
        targets = {"amplitude": amplitude, "intensity": np.square(amplitude)}
        if objects is not None:
            targets["object"] = objects
        return (amplitude, self._there(offsets.astype(np.float32))), targets

    @cached_property
    def _fixed(self) -> Any:
        return self._there(self.amplitude)

    def _amplitudes(self, members: npt.NDArray[np.int64], epoch: int) -> Any:
        """Amplitudes (G, C, N, N) of the patterns `members` (G, C)."""
        if self.noise == "fixed":
            return self._fixed[members]
        patterns, place = np.unique(members, return_inverse=True)
        drawn = np.stack([self._observed_again(int(b), epoch) for b in patterns])
        return drawn[place.reshape(members.shape)]

    def _observed_again(self, pattern: int, epoch: int) -> Any:
        """Amplitude of a pattern with the photons of an epoch; in epoch 0 those of the data set."""
        from ptycho_fast import sample_photons

        scenario, s = self.data.scenario, self.data.intensity_scale
        assert s is not None  # checked where the feed was made
        counts = sample_photons(
            self.expected[pattern : pattern + 1] * np.float32(s**2),
            seed=scenario.seeds.photons if scenario else self.seed,
            first_index=epoch * self.data.n_patterns + pattern,  # epochs follow each other
            backend=self.backend,
            threads=1,
        )
        if scenario:
            counts = detector.apply(counts, scenario.detector)
        return (np.sqrt(counts[0], dtype=np.float64) / s).astype(np.float32)

    @cached_property
    def expected(self) -> Any:
        """Expected intensities (B, N, N) float32 before dose, computed once."""
        from ptycho_fast import diffract

        data = self.data
        probe, positions = self._there(data.probe), self._there(data.positions)
        return diffract(self._object, probe, positions, backend=self.backend)

    # --- truth ---

    def true_objects(self, chosen: npt.NDArray[np.int64] | slice = slice(None)) -> Any:
        """True objects (G, N, N) of groups, at their mean position, in the network's units."""
        return self._true_patches(self.groups.coords_offsets[chosen, 0, :, 0])

    def true_patches(self) -> Any:
        """True patches (G, C, N, N) of all groups, in the network's units."""
        xy = np.moveaxis(self.groups.coords[:, 0], 1, 2)
        patches = self._true_patches(xy.reshape(-1, 2))
        return patches.reshape(*xy.shape[:2], self.N, self.N)

    @cached_property
    def _object(self) -> Any:
        return self._there(self.data.object)

    def _true_patches(self, positions: npt.NDArray[np.float64]) -> Any:
        from ptycho_fast import extract_patches

        at = self._there(np.ascontiguousarray(positions))
        patches = extract_patches(self._object, at, self.N, backend=self.backend)
        return patches * np.float32(self.gain)

    # --- without end ---

    def renewed(self, turn: int, what: str, limit: float) -> "Feed":
        """The feed of a new scan, and with "object" of a new object; normalised as this one.

        Groups with offsets beyond `limit`, which the canvas does not hold, are left out.
        """
        assert self.data.scenario is not None  # checked where the feed was made
        seeds = self.data.scenario.seeds
        changes = {
            "seeds.scan": (seeds.scan + turn) % 2**32,
            "seeds.photons": (seeds.photons + turn) % 2**64,
        }
        if what == "object":
            changes["seeds.object"] = (seeds.object + turn) % 2**32
        scenario = self.data.scenario.replace(changes)
        feed = prepare(scenario, self.gridsize, backend=self.backend, **self.drawn)
        fits = np.abs(feed.groups.coords_relative).max(axis=(1, 2, 3)) <= limit
        groups = feed.groups.take(fits)
        return replace(self, data=feed.data, groups=groups, amplitude=feed.amplitude)

    def endless(self, what: str, batch_size: int, *, shuffle: bool = True) -> Iterator[Batch]:
        """Batches of this feed, then of one renewed feed after the other."""
        for turn in count():
            feed = self.renewed(turn, what, self.largest_offset) if turn else self
            yield from feed.epoch(turn, batch_size, shuffle=shuffle)

    # --- TensorFlow ---

    def tensors(
        self,
        batch_size: int,
        *,
        shuffle: bool = True,
        first_epoch: int = 0,
        epochs: int = 1,
        renew: str | None = None,
    ) -> Iterator[Batch]:
        """Batches as tensors, made ahead by a thread: an iterator with less between than tf.data.

        With the backend "cuda", where TensorFlow has a GPU as well, batches are made there and
        handed over by DLPack. Hold such a batch until what reads it has ended, which looking at a
        result shows: CuPy uses the memory again once the tensors are let go.

        Arguments and what a batch holds are those of `dataset`.
        """
        import tensorflow as tf

        batch_size, starts = self._checked(batch_size, first_epoch, epochs, renew)
        feed, given = self, tf.constant
        if self.backend == "cuda" and tf.config.list_logical_devices("GPU"):
            from ptycho_fast.handover import tensorflow_capsule

            def given(array: Any) -> Any:
                return tf.experimental.dlpack.from_dlpack(tensorflow_capsule(array))

            feed = replace(self, on_gpu=True)
        batches = feed._generate(batch_size, shuffle, next(starts), epochs, renew)
        return made_ahead((tf.nest.map_structure(given, batch) for batch in batches), _AHEAD)

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: bool = True,
        first_epoch: int = 0,
        epochs: int = 1,
        renew: str | None = None,
    ) -> Any:
        """A `tf.data.Dataset` of batches, made in the background; see `dataset`."""
        import tensorflow as tf

        batch_size, starts = self._checked(batch_size, first_epoch, epochs, renew)

        def generate() -> Iterator[Batch]:
            return self._generate(batch_size, shuffle, next(starts), epochs, renew)

        N, C = self.N, self.channels
        pattern = tf.TensorSpec((None, N, N, C), tf.float32)
        targets = {"amplitude": pattern, "intensity": pattern}
        if self.truth:
            targets["object"] = tf.TensorSpec((None, N, N), tf.complex64)
        signature = ((pattern, tf.TensorSpec((None, 1, 2, C), tf.float32)), targets)
        stream = tf.data.Dataset.from_generator(generate, output_signature=signature)
        per_epoch = -(-len(self) // batch_size)
        n_batches = tf.data.INFINITE_CARDINALITY if renew else epochs * per_epoch
        stream = stream.apply(tf.data.experimental.assert_cardinality(n_batches)).prefetch(_AHEAD)
        # An iterator whose autotuner sleeps is not let go before that wakes, 10 ms * 2**k after its
        # start: an epoch of fit() would take up to twice its time. There is nothing to tune here.
        options = tf.data.Options()
        options.autotune.enabled = False
        return stream.with_options(options)

    def _checked(
        self, batch_size: int, first_epoch: int, epochs: int, renew: str | None
    ) -> tuple[int, Iterator[int]]:
        """Size of a batch, and the first epoch of one iteration after the other."""
        if renew not in (None, *RENEWALS):
            raise ValueError(f"renew: {renew!r} given, expected one of {', '.join(RENEWALS)}")
        if renew and self.data.scenario is None:
            raise ValueError("renew: the data have no scenario to simulate again")
        first = checks.integer(first_epoch, "first_epoch", least=0)
        starts = count(first, checks.count(epochs, "epochs"))
        return checks.count(batch_size, "batch_size"), starts

    def _generate(
        self, batch_size: int, shuffle: bool, start: int, epochs: int, renew: str | None
    ) -> Iterator[Batch]:
        if renew:
            yield from self.endless(renew, batch_size, shuffle=shuffle)
        for epoch in range(start, start + epochs):
            yield from self.epoch(epoch, batch_size, shuffle=shuffle)


def prepare(
    source: Scenario | Dataset | str | os.PathLike[str],
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
) -> Feed:
    """Group and normalise one part of a data set.

    Parameters
    ----------
    source : Scenario, Dataset, str or path-like
        A scenario or its name (which is simulated), a data set, or a file of one.
    gridsize : int, optional
        Square root of the patterns per group; by default the scenario's.
    part : {"train", "test"}
        Side of the split.
    n_groups : int, optional
        Number of groups; by default the scenario's, else as many as the part has patterns.
    include_seed : bool, optional
        Whether a group's seed pattern is a member; by default as the scenario says.
    noise : {"fixed", "fresh"}
        The photons of the data set, or new ones in every epoch, from intensities kept in memory.
    augment : bool
        Show groups mirrored and transposed at random; the probe must have these symmetries.
    truth : bool
        Give the true object of each group as a target.
    pairing : {"published", "consistent"}
        Scale of the data set's groups, or the closed form, which is the one that belongs to X.
    nphotons : float, optional
        Photons of a mean pattern, for data without a scenario; by default those measured.
    domain : str, optional
        Meaning of the patterns of a file that does not say.
    seed : int
        Seed of order and symmetries.
    backend : str
        Of the simulator.

    Returns
    -------
    Feed
        Ready for `Feed.batches`.

    Raises
    ------
    ScenarioError, ValueError, TypeError
        An argument is at fault, or the data cannot be grouped so; the message names it.
    """
    for name, given, allowed in (
        ("part", part, ("train", "test")),
        ("noise", noise, NOISES),
        ("pairing", pairing, PAIRINGS),
    ):
        if given not in allowed:
            raise ValueError(f"{name}: {given!r} given, expected one of {', '.join(allowed)}")
    data = load(source, domain=domain, backend=backend)
    if not np.isfinite(data.diffraction).all():
        b = int(np.argmin(np.isfinite(data.diffraction).all(axis=(1, 2))))
        raise ValueError(f"source: pattern {b} holds NaN or infinity, expected finite numbers")
    if noise == "fresh" and data.intensity_scale is None:
        raise ValueError("noise: 'fresh' given, but the data do not say their intensity scale")
    scenario = data.scenario
    spec = scenario.groups if scenario else GroupSpec()
    if augment:
        require_symmetric(data.probe)
        if spec.order != "fixed":
            raise ValueError(f"augment: groups.order is {spec.order!r}, expected 'fixed'")
    if gridsize is None:
        gridsize = scenario.gridsize if scenario else 1
    indices = data.split()[("train", "test").index(part)]
    if n_groups is None:
        n_groups = getattr(spec, f"n_{part}") if scenario else len(indices)
    groups = make_groups(
        data.positions,
        gridsize,
        n_groups,
        neighbours=spec.neighbours,
        seed=scenario.seeds.groups if scenario else seed,
        order=spec.order,
        include_seed=spec.include_seed if include_seed is None else include_seed,
        indices=indices,
    )
    amplitude = data.amplitude()
    energies = group_energies(amplitude, groups)
    if nphotons is None:
        nphotons = scenario.dose.nphotons if scenario else float(data.photons().mean())
    if pairing == "published":
        s = scaling.dataset_intensity_scale(nphotons, float(energies.sum(axis=1).mean()))
    else:
        s = scaling.closed_form_intensity_scale(nphotons, data.N)
    return Feed(
        data=data,
        groups=groups,
        amplitude=amplitude,
        gain=scaling.normalise_gain(float(energies.mean()), data.N),
        intensity_scale=s,
        pairing=pairing,
        nphotons=nphotons,
        seed=seed,
        noise=noise,
        augment=augment,
        truth=truth,
        backend=backend,
        drawn={"part": part, "n_groups": n_groups, "include_seed": include_seed},
    )


def load(
    source: Scenario | Dataset | str | os.PathLike[str],
    *,
    domain: str | None = None,
    backend: str = "auto",
) -> Dataset:
    """The data set that a source stands for: simulated, given, or read from a file."""
    if isinstance(source, Dataset):
        return source
    if not isinstance(source, Scenario):
        if os.fspath(source).endswith((".npz", ".npy")):
            return Dataset.load(source, domain=domain)
        source = resolve(source)
    from ptycho_fast import simulate

    return simulate(source, backend=backend)


def dataset(
    source: Scenario | Dataset | str | os.PathLike[str],
    gridsize: int | None = None,
    batch_size: int = 4,
    noise: str = "fixed",
    *,
    shuffle: bool = True,
    seed: int = 42,
    first_epoch: int = 0,
    epochs: int = 1,
    renew: str | None = None,
    **options: Any,
) -> Any:
    """A stream of training data from a scenario, a data set or a file.

    Each epoch has an order of its own and, with ``noise="fresh"``, photons of its own; an iteration
    goes on where the last one ended. Batches are made ahead in the background.

    Parameters
    ----------
    source, gridsize, noise, seed
        As for `prepare`.
    batch_size : int
        Groups in a batch; the last of an epoch may be smaller.
    shuffle : bool
        Whether every epoch has an order of its own.
    first_epoch : int
        Epoch that the first iteration begins with, for a run that goes on.
    epochs : int
        Epochs in one iteration; batches of the next are then made while one ends.
    renew : {"scan", "object"}, optional
        Go on without end, with new positions, or a new object too, after each epoch.
    **options
        Of `prepare`.

    Returns
    -------
    tf.data.Dataset
        Of ``((amplitude, offsets), targets)``: scaled amplitude s * X (G, N, N, C) float32, local
        offsets (G, 1, 2, C) float32, and a dictionary of the targets ``amplitude``, ``intensity``
        (its square) and, with ``truth=True``, ``object`` (G, N, N) complex64.
    """
    feed = prepare(source, gridsize, noise=noise, seed=seed, **options)
    return feed.batches(
        batch_size, shuffle=shuffle, first_epoch=first_epoch, epochs=epochs, renew=renew
    )


def require_same_shape(feeds: Sequence[Feed], N: int, gridsize: int, canvas: int) -> None:
    """Raise ValueError unless a network of these sizes can take the feeds."""
    for feed in feeds:
        if (feed.N, feed.gridsize) != (N, gridsize):
            raise ValueError(
                f"data: N = {feed.N} and gridsize {feed.gridsize} given, expected N = {N} and "
                f"gridsize {gridsize}, which the network was made for"
            )
        if feed.N + 2 * feed.largest_offset > canvas:
            raise ValueError(
                f"data: local offsets up to {feed.largest_offset:.1f} pixels do not fit the "
                f"network's canvas of {canvas} for N = {N}; make it with a larger canvas"
            )
