"""A data set as a function of an index: from an experiment to any of its frames."""

import math
import os
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks, detector
from ptycho_fast.ahead import made_ahead
from ptycho_fast.backend import choose, gpu_arrays, host_arrays, require_device
from ptycho_fast.backend.protocol import Gate, Series
from ptycho_fast.backend.records import Counting, Response, Sink, SinkKind
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.dose.modes import given_dose
from ptycho_fast.drawing import notebook
from ptycho_fast.errors import ScenarioError
from ptycho_fast.experiment import Experiment, described_by, make_experiment
from ptycho_fast.formats.contents import projected
from ptycho_fast.formats.number_types import exactly
from ptycho_fast.keys import wrong
from ptycho_fast.limits import (
    LARGEST_RATE,
    as_scale,
    check_rates,
    intensity_bound,
    warn_of_positions,
)
from ptycho_fast.progress import StageClock
from ptycho_fast.rounding import default_rounding
from ptycho_fast.scenario import Scenario
from ptycho_fast.start import begun
from ptycho_fast.threads import WORTH_TWO_THREADS, granted, thread_count

_MOST_FITTED = 1024  # patterns whose pixels are made before the work, to see whether they fit
_DARK = 1e-30  # dose factor of a pattern without light, whose intensity is 0 all the same


class Simulator:
    """Makes any patterns of one experiment: a pure function of the scenario and the pattern number.

    Pattern ``b`` has the same bits in every batch, order, thread and process. Object, probe,
    positions and intensity scale are made and checked once, when the simulator is made: arrays
    that are given must not be changed afterwards. Make a new one for other arrays.

    Parameters
    ----------
    scenario : Scenario, str, path or Experiment, optional
        The description, the name of a preset, the path of a TOML file, or an experiment that was
        made before. Without it all three arrays and `nphotons` must be given.
    object : (H, W) complex64, optional
        In place of the scenario's object.
    probe : (N, N) or (M, N, N) complex64, optional
        In place of the scenario's probe, taken as it is: its power is not changed.
    positions : (B, 2) float64, optional
        In place of the scenario's scan: ``[x, y]`` in object pixels.
    start : Dataset, str or path, optional
        A data set, or the file of one or of a reconstruction: its object, probe modes, positions,
        energy and sizes of pixels take the place of the scenario's; see `ptycho_fast.start`. The
        scenario names a file with what it holds, so that it can be made again.
    nphotons : float, optional
        Mean detected photons of a pattern, instead of ``dose.nphotons``.
    seed : int, optional
        Seed of the photon noise, instead of ``seeds.photons``.
    noise : bool, optional
        Whether photons are drawn, instead of the scenario's ``noise``.
    backend : str
        "auto" (the best one on the CPU) or a name of `ptycho_fast.backends`.
    device : int, optional
        Number of the GPU, with the backend "cuda"; by default CuPy's current.
    threads : int, optional
        Threads over patterns; results do not depend on it.
    dtype : {"uint16", "uint32", "float32"}, optional
        Type of the frames; by default uint32 for counts, what fits a detector's signals, float32
        for intensities. A number that the type does not hold is an error; with
        ``detector.saturation`` there is none.
    clock : StageClock, optional
        Told of every stage as it begins.

    Attributes
    ----------
    experiment : Experiment
        Object, probe, positions, intensity scale: the truth.
    backend : str
        Name of the backend.
    domain : str
        What `frames` gives: "count_intensity" (photon counts, uint32), "detector_signal" (what a
        detector with gain, offset or read-out noise stores) or, without noise,
        "normalized_intensity" (intensity before dose, float32).
    dtype : dtype
        Type of the frames.
    work : int
        Pixels of all transforms of a pattern: the time that it takes grows with it.
    response : Response or None
        What the detector makes of the photons that are counted; None if that changes nothing.

    Raises
    ------
    ScenarioError
        The scenario cannot be simulated; the message names the key.
    ValueError, TypeError, RuntimeError, OSError
        An argument or an input file is at fault, or the backend is not available.

    Examples
    --------
    >>> sim = Simulator("gs2_ideal", nphotons=1e6)
    >>> some = sim.frames([900, 3])
    >>> bool((some[1] == sim.frames(0, 4)[3]).all())
    True
    """

    def __init__(
        self,
        scenario: "Scenario | Experiment | str | os.PathLike[str] | None" = None,
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
    ) -> None:
        self.backend, self._backend = choose(backend)
        self._device = require_device(device, self._backend)
        self._threads = threads
        thread_count(threads)  # an error before the work begins
        with self._backend.place(self._device):
            pass  # the same for the device
        given: dict[str, Any] = {"object": object, "probe": probe, "positions": positions}
        with default_rounding():
            if isinstance(scenario, Experiment):
                changes = {**given, "nphotons": nphotons, "seed": seed, "noise": noise}
                self.experiment = scenario.changed(**changes, start=start)
            else:
                given, begin = begun(start, given)
                described = described_by(
                    scenario, **given, start=begin, nphotons=nphotons, seed=seed, noise=noise
                )
                self.experiment = make_experiment(
                    described, **given, backend=self.backend, threads=threads, clock=clock
                )
        experiment = self.experiment
        self.scenario = experiment.scenario
        every = experiment.exposure()
        n, shape = every.probe.shape[-1], every.object.shape[1:]
        warn_of_positions(experiment.positions, shape, n, every.boundary)
        self.noise = self.scenario.noise
        bound = intensity_bound(every, checks.largest_part(experiment.object))
        self._suspects = self._bright_patterns(bound) if self.noise else None
        self.response = detector.response(
            self.scenario.detector,
            experiment.N,
            self.scenario.seeds.detector,
            defects_seed=self.scenario.seeds.bad_pixels,
        )
        counted: SinkKind = "counts" if self.response is None else "signal"
        self._kind: SinkKind = counted if self.noise else "intensity"
        self._strong = self._strong_patterns() if self._kind == "signal" else None
        self._dtypes = self._result_dtypes()
        self.dtype = self._asked_dtype(dtype)
        self._asks_usual = self.dtype == self._dtypes[self._kind]
        self.domain = self._domain()
        self._shape = every.shape
        self._inputs = self._arrays()
        self.work = every.n_pixels // experiment.n_patterns
        self._made_series: Series | None = None
        if self._kind == "counts" and self.dtype != np.uint32:
            self._check_fit(np.array([np.argmax(self._rates())]))

    def __getstate__(self) -> dict[str, Any]:
        """Without the backend, which each process chooses anew, and what lies on its GPU."""
        return self.__dict__ | {"_backend": None, "_made_series": None, "_inputs": ()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.backend, self._backend = choose(self.backend)
        self._inputs = self._arrays()

    def __len__(self) -> int:
        return self.n_patterns

    def __repr__(self) -> str:
        e = self.experiment
        return (
            f"Simulator({self.scenario.name!r}, {e.n_patterns} patterns of {e.N} x {e.N}, "
            f"{self.domain}, backend {self.backend!r})"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows; no pattern is made."""
        e = self.experiment
        rows = {
            "patterns": f"{e.n_patterns:,} of {e.N} x {e.N}, {self.domain} as {self.dtype}",
            "object": " x ".join(map(str, e.object.shape)),
            "probe modes": str(len(e.probe)),
            "photons in a pattern": f"{e.dose['expected']['mean']:.6g} expected",
            "intensity scale s": repr(e.intensity_scale),
            "backend": self.backend,
        }
        pictures = [("object", np.abs(projected(e.object))), ("probe", np.abs(e.probe[0]))]
        return notebook.table(f"Simulator: {self.scenario.name}", rows.items(), pictures)

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
        from ptycho_fast.drawing.overview import overview

        unit = {"count_intensity": "photons", "detector_signal": "signal"}.get(self.domain)

        def pattern(b: int) -> tuple[npt.NDArray[Any], str]:
            return self.frames(b, b + 1)[0], unit or "intensity before dose"

        return overview(self.experiment, pattern)

    @property
    def n_patterns(self) -> int:
        """Number of patterns B."""
        return self.experiment.n_patterns

    @property
    def N(self) -> int:
        """Patch side, pixels."""
        return self.experiment.N

    @property
    def chunk(self) -> int:
        """Patterns that are worth a call of their own in a run that is made in pieces."""
        return max(1, self._backend.capabilities.chunk_pixels // self.work)

    def with_threads(self, threads: int | None) -> Self:
        """The same simulator, with another number of threads; nothing is made again.

        Parameters
        ----------
        threads : int or None
            As for the class.
        """
        thread_count(threads)
        other = copy(self)
        other._threads = threads
        return other

    # --- frames ---

    @overload
    def frames(
        self,
        first: int,
        last: int,
        *,
        epoch: int | npt.NDArray[np.integer[Any]] = 0,
        out: Any = None,
        on_gpu: bool = False,
    ) -> Any: ...
    @overload
    def frames(
        self,
        first: npt.ArrayLike,
        last: None = None,
        *,
        epoch: int | npt.NDArray[np.integer[Any]] = 0,
        out: Any = None,
        on_gpu: bool = False,
    ) -> Any: ...
    def frames(
        self,
        first: int | npt.ArrayLike,
        last: int | None = None,
        *,
        epoch: int | npt.NDArray[np.integer[Any]] = 0,
        out: Any = None,
        on_gpu: bool = False,
    ) -> Any:
        """Observed patterns, ``frames(first, last)`` or ``frames(indices)``.

        Parameters
        ----------
        first, last : int
            Patterns `first` to `last`, without the last.
        first : (n,) array of integers
            Or any pattern numbers, in any order, also repeated.
        epoch : int, or (n,) integers
            Which exposure of the scan, or of each pattern: each one has photons of its own; that
            of a data set is 0.
        out : (n, N, N) array, optional
            Array to write to; untouched if an error is raised.
        on_gpu : bool
            Whether the result is a CuPy array, with the backend "cuda".

        Returns
        -------
        (n, N, N) array of `dtype`
            Photon counts or signals, or intensities before dose without noise, behind the detector.

        Raises
        ------
        TypeError, ValueError, IndexError
            An argument is at fault.
        ScenarioError
            A pixel expects more photons than can be counted, or holds a number that `dtype` does
            not.
        """
        if self._asks_usual:
            return self._made(first, last, self._kind, epoch, out, on_gpu)
        indices = self._indices(first, last)
        gate: Gate = gpu_arrays if on_gpu else host_arrays
        if out is not None:
            gate.output(out, (len(indices), self.N, self.N), self.dtype, self._inputs)
        made = self._made(indices, None, self._kind, epoch, None, on_gpu)
        try:
            fitted = exactly(made, self.dtype, "frames", indices)
        except ValueError as error:
            raise self._does_not_fit(f"but {error}") from None
        if out is None:
            return fitted
        out[...] = fitted
        return out

    def amplitudes(
        self,
        first: int | npt.ArrayLike,
        last: int | None = None,
        *,
        epoch: int | npt.NDArray[np.integer[Any]] = 0,
        out: Any = None,
        on_gpu: bool = False,
    ) -> Any:
        """Normalised amplitudes of the frames, ``amplitudes(first, last)`` or by indices.

        Parameters
        ----------
        first, last, epoch, out, on_gpu
            As for `frames`.

        Returns
        -------
        (n, N, N) float32
            ``sqrt(counts) / s``, or ``sqrt(intensity)`` without noise, rounded once from float64.
        """
        if self.noise:
            return self._made(first, last, "amplitude", epoch, out, on_gpu)
        frames = self._made(first, last, self._kind, epoch, None, on_gpu)
        amplitudes = np.sqrt(frames, dtype=np.float64).astype(np.float32)
        if out is None:
            return amplitudes
        out[...] = amplitudes
        return out

    @overload
    def expected(self, first: int, last: int, *, out: Any = None, on_gpu: bool = False) -> Any: ...
    @overload
    def expected(
        self, first: npt.ArrayLike, last: None = None, *, out: Any = None, on_gpu: bool = False
    ) -> Any: ...
    def expected(
        self,
        first: int | npt.ArrayLike,
        last: int | None = None,
        *,
        out: Any = None,
        on_gpu: bool = False,
    ) -> Any:
        """Expected photons before noise and detector, ``expected(first, last)`` or by indices.

        Parameters
        ----------
        first, last, out, on_gpu
            As for `frames`.

        Returns
        -------
        (n, N, N) float32
            Photons per pixel, ``s**2`` times the intensity.
        """
        return self._made(first, last, "expected", 0, out, on_gpu)

    def stream(
        self, chunk: int | None = None, *, first: int = 0, last: int | None = None
    ) -> Iterator[tuple[int, Any]]:
        """All frames in order, chunk by chunk, the next one made by a thread while one is used.

        Parameters
        ----------
        chunk : int, optional
            Patterns at a time; by default as many as the backend likes.
        first, last : int
            Patterns to begin with and to end before.

        Yields
        ------
        first : int
            Number of the first pattern of the chunk.
        frames : (n, N, N) array
            As `frames` gives them.
        """
        step = self.chunk if chunk is None else checks.count(chunk, "chunk")
        indices = self._indices(first, self.n_patterns if last is None else last)
        starts = range(0, len(indices), step)
        made = (
            (int(indices[start]), self.frames(indices[start : start + step])) for start in starts
        )
        yield from made_ahead(made, 1)

    # --- how ---

    def _arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """What an output must not share memory with."""
        e = self.experiment
        arrays = (*e.still.values(), e.paths, e.weights)
        return tuple(array for array in arrays if isinstance(array, np.ndarray))

    def _indices(self, first: Any, last: int | None) -> npt.NDArray[np.int64]:
        return checks.indices(first, last, self.n_patterns)

    def _bright_patterns(self, bound: float) -> npt.NDArray[np.bool_] | None:
        """(B,) bool: patterns in which a pixel might expect too many photons; None: there are none.

        `bound` is the largest intensity that a pixel may have. No pixel has more than its pattern.
        """
        e = self.experiment
        factors = 1.0 if e.dose_factors is None else e.dose_factors
        dose = as_scale(e.intensity_scale * float(np.sqrt(np.max(factors)))) ** 2
        if dose * bound <= LARGEST_RATE:
            return None
        rates = e.intensity_scale**2 * factors * e.energies
        bright = ~(rates * (1 + 1e-5) <= LARGEST_RATE)
        return bright if bright.any() else None

    def _most_counts(self) -> float:
        """The most counts whose signal fits into its type, with room for 10 deviations."""
        one = self.response
        if one is None or one.ceiling or one.dtype.kind == "f":
            return math.inf
        most = (np.iinfo(one.dtype).max - one.offset - 10 * one.readout) / one.gain
        if one.dead_time and 1 / one.dead_time < most:  # no pixel counts more
            return math.inf
        return (math.sqrt(max(most, 0.0) + 25) - 5) ** 2

    # --- counts in another type ---

    def _asked_dtype(self, dtype: npt.DTypeLike | None) -> np.dtype[Any]:
        """The type of the frames; an error for one that they can never have."""
        usual = self._dtypes[self._kind]
        if dtype is None:
            return usual
        try:
            asked = np.dtype(dtype)
        except TypeError:
            asked = np.dtype(object)
        allowed = ["float32"] if self._kind == "intensity" else ["uint16", "uint32", "float32"]
        if self._kind == "signal" and usual.kind == "f":
            allowed = ["float32"]
        if asked.name not in allowed:
            raise ValueError(
                checks.wrong("dtype", repr(dtype), f"one of {', '.join(allowed)} for {self._what}")
            )
        if self.response is not None and asked.kind == "u":
            ceiling, most = self.response.ceiling, np.iinfo(asked).max
            if ceiling > most:
                raise wrong("detector.saturation", ceiling, f"at most {most}, which {asked} holds")
        return asked

    @property
    def _what(self) -> str:
        kinds = {"counts": "photon counts", "signal": "a detector's signals"}
        return kinds.get(self._kind, "noise-free intensities")

    def _rates(self) -> npt.NDArray[np.float64]:
        """(B,) float64: photons that each pattern expects; no pixel of it expects more."""
        e = self.experiment
        factors = 1.0 if e.dose_factors is None else e.dose_factors
        return np.asarray(e.intensity_scale**2 * factors * e.energies)

    def _most_that_fit(self) -> float:
        """The most photons that a pixel may expect, with room for 10 deviations of its count."""
        most = {"uint16": 2**16 - 1, "float32": 2**24}.get(self.dtype.name, 2**32 - 1)
        return float((math.sqrt(most + 25) - 5) ** 2)

    def _check_fit(self, indices: npt.NDArray[np.int64]) -> None:
        """Raise ScenarioError if a pixel of some patterns expects too many photons for `dtype`."""
        most = self._most_that_fit()
        for first in range(0, len(indices), self.chunk):
            some = indices[first : first + self.chunk]
            largest = self._made(some, None, "expected", 0, None, False).max(axis=(1, 2))
            if (largest > most).any():
                b = int(np.argmax(largest))
                fits = self.experiment.dose["expected"]["mean"] * most / largest[b]
                raise self._does_not_fit(
                    f"which expects {largest[b]:.4g} photons in a pixel of pattern {some[b]}, "
                    f"expected at most {most:.4g}, which {self.dtype} holds with their noise, that "
                    f"is {fits:.3g} photons per pattern in the mean"
                )

    def _does_not_fit(self, why: str) -> ScenarioError:
        key, given = given_dose(self.scenario.dose)
        return ScenarioError(
            f"{key}: {given} given, {why}; lower the dose, take another dtype, or give "
            "detector.saturation",
            key=key,
        )

    def _strong_patterns(self) -> npt.NDArray[np.bool_] | None:
        """(B,) bool: patterns whose signals might not fit into their type; None: there are none."""
        e = self.experiment
        factors = 1.0 if e.dose_factors is None else e.dose_factors
        strong = e.intensity_scale**2 * factors * e.energies > self._most_counts()
        return strong if strong.any() else None

    def _check_signal(self, indices: npt.NDArray[np.int64]) -> None:
        """Raise ScenarioError if signals do not fit into their type and nothing saturates."""
        if self._strong is None or self.response is None:
            return
        strong, most = indices[self._strong[indices]], self._most_counts()
        for first in range(0, len(strong), self.chunk):
            some = strong[first : first + self.chunk]
            largest = self._made(some, None, "expected", 0, None, False).max(axis=(1, 2))
            if (largest > most).any():
                b = int(np.argmax(largest > most))
                gain, dtype = self.response.gain, self.response.dtype
                raise ScenarioError(
                    f"detector.gain: {gain:g} given: pattern {some[b]} expects a pixel of "
                    f"{largest[b]:.4g} photons, expected at most {most:.4g}, whose signal fits "
                    f"into {dtype}; lower gain or dose, or give detector.saturation",
                    key="detector.gain",
                )

    def check_dose(self) -> None:
        """Raise ScenarioError if a pixel of any pattern expects more photons than can be counted.

        Nor may a count or a signal be too large for its type, unless the detector saturates; for
        `dtype` the brightest patterns are looked at, and every frame when it is made.

        Patterns without photons are made where that is not excluded beforehand.
        """
        self._check_dose(np.arange(self.n_patterns))
        self._check_signal(np.arange(self.n_patterns))
        if self._kind == "counts":
            bright = np.argsort(-self._rates(), kind="stable")[:_MOST_FITTED]
            self._check_fit(bright[self._rates()[bright] > self._most_that_fit()])

    def _check_dose(self, indices: npt.NDArray[np.int64]) -> None:
        if self._suspects is None:
            return
        suspects = indices[self._suspects[indices]]
        if not suspects.size:
            return
        shape, numbers = (suspects.size, *self._shape[1:]), suspects.view(np.uint64)
        with (
            default_rounding(),
            self._backend.place(self._device),
            granted(self._threads, self.work * suspects.size) as n_threads,
        ):

            def make(part: slice, sink: Sink) -> None:
                self._series()(suspects[part], numbers[part], sink, n_threads)

            try:
                check_rates(make, shape, suspects)
            except ValueError as error:
                key, given = given_dose(self.scenario.dose)
                raise ScenarioError(f"{key}: {given} given: {error}", key=key) from None

    def _series(self) -> Series:
        """The patterns, with object and probe where the backend reads them best."""
        if self._made_series is None:
            e, seed = self.experiment, self.scenario.seeds.photons
            every, no_numbers = e.exposure(), np.empty(0, np.uint64)
            exposure = replace(
                every,
                positions=checks.plain(every.positions, np.float64),
                weights=None if e.weights is None else checks.plain(e.weights, np.float32),
            )
            factors = None if e.dose_factors is None else checks.plain(e.dose_factors, np.float64)
            counting = Counting(e.intensity_scale, seed, no_numbers, factors, self.response)
            self._made_series = self._backend.series(exposure, counting)
        return self._made_series

    def _epochs(self, epoch: Any, count: int) -> int | npt.NDArray[np.uint64]:
        """The exposure of each of some patterns, or one for all; an error for an unknown one."""
        last = (2**64 - 1) // self.n_patterns - 1
        if type(epoch) is int or np.ndim(epoch) == 0:
            return checks.integer(epoch, "epoch", 0, last)
        epochs = np.asarray(epoch)
        if epochs.shape != (count,) or epochs.dtype.kind not in "iu":
            given = f"shape {epochs.shape} and dtype {epochs.dtype}"
            raise ValueError(checks.wrong("epoch", given, f"an integer, or ({count},) integers"))
        if count and not 0 <= int(epochs.min()) <= int(epochs.max()) <= last:
            given = f"from {epochs.min()} to {epochs.max()}"
            raise ValueError(checks.wrong("epoch", given, f"0 to {last}"))
        return epochs.astype(np.uint64)

    def _numbers(self, indices: npt.NDArray[np.int64], epoch: Any) -> npt.NDArray[np.uint64]:
        """(n,) uint64: the pattern numbers that decide the photons."""
        numbers = indices.view(np.uint64)
        if type(epoch) is int and epoch == 0:
            return numbers
        epochs = self._epochs(epoch, len(indices))
        if isinstance(epochs, int):
            return numbers + np.uint64(epochs * self.n_patterns)
        return numbers + epochs * np.uint64(self.n_patterns)

    def _made(
        self,
        first: Any,
        last: int | None,
        kind: SinkKind,
        epoch: Any,
        out: Any,
        on_gpu: bool,
    ) -> Any:
        if on_gpu and not self._backend.capabilities.on_gpu:
            expected = f"False with the backend {self.backend!r}"
            raise ValueError(checks.wrong("on_gpu", on_gpu, expected))
        indices = checks.indices(first, last, self._shape[0])
        numbers = self._numbers(indices, epoch)
        if self._device is None:
            return self._written(indices, numbers, kind, out, on_gpu)
        with self._backend.place(self._device):
            return self._written(indices, numbers, kind, out, on_gpu)

    def _written(
        self,
        indices: npt.NDArray[np.int64],
        numbers: npt.NDArray[np.uint64],
        kind: SinkKind,
        out: Any,
        on_gpu: bool,
    ) -> Any:
        """The patterns, on the current GPU if the backend works on one."""
        gate: Gate = gpu_arrays if on_gpu else host_arrays
        _, rows, columns = self._shape
        inputs = () if on_gpu else self._inputs
        out = gate.output(out, (indices.size, rows, columns), self._dtypes[kind], inputs)
        if not indices.size:
            return out
        if kind != "intensity" and kind != "expected":
            self._check_dose(indices)
        if kind == "signal":
            self._check_signal(indices)
        sink, n_pixels = Sink(out, kind), self.work * indices.size
        if self._threads is None and n_pixels < WORTH_TWO_THREADS:
            self._series()(indices, numbers, sink, 1)
        else:
            with granted(self._threads, n_pixels) as n_threads:
                self._series()(indices, numbers, sink, n_threads)
        if kind == "intensity" and self.response is not None:
            with default_rounding():
                self._detect(out, indices, self.response)
        return out

    def _detect(
        self, out: npt.NDArray[np.float32], indices: npt.NDArray[np.int64], response: Response
    ) -> None:
        """Intensities, in place, as a detector without noise shows them."""
        e = self.experiment
        photons: Any = np.float64(e.intensity_scale**2)
        if e.dose_factors is not None:
            factors = e.dose_factors[indices]
            photons = photons * np.maximum(factors, _DARK)[:, None, None]
        out[...] = detector.without_noise(out * photons, response) / photons

    def _domain(self) -> str:
        if not self.noise:
            return "normalized_intensity"
        one = self.response
        counts = one is None or (one.gain == 1 and one.offset == 0 and one.dtype == np.uint32)
        return "count_intensity" if counts else "detector_signal"

    def _result_dtypes(self) -> dict[SinkKind, np.dtype[Any]]:
        """Types of what is made, before `dtype`."""
        real, whole = np.dtype(np.float32), np.dtype(np.uint32)
        types: dict[SinkKind, np.dtype[Any]] = {
            "intensity": real, "expected": real, "amplitude": real, "counts": whole,
        }  # fmt: skip
        if self.response is not None:
            types["signal"] = self.response.dtype
        return types
