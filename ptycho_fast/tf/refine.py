"""Refinement: one object for all patterns of a scan, by descent along the gradient.

A network guesses each patch from its own pattern. Patterns that overlap know more together: here
all of them pull at one canvas, through the same physics, until it explains them. It uses the very
patterns that it is judged by, which no network does at test time.

The first passes go in batches (Adam), which is quick far from the aim and gets out of blind alleys.
The others make one step from all patterns together (L-BFGS), which has no noise of batches and
learns how slowly long waves of the phase move.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ptycho_fast import checks, quality
from ptycho_fast.ahead import made_ahead
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.data.source import OfOneExperiment, lazy
from ptycho_fast.errors import DataWarning
from ptycho_fast.formats.work import MEMORY

from .canvas import ScanCanvas, support
from .layers import root
from .losses import EPSILON, deviance
from .quasi_newton import QuasiNewton
from .train import Watcher

Start = Literal["flat"] | npt.NDArray[np.complexfloating[Any, Any]]

PARTS = ("all", "train", "test")
PROBES = ("fixed", "joint")
LOSSES = ("amplitude", "poisson")
POSITIONS = ("true", "nominal")

_AHEAD = 2  # batches that are read while one is worked on
_SAMPLE = 256  # patterns whose light the flat start is made of
_DIM = 0.01  # of the brightest illumination: where there is less, pixels follow more slowly
_APART = 0.25  # of the passes are made in batches, the others by all patterns together
UNFINISHED = 0.05  # share by which the misfit falls in a pass, and more passes help
_LOST = 4.0  # misfit at which a descent is lost; an object that is black everywhere has 1
_FLOOR = 0.1  # photons of background with which pixels are compared
_OVERLAP = 0.25  # share of lit pixels that two patterns must light, or a warning is given


@dataclass(frozen=True, eq=False, kw_only=True)
class Refinement:
    """What a refinement found.

    Attributes
    ----------
    object : (H, W) complex64
        The object; where no pattern lights it, as it was at the start.
    covered : (H, W) bool
        Where at least one pattern lights it.
    coverage : (H, W) int32
        How many patterns do, as `quality.coverage` counts.
    probe : (M, N, N) complex64
        Probe modes, as they were given or as they were found.
    history : list of dict
        For every pass ``loss``; ``misfit``, the square of the difference of predicted and measured
        amplitudes over the square of the measured; ``rate``, of Adam, 0 in passes of all patterns
        together; ``seconds``.
    seconds : float
        Time of all passes, with preparing them.
    stopped : {"passes", "settled", "diverged", "interrupted"}
        Why it ended; settled: no object explains the patterns better, to the last digits. This is
        the object of the best pass.
    """

    object: npt.NDArray[np.complex64]
    covered: npt.NDArray[np.bool_]
    coverage: npt.NDArray[np.int32]
    probe: npt.NDArray[np.complex64]
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    stopped: str = "passes"


def refine(
    data: OfOneExperiment,
    *,
    watcher: Watcher | None = None,
    **how: Any,
) -> Refinement:
    """Find the object of a scan, and its probe if asked for, from all its patterns together.

    Parameters
    ----------
    data : Dataset, Experiment or Simulator
        The patterns with probe and positions; patterns of an open file or a simulator are read or
        made as they are needed.
    watcher : Watcher, optional
        Called after every batch and pass.
    **how
        Of `Refiner`: ``part``, ``start``, ``passes``, ``probe``, ``batch_size``,
        ``learning_rate``, ``seed``, ``loss``, ``mask``, ``positions``, ``start_probe``, ``memory``.

    Returns
    -------
    Refinement
        A pure function of the arguments, to the bit on the same machine.

    Raises
    ------
    TypeError, ValueError
        An argument is wrong, or the data cannot be refined; the message says why.

    Warns
    -----
    DataWarning
        Patterns hardly overlap, or the descent diverged.

    Examples
    --------
    >>> import ptycho_fast
    >>> from ptycho_fast.tf import refine
    >>> data = ptycho_fast.simulate("gs2_ideal")
    >>> found = refine(data, part="test", passes=30)
    >>> found.stopped
    'passes'
    """
    refiner = Refiner(data, **how)
    for _ in refiner.passes(watcher):
        pass
    return refiner.result()


def still_falling(history: Sequence[Mapping[str, float]]) -> float:
    """Share by which the misfit fell in a pass at the end, on average over the last quarter.

    Parameters
    ----------
    history : sequence of mapping
        Of a `Refinement`.

    Returns
    -------
    float
        0 where it did not fall; 1 after a single pass, of which nothing is known.

    Examples
    --------
    >>> still_falling([{"misfit": 0.08}, {"misfit": 0.04}, {"misfit": 0.01}])
    0.75
    """
    if len(history) < 2:
        return 1.0
    last = max(1, len(history) // 4)
    before, after = history[-1 - last]["misfit"], history[-1]["misfit"]
    return max(0.0, 1 - (after / before) ** (1 / last)) if before > 0 else 0.0


class Refiner:
    """Refines the object of a scan pass by pass; `refine` does all of it.

    Parameters
    ----------
    data : Dataset, Experiment or Simulator
        The patterns with probe and positions.
    part : {"all", "train", "test"} or (n,) array of integers
        Which patterns.
    start : "flat" or (H, W) complex
        Object to start from: one amplitude everywhere, that explains the mean photons; or an array,
        such as a network's stitched prediction, flat where it is NaN.
    passes : int
        How often each pattern is used; in the first quarter in batches, then all together.
    probe : {"fixed", "joint"}
        Whether the probe is known, or found together with the object.
    batch_size : int
        Patterns in a step of the first passes, and in memory at a time.
    learning_rate : float
        Of Adam, at the start, in units of the flat start; it goes to zero on a cosine over the
        passes in batches.
    seed : int
        Of the order of the patterns.
    loss : {"amplitude", "poisson"}
        The square of the difference of amplitudes, which is found faster, or the deviance of the
        photons. Both are right for few photons.
    mask : (N, N) bool, optional
        True where pixels are used; besides the mask of the data.
    positions : {"true", "nominal"}
        Which positions to believe.
    start_probe : (M, N, N) complex, optional
        In place of the data's probe.
    memory : int
        Bytes that patterns may take; more of them are read anew in each pass.

    Attributes
    ----------
    numbers : (n,) int64
        The patterns that are used.
    coverage : (H, W) int32
        How many of them light each pixel.
    request : dict
        The arguments that are no arrays, plain JSON types.
    stopped : str
        As in `Refinement`.

    Raises
    ------
    TypeError, ValueError
        An argument is wrong; the object is thick, or the detector in the near field; there is no
        light in probe or patterns; all pixels are masked; no two patterns overlap.
    """

    def __init__(
        self,
        data: OfOneExperiment,
        *,
        part: str | npt.ArrayLike = "all",
        start: Any = "flat",
        passes: int = 40,
        probe: str = "fixed",
        batch_size: int = 64,
        learning_rate: float = 0.1,
        seed: int = 0,
        loss: str = "amplitude",
        mask: npt.ArrayLike | None = None,
        positions: str = "true",
        start_probe: npt.ArrayLike | None = None,
        memory: int = MEMORY,
    ) -> None:
        begin = time.perf_counter()
        data = _as_dataset(data)
        self.n_passes = checks.count(passes, "passes")
        self.batch_size = checks.count(batch_size, "batch_size")
        self.learning_rate = checks.positive(learning_rate, "learning_rate")
        self.seed = checks.seed(seed)
        self._joint = checks.choice(probe, "probe", PROBES) == "joint"
        checks.choice(loss, "loss", LOSSES)
        checks.choice(positions, "positions", POSITIONS)
        self.numbers = _chosen(data, part)
        self.request = {
            "part": part if isinstance(part, str) else self.numbers.tolist(),
            "probe": probe, "passes": passes, "batch_size": batch_size,
            "learning_rate": learning_rate, "seed": seed, "loss": loss, "positions": positions,
        }  # fmt: skip
        planes = _planes(data, start_probe)
        self._good = _good(data, mask)
        self._patterns = _Patterns(data, self.numbers, self._good, memory)

        places = _places(data, positions)[self.numbers]
        M, N, shape = len(planes), data.N, data.projection.shape
        more = [] if data.eigenprobes is None else [data.eigenprobes]
        self._planes = np.concatenate([planes, *more])
        one = np.ones((data.n_patterns, len(self._planes)), np.float32)
        self._canvas = ScanCanvas(
            shape,
            places,
            N=N,
            K=N if self._joint else support(self._planes),
            modes=M,
            weights=(one if data.weights is None else data.weights)[self.numbers],
            factors=_factors(data)[self.numbers],
            boundary=data.scenario.scan.outside if data.scenario else "zero",
        )
        self.coverage = quality.coverage(places.reshape(-1, 2), planes, shape)
        _require_overlap(self.coverage, len(self.numbers))

        photons = data.intensity_scale**2 if data.intensity_scale and counted(data) else None
        sample = np.unique(np.linspace(0, len(self.numbers) - 1, _SAMPLE).astype(np.int64))
        light = _Light(self._patterns, self._canvas, self._planes, sample)
        self._unit = light.flat
        self._loss = _loss(loss, light.energy, N, photons)
        flat = self._canvas.laid(np.full(shape, light.flat, np.complex64))
        begun = _begun(start, light.flat, shape)
        self._object = tf.Variable(self._canvas.laid(begun) if begun is not None else flat)
        self._probe = tf.Variable(self._canvas.cut(self._planes).astype(np.complex64))
        self._variables = [self._object, self._probe] if self._joint else [self._object]
        self._sums = [tf.Variable(tf.zeros_like(one)) for one in self._variables]
        self._energy = light.energy
        self._lit = self._light_of_all()
        self._compile()
        self._n_apart = math.ceil(_APART * self.n_passes)
        self._descent: QuasiNewton | None = None
        self._history: list[dict[str, float]] = []
        self._best = self._now()
        self._best_loss = math.inf
        self._preparing = time.perf_counter() - begin
        self.stopped = "passes"

    # --- passes ---

    @property
    def history(self) -> list[dict[str, float]]:
        """Values of every pass so far."""
        return self._history

    @property
    def steps(self) -> int:
        """Number of steps of all passes together."""
        return self.n_passes * -(-len(self.numbers) // self.batch_size)

    def passes(self, watcher: Watcher | None = None) -> Iterator[dict[str, float]]:
        """Make the passes that are left; yields the values of each."""
        watcher = watcher or Watcher()
        steps = self.steps // self.n_passes
        first_misfit: float | None = None
        while len(self._history) < self.n_passes and self.stopped == "passes":
            begin, done = time.perf_counter(), len(self._history)
            together = done >= self._n_apart
            loss = misfit = rate = 0.0
            for n, (batch, target) in enumerate(self._batches(None if together else done)):
                share = len(target) / len(self.numbers)
                if together:
                    values = self._add(target, *batch.arrays, share)
                else:
                    rate = self._rate((done * steps + n) / (self._n_apart * steps))
                    values = self._step(target, *batch.arrays, rate * self._unit)
                one, other = (float(value) for value in values)
                loss, misfit = loss + share * one, misfit + share * other
                first_misfit = other if first_misfit is None else first_misfit
                watcher.step(done + 1, n + 1, steps, one)
            lost = max(_LOST, 2 * (first_misfit or 0))
            # All together, a step that is too long is taken back.
            if not (math.isfinite(loss) and (together or misfit < lost)):
                self.stopped = "diverged"
                warnings.warn(
                    f"refinement: diverged in pass {done + 1}, the object is that of the best "
                    "pass before; take a smaller learning rate",
                    DataWarning,
                    stacklevel=2,
                )
                return
            if self._joint:
                self._keep_power()
            if loss < self._best_loss:
                self._best, self._best_loss = self._now(), loss
            values = {
                "loss": loss,
                "misfit": misfit,
                "rate": rate,
                "seconds": time.perf_counter() - begin,
            }
            self._history.append(values)
            if together:
                self._go_on(loss)
            watcher.epoch(done + 1, values)
            yield values

    def result(self, stopped: str | None = None) -> Refinement:
        """What was found so far."""
        canvas, probe = self._best
        return Refinement(
            object=self._canvas.lifted(canvas),
            covered=self.coverage > 0,
            coverage=self.coverage,
            probe=self._canvas.uncut(probe[: self._canvas.modes]),
            history=list(self._history),
            seconds=self._preparing + sum(values["seconds"] for values in self._history),
            stopped=stopped or self.stopped,
        )

    def _now(self) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.complex64]]:
        return self._object.numpy(), self._probe.numpy()

    def _rate(self, share: float) -> float:
        return self.learning_rate * (1 + math.cos(math.pi * share)) / 2

    def _go_on(self, loss: float) -> None:
        """From the gradient of all patterns to the next object, and probe."""
        if self._descent is None:
            self._descent = QuasiNewton(_packed(self._variables), self._follows())
        self._descent.tell(loss, _packed(self._sums))
        if self._descent.settled:
            self.stopped = "settled"
        ends = np.cumsum([math.prod(one.shape) for one in self._variables])[:-1]
        parts = np.split(self._descent.point, ends)
        for variable, total, part in zip(self._variables, self._sums, parts, strict=True):
            variable.assign(part.reshape(variable.shape))
            total.assign(tf.zeros_like(total))

    def _batches(self, number: int | None) -> Iterator[Any]:
        """The batches of a pass, in an order of its own; or of none."""
        order = np.arange(len(self.numbers))
        if number is not None:
            order = np.random.default_rng([self.seed, number]).permutation(order)
        size = self.batch_size
        parts = (order[first : first + size] for first in range(0, len(order), size))
        return made_ahead(
            ((self._canvas.batch(part), self._patterns.take(part)) for part in parts), _AHEAD
        )

    def _keep_power(self) -> None:
        """Give the probe the power that it began with; the object takes the factor."""
        now = np.square(np.abs(self._probe.numpy()), dtype=np.float64).sum()
        then = np.square(np.abs(self._planes), dtype=np.float64).sum()
        factor = np.complex64(math.sqrt(then / now))
        self._probe.assign(self._probe * factor)
        inside = self._canvas.inside()
        self._object.assign(tf.where(inside, self._object / factor, self._object))

    # --- a step ---

    def _compile(self) -> None:
        """Make `_step`, one step of Adam, and `_add`, which adds to the gradient of all patterns.

        Both give the loss and the misfit of a batch.
        """
        canvas, good = self._canvas, tf.constant(np.fft.ifftshift(self._good))
        variables, energy = self._variables, self._energy
        movers = [_Adam(self._object, self._pace())]
        if self._joint:
            brightest = float(np.abs(self._planes).max()) / self._unit
            movers.append(_Adam(self._probe, np.float32(0.1 * brightest)))
        loss_of, number = self._loss, tf.TensorSpec((), tf.float32)
        patterns = tf.TensorSpec((None, canvas.N, canvas.N), tf.float32)
        signature = [patterns, *canvas.signature]

        def measured(target: Any, *batch: Any) -> Any:
            size = tf.cast(tf.shape(target)[0], tf.float32) * energy
            with tf.GradientTape() as tape:
                predicted = canvas.intensity(self._object, self._probe, *batch)
                predicted = tf.where(good, predicted, target)  # both tell nothing there
                loss = tf.reduce_sum(loss_of(target, predicted)) / size
            misfit = tf.reduce_sum((root(predicted) - root(target)) ** 2) / size
            gradients = map(tf.convert_to_tensor, tape.gradient(loss, variables))
            return loss, misfit, list(gradients)

        @tf.function(input_signature=[*signature, number])
        def step(*given: Any) -> Any:
            *batch, rate = given
            loss, misfit, gradients = measured(*batch)
            for mover, gradient in zip(movers, gradients, strict=True):
                mover.move(gradient, rate)
            return loss, misfit

        @tf.function(input_signature=[*signature, number])
        def add(*given: Any) -> Any:
            *batch, share = given
            loss, misfit, gradients = measured(*batch)
            for total, gradient in zip(self._sums, gradients, strict=True):
                total.assign_add(gradient * tf.cast(share, gradient.dtype))
            return loss, misfit

        self._step, self._add = step, add

    def _follows(self) -> npt.NDArray[np.float32]:
        """Inverse of the curvature of the loss by each number of object and probe, roughly.

        With amplitudes as loss, twice the light that the other one sends there.
        """
        lit = self._lit + np.float32(_DIM) * self._lit.max()
        light = [np.where(self._lit > 0, lit, np.inf)]
        if self._joint:
            through = self._unit**2 * len(self.numbers)
            light.append(np.full(math.prod(self._probe.shape), through, np.float32))
        energy = self._energy * len(self.numbers)
        return (energy / (2 * np.concatenate(light))).astype(np.float32)

    def _light_of_all(self) -> npt.NDArray[np.float32]:
        """Intensity of the probe on each pixel of the canvas, of all patterns."""
        canvas = self._canvas
        planes = tf.constant(canvas.cut(self._planes))
        dark = tf.zeros(math.prod(canvas.side))

        @tf.function(input_signature=canvas.signature)
        def light(corner: Any, fraction: Any, weights: Any, factor: Any) -> Any:
            power = tf.square(tf.abs(planes * tf.cast(weights[:, :, None, None], planes.dtype)))
            power = tf.reduce_sum(power, axis=1) * factor[:, None, None]
            with tf.GradientTape() as tape:
                tape.watch(dark)
                seen = tf.reduce_mean(canvas.patches(dark, corner, fraction), axis=1)
                total = tf.reduce_sum(seen * power)
            return tf.convert_to_tensor(tape.gradient(total, dark))

        total = np.zeros(dark.shape, np.float64)
        for first in range(0, len(self.numbers), self.batch_size):
            last = min(first + self.batch_size, len(self.numbers))
            total += light(*canvas.batch(np.arange(first, last)).arrays).numpy()
        return (total * canvas.inside()).astype(np.float32)

    def _pace(self) -> npt.NDArray[np.float32]:
        """How fast each pixel of the canvas follows: 0 where there is no light, up to 1."""
        total = self._lit
        pace = total / (total + _DIM * total.max())
        return (pace * (1 + _DIM)).astype(np.float32)


def _packed(parts: list[Any]) -> npt.NDArray[np.complex64]:
    return np.concatenate([part.numpy().ravel() for part in parts])


class _Adam:
    """Adam for a complex variable of which a step sees a part.

    One second moment for real and imaginary part together, so that a constant phase of the variable
    changes nothing; and an element counts, keeps and moves only in steps that light it, so that the
    number of steps in a pass makes no difference. After Kingma and Ba, arXiv:1412.6980.

    Parameters
    ----------
    variable : tf.Variable
        Complex.
    pace : float32 array or number
        Factor of the rate, for each element.
    """

    FIRST, SECOND, TINY = 0.7, 0.9, 1e-15

    def __init__(self, variable: Any, pace: Any) -> None:
        self.variable = variable
        self._pace = tf.constant(pace)
        self._mean = tf.Variable(tf.zeros_like(variable))
        self._square = tf.Variable(tf.zeros(variable.shape))
        self._steps = tf.Variable(tf.zeros(variable.shape))

    def move(self, gradient: Any, rate: Any) -> None:
        """One step."""
        square = tf.math.real(gradient) ** 2 + tf.math.imag(gradient) ** 2
        lit = tf.cast(square > 0, square.dtype)
        n = tf.maximum(self._steps.assign_add(lit), 1)
        kept = tf.cast(1 - (1 - self.FIRST) * lit, gradient.dtype)
        mean = self._mean.assign(kept * self._mean + (1 - self.FIRST) * gradient)
        kept = 1 - (1 - self.SECOND) * lit
        square = self._square.assign(kept * self._square + (1 - self.SECOND) * square)
        size = tf.sqrt(square / (1 - self.SECOND**n)) + self.TINY
        length = lit * rate * self._pace / ((1 - self.FIRST**n) * size)
        self.variable.assign_sub(mean * tf.cast(length, mean.dtype))


def _loss(
    name: str, energy: float, N: int, photons: float | None
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The loss of a pixel, in units of intensity, of which one is so many `photons`."""
    dark = EPSILON * energy / (N / 2) ** 2  # the same as that of the network's input
    if name == "poisson":
        # A background in both keeps the gradient of a dark pixel bounded, and the truth where the
        # gradient vanishes in the mean.
        unit = EPSILON / max(dark, _FLOOR / photons if photons else 0.0)
        return lambda t, intensity: deviance(t * unit, intensity * unit) / unit
    if photons is None:
        return lambda t, intensity: (tf.sqrt(intensity + dark) - tf.sqrt(t + dark)) ** 2
    scale = math.sqrt(photons)
    return lambda t, intensity: (mean_root(photons * intensity) / scale - root(t)) ** 2


def mean_root(expected: tf.Tensor) -> tf.Tensor:
    """Mean of the square root of a Poisson number of this mean, to 0.12 percent.

    Of few photons it is less than the root of the mean: ``expected`` itself where that is small,
    ``sqrt(expected - 1/4)`` where it is large. Its gradient is finite everywhere.

    Examples
    --------
    >>> [round(float(mean_root(tf.constant(n))), 3) for n in (0.0, 0.01, 1.0, 100.0)]
    [0.0, 0.01, 0.773, 9.988]
    """
    return expected / tf.sqrt(expected + 0.25 + 0.75 * tf.exp(-0.57 * expected))


# --- patterns ---


class _Patterns:
    """Intensities of the chosen patterns, zero frequency at (0, 0); in memory where they fit."""

    def __init__(
        self,
        data: Dataset,
        numbers: npt.NDArray[np.int64],
        good: npt.NDArray[np.bool_],
        memory: int,
    ) -> None:
        self._data, self._numbers, self._good = data, numbers, good
        self._kept: npt.NDArray[np.float32] | None = None
        if 4 * len(numbers) * data.N**2 <= memory:
            self._kept = self._read(numbers)

    def take(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Patterns (n, N, N) by their places among the chosen ones."""
        return self._read(self._numbers[places]) if self._kept is None else self._kept[places]

    def _read(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        # Bad pixels may hold anything.
        with np.errstate(invalid="ignore", over="ignore"):
            intensity = np.square(self._data.amplitude(numbers))
        return np.fft.ifftshift(np.where(self._good, intensity, np.float32(0)), axes=(1, 2))


class _Light:
    """Mean light of some patterns, and the amplitude of a flat object that explains it."""

    def __init__(
        self,
        patterns: _Patterns,
        canvas: ScanCanvas,
        planes: npt.NDArray[np.complex64],
        sample: npt.NDArray[np.int64],
    ) -> None:
        cut = canvas.cut(planes)
        everywhere = canvas.laid(np.ones(canvas.shape, np.complex64))
        good = np.fft.ifftshift(patterns._good)
        measured = expected = 0.0
        for part in np.array_split(sample, -(-len(sample) // 32)):
            seen = canvas.intensity(everywhere, tf.constant(cut), *canvas.batch(part).arrays)
            expected += float((seen.numpy() * good).sum(dtype=np.float64))
            measured += float(patterns.take(part).sum(dtype=np.float64))
        if not expected > 0:
            expected_words = "a probe that lights the object at the positions, on good pixels"
            raise ValueError(checks.wrong("probe", "no light", expected_words))
        if not (measured > 0 and math.isfinite(measured)):
            what = "no light" if measured == 0 else "pixels that are not finite"
            raise ValueError(checks.wrong("data", what, "photons on good pixels"))
        self.energy = measured / len(sample)
        self.flat = math.sqrt(measured / expected)


# --- what is given ---


def _as_dataset(data: OfOneExperiment) -> Dataset:
    data = lazy(data)
    if data.object.ndim == 3:
        given = f"an object of {len(data.object)} slices"
        raise ValueError(checks.wrong("data", given, "one of a single slice"))
    if data.geometry is not None and data.geometry.propagation == "near_field":
        raise ValueError(checks.wrong("data", "a near field", "patterns of the far field"))
    return data


def _chosen(data: Dataset, part: Any) -> npt.NDArray[np.int64]:
    if isinstance(part, str):
        checks.choice(part, "part", PARTS)
        if part == "all":
            return np.arange(data.n_patterns)
        numbers = data.split()[PARTS.index(part) - 1]
    else:
        numbers = np.unique(checks.indices(part, None, data.n_patterns))
    if not len(numbers):
        raise ValueError(checks.wrong("part", "no pattern", "at least two that overlap"))
    return numbers


def _planes(data: Dataset, start_probe: Any) -> npt.NDArray[np.complex64]:
    """The probe modes to begin with."""
    name = "probe" if start_probe is None else "start_probe"
    planes = checks.floating(data.probe if start_probe is None else start_probe, name, np.complex64)
    planes = planes[np.newaxis] if planes.ndim == 2 else planes
    N = data.N
    if planes.ndim != 3 or planes.shape[1:] != (N, N) or not len(planes):
        expected = f"(M, {N}, {N}), the side of the patterns"
        raise ValueError(checks.wrong(name, f"shape {planes.shape}", expected))
    if data.weights is not None:
        modes = data.weights.shape[1] - (0 if data.eigenprobes is None else len(data.eigenprobes))
        if len(planes) != modes:
            expected = f"{modes}, as many as the weights of the data are for"
            raise ValueError(checks.wrong(name, f"{len(planes)} modes", expected))
    if not planes.any():
        raise ValueError(checks.wrong(name, "zero everywhere", "a probe with light"))
    return planes


def _good(data: Dataset, mask: Any) -> npt.NDArray[np.bool_]:
    N = data.N
    good = np.ones((N, N), bool) if data.mask is None else data.mask.copy()
    if mask is not None:
        given = np.asarray(mask)
        if given.dtype != np.bool_ or given.shape != (N, N):
            expected = f"booleans of shape ({N}, {N}), True where pixels are used"
            raise ValueError(checks.wrong("mask", checks.described(given), expected))
        good &= given
    if not good.any():
        raise ValueError(checks.wrong("mask", "one without a pixel", "at least one good pixel"))
    return good


def _places(data: Dataset, positions: str) -> npt.NDArray[np.float64]:
    """(B, S, 2) positions of all sub-exposures."""
    if data.path is None:
        return (data.positions if positions == "true" else data.positions_nominal)[:, np.newaxis]
    moved = data.positions_nominal - data.positions if positions == "nominal" else 0.0
    return data.path + np.broadcast_to(moved, data.positions.shape)[:, np.newaxis]


def _factors(data: Dataset) -> npt.NDArray[np.float64]:
    """Dose of each pattern in units of the common one, as its amplitudes contain it."""
    if data.dose_factors is None or not counted(data):
        return np.ones(data.n_patterns)
    return data.dose_factors


def counted(data: Dataset) -> bool:
    """Whether patterns are of single photons."""
    noise: bool = data.provenance.get("noise", True)
    return noise and data.domain != "normalized_intensity"


def _begun(start: Any, flat: float, shape: tuple[int, ...]) -> npt.NDArray[np.complex64] | None:
    """The object to start from; None for a flat one."""
    if isinstance(start, str):
        checks.choice(start, "start", ("flat",))
        return None
    given = checks.array(start, "start")
    if given.shape != shape or given.dtype.kind not in "fc":
        expected = f"'flat', or a complex array of shape {shape}"
        raise ValueError(checks.wrong("start", checks.described(given), expected))
    unknown = np.isnan(given)
    begun = np.where(unknown, flat, given)
    return checks.floating(begun, "start", np.complex64)


def _require_overlap(coverage: npt.NDArray[np.int32], n: int) -> None:
    lit, twice = int((coverage > 0).sum()), int((coverage > 1).sum())
    if not lit:
        expected = "positions on the object"
        raise ValueError(checks.wrong("data", "patterns that light no pixel of it", expected))
    if not twice:
        given = f"{n} pattern{'s' if n > 1 else ''} that overlap nowhere"
        raise ValueError(checks.wrong("part", given, "overlapping ones, which decide together"))
    if twice < _OVERLAP * lit:
        warnings.warn(
            f"refinement: two patterns or more light only {twice / lit:.0%} of the lit pixels; "
            "elsewhere a pattern alone often does not tell an object from its twin",
            DataWarning,
            stacklevel=4,
        )
