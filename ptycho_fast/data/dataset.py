"""What a simulation is: arrays, the scenario they came from, and their provenance."""

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.data import grouping
from ptycho_fast.data.split import split_on_y
from ptycho_fast.scenario import Scenario

DOMAINS = {
    "count_intensity": "photon counts, uint32",
    "normalized_intensity": "noise-free intensity before dose, float32",
    "normalized_amplitude": "sqrt(counts) / s, or sqrt(intensity) where there is no noise, float32",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """Diffraction patterns with everything that is needed to use them and to make them again.

    Attributes
    ----------
    object : (H, W) complex64
        The true object.
    probe : (M, N, N) complex64
        Probe modes in the object plane.
    positions, positions_nominal : (B, 2) float64
        True and intended ``[x, y]`` in object pixels.
    diffraction : (B, N, N)
        The patterns, in the units that `domain` names.
    domain : str
        A key of `DOMAINS`.
    intensity_scale : float or None
        s: a mean pattern holds ``s**2`` times its energy before dose in photons. None where a file
        of another program does not say.
    scenario : Scenario or None
        The description that makes the same data again.
    provenance : dict
        Version, backend, noise, and the dose, requested and measured. Plain JSON types.
    """

    object: npt.NDArray[np.complex64]
    probe: npt.NDArray[np.complex64]
    positions: npt.NDArray[np.float64]
    positions_nominal: npt.NDArray[np.float64]
    diffraction: npt.NDArray[Any]
    domain: str
    intensity_scale: float | None = None
    scenario: Scenario | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def n_patterns(self) -> int:
        """Number of patterns B."""
        return len(self.diffraction)

    @property
    def N(self) -> int:
        """Patch side, pixels."""
        return self.diffraction.shape[-1]

    @property
    def counts(self) -> npt.NDArray[np.uint32]:
        """(B, N, N) uint32 photon counts.

        Raises
        ------
        ValueError
            The data set holds no counts: it is noise-free, or comes from a file of amplitudes.
        """
        if self.domain != "count_intensity":
            raise ValueError(f"counts: the data set holds {DOMAINS[self.domain]}, not counts")
        return self.diffraction

    def amplitude(self, first: int = 0, last: int | None = None) -> npt.NDArray[np.float32]:
        """Normalised amplitude of the patterns `first` to `last`.

        Returns
        -------
        (last - first, N, N) float32
            ``sqrt(counts) / s``, or ``sqrt(intensity)`` where there is no noise.
        """
        patterns = self.diffraction[first:last]
        if self.domain == "normalized_amplitude":
            return patterns
        scale = self._scale() if self.domain == "count_intensity" else 1.0
        out = np.empty(patterns.shape, np.float32)
        for pattern, to in zip(patterns, out, strict=True):
            to[...] = np.sqrt(pattern.astype(np.float64)) / scale
        return out

    def photons(self) -> npt.NDArray[np.float64]:
        """(B,) float64 photons in each pattern: counted, or expected where there is no noise."""
        if self.domain == "count_intensity":
            return self.diffraction.sum(axis=(1, 2), dtype=np.uint64).astype(np.float64)
        return self._scale() ** 2 * self.energies()

    def energies(self) -> npt.NDArray[np.float64]:
        """(B,) float64 sums of each pattern's intensity before dose."""
        if self.domain == "count_intensity":
            return self.photons() / self._scale() ** 2
        if self.domain == "normalized_intensity":
            return self.diffraction.sum(axis=(1, 2), dtype=np.float64)
        return np.array([np.square(a, dtype=np.float64).sum() for a in self.diffraction])

    def split(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pattern numbers for training (smaller y) and for test, as the scenario splits them."""
        fraction = self.scenario.split.train_fraction if self.scenario else 0.5
        return split_on_y(self.positions, fraction)

    def groups(self, part: str = "train") -> grouping.Groups:
        """Solution regions of the training or test patterns, drawn as the scenario says.

        Parameters
        ----------
        part : {"train", "test"}
            Side of the split.
        """
        if part not in ("train", "test"):
            raise ValueError(f"part: {part!r} given, expected 'train' or 'test'")
        if self.scenario is None:
            raise ValueError("scenario: the data set has none; use grouping.make_groups")
        self.scenario.require_runnable(groups=True)
        spec = self.scenario.groups
        train, test = self.split()
        return grouping.make_groups(
            self.positions,
            self.scenario.gridsize,
            spec.n_train if part == "train" else spec.n_test,
            neighbours=spec.neighbours,
            seed=self.scenario.seeds.groups,
            order=spec.order,
            include_seed=spec.include_seed,
            indices=train if part == "train" else test,
        )

    def grouped(self, part: str = "train", *, patches: bool = True) -> dict[str, npt.NDArray[Any]]:
        """The grouped arrays that trainers of the PtychoPINN family take.

        Parameters
        ----------
        part : {"train", "test"}
            Side of the split.
        patches : bool
            Whether to add the true object patches, ``Y``.

        Returns
        -------
        dict
            As `grouping.grouped` describes it, key by key.
        """
        from ptycho_fast.stages import extract_patches

        return grouping.grouped(
            self.amplitude(),
            self.groups(part),
            patches=extract_patches(self.object, self.positions, self.N) if patches else None,
            nominal=self.positions_nominal,
            obj=self.object,
        )

    def save(self, path: str | os.PathLike[str], *, force: bool = False, **options: Any) -> None:
        """Write a PtychoPINN NPZ, profile ``pinn-amplitude``; see `formats.pinn_npz.write`."""
        from ptycho_fast.formats import pinn_npz

        pinn_npz.write(path, self, force=force, **options)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, domain: str | None = None) -> "Dataset":
        """Read a PtychoPINN NPZ; see `formats.pinn_npz.read`."""
        from ptycho_fast.formats import pinn_npz

        return pinn_npz.read(path, domain=domain)

    def _scale(self) -> float:
        if self.intensity_scale is None:
            raise ValueError(
                "intensity_scale: the data set does not say it, so it holds no photons"
            )
        return self.intensity_scale


def dose_statistics(dataset: Dataset) -> dict[str, Any]:
    """Photons per pattern, over all patterns and by split: mean, smallest, largest."""
    photons = dataset.photons()
    train, test = dataset.split()
    parts = {"measured": photons, "measured_train": photons[train], "measured_test": photons[test]}
    return {
        name: {"mean": float(p.mean()), "min": float(p.min()), "max": float(p.max())}
        for name, p in parts.items()
        if p.size
    }
