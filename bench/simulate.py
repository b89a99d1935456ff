"""``python -m bench.simulate``: check that all agree, then time them, stage by stage and fused.

Every contender works on the same object, probe and positions on one thread. Rounds go through the
contenders in turn, so that a change in the machine's speed meets them all; a ratio is the median
over the rounds of NumPy's time over the contender's, per pattern.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ptycho_fast
from bench import numpy_pipeline

PIXELS = 2**21  # in a batch: results are larger than the caches, as in a real run
SLOW = {"reference": 2**16}
NPHOTONS = 1e6
STAGES = ("extract_patches", "diffract", "sample_photons", "observe")


def inputs(N: int, n_patterns: int) -> dict[str, Any]:
    """A random complex object, an asymmetric disk-like probe, positions within, rates at a dose."""
    rng = np.random.default_rng(N)
    H, W = 6 * N, 7 * N
    obj = (rng.uniform(0.5, 1, (H, W)) * np.exp(1j * rng.uniform(-1, 1, (H, W)))).astype("c8")
    y, x = np.mgrid[:N, :N] - N / 2
    probe = np.exp(-(x**2 + y**2) / (N / 5) ** 2 + 1e-3j * (x**2 + x * y)).astype("c8")[None]
    positions = rng.uniform([N, N], [W - N, H - N], (n_patterns, 2))
    energy = float((np.abs(probe) ** 2).sum()) * float((np.abs(obj) ** 2).mean())
    return {"obj": obj, "probe": probe, "positions": positions, "scale": (NPHOTONS / energy) ** 0.5}


def contenders(data: dict[str, Any], rates: Any) -> dict[str, dict[str, Callable[[int], Any]]]:
    """For each name, for each stage, a function that runs it on the first `n` patterns."""
    obj, probe, at, scale = data["obj"], data["probe"], data["positions"], data["scale"]
    N = probe.shape[-1]
    generator = np.random.default_rng(1)
    table = {
        "numpy": {
            "extract_patches": lambda n: numpy_pipeline.extract_patches(obj, at[:n], N),
            "diffract": lambda n: numpy_pipeline.diffract(obj, probe, at[:n]),
            "sample_photons": lambda n: numpy_pipeline.sample_photons(rates[:n], generator),
            "observe": lambda n: numpy_pipeline.observe(obj, probe, at[:n], scale, generator),
        }
    }
    for name, status in ptycho_fast.backends().items():
        if not status.available:
            sys.stderr.write(f"left out: {name}: {status.reason}\n")
            continue
        options = {"backend": name, "threads": 1}
        photons = {"seed": 1, **options}
        table[name] = {
            "extract_patches": lambda n, o=options: ptycho_fast.extract_patches(
                obj, at[:n], N, **o
            ),
            "diffract": lambda n, o=options: ptycho_fast.diffract(obj, probe, at[:n], **o),
            "sample_photons": lambda n, p=photons: ptycho_fast.sample_photons(rates[:n], **p),
            "observe": lambda n, p=photons: ptycho_fast.observe(
                obj, probe, at[:n], scale=scale, **p
            ),
        }
    return table


def check(table: dict[str, dict[str, Callable[[int], Any]]], data: dict[str, Any]) -> None:
    """All contenders give the reference's patches and amplitudes, and counts of the right dose."""
    n = 4
    truth = {stage: table["reference"][stage](n) for stage in STAGES[:2]}
    mean = float(np.sum(truth["diffract"], dtype=np.float64)) * data["scale"] ** 2
    for name, stages in table.items():
        patches = stages["extract_patches"](n)
        assert np.abs(patches - truth["extract_patches"]).max() < 2e-6, name
        a, b = (np.sqrt(x.astype(np.float64)) for x in (stages["diffract"](n), truth["diffract"]))
        assert np.linalg.norm(a - b) < 2e-6 * np.linalg.norm(b), name
        counts = float(stages["observe"](n).sum(dtype=np.float64))
        assert abs(counts - mean) < 6 * mean**0.5 + 1e-6 * mean, (name, counts, mean)


def measure(N: int, pixels: int, rounds: int) -> list[dict[str, Any]]:
    """Microseconds per pattern and ratios for one patch side."""
    n_patterns = max(4, pixels // N**2)
    data = inputs(N, n_patterns)
    rates = np.float32(data["scale"] ** 2) * numpy_pipeline.diffract(
        data["obj"], data["probe"], data["positions"]
    )
    table = contenders(data, rates)
    check(table, data)
    rows = []
    for stage in STAGES:
        seconds: dict[str, list[float]] = {name: [] for name in table}
        for _ in range(rounds):
            for name, stages in table.items():
                n = max(2, min(n_patterns, SLOW.get(name, pixels) // N**2))
                start = time.perf_counter()
                stages[stage](n)
                seconds[name].append((time.perf_counter() - start) / n)
        for name, times in seconds.items():
            ratios = [a / b for a, b in zip(seconds["numpy"], times, strict=True)]
            rows.append(
                {
                    "N": N,
                    "stage": stage,
                    "contender": name,
                    "us_per_pattern": 1e6 * statistics.median(times),
                    "times_numpy": statistics.median(ratios),
                }
            )
    return rows


def main() -> None:
    """Print the table; keep it as JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256], metavar="N")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="small batches, three rounds")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    options = parser.parse_args()
    pixels, rounds = (2**17, 3) if options.quick else (PIXELS, options.rounds)

    print(f"one thread, {NPHOTONS:.0e} photons per pattern, NumPy {np.__version__}")
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    rows = []
    for N in options.sizes:
        part = measure(N, pixels, rounds)
        rows += part
        print(f"\nN = {N:<17}" + "".join(f"{stage:>22}" for stage in STAGES))
        for name in dict.fromkeys(row["contender"] for row in part):
            mine = {row["stage"]: row for row in part if row["contender"] == name}
            cells = (
                f"{mine[s]['us_per_pattern']:9.1f} us {mine[s]['times_numpy']:6.1f} x"
                for s in STAGES
            )
            print(f"  {name:<19}" + "".join(f"{cell:>22}" for cell in cells))
    if options.json:
        facts = {"build": ptycho_fast.build_info(), "nphotons": NPHOTONS, "rows": rows}
        options.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
