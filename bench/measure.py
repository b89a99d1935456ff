"""Times of all contenders: rounds go through them in turn.

So a change in the machine's speed meets all of them; a ratio is the median over the rounds of one
contender's time over another's. In a round each works for at least 30 ms, so that quick and slow
ones alike are measured at work and not while caches and clocks still get used to them. A row is a
dict with the times per pattern (or pixel) of all rounds in ``seconds``.
"""

import statistics
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np

import ptycho_fast
from bench import machine
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
from bench.samplers import Sampler, make_samplers
from ptycho_fast.scenario import Scenario
from ptycho_fast.simulator import Simulator

Row = dict[str, Any]
Work = tuple[Callable[[], Any], int]  # what to run, and of how many items it is the time

STAGES = (
    ("extract_patches", None),
    ("diffract", None),
    ("sample_photons", 1e6),
    *(("observe", dose) for dose in DOSES),
)
MEANS = (0.01, 1.0, 3.0, 10.0, 100.0, 1e4, 1e6)
CONSTANT = "constant"  # rates, the same in all pixels
HOT = "hot data"
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


def account(case: Case, stage: str, photons: float = 0.0) -> dict[str, float]:
    """Bytes that must move for a pattern, and operations that must be done.

    Object taps and probe are read and the result is written once, whatever passes through memory on
    the way. Operations are multiplications, additions, divisions and roots in single precision:
    patches by interpolation along columns, then rows; an FFT of n elements by split radix, the
    fewest in common use, 4 n log2(n) - 6 n + 8; and `photons` for each pixel that is counted.
    """
    M, N, _ = case.probe.shape
    taps, probe, result = 8 * (N + 1) ** 2, 8 * M * N**2, 4 * N**2
    patches = 6 * N * (N + 1) + 6 * N**2
    transforms = M * 2 * N * (4 * N * np.log2(N) - 6 * N + 8)
    noise_free = patches + 6 * M * N**2 + transforms + 4 * M * N**2  # probe; squares and their sums
    return {
        "extract_patches": {"bytes": taps + 2 * result, "operations": patches},
        "sample_photons": {"bytes": 2 * result, "operations": photons * N**2},
        "diffract": {"bytes": taps + probe + result, "operations": noise_free},
        "observe": {"bytes": taps + probe + result, "operations": noise_free + photons * N**2},
    }[stage]


def photon_operations(rates: Array) -> float:
    """Operations a pixel of this project's photons, and products of their generator.

    Counted in csrc/poisson.h and csrc/philox.h: 20 for the products (ten of 32 by 32 bits, each as
    long as two numbers); with rates below 8 at least 33 for a sum of four terms, else 64.
    """
    return float(20 + np.where(rates < 8, 33, 64).mean())


def limits(needs: dict[str, float], seconds: float, peaks: dict[str, float]) -> Row:
    """What was moved and computed in so many seconds, and in how many the machine could at best.

    Parameters
    ----------
    needs : dict
        ``bytes`` and ``operations``, as `account` tells them.
    seconds : float
        Measured.
    peaks : dict
        Of `machine.peaks`, but with ``copy_gb_s`` of as much memory as the work has.

    Returns
    -------
    dict
        ``needs`` and ``gb_s``, ``gflop_s``, ``of_copy``, ``of_arithmetic``; the larger of both
        times at best, ``limit_seconds``, and whose it is, ``limited_by``; ``of_limit``.
    """
    gb_s, gflop_s = (1e-9 * needs[key] / seconds for key in ("bytes", "operations"))
    of_copy, of_arithmetic = gb_s / peaks["copy_gb_s"], gflop_s / peaks["gflop_s"]
    of_limit = max(of_copy, of_arithmetic)
    return {
        **needs,
        "gb_s": gb_s,
        "gflop_s": gflop_s,
        "of_copy": of_copy,
        "of_arithmetic": of_arithmetic,
        "limit_seconds": of_limit * seconds,
        "limited_by": "memory" if of_copy > of_arithmetic else "arithmetic",
        "of_limit": of_limit,
    }


def measure(
    N: int, batch: int, pixels: int, rounds: int, threads: int, peaks: dict[str, float]
) -> tuple[list[Row], dict[str, str]]:
    """Check, then time every stage for one patch side; also says who was left out, and why.

    With more than one thread, those who can use them are set against the baseline on one. With one
    thread there is `HOT`, too: the baseline's noise-free patterns, all at one place of the object.
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
    peaks = peaks | {"copy_gb_s": machine.copy_gb_s(buffers.intensity.nbytes)}
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
        if stage == "diffract" and threads == 1:
            near = case.positions[0] + 2.0 * (np.arange(batch)[:, None] % 2)
            works[HOT] = (lambda at=near: fastest.diffract(at, buffers.intensity)), batch
        needs = account(case, stage, photon_operations(rates) if dose else 0.0)
        for name, seconds in in_turn(works, rounds, slow, pause).items():
            median = statistics.median(seconds)
            contender = contenders.get(name, fastest)
            row = {
                "N": N,
                "threads": contender.threads,
                "stage": stage,
                "photons": dose,
                "contender": name,
                "kind": contender.kind,
                "sampler": tuned.get(name, ""),
                "us_per_pattern": 1e6 * median,
                "seconds": seconds,
            }
            rows.append(row | (limits(needs, median, peaks) if threads == 1 else {}))
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


def photon_rates(pixels: int) -> Iterator[tuple[str, float, Array]]:
    """Rates that samplers are timed on: `CONSTANT` ones, then those of patterns.

    What they are, their mean, and they themselves, (B, N, N) float32.

    Patterns of `gs2_ideal` are bright in the middle and nearly dark outside; those of the benchmark
    are speckled, of 256 x 256 pixels as the samples of ptycho-fm.
    """
    few = max(1, pixels // 256**2)
    for mean in MEANS:
        yield CONSTANT, mean, np.full((few, 256, 256), mean, np.float32)
    for dose in DOSES[1:]:
        n = max(1, pixels // 64**2)
        scenario = Scenario.preset("gs2_ideal").replace(
            {"scan.n_patterns": n, "dose.nphotons": dose}
        )
        rates = Simulator(scenario).expected(0, n)
        yield f"gs2_ideal, {dose:.0e} photons", float(rates.mean()), rates
    case = make_case(256, few)
    intensity = ptycho_fast.diffract(case.obj, case.probe, case.positions)
    rates = intensity * np.float32(case.scales[DOSES[1]] ** 2)
    yield f"speckled, {DOSES[1]:.0e} photons", float(rates.mean()), rates


def measure_poisson(
    pixels: int, rounds: int, peaks: dict[str, float]
) -> tuple[list[Row], dict[str, str]]:
    """Check, then time samplers alone, on one thread; also says who was left out, and why."""
    theirs, missing = make_samplers(1)
    limit_threads(1)
    samplers: dict[str, Sampler] = {
        name: lambda rates, out, name=name: ptycho_fast.sample_photons(
            rates, seed=1, backend=name, threads=1, out=out
        )
        for name, status in ptycho_fast.backends().items()
        if status.available and name not in ("cuda", "reference")
    }
    samplers |= theirs
    rows = []
    for label, mean, rates in photon_rates(pixels):
        counts = np.ones(rates.shape, np.uint32)
        for name, sampler in samplers.items():
            sampler(rates, counts)
            check_counts(f"{name}, {label}, mean {mean:g}", counts, rates)
        works = {
            name: (lambda s=s, r=rates, to=counts: s(r, to), rates.size)
            for name, s in samplers.items()
        }
        needs = {"bytes": 8.0, "operations": photon_operations(rates)}  # of a pixel
        here = peaks | {"copy_gb_s": machine.copy_gb_s(counts.nbytes)}
        for name, seconds in in_turn(works, rounds).items():
            median = statistics.median(seconds)
            row = {
                "rates": label,
                "mean": mean,
                "contender": name,
                "ns_per_pixel": 1e9 * median,
                "seconds": seconds,
            }
            rows.append(row | limits(needs, median, here))
    return rows, missing
