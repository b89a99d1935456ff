"""DLPack: every result can be handed over; what TensorFlow cannot take is copied, and said so."""

import logging
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import handover
from ptycho_fast.backend.host_arrays import empty_aligned


def aligned(shape=(4, 8, 8), dtype=np.float32):
    array = empty_aligned(shape, dtype)
    array[...] = np.arange(array.size).reshape(shape)
    return array


def test_data_sets_speak_dlpack():
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace({"scan.n_patterns": 4})
    dataset = ptycho_fast.simulate(scenario)
    for array in (dataset.diffraction, dataset.object, dataset.probe, dataset.positions):
        np.testing.assert_array_equal(np.from_dlpack(array), array)
    assert not handover.why_copy(dataset.diffraction)
    assert np.shares_memory(np.from_dlpack(dataset.diffraction), dataset.diffraction)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (aligned(), ""),
        (aligned()[:, ::2], "not C-contiguous"),
        (aligned().reshape(-1)[1:], "starts 4 bytes after a multiple of 64"),
        (aligned()[2:], ""),
    ],
)
def test_what_is_copied(array, reason, caplog):
    assert reason in handover.why_copy(array)
    assert bool(reason) == bool(handover.why_copy(array))
    with caplog.at_level(logging.INFO, "ptycho_fast.handover"):
        handover.tensorflow_capsule(array)
    assert len(caplog.records) == bool(reason)
    assert reason in caplog.text


def test_read_only_memory_is_copied(caplog):
    array = aligned()
    array.flags.writeable = False
    with caplog.at_level(logging.INFO, "ptycho_fast.handover"):
        handover.tensorflow_capsule(array)
    assert "read-only" in caplog.text


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([1.0], "array: list given, expected a NumPy or CuPy array"),
        (np.array(["a"]), "array: dtype <U1 given"),
        (np.ones(3, ">f4"), "array: dtype >f4 given"),
    ],
)
def test_wrong_arrays(array, message):
    with pytest.raises(TypeError, match=message):
        handover.tensorflow_capsule(array)


# A misaligned buffer would end the process, so TensorFlow has one of its own.
TENSORFLOW = """
import numpy as np
import tensorflow as tf
from ptycho_fast import handover
from ptycho_fast.backend.host_arrays import empty_aligned

def tensor(array):
    return tf.experimental.dlpack.from_dlpack(handover.tensorflow_capsule(array))

for dtype in (np.float32, np.float64, np.complex64, np.uint16, np.uint32, np.int64):
    array = empty_aligned((6, 8, 8), dtype)
    array[...] = np.arange(array.size).reshape(array.shape)
    shared = tensor(array)
    assert shared.numpy().tobytes() == array.tobytes(), dtype
    array[0, 0, 0] = 7
    assert shared.numpy()[0, 0, 0] == 7, "it was copied"
    for view in (array[1:, 1:], array.reshape(-1)[1:], array[3:], array.T):
        assert (tensor(view).numpy() == view).all()
    array.flags.writeable = False
    assert (tensor(array).numpy() == array).all()
    kept = tensor(array.copy())
    del array
    assert kept.numpy()[0, 0, 0] == 7
"""


@pytest.mark.skipif(not find_spec("tensorflow"), reason="TensorFlow is not installed")
def test_tensorflow():
    done = subprocess.run(
        [sys.executable, "-c", TENSORFLOW], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
