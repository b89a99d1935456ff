"""``python -m bench.simulate``: check that all agree, then time them, stage by stage and fused.

Contenders are this project's backends, the best pipelines of libraries, pure NumPy, and the
whole-canvas method of existing simulators. Ratios are medians over rounds that go through the
contenders in turn; the last table says which targets are met.
"""

import argparse
import json
import re
import time
from pathlib import Path

from rich.console import Console

from bench import machine, report
from bench.contenders import baseline, report_missing
from bench.measure import measure, measure_poisson
from bench.objects import measure_objects
from bench.targets import judge
from ptycho_fast.threads import thread_count

RESULTS = Path(__file__).parent / "results"


def parse() -> argparse.Namespace:
    """Options of the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256], metavar="N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--threads", type=int, help="all threads (default: what the library takes by default)"
    )
    parser.add_argument("--quick", action="store_true", help="small batches, three rounds")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw them there")
    parser.add_argument("--keep", action="store_true", help="write both to bench/results/")
    return parser.parse_args()


def main() -> None:
    """Run, print and keep."""
    options = parse()
    batch, pixels, rounds = (64, 2**16, 3) if options.quick else (256, 2**20, options.rounds)
    threads = thread_count(options.threads)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 130

    start, before = time.perf_counter(), machine.load_average()
    facts, peaks = machine.describe(), machine.peaks()
    report.machine(console, facts, peaks)
    rows, scaling = [], []
    missing: dict[str, str] = {}
    for N in options.sizes:
        part, left_out = measure(N, batch, pixels, rounds, 1, peaks)
        if not rows:
            missing = left_out
            report_missing(missing)
        title = f"N = {N}, one thread: us per pattern, times {baseline()} (* best library)"
        report.times(console, title, part, baseline())
        rows += part
    for N in options.sizes if threads > 1 else []:
        part, _ = measure(N, batch, pixels, rounds, threads, peaks)
        title = f"N = {N}, {threads} threads: us per pattern, times {baseline()} (* best library)"
        report.times(console, title, part, baseline())
        scaling += part
    poisson = measure_poisson(pixels, rounds)
    kinds = measure_objects(rounds)
    verdicts = judge(rows, scaling, poisson, kinds)
    report.poisson(console, poisson)
    report.objects(console, kinds)
    report.accounting(console, rows)
    report.targets(console, verdicts)
    after = machine.load_average()
    took = time.perf_counter() - start
    console.print(f"{took:.0f} s; load average {before[0]} before, {after[0]} after")

    figures = {
        "machine": facts,
        "peaks": peaks,
        "load_average": {"before": before, "after": after},
        "baseline": baseline(),
        "left_out": missing,
        "patterns_in_a_call": batch,
        "rounds": rounds,
        "seconds": took,
        "rows": rows,
        "scaling": scaling,
        "poisson": poisson,
        "objects": kinds,
        "targets": verdicts,
    }
    name = re.sub(r"\W+", "-", facts["processor"]).strip("-").lower() + "_" + facts["date"]
    kept = RESULTS / f"{name}.json" if options.keep else None
    for path in filter(None, (options.json, kept)):
        path.write_text(json.dumps(figures, indent=1) + "\n")
    for path in filter(None, (options.plot, kept and kept.with_suffix(".png"))):
        report.plot(path, rows, facts)


if __name__ == "__main__":
    main()
