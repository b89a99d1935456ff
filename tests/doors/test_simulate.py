"""python -m ptycho_fast.simulate, as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import command

SMALL = ["gs2_ideal", "--n-patterns", "9"]


def run(*arguments):
    """Exit code of the command in this process."""
    try:
        return command.main([str(a) for a in arguments])
    except SystemExit as error:  # argparse
        return error.code


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_as_a_process(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ptycho_fast.simulate", *SMALL, "--out", "a.npz"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stderr == ""
    assert "a.npz" in done.stdout
    assert ptycho_fast.Dataset.load(tmp_path / "a.npz").n_patterns == 9


def test_summary(capsys):
    assert run(*SMALL, "--out", "a.npz") == 0
    text = capsys.readouterr().out
    for label in (
        "patterns", "backend", "dose requested", "dose measured", "intensity scale s",
        "normalise gain g", "time", "speed", "file",
    ):  # fmt: skip
        assert f"\n{label} " in text


def test_json(capsys):
    assert run(*SMALL, "--out", "a.npz", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["patterns"] == 9
    assert facts["dose"]["requested"] == 1e9
    assert facts["dose"]["measured"]["mean"] == pytest.approx(1e9, rel=1e-4)
    assert facts["file_bytes"] == os.stat("a.npz").st_size
    assert sum(facts["seconds_by_stage"].values()) == pytest.approx(facts["seconds"])
    assert facts["scenario"]["scan"]["n_patterns"] == 9
    assert facts["intensity_scale"] == ptycho_fast.Dataset.load("a.npz").intensity_scale


def test_quiet(capsys):
    assert run(*SMALL, "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert ptycho_fast.Dataset.load("gs2_ideal.npz").n_patterns == 9


def test_dry_run(capsys):
    assert run(*SMALL, "--dry-run", "--json") == 0
    estimate = json.loads(capsys.readouterr().out)
    assert os.listdir() == []
    assert run(*SMALL, "--out", "a.npz", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert abs(facts["file_bytes"] - estimate["file_bytes"]) < 10_000
    assert facts["intensity_scale"] == estimate["intensity_scale"]
    assert estimate["memory_bytes"] > 2 * 9 * 64**2 * 4
    assert estimate["seconds_estimated"] > 0
    assert run(*SMALL, "--dry-run") == 0
    assert "dry run, nothing is written" in capsys.readouterr().out


def test_the_same_bytes_whatever_the_threads(monkeypatch):
    arguments = ["gs2_ideal", "--n-patterns", "40", "--quiet"]
    assert run(*arguments, "--threads", 1, "--out", "one.npz") == 0
    assert run(*arguments, "--threads", 2, "--out", "two.npz") == 0
    from ptycho_fast import simulator

    monkeypatch.setattr(simulator.Simulator, "chunk", 7)
    assert run(*arguments, "--out", "chunks.npz") == 0
    contents = {Path(f).read_bytes() for f in ("one.npz", "two.npz", "chunks.npz")}
    assert len(contents) == 1


def test_flag_before_file_before_preset():
    Path("my.toml").write_text(
        'preset = "gs1_ideal"\n[dose]\nnphotons = 1e5\n[scan]\nn_patterns = 7\n'
    )
    assert run("my.toml", "--nphotons", "1e4", "--out", "a.npz", "--quiet") == 0
    scenario = ptycho_fast.Dataset.load("a.npz").scenario
    assert scenario.dose.nphotons == 1e4
    assert scenario.scan.n_patterns == 7
    assert scenario.gridsize == 1
    assert run("gs2_ideal", "--set", "scan.n_patterns=3", "--seed", 5, "--out", "b.npz") == 0
    scenario = ptycho_fast.Dataset.load("b.npz").scenario
    assert scenario.scan.n_patterns == 3
    assert scenario.seeds.photons == 5


def test_probe_and_object_files():
    rng = np.random.default_rng(0)
    probe = (rng.normal(size=(2, 64, 64)) + 1j).astype(np.complex64)
    np.savez("probe.npz", probeGuess=probe)
    np.save("object.npy", np.ones((100, 120), np.complex64))
    files = ["--probe-file", "probe.npz", "--object-file", "object.npy"]
    few = ["--n-patterns", "4", "--quiet"]
    assert run("gs1_custom", *files, *few, "--out", "a.npz") == 1  # two modes, one place
    assert not os.path.exists("a.npz")
    assert run("gs1_custom", *files, *few, "--out", "a.npz", "--modes", "first") == 0
    assert ptycho_fast.Dataset.load("a.npz").object.shape == (100, 120)


def test_options_of_the_file():
    more = ["--alias", "diffraction", "--patches", "--no-noise", "--quiet"]
    assert run(*SMALL, "--out", "a.npz", *more) == 0
    with np.load("a.npz") as file:
        assert {"diffraction", "ground_truth_patches"} <= set(file.files)
    assert ptycho_fast.Dataset.load("a.npz").provenance["noise"] is False


def test_preview():
    assert run(*SMALL, "--quiet", "--preview", "p.png", "--out", "a.npz") == 0
    assert Path("p.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert run(*SMALL, "--quiet", "--preview", "p.png", "--out", "b.npz") == 2
    assert not os.path.exists("b.npz")


def test_preview_without_matplotlib(monkeypatch, capsys):
    from ptycho_fast.report import preview as report

    monkeypatch.setattr(report.importlib.util, "find_spec", lambda name: None)
    assert run(*SMALL, "--preview", "p.png", "--out", "a.npz") == 1
    assert "ptycho_fast[plot]" in capsys.readouterr().err
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "scenario"),
        (["gs3_ideal"], 2, "gs2_ideal"),
        (["missing.toml"], 2, "missing.toml"),
        ([*SMALL, "--set", "dose.nphoton=1"], 2, "did you mean dose.nphotons"),
        ([*SMALL, "--set", "dose.nphotons=-1"], 2, "dose.nphotons: -1"),
        ([*SMALL, "--set", "dose.nphotons"], 2, "dose.nphotons"),
        ([*SMALL, "--nphotons", "many"], 2, "--nphotons"),
        ([*SMALL, "--n-patterns", "0"], 2, "scan.n_patterns: 0"),
        ([*SMALL, "--nphotons", "1e14"], 2, "dose.nphotons: "),
        (["gs1_custom"], 2, "--probe-file"),
        (["gs1_custom", "--probe-file", "no.npz"], 1, "no.npz"),
        ([*SMALL, "--backend", "cobol"], 1, "backend: 'cobol'"),
        ([*SMALL, "--threads", "0"], 1, "threads: 0"),
        ([*SMALL, "--out", "no/such/folder/a.npz"], 1, "does not exist"),
        ([*SMALL, "--out", "."], 2, "is a folder"),
        ([*SMALL, "--modes", "all"], 2, "--modes"),
    ],
)
def test_errors(arguments, code, message, capsys):
    assert run(*arguments) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert os.listdir() == []


def test_traceback_on_request(capsys):
    assert run(*SMALL, "--backend", "cobol", "--traceback") == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_existing_file_is_kept(capsys):
    Path("a.npz").write_text("precious")
    assert run(*SMALL, "--out", "a.npz") == 2
    assert "--force" in capsys.readouterr().err
    assert Path("a.npz").read_text() == "precious"
    assert run(*SMALL, "--out", "a.npz", "--force", "--quiet") == 0


def test_no_disk_space(monkeypatch, capsys):
    import shutil

    monkeypatch.setattr(
        command.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 10)
    )
    assert run(*SMALL, "--out", "a.npz") == 1
    assert "the disk has 10 B free" in capsys.readouterr().err
    assert os.listdir() == []


def test_interrupt_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "ptycho_fast.simulate", "gs2_ideal", "--backend", "reference"]
    process = subprocess.Popen(
        [*command, "--n-patterns", "100000", "--quiet"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors == "python -m ptycho_fast.simulate: error: interrupted; nothing was written\n"
    assert os.listdir(tmp_path) == []


def test_a_progress_bar_on_a_terminal(tmp_path):
    """On a terminal the bar shows rate and time left, on standard error, and goes away."""
    import pty

    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "ptycho_fast.simulate", "gs2_ideal", "--backend", "reference"]
    process = subprocess.Popen(
        [*command, "--n-patterns", "300"], cwd=tmp_path, stderr=terminal, stdout=subprocess.PIPE
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(controller, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    process.communicate()
    os.close(controller)
    assert process.returncode == 0
    assert b"patterns" in shown
    assert b"/s" in shown


def test_help_lists_every_key(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    for key in ptycho_fast.scenario.known_keys():
        assert key in text
