"""C++ test sources as shared libraries for ctypes."""

import ctypes
import fcntl
import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "kernels"


def build(source, folder, name, *options):
    """The library of ``tests/kernels/<source>``, by the compiler in CXX or one that is found.

    It is compiled once in a folder, also if several processes ask for it at the same time.
    """
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    assert compiler, "the kernels are tested with a C++ compiler; CXX names one"
    library = folder / f"lib{name}.so"
    command = [
        compiler, "-std=c++17", "-O1", "-ffp-contract=off", "-fno-math-errno",
        "-fno-trapping-math", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-Wno-unknown-pragmas",
        "-Wno-psabi", "-Wno-unused-function", "-Wno-maybe-uninitialized",
        "-Wno-unknown-warning-option", *options,
        "-shared", "-fPIC", "-o", library, SOURCES / source,
    ]  # fmt: skip
    with library.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists():  # a compiler that fails leaves none
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))
