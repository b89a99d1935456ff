"""``python -m bench.simulate``: check that all agree, then time them, stage by stage and fused.

Contenders are this project's backends, the best pipelines of libraries, pure NumPy, and the
whole-canvas method of existing simulators. Ratios are medians over rounds that go through the
contenders in turn; the last table says which targets are met.

With ``--keep --add`` a run on an otherwise idle machine can be made in pieces: ``--parts patterns
--sizes 64``, then others. Each adds to what is kept of this machine and day.
"""

import argparse
from pathlib import Path

from bench import machine, report
from bench.contenders import baseline, report_missing
from bench.measure import Row, measure, measure_poisson
from bench.objects import measure_objects
from bench.targets import judge
from ptycho_fast.threads import thread_count

PARTS = ("patterns", "threads", "photons", "objects")
BY_SIDE = ("patterns", "threads")
LISTS = ("rows", "scaling", "poisson", "objects")  # figures that are rows


def parse() -> argparse.Namespace:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.simulate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256], metavar="N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--threads", type=int, help="all threads (default: what the library takes by default)"
    )
    parser.add_argument("--quick", action="store_true", help="small batches, three rounds")
    report.output_options(parser)
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw them there")
    parser.add_argument("--add", action="store_true", help="to what is kept, not instead of it")
    return parser.parse_args()


def add(figures: Row, earlier: Row) -> None:
    """Add the rows of earlier pieces, but those of sides that were measured again.

    A piece of which nothing is left is forgotten, with what disturbed it.
    """
    for name in LISTS:
        sides = {row.get("N") for row in figures[name]}
        before = [row for row in earlier.get(name, []) if row.get("N") not in sides]
        figures[name] = before + figures[name]
    there = {row.get("contender") for name in LISTS for row in figures[name]}
    left_out = earlier.get("left_out", {}) | figures["left_out"]
    figures["left_out"] = {name: why for name, why in left_out.items() if name not in there}
    pieces, later = [], set()
    for piece in reversed(earlier.get("pieces", []) + figures["pieces"]):
        if not measured(piece) <= later:
            pieces.insert(0, piece)
        later |= measured(piece)
    figures["pieces"] = pieces
    figures["busy"] = [sign for piece in pieces for sign in piece["busy"]]


def measured(piece: Row) -> set[tuple[str, int | None]]:
    """Parts, and of which sides, that a piece of a run has."""
    sides = {part: piece["sizes"] for part in BY_SIDE}
    return {(part, N) for part in piece["parts"] for N in sides.get(part, [None])}


def main() -> None:
    """Run, print and keep."""
    options = parse()
    batch, pixels, rounds = (64, 2**16, 3) if options.quick else (256, 2**20, options.rounds)
    threads = thread_count(options.threads)
    console, watch = report.begin(170)
    peaks = machine.peaks()
    report.machine(console, watch.machine, peaks)
    rows, scaling, poisson, kinds = [], [], [], []
    left_out: dict[str, str] = {}
    for part, to, n_threads in (("patterns", rows, 1), ("threads", scaling, threads)):
        if part not in options.parts or (part == "threads" and threads == 1):
            continue
        for N in options.sizes:
            here, missing = measure(N, batch, pixels, rounds, n_threads, peaks)
            left_out |= missing
            many = f"{n_threads} threads" if n_threads > 1 else "one thread"
            title = f"N = {N}, {many}: us per pattern, times {baseline()} (* best library)"
            report.times(console, title, here, baseline())
            to += here
    if "photons" in options.parts:
        poisson, missing = measure_poisson(pixels, rounds, peaks)
        left_out |= missing
    if "objects" in options.parts:
        kinds = measure_objects(rounds)
    report_missing(left_out)
    facts = watch.end()
    figures: Row = facts | {
        "peaks": peaks,
        "baseline": baseline(),
        "left_out": left_out,
        "patterns_in_a_call": batch,
        "rounds": rounds,
        "rows": rows,
        "scaling": scaling,
        "poisson": poisson,
        "objects": kinds,
        "pieces": [
            {key: value for key, value in facts.items() if key != "machine"}
            | {"peaks": peaks, "rounds": rounds, "parts": options.parts, "sizes": options.sizes}
        ],
    }
    if options.add:
        add(figures, report.kept("simulate", watch.machine))
    figures["targets"] = judge(*(figures[name] for name in LISTS))
    if figures["poisson"]:
        report.poisson(console, figures["poisson"])
    if figures["objects"]:
        report.objects(console, figures["objects"])
    if figures["rows"]:
        report.accounting(console, figures["rows"])
    report.targets(console, figures["targets"])
    kept = report.write(figures, "simulate", options.json, options.keep)
    pictures = (options.plot, kept and kept.with_suffix(".png")) if figures["rows"] else ()
    for path in filter(None, pictures):
        report.plot(path, figures["rows"], watch.machine)


if __name__ == "__main__":
    main()
