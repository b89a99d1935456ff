"""The trainer: one step, epochs, learning rates, checkpoints.

It has its own loop instead of ``model.fit``: the loop measures how long each step waits for data,
continues from a checkpoint with the same numbers, and can stop between two steps.
"""

import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ptycho_fast import checks
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
    learning_rate : float
        Of Adam, at the start.
    schedule : {"plateau", "cosine", "constant"}
        "plateau": halved when the validation loss has not improved for `patience` epochs, but not
        below `floor`. "cosine": lowered step by step to `final_rate`. "constant": not changed.
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
        checks.choice(self.schedule, "schedule", SCHEDULES)
        if checks.number(self.validation, "validation", least=0) >= 1:
            raise ValueError(checks.wrong("validation", self.validation, "0 to below 1"))

    def rate(self, share: float) -> float:
        """Learning rate after a share of all steps, for the schedules without a plateau."""
        if self.schedule != "cosine":
            return self.learning_rate
        descent = (1 + math.cos(math.pi * share)) / 2
        return self.final_rate + (self.learning_rate - self.final_rate) * descent


class Watcher:
    """Called after every step and epoch; a subclass can show them."""

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

    def train(self, feed: Feed, watcher: Watcher | None = None) -> list[dict[str, float]]:
        """Train for the epochs that are left; returns `history`.

        Raises
        ------
        ValueError
            The network was made for data of another shape, or there are too few groups.
        FloatingPointError
            The loss is not finite.
        """
        for _ in self.epochs(feed, watcher):
            pass
        return self.history

    def epochs(self, feed: Feed, watcher: Watcher | None = None) -> Iterator[dict[str, float]]:
        """As `train`, epoch by epoch: yields the values of each one after its checkpoint."""
        model, spec, watcher = self.model, self.spec, watcher or Watcher()
        require_same_shape([feed], model.N, model.gridsize, model.canvas)
        feed = feed.at_scale(model.settings["intensity_scale"])
        held_out = math.ceil(spec.validation * len(feed))
        if len(feed) - held_out < 1:
            raise ValueError(checks.wrong("data", f"{len(feed)} groups", f"more than {held_out}"))
        if self.epoch >= spec.epochs:
            return
        validation = feed.part(len(feed) - held_out)
        feed = feed.part(0, len(feed) - held_out)
        unit = feed.intensity_scale**2
        learn, judge = compiled_step(model, spec.weights, unit), _values(model, spec.weights, unit)

        steps, left = math.ceil(len(feed) / spec.batch_size), spec.epochs - self.epoch
        batches = feed.tensors(spec.batch_size, first_epoch=self.epoch, epochs=left)
        while self.epoch < spec.epochs and not self._rests():
            start, waited, sums = time.perf_counter(), 0.0, _Means()
            for n in range(steps):
                asked = time.perf_counter()
                inputs, targets = next(batches)
                waited += time.perf_counter() - asked
                if spec.schedule == "cosine":
                    self.rate = spec.rate((self.epoch * steps + n) / (spec.epochs * steps))
                model.optimizer.learning_rate.assign(self.rate)
                values = {name: float(value) for name, value in learn(inputs, targets).items()}
                if not math.isfinite(values["loss"]):
                    raise FloatingPointError(
                        f"loss is {values['loss']} in epoch {self.epoch + 1}, step {n + 1}"
                    )
                sums.add(values, len(inputs[0]))
                watcher.step(self.epoch + 1, n + 1, steps, values["loss"])
            seconds = time.perf_counter() - start
            result = sums.means() | {"learning_rate": self.rate}
            if held_out:
                means = _Means()
                for inputs, targets in validation.epoch(0, spec.batch_size, shuffle=False):
                    values = judge(_tensors(inputs), _tensors(targets))
                    means.add({name: float(v) for name, v in values.items()}, len(inputs[0]))
                result |= {f"val_{name}": value for name, value in means.means().items()}
            self.history.append(result | {"seconds": seconds, "waiting_seconds": waited})
            if spec.schedule == "plateau":
                self._plateau()
            if self.folder is not None:
                self.save()
            watcher.epoch(self.epoch, self.history[-1])
            yield self.history[-1]

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
    def resume(cls, folder: str | os.PathLike[str], epochs: int | None = None) -> "Trainer":
        """The trainer that `save` wrote to a folder, optionally for another number of epochs.

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
            spec = TrainSpec(**settings | ({"epochs": epochs} if epochs else {}))
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
