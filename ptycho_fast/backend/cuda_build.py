"""The CUDA kernels of this installation: the source, and a fat binary if one was built.

This module does not need CuPy, so kernels can be compiled and inspected on machines without a GPU.
"""

import re
from pathlib import Path

import ptycho_fast

# IEEE-exact operations in one order, as on the CPU. The suppressed warnings are about GCC's pragmas
# and vector types, loops that do nothing for one lane, and code that only the CPU needs.
FLAGS = (
    "--std=c++17",
    "--fmad=false",
    "--ftz=false",
    "--prec-div=true",
    "--prec-sqrt=true",
    "--diag-suppress=128,161,177,1097,1675",
)


def nvrtc_options() -> tuple[str, ...]:
    """Options for NVRTC, which compiles unmarked functions for the GPU."""
    return (*FLAGS, "--device-as-default-execution-space")


def _installed(name: str) -> Path | None:
    """A file of the installed package; a source tree on the path does not have the built ones."""
    there = (Path(folder) / name for folder in ptycho_fast.__path__)
    return next((path for path in there if path.is_file()), None)


def source() -> str:
    """``kernels.cu`` with its headers in place, for NVRTC.

    Raises
    ------
    FileNotFoundError
        It was not installed.
    """
    path = _installed("csrc/cuda/kernels.cu")
    if path is None:
        raise FileNotFoundError("csrc/cuda/kernels.cu is not installed; reinstall ptycho_fast")
    return _with_headers(path, set())


def _with_headers(path: Path, done: set[Path]) -> str:
    def included(match: re.Match[str]) -> str:
        header = (path.parent / match[1]).resolve()
        if header in done:
            return ""
        done.add(header)
        return _with_headers(header, done)

    text = path.read_text().replace("#pragma once\n", "")
    return re.sub(r'^#include "(.+)"\n', included, text, flags=re.MULTILINE)


def binary() -> Path | None:
    """The fat binary; None if none was built."""
    return _installed("csrc/cuda/kernels.fatbin")


def architectures() -> list[int]:
    """Compute capabilities (90 for 9.0) in the fat binary; its PTX is for the last of them."""
    path = _installed("csrc/cuda/kernels.fatbin.txt")
    return sorted(int(word) for word in path.read_text().split()) if path else []


def fits_binary(capability: tuple[int, int]) -> bool:
    """Whether a GPU of that compute capability runs code of the fat binary.

    Machine code runs on its own generation from its own minor version on; PTX on all newer GPUs.
    """
    built = [divmod(number, 10) for number in architectures()]
    same = any(major == capability[0] and minor <= capability[1] for major, minor in built)
    return bool(built) and (same or capability >= built[-1])
