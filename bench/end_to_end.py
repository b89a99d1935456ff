"""``python -m bench.end_to_end``: from the command to the closed file, beside a script with NumPy.

Both read the same arrays (object, probe, positions) from a file, make patterns of 1e5 photons and
write them, each as a process of its own started from the shell. Ours draws from all threads,
compresses HDF5 and syncs; the script does what such scripts do. In each round they take turns, and
the counts in both files are checked against the rates of the reference. The limit is the file of
the command written and synced as so many bytes alone. First, the smallest command of all, beside
the imports that any script in the field begins with.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console

import ptycho_fast
from bench import machine, report
from bench.contenders import check_counts, make_case
from bench.files import resources
from bench.measure import Row, ratio
from bench.pipeline import Array
from bench.targets import find, verdict

NPHOTONS = 1e5
RUNS = ((64, 1000), (64, 10_000), (256, 300))  # side, patterns
QUICK_RUNS = ((64, 256), (96, 64))
LONG = 10_000  # patterns from which on the script runs once only
IMPORTS = "import numpy, scipy.ndimage"
START = 2.5  # times the imports that the smallest command may take
OURS, SCRIPT = "ptycho-fast simulate", "NumPy script"


def write_arrays(file: Path, N: int, n_patterns: int) -> None:
    """The problem of the benchmark, in a file that both sides read."""
    case = make_case(N, n_patterns)
    x, y = case.positions.T
    np.savez(file, objectGuess=case.obj, probeGuess=case.probe[0], xcoords=x, ycoords=y)


def commands(arrays: Path, N: int, out: Path) -> dict[str, list[str]]:
    """The command and the script that make a file of the arrays."""
    given = [f"--N={N}", *(f"--{what}-file={arrays}" for what in ("object", "probe", "scan"))]
    ours = ["gs2_ideal", *given, f"--nphotons={NPHOTONS}", f"--out={out}", "--force", "--quiet"]
    if out.suffix == ".h5":
        ours.append("--dtype=uint16")  # as the script does
    return {
        OURS: [sys.executable, "-m", "ptycho_fast.simulate", *ours],
        SCRIPT: [sys.executable, "-m", "bench.numpy_script", str(arrays), str(NPHOTONS), str(out)],
    }


def check(name: str, arrays: Path, out: Path, few: int = 64) -> None:
    """Assert that the first counts in a file are those of the arrays' rates.

    The scale is known from the mean over all patterns, here those of the default backend.
    """
    with np.load(arrays) as file:
        obj, probe = file["objectGuess"], file["probeGuess"]
        positions = np.stack([file["xcoords"], file["ycoords"]], axis=1)
    mean = ptycho_fast.diffract(obj, probe, positions).sum(axis=(1, 2), dtype=np.float64).mean()
    rates = ptycho_fast.diffract(obj, probe, positions[:few], backend="reference")
    check_counts(name, _counts(name, out, few), rates * np.float32(NPHOTONS / mean))


def _counts(name: str, out: Path, few: int) -> Array:
    if name == OURS:
        with ptycho_fast.open(out) as data:
            return data.counts[:few]
    if out.suffix == ".npz":
        with np.load(out) as file:
            return file["diffraction"][:few] ** 2
    import h5py

    with h5py.File(out) as file:
        return file["diffraction"][:few]


def measure(folder: Path, runs: tuple[tuple[int, int], ...], rounds: int) -> list[Row]:
    """Check and time all runs; their files are removed."""
    rows: list[Row] = []
    for N, n_patterns in runs:
        arrays = folder / "arrays.npz"
        write_arrays(arrays, N, n_patterns)
        for suffix in (".npz", ".h5"):
            out = folder / f"out{suffix}"
            made = commands(arrays, N, out)
            used: dict[str, list[Row]] = {name: [] for name in made}
            disk = []
            for r in range(rounds):
                for name, command in made.items():
                    if name == SCRIPT and r > 0 and n_patterns >= LONG:
                        continue
                    used[name].append(resources(command) | {"file_bytes": out.stat().st_size})
                    if r == 0:
                        check(name, arrays, out)
                    out.unlink()
                disk.append(machine.disk_seconds(out, used[OURS][-1]["file_bytes"]))
            rows += [
                {
                    "N": N,
                    "patterns": n_patterns,
                    "file": suffix,
                    "contender": name,
                    "seconds": [one["seconds"] for one in of_name],
                    "cpu_seconds": min(one["cpu_seconds"] for one in of_name),
                    "peak_bytes": max(one["peak_bytes"] for one in of_name),
                    "file_bytes": of_name[-1]["file_bytes"],
                    "limit_seconds": min(disk),
                }
                for name, of_name in used.items()
            ]
    return rows


def measure_start(folder: Path, rounds: int) -> list[Row]:
    """The smallest command, and the imports beside it."""
    smallest = ["-m", "ptycho_fast.simulate", "gs2_ideal", f"--out={folder / 'a.npz'}"]
    both = {OURS: [*smallest, "--force", "--quiet"], "imports": ["-c", IMPORTS]}
    seconds: dict[str, list[float]] = {name: [] for name in both}
    for _ in range(rounds + 1):  # the first reads the files
        for name, arguments in both.items():
            seconds[name].append(resources([sys.executable, *arguments])["seconds"])
    return [{"contender": name, "seconds": times[1:]} for name, times in seconds.items()]


def judge(start: list[Row]) -> list[Row]:
    """The start, as the allowed time over that of the command."""
    ours, imports = start
    what = f"{START} times `{IMPORTS}` over the command"
    return [verdict(what, "gs2_ideal", (1, None), START * ratio(imports, ours))]


def show(console: Console, rows: list[Row], start: list[Row]) -> None:
    """The table."""
    table = report.make_table(
        f"Command to closed file, {NPHOTONS:.0e} photons", "", "N", "patterns", "who", "s",
        "times ours", "MB", "MiB of memory", "limit, s", "of the limit",
    )  # fmt: skip
    for row in rows:
        same = find(rows, N=row["N"], patterns=row["patterns"], file=row["file"])
        median = statistics.median(row["seconds"])
        table.add_row(
            row["file"], str(row["N"]), f"{row['patterns']:,}", row["contender"], f"{median:.2f}",
            f"{ratio(row, same[0]):.1f}", f"{row['file_bytes'] / 1e6:.1f}",
            f"{row['peak_bytes'] / 2**20:.0f}", f"{row['limit_seconds']:.2f}",
            f"{row['limit_seconds'] / median:.0%}",
        )  # fmt: skip
    console.print(table)
    for row in start:
        console.print(f"{row['contender']}: {statistics.median(row['seconds']):.2f} s to start")


def main() -> None:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.end_to_end", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few patterns, one round")
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to write to")
    report.output_options(parser)
    options = parser.parse_args()
    runs, rounds = (QUICK_RUNS, 1) if options.quick else (RUNS, options.rounds)
    console, watch = report.begin(140)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="bench-") as name:
        start = measure_start(Path(name), rounds)
        rows = measure(Path(name), runs, rounds)
    verdicts = judge(start)
    show(console, rows, start)
    report.targets(console, verdicts)
    figures = {"rounds": rounds, "end_to_end": rows, "start": start, "targets": verdicts}
    report.end("end_to_end", watch, options, figures)


if __name__ == "__main__":
    main()
