"""``python -m bench.feeds``: what a feed costs beside the patterns in it, as ratios within one run.

The same patterns (gs2_ideal with more positions and a dose of 1e5) by ``Simulator.frames``, read
from a recipe, and as batches of the adapters for PyTorch and TensorFlow; all are compared with the
simulator's bits before they are timed. Times are those of the CPU, of this process and of the
workers that it started, so that what else the machine does disturbs them least: as long as all
work, a ratio of them is one of patterns per second with as many cores. Rounds go through all in
turn; a ratio is the median over rounds, so that a clock that changes meets both sides of it.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.table import Table

import ptycho_fast
from bench import report
from bench.measure import Row, ratio
from bench.targets import verdict
from ptycho_fast.data.order import Order
from ptycho_fast.data.pattern_feed import PatternFeed
from ptycho_fast.simulation import dataset_of

RECIPE, ADAPTER = 0.9, 0.8  # of the speed of frames()
WORKERS = (0, 2, 4)
BASE = "frames()"

Way = tuple[Callable[[], Any], Callable[[], float]]  # an epoch of batches, and the CPU's clock


def torch_ways(simulator: Any, size: int) -> dict[str, Way]:
    """PyTorch's loader over whole batches, and over patterns by number."""
    from torch.utils.data import DataLoader

    from ptycho_fast.torch_data import PatternDataset, PatternStream, collate

    ways: dict[str, Way] = {}
    stream = PatternStream(simulator, size, shuffle=True, output="counts")
    numbered = PatternDataset(simulator, output="counts")
    for workers in WORKERS:
        how = {"num_workers": workers, "persistent_workers": workers > 0}
        loaders = {
            "PatternStream": DataLoader(stream, batch_size=None, **how),
            "PatternDataset": DataLoader(numbered, size, shuffle=True, collate_fn=collate, **how),
        }
        for name, loader in loaders.items():
            ways[f"torch {name}, {workers} workers"] = loader.__iter__, _clock_of(loader)
    return ways


def tensorflow_ways(simulator: Any, size: int) -> dict[str, Way]:
    """The tf.data stream."""
    from ptycho_fast.tf import patterns

    order = Order(batch_size=size, shuffle=True)
    ways: dict[str, Way] = {}
    for workers in WORKERS:
        stream = patterns(simulator, order, workers=workers, output="counts")
        ways[f"tensorflow patterns, {workers} workers"] = stream.__iter__, time.process_time
    return ways


def make_ways(simulator: Any, folder: Path, size: int) -> tuple[dict[str, Way], dict[str, str]]:
    """All ways to the patterns, and which are missing and why."""
    recipe = folder / "set.toml"
    dataset_of(simulator, lazy=True).save(recipe)
    opened = ptycho_fast.open(recipe)
    feed = PatternFeed(simulator, output="counts")
    starts = range(0, simulator.n_patterns, size)

    def by_frames() -> Any:
        return ({"patterns": simulator.frames(a, a + size)} for a in starts)

    def by_recipe() -> Any:
        return ({"patterns": opened.counts[a : a + size]} for a in starts)

    ways: dict[str, Way] = {
        BASE: (by_frames, time.process_time),
        "recipe": (by_recipe, time.process_time),
        "PatternFeed": (lambda: feed.batches(Order(batch_size=size)), time.process_time),
        "PatternFeed, shuffled": (
            lambda: feed.batches(Order(batch_size=size, shuffle=True)),
            time.process_time,
        ),
    }
    missing: dict[str, str] = {}
    for name, make in (("torch", torch_ways), ("tensorflow", tensorflow_ways)):
        try:
            ways |= make(simulator, size)
        except ImportError as error:
            missing[name] = str(error)
    return ways, missing


def _clock_of(loader: Any) -> Callable[[], float]:
    """Seconds of the CPU that this process and a loader's workers have used."""

    def clock() -> float:
        seconds = time.process_time()
        for worker in getattr(loader._iterator, "_workers", ()):
            with suppress(OSError):  # the clock of another process, as clock_getcpuclockid makes it
                seconds += time.clock_gettime((~worker.pid << 3) | 2)
        return seconds

    return clock


def check(ways: dict[str, Way], simulator: Any) -> None:
    """Assert that all patterns come once, with the bits of the simulator."""
    truth = simulator.frames(0, simulator.n_patterns)
    for name, (start, _) in ways.items():
        place = 0
        seen = np.zeros(len(truth), int)
        for batch in start():
            patterns = np.asarray(batch["patterns"])
            index = np.asarray(batch.get("index", np.arange(place, place + len(patterns))))
            assert (patterns == truth[index]).all(), f"{name}: other bits"
            seen[index] += 1
            place += len(patterns)
        assert (seen == 1).all(), f"{name}: not every pattern once"


def measure(ways: dict[str, Way], rounds: int, n: int) -> list[Row]:
    """Seconds of the CPU for each pattern, round by round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (start, clock) in ways.items():
            begin = clock()
            for _batch in start():
                pass
            seconds[name].append((clock() - begin) / n)
    return [{"way": name, "seconds": each} for name, each in seconds.items()]


def judge(rows: list[Row]) -> list[Row]:
    """The targets beside what was measured."""
    base = next(row for row in rows if row["way"] == BASE)
    verdicts = []
    for row in rows:
        row["of_frames"] = ratio(base, row)
        if row["way"] != BASE:
            least = ADAPTER if " workers" in row["way"] else RECIPE
            verdicts.append(
                verdict("speed of frames()", row["way"], (least, None), row["of_frames"])
            )
    return verdicts


def parse() -> argparse.Namespace:
    """Options of the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.feeds", description=__doc__)
    parser.add_argument("--patterns", type=int, default=16_384)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="few patterns, two rounds")
    report.output_options(parser)
    return parser.parse_args()


def main() -> None:
    """Run, print and keep."""
    options = parse()
    warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
    n, rounds = (1024, 2) if options.quick else (options.patterns, options.rounds)
    console, watch = report.begin(110)
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(
        {"scan.n_patterns": n, "dose.nphotons": 1e5}
    )
    simulator = ptycho_fast.Simulator(scenario)
    with tempfile.TemporaryDirectory() as folder:
        ways, missing = make_ways(simulator, Path(folder), options.batch_size)
        check(ways, simulator)
        rows = measure(ways, rounds, n)
    verdicts = judge(rows)
    table = Table(f"batches of {options.batch_size}", "us of the CPU a pattern", "of frames()")
    for row in rows:
        table.add_row(row["way"], f"{1e6 * median(row['seconds']):.1f}", f"{row['of_frames']:.2f}")
    console.print(table)
    for name, why in missing.items():
        console.print(f"{name} is missing: {why}")
    report.targets(console, verdicts)
    figures = {
        "patterns": n,
        "batch_size": options.batch_size,
        "rounds": rounds,
        "feeds": rows,
        "missing": missing,
        "targets": verdicts,
    }
    report.end("feeds", watch, options, figures)


if __name__ == "__main__":
    main()
