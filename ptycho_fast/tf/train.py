"""The trainer: one step, epochs, learning rates, checkpoints.

It has its own loop instead of ``model.fit``: the loop measures how long each step waits for data,
continues from a checkpoint with the same numbers, and can stop between two steps.
"""

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ptycho_fast import checks
from ptycho_fast.data.feed import Made
from ptycho_fast.files import written_aside

from .losses import LossWeights, loss_terms, published_likelihood, saturated_likelihood
from .model import PtychoNet, load_model
from .streams import Feed, require_same_shape

SCHEDULES = ("plateau", "cosine", "constant")
_STATE = "state.json"


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """How a network is trained.

    Attributes
    ----------
    epochs, batch_size : int
        Passes over the data, and groups in a step.
    minutes : float, optional
        Train for this time, instead of `epochs`; the time of the steps counts, also that of a run
        which this one goes on with. The last pass may then be cut short.
    learning_rate : float
        Of Adam, at the start.
    schedule : {"plateau", "cosine", "constant"}
        "plateau": halved when the validation loss has not improved for `patience` epochs, but not
        below `floor`. "cosine": lowered to `final_rate`, by the share of all steps that is done, or
        of the `minutes`. "constant": not changed.
    patience, floor, final_rate : float
        See `schedule`.
    stop_patience : int
        Epochs without a better validation loss after which a "plateau" run ends.
    validation : float
        Share of the training groups that is kept for the validation loss, 0 to below 1.
    weights : LossWeights
        Terms of the loss.
    """

    epochs: int = 5
    batch_size: int = 4
    minutes: float | None = None
    learning_rate: float = 1e-3
    schedule: str = "plateau"
    patience: int = 2
    floor: float = 1e-4
    final_rate: float = 2e-5
    stop_patience: int = 3
    validation: float = 0.05
    weights: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience", "stop_patience"):
            checks.count(getattr(self, name), name)
        for name in ("learning_rate", "floor", "final_rate"):
            checks.positive(getattr(self, name), name)
        if self.minutes is not None:
            checks.positive(self.minutes, "minutes")
        checks.choice(self.schedule, "schedule", SCHEDULES)
        if checks.number(self.validation, "validation", least=0) >= 1:
            raise ValueError(checks.wrong("validation", self.validation, "0 to below 1"))

    def rate(self, share: float) -> float:
        """Learning rate after a share of the training, for the schedules without a plateau."""
        if self.schedule != "cosine":
            return self.learning_rate
        descent = (1 + math.cos(math.pi * share)) / 2
        return self.final_rate + (self.learning_rate - self.final_rate) * descent


class Watcher:
    """Called after every step and epoch; a subclass can show them."""

    def begin(self, what: str, epochs: int) -> None:
        """Before something else than a training, such as a refinement, and its number of passes."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """After step `step` of `steps`, all counted from 1."""

    def epoch(self, epoch: int, values: dict[str, float]) -> None:
        """After an epoch, counted from 1."""


class Trainer:
    """Trains a network and keeps its last epoch in a folder.

    Parameters
    ----------
    model : PtychoNet
        The network; its probe is set already.
    spec : TrainSpec
        How to train.
    folder : path-like, optional
        Where checkpoints go, after every epoch.

    Attributes
    ----------
    history : list of dict
        Values of every epoch so far.
    """

    def __init__(
        self,
        model: PtychoNet,
        spec: TrainSpec,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.model, self.spec = model, spec
        self.folder = Path(folder) if folder is not None else None
        self.history: list[dict[str, float]] = []
        self.rate = spec.learning_rate
        # XLA makes the convolutions slower on CPUs: see docs/training.md.
        model.compile(keras.optimizers.Adam(spec.learning_rate), jit_compile=False)

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def seconds(self) -> float:
        """Time of the steps of all epochs so far."""
        return sum(values["seconds"] for values in self.history)

    def train(
        self, feed: Feed, watcher: Watcher | None = None, *, renew: str | None = None
    ) -> list[dict[str, float]]:
        """Train for the epochs or minutes that are left; returns `history`.

        Parameters
        ----------
        feed : Feed
            The data; the network gets them at its own scale.
        watcher : Watcher, optional
            Called after every step and epoch.
        renew : str, optional
            Show other data in every epoch; see `ptycho_fast.data.feed.Stream`. A network gets the
            probe of each experiment of a campaign. Take a validation of 0: it would be a share of
            the first epoch's groups.

        Raises
        ------
        ValueError
            The network was made for data of another shape, there are too few groups, or there is
            nothing to renew.
        FloatingPointError
            The loss is not finite.
        """
        for _ in self.epochs(feed, watcher, renew=renew):
            pass
        return self.history

    def epochs(
        self, feed: Feed, watcher: Watcher | None = None, *, renew: str | None = None
    ) -> Iterator[dict[str, float]]:
        """As `train`, epoch by epoch: yields the values of each one after its checkpoint."""
        model, spec, watcher = self.model, self.spec, watcher or Watcher()
        require_same_shape([feed], model.N, model.gridsize, model.canvas)
        feed = feed.at_scale(model.settings["intensity_scale"])
        held_out = math.ceil(spec.validation * len(feed))
        if len(feed) - held_out < 1:
            raise ValueError(checks.wrong("data", f"{len(feed)} groups", f"more than {held_out}"))
        if self._over(self.seconds):
            return
        validation = feed.part(len(feed) - held_out)
        feed = feed.part(0, len(feed) - held_out)
        unit = feed.intensity_scale**2
        learn, judge = compiled_step(model, spec.weights, unit), _values(model, spec.weights, unit)

        left = sys.maxsize if spec.minutes else spec.epochs - self.epoch
        steps = feed.steps_ahead(spec.batch_size, first_epoch=self.epoch, epochs=left, renew=renew)
        with closing(steps):
            while not self._over(self.seconds) and not self._rests():
                result = self._pass(steps, learn, watcher, probes=renew == "experiment")
                if held_out:
                    result |= self._validation(validation, judge)
                self.history.append(result)
                if spec.schedule == "plateau":
                    self._plateau()
                if self.folder is not None:
                    self.save()
                watcher.epoch(self.epoch, self.history[-1])
                yield self.history[-1]

    def _pass(
        self, steps: Iterator[Made], learn: Any, watcher: Watcher, *, probes: bool
    ) -> dict[str, float]:
        """The steps of one epoch, or of what is left of the time; returns its values."""
        spec, before, groups = self.spec, self.seconds, 0
        start, cpu = time.perf_counter(), time.process_time()
        waited, making, sums = 0.0, 0.0, _Means()
        while True:
            asked = time.perf_counter()
            made = next(steps)
            waited += time.perf_counter() - asked
            making += made.cpu_seconds
            if probes and made.number == 0:
                self.model.set_probe(made.feed.source.probe)
            if spec.schedule == "cosine":
                if spec.minutes:
                    share = (before + asked - start) / (60 * spec.minutes)
                else:
                    share = (self.epoch * made.of + made.number) / (spec.epochs * made.of)
                self.rate = spec.rate(min(share, 1.0))
            self.model.optimizer.learning_rate.assign(self.rate)
            inputs, targets = made.batch
            values = {name: float(value) for name, value in learn(inputs, targets).items()}
            if not math.isfinite(values["loss"]):
                raise FloatingPointError(
                    f"loss is {values['loss']} in epoch {self.epoch + 1}, step {made.number + 1}"
                )
            sums.add(values, len(inputs[0]))
            groups += len(inputs[0])
            watcher.step(self.epoch + 1, made.number + 1, made.of, values["loss"])
            seconds = time.perf_counter() - start
            if made.number + 1 == made.of or (spec.minutes and self._over(before + seconds)):
                break
        return sums.means() | {
            "learning_rate": self.rate,
            "groups": groups,
            "seconds": seconds,
            "waiting_seconds": waited,
            "cpu_seconds": time.process_time() - cpu,
            "making_cpu_seconds": making,
        }

    def _validation(self, feed: Feed, judge: Any) -> dict[str, float]:
        means = _Means()
        for inputs, targets in feed.epoch(0, self.spec.batch_size, shuffle=False):
            values = judge(_tensors(inputs), _tensors(targets))
            means.add({name: float(v) for name, v in values.items()}, len(inputs[0]))
        return {f"val_{name}": value for name, value in means.means().items()}

    def _over(self, seconds: float) -> bool:
        """Whether the training ends after this time, or after the epochs so far."""
        if self.spec.minutes:
            return seconds >= 60 * self.spec.minutes
        return self.epoch >= self.spec.epochs

    # --- learning rate ---

    def _best(self) -> int:
        """Epoch of the best validation loss so far, counted from 0."""
        key = "val_loss" if "val_loss" in self.history[0] else "loss"
        return int(np.argmin([values[key] for values in self.history]))

    def _rests(self) -> bool:
        """Whether a plateau run ends: no better loss for `stop_patience` epochs."""
        if self.spec.schedule != "plateau" or not self.history:
            return False
        return self.epoch - 1 - self._best() >= self.spec.stop_patience

    def _plateau(self) -> None:
        """Halve the learning rate after `patience` epochs at one rate without a better loss."""
        at_this_rate = sum(values["learning_rate"] == self.rate for values in self.history)
        if min(self.epoch - 1 - self._best(), at_this_rate) >= self.spec.patience:
            self.rate = max(self.rate / 2, self.spec.floor)

    # --- checkpoints ---

    def save(self) -> None:
        """Write model, optimiser and history; until that is done the checkpoint before is valid."""
        assert self.folder is not None
        name = f"model-{self.epoch:04d}.keras"
        self.model.save(self.folder / name)
        state = {"model": name, "rate": self.rate, "spec": asdict(self.spec)}
        with written_aside(self.folder / _STATE, force=True) as file:
            file.write(json.dumps(state | {"history": self.history}).encode())
        for old in self.folder.glob("model-*.keras"):
            if old.name != name:
                old.unlink()

    @classmethod
    def resume(
        cls,
        folder: str | os.PathLike[str],
        epochs: int | None = None,
        minutes: float | None = None,
    ) -> "Trainer":
        """The trainer that `save` wrote to a folder, optionally for other epochs, or for minutes.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no checkpoint, or it cannot be read.
        """
        path = Path(folder) / _STATE
        if not path.is_file():
            raise FileNotFoundError(f"{folder}: no checkpoint ({_STATE}) to go on from")
        try:
            state = json.loads(path.read_text())
            settings = state["spec"] | {"weights": LossWeights(**state["spec"]["weights"])}
            if epochs or minutes:
                settings |= {"epochs": epochs or settings["epochs"], "minutes": minutes}
            spec = TrainSpec(**settings)
            name, rate, history = state["model"], state["rate"], state["history"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: not a checkpoint of this program ({error!r})") from None
        model = load_model(Path(folder) / name, compiled=True)
        optimizer = model.optimizer  # with its moments
        trainer = cls(model, spec, folder)
        model.optimizer = optimizer
        trainer.rate, trainer.history = rate, history
        return trainer


class _Means:
    """Means of values over batches, weighted by their sizes."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._weight = 0

    def add(self, values: dict[str, float], weight: int) -> None:
        self._weight += weight
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + weight * value

    def means(self) -> dict[str, float]:
        return {name: total / self._weight for name, total in self._sums.items()}


def _tensors(arrays: Any) -> Any:
    return tf.nest.map_structure(tf.constant, arrays)


def _values(model: PtychoNet, weights: LossWeights, unit: float) -> Any:
    """Loss, its terms and the published numbers of a batch."""

    @tf.function(reduce_retracing=True)
    def values(inputs: Any, targets: Any) -> dict[str, tf.Tensor]:
        return _evaluate(model(inputs), targets, weights, unit)

    return values


def compiled_step(model: PtychoNet, weights: LossWeights, unit: float) -> Any:
    """One step of the optimiser; returns the values before it."""
    variables = model.trainable_variables
    model.optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def step(inputs: Any, targets: Any) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            values = _evaluate(outputs, targets, weights, unit)
        gradients = tape.gradient(values["loss"], variables)
        model.optimizer.apply(gradients, variables)
        return values

    return step


def _evaluate(outputs: Any, targets: Any, weights: LossWeights, unit: float) -> dict[str, Any]:
    terms = loss_terms(targets, outputs, unit, weights)
    measured, predicted = targets["intensity"], outputs["intensity"]
    return {
        "loss": tf.add_n(list(terms.values())),
        **{f"loss_{name}": term for name, term in terms.items()},
        "likelihood": published_likelihood(measured, predicted, unit),
        "saturated_likelihood": saturated_likelihood(measured),
        "amplitude_mae": tf.reduce_mean(tf.abs(outputs["amplitude"] - targets["amplitude"])),
    }
