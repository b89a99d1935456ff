"""What a run of many patterns on a cluster would take: a simulation of its tasks.

``python tools/plan_run.py --measure`` measures on this machine what one pattern costs, and what
Dask takes for one task; then it plays the run through, event by event: shards given out in windows,
workers that take differently long, are lost and come back, a disk that all share, a scheduler that
does one thing at a time. docs/plan-to-a-billion.md has the results.
"""

import argparse
import heapq
import json
import math
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

IN_FLIGHT = 4  # shards for each worker that the scheduler knows of, as ptycho_fast.cluster does


@dataclass(frozen=True)
class Costs:
    """What was measured; by default on the machine that docs/plan-to-a-billion.md names."""

    pattern_s: float = 4.3e-5  # of one core, to make, compress and write it
    pattern_bytes: float = 1070.0  # in the file
    setup_s: float = 3.4e-7  # for each pattern of the scan, once in each worker
    setup_bytes: float = 57.0  # for each pattern of the scan, in each worker
    task_s: float = 0.0072  # of scheduler and client, half when it is given out, half at its end


@dataclass(frozen=True)
class Run:
    """What is to be made, and with what."""

    patterns: int = 10**9
    scan: int = 10**7  # patterns that have one object, probe and seed: one run, one data set
    shard: int = 65536
    workers: int = 100
    spread: float = 0.1  # of the time of a task, relative
    lost_per_hour: float = 0.01  # of each worker
    back_s: float = 60.0  # until a lost worker is there again
    disk_bytes_s: float = 2e9  # shared by all
    seed: int = 1


def play(run: Run, costs: Costs) -> dict[str, float]:
    """Play one scan through; what all scans take one after the other.

    The scheduler is a queue with one server: a task that ends is answered, and the next one of the
    window given out, in `Costs.task_s`. A worker that is lost takes the task in its hand with it,
    which goes back to the queue.
    """
    rng = random.Random(run.seed)
    scan = min(run.scan, run.patterns)
    shards = math.ceil(scan / run.shard)
    workers = min(run.workers, shards)
    setup = scan * costs.setup_s
    todo = shards
    waiting = 0  # given out, and in nobody's hand
    in_flight = 0
    done = lost = 0
    busy = clock = free_at = 0.0
    deepest = 0
    experienced = [False] * workers
    events: list[tuple[float, int, str, int]] = []
    names = iter(range(10**12))
    hands: list[int] = list(range(workers))
    share = run.disk_bytes_s / workers

    def server(at: float) -> float:
        nonlocal busy, free_at
        free_at = max(free_at, at) + costs.task_s / 2
        busy += costs.task_s / 2
        return free_at

    def give_out(at: float) -> None:
        nonlocal todo, waiting, in_flight, deepest
        while todo and in_flight < IN_FLIGHT * workers:
            todo -= 1
            in_flight += 1
            heapq.heappush(events, (server(at), next(names), "queued", -1))
        deepest = max(deepest, in_flight)

    def begin(at: float) -> None:
        nonlocal waiting
        while waiting and hands:
            waiting -= 1
            worker = hands.pop()
            bytes_ = run.shard * costs.pattern_bytes
            takes = run.shard * costs.pattern_s * rng.lognormvariate(0, run.spread)
            takes = max(takes, bytes_ / share)
            takes += 0.0 if experienced[worker] else setup
            experienced[worker] = True
            dies = rng.expovariate(run.lost_per_hour / 3600) if run.lost_per_hour else math.inf
            kind = "lost" if dies < takes else "made"
            heapq.heappush(events, (at + min(takes, dies), next(names), kind, worker))

    give_out(0.0)
    while done < shards:
        clock, _, kind, worker = heapq.heappop(events)
        if kind == "queued":
            waiting += 1
        elif kind == "made":
            done += 1
            hands.append(worker)
            in_flight -= 1
            server(clock)
            give_out(clock)
        elif kind == "lost":
            lost += 1
            experienced[worker] = False
            heapq.heappush(events, (server(clock), next(names), "queued", -1))
            heapq.heappush(events, (clock + run.back_s, next(names), "back", worker))
        else:
            hands.append(worker)
        begin(clock)
    scans = run.patterns / scan
    ideal = scan * costs.pattern_s / workers
    return {
        "scans": scans,
        "shards": shards * scans,
        "workers at work": workers,
        "hours": clock * scans / 3600,
        "core hours": run.patterns * costs.pattern_s / 3600,
        "efficiency": ideal / clock,
        "scheduler busy": min(1.0, busy / clock),
        "tasks in the scheduler": deepest,
        "tasks made again": lost * scans,
        "seconds a task": run.shard * costs.pattern_s,
        "terabytes": run.patterns * costs.pattern_bytes / 1e12,
        "disk busy": scan * costs.pattern_bytes / run.disk_bytes_s / clock,
        "gigabytes a worker": scan * costs.setup_bytes / 1e9,
    }


def measure(patterns: int = 2**14, tasks: int = 2000) -> Costs:
    """Measure the costs on this machine: seconds are those of the CPU, of one core."""
    return Costs(**_of_patterns(patterns), task_s=_of_a_task(tasks))


def _of_patterns(n: int) -> dict[str, float]:
    import ptycho_fast
    from ptycho_fast.formats import zarr
    from ptycho_fast.formats.work import Work
    from ptycho_fast.simulation import dataset_of

    scan = 64 * n
    changes: dict[str, Any] = {"dose.nphotons": 1e5, "scan.n_patterns": scan}
    ptycho_fast.Simulator("gs2_ideal", threads=1).frames(0, 64)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(changes)
    contents = dataset_of(ptycho_fast.Simulator(scenario, threads=1), lazy=True).contents()
    setup = time.process_time() - start
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
    layout = zarr.sharding("set.zarr", contents, shard_patterns=n)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3):
            start = time.process_time()
            size = layout.make(Path(folder), number, contents, Work(threads=1))["size"]
            seconds.append(time.process_time() - start)
    return {
        "pattern_s": min(seconds) / n,
        "pattern_bytes": size / n,
        "setup_s": setup / scan,
        "setup_bytes": more * 1024 / scan,
    }


def _of_a_task(tasks: int) -> float:
    """Seconds of Dask for an empty task, with client, scheduler and worker in one process."""
    from distributed import Client, LocalCluster, as_completed

    from ptycho_fast.cluster import Plan

    plan = Plan(_scenario(), {"threads": 1}, "zarr", {}, "/data/set.part", "set.zarr", "0")
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol="tcp",
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            local_directory=folder,
        ) as cluster,
        Client(cluster) as client,
    ):
        todo = iter(range(tasks))
        start = time.process_time()
        first = [client.submit(_nothing, plan, next(todo), pure=False) for _ in range(IN_FLIGHT)]
        waiting = as_completed(first)
        for _ in waiting:
            for number in _next(todo):
                waiting.add(client.submit(_nothing, plan, number, pure=False))
        return (time.process_time() - start) / tasks


def _scenario() -> dict[str, Any]:
    import ptycho_fast

    return ptycho_fast.Scenario.preset("gs2_ideal").to_dict()


def _next(numbers: Iterator[int]) -> list[int]:
    number = next(numbers, None)
    return [] if number is None else [number]


def _nothing(plan: Any, number: int) -> None:
    """A task that does nothing."""


VARIANTS: dict[str, dict[str, Any]] = {
    "100 scans of 10^7": {},
    "1000 workers": {"workers": 1000},
    "1000 workers, shards of 4096": {"workers": 1000, "shard": 4096},
    "1000 workers, shards of 1024": {"workers": 1000, "shard": 1024},
    "one scan of 10^9": {"scan": 10**9},
    "1000 scans of 10^6": {"scan": 10**6},
    "10,000 scans of 10^5": {"scan": 10**5, "shard": 4096},
    "each worker lost once in 10 minutes": {"lost_per_hour": 6.0},
    "disk of 200 MB/s": {"disk_bytes_s": 2e8},
}
SHOWN = {  # in the table
    "shards": "{:,.0f}",
    "workers at work": "{:.0f}",
    "hours": "{:.2f}",
    "efficiency": "{:.0%}",
    "scheduler busy": "{:.0%}",
    "tasks in the scheduler": "{:,.0f}",
    "tasks made again": "{:,.0f}",
    "disk busy": "{:.0%}",
    "gigabytes a worker": "{:.2f}",
}


def table(results: dict[str, dict[str, float]]) -> list[str]:
    """Lines of a table in Markdown, a row for each variant."""
    rows = [
        [name, *(text.format(result[key]) for key, text in SHOWN.items())]
        for name, result in results.items()
    ]
    lines = [["", *SHOWN], ["---"] * (len(SHOWN) + 1), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def main() -> None:
    """Print the plan, as a table or as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--measure", action="store_true", help="measure costs on this machine first"
    )
    parser.add_argument("--patterns", type=float, default=1e9)
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    options = parser.parse_args()
    costs = measure() if options.measure else Costs()
    base = Run(patterns=int(options.patterns))
    results = {name: play(replace(base, **more), costs) for name, more in VARIANTS.items()}
    if options.json:
        print(json.dumps({"costs": asdict(costs), "variants": results}, indent=1))
        return
    print("\n".join(f"{name:16} {value:.3g}" for name, value in asdict(costs).items()))
    print("\n".join(["", *table(results)]))


if __name__ == "__main__":
    main()
