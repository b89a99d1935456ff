"""C++ test sources as shared libraries for ctypes."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "kernels"


def build(source, folder, *options):
    """The library of ``tests/kernels/<source>``, by the compiler in CXX or one that is found."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    assert compiler, "the kernels are tested with a C++ compiler; CXX names one"
    library = folder / f"lib{Path(source).stem}.so"
    command = [
        compiler, "-std=c++17", "-O1", "-ffp-contract=off", "-fno-math-errno",
        "-fno-trapping-math", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-Wno-unknown-pragmas",
        "-Wno-psabi", "-Wno-unused-function", "-Wno-maybe-uninitialized",
        "-Wno-unknown-warning-option", *options,
        "-shared", "-fPIC", "-o", library, SOURCES / source,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))
