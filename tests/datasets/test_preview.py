"""The picture of a data set: what it shows, and in which format."""

from dataclasses import replace

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.report.preview import preview


@pytest.fixture(scope="module")
def dataset():
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace({"scan.n_patterns": 12})
    return ptycho_fast.simulate(scenario, backend="reference")


def panels(dataset):
    """Axes of the figure by title, colour bars left out."""
    axes = dataset.plot().get_axes()
    return {axis.get_title(): axis for axis in axes if axis.get_title()}


def labels(dataset):
    axes = dataset.plot().get_axes()
    return {axis.get_ylabel() for axis in axes}


BEGINNINGS = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.mark.parametrize("suffix", BEGINNINGS)
def test_the_suffix_decides_the_format(dataset, tmp_path, suffix):
    path = tmp_path / f"p.{suffix.upper()}"
    preview(dataset, path)
    first = path.read_bytes()
    assert first.startswith(BEGINNINGS[suffix])
    preview(dataset, path, force=True)
    assert path.read_bytes() == first


@pytest.mark.parametrize("name", ["p.gif", "p.npz", "p"])
def test_other_suffixes_are_refused(dataset, tmp_path, name):
    with pytest.raises(ValueError, match=rf"{name}: .* given, expected \.png, \.pdf or \.svg"):
        preview(dataset, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_panels(dataset):
    assert list(panels(dataset)) == [
        "object amplitude", "object phase (rad)", "probe amplitude", "probe phase (rad)",
        "12 positions", "pattern 0", "pattern 3", "pattern 7", "pattern 11",
    ]  # fmt: skip
    assert "photons" in labels(dataset)


def test_zero_phase_is_said(dataset):
    there = panels(dataset)
    for title in ("object phase (rad)", "probe phase (rad)"):
        assert [text.get_text() for text in there[title].texts] == ["phase is zero everywhere"]
        assert not there[title].images


def test_the_phase_of_the_probe_is_drawn_where_there_is_light(dataset):
    lit = np.abs(dataset.probe[0]) > 0.01 * np.abs(dataset.probe[0]).max()
    probe = np.stack([dataset.probe[0] * 1j, dataset.probe[0]])
    axis = panels(replace(dataset, probe=probe))["probe phase (rad), mode 1 of 2"]
    (image,) = axis.images
    np.testing.assert_array_equal(~np.ma.getmaskarray(image.get_array()), lit)
    assert image.get_array().compressed() == pytest.approx(np.pi / 2)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_pattern_is_drawn_once(dataset, count):
    few = replace(
        dataset, diffraction=dataset.diffraction[:count], positions=dataset.positions[:count]
    )
    shown = [title for title in panels(few) if title.startswith("pattern ")]
    assert shown == [f"pattern {b}" for b in range(count)]


def test_many_positions_are_drawn_as_their_density(dataset):
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 391, (5000, 2))
    positions[0] = 1e300, -7
    many = np.broadcast_to(dataset.diffraction[:1], (5000, 64, 64))
    data = replace(dataset, positions=positions, diffraction=many)
    axis = panels(data)["5000 positions,\n1 outside the object"]
    assert not axis.lines
    (image,) = axis.images
    assert image.get_array().sum() == 4999
    assert axis.get_xlim() == (-0.5, 391.5)
    few = panels(dataset)["12 positions"]
    assert [len(line.get_xdata()) for line in few.lines] == [12]


def test_intended_positions_are_drawn_where_they_differ(dataset):
    off = replace(dataset, positions_nominal=dataset.positions + 3.0)
    intended, true = panels(off)["12 positions"].lines
    np.testing.assert_array_equal(intended.get_xdata(), off.positions_nominal[:, 0])
    np.testing.assert_array_equal(true.get_ydata(), off.positions[:, 1])


def test_data_sets_of_other_programs(dataset, tmp_path):
    contents = {
        "xcoords": dataset.positions[:, 0],
        "ycoords": dataset.positions[:, 1],
        "probeGuess": dataset.probe[0],
        "objectGuess": dataset.object,
    }
    np.savez(tmp_path / "amplitude.npz", diff3d=dataset.amplitude(), **contents)
    np.savez(tmp_path / "counts.npz", diff3d=dataset.counts, **contents)
    amplitude, counts = (
        ptycho_fast.Dataset.load(tmp_path / name, domain=domain)
        for name, domain in (
            ("amplitude.npz", "normalized_amplitude"),
            ("counts.npz", "count_intensity"),
        )
    )
    preview(amplitude, tmp_path / "a.png")
    assert "intensity before dose" in labels(amplitude)
    preview(counts, tmp_path / "c.png")
    assert "photons" in labels(counts)


def test_a_data_set_without_light(dataset, tmp_path):
    dark = replace(dataset, diffraction=np.zeros_like(dataset.diffraction))
    preview(dark, tmp_path / "dark.png")
    assert "pattern 3: no light" in panels(dark)


def test_bad_pixels_are_hidden(dataset):
    mask = np.ones((64, 64), bool)
    mask[32, 32] = False
    (image,) = panels(replace(dataset, mask=mask))["pattern 0"].images
    assert np.ma.getmaskarray(image.get_array())[32, 32]
