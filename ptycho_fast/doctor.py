"""``ptycho-fast doctor``: what is installed, whether it works, and how to mend it."""

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ptycho_fast import selftest
from ptycho_fast.backend import backends, choose, native
from ptycho_fast.build import build_info
from ptycho_fast.command import Parser, add_output_flags, examples, run_command
from ptycho_fast.machine import disturbances, memory_available
from ptycho_fast.terminal import Output, bytes_text, watched
from ptycho_fast.threads import thread_count, why_so_many

_GOOD, _NOTE, _PROBLEM = "good", "note", "problem"
_LIBRARIES = ("numpy", "scipy", "numba", "scikit-image", "pillow", "rich")
_OPTIONAL = ("matplotlib", "h5py", "hdf5plugin", "zarr", "dask", "distributed")
_FILTERS = {"bitshuffle": 32008, "Blosc": 32001, "LZ4": 32004, "Zstandard": 32015}
_SLOW = {"native": 10_000, "numba": 3_000}  # patterns/s: the slowest idle CPU that we know has more
_SECONDS = 60.0  # that a framework may take to start
_EXAMPLES = (
    ("all is well, or what to do", "ptycho-fast doctor"),
    ("with the devices of TensorFlow and PyTorch, which take seconds", "ptycho-fast doctor --deep"),
    ("for a bug report", "ptycho-fast doctor --json"),
)


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes
    ----------
    name : str
        What was looked at.
    text : str
        What was found.
    state : {"good", "note", "problem"}
        A note is worth knowing, and all works without it.
    mend : str
        The command that mends it; empty if nothing has to be.
    """

    name: str
    text: str
    state: str = _GOOD
    mend: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments, by default those of the process.

    Returns
    -------
    int
        The exit code; see `command.run_command`. A problem is 1.
    """
    return run_command(parser(), _run, argv)


def parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    parser = Parser(
        prog="ptycho-fast doctor",
        description="Say what is installed, test the bits and the speed of the kernels, and give "
        "for each problem the command that mends it. The exit code is 0, or 1 with a problem. What "
        "is not installed and not needed is no problem.",
        epilog=examples(*_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--deep",
        action="store_true",
        help="start TensorFlow and PyTorch, too, and ask for their devices",
    )
    add_output_flags(parser, "all of it")
    return parser


def _run(options: argparse.Namespace, output: Output) -> None:
    with watched(output.for_people) as clock, clock.stage("look"):
        found = list(findings(deep=options.deep))
    problems = [one for one in found if one.state == _PROBLEM]
    verdict = _verdict(found, problems)
    facts = {"verdict": verdict, "findings": [asdict(one) for one in found]}
    output.result(facts, _lines(found, verdict))
    if problems:
        raise RuntimeError(f"{'; '.join(one.name for one in problems)}: see the lines above")


def _verdict(found: list[Finding], problems: list[Finding]) -> str:
    if problems:
        many = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        return f"{many}: {', '.join(one.name for one in problems)}"
    speed = next(one for one in found if one.name == "speed")
    notes = sum(one.state == _NOTE for one in found)
    more = "" if not notes else ", 1 note" if notes == 1 else f", {notes} notes"
    well = "all is well" if speed.state == _GOOD else "it works, slowly now"
    return f"{well}{more}: {speed.text.partition(';')[0]}"


def _lines(found: list[Finding], verdict: str) -> Iterator[tuple[str, str]]:
    for one in found:
        mark = "" if one.state == _GOOD else f"{one.state.upper()}: "
        yield one.name, f"\n{'':19}".join(textwrap.wrap(mark + one.text, 80))
        if one.mend:
            yield "", f"  mend it by: {one.mend}"
    yield "verdict", verdict


def findings(*, deep: bool = False) -> Iterator[Finding]:
    """Look at everything.

    Parameters
    ----------
    deep : bool
        Whether to start TensorFlow and PyTorch, in processes of their own.

    Yields
    ------
    Finding
        In the order of the report; "speed" is always there.
    """
    yield from _safely("versions", _versions)
    yield from _safely("processor", _processor)
    yield from _safely("threads", _threads)
    yield from _safely("backend", _backend)
    yield from _safely("bits", _bits)
    yield from _safely("speed", _speed)
    yield from _safely("GPU", _gpu)
    yield from _safely("HDF5", _hdf5)
    yield from _safely("TensorFlow", lambda: _framework("tensorflow", "TensorFlow", "tf", deep))
    yield from _safely("PyTorch", lambda: _framework("torch", "PyTorch", "torch", deep))


def _safely(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What `look` finds; an error that was not foreseen is a problem, and the report goes on."""
    try:
        yield from look()
    except Exception as error:
        at_fault = str(error).partition(":")[0]
        mend = f"unset {at_fault}" if at_fault in os.environ else _reinstall()
        yield Finding(name, f"{type(error).__name__}: {error}", _PROBLEM, mend)


def _reinstall() -> str:
    """The command that installs this package again: from its source where that is here."""
    source = Path(__file__).parents[1]
    what = str(source) if (source / "CMakeLists.txt").exists() else "ptycho_fast"
    return f"pip install --force-reinstall --no-cache-dir --no-deps {shlex.quote(what)}"


def version_of(package: str) -> str | None:
    """The installed version of a package, which is not imported; None without it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _listed(packages: Sequence[str]) -> str:
    found = {name: version_of(name) for name in packages}
    return ", ".join(f"{name} {version}" for name, version in found.items() if version)


def _versions() -> Iterator[Finding]:
    info = build_info()
    yield Finding("ptycho_fast", f"{info['version']}, Python {info['python']}, {info['platform']}")
    missing = [name for name in _LIBRARIES if version_of(name) is None]
    if missing:
        text = f"not installed: {', '.join(missing)}"
        yield Finding("libraries", text, _PROBLEM, f"pip install {' '.join(missing)}")
    else:
        yield Finding("libraries", _listed(_LIBRARIES))
    if there := _listed(_OPTIONAL):
        yield Finding("optional", there)


# --- the CPU ---


def _processor() -> Iterator[Finding]:
    name, memory = processor_name(), memory_available()
    free = "" if memory is None else f", {bytes_text(memory)} of memory free"
    if native.why_not():
        yield Finding("processor", f"{name}{free}")
        return
    usable, asked = native.core().instruction_sets(), os.environ.get("PTYCHO_FAST_ISA", "")
    if asked and asked not in usable:
        text = f"PTYCHO_FAST_ISA is {asked!r}, expected one of {', '.join(usable)}"
        yield Finding("processor", text, _PROBLEM, "unset PTYCHO_FAST_ISA")
        return
    chosen = f"{asked}, as PTYCHO_FAST_ISA asks" if asked else f"{usable[-1]}, the best that it has"
    yield Finding("processor", f"{name}{free}; kernels for {chosen}")


def processor_name() -> str:
    """The processor as its maker calls it, or its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _threads() -> Iterator[Finding]:
    try:
        yield Finding("threads", f"{thread_count(None)}: {why_so_many()}")
    except ValueError as error:
        variable = str(error).partition(":")[0]
        yield Finding("threads", str(error), _PROBLEM, f"unset {variable}")


def _backend() -> Iterator[Finding]:
    status, (name, _) = backends(), choose("auto")
    better = [status[one] for one in list(status)[: list(status).index(name)]]
    if not better:
        core = native.core()
        place = Path(str(core.__file__)).parent
        where = "" if place == Path(__file__).parent else f", in {place}"
        yield Finding("backend", f"{name}, compiled by {core.build_facts()['compiler']}{where}")
        return
    built = importlib.util.find_spec("ptycho_fast._core") is not None
    slow = list(status).index(name) > 1  # not even numba
    reasons = "; ".join(one.reason for one in better)
    text = f"{name}, since {reasons}"
    mend = f"PTYCHO_FAST_NATIVE=ON {_reinstall()}"
    yield Finding("backend", text, _PROBLEM if built or slow else _NOTE, mend)


# --- the kernels ---


def _bits() -> Iterator[Finding]:
    if native.why_not():
        yield Finding("bits", "not tested: only the compiled kernels promise them", _NOTE)
        return
    sets = native.core().instruction_sets()
    wrong = [isa for isa in sets if selftest.bits(isa) != selftest.GOLDEN]
    if wrong:
        text = f"wrong with {', '.join(wrong)}: do not use this installation"
        yield Finding("bits", text, _PROBLEM, _reinstall())
    else:
        yield Finding("bits", f"right with {', '.join(sets)}")


def _speed() -> Iterator[Finding]:
    name, backend = choose("auto")
    if backend.first_call():  # seconds of compilation, which nobody asked for here
        yield Finding("speed", f"{name}, not measured: its first call compiles it")
        return
    rate = selftest.rate(64)
    text = f"{name}, {rate:,.0f} patterns of 64 x 64 pixels a second"
    least = _SLOW.get(name, 0)
    if rate >= least:
        yield Finding("speed", text)
        return
    slowed = "the processor is slowed down, or a container gives this process a part of it"
    why = ", and ".join(disturbances()) or slowed
    yield Finding("speed", f"{text}; an idle machine makes more than {least:,}: {why}", _NOTE)


# --- what is not always there ---


def _gpu() -> Iterator[Finding]:
    driver = driver_version()
    cupys = sorted(
        {
            name
            for one in importlib.metadata.distributions()
            if (name := one.metadata["Name"] or "").lower().startswith("cupy")
        }
    )
    if len(cupys) > 1:
        text = f"several packages of CuPy, which overwrite each other: {', '.join(cupys)}"
        mend = f"pip uninstall -y {' '.join(cupys)} && pip install {_cupy_for(driver)}"
        yield Finding("CuPy", text, _PROBLEM, mend)
        return
    if not cupys:
        if driver is None:
            yield Finding("GPU", "none is used: no NVIDIA driver, no CuPy")
        else:
            text = f"not used: driver {driver}, but no CuPy"
            yield Finding("GPU", text, _NOTE, f"pip install {_cupy_for(driver)}")
        return
    reason = backends()["cuda"].reason
    package = f"{cupys[0]} {version_of(cupys[0])}"
    if not reason:
        yield Finding("GPU", f"{package}, {_gpu_facts()}")
    elif driver is None:
        yield Finding("GPU", f"not used: {package}, but no NVIDIA driver", _NOTE)
    else:
        mend = f"pip install {_cupy_for(driver)}" if "pip install" in reason else "nvidia-smi"
        yield Finding("GPU", f"{package}, driver {driver}: {reason}", _PROBLEM, mend)


def driver_version() -> str | None:
    """Version of the NVIDIA driver, without loading it; None without a driver."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return None
    return next((word for word in text.split() if word[:1].isdigit() and "." in word), "unknown")


def _cupy_for(driver: str | None) -> str:
    """The package of CuPy for a driver: CUDA 13 needs 580 or newer."""
    major = (driver or "").partition(".")[0]
    return "cupy-cuda12x" if major.isdigit() and int(major) < 580 else "cupy-cuda13x"


def _gpu_facts() -> str:
    from ptycho_fast.backend import cuda, cuda_build

    runtime = cuda.cupy().cuda.runtime
    device = cuda.cupy().cuda.Device()
    name = runtime.getDeviceProperties(device.id)["name"].decode()
    capability = device.compute_capability
    fits = cuda_build.fits_binary((int(capability[:-1]), int(capability[-1])))
    how = "kernels are built" if fits else "kernels are compiled at their first use"
    versions = f"CUDA {runtime.runtimeGetVersion()}, driver for {runtime.driverGetVersion()}"
    return f"{name}, compute capability {capability[:-1]}.{capability[-1]}, {versions}, {how}"


def _hdf5() -> Iterator[Finding]:
    if version_of("h5py") is None:
        text = "not installed; files .h5, .cxi and those of most programs need it"
        yield Finding("HDF5", text, _NOTE, 'pip install "ptycho_fast[hdf5]"')
        return
    import h5py

    if version_of("hdf5plugin") is None:
        text = f"HDF5 {h5py.version.hdf5_version}, without the filters of detectors and beamlines"
        yield Finding("HDF5", text, _NOTE, 'pip install "ptycho_fast[hdf5]"')
        return
    import hdf5plugin  # noqa: F401 - its import adds the filters

    missing = [name for name, code in _FILTERS.items() if not h5py.h5z.filter_avail(code)]
    text = f"HDF5 {h5py.version.hdf5_version}, filters {', '.join(_FILTERS)}"
    if missing:
        again = "pip install --force-reinstall h5py hdf5plugin"
        yield Finding("HDF5", f"filters do not load: {', '.join(missing)}", _PROBLEM, again)
    else:
        yield Finding("HDF5", text)


_DEVICES = {
    "tensorflow": "import tensorflow as tf\n"
    "print(', '.join(d.name for d in tf.config.list_physical_devices()))",
    "torch": "import torch\nprint(', '.join(['cpu'] + [torch.cuda.get_device_name(i) "
    "for i in range(torch.cuda.device_count())]))",
}


def _framework(package: str, title: str, extra: str, deep: bool) -> Iterator[Finding]:
    names = [name for name in (package, f"{package}-cpu") if version_of(name)]
    if len(names) > 1:
        mend = f"pip uninstall -y {' '.join(names)} && pip install {package}"
        yield Finding(title, f"twice, as {' and '.join(names)}", _PROBLEM, mend)
        return
    version = version_of(names[0]) if names else None
    if version is None:
        yield Finding(title, f'not installed; pip install "ptycho_fast[{extra}]" if you need it')
        return
    if not deep:
        yield Finding(title, f"{version}; --deep asks for its devices")
        return
    try:
        done = subprocess.run(
            [sys.executable, "-c", _DEVICES[package]],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    except subprocess.TimeoutExpired:
        yield Finding(title, f"{version}, has not started within {_SECONDS:.0f} s", _NOTE)
        return
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        mend = f"pip install --force-reinstall {package}"
        yield Finding(title, f"{version} does not start: {reason}", _PROBLEM, mend)
    else:
        yield Finding(title, f"{version} on {done.stdout.strip().splitlines()[-1]}")


if __name__ == "__main__":
    sys.exit(main())
