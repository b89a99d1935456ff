"""The truth behind a data set: object, probe, positions and the scale of the dose."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks, detector, objects, optics, probes, scans
from ptycho_fast.backend import choose, host_arrays
from ptycho_fast.backend.records import Exposure, Sink
from ptycho_fast.dose.energy import pattern_energies, probe_energies
from ptycho_fast.dose.modes import Dose, make_dose, require_nphotons
from ptycho_fast.errors import DataWarning, ScenarioError
from ptycho_fast.keys import wrong
from ptycho_fast.progress import StageClock
from ptycho_fast.scenario import Scenario, resolve
from ptycho_fast.threads import granted

_MADE_PIXELS = 2**22  # of patterns that are made at a time for their energies


@dataclass(frozen=True, eq=False, kw_only=True)
class Experiment:
    """The truth behind a data set: all that its patterns are made of.

    Attributes
    ----------
    object : (H, W) or (L, H, W) complex64
        The true object, or its slices along the beam.
    probe : (M, N, N) complex64
        Probe modes in the object plane.
    positions, positions_nominal : (B, 2) float64
        True and intended ``[x, y]`` in object pixels.
    intensity_scale : float
        s: a pixel expects ``s**2`` times its intensity in photons.
    energies : (B,) float64
        Sum of each pattern's intensity before dose, over all pixels, masked ones too.
    scenario : Scenario
        The description that all this was made from.
    eigenprobes : (K, N, N) complex64, or None
        What is added to the first mode, pattern by pattern.
    weights : (B, M + K) float32, or None
        Factor of each mode and eigenprobe in each pattern; None where all patterns have one probe.
    path : (B, S, 2) float64, or None
        True positions of the sub-exposures of a fly scan.
    mask : (N, N) bool, or None
        True where a detector pixel is good; None where all are.
    geometry : Geometry or None
        Energy, distances and sizes of pixels, as far as they are known.
    dose_factors : (B,) float64, or None
        Dose of each pattern in units of the common one; None where all are 1.
    dose : dict
        The dose that was asked for and is expected; see `ptycho_fast.dose.modes.make_dose`.
    """

    object: npt.NDArray[np.complex64]
    probe: npt.NDArray[np.complex64]
    positions: npt.NDArray[np.float64]
    positions_nominal: npt.NDArray[np.float64]
    intensity_scale: float
    energies: npt.NDArray[np.float64]
    scenario: Scenario
    eigenprobes: npt.NDArray[np.complex64] | None = None
    weights: npt.NDArray[np.float32] | None = None
    path: npt.NDArray[np.float64] | None = None
    mask: npt.NDArray[np.bool_] | None = None
    geometry: optics.Geometry | None = None
    dose_factors: npt.NDArray[np.float64] | None = None
    dose: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_patterns(self) -> int:
        """Number of patterns B."""
        return len(self.positions)

    @property
    def N(self) -> int:
        """Patch side, pixels."""
        return self.probe.shape[-1]

    @property
    def slices(self) -> npt.NDArray[np.complex64]:
        """(L, H, W) complex64: the object, slice by slice."""
        return host_arrays.sliced(self.object)

    @property
    def planes(self) -> npt.NDArray[np.complex64]:
        """(M + K, N, N) complex64: probe modes, then eigenprobes."""
        if self.eigenprobes is None:
            return self.probe
        return np.concatenate([self.probe, self.eigenprobes])

    @property
    def paths(self) -> npt.NDArray[np.float64]:
        """(B, S, 2) float64: true positions of all sub-exposures; S = 1 in a step scan."""
        return self.positions[:, np.newaxis] if self.path is None else self.path

    @cached_property
    def still(self) -> dict[str, Any]:
        """What all patterns have in common: arguments of `Exposure` by name."""
        spec, slices = self.scenario.detector, self.slices
        bin, blur = detector.oversample(spec), detector.spread(spec)
        n = bin * self.N
        geometry = self.geometry or optics.Geometry(N=self.N)
        return {
            "object": slices,
            "probe": _widened(self.planes, n),
            "boundary": self.scenario.scan.outside,
            "modes": None if self.eigenprobes is None else len(self.probe),
            "between": geometry.slice_transfer(n) if len(slices) > 1 else None,
            "near": geometry.near_transfer(n),
            "bin": bin,
            "spread": detector.spread_kernel(blur, self.N) if blur else None,
        }

    def exposure(self, indices: Any = slice(None)) -> Exposure:
        """What falls on the detector at some of the positions.

        Parameters
        ----------
        indices : (n,) array of integers, or slice
            Pattern numbers; by default all.

        Returns
        -------
        Exposure
            As the kernels take it.

        Examples
        --------
        >>> e = make_experiment(Scenario.preset("gs2_ideal"))
        >>> e.exposure([3, 900]).shape
        (2, 64, 64)
        """
        return Exposure(
            **self.still,
            positions=self.paths[indices],
            weights=None if self.weights is None else self.weights[indices],
        )

    def part(self, indices: npt.NDArray[np.int64]) -> "Experiment":
        """Some of the patterns, at the same dose, as an experiment of their own."""
        names = ("positions", "positions_nominal", "energies", "weights", "path", "dose_factors")
        values = {name: getattr(self, name) for name in names}
        chosen = {name: array[indices] for name, array in values.items() if array is not None}
        return replace(self, **chosen)

    def changed(
        self, *, seed: int | None = None, noise: bool | None = None, **others: Any
    ) -> "Experiment":
        """The same experiment with another seed of the photons, or without photons.

        Raises
        ------
        ValueError
            Something else is given, which would make another experiment of it.
        """
        for name, value in others.items():
            if value is not None:
                expected = "nothing beside an experiment that is made already"
                raise ValueError(checks.wrong(name, "a value", expected))
        changes = {"seeds.photons": seed, "noise": noise}
        given = {key: value for key, value in changes.items() if value is not None}
        return replace(self, scenario=self.scenario.replace(given)) if given else self

    def with_dose(self, changes: Mapping[str, Any]) -> "Experiment":
        """The same experiment at another dose; nothing is made again.

        Parameters
        ----------
        changes : Mapping
            Values by dotted key: of the table ``dose``, ``seeds.photons``, ``seeds.detector``,
            ``seeds.defects``.

        Raises
        ------
        ScenarioError
            A value is not allowed.
        ValueError
            A key is of another table, which would make another experiment of it.

        Examples
        --------
        >>> e = make_experiment(Scenario.preset("gs2_ideal"))
        >>> ratio = e.with_dose({"dose.nphotons": 4e9}).intensity_scale / e.intensity_scale
        >>> round(ratio, 12)
        2.0
        """
        for key in changes:
            if not key.startswith(("dose.", "seeds.photons", "seeds.detector", "seeds.defects")):
                expected = "keys of dose, seeds.photons, seeds.detector or seeds.defects"
                raise ValueError(checks.wrong("changes", repr(key), expected))
        scenario = self.scenario.replace(changes)
        scenario.require_runnable()
        mask = detector.good_pixels(scenario.detector, self.N, scenario.seeds.bad_pixels)
        return _with_dose(replace(self, scenario=scenario, mask=mask), None)


def make_experiment(
    scenario: Scenario,
    *,
    object: npt.ArrayLike | None = None,
    probe: npt.ArrayLike | None = None,
    positions: npt.ArrayLike | None = None,
    intensity_scale: float | None = None,
    backend: str = "auto",
    threads: int | None = None,
    clock: StageClock | None = None,
) -> Experiment:
    """Make object, probe and positions of a scenario, and the intensity scale of its dose.

    Parameters
    ----------
    scenario : Scenario
        The description.
    object, probe, positions : array, optional
        Taken as they are, in place of what the scenario would make.
    intensity_scale : float, optional
        That of an existing data set, in place of the one that the scenario's dose gives.
    backend, threads
        As for `Simulator`: what makes the energies of a thick object, whose patterns have to be
        made for them. All else is the same with every backend.
    clock : StageClock, optional
        Told of every stage as it begins.

    Returns
    -------
    Experiment
        A pure function of the arguments.

    Raises
    ------
    ScenarioError
        The scenario cannot be simulated, or no light reaches the detector; the message says why.
    ValueError, TypeError, OSError
        An array or an input file is at fault.

    Warns
    -----
    DataWarning
        The dose makes all patterns equally bright, or is the power of a probe whose file had
        another one.
    """
    clock = clock or StageClock()
    scenario.require_runnable()
    seeds, N = scenario.seeds, scenario.N
    geometry = optics.make_geometry(N, **dict(scenario.optics.items()))
    _check_oversampling(scenario, geometry)
    detector.check(scenario.detector, N, geometry)
    with clock.stage("object"):
        obj = objects.make_object(scenario.object, seeds.object, geometry=geometry, given=object)
        obj = obj if obj.ndim == 3 else host_arrays.as_object(obj)
        slices = host_arrays.as_slices(obj)
    with clock.stage("probe"):
        modes = probes.make_probe(
            scenario.probe, N, geometry=geometry, seed=seeds.probe, given=probe
        )
        modes = host_arrays.as_probe(modes)
    with clock.stage("scan"):
        scan = scans.make_scan(
            scenario.scan, slices.shape[1:], seeds.scan, geometry=geometry, given=positions
        )
        if scenario.scan.boundary == "error":
            reach = scan.positions if scan.path is None else scan.path
            scans.check_inside(reach, slices.shape[1:], N)
    with clock.stage("probe"):
        spec = scenario.probe
        varied = probes.make_variation(spec, modes, len(scan.positions), seeds.probe)
        eigenprobes, weights = varied or (np.zeros((0, N, N), np.complex64), None)
    experiment = Experiment(
        object=slices[0] if len(slices) == 1 else slices,
        probe=modes,
        positions=scan.positions,
        positions_nominal=scan.nominal,
        eigenprobes=eigenprobes if len(eigenprobes) else None,
        weights=weights,
        path=scan.path,
        mask=detector.good_pixels(scenario.detector, N, seeds.bad_pixels),
        geometry=geometry,
        intensity_scale=1.0,
        energies=np.zeros(0),
        scenario=scenario,
    )
    host_arrays.as_probe(experiment.planes)
    with clock.stage("intensity scale"):
        energies = _energies(experiment, backend, threads)
        _require_light(experiment, energies)
        return _with_dose(replace(experiment, energies=energies), intensity_scale)


def _require_light(experiment: Experiment, energies: npt.NDArray[np.float64]) -> None:
    """Raise ScenarioError if no dose can be given, with the reason."""
    if not np.isfinite(energies).all():
        b = int(np.argmin(np.isfinite(energies)))
        raise ScenarioError(
            f"object: the light of pattern {b} overflows float32, expected amplitudes whose "
            f"product over {len(experiment.slices)} slices does not; lower object.amplitude_max",
            key="object.amplitude_max",
        )
    if energies.mean() > 0:
        return
    dark = [name for name in ("object", "probe") if not getattr(experiment, name).any()]
    what = "an object and a probe that are not zero" if dark else "positions on the object"
    raise ScenarioError(
        f"{', '.join(dark) or 'scan'}: no light reaches the detector at any position, so no dose "
        f"can be given; expected {what}"
    )


def _check_oversampling(scenario: Scenario, geometry: optics.Geometry) -> None:
    times, most = detector.oversample(scenario.detector), host_arrays.LARGEST_N // scenario.N
    if times > most:
        expected = f"at most {most} for N = {scenario.N}, a transform of {host_arrays.LARGEST_N}"
        raise wrong("detector.oversample", times, expected)
    if times > 1 and geometry.propagation == "near_field":
        expected = "1 in the near field, where object pixels are as small as you make them"
        raise wrong("detector.oversample", times, expected)


def _widened(planes: npt.NDArray[np.complex64], n: int) -> npt.NDArray[np.complex64]:
    """The probe with zeros around it, n x n pixels; its middle stays where positions point."""
    N = planes.shape[-1]
    if n == N:
        return planes
    before = n // 2 - N // 2
    wide = np.zeros((len(planes), n, n), np.complex64)
    wide[:, before : before + N, before : before + N] = planes
    return wide


def _energies(experiment: Experiment, backend: str, threads: int | None) -> npt.NDArray[np.float64]:
    """(B,) sums of the patterns' intensities; patterns are made only if that cannot be avoided."""
    e, still = experiment, experiment.still
    near = still["near"]
    loses = near is not None and float(np.abs(near).min()) < 1 - 1e-6  # evanescent waves
    if len(still["object"]) > 1 or loses:
        return _made_energies(e, backend, threads)
    return pattern_energies(
        still["object"][0],
        e.planes,
        e.positions if e.path is None else e.path,
        boundary=still["boundary"],
        weights=e.weights,
        modes=still["modes"],
    )


def _made_energies(
    experiment: Experiment, backend: str, threads: int | None
) -> npt.NDArray[np.float64]:
    _, engine = choose(backend)
    B, N = experiment.n_patterns, experiment.N
    step, energies = max(1, _MADE_PIXELS // N**2), np.empty(B)
    for first in range(0, B, step):
        exposure = experiment.exposure(slice(first, first + step))
        made = host_arrays.empty_aligned(exposure.shape, np.float32)
        with granted(threads, exposure.n_pixels) as n_threads:
            engine.frames(exposure, None, Sink(made, "intensity"), n_threads)
        energies[first : first + step] = made.sum(axis=(1, 2), dtype=np.float64)
    return energies


def _with_dose(experiment: Experiment, scale: float | None) -> Experiment:
    """The experiment at the dose of its scenario."""
    e, spec = experiment, experiment.scenario.dose
    geometry = e.geometry or optics.Geometry(N=e.N)
    dose: Dose = make_dose(
        spec,
        e.energies,
        probe_energies(e.planes, weights=e.weights, modes=len(e.probe)),
        positions=e.positions_nominal,
        geometry=geometry,
        efficiency=detector.efficiency(e.scenario.detector, geometry),
        scale=scale,
    )
    if spec.mode == "per_pattern":
        warnings.warn(
            "dose.mode: 'per_pattern' gives every pattern the same number of photons, which "
            "destroys the contrast of transmission between them; 'detected_mean' keeps it",
            DataWarning,
            stacklevel=3,
        )
    probe = e.scenario.probe
    if spec.mode == "none" and probe.kind == "file" and probe.normalise:
        warnings.warn(
            "dose.mode: 'none' takes the power of the probe as photons, but probe.normalise has "
            "changed that of the file; probe.normalise = false keeps it",
            DataWarning,
            stacklevel=3,
        )
    return replace(e, intensity_scale=dose.scale, dose_factors=dose.factors, dose=dose.report)


def described_by(
    scenario: "Scenario | str | os.PathLike[str] | None",
    *,
    object: npt.ArrayLike | None = None,
    probe: npt.ArrayLike | None = None,
    positions: npt.ArrayLike | None = None,
    start: Mapping[str, Any] | None = None,
    nphotons: float | None = None,
    seed: int | None = None,
    noise: bool | None = None,
) -> Scenario:
    """The scenario that a call describes, with what was given in it."""
    begin = dict(start or {})
    if scenario is None and begin:
        scenario = Scenario()
    elif scenario is None:
        arrays = {"object": object, "probe": probe, "positions": positions}
        needed = {**arrays, "nphotons": nphotons}
        missing = [name for name, value in needed.items() if value is None]
        if missing:
            expected = "an array" if missing[0] in arrays else "mean detected photons per pattern"
            raise ValueError(
                checks.wrong(missing[0], "nothing", f"{expected}, or a scenario that says it")
            )
        scenario = Scenario()
    else:
        begin.pop("name", None)
        scenario = scenario if isinstance(scenario, Scenario) else resolve(scenario)
    changes: dict[str, Any] = {}
    if nphotons is not None:
        changes["dose.nphotons"] = nphotons
    if seed is not None:
        changes["seeds.photons"] = checks.seed(seed)
    if noise is not None:
        changes["noise"] = noise
    described = scenario.replace(begin).replace(changes)
    if nphotons is not None:
        require_nphotons(described.dose)
    return described.with_given(object=object, probe=probe, positions=positions)
