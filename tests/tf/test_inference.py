"""From a trained network to an object: predictions, stitching, twins."""

from dataclasses import replace

import numpy as np
import pytest
from networks import network

import ptycho_fast
from ptycho_fast.tf import PtychoNet, prepare
from ptycho_fast.tf.inference import predict, stitch, stitch_groups, stitch_patches


def test_stitching_the_truth_gives_the_truth():
    rng = np.random.default_rng(0)
    obj = (rng.normal(size=(60, 75)) + 1j * rng.normal(size=(60, 75))).astype(np.complex64)
    positions = np.array([[20.0, 18.0], [31.0, 25.0], [0.0, 0.0], [74.0, 59.0]])
    fields = ptycho_fast.extract_patches(obj, positions, 16)
    stitched, covered = stitch(fields, positions, obj.shape, 8)
    np.testing.assert_allclose(stitched[covered], obj[covered], rtol=1e-5)
    assert (stitched[~covered] == 0).all()
    expected = np.zeros(obj.shape, bool)
    expected[14:22, 16:24] = expected[21:29, 27:35] = expected[:4, :4] = expected[55:, 70:] = True
    np.testing.assert_array_equal(covered, expected)


def test_stitching_between_pixels():
    """A field that is linear in x and y is interpolated exactly."""
    y, x = np.mgrid[:60, :75]
    obj = (2 * x + 3j * y + 1).astype(np.complex64)
    positions = np.array([[20.3, 18.8], [37.5, 30.25]])
    fields = ptycho_fast.extract_patches(obj, positions, 16)
    stitched, covered = stitch(fields, positions, obj.shape, 10)
    assert covered.sum() == 200
    np.testing.assert_allclose(stitched[covered], obj[covered], rtol=1e-5)
    with pytest.raises(ValueError, match="window: 16 given, expected 1 to 15"):
        stitch(fields, positions, obj.shape, 16)


def test_data_come_at_the_scale_of_the_network(data):
    """The test half has a scale of its own; given to the network it would look brighter."""
    feed, test = prepare(data), prepare(data, part="test")
    assert test.intensity_scale / feed.intensity_scale != pytest.approx(1, abs=0.01)
    net = network(feed)
    prediction = predict(net, test)
    X = np.moveaxis(np.float32(test.gain) * test.amplitude[test.groups.nn_indices], 1, -1)
    offsets = test.groups.coords_relative.astype(np.float32)
    outputs = net((np.float32(feed.intensity_scale) * X, offsets))
    np.testing.assert_allclose(prediction.objects, outputs["object"], rtol=1e-3, atol=1e-5)


def test_prediction(data):
    feed = prepare(data, part="test")
    net = network(feed)
    prediction = predict(net, feed, batch_size=3)
    (amplitude, offsets), _ = next(feed.epoch(0, 8, shuffle=False))
    np.testing.assert_allclose(
        prediction.objects, net((amplitude, offsets))["object"], rtol=1e-4, atol=1e-5
    )
    assert prediction.patches.shape == (8, 4, 16, 16)
    assert (prediction.patches[..., :4, :] == 0).all()
    for stitched, covered in (stitch_groups(feed, prediction), stitch_patches(feed, prediction)):
        assert stitched.shape == covered.shape == data.object.shape
        assert covered.any()


def test_both_twins(data):
    """The mean of the prediction and of the half-turned one, which a half-turn does not change."""
    feed = prepare(data, part="test")
    net = network(feed)
    one, both = predict(net, feed), predict(net, feed, both_twins=True)
    assert both.likelihood == pytest.approx(one.likelihood, rel=0.2)
    assert not np.allclose(one.patches, both.patches, rtol=1e-3)
    single = prepare(data, 1, part="test")
    alone = PtychoNet(16, 1, 16, single.intensity_scale, n_filters_scale=1)
    alone.set_probe(data.probe)
    # One pattern of a real object is its own half-turn, so both twins weigh the same.
    patches = predict(alone, single, both_twins=True).patches
    turned = patches[..., ::-1, ::-1]
    np.testing.assert_allclose(patches, turned, atol=0.05 * np.abs(patches).max())
    probe = data.probe.copy()
    probe[0, 5, 4] *= 1.1
    with pytest.raises(ValueError, match="probe: one that changes when it is mirrored"):
        predict(net, prepare(replace(data, probe=probe), part="test"), both_twins=True)
