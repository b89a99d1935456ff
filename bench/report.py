"""Tables, the figure, and the files of figures; how a benchmark begins and ends."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench.contenders import baseline
from bench.machine import Watch
from bench.measure import STAGES, Row, best_ratio, ratio
from bench.objects import PATTERN_SIDE, PATTERNS_NAME, SIZE
from bench.targets import NOISE_FREE, best_library, find

HEADS = {"extract_patches": "patches", "diffract": "noise-free", "sample_photons": "photons alone"}

RESULTS = Path(__file__).parent / "results"


def output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where figures go."""
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    parser.add_argument("--keep", action="store_true", help="write them to bench/results/")


def begin(width: int) -> tuple[Console, Watch]:
    """A console, so wide where it is not a terminal; the machine is watched from now on."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = width
    return console, Watch(console.print)


def end(what: str, watch: Watch, options: argparse.Namespace, figures: Row) -> None:
    """Write figures, and how the run went, to where `output_options` say."""
    write(watch.end() | figures, what, options.json, options.keep)


def make_table(title: str, *columns: str) -> Table:
    """A table as all of them: the first column to the left, the others to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if k else "left", no_wrap=True)
    return table


def _head(stage: str, dose: float | None) -> str:
    return HEADS.get(stage) or f"noisy {dose:.0e}"


def _number(x: float) -> str:
    """At least two digits that count."""
    return f"{x:.2f}" if x < 10 else f"{x:.1f}" if x < 100 else f"{x:.0f}"


def machine(console: Console, facts: Row, peaks: dict[str, float]) -> None:
    """What it ran on."""
    caches = ", ".join(f"{name} {size}" for name, size in facts["caches"].items())
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    build = facts["build"]
    cores = f"{facts['cores']} of {facts['processors']} processors"
    console.print(f"{facts['date']}: {facts['processor']} ({facts['family']}), {cores}, {caches}")
    console.print(f"Python {facts['python']}, {versions}")
    console.print(f"{build.get('compiler', 'no extension')} {build.get('flags', '')}")
    console.print(
        f"one thread at best: copies {peaks['copy_gb_s']:.1f} GB/s; multiplies and adds apart "
        f"{peaks['gflop_s']:.0f} GFLOP/s, fused {peaks['fma_gflop_s']:.0f} GFLOP/s"
    )


def times(console: Console, title: str, rows: list[Row], base: str) -> None:
    """Microseconds per pattern, and times the base's, by contender and stage; last, the limit."""
    table = make_table(title, "", *(_head(*stage) for stage in STAGES))
    for name in dict.fromkeys(row["contender"] for row in rows):
        cells = []
        for stage, dose in STAGES:
            here = find(rows, stage=stage, photons=dose)
            if not (of_name := find(here, contender=name)):
                cells.append("")
                continue
            (mine,), (other,) = of_name, find(here, contender=base)
            mark = "*" if mine is best_library(here) else " "
            us, x = _number(mine["us_per_pattern"]), _number(ratio(mine, other))
            cells.append(f"{us:>6} {x:>5}x{mark}")
        table.add_row(name, *cells)
    limits = [find(rows, contender=base, stage=stage, photons=dose)[0] for stage, dose in STAGES]
    if "of_limit" in limits[0]:
        cells = [
            f"{_number(1e6 * row['limit_seconds'])} {row['of_limit']:5.2f}x " for row in limits
        ]
        table.add_row("limit", *cells)
    console.print(table)


def accounting(console: Console, rows: list[Row]) -> None:
    """What the baseline moves and computes, against what the machine can."""
    table = make_table(
        f"{baseline()}, one thread: bytes that must move, operations that must be done",
        "", "N", "KB/pattern", "GB/s", "of copy", "GFLOP/s", "of mul + add", "limited by", "of it",
    )  # fmt: skip
    for row in find(rows, contender=baseline()):
        table.add_row(
            _head(row["stage"], row["photons"]),
            str(row["N"]),
            f"{row['bytes'] / 1e3:.0f}",
            f"{row['gb_s']:.2f}",
            f"{row['of_copy']:.0%}",
            f"{row['gflop_s']:.2f}",
            f"{row['of_arithmetic']:.0%}",
            row["limited_by"],
            f"{row['of_limit']:.0%}",
        )
    console.print(table)


def poisson(console: Console, rows: list[Row]) -> None:
    """Nanoseconds per pixel of the samplers, and times the baseline's; last, the limit."""
    lines = list(dict.fromkeys((row["rates"], row["mean"]) for row in rows))
    names = list(dict.fromkeys(row["contender"] for row in rows))
    table = make_table(
        f"Photons alone, ns per pixel, one thread, times {baseline()}",
        "rates", "mean", *names, "limit",
    )  # fmt: skip
    for label, mean in lines:
        here = find(rows, rates=label, mean=mean)
        (other,) = find(here, contender=baseline())
        cells = []
        for name in names:
            (mine,) = find(here, contender=name)
            cells.append(f"{_number(mine['ns_per_pixel'])} {_number(ratio(mine, other)):>5}x")
        limit = f"{_number(1e9 * other['limit_seconds'])} {other['of_limit']:5.2f}x"
        table.add_row(label, f"{mean:g}", *cells, limit)
    console.print(table)


def objects(console: Console, rows: list[Row]) -> None:
    """Milliseconds of an object of each kind, and of the patterns beside it."""
    title = (
        f"An object of {SIZE} x {SIZE} pixels, one thread, and {PATTERNS_NAME}, N = {PATTERN_SIDE}"
    )
    table = make_table(title, "", "ms", f"of {PATTERNS_NAME}")
    for row in sorted(rows, key=lambda row: row["ms"]):
        table.add_row(row["kind"], _number(row["ms"]), f"{row['of_patterns']:.1%}")
    console.print(table)


def physics(console: Console, rows: list[Row]) -> None:
    """Microseconds per pattern of each part, and its speed per transform over the plain one's."""
    sides = list(dict.fromkeys(row["N"] for row in rows))
    table = make_table(
        "One thread: us per pattern (best round), speed per transform of the plain one",
        "", "transforms", *(f"N = {N}" for N in sides),
    )  # fmt: skip
    for name in dict.fromkeys(row["part"] for row in rows):
        cells = []
        for N in sides:
            (mine,), (plain,) = find(rows, N=N, part=name), find(rows, N=N, part="plain")
            speed = mine["transforms"] / best_ratio(mine, plain)
            us = _number(1e6 * min(mine["seconds"]))
            cells.append(f"{us:>6} {speed:5.0%}")
        table.add_row(name, str(mine["transforms"]), *cells)
    console.print(table)


def files(console: Console, rows: list[Row], alone: Row) -> None:
    """Seconds, memory and size of each file, and the parts of the work alone."""
    table = make_table(
        "Files: the whole command", "", "patterns", "s", "s of CPUs", "s of patterns", "MiB", "MB"
    )
    for row in rows:
        table.add_row(
            f"{row['file']} {row['flags']}",
            f"{row['patterns']:,}",
            *(f"{row[name]:.2f}" for name in ("seconds", "cpu_seconds", "streaming_seconds")),
            f"{row['memory_bytes'] / 2**20:.0f}",
            f"{row['file_bytes'] / 1e6:.0f}",
        )
    console.print(table)
    parts = ", ".join(
        f"{name} {alone[name]:.2f} s" for name in ("making", "compressing", "writing")
    )
    copied = alone["copied_bytes_per_second"] / 1e9
    console.print(f"Alone, with all cores: {parts}; memory is copied at {copied:.1f} GB/s")


def targets(console: Console, verdicts: list[Row]) -> None:
    """Target, measured, met or not."""
    if not verdicts:
        return
    columns = "required", "hoped for", "measured", "", "of the limit", "required of it"
    table = make_table("Targets", "", "at", *columns)
    table.columns[1].justify = "left"
    for row in verdicts:
        hoped = row["hoped"]
        word = "not met" if not row["met"] else "met"
        if hoped and row["measured"] >= hoped:
            word = "reached what was hoped for"
        names = "of_limit", "required_of_limit"
        shares = [f"{row[name]:.0%}" if name in row else "" for name in names]
        table.add_row(
            row["target"], row["at"], f"{row['required']:g}", f"{hoped:g}" if hoped else "",
            _number(row["measured"]), word, *shares,
        )  # fmt: skip
    console.print(table)
    console.print(f"{sum(row['met'] for row in verdicts)} of {len(verdicts)} met")


def plot(path: Path, rows: list[Row], facts: dict[str, Any]) -> None:
    """Microseconds per pattern by contender and patch side, noise-free and noisy."""
    from matplotlib.figure import Figure

    panels = [(NOISE_FREE, "noise-free")]
    panels += [(("observe", dose), f"{dose:.0e} photons per pattern") for dose in (1e6, 1e9)]
    sides = sorted({row["N"] for row in rows})
    first = find(rows, N=sides[0], stage="observe", photons=1e9)
    order = [row["contender"] for row in sorted(first, key=lambda row: -row["us_per_pattern"])]
    figure = Figure(figsize=(12, 0.42 * len(order) + 1.8), layout="constrained")
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True)
    for ax, ((stage, dose), title) in zip(axes, panels, strict=True):
        for N, marker in zip(sides, "osD^vPX*", strict=False):
            here = find(rows, N=N, stage=stage, photons=dose)
            at = [find(here, contender=name)[0]["us_per_pattern"] for name in order]
            ax.plot(at, range(len(order)), marker, markersize=7, label=f"N = {N}")
        ax.set_xscale("log")
        ax.set_title(title)
        ax.grid(color="0.9")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(order)), order)
    axes[1].set_xlabel("microseconds per pattern, one thread (less is better)")
    axes[-1].legend(loc="lower left", frameon=True)
    figure.suptitle(f"{facts['processor']}, {facts['date']}", fontsize=9, color="0.4")
    figure.savefig(path, dpi=150)


def kept_file(what: str, facts: Row) -> Path:
    """In bench/results/, under the names of the machine and the day."""
    name = re.sub(r"\W+", "-", facts["processor"]).strip("-").lower() + "_" + facts["date"]
    return RESULTS / f"{what}_{name}.json"


def kept(what: str, facts: Row) -> Row:
    """What is kept of this machine and day; nothing yet is an empty dict."""
    file = kept_file(what, facts)
    return json.loads(file.read_text()) if file.is_file() else {}


def write(figures: Row, what: str, path: Path | None, keep: bool) -> Path | None:
    """Write figures to a file, and to a kept one; returns that."""
    file = kept_file(what, figures["machine"]) if keep else None
    for to in filter(None, (path, file)):
        to.write_text(json.dumps(figures, indent=1) + "\n")
    return file
