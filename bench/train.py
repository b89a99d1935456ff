"""``python -m bench.train``: what a training step costs, how long it waits, how fast feeds are.

The published configuration of gs2_ideal (batch 4, N = 64, gridsize 2), by the bare compiled step,
by the trainer with each kind of feed, and by Keras' own ``fit``. Rounds go through all in turn;
the least time of a step is shown.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import keras
from rich.console import Console
from rich.table import Table

import ptycho_fast
from bench import machine
from ptycho_fast.tf import LossWeights, Trainer, TrainSpec, prepare
from ptycho_fast.tf.recipes import RECIPES
from ptycho_fast.tf.train import compiled_step

PUBLISHED_STEP = 27.0  # seconds of the published implementation on two cores of this kind
FEEDS: dict[str, dict[str, Any]] = {
    "fixed photons": {},
    "fresh photons": {"noise": "fresh"},
    "fresh, mirrored": {"noise": "fresh", "augment": True},
    "unique photons": {"noise": "unique", "part": "all"},
}


class _Fit:
    """Keras' fit, a new model for each way of compiling."""

    def __init__(self, model: Any, feed: Any, batch_size: int, jit: Any) -> None:
        model.compile(keras.optimizers.Adam(1e-3), jit_compile=jit)
        self._model, self._stream = model, feed.batches(batch_size)

    def epoch(self) -> tuple[float, float]:
        """Seconds of an epoch, and of waiting, which fit does not tell."""
        start = time.perf_counter()
        self._model.fit(self._stream, epochs=1, verbose=0, shuffle=False)
        return time.perf_counter() - start, float("nan")


class _Trainer:
    """The trainer with one feed; its epochs follow each other, or passes of new objects."""

    def __init__(self, model: Any, feed: Any, batch_size: int, renew: str | None = None) -> None:
        spec = TrainSpec(epochs=1000, batch_size=batch_size, validation=0, schedule="constant")
        self._epochs = Trainer(model, spec).epochs(feed, renew=renew)
        self._groups = len(feed)

    def epoch(self) -> tuple[float, float]:
        """Seconds of an epoch, and of waiting, for as many groups as the first one has."""
        values = next(self._epochs)
        share = self._groups / values["groups"]
        return share * values["seconds"], share * values["waiting_seconds"]


class _Bare:
    """The compiled step on one batch again and again."""

    def __init__(self, model: Any, feed: Any, batch_size: int, steps: int) -> None:
        model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
        self._step = compiled_step(model, LossWeights(), feed.intensity_scale**2)
        self._batch = next(iter(feed.batches(batch_size)))
        self._steps = steps

    def epoch(self) -> tuple[float, float]:
        """Seconds of as many steps as an epoch has."""
        start = time.perf_counter()
        for _ in range(self._steps):
            float(self._step(*self._batch)["loss"])
        return time.perf_counter() - start, 0.0


def feed_rates(data: Any, size: int, rounds: int) -> dict[str, dict[str, float]]:
    """Groups per second of each feed alone: as arrays, and as tensors that a thread makes ahead.

    The largest of some rounds of 512 groups.
    """
    rates: dict[str, dict[str, float]] = {}
    for name, changes in FEEDS.items():
        feed = prepare(data, n_groups=512, **changes)
        ways = {"arrays": feed.epoch, "tensors": lambda n, s, f=feed: f.tensors(s, first_epoch=n)}
        rates[name] = dict.fromkeys(ways, 0.0)
        for epoch in range(1, rounds + 1):
            for way, make in ways.items():
                start = time.perf_counter()
                for _ in make(epoch, size):
                    pass
                rate = 512 / (time.perf_counter() - start)
                rates[name][way] = max(rates[name][way], rate)
    return rates


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.train", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--groups", type=int, default=64, help="groups in an epoch")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    options = parser.parse_args()
    console = Console(highlight=False)
    watch = machine.Watch(console.print)
    data = ptycho_fast.simulate("gs2_ideal")
    recipe, size = RECIPES["corrected"], options.batch_size
    plain = prepare(data, n_groups=options.groups)
    steps = -(-options.groups // size)

    ways: dict[str, Any] = {"bare step": _Bare(recipe.network(plain, plain), plain, size, steps)}
    for name, changes in FEEDS.items():
        feed = prepare(data, n_groups=options.groups, **changes)
        ways[f"trainer, {name}"] = _Trainer(recipe.network(feed, feed), feed, size)
    endless = prepare(data, n_groups=options.groups, **FEEDS["unique photons"], threads=1)
    network = recipe.network(endless, endless)
    ways["trainer, new objects"] = _Trainer(network, endless, size, renew="object")
    for name, jit in (("as compiled here", False), ('Keras\' default, "auto"', "auto")):
        ways[f"fit, {name}"] = _Fit(recipe.network(plain, plain), plain, size, jit)
    for way in ways.values():
        way.epoch()  # compiles
    rounds = [{name: way.epoch() for name, way in ways.items()} for _ in range(options.rounds)]

    table = Table(
        "way", "ms per step", "of the bare step", "waiting", "times faster than published"
    )
    rows = {}
    for name in ways:
        seconds, waited = min(one[name] for one in rounds)
        bare = min(one["bare step"][0] for one in rounds)
        row = {
            "ms_per_step": 1e3 * seconds / steps,
            "of_bare": seconds / bare,
            "waiting_pct": 100 * waited / seconds,
            "speedup": PUBLISHED_STEP * steps / seconds,
        }
        rows[name] = row
        waiting = "-" if waited != waited else f"{row['waiting_pct']:.2f} %"
        table.add_row(
            name, f"{row['ms_per_step']:.0f}", f"{row['of_bare']:.2f}", waiting,
            f"{row['speedup']:.0f}",
        )  # fmt: skip
    console.print(table)
    rates = feed_rates(data, size, 5 * options.rounds)
    table = Table("feed alone", "groups/s, arrays", "groups/s, tensors")
    for name, of in rates.items():
        table.add_row(name, f"{of['arrays']:,.0f}", f"{of['tensors']:,.0f}")
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(f"largest memory {peak:.2f} GB")
    facts = watch.end() | {"peak_gb": peak}
    if options.json:
        options.json.write_text(
            json.dumps({**facts, "rows": rows, "groups_per_second": rates}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
