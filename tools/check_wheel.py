"""Is a wheel fit for users? Run by the Python of a fresh environment that it is installed in.

``python tools/check_wheel.py WHEEL`` prints its figures, and ends with an error where one is out of
bounds: the size of the file, what is in it, and how long an import and the start of a command take.
"""

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

BYTES = 5_000_000
IMPORT_SECONDS = 0.15  # of CPU time, without the interpreter's own
START_SECONDS = 1.2  # of ptycho-fast simulate --version, with the interpreter's own

NEEDED = (
    "ptycho_fast/py.typed",
    "ptycho_fast/_core.pyi",
    "ptycho_fast/scenario/presets/gs2_ideal.toml",
    "ptycho_fast/scenario/campaigns/xray_zoo.toml",
    "ptycho_fast/csrc/cuda/kernels.cu",
)


def check(name: str, value: float, most: float, unit: str) -> None:
    """Print a figure; end with an error if it is out of bounds."""
    print(f"{name:28} {value:10.3g} {unit}, at most {most:g}")
    if value > most:
        raise SystemExit(f"{name}: {value:g} {unit}, expected at most {most:g}")


def cpu_seconds(*code: str) -> float:
    """The least CPU time of five processes, in which each line of code is run and timed."""
    lines = "; ".join(("import time", *code, "print(time.process_time())"))
    runs = (
        subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
        for _ in range(5)
    )
    return min(float(done.stdout.split()[-1]) for done in runs)


def main() -> None:
    """Check the wheel that the command line names."""
    (wheel,) = map(Path, sys.argv[1:])
    check("wheel", wheel.stat().st_size / 1e6, BYTES / 1e6, "MB")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        size = sum(one.file_size for one in archive.infolist())
    print(f"{'unpacked':28} {size / 1e6:10.3g} MB")
    missing = [name for name in NEEDED if name not in names]
    if missing or not any("/_core." in name and not name.endswith(".pyi") for name in names):
        raise SystemExit(f"{wheel}: does not hold {', '.join(missing) or 'the extension'}")
    if any(name.startswith(("tests/", "bench/")) for name in names):
        raise SystemExit(f"{wheel}: holds more than the package")
    if sys.platform == "linux" and "manylinux" not in wheel.name:
        raise SystemExit(f"{wheel}: expected a tag of manylinux, which auditwheel repair gives")

    about = importlib.metadata.metadata("ptycho_fast")
    if about["Author"] != "ptycho_fast developers" or "License-File" not in about:
        raise SystemExit("metadata: author or licence is missing")
    bare = cpu_seconds()
    check("import ptycho_fast", cpu_seconds("import ptycho_fast") - bare, IMPORT_SECONDS, "s")
    start = "from ptycho_fast.commands import main", "import contextlib"
    run = "\nwith contextlib.suppress(SystemExit): main(['simulate', '--version'])\n"
    check("ptycho-fast simulate", cpu_seconds(*start, run + "pass"), START_SECONDS, "s")


if __name__ == "__main__":
    main()
