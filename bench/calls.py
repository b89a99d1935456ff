"""What calls cost: ``python -m bench.calls``.

A single pattern through `Simulator` is set against its share of a batch, and two threads of a call
against one, for batches of 64 to 4096 patterns. Beside it: what two callers reach together that
share nothing, with one thread each. That is all that the two processors give. Rounds go through all
in turn; of each round the median call counts, because one in a few hundred meets another program.
A ratio is the median over the rounds, because the speed of a machine changes between them.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from bench import report
from bench.measure import Row
from ptycho_fast import Simulator

BATCHES = (64, 256, 1024, 4096)
SHARED = 1024  # patterns of the call that a single one is compared with
PHOTONS = 1e5


def median_call(work: Callable[[], object], calls: int) -> float:
    """Seconds, when caches and threads are as the call before has left them."""
    work()
    times = [time.perf_counter()]
    for _ in range(calls):
        work()
        times.append(time.perf_counter())
    return statistics.median(np.diff(times).tolist())


def single(noise: bool, rounds: int) -> Row:
    """A pattern alone, and its share of a batch."""
    sim = Simulator("gs2_ideal", nphotons=PHOTONS, noise=noise)
    one, out = sim.with_threads(1), np.empty((SHARED, sim.N, sim.N), sim.dtype)
    chosen, found = [len(sim) // 2], []
    for _ in range(rounds):
        alone = median_call(lambda: sim.frames(chosen), 200)
        share = median_call(lambda: one.frames(0, SHARED, out=out), 3) / SHARED
        found.append((alone * 1e6, share * 1e6, alone / share))
    names = "us_alone", "us_of_batch", "of_share"
    return {"photons": PHOTONS if noise else None} | _medians(names, found)


def two_threads(two: Simulator, batch: int, rounds: int) -> Row:
    """Two threads over one, and two callers over one."""
    one, numbers = two.with_threads(1), np.resize(np.arange(len(two)), batch)
    outs = np.empty((2, batch, two.N, two.N), two.dtype)
    calls, found = 6, []

    def made(sim: Simulator, out: npt.NDArray[Any]) -> float:
        return median_call(lambda: sim.frames(numbers, out=out), calls)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(rounds * max(1, 1024 // batch)):
            alone, both = made(one, outs[0]), made(two, outs[0])
            apart = statistics.mean(pool.map(lambda out: made(one, out), outs)) / 2
            found.append((alone / batch * 1e6, alone / both, alone / apart, apart / both))
    names = "us_one_thread", "two_threads", "two_callers", "of_those"
    return {"patterns": batch} | _medians(names, found)


def _medians(names: tuple[str, ...], rounds: list[tuple[float, ...]]) -> Row:
    return dict(zip(names, np.median(rounds, axis=0).tolist(), strict=True))


def show(console: Console, title: str, rows: list[Row]) -> None:
    """A table: what the first number of a row belongs to, and its medians."""
    table = report.make_table(title, *(name.replace("_", " ") for name in rows[0]))
    for row in rows:
        of, *medians = row.values()
        table.add_row(f"{of or 0:g}", *(f"{median:.2f}" for median in medians))
    console.print(table)


def main() -> None:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.calls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    report.output_options(parser)
    options = parser.parse_args()
    console, watch = report.begin(110)
    singles = [single(noise, options.rounds) for noise in (False, True)]
    sim = Simulator("gs2_ideal", noise=False, threads=2)
    threads = [two_threads(sim, batch, options.rounds) for batch in BATCHES]
    show(console, "One pattern in a call, and its share of a batch", singles)
    show(console, "Patterns in a call: two threads, and two callers, over one thread", threads)
    figures = {"rounds": options.rounds, "singles": singles, "threads": threads}
    report.end("calls", watch, options, figures)


if __name__ == "__main__":
    main()
