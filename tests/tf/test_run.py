"""Runs: recipes, memory, and whether a run may go on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import SCENARIO

import ptycho_fast
from ptycho_fast import train
from ptycho_fast.tf import PtychoNet, canvas_side, run
from ptycho_fast.tf.recipes import RECIPES
from ptycho_fast.tf.run import memory_needed, require_memory


def test_recipes(data):
    recipe = RECIPES["full"].adapted(data.scenario, epochs=3, noise="fresh")
    train, test = recipe.feeds(data)
    assert (len(train), len(test)) == (30, 30)
    assert train.augment
    assert (train.noise, test.noise) == ("fresh", "fixed")
    assert recipe.spec.epochs == 3
    assert recipe.spec.batch_size == 4
    assert (
        RECIPES["corrected"].adapted(ptycho_fast.Scenario.preset("gs1_ideal")).spec.batch_size == 8
    )
    default = RECIPES["default"].adapted(data.scenario, refine=0)
    assert (default.refine, RECIPES["published"].refine) == (0, 0)
    assert default.feeds(data)[0].augment
    data = replace(data, probe=data.probe * np.exp(1j * np.arange(16)))  # not symmetric
    assert not default.feeds(data)[0].augment
    published = RECIPES["published"].network(train, test)
    assert published.settings["amplitude_activation"] == "sigmoid"
    largest = max(train.largest_offset, test.largest_offset)
    assert published.canvas == canvas_side(16, largest)


def test_memory():
    net = PtychoNet(64, 2, 120, 1.0, n_filters_scale=2)
    needed = memory_needed((1024, 64, 64), net, 4)
    assert 0.7e9 < needed < 4e9
    assert memory_needed((1024, 64, 64), net, 400) > 5e9
    require_memory(1)
    with pytest.raises(MemoryError, match=r"about 1e\+09 GB needed"):
        require_memory(10**18)


# --- whether a run may go on ---


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """The command of a run on an object and a probe from files, and what it did so far."""
    monkeypatch.chdir(tmp_path)
    data = ptycho_fast.simulate(SCENARIO)
    np.save("object.npy", data.object)
    np.save("probe.npy", data.probe[0])
    Path("mine.toml").write_text(SCENARIO.replace({"name": "mine"}).to_toml())
    data.save("data.npz")
    executed = []

    def execute(data, recipe, folder, *, asked, resume=False, **options):
        executed.append(resume)
        run.claim(folder, force=True)
        run._write_json(folder / run._REQUEST, asked)
        return {}

    monkeypatch.setattr(run, "execute", execute)
    monkeypatch.setattr(train, "_summary", lambda *_: "")

    def command(source, *options):
        files = ["--object-file", "object.npy", "--probe-file", "probe.npy"]
        files = [] if source.endswith(".npz") else files
        return train.main([source, *files, "--out", "run", "--json", "--no-pictures", *options])

    return command, executed


@pytest.mark.parametrize(
    ("source", "file"),
    [("mine.toml", "object.npy"), ("mine.toml", "probe.npy"), ("data.npz", "data.npz")],
)
def test_a_changed_file_does_not_resume(begun, source, file, capsys):
    command, executed = begun
    assert command(source) == 0
    assert command(source, "--resume") == 0
    if file == "data.npz":
        ptycho_fast.simulate(SCENARIO).save(file, force=True, alias="diffraction")
    else:
        np.save(file, 1.01 * np.load(file))
    assert command(source, "--resume") == 2
    message = f"{file}: other contents given, expected those that the run in run began with"
    assert message in capsys.readouterr().err
    assert executed == [False, True]


def test_other_files_may_change(begun):
    """A scenario's comments, and how often a file was written."""
    command, executed = begun
    assert command("mine.toml") == 0
    with open("mine.toml", "a") as file:
        file.write("# a remark\n")
    np.save("object.npy", np.load("object.npy"))
    assert command("mine.toml", "--resume") == 0
    assert executed == [False, True]


def test_runs_of_older_versions_resume(begun):
    """They kept no sums of files, and a scenario of schema 1."""
    command, executed = begun
    assert command("data.npz") == 0
    with open("run/request.json") as file:
        asked = json.load(file)
    del asked["inputs"], asked["scenario"]["schema"], asked["scenario"]["noise"]
    with open("run/request.json", "w") as file:
        json.dump(asked, file)
    assert command("data.npz", "--resume") == 0
    assert command("data.npz", "--resume", "--learning-rate", "0.5") == 2
    assert executed == [False, True]
