"""Streams of tensors; and who may import TensorFlow, or a backend."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from networks import SCENARIO

import ptycho_fast
from ptycho_fast.tf import dataset, prepare
from ptycho_fast.tf.streams import require_same_shape

PACKAGE = Path(ptycho_fast.__file__).parent


def same(one, other):
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_stream(data):
    stream = dataset(data, 2, 5, truth=True, shuffle=False, seed=3)
    assert isinstance(stream, tf.data.Dataset)
    assert int(stream.cardinality()) == 3
    sizes = []
    for (amplitude, offsets), targets in stream:
        sizes.append(len(amplitude))
        assert amplitude.shape[1:] == (16, 16, 4)
        assert offsets.shape[1:] == (1, 2, 4)
        assert targets["object"].shape[1:] == (16, 16)
        assert (amplitude.dtype, targets["object"].dtype) == (tf.float32, tf.complex64)
    assert sizes == [5, 5, 2]


def test_epochs_follow_each_other(data):
    """Each iteration is the next epoch, and a stream that begins later goes on alike."""
    feed = prepare(data, noise="fresh")
    stream = feed.batches(4)
    epochs = [list(stream), list(stream)]
    assert not np.array_equal(epochs[0][0][0][0], epochs[1][0][0][0])
    same(epochs[1], list(feed.batches(4, first_epoch=1)))
    same(epochs[0] + epochs[1], list(feed.batches(4, epochs=2)))
    same(epochs[1], list(feed.epoch(1, 4)))


def test_tensors_are_the_stream(data):
    feed = prepare(data, noise="fresh", augment=True, truth=True)
    found = list(feed.tensors(4, first_epoch=1, epochs=2))
    assert all(isinstance(tensor, tf.Tensor) for tensor in tf.nest.flatten(found))
    same(found, list(feed.batches(4, first_epoch=1, epochs=2)))
    endless = {"batch_size": 4, "renew": "scan"}
    tensors, stream = feed.tensors(**endless), feed.batches(**endless)
    same([next(tensors) for _ in range(5)], list(stream.take(5)))
    assert int(stream.cardinality()) == tf.data.INFINITE_CARDINALITY
    tensors.close()


@pytest.mark.native
@pytest.mark.parametrize("noise", ["fixed", "fresh"])
def test_batches_made_on_a_gpu(gpu, monkeypatch, noise):
    """The bits of the processor; nothing but memory that is on the GPU is handed over."""
    scenario = SCENARIO.replace({"N": 32, "detector.saturation": 3000})
    options = {"noise": noise, "augment": True, "truth": True}
    expected = list(prepare(scenario, backend="native", **options).tensors(4, epochs=2))
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["one"])
    handed, capsule = [], gpu.ndarray.__dlpack__
    monkeypatch.setattr(
        gpu.ndarray, "__dlpack__", lambda array: handed.append(array) or capsule(array)
    )
    found = list(prepare(scenario, backend="cuda", **options).tensors(4, epochs=2))
    same(found, expected)
    assert len(handed) == len(tf.nest.flatten(found))
    assert gpu.synchronised >= len(handed)
    feed = prepare(scenario, backend="cuda", **options)
    renewed = feed.tensors(4, renew="scan")
    same([next(renewed) for _ in range(3)], expected[:3])
    next(renewed)
    renewed.close()


def test_an_iterator_ends_at_once(data):
    """No autotuner keeps it: that would round an epoch up to 10 ms times a power of two."""
    assert prepare(data).batches(4).options().autotune.enabled is False


def test_wrong_streams(data):
    feed = prepare(data)
    for make in (feed.tensors, feed.batches):
        with pytest.raises(ValueError, match="batch_size: 0 given"):
            make(0)
        with pytest.raises(TypeError, match="chunk"):
            make(1, chunk=3)
        with pytest.raises(ValueError, match="renew: 'photons'"):
            make(1, renew="photons")
    bare = prepare(replace(data, scenario=None), 2, n_groups=6)
    for make in (bare.tensors, bare.batches):
        with pytest.raises(ValueError, match="renew: 'scan' for data without a scenario given"):
            make(2, renew="scan")
    with pytest.raises(TypeError, match="chunk"):
        dataset(data, chunk=3)
    with pytest.raises(ValueError, match="N = 16 and gridsize 2 given, expected N = 32"):
        require_same_shape([feed], 32, 2, 200)
    with pytest.raises(ValueError, match="at most 2.0, which the network's canvas of 20"):
        require_same_shape([feed], 16, 2, 20)


# --- who knows whom ---


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def test_the_training_core_imports_no_backend():
    forbidden = ("backend", "_core", "stages", "simulator", "cupy", "numba")
    for path in (PACKAGE / "tf").glob("*.py"):
        for name in imports(path):
            assert not any(part in forbidden for part in name.split(".")), (path.name, name)
    code = (
        "import sys, ptycho_fast.tf\n"
        "print([n for n in sys.modules if n.startswith(('ptycho_fast._core', 'numba', 'cupy'))])"
    )
    run = [sys.executable, "-c", code]
    assert subprocess.check_output(run, text=True, stderr=subprocess.DEVNULL).strip() == "[]"


def test_nothing_else_imports_tensorflow():
    for path in PACKAGE.rglob("*.py"):
        if "tf" not in path.relative_to(PACKAGE).parts:
            roots = {name.split(".")[0] for name in imports(path)}
            assert not roots & {"tensorflow", "keras"}, path


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        ("sys.modules['tensorflow'] = None", "ptycho_fast[tf]"),
        ("import keras; keras.backend.backend = lambda: 'jax'", "Keras runs on 'jax'"),
    ],
)
def test_without_tensorflow(setup, message):
    code = f"import sys\n{setup}\nimport ptycho_fast.tf"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert message in run.stderr.splitlines()[-1]
