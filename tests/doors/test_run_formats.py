"""Ladders and campaigns in other formats than the NPZ, and types that a format asks for."""

import os
import shutil

import numpy as np

import ptycho_fast

SMALL = ["gs2_ideal", "--object-size", "150", "--n-patterns", "9", "--nphotons", "1e5", "--quiet"]


def test_a_ladder_and_a_campaign_in_hdf5(run):
    assert run(*SMALL, "--ladder", "1e3,1e4", "--format", "hdf5", "--out", "ladder") == 0
    assert sorted(os.listdir("ladder")) == ["gs2_ideal-1e3.h5", "gs2_ideal-1e4.h5"]
    campaign = [*SMALL, "--format", "hdf5", "--out", "set", "--dtype", "uint16"]
    assert run(*campaign, "--count", "1") == 0
    first = os.stat("set/gs2_ideal_000000.h5")
    assert run(*campaign, "--count", "2") == 0
    assert sorted(os.listdir("set")) == [
        "campaign.json", "gs2_ideal_000000.h5", "gs2_ideal_000001.h5"
    ]  # fmt: skip
    assert os.path.samestat(first, os.stat("set/gs2_ideal_000000.h5"))
    with ptycho_fast.open("set/gs2_ideal_000001.h5") as data:
        assert data.diffraction.dtype == np.uint16


def test_a_format_asks_for_its_type(run, capsys):
    """So that a dose which is too high for it is refused before the work."""
    raw = ["--format", "pinn-raw", "--out", "a.npz"]
    assert run(*SMALL, "--nphotons", "1e9", *raw) == 2
    assert "which uint16 holds" in capsys.readouterr().err
    assert os.listdir() == []
    assert run(*SMALL, *raw) == 0


def test_memory_has_a_unit(run, capsys):
    assert run(*SMALL, "--memory", "64 MiB", "--out", "a.h5") == 0
    assert run(*SMALL, "--memory", "much", "--out", "b.h5") == 2
    assert "--memory: 'much' given, expected a number of bytes" in capsys.readouterr().err


def test_memory_for_less_than_a_block(run, capsys):
    flags = "gs2_ideal", "--n-patterns", 300, "--quiet"
    least = 6 * 2**20
    for out in ("a.h5", "a.npz", "a.zarr"):
        assert run(*flags, "--memory", 3, "--out", out) == 2
        errors = capsys.readouterr().err
        assert f"memory: 3 bytes given, expected at least {least}, for one block" in errors
        assert os.listdir() == []
        assert run(*flags, "--memory", least, "--out", out) == 0
        assert ptycho_fast.open(out).n_patterns == 300
        shutil.rmtree(out) if os.path.isdir(out) else os.unlink(out)
