"""``--ladder``: one command, one folder, a data set for each dose."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from ptycho_fast import Dataset

SMALL = ["gs2_ideal", "--n-patterns", "9", "--N", "16", "--object-size", "90"]
FILES = ["gs2_ideal-1e3.npz", "gs2_ideal-2.5e4.npz"]


def test_a_folder_of_doses(run, capsys):
    assert run(*SMALL, "--ladder", "1e3,2.5e4", "--out", "doses/", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert sorted(os.listdir("doses")) == FILES
    assert [one["dose"]["requested"] for one in facts["data_sets"]] == [1e3, 2.5e4]
    assert facts["file_bytes"] == sum(os.stat(f"doses/{name}").st_size for name in FILES)
    low, high = (Dataset.load(f"doses/{name}") for name in FILES)
    assert low.scenario.dose.nphotons == 1e3
    assert low.scenario.seeds == high.scenario.seeds
    np.testing.assert_array_equal(low.object, high.object)
    assert run(*SMALL, "--nphotons", "2.5e4", "--out", "alone.npz", "--quiet") == 0
    assert Path("alone.npz").read_bytes() == Path(f"doses/{FILES[1]}").read_bytes()


def test_independent_numbers(run):
    flags = ["--ladder", "1e3,2.5e4", "--ladder-numbers", "independent", "--quiet"]
    assert run(*SMALL, *flags) == 0
    seeds = {Dataset.load(f"gs2_ideal-ladder/{name}").scenario.seeds.photons for name in FILES}
    assert len(seeds) == 2


def test_the_summary_has_every_dose(run, capsys):
    assert run(*SMALL, "--ladder", "1e3,2.5e4") == 0
    text = capsys.readouterr().out
    assert "dose 1000 " in text
    assert "dose 25000 " in text
    assert run(*SMALL, "--ladder", "1e3,2.5e4", "--out", "other", "--dry-run") == 0
    assert "2 data sets" in capsys.readouterr().out
    assert os.listdir() == ["gs2_ideal-ladder"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ladder", "1e3,many"], "--ladder: '1e3,many' given, expected numbers"),
        (["--ladder", "1e3,1e3"], "none twice"),
        (["--ladder", "0"], "doses: 0.0 given"),
        (["--ladder", "1e3", "--out", "file"], "file: is a file, expected a folder"),
        (["--ladder", "1e3", "--out", "no/such/folder"], "does not exist"),
        (["--ladder", "1e3", "--preview", "a.png"], "expected none with --ladder"),
        (["--ladder", "1e3,2e20"], "dose.nphotons: 2e+20 given"),
        (["--ladder", "1e3", "--set", "dose.mode=none"], "expected a mode with a number"),
        (["--ladder", "1e3,2e3", "--out", "there"], "expected a new name, or --force"),
    ],
)
def test_refused_before_anything_is_written(flags, message, run, capsys):
    Path("file").write_text("precious")
    Path("there").mkdir()
    Path("there/gs2_ideal-2e3.npz").write_text("precious")
    assert run(*SMALL, *flags) == 2
    assert message in capsys.readouterr().err
    assert sorted(os.listdir()) == ["file", "there"]
    assert os.listdir("there") == ["gs2_ideal-2e3.npz"]
