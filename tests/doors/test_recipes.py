"""Recipes: a scenario with a fingerprint, opened as the data set that it makes."""

import os
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.data import recipe
from ptycho_fast.errors import DataWarning
from ptycho_fast.simulator import Simulator

SMALL = ["gs2_ideal", "--n-patterns", "40", "--N", "32", "--object-size", "150"]
ZOO = """
schema = 2
N = 32
[object]
size = 150
[scan]
n_patterns = {min = 5, max = 9}
[dose]
nphotons = {min = 1e4, max = 1e6, scale = "log"}
"""


@pytest.fixture
def written(run):
    assert run(*SMALL, "--out", "set.toml", "--quiet") == 0
    return Path("set.toml")


def table():
    return tomllib.loads(Path("set.toml").read_text())["recipe"]


def changed(old, new):
    text = Path("set.toml").read_text()
    assert old in text
    Path("set.toml").write_text(text.replace(old, new))


def test_a_recipe_is_the_data_set(run, written):
    assert run(*SMALL, "--out", "set.npz", "--quiet") == 0
    saved = ptycho_fast.Dataset.load("set.npz")
    with ptycho_fast.open(written, verify=True) as data:
        assert len(data) == 40
        assert data.is_lazy
        for which in (slice(3, 7), slice(None, None, 13), [39, 0, 39], 12):
            np.testing.assert_array_equal(data.counts[which], saved.counts[which])
        np.testing.assert_array_equal(data.amplitude(5, 9), saved.amplitude(5, 9))
        for name in ("object", "probe", "positions", "intensity_scale"):
            np.testing.assert_array_equal(getattr(data, name), getattr(saved, name))
        assert data.scenario.replace({"name": "gs2_ideal"}) == saved.scenario
        assert data.provenance["version"] == ptycho_fast.__version__


def test_only_the_first_patterns_are_made(run, monkeypatch):
    made, frames = [], Simulator.frames

    def counted(self, first, last=None, **options):
        made.append((first, last))
        return frames(self, first, last, **options)

    monkeypatch.setattr(Simulator, "frames", counted)
    assert run("gs2_ideal", "--n-patterns", "20000", "--out", "set.toml", "--quiet") == 0
    assert made == [(0, 16)]
    made.clear()
    assert len(ptycho_fast.open("set.toml")) == 20_000
    assert made == []
    assert table()["patterns"] == 20_000
    assert table()["hashed"] == 16


def test_of_large_patterns_fewer_are_hashed():
    assert recipe._hashed((1000, 64)) == 16
    assert recipe._hashed((1000, 1024)) == 1
    assert recipe._hashed((3, 8)) == 3


def test_a_recipe_is_a_scenario_too(run, written):
    scenario = ptycho_fast.Scenario.load(written)
    assert scenario.name == "gs2_ideal"
    assert run("set.toml", "--out", "again.npz", "--quiet") == 0
    assert run("gs2_ideal", "--config", "set.toml", "--out", "laid.npz", "--quiet") == 0
    assert Path("again.npz").read_bytes() == Path("laid.npz").read_bytes()


def test_a_scenario_is_opened_without_a_recipe():
    Path("mine.toml").write_text('preset = "gs2_ideal"\n[scan]\nn_patterns = 12\n')
    data = ptycho_fast.open("mine.toml")
    assert data.counts[3:5].shape == (2, 64, 64)
    with pytest.raises(ValueError, match=r"mine\.toml: recipe: nothing given, expected the table"):
        ptycho_fast.open("mine.toml", verify=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"noise": False},
        {"detector.gain": 2.5, "detector.readout_noise": 1.0, "detector.quantisation": 1.0},
        {"probe.mode_kind": "hermite_gauss", "probe.modes": 3},
        {"dose.mode": "per_pattern"},
    ],
)
@pytest.mark.filterwarnings("ignore::ptycho_fast.errors.DataWarning")
def test_every_kind_of_patterns(changes):
    small = {"N": 32, "object.size": 150, "scan.n_patterns": 20}
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(small | changes)
    data = ptycho_fast.simulate(scenario)
    data.save("set.toml")
    opened = ptycho_fast.open("set.toml", verify=True)
    assert opened.domain == data.domain == table()["domain"]
    np.testing.assert_array_equal(opened.diffraction[:], data.diffraction)


def test_frames_of_another_type_are_kept():
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace({"dose.nphotons": 1e4})
    data = ptycho_fast.simulate(scenario, dtype="uint16")
    data.save("set.toml")
    assert ptycho_fast.open("set.toml", verify=True)[:4].counts[:].dtype == np.uint16


# --- other bits ---


def test_another_fingerprint_names_both_versions(written):
    changed("photons = 42", "photons = 43")
    assert len(ptycho_fast.open(written)) == 40  # who does not ask is not told
    with pytest.raises(ValueError, match="written by ptycho_fast .*was changed since") as error:
        ptycho_fast.open(written, verify=True)
    assert table()["sha256"][:12] in str(error.value)
    changed(f'version = "{ptycho_fast.__version__}"', 'version = "7.7.7"')
    with pytest.raises(ValueError, match=r"ptycho_fast 7\.7\.7, this is ptycho_fast 0"):
        ptycho_fast.open(written, verify=True)


def test_another_number_of_patterns(written):
    changed("n_patterns = 40", "n_patterns = 41")
    with pytest.raises(ptycho_fast.ScenarioError, match=r"recipe.patterns: 40 given, expected 41"):
        ptycho_fast.open(written)


def test_the_bits_are_those_of_the_backend_that_wrote(run):
    bright = [*SMALL, "--nphotons", "1e10", "--quiet", "--force", "--out", "set.toml"]
    assert run(*bright) == 0
    native = table()
    assert run(*bright, "--backend", "reference") == 0
    assert (native["backend"], table()["backend"]) == ("native", "reference")
    assert table()["sha256"] != native["sha256"]
    # Opened with its own backend, verified with it whatever it is opened with.
    data = ptycho_fast.open("set.toml", verify=True)
    assert data.provenance["backend"] == "reference"
    ptycho_fast.open("set.toml", verify=True, backend="native")


def test_a_backend_that_is_not_there(written):
    changed('backend = "native"', 'backend = "abacus"')
    with pytest.warns(DataWarning, match="'abacus' that the recipe was written with is not"):
        ptycho_fast.open(written)
    with (
        pytest.warns(DataWarning, match="abacus"),
        pytest.raises(ValueError, match="cannot verify the bits: backend: 'abacus'"),
    ):
        ptycho_fast.open(written, verify=True)


# --- what cannot be a recipe ---


def test_arrays_of_python_are_refused():
    ones = np.ones((60, 60))
    data = ptycho_fast.simulate(
        object=ones, probe=np.ones((16, 16)), positions=[[30, 30], [31, 32]], nphotons=1e4
    )
    with pytest.raises(ValueError, match="object.kind: 'given' given, expected a kind that a rec"):
        data.save("set.toml")
    with pytest.raises(ValueError, match="scenario: none given"):
        data[:1].save("set.toml")
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--patches"], "--patches: something given, expected nothing of that kind for a.toml"),
        (["--preview", "a.png"], "--preview: something given"),
        (["--ladder", "1e3,1e4"], "--ladder: something given"),
        (["--modes", "all"], "--modes: something given"),
        (["--out", "there.toml"], "exists, expected a new name, or --force"),
        (["--out", "no/a.toml"], "does not exist"),
    ],
)
def test_refused_before_the_work(flags, message, run, capsys, monkeypatch):
    monkeypatch.setattr(Simulator, "__init__", None)
    Path("there.toml").write_text("precious")
    assert run(*SMALL, "--out", "a.toml", *flags) == 2
    assert message in capsys.readouterr().err
    assert os.listdir() == ["there.toml"]


def test_dry_run_writes_nothing(run, capsys):
    assert run(*SMALL, "--out", "a.toml", "--dry-run") == 0
    assert "nothing is written" in capsys.readouterr().out
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "hashed = 16",
            "hashed = 1000000000000",
            "hashed: 1000000000000 given, expected at most 40",
        ),
        ("hashed = 16", "hashed = 0", "recipe.hashed: 0 given, expected an integer >= 1"),
        ("hashed = 16", 'hashed = "16"', "recipe.hashed: '16' given, expected an integer"),
        ("hashed = 16", "", "recipe.hashed: nothing given"),
        ("hashed = 16", "hashed = true", "recipe.hashed: True given"),
        ("hashed = 16", "hashed = 16\nhaste = 3", "recipe.haste: unknown key"),
        ('domain = "count', 'domain = "amount', "recipe.domain: 'amount_intensity' given"),
        ('dtype = "uint32"', 'dtype = "object"', "recipe.dtype: 'object' given"),
        ("schema = 1\nversion", "schema = 9\nversion", "written by a newer ptycho_fast"),
        ("N = 32", "N = 33.5", "N: 33.5 given"),
        ("N = 32", "N = 32\nM = 1", "M: unknown key"),
        ("[recipe]", "[recipe", "not valid TOML"),
    ],
)
def test_wrong_recipes(written, old, new, message):
    changed(old, new)
    with pytest.raises(ptycho_fast.ScenarioError, match=re.escape(message)) as error:
        ptycho_fast.open(written)
    assert "set.toml" in str(error.value)


def test_not_a_text(command, capsys):
    Path("a.toml").write_bytes(b"\xff\xfe\x00")
    assert command("info", "a.toml") == 2
    assert "a.toml: byte 0 is not UTF-8" in capsys.readouterr().err


# --- input files ---


def test_input_files_are_found_beside_the_recipe(run, tmp_path):
    assert run(*SMALL, "--out", "a.npz", "--quiet") == 0
    assert run("--from", "a.npz", "--seed", "7", "--out", "set.toml", "--quiet") == 0
    counts = ptycho_fast.open("set.toml", verify=True).counts[:]
    there = tmp_path / "elsewhere"
    there.mkdir()
    for name in ("a.npz", "set.toml"):
        Path(name).rename(there / name)
    moved = ptycho_fast.open(there / "set.toml", verify=True)
    np.testing.assert_array_equal(moved.counts[:], counts)
    (there / "a.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.npz"):
        ptycho_fast.open(there / "set.toml")


# --- campaigns ---


def test_a_campaign(run, command, capsys):
    Path("zoo.toml").write_text(ZOO)
    assert run("zoo.toml", "--count", "5", "--first", "2", "--out", "set.toml") == 0
    assert "5, from number 2" in capsys.readouterr().out
    campaign = ptycho_fast.Campaign("zoo.toml")
    for k in (2, 6):
        data = ptycho_fast.open("set.toml", experiment=k, verify=True)
        expected = campaign.dataset(k).counts
        np.testing.assert_array_equal(data.counts[:], expected)
    assert ptycho_fast.Campaign("set.toml").count == 7
    with pytest.raises(ValueError, match=r"5 experiments given, .* experiment=2 to 6; .*Campaign"):
        ptycho_fast.open("set.toml")
    with pytest.raises(ValueError, match="experiment: 7 given, expected 2 to 6"):
        ptycho_fast.open("set.toml", experiment=7)
    assert command("info", "set.toml", "--verify") == 0
    changed("campaign = 42", "campaign = 1")
    assert command("info", "set.toml", "--verify") == 1


def test_a_single_experiment_has_no_number(written):
    with pytest.raises(ValueError, match="experiment: 0 given, expected nothing"):
        ptycho_fast.open(written, experiment=0)
