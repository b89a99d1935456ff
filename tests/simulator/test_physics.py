"""A scenario in, patterns out, against physics written down again from the conventions, in double.

Nothing of the package is used but what a user has: `Scenario`, `Simulator` and its experiment. The
forward model here is plain NumPy in complex128.
"""

from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ptycho_fast import Scenario, ScenarioError, Simulator, dose_ladder, simulate

H, W = 52, 60
KEV8 = 12398.41984 / 8000 * 1e-10  # m
SMALL = Scenario.preset("gs2_ideal").replace(
    {"N": 16, "object.size": 60, "scan.n_patterns": 10, "scan.buffer": 9.0, "dose.nphotons": 1e4}
)
LENGTHS = {"optics.energy_ev": 8000.0, "optics.object_pixel_m": 30e-9}
FIELD = {"object.kind": "random_field", "object.exponent": 2.0, "object.amplitude_min": 0.4}
RASTER = {"scan.kind": "raster", "scan.step": 5.0, "scan.n_patterns": 9}

EXPOSURES = {
    "plain": {},
    "odd": {"N": 17},
    "complex": FIELD,
    "modes": {"probe.modes": 4, "probe.mode_kind": "hermite_gauss"},
    "varied": {
        "probe.modes": 2, "probe.mode_kind": "hermite_gauss", "probe.variation": 0.4,
        "probe.variation_modes": 3, "probe.intensity_fluctuation": 0.2,
    },
    "fly": {**RASTER, "scan.fly_points": 4, "scan.jitter": 0.4},
    "zero": {"scan.buffer": 0.0},
    "vacuum": {"scan.buffer": 0.0, "scan.boundary": "vacuum"},
    "edge": {"scan.buffer": 0.0, "scan.boundary": "edge"},
    "thick": {**FIELD, **LENGTHS, "object.slices": 3, "optics.slice_distance_m": 40e-6},
    "near": {
        **FIELD, **LENGTHS, "optics.propagation": "near_field", "optics.detector_pixel_m": 90e-9,
        "optics.detector_distance_m": 150e-6,
    },
    "near, odd": {
        **FIELD, **LENGTHS, "N": 15, "optics.propagation": "near_field",
        "optics.detector_pixel_m": 30e-9, "optics.detector_distance_m": 50e-6,
    },
    "two per pixel": {"detector.oversample": 2},
    "three per pixel": {"detector.oversample": 3, "N": 15},
    "all": {
        **FIELD, **LENGTHS, **RASTER, "object.slices": 2, "optics.slice_distance_m": 20e-6,
        "probe.modes": 2, "probe.mode_kind": "hermite_gauss", "probe.variation": 0.3,
        "scan.fly_points": 2, "scan.boundary": "edge", "scan.buffer": 2.0,
        "detector.oversample": 2,
    },
}  # fmt: skip


# --- the forward model, once more ---


def patch(obj, x, y, n, boundary):
    """Pixel (r, c) is row r + y - n // 2 and column c + x - n // 2, between four neighbours."""
    rows, columns = obj.shape
    i, j = int(np.floor(x - n // 2)), int(np.floor(y - n // 2))
    u, v = x - n // 2 - i, y - n // 2 - j

    def taken(dr, dc):
        r, c = np.arange(n) + j + dr, np.arange(n) + i + dc
        found = obj[np.ix_(r.clip(0, rows - 1), c.clip(0, columns - 1))]
        if boundary != "edge":
            there = np.outer((r >= 0) & (r < rows), (c >= 0) & (c < columns))
            found = np.where(there, found, 1.0 if boundary == "vacuum" else 0.0)
        return found

    return (
        (1 - u) * (1 - v) * taken(0, 0)
        + u * (1 - v) * taken(0, 1)
        + (1 - u) * v * taken(1, 0)
        + u * v * taken(1, 1)
    )


def through_space(wave, pixel, distance, wavelength=KEV8):
    f = np.fft.fftfreq(len(wave), pixel)
    along = np.sqrt(wavelength**-2 - f[:, None] ** 2 - f**2)
    return np.fft.ifft2(np.fft.fft2(wave) * np.exp(2j * np.pi * distance * along))


def far_field(wave):
    return np.abs(np.fft.fftshift(np.fft.fft2(wave))) ** 2 / wave.size


def in_pixels(fine, q):
    """Squares of q x q points, each around the middle of a pixel; for even q the rim is shared."""
    N = len(fine) // q
    k = np.arange(-(q // 2), q // 2 + 1)
    weight = np.where((q % 2 == 0) & (abs(k) == q // 2), 0.5, 1.0)
    at = (q * (np.arange(N) - N // 2)[:, None] + k + len(fine) // 2) % len(fine)
    return np.einsum("rkcl,k,l->rc", fine[at][:, :, at], weight, weight)


def truth(e, b):
    """(N, N) float64: intensity of pattern b of an experiment."""
    s, q = e.scenario, e.scenario.detector.oversample or 1
    N, n = s.N, q * s.N
    low = n // 2 - N // 2
    planes = np.pad(e.planes.astype(np.complex128), ((0, 0), *[(low, n - N - low)] * 2))
    waves, M = planes, len(e.probe)
    if e.weights is not None:
        w = e.weights[b].astype(np.float64)
        waves = planes[:M] * w[:M, None, None]
        waves[0] += np.tensordot(w[M:], planes[M:], 1)
    slices = np.atleast_3d(e.object.astype(np.complex128).T).T  # (L, H, W)
    assert slices.shape[-2:] == e.object.shape[-2:]
    dx = s.optics.object_pixel_m
    total = []
    for x, y in e.paths[b]:
        for wave in waves:
            for i, obj in enumerate(slices):
                if i:
                    wave = through_space(wave, dx, s.optics.slice_distance_m)
                wave = wave * patch(obj, x, y, n, s.scan.boundary)
            if s.optics.propagation == "near_field":
                z = s.optics.detector_distance_m * dx / s.optics.detector_pixel_m
                total.append(np.abs(through_space(wave, dx, z)) ** 2)
            else:
                total.append(far_field(wave))
    return in_pixels(np.sum(total, axis=0) / len(e.paths[b]), q)


def noise_free(changes, backend="auto", **given):
    return Simulator(SMALL.replace(changes), noise=False, backend=backend, **given)


def assert_same(found, expected, bound=1e-6):
    """Amplitudes as close as float32 has to be."""
    found, expected = np.sqrt(found, dtype=np.float64), np.sqrt(expected)
    assert np.linalg.norm(found - expected) <= bound * np.linalg.norm(expected)
    assert np.abs(found - expected).max() <= 2 * bound * expected.max()


@pytest.mark.parametrize("changes", EXPOSURES.values(), ids=EXPOSURES)
def test_frames_are_the_physics(changes, backend):
    sim = noise_free(changes, backend)
    for b in (0, 4, 7):
        assert_same(sim.frames([b])[0], truth(sim.experiment, b))


@pytest.mark.parametrize("name", ["plain", "fly", "near", "all"])
def test_photons_have_the_dose_of_the_physics(name):
    sim = Simulator(SMALL.replace(EXPOSURES[name]))
    e = sim.experiment
    patterns = [truth(e, b) for b in range(len(sim))]
    scale = 1e4 / np.mean([p.sum() for p in patterns])
    for b in (0, 7):
        np.testing.assert_allclose(
            sim.expected([b])[0], scale * patterns[b], rtol=2e-5, atol=1e-6 * 1e4
        )


# --- what must not make a difference, and what must ---


@pytest.mark.parametrize("N", [16, 17])
def test_vacuum_gives_the_probes_own_diffraction(N):
    sim = noise_free(
        {"N": N, "probe.curvature": 1.0}, object=np.ones((H, W)), positions=[[20, 21], [30.7, 25.2]]
    )
    own = far_field(sim.experiment.probe[0].astype(np.complex128))
    for pattern in sim.frames(0, 2):
        assert_same(pattern, own, 2e-6)
    assert np.unravel_index(own.argmax(), own.shape) == (N // 2, N // 2)


@settings(max_examples=25, deadline=None)
@given(
    N=st.integers(8, 40), modes=st.integers(1, 5), S=st.integers(1, 3), seed=st.integers(0, 10**6)
)
def test_parseval(N, modes, S, seed):
    sim = noise_free(
        {
            "N": N, "object.size": 90, "seeds.object": seed, "seeds.scan": seed,
            "probe.modes": modes, "probe.mode_kind": "hermite_gauss", "scan.fly_points": S,
            "scan.buffer": 0.0, **FIELD,
        }
    )  # fmt: skip
    e = sim.experiment
    light = [
        [
            (np.abs(e.probe * patch(e.object.astype(complex), x, y, N, "zero")) ** 2).sum()
            for x, y in path
        ]
        for path in e.paths
    ]
    found = sim.frames(0, 10).sum(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(found, np.mean(light, axis=1), rtol=2e-6)
    np.testing.assert_allclose(e.energies, found, rtol=2e-6)


def asymmetric():
    rng = np.random.default_rng(5)
    return rng.uniform(0.2, 1, (H, W)) * np.exp(1j * rng.uniform(-2, 2, (H, W)))


def test_a_shifted_object_is_a_shifted_position():
    obj, at = asymmetric(), np.array([[20.0, 24.0], [31.25, 22.5]])
    here = noise_free({}, object=obj, positions=at).frames(0, 2)
    moved = np.roll(obj, (3, -5), axis=(0, 1))  # three rows down, five columns to the left
    there = noise_free({}, object=moved, positions=at + np.array([-5, 3])).frames(0, 2)
    np.testing.assert_array_equal(there, here)
    for wrong in (at + np.array([3, -5]), at - np.array([-5, 3]), at, at[:, ::-1]):
        other = noise_free({}, object=moved, positions=wrong).frames(0, 2)
        assert np.abs(other - here).max() > 0.05 * here.max()


def test_positions_are_not_rounded():
    """The pattern changes smoothly between pixels: half a step changes it by about half."""
    x = 20 + np.linspace(0, 1, 9)
    frames = noise_free({}, object=asymmetric(), positions=np.stack([x, 0 * x + 22], 1)).frames(
        0, 9
    )
    steps = np.linalg.norm(np.diff(frames, axis=0), axis=(1, 2))
    assert steps.min() > 0
    assert steps.max() < 4 * steps.mean()


def test_modes_add_as_intensities_and_not_as_waves():
    sim = noise_free(EXPOSURES["modes"])
    e = sim.experiment
    alone = [
        noise_free({}, object=e.object, probe=mode, positions=e.positions).frames(0, 10)
        for mode in e.probe
    ]
    np.testing.assert_allclose(sim.frames(0, 10), np.sum(alone, axis=0), rtol=1e-5, atol=1e-6)
    coherent = noise_free(
        {}, object=e.object, probe=e.probe.sum(axis=0), positions=e.positions
    ).frames(0, 10)
    assert np.abs(coherent - sim.frames(0, 10)).max() > 0.1 * coherent.max()


def test_a_fly_scan_is_a_mean_of_steps():
    sim = noise_free({**EXPOSURES["fly"], **FIELD})
    e = sim.experiment
    assert e.path.shape == (9, 4, 2)
    np.testing.assert_allclose(e.path.mean(axis=1), e.positions, atol=1e-9)
    steps = noise_free({}, object=e.object, probe=e.probe, positions=e.path.reshape(-1, 2))
    mean = steps.frames(0, 36).reshape(9, 4, 16, 16).mean(axis=1)
    np.testing.assert_allclose(sim.frames(0, 9), mean, rtol=1e-5, atol=1e-6)
    still = noise_free({}, object=e.object, probe=e.probe, positions=e.positions).frames(0, 9)
    assert np.abs(still - mean).max() > 0.01 * mean.max()


def test_jitter_is_in_the_patterns_and_not_in_the_nominal_positions():
    sim = noise_free({**FIELD, "scan.jitter": 1.5, "scan.n_patterns": 400})
    e = sim.experiment
    error = e.positions - e.positions_nominal
    assert abs(error.mean(axis=0)).max() < 5 * 1.5 / 20
    quadrants = np.bincount(2 * (error[:, 0] > 0) + (error[:, 1] > 0), minlength=4)
    assert stats.chisquare(quadrants).pvalue > 1e-6
    plain = noise_free({"scan.n_patterns": 400}).experiment
    np.testing.assert_array_equal(e.positions_nominal, plain.positions)
    given = {"object": e.object, "probe": e.probe}
    true = noise_free({}, positions=e.positions, **given).frames(0, 3)
    np.testing.assert_array_equal(sim.frames(0, 3), true)
    nominal = noise_free({}, positions=e.positions_nominal, **given).frames(0, 3)
    assert np.abs(nominal - true).max() > 0.01 * true.max()


@pytest.mark.parametrize(("boundary", "level"), [("zero", 0.0), ("vacuum", 1.0), ("edge", 0.5)])
def test_far_outside_there_is_what_the_boundary_says(boundary, level):
    given = {"object": np.full((H, W), 0.5), "positions": [[20, 20], [200, 20], [20, -300]]}
    with pytest.warns(UserWarning, match="outside") if boundary == "zero" else nullcontext():
        frames = noise_free({"scan.boundary": boundary}, **given).frames(0, 3)
    np.testing.assert_allclose(frames[1], level**2 / 0.25 * frames[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(frames[2], frames[1])
    with pytest.raises(ScenarioError, match=r"scan\.boundary.* pattern 1 at \[200, 20\]"):
        noise_free({"scan.boundary": "error"}, **given)


# --- coherence ---


def test_the_blur_of_a_source_is_partial_coherence():
    """Van Cittert and Zernike: a blur of s pixels is a coherence length of N / (2 pi s)."""
    N, s = 64, 1.2
    beam = {**FIELD, "N": N, "object.size": 90, "probe.kind": "gaussian", "probe.sigma": 2.2}
    schell = {"probe.mode_kind": "gaussian_schell", "probe.modes": 16}
    length = {"probe.coherence_length": N / (2 * np.pi * s)}
    blurred = noise_free({**beam, "detector.source_blur": s}).frames(0, 10)
    modes = noise_free({**beam, **schell, **length}).frames(0, 10)
    coherent = noise_free(beam).frames(0, 10)

    def distance(a, b):
        return np.linalg.norm(a - b) / np.linalg.norm(b)

    assert distance(modes, blurred) < 0.01 < 0.1 < distance(coherent, blurred)
    np.testing.assert_allclose(blurred.sum(), coherent.sum(), rtol=1e-5)


def test_a_gaussian_beam_spreads_in_the_near_field():
    """w(z) = w0 sqrt(1 + (z / zR)**2), the intensity's deviation being w / 2."""
    N, sigma, dx = 64, 2.0, 30e-9
    zR = 4 * np.pi * (sigma * dx) ** 2 / KEV8
    for turns in (0.3, 1.0):
        sim = noise_free(
            {
                **LENGTHS, "N": N, "probe.kind": "gaussian", "probe.sigma": sigma,
                "optics.propagation": "near_field", "optics.detector_pixel_m": dx,
                "optics.detector_distance_m": turns * zR,
            },
            object=np.ones((90, 90)), positions=[[45.0, 45.0]],
        )  # fmt: skip
        pattern = sim.frames(0, 1)[0].astype(np.float64)
        along = np.arange(N) - N // 2
        variance = (pattern.sum(axis=0) * along**2).sum() / pattern.sum()
        assert abs((pattern.sum(axis=1) * along).sum() / pattern.sum()) < 0.51
        assert variance == pytest.approx(sigma**2 * (1 + turns**2), rel=0.02)
        own = np.square(np.abs(sim.experiment.probe)).sum()
        assert pattern.sum() == pytest.approx(own, rel=1e-6)


def test_slices_of_vacuum_change_no_far_field():
    thick = noise_free(
        {**LENGTHS, "optics.slice_distance_m": 30e-6}, object=np.ones((3, H, W)),
        positions=[[25.0, 25.0]],
    )  # fmt: skip
    own = far_field(thick.experiment.probe[0].astype(np.complex128))
    assert_same(thick.frames(0, 1)[0], own, 2e-6)


# --- photons ---

DOSES = [1e-2, 1.0, 1e3, 1e6, 1e9, 1.2e10]


@pytest.mark.parametrize("dose", DOSES)
def test_mean_and_variance_are_those_of_poisson(dose):
    """Over many exposures: neither noise on top of the signal, nor noise of another width."""
    sim = Simulator(SMALL.replace({"dose.nphotons": dose}))
    expected = sim.expected([3])[0].astype(np.float64)
    epochs = 300
    counts = np.stack([sim.frames([3], epoch=e)[0] for e in range(epochs)]).astype(np.float64)
    sums = counts.sum(axis=(1, 2))
    mean = expected.sum()
    # float32 holds an expected value to 6e-8 of itself.
    assert abs(sums.mean() - mean) < 5 * np.sqrt(mean / epochs) + 1e-6 * mean
    z = (counts - expected) / np.sqrt(np.maximum(expected, 1e-30))
    lit = expected > 1e-12 * expected.max()
    kurtosis = (1 / expected[lit]).mean()
    error = np.sqrt((2 + kurtosis) / (epochs * lit.sum()))
    drift = (1e-7 * np.sqrt(expected[lit])).max()  # of rounding, in deviations
    assert abs(np.square(z[:, lit]).mean() - 1) < 6 * error + 3 * drift


def test_too_much_light_is_refused_and_nothing_wraps():
    bright = Simulator(SMALL.replace({"dose.nphotons": 1.2e10}))
    assert bright.frames(0, 10).max() > 2**30
    np.testing.assert_allclose(bright.frames(0, 10).sum(dtype=float) / 10, 1.2e10, rtol=1e-4)
    with pytest.raises(ScenarioError, match=r"dose\.nphotons: .* lower the dose") as error:
        Simulator(SMALL.replace({"dose.nphotons": 1e13})).frames(0, 10)
    assert error.value.key == "dose.nphotons"


def dose_of(sim, mode):
    """What each mode counts, from expected counts of all patterns, q = 1."""
    e = sim.experiment
    expected = sim.expected(0, len(sim)).sum(axis=(1, 2), dtype=np.float64)
    light = np.square(np.abs(e.probe)).sum(dtype=np.float64) * e.intensity_scale**2
    return {
        "detected_mean": expected.mean(),
        "incident": light,
        "per_pattern": expected,
        "per_pixel_mean": expected.mean() / 256,
        "max_pattern": expected.max(),
        "per_area": light / (5 * 30e-9) ** 2,
        "none": light / np.square(np.abs(e.probe)).sum(dtype=np.float64),
    }[mode]


@pytest.mark.filterwarnings("ignore:dose.mode")
@pytest.mark.parametrize(
    ("mode", "requested"),
    [
        ("detected_mean", 2e4), ("incident", 1e5), ("per_pattern", 3e3), ("per_pixel_mean", 7.0),
        ("max_pattern", 5e4), ("per_area", 4e18), ("none", 1.0),
    ],
)  # fmt: skip
def test_every_dose_is_what_it_says(mode, requested):
    number = {"dose.fluence_per_m2": requested} if mode == "per_area" else {}
    if mode not in ("per_area", "none"):
        number = {"dose.nphotons": requested}
    scenario = SMALL.replace({**RASTER, **LENGTHS, "dose.mode": mode, **number})
    sim = Simulator(scenario)
    np.testing.assert_allclose(dose_of(sim, mode), requested, rtol=1e-4)
    data = simulate(scenario)
    asked = data.provenance["dose"]
    assert asked["mode"] == mode
    assert asked["requested"] == (None if mode == "none" else requested)
    mean = sim.expected(0, 9).sum(dtype=np.float64) / 9
    assert abs(data.photons().mean() - mean) < 5 * np.sqrt(mean / 9)
    assert asked["measured"]["mean"] == data.photons().mean()


def test_the_power_of_a_probe_from_a_file_is_kept(tmp_path):
    probe = 50 * np.outer(np.hanning(16), np.hanning(16)).astype(np.complex64)
    np.save(tmp_path / "probe.npy", probe)
    scenario = SMALL.replace(
        {
            "probe.kind": "file", "probe.file": str(tmp_path / "probe.npy"), "dose.mode": "none",
            "probe.normalise": False,
        }
    )  # fmt: skip
    sim = Simulator(scenario, object=np.ones((H, W)))
    photons = np.square(np.abs(probe)).sum(dtype=np.float64)
    np.testing.assert_allclose(sim.expected(0, 2).sum(axis=(1, 2)), photons, rtol=1e-5)
    with pytest.warns(UserWarning, match=r"^dose\.mode: 'none' takes the power of the probe"):
        Simulator(scenario.replace({"probe.normalise": True}))


def test_twice_the_light_and_half_the_efficiency():
    incident = {"dose.mode": "incident", "dose.nphotons": 1e5, "scan.n_patterns": 100}
    plain = Simulator(SMALL.replace(incident))
    half = Simulator(SMALL.replace({**incident, "detector.quantum_efficiency": 0.5}))
    both = Simulator(
        SMALL.replace({**incident, "detector.quantum_efficiency": 0.5, "dose.nphotons": 2e5})
    )
    np.testing.assert_allclose(half.expected(0, 9), plain.expected(0, 9) / 2, rtol=1e-6)
    np.testing.assert_allclose(both.expected(0, 9), plain.expected(0, 9), rtol=1e-6)
    # What is lost is lost photon by photon, so that the counts stay Poisson distributed.
    expected = half.expected(0, 100).astype(np.float64)
    lit = expected > 5
    z = (half.frames(0, 100)[lit] - expected[lit]) / np.sqrt(expected[lit])
    assert abs(np.square(z).mean() - 1) < 6 * np.sqrt(2.2 / lit.sum())


def test_a_ladder_of_doses_is_monotone_and_in_proportion():
    ladder = [data.diffraction for data in dose_ladder(SMALL, [1e2, 1e4, 2e4], numbers="common")]
    for fewer, more in pairwise(ladder):
        assert (more.astype(np.int64) - fewer >= 0).all()
    sums = [counts.sum(dtype=np.float64) for counts in ladder]
    for dose, found in zip([1e2, 1e4, 2e4], sums, strict=True):
        assert abs(found - 10 * dose) < 5 * np.sqrt(10 * dose)
    alone = [data.diffraction for data in dose_ladder(SMALL, [1e4, 2e4], numbers="independent")]
    e = Simulator(SMALL).expected(0, 10).astype(np.float64)
    lit = e > 5
    z = [
        (counts - e * k)[lit] / np.sqrt(e[lit] * k) for k, counts in zip([1, 2], alone, strict=True)
    ]
    assert abs(np.mean(z[0] * z[1])) < 5 / np.sqrt(lit.sum())


def test_masked_pixels_are_marked_and_count_nowhere(tmp_path):
    changes = {
        "detector.beam_stop_radius": 2.5, "detector.module_shape": (6, 6),
        "detector.module_gap": (1, 1), "detector.masked_value": 7.0,
    }  # fmt: skip
    data = simulate(SMALL.replace(changes))
    y, x = np.mgrid[:16, :16] - 8
    gap = ((np.arange(16) - 8 + 3) % 7) >= 6
    masked = (np.hypot(y, x) < 2.5) | gap[:, None] | gap
    np.testing.assert_array_equal(data.mask, ~masked)
    assert (data.diffraction[:, masked] == 7).all()
    sums = data.diffraction[:, ~masked].sum(axis=1, dtype=np.int64)
    np.testing.assert_array_equal(data.photons(), sums)
    assert data.provenance["dose"]["measured"]["mean"] == sums.mean()
    plain = simulate(SMALL)
    np.testing.assert_array_equal(data.diffraction[:, ~masked], plain.diffraction[:, ~masked])


def test_amplitudes_are_roots_of_photons_over_the_scale():
    sim = Simulator(SMALL)
    counts = sim.frames(0, 10)
    expected = np.sqrt(counts.astype(np.float64)) / sim.experiment.intensity_scale
    np.testing.assert_allclose(sim.amplitudes(0, 10), expected, rtol=1e-6)
