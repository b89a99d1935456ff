"""Figures of the benchmark page, drawn from the kept results when the site is built."""

import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

Row = dict[str, Any]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
TRAININGS = ROOT / "docs" / "results" / "training"
MACHINES = {
    "AMD EPYC": "amd-epyc_2026-11-23.json",
    "Intel Xeon": "intel-r-xeon-r-processor_2026-11-24.json",
}
SHARES = "of_limit", "required_of_limit"
LIBRARIES = "numba + "
FLOOR = 2.0**-25  # about the error of a number that is rounded to single precision
NAMES = {
    "native": "ptycho_fast, native",
    "numba": "ptycho_fast, numba",
    "best library": "best of numba + SciPy, FFTW, MKL, PyTorch",
    "numpy, tuned": "NumPy, one pattern at a time",
    "numpy": "NumPy, batched",
    "translate": "whole canvas moved",
}
COLOURS = {
    "native": "#0b6e99",
    "numba": "#5aa9c4",
    "Generator.poisson": "#777777",
    "numba poisson": "#bbbbbb",
}


def write(folder: Path) -> list[str]:
    """Draw all figures into a folder of the site's source, and tell their names."""
    folder.mkdir(exist_ok=True)
    plt.rcParams.update({"svg.hashsalt": "docs", "font.size": 9, "svg.fonttype": "none"})
    drawn = {
        "patterns": _patterns(),
        "photons": _photons(),
        "feeds": _feeds(),
        "errors": _errors(),
        "trainings": _trainings(),
    }
    for name, figure in drawn.items():
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
        plt.close(figure)
    return [f"{name}.svg" for name in drawn]


def machines() -> Iterator[str]:
    """The table of machines and versions, line by line."""
    yield "| | date | processor | versions | compiler |\n| --- | --- | --- | --- | --- |"
    for name, file in MACHINES.items():
        machine = _kept(file)["machine"]
        versions = ", ".join(f"{what} {which}" for what, which in machine["versions"].items())
        processor = f"{machine['processor']}, {machine['processors']} CPUs"
        compiler = machine["build"]["compiler"]
        yield f"| {name} | {machine['date']} | {processor} | {versions} | {compiler} |"


def targets() -> Iterator[str]:
    """The verdicts of the newest run of `bench.simulate`, line by line."""
    columns = "target", "at", "required", "measured", "", "of the limit", "required of it"

    def cells(row: Row) -> Iterator[str]:
        yield from (row["target"], row["at"], f"{row['required']:g}", f"{row['measured']:.3g}")
        yield "met" if row["met"] else "**not met**"
        yield from (f"{row[key]:.0%}" if key in row else "" for key in SHARES)

    return _table("simulate", "targets", columns, cells)


def end_to_end() -> Iterator[str]:
    """Command to closed file, by the newest run of `bench.end_to_end`, line by line."""
    columns = "file", "side", "patterns", "who", "s", "times ours", "MB", "writing alone, s"
    ours: dict[tuple[Any, ...], float] = {}

    def cells(row: Row) -> Iterator[str]:
        key, s = (row["file"], row["N"], row["patterns"]), statistics.median(row["seconds"])
        yield from (*map(str, key), row["contender"], f"{s:.2f}")
        yield f"{s / ours.setdefault(key, s):.1f}"
        yield from (f"{row['file_bytes'] / 1e6:.1f}", f"{row['limit_seconds']:.2f}")

    return _table("end_to_end", "end_to_end", columns, cells)


def _table(
    what: str, rows: str, columns: tuple[str, ...], cells: Callable[[Row], Iterator[str]]
) -> Iterator[str]:
    """Rows of the newest run of a benchmark; before them its file, its machine, who is absent."""
    if not (file := newest(what)):
        yield "No run is kept yet; `python -m bench.keep` makes one."
        return
    kept = _kept(file)
    facts, before = kept["machine"], kept["load_average"]["before"][0]
    versions = ", ".join(f"{what} {which}" for what, which in facts["versions"].items())
    yield f"From `bench/results/{file}`: {facts['processor']}, {facts['cores']} cores, {versions};"
    yield f"load before the run {before}. " + " ".join(f"Busy {sign}." for sign in kept["busy"])
    yield from (f"Left out: {name} ({why})." for name, why in kept.get("left_out", {}).items())
    yield ""
    yield "| " + " | ".join(columns) + " |"
    yield "| " + " | ".join("---" for _ in columns) + " |"
    yield from ("| " + " | ".join(cells(row)) + " |" for row in kept[rows])


def newest(what: str) -> str:
    """The kept file of a benchmark with the latest day; empty if there is none."""
    files = [path.name for path in RESULTS.glob(f"{what}_*.json")]
    return max(files, key=lambda name: name[-len("2026-11-27.json") :], default="")


def _kept(file: str) -> dict[str, Any]:
    return json.loads((RESULTS / file).read_text())


def _times(rows: list[dict[str, Any]], N: int, photons: float | None) -> dict[str, float]:
    """Microseconds per pattern on one thread, the quickest library for all of them."""
    stage = "diffract" if photons is None else "observe"
    times = {
        row["contender"]: row["us_per_pattern"]
        for row in rows
        if (row["N"], row["threads"], row["stage"], row["photons"]) == (N, 1, stage, photons)
    }
    libraries = [time for name, time in times.items() if name.startswith(LIBRARIES)]
    times["best library"] = min(libraries)
    return {name: times[name] for name in NAMES}


def _patterns() -> Figure:
    figure, axes = plt.subplots(len(MACHINES), 2, figsize=(9, 6.5), sharey=True, sharex="col")
    for row, (machine, file) in zip(axes, MACHINES.items(), strict=True):
        rows = _kept(file)["rows"]
        for ax, photons, what in zip(row, (None, 1e6), ("noise-free", "10⁶ photons"), strict=True):
            for shift, N in zip((0.27, 0, -0.27), (64, 128, 256), strict=True):
                times = list(reversed(_times(rows, N, photons).items()))
                colours = [COLOURS.get(name, "#999999") for name, _ in times]
                y = [place + shift for place in range(len(times))]
                bars = ax.barh(y, [time for _, time in times], 0.25, color=colours)
                ax.bar_label(bars, [f"{time:,.0f}" for _, time in times], padding=2, fontsize=6)
            ax.set(xscale="log", title=f"{machine}, {what}")
            ax.set_yticks(range(len(times)), [NAMES[name] for name, _ in times])
            ax.set_xlim(3, 3e5)
    for ax in axes[-1]:
        ax.set_xlabel("µs per pattern; N = 64, 128, 256 from the top")
    return figure


def _photons() -> Figure:
    figure, axes = plt.subplots(1, len(MACHINES), figsize=(9, 3.2), sharey=True)
    for ax, (machine, file) in zip(axes, MACHINES.items(), strict=True):
        rows = [row for row in _kept(file)["poisson"] if row.get("rates", "constant") == "constant"]
        for name in dict.fromkeys(row["contender"] for row in rows):
            of_name = [row for row in rows if row["contender"] == name]
            ax.plot(
                [row["mean"] for row in of_name],
                [row["ns_per_pixel"] for row in of_name],
                "o-",
                color=COLOURS.get(name),
                label=NAMES.get(name, name),
            )
        ax.set(xscale="log", yscale="log", title=machine, xlabel="mean photons in a pixel")
    axes[0].set_ylabel("ns per pixel")
    axes[1].legend(fontsize=7)
    return figure


def _feeds() -> Figure:
    rows = list(reversed(_kept(newest("feeds"))["feeds"]))
    figure, ax = plt.subplots(figsize=(7, 0.3 * len(rows)))
    ax.barh([row["way"] for row in rows], [row["of_frames"] for row in rows], color="#0b6e99")
    ax.axvline(1, color="black", lw=0.8)
    ax.set_xlabel("speed, in units of Simulator.frames()")
    return figure


def _errors() -> Figure:
    figure, ax = plt.subplots(figsize=(7, 4))
    rows = _kept(newest("errors"))["errors"]
    for N, marker in ((64, "o"), (256, "s")):
        for row in (row for row in rows if row["N"] == N):
            name = row["contender"]
            colour = COLOURS.get(name, "#777777")
            at = row["us_per_pattern"], max(row["error"], FLOOR)
            ax.plot(*at, marker, color=colour)
            label = f"{name}, {N}"
            ax.annotate(label, at, (3, 4), textcoords="offset points", fontsize=6, rotation=30)
    ax.axhline(FLOOR, color="black", lw=0.8, ls=":")
    ax.set(xscale="log", yscale="log", xlabel="µs per pattern", ylim=(FLOOR / 1.5, 6e-7))
    ax.set_ylabel("relative error of amplitudes")
    return figure


def _trainings() -> Figure:
    figure, ax = plt.subplots(figsize=(6, 3.5))
    for path in sorted(TRAININGS.glob("*/scores.json")):
        scores = json.loads(path.read_text())
        seconds = [score["seconds"] for score in scores]
        missing = [1 - score["pearson_r"] for score in scores]
        ax.plot(seconds, missing, "o-", ms=3, label=path.parent.name)
    ax.set(xlabel="seconds of training", ylabel="1 - r of the object", xscale="log", yscale="log")
    ax.legend(fontsize=8)
    return figure
