"""Data files that version 0.1.0 wrote: they load, and their scenarios make the same bits again."""

from pathlib import Path

import numpy as np
import pytest

import ptycho_fast

STORED = Path(__file__).parents[1] / "data/schema1"


@pytest.mark.native
@pytest.mark.parametrize(("name", "noise"), [("noisy.npz", True), ("noise_free.npz", False)])
def test_a_file_of_version_0_1_0(name, noise, tmp_path):
    data = ptycho_fast.Dataset.load(STORED / name)
    assert data.scenario.noise is noise
    assert data.scenario.to_dict()["schema"] == 2
    again = ptycho_fast.simulate(data.scenario)
    for array in ("object", "probe", "positions"):
        np.testing.assert_array_equal(getattr(again, array), getattr(data, array))
    assert again.intensity_scale == data.intensity_scale
    np.testing.assert_array_equal(again.amplitude(), data.amplitude())
    again.save(tmp_path / "new.npz")
    assert ptycho_fast.Dataset.load(tmp_path / "new.npz").scenario == data.scenario
