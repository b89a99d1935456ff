"""What a pixel costs at every side: ``python -m bench.sizes`` measures, and draws the picture.

``python -m bench.sizes FILE --sides 8 300`` adds to FILE, or with ``--keep`` to what is kept of
this machine and day; so a long table can be made in pieces. Numba and NumPy are measured at every
sixteenth side: 17, 33, 49 ... ``--draw PICTURE`` draws what FILE has. One thread; the best of a few
rounds, noise-free.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ptycho_fast
from bench import machine, report
from bench.measure import in_turn
from bench.numpy_pipeline import NumpyPipeline

Table = dict[str, Any]  # who: side: nanoseconds a pixel; and the machine of each piece, "runs"

COLOURS = {"native": "#1c7ed6", "numba": "#2f9e44", "numpy": "#e8590c"}
# What a call costs, checks and tables for as many pixels as a pattern has, counts for little.
BATCH_PIXELS, FEWEST = 400_000, 4  # of a call, patterns at least
SHORTEST = 0.004  # seconds of a round


def quick(n: int) -> bool:
    """Whether a side has no prime factor above 5."""
    for prime in (2, 3, 5):
        while n % prime == 0:
            n //= prime
    return n == 1


def works(n: int, names: list[str]) -> dict[str, tuple[Callable[[], object], int]]:
    """Who makes patterns of n x n, and of how many pixels a call is."""
    rng = np.random.default_rng(n)
    parts = rng.random((2, n * n + (n + 8) ** 2), np.float32) - np.float32(0.5)
    flat = (parts[0] + 1j * parts[1]).astype(np.complex64)
    obj, probe = flat[n * n :].reshape(n + 8, n + 8), flat[: n * n].reshape(1, n, n)
    batch = max(FEWEST, BATCH_PIXELS // n**2)
    positions = n / 2 + rng.uniform(1, 6, (batch, 2))
    out = np.empty((batch, n, n), np.float32)

    def by(name: str) -> Callable[[], object]:
        if name == "numpy":
            pipeline = NumpyPipeline(obj, probe)
            return lambda: pipeline.diffract(positions, out)
        return lambda: ptycho_fast.diffract(obj, probe, positions, backend=name, threads=1, out=out)

    return {name: (by(name), out.size) for name in names}


def measure(table: Table, sides: range, every: int, rounds: int) -> None:
    """Add the sides to the table."""
    for n in sides:
        names = [name for name in COLOURS if name == "native" or n % every == 1]
        made = works(n, names)
        for work, _ in made.values():
            work()
        for name, seconds in in_turn(made, rounds, shortest=SHORTEST).items():
            table.setdefault(name, {})[str(n)] = round(min(seconds) * 1e9, 3)


def draw(table: Table, picture: Path) -> None:
    """Nanoseconds a pixel over the side, for everybody in the table."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, colour in reversed(COLOURS.items()):
        for fast, marker, size in ((False, "o", 2.2), (True, "D", 4.0)):
            at = {int(n): t for n, t in table.get(name, {}).items() if quick(int(n)) == fast}
            label = f"{name}, {'factors 2, 3 and 5' if fast else 'other prime factors'}"
            style = {"ms": size, "mew": 0, "color": colour, "alpha": 1.0 if fast else 0.55}
            axes.plot(at.keys(), at.values(), marker, label=label, **style)
    axes.set(xscale="log", yscale="log", xlabel="side N of a pattern", ylabel="ns a pixel")
    ticks = [8, 16, 32, 64, 128, 256, 512, 1024, 2048]
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()
    axes.set_ylim(2, 1500)
    axes.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, ncols=3, frameon=False, loc="upper center")
    figure.savefig(picture, metadata={"Software": None})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.sizes", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", help="table in JSON; what it has is kept")
    parser.add_argument("--keep", action="store_true", help="FILE is one in bench/results/")
    parser.add_argument("--sides", type=int, nargs=2, metavar=("FIRST", "LAST"))
    parser.add_argument("--step", type=int, default=1, help="measure every STEP-th side only")
    parser.add_argument(
        "--every", type=int, default=16, help="the others only at one side in so many"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--draw", type=Path, metavar="PICTURE")
    options = parser.parse_args()
    if options.file is None and not options.keep:
        parser.error("FILE or --keep is needed")
    watch = machine.Watch(print)
    file = report.kept_file("sizes", watch.machine) if options.keep else options.file
    table: Table = json.loads(file.read_text()) if file.exists() else {}
    if options.sides:
        first, last = options.sides
        measure(table, range(first, last + 1, options.step), options.every, options.rounds)
        table["runs"] = [*table.get("runs", []), watch.end()]
        file.write_text(json.dumps(table, indent=1) + "\n")
    if options.draw:
        draw(table, options.draw)


if __name__ == "__main__":
    main()
