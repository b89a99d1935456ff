"""Times of all contenders: rounds go through them in turn.

So a change in the machine's speed meets all of them; a ratio is the median over the rounds of one
contender's time over another's. In a round each works for at least 30 ms, so that quick and slow
ones alike are measured at work and not while caches and clocks still get used to them. A row is a
dict with the times per pattern (or pixel) of all rounds in ``seconds``.
"""

import statistics
import time
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

import ptycho_fast
from bench import library_kernels
from bench.contenders import (
    DOSES,
    Buffers,
    Case,
    baseline,
    check,
    check_counts,
    count,
    make_case,
    make_contenders,
)
from bench.library_pipelines import limit_threads
from bench.pipeline import Array, Pipeline

Row = dict[str, Any]
Work = tuple[Callable[[], Any], int]  # what to run, and of how many items it is the time

STAGES = (
    ("extract_patches", None),
    ("diffract", None),
    ("sample_photons", 1e6),
    *(("observe", dose) for dose in DOSES),
)
MEANS = (0.01, 1.0, 10.0, 100.0, 1e4, 1e6)
SLOW_ROUNDS = 3
SHORTEST = 0.03  # seconds of a round


def in_turn(
    works: dict[str, Work],
    rounds: int,
    slow: Collection[str] = (),
    pause: float = 0.0,
    shortest: float = SHORTEST,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds per item of each, round by round; the slow ones sit out the later rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for r in range(rounds):
        time.sleep(pause)
        for name, (work, items) in works.items():
            if name in slow and r >= SLOW_ROUNDS:
                continue
            runs, start = 0, clock()
            while (elapsed := clock() - start) < shortest:
                work()
                runs += 1
            seconds[name].append(elapsed / (runs * items))
    return seconds


def ratio(slower: Row, faster: Row) -> float:
    """Median over the rounds that both took part in."""
    pairs = zip(slower["seconds"], faster["seconds"], strict=False)
    return statistics.median(a / b for a, b in pairs)


def best_ratio(slower: Row, faster: Row) -> float:
    """Of the quickest rounds: what others do on the machine disturbs these least."""
    return min(slower["seconds"]) / min(faster["seconds"])


def account(case: Case, stage: str) -> dict[str, float]:
    """Bytes that must move for a pattern, and nominal operations of its transforms.

    Object taps and probe are read and the result is written once, whatever passes through memory on
    the way; an FFT of n elements counts 5 n log2(n).
    """
    M, N, _ = case.probe.shape
    taps, probe, result = 8 * (N + 1) ** 2, 8 * M * N**2, 4 * N**2
    transforms = M * 5 * N**2 * np.log2(N**2)
    return {
        "extract_patches": {"bytes": taps + 2 * result, "operations": 0.0},
        "sample_photons": {"bytes": 2 * result, "operations": 0.0},
        "diffract": {"bytes": taps + probe + result, "operations": transforms},
        "observe": {"bytes": taps + probe + result, "operations": transforms},
    }[stage]


def measure(
    N: int, batch: int, pixels: int, rounds: int, threads: int, peaks: dict[str, float]
) -> tuple[list[Row], dict[str, str]]:
    """Check, then time every stage for one patch side; also says who was left out, and why.

    With more than one thread, those who can use them are set against the baseline on one.
    """
    case = make_case(N, batch)
    contenders, missing = make_contenders(case, threads)
    limit_threads(threads)  # now that the libraries are loaded
    buffers = Buffers(batch, N)
    check(case, contenders, buffers)
    if threads > 1:
        single = make_contenders(case, 1)[0][baseline()]
        able = {k: v for k, v in contenders.items() if v.threads > 1 and not v.slow}
        contenders = {"one thread": single, **able}
    fastest = next(iter(contenders.values()))
    intensity = fastest.diffract(case.positions, np.empty_like(buffers.intensity))
    slow = [name for name, contender in contenders.items() if contender.slow]
    # The pools of some libraries, the last in a round, go on looking for work for 0.2 s.
    pause = 0.3 if threads > 1 else 0.0

    rows = []
    for stage, dose in STAGES:
        rates = intensity * np.float32(case.scales[dose] ** 2) if dose else intensity
        tuned, works = {}, {}
        for name, contender in contenders.items():
            n = count(contender, batch, pixels)
            if dose:
                tuned[name] = contender.tune(rates[:n], buffers.counts[:n])
            works[name] = _work(contender, stage, case.positions[:n], dose, case, rates, buffers), n
            works[name][0]()  # once without the clock
        for name, seconds in in_turn(works, rounds, slow, pause).items():
            median = statistics.median(seconds)
            row = {
                "N": N,
                "threads": contenders[name].threads,
                "stage": stage,
                "photons": dose,
                "contender": name,
                "kind": contenders[name].kind,
                "sampler": tuned.get(name, ""),
                "us_per_pattern": 1e6 * median,
                "seconds": seconds,
            }
            rows.append(row | _shares(account(case, stage), median, peaks))
    return rows, missing


def _work(
    contender: Pipeline,
    stage: str,
    positions: Array,
    dose: float | None,
    case: Case,
    rates: Array,
    buffers: Buffers,
) -> Callable[[], Any]:
    n = len(positions)
    if stage == "extract_patches":
        return lambda: contender.extract_patches(positions, buffers.patches[:n])
    if stage == "diffract":
        return lambda: contender.diffract(positions, buffers.intensity[:n])
    if stage == "sample_photons":
        return lambda: contender.sample_photons(rates[:n], buffers.counts[:n])
    return lambda: contender.observe(positions, case.scales[dose], buffers.counts[:n])


def _shares(needs: dict[str, float], seconds: float, peaks: dict[str, float]) -> dict[str, float]:
    gb_s, gflop_s = (1e-9 * needs[key] / seconds for key in ("bytes", "operations"))
    return {
        **needs,
        "gb_s": gb_s,
        "gflop_s": gflop_s,
        "of_copy": gb_s / peaks["copy_gb_s"],
        "of_arithmetic": gflop_s / peaks["gflop_s"],
    }


def measure_poisson(pixels: int, rounds: int) -> list[Row]:
    """Samplers alone, on one thread, at uniform means."""
    limit_threads(1)
    generator = np.random.default_rng(1)
    shape = (max(1, pixels // 64**2), 64, 64)
    counts = np.ones(shape, np.uint32)

    def numba_poisson(rates: Array) -> Array:
        library_kernels.poisson(rates, counts)
        return counts

    samplers: dict[str, Callable[[Array], Array]] = {
        name: lambda rates, name=name: ptycho_fast.sample_photons(
            rates, seed=1, backend=name, threads=1, out=counts
        )
        for name, status in ptycho_fast.backends().items()
        if status.available and name != "reference"
    }
    samplers["Generator.poisson"] = generator.poisson
    samplers["numba poisson"] = numba_poisson
    rows = []
    for mean in MEANS:
        rates = np.full(shape, mean, np.float32)
        for name, sampler in samplers.items():
            check_counts(f"{name} at mean {mean:g}", sampler(rates), rates)
        works = {name: (lambda s=s, r=rates: s(r), rates.size) for name, s in samplers.items()}
        for name, seconds in in_turn(works, rounds).items():
            rows.append(
                {
                    "mean": mean,
                    "contender": name,
                    "ns_per_pixel": 1e9 * statistics.median(seconds),
                    "seconds": seconds,
                }
            )
    return rows
