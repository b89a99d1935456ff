"""Physics of the kinds of probes: sizes and shapes against theory."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import j1

from ptycho_fast import Simulator
from ptycho_fast.errors import ScenarioError
from ptycho_fast.optics import Geometry, make_geometry, transfer_function, wavelength
from ptycho_fast.probes import KINDS, make_probe
from ptycho_fast.probes.electron import aberration_phase, electron
from ptycho_fast.probes.from_file import from_file, resized
from ptycho_fast.probes.gaussian import gaussian
from ptycho_fast.probes.super_gaussian import super_gaussian
from ptycho_fast.probes.zernike import degrees, polynomial, zernike
from ptycho_fast.probes.zone_plate import ZONE_PLATES, zone_plate
from ptycho_fast.scenario import ProbeSpec, Scenario
from ptycho_fast.simulate import main

XRAYS = make_geometry(
    128, energy_ev=8.8e3, detector_distance_m=2.0, detector_pixel_m=75e-6
)  # the detector of the table in docs/probes.md
ELECTRONS = make_geometry(128, radiation="electron", energy_ev=300e3, object_pixel_m=1.5e-11)


def along_x(probe, places):
    """The band-limited field of a probe at any distances from its centre along x, pixels."""
    N = len(probe)
    spectrum = np.fft.fft2(np.fft.ifftshift(probe)).sum(axis=0)
    waves = np.exp(2j * np.pi * np.multiply.outer(places, np.fft.fftfreq(N)))
    return waves @ spectrum / N**2


def first_zero(probe, guess):
    """Distance of the first dark ring from the centre, pixels."""
    found = minimize_scalar(
        lambda x: abs(along_x(probe, np.array([x]))[0]) ** 2,
        bounds=(0.7 * guess, 1.3 * guess),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return found.x


def airy(v, stop=0.0):
    """Amplitude of a focus, 1 in the middle: disk, or annulus with the ratio `stop` of radii."""

    def disk(u):
        return np.where(u == 0, 1.0, 2 * j1(u) / np.where(u == 0, 1.0, u))

    return (disk(v) - stop**2 * disk(stop * v)) / (1 - stop**2)


def cone(probe):
    """Diameter of the cone on the detector, pixels, from the area of a disk."""
    pattern = np.abs(np.fft.fft2(probe))
    return math.sqrt(
        4 / math.pi * (pattern / np.median(pattern[pattern > 0.5 * pattern.max()])).sum()
    )


def sharing(a, b):
    """Share of the power of a field that is in another one, whatever its phase."""
    return abs(np.vdot(a, b)) ** 2 / (np.vdot(a, a).real * np.vdot(b, b).real)


def moved(probe, geometry, distance):
    """The field after free space."""
    H = transfer_function(len(probe), geometry.object_pixel_m, geometry.wavelength_m, distance)
    return np.fft.ifft2(np.fft.fft2(probe) * H)


# --- zone plate ---

# D, dr, stop in micrometres; energy; focal length in mm and cone in pixels of 75 um at 2 m.
PUBLISHED = {
    "2-ID-D": (160, 0.070, 60, 8.8e3, 79.5, 54),
    "HXN": (160, 0.030, 80, 10e3, 38.7, 110),
    "LYNX": (114.8, 0.060, 40, 8.8e3, 48.9, 63),
    "PtychoProbe": (180, 0.015, 15, 8.8e3, 19.2, 250),
    "Velociprobe": (180, 0.050, 60, 8.8e3, 63.9, 75),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_zone_plates_of_instruments(name):
    D, dr, stop, energy, f_mm, cone_px = PUBLISHED[name]
    assert np.allclose(ZONE_PLATES[name], np.array([D, dr, stop]) * 1e-6)
    assert D * 1e-6 * dr * 1e-6 / wavelength(energy) * 1e3 == pytest.approx(f_mm, rel=2e-3)
    geometry = make_geometry(512, energy_ev=energy, detector_distance_m=2.0, detector_pixel_m=75e-6)
    whole = zone_plate(512, geometry, zone_plate=name, central_stop_m=0.0)
    assert cone(whole) == pytest.approx(cone_px, rel=0.01, abs=1.0)
    # The cone is the numerical aperture wavelength / (2 dr), at 2 m.
    aperture = geometry.wavelength_m / (2 * dr * 1e-6)
    assert cone(whole) == pytest.approx(2 * aperture * 2.0 / 75e-6, rel=0.01)
    stopped = zone_plate(512, geometry, zone_plate=name)
    assert (cone(stopped) / cone(whole)) ** 2 == pytest.approx(1 - (stop / D) ** 2, rel=0.01)


@pytest.mark.parametrize("stop", [0.0, 0.25, 0.5])
def test_focus_of_a_zone_plate_is_that_of_its_annulus(stop):
    D, dr = 120e-6, 60e-9
    probe = zone_plate(128, XRAYS, diameter_m=D, outer_zone_width_m=dr, central_stop_m=stop * D)
    f = D * dr / XRAYS.wavelength_m
    zero = 1.22 * XRAYS.wavelength_m * f / D / XRAYS.object_pixel_m
    assert zero == pytest.approx(1.22 * dr / XRAYS.object_pixel_m)
    x = np.linspace(0, 4 * zero, 200)
    found = np.abs(along_x(probe, x)) ** 2
    v = math.pi * D * x * XRAYS.object_pixel_m / (XRAYS.wavelength_m * f)
    np.testing.assert_allclose(found / found[0], airy(v, stop) ** 2, atol=0.01)
    if stop == 0:
        assert first_zero(probe, zero) == pytest.approx(zero, rel=0.01)
        half = minimize_scalar(
            lambda x: abs(abs(along_x(probe, np.array([x]))[0]) ** 2 / found[0] - 0.5),
            bounds=(0.1 * zero, 0.8 * zero),
            method="bounded",
        ).x
        assert 2 * half == pytest.approx(
            1.03 * XRAYS.wavelength_m * f / D / XRAYS.object_pixel_m, rel=0.02
        )


@pytest.mark.parametrize("away", [-3e-4, 2e-4, 6e-4])
def test_zone_plate_out_of_focus_is_the_focus_after_free_space(away):
    keys = {"zone_plate": "LYNX", "central_stop_m": 0.0}
    focus = zone_plate(128, XRAYS, **keys)
    off = zone_plate(128, XRAYS, **keys, defocus_m=away)
    assert sharing(off, moved(focus, XRAYS, away)) > 0.995
    assert sharing(off, moved(focus, XRAYS, -away)) < 0.5
    # A disk of the diameter 2 NA |defocus|: half of the light is within 1/sqrt(2) of its radius.
    place = (np.arange(128) - 64) * XRAYS.object_pixel_m
    r, power = np.hypot(place[:, None], place).ravel(), np.abs(off).ravel() ** 2
    order = np.argsort(r)
    half = r[order][np.searchsorted(power[order].cumsum(), 0.5)]
    expected = XRAYS.wavelength_m / (2 * 60e-9) * abs(away) / math.sqrt(2)
    assert half == pytest.approx(expected, rel=0.15)


# --- electrons ---


def test_wavelength_of_electrons():
    """Kirkland, Advanced Computing in Electron Microscopy, table 2.2."""
    for kv, picometres in ((100, 3.701), (200, 2.508), (300, 1.969)):
        assert wavelength(kv * 1e3, "electron") * 1e12 == pytest.approx(picometres, abs=5e-4)


@pytest.mark.parametrize("angle", [0.015, 0.0214, 0.03])
def test_electron_probe_without_aberrations_is_an_airy_pattern(angle):
    probe = electron(128, ELECTRONS, semi_angle=angle)
    pixel, wave = ELECTRONS.object_pixel_m, ELECTRONS.wavelength_m
    zero = 0.61 * wave / angle / pixel
    assert first_zero(probe, zero) == pytest.approx(zero, rel=0.01)
    x = np.linspace(0, 3 * zero, 100)
    found = np.abs(along_x(probe, x)) ** 2
    expected = airy(2 * math.pi * angle * x * pixel / wave) ** 2
    np.testing.assert_allclose(found / found[0], expected, atol=0.01)
    assert cone(probe) == pytest.approx(2 * angle / wave * 128 * pixel, rel=0.01)


def published_phase(alpha, phi, wave, C10, C12, phi12, C21, phi21, C30):
    """The aberration function as abTEM publishes it."""
    return (2 * np.pi / wave) * (
        0.5 * alpha**2 * (C10 + C12 * np.cos(2 * (phi - phi12)))
        + (1 / 3) * alpha**3 * C21 * np.cos(phi - phi21)
        + 0.25 * alpha**4 * C30
    )


lengths = st.floats(-1e-6, 1e-6)
azimuths = st.floats(-math.pi, math.pi)


@given(lengths, lengths, azimuths, lengths, azimuths, st.floats(-1e-2, 1e-2))
def test_aberrations_are_those_of_abtem(defocus, C12, phi12, C21, phi21, C30):
    alpha, phi = np.meshgrid(np.linspace(0, 0.04, 9), np.linspace(-3, 3, 7))
    found = aberration_phase(
        alpha,
        phi,
        2.5e-12,
        defocus_m=defocus,
        cs_m=C30,
        astigmatism_m=C12,
        astigmatism_angle=phi12,
        coma_m=C21,
        coma_angle=phi21,
    )
    expected = published_phase(alpha, phi, 2.5e-12, -defocus, C12, phi12, C21, phi21, C30)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)


def test_aberrations_are_in_the_probe():
    """The transform of the probe has exp(-i chi), with phi from x (columns) to y (rows)."""
    keys = {
        "defocus_m": 5e-9,
        "cs_m": 2e-6,
        "astigmatism_m": 3e-9,
        "astigmatism_angle": 0.3,
        "coma_m": 1e-7,
        "coma_angle": 1.1,
    }
    probe = electron(128, ELECTRONS, semi_angle=0.02, **keys)
    pupil = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe)))
    step = ELECTRONS.wavelength_m / (128 * ELECTRONS.object_pixel_m)
    checked = 0
    for row in range(128):
        for column in range(128):
            x, y = (column - 64) * step, (row - 64) * step
            if math.hypot(x, y) < 0.019:
                chi = published_phase(
                    math.hypot(x, y), math.atan2(y, x), ELECTRONS.wavelength_m,
                    -5e-9, 3e-9, 0.3, 1e-7, 1.1, 2e-6,
                )  # fmt: skip
                turned = pupil[row, column] * np.exp(1j * chi) / pupil[64, 64]
                assert abs(turned - 1) < 1e-9
                checked += 1
    assert checked > 500


def test_sign_of_the_defocus_of_electrons():
    """Underfocus, above zero: the focus is still to come."""
    focus = electron(128, ELECTRONS, semi_angle=0.02)
    under = electron(128, ELECTRONS, semi_angle=0.02, defocus_m=1e-8)
    assert sharing(moved(under, ELECTRONS, 1e-8), focus) > 0.999
    assert sharing(moved(under, ELECTRONS, -1e-8), focus) < 0.5


def test_scherzer_defocus():
    """abTEM's 1.2 sqrt(Cs wavelength): a flat phase of -0.72 pi, then 0 at 1.55 (wave/Cs)^1/4."""
    cs, wave = 1.2e-3, 1.969e-12
    defocus = 1.2 * math.sqrt(cs * wave)
    alpha = np.linspace(0, 2 * (wave / cs) ** 0.25, 4001)
    chi = aberration_phase(alpha, 0.0, wave, defocus_m=defocus, cs_m=cs)
    assert chi.min() == pytest.approx(-0.72 * math.pi, rel=1e-5)
    assert alpha[chi.argmin()] == pytest.approx(math.sqrt(defocus / cs), rel=1e-3)
    crossing = alpha[1:][np.diff(np.sign(chi[1:]), append=0) > 0][0]
    assert crossing == pytest.approx(math.sqrt(2.4) * (wave / cs) ** 0.25, rel=1e-3)


# --- Zernike ---


@pytest.mark.parametrize("ordering", ["noll", "osa"])
def test_zernike_polynomials_are_orthonormal(ordering):
    first = 1 if ordering == "noll" else 0
    nodes, weights = np.polynomial.legendre.leggauss(20)
    rho = np.sqrt((nodes + 1) / 2)  # equal areas: a mean over rho**2
    theta = np.arange(40) * 2 * np.pi / 40
    values = np.array(
        [polynomial(*degrees(j, ordering), rho[:, None], theta) for j in range(first, first + 36)]
    )
    products = np.einsum("irt,jrt,r->ij", values, values, weights / 2) / len(theta)
    np.testing.assert_allclose(products, np.eye(36), atol=1e-12)
    assert len({degrees(j, ordering) for j in range(first, first + 120)}) == 120


def test_zernike_polynomials_of_nolls_table():
    rho, theta = np.meshgrid(np.linspace(0, 1, 7), np.linspace(-3, 3, 5))
    table = {
        1: np.ones_like(rho),
        2: 2 * rho * np.cos(theta),
        3: 2 * rho * np.sin(theta),
        4: math.sqrt(3) * (2 * rho**2 - 1),
        5: math.sqrt(6) * rho**2 * np.sin(2 * theta),
        6: math.sqrt(6) * rho**2 * np.cos(2 * theta),
        7: math.sqrt(8) * (3 * rho**3 - 2 * rho) * np.sin(theta),
        8: math.sqrt(8) * (3 * rho**3 - 2 * rho) * np.cos(theta),
        9: math.sqrt(8) * rho**3 * np.sin(3 * theta),
        10: math.sqrt(8) * rho**3 * np.cos(3 * theta),
        11: math.sqrt(5) * (6 * rho**4 - 6 * rho**2 + 1),
    }
    for j, expected in table.items():
        np.testing.assert_allclose(
            polynomial(*degrees(j, "noll"), rho, theta), expected, atol=1e-13
        )


def test_zernike_tilt_moves_the_pattern():
    """Noll 2 is 2 rho cos: a waves are 2 a / radius cycles per pixel, along x."""
    probe = zernike(64, coefficients=(0.75,), indices=(2,), phase_unit="waves", aperture_radius=16)
    pattern = np.abs(np.fft.fftshift(np.fft.fft2(probe))) ** 2
    peak = np.unravel_index(pattern.argmax(), pattern.shape)
    assert peak == (32, 32 + 64 * 2 * 0.75 / 16)


def test_random_aberrations():
    keys = {"aperture_radius": 24, "random_rms": 0.4}
    one, same, other = (zernike(64, seed, **keys) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)
    inside = np.abs(one) > 0.99 * np.abs(one).max()
    for probe in (one, other):
        phase = np.angle(probe)[inside]
        assert phase.std() == pytest.approx(0.4, rel=0.06)
        # Neither piston nor tilt: the beam's pattern stays where it is.
        y, x = np.nonzero(inside)
        assert abs(np.corrcoef(x, phase)[0, 1]) < 0.1
        assert abs(np.corrcoef(y, phase)[0, 1]) < 0.1
    spec = ProbeSpec(kind="zernike", random_rms=0.1, phase_unit="waves")
    assert not np.allclose(make_probe(spec, 32, seed=1), make_probe(spec, 32, seed=2))


def test_zernike_apertures():
    areas = {"disk": math.pi * 144, "annulus": math.pi * (144 - 36), "square": 576}
    for aperture, area in areas.items():
        probe = zernike(64, aperture=aperture, aperture_radius=12)
        assert 1 / np.abs(probe).max() ** 2 == pytest.approx(area, rel=0.08)
        pupil = zernike(64, aperture=aperture, aperture_radius=12, plane="fourier")
        back = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(pupil), norm="ortho"))
        np.testing.assert_allclose(back, probe, atol=1e-12)
    focus = zernike(64, aperture_radius=8, plane="fourier")
    assert first_zero(focus, 0.61 * 64 / 8) == pytest.approx(0.61 * 64 / 8, rel=0.01)
    aberrated = zernike(64, plane="fourier", coefficients=(1.0,), indices=(12,), ordering="osa")
    strehl = (np.abs(aberrated).max() / np.abs(zernike(64, plane="fourier")).max()) ** 2
    assert strehl == pytest.approx(math.exp(-1.0), abs=0.06)  # Marechal: exp(-rms**2)


# --- Gaussian beams ---


@given(N=st.sampled_from([48, 63, 64]), sigma=st.floats(2, 6))
@settings(max_examples=20)
def test_gaussian_widths(N, sigma):
    probe = gaussian(N, sigma=sigma)
    place = np.arange(N) - N // 2
    power = (probe**2).sum(axis=0)
    assert (power * place).sum() == pytest.approx(0, abs=2e-3)
    assert (power * place**2).sum() == pytest.approx(sigma**2, rel=2e-3)
    pattern = (np.abs(np.fft.fftshift(np.fft.fft2(probe, norm="ortho"))) ** 2).sum(axis=0)
    assert pattern.sum() == pytest.approx(1)
    # The narrowest pattern that a beam of this width can have: N / (4 pi sigma).
    assert (pattern * place**2).sum() == pytest.approx((N / (4 * math.pi * sigma)) ** 2, rel=1e-3)
    np.testing.assert_allclose(
        super_gaussian(N, radius=sigma * math.sqrt(2), order=1), probe, atol=1e-12
    )


def test_lengths_in_metres():
    geometry = Geometry(N=32, object_pixel_m=2e-8)
    np.testing.assert_allclose(gaussian(32, geometry, sigma_m=8e-8), gaussian(32, sigma=4.0))
    np.testing.assert_allclose(
        super_gaussian(32, geometry, radius_m=2e-7), super_gaussian(32, radius=10.0)
    )
    top = super_gaussian(64, radius=20, order=50)
    assert (top > 0.5 * top.max()).sum() == pytest.approx(math.pi * 400, rel=0.02)


# --- from file ---


@pytest.mark.parametrize(("n", "N"), [(24, 36), (27, 36), (27, 39), (36, 27), (39, 24), (36, 36)])
def test_other_sides(n, N):
    wide, narrow = np.zeros((2, n, n)), np.zeros((2, N, N))
    wide[:, n // 2, n // 2] = narrow[:, N // 2, N // 2] = 1
    np.testing.assert_array_equal(resized(wide, N, resample=False), narrow)
    smooth = np.stack([gaussian(n, sigma=n / 12)] * 2)
    fine = resized(smooth, N, resample=True)
    assert (np.abs(fine) ** 2).sum() == pytest.approx(2, rel=1e-3)
    np.testing.assert_allclose(fine[0], gaussian(N, sigma=N / 12), atol=2e-3)


def test_a_file_of_several_modes_keeps_its_power(tmp_path):
    rng = np.random.default_rng(3)
    modes = (rng.normal(size=(3, 16, 16)) + 1j * rng.normal(size=(3, 16, 16))).astype("c8")
    np.savez(tmp_path / "probe.npz", probeGuess=modes)
    keys = {"kind": "file", "file": str(tmp_path / "probe.npz"), "normalise": False}
    np.testing.assert_array_equal(make_probe(ProbeSpec(**keys), 16), modes)
    larger = make_probe(ProbeSpec(**keys, resize="pad_or_crop"), 20)
    assert np.array_equal(larger[:, 2:18, 2:18], modes)
    with pytest.raises(ValueError, match=r"because N = 20; probe\.resize changes the side"):
        from_file(20, file=tmp_path / "probe.npz")


# --- all kinds, from every door ---

EVERY = {
    "ideal_disk": {},
    "gaussian": {"sigma": 3.0},
    "super_gaussian": {"radius": 8.0},
    "zernike": {"coefficients": [0.5, 0.3], "indices": [4, 8]},
    "zone_plate": {"zone_plate": "Velociprobe", "defocus_m": 1e-4},
    "electron": {"semi_angle": 0.02, "defocus_m": 2e-9},
    "file": {"file": "probe.npy"},
}
OPTICS = {
    "zone_plate": {"energy_ev": 8.8e3, "object_pixel_m": 1e-8},
    "electron": {"radiation": "electron", "energy_ev": 2e5, "object_pixel_m": 2e-11},
}
SMALL = """
schema = 2
name = "small"
N = 32
object.size = 64
scan.n_patterns = 4
scan.buffer = 16.0
dose.nphotons = 1e5
"""


def test_every_kind_is_tried():
    assert set(EVERY) == set(KINDS.listed)


@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_runs_from_toml_and_flags(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("probe.npy", gaussian(32, sigma=4))
    (tmp_path / "small.toml").write_text(SMALL)
    keys = {"probe.kind": kind}
    keys |= {f"probe.{name}": value for name, value in EVERY[kind].items()}
    keys |= {f"optics.{name}": value for name, value in OPTICS.get(kind, {}).items()}
    flags = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
    assert main(["small.toml", *flags, "--out", "made.npz", "--quiet"]) == 0
    scenario = Scenario.from_toml(SMALL).replace(keys)
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    simulator = Simulator(scenario)
    probe = simulator.experiment.probe
    assert probe.shape == (1, 32, 32)
    with np.load("made.npz") as file:
        np.testing.assert_array_equal(file["probeGuess"].reshape(probe.shape), probe)
    # Parseval: vacuum gives the probe's own diffraction, with the probe's energy.
    vacuum = Simulator(
        scenario.replace({"noise": False}), object=np.ones((96, 96)), positions=[[48.0, 48.0]]
    ).frames(0, 1)[0]
    far = np.fft.fftshift(np.abs(np.fft.fft2(probe[0], norm="ortho")) ** 2)
    np.testing.assert_allclose(vacuum, far, atol=2e-6 * far.max())
    assert vacuum.sum() == pytest.approx((np.abs(probe) ** 2).sum(), rel=1e-5)


@pytest.mark.parametrize("kind", [name for name in EVERY if name not in ("ideal_disk", "file")])
@pytest.mark.parametrize("N", [31, 64])
def test_physical_probes_have_unit_power(kind, N):
    optics = OPTICS.get(kind, {})
    geometry = make_geometry(N, **optics)
    spec = ProbeSpec(kind=kind, **EVERY[kind], normalise=False)
    probe = make_probe(spec, N, geometry=geometry)
    assert (np.abs(probe.astype(complex)) ** 2).sum() == pytest.approx(1, rel=1e-5)
    assert np.array_equal(probe, make_probe(spec, N, geometry=geometry))


# Area of the beam 1 / sum |p|**4, and the field at the centre and 3 and 8 pixels beside it.
GOLDEN = {
    "ideal_disk": (86.30301, 0.999999, 0.940253, 0.000133),
    "gaussian": (113.09728, 0.132981, 0.103566, 0.022476),
    "super_gaussian": (216.72442, 0.074075, 0.074061, 0.044929),
    "zernike": (198.98494, 0.046799 - 0.055026j, 0.031172 - 0.065164j, -0.005174 + 0.035745j),
    "zone_plate": (699.29468, -0.050112 - 0.042477j, -0.015726 - 0.046291j, 0.032736 + 0.016970j),
    "electron": (27.84581, 0.245287 + 0.137190j, 0.068850 + 0.002951j, 0.006317 + 0.013604j),
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_the_probes_stay_what_they_are(kind):
    geometry = make_geometry(32, **OPTICS.get(kind, {}))
    spec = ProbeSpec(kind=kind, **EVERY[kind], normalise=False)
    probe = make_probe(spec, 32, geometry=geometry).astype(complex)
    power = np.abs(probe) ** 2
    area, *fields = GOLDEN[kind]
    assert power.sum() ** 2 / (power**2).sum() == pytest.approx(area, rel=1e-5)
    np.testing.assert_allclose(probe[16, [16, 19, 24]], fields, atol=2e-6)


@pytest.mark.parametrize(
    ("make", "key", "message"),
    [
        (lambda: zone_plate(64), "optics.wavelength_m", "expected optics.energy_ev or"),
        (
            lambda: zone_plate(64, Geometry(N=64, wavelength_m=1e-10)),
            "optics.object_pixel_m",
            "since probe.kind 'zone_plate' needs it",
        ),
        (lambda: zone_plate(128, ELECTRONS), "optics.radiation", "'electron' given, expected 'ph"),
        (lambda: electron(128, XRAYS), "optics.radiation", "'photon' given, expected 'electron'"),
        (lambda: zone_plate(128, XRAYS), "probe.diameter_m", "probe.zone_plate, one of 2-ID-D"),
        (
            lambda: zone_plate(128, XRAYS, diameter_m=1e-4),
            "probe.outer_zone_width_m",
            "nothing given",
        ),
        (
            lambda: zone_plate(128, XRAYS, zone_plate="HXN", central_stop_m=2e-4),
            "probe.central_stop_m",
            "less than the diameter",
        ),
        (
            lambda: zone_plate(128, XRAYS, zone_plate="HXN", outer_zone_width_m=1e-4),
            "probe.outer_zone_width_m",
            "far less",
        ),
        (
            lambda: zone_plate(128, XRAYS, zone_plate="LYNX", defocus_m=-1.0),
            "probe.defocus_m",
            "above minus the focal length (0.0488",
        ),
        (
            lambda: zone_plate(128, XRAYS, zone_plate="PtychoProbe"),
            "probe.kind",
            "whose cone is 250.5 detector pixels wide, expected less than N = 128",
        ),
        (
            lambda: zone_plate(128, XRAYS, zone_plate="LYNX", defocus_m=3e-3),
            "probe.kind",
            "a larger N or object pixel, or less defocus",
        ),
        (
            lambda: electron(128, ELECTRONS, defocus_m=100.0),
            "probe.kind",
            "are all lengths in metres?",
        ),
        (
            lambda: electron(128, ELECTRONS, semi_angle=0.2),
            "probe.kind",
            "detector pixels wide, expected less than N = 128",
        ),
        (lambda: electron(128, ELECTRONS, cs_m=5e-3), "probe.kind", "beam is"),
        (
            lambda: gaussian(32, sigma=3.0, sigma_m=3e-8),
            "probe.sigma_m",
            "nothing beside probe.sigma",
        ),
        (lambda: gaussian(32, sigma=9.0), "probe.sigma", "expected 0.3183 to 8 pixels"),
        (
            lambda: gaussian(32, Geometry(N=32, object_pixel_m=1e-8), sigma_m=0.05),
            "probe.sigma_m",
            "is it in metres?",
        ),
        (lambda: gaussian(32, sigma=5e-8), "probe.sigma", "is it in pixels?"),
        (lambda: super_gaussian(32, radius=16.0), "probe.radius", "a larger N or another width"),
        (lambda: gaussian(32, sigma_m=3e-8), "optics.object_pixel_m", "probe.sigma_m needs it"),
        (lambda: zernike(32, coefficients=(1.0,)), "probe.coefficients", "1 numbers given"),
        (
            lambda: zernike(32, coefficients=(1.0,), indices=(0,)),
            "probe.indices",
            "1 or more in the ordering 'noll'",
        ),
        (lambda: zernike(32, aperture_radius=17), "probe.aperture_radius", "at most N/2"),
    ],
)
def test_errors_say_what_to_change(make, key, message):
    with pytest.raises(ScenarioError) as caught:
        make()
    assert caught.value.key == key
    assert message in str(caught.value)
