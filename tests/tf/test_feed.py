"""The feed: batches from a scenario, a data set or a file, the same every time."""

import ast
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from ptycho_fast.tf.feed import require_same_shape
from ptycho_fast.tf.symmetry import SYMMETRIES, channel_order

import ptycho_fast
from ptycho_fast import scaling
from ptycho_fast.ahead import made_ahead
from ptycho_fast.data.grouping import grouped
from ptycho_fast.tf import dataset, prepare

SCENARIO = ptycho_fast.Scenario.preset("gs2_ideal").replace(
    {
        "N": 16,
        "object.size": 90,
        "scan.n_patterns": 40,
        "dose.nphotons": 1e4,
        "groups.n_train": 10,
        "groups.n_test": 6,
    }
)


@pytest.fixture(scope="module")
def data():
    return ptycho_fast.simulate(SCENARIO)


def same(one, other):
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_is_the_grouped_arrays(data):
    feed = prepare(data)
    arrays = grouped(data.amplitude(), data.groups("train"))
    (amplitude, offsets), targets = next(feed.epoch(0, 10, shuffle=False))
    s = scaling.dataset_intensity_scale(
        1e4, float(np.square(arrays["diffraction"], dtype=float).sum(axis=(1, 2, 3)).mean())
    )
    assert feed.intensity_scale == pytest.approx(s, rel=1e-12)
    assert feed.gain == pytest.approx(scaling.normalise_gain(arrays["diffraction"], 16), rel=1e-12)
    np.testing.assert_allclose(amplitude, np.float32(s) * arrays["X_full"], rtol=1e-6)
    np.testing.assert_allclose(offsets, arrays["coords_relative"], rtol=1e-6)
    same(targets, {"amplitude": amplitude, "intensity": amplitude**2})


def test_sources_agree(data, tmp_path):
    data.save(tmp_path / "d.npz")
    feeds = [prepare(SCENARIO), prepare(data), prepare(tmp_path / "d.npz")]
    for feed in feeds[1:]:
        for one, other in zip(feeds[0].epoch(1, 4), feed.epoch(1, 4), strict=True):
            for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5)


def test_stream(data):
    stream = dataset(data, 2, 4, truth=True)
    assert isinstance(stream, tf.data.Dataset)
    assert int(stream.cardinality()) == 3
    sizes = []
    for (amplitude, offsets), targets in stream:
        sizes.append(len(amplitude))
        assert amplitude.shape[1:] == (16, 16, 4)
        assert offsets.shape[1:] == (1, 2, 4)
        assert targets["object"].shape[1:] == (16, 16)
        assert (amplitude.dtype, targets["object"].dtype) == (tf.float32, tf.complex64)
    assert sizes == [4, 4, 2]


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


def test_made_ahead():
    made = []

    def source():
        for n in range(20):
            made.append(n)
            yield n

    assert list(made_ahead(source(), 3)) == list(range(20))
    made.clear()
    items = made_ahead(source(), 3)
    assert [next(items), next(items)] == [0, 1]
    deadline = time.monotonic() + 30
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    items.close()
    assert made == [0, 1, 2, 3, 4]  # those asked for, and three more
    assert not any(thread.name.startswith("made_ahead") for thread in threading.enumerate())


def test_made_ahead_passes_errors_on():
    def source():
        yield 1
        raise ValueError("no more")

    items = made_ahead(source(), 4)
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        next(items)


def test_shuffle_and_seed(data):
    def order(feed, epoch, **options):
        return [float(b[0][1][0, 0, 0, 0]) for b in feed.epoch(epoch, 1, **options)]

    feed = prepare(data)
    in_order = order(feed, 0, shuffle=False)
    assert in_order == order(feed, 5, shuffle=False)
    assert order(feed, 0) == order(feed, 0) != order(feed, 1)
    assert sorted(order(feed, 0)) == sorted(in_order)
    assert order(feed, 0) != order(prepare(data, seed=7), 0)


def test_fresh_photons(data):
    """Epoch 0 has the photons of the data set, later ones have others of the same mean."""
    feed, fixed = prepare(data, noise="fresh"), prepare(data)
    in_order = {"batch_size": 10, "shuffle": False}
    same(next(feed.epoch(0, **in_order)), next(fixed.epoch(0, **in_order)))
    mean, n = 0.0, 60
    for epoch in range(1, n + 1):
        mean = mean + next(feed.epoch(epoch, **in_order))[1]["intensity"] / n
    unit = (feed.intensity_scale * feed.gain) ** 2
    expected = np.moveaxis(feed.expected[feed.groups.nn_indices], 1, -1)
    photons = expected.astype(float) * data.intensity_scale**2
    z = (mean / unit * data.intensity_scale**2 - photons) / np.sqrt(photons / n + 1e-12)
    assert np.abs(z[photons > 1].mean()) < 0.05
    assert z[photons > 1].std() == pytest.approx(1, abs=0.05)


def test_fresh_photons_pass_the_detector():
    scenario = SCENARIO.replace({"detector.saturation": 50})
    feed = prepare(scenario, noise="fresh")
    amplitude = next(feed.epoch(3, 10))[0][0] / feed.intensity_scale / feed.gain
    counts = (amplitude * feed.data.intensity_scale) ** 2
    assert counts.max() == pytest.approx(50, rel=1e-5)


@pytest.mark.parametrize("what", ["scan", "object"])
def test_without_end(data, what):
    feed = prepare(data, part="test", n_groups=8)
    stream = feed.batches(4, renew=what, shuffle=False)
    assert int(stream.cardinality()) == tf.data.INFINITE_CARDINALITY
    batches = list(stream.take(9))
    same(batches[:2], list(feed.batches(4, shuffle=False)))
    later = feed.renewed(1, what, feed.largest_offset)
    same(batches[2:3], [next(later.epoch(1, 4, shuffle=False))])
    assert np.array_equal(later.data.object, data.object) == (what == "scan")
    assert not np.array_equal(later.data.positions, data.positions)
    assert later.largest_offset <= feed.largest_offset
    assert 0 < len(later) <= 8
    assert set(later.groups.nn_indices.ravel()) <= set(later.data.split()[1])
    assert (later.gain, later.intensity_scale) == (feed.gain, feed.intensity_scale)


def test_truth_is_in_the_units_of_the_network(data):
    feed = prepare(data, truth=True)
    *_, targets = next(feed.epoch(0, 10, shuffle=False))
    np.testing.assert_array_equal(targets["object"], feed.true_objects())
    at = feed.groups.coords_offsets[:, 0, :, 0]
    truth = np.float32(feed.gain) * ptycho_fast.extract_patches(data.object, at, 16)
    np.testing.assert_array_equal(targets["object"], truth)
    assert feed.true_patches().shape == (10, 4, 16, 16)


def test_pairings(data):
    published, consistent = prepare(data), prepare(data, pairing="consistent")
    assert consistent.intensity_scale == scaling.closed_form_intensity_scale(1e4, 16)
    assert consistent.effective_photons == pytest.approx(1e4)
    assert published.effective_photons == pytest.approx(
        published.intensity_scale**2 * 64, rel=1e-12
    )
    assert published.effective_photons < 0.5 * 1e4


def test_an_iterator_ends_at_once(data):
    """No autotuner keeps it: that would round an epoch up to 10 ms times a power of two."""
    assert prepare(data).batches(4).options().autotune.enabled is False


# --- orientations ---


def test_patterns_turn_with_their_fields():
    """Diffraction of a turned exit wave is the turned pattern, for every orientation."""
    rng = np.random.default_rng(0)
    field = (rng.normal(size=(16, 16)) + 1j * rng.normal(size=(16, 16))).astype(np.complex64)
    one = np.ones((16, 16), np.complex64)

    def pattern(field):
        return ptycho_fast.diffract(field, one, [[8, 8]], backend="reference")[0]

    turned = [symmetry.pattern(pattern(field)) for symmetry in SYMMETRIES]
    for symmetry, found in zip(SYMMETRIES, turned, strict=True):
        truth = pattern(np.ascontiguousarray(symmetry.field(field)))
        np.testing.assert_allclose(found, truth, atol=1e-5)
    assert len({found.tobytes() for found in turned}) == 8


def test_groups_turn_as_a_whole(data):
    """Channels come in the fixed order again, each pattern with its own offset."""
    feed = prepare(data)
    patterns = feed.amplitude[feed.groups.nn_indices]
    for offsets, stack in zip(feed.groups.coords_relative, patterns, strict=True):
        assert list(channel_order(offsets)) == [0, 1, 2, 3]
        for symmetry in SYMMETRIES:
            turned, moved = symmetry.group(stack, offsets)
            assert list(channel_order(moved)) == [0, 1, 2, 3]
            distances = np.hypot(*offsets[0])
            for c, distance in enumerate(np.hypot(*moved[0])):
                source = int(np.argmin(np.abs(distances - distance)))
                np.testing.assert_array_equal(turned[c], symmetry.pattern(stack[source]))


def test_fields_turn_back(data):
    feed = prepare(data)
    fields = feed.true_patches()
    for symmetry in SYMMETRIES:
        np.testing.assert_array_equal(symmetry.back(symmetry.field(fields)), fields)
        for patches, offsets in zip(fields, feed.groups.coords_relative, strict=True):
            order = channel_order(symmetry.offsets(offsets))
            turned = symmetry.field(patches)[order]
            np.testing.assert_array_equal(symmetry.group_back(turned, offsets), patches)


def test_augmented_batches(data):
    plain, feed = prepare(data), prepare(data, augment=True, truth=True)
    seen = set()
    for epoch in range(4):
        (amplitude, offsets), targets = next(feed.epoch(epoch, 10, shuffle=False))
        reference = next(plain.epoch(0, 10, shuffle=False))[0][0]
        np.testing.assert_allclose(
            np.sort(amplitude.sum(axis=(1, 2))), np.sort(reference.sum(axis=(1, 2))), rtol=1e-5
        )
        np.testing.assert_array_equal(targets["intensity"], amplitude**2)
        seen.add(offsets.tobytes())
        assert not np.array_equal(targets["object"], feed.true_objects())
    assert len(seen) == 4


def test_augmentation_needs_a_symmetric_probe(data):
    probe = data.probe.copy()
    probe[0, 5, 4] *= 1.1
    with pytest.raises(ValueError, match="the probe changes"):
        prepare(replace(data, probe=probe), augment=True)
    curved = SCENARIO.replace({"probe.curvature": 3.0})
    assert prepare(curved, augment=True).augment
    with pytest.raises(ValueError, match=r"groups\.order is 'random'"):
        prepare(SCENARIO.replace({"groups.order": "random"}), augment=True)


# --- what cannot be ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": "all"}, "part: 'all'"),
        ({"noise": "none"}, "noise: 'none' given, expected one of fixed, fresh"),
        ({"pairing": "best"}, "pairing: 'best'"),
        ({"n_groups": 21}, "n_groups is 21; expected at most the 20 patterns"),
        ({"gridsize": 3}, "neighbours is 4; expected at least the 9"),
        ({"gridsize": 0}, "gridsize is 0"),
    ],
)
def test_wrong_arguments(data, options, message):
    with pytest.raises(ValueError, match=message):
        prepare(data, **options)


def test_nan_in_data(data):
    broken = data.amplitude().copy()
    broken[3, 1, 1] = np.nan
    with pytest.raises(ValueError, match="source: pattern 3 holds NaN"):
        prepare(replace(data, diffraction=broken, domain="normalized_amplitude"))


def test_files_that_do_not_say(data, tmp_path):
    with np.load(_saved(data, tmp_path)) as arrays:
        bare = {key: arrays[key] for key in arrays.files if key != "_metadata"}
    np.savez(tmp_path / "bare.npz", **bare)
    with pytest.raises(ValueError, match="does not say what its patterns mean"):
        prepare(tmp_path / "bare.npz")
    options = {"domain": "normalized_amplitude", "gridsize": 2}
    with pytest.raises(ValueError, match="intensity_scale"):
        prepare(tmp_path / "bare.npz", **options)
    feed = prepare(tmp_path / "bare.npz", nphotons=1e4, n_groups=6, **options)
    assert len(feed) == 6
    with pytest.raises(ValueError, match="noise: 'fresh'"):
        prepare(tmp_path / "bare.npz", nphotons=1e4, noise="fresh", **options)
    with pytest.raises(ValueError, match="renew: the data have no scenario"):
        feed.batches(2, renew="scan")


def _saved(data, folder):
    data.save(folder / "whole.npz")
    return folder / "whole.npz"


def test_wrong_streams(data):
    feed = prepare(data)
    with pytest.raises(ValueError, match="batch_size is 0"):
        feed.batches(0)
    with pytest.raises(ValueError, match="renew: 'photons'"):
        feed.batches(1, renew="photons")
    with pytest.raises(ValueError, match="N = 16 and gridsize 2 given, expected N = 32"):
        require_same_shape([feed], 32, 2, 200)
    with pytest.raises(ValueError, match="do not fit the network's canvas of 20"):
        require_same_shape([feed], 16, 2, 20)


# --- who knows whom ---

PACKAGE = Path(ptycho_fast.__file__).parent


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def test_the_training_core_imports_no_backend():
    forbidden = ("backend", "_core", "stages", "simulation", "cupy", "numba")
    for path in (PACKAGE / "tf").glob("*.py"):
        for name in imports(path):
            assert not any(part in forbidden for part in name.split(".")), (path.name, name)
    code = (
        "import sys, ptycho_fast.tf\n"
        "print([n for n in sys.modules if n.startswith(('ptycho_fast.backend', "
        "'ptycho_fast._core', 'ptycho_fast.stages', 'ptycho_fast.simulation', 'numba'))])"
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
