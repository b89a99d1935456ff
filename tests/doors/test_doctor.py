"""``ptycho-fast doctor``: right where all is well, and a command for everything that is not."""

import json
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from ptycho_fast import doctor, selftest
from ptycho_fast.backend import BackendStatus, choose, cuda, native
from ptycho_fast.backend.records import Sink

RATE = selftest.rate


@pytest.fixture
def look(command, capsys, monkeypatch):
    """Exit code and findings by name; the speed is not measured again in each test."""
    monkeypatch.setattr(selftest, "rate", lambda N: 12345.0)

    def look(*arguments):
        code = command("doctor", "--json", *arguments)
        facts = json.loads(capsys.readouterr().out)
        return code, {one["name"]: one for one in facts["findings"]}, facts["verdict"]

    return look


@pytest.fixture
def fresh(monkeypatch):
    """Whether the extension can be used is asked anew, in this test and after it."""
    native.why_not.cache_clear()
    yield
    native.why_not.cache_clear()


@pytest.mark.native
def test_a_plain_machine_is_well(command, capsys):
    assert command("doctor") == 0
    text = capsys.readouterr().out
    for label in ("processor", "threads", "backend", "bits", "speed", "HDF5", "TensorFlow"):
        assert f"\n{label} " in text
    assert "PROBLEM" not in text
    assert re.match(r"verdict +(all is well|it works, slowly)", text.splitlines()[-1])  # busy?
    assert max(map(len, text.splitlines())) <= 100


def test_it_is_quick_and_starts_no_framework():
    """In CPU time, which other programs on the machine do not change."""
    code = (
        "import sys, time\nfrom ptycho_fast.doctor import main\n"
        "t = time.process_time(); main(['--quiet']); t = time.process_time() - t\n"
        "print(t, *({'tensorflow', 'torch', 'matplotlib', 'cupy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *loaded = done.stdout.split()
    assert loaded == []
    assert float(seconds) < 5


def test_a_machine_that_is_stalled_is_not_called_well(look, monkeypatch):
    monkeypatch.setattr(selftest, "rate", lambda N: 1400.0)
    monkeypatch.setattr(doctor, "disturbances", lambda: ["other processes want 9.3 processors"])
    code, found, verdict = look()
    assert code == 0
    assert found["speed"]["state"] == "note"
    assert "1,400 patterns" in found["speed"]["text"]
    assert "other processes want 9.3 processors" in found["speed"]["text"]
    assert re.match(r"it works, slowly now, \d notes?: \w+, 1,400 patterns", verdict)
    monkeypatch.setattr(doctor, "disturbances", list)
    assert "the processor is slowed down, or" in look()[1]["speed"]["text"]


# --- the self-test ---


@pytest.mark.native
def test_bits_are_the_same_with_every_instruction_set(instruction_sets):
    assert {isa: selftest.bits(isa) for isa in instruction_sets} == dict.fromkeys(
        instruction_sets, selftest.GOLDEN
    )


def test_the_photons_of_the_self_test_are_many_and_few():
    """So that every branch of the sampler is in the hash."""
    patterns = selftest.exposure(64, 64)
    rates = np.empty(patterns.shape, np.float32)
    choose("reference")[1].frames(patterns, selftest._counting(64), Sink(rates, "expected"), 1)
    for low, high in ((0, 1), (1, 10), (10, 100), (100, 1e4), (1e4, 1e9)):
        assert ((rates >= low) & (rates < high)).mean() > 1e-3, (low, high)


@pytest.mark.native
def test_wrong_bits_are_a_problem(look, monkeypatch):
    monkeypatch.setattr(selftest, "GOLDEN", "another")
    code, found, verdict = look()
    assert (code, found["bits"]["state"]) == (1, "problem")
    assert "pip install --force-reinstall" in found["bits"]["mend"]
    assert verdict == "1 problem: bits"


def test_a_wrong_backend_is_not_timed(monkeypatch):
    def wrong(exposure, counting, sink, threads):
        sink.array[:] = 0

    monkeypatch.setattr(native, "frames", wrong)
    monkeypatch.setattr(native, "why_not", lambda: "")
    with pytest.raises(RuntimeError, match="native: wrong intensities at N = 16"):
        selftest.rate(16, backend="native")


# --- an extension of another commit ---


@pytest.mark.native
def test_the_extension_belongs_to_the_source_beside_it(monkeypatch, fresh, look):
    """It would read records of another layout, and memory that it should not."""
    assert native.why_not() == ""
    native.why_not.cache_clear()
    monkeypatch.setattr(native, "_interface_beside", lambda folder: "another")
    assert "reinstall with pip install ." in native.why_not()
    native.why_not.cache_clear()
    monkeypatch.setattr(native, "_interface_beside", lambda folder: None)
    assert native.why_not() == ""  # an installation, of one piece
    native.why_not.cache_clear()
    old = types.SimpleNamespace(build_facts=lambda: {"version": native.__version__})
    with monkeypatch.context() as patch:
        patch.setattr(native, "core", lambda: old)
        assert "reinstall" in native.why_not()  # of a time before there was a hash
    native.why_not.cache_clear()
    monkeypatch.setattr(native, "_interface_beside", lambda folder: "another")
    code, found, _ = look()
    assert (code, found["backend"]["state"]) == (1, "problem")
    assert "pip install" in found["backend"]["mend"]
    with pytest.raises(RuntimeError, match="'native' is not available: the compiled extension was"):
        choose("native")


def test_the_interface_is_that_of_the_source(tmp_path):
    source = Path(__file__).parents[2] / "csrc"
    hashed = native._interface_beside(source)
    assert hashed is not None
    assert native._interface_beside(tmp_path) is None  # an installation
    for name in native._INTERFACE:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((source / name).read_bytes())
    assert native._interface_beside(tmp_path) == hashed
    (tmp_path / "model.h").write_bytes((source / "model.h").read_bytes() + b" ")
    assert native._interface_beside(tmp_path) != hashed


# --- problems, each with the command that mends it ---


def test_wrong_variables(look, monkeypatch):
    monkeypatch.setenv("PTYCHO_FAST_THREADS", "many")
    code, found, _ = look()
    assert code == 1
    assert found["threads"]["mend"] == "unset PTYCHO_FAST_THREADS"
    monkeypatch.setenv("PTYCHO_FAST_THREADS", "1")
    code, found, _ = look()
    assert (code, found["threads"]["text"]) == (0, "1: PTYCHO_FAST_THREADS asks for it")


@pytest.mark.native
def test_an_instruction_set_that_is_not_there(look, monkeypatch):
    monkeypatch.setenv("PTYCHO_FAST_ISA", "avx9")
    code, found, _ = look()
    assert code == 1
    assert found["processor"]["mend"] == "unset PTYCHO_FAST_ISA"


@pytest.mark.native
@pytest.mark.parametrize("variable", ["PTYCHO_FAST_THREADS", "PTYCHO_FAST_ISA"])
def test_a_wrong_variable_is_no_reason_to_install_again(look, monkeypatch, variable):
    monkeypatch.setattr(selftest, "rate", RATE)
    monkeypatch.setenv(variable, "wrong")
    assert look()[1]["speed"]["mend"] == f"unset {variable}"


def test_several_packages_of_cupy(look, monkeypatch):
    there = [types.SimpleNamespace(metadata={"Name": n}) for n in ("cupy-cuda12x", "cupy", "numpy")]
    monkeypatch.setattr(doctor.importlib.metadata, "distributions", lambda: there)
    code, found, _ = look()
    assert code == 1
    assert found["CuPy"]["mend"].startswith("pip uninstall -y cupy cupy-cuda12x && pip install ")


def test_a_driver_without_cupy_is_no_problem(look, monkeypatch):
    monkeypatch.setattr(doctor.importlib.metadata, "distributions", list)
    monkeypatch.setattr(doctor, "driver_version", lambda: "570.86.10")
    code, found, _ = look()
    assert code == 0
    assert found["GPU"]["mend"] == "pip install cupy-cuda12x"
    assert doctor._cupy_for("580.65") == "cupy-cuda13x"


@pytest.mark.parametrize(
    ("reason", "code", "text", "mend"),
    [
        ("", 0, "NVIDIA H100, compute capability 9.0, CUDA 13000, driver for 13010, kernels", ""),
        ("the NVIDIA driver is of CUDA 12, pip install cupy-cuda12x", 1, "driver 570.1", "pip"),
        ("no GPU is visible", 1, "no GPU is visible", "nvidia-smi"),
    ],
)
def test_a_gpu(reason, code, text, mend, look, monkeypatch):
    there = [types.SimpleNamespace(metadata={"Name": "cupy-cuda13x"})]
    monkeypatch.setattr(doctor.importlib.metadata, "distributions", lambda: there)
    monkeypatch.setattr(doctor, "driver_version", lambda: "570.1")
    status = doctor.backends() | {"cuda": BackendStatus(not reason, reason)}
    monkeypatch.setattr(doctor, "backends", lambda: status)
    runtime = types.SimpleNamespace(
        getDeviceProperties=lambda device: {"name": b"NVIDIA H100"},
        runtimeGetVersion=lambda: 13000,
        driverGetVersion=lambda: 13010,
    )
    device = types.SimpleNamespace(id=0, compute_capability="90")
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime, Device=lambda: device))
    monkeypatch.setattr(cuda, "cupy", lambda: cupy)
    found_code, found, _ = look()
    assert (found_code, text in found["GPU"]["text"]) == (code, True)
    assert found["GPU"]["mend"].startswith(mend)


def test_what_is_not_installed(look, monkeypatch):
    gone = {"h5py", "tensorflow", "torch", "tensorflow-cpu", "torch-cpu", "scipy"}
    version_of = doctor.version_of
    monkeypatch.setattr(doctor, "version_of", lambda p: None if p in gone else version_of(p))
    code, found, verdict = look()
    assert (code, verdict) == (1, "1 problem: libraries")
    assert found["libraries"]["mend"] == "pip install scipy"
    assert found["HDF5"]["mend"] == 'pip install "ptycho_fast[hdf5]"'
    assert "not installed" in found["PyTorch"]["text"]


def once(package):
    return None if package.endswith("-cpu") else "1.0"


def test_a_framework_that_is_there_twice(look, monkeypatch):
    monkeypatch.setattr(doctor, "version_of", lambda package: "1.0")
    code, found, _ = look()
    assert code == 1
    mend = "pip uninstall -y tensorflow tensorflow-cpu && pip install tensorflow"
    assert found["TensorFlow"]["mend"] == mend


def test_deep_asks_for_devices_and_says_why_not(look, monkeypatch):
    monkeypatch.setattr(doctor, "version_of", once)
    code = "import sys; print('noise'); print('cpu, NVIDIA H100')"
    broken = "raise ImportError('no libcudart')"
    monkeypatch.setattr(doctor, "_DEVICES", {"tensorflow": code, "torch": broken})
    exit_code, found, _ = look("--deep")
    assert exit_code == 1
    assert found["TensorFlow"]["text"] == "1.0 on cpu, NVIDIA H100"
    assert found["PyTorch"]["text"] == "1.0 does not start: ImportError: no libcudart"
    assert found["PyTorch"]["mend"] == "pip install --force-reinstall torch"


def test_a_framework_that_does_not_start_in_time_is_no_problem(look, monkeypatch):
    monkeypatch.setattr(doctor, "version_of", once)
    monkeypatch.setattr(doctor, "_SECONDS", 0.01)
    code, found, _ = look("--deep")
    assert (code, found["PyTorch"]["state"]) == (0, "note")
    assert "has not started" in found["PyTorch"]["text"]


def test_what_nobody_foresaw_is_a_problem_and_the_report_goes_on(look, monkeypatch):
    def fail():
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(doctor, "memory_available", fail)
    code, found, _ = look()
    assert code == 1
    assert "surprise" in found["processor"]["text"]
    assert "PyTorch" in found


# --- bench ---


def test_bench_measures(command, capsys):
    how = ["--sizes", 64, 96, "--seconds", "0.01", "--threads", 1]
    assert command("bench", *how, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert [row["N"] for row in facts["rates"]] == [64, 96]
    assert all(row["counts_per_second"] > 0 for row in facts["rates"])
    assert command("bench", *how) == 0
    assert "64 x 64" in capsys.readouterr().out


def test_bench_says_that_the_machine_is_busy(command, capsys, monkeypatch):
    monkeypatch.setattr("ptycho_fast.bench.disturbances", lambda: ["it hums"])
    how = ["--sizes", 64, "--seconds", "0.01"]
    assert command("bench", *how, "--json") == 0
    assert json.loads(capsys.readouterr().out)["busy"] == ["it hums"]
    assert command("bench", *how) == 0
    assert "these numbers are too small: it hums" in capsys.readouterr().err


def test_bench_refuses(command, capsys):
    assert command("bench", "--sizes", 4) == 2
    assert command("bench", "--seconds", 0) == 2
    assert command("bench", "--backend", "quantum") == 2
    assert "quantum" in capsys.readouterr().err
