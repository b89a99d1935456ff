"""python -m ptycho_fast.train, as a user meets it."""

import contextlib
import importlib.util
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import command, train
from ptycho_fast.tf import load_model

SMALL = """
preset = "gs2_ideal"
name = "small"
N = 16
[object]
size = 70
[scan]
n_patterns = 60
[groups]
n_train = 9
n_test = 8
"""
SHORT = ["small.toml", "--epochs", "2", "--filters", "1", "--refine", "3"]


def run(*arguments):
    """Exit code of the command in this process."""
    try:
        return train.main([str(a) for a in arguments])
    except SystemExit as error:  # argparse
        return error.code


@pytest.fixture(autouse=True)
def a_small_scenario(in_a_folder_of_its_own):
    Path("small.toml").write_text(SMALL)


def test_a_run(capsys):
    assert run(*SHORT, "--out", "run", "--report", "r.html") == 0
    text = capsys.readouterr().out
    labels = "epoch 2/2", "likelihood", "scale match", "output/truth", "network", "refined", "flat"
    for label in (*labels, "refinement from a flat start: 3 passes", "report"):
        assert f"\n{label}" in text
    metadata = json.loads(Path("run/run_metadata.json").read_text())
    assert {"amplitude.png", "difference.png", "loss.png"} <= set(metadata["pictures"])
    assert set(os.listdir("run")) == {
        "data.npz", "history.json", "model-0002.keras", "prediction.npz", "refined.npz",
        "request.json", "run_metadata.json", "state.json", "summary.md", *metadata["pictures"],
    }  # fmt: skip
    assert metadata["training"]["epochs"] == 2
    assert metadata["request"]["scenario"]["name"] == "small"
    assert metadata["forward_pass_diagnostics"]["scale_match_pct"] >= 99.9999
    summary = Path("run/summary.md").read_text()
    assert "# small, recipe default" in summary
    assert text.startswith("small, recipe default")  # before TensorFlow speaks
    for picture in metadata["pictures"]:
        assert f"]({picture})" in summary
        assert Path("run", picture).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert load_model("run/model-0002.keras").N == 16
    page = Path("r.html").read_text()
    for words in ("network + refinement", "Pearson r of the amplitude", "train small.toml"):
        assert words in page
    assert page.count('class="picture"') == len(metadata["pictures"])
    data = ptycho_fast.Dataset.load("run/data.npz")
    with np.load("run/prediction.npz") as prediction:
        assert prediction["stitched"].shape == data.object.shape

    # The same run on the file, whose normalised amplitudes are those of the scenario.
    network_only = ["--json", "--no-pictures", "--refine", "0"]
    assert run("run/data.npz", *SHORT[1:-2], "--out", "file", *network_only) == 0
    from_file = json.loads(capsys.readouterr().out)
    assert list(from_file["refinement"]["columns"]) == ["network"]
    assert "![" not in Path("file/summary.md").read_text()
    assert sorted(os.listdir("file")) == [
        "history.json", "model-0002.keras", "prediction.npz", "request.json",
        "run_metadata.json", "state.json", "summary.md",
    ]  # fmt: skip
    for key, value in metadata["forward_pass_diagnostics"].items():
        assert from_file["forward_pass_diagnostics"][key] == pytest.approx(value, rel=1e-3)

    # A run is kept.
    kept = Path("run/run_metadata.json").read_bytes()
    assert run(*SHORT, "--out", "run") == 2
    assert "--force starts anew, --resume goes on" in capsys.readouterr().err
    assert Path("run/run_metadata.json").read_bytes() == kept
    own = [Path("run", name) for name in ("notes.txt", "notes.json", "detector.png")]
    for file in own:
        file.write_text("mine")
    published = ["--recipe", "published", "--epochs", "1", "--filters", "1"]
    assert run(SHORT[0], *published, "--out", "run", "--force", "--quiet", "--no-pictures") == 0
    assert capsys.readouterr().out == ""
    assert all(file.read_text() == "mine" for file in own)
    assert not Path("run/loss.png").exists()
    assert not Path("run/refined.npz").exists()
    of_published = json.loads(Path("run/run_metadata.json").read_text())
    assert of_published["decomposition"]["gain"] == of_published["stage_means"]["normalize_gain"]
    assert of_published["refinement"]["passes"] == 0


def test_interrupted_and_resumed(monkeypatch, capsys):
    """Ctrl-C keeps the last whole epoch; a resumed run ends where a whole one does."""
    arguments = ["small.toml", "--recipe", "corrected", "--epochs", "3", "--filters", "1"]
    arguments += ["--no-pictures", "--refine", "0"]
    watched = train._watched

    def interrupting(epoch_to_stop, interruption):
        def replacement(*_):
            class Watcher:
                def step(self, epoch, step, steps, loss):
                    if (epoch, step) == (epoch_to_stop, 2):
                        raise interruption

                def epoch(self, epoch, values):
                    pass

            return contextlib.nullcontext(Watcher())

        return replacement

    monkeypatch.setattr(train, "_watched", interrupting(1, KeyboardInterrupt()))
    assert run(*arguments, "--out", "early") == 130
    assert "before the first epoch was over" in capsys.readouterr().err
    monkeypatch.setattr(train, "_watched", interrupting(3, command.Terminated(signal.SIGTERM)))
    assert run(*arguments, "--out", "run") == 143
    assert (
        "ended by SIGTERM; run keeps the last whole epoch, --resume goes on"
        in capsys.readouterr().err
    )
    monkeypatch.setattr(train, "_watched", watched)

    assert run(*arguments, "--out", "run", "--resume", "--learning-rate", "0.5") == 2
    assert "recipe.spec.learning_rate was 0.001 and is 0.5" in capsys.readouterr().err
    assert run(*arguments, "--out", "run", "--resume", "--quiet") == 0
    assert run(*arguments, "--out", "whole", "--quiet") == 0
    resumed, whole = (
        [
            {k: v for k, v in epoch.items() if "seconds" not in k}
            for epoch in json.loads(Path(folder, "history.json").read_text())
        ]
        for folder in ("run", "whole")
    )
    assert resumed == whole


def test_refinement_interrupted(monkeypatch, capsys):
    """Network and report are there; a resumed run refines again."""
    arguments = [*SHORT, "--no-pictures"]
    watched = train._watched

    class Watcher:
        doing = None

        def begin(self, what, epochs):
            self.doing = what

        def step(self, epoch, step, steps, loss):
            if self.doing == "refinement from a flat start" and epoch == 2:
                raise KeyboardInterrupt

        def epoch(self, epoch, values):
            pass

    monkeypatch.setattr(train, "_watched", lambda *_: contextlib.nullcontext(Watcher()))
    assert run(*arguments, "--out", "run") == 130
    kept = "the training was over: run keeps the network and its report, --resume refines again\n"
    assert capsys.readouterr().err.endswith(kept)
    monkeypatch.setattr(train, "_watched", watched)
    before = json.loads(Path("run/run_metadata.json").read_text())
    assert list(before["refinement"]["columns"]) == ["network"]
    assert "|  | network |\n" in Path("run/summary.md").read_text()

    # Another number of passes needs no other run.
    passes = ["--refine", "1", "--resume", "--quiet"]
    assert run(*arguments[:-3], *passes, "--no-pictures", "--out", "run") == 0
    after = json.loads(Path("run/run_metadata.json").read_text())
    assert after["refinement"]["passes"] == 1
    assert list(after["refinement"]["columns"]) == ["network", "refined", "flat"]
    assert after["score"] == before["score"]  # the network is the same


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gs2_ideal"], 2, "--out"),
        (["gs3_ideal", "--out", "r"], 2, "gs2_ideal"),
        (["no.npz", "--out", "r"], 1, "no.npz"),
        (["gs1_custom", "--probe-file", "no.npz", "--out", "r"], 1, "no.npz"),
        (["gs1_custom", "--out", "r"], 2, "give it with --probe-file PATH"),
        ([*SHORT, "--out", "r", "--set", "N=48"], 2, "N: 48 given, expected a power of two"),
        (
            [*SHORT, "--out", "r", "--recipe", "corrected", "--set", "groups.n_train=31"],
            2,
            "groups.n_train: 31 given, expected an integer <= 30, the number of train patterns of "
            "scan.n_patterns = 60",
        ),
        (["no.h5", "--out", "r"], 1, "no.h5: no such file"),
        ([*SHORT, "--out", "r", "--gridsize", "5"], 2, "groups.neighbours: 4"),
        ([*SHORT, "--out", "r", "--recipe", "best"], 2, "--recipe"),
        ([*SHORT, "--out", "r", "--batch-size", "0"], 2, "batch_size: 0"),
        ([*SHORT, "--out", "r", "--backend", "cobol"], 2, "backend: 'cobol'"),
        ([*SHORT, "--out", "r", "--device", "0"], 2, "device: 0"),
        ([*SHORT, "--out", "r", "--score-every", "-1"], 2, "score_every: -1"),
        ([*SHORT, "--out", "r", "--refine", "-1"], 2, "refine: -1"),
        ([*SHORT, "--out", "r", "--filters", "0"], 2, "filters: 0"),
        ([*SHORT, "--out", "r", "--object-loss", "-1"], 2, "object_loss: -1"),
        ([*SHORT, "--out", "r", "--resume"], 2, "no run to go on with"),
        ([*SHORT, "--out", "small.toml"], 2, "is a file, expected a folder"),
    ],
)
def test_errors(arguments, code, message, capsys):
    assert run(*arguments) == code
    assert message in capsys.readouterr().err
    assert os.listdir() == ["small.toml"]


def test_too_little_memory(monkeypatch, capsys):
    monkeypatch.setattr("ptycho_fast.tf.run.memory_available", lambda: 10**6)
    assert run(*SHORT, "--out", "r", "--no-pictures") == 1
    assert "out of memory (about" in capsys.readouterr().err
    assert os.listdir() == ["small.toml"]


def test_a_file_is_simulated_already(capsys):
    ptycho_fast.simulate(ptycho_fast.Scenario.load("small.toml")).save("d.npz")
    assert run("d.npz", "--out", "r", "--nphotons", "10") == 2
    assert "dose.nphotons: d.npz is simulated already" in capsys.readouterr().err


def test_without_matplotlib(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run(*SHORT, "--out", "r") == 1
    assert "ptycho_fast[plot]" in capsys.readouterr().err
