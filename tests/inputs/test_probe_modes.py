"""Physics of incoherent modes and of a probe that varies."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptycho_fast import DataWarning, Simulator, diffract, extract_patches
from ptycho_fast.backend import host_arrays
from ptycho_fast.errors import ScenarioError
from ptycho_fast.optics import Geometry, make_geometry
from ptycho_fast.probes import make_probe, make_variation, mode_fractions, normalise
from ptycho_fast.probes.gaussian import gaussian
from ptycho_fast.probes.ideal_disk import ideal_disk
from ptycho_fast.probes.modes import (
    MOST_MODES,
    gaussian_schell,
    hermite_gauss,
    orthogonal,
    with_modes,
)
from ptycho_fast.probes.super_gaussian import super_gaussian
from ptycho_fast.probes.variation import series, varied
from ptycho_fast.probes.zone_plate import zone_plate
from ptycho_fast.scenario import ProbeSpec, Scenario

XRAYS = make_geometry(64, energy_ev=8.8e3, object_pixel_m=2e-8)
BEAMS = {
    "gaussian": gaussian(64, sigma=6.0),
    "disk": ideal_disk(64),
    "zone_plate": zone_plate(64, XRAYS, zone_plate="LYNX", defocus_m=2e-4),
}


def products(modes):
    rows = modes.reshape(len(modes), -1).astype(complex)
    return rows.conj() @ rows.T


def pattern(modes):
    return (np.abs(np.fft.fftshift(np.fft.fft2(modes, norm="ortho"), axes=(-2, -1))) ** 2).sum(0)


def starikov_wolf(ratio, count):
    """Eigenvalues of a one-dimensional Gaussian-Schell beam, ratio = coherence length / sigma."""
    q = 1 / (ratio**2 / 2 + 1 + ratio * math.sqrt((ratio / 2) ** 2 + 1))
    return (1 - q) * q ** np.arange(count)


# --- Gaussian-Schell ---


@pytest.mark.parametrize("ratio", [1.0, 2.0, 5.0])
def test_powers_are_those_of_starikov_and_wolf(ratio):
    line = starikov_wolf(ratio, 40)
    expected = np.sort(np.outer(line, line).ravel())[::-1]
    beam = gaussian(48, sigma=4.0)
    found = gaussian_schell(beam, 4.0 * ratio, 15)
    held = expected[:15].sum()
    np.testing.assert_allclose(mode_fractions(found), expected[:15] / held, rtol=2e-3, atol=1e-6)
    # Left open, there are as many as hold 99 % of the power.
    count = int((np.cumsum(expected) < 0.99).sum()) + 1
    assert abs(len(gaussian_schell(beam, 4.0 * ratio)) - min(count, 16)) <= 1


def test_the_most_modes_are_those_of_the_kernels():
    assert MOST_MODES == host_arrays.MOST_MODES
    with pytest.warns(DataWarning, match="16 modes hold"):
        assert len(gaussian_schell(gaussian(32, sigma=4.0), 2.0)) == 16
    with pytest.raises(ScenarioError, match=r"variation_modes: 3 given, expected at most 2 beside"):
        varied(np.ones((14, 8, 8)), 5, 1, variation=0.1, variation_modes=3)


def test_too_few_modes_are_warned_of():
    with pytest.warns(DataWarning, match="4 modes hold 62% of the power"):
        modes = gaussian_schell(gaussian(32, sigma=3.0), 2.4, 4)
    assert (np.abs(modes) ** 2).sum() == pytest.approx(1)


@pytest.mark.parametrize("name", BEAMS)
def test_degree_of_coherence(name):
    """|mu(r1, r2)| = exp(-|r1 - r2|**2 / (2 l**2)), wherever there is light."""
    length = 14.0
    modes = gaussian_schell(BEAMS[name], length, {"disk": 20}.get(name, 40))
    intensity = (np.abs(modes) ** 2).sum(axis=0)
    # All powers together keep the shape of the beam.
    np.testing.assert_allclose(intensity, np.abs(BEAMS[name]) ** 2, atol=2e-3 * intensity.max())
    bright = np.argwhere(intensity > 0.05 * intensity.max())
    rng = np.random.default_rng(1)
    one, two = bright[rng.integers(len(bright), size=(2, 300))]
    fields = modes[:, one[:, 0], one[:, 1]], modes[:, two[:, 0], two[:, 1]]
    mutual = (fields[0].conj() * fields[1]).sum(axis=0)
    mu = np.abs(mutual) / np.sqrt(intensity[tuple(one.T)] * intensity[tuple(two.T)])
    distance = np.hypot(*(one - two).T)
    np.testing.assert_allclose(mu, np.exp(-(distance**2) / (2 * length**2)), atol=0.02)
    # The phase of the coherent beam is kept.
    phase = np.angle(mutual * BEAMS[name][tuple(one.T)] * np.conj(BEAMS[name][tuple(two.T)]))
    near = distance < 1.5 * length
    np.testing.assert_allclose(phase[near], 0, atol=0.05)


@pytest.mark.parametrize("name", BEAMS)
def test_a_source_of_finite_size_blurs_the_pattern(name):
    """Van Cittert and Zernike: a coherence length l blurs it by N / (2 pi l) detector pixels."""
    length = 10.0
    modes = gaussian_schell(BEAMS[name], length, {"disk": 28}.get(name, 60))
    assert abs(products(modes) - np.diag(np.diagonal(products(modes)))).max() < 1e-9 * 64**2
    sharp = pattern(BEAMS[name][None])
    damping = np.exp(-(np.minimum(np.arange(64), 64 - np.arange(64)) ** 2) / (2 * length**2))
    blurred = np.fft.ifft2(np.fft.fft2(sharp) * np.outer(damping, damping)).real
    assert np.abs(pattern(modes) - sharp).max() > 0.1 * sharp.max()
    # The tails of the zone plate's focus reach round the edges of this formula.
    within = 0.025 if name == "zone_plate" else 0.005
    np.testing.assert_allclose(pattern(modes), blurred, atol=within * blurred.max())


def test_rounding_does_not_choose_the_modes():
    """Equal powers leave modes open; they must be the same ones on every machine."""
    beam = super_gaussian(64, radius=12.0)
    noisy = beam * (1 + 1e-13 * np.random.default_rng(2).normal(size=beam.shape))
    for a, b in zip(gaussian_schell(beam, 12.0), gaussian_schell(noisy, 12.0), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    planes = np.stack([beam, np.roll(beam, 3, axis=0), np.roll(beam, 3, axis=1)])
    np.testing.assert_allclose(orthogonal(planes), orthogonal(planes * (1 + 1e-15)), atol=1e-6)


# --- Hermite-Gauss, given ---


def test_hermite_gauss_modes_of_a_gaussian():
    """Against the textbook: H_a(x / (sigma sqrt(2))) exp(-x**2 / (4 sigma**2)), and so in y."""
    sigma, x = 5.0, np.arange(64) - 32.0
    u = x / sigma
    window = np.exp(-(u**2) / 4)
    lines = [window, u * window, (u**2 - 1) * window, (u**3 - 3 * u) * window]
    lines = [line / np.linalg.norm(line) for line in lines]
    orders = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0)]
    modes = hermite_gauss(gaussian(64, sigma=sigma), (1.0,) * 7)
    for mode, (a, b) in zip(modes, orders, strict=True):
        expected = np.outer(lines[b], lines[a]) / math.sqrt(7)
        np.testing.assert_allclose(mode, expected, atol=1e-4)


@pytest.mark.parametrize("name", BEAMS)
@given(fractions=st.lists(st.floats(0.01, 1), min_size=1, max_size=8))
@settings(max_examples=10, deadline=None)
def test_modes_are_orthogonal_and_have_the_powers_asked_for(name, fractions):
    modes = with_modes(BEAMS[name], mode_kind="hermite_gauss", mode_fractions=tuple(fractions))
    shares = np.array(fractions) / sum(fractions)
    power = (np.abs(BEAMS[name]) ** 2).sum()
    np.testing.assert_allclose(products(modes), np.diag(shares) * power, atol=1e-9 * power)
    np.testing.assert_allclose(mode_fractions(modes), shares)
    assert mode_fractions(modes).sum() == pytest.approx(1)
    np.testing.assert_allclose(
        modes[0], BEAMS[name] * math.sqrt(shares[0]), atol=1e-9 * np.abs(modes[0]).max()
    )


def test_default_powers_halve():
    modes = with_modes(BEAMS["disk"], mode_kind="hermite_gauss", modes=3)
    np.testing.assert_allclose(mode_fractions(modes), np.array([4, 2, 1]) / 7)


@given(seed=st.integers(0, 2**32 - 1), M=st.integers(1, 4), N=st.sampled_from([15, 16]))
@settings(max_examples=20)
def test_orthogonal_planes_make_the_same_patterns(seed, M, N):
    rng = np.random.default_rng(seed)
    planes = rng.normal(size=(M, N, N)) + 1j * rng.normal(size=(M, N, N))
    modes = with_modes(planes, orthogonalise=True)
    made = products(modes)
    np.testing.assert_allclose(made - np.diag(np.diagonal(made)), 0, atol=1e-9 * abs(made).max())
    assert (np.diff(mode_fractions(modes)) <= 1e-12).all()
    np.testing.assert_allclose(pattern(modes), pattern(planes), rtol=1e-9)
    np.testing.assert_allclose(
        (np.abs(modes) ** 2).sum(axis=0), (np.abs(planes) ** 2).sum(axis=0), rtol=1e-9
    )


def test_given_planes_are_taken_as_they_are_unless_asked():
    planes = np.random.default_rng(0).normal(size=(3, 16, 16))
    assert with_modes(planes) is planes
    assert with_modes(planes, modes=3) is planes
    np.testing.assert_array_equal(with_modes(planes, modes=2), planes[:2])
    scaled = with_modes(planes, mode_fractions=(2, 1, 1))
    np.testing.assert_allclose(mode_fractions(scaled), [0.5, 0.25, 0.25])
    assert (np.abs(scaled) ** 2).sum() == pytest.approx((planes**2).sum())


# --- modes add as intensities ---


@pytest.mark.parametrize("N", [16, 33, 64])
@pytest.mark.parametrize("M", [1, 2, 5])
def test_modes_add_as_intensities(N, M):
    """With Parseval; a sum of fields must not pass."""
    spec = ProbeSpec(kind="gaussian", mode_kind="hermite_gauss", modes=M)
    modes = make_probe(spec, N)
    assert modes.shape == (M, N, N)
    rng = np.random.default_rng(4)
    obj = np.exp(1j * rng.normal(size=(2 * N, 2 * N))).astype(np.complex64)
    found = diffract(obj, modes, [[N, N]])[0]
    waves = modes.astype(complex) * obj[N - N // 2 :, N - N // 2 :][:N, :N]
    fields = np.fft.fftshift(np.fft.fft2(waves, norm="ortho"), axes=(-2, -1))
    incoherent, coherent = (np.abs(fields) ** 2).sum(axis=0), np.abs(fields.sum(axis=0)) ** 2
    np.testing.assert_allclose(found, incoherent, atol=1e-5 * incoherent.max())
    assert found.sum() == pytest.approx((np.abs(waves) ** 2).sum(), rel=1e-5)
    assert (np.abs(found - coherent).max() > 0.05 * coherent.max()) == (M > 1)


@pytest.mark.parametrize("mode_kind", ["hermite_gauss", "gaussian_schell"])
def test_normalising_modes_is_idempotent_and_keeps_fractions(mode_kind):
    keys = {"kind": "gaussian", "mode_kind": mode_kind, "modes": 4}
    if mode_kind == "gaussian_schell":
        keys["coherence_length"] = 8.0
    made = make_probe(ProbeSpec(**keys), 32)
    raw = make_probe(ProbeSpec(**keys, normalise=False), 32)
    np.testing.assert_allclose(normalise(raw, 10.0), made, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(normalise(made, 10.0), made, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(mode_fractions(raw), mode_fractions(made), rtol=1e-5)
    assert (np.abs(raw.astype(complex)) ** 2).sum() == pytest.approx(1, rel=1e-5)
    curved = make_probe(ProbeSpec(**keys, curvature=3.0), 32)
    np.testing.assert_allclose(np.abs(curved), np.abs(made), atol=1e-7)


def test_coherence_length_in_metres():
    keys = {"kind": "gaussian", "mode_kind": "gaussian_schell", "modes": 5}
    geometry = Geometry(N=32, object_pixel_m=1e-8)
    metres = make_probe(ProbeSpec(**keys, coherence_length_m=6e-8), 32, geometry=geometry)
    pixels = make_probe(ProbeSpec(**keys, coherence_length=6.0), 32)
    np.testing.assert_allclose(metres, pixels, atol=1e-9)


# --- variation from pattern to pattern ---


@given(
    variation=st.floats(0.01, 1),
    K=st.integers(1, 4),
    M=st.integers(1, 3),
    B=st.sampled_from([2, 7, 200]),
    correlation=st.sampled_from([0.0, 5.0, 300.0]),
)
@settings(max_examples=20, deadline=None)
def test_variation_is_what_was_asked_for(variation, K, M, B, correlation):
    probe = make_probe(ProbeSpec(kind="gaussian", mode_kind="hermite_gauss", modes=M), 32)
    eigenprobes, weights = varied(
        probe,
        B,
        42,
        variation=variation,
        variation_modes=K,
        variation_correlation=correlation,
    )
    assert (eigenprobes.dtype, weights.dtype) == (np.complex64, np.float32)
    assert (eigenprobes.shape, weights.shape) == ((K, 32, 32), (B, M + K))
    power = products(probe)[0, 0].real
    made = products(np.concatenate([probe, eigenprobes]))
    np.testing.assert_allclose(made[M:, M:], power * np.eye(K), atol=1e-5 * power)
    np.testing.assert_allclose(made[:M, M:], 0, atol=1e-5 * power)
    np.testing.assert_array_equal(weights[:, :M], 1)
    added = np.einsum("bk,kij->bij", weights[:, M:], eigenprobes)
    share = (np.abs(added) ** 2).sum(axis=(1, 2)).mean() / power
    assert math.sqrt(share) == pytest.approx(variation, rel=1e-4)
    np.testing.assert_allclose(weights[:, M:].mean(axis=0), 0, atol=1e-5)


def test_intensity_fluctuates_as_asked():
    probe = make_probe(ProbeSpec(modes=None), 32)
    eigenprobes, weights = varied(probe, 20000, 7, intensity_fluctuation=0.3)
    assert eigenprobes.shape == (0, 32, 32)
    intensity = weights[:, 0].astype(float) ** 2
    assert intensity.mean() == pytest.approx(1, rel=1e-5)
    assert intensity.std() == pytest.approx(0.3, rel=0.03)
    both = varied(probe, 50, 7, intensity_fluctuation=0.3, variation=0.1)[1]
    steady = varied(probe, 50, 7, variation=0.1)[1]
    np.testing.assert_allclose(both[:, 1:] / both[:, :1], steady[:, 1:], rtol=1e-5)


def test_drift_is_correlated_over_the_patterns_asked_for():
    drawn = series(np.random.default_rng(5), 40000, 2, 30.0)
    for lag in (15, 30, 60):
        found = (drawn[:-lag] * drawn[lag:]).mean()
        assert found == pytest.approx(math.exp(-(lag**2) / (2 * 30.0**2)), abs=0.06)
    assert abs((drawn[:, 0] * drawn[:, 1]).mean()) < 0.1
    white = series(np.random.default_rng(5), 40000, 1, 0.0)
    assert abs((white[:-1] * white[1:]).mean()) < 0.02


def test_variation_has_a_seed_and_is_off_by_default():
    spec = ProbeSpec(variation=0.1, intensity_fluctuation=0.1)
    probe = make_probe(spec, 32)
    assert make_variation(ProbeSpec(), probe, 10, 1) is None
    one, same, other = (make_variation(spec, probe, 10, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    single = make_variation(spec, probe, 1, 1)[1]
    assert single.shape == (1, 3)
    assert np.isfinite(single).all()


# --- errors ---


@pytest.mark.parametrize(
    ("keys", "key", "message"),
    [
        ({"modes": 3}, "probe.modes", "at most 1, as many as the kind gives"),
        ({"mode_kind": "hermite_gauss"}, "probe.modes", "the number of Hermite-Gauss modes"),
        (
            {"mode_kind": "hermite_gauss", "modes": 3, "mode_fractions": (1.0, 1.0)},
            "probe.mode_fractions",
            "2 numbers given, expected 3",
        ),
        ({"mode_fractions": (1.0, 0.0)}, "probe.mode_fractions", "> 0"),
        ({"modes": 17, "mode_kind": "hermite_gauss"}, "probe.modes", "an integer from 1 to 16"),
        ({"mode_kind": "gaussian_schell"}, "probe.coherence_length", "object pixels, for"),
        ({"coherence_length": 3.0}, "probe.coherence_length", "probe.mode_kind = 'gaussian_sch"),
        ({"coherence_length_m": 3.0}, "probe.coherence_length_m", "'gaussian_schell'"),
        (
            {"mode_kind": "gaussian_schell", "coherence_length": 3.0, "mode_fractions": (1.0,)},
            "probe.mode_fractions",
            "they follow from the coherence length",
        ),
        (
            {"mode_kind": "gaussian_schell", "coherence_length": 1e4, "modes": 16},
            "probe.modes",
            "since with this coherence length no more have any power",
        ),
        (
            {"mode_kind": "gaussian_schell", "coherence_length_m": 1e-8},
            "optics.object_pixel_m",
            "probe.coherence_length_m needs it",
        ),
    ],
)
def test_errors_say_what_to_change(keys, key, message):
    with pytest.raises(ScenarioError) as caught:
        make_probe(ProbeSpec(kind="gaussian", **keys), 16)
    assert caught.value.key == key
    assert message in str(caught.value)


def test_modes_that_cannot_be_made():
    one_pixel = np.zeros((8, 8))
    one_pixel[4, 4] = 1
    with pytest.raises(ScenarioError, match=r"probe\.modes: 2 given, expected at most 1"):
        hermite_gauss(one_pixel, (1.0, 1.0))
    with pytest.raises(ScenarioError, match=r"probe\.variation_modes: 2 given, expected at most"):
        varied(one_pixel, 5, 1, variation=0.1)
    dark = np.stack([one_pixel, np.zeros((8, 8))])
    with pytest.raises(ScenarioError, match="plane 1 has none"):
        with_modes(dark, mode_fractions=(1.0, 1.0))
    with pytest.raises(ScenarioError, match="the probe has 2 planes already"):
        with_modes(dark, mode_kind="hermite_gauss", modes=2)
    with pytest.raises(ValueError, match="power of the probe"):
        mode_fractions(np.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match="power of the probe"):
        gaussian_schell(np.zeros((8, 8)), 3.0, 2)
    with pytest.raises(ValueError, match="power of the probe"):
        hermite_gauss(np.zeros((8, 8)), (1.0,))


# --- all of it in a scenario ---

VARIED = """
schema = 2
name = "varied"
N = 32
noise = false
object.size = 64
scan.n_patterns = 40
scan.buffer = 16.0

[probe]
kind = "gaussian"
sigma = 3.0
mode_kind = "hermite_gauss"
mode_fractions = [0.7, 0.2, 0.1]
variation = 0.3
variation_modes = 3
intensity_fluctuation = 0.2
variation_correlation = 4.0
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_a_scenario_with_modes_that_vary(backend, seed):
    scenario = Scenario.from_toml(VARIED).replace({"seeds.probe": seed})
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    simulator = Simulator(scenario, backend=backend)
    truth = simulator.experiment
    np.testing.assert_allclose(mode_fractions(truth.probe), [0.7, 0.2, 0.1], rtol=1e-5)
    eigenprobes, weights = make_variation(scenario.probe, truth.probe, 40, seed)
    waves = truth.probe[None] * weights[:, :3, None, None].astype(complex)
    waves[:, 0] += np.einsum("bk,kij->bij", weights[:, 3:], eigenprobes)
    waves *= extract_patches(truth.object, truth.positions, 32)[:, None]
    fields = np.fft.fftshift(np.fft.fft2(waves, norm="ortho"), axes=(-2, -1))
    expected = (np.abs(fields) ** 2).sum(axis=1)
    found = simulator.frames(0, 40)
    np.testing.assert_allclose(found, expected, atol=3e-6 * expected.max())
    steady = Simulator(
        scenario.replace({"probe.variation": 0.0, "probe.intensity_fluctuation": 0.0}),
        backend=backend,
    ).frames(0, 40)
    assert np.abs(found - steady).max() > 0.05 * steady.max()


def test_an_array_is_taken_as_it_is_whatever_the_modes_of_the_scenario():
    planes = np.random.default_rng(5).normal(size=(2, 32, 32)).astype(np.complex64)
    for keys in ({"mode_kind": "hermite_gauss", "modes": 3}, {"mode_kind": "gaussian_schell"}):
        scenario = Scenario.from_toml(VARIED).replace(
            {"probe": {"kind": "gaussian", "coherence_length": None, **keys}}
        )
        truth = Simulator(scenario, probe=planes).experiment
        np.testing.assert_array_equal(truth.probe, planes)
        assert (truth.scenario.probe.modes, truth.scenario.probe.mode_kind) == (None, "given")
