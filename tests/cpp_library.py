"""C++ test sources as shared libraries for ctypes, and as programs."""

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
    kernels = ("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
    library = folder / f"lib{name}.so"
    failed = _compiled(source, library, *kernels, *options, "-shared", "-fPIC")
    assert not failed, failed
    return ctypes.CDLL(str(library))


def program(source, folder, name, *options):
    """The program of a source, compiled like a library; RuntimeError if it cannot be."""
    made = folder / name
    if failed := _compiled(source, made, *options, "-pthread"):
        raise RuntimeError(failed)
    return made


def _compiled(source, made, *options):
    """What the compiler says if it fails, else nothing."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    assert compiler, "the kernels are tested with a C++ compiler; CXX names one"
    command = [
        compiler, "-std=c++17", "-O1", "-Wall", "-Wextra", "-Wshadow", "-Werror",
        "-Wno-unknown-pragmas", "-Wno-psabi", "-Wno-unused-function", "-Wno-maybe-uninitialized",
        "-Wno-unknown-warning-option", *options, "-o", made, SOURCES / source,
    ]  # fmt: skip
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():  # a compiler that fails leaves none
            return ""
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stderr if done.returncode else ""
