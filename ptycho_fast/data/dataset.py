"""A data set: patterns, object, probe, positions, the scenario behind them, and provenance."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.data import grouping
from ptycho_fast.data.split import split_on_y
from ptycho_fast.errors import ScenarioError
from ptycho_fast.files import check_target
from ptycho_fast.formats import format_of, pinn_npz
from ptycho_fast.formats.contents import DOMAINS, Contents, projected
from ptycho_fast.optics import Geometry
from ptycho_fast.scenario import Scenario

_CHUNK_PIXELS = 2**20  # of patterns that are summed at a time


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Dataset:
    """Diffraction patterns with everything that is needed to use them and to make them again.

    Attributes
    ----------
    object : (H, W) or (L, H, W) complex64
        The true object, or its slices along the beam.
    probe : (M, N, N) complex64
        Probe modes in the object plane.
    positions, positions_nominal : (B, 2) float64
        True and intended ``[x, y]`` in object pixels.
    diffraction : (B, N, N) uint32, int32 or float32
        The patterns, in the units that `domain` names.
    domain : str
        A key of `formats.contents.DOMAINS`.
    intensity_scale : float or None
        s: a mean pattern holds ``s**2`` times its energy before dose in photons. None where a file
        of another program does not say.
    mask : (N, N) bool or None
        True where a detector pixel is good; None where all are. Bad pixels hold what the detector
        gives for them, and count in no number of photons.
    eigenprobes : (K, N, N) complex64 or None
        What is added to the first mode, pattern by pattern.
    weights : (B, M + K) float32 or None
        Factor of each mode and eigenprobe in each pattern; None where the probe does not vary.
    path : (B, S, 2) float64 or None
        True positions of the sub-exposures of a fly scan.
    dose_factors : (B,) float64 or None
        Dose of each pattern in units of the common one; None where all are 1.
    geometry : Geometry or None
        Energy, distances and sizes of pixels, as far as they are known.
    scenario : Scenario or None
        The description that makes the same data again.
    provenance : dict
        Version, backend, noise, the dose, requested, expected and measured, and of signals gain and
        offset. Plain JSON types.

    Examples
    --------
    >>> import ptycho_fast
    >>> scenario = ptycho_fast.Scenario.preset("gs1_ideal").replace({"scan.n_patterns": 4})
    >>> data = ptycho_fast.simulate(scenario, backend="reference")
    >>> data.counts.shape, data.positions.shape, data.probe.shape
    ((4, 64, 64), (4, 2), (1, 64, 64))
    >>> data.photons().mean() == data.provenance["dose"]["measured"]["mean"]
    np.True_
    """

    object: npt.NDArray[np.complex64]
    probe: npt.NDArray[np.complex64]
    positions: npt.NDArray[np.float64]
    positions_nominal: npt.NDArray[np.float64]
    diffraction: npt.NDArray[Any]
    domain: str
    intensity_scale: float | None = None
    mask: npt.NDArray[np.bool_] | None = None
    eigenprobes: npt.NDArray[np.complex64] | None = None
    weights: npt.NDArray[np.float32] | None = None
    path: npt.NDArray[np.float64] | None = None
    dose_factors: npt.NDArray[np.float64] | None = None
    geometry: Geometry | None = None
    scenario: Scenario | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        source = self.scenario.name if self.scenario else "no scenario"
        size = " x ".join(map(str, self.object.shape))
        modes = "1 probe mode" if len(self.probe) == 1 else f"{len(self.probe)} probe modes"
        dose = self.provenance.get("dose", {}).get("measured", {}).get("mean")
        photons = "dose unknown" if dose is None else f"{dose:.6g} photons per pattern"
        backend = self.provenance.get("backend", "unknown")
        return (
            f"Dataset({source}: {self.n_patterns} patterns of {self.N} x {self.N}, {self.domain}, "
            f"object {size}, {modes}, {photons}, backend {backend})"
        )

    @property
    def n_patterns(self) -> int:
        """Number of patterns B."""
        return len(self.diffraction)

    @property
    def N(self) -> int:
        """Patch side, pixels."""
        return self.diffraction.shape[-1]

    @property
    def projection(self) -> npt.NDArray[np.complex64]:
        """(H, W) complex64: the object, of a thick one the product of its slices."""
        return projected(self.object)

    @property
    def counts(self) -> npt.NDArray[np.uint32]:
        """(B, N, N) uint32 photon counts.

        Raises
        ------
        ValueError
            The data set holds no counts: it is noise-free, or comes from a file of amplitudes.
        """
        if self.domain != "count_intensity":
            raise ValueError(checks.wrong("counts", DOMAINS[self.domain], "photon counts"))
        return self.diffraction

    def amplitude(self, first: int = 0, last: int | None = None) -> npt.NDArray[np.float32]:
        """Normalised amplitude of the patterns from `first` to before `last`.

        Parameters
        ----------
        first, last : int
            Range of patterns; by default all.

        Returns
        -------
        (last - first, N, N) float32
            ``sqrt(counts) / s``, or ``sqrt(intensity)`` where there is no noise. Signals are taken
            to photons, ``max((signal - offset) / gain, 0)``, first.

        Raises
        ------
        ValueError
            The data set holds counts or signals and no intensity scale.
        """
        patterns = self.diffraction[first:last]
        if self.domain == "normalized_amplitude":
            return patterns
        scale = 1.0 if self.domain == "normalized_intensity" else self._scale()
        out = np.empty(patterns.shape, np.float32)
        for pattern, to in zip(patterns, out, strict=True):
            to[...] = np.sqrt(self._in_photons(pattern)) / scale
        return out

    def photons(self) -> npt.NDArray[np.float64]:
        """(B,) float64 photons in each pattern: counted, or expected where there is no noise.

        Only good pixels count. Of signals these are ``(signal - offset) / gain``.
        """
        return self._sums() * self._in_unit()

    def peak(self) -> float:
        """Photons in the brightest good pixel of all patterns."""
        brightest = np.concatenate([pixels.max(axis=1, initial=0) for pixels in self._good()])
        return float((brightest * self._in_unit()).max())

    def energies(self) -> npt.NDArray[np.float64]:
        """(B,) float64 sums of each pattern's intensity before dose, over its good pixels."""
        counted = self.domain in ("count_intensity", "detector_signal")
        return self._sums() / self._scale() ** 2 if counted else self._sums()

    def _good(self) -> Iterator[npt.NDArray[Any]]:
        """Counts, photons or intensities (n, N * N) of n patterns at a time; bad pixels are 0."""
        step = max(1, _CHUNK_PIXELS // self.N**2)
        for first in range(0, self.n_patterns, step):
            part = self.diffraction[first : first + step]
            pixels = part.reshape(len(part), -1)
            if self.domain == "detector_signal":
                pixels = self._unclipped(pixels)
            elif self.domain == "normalized_amplitude":
                pixels = np.square(pixels, dtype=np.float64)
            yield pixels if self.mask is None else pixels * self.mask.ravel()

    def _sums(self) -> npt.NDArray[np.float64]:
        dtype = np.uint64 if self.domain == "count_intensity" else np.float64
        sums = [pixels.sum(axis=1, dtype=dtype) for pixels in self._good()]
        return np.concatenate(sums).astype(np.float64)

    def _in_unit(self) -> Any:
        """Photons for each unit of what `_good` gives; one number, or one for each pattern."""
        if self.domain in ("count_intensity", "detector_signal"):
            return 1.0
        counted = self.domain == "normalized_amplitude" and self.provenance.get("noise", True)
        factors = None if counted else self.dose_factors
        return self._scale() ** 2 * (1.0 if factors is None else factors)

    def _in_photons(self, pattern: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Photons of a pattern of counts or signals, none of them negative; or its intensity."""
        if self.domain != "detector_signal":
            return pattern.astype(np.float64)
        return np.maximum(self._unclipped(pattern), 0)

    def _unclipped(self, pattern: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        signal = self.provenance.get("signal")
        if signal is None:
            expected = "{'gain': ..., 'offset': ...}, which turn signals into photons"
            raise ValueError(checks.wrong("provenance['signal']", "nothing", expected))
        return (pattern - np.float64(signal["offset"])) / signal["gain"]

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

        Returns
        -------
        Groups
            As `grouping.make_groups` describes them.

        Raises
        ------
        ValueError
            The data set has no scenario, or too few patterns for the groups it asks for.
        """
        checks.choice(part, "part", ("train", "test"))
        if self.scenario is None:
            raise ValueError(
                "scenario: none given, expected one that says how to group; "
                "grouping.make_groups takes the values one by one"
            )
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

    def grouped(self, part: str = "train", *, patches: bool = True) -> dict[str, Any]:
        """The grouped arrays that trainers of the PtychoPINN family take.

        Parameters
        ----------
        part : {"train", "test"}
            Side of the split.
        patches : bool
            Whether ``Y`` holds the true object patches; it is None without.

        Returns
        -------
        dict
            As `grouping.grouped` describes it, key by key.

        Raises
        ------
        ValueError
            As `groups` and `grouping.grouped`.
        """
        return grouping.grouped(
            self.amplitude(),
            self.groups(part),
            patches=self._patches() if patches else None,
            nominal=self.positions_nominal,
            obj=self.projection,
        )

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        force: bool = False,
        patches: bool = False,
        **options: Any,
    ) -> None:
        """Write the data set to a file; the suffix of its name decides the format.

        Parameters
        ----------
        path : path-like
            The file to make. ``.npz`` is a PtychoPINN NPZ, profile ``pinn-amplitude``.
        force : bool
            Whether an existing file may be replaced.
        patches : bool
            Whether to write the true object patches too.
        **options
            As the format takes them: for ``.npz`` those of `formats.pinn_npz.write`, ``alias`` and
            ``modes``.

        Raises
        ------
        ValueError
            No format has that suffix, the format cannot hold the data set as it is, or the scenario
            contradicts the arrays.
        OSError
            The file exists, or cannot be written; nothing is left behind.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import ptycho_fast
        >>> scenario = ptycho_fast.Scenario.preset("gs1_ideal").replace({"scan.n_patterns": 4})
        >>> data = ptycho_fast.simulate(scenario, backend="reference")
        >>> path = Path(tempfile.mkdtemp()) / "scan.npz"
        >>> data.save(path)
        >>> ptycho_fast.Dataset.load(path).scenario == scenario
        True
        """
        file_format = format_of(path)
        file_format.check_options(len(self.probe), **options)
        if self.scenario and (wrong := _contradiction(self.scenario, self.n_patterns, self.N)):
            raise ValueError(f"{wrong}; dataclasses.replace(data, scenario=None) drops it")
        check_target(path, force)
        scenario = self.scenario
        contents = Contents(
            object=self.object,
            probe=self.probe,
            positions=self.positions,
            positions_nominal=self.positions_nominal,
            diffraction=self.amplitude(),
            domain=file_format.DOMAIN,
            intensity_scale=self.intensity_scale,
            mask=self.mask,
            eigenprobes=self.eigenprobes,
            weights=self.weights,
            path=self.path,
            dose_factors=self.dose_factors,
            geometry=asdict(self.geometry) if self.geometry else None,
            patches=self._patches() if patches else None,
            scenario=scenario.to_dict() if scenario else None,
            provenance=self.provenance,
            nphotons=scenario.dose.nphotons if scenario else None,
            gridsize=scenario.gridsize if scenario else None,
        )
        file_format.write(path, contents, force=force, **options)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        domain: str | None = None,
        position_offset: float | Sequence[float] = 0.0,
    ) -> "Dataset":
        """Read a data set from a PtychoPINN NPZ.

        Parameters
        ----------
        path : path-like
            The file.
        domain : {"normalized_amplitude", "count_intensity"}, optional
            What the patterns mean, for files that do not say.
        position_offset : float or (dx, dy)
            Added to x and y, pixels; 0.5 for files that ptychodus 1.7 exported.

        Returns
        -------
        Dataset
            With the scenario and the provenance that the file holds.

        Raises
        ------
        FileNotFoundError, ValueError
            As `formats.pinn_npz.read`.
        ScenarioError
            The scenario in the file is wrong or contradicts the arrays. The message names the file.
        """
        contents = pinn_npz.read(path, domain=domain, position_offset=position_offset)
        return cls(
            object=contents.object,
            probe=contents.probe,
            positions=contents.positions,
            positions_nominal=contents.positions_nominal,
            diffraction=contents.diffraction,
            domain=contents.domain,
            intensity_scale=contents.intensity_scale,
            mask=contents.mask,
            eigenprobes=contents.eigenprobes,
            weights=contents.weights,
            path=contents.path,
            dose_factors=contents.dose_factors,
            geometry=_geometry(path, contents),
            scenario=_scenario(path, contents),
            provenance=dict(contents.provenance),
        )

    def _patches(self) -> npt.NDArray[np.complex64]:
        from ptycho_fast.stages import extract_patches  # backends, which a reader does not need

        outside = self.scenario.scan.outside if self.scenario else "zero"
        return extract_patches(self.projection, self.positions, self.N, boundary=outside)

    def _scale(self) -> float:
        if self.intensity_scale is None:
            raise ValueError(
                "intensity_scale: none given, expected one to convert between photons and "
                "amplitudes; dataclasses.replace(data, intensity_scale=...) sets it"
            )
        return self.intensity_scale


def _geometry(path: str | os.PathLike[str], contents: Contents) -> Geometry | None:
    """The geometry in a file; its errors name the file."""
    if contents.geometry is None:
        return None
    known = {field.name for field in fields(Geometry)}
    values = {name: value for name, value in contents.geometry.items() if name in known}
    N = contents.diffraction.shape[-1]
    for name, value in values.items():
        numbers = name not in ("radiation", "propagation")
        if value is not None and isinstance(value, bool | str) == numbers:
            raise ValueError(checks.wrong(f"{path}: geometry {name}", repr(value), "another type"))
    return Geometry(**(values | {"N": N}))


def _scenario(path: str | os.PathLike[str], contents: Contents) -> Scenario | None:
    """The scenario in a file; its errors name the file."""
    if contents.scenario is None:
        return None
    try:
        scenario = Scenario.from_dict(contents.scenario)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: scenario: {error}", key=error.key) from error
    except RecursionError:
        raise ScenarioError(f"{path}: scenario: nested too deeply") from None
    B, N = contents.diffraction.shape[:2]
    if wrong := _contradiction(scenario, B, N):
        raise ScenarioError(f"{path}: {wrong}")
    # Version 0.1.0 kept this beside the scenario.
    noise = contents.provenance.get("noise")
    if "schema" not in contents.scenario and isinstance(noise, bool):
        scenario = scenario.replace({"noise": noise})
    return scenario


def _contradiction(scenario: Scenario, n_patterns: int, N: int) -> str:
    """What the scenario says otherwise than the arrays; empty if they agree."""
    if scenario.N != N:
        return f"scenario N: {scenario.N} given, expected {N}, the side of the patterns"
    if scenario.scan.n_patterns not in (None, n_patterns):
        return (
            f"scenario scan.n_patterns: {scenario.scan.n_patterns} given, expected {n_patterns}, "
            "the number of patterns"
        )
    return ""


def dose_statistics(dataset: Dataset) -> dict[str, Any]:
    """Photons per pattern over all patterns and by split.

    Parameters
    ----------
    dataset : Dataset
        The data.

    Returns
    -------
    dict
        ``measured``, ``measured_train``, ``measured_test``, each with ``mean``, ``min``, ``max``.
        A side of the split without patterns is left out. ``measured_pixel`` has the ``mean`` and
        the ``max`` of a pixel. Bad pixels count nowhere.
    """
    photons = dataset.photons()
    good = dataset.N**2 if dataset.mask is None else int(dataset.mask.sum())
    pixel = {"mean": float(photons.mean()) / max(good, 1), "max": dataset.peak()}
    train, test = dataset.split()
    parts = {"measured": photons, "measured_train": photons[train], "measured_test": photons[test]}
    return {
        name: {"mean": float(p.mean()), "min": float(p.min()), "max": float(p.max())}
        for name, p in parts.items()
        if p.size
    } | {"measured_pixel": pixel}
