"""A data set is a function of an index: the same frames in any batch, order, chunk and backend."""

import warnings

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptycho_fast
from ptycho_fast import Scenario, Simulator, simulate

SMALL = Scenario.preset("gs2_ideal").replace(
    {"N": 16, "object.size": 90, "scan.n_patterns": 24, "dose.nphotons": 1e5}
)
DETECTED = SMALL.replace({"detector.saturation": 300, "detector.beam_stop_radius": 1.5})


@pytest.fixture(scope="module")
def whole():
    return simulate(SMALL).counts


@settings(deadline=None, max_examples=30)
@given(indices=st.lists(st.integers(0, 23), max_size=40))
def test_any_indices_in_any_order(whole, indices):
    frames = Simulator(SMALL).frames(indices)
    assert frames.dtype == np.uint32
    np.testing.assert_array_equal(frames, whole[indices])


@pytest.mark.parametrize("scenario", [SMALL, DETECTED], ids=["plain", "detector"])
@pytest.mark.parametrize("noise", [True, False])
def test_ranges_join_to_the_data_set(backend, scenario, noise):
    sim = Simulator(scenario, backend=backend, noise=noise, threads=2)
    data = simulate(scenario, backend=backend, noise=noise)
    assert data.domain == sim.domain
    parts = [sim.frames(first, last) for first, last in ((0, 1), (1, 17), (17, 17), (17, 24))]
    np.testing.assert_array_equal(np.concatenate(parts), data.diffraction)


@pytest.mark.parametrize("chunk", [1, 5, 24, 1000, None])
def test_stream(whole, chunk):
    pieces = list(Simulator(SMALL).stream(chunk))
    assert [first for first, _ in pieces] == list(range(0, 24, chunk or 24))
    np.testing.assert_array_equal(np.concatenate([frames for _, frames in pieces]), whole)
    first, frames = next(Simulator(SMALL).stream(7, first=3, last=9))
    assert first == 3
    np.testing.assert_array_equal(frames, whole[3:9])


def test_frames_are_the_stages(backend):
    sim = Simulator(SMALL, backend=backend)
    e, some = sim.experiment, [9, 2, 17]
    scale = e.intensity_scale
    intensity = ptycho_fast.diffract(e.object, e.probe, e.positions[some], backend=backend)
    expected = np.float32(scale**2) * intensity
    np.testing.assert_array_equal(sim.expected(some), expected)
    options = {"seed": SMALL.seeds.photons, "index": some, "backend": backend}
    counts = ptycho_fast.sample_photons(expected, **options)
    np.testing.assert_array_equal(sim.frames(some), counts)
    observed = ptycho_fast.observe(e.object, e.probe, e.positions[some], scale=scale, **options)
    np.testing.assert_array_equal(sim.frames(some), observed)


def test_each_pattern_its_own_exposure():
    sim = ptycho_fast.Simulator(SMALL)
    found = sim.frames([5, 1, 5], epoch=np.array([3, 0, 2]))
    for frame, number, epoch in zip(found, (5, 1, 5), (3, 0, 2), strict=True):
        np.testing.assert_array_equal(frame, sim.frames([number], epoch=epoch)[0])
    for epoch in (np.array([1, 2]), np.array([1.0, 2.0, 3.0]), np.array([0, -1, 2])):
        with pytest.raises(ValueError, match="epoch: "):
            sim.frames([5, 1, 5], epoch=epoch)


def test_epochs_are_exposures_of_their_own(whole):
    sim = Simulator(SMALL)
    np.testing.assert_array_equal(sim.frames(0, 24, epoch=0), whole)
    again = sim.frames([5, 1], epoch=3)
    assert (again != whole[[5, 1]]).any()
    photons = ptycho_fast.sample_photons(
        sim.expected([5, 1]), seed=SMALL.seeds.photons, index=[3 * 24 + 5, 3 * 24 + 1]
    )
    np.testing.assert_array_equal(again, photons)


def test_out_is_filled_and_returned(whole):
    out = np.empty((3, 16, 16), np.uint32)
    sim = Simulator(SMALL)
    assert sim.frames([4, 5, 6], out=out) is out
    np.testing.assert_array_equal(out, whole[4:7])
    assert sim.frames(0, 1).ctypes.data % 64 == 0
    with pytest.raises(ValueError, match=r"out: shape \(3, 16, 16\) given, expected \(2, 16, 16\)"):
        sim.frames(0, 2, out=out)


def test_the_experiment_is_the_truth():
    sim = Simulator(SMALL)
    e = sim.experiment
    assert (e.N, e.n_patterns, len(sim), sim.N) == (16, 24, 24, 16)
    assert sim.expected(0, 24).sum(dtype=float) / 24 == pytest.approx(1e5, rel=1e-6)
    scale = np.float64(e.intensity_scale) ** 2
    sums = sim.expected(0, 24).sum(axis=(1, 2), dtype=float)
    np.testing.assert_allclose(sums, scale * e.energies, rtol=1e-5)
    again = Simulator(e)
    assert again.experiment is e
    np.testing.assert_array_equal(again.frames(2, 4), sim.frames(2, 4))
    quiet = Simulator(e, noise=False).frames(2, 4)
    np.testing.assert_array_equal(quiet, Simulator(SMALL, noise=False).frames(2, 4))
    other = Simulator(e, seed=7).frames(2, 4)
    np.testing.assert_array_equal(other, Simulator(SMALL, seed=7).frames(2, 4))
    with pytest.raises(ValueError, match="nphotons: a value given, expected nothing beside an exp"):
        Simulator(e, nphotons=3)
    assert "24 patterns of 16 x 16" in repr(sim)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((24,), TypeError, "indices: the integer 24 given, expected first and last"),
        (([24],), IndexError, "indices: 24 given, expected 0 to 23"),
        (([-1],), IndexError, "indices: -1 given"),
        (([1.5],), TypeError, "indices: float64 array of shape"),
        (([[1]],), TypeError, "indices: int64 array of shape"),
        ((3, 2), ValueError, "last: 2 given, expected 3 to 24"),
        ((0, 25), ValueError, "last: 25 given"),
        ((-1, 3), ValueError, "first: -1 given, expected 0 to 24"),
        ((0.5, 3), TypeError, "first: 0.5 given, expected an integer"),
    ],
)
def test_wrong_indices(arguments, error, message):
    with pytest.raises(error, match=message):
        Simulator(SMALL).frames(*arguments)


def test_other_wrong_arguments():
    sim = Simulator(SMALL)
    with pytest.raises(ValueError, match="epoch: -1 given"):
        sim.frames([1], epoch=-1)
    with pytest.raises(ValueError, match="on_gpu: True given, expected False with the backend"):
        sim.frames([1], on_gpu=True)
    with pytest.raises(ValueError, match="chunk: 0 given"):
        next(sim.stream(0))
    with pytest.raises(ValueError, match="device: 0 given, expected None"):
        Simulator(SMALL, device=0)


# --- arrays in place of a scenario ---


def arrays():
    obj, probe, positions = cases.Case(32, 2).inputs()
    return {"object": obj, "probe": probe, "positions": positions[-8:]}


def test_own_arrays_at_a_dose():
    given = arrays()
    data = simulate(**given, nphotons=1e6, seed=5)
    assert data.photons().mean() == pytest.approx(1e6, rel=1e-2)
    for name in given:
        np.testing.assert_array_equal(getattr(data, name), given[name])
    e = Simulator(**given, nphotons=1e6, seed=5).experiment
    observed = ptycho_fast.observe(
        given["object"], given["probe"], given["positions"], scale=e.intensity_scale, seed=5
    )
    np.testing.assert_array_equal(data.counts, observed)


@pytest.mark.parametrize("missing", ["object", "probe", "positions", "nphotons"])
def test_own_arrays_are_all_needed(missing):
    given = {**arrays(), "nphotons": 1e6}
    del given[missing]
    with pytest.raises(ValueError, match=f"{missing}: nothing given, expected"):
        simulate(**given)


def test_nonsense_is_said():
    given = arrays()
    far = {**given, "positions": np.concatenate([given["positions"], [[1e5, 3], [-90, 5]]])}
    with pytest.warns(ptycho_fast.DataWarning, match="positions: 2 of 10 patterns lie wholly out"):
        Simulator(**far, nphotons=1e3)
    metres = {**given, "positions": np.tile(given["positions"], (2, 1)) * 1e-8}
    with pytest.warns(ptycho_fast.DataWarning, match="all 16 lie within one pixel.*metres"):
        Simulator(**metres, nphotons=1e3)
    small = {**given, "object": given["object"][:20, :20], "positions": [[10.0, 10.0]]}
    with pytest.warns(ptycho_fast.DataWarning, match=r"obj: shape \(20, 20\) is smaller"):
        Simulator(**small, nphotons=1e3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Simulator(**given, nphotons=1e3)


def test_too_bright_is_found_in_the_frames_that_are(backend):
    given = arrays()
    energies = Simulator(**given, nphotons=1.0).experiment.energies
    sim = Simulator(**given, nphotons=3e11, backend=backend)
    with pytest.raises(ptycho_fast.ScenarioError, match=r"dose.nphotons: .* given: .*2\*\*31"):
        sim.frames([int(energies.argmax())])
    with pytest.raises(ptycho_fast.ScenarioError, match=r"dose.nphotons: "):
        sim.check_dose()


def test_a_data_set_without_photons_is_one():
    with pytest.warns(ptycho_fast.DataWarning, match="no photon was detected in any pattern"):
        data = simulate(SMALL, nphotons=1e-9)
    assert not data.counts.any()


def test_out_must_not_be_a_part_of_the_experiment():
    sim = Simulator(SMALL, noise=False)
    inside = sim.experiment.object.view(np.float32).reshape(-1)[: 3 * 16 * 16].reshape(3, 16, 16)
    with pytest.raises(ValueError, match="out: shares memory with an input"):
        sim.frames(0, 3, out=inside)
