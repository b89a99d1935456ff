"""A data set: patterns, object, probe, positions, the scenario behind them, and provenance."""

import os
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.data import grouping
from ptycho_fast.data.photons import Meter, PassingPhotons
from ptycho_fast.data.split import split_on_y
from ptycho_fast.drawing import notebook
from ptycho_fast.errors import DataWarning, ScenarioError
from ptycho_fast.formats import Format, format_of, recognise
from ptycho_fast.formats.amplitudes import (
    LEAST_UNSURE,
    Corrections,
    Roots,
    Squares,
    Unit,
    part_of,
)
from ptycho_fast.formats.contents import DOMAINS, Contents, projected
from ptycho_fast.formats.patterns import (
    Converted,
    LazyPatterns,
    Observed,
    Part,
    Patterns,
    close,
    ranges,
)
from ptycho_fast.formats.work import MEMORY, Work
from ptycho_fast.optics import Geometry
from ptycho_fast.scenario import Scenario


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
    diffraction : (B, N, N) patterns
        An array, or patterns that are read or made when they are asked for
        (`formats.patterns.LazyPatterns`), in the units that `domain` names.
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
    corrections : ((n,) int64, (n,) int32) or None
        What amplitudes lack of their counts, as `formats.contents.Contents` says.
    statistics : PassingPhotons or None
        The photons of patterns that pass on their way to a file; see `measuring`.

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
    diffraction: Patterns
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
    corrections: Corrections | None = None
    statistics: PassingPhotons | None = None

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

    def _repr_html_(self) -> str:
        """What a notebook shows; no pattern is read."""
        dose = self.provenance.get("dose", {}).get("measured", {}).get("mean")
        rows = {
            "patterns": f"{self.n_patterns:,} of {self.N} x {self.N}, {DOMAINS[self.domain]}",
            "object": " x ".join(map(str, self.object.shape)),
            "probe modes": str(len(self.probe)),
            "photons in a pattern": "unknown" if dose is None else f"{dose:.6g}",
            "intensity scale s": "unknown"
            if self.intensity_scale is None
            else repr(self.intensity_scale),
            "backend": str(self.provenance.get("backend", "unknown")),
        }
        pictures = [("object", np.abs(self.projection)), ("probe", np.abs(self.probe[0]))]
        name = self.scenario.name if self.scenario else "no scenario"
        return notebook.table(f"Dataset: {name}", rows.items(), pictures)

    def plot(self) -> Any:
        """Object, probe, scan and up to four patterns in one figure of matplotlib.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; a notebook shows it, ``figure.savefig(path)`` writes it.

        Raises
        ------
        RuntimeError
            Matplotlib is missing; the message names the extra.
        """
        from ptycho_fast.drawing.axes import light
        from ptycho_fast.drawing.overview import overview

        return overview(self, partial(light, self))

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
    def counts(self) -> Any:
        """(B, N, N) photon counts, exact.

        An array, or patterns that are read when they are asked for, as `diffraction` is. Of
        amplitudes they are uint32, from the amplitudes and the corrections beside them.

        Raises
        ------
        ValueError
            The data set holds no counts: it is noise-free, or its amplitudes do not give them back.
            Of patterns that are not in memory the latter is known when they are read.
        """
        if self.domain == "count_intensity":
            return self.diffraction
        counted = self.domain == "normalized_amplitude" and self.provenance.get("noise", True)
        if not counted:
            raise ValueError(checks.wrong("counts", DOMAINS[self.domain], "photon counts"))
        squares = Squares(self._scale(), self.corrections, self.domain)
        counts = Converted(self.diffraction, squares, np.uint32)
        return counts if self.is_lazy else np.asarray(counts)

    def amplitude(
        self, first: int | npt.NDArray[np.integer[Any]] = 0, last: int | None = None
    ) -> npt.NDArray[np.float32]:
        """Normalised amplitude of the patterns from `first` to before `last`, or of any.

        Parameters
        ----------
        first, last : int
            Range of patterns; by default all.
        first : (n,) array of integers
            Or any pattern numbers, in any order, also repeated.

        Returns
        -------
        (last - first, N, N) or (n, N, N) float32
            ``sqrt(counts) / s``, or ``sqrt(intensity)`` where there is no noise. Signals are taken
            to photons, ``max((signal - offset) / gain, 0)``, first.

        Raises
        ------
        ValueError
            The data set holds counts or signals and no intensity scale.
        """
        which = first if isinstance(first, np.ndarray) else slice(first, last)
        patterns: npt.NDArray[np.float32] = self.diffraction[which]
        if self.domain == "normalized_amplitude":
            return patterns
        return self._unit().amplitudes(patterns)

    def photons(self) -> npt.NDArray[np.float64]:
        """(B,) float64 photons in each pattern: counted, or expected where there is no noise.

        Only good pixels count. Of signals these are ``(signal - offset) / gain``.
        """
        return self._measured()[0] * self._in_unit()

    def peak(self) -> float:
        """Photons in the brightest good pixel of all patterns."""
        brightest = self._measured()[1]
        if self.domain == "normalized_intensity":  # in the precision of the pixel itself
            brightest = brightest.astype(self.diffraction.dtype)
        return float((brightest * self._in_unit()).max())

    def energies(self) -> npt.NDArray[np.float64]:
        """(B,) float64 sums of each pattern's intensity before dose, over its good pixels."""
        sums = self._measured()[0]
        counted = self.domain in ("count_intensity", "detector_signal")
        return sums / self._scale() ** 2 if counted else sums

    def _measured(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Sum and brightest good pixel of each pattern, in units of `_meter`."""
        if self.statistics is not None:
            return self.statistics.measured()
        meter = self._meter()
        parts = [meter.of(self.diffraction[first:last]) for first, last in ranges(self.diffraction)]
        sums, brightest = zip(*parts, strict=True)
        return np.concatenate(sums), np.concatenate(brightest)

    def _meter(self) -> Meter:
        return Meter(self.domain, self.mask, *self._gain_and_offset())

    def _unit(self) -> Unit:
        scale = 1.0 if self.domain == "normalized_intensity" else self._scale()
        return Unit(self.domain, scale, *self._gain_and_offset())

    def _in_unit(self) -> Any:
        """Photons for each unit of what `_measured` gives; one number, or one for each pattern."""
        if self.domain in ("count_intensity", "detector_signal"):
            return 1.0
        counted = self.domain == "normalized_amplitude" and self.provenance.get("noise", True)
        factors = None if counted else self.dose_factors
        return self._scale() ** 2 * (1.0 if factors is None else factors)

    def _gain_and_offset(self) -> tuple[float, float]:
        if self.domain != "detector_signal":
            return 1.0, 0.0
        signal = self.provenance.get("signal")
        if signal is None:
            expected = "{'gain': ..., 'offset': ...}, which turn signals into photons"
            raise ValueError(checks.wrong("provenance['signal']", "nothing", expected))
        return float(signal["gain"]), float(signal["offset"])

    # --- of which only a part is in memory ---

    @property
    def is_lazy(self) -> bool:
        """Whether patterns are read or made only when they are asked for."""
        return isinstance(self.diffraction, LazyPatterns)

    def __len__(self) -> int:
        return self.n_patterns

    def __getitem__(self, which: slice) -> "Dataset":
        """The data set of a range of patterns, ``dataset[first:last]``; nothing is read.

        It has no scenario, which would make all patterns; ``provenance["part"]`` says of what it
        is a part.
        """
        if not isinstance(which, slice) or which.step not in (None, 1):
            raise TypeError(
                checks.wrong("index", repr(which), "a range of patterns, dataset[first:last]")
            )
        first, last, _ = which.indices(self.n_patterns)
        if last <= first:
            raise IndexError(
                checks.wrong("index", repr(which), f"a part of the {self.n_patterns} patterns")
            )
        lazy = isinstance(self.diffraction, LazyPatterns)
        part: dict[str, Any] = {"first": first, "last": last, "of": self.n_patterns}
        if self.scenario:
            part["scenario"] = self.scenario.to_dict()
        dose = self.provenance.get("dose", {})
        asked = {name: value for name, value in dose.items() if not name.startswith("measured")}
        told = {"dose": asked} if "dose" in self.provenance else {}
        return replace(
            self,
            positions=self.positions[first:last],
            positions_nominal=self.positions_nominal[first:last],
            diffraction=Part(self.diffraction, first, last)
            if lazy
            else self.diffraction[first:last],
            weights=None if self.weights is None else self.weights[first:last],
            path=None if self.path is None else self.path[first:last],
            dose_factors=None if self.dose_factors is None else self.dose_factors[first:last],
            scenario=None,
            provenance=self.provenance | told | {"part": part},
            corrections=None
            if self.corrections is None
            else part_of(self.corrections, first, last, self.N**2),
            statistics=None,
        )

    def in_memory(self) -> "Dataset":
        """The same with all patterns in memory; itself where they are."""
        if not self.is_lazy:
            return self
        return replace(self, diffraction=np.asarray(self.diffraction), statistics=None)

    def measuring(self) -> "Dataset":
        """The same, with the photons of each pattern kept as it passes on its way to a file.

        After that `photons`, `peak` and `energies` need no pattern again.
        """
        if self.statistics is not None:
            return self
        statistics = PassingPhotons(self.diffraction, self._meter())
        watched = Observed(self.diffraction, statistics)
        return replace(self, diffraction=watched, statistics=statistics)

    def close(self) -> None:
        """Close the file that the patterns are in, if they are in one."""
        close(self.diffraction)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    # --- split and groups ---

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
            patches=np.asarray(_Patches(self)) if patches else None,
            nominal=self.positions_nominal,
            obj=self.projection,
        )

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        force: bool = False,
        memory: int = MEMORY,
        patches: bool = False,
        work: Work | None = None,
        card: Callable[["Dataset"], str] | None = None,
        **options: Any,
    ) -> list[Path]:
        """Write the data set to a file; its suffix or `format` decides what kind of file.

        Patterns that are not in memory pass through it block by block. The measured dose of a data
        set that `measuring` made is in `provenance` afterwards.

        Parameters
        ----------
        path : path-like
            The file to make.
        format : str, optional
            A name of `formats.FORMATS`; by default the suffix decides, ``.npz`` is a PtychoPINN
            NPZ, profile ``pinn-amplitude``.
        force : bool
            Whether an existing file may be replaced.
        memory : int
            Bytes that patterns on their way to the file may take.
        patches : bool
            Whether to write the true object patches too.
        work : Work, optional
            How to work, in place of `force` and `memory`.
        card : callable, optional
            Gives the data card, when all patterns have passed; HDF5 files keep it.
        **options
            As the format takes them: for ``.npz`` those of `formats.pinn_npz.write`, ``alias`` and
            ``modes``. None and False are not given.

        Returns
        -------
        list of Path
            The files that were made.

        Raises
        ------
        ValueError, TypeError
            There is no such format, it cannot hold the data set as it is, or the scenario
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
        >>> _ = data.save(path)
        >>> ptycho_fast.Dataset.load(path).scenario == scenario
        True
        """
        work = work or Work(force=force, memory=memory)
        file_format, contents, taken = self._prepared(path, format, patches, options)
        file_format.check_target(path, work.force)
        if card is not None:
            contents = replace(contents, finish=partial(_with_card, contents, card, self))
        made: list[Path] = file_format.load().write(path, contents, work, **taken)
        return made

    def check(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        patches: bool = False,
        **options: Any,
    ) -> int:
        """Refuse what `save` would refuse, before any pattern is read or made.

        Parameters
        ----------
        path, format, patches, **options
            As for `save`. Whether the file may be written is not looked at.

        Returns
        -------
        int
            Bytes that the files will take, about.

        Raises
        ------
        ValueError, TypeError
            As `save`.
        """
        file_format, contents, taken = self._prepared(path, format, patches, options)
        size: int = file_format.load().file_size(contents, **taken)
        return size

    def _prepared(
        self,
        path: str | os.PathLike[str],
        format: str | None,
        patches: bool,
        options: Mapping[str, Any],
    ) -> tuple[Format, Contents, dict[str, Any]]:
        """The format, what it is to write, and the options that it takes; or an error."""
        file_format = format_of(path, format)
        taken = file_format.options(options)
        if self.scenario and (wrong := _contradiction(self.scenario, self.n_patterns, self.N)):
            raise ValueError(f"{wrong}; dataclasses.replace(data, scenario=None) drops it")
        module = file_format.load()
        try:
            contents = self.contents(module.DOMAINS, patches=patches)
        except ValueError as error:
            raise ValueError(f"{file_format.name}: {error}") from None
        module.check(contents, **taken)
        return file_format, contents, taken

    def contents(self, domains: Collection[str] = (), *, patches: bool = False) -> Contents:
        """The plain arrays of the data set, for a writer.

        Parameters
        ----------
        domains : sequence of str
            What the patterns may be, the best first; they are converted, when they are read, to the
            first one that is possible. As they are by default.
        patches : bool
            Whether the true object patches are wanted.

        Raises
        ------
        ValueError
            The patterns can be converted to none of the domains.
        """
        domain = self._domain_among(domains) if domains else self.domain
        roots = None
        if domain == self.domain:
            diffraction = self.diffraction
        elif domain == "count_intensity":
            diffraction = self.counts
        else:
            roots = Roots(self._unit())
            diffraction = Converted(self.diffraction, roots, np.float32, (roots,))

        def finish() -> dict[str, Any]:
            known: dict[str, Any] = {}
            if self.statistics is not None:
                self.provenance["dose"] = measured_dose(self)
                known["provenance"] = self.provenance
            if roots is not None:
                known["corrections"] = roots.corrections
            return known

        scenario = self.scenario
        return Contents(
            object=self.object,
            probe=self.probe,
            positions=self.positions,
            positions_nominal=self.positions_nominal,
            diffraction=diffraction,
            domain=domain,
            intensity_scale=self.intensity_scale,
            mask=self.mask,
            eigenprobes=self.eigenprobes,
            weights=self.weights,
            path=self.path,
            dose_factors=self.dose_factors,
            geometry=asdict(self.geometry) if self.geometry else None,
            patches=_Patches(self) if patches else None,
            scenario=scenario.to_dict() if scenario else None,
            provenance=self.provenance,
            nphotons=scenario.dose.nphotons if scenario else None,
            gridsize=scenario.gridsize if scenario else None,
            corrections=self.corrections if domain == "normalized_amplitude" else None,
            finish=finish,
        )

    def _domain_among(self, domains: Collection[str]) -> str:
        """The first of the domains that the patterns can be converted to."""
        for domain in domains:
            if domain in (self.domain, "normalized_amplitude"):
                return domain
            if domain == "count_intensity" and self._gives_counts():
                return domain
        listed = ", ".join(domains)
        raise ValueError(checks.wrong("domain", f"{DOMAINS[self.domain]}", f"one of {listed}"))

    def _gives_counts(self) -> bool:
        """Whether amplitudes are known to give their counts back."""
        if self.domain != "normalized_amplitude" or not self.provenance.get("noise", True):
            return False
        pixel = self.provenance.get("dose", {}).get("measured_pixel", {})
        dim: bool = pixel.get("max", LEAST_UNSURE) < LEAST_UNSURE
        return self.intensity_scale is not None and (self.corrections is not None or dim)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        domain: str | None = None,
        position_offset: float | Sequence[float] = 0.0,
        **options: Any,
    ) -> "Dataset":
        """Read a whole data set into memory; `ptycho_fast.open` leaves the patterns in the file.

        Parameters
        ----------
        path, format, domain, position_offset, **options
            As for `data.opening.open`.

        Returns
        -------
        Dataset
            With the scenario and the provenance that the file holds.

        Raises
        ------
        FileNotFoundError, ValueError, TypeError, RuntimeError
            As `data.opening.open`.
        ScenarioError
            The scenario in the file is wrong or contradicts the arrays. The message names the file.
        """
        with opened(path, format, domain, position_offset, options) as dataset:
            return dataset.in_memory()

    def _scale(self) -> float:
        if self.intensity_scale is None:
            raise ValueError(
                "intensity_scale: none given, expected one to convert between photons and "
                "amplitudes; dataclasses.replace(data, intensity_scale=...) sets it"
            )
        return self.intensity_scale


def _with_card(
    contents: Contents, card: Callable[[Dataset], str], dataset: Dataset
) -> dict[str, Any]:
    """What is known of a data set when its patterns have passed, and its card."""
    known = dict(contents.finish()) if contents.finish else {}
    return known | {"card": card(dataset)}


class _Patches(LazyPatterns):
    """True object patches (B, N, N) complex64, cut out when they are asked for."""

    def __init__(self, dataset: Dataset) -> None:
        self._object, self._positions = dataset.projection, dataset.positions
        self._outside = dataset.scenario.scan.outside if dataset.scenario else "zero"
        self.shape = (len(self._positions), dataset.N, dataset.N)
        self.dtype = np.dtype(np.complex64)

    def _read(self, first: int, last: int) -> npt.NDArray[np.complex64]:
        return self._take(np.arange(first, last))

    def _take(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.complex64]:
        from ptycho_fast.stages import extract_patches  # backends, which a reader does not need

        at = self._positions[numbers]
        return extract_patches(self._object, at, self.shape[-1], boundary=self._outside)


def opened(
    path: str | os.PathLike[str],
    format: str | None,
    domain: str | None,
    position_offset: float | Sequence[float],
    options: Mapping[str, Any],
) -> Dataset:
    """The data set in a file, its patterns left there; see `data.opening.open`."""
    file_format = recognise(path, format)
    given = {**options, **_reading_options(domain, position_offset)}
    taken = file_format.options(given, reading=True)
    contents: Contents = file_format.load().read(path, **taken)
    try:
        return Dataset(
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
            corrections=contents.corrections,
        )
    except BaseException:
        close(contents.diffraction)
        raise


def _reading_options(
    domain: str | None, position_offset: float | Sequence[float]
) -> dict[str, Any]:
    """Options of reading that have names of their own, where they are given."""
    given: dict[str, Any] = {} if domain is None else {"domain": domain}
    plain = isinstance(position_offset, int | float) and not isinstance(position_offset, bool)
    return given if plain and position_offset == 0 else given | {"position_offset": position_offset}


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


def measured_dose(dataset: Dataset) -> dict[str, Any]:
    """What provenance says of the dose, with what was measured.

    Warns
    -----
    DataWarning
        No photon was detected at all.
    """
    dose = {**dataset.provenance.get("dose", {}), **dose_statistics(dataset)}
    if not dose["measured"]["max"] > 0:
        warnings.warn(
            "no photon was detected in any pattern: the dose is too low, or all light falls on "
            "masked pixels",
            DataWarning,
            stacklevel=3,
        )
    return dose


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
