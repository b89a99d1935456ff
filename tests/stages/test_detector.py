"""Detector model: keys, presets, masks, and the physics of each part against theory."""

import hashlib
import re

import numpy as np
import pytest
from detectors import N, chains, speckled
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import ptycho_fast
from ptycho_fast import detector
from ptycho_fast.backend.reference.detector import normals
from ptycho_fast.detector import Response, presets
from ptycho_fast.detector.dark_counts import thresholds
from ptycho_fast.detector.efficiency import absorbed
from ptycho_fast.errors import ScenarioError
from ptycho_fast.optics import Geometry
from ptycho_fast.scenario import DetectorSpec

B = 64
PIXELS = B * N * N


def sampled(rate, response, backend="auto", B=B, **options):
    rates = np.full((B, N, N), rate, np.float64)
    options = {"seed": 3, "backend": backend, **options}
    return ptycho_fast.sample_photons(rates, detector=response, **options)


def assert_moments(x, mean, variance, bias=0.0, tolerance=0.0):
    """Mean and variance within five standard errors, and what the theory leaves out."""
    x = x.astype(np.float64).ravel()
    kurtosis = max(stats.kurtosis(x, fisher=False), 1.5)
    assert abs(x.mean() - mean) < 5 * np.sqrt(variance / x.size) + bias
    error = 5 * variance * np.sqrt((kurtosis - 1) / x.size)
    assert abs(x.var() - variance) < error + tolerance * variance


# --- keys ---


def test_the_order_of_the_parts_is_fixed():
    names = [part.__name__ for part in detector.PARTS]
    assert names == [
        "preset",
        "efficiency",
        "source_blur",
        "oversample",
        "point_spread",
        "dead_time",
        "dark_counts",
        "gain",
        "readout_noise",
        "offset",
        "saturate",
        "quantise",
        "defects",
        "gaps",
        "beam_stop",
        "bad_pixels",
        "masks",
    ]


def test_all_is_off_by_default():
    spec = DetectorSpec()
    assert spec.to_dict() == {"beam_stop_radius": 0.0}
    assert detector.response(spec, N) is None
    assert detector.good_pixels(spec, N) is None
    assert detector.efficiency(spec) == 1
    assert detector.spread(spec) == 0
    assert detector.oversample(spec) == 1
    assert detector.signal_dtype(spec) == np.uint32
    with pytest.raises(ValueError, match=r"^detector\.colour: unknown key \(keys: preset"):
        DetectorSpec(colour="red")


@pytest.mark.parametrize(
    ("keys", "dtype"),
    [
        ({"saturation": 9}, np.uint32),
        ({"dark_counts": 0.5}, np.uint32),
        ({"dead_time_s": 1e-7, "exposure_time_s": 1}, np.uint32),
        ({"gain": 10.0, "offset": 100.0}, np.uint32),
        ({"gain": 10.0, "offset": -100.0}, np.int32),
        ({"gain": 1.5}, np.float32),
        ({"gain": 1.5, "quantisation": 1.0}, np.uint32),
        ({"quantisation": 0.5}, np.float32),
        ({"readout_noise": 1.0}, np.float32),
        ({"readout_noise": 1.0, "quantisation": 2.0}, np.int32),
        ({"readout_noise": 1.0, "quantisation": 1.0, "saturation": 9, "wrap": True}, np.uint32),
        ({"masked_value": -2.0}, np.int32),
    ],
)
def test_type_of_the_signal(keys, dtype):
    spec = DetectorSpec(**keys)
    assert detector.signal_dtype(spec) == dtype
    made = detector.response(DetectorSpec(**keys, beam_stop_radius=2.0), N)
    assert made.dtype == dtype
    assert sampled(5, made, B=1).dtype == dtype


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"dead_time_s": 1e-7}, "detector.exposure_time_s: nothing given, .* of 1e-07 s"),
        ({"dead_time_s": 2.0, "exposure_time_s": 1.0}, "detector.exposure_time_s: 1.0 given"),
        ({"paralysable": True}, "detector.paralysable: True given, expected .*dead_time_s"),
        (
            {"preset": "medipix3"},
            "detector.exposure_time_s: nothing given, .*; detector.preset 'medipix3' has dead_time",
        ),
        ({"wrap": True}, "detector.saturation: nothing given, expected .*wrap is true"),
        ({"wrap": True, "saturation": 9, "gain": 1.5}, "detector.wrap: .*quantisation"),
        ({"hot_pixels": 0.1}, "detector.hot_value: nothing given"),
        ({"hot_pixels": 0.5, "dead_pixels": 0.5}, "detector.hot_pixels: 0.5 given"),
        (
            {"module_gap": (4, 4), "module_shape": (9, 9), "module_offset": (9, 0)},
            r"detector.module_offset: \(9, 0\) given, expected a pixel of the module: 0 to 8, 0 t",
        ),
        ({"module_gap": (4, 4)}, "detector.module_shape: nothing given"),
        ({"module_shape": (4, 4)}, "detector.module_gap: nothing given"),
    ],
)
def test_impossible_detectors(keys, message):
    with pytest.raises(ScenarioError, match=message):
        detector.response(DetectorSpec(**keys), N)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"gain": -1.0}, "detector.gain: -1.0 given, expected a finite number > 0"),
        ({"readout_noise": -1.0}, "detector.readout_noise: -1.0"),
        ({"quantum_efficiency": 1.1}, "detector.quantum_efficiency: 1.1"),
        ({"preset": "eiger3"}, "detector.preset: 'eiger3' given, expected one of eiger2"),
        ({"saturation": 0}, "detector.saturation: 0"),
        ({"point_spread": 1e200}, "detector.point_spread: 1e.200 given"),
        ({"module_gap": (4,)}, "detector.module_gap: .* a list of 2 items"),
        ({"beam_stop_radius": -1.0}, "detector.beam_stop_radius"),
        ({"material": "Ge"}, "detector.material: 'Ge' given, expected one of Si, CdTe"),
    ],
)
def test_values_out_of_range(keys, message):
    with pytest.raises(ScenarioError, match=message):
        DetectorSpec(**keys)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gain": 0.0}, "gain: 0.0 given"),
        ({"dead_time": 1.0}, "dead_time: 1.0 given"),
        ({"readout": -1.0}, "readout: -1.0"),
        ({"wrap": True}, "ceiling: 0.0 given"),
        ({"step": 1e-9}, "step: 1e-09 given"),
        ({"pixels": np.zeros((4, 4))}, "pixels: float64 array"),
        ({"dark": [1, 2]}, "dark: list given"),
        ({"seed": -1}, "seed: -1 given"),
    ],
)
def test_impossible_records(fields, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Response(**fields)


def test_the_stages_check_the_detector():
    rates = np.ones((1, 8, 8))
    with pytest.raises(TypeError, match="detector: str given, expected a Response"):
        ptycho_fast.sample_photons(rates, seed=1, detector="eiger")
    other = Response(pixels=np.zeros((9, 9), np.uint8))
    with pytest.raises(ValueError, match=r"detector: pixels of shape \(9, 9\) given"):
        ptycho_fast.sample_photons(rates, seed=1, detector=other)
    with pytest.raises(TypeError, match="dtype: uint16 given"):
        ptycho_fast.sample_photons(rates, seed=1, detector=Response(), dtype=np.uint16)
    options = {"scale": 1.0, "seed": 1, "output": "signal"}
    with pytest.raises(ValueError, match="detector: None given"):
        ptycho_fast.observe(np.ones((20, 20)), np.ones((8, 8)), [[9, 9]], **options)


# --- before photons are counted ---


@pytest.mark.parametrize(
    ("energy", "thickness", "share"),
    [
        (8e3, 320e-6, 0.992),
        (8.8e3, 320e-6, 0.974),
        (10e3, 320e-6, 0.920),
        (10e3, 450e-6, 0.971),
        (12e3, 450e-6, 0.875),
        (15e3, 500e-6, 0.700),
        (20e3, 450e-6, 0.374),
        (25e3, 320e-6, 0.163),
    ],
)
def test_silicon_absorbs_what_is_published(energy, thickness, share):
    assert absorbed("Si", thickness, energy) == pytest.approx(share, abs=0.004)


def test_cadmium_telluride_absorbs_what_is_published():
    assert all(absorbed("CdTe", 750e-6, energy) >= 0.994 for energy in (5e3, 1e4, 2e4, 25e3))
    assert absorbed("CdTe", 1e-4, 26e3) < absorbed("CdTe", 1e-4, 27e3)  # beyond an edge


def test_efficiency():
    at = Geometry(N=N, energy_ev=10e3)
    silicon = DetectorSpec(material="Si", thickness_m=450e-6)
    assert detector.efficiency(silicon, at) == pytest.approx(0.971, abs=1e-3)
    assert detector.efficiency(DetectorSpec(quantum_efficiency=0.5, preset="eiger2"), at) == 0.5
    assert detector.efficiency(DetectorSpec(preset="eiger2"), at) == pytest.approx(0.971, abs=1e-3)
    assert detector.efficiency(DetectorSpec(preset="eiger2")) == 1  # the energy is not known
    with pytest.raises(ScenarioError, match=r"optics\.energy_ev: nothing given"):
        detector.efficiency(silicon, Geometry(N=N))
    with pytest.raises(ScenarioError, match=r"optics\.energy_ev: 300000\.0 given.*Si"):
        detector.efficiency(silicon, Geometry(N=N, energy_ev=3e5))
    with pytest.raises(ScenarioError, match=r"detector\.material: Si given for electrons"):
        detector.efficiency(silicon, Geometry(N=N, energy_ev=8e4, radiation="electron"))
    with pytest.raises(ScenarioError, match=r"detector\.thickness_m: nothing given"):
        detector.efficiency(DetectorSpec(material="Si"), at)


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 4), st.integers(64, 257))
def test_the_kernel_of_a_spread_has_its_variance(sigma, N):
    half = detector.spread_kernel(sigma, N).astype(np.float64)
    r = np.arange(len(half))
    assert 2 * len(half) - 1 <= N
    assert 2 * half.sum() - half[0] == pytest.approx(1, abs=1e-6)
    assert 2 * (half * r**2).sum() == pytest.approx(sigma**2, abs=2e-4)


def test_spreads_add_in_variance_and_fit_the_pattern():
    assert detector.spread(DetectorSpec(source_blur=3.0, point_spread=4.0)) == pytest.approx(5)
    one, two = (detector.spread_kernel(sigma, 65) for sigma in (1.0, 2**0.5))
    whole = np.r_[one[:0:-1], one]
    twice = np.convolve(whole, whole)
    np.testing.assert_allclose(twice[len(twice) // 2 :][: len(two)], two, atol=1e-6)
    with pytest.raises(ValueError, match="sigma: 5 pixels given"):
        detector.spread_kernel(5.0, 16)


# --- the noise ---


def test_dead_time_of_nobody_changes_nothing():
    response = Response(dead_time=1e-3)
    np.testing.assert_array_equal(sampled(0.05, response, B=1) > 1, sampled(0.05, None, B=1) > 1)
    np.testing.assert_array_equal(sampled(0, response), 0)
    once = sampled(1e-3, None)
    np.testing.assert_array_equal(sampled(1e-3, response), once)  # single photons are never lost


@pytest.mark.parametrize("paralysable", [False, True])
@pytest.mark.parametrize("tau", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("x", [0.01, 0.1, 0.5, 1.0, 2.0])
def test_dead_time(paralysable, tau, x):
    n = x / tau
    seen = sampled(n, Response(dead_time=tau, paralysable=paralysable))
    if paralysable:
        mean, variance = n * np.exp(-x), n * np.exp(-x) * (1 - 2 * x * np.exp(-x))
    else:
        mean, variance = n / (1 + x), n / (1 + x) ** 3
    # The laws themselves leave out terms of the order of tau, and of a fraction of a count.
    assert_moments(seen, mean, variance, bias=0.25, tolerance=0.01 + 3 * tau + 1 / n)
    assert (seen <= sampled(n, None)).all()


@pytest.mark.parametrize("rate", [0.5, 2.0, 8.0])
def test_dead_time_against_arrivals_in_time(rate):
    """Each photon at its own time, none counted within a hundredth of the frame after a count."""
    tau, frames = 0.01, 40_000
    generator = np.random.default_rng(5)
    counts = []
    for k in generator.poisson(rate, frames):
        free, count = 0.0, 0
        for time in np.sort(generator.random(k)):
            if time >= free:
                free, count = time + tau, count + 1
        counts.append(count)
    seen = sampled(rate, Response(dead_time=tau))
    error = 5 * np.std(counts) / frames**0.5
    assert abs(seen.mean() - np.mean(counts)) < error
    assert seen.var() == pytest.approx(np.var(counts), rel=0.05)


@pytest.mark.parametrize("mean", [1e-4, 0.03, 0.7, 6.0, 200.0])
def test_dark_counts_are_poisson(mean):
    least, words = thresholds(mean)
    dark = sampled(0, Response(dark=words, dark_least=least))
    assert_moments(dark, mean, mean)
    k = np.arange(stats.poisson.ppf(0.001, mean), stats.poisson.ppf(0.999, mean) + 1)
    share = (dark.ravel()[:, None] == k).mean(axis=0)
    exact = stats.poisson.pmf(k, mean)
    assert (abs(share - exact) < 5 * np.sqrt(exact / PIXELS) + 1e-9).all()


def test_dark_counts_add_to_photons():
    least, words = thresholds(3.0)
    assert_moments(sampled(5, Response(dark=words, dark_least=least)), 8, 8)


def test_gain_and_offset():
    photons = sampled(20, None)
    seen = sampled(20, Response(gain=2.5, offset=-7.0))
    np.testing.assert_allclose(seen, 2.5 * photons - 7)
    assert_moments(seen, 43, 2.5**2 * 20)


def test_readout_noise_is_normal():
    noise = sampled(0, Response(readout=3.0))
    assert_moments(noise, 0, 9)
    assert stats.kstest(noise.ravel()[::7] / 3, "norm").pvalue > 1e-3
    assert 4 < abs(noise / 3).max() < 6
    assert_moments(sampled(30, Response(readout=3.0, gain=2.0)), 60, 4 * 30 + 9)


def test_read_out_noise_has_the_tails_of_a_normal_distribution():
    """Numbers of 16 bits are divided further beyond 3.5 deviations, in the definition too."""
    noise = ptycho_fast.sample_photons(
        np.zeros((64, 128, 128), np.float32), seed=1, detector=Response(readout=1.0)
    )
    for beyond in (3.0, 3.4, 3.6, 4.0, 4.5):
        expected = noise.size * 2 * stats.norm.sf(beyond)
        assert abs((abs(noise) > beyond).sum() - expected) < 5 * expected**0.5 + 3
    far = noise[abs(noise) > 3.6]
    assert len(np.unique(far)) == len(far)


def test_normal_numbers_rise_with_their_random_bits():
    halves = np.arange(2**16, dtype=np.uint32)
    for tails in (0, 0x8000, 0xFFFF):
        numbers = normals(halves, np.full(2**16, tails, np.uint32))
        assert (np.diff(numbers) > 0).all()
    np.testing.assert_allclose(
        normals(halves, 0xFFFF - halves), -normals(0xFFFF - halves, halves), atol=1e-12
    )


def test_quantisation_adds_a_twelfth_of_its_step_squared():
    fine, coarse = Response(readout=5.0, offset=0.3), Response(readout=5.0, offset=0.3, step=4.0)
    seen = sampled(0, coarse, dtype=np.int32)
    assert (seen % 4 == 0).all()
    assert_moments(seen, 0.3, 25 + 16 / 12)
    np.testing.assert_allclose(seen, sampled(0, fine), atol=2 + 1e-5)


def test_clip_or_wrap():
    photons = sampled(300, None)
    np.testing.assert_array_equal(sampled(300, Response(ceiling=290.0)), np.minimum(photons, 290))
    wrapped = sampled(300, Response(ceiling=255.0, wrap=True))
    np.testing.assert_array_equal(wrapped, photons % 256)
    steps = sampled(300, Response(ceiling=252.0, wrap=True, step=4.0, gain=1.5))
    assert steps.max() <= 252
    assert (steps % 4 == 0).all()


def test_the_order_is_fixed():
    """Saturation cuts the offset off, bad pixels are not saturated."""
    pixels = np.zeros((N, N), np.uint8)
    pixels[0, :3] = 1, 2, 3
    response = Response(gain=2.0, offset=50.0, ceiling=60.0, pixels=pixels, hot=70.0, masked=80.0)
    seen = sampled(4, response)
    assert seen[:, 0, :3].tolist() == [[0, 70, 80]] * B
    np.testing.assert_array_equal(
        seen[:, 1:], np.minimum(2 * sampled(4, None)[:, 1:].astype(int) + 50, 60)
    )


def test_parts_do_not_share_random_numbers():
    least, words = thresholds(5.0)
    pieces = [
        sampled(100, None),
        sampled(0, Response(dark=words, dark_least=least)),
        sampled(0, Response(readout=1.0)),
        sampled(100, Response(dead_time=5e-3)) - 1.0 * sampled(100, None) / (1 + 0.5),
    ]
    together = np.corrcoef([piece.astype(np.float64).ravel() for piece in pieces])
    assert abs(together[:3, :3] - np.eye(3)).max() < 5 / PIXELS**0.5
    assert abs(together[3, 1:3]).max() < 5 / PIXELS**0.5


def test_the_noise_has_a_seed_of_its_own():
    one, same, other = (
        sampled(0, Response(readout=1.0, seed=seed), seed=photons)
        for seed, photons in ((1, 3), (1, 4), (2, 3))
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.99


def test_amplitudes_are_those_of_the_photons_that_the_signal_speaks_of():
    obj, probe, at = np.ones((80, 80)), np.ones((N, N)), [[40, 40]] * 3
    response = Response(gain=2.0, offset=10.0, readout=4.0)
    options = {"scale": 7.0, "seed": 1, "detector": response, "backend": "reference"}
    signal = ptycho_fast.observe(obj, probe, at, output="signal", **options)
    amplitude = ptycho_fast.observe(obj, probe, at, output="amplitude", **options)
    photons = np.maximum((signal.astype(np.float64) - 10) / 2, 0)
    np.testing.assert_allclose(amplitude, np.sqrt(photons) / 7, rtol=1e-3, atol=1e-3)
    assert (signal < 10).any()
    assert np.isfinite(amplitude).all()
    counts = ptycho_fast.observe(obj, probe, at, **options)
    np.testing.assert_array_equal(
        counts, ptycho_fast.observe(obj, probe, at, **options | {"detector": None})
    )


# --- pixels ---


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("radius", [0.5, 1, 1.1, 2.5])
def test_beam_stop(side, radius):
    response = detector.response(DetectorSpec(beam_stop_radius=radius), side)
    for (r, c), state in np.ndenumerate(response.pixels):
        assert (state == 3) == (np.hypot(r - side // 2, c - side // 2) < radius)


def test_bad_pixels_are_recorded():
    keys = {"dead_pixels": 0.02, "hot_pixels": 0.01, "saturation": 1000, "beam_stop_radius": 3.0}
    spec = DetectorSpec(**keys, module_shape=(40, 30), module_gap=(2, 3), masked_value=7.0)
    response, good = detector.response(spec, N, seed=5), detector.good_pixels(spec, N, seed=5)
    np.testing.assert_array_equal(good, response.pixels == 0)
    seen = sampled(100, response)
    assert (seen[:, response.pixels == 1] == 0).all()
    assert (seen[:, response.pixels == 2] == 1000).all()
    assert (seen[:, response.pixels == 3] == 7).all()
    for state, share in ((1, 0.02), (2, 0.01)):
        alone = DetectorSpec(**keys | {"beam_stop_radius": 0.0})
        count = (detector.response(alone, 512, seed=5).pixels == state).mean()
        assert count == pytest.approx(share, rel=0.15)
    more = detector.good_pixels(DetectorSpec(dead_pixels=0.05), N, seed=5)
    few = detector.good_pixels(DetectorSpec(dead_pixels=0.02), N, seed=5)
    assert not (more & ~few).any()
    assert (detector.good_pixels(DetectorSpec(dead_pixels=0.05), N, seed=6) != more).any()


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(0, 40), st.integers(0, 40)),
    st.integers(41, 300),
)
def test_gaps_lie_between_modules(shape, gap, N):
    good = detector.good_pixels(DetectorSpec(module_shape=shape, module_gap=gap), N)
    if good is None:
        return
    assert good[N // 2, N // 2]  # the beam is on the middle of a module
    for line, side, gap_side in zip((good[:, N // 2], good[N // 2]), shape, gap, strict=True):
        runs = [len(run) for run in re.findall("0+", "".join(map(str, line.astype(int))))]
        assert all(run == gap_side for run in runs[1:-1])
        runs = [len(run) for run in re.findall("1+", "".join(map(str, line.astype(int))))]
        assert all(run == side for run in runs[1:-1]) or not gap_side


def test_small_patterns_meet_no_gap():
    assert detector.good_pixels(DetectorSpec(preset="eiger2"), 256) is None
    assert detector.good_pixels(DetectorSpec(preset="eiger2"), 2048) is not None
    for name in presets.PRESETS:  # gaps may be wider than the pattern
        assert detector.good_pixels(DetectorSpec(preset=name), 8) is None
    beside = DetectorSpec(preset="eiger2", module_offset=(510, 500))
    assert not detector.good_pixels(beside, 256)[128 + 2 : 128 + 40].any()


@pytest.mark.parametrize("name", presets.PRESETS)
def test_presets(name):
    values = presets.PRESETS[name]()
    assert set(values) <= set(detector.keys())
    assert len(presets.PRESETS[name].__doc__) > 60
    spec = DetectorSpec(preset=name, exposure_time_s=1e-3)
    response = detector.response(spec, N)
    assert response is None or response.dtype == np.uint32
    again = DetectorSpec(**values, exposure_time_s=1e-3)
    assert repr(response) == repr(detector.response(again, N))
    changed = detector.response(DetectorSpec(preset=name, exposure_time_s=1.0, saturation=77), N)
    assert changed.ceiling == 77


def test_five_families_have_presets():
    families = {"eiger2", "pilatus3", "jungfrau", "lambda", "medipix3", "timepix4", "empad"}
    assert families < set(presets.PRESETS)


def test_pixels_may_have_a_seed_apart_from_the_noise():
    spec = DetectorSpec(dead_pixels=0.1, readout_noise=1.0)
    one, other = (detector.response(spec, N, seed, defects_seed=1) for seed in (1, 2))
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert (one.seed, other.seed) == (1, 2)
    np.testing.assert_array_equal(one.pixels, detector.response(spec, N, 1).pixels)


def test_without_noise_saturation_and_masks_act():
    spec = DetectorSpec(saturation=110, gain=2.0, offset=10.0, readout_noise=3.0, dark_counts=5.0)
    response = detector.response(spec, 4)
    photons = np.array([[[1.0, 49.5], [50.0, 51.0]]])
    np.testing.assert_array_equal(
        detector.without_noise(photons, response), [[[1, 49.5], [50, 50]]]
    )
    wrap = Response(ceiling=255.0, wrap=True)
    np.testing.assert_array_equal(detector.without_noise(photons + 256, wrap), photons)
    stop = detector.response(DetectorSpec(beam_stop_radius=1.0), 2)
    np.testing.assert_array_equal(detector.without_noise(photons, stop), [[[1, 49.5], [50, 0]]])
    assert detector.without_noise(photons, Response(gain=2.0)) is photons


# --- the same on every backend ---


def made(name, backend, first=0, last=5, **options):
    return ptycho_fast.sample_photons(
        speckled()[first:last],
        seed=2,
        index=2**32 - 2 + first,
        detector=chains()[name],
        backend=backend,
        **options,
    )


@pytest.mark.parametrize("name", chains())
def test_backends_follow_the_definition(name, fast_backend):
    """Noise in single precision: a signal may fall on the other side of a rounding now and then."""
    exact, seen = (
        made(name, backend).astype(np.float64) for backend in ("reference", fast_backend)
    )
    response = chains()[name]
    near = 1e-6 * abs(exact) + 1e-5 * response.readout if response.dtype == np.float32 else 0
    off = abs(seen - exact) > near
    assert off.mean() < 3e-3
    step = (response.step or 1) * response.gain
    if not response.wrap:
        assert abs(seen - exact).max() <= 2 * step + 1e-5 * abs(exact).max()


# Kept since version 0.1.0: a change here changes every user's data, and belongs in the change log.
GOLDEN = {
    "counting": "36c2e72286dfccfb",
    "paralysed": "d0114db95027e30d",
    "wrapping": "93f7a0bd898a9418",
    "integrating": "c84957e89fe63129",
    "wrapping converter": "3f245abf23768cf7",
    "analogue": "355975197ae3f710",
}


@pytest.mark.native
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_hashes(name, instruction_sets, monkeypatch):
    """Whatever the instruction set, the threads and the batches."""
    found = set()
    for isa in instruction_sets:
        monkeypatch.setenv("PTYCHO_FAST_ISA", isa)
        whole = made(name, "native", threads=1)
        pieces = [made(name, "native", b, b + 1, threads=1 + b) for b in range(5)]
        for signals in (whole, np.concatenate(pieces), made(name, "native", threads=3)):
            found.add(hashlib.sha256(signals.tobytes()).hexdigest()[:16])
    assert found == {GOLDEN[name]}


@pytest.mark.native
def test_a_pattern_of_any_size():
    """Pixels are numbered in C order; the last ones of a pattern are like the others."""
    response = Response(dead_time=1e-3, readout=1.0, step=1.0)
    rates = np.full((2, 13, 13), 50.0)
    seen = ptycho_fast.sample_photons(rates, seed=1, detector=response, backend="native")
    exact = ptycho_fast.sample_photons(rates, seed=1, detector=response, backend="reference")
    assert (seen != exact).mean() < 0.01
    wide = np.full((2, 26, 26), 50.0)
    more = ptycho_fast.sample_photons(wide, seed=1, detector=response, backend="native")
    np.testing.assert_array_equal(seen.reshape(2, -1), more.reshape(2, -1)[:, :169])


@pytest.mark.native
def test_observe_is_the_chain_of_the_stages():
    generator = np.random.default_rng(3)
    obj = np.exp(1j * generator.uniform(-1, 1, (90, 90)))
    probe, at = generator.normal(size=(N, N)), generator.uniform(30, 60, (4, 2))
    for name, response in chains().items():
        options = {"seed": 2, "detector": response, "backend": "native"}
        fused = ptycho_fast.observe(obj, probe, at, scale=3.0, output="signal", **options)
        expected = np.float32(9) * ptycho_fast.diffract(obj, probe, at, backend="native")
        np.testing.assert_array_equal(
            fused, ptycho_fast.sample_photons(expected, **options), err_msg=name
        )


@pytest.mark.native
def test_types_of_the_result():
    """A signal is rounded and stays in the range of its type."""
    response = Response(readout=10.0, offset=-2.0)
    for backend in ("native", "reference"):
        exact = sampled(3, response, backend, B=2)
        for dtype in (np.int32, np.uint32):
            limits = np.iinfo(dtype)
            seen = sampled(3, response, backend, B=2, dtype=dtype)
            off = seen - np.rint(exact).clip(limits.min, limits.max)
            assert (off != 0).mean() < 1e-3
    large = Response(gain=1e5, offset=-5e11)
    assert (sampled(1e6, large, "native", B=1, dtype=np.int32) == -(2**31)).all()
    assert (sampled(1e7, large, "native", B=1, dtype=np.uint32) == 2**32 - 1).all()
