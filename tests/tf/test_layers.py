"""The network's physics against the simulator's definition, its gradients against differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import ptycho_fast
from ptycho_fast import scale_report
from ptycho_fast.data.grouping import make_groups
from ptycho_fast.tf.layers import (
    Diffract,
    Extract,
    IntensityScaler,
    IntensityScalerInverse,
    Reassemble,
    placement,
    put,
    root,
    take,
)
from ptycho_fast.tf.losses import poisson_deviance
from ptycho_fast.tf.model import (
    ACTIVATIONS,
    PtychoNet,
    canvas_side,
    decoder_filters,
    encoder_filters,
    load_model,
)

N, SIDE = 16, (70, 83)


@pytest.fixture(scope="module")
def scene():
    """A complex object without symmetry, a probe of two modes, groups of four at fractions."""
    rng = np.random.default_rng(1)

    def field(*shape):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)

    positions = rng.uniform(25, [SIDE[1] - 25, SIDE[0] - 25], (12, 2))
    return field(*SIDE), field(2, N, N), positions, make_groups(positions, 2, 5)


def split(field):
    """(..., N, N) complex as (..., 2, N, N)."""
    return tf.constant(np.stack([field.real, field.imag], axis=-3))


def canvases(obj, groups, side):
    """The object around each group's mean, by the simulator's patch extraction."""
    return ptycho_fast.extract_patches(obj, groups.coords_offsets[:, 0, :, 0], side)


def patches(obj, groups, side):
    xy = np.moveaxis(groups.coords[:, 0], 1, 2)
    flat = ptycho_fast.extract_patches(obj, xy.reshape(-1, 2), side)
    return flat.reshape(*xy.shape[:2], side, side)


def offsets_of(groups, dtype="float32"):
    return tf.constant(groups.coords_relative.astype(dtype))


def test_extraction_is_the_simulators(scene):
    obj, _, positions, _ = scene
    groups = make_groups(np.round(positions), 2, 5)
    groups = type(groups)(  # whole means, so that the canvas itself is not interpolated
        groups.nn_indices,
        groups.coords,
        np.round(groups.coords_offsets),
        np.round(groups.coords_offsets) - groups.coords + 0.25,
    )
    P = canvas_side(N, np.abs(groups.coords_relative).max())
    found = Extract(N)(split(canvases(obj, groups, P)), offsets_of(groups)).numpy()
    moved = type(groups)(
        groups.nn_indices, groups.coords - 0.25, groups.coords_offsets, groups.coords_relative
    )
    np.testing.assert_allclose(
        found[:, :, 0] + 1j * found[:, :, 1], patches(obj, moved, N), atol=2e-6
    )


@pytest.mark.parametrize("side", [N // 2, N])
def test_reassembly_puts_patches_where_they_were(scene, side):
    obj, _, positions, _ = scene
    groups = make_groups(np.round(positions), 2, 5)
    whole = np.round(groups.coords_offsets)
    groups = type(groups)(groups.nn_indices, groups.coords, whole, whole - groups.coords)
    P = canvas_side(N, np.abs(groups.coords_relative).max())
    canvas = Reassemble(P)(split(patches(obj, groups, side)), offsets_of(groups)).numpy()
    found, truth = canvas[:, 0] + 1j * canvas[:, 1], canvases(obj, groups, P)
    seen = found != 0
    times = np.zeros(found.shape)
    for g, offsets in enumerate(-groups.coords_relative[:, 0].astype(int)):
        for x, y in offsets.T:
            first = (P - side) // 2
            times[g, y + first : y + first + side, x + first : x + first + side] += 1
    np.testing.assert_array_equal(seen, times > 0)
    np.testing.assert_allclose(found, truth * times / (times + 0.001), atol=1e-5)


def test_put_is_the_adjoint_of_take(scene):
    rng = np.random.default_rng(2)
    groups = scene[-1]
    weights = placement(offsets_of(groups, "float64"), N, 60)
    p, c = rng.normal(size=(5, 4, 2, N, N)), rng.normal(size=(5, 2, 60, 60))
    there = tf.reduce_sum(put(tf.constant(p), *weights) * c)
    back = tf.reduce_sum(take(tf.constant(c), *weights) * p)
    assert float(there) == pytest.approx(float(back), rel=1e-12)


def test_diffraction_is_the_simulators(scene):
    obj, probe, _, groups = scene
    xy = np.moveaxis(groups.coords[:, 0], 1, 2)
    truth = ptycho_fast.diffract(obj, probe, xy.reshape(-1, 2)).reshape(5, 4, N, N)
    layer = Diffract(2, N)
    layer.set_probe(probe)
    found = layer(split(patches(obj, groups, N))).numpy()
    assert found.shape == (5, N, N, 4)
    np.testing.assert_allclose(np.moveaxis(found, -1, 1), truth, rtol=1e-4, atol=1e-5 * truth.max())


def test_scaler_pair_shares_its_variable():
    s = 273.3502248877305
    scaler = IntensityScaler(s)
    inverse = IntensityScalerInverse(scaler)
    assert scaler.log_scale.numpy() == scale_report.log_scale(s) == np.float32(5.610754013061523)
    x = tf.constant([1.0, 2.0])
    np.testing.assert_allclose(inverse(scaler(x) ** 2), x**2, rtol=1e-6)
    scaler.log_scale.assign(0.0)
    np.testing.assert_array_equal(inverse(x), x)
    assert len(inverse.weights) == len(scaler.weights) == 1


# --- the whole network ---


def network(**options):
    settings = {"N": N, "gridsize": 2, "canvas": 28, "intensity_scale": 50.0} | options
    net = PtychoNet(**settings, n_filters_scale=1)
    M = settings.get("modes", 1)
    rng = np.random.default_rng(3)
    probe = rng.normal(size=(M, settings["N"], settings["N"], 2)) @ [1, 1j]
    net.set_probe(probe.astype(np.complex64))
    return net


def inputs(G=3, N=N, dtype="float32"):
    rng = np.random.default_rng(4)
    amplitude = 50 * rng.random((G, N, N, 4)).astype(dtype)
    return amplitude, rng.uniform(-6, 6, (G, 1, 2, 4)).astype(dtype)


@pytest.mark.parametrize(
    ("side", "down", "up"),
    [
        (32, [64, 128], [32]),
        (64, [32, 64, 128], [64, 32]),
        (128, [16, 32, 64, 128], [128, 64, 32]),
        (256, [8, 16, 32, 64, 128], [256, 128, 64, 32]),
    ],
)
def test_filters(side, down, up):
    assert encoder_filters(side, 1) == down
    assert decoder_filters(side, 2) == [2 * n for n in up]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("probe_big", [False, True])
def test_outputs(activation, probe_big):
    net = network(amplitude_activation=activation, probe_big=probe_big, modes=2)
    amplitude, offsets = inputs()
    outputs = net((amplitude, offsets))
    assert outputs["object"].shape == (3, N, N)
    assert outputs["intensity"].shape == outputs["amplitude"].shape == (3, N, N, 4)
    np.testing.assert_allclose(outputs["amplitude"] ** 2, outputs["intensity"], rtol=1e-5)
    K = N if probe_big else N // 2
    assert net.patches(amplitude, offsets).shape == (3, 4, 2, K, K)


def test_prediction_is_the_simulators_of_the_networks_own_object():
    """Object out, diffraction out: the second is the simulator's of the first."""
    net = network(gridsize=1, canvas=N)
    amplitude = inputs()[0][..., :1]
    outputs = net((amplitude, np.zeros((3, 1, 2, 1), "float32")))
    probe = net.diffract.probe.numpy()
    for field, intensity in zip(outputs["object"], outputs["intensity"], strict=True):
        truth = ptycho_fast.diffract(field.numpy(), probe[0] + 1j * probe[1], [[N / 2, N / 2]])[0]
        np.testing.assert_allclose(intensity[..., 0], 2500 * truth, rtol=1e-3, atol=1e-4)


def test_seed_decides_the_weights():
    first, again, other = network(), network(), network(seed=7)
    for a, b in zip(first.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [w for w in other.weights if "kernel" in w.path]
    assert all(np.ptp(w) > 0 for w in kernels)
    assert not np.array_equal(first.encoder.weights[0], other.encoder.weights[0])


@pytest.mark.parametrize("probe_big", [False, True])
def test_saved_and_reloaded(tmp_path, probe_big):
    net = network(modes=2, probe_big=probe_big)
    net.scaler.log_scale.assign(3.5)
    net.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    assert again.settings == net.settings
    assert float(again.scaler.log_scale.numpy()) == 3.5
    for key, value in net(inputs()).items():
        np.testing.assert_array_equal(again(inputs())[key], value)


def test_scale_is_trained_where_asked():
    for trainable in (False, True):
        net = network(trainable_scale=trainable)
        net.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
        amplitude, offsets = inputs()
        net.fit((amplitude, offsets), {"intensity": amplitude**2}, verbose=0)
        moved = float(net.scaler.log_scale.numpy()) != scale_report.log_scale(50.0)
        assert moved == trainable


def test_gradients_of_the_physics_match_differences():
    """In float64, from object patches to loss, with dark patches among them."""
    rng = np.random.default_rng(5)
    net = network(dtype="float64")
    offsets = tf.constant(inputs()[1], tf.float64)
    measured = tf.constant(rng.poisson(3.0, (3, N, N, 4)) * 1.0)
    start = rng.normal(size=(3, 4, 2, N // 2, N // 2))
    start[0] = 0  # a head that gives exact zeros

    def loss(patches):
        canvas = net.reassemble(patches, offsets)
        intensity = net.unscaler(net.diffract(net.extract(canvas, offsets)))
        return poisson_deviance(measured, intensity, 2500.0) + 1e-3 * tf.reduce_mean(
            root(intensity)[1:]
        )

    at = tf.constant(start)
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = loss(at)
    gradient = tape.gradient(value, at).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient[0] == 0).all()  # by symmetry, as the intensity is even in the field
    for _ in range(6):
        step = rng.normal(size=start.shape)
        step[0] = 0
        step *= 1e-6
        difference = float(loss(at + step) - loss(at - step)) / 2
        assert (gradient * step).sum() == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"N": 48}, "N: 48 given, expected a power of two"),
        ({"gridsize": 0}, "gridsize: 0"),
        ({"canvas": 15}, "canvas: 15 given"),
        ({"intensity_scale": -1.0}, "scale: -1.0"),
        ({"amplitude_activation": "tanh"}, "expected one of sigmoid, softplus"),
    ],
)
def test_wrong_settings(options, message):
    with pytest.raises(ValueError, match=message):
        network(**options)


def test_wrong_probe():
    with pytest.raises(ValueError, match=r"probe: shape \(1, 8, 8\) given, expected \(1, 16, 16\)"):
        network().set_probe(np.ones((8, 8)))


def test_wrong_model_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such model file"):
        load_model(tmp_path / "no.keras")
    (tmp_path / "bad.keras").write_text("junk")
    with pytest.raises(ValueError, match="not a model file"):
        load_model(tmp_path / "bad.keras")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="expected a PtychoNet"):
        load_model(tmp_path / "other.keras")
