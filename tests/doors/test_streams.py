"""Standard output and error: closed pipes, warnings, remarks, the progress bar."""

import json
import logging
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.terminal import Output, bytes_text

SMALL = ["gs2_ideal", "--n-patterns", "9", "--out", "a.npz"]
DARK = [*SMALL, "--nphotons", "1e-5"]
COMMAND = [sys.executable, "-m", "ptycho_fast.simulate"]
NO_PHOTON = "no photon was detected in any pattern"


# --- closed pipes ---


@pytest.fixture
def unread():
    """The writing end of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("flags", [[], ["--json"], ["--dry-run"], ["--help"]])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_has_gone(stream, flags, unread):
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: unread}
    done = subprocess.run([*COMMAND, *DARK, *flags], **streams, text=True)
    assert done.returncode == 0
    if stream == "stdout":
        assert "Traceback" not in done.stderr
        assert "BrokenPipe" not in done.stderr
    made = flags in ([], ["--json"])
    assert os.listdir() == (["a.npz"] if made else [])


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed):
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    done = subprocess.run([*shell, *COMMAND, *DARK], capture_output=True, text=True)
    assert done.returncode == 0
    assert ptycho_fast.Dataset.load("a.npz").n_patterns == 9  # nothing else was written into it
    assert subprocess.run([*shell, *COMMAND, *DARK], capture_output=True).returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_summary_that_cannot_be_written():
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, *SMALL], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("error: No space left on device; a.npz was written\n")


# --- warnings ---


def test_a_dark_data_set(run, capsys):
    assert run(*DARK) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith(f"warning: {NO_PHOTON}")
    assert captured.err.count("\n") == 1
    assert "normalise gain g   none" in captured.out
    data = ptycho_fast.Dataset.load("a.npz")
    assert not data.diffraction.any()
    assert data.provenance["dose"]["measured"] == {"mean": 0.0, "min": 0.0, "max": 0.0}


def test_a_beam_stop_over_all_light(run, capsys):
    np.save("object.npy", np.ones((100, 100), np.complex64))
    np.save("probe.npy", np.ones((16, 16), np.complex64))
    files = ["--object-file", "object.npy", "--probe-file", "probe.npy", "--set", "N=16"]
    stop = ["--set", "detector.beam_stop_radius=10", "--set", "scan.buffer=20", "--json"]
    assert run(*SMALL, *files, *stop, "--nphotons", "1e3") == 0
    captured = capsys.readouterr()
    facts = json.loads(captured.out)
    assert captured.err.startswith(f"warning: {NO_PHOTON}")
    assert facts["normalise_gain"] is None
    assert [NO_PHOTON in text for text in facts["warnings"]] == [True]


def test_no_warnings(run, capsys):
    assert run(*SMALL, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["warnings"] == []
    assert captured.err == ""


def test_warnings_are_single_lines_shown_once(capsys):
    output = Output(quiet=True, as_json=False)
    filters = warnings.filters[:]
    with output.showing_warnings():
        for _ in range(2):
            warnings.warn("too\n  dark", ptycho_fast.DataWarning, stacklevel=1)
            logging.getLogger("ptycho_fast.formats").warning("%s is large", "a.npz")
    assert capsys.readouterr().err == "warning: too dark\nwarning: a.npz is large\n"
    assert output.warnings == ["too dark", "a.npz is large"]
    assert warnings.filters == filters
    assert logging.getLogger("ptycho_fast").handlers == []


def test_a_long_first_call_is_announced(monkeypatch, run, capsys):
    from ptycho_fast.backend import reference

    monkeypatch.setattr(reference, "first_call", lambda: "compiles for a while")
    arguments = [*SMALL, "--force", "--backend", "reference"]
    assert run(*arguments) == 0
    assert capsys.readouterr().err == "compiles for a while\n"
    for flag in ("--quiet", "--json"):
        assert run(*arguments, flag) == 0
        assert capsys.readouterr().err == ""


# --- the rest ---


def test_a_progress_bar_on_a_terminal(start):
    """The bar shows rate and time left, on standard error."""
    import pty

    controller, terminal = pty.openpty()
    arguments = ["gs2_ideal", "--nphotons", "1e5", "--n-patterns", "20000", "--out", "some.h5"]
    process = start("command()", *arguments, stderr=terminal)
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(controller, 65536):
            shown += piece
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(controller)
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert b"patterns" in shown
    assert b"/s" in shown


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.9, "1 kB"),
        (18_087_298, "18.1 MB"),
        (5.24e12, "5.24 TB"),
        (2e15, "2 PB"),
    ],
)
def test_bytes(size, text):
    assert bytes_text(size) == text
