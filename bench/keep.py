"""``python -m bench.keep``: a kept run of all that the benchmark page quotes, in short pieces.

Each piece is a process of its own and ends within one and a half minutes on two quiet cores, so a
machine need not be quiet for longer at a time. With ``--through COMMAND`` the pieces are run
through a command that makes it so. A piece that fails does not keep the others from running; the
exit code is then 1. Pieces that are kept already today are replaced.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PIECES = (
    "simulate --add --parts patterns --sizes 64 128",
    "simulate --add --parts patterns --sizes 256",
    "simulate --add --parts photons objects",
    "simulate --add --parts threads --sizes 64 128",
    "simulate --add --parts threads --sizes 256",
    "errors",
    "end_to_end --rounds 2",
    "calls",
    "sizes --sides 8 520",
    "sizes --sides 521 1249 --step 7",
    "sizes --sides 1256 1452 --step 7",
    "sizes --sides 1459 1648 --step 7",
    "sizes --sides 1655 1851 --step 7",
    "sizes --sides 1858 2047 --step 7",
)


def main() -> int:
    """Run the pieces, some or all."""
    pieces = "\n".join(f"{number:5}  {piece}" for number, piece in enumerate(PIECES, 1))
    parser = argparse.ArgumentParser(
        prog="python -m bench.keep", description=__doc__, epilog=f"pieces:\n{pieces}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--through", metavar="COMMAND", default="", help="runs each piece")
    parser.add_argument(
        "--only", type=int, nargs="+", metavar="NUMBER", choices=range(1, len(PIECES) + 1),
        default=range(1, len(PIECES) + 1), help=f"pieces, 1 to {len(PIECES)} (default: all)",
    )  # fmt: skip
    options = parser.parse_args()
    failed = []
    for number in options.only:
        sys.stderr.write(f"piece {number} of {len(PIECES)}: {PIECES[number - 1]}\n")
        name, *flags = PIECES[number - 1].split()
        command = [*shlex.split(options.through), sys.executable, "-m", f"bench.{name}"]
        if subprocess.run([*command, *flags, "--keep"], cwd=ROOT, check=False).returncode:
            failed.append(number)
    if failed:
        sys.stderr.write(f"failed pieces: {' '.join(map(str, failed))}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
