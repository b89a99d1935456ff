"""``ptycho-fast bench``: how many patterns a second the kernels make on this machine."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ptycho_fast import checks
from ptycho_fast.backend import choose, require_device
from ptycho_fast.command import Parser, add_output_flags, examples, run_command, usage_errors, whole
from ptycho_fast.machine import disturbances
from ptycho_fast.selftest import rate
from ptycho_fast.terminal import Output
from ptycho_fast.threads import thread_count

_SIZES = (32, 64, 128, 256, 512)
_EXAMPLES = (
    ("all sizes, in some seconds", "ptycho-fast bench"),
    ("one size on one thread", "ptycho-fast bench --sizes 64 --threads 1"),
    ("another backend, for a program", "ptycho-fast bench --backend reference --sizes 32 --json"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments, by default those of the process.

    Returns
    -------
    int
        The exit code; see `command.run_command`.
    """
    return run_command(parser(), _run, argv)


def parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    parser = Parser(
        prog="ptycho-fast bench",
        description="Measure patterns per second by size, from arrays to arrays in memory, one "
        "probe mode, after the answer was compared with the definition.",
        epilog=f"{examples(*_EXAMPLES)}\n\n"
        "The comparison with other programs needs the source: python -m bench.simulate there.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--sizes",
        type=whole,
        nargs="+",
        metavar="N",
        default=list(_SIZES),
        help=f"sides of a pattern, pixels (default: {' '.join(map(str, _SIZES))})",
    )
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="for each number (default: 0.5), about"
    )
    parser.add_argument("--backend", default="auto", help="auto, native, numba, reference or cuda")
    parser.add_argument("--device", type=whole, metavar="NUMBER", help="GPU, with the backend cuda")
    parser.add_argument("--threads", type=whole, help="threads (default: all)")
    add_output_flags(parser, "the numbers")
    return parser


def _run(options: argparse.Namespace, output: Output) -> None:
    with usage_errors():
        sizes = [checks.integer(N, "--sizes", 8, 2048) for N in options.sizes]
        seconds = checks.positive(options.seconds, "--seconds")
        name, backend = choose(options.backend)
        require_device(options.device, backend)
        threads = thread_count(options.threads)
    if announcement := backend.first_call():
        output.remark(announcement)
    how = {"backend": name, "device": options.device, "threads": threads, "seconds": seconds}
    busy = disturbances()
    for sign in busy:
        output.remark(f"the machine is busy, these numbers are too small: {sign}")
    rows: list[dict[str, Any]] = []
    for N in sizes:
        rows.append(
            {
                "N": N,
                "intensities_per_second": rate(N, noise=False, **how),
                "counts_per_second": rate(N, **how),
            }
        )
    facts = {"backend": name, "threads": threads, "busy": busy, "rates": rows}
    output.result(facts, _lines(facts))


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "backend", f"{facts['backend']}, {facts['threads']} threads"
    yield "patterns/s", f"{'noise-free':>14} {'with photons':>14} {'us a pattern':>14}"
    for row in facts["rates"]:
        plain, counted = row["intensities_per_second"], row["counts_per_second"]
        label = f"{row['N']} x {row['N']}"
        yield label, f"{plain:>14,.0f} {counted:>14,.0f} {1e6 / counted:>14,.1f}"


if __name__ == "__main__":
    sys.exit(main())
