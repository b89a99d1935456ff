"""A simulation that starts from a data set or a reconstruction."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.errors import DataWarning
from ptycho_fast.start import changes_from

SMALL = {"N": 32, "object.size": 150, "scan.n_patterns": 40, "dose.nphotons": 1e6}
OPTICS = {
    "optics.energy_ev": 8e3,
    "optics.detector_distance_m": 2.0,
    "optics.detector_pixel_m": 75e-6,
}
MODES = {"probe.mode_kind": "hermite_gauss", "probe.modes": 3}


def made(changes=(), **options):
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(SMALL | dict(changes))
    return ptycho_fast.simulate(scenario, **options)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        MODES,
        OPTICS,
        {"detector.beam_stop_radius": 3.0},
        {"object.slices": 3, **OPTICS, "optics.slice_distance_m": 1e-6},
    ],
    ids=["plain", "modes", "optics", "mask", "slices"],
)
def test_the_same_photons_from_the_file(changes, run):
    data = made(changes)
    data.save("a.npz", modes="all" if len(data.probe) > 1 else None)
    flags = ["--modes", "all"] if len(data.probe) > 1 else []
    assert (
        run("--from", "a.npz", "--dose.nphotons", "1e6", "--out", "b.npz", "--quiet", *flags) == 0
    )
    again = ptycho_fast.Dataset.load("b.npz")
    np.testing.assert_array_equal(again.diffraction, data.amplitude())
    np.testing.assert_array_equal(again.probe, data.probe)  # its power, too
    assert (again.mask is None) == (data.mask is None)
    if "optics.energy_ev" in changes:
        assert again.geometry == data.geometry
    assert again.scenario.name == "a"
    assert again.scenario.object.file == str(Path("a.npz").absolute())


def test_in_python():
    data = made(MODES)
    data.save("a.npz", modes="all")
    for start in ("a.npz", Path("a.npz"), data, ptycho_fast.open("a.npz")):
        again = ptycho_fast.simulate(start=start, nphotons=1e6)
        np.testing.assert_array_equal(again.counts, data.counts)
    simulator = ptycho_fast.Simulator("gs1_ideal", start="a.npz", nphotons=1e6)
    assert simulator.scenario.name == "gs1_ideal"
    np.testing.assert_array_equal(simulator.frames(0, 40), data.counts)


def test_the_dose_is_the_one_that_is_asked_for():
    made().save("a.npz")
    bright = ptycho_fast.simulate(start="a.npz", nphotons=1e5)
    assert bright.photons().mean() == pytest.approx(1e5, rel=5 / np.sqrt(40 * 1e5))


def test_all_can_be_overridden(run):
    made(OPTICS).save("a.npz")
    flags = ["--n-patterns", "7", "--object.kind", "lines", "--object.size=160", "--seed", "3"]
    more = ["--set", "optics.energy_ev=9e3", "--name", "mine"]
    assert run("--from", "a.npz", *flags, "--out", "b.npz", "--quiet") == 0
    data = ptycho_fast.Dataset.load("b.npz")
    assert data.object.shape == (160, 160)
    assert len(data) == 7
    assert data.scenario.object.to_dict()["kind"] == "lines"
    assert run("--from", "a.npz", *more, "--out", "c.npz", "--quiet") == 2
    np.save("o.npy", np.ones((150, 150)))
    assert run("--from", "a.npz", "--object-file", "o.npy", "--out", "d.npz", "--quiet") == 0
    assert (ptycho_fast.Dataset.load("d.npz").object == 1).all()
    Path("lay.toml").write_text("[scan]\nn_patterns = 5\n")
    assert run("--from", "a.npz", "--config", "lay.toml", "--out", "e.npz", "--quiet") == 0
    assert len(ptycho_fast.Dataset.load("e.npz")) == 5
    positions = [[70.0, 70.0], [80.0, 75.0]]
    data = ptycho_fast.simulate(start="a.npz", positions=positions)
    np.testing.assert_array_equal(data.positions, positions)


def test_a_scan_from_a_file_keeps_its_errors_apart():
    changes = {"scan.jitter": 0.5}
    data = made(changes)
    data.save("a.npz")
    again = ptycho_fast.simulate(start="a.npz")
    np.testing.assert_array_equal(again.positions, data.positions)
    np.testing.assert_array_equal(again.positions_nominal, data.positions)


def test_position_offset(run):
    made().save("a.npz")
    flags = ["--position-offset", "0.5", "--out", "b.npz", "--quiet"]
    assert run("--from", "a.npz", *flags) == 0
    moved = ptycho_fast.Dataset.load("b.npz").positions
    np.testing.assert_array_equal(moved, ptycho_fast.Dataset.load("a.npz").positions + 0.5)


def test_a_file_that_was_changed_is_refused(run, capsys):
    made().save("a.npz")
    assert run("--from", "a.npz", "--out", "b.toml", "--quiet") == 0
    ptycho_fast.open("b.toml", verify=True)
    for part in ("object", "probe", "positions"):
        other = ptycho_fast.Dataset.load("a.npz")
        getattr(other, part)[-1] += 1e-3
        other.save("a.npz", force=True)
        table = "scan" if part == "positions" else part
        with pytest.raises(ptycho_fast.ScenarioError, match=f"{table}.sha256: .* was changed"):
            ptycho_fast.open("b.toml")
        made().save("a.npz", force=True)
    made({"dose.nphotons": 3e6}).save("a.npz", force=True)  # not what was taken
    ptycho_fast.open("b.toml", verify=True)


def test_what_lacks_is_told(run, capsys):
    np.savez("o.npz", objectGuess=np.ones((150, 150)), probeGuess=np.ones((2, 32, 32)))
    assert run("gs2_ideal", "--from", "o.npz", "--out", "a.npz", "--quiet", "--modes", "all") == 0
    assert "o.npz: holds no positions; the scenario makes them" in capsys.readouterr().err
    np.savez("none.npz", something=np.ones(3))
    assert run("--from", "none.npz", "--out", "b.npz") == 1
    assert "none.npz: holds no object, probe or positions" in capsys.readouterr().err


def test_what_is_left_out_is_told():
    made({"probe.variation": 0.2, "scan.fly_points": 3}).save("a.npz", modes="all")
    with pytest.warns(DataWarning) as told:
        changes_from("a.npz")
    texts = " ".join(str(one.message) for one in told)
    assert "how its probe varies from pattern to pattern is left out" in texts
    assert "the path of its fly scan is left out" in texts


def test_lengths_that_contradict_each_other():
    made(OPTICS).save("a.npz")
    data = ptycho_fast.Dataset.load("a.npz")
    odd = dataclasses.replace(data.geometry, detector_pixel_m=50e-6)
    dataclasses.replace(data, geometry=odd).save("odd.npz")
    with pytest.warns(DataWarning, match="detector_pixel_m is left out, because it contradicts"):
        changes = changes_from("odd.npz")
    assert changes["optics.detector_pixel_m"] is None
    assert changes["optics.object_pixel_m"] == data.geometry.object_pixel_m


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--from", "no.npz"], 1, "no.npz: no such file"),
        (["--from", "one.npy"], 1, "one.npy: a single array given"),
        (["--from", "text.txt"], 1, "text.txt: cannot be read"),
        (["--from", "cut.npz"], 1, "cut.npz"),
        (["--from", "a.npz", "--N", "64"], 1, "probe.resize"),
        (["gs2_ideal", "--position-offset", "1"], 2, "--position-offset: given, expected --from"),
        (["gs2_ideal", "--from-format", "cxi"], 2, "--from-format: given, expected --from"),
        (["--from", "a.npz", "--from-format", "xyz"], 2, "--from-format: 'xyz' given, expected"),
        ([], 2, "or --from FILE"),
        (["gs2_ideal", "--dose.nphoton", "3"], 2, "did you mean dose.nphotons"),
        (["gs2_ideal", "--dose.nphotons"], 2, "dose.nphotons: '' given"),
    ],
)
def test_wrong_files(arguments, code, message, run, capsys):
    made().save("a.npz")
    Path("cut.npz").write_bytes(Path("a.npz").read_bytes()[:9000])
    Path("text.txt").write_text("no data")
    np.save("one.npy", np.ones((3, 3)))
    assert run(*arguments, "--out", "b.npz") == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not Path("b.npz").exists()


def test_a_campaign_about_one_object(run):
    made().save("a.npz")
    flags = ["--count", "2", "--set", "dose.nphotons={min=1e4, max=1e6}", "--out", "many"]
    assert run("--from", "a.npz", *flags, "--quiet") == 0
    first, second = (ptycho_fast.Dataset.load(f"many/a_00000{k}.npz") for k in (0, 1))
    np.testing.assert_array_equal(first.object, second.object)
    assert first.scenario.dose.nphotons != second.scenario.dose.nphotons


# --- reconstructions of other programs, and their data sets ---


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.h5", None), ("a.cxi", None), ("product.h5", "ptychodus"), ("a.npz", "pinn-counts")],
)
def test_from_other_formats(name, format, run):
    h5py = pytest.importorskip("h5py")
    assert h5py
    flags = {"modes": "all"} if name.endswith(".npz") else {}
    data = made(OPTICS | MODES | {"detector.beam_stop_radius": 2.0})
    data.save(name, format=format, **flags)
    flags = ["--modes", "all", "--out", "b.npz", "--quiet"]
    assert run("--from", name, "--dose.nphotons", "1e6", *flags) == 0
    again = ptycho_fast.Dataset.load("b.npz")
    np.testing.assert_allclose(again.positions, data.positions, rtol=0, atol=1e-9)
    power = [np.square(np.abs(one.probe)).sum(axis=(1, 2)) for one in (again, data)]
    np.testing.assert_allclose(*power, rtol=1e-5)
    np.testing.assert_array_equal(again.mask, data.mask)
    assert again.geometry.object_pixel_m == pytest.approx(data.geometry.object_pixel_m)
    # Of the same truth, up to the last digit, come nearly the same photons.
    assert (again.counts == data.counts).mean() > 0.99


def test_a_product_alone(run, command, capsys):
    pytest.importorskip("h5py")
    data = made(OPTICS | MODES)
    data.save("product.h5", format="ptychodus")
    Path("product_dp.h5").unlink()
    assert command("info", "product.h5") == 0
    assert "patterns           none; simulate --from takes" in capsys.readouterr().out
    assert command("convert", "product.h5", "b.h5") == 1
    assert "holds no patterns" in capsys.readouterr().err
    assert run("--from", "product.h5", "--nphotons", "1e6", "--out", "b.toml", "--quiet") == 0
    opened = ptycho_fast.open("b.toml", verify=True)
    assert len(opened.probe) == 3
    assert (opened.counts[:] == data.counts).mean() > 0.99


def test_options_of_the_reader(run, capsys):
    pytest.importorskip("h5py")
    made(OPTICS).save("a.cxi")
    flags = ["--out", "b.npz", "--quiet"]
    assert run("--from", "a.cxi", "--read", "motion=sample", *flags) == 0
    assert ptycho_fast.Dataset.load("b.npz").scenario.probe.read == ("motion=sample",)
    assert run("--from", "a.cxi", "--read", "speed=3", "--force", *flags) == 1
    assert "read speed: 3 given, expected of cxi only: domain, motion" in capsys.readouterr().err
    made().save("a.npz")
    assert run("--from", "a.npz", "--read", "speed=3", "--force", *flags) == 1
    assert "whose reader takes no options" in capsys.readouterr().err


def test_from_a_recipe(run):
    assert run("gs2_ideal", "--N", "32", "--n-patterns", "20", "--out", "a.toml", "--quiet") == 0
    assert run("--from", "a.toml", "--nphotons", "1e9", "--out", "b.npz", "--quiet") == 0
    with ptycho_fast.open("a.toml") as recipe, ptycho_fast.open("b.npz") as again:
        np.testing.assert_array_equal(again.positions, recipe.positions)
        np.testing.assert_array_equal(again.counts[:], recipe.counts[:])
