"""Kinds of objects: their physics, and what all of them share."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.io import imsave

from ptycho_fast import objects
from ptycho_fast.errors import ScenarioError
from ptycho_fast.objects import make_object
from ptycho_fast.objects.dead_leaves import dead_leaves
from ptycho_fast.objects.diagonals import diagonals
from ptycho_fast.objects.fractal_noise import fractal_noise
from ptycho_fast.objects.natural_image import _FILES, natural_image
from ptycho_fast.objects.points import points
from ptycho_fast.objects.random_field import random_field
from ptycho_fast.objects.random_shapes import random_shapes
from ptycho_fast.objects.refractive import refractive
from ptycho_fast.objects.siemens_star import siemens_star
from ptycho_fast.objects.spheres import chords, spheres
from ptycho_fast.objects.v_shapes import v_shapes
from ptycho_fast.objects.weak_phase import interaction, weak_phase
from ptycho_fast.optics import make_geometry
from ptycho_fast.scenario import ObjectSpec

X_RAYS = make_geometry(64, energy_ev=8e3, object_pixel_m=20e-9)
ELECTRONS = make_geometry(64, radiation="electron", energy_ev=200e3, object_pixel_m=20e-12)
KINDS = [name for name in objects.KINDS.listed if name != "file"]
MAPS = [name for name in KINDS if name not in ("lines", "refractive", "weak_phase")]
DRAWN = [name for name in KINDS if name not in ("siemens_star",)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five grey pictures and a text file."""
    path = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(1)
    for i in range(5):
        noise = draw.integers(0, 256, (90, 80 + i), dtype=np.uint8)
        imsave(path / f"{i}.png", noise, check_contrast=False)
    (path / "about.txt").write_text("not a picture")
    return path


@pytest.fixture
def made(folder):
    """Make an object of any kind, 72 pixels wide."""

    def make(kind, seed=1, **keys):
        needed = {
            "image_folder": {"folder": str(folder)},
            "refractive": {"delta": 5e-5, "beta": 5e-6},
        }
        spec = ObjectSpec(kind=kind, size=72, **needed.get(kind, {}), **keys)
        return make_object(spec, seed, geometry=ELECTRONS if kind == "weak_phase" else X_RAYS)

    return make


# --- what all kinds share ---


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_is_a_function_of_its_seed(made, kind):
    obj = made(kind)
    assert (obj.shape, obj.dtype, obj.flags.c_contiguous) == ((72, 72), np.complex64, True)
    assert np.isfinite(obj).all()
    np.testing.assert_array_equal(made(kind), obj)
    assert (made(kind, seed=2) == obj).all() == (kind not in DRAWN)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("correlation", [None, -1.0])
def test_ranges_are_kept_exactly(made, kind, correlation):
    obj = made(
        kind, amplitude_min=0.25, amplitude_max=0.75, phase_min=-1.5, phase_max=2.0,
        correlation=correlation,
    )  # fmt: skip
    amplitude, phase = np.abs(obj), np.angle(obj)
    assert (amplitude.min(), amplitude.max()) == pytest.approx((0.25, 0.75), abs=1e-6)
    assert (phase.min(), phase.max()) == pytest.approx((-1.5, 2.0), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("correlation", [-1.0, -0.4, 0.0, 0.8, 1.0])
def test_the_correlation_is_the_one_asked_for(made, kind, correlation):
    asked = {"correlation": correlation, "amplitude_min": 0.25, "amplitude_max": 1, "phase_max": 2}
    if kind not in DRAWN and abs(correlation) < 1:
        with pytest.raises(ValueError, match=r"object\.correlation: .* 1 or -1"):
            made(kind, **asked)
        return
    obj = made(kind, **asked, phase_min=0)
    found = np.corrcoef(np.abs(obj).ravel(), np.angle(obj).ravel())[0, 1]
    assert found == pytest.approx(correlation, abs=1e-4)


@pytest.mark.parametrize("kind", MAPS)
def test_ranges_that_are_left_out(made, kind):
    obj = made(kind)
    assert (np.abs(obj).min(), np.abs(obj).max()) == pytest.approx((0.5, 1), abs=1e-6)
    assert (np.angle(obj).min(), np.angle(obj).max()) == pytest.approx((0, 1), abs=1e-6)
    obj = made(kind, amplitude_min=1, amplitude_max=1, phase_max=-0.5, phase_min=-0.5)
    np.testing.assert_allclose(obj, np.exp(-0.5j), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_slices(made, kind):
    ranges = {"amplitude_min": 0.5, "amplitude_max": 0.9}
    obj = made(kind, slices=3, **ranges)
    assert (obj.shape, obj.dtype) == ((3, 72, 72), np.complex64)
    for one in obj:
        assert (np.abs(one).min(), np.abs(one).max()) == pytest.approx((0.5, 0.9), abs=1e-6)
    divided = kind in ("refractive", "weak_phase")
    assert (obj[0] == obj[1]).all() == (kind not in DRAWN or divided)
    if divided:
        product = made(kind, slices=3).prod(axis=0)
        np.testing.assert_allclose(product, made(kind), rtol=1e-5)
    else:
        np.testing.assert_array_equal(obj[0], made(kind, **ranges))


@given(
    kind=st.sampled_from(sorted({*DRAWN} - {"image_folder"})),
    size=st.integers(24, 70),
    seed=st.integers(0, 2**32 - 1),
    amplitude=st.tuples(st.floats(0, 3), st.floats(0, 3)),
    phase=st.tuples(st.floats(-3.1, 3.1), st.floats(-3.1, 3.1)),
    correlation=st.none() | st.floats(-1, 1),
)
@settings(max_examples=60, deadline=None)
def test_any_object_keeps_its_ranges(kind, size, seed, amplitude, phase, correlation):
    needed = {"delta": 1e-6, "beta": 1e-7} if kind == "refractive" else {}
    low, high, first, last = *sorted(amplitude), *sorted(phase)
    spec = ObjectSpec(
        kind=kind, size=size, amplitude_min=low, amplitude_max=high, phase_min=first,
        phase_max=last, correlation=correlation, **needed,
    )  # fmt: skip
    try:
        obj = make_object(spec, seed, geometry=ELECTRONS if kind == "weak_phase" else X_RAYS)
    except ScenarioError as error:  # a drawing of so few pixels may be empty
        assert re.search("no contrast to stretch|no second drawing", str(error))  # noqa: PT017
        return
    assert (obj.shape, obj.dtype) == ((size, size), np.complex64)
    found = np.abs(obj)
    assert low - 1e-5 <= found.min() <= found.max() <= high + 1e-5
    lit = found > 1e-3
    assert np.all((np.angle(obj[lit]) >= first - 1e-4) & (np.angle(obj[lit]) <= last + 1e-4))


def test_lines_stay_as_they_are_without_a_range(made):
    assert (made("lines").imag == 0).all()
    both = made("lines", amplitude_max=1, amplitude_min=0.5)
    assert (both.imag == 0).all()
    np.testing.assert_allclose(np.angle(made("lines", phase_max=1.0)).max(), 1.0, rtol=1e-6)


def test_a_phase_without_an_amplitude_has_one_map_for_both(made):
    """Rounding makes the modulus of exp(i phase) differ from 1, which is no contrast."""
    plain = made("weak_phase")
    assert 0 < np.ptp(np.abs(plain)) < 1e-6
    for correlation in (None, -1.0):
        obj = made("weak_phase", amplitude_min=0.5, amplitude_max=0.9, correlation=correlation)
        found = np.corrcoef(np.abs(obj).ravel(), np.angle(plain).ravel())[0, 1]
        assert found == pytest.approx(1, abs=1e-6)


def test_a_file_has_slices_and_ranges(tmp_path):
    stack = np.random.default_rng(0).uniform(0.2, 3, (2, 9, 10)) * np.exp(0.3j)
    np.savez(tmp_path / "o.npz", objectGuess=stack)
    keys = {"kind": "file", "file": str(tmp_path / "o.npz")}
    np.testing.assert_array_equal(make_object(ObjectSpec(**keys), 1), stack.astype(np.complex64))
    obj = make_object(ObjectSpec(**keys, amplitude_min=0, amplitude_max=1), 1)
    assert obj.shape == stack.shape
    assert np.abs(obj).min(axis=(1, 2)) == pytest.approx([0, 0])
    assert np.abs(obj).max(axis=(1, 2)) == pytest.approx([1, 1], abs=1e-6)
    np.testing.assert_allclose(np.angle(obj[np.abs(obj) > 0.01]), 0.3, atol=1e-5)
    with pytest.raises(ValueError, match=r"object\.slices: 3 given, expected 2, the slices"):
        make_object(ObjectSpec(**keys, slices=3), 1)
    with pytest.raises(ValueError, match=r"object\.correlation: 0\.5 given, expected 1 or -1"):
        make_object(ObjectSpec(**keys, correlation=0.5), 1)
    np.save(tmp_path / "flat.npy", np.ones((8, 8)))
    flat = {"kind": "file", "file": str(tmp_path / "flat.npy")}
    with pytest.raises(ValueError, match=r"object\.amplitude_min, amplitude_max: 0\.5 to 1 given"):
        make_object(ObjectSpec(**flat, amplitude_min=0.5), 1)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"amplitude_min": 0.9, "amplitude_max": 0.5}, "object.amplitude_min: 0.9 .* at most"),
        ({"phase_min": 2, "phase_max": 1}, "object.phase_min: 2.0 .* at most object.phase_max"),
        ({"amplitude_min": 1.5}, "object.amplitude_min: 1.5 given, expected at most 1, the ampl"),
        ({"phase_max": -1}, "object.phase_max: -1.0 given, expected at least 0, the phase_min"),
        ({"amplitude_min": -1}, "object.amplitude_min: -1 given"),
        ({"correlation": 1.1}, "object.correlation: 1.1 given"),
        ({"slices": 0}, "object.slices: 0 given"),
        ({"size": 12_000}, "object.size: 12000 given, .* 1.2 GB.* nanometres"),
        ({"size": 65_537}, "object.size: 65537 given, expected an integer from 8 to 65536"),
        ({"cutoff": 0.001}, "cutoff: 0.001 given, expected at least"),
    ],
)
def test_keys_that_cannot_be(keys, message):
    with pytest.raises(ValueError, match=message):
        make_object(ObjectSpec(kind="random_field", **keys), 1)


# --- kinds ---


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, 4.0])
def test_slope_of_the_random_fields_spectrum(exponent):
    n = 256
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n)))
    rings = np.geomspace(4 / n, 0.5, 12)
    power = np.zeros(len(rings) - 1)
    for seed in range(4):
        field = random_field(seed, size=n, exponent=exponent).astype(float)
        spectrum = np.abs(np.fft.fft2(field)) ** 2 / field.var()
        for i, (low, high) in enumerate(itertools.pairwise(rings)):
            ring = (radius >= low) & (radius < high)
            # The mean of power times the law's inverse: the law is not constant over a ring.
            power[i] += (spectrum[ring] * radius[ring] ** exponent).mean()
    middle = np.sqrt(rings[:-1] * rings[1:])
    slope = np.polyfit(np.log(middle), np.log(power), 1)[0] - exponent
    assert slope == pytest.approx(-exponent, abs=0.1)


def test_cut_off_and_outer_scale_of_the_random_field():
    n = 128
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n)))
    field = random_field(1, size=n, exponent=2, cutoff=0.1)
    spectrum = np.abs(np.fft.fft2(field.astype(float)))
    assert spectrum[radius > 0.1001].max() < 1e-4 * spectrum[(radius > 0) & (radius < 0.1)].min()
    flat = np.zeros(2)
    for seed in range(6):
        field = random_field(seed, size=n, exponent=4, outer_scale=8).astype(float)
        spectrum = np.abs(np.fft.fft2(field)) ** 2 / field.var()
        flat += [spectrum[(radius > a) & (radius < b)].mean() for a, b in ((0, 0.03), (0.03, 0.05))]
    expected = [
        np.mean((radius[(radius > a) & (radius < b)] ** 2 + 1 / 64) ** -2.0)
        for a, b in ((0, 0.03), (0.03, 0.05))
    ]
    assert flat[0] / flat[1] == pytest.approx(expected[0] / expected[1], rel=0.2)


def test_the_random_field_is_gaussian():
    values = np.concatenate([random_field(s, size=128, exponent=0).ravel() for s in range(4)])
    z = (values - values.mean()) / values.std()
    assert np.mean(z**3) == pytest.approx(0, abs=0.05)
    assert np.mean(z**4) == pytest.approx(3, abs=0.15)


def test_octaves_of_fractal_noise():
    from ptycho_fast.objects.fractal_noise import gradient_noise
    from ptycho_fast.rng import generator

    one = gradient_noise(generator(1, "object"), 256, 16.0)
    assert one.mean() == pytest.approx(0, abs=0.03)
    assert np.abs(one).max() <= 1
    # Smooth: no step is larger than the slope of the blend and the gradients allow.
    assert np.abs(np.diff(one, axis=0)).max() < 4 / 16
    assert np.abs(np.diff(one, axis=1)).max() < 4 / 16
    assert np.abs(np.diff(one, axis=1)).std() == pytest.approx(
        np.abs(np.diff(one, axis=0)).std(), rel=0.2
    )
    coarse, fine = (fractal_noise(3, size=128, cell=32, octaves=n) for n in (1, 5))
    assert np.abs(np.diff(fine)).mean() > 1.2 * np.abs(np.diff(coarse)).mean()
    assert (fractal_noise(3, size=64, octaves=6) == fractal_noise(3, size=64, octaves=16)).all()


@pytest.mark.parametrize("coverage", [0.3, 0.7, 0.95])
def test_coverage_of_dead_leaves(coverage):
    keys = {"size": 256, "radius_min": 4, "radius_max": 16, "coverage": coverage}
    share = [np.mean(dead_leaves(seed, **keys) > 0) for seed in range(12)]
    assert np.mean(share) == pytest.approx(coverage, abs=5 * np.std(share) / 12**0.5 + 0.003)


def test_sizes_of_dead_leaves():
    """Few leaves hardly meet, so areas tell the radii: P(r > R) of the density 1/r**3."""
    from scipy.ndimage import label

    radii = []
    for seed in range(12):
        leaves = dead_leaves(seed, size=512, radius_min=5, radius_max=40, coverage=0.02)
        number, _ = label(leaves)
        radii += list(np.sqrt(np.bincount(number.ravel())[1:] / np.pi))
    above = np.mean(np.array(radii) > 10)
    expected = (10**-2 - 40**-2) / (5**-2 - 40**-2)
    assert above == pytest.approx(expected, abs=0.08)


def test_dead_leaves_at_once_or_in_parts(monkeypatch):
    from ptycho_fast.objects import dead_leaves as module

    whole = dead_leaves(5, size=96)
    monkeypatch.setattr(module, "_AT_ONCE", 3000)
    np.testing.assert_array_equal(dead_leaves(5, size=96), whole)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("disk", math.pi * 400),
        ("triangle", 3 * 3**0.5 / 4 * 400),
        ("ellipse", math.pi * 400 * 0.65),
        ("rectangle", 4 * 400 * 0.65),
    ],
)
def test_areas_of_random_shapes(shape, area):
    found = []
    for seed in range(60):
        one = random_shapes(seed, size=256, number=1, shape=shape, radius_min=20, radius_max=20)
        if not one[[0, -1]].any() and not one[:, [0, -1]].any() and one.any():
            found.append(np.count_nonzero(one))
    assert np.mean(found) == pytest.approx(area, rel=0.09)
    if shape in ("disk", "triangle"):
        assert np.std(found) < 0.03 * area


def test_period_of_the_siemens_star():
    n, spokes = 257, 36
    star = siemens_star(size=n, spokes=spokes)
    for radius in (50, 80, 110):
        turn = 2 * np.pi * np.arange(3600) / 3600
        y = np.rint(128 + radius * np.sin(turn)).astype(int)
        x = np.rint(128 + radius * np.cos(turn)).astype(int)
        harmonic = np.abs(np.fft.rfft(star[y, x]))
        assert harmonic[1:100].argmax() + 1 == spokes
        assert star[y, x].mean() == pytest.approx(0.5, abs=0.01)
    yy, xx = np.mgrid[:n, :n] - 128
    assert not star[np.hypot(yy, xx) > 0.48 * n + 1].any()
    assert not star[np.hypot(yy, xx) < 3].any()
    turned = siemens_star(size=n, spokes=spokes, rotation=math.pi / spokes)
    ring = (np.hypot(yy, xx) > 20) & (np.hypot(yy, xx) < 0.47 * n)
    np.testing.assert_allclose((star + turned)[ring], 1, atol=1e-3)


def test_diagonals_are_at_45_degrees():
    lines = diagonals(3, size=64, number=1, width=0)
    rows, columns = np.nonzero(lines)
    assert len({*(rows + columns)}) == 1 or len({*(rows - columns)}) == 1
    for seed in range(20):
        across = diagonals(seed, size=128, number=1, width=3.0)[64]
        if across.max() > 0.99 and 32 < across.argmax() < 96:
            break
    variance = np.average((np.arange(128) - across.argmax()) ** 2, weights=across)
    assert variance == pytest.approx(2 * 9, rel=0.1)  # cut at 45 degrees


def test_points_are_points():
    sharp = points(1, size=200, number=50, width=0)
    assert np.count_nonzero(sharp) == 50
    assert sharp[sharp > 0].min() >= 0.5
    soft = points(9, size=101, number=1, width=2.0)
    y, x = np.unravel_index(soft.argmax(), soft.shape)
    across = soft[y]
    assert np.average((np.arange(101) - x) ** 2, weights=across) == pytest.approx(4, rel=0.05)


def test_arms_of_a_v():
    for seed in range(20):
        one = v_shapes(seed, size=200, number=1, length=60, opening=math.pi / 2, width=0)
        y, x = np.nonzero(one)
        if min(y.min(), x.min()) > 0 and max(y.max(), x.max()) < 199:
            break
    # The ends of two arms of length a at a right angle are sqrt(2) a apart.
    far = np.hypot(y[:, None] - y, x[:, None] - x).max()
    assert 30 * 2**0.5 - 3 <= far <= 60 * 2**0.5 + 2


def test_thickness_of_a_sphere():
    for seed in range(20):
        one = chords(seed, size=128, number=1, radius_min=30, radius_max=30)
        if not one[[0, -1]].any() and not one[:, [0, -1]].any():
            break
    assert one.max() == pytest.approx(60, abs=0.1)
    assert one.sum(dtype=float) == pytest.approx(4 / 3 * math.pi * 30**3, rel=1e-3)
    np.testing.assert_allclose(
        spheres(seed, size=128, number=1, radius_min=30, radius_max=30), one / one.max(), rtol=1e-6
    )


def test_shapes_at_once_or_in_parts(monkeypatch):
    from ptycho_fast.objects import v_shapes as module

    whole = v_shapes(5, size=96)
    monkeypatch.setattr(module, "_AT_ONCE", 700)
    np.testing.assert_array_equal(v_shapes(5, size=96), whole)


# --- from a material ---

GOLD = {"delta": 4.77e-5, "beta": 4.96e-6}  # 8 keV, near the table of Henke et al. (1993)


@pytest.mark.parametrize("slices", [1, 4])
def test_beer_and_lambert(tmp_path, slices):
    thickness = np.array([[0.0, 1e-7], [5e-7, 2e-6]]).repeat(4, 0).repeat(4, 1)
    np.save(tmp_path / "t.npy", thickness)
    obj = refractive(1, X_RAYS, slices, **GOLD, map="file", thickness_file=str(tmp_path / "t.npy"))
    assert obj.shape == ((8, 8) if slices == 1 else (slices, 8, 8))
    through = obj if slices == 1 else obj.prod(axis=0)
    mu = 4 * np.pi * GOLD["beta"] / X_RAYS.wavelength_m
    np.testing.assert_allclose(np.abs(through) ** 2, np.exp(-mu * thickness), rtol=1e-5)
    phase = -2 * np.pi / X_RAYS.wavelength_m * GOLD["delta"] * thickness
    np.testing.assert_allclose(through / np.abs(through), np.exp(1j * phase), atol=1e-5)
    # Half the light at ln 2 / mu = 1.7 um; a wave of 180 degrees at lambda / (2 delta) = 1.6 um.
    assert math.log(2) / mu == pytest.approx(1.7e-6, rel=0.02)
    assert X_RAYS.wavelength_m / (2 * GOLD["delta"]) == pytest.approx(1.6e-6, rel=0.02)


def test_matter_bends_x_rays_outwards():
    """A thicker part delays less than vacuum does: delta > 0 is a phase below zero."""
    obj = refractive(1, X_RAYS, **GOLD, map="points", thickness_m=1e-7, size=64)
    drawn = points(1, size=64)
    assert np.angle(obj[np.unravel_index(drawn.argmax(), drawn.shape)]) < 0


def test_another_energy():
    keys = {"map": "points", "thickness_m": 1e-8, "size": 32}
    at_8 = refractive(1, X_RAYS, **GOLD, **keys)
    at_16 = refractive(1, make_geometry(64, energy_ev=16e3), **GOLD, **keys, index_energy_ev=8e3)
    # k delta goes with 1 / E, k beta with E**-3.
    np.testing.assert_allclose(np.angle(at_16), np.angle(at_8) / 2, atol=1e-6)
    np.testing.assert_allclose(np.log(np.abs(at_16)), np.log(np.abs(at_8)) / 8, atol=1e-6)


def test_spheres_are_as_thick_as_they_are_wide():
    obj = refractive(1, X_RAYS, delta=1e-6, beta=0, size=128)
    thickness = chords(1, size=128) * X_RAYS.object_pixel_m
    expected = np.exp(-2j * np.pi / X_RAYS.wavelength_m * 1e-6 * thickness)
    np.testing.assert_allclose(obj, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("kilovolts", "sigma"), [(100, 0.9244), (200, 0.7288), (300, 0.6526)]
)  # Kirkland's numbers, radians / (kV angstrom)
def test_interaction_constant(kilovolts, sigma):
    assert interaction(kilovolts * 1e3) * 1e3 * 1e-10 == pytest.approx(sigma, rel=2e-4)
    # The other form of it, 2 pi m e lambda / h**2.
    h, m, e, c = 6.62607015e-34, 9.1093837015e-31, 1.602176634e-19, 299792458.0
    mass = m * (1 + kilovolts * 1e3 * e / (m * c * c))
    wave = make_geometry(8, radiation="electron", energy_ev=kilovolts * 1e3).wavelength_m
    assert interaction(kilovolts * 1e3) == pytest.approx(
        2 * np.pi * mass * e * wave / h**2, rel=1e-8
    )


def test_a_weak_phase_object():
    obj = weak_phase(1, ELECTRONS, map="random_field", size=64, thickness_m=2e-9, absorption=0.1)
    vt = 9.0 * 2e-9 * random_field(1, size=64)
    np.testing.assert_allclose(np.angle(obj), interaction(200e3) * vt, atol=1e-6)
    np.testing.assert_allclose(-np.log(np.abs(obj)), 0.1 * np.angle(obj), atol=1e-6)


@pytest.mark.parametrize(
    ("keys", "geometry", "message"),
    [
        ({"kind": "refractive"}, X_RAYS, "object.delta: nothing given"),
        ({"kind": "refractive", **GOLD}, None, "optics.wavelength_m: nothing given"),
        (
            {"kind": "refractive", **GOLD},
            make_geometry(64, energy_ev=8e3),
            "optics.object_pixel_m: nothing given",
        ),
        ({"kind": "refractive", **GOLD, "map": "points"}, X_RAYS, "object.thickness_m: nothing"),
        ({"kind": "refractive", **GOLD, "map": "file"}, X_RAYS, "object.thickness_file: nothing"),
        (
            {"kind": "refractive", **GOLD, "map": "file", "thickness_file": "a.npy",
             "thickness_m": 1e-6},
            X_RAYS,
            "object.thickness_m: 1e-06 given, expected nothing",
        ),
        (
            {"kind": "refractive", **GOLD, "thickness_file": "a.npy"},
            X_RAYS,
            "object.thickness_file: 'a.npy' given, expected nothing",
        ),
        ({"kind": "refractive", **GOLD, "map": "file", "thickness_file": "a"}, X_RAYS, "a: no"),
        ({"kind": "weak_phase"}, X_RAYS, "optics.radiation: 'photon' given, expected 'electron'"),
        ({"kind": "refractive", **GOLD}, ELECTRONS, "optics.radiation: 'electron' given, expected"),
        ({"kind": "weak_phase"}, None, "optics.energy_ev: nothing given"),
        ({"kind": "weak_phase", "thickness_m": 20}, ELECTRONS, "thickness_m: 20 given"),
    ],
)  # fmt: skip
def test_a_material_that_is_not_known(keys, geometry, message):
    with pytest.raises((OSError, ValueError), match=message):
        make_object(ObjectSpec(**keys), 1, geometry=geometry)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(4), r"shape \(4,\) given"),
        (-np.ones((8, 8)), "-1.0 given, expected no negative"),
        (np.ones((8, 8)), "1 given, expected metres, at most 0.1"),
    ],
)
def test_a_file_that_is_no_thickness(tmp_path, values, message):
    np.save(tmp_path / "t.npy", values)
    file = str(tmp_path / "t.npy")
    with pytest.raises(ValueError, match=message):
        refractive(1, X_RAYS, **GOLD, map="file", thickness_file=file)


# --- pictures ---


def test_every_picture_is_there():
    assert all(natural_image(1, size=32, image=name).any() for name in _FILES)


def test_windows_of_pictures():
    from skimage import data

    camera = data.camera() / 255.0
    window = natural_image(1, size=500, image="camera")
    pieces = np.lib.stride_tricks.sliding_window_view(camera, (500, 500))
    found = [np.allclose(window * np.ptp(p) + p.min(), p, atol=1e-5) for row in pieces for p in row]
    assert sum(found) == 1
    assert not np.array_equal(window, natural_image(2, size=500, image="camera"))
    whole = natural_image(1, size=64, image="camera", fit="scale")
    np.testing.assert_array_equal(whole, natural_image(2, size=64, image="camera", fit="scale"))
    means = camera.reshape(64, 8, 64, 8).mean(axis=(1, 3)).ravel()
    assert np.corrcoef(whole.ravel(), means)[0, 1] > 0.99
    assert natural_image(1, size=600, image="page").shape == (600, 600)


def test_pictures_of_a_folder(folder, tmp_path):
    def pictured(seed=1, **keys):
        return make_object(ObjectSpec(kind="image_folder", folder=str(folder), **keys), seed)

    from skimage.io import imread

    second = imread(folder / "1.png").astype(float)
    second = (second - second.min()) / np.ptp(second)
    amplitude_only = pictured(index=1, amplitude_min=0, phase_min=0, phase_max=0)
    np.testing.assert_allclose(amplitude_only, second, atol=1e-6)
    phase_only = pictured(index=1, amplitude_min=1, amplitude_max=1, phase_max=2)
    np.testing.assert_allclose(phase_only, np.exp(2j * second), atol=1e-5)
    opposite = pictured(index=1, amplitude_min=1, amplitude_max=1, correlation=-1)
    np.testing.assert_allclose(opposite, np.exp(1j * (1 - second)), atol=1e-5)
    assert {pictured(seed).shape[1] for seed in range(40)} == {80, 81, 82, 83, 84}
    pair = pictured(index=1, size=80, fit="scale", correlation=0.0, phase_min=0)
    third = pictured(index=2, size=80, fit="scale", amplitude_min=0)
    assert np.corrcoef(np.angle(pair).ravel(), np.abs(third).ravel())[0, 1] > 0.99
    assert pictured(size=80, slices=7).shape == (7, 80, 80)
    for keys in ({"correlation": 0.0}, {"slices": 9}):
        with pytest.raises(ValueError, match=r"drawings of the same size; give object\.size"):
            pictured(1, **keys)
    assert pictured(size=120, fit="scale").shape == (120, 120)


def test_colours_become_luminance(tmp_path):
    colour = np.zeros((10, 10, 4), np.uint8)
    colour[:5, :, 0], colour[5:, :5, 1], colour[:, :, 3] = 200, 100, 7
    imsave(tmp_path / "c.png", colour, check_contrast=False)
    spec = ObjectSpec(kind="image_folder", folder=str(tmp_path), amplitude_min=0)
    obj = make_object(spec, 1)
    ratio = 0.2125 * 200 / (0.7154 * 100)
    np.testing.assert_allclose(np.abs(obj[:5]), ratio, rtol=1e-5)
    np.testing.assert_allclose(np.abs(obj[5:, :5]), 1, rtol=1e-5)
    np.testing.assert_allclose(np.abs(obj[5:, 5:]), 0)


def test_folders_without_a_picture_that_can_be_read(folder, tmp_path):
    def pictured(where, **keys):
        return make_object(ObjectSpec(kind="image_folder", folder=str(where), **keys), 1)

    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        pictured(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"object\.folder: .* is empty, expected pictures"):
        pictured(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(ValueError, match=r"object\.folder: .* holds 1 other files, expected"):
        pictured(tmp_path)
    with pytest.raises(ValueError, match=r"object\.folder: .* a folder; kind 'file' reads"):
        pictured(tmp_path / "a.txt")
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(ValueError, match=r"a\.png: cannot be read .*, expected a picture"):
        pictured(tmp_path)
    whole = (folder / "0.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.png: cannot be read .*, expected a picture"):
        pictured(tmp_path)
    with pytest.raises(ValueError, match=r"object\.index: 5 given, expected 0 to 4"):
        pictured(folder, index=5)
    pages = tmp_path / "pages"
    pages.mkdir()
    imsave(pages / "a.tif", np.zeros((5, 20, 20), np.uint8), check_contrast=False)
    with pytest.raises(ValueError, match="5 pages given, expected a file of one picture"):
        pictured(pages)
