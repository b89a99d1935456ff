"""The number type of frames is asked for; what it does not hold is an error that names the dose."""

import re

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import ScenarioError, Simulator
from ptycho_fast.formats.number_types import exactly

SMALL = ptycho_fast.Scenario.preset("gs2_ideal").replace({"scan.n_patterns": 40})


@pytest.mark.parametrize("dtype", ["uint16", np.uint32, "float32"])
def test_the_numbers_are_the_same(dtype):
    asked = Simulator(SMALL, nphotons=1e5, dtype=dtype)
    usual = Simulator(SMALL, nphotons=1e5)
    assert asked.dtype == dtype
    assert asked.domain == "count_intensity"
    some = asked.frames([7, 3, 3])
    assert some.dtype == dtype
    np.testing.assert_array_equal(some, usual.frames([7, 3, 3]))
    out = np.empty((40, 64, 64), dtype)
    assert asked.frames(0, 40, out=out) is out
    np.testing.assert_array_equal(out, usual.frames(0, 40))
    np.testing.assert_array_equal(asked.amplitudes(0, 3), usual.amplitudes(0, 3))
    with pytest.raises(TypeError, match="out: dtype float64 given"):
        asked.frames(0, 40, out=out.astype("f8"))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_too_high_a_dose_is_known_before_the_work_and_says_what_fits(dtype):
    with pytest.raises(ScenarioError, match="nphotons: .* that is .* in the mean") as error:
        Simulator(SMALL, nphotons=1e9, dtype=dtype)
    assert error.value.key == "dose.nphotons"
    fits = float(re.search(r"that is (\S+) photons", str(error.value))[1])
    largest = Simulator(SMALL, nphotons=0.99 * fits, dtype=dtype).frames(0, 40).max()
    most = 2**16 - 1 if dtype == "uint16" else 2**24
    assert 0.9 * most < largest <= most


def test_saturation_keeps_it_in_range():
    saturating = SMALL.replace({"detector.saturation": 60_000})
    simulator = Simulator(saturating, dtype="uint16")
    assert simulator.domain == "count_intensity"
    frames = simulator.frames(0, 9)
    assert frames.dtype == np.uint16
    np.testing.assert_array_equal(frames, Simulator(saturating).frames(0, 9))
    assert frames.max() == 60_000
    with pytest.raises(ScenarioError, match="detector.saturation: 70000.* at most 65535"):
        Simulator(SMALL.replace({"detector.saturation": 70_000}), dtype="uint16")


def test_signals_below_zero_are_not_wrapped():
    noisy = SMALL.replace(
        {"detector.readout_noise": 3.0, "detector.quantisation": 1.0, "dose.nphotons": 1e3}
    )
    assert Simulator(noisy).dtype == np.int32
    with pytest.raises(ScenarioError, match=r"but frames: -\d+ in pattern 5 given"):
        Simulator(noisy, dtype="uint16").frames([5])
    above = noisy.replace({"detector.offset": 100.0})
    np.testing.assert_array_equal(
        Simulator(above, dtype="uint16").frames(0, 2), Simulator(above).frames(0, 2)
    )


@pytest.mark.parametrize(
    ("changes", "dtype"),
    [
        ({}, "int8"),
        ({}, "float64"),
        ({}, "nonsense"),
        ({"noise": False}, "uint16"),
        ({"detector.readout_noise": 3.0}, "uint32"),
    ],
)
def test_types_that_no_number_would_fit(changes, dtype):
    with pytest.raises(ValueError, match=f"dtype: '{dtype}' given, expected one of .*float32"):
        Simulator(SMALL.replace(changes), dtype=dtype)


def test_measured_doses_do_not_depend_on_the_type():
    doses = [
        ptycho_fast.simulate(SMALL, nphotons=1e5, dtype=dtype).provenance["dose"]
        for dtype in (None, "uint16", "float32")
    ]
    assert doses[0] == doses[1] == doses[2]


def test_numbers_in_another_type():
    counts = np.array([[[0, 1], [2, 16_777_217]], [[1, 2], [3, 65_536]]], np.uint32)
    assert exactly(counts, "u4", "k") is counts
    assert exactly(counts, "i4", "k").dtype == np.int32
    with pytest.raises(ValueError, match=r"k: 16777217 in pattern 4 given, .*16777216"):
        exactly(counts, "f4", "k", 4)
    with pytest.raises(ValueError, match=r"k: 65536 in pattern 9 given, .* to 65535, for uint16"):
        exactly(counts[1:], "u2", "k", np.array([9]))
    halves = (counts[1:] / 2).astype(np.float32)
    assert exactly(halves, "f4", "k") is halves
    for wrong in (halves, np.full((1, 2, 2), np.nan), np.full((1, 2, 2), -1.0)):
        with pytest.raises(ValueError, match=r"k: (0\.5|nan|-1\.0) in pattern 0 given"):
            exactly(wrong, "u2", "k")
