"""``python -m bench.cluster``: two workers of Dask against one, each with one thread.

Both run in turn on processes that are there already, so what is timed is the work and what Dask
takes for it. The making of the experiment is in it, another one each round, and the writing of the
files, which are synced. Both runs of a round give the same bytes, which is checked. What the disk
can do is measured beside it: as many bytes as the data set has, written at once.
"""

import argparse
import hashlib
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import machine, report
from bench.targets import verdict
from ptycho_fast import cluster
from ptycho_fast.scenario import Scenario

TARGET = 1.7, None  # times one worker


def digest(folder: Path) -> str:
    """Of all files of a data set."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()


def measure(
    patterns: int, rounds: int, where: Path | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Seconds of each round, with one worker and with two; and what the disk takes."""
    shard = max(1, patterns // 32)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    disk = []
    with (
        tempfile.TemporaryDirectory(dir=where, prefix="bench-cluster-") as folder,
        cluster.connected("local:1") as one,
        cluster.connected("local:2") as two,
    ):
        out = Path(folder) / "set.zarr"
        for number in range(rounds + 1):
            scenario = Scenario.preset("gs2_ideal").replace(
                {"dose.nphotons": 1e5, "scan.n_patterns": patterns, "seeds.photons": number}
            )
            hashes = set()
            for count, client in ((1, one), (2, two)):
                start = time.perf_counter()
                made = cluster.run(scenario, out, client=client, shard_patterns=shard)
                if number:  # in the first round workers import what they need
                    seconds[count].append(time.perf_counter() - start)
                hashes.add(digest(out))
                shutil.rmtree(out)
            assert len(hashes) == 1, "the bytes differ"
            disk.append(machine.disk_seconds(Path(folder) / "raw", made.size))
    rows = [
        {"workers": count, "patterns": patterns, "shard": shard, "seconds": times}
        for count, times in seconds.items()
    ]
    return rows, {"bytes": made.size, "seconds": disk[1:]}


def parse() -> argparse.Namespace:
    """Flags of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__)
    parser.add_argument("--patterns", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to write to")
    report.output_options(parser)
    return parser.parse_args()


def main() -> None:
    """Run, print and keep."""
    options = parse()
    console, watch = report.begin(110)
    rows, disk = measure(options.patterns, options.rounds, options.folder)
    for row in rows:
        best = min(row["seconds"])
        speed = f"{row['patterns'] / best:,.0f} patterns/s"
        console.print(f"{row['workers']} worker(s): {best:.2f} s at best, {speed}")
    alone = min(disk["seconds"])
    speed = f"{disk['bytes'] / 1e6 / alone:,.0f} MB/s"
    console.print(f"the disk alone: {alone:.2f} s for {disk['bytes'] / 1e6:,.0f} MB, {speed}")
    one, two = (row["seconds"] for row in rows)
    ratios = [a / b for a, b in zip(one, two, strict=True)]
    console.print("two against one, by round: " + ", ".join(f"{ratio:.2f}" for ratio in ratios))
    at = f"{options.patterns} patterns"
    verdicts = [verdict("two workers, times one", at, TARGET, statistics.median(ratios))]
    report.targets(console, verdicts)
    figures = {"rounds": options.rounds, "cluster": rows, "disk": disk, "targets": verdicts}
    report.end("cluster", watch, options, figures)


if __name__ == "__main__":
    main()
