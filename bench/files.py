"""``python -m bench.files``: how fast files are made, beside what the machine itself can do.

The command makes a data set in a process of its own, from its start to the closed and synced file.
Beside it, in this process: making the same patterns and throwing them away, compressing them, and
writing as many bytes as the file has, synced, each alone with all cores; and copying memory. The
command's time for the patterns is compared with the largest of the three; and, as making and
compressing both want all cores, with the larger of their sum and the writing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine, report
from bench.measure import Row
from bench.targets import judge_files
from ptycho_fast.formats.compression import encoder
from ptycho_fast.formats.hdf5_file import chunk_patterns
from ptycho_fast.scenario import Scenario
from ptycho_fast.simulator import Simulator
from ptycho_fast.threads import one_thread_here, thread_count

DOSE = "1e5"
NPZ_PATTERNS = 10_000
COPIED = 2**28  # bytes
TASK = 256  # patterns that a thread makes or compresses at once


def command(out: Path, n_patterns: int, *flags: str) -> Row:
    """Run the command: seconds, seconds of the CPUs, and memory over the interpreter's own."""
    arguments = ["gs2_ideal", "--nphotons", DOSE, "--n-patterns", str(n_patterns), *flags]
    run = [sys.executable, "-m", "ptycho_fast.simulate", *arguments, "--out", str(out), "--json"]
    nothing = resources([sys.executable, "-c", "pass"])
    used = resources(run)
    facts = json.loads(used["output"])
    return {
        "file": out.suffix,
        "flags": " ".join(flags),
        "patterns": n_patterns,
        "seconds": used["seconds"],
        "cpu_seconds": used["cpu_seconds"],
        "streaming_seconds": facts["seconds_by_stage"]["patterns"],
        "memory_bytes": used["peak_bytes"] - nothing["peak_bytes"],
        "file_bytes": facts["file_bytes"],
    }


# A process counts the memory of the one that started it, so this one starts it, which is small.
LAUNCHER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True, check=True)
seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps({
    "seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime,
    "peak_bytes": used.ru_maxrss * unit, "output": done.stdout,
}))
"""


def resources(arguments: list[str]) -> Row:
    """Run a command: its seconds, those of the CPUs, the most memory it took, and its output."""
    run = [sys.executable, "-c", LAUNCHER, *arguments]
    # As where it was installed: without this variable the first run keeps the compiled modules.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(run, stdout=subprocess.PIPE, check=True, env=environment)
    figures: Row = json.loads(done.stdout)
    return figures


def alone(n_patterns: int, file_bytes: int, dtype: str, folder: Path) -> Row:
    """Seconds of each part of the work alone, with all cores."""
    scenario = Scenario.preset("gs2_ideal").replace(
        {"scan.n_patterns": n_patterns, "dose.nphotons": float(DOSE)}
    )
    simulator = Simulator(scenario, dtype=dtype)
    starts = range(0, n_patterns, TASK)
    made = simulator.frames(0, min(TASK, n_patterns))
    n = chunk_patterns((n_patterns, simulator.N, simulator.N))
    encode = encoder("lz4", made.dtype)

    def make(first: int) -> None:
        simulator.frames(first, min(first + TASK, n_patterns))

    def compress(_: int) -> None:
        for first in range(0, len(made), n):
            encode(made[first : first + n])

    return {
        "patterns": n_patterns,
        "making": _threaded(make, starts),
        "compressing": _threaded(compress, starts),
        "writing": machine.disk_seconds(folder / "raw", file_bytes),
        "copied_bytes_per_second": _copied(),
    }


def _threaded(work: Callable[[int], None], starts: Iterable[int]) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(thread_count(None), initializer=one_thread_here) as pool:
        list(pool.map(work, starts))
    return time.perf_counter() - start


def _copied() -> float:
    source = np.ones(COPIED, np.uint8)
    target = np.empty_like(source)
    best = min(_seconds(lambda: np.copyto(target, source)) for _ in range(5))
    return COPIED / best


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def parse() -> argparse.Namespace:
    """Options of the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.files", description=__doc__)
    parser.add_argument("--patterns", type=int, default=1_000_000, help="in the HDF5 file")
    parser.add_argument("--dtype", default="uint16", choices=["uint16", "uint32"])
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to measure")
    parser.add_argument("--quick", action="store_true", help="20,000 patterns")
    report.output_options(parser)
    return parser.parse_args()


def main() -> None:
    """Run, print and keep."""
    options = parse()
    n_patterns = 20_000 if options.quick else options.patterns
    console, watch = report.begin(110)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="bench-files-") as name:
        folder = Path(name)
        command(folder / "warm.h5", 100)  # modules are compiled and files read once
        rows = [
            command(folder / "a.h5", n_patterns, "--dtype", options.dtype),
            command(folder / "a.npz", NPZ_PATTERNS),
        ]
        parts = alone(n_patterns, rows[0]["file_bytes"], options.dtype, folder)
    cores = thread_count(None)
    verdicts = judge_files(rows, parts, cores)
    report.files(console, rows, parts)
    report.targets(console, verdicts)
    figures = {"cores": cores, "files": rows, "alone": parts, "targets": verdicts}
    report.end("files", watch, options, figures)


if __name__ == "__main__":
    main()
