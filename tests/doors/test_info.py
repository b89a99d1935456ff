"""``python -m ptycho_fast.info``: what a file is, and whether it is what it says."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.formats.patterns import LazyPatterns

SMALL = {"N": 32, "object.size": 150, "scan.n_patterns": 40, "dose.nphotons": 1e6}


def made(changes=(), **options):
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(SMALL | dict(changes))
    return ptycho_fast.simulate(scenario, **options)


def test_lines(command, capsys):
    data = made({"optics.energy_ev": 8e3, "detector.beam_stop_radius": 2.0})
    data.save("a.npz")
    assert command("info", "a.npz") == 0
    out = capsys.readouterr().out
    mean = data.provenance["dose"]["measured"]["mean"]
    for line in (
        "patterns           40 of 32 x 32 pixels",
        "domain             normalized_amplitude: sqrt(counts) / s",
        "object             150 x 150",
        "geometry           photons, energy 8000 eV",
        "dose requested     1e+06 photons per pattern",
        f"dose measured      {mean:.6g} mean",
        f"version            {ptycho_fast.__version__}",
        "backend            native",
        "scenario           gs2_ideal",
        "object             lines (size 150)",
        "detector           beam_stop_radius 2.0",
        "seeds              object 42",
    ):
        assert line in out
    assert "verified" not in out


def test_json(command, capsys):
    data = made()
    data.save("a.npz")
    assert command("info", "a.npz", "--json", "--verify", "--patterns", "3") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["shapes"]["object"] == [150, 150]
    assert facts["scenario"] == data.scenario.to_dict()
    assert facts["dose"] == data.provenance["dose"]
    assert facts["verified"]["problems"] == facts["verified"]["undone"] == []
    assert facts["verified"]["done"][1] == "3 patterns, made again, have the same bits"


def test_patterns_are_not_read(command, capsys, monkeypatch):
    made().save("set.toml")

    def read(*_):
        raise AssertionError("a pattern is read")

    for name in ("_read", "_take", "__array__"):
        monkeypatch.setattr(LazyPatterns, name, read)
    monkeypatch.setattr(ptycho_fast.Simulator, "frames", read)
    assert command("info", "set.toml") == 0
    assert "recipe" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changes",
    [
        {"noise": False},
        {"detector.gain": 2.5, "detector.quantisation": 1.0},
        {"dose.nphotons": 1e9},
        {"scan.fly_points": 3, "probe.variation": 0.1},
    ],
)
def test_all_kinds_of_patterns_are_made_again(changes, command, capsys):
    made(changes).save("a.npz", modes="all")
    assert command("info", "a.npz", "--verify", "--patterns", "40") == 0
    assert "40 patterns, made again, have the same bits" in capsys.readouterr().out


def test_arrays_of_python_are_taken_from_the_file(command, capsys):
    ones = np.ones((60, 60))
    data = ptycho_fast.simulate(
        object=ones, probe=np.ones((16, 16)), positions=[[30, 30], [31, 32]], nphotons=1e4
    )
    data.save("a.npz")
    assert command("info", "a.npz", "--verify") == 0
    assert "2 patterns, made again" in capsys.readouterr().out


def test_one_photon_more_is_found(command, capsys):
    data = made()
    data.diffraction[17, 5, 5] += 1
    data.save("a.npz")
    assert command("info", "a.npz", "--verify", "--patterns", "40") == 1
    error = capsys.readouterr().err
    assert "1 of 40 patterns, made again, have other bits: the first is pattern 17" in error


def test_another_version_is_named(command, capsys):
    data = made()
    data.diffraction[0] += 1
    data.provenance["version"] = "7.7.7"
    data.save("a.npz")
    assert command("info", "a.npz", "--verify") == 1
    said = capsys.readouterr()
    assert "which ptycho_fast 7.7.7 made" in said.err
    assert "version            7.7.7; this is" in said.out


def test_a_bit_that_flipped(command, capsys):
    made().save("a.npz")
    damaged = bytearray(Path("a.npz").read_bytes())
    damaged[damaged.index(b"diff3d.npy") + 5000] ^= 1
    Path("a.npz").write_bytes(damaged)
    assert command("info", "a.npz", "--verify") == 1
    assert "a.npz: key 'diff3d'" in capsys.readouterr().err


def test_without_a_scenario(command, capsys):
    dataclasses.replace(made(), scenario=None, provenance={}).save("a.npz")
    assert command("info", "a.npz", "--verify") == 0
    out = capsys.readouterr().out
    assert "scenario           none" in out
    assert "verified           all checksums are right" in out
    assert "not verified       no pattern was made again: the file has no scenario" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no.npz"], 2, "no.npz: no such file"),
        (["a.npz", "--patterns", "3"], 2, "--patterns: given, expected --verify too"),
        (["a.npz", "--verify", "--patterns", "0"], 2, "--patterns: 0 given"),
        (["a.npz", "--from-format", "xyz"], 2, "format: 'xyz' given"),
        (["text.txt"], 2, "text.txt: is no file of a kind that is known"),
        ([], 2, "FILE"),
        (["cut.npz"], 1, "cut.npz"),
        (["empty.npz"], 1, "empty.npz"),
        (["other.npz"], 1, "other.npz"),
    ],
)
def test_refused(arguments, code, message, command, capsys):
    made().save("a.npz")
    whole = Path("a.npz").read_bytes()
    Path("cut.npz").write_bytes(whole[: len(whole) // 2])
    Path("empty.npz").touch()
    Path("text.txt").write_text("no data")
    np.savez("other.npz", something=np.ones(3))
    assert command("info", *arguments) == code
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err


def test_as_a_process(start):
    made().save("a.npz")
    process = start('command("info")', "a.npz", "--verify")
    out, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    assert "made again" in out


@pytest.mark.parametrize("name", ["object", "probe", "positions"])
def test_what_is_changed_besides_the_patterns_is_found(name, command, capsys):
    h5py = pytest.importorskip("h5py")
    made().save("a.h5")
    with h5py.File("a.h5", "r+") as file:
        values = file[name][...]
        file[name][...] = values * (1 + 1e-6)
    assert command("info", "a.h5", "--verify") == 1
    assert f"{name}: not what the scenario makes" in capsys.readouterr().err
