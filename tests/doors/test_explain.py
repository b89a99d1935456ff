"""``simulate --explain``: true sentences about what would be made, and nothing is made."""

import json
import os

import numpy as np
import pytest

from ptycho_fast import Scenario
from ptycho_fast.experiment import make_experiment
from ptycho_fast.explain import beam_diameter, in_words, length_text, overlap


def words(**changes):
    return dict(in_words(make_experiment(Scenario().replace(changes))))


RASTER = {
    "N": 32, "object.size": 96, "probe.kind": "gaussian", "probe.sigma": 3.0,
    "scan.kind": "raster", "scan.step": 4.0, "scan.n_patterns": 25,
}  # fmt: skip


def test_nothing_is_made(run, capsys):
    assert run("gs2_ideal", "--n-patterns", 9, "--explain") == 0
    text = capsys.readouterr().out
    for label in ("object", "probe", "scan", "light", "dose", "detector", "file", "memory", "time"):
        assert f"\n{label} " in text
    assert max(map(len, text.splitlines())) <= 100
    assert os.listdir() == []


def test_the_facts_of_a_dry_run(run, capsys):
    assert run("gs2_ideal", "--n-patterns", 9, "--explain", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["patterns"] == 9
    assert facts["dose"]["expected"]["mean"] == pytest.approx(1e9)
    assert "9 patterns of 64 x 64 pixels." in facts["words"]["patterns"]


def test_what_cannot_be_made_is_refused(run, capsys):
    assert run("gs2_custom", "--explain") == 2
    assert run("gs2_ideal", "--explain", "--dry-run") == 2
    assert run("gs2_ideal", "--explain", "--out", "no/such/folder.npz") == 2
    capsys.readouterr()


def test_several_data_sets(run, capsys):
    small = ["--n-patterns", 9, "--explain", "--json"]
    assert run("gs2_ideal", *small, "--ladder", "1e3,1e5") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["data_sets"] == 2
    assert "1000, 1e+05 photons per pattern" in facts["words"]["dose"]
    changes = ["--set", "dose.nphotons={min=1e3, max=1e5}"]
    assert run("gs2_ideal", *small, *changes, "--count", 3) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["experiments"], facts["draws"]) == (3, ["dose.nphotons"])
    assert os.listdir() == []


# --- the numbers in the sentences ---


@pytest.mark.parametrize("sigma", [2.0, 3.5, 5.0])
def test_the_beam_of_a_gaussian(sigma):
    """Within a radius r is the share 1 - exp(-r**2 / 2 sigma**2) of its power."""
    y, x = np.mgrid[-32:32, -32:32]
    probe = np.exp(-((x - 3.0) ** 2 + y**2) / (4 * sigma**2))[np.newaxis].astype(np.complex64)
    assert beam_diameter(probe) == pytest.approx(2 * sigma * np.sqrt(2 * np.log(10)), abs=1.5)


def test_the_overlap_of_a_raster():
    e = make_experiment(Scenario().replace(RASTER))
    assert overlap(e) == pytest.approx(1 - 4.0 / beam_diameter(e.probe), rel=1e-6)
    assert f"overlap by {overlap(e):.0%}" in words(**RASTER)["scan"]
    assert "do not overlap" in words(**RASTER | {"scan.step": 15.0, "scan.n_patterns": 4})["scan"]


def test_lengths_have_units():
    changes = {"optics.energy_ev": 8e3, "optics.detector_distance_m": 2.0}
    text = words(**RASTER, **changes, **{"optics.detector_pixel_m": 75e-6})
    pixel = 12.39841984e-7 / 8e3 * 2.0 / (32 * 75e-6)  # lambda z / (N p)
    assert f"object pixel {length_text(pixel)}" in text["light"]
    assert f"({length_text(4.0 * pixel)})" in text["scan"]


def test_what_is_out_of_the_ordinary_is_said():
    text = words(
        **RASTER,
        **{
            "probe.modes": 2, "probe.mode_kind": "hermite_gauss", "scan.jitter": 0.5,
            "scan.fly_points": 3, "detector.quantum_efficiency": 0.5,
            "detector.beam_stop_radius": 2.0, "noise": False, "dose.mode": "incident",
        },
    )  # fmt: skip
    assert "2 modes with" in text["probe"]
    assert "off the nominal ones by" in text["scan"]
    assert "3 sub-exposures" in text["scan"]
    assert "takes 0.5 of the photons" in text["detector"]
    assert "of the pixels are bad" in text["detector"]
    assert "No noise is drawn" in text["dose"]
    assert text["dose"].startswith("1e+09 photons in the probe.")
