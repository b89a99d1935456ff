"""The data card: it says what a file is, and what it says makes the same bytes again."""

import hashlib
import json
import os
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.card import sha256_of

SMALL = ["gs2_ideal", "--n-patterns", 9, "--seed", 7, "--nphotons", "1e6"]


def rows_of(text):
    return dict(re.findall(r"^\| (.+?) \| (.*) \|$", text, re.MULTILINE))


def blocks_of(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.zarr"])
def test_it_says_what_the_file_is(name, run, command, capsys):
    assert run(*SMALL, "--out", name, "--card") == 0
    assert re.search(r"^card +a\.md$", capsys.readouterr().out, re.MULTILINE)
    text = Path("a.md").read_text()
    rows = rows_of(text)
    assert rows["SHA-256"] == f"`{sha256_of(Path(name))}`"
    assert rows["version"] == ptycho_fast.__version__
    assert rows["dose requested"] == "1e+06 photons per pattern"
    with ptycho_fast.open(name) as data:
        mean = np.sum(data.counts[:], axis=(1, 2), dtype=float).mean()
    assert float(rows["dose measured"].split()[0]) == pytest.approx(mean, rel=1e-5)
    assert "photons 7" in rows["seeds"]
    assert "## Licence\n\nNot stated." in text
    assert command("info", name, "--card") == 0  # the same, but for the command
    assert rows_of(capsys.readouterr().out) == rows


def test_a_file_has_the_hash_that_others_compute(tmp_path):
    (tmp_path / "file").write_bytes(b"abc" * 10**6)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(b"abc" * 10**6).hexdigest()
    before = sha256_of(tmp_path)
    (tmp_path / "file").rename(tmp_path / "other")
    assert sha256_of(tmp_path) != before


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ([], "a.npz"),
        (["--no-noise"], "a.h5"),
        (["--detector.gain", "2", "--detector.readout_noise", "0.5"], "a.h5"),
    ],
)
def test_both_ways_make_the_same_bytes(flags, name, run, command):
    assert run(*SMALL, *flags, "--out", name, "--card", "--quiet") == 0
    text, wanted = Path("a.md").read_text(), Path(name).read_bytes()
    as_it_was, by_the_scenario = blocks_of(text, "sh")
    (scenario,) = blocks_of(text, "toml")
    Path("again.toml").write_text(scenario)
    for lines in (as_it_was, by_the_scenario):
        Path(name).unlink()
        Path("a.md").unlink(missing_ok=True)
        for line in lines.splitlines():
            _, what, *arguments = shlex.split(line)
            assert command(what, *arguments, "--quiet") == 0, line
        assert Path(name).read_bytes() == wanted


def test_an_hdf5_file_keeps_its_card(run, command, capsys):
    assert run(*SMALL, "--out", "a.h5", "--card", "--quiet") == 0
    assert command("info", "a.h5", "--json") == 0
    kept = json.loads(capsys.readouterr().out)["card_inside"]
    beside = rows_of(Path("a.md").read_text())
    assert kept.startswith("# gs2_ideal.h5\n")  # the bytes of a file do not depend on its name
    assert rows_of(kept) == {k: v for k, v in beside.items() if k not in ("size", "SHA-256")}
    assert "dose measured" in rows_of(kept)
    Path("a.h5").rename("renamed.h5")
    assert command("info", "renamed.h5", "--verify") == 0
    assert re.search("^card +in the file; it agrees$", capsys.readouterr().out, re.MULTILINE)
    import h5py

    with h5py.File("renamed.h5", "r+") as file:
        assert file["card"][()].decode() == kept
        del file["card"]
        file["card"] = np.bytes_(kept.replace("1e+06", "1e+07").encode())
    assert command("info", "renamed.h5") == 0
    assert re.search("^card +in the file; it says other", capsys.readouterr().out, re.MULTILINE)


def test_a_file_without_a_card(run, command, capsys):
    for name in ("a.h5", "a.npz"):
        assert run(*SMALL, "--out", name, "--quiet") == 0
        assert command("info", name, "--json") == 0
        assert json.loads(capsys.readouterr().out)["card_inside"] is None


def test_for_a_program(run, command, capsys):
    assert run(*SMALL, "--out", "a.npz", "--quiet") == 0
    assert command("info", "a.npz", "--card", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["card"].startswith("# a.npz\n")
    assert facts["patterns"] == 9


def test_what_is_not_ours_is_not_promised(command, capsys):
    np.savez(
        "export.npz",
        diff3d=np.ones((3, 16, 16), np.float32), probeGuess=np.ones((16, 16), complex),
        objectGuess=np.ones((40, 50), complex), xcoords=np.array([10.5, 12.5, 20.0]),
        ycoords=np.array([10.5, 12.5, 20.0]),
    )  # fmt: skip
    assert command("info", "export.npz", "--card", "--domain", "normalized_amplitude") == 0
    assert "these data cannot be made again" in capsys.readouterr().out


def test_refusals(run, command, capsys):
    Path("a.md").write_text("mine")
    assert run(*SMALL, "--out", "a.npz", "--card") == 2
    assert Path("a.md").read_text() == "mine"
    assert not Path("a.npz").exists()
    assert run(*SMALL, "--out", "a.npz", "--card", "--force", "--quiet") == 0
    assert run(*SMALL, "--out", "b", "--card", "--ladder", "1e3,1e5") == 2
    assert run(*SMALL, "--out", "b", "--card", "--count", 2) == 2
    assert run(*SMALL, "--out", "b.toml", "--card") == 2
    assert run(*SMALL, "--out", "b.toml", "--quiet") == 0
    assert command("info", "b.toml", "--card") == 2
    assert command("info", "a.npz", "--card", "--verify") == 2
    capsys.readouterr()


@pytest.mark.skipif(sys.platform != "linux", reason="the file system takes names in UTF-8 only")
def test_a_name_that_is_not_utf8(run):
    pytest.importorskip("jinja2")
    name = os.fsdecode(b"bad\xff")
    arguments = ["--out", f"{name}.npz", "--card", "--report", f"{name}.html"]
    assert run(*SMALL, *arguments, "--quiet") == 0
    assert Path(f"{name}.md").read_text().startswith(r"# bad\udcff.npz")
    assert r"bad\udcff" in Path(f"{name}.html").read_text()
