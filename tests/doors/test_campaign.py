"""Campaigns from the command line: a file for each experiment, an index, and going on."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import Campaign, Dataset, Scenario

ZOO = """
preset = "gs2_ideal"
N = 16
object.size = {min = 60, max = 90}
scan.n_patterns = {min = 4, max = 6}
dose.nphotons = {min = 1e3, max = 1e6, scale = "log"}
"""
THREE = ["zoo.toml", "--count", 3, "--out", "zoo", "--quiet"]
FILES = ["zoo_000000.npz", "zoo_000001.npz", "zoo_000002.npz"]


@pytest.fixture(autouse=True)
def scenario_file():
    Path("zoo.toml").write_text(ZOO)


def states(folder="zoo"):
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in Path(folder).iterdir()}


def index(folder="zoo"):
    return json.loads(Path(folder, "campaign.json").read_text())


# --- what is made ---


def test_a_file_for_each_experiment(run):
    assert run(*THREE) == 0
    assert sorted(os.listdir("zoo")) == ["campaign.json", *FILES]
    campaign = Campaign("zoo.toml")
    there = index()
    assert Scenario.from_dict(there["scenario"]) == campaign.template
    assert [entry["k"] for entry in there["experiments"]] == [0, 1, 2]
    for k, entry in enumerate(there["experiments"]):
        data = Dataset.load(Path("zoo", entry["file"]))
        assert data.scenario == campaign.scenario(k)
        assert entry["draws"] == campaign.draws(k)
        assert entry["seeds"] == data.scenario.seeds.to_dict()
        assert (entry["N"], entry["n_patterns"]) == (16, data.n_patterns)
        assert data.provenance["campaign"] == campaign.record(k)
        again = ptycho_fast.simulate(data.scenario)  # from the file alone
        np.testing.assert_array_equal(again.amplitude(), data.amplitude())
        np.testing.assert_array_equal(again.object, data.object)


def test_without_draws_each_experiment_has_seeds_of_its_own(run):
    few = ["gs2_ideal", "--n-patterns", 3, "--set", "N=16", "--object-size", 60, "--count", 2]
    assert run(*few, "--quiet") == 0
    one, two = (Dataset.load(f"gs2_ideal/gs2_ideal_00000{k}.npz") for k in range(2))
    assert (one.object != two.object).any()
    assert (one.positions != two.positions).any()


def test_flags_lie_over_the_scenario(run):
    more = ["--no-noise", "--patches", "--n-patterns", 3, "--set", "dose.nphotons={choice=[7]}"]
    assert run(*THREE, *more) == 0
    data = Dataset.load("zoo/zoo_000001.npz")
    assert (data.n_patterns, data.scenario.noise, data.scenario.dose.nphotons) == (3, False, 7.0)
    with np.load("zoo/zoo_000001.npz") as file:
        assert "Y" in file.files
    assert set(index()["experiments"][1]["draws"]) == {"object.size", "dose.nphotons"}


def test_summary_and_json(run, capsys):
    assert run(*THREE[:-1]) == 0
    text = capsys.readouterr().out
    assert "experiments        3 made, 0 were there\n" in text
    assert "draws              object.size, scan.n_patterns, dose.nphotons\n" in text
    assert run(*THREE[:-1], "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["made"], facts["kept"]) == (0, 3)
    assert facts["experiments"] == index()["experiments"]
    assert facts["file_bytes"] == sum(os.stat(f"zoo/{name}").st_size for name in FILES)


def test_dry_run(run, capsys):
    assert run(*THREE[:-1], "--dry-run") == 0
    text = capsys.readouterr().out
    assert not Path("zoo").exists()
    drawn = Campaign("zoo.toml").draws(2)
    assert f"\n2                  {drawn['object.size']:<11}  " in text
    assert "\nexperiments        3 to make, 0 are there\n" in text
    assert run(*THREE[:-1], "--count", 60, "--dry-run", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["experiments"]) == 60
    patterns = [entry["n_patterns"] for entry in facts["experiments"]]
    assert facts["patterns"] == sum(patterns)
    assert facts["file_bytes"] > 60 * 60**2 * 8
    assert facts["seconds_estimated"] > 0
    assert run(*THREE[:-1], "--count", 60, "--dry-run") == 0
    assert "\n...                and 41 more\n" in capsys.readouterr().out


# --- going on ---


def test_what_is_there_is_kept(run):
    assert run(*THREE) == 0
    before = states()
    Path("zoo", FILES[1]).unlink()
    assert run(*THREE) == 0
    after = states()
    assert {name: content for name, (_, content) in after.items()} == {
        name: content for name, (_, content) in before.items()
    }
    assert [after[name][0] == before[name][0] for name in (FILES[0], FILES[2])] == [True, True]


def test_pieces_are_the_whole(run):
    assert run(*THREE) == 0
    whole = states()
    part = ["zoo.toml", "--out", "parts", "--quiet"]
    assert run(*part, "--count", 1, "--first", 2) == 0
    assert sorted(os.listdir("parts")) == ["campaign.json", FILES[2]]
    assert run(*part, "--count", 2) == 0
    assert {name: content for name, (_, content) in states("parts").items()} == {
        name: content for name, (_, content) in whole.items()
    }


def test_two_runs_share_an_index(run):
    """The one that ends last has the entries of both."""
    from ptycho_fast.campaign_folder import CampaignFolder

    options = {"alias": False, "modes": None, "patches": False}
    one, two = (
        CampaignFolder(Campaign("zoo.toml"), Path("zoo"), [k], options=options) for k in (0, 1)
    )
    one.write_index()
    two.write_index()
    one.write_index()
    assert [entry["k"] for entry in index()["experiments"]] == [0, 1]
    assert run("zoo.toml", "--count", 1, "--out", "zoo", "--modes", "all", "--quiet") == 0


INTERRUPTED = """
from ptycho_fast.simulator import Simulator
frames, calls = Simulator.frames, []

def telling(self, *arguments, **options):
    calls.append(self)
    if len(calls) == 2:
        print("here", flush=True)
        input()
    return frames(self, *arguments, **options)

Simulator.frames = telling
command()
"""


@pytest.mark.parametrize(
    ("signum", "code", "what"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")],
)
def test_interrupted(signum, code, what, start, run):
    process = start(INTERRUPTED, *THREE)
    assert process.stdout.readline() == "here\n", process.stderr.read()
    process.send_signal(signum)
    _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (
        code,
        f"ptycho-fast simulate: error: {what}; 1 of 3 experiments are complete in zoo; "
        "the same command goes on there\n",
    )
    assert sorted(os.listdir("zoo")) == ["campaign.json", FILES[0]]
    before = states()
    assert run(*THREE) == 0
    assert sorted(os.listdir("zoo")) == ["campaign.json", *FILES]
    assert states()[FILES[0]] == before[FILES[0]]


# --- what is refused ---


def test_a_folder_of_another_campaign(run, capsys):
    assert run(*THREE) == 0
    before = states()
    assert run(*THREE, "--set", "object.size={min=60, max=91}") == 2
    message = capsys.readouterr().err
    assert (
        "zoo/campaign.json: exists, and it is of another campaign: scenario.object.siz" in message
    )
    assert "90 given, expected 91; expected a new folder, or --force to replace" in message
    assert run(*THREE, "--patches") == 2
    assert "options.patches: False given, expected True" in capsys.readouterr().err
    assert states() == before
    assert run(*THREE, "--set", "object.size={min=60, max=91}", "--force") == 0
    assert index()["scenario"]["object"]["size"]["max"] == 91


def test_a_file_of_something_else(run, capsys):
    assert run(*THREE) == 0
    few = ["zoo.toml", "--object-size", 60, "--n-patterns", 5, "--nphotons", 1e4, "--quiet"]
    assert run(*few, "--out", f"zoo/{FILES[1]}", "--force") == 0
    assert run(*THREE) == 2
    assert f"zoo/{FILES[1]}: exists, and it is not from a campaign" in capsys.readouterr().err
    Path("zoo", FILES[1]).write_bytes(b"torn")
    assert run(*THREE) == 2
    assert f"zoo/{FILES[1]}: exists, and it is not from a campaign" in capsys.readouterr().err
    assert run(*THREE, "--force") == 0
    assert run(*THREE) == 0


@pytest.mark.parametrize("text", ["", "[]", '{"experiments": 3}', "{" * 5000])
def test_an_index_that_is_none(text, run, capsys):
    Path("zoo").mkdir()
    Path("zoo/campaign.json").write_text(text)
    assert run(*THREE) == 2
    assert "zoo/campaign.json: exists, and it is no index of a campaign" in capsys.readouterr().err
    assert os.listdir("zoo") == ["campaign.json"]


def test_impossible_draws_are_named_before_the_work(run, capsys):
    narrow = [*THREE[:-1], "--count", 20, "--set", "scan.buffer={min=10, max=60}"]
    assert run(*narrow) == 2
    message = capsys.readouterr().err
    assert "error: experiment " in message
    assert "scan.buffer: " in message
    assert not Path("zoo").exists()
    numbers = message.split("(--skip ")[1].split(")")[0]
    assert 1 < len(numbers.split(",")) < 20
    assert f" of 20 experiments are impossible: {numbers}\n" in message
    assert run(*narrow, "--skip", numbers, "--quiet") == 0
    assert len(os.listdir("zoo")) == 1 + 20 - len(numbers.split(","))


def test_an_experiment_that_fails_names_itself(run, capsys):
    """What is known only when it is made: too high a dose."""
    dose = "dose.nphotons={choice=[1e3, 1e14]}"
    assert run(*THREE, "--set", dose) == 2
    message = capsys.readouterr().err
    doses = [Campaign(Scenario.load("zoo.toml").replace(
        {"dose.nphotons": {"choice": [1e3, 1e14]}}
    )).draws(k)["dose.nphotons"] for k in range(3)]  # fmt: skip
    k = doses.index(1e14)
    assert f"error: experiment {k} (object.size = " in message
    assert f"(--skip {k}); {k} of 3 experiments are complete in zoo; the same command" in message
    assert run(*THREE, "--set", dose, "--skip", k) in (0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zoo.toml"], "a campaign (Campaign, or simulate --count) draws one for each experiment"),
        (["gs2_ideal", "--first", 2], "--first: given, expected --count too"),
        (["gs2_ideal", "--skip", 2], "--skip: given, expected --count too"),
        (["zoo.toml", "--count", 0], "--count: 0 given, expected 1 to"),
        (["zoo.toml", "--count", "many"], "--count"),
        (["zoo.toml", "--count", 1, "--first", -1], "--first: -1 given, expected 0 to"),
        (["zoo.toml", "--count", 1, "--skip", "0"], "--skip: all experiments given"),
        (["zoo.toml", "--count", 1, "--skip", "x"], "--skip: 'x' given, expected numbers such as"),
        (["zoo.toml", "--count", 9, "--skip", "1.5"], "--skip: '1.5' given, expected numbers"),
        (["zoo.toml", "--count", 1, "--preview", "a.png"], "--preview: given, expected nothing"),
        (["zoo.toml", "--count", 1, "--ladder", "1,2"], "--ladder: given, expected nothing"),
        (["zoo.toml", "--count", 1, "--out", "zoo.toml"], "zoo.toml: exists, expected a new name"),
        (["zoo.toml", "--count", 1, "--out", "no/such"], "no/such: the folder no does not exist"),
        (["zoo.toml", "--count", 1, "--backend", "cobol"], "backend: 'cobol'"),
        (["zoo.toml", "--count", 1, "--set", "N=7"], "N: 7 given"),
    ],
)
def test_refused(arguments, message, run, capsys):
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err
    assert os.listdir() == ["zoo.toml"]


def test_too_little_disk_for_all(run, capsys, monkeypatch):
    import shutil

    from ptycho_fast import estimate

    few = shutil._ntuple_diskusage(10**6, 0, 10**6)
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda _: few)
    assert run(*THREE, "--count", 30) == 1
    assert "MB, the disk has 1 MB free" in capsys.readouterr().err
    assert os.listdir() == ["zoo.toml"]


def test_a_scan_from_a_file_has_as_many_positions_as_the_file(run, capsys):
    np.savetxt("scan.csv", np.random.default_rng(0).uniform(60, 300, (7, 2)), delimiter=",")
    flags = ["gs2_ideal", "--scan-file", "scan.csv", "--count", "2", "--out", "few"]
    assert run(*flags, "--dry-run") == 0
    assert run(*flags) == 0
    told = capsys.readouterr().out
    assert told.count("patterns           as many as the files of the scans hold\n") == 2
    for path in sorted(Path("few").glob("*.npz")):
        assert Dataset.load(path).n_patterns == 7
