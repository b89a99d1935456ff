"""The benchmark runs, checks before it times, and keeps its figures."""

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ptycho_fast import objects

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow  # minutes; a step of its own in the integration


# One process, so that numba compiles once: first the command as a user gives it, then the check on
# several modes, an odd side and a chunk that does not divide the batch, and on a wrong contender.
CODE = """
from dataclasses import replace
import numpy as np
from bench import contenders, simulate

simulate.main()

case = contenders.make_case(45, 21)
modes = np.concatenate([case.probe, 0.5j * case.probe.transpose(0, 2, 1)])
case, buffers = replace(case, probe=modes), contenders.Buffers(21, 45)
there, _ = contenders.make_contenders(case, 1)
contenders.check(case, there, buffers)
there["numpy"].probe = 1.01 * modes
try:
    contenders.check(case, there, buffers)
except AssertionError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """What a quick run of one size writes."""
    path = tmp_path_factory.mktemp("bench") / "figures.json"
    command = [sys.executable, "-c", CODE, "--quick", "--sizes", "32", "--threads", "2"]
    done = subprocess.run(
        [*command, "--json", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text()) | {"stdout": done.stdout, "stderr": done.stderr}


def test_every_contender_is_measured(figures):
    wanted = {
        "reference",
        "numba",
        "numba + SciPy",
        "numpy",
        "translate",
        "ptychodus loop",
        figures["baseline"],
    }
    for stage in ("extract_patches", "diffract", "sample_photons", "observe"):
        rows = [row for row in figures["rows"] if row["stage"] == stage]
        assert {row["contender"] for row in rows} >= wanted
        assert all(row["us_per_pattern"] > 0 and row["bytes"] > 0 for row in rows)
    assert {row["photons"] for row in figures["rows"]} == {None, 1e3, 1e6, 1e9}
    assert {row["threads"] for row in figures["scaling"]} == {1, 2}


def test_samplers_are_measured_on_constant_rates_and_on_patterns(figures):
    rates = {"constant", "gs2_ideal, 1e+06 photons", "gs2_ideal, 1e+09 photons"}
    assert {row["rates"] for row in figures["poisson"]} == rates | {"speckled, 1e+06 photons"}
    wanted = {figures["baseline"], "numba poisson", "Generator.poisson", "ptycho-fm noise"}
    assert {row["contender"] for row in figures["poisson"]} >= wanted


def test_the_limit_stands_beside_each_line(figures):
    rows = [row for row in figures["rows"] if row["contender"] == figures["baseline"]]
    for row in [*rows, *figures["poisson"]]:
        assert row["limited_by"] in ("memory", "arithmetic")
        assert row["of_limit"] == max(row["of_copy"], row["of_arithmetic"]) > 0
    assert "limit" in figures["stdout"]
    assert any(row["contender"] == "hot data" for row in figures["rows"])


def test_whoever_is_absent_is_named(figures):
    there = {row["contender"] for row in figures["rows"]}
    there |= {row["contender"] for row in figures["poisson"]}
    everyone = {"native", "numba + FFTW", "numba + MKL", "numba + PyTorch", "MKL poisson"}
    assert everyone - there == set(figures["left_out"])
    for name, reason in figures["left_out"].items():
        assert f"left out: {name}: {reason}" in figures["stderr"]


def test_objects_of_every_kind_are_measured(figures):
    kinds = {row["kind"] for row in figures["objects"]}
    assert kinds == {"1000 patterns", *objects.KINDS.listed}
    assert all(row["ms"] > 0 and row["of_patterns"] > 0 for row in figures["objects"])


def test_targets_are_judged(figures):
    means = {row["at"] for row in figures["targets"]}
    assert {"mean 0.01", "mean 1e+06", "speckled, 1e+06 photons"} <= means
    for row in figures["targets"]:
        assert row["met"] == (row["measured"] >= row["required"])
    assert "met" in figures["stdout"]


def test_the_machine_is_described(figures):
    machine = figures["machine"]
    assert machine["processor"]
    assert machine["versions"].keys() >= {"numpy", "scipy", "numba"}
    assert machine["restated"].keys() == {"ptychodus", "ptycho-fm"}
    assert 1 <= machine["cores"] <= machine["processors"]
    assert all(value > 0 for value in figures["peaks"].values())


def test_a_wrong_contender_is_an_error(figures):
    assert figures["stdout"].rstrip().endswith("numpy: wrong intensities")


@pytest.mark.native
def test_errors_stand_beside_times(tmp_path):
    path = tmp_path / "errors.json"
    command = [sys.executable, "-m", "bench.errors", "--rounds", "1", "--sizes", "32"]
    done = subprocess.run(
        [*command, "--json", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = {row["contender"]: row for row in json.loads(path.read_text())["errors"]}
    assert {"native", "numba", "numpy", "translate", "ptychodus loop"} <= set(rows)
    assert all(row["error"] < 2e-6 and row["us_per_pattern"] > 0 for row in rows.values())


@pytest.mark.native
def test_physics_is_measured_against_the_plain_kernel(tmp_path):
    path = tmp_path / "physics.json"
    command = [sys.executable, "-m", "bench.physics", "--quick", "--sizes", "32"]
    done = subprocess.run(
        [*command, "--json", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(path.read_text())
    parts = {row["part"] for row in figures["physics"]}
    assert {"plain", "modes, M = 4", "near field", "observe, detector", "loop, noisy"} <= parts
    assert all(row["us_per_pattern"] > 0 for row in figures["physics"])
    assert len(figures["targets"]) == 9


@pytest.mark.native
@pytest.mark.parametrize(
    ("name", "flags", "measured"),
    [
        ("files", ["--quick"], ["files", "alone"]),
        ("end_to_end", ["--quick"], ["end_to_end", "start"]),
        ("feeds", ["--quick"], ["feeds"]),
        ("cluster", ["--patterns", "4096", "--rounds", "1"], ["cluster"]),
        ("calls", ["--rounds", "1"], ["singles", "threads"]),
    ],
)
def test_files_feeds_clusters_and_calls_are_measured(tmp_path, name, flags, measured):
    path = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", *flags, "--json", str(path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(path.read_text())
    assert all(figures[key] for key in measured)
    assert all(row["measured"] > 0 for row in figures.get("targets", []))


@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs AVX2")
def test_the_phases_fit_the_kernels():
    """As its first lines say, it compiles."""
    lines = (ROOT / "bench" / "phases.cpp").read_text().partition("#include")[0].splitlines()
    given = " ".join(line.lstrip("/") for line in lines).partition("g++ ")[2].partition(" -o ")[0]
    command = ["g++", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", *given.split()]
    assert "bench/phases.cpp" in command
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
