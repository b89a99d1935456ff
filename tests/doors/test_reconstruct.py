"""python -m ptycho_fast.reconstruct, as a user meets it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.command import Terminated
from ptycho_fast.formats.truth import read_truth
from ptycho_fast.tf.refine import Refiner

SMALL = """
preset = "gs2_ideal"
name = "small"
N = 16
[object]
size = 44
[probe]
kind = "gaussian"
curvature = 5.0
[scan]
kind = "random"
n_patterns = 120
buffer = 6.0
[dose]
nphotons = 1e6
[optics]
energy_ev = 8800
detector_distance_m = 2.0
detector_pixel_m = 75e-6
"""
SHORT = ["--passes", "4", "--batch-size", "12"]
NUMBERS = ["object.npz", "report.json", "summary.md"]


@pytest.fixture(autouse=True)
def a_small_scenario(in_a_folder_of_its_own):
    Path("small.toml").write_text(SMALL)


def test_object_and_report(command, capsys):
    page = "--report", "r.html"
    assert command("reconstruct", "small.toml", "--out", "found", *SHORT, *page) == 0
    for words in ("Reconstruction", "Pearson r", "reconstruct small.toml"):
        assert words in Path("r.html").read_text()
    text = capsys.readouterr().out
    for label in ("passes", "Pearson r", "error", "resolution", "report"):
        assert f"\n{label} " in text
    assert sorted(os.listdir("found")) == sorted(
        [*NUMBERS, "amplitude.png", "difference.png", "loss.png", "rings.png"]
    )
    report = json.loads(Path("found/report.json").read_text())
    assert report["request"]["source"] == "small.toml"
    assert (report["stopped"], report["passes"], report["patterns"]) == ("passes", 4, 120)
    assert len(report["history"]) == 4
    assert 0 < report["photon_limit"] < report["score"]["normalised_error"] < 0.3
    assert report["score"]["by_coverage"]["more"]["pixels"] > 0
    summary = Path("found/summary.md").read_text()
    assert "# small.toml, refined" in summary
    assert command("reconstruct", "small.toml", "--out", "other", *SHORT, *page) == 2
    assert "r.html" in capsys.readouterr().err
    assert not Path("other").exists()
    assert f"{report['score']['ratio']:.4f}" in summary
    assert "![rings](rings.png)" in summary
    for name in report["pictures"]:
        assert Path("found", name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"

    # The project opens the object again, and starts from it.
    found = read_truth("found/object.npz")
    assert found.object.shape == (44, 44)
    assert found.positions.shape == (120, 2)
    more = ["--start", "found/object.npz", "--learning-rate", "0.02", "--json", "--no-pictures"]
    assert command("reconstruct", "small.toml", "--out", "more", *SHORT, *more) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["history"][0]["loss"] < report["history"][0]["loss"]
    assert sorted(os.listdir("more")) == NUMBERS
    assert command("simulate", "--from", "found/object.npz", "--nphotons", "1e5", "--N", "16",
                   "--out", "again.npz") == 0  # fmt: skip
    assert (ptycho_fast.Dataset.load("again.npz").object == found.object).all()

    # A result is kept.
    kept = Path("found/report.json").read_bytes()
    assert command("reconstruct", "small.toml", "--out", "found", *SHORT) == 2
    assert "is not empty; --force replaces" in capsys.readouterr().err
    assert Path("found/report.json").read_bytes() == kept
    Path("found/notes.txt").write_text("mine")
    arguments = ["--force", "--quiet", "--no-pictures", *SHORT, "--part", "test"]
    assert command("reconstruct", "small.toml", "--out", "found", *arguments) == 0
    assert capsys.readouterr().out == ""
    assert sorted(os.listdir("found")) == sorted([*NUMBERS, "notes.txt"])


@pytest.mark.slow
def test_files_of_any_format_give_the_same(command, capsys):
    data = ptycho_fast.simulate("small.toml")
    objects = []
    for name in ("a.h5", "a.npz", "a.cxi"):
        data.save(name)
        out = f"from_{name}"
        assert command("reconstruct", name, "--out", out, *SHORT, "--no-pictures", "--json") == 0
        assert json.loads(capsys.readouterr().out)["patterns"] == 120
        objects.append(read_truth(f"{out}/object.npz").object)
    assert (objects[0] == objects[1]).all()
    # CXI keeps positions in metres.
    np.testing.assert_allclose(objects[2][:44, :44], objects[0], atol=1e-2)


@pytest.mark.slow
def test_probe_and_object_together(command, capsys):
    data = ptycho_fast.simulate("small.toml")
    y, x = np.indices((16, 16)) - 8
    wrong = (data.probe * np.exp(0.01j * (x**2 + y**2))).astype(np.complex64)
    replace(data, probe=wrong).save("wrong.h5")
    arguments = ["--probe", "joint", "--out", "both", *SHORT]
    assert command("reconstruct", "wrong.h5", *arguments) == 0
    report = json.loads(Path("both/report.json").read_text())
    assert report["photon_limit"] is None
    assert Path("both/probe.png").exists()
    assert not np.allclose(read_truth("both/object.npz").probe, wrong)


def test_without_a_truth_to_compare_with(command, capsys):
    data = ptycho_fast.simulate("small.toml")
    empty = np.ones_like(data.object)
    replace(data, object=empty, scenario=None).save("measured.h5")
    assert command("reconstruct", "measured.h5", "--out", "found", *SHORT) == 0
    assert "Pearson" not in capsys.readouterr().out
    report = json.loads(Path("found/report.json").read_text())
    assert report["score"] is None
    assert report["pictures"] == ["amplitude.png", "phase.png", "loss.png"]
    assert "no object to compare" in Path("found/summary.md").read_text()


@pytest.mark.slow
def test_from_what_a_network_predicted(command, capsys):
    data = ptycho_fast.simulate("small.toml")
    covered = np.zeros(data.object.shape, bool)
    covered[10:30, 8:36] = True
    np.savez("prediction.npz", stitched=np.where(covered, data.object, 0), covered=covered)
    arguments = ["--start", "prediction.npz", "--out", "found", *SHORT, "--no-pictures", "--quiet"]
    assert command("reconstruct", "small.toml", *arguments) == 0
    assert command("reconstruct", "small.toml", "--out", "flat", *SHORT, "--no-pictures",
                   "--quiet") == 0  # fmt: skip
    found, flat = (json.loads(Path(f, "report.json").read_text()) for f in ("found", "flat"))
    assert found["history"][0]["loss"] < flat["history"][0]["loss"]


def test_interrupted(command, monkeypatch, capsys):
    """Ctrl-C keeps the best object so far."""
    passes = Refiner.passes

    def interrupting(after, error):
        def replacement(self, watcher=None):
            for n, values in enumerate(passes(self, watcher)):
                if n == after:
                    raise error
                yield values
            raise error

        return replacement

    monkeypatch.setattr(Refiner, "passes", interrupting(2, KeyboardInterrupt()))
    arguments = ["small.toml", *SHORT, "--no-pictures"]
    assert command("reconstruct", *arguments, "--out", "found") == 130
    assert "interrupted; found has the best object of 3 passes" in capsys.readouterr().err
    report = json.loads(Path("found/report.json").read_text())
    assert (report["stopped"], report["passes"]) == ("interrupted", 3)
    assert "interrupted" in Path("found/summary.md").read_text()
    monkeypatch.setattr(Refiner, "passes", lambda *_: (_ for _ in ()).throw(Terminated(15)))
    assert command("reconstruct", *arguments, "--out", "early") == 143
    assert "before the first pass was over" in capsys.readouterr().err
    assert not Path("early").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["small.toml"], 2, "--out"),
        (["gs3_ideal", "--out", "r"], 2, "gs2_ideal"),
        (["no.h5", "--out", "r"], 2, "no.h5"),
        (["small.toml", "--out", "small.toml"], 2, "is a file, expected a folder"),
        (["small.toml", "--out", "r", "--probe", "wrong"], 2, "--probe"),
        (["small.toml", "--out", "r", "--passes", "0"], 2, "passes: 0"),
        (["small.toml", "--out", "r", "--batch-size", "-1"], 2, "batch_size: -1"),
        (["small.toml", "--out", "r", "--learning-rate", "nan"], 2, "learning_rate: nan"),
        (["small.toml", "--out", "r", "--start", "no.npz"], 2, "no.npz"),
        (["small.toml", "--out", "r", "--start", "other.npz"], 2, "shape (9, 9)"),
        (["small.toml", "--out", "r", "--domain", "count_intensity"], 2, "--domain"),
        (["dark.h5", "--out", "r"], 2, "data: no light"),
        (["masked.h5", "--out", "r"], 2, "mask: one without a pixel"),
    ],
)
def test_errors(arguments, code, message, command, capsys):
    np.savez("other.npz", objectGuess=np.ones((9, 9), complex))
    if arguments[0] in ("dark.h5", "masked.h5"):
        data = ptycho_fast.simulate("small.toml")
        dark = replace(data, diffraction=np.zeros_like(data.diffraction))
        mask = np.zeros((16, 16), bool)
        (dark if arguments[0] == "dark.h5" else replace(data, mask=mask)).save(arguments[0])
    assert command("reconstruct", *arguments) == code
    assert message in capsys.readouterr().err
    assert not Path("r").exists()


def test_a_diverging_refinement_says_so(command, capsys):
    arguments = ["small.toml", "--out", "found", "--passes", "3", "--learning-rate", "1e5"]
    assert command("reconstruct", *arguments) == 0
    assert "warning: refinement: diverged in pass 1" in capsys.readouterr().err
    report = json.loads(Path("found/report.json").read_text())
    assert (report["stopped"], report["misfit"]) == ("diverged", None)
    assert "diverged" in Path("found/summary.md").read_text()
