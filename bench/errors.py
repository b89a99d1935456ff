"""Time against error: noise-free patterns of every contender, on one thread.

The error is that of the amplitudes, relative to their norm, against the definition in double
precision (the reference), whose result is rounded to single precision like all others. Whoever
interpolates otherwise is judged at whole pixels.
"""

import argparse
import statistics

import numpy as np

from bench import report
from bench.contenders import Buffers, count, make_case, make_contenders, report_missing
from bench.library_pipelines import limit_threads
from bench.measure import Row, Work, in_turn

BATCH = 256
JUDGED = 21  # patterns, which end within a chunk
PIXELS = 2**20


def measure(N: int, rounds: int) -> tuple[list[Row], dict[str, str]]:
    """Errors and times of all contenders at one side of a pattern.

    Parameters
    ----------
    N : int
        Side of a pattern, pixels.
    rounds : int
        In which the contenders take turns.

    Returns
    -------
    list of dict
        ``contender``, ``whole_pixels``, ``error``, ``us_per_pattern`` (median), ``seconds``.
    dict
        Who was left out, and why.
    """
    case = make_case(N, BATCH)
    contenders, missing = make_contenders(case, 1)
    limit_threads(1)  # now that the libraries are loaded
    buffers = Buffers(BATCH, N)
    reference = contenders.pop("reference")
    errors: dict[str, float] = {}
    works: dict[str, Work] = {}
    for name, contender in contenders.items():
        few = case.positions[: 2 if contender.slow else JUDGED]
        at = np.round(few) if contender.whole_pixels else few
        truth = np.sqrt(reference.diffract(at, np.empty_like(buffers.intensity[: len(at)])))
        mine = np.sqrt(contender.diffract(at, buffers.intensity[: len(at)]))
        off = mine.astype(np.float64) - truth
        errors[name] = float(np.linalg.norm(off) / np.linalg.norm(truth.astype(np.float64)))
        n = count(contender, BATCH, PIXELS)
        positions, out = case.positions[:n], buffers.intensity[:n]
        works[name] = (lambda of=contender, p=positions, to=out: of.diffract(p, to)), n
    slow = [name for name, contender in contenders.items() if contender.slow]
    rows = [
        {
            "N": N,
            "contender": name,
            "whole_pixels": contenders[name].whole_pixels,
            "error": errors[name],
            "us_per_pattern": 1e6 * statistics.median(seconds),
            "seconds": seconds,
        }
        for name, seconds in in_turn(works, rounds, slow).items()
    ]
    return rows, missing


def main() -> None:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.errors", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256], metavar="N")
    parser.add_argument("--rounds", type=int, default=9)
    report.output_options(parser)
    options = parser.parse_args()
    console, watch = report.begin(110)
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for N in options.sizes:
        here, missing = measure(N, options.rounds)
        rows += here
        left_out |= missing
    report_missing(left_out)
    for row in rows:
        us, error = row["us_per_pattern"], row["error"]
        console.print(f"N = {row['N']:3}  {row['contender']:16} {us:9.1f} us  error {error:.1e}")
    figures = {"rounds": options.rounds, "left_out": left_out, "errors": rows}
    report.end("errors", watch, options, figures)


if __name__ == "__main__":
    main()
