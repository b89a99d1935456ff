"""python -m ptycho_fast.simulate, as a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ptycho_fast

SMALL = ["gs2_ideal", "--n-patterns", "9"]


def test_as_a_process(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ptycho_fast.simulate", *SMALL, "--out", "a.npz"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stderr == ""
    assert "a.npz" in done.stdout
    assert ptycho_fast.Dataset.load(tmp_path / "a.npz").n_patterns == 9


def test_summary(run, capsys):
    assert run(*SMALL, "--out", "a.npz") == 0
    text = capsys.readouterr().out
    for label in (
        "patterns", "backend", "dose requested", "dose measured", "intensity scale s",
        "normalise gain g", "time", "speed", "file",
    ):  # fmt: skip
        assert f"\n{label} " in text


def test_json(run, capsys):
    assert run(*SMALL, "--out", "a.npz", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["patterns"] == 9
    assert facts["dose"]["requested"] == 1e9
    assert facts["dose"]["measured"]["mean"] == pytest.approx(1e9, rel=1e-4)
    assert facts["file_bytes"] == os.stat("a.npz").st_size
    assert sum(facts["seconds_by_stage"].values()) == pytest.approx(facts["seconds"])
    assert facts["scenario"]["scan"]["n_patterns"] == 9
    assert facts["intensity_scale"] == ptycho_fast.Dataset.load("a.npz").intensity_scale


def test_quiet(run, capsys):
    assert run(*SMALL, "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert ptycho_fast.Dataset.load("gs2_ideal.npz").n_patterns == 9


def test_the_same_bytes_whatever_the_threads(run, monkeypatch):
    arguments = ["gs2_ideal", "--n-patterns", "40", "--quiet"]
    assert run(*arguments, "--threads", 1, "--out", "one.npz") == 0
    assert run(*arguments, "--threads", 2, "--out", "two.npz") == 0
    from ptycho_fast import simulator

    monkeypatch.setattr(simulator.Simulator, "chunk", 7)
    assert run(*arguments, "--out", "chunks.npz") == 0
    contents = {Path(f).read_bytes() for f in ("one.npz", "two.npz", "chunks.npz")}
    assert len(contents) == 1


def test_flag_before_file_before_preset(run):
    Path("my.toml").write_text(
        'preset = "gs1_ideal"\n[dose]\nnphotons = 1e5\n[scan]\nn_patterns = 7\n'
    )
    assert run("my.toml", "--nphotons", "1e4", "--out", "a.npz", "--quiet") == 0
    scenario = ptycho_fast.Dataset.load("a.npz").scenario
    assert scenario.dose.nphotons == 1e4
    assert scenario.scan.n_patterns == 7
    assert scenario.gridsize == 1
    assert run("gs2_ideal", "--set", "scan.n_patterns=3", "--seed", 5, "--out", "b.npz") == 0
    scenario = ptycho_fast.Dataset.load("b.npz").scenario
    assert scenario.scan.n_patterns == 3
    assert scenario.seeds.photons == 5


def test_probe_and_object_files(run):
    rng = np.random.default_rng(0)
    probe = (rng.normal(size=(2, 64, 64)) + 1j).astype(np.complex64)
    np.savez("probe.npz", probeGuess=probe)
    np.save("object.npy", np.ones((100, 120), np.complex64))
    files = ["--probe-file", "probe.npz", "--object-file", "object.npy"]
    few = ["--n-patterns", "4", "--quiet"]
    assert run("gs1_custom", *files, *few, "--out", "a.npz") == 2  # two modes, one place
    assert not os.path.exists("a.npz")
    assert run("gs1_custom", *files, *few, "--out", "a.npz", "--modes", "first") == 0
    assert ptycho_fast.Dataset.load("a.npz").object.shape == (100, 120)


def test_options_of_the_file(run):
    more = ["--alias", "diffraction", "--patches", "--no-noise", "--quiet"]
    assert run(*SMALL, "--out", "a.npz", *more) == 0
    with np.load("a.npz") as file:
        assert {"diffraction", "ground_truth_patches"} <= set(file.files)
    data = ptycho_fast.Dataset.load("a.npz")
    assert data.provenance["noise"] is False
    assert data.scenario.noise is False  # so that the file's scenario makes the same again
    again = ptycho_fast.simulate(data.scenario)
    assert (again.amplitude() == data.amplitude()).all()


def test_the_file_is_named_after_the_scenario_file(run):
    Path("mine.toml").write_text('preset = "gs2_ideal"\nscan.n_patterns = 4\n')
    assert run("mine.toml", "--quiet") == 0
    assert sorted(os.listdir()) == ["mine.npz", "mine.toml"]


def test_the_device_reaches_the_simulator(run, monkeypatch, capsys):
    from ptycho_fast.runs import single

    class Told(Exception):
        pass

    def told(*_, **options):
        raise Told(options["device"])

    monkeypatch.setattr(single, "require_device", lambda device, _: device)
    monkeypatch.setattr(single, "Simulator", told)
    assert run(*SMALL, "--device", 3) == 1
    assert "Told: 3" in capsys.readouterr().err


def test_the_module_can_be_called(tmp_path):
    """``import ptycho_fast.simulate`` binds the module over the function of the same name."""
    import ptycho_fast.simulate

    few = ptycho_fast.Scenario.preset("gs2_ideal").replace({"scan.n_patterns": 2})
    assert ptycho_fast.simulate(few).n_patterns == 2


def test_preview(run):
    assert run(*SMALL, "--quiet", "--preview", "p.png", "--out", "a.npz") == 0
    assert Path("p.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert run(*SMALL, "--quiet", "--preview", "p.png", "--out", "b.npz") == 2
    assert not os.path.exists("b.npz")


def test_help_lists_every_key(run, capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    for key in ptycho_fast.scenario.known_keys():
        assert key in text


def test_the_summary_says_what_is_out_of_the_ordinary(run, capsys):
    flags = [
        "optics.energy_ev=8e3", "optics.detector_distance_m=2", "optics.detector_pixel_m=75e-6",
        "probe.modes=2", "probe.mode_kind=hermite_gauss", "detector.beam_stop_radius=2",
        "scan.kind=raster", "scan.step=4", "scan.fly_points=2", "dose.mode=incident",
        "detector.quantum_efficiency=0.5", "detector.gain=2",
    ]  # fmt: skip
    arguments = [*SMALL, "--modes", "all", *(part for f in flags for part in ("--set", f))]
    for more in ([], ["--dry-run", "--force"]):
        assert run(*arguments, *more) == 0
        text = capsys.readouterr().out
        for line in (
            "geometry           photons, energy 8000 eV, object pixel 6.458e-08 m",
            "probe modes        2: 66.67%, 33.33% of the power",
            "fly scan           2 sub-exposures in a pattern",
            "detector           stores signals, not counts",
            "mask               0.22% of the pixels are bad",
            "dose requested     1e+09 photons in the probe",
            "of which the detector takes 0.5",
        ):
            assert line in text
    assert run(*SMALL, "--out", "plain.npz") == 0
    assert "geometry" not in capsys.readouterr().out


def test_a_whole_number_may_be_written_as_1e3(run):
    written = ("--n-patterns 9e0", "--set scan.n_patterns=9.0", "--scan.n_patterns 0.9e1")
    for name, flags in zip("abc", written, strict=True):
        out = f"{name}.npz"
        assert run("gs2_ideal", *flags.split(), "--object-size", "2e2", "--out", out) == 0
        scenario = ptycho_fast.Dataset.load(out).scenario
        assert (scenario.scan.n_patterns, scenario.object.size) == (9, 200)
        assert type(scenario.scan.n_patterns) is int
