"""``python -m ptycho_fast.convert``: as a user runs it."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

import ptycho_fast

SMALL = {"N": 32, "object.size": 150, "scan.n_patterns": 40, "dose.nphotons": 1e6}


def made(changes=(), **options):
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(SMALL | dict(changes))
    return ptycho_fast.simulate(scenario, **options)


def test_a_recipe_becomes_the_file_that_a_simulation_writes(command):
    made().save("set.toml")
    assert command("convert", "set.toml", "converted.npz", "--quiet") == 0
    assert command("simulate", "set.toml", "--out", "simulated.npz", "--quiet") == 0
    assert Path("converted.npz").read_bytes() == Path("simulated.npz").read_bytes()


def test_there_and_back(command):
    data = made()
    data.save("a.npz")
    assert command("convert", "a.npz", "b.toml", "--quiet") == 0
    assert command("convert", "b.toml", "c.npz", "--quiet") == 0
    assert Path("c.npz").read_bytes() == Path("a.npz").read_bytes()


def test_a_range(command, capsys):
    data = made()
    data.save("a.npz")
    assert command("convert", "a.npz", "b.npz", "--first", "10", "--last", "13", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["patterns"], facts["left_out"]) == (3, [])
    part = ptycho_fast.open("b.npz")
    np.testing.assert_array_equal(part.counts[:], data.counts[10:13])
    np.testing.assert_array_equal(part.positions, data.positions[10:13])
    # What it is part of is in it, so that it can be made again.
    assert command("info", "b.npz", "--verify") == 0
    assert "3 patterns, made again" in capsys.readouterr().out
    assert command("convert", "b.npz", "c.toml") == 2
    assert "scenario: none given" in capsys.readouterr().err


def test_what_is_left_out_is_told_before(command, capsys):
    data = made({"probe.mode_kind": "hermite_gauss", "probe.modes": 3})
    data.save("a.npz", modes="all")
    assert command("convert", "a.npz", "b.npz") == 2
    assert "a probe of 3 modes given, expected --modes first" in capsys.readouterr().err
    assert command("convert", "a.npz", "b.npz", "--modes", "first") == 0
    said = capsys.readouterr()
    assert "does not hold: 2 of 3 probe modes" in said.err
    assert "2 of 3 probe modes" in said.out


def test_patterns_that_the_scenario_does_not_make_are_no_recipe(command, capsys):
    data = made()
    data.diffraction[0, 3, 3] += 1
    data.save("a.npz")
    assert command("convert", "a.npz", "b.toml") == 2
    error = capsys.readouterr().err
    assert "have other bits: the first is pattern 0; a recipe would make other patterns" in error
    assert not Path("b.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["a.npz", "a.npz", "--force"], 2, "OUT: a.npz given, expected another file than a.npz"),
        (["a.npz", "link.npz", "--force"], 2, "expected another file than a.npz"),
        (["a.npz", "b.unknown"], 2, "suffix '.unknown' given, expected .npz"),
        (["a.npz", "b"], 2, "a name without suffix"),
        (["a.npz", "b.npz", "--format", "xyz"], 2, "format: 'xyz' given, expected one of pinn"),
        (["no.npz", "b.npz"], 2, "no.npz: no such file"),
        (["a.npz", "there.npz"], 2, "exists, expected a new name, or --force"),
        (["a.npz", "no/b.npz"], 2, "does not exist"),
        (["a.npz", "b.npz", "--first", "40"], 2, "--first: 40 given, expected 0 to 39"),
        (["a.npz", "b.npz", "--first", "5", "--last", "5"], 2, "--last: 5 given, expected 6 to 40"),
        (["a.npz", "b.npz", "--memory", "lots"], 2, "--memory: 'lots' given, expected a number"),
        (["a.npz", "b.npz", "--compression", "lz4"], 2, "compression: 'lz4' given, expected of wr"),
        (["a.npz", "b.npz", "--dtype", "uint16"], 2, "stores amplitudes, float32"),
        (["a.npz", "b.npz", "--read", "speed=3"], 2, "speed: 3 given, expected of reading"),
        (["cut.npz", "b.npz"], 1, "cut.npz"),
        (["text.txt", "b.npz"], 2, "text.txt: is no file of a kind that is known"),
        (["unsaid.npz", "b.npz"], 1, "unsaid.npz"),
    ],
)
def test_refused(arguments, code, message, command, capsys):
    made().save("a.npz")
    os.symlink("a.npz", "link.npz")
    whole = Path("a.npz").read_bytes()
    Path("cut.npz").write_bytes(whole[: len(whole) // 2])
    Path("there.npz").write_text("precious")
    Path("text.txt").write_text("no data")
    data = ptycho_fast.Dataset.load("a.npz")
    np.savez("unsaid.npz", diff3d=data.diffraction, xcoords=data.positions[:, 0])
    before = sorted(os.listdir())
    assert command("convert", *arguments) == code
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert sorted(os.listdir()) == before
    assert Path("there.npz").read_text() == "precious"


def test_a_file_that_does_not_say_what_its_patterns_mean(command, capsys):
    data = made()
    arrays = {
        "diff3d": data.counts,
        "xcoords": data.positions[:, 0],
        "ycoords": data.positions[:, 1],
        "probeGuess": data.probe[0],
        "objectGuess": data.object,
    }
    np.savez("a.npz", **arrays)
    assert command("convert", "a.npz", "b.npz") == 1
    assert "domain" in capsys.readouterr().err
    flags = ["--domain", "count_intensity", "--position-offset", "0.5"]
    assert command("info", "a.npz", *flags) == 0
    assert "count_intensity: photon counts" in capsys.readouterr().out


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ended(signum, code, start):
    made().save("set.toml")
    waiting = """
from ptycho_fast.simulator import Simulator

def slow(self, *arguments, **options):
    print("here", flush=True)
    input()

import ptycho_fast.convert as convert
convert.lost_in = lambda *_: []
Simulator.frames = slow
sys.exit(convert.main())
"""
    process = start(waiting, "set.toml", "b.npz")
    assert process.stdout.readline() == "here\n", process.stderr.read()
    process.send_signal(signum)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == code
    assert errors.endswith("nothing was written\n")
    assert os.listdir() == ["set.toml"]


def test_as_a_process(start):
    made().save("set.toml")
    process = start('command("convert")', "set.toml", "b.npz", "--memory", "1M")
    out, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    assert "left out           nothing" in out
    assert len(ptycho_fast.open("b.npz")) == 40
