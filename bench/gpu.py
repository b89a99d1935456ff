"""``python -m bench.gpu``: build for the GPU that is there, check, look for errors, then time.

1. The package is built with PTYCHO_FAST_CUDA=ON (``--no-build`` leaves that out).
2. ``pytest -m gpu``: the native bits at many sizes, streams, indices beyond 2^31, memory.
3. ``compute-sanitizer``: memory and races within shared memory, over small batches of each method.
4. Times by events, after a warm-up, results rotating among buffers beyond the cache, against
   pipelines of CuPy and PyTorch; shares of the copy bandwidth and of the arithmetic without
   contraction, both measured in the same run.

It ends with 1 where a check failed or a target was missed; nothing is timed after a failed check.
"""

import argparse
import datetime
import functools
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench import machine
from bench.contenders import make_case
from bench.gpu_pipelines import CONTENDERS, GpuPipeline
from ptycho_fast.backend.cuda_build import nvrtc_options

ROOT = Path(__file__).parents[1]
DOSES = (None, 1e3, 1e6)  # None: noise-free
SANITIZED = (32, 45, 62, 64, 96, 128, 256)
Row = dict[str, Any]

# Times the best CuPy pipeline: required, hoped for. By side, noise-free; then noisy.
TARGETS = {64: (5, 10), 128: (5, 10), 256: (2.5, 5)}
TARGETS_NOISY = {64: (8, 16), 128: (8, 16), 256: (8, 16)}
SHARE = 0.35  # of the tighter ceiling, noise-free

ARITHMETIC = r"""
extern "C" __global__ void arithmetic(float* out) {
  float x[8];
  for (int i = 0; i < 8; ++i) x[i] = threadIdx.x + i;
  for (int step = 0; step < 2048; ++step)
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = x[i] * 0.999f + 0.001f;
  float sum = 0;
  for (int i = 0; i < 8; ++i) sum += x[i];
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
"""


def parse() -> argparse.Namespace:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--no-build", action="store_true", help="take what is installed")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--modes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    parser.add_argument("--keep", action="store_true", help="write them to bench/results/")
    parser.add_argument("--exercise", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def exercise() -> None:
    """Small batches by every method, for the sanitizer."""
    import cupy

    import ptycho_fast

    for N in SANITIZED:
        case = make_case(N, 3)
        arrays = [cupy.asarray(a) for a in (case.obj, case.probe.repeat(2, 0), case.positions)]
        ptycho_fast.extract_patches(arrays[0], arrays[2], N)
        rates = ptycho_fast.diffract(*arrays)
        ptycho_fast.sample_photons(rates, seed=1)
        for output in ("counts", "amplitude"):
            ptycho_fast.observe(*arrays, scale=3.0, seed=1, output=output)
    cupy.cuda.Device().synchronize()


def build(capability: str) -> None:
    """Reinstall with a fat binary for this GPU."""
    environment = os.environ | {
        "PTYCHO_FAST_NATIVE": "ON", "PTYCHO_FAST_CUDA": "ON", "CUDAARCHS": capability,
    }  # fmt: skip
    command = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "."]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def check() -> dict[str, str]:
    """What each check says: "passed", or why it was not run. A failed one ends the program."""
    report = {}
    steps = {"pytest -m gpu": [sys.executable, "-m", "pytest", "-q", "-m", "gpu"]}
    sanitizer = shutil.which("compute-sanitizer")
    for tool in ("memcheck", "racecheck"):
        if sanitizer:
            steps[tool] = [
                sanitizer, "--tool", tool, "--error-exitcode", "1",
                sys.executable, "-m", "bench.gpu", "--exercise",
            ]  # fmt: skip
        else:
            report[tool] = "not run: there is no compute-sanitizer"
    for name, command in steps.items():
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stderr.write(done.stdout[-8000:] + done.stderr[-4000:])
            raise SystemExit(f"{name} failed; nothing was timed")
        report[name] = "passed"
    return report


def seconds_of(work: Any, rounds: int, outs: list[Any]) -> list[float]:
    """Times of ``work(out)`` by events, after one without the clock; `outs` take turns."""
    import cupy

    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    work(outs[-1])
    times = []
    for out in itertools.islice(itertools.cycle(outs), rounds):
        start.record()
        work(out)
        end.record()
        end.synchronize()
        times.append(1e-3 * cupy.cuda.get_elapsed_time(start, end))
    return times


def ceilings() -> dict[str, float]:
    """Bytes a second of a copy (read and written), operations a second of separate * and +."""
    import cupy

    source, target = (cupy.ones(2**28, np.float32) for _ in range(2))
    copy = min(seconds_of(lambda to: cupy.copyto(to, source), 9, [target]))
    kernel = cupy.RawModule(code=ARITHMETIC, options=nvrtc_options()).get_function("arithmetic")
    blocks, out = 2**14, cupy.empty(2**14 * 256, np.float32)
    arithmetic = min(seconds_of(lambda to: kernel((blocks,), (256,), (to,)), 9, [out]))
    return {
        "copy_gb_s": 2e-9 * source.nbytes / copy,
        "gflop_s": 1e-9 * blocks * 256 * 2048 * 8 * 2 / arithmetic,
    }


def measure(N: int, modes: int, rounds: int, best: dict[str, float]) -> tuple[list[Row], Row]:
    """Check, then time all contenders at one size."""
    import cupy

    B = max(64, 2**27 // N**2)  # 512 MB of results
    case = make_case(N, B)
    probe = np.concatenate([case.probe * np.float32(0.7**m) for m in range(modes)])
    obj, probe, positions = (cupy.asarray(a) for a in (case.obj, probe, case.positions))
    buffers = [cupy.empty((B, N, N), np.uint32) for _ in range(3)]
    few = positions[: min(B, 64)]
    truth = cupy.empty((len(few), N, N), np.float32)
    there: dict[str, GpuPipeline] = {}
    missing: Row = {}
    for name, kind in CONTENDERS.items():
        try:
            # Waves of a chunk take 256 MB: more patterns at a time are no faster, but take memory.
            there[name] = kind(obj, probe, max(1, min(B, 2**25 // (modes * N**2))))
        except ImportError as error:
            missing[name] = str(error)
    there["ptycho_fast"].diffract(few, truth)
    for name, contender in there.items():
        mine = cupy.empty_like(truth)
        contender.diffract(few, mine)
        a, b = cupy.sqrt(mine), cupy.sqrt(truth)
        off = float(cupy.linalg.norm((a - b).ravel()) / cupy.linalg.norm(b.ravel()))
        assert off < 3e-6, f"{name}: intensities off by {off}"

    rows = []
    for dose in DOSES:
        for name, contender in there.items():
            if dose is None:
                make = functools.partial(contender.diffract, positions)
                outs = [buffer.view(np.float32) for buffer in buffers]
            else:
                outs = buffers
                make = functools.partial(contender.observe, positions, case.scales[dose])
            times = [t / B for t in seconds_of(make, rounds, outs)]
            median = statistics.median(times)
            need = 4 * N**2 + 16 + (obj.nbytes + probe.nbytes) / B
            operations = modes * 5 * N**2 * np.log2(N**2)
            limit = max(1e-9 * need / best["copy_gb_s"], 1e-9 * operations / best["gflop_s"])
            rows.append(
                {
                    "N": N, "modes": modes, "photons": dose, "contender": name,
                    "patterns_s": 1 / median, "gb_s": 1e-9 * need / median,
                    "of_copy": 1e-9 * need / median / best["copy_gb_s"],
                    "of_tighter_ceiling": limit / median, "seconds": times,
                }
            )  # fmt: skip
    return rows, missing


def judge(rows: list[Row]) -> list[Row]:
    """Every target that this run measured, at one mode."""
    verdicts = []
    for row in rows:
        if row["contender"] != "ptycho_fast" or row["modes"] != 1:
            continue
        N, dose = row["N"], row["photons"]
        rivals = [
            other for other in rows
            if other["contender"].startswith("CuPy")
            and (other["N"], other["modes"], other["photons"]) == (N, 1, dose)
        ]  # fmt: skip
        required, hoped = (TARGETS_NOISY if dose else TARGETS).get(N, (None, None))
        at = f"N = {N}" + (f", {dose:.0e} photons" if dose else "")
        if required:
            times = row["patterns_s"] / max(other["patterns_s"] for other in rivals)
            verdicts.append(_verdict("times best CuPy", at, required, hoped, times))
            if dose is None:
                share = row["of_tighter_ceiling"]
                verdicts.append(_verdict("share of the tighter ceiling", at, SHARE, None, share))
    return verdicts


def _verdict(what: str, at: str, required: float, hoped: float | None, measured: float) -> Row:
    return {
        "target": what, "at": at, "required": required, "hoped": hoped, "measured": measured,
        "met": measured >= required,
    }  # fmt: skip


def show(console: Console, rows: list[Row], verdicts: list[Row]) -> None:
    """Two tables."""
    table = Table(title="patterns/s; share of the copy bandwidth, of the tighter ceiling")
    for column in ("N", "modes", "photons", "contender", "patterns/s", "GB/s", "copy", "ceiling"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            str(row["N"]), str(row["modes"]), f"{row['photons'] or 0:g}", row["contender"],
            f"{row['patterns_s']:,.0f}", f"{row['gb_s']:.0f}", f"{row['of_copy']:.0%}",
            f"{row['of_tighter_ceiling']:.0%}",
        )  # fmt: skip
    console.print(table)
    for v in verdicts:
        word = "met" if v["met"] else "NOT MET"
        console.print(
            f"{v['target']}, {v['at']}: {v['measured']:.2f}, required {v['required']}: {word}"
        )


def main() -> int:
    """Build, check, time, print and keep."""
    options = parse()
    if options.exercise:
        exercise()
        return 0
    try:
        import cupy

        device = cupy.cuda.Device()
        capability = device.compute_capability
    except Exception as error:  # as a broken installation raises it
        raise SystemExit(f"there is no GPU to measure: {type(error).__name__}: {error}") from None
    if not options.no_build:
        build(capability)
    checks = check()
    name = cupy.cuda.runtime.getDeviceProperties(device.id)["name"].decode()
    best = ceilings()
    rows: list[Row] = []
    missing: Row = {}
    for N in options.sizes:
        for modes in options.modes:
            part, left_out = measure(N, modes, options.rounds, best)
            rows += part
            missing |= left_out
    verdicts = judge(rows)
    console = Console(highlight=False)
    console.print(
        f"{name}: copy {best['copy_gb_s']:.0f} GB/s, * and + {best['gflop_s']:.0f} GFLOP/s"
    )
    show(console, rows, verdicts)
    figures = {
        "machine": machine.describe(), "gpu": name,
        "compute_capability": capability, "cupy": cupy.__version__,
        "driver": cupy.cuda.runtime.driverGetVersion(), "date": datetime.date.today().isoformat(),
        "checks": checks, "ceilings": best, "left_out": missing, "rows": rows, "targets": verdicts,
    }  # fmt: skip
    stem = re.sub(r"\W+", "-", name).strip("-").lower()
    kept = ROOT / "bench" / "results" / f"gpu_{stem}_{figures['date']}.json"
    for path in filter(None, (options.json, kept if options.keep else None)):
        path.write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if all(v["met"] for v in verdicts) else 1


if __name__ == "__main__":
    raise SystemExit(main())
