"""What calls cost: ``python -m bench.calls``.

A single pattern through `Simulator` is set against its share of a batch, and two threads against
one, for batches of 64 to 4096 patterns. Rounds go through all in turn; times are medians over the
calls of all rounds, because one call in a few hundred meets another program.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from ptycho_fast import Simulator

BATCHES = (64, 256, 1024, 4096)
SHARED = 1024  # patterns of the call that a single one is compared with
PHOTONS = 1e5


def medians(works: dict[str, Callable[[], object]], rounds: int, calls: int) -> dict[str, float]:
    """Seconds of a call."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            work()  # caches, and threads, as the calls that follow find them
            for _ in range(calls):
                start = time.perf_counter()
                work()
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def single(noise: bool, rounds: int) -> str:
    """A pattern alone, and its share of a batch."""
    sim = Simulator("gs2_ideal", nphotons=PHOTONS, noise=noise)
    one, out = sim.with_threads(1), np.empty((SHARED, sim.N, sim.N), sim.dtype)
    chosen = [len(sim) // 2]
    works = {"alone": lambda: sim.frames(chosen), "batch": lambda: one.frames(0, SHARED, out=out)}
    found = medians(works, rounds, 20)
    alone, share = found["alone"] * 1e6, found["batch"] / SHARED * 1e6
    name = f"{PHOTONS:.0e} photons" if noise else "noise-free"
    return f"{name:20}{alone:9.1f}{share:8.1f}{alone / share:8.2f}"


def two_threads(two: Simulator, batch: int, rounds: int) -> str:
    """Two threads over one."""
    one, numbers = two.with_threads(1), np.resize(np.arange(len(two)), batch)
    out = np.empty((batch, two.N, two.N), two.dtype)
    works = {
        "one": lambda: one.frames(numbers, out=out),
        "two": lambda: two.frames(numbers, out=out),
    }
    found = medians(works, rounds, max(2, 4096 // batch))
    each = found["one"] / batch * 1e6
    return f"{batch:18}{each:27.2f}{found['one'] / found['two']:23.2f}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.calls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    print("microseconds            alone   share   ratio")
    for noise in (False, True):
        print(single(noise, rounds))
    print("patterns in a call   one thread, us a pattern   two threads over one")
    sim = Simulator("gs2_ideal", noise=False, threads=2)
    for batch in BATCHES:
        print(two_threads(sim, batch, rounds))


if __name__ == "__main__":
    main()
