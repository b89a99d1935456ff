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


def single(noise: bool, rounds: int) -> str:
    """A pattern alone, and its share of a batch."""
    sim = Simulator("gs2_ideal", nphotons=PHOTONS, noise=noise)
    one, out = sim.with_threads(1), np.empty((SHARED, sim.N, sim.N), sim.dtype)
    chosen, found = [len(sim) // 2], []
    for _ in range(rounds):
        alone = median_call(lambda: sim.frames(chosen), 200)
        share = median_call(lambda: one.frames(0, SHARED, out=out), 3) / SHARED
        found.append((alone * 1e6, share * 1e6, alone / share))
    alone, share, ratio = np.median(found, axis=0)
    name = f"{PHOTONS:.0e} photons" if noise else "noise-free"
    return f"{name:20}{alone:9.1f}{share:8.1f}{ratio:8.2f}"


def two_threads(two: Simulator, batch: int, rounds: int) -> str:
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
    alone, threads, callers, of_those = np.median(found, axis=0)
    return f"{batch:18}{alone:17.2f}{threads:13.2f}{callers:13.2f}{of_those:12.2f}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.calls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    print("microseconds            alone   share   ratio")
    for noise in (False, True):
        print(single(noise, rounds))
    print("patterns in a call   us, one thread   two threads   two callers   of those")
    sim = Simulator("gs2_ideal", noise=False, threads=2)
    for batch in BATCHES:
        print(two_threads(sim, batch, rounds))


if __name__ == "__main__":
    main()
