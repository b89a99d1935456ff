"""What a scenario asks for is what the kernels are told; energies are those of the frames."""

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import Dataset, Scenario, ScenarioError, Simulator, detector, simulate
from ptycho_fast.experiment import make_experiment
from ptycho_fast.scenario import parse_assignment

SMALL = Scenario.preset("gs2_ideal").replace(
    {"N": 16, "object.size": 60, "scan.n_patterns": 12, "dose.nphotons": 1e5}
)
# An object pixel of 20 nm; sixteen of them carry 0.1 nm over 64 um.
LENGTHS = {
    "optics.wavelength_m": 1e-10, "optics.object_pixel_m": 20e-9, "optics.detector_pixel_m": 20e-9
}  # fmt: skip
FEATURES = {
    "plain": {},
    "modes": {"probe.modes": 3, "probe.mode_kind": "hermite_gauss"},
    "varied": {"probe.variation_modes": 2, "probe.variation": 0.2},
    "fluctuating": {"probe.intensity_fluctuation": 0.3},
    "fly": {"scan.fly_points": 3, "scan.kind": "raster", "scan.step": 4.0},
    "jitter": {"scan.jitter": 1.0, "scan.drift_x": 2.0},
    "vacuum": {"scan.boundary": "vacuum", "scan.buffer": 0.0},
    "edge": {"scan.boundary": "edge", "scan.buffer": 0.0},
    "blur": {"detector.point_spread": 0.8, "detector.source_blur": 0.6},
    "oversampled": {"detector.oversample": 2},
    "near": {
        **LENGTHS, "optics.propagation": "near_field", "optics.detector_distance_m": 40e-6,
        "detector.point_spread": 0.5,
    },
    "thick": {**LENGTHS, "object.slices": 3, "optics.slice_distance_m": 10e-6},
    "all": {
        **LENGTHS, "object.slices": 2, "optics.slice_distance_m": 10e-6, "probe.modes": 2,
        "probe.mode_kind": "hermite_gauss", "probe.variation_modes": 1, "probe.variation": 0.1,
        "scan.fly_points": 2, "scan.boundary": "edge", "detector.point_spread": 0.5,
        "detector.oversample": 2,
    },
}  # fmt: skip
CASES = pytest.mark.parametrize("changes", FEATURES.values(), ids=FEATURES)


def stages(e, some):
    """The exposure of an experiment, as arguments of `diffract`, by their own way."""
    spec, geometry = e.scenario.detector, e.geometry
    q = detector.oversample(spec)
    n = q * e.N
    low = n // 2 - e.N // 2
    planes = e.probe if e.eigenprobes is None else np.concatenate([e.probe, e.eigenprobes])
    wide = np.zeros((len(planes), n, n), np.complex64)
    wide[:, low : low + e.N, low : low + e.N] = planes
    sigma = detector.spread(spec)
    boundary = e.scenario.scan.boundary
    return (e.object, wide, (e.positions if e.path is None else e.path)[some]), {
        "boundary": "zero" if boundary == "error" else boundary,
        "weights": None if e.weights is None else e.weights[some],
        "modes": None if e.weights is None else len(e.probe),
        "between": geometry.slice_transfer(n) if e.object.ndim == 3 else None,
        "near": geometry.near_transfer(n),
        "bin": q,
        "spread": detector.spread_kernel(sigma, e.N) if sigma else None,
    }


@CASES
def test_frames_are_the_stages(backend, changes):
    sim, some = Simulator(SMALL.replace(changes), backend=backend), [7, 2, 11]
    e = sim.experiment
    arguments, options = stages(e, some)
    intensity = ptycho_fast.diffract(*arguments, **options, backend=backend)
    expected = np.float32(e.intensity_scale**2) * intensity
    np.testing.assert_array_equal(sim.expected(some), expected)
    counts = ptycho_fast.observe(
        *arguments, **options, scale=e.intensity_scale, seed=42, index=some, backend=backend
    )
    np.testing.assert_array_equal(sim.frames(some), counts)


@CASES
def test_energies_are_those_of_the_patterns(changes):
    sim = Simulator(SMALL.replace(changes), noise=False)
    made = sim.frames(0, 12).sum(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(sim.experiment.energies, made, rtol=1e-6)
    assert sim.expected(0, 12).sum(dtype=np.float64) / 12 == pytest.approx(1e5, rel=1e-6)


@CASES
def test_files_hold_the_truth(changes, tmp_path):
    scenario = SMALL.replace(changes)
    data = simulate(scenario)
    data.save(tmp_path / "a.npz", modes="all")
    back = Dataset.load(tmp_path / "a.npz")
    names = (
        "object", "probe", "positions", "positions_nominal", "eigenprobes", "weights", "path",
        "dose_factors", "mask",
    )  # fmt: skip
    for name in names:
        here, there = getattr(data, name), getattr(back, name)
        assert (here is None) == (there is None), name
        if here is not None:
            np.testing.assert_array_equal(there, here)
            assert there.dtype == here.dtype
    assert back.geometry == data.geometry
    assert back.provenance == data.provenance
    np.testing.assert_array_equal(back.amplitude(), data.amplitude())
    back.save(tmp_path / "b.npz", modes="all")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = simulate(back.scenario)
    np.testing.assert_array_equal(again.diffraction, data.diffraction)


def test_toml_flags_and_python_are_one():
    changes = FEATURES["all"]
    texts = [f"{key}={value}" for key, value in changes.items()]
    by_flags = SMALL.replace(dict(parse_assignment(text) for text in texts))
    assert by_flags == SMALL.replace(changes)
    assert Scenario.from_toml(by_flags.to_toml()) == by_flags


def test_vacuum_gives_the_diffraction_of_the_probe():
    probe = make_experiment(SMALL).probe
    far = np.abs(np.fft.fftshift(np.fft.fft2(probe[0], norm="ortho"))) ** 2
    given = {"object": np.ones((40, 40)), "positions": [[20.0, 20.0], [20.5, 19.25], [99.0, -7.0]]}
    data = simulate(SMALL.replace({"scan.boundary": "vacuum"}), noise=False, **given)
    for pattern in data.diffraction:
        np.testing.assert_allclose(pattern, far, rtol=1e-5, atol=1e-6 * far.max())


def test_a_larger_detector_pixel_keeps_the_light():
    """Twice the points, then four of them in a pixel: the same photons, less of the detail."""
    fine = Simulator(SMALL.replace(FEATURES["oversampled"]), noise=False)
    plain = Simulator(SMALL, noise=False)
    np.testing.assert_allclose(
        fine.frames(0, 12).sum(axis=(1, 2)), plain.frames(0, 12).sum(axis=(1, 2)), rtol=1e-5
    )
    assert fine.experiment.probe.shape == (1, 16, 16)
    assert fine.experiment.exposure([0]).probe.shape == (1, 32, 32)


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"N": 64, "detector.oversample": 64}, "detector.oversample", "at most 32 for N = 64"),
        (
            {**FEATURES["near"], "detector.oversample": 2}, "detector.oversample",
            "expected 1 in the near field",
        ),
        (
            {"scan.boundary": "error", "scan.buffer": 1.0}, "scan.boundary",
            "expected patches inside the object",
        ),
        ({"object.slices": 2}, "optics.slice_distance_m", "an object of several slices needs it"),
        ({"object.size": 12_000}, "object.size", "nanometres"),
    ],
)  # fmt: skip
def test_impossible_exposures_are_named(changes, key, message):
    with pytest.raises(ScenarioError, match=message) as error:
        make_experiment(SMALL.replace(changes))
    assert error.value.key == key


# --- the detector ---

DETECTED = SMALL.replace(
    {
        "detector.quantum_efficiency": 0.8, "detector.dark_counts": 0.5, "detector.gain": 12.5,
        "detector.readout_noise": 3.0, "detector.offset": 100.0, "detector.dead_pixels": 0.02,
        "detector.beam_stop_radius": 1.5,
    }
)  # fmt: skip


def test_signals_are_the_stages(backend):
    sim, some = Simulator(DETECTED, backend=backend), [3, 0]
    e = sim.experiment
    response = detector.response(DETECTED.detector, 16, DETECTED.seeds.detector)
    arguments, options = stages(e, some)
    options |= {"scale": e.intensity_scale, "seed": 42, "index": some, "detector": response}
    signals = ptycho_fast.observe(*arguments, **options, output="signal", backend=backend)
    assert sim.domain == "detector_signal"
    assert sim.frames(some).dtype == sim.dtype == np.float32
    np.testing.assert_array_equal(sim.frames(some), signals)
    amplitudes = ptycho_fast.observe(*arguments, **options, output="amplitude", backend=backend)
    np.testing.assert_array_equal(sim.amplitudes(some), amplitudes)


def test_a_data_set_of_signals(tmp_path):
    data = simulate(DETECTED.replace({"scan.n_patterns": 200}))
    e = make_experiment(data.scenario)
    assert data.domain == "detector_signal"
    good = data.mask
    assert not good[8, 8]
    np.testing.assert_array_equal(data.diffraction[:, 8, 8], 0)
    # Photons per pattern, over good pixels and with the dark counts.
    expected = np.mean([p[good].sum() for p in Simulator(e).expected(0, 200)]) + 0.5 * good.sum()
    noise = np.sqrt((expected + good.sum() * (3.0 / 12.5) ** 2) / 200)
    assert abs(data.photons().mean() - expected) < 5 * noise
    dose = data.provenance["dose"]
    assert dose["measured"]["mean"] == data.photons().mean()
    assert dose["expected"]["mean"] == pytest.approx(1e5)
    assert dose["quantum_efficiency"] == 0.8
    amplitude = Simulator(e).amplitudes(0, 200)
    np.testing.assert_allclose(data.amplitude(), amplitude, rtol=1e-5, atol=1e-5)
    data.save(tmp_path / "a.npz")
    back = Dataset.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(back.mask, good)
    np.testing.assert_array_equal(back.amplitude(), data.amplitude())
    with np.load(tmp_path / "a.npz") as file:
        np.testing.assert_array_equal(file["bad_pixels"], ~good)
    with pytest.raises(ValueError, match="counts: what the detector stores"):
        _ = data.counts


def test_the_efficiency_counts_where_photons_are_incident():
    incident = SMALL.replace({"dose.mode": "incident", "detector.quantum_efficiency": 0.25})
    one = make_experiment(incident)
    whole = make_experiment(SMALL.replace({"dose.mode": "incident"}))
    assert one.dose["expected"]["mean"] == pytest.approx(whole.dose["expected"]["mean"] / 4)
    assert one.dose["expected"]["incident"] == pytest.approx(1e5)
    detected = make_experiment(SMALL.replace({"detector.quantum_efficiency": 0.25}))
    assert detected.dose["expected"]["mean"] == pytest.approx(1e5)
    light = make_experiment(SMALL).dose["expected"]["incident"]
    assert detected.dose["expected"]["incident"] == pytest.approx(4 * light)


def test_without_noise_only_what_is_no_noise_acts():
    free = Simulator(DETECTED, noise=False)
    plain = Simulator(SMALL, noise=False).frames(0, 12)
    assert free.domain == "normalized_intensity"
    good = free.experiment.mask
    np.testing.assert_allclose(free.frames(0, 12)[:, good], plain[:, good], rtol=1e-6)
    assert not free.frames(0, 12)[:, ~good].any()


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({"detector.gain": 1e5}, False),
        ({"detector.gain": 1e5, "detector.offset": -1.0}, False),
        ({"detector.gain": 1e5, "detector.saturation": 2**32 - 1}, True),
        ({"detector.gain": 1e5, "detector.readout_noise": 1.0}, True),  # float32
        (
            {"detector.gain": 1e5, "detector.dead_time_s": 1e-6, "detector.exposure_time_s": 1e-3},
            True,
        ),
        ({"detector.gain": 10.0}, True),
        ({"detector.offset": -1.0}, True),
    ],
)
def test_signals_do_not_saturate_unless_the_detector_does(changes, fits):
    sim = Simulator(SMALL.replace({"dose.nphotons": 1e9, **changes}))
    out = np.zeros((12, 16, 16), sim.dtype)
    if fits:
        sim.check_dose()
        assert sim.frames(0, 12, out=out).any()
        return
    for make in (sim.check_dose, lambda: sim.frames(0, 12, out=out)):
        with pytest.raises(
            ScenarioError, match=r"^detector\.gain: 100000 given: .*saturat"
        ) as error:
            make()
        assert error.value.key == "detector.gain"
    assert not out.any()
