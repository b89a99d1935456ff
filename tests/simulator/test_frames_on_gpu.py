"""Frames with the backend "cuda", on a GPU that the CPU plays: the bits of the CPU."""

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import Scenario, Simulator

pytestmark = pytest.mark.native

SCENARIO = Scenario.preset("gs2_ideal").replace(
    {"N": 32, "object.size": 90, "scan.n_patterns": 9, "dose.nphotons": 1e5}
)
DETECTED = SCENARIO.replace({"detector.saturation": 200, "detector.beam_stop_radius": 1.5})


@pytest.mark.parametrize("scenario", [SCENARIO, DETECTED], ids=["plain", "detector"])
@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("on_gpu", [True, False])
def test_the_bits_of_native(gpu, scenario, noise, on_gpu):
    cuda = Simulator(scenario, noise=noise, backend="cuda")
    native = Simulator(scenario, noise=noise, backend="native")
    for arguments in ((0, 9), ([8, 0, 3, 3],), ([],)):
        found = cuda.frames(*arguments, epoch=2, on_gpu=on_gpu)
        assert isinstance(found, gpu.ndarray) == on_gpu
        expected = native.frames(*arguments, epoch=2)
        np.testing.assert_array_equal(found, expected)
    rates = cuda.expected(2, 5, on_gpu=on_gpu)
    np.testing.assert_array_equal(rates, native.expected(2, 5))


def test_object_and_probe_are_moved_once(gpu):
    sim = Simulator(SCENARIO, backend="cuda")
    sim.frames(0, 3)
    there = sim._series().exposure
    assert isinstance(there.object, gpu.ndarray)
    assert isinstance(there.probe, gpu.ndarray)
    sim.frames([5])
    assert sim._series().exposure is there


def test_stream(gpu):
    pieces = [frames for _, frames in Simulator(SCENARIO, backend="cuda").stream(4)]
    expected = ptycho_fast.simulate(SCENARIO, backend="native").counts
    np.testing.assert_array_equal(np.concatenate(pieces), expected)


def test_another_device(gpu):
    with pytest.raises(ValueError, match="device: 3 given, expected 0 to 0"):
        Simulator(SCENARIO, backend="cuda", device=3)
