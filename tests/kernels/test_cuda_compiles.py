"""The CUDA source compiles, by nvcc where there is one and by NVRTC in any case, without a GPU.

The kernels whose patterns or panels stand in shared memory may neither spill registers nor use
local memory: that would be traffic that nobody sees in the source.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ptycho_fast.backend import cuda_build

pytestmark = pytest.mark.native  # the source is installed with the extension

ROOT = Path(__file__).parents[2]
CMAKE = (ROOT / "cmake" / "cuda.cmake").read_text()
LISTED = re.search(r"default_cuda_architectures ([\d ]+)\)", CMAKE)[1].split()


def resources(log):
    """(stack and spilled bytes, registers) of each kernel, from the assembler's report."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        numbers = re.search(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part
        )
        registers = re.search(r"Used (\d+) registers", part)
        found[part.partition("'")[0]] = sum(map(int, numbers.groups())), int(registers[1])
    return found


def check(log):
    kernels = resources(log)
    assert {"fused_32", "fused_128", "rows_512", "columns_256", "any_rows"} < kernels.keys()
    blocks = {name: kernels[name] for name in kernels if re.match(r"(fused|columns|rows)_\d", name)}
    spilled = {name: used for name, (used, _) in blocks.items() if used}
    assert not spilled, f"bytes of stack and spills: {spilled}"
    assert kernels["fused_128"][1] * 1024 <= 65536  # or a block does not start at all


def test_nvcc_and_cmake_have_the_same_flags():
    assert f"set(cuda_flags {' '.join(cuda_build.FLAGS)})" in CMAKE


def by_nvrtc(*options):
    """The program, and what the compiler says."""
    from cuda.bindings import nvrtc

    program = _nvrtc(nvrtc.nvrtcCreateProgram, cuda_build.source().encode(), b"", 0, [], [])
    encoded = [option.encode() for option in (*options, *cuda_build.nvrtc_options())]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(encoded), encoded)
    log = bytearray(_nvrtc(nvrtc.nvrtcGetProgramLogSize, program))
    _nvrtc(nvrtc.nvrtcGetProgramLog, program, log)
    assert status == nvrtc.nvrtcResult.NVRTC_SUCCESS, log.decode()
    return program, log.decode()


def _nvrtc(function, *args):
    status, *result = function(*args)
    assert status.name == "NVRTC_SUCCESS", status
    return result[0] if result else None


@pytest.mark.slow  # a quarter of a minute; a step of its own in the integration
@pytest.mark.parametrize("architecture", LISTED)
def test_nvrtc(architecture):
    from cuda.bindings import nvrtc

    program, log = by_nvrtc(f"--gpu-architecture=sm_{architecture}", "--ptxas-options=-v")
    assert "warning" not in log
    assert _nvrtc(nvrtc.nvrtcGetCUBINSize, program) > 100_000
    check(log)


@pytest.mark.slow
def test_every_operation_is_rounded_as_it_stands():
    """In PTX: no fused multiply-add, nothing approximate or flushed to zero."""
    from cuda.bindings import nvrtc

    program, _ = by_nvrtc("--gpu-architecture=compute_90")
    ptx = bytearray(_nvrtc(nvrtc.nvrtcGetPTXSize, program))
    _nvrtc(nvrtc.nvrtcGetPTX, program, ptx)
    operations = set(re.findall(r"\b[a-z]+\.[a-z.]*f(?:32|64)\b", ptx.decode()))
    assert {"mul.rn.f32", "add.rn.f64", "sqrt.rn.f32", "rcp.rn.f32"} < operations
    assert not [name for name in operations if re.search(r"fma|mad|ftz|approx", name)]
    for name in operations:
        if re.match("(add|sub|mul|div|rcp|sqrt)", name):
            assert ".rn." in name, name


@pytest.mark.skipif(not shutil.which("nvcc"), reason="no nvcc; NVRTC compiles the same source")
@pytest.mark.slow  # a quarter of a minute; a step of its own in the integration
@pytest.mark.parametrize("architecture", LISTED)
def test_nvcc(architecture, tmp_path):
    command = [
        "nvcc", *cuda_build.FLAGS, "-Werror=all-warnings", "-Xptxas=-v", "-cubin",
        f"-arch=sm_{architecture}", "-o", tmp_path / "kernels.cubin",
        ROOT / "csrc" / "cuda" / "kernels.cu",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    check(done.stdout + done.stderr)


def test_which_gpus_the_binary_fits(monkeypatch):
    monkeypatch.setattr(cuda_build, "architectures", lambda: [80, 90])
    fits = {n: cuda_build.fits_binary(divmod(n, 10)) for n in (75, 80, 86, 89, 90, 100, 120)}
    assert fits == {75: False, 80: True, 86: True, 89: True, 90: True, 100: True, 120: True}
    monkeypatch.setattr(cuda_build, "architectures", lambda: [86, 120])
    fits = {n: cuda_build.fits_binary(divmod(n, 10)) for n in (80, 86, 90, 121)}
    assert fits == {80: False, 86: True, 90: False, 121: True}
    monkeypatch.setattr(cuda_build, "architectures", list)
    assert not cuda_build.fits_binary((9, 0))
