"""Refinement: what was put in comes out again; gradients, determinism, modes, masks, bad input."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from networks import network, trained

import ptycho_fast
from ptycho_fast import quality
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.errors import DataWarning
from ptycho_fast.experiment import make_experiment
from ptycho_fast.tf import Refiner, predict, prepare, refine
from ptycho_fast.tf.canvas import ScanCanvas, support
from ptycho_fast.tf.inference import stitch_patches
from ptycho_fast.tf.train import Watcher

RNG = np.random.default_rng(14)


def smooth(shape, width, seed):
    """A complex random field with a correlation of so many pixels."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    noise = np.fft.fft2(rng.normal(size=(2, *shape))) * np.exp(-((f * width * 2) ** 2))
    field = np.fft.ifft2(noise).real
    return field / field.std(axis=(1, 2), keepdims=True)


def complex_object(side=44):
    a, b = smooth((side, side), 2.0, 3)
    return ((0.75 + 0.25 * np.tanh(a)) * np.exp(0.5j * np.tanh(b))).astype(np.complex64)


def a_probe(N=16, modes=1):
    """A defocused spot without symmetry, and further modes with less power."""
    y, x = np.indices((N, N)) - N / 2
    spot = np.exp(-(x**2 + (1.2 * y) ** 2) / (N / 3.5) ** 2 + 0.04j * (x**2 + 0.5 * x * y))
    return np.stack([spot * (x / 4) ** m / 2**m for m in range(modes)]).astype(np.complex64)


def raster(step=3.5, first=8, last=36):
    at = np.arange(first, last + 0.1, step)
    grid = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)
    return grid + np.random.default_rng(5).uniform(-0.9, 0.9, grid.shape)


def simulated(nphotons=1e7, modes=1, **more):
    arrays = {"object": complex_object(), "probe": a_probe(modes=modes), "positions": raster()}
    return ptycho_fast.simulate(**arrays, nphotons=nphotons, **more)


@pytest.fixture(scope="module")
def scan():
    return simulated()


def inner(found, data, margin=10):
    box = np.zeros(found.covered.shape, bool)
    box[margin:-margin, margin:-margin] = True
    return found.covered & box


HOW = {"passes": 40, "batch_size": 8}


def test_what_was_put_in_comes_out_again(scan):
    """Amplitude and phase, to what the photons allow."""
    found = refine(scan, **HOW)
    assert found.stopped == "passes"
    assert len(found.history) == HOW["passes"]
    result = quality.compare(found.object, scan.object, inner(found, scan), found.coverage)
    assert result["pearson_r"] > 0.999
    assert result["ratio"] == pytest.approx(1, abs=2e-4)
    assert result["phase"]["rmse"] < 0.01
    assert result["frc"]["crossing"] is None
    assert found.history[-1]["loss"] < 1e-3 * found.history[0]["loss"]


def test_the_predicted_patterns_are_those_of_the_simulator():
    """At all kinds of positions, and beyond the rim: the one canvas is the simulator's object."""
    obj, probe = complex_object(), a_probe(modes=2)
    positions = np.concatenate([raster(6.0, 0, 44), [[-3.4, 20], [47.2, 48.9], [22, 8]]])
    weights = RNG.random((len(positions), 2)).astype(np.float32)
    for outside in ("zero", "vacuum", "edge"):
        canvas = ScanCanvas(
            obj.shape, positions[:, np.newaxis], N=16, K=16, modes=2, weights=weights,
            factors=np.ones(len(positions)), boundary=outside,
        )  # fmt: skip
        batch = canvas.batch(np.arange(len(positions)))
        found = canvas.intensity(canvas.laid(obj), tf.constant(probe), *batch.arrays).numpy()
        true = ptycho_fast.diffract(obj, probe, positions, boundary=outside, weights=weights)
        np.testing.assert_allclose(np.fft.fftshift(found, (1, 2)), true, atol=2e-6 * true.max())
        assert (canvas.lifted(canvas.laid(obj)) == obj).all()


def test_only_the_light_of_a_probe_is_cut_out():
    probe = np.zeros((1, 16, 16), np.complex64)
    probe[0, 5:11, 7:9] = 1
    assert support(probe) == 6
    probe[0, 1, 8] = 1
    assert support(probe) == 14
    probe[0, 0, 0] = 1
    assert support(probe) == 16
    obj, positions = complex_object(), raster()
    small = np.zeros((1, 16, 16), np.complex64)
    small[0, 5:11, 4:12] = a_probe()[0, 5:11, 4:12]
    true = ptycho_fast.diffract(obj, small, positions)
    K = support(small)
    assert K == 8
    canvas = ScanCanvas(
        obj.shape, positions[:, np.newaxis], N=16, K=K, modes=1,
        weights=np.ones((len(positions), 1), np.float32), factors=np.ones(len(positions)),
    )  # fmt: skip
    cut = canvas.cut(small)
    assert (canvas.uncut(cut) == small).all()
    batch = canvas.batch(np.arange(len(positions)))
    found = canvas.intensity(canvas.laid(obj), tf.constant(cut), *batch.arrays).numpy()
    np.testing.assert_allclose(np.fft.fftshift(found, (1, 2)), true, atol=2e-6 * true.max())


@pytest.mark.parametrize("loss", ["poisson", "amplitude"])
def test_gradients(scan, loss):
    """Of object and probe against differences, in directions drawn at random."""
    refiner = Refiner(scan, loss=loss, probe="joint", passes=1)
    batch = refiner._canvas.batch(np.arange(8))
    target = tf.constant(refiner._patterns.take(np.arange(8)))
    target = tf.cast(target, tf.float64)
    start = [v.numpy().astype(np.complex128) for v in (refiner._object, refiner._probe)]

    def value(obj, probe):
        predicted = refiner._canvas.intensity(obj, probe, *batch.arrays)
        return tf.reduce_sum(refiner._loss(target, predicted))

    with tf.GradientTape() as tape:
        variables = [tf.constant(v) for v in start]
        tape.watch(variables)
        total = value(*variables)
    gradients = [tf.convert_to_tensor(g).numpy() for g in tape.gradient(total, variables)]
    for which, gradient in enumerate(gradients):
        along = RNG.normal(size=gradient.shape) + 1j * RNG.normal(size=gradient.shape)
        along *= 1e-6 * np.abs(start[which]).max()
        ends = []
        for sign in (1, -1):
            moved = list(start)
            moved[which] = start[which] + sign * along
            ends.append(float(value(*map(tf.constant, moved))))
        expected = float(np.real(np.vdot(gradient, along)))
        assert (ends[0] - ends[1]) / 2 == pytest.approx(expected, rel=1e-4)


def test_the_same_seed_gives_the_same_bits(scan):
    one, same, other = (refine(scan, passes=2, batch_size=8, seed=s) for s in (1, 1, 2))
    assert one.object.tobytes() == same.object.tobytes()
    assert [h["loss"] for h in one.history] == [h["loss"] for h in same.history]
    assert one.object.tobytes() != other.object.tobytes()


def test_lazy_patterns_give_the_same_bits(scan, tmp_path):
    """From a file, from a simulator, and with more patterns than memory is given for."""
    scan.save(tmp_path / "scan.h5")
    kept = refine(scan, passes=2, batch_size=8)
    with ptycho_fast.open(tmp_path / "scan.h5") as opened:
        for memory in (2**30, 1):
            found = refine(opened, passes=2, batch_size=8, memory=memory)
            assert found.object.tobytes() == kept.object.tobytes()
    experiment = make_experiment(
        scan.scenario, object=scan.object, probe=scan.probe, positions=scan.positions
    )
    assert refine(experiment, passes=2, batch_size=8).object.tobytes() == kept.object.tobytes()


def test_outside_the_light_the_start_stays(scan):
    start = complex_object() * 0 + 1.25
    start[-4:, :4] = np.nan
    found = refine(scan, part=np.arange(40), passes=1, batch_size=16, start=start)
    # Light may lie between two pixels.
    steps = [[dx, dy] for dx in (-0.5, 0.5) for dy in (-0.5, 0.5)]
    near = np.concatenate([scan.positions[:40] + step for step in steps])
    beyond = quality.illumination(near, scan.probe, start.shape) == 0
    known = beyond & ~np.isnan(start)
    assert known.any()
    assert (found.object[known] == np.complex64(1.25)).all()
    flat = Refiner(scan, part=np.arange(40), passes=1)._unit
    np.testing.assert_allclose(found.object[beyond & np.isnan(start)], flat, rtol=1e-6)


def test_a_good_start_saves_passes(scan):
    blurred = sum(np.roll(scan.object, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
    far = refine(scan, passes=6, batch_size=8)
    near = refine(scan, passes=6, batch_size=8, start=blurred / 9)
    assert near.history[0]["misfit"] < far.history[0]["misfit"]
    seen = inner(far, scan)
    error = [quality.normalised_error(f.object[seen], scan.object[seen]) for f in (near, far)]
    assert error[0] < error[1]


def test_from_a_network(scan):
    """A small network, trained for two epochs on the half that is not refined, saves passes."""
    of_all = {"n_groups": 40, "include_seed": True}
    train, test = (prepare(scan, 2, part=part, **of_all) for part in ("train", "test"))
    net = trained(train, net=network(test, projections=2), batch_size=4).model
    start, covered = stitch_patches(test, predict(net, test))
    start[~covered] = np.nan
    how = {"part": "test", "passes": 8, "batch_size": 8}
    near, far = refine(scan, start=start, **how), refine(scan, **how)
    seen = inner(far, scan) & (far.coverage > 1)
    error = [quality.normalised_error(f.object[seen], scan.object[seen]) for f in (near, far)]
    assert error[0] < 0.9 * error[1]
    seen &= covered
    first, refined = (
        quality.normalised_error(o[seen], scan.object[seen]) for o in (start, near.object)
    )
    assert refined < 0.5 * first, (first, refined)


def test_modes_and_eigenprobes():
    """Several probe modes, that vary from pattern to pattern."""
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(
        {
            "N": 16, "object.size": 44, "probe.kind": "gaussian", "probe.modes": 2,
            "probe.mode_kind": "hermite_gauss",
            "probe.variation": 0.3, "probe.variation_modes": 1,
            "scan.n_patterns": 64, "dose.nphotons": 1e7, "scan.buffer": 8.0,
        }
    )  # fmt: skip
    scan = ptycho_fast.simulate(scenario, object=complex_object())
    assert scan.weights is not None
    found = refine(scan, **HOW)
    r = quality.score(found.object, scan.object, inner(found, scan))
    assert r["pearson_r"] > 0.96
    assert found.probe.shape == (2, 16, 16)
    assert (found.probe == scan.probe).all()
    alone = refine(replace(scan, weights=None, eigenprobes=None), **HOW)
    assert alone.history[-1]["misfit"] > 2 * found.history[-1]["misfit"]


def test_bad_pixels_may_hold_anything(scan):
    mask = np.ones((16, 16), bool)
    mask[3:6, 2:5] = mask[8, :] = False
    counts = np.array(scan.counts)
    counts[:, ~mask] = 2**31
    masked = replace(scan, diffraction=counts, mask=mask)
    found = refine(masked, **HOW)
    result = quality.score(found.object, scan.object, inner(found, scan))
    assert result["pearson_r"] > 0.99
    assert result["ratio"] == pytest.approx(1, abs=5e-3)
    again = refine(replace(masked, mask=None), mask=mask, **HOW)
    assert again.object.tobytes() == found.object.tobytes()


@pytest.mark.slow
def test_dose_factors_and_no_noise():
    """The scale is right whatever the patterns are stored as."""
    clean = simulated(noise=False)
    each = ptycho_fast.Scenario().replace({"dose.mode": "per_pattern"})
    with pytest.warns(DataWarning, match="per_pattern"):
        equal = simulated(scenario=each)
    stored = replace(clean, diffraction=clean.amplitude(), domain="normalized_amplitude")
    for data in (clean, stored, equal):
        found = refine(data, **HOW)
        result = quality.score(found.object, data.object, inner(found, data))
        assert result["ratio"] == pytest.approx(1, abs=2e-3)


@pytest.mark.slow
def test_joint_probe(scan):
    """A wrong probe is put right, up to what patterns cannot tell."""
    y, x = np.indices((16, 16)) - 8
    wrong = scan.probe * np.exp(0.01j * (x**2 + y**2)) * (1 + 0.02 * x)
    how = {"passes": 60, "batch_size": 8}
    joint = refine(scan, probe="joint", start_probe=wrong, **how)
    fixed = refine(scan, start_probe=wrong, **how)
    assert joint.history[-1]["misfit"] < 0.1 * fixed.history[-1]["misfit"]
    seen = inner(joint, scan)
    error = [
        quality.compare(f.object, scan.object, seen, probe_found=True)["normalised_error"]
        for f in (joint, fixed)
    ]
    assert error[0] < 0.03 < error[1]
    power = [np.square(np.abs(p)).sum() for p in (joint.probe, wrong)]
    assert power[0] == pytest.approx(power[1], rel=1e-4)


@pytest.mark.slow
def test_nominal_positions(scan):
    shaken = replace(
        scan, positions_nominal=scan.positions + RNG.normal(0, 1, scan.positions.shape)
    )
    true, nominal = (refine(shaken, passes=10, positions=p) for p in ("true", "nominal"))
    assert nominal.history[-1]["misfit"] > 1.5 * true.history[-1]["misfit"]


class _Once(Watcher):
    def __init__(self):
        self.steps, self.epochs = [], []

    def step(self, epoch, step, steps, loss):
        self.steps.append((epoch, step, steps))

    def epoch(self, epoch, values):
        self.epochs.append(epoch)


def test_it_is_watched_and_can_be_interrupted(scan):
    watcher = _Once()
    refiner = Refiner(scan, passes=3, batch_size=40)
    for values in refiner.passes(watcher):
        assert set(values) == {"loss", "misfit", "rate", "seconds"}
        if len(refiner.history) == 2:
            break
    assert watcher.steps == [(epoch, step, 3) for epoch in (1, 2) for step in (1, 2, 3)]
    found = refiner.result("interrupted")
    assert found.stopped == "interrupted"
    assert len(found.history) == 2
    whole = refine(scan, passes=3, batch_size=40)
    for _ in refiner.passes():  # goes on where it was
        pass
    assert refiner.result().object.tobytes() == whole.object.tobytes()


def test_a_diverging_descent_stops_and_keeps_the_best(scan):
    with pytest.warns(DataWarning, match="diverged in pass 1"):
        found = refine(scan, passes=5, learning_rate=1e4)
    assert found.stopped == "diverged"
    assert found.history == []
    np.testing.assert_allclose(found.object, found.object[0, 0])  # the start
    broken = replace(scan, diffraction=np.array(scan.amplitude()), domain="normalized_amplitude")
    broken.diffraction[33, 2, 2] = np.nan
    refiner = Refiner(scan, passes=9)
    for n, _ in enumerate(refiner.passes()):
        if n == 1:
            best = refiner.result().object
            refiner._patterns._kept[7] = np.inf
            break
    with pytest.warns(DataWarning, match="diverged in pass 3"):
        assert list(refiner.passes()) == []
    assert (refiner.result().object == best).all()
    assert np.isfinite(best).all()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"part": "most"}, "part: 'most'"),
        ({"part": [3]}, "part: 1 pattern that overlap nowhere"),
        ({"part": [0, 80]}, "part: 2 patterns that overlap nowhere"),
        ({"part": []}, "part: no pattern"),
        ({"start": "network"}, "start: 'network'"),
        ({"start": np.ones((3, 3))}, "start: float64 array of shape"),
        ({"passes": 0}, "passes: 0"),
        ({"probe": "both"}, "probe: 'both'"),
        ({"batch_size": 0}, "batch_size: 0"),
        ({"learning_rate": -1}, "learning_rate: -1"),
        ({"loss": "mse"}, "loss: 'mse'"),
        ({"positions": "guess"}, "positions: 'guess'"),
        ({"mask": np.zeros((16, 16), bool)}, "mask: one without a pixel"),
        ({"mask": np.ones((8, 8), bool)}, "mask: bool array"),
        ({"start_probe": np.ones((8, 8))}, r"start_probe: shape \(1, 8, 8\)"),
        ({"start_probe": np.zeros((16, 16))}, "start_probe: zero everywhere"),
    ],
)
def test_bad_arguments(scan, how, message):
    with pytest.raises(ValueError, match=message):
        Refiner(scan, **how)


def test_bad_data(scan):
    cases = {
        "probe: shape": {"probe": np.ones((1, 8, 8), np.complex64)},
        "probe: zero everywhere": {"probe": np.zeros((1, 16, 16), np.complex64)},
        "mask: one without": {"mask": np.zeros((16, 16), bool)},
        "an object of 2 slices": {"object": np.ones((2, 44, 44), np.complex64)},
        "data: no light": {"diffraction": np.zeros_like(scan.diffraction)},
        "that light no pixel": {"positions": scan.positions + 1000},
    }
    for message, change in cases.items():
        with pytest.raises(ValueError, match=message):
            Refiner(replace(scan, **change))
    with pytest.raises(TypeError, match="data: str"):
        refine("gs2_ideal")
    with pytest.warns(DataWarning, match="light only"):
        Refiner(scan, part=[0, 1, 27, 45, 80])


def test_a_part_of_a_data_set(scan):
    _, test = scan.split()
    found = refine(scan, part="test", passes=2, batch_size=8)
    again = refine(scan, part=test[::-1], passes=2, batch_size=8)
    assert found.covered.sum() < refine(scan, passes=1).covered.sum()
    assert isinstance(scan, Dataset)
    assert (found.coverage == again.coverage).all()
