"""Exposures that are not plain: all backends against the definition, and the physics."""

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptycho_fast import diffract, extract_patches, observe
from ptycho_fast.optics import transfer_function

SIZES = [cases.Case(8), cases.Case(33, 2), cases.Case(62), cases.Case(64, 3), cases.Case(96)]


@pytest.mark.parametrize("name", cases.EXPOSURES)
@pytest.mark.parametrize("case", SIZES, ids=str)
def test_against_reference(fast_backend, case, name):
    arrays, options = cases.arguments(case, name)
    made = np.sqrt(diffract(*arrays, backend=fast_backend, **options).astype(np.float64))
    exact = np.sqrt(diffract(*arrays, backend="reference", **options).astype(np.float64))
    brightest = exact.max(axis=(1, 2))
    seen = brightest > 0
    error = np.abs(made - exact).max(axis=(1, 2))
    assert (error[seen] < cases.MAX_ERROR * brightest[seen]).all()
    assert not made[~seen].any()


def probe_and_object(N, modes, rng, *shape):
    def normal(*size):
        return (rng.normal(size=size) + 1j * rng.normal(size=size)).astype(np.complex64)

    return normal(modes, N, N), normal(*(shape or (N + 9, N + 12)))


# --- transforms ---


@settings(max_examples=20, deadline=None)
@given(N=st.integers(8, 70), modes=st.integers(1, 16), seed=st.integers(0, 2**32 - 1))
def test_parseval(backend, N, modes, seed):
    """The far field has the energy of the exit waves: every side, odd ones too."""
    rng = np.random.default_rng(seed)
    probe, obj = probe_and_object(N, modes, rng)
    at = [[N // 2 + 3.25, N // 2 + 5.5]]
    intensity = diffract(obj, probe, at, backend=backend)[0]
    patch = extract_patches(obj, at, N, backend=backend)[0]
    energy = (np.abs(probe.astype(np.complex128) * patch) ** 2).sum()
    assert intensity.sum(dtype=np.float64) == pytest.approx(energy, rel=3e-6)


def test_shifted_object_is_shifted_position(backend):
    rng = np.random.default_rng(4)
    probe, obj = probe_and_object(32, 2, rng, 80, 90)
    there = diffract(obj, probe, [[40.25, 37.5]], backend=backend)
    moved = diffract(np.roll(obj, (-3, 5), (0, 1)), probe, [[45.25, 34.5]], backend=backend)
    np.testing.assert_array_equal(moved, there)


# --- modes, weights, eigenprobes ---


def test_modes_add_as_intensities(backend):
    """Not as waves: a coherent sum differs by far."""
    rng = np.random.default_rng(1)
    probe, obj = probe_and_object(33, 3, rng)
    at = rng.uniform(15, 25, (4, 2))
    together = diffract(obj, probe, at, backend=backend)
    apart = sum(diffract(obj, mode, at, backend=backend) for mode in probe)
    coherent = diffract(obj, probe.sum(axis=0), at, backend=backend)
    np.testing.assert_allclose(together, apart, rtol=1e-5, atol=1e-5 * apart.max())
    assert np.abs(coherent - together).max() > 0.3 * together.max()


def test_weights(backend):
    """They multiply waves, so intensities go with their squares; ones change nothing."""
    rng = np.random.default_rng(2)
    probe, obj = probe_and_object(32, 2, rng)
    at = rng.uniform(15, 25, (3, 2))
    plain = diffract(obj, probe, at, backend=backend)
    ones = diffract(obj, probe, at, weights=np.ones((3, 2), np.float32), backend=backend)
    np.testing.assert_allclose(ones, plain, rtol=1e-5, atol=1e-6 * plain.max())
    weights = np.array([[2, 0], [0, -3], [1, 0.5]], np.float32)
    made = diffract(obj, probe, at, weights=weights, backend=backend)
    first, second = (diffract(obj, mode, at, backend=backend) for mode in probe)
    squares = weights[:, :, None, None] ** 2
    expected = squares[:, 0] * first + squares[:, 1] * second
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-5 * expected.max())


def test_eigenprobes_add_as_waves(backend):
    rng = np.random.default_rng(3)
    planes, obj = probe_and_object(32, 4, rng)
    at = rng.uniform(15, 25, (2, 2))
    weights = rng.normal(size=(2, 4)).astype(np.float32)
    made = diffract(obj, planes, at, weights=weights, modes=2, backend=backend)
    for b in range(2):
        waves = planes * weights[b][:, None, None]
        own = np.stack([waves[0] + waves[2] + waves[3], waves[1]])
        expected = diffract(obj, own, at[b : b + 1], backend=backend)[0]
        np.testing.assert_allclose(made[b], expected, rtol=1e-5, atol=1e-5 * expected.max())


# --- fly scans ---


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_fly_scan_is_the_mean(backend, parts):
    rng = np.random.default_rng(parts)
    probe, obj = probe_and_object(33, 2, rng)
    paths = rng.uniform(15, 25, (3, parts, 2))
    made = diffract(obj, probe, paths, backend=backend)
    single = [diffract(obj, probe, paths[:, s], backend=backend) for s in range(parts)]
    expected = np.mean(single, axis=0, dtype=np.float64)
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6 * expected.max())
    # At rest it is one pattern.
    still = np.repeat(paths[:, :1], parts, axis=1)
    made = diffract(obj, probe, still, backend=backend)
    np.testing.assert_allclose(made, single[0], rtol=1e-5, atol=1e-6 * expected.max())


# --- beyond the edge ---


@pytest.mark.parametrize("boundary", ["zero", "vacuum", "edge"])
def test_boundary_is_padding(backend, boundary):
    """The same as an object that is large enough, made so by NumPy."""
    rng = np.random.default_rng(5)
    N, width = 16, 24
    probe, obj = probe_and_object(N, 2, rng, 11, 13)
    how = {
        "zero": {"mode": "constant"},
        "vacuum": {"mode": "constant", "constant_values": 1},
        "edge": {"mode": "edge"},
    }[boundary]
    padded = np.pad(obj, width, **how)
    at = rng.uniform(-8, 20, (12, 2))
    patches = extract_patches(obj, at, N, boundary=boundary, backend=backend)
    whole = extract_patches(padded, at + width, N, backend=backend)
    np.testing.assert_allclose(patches, whole, rtol=1e-5, atol=1e-5)
    made = diffract(obj, probe, at, boundary=boundary, backend=backend)
    expected = diffract(padded, probe, at + width, backend=backend)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_far_outside(backend):
    """Vacuum shows the probe's own diffraction, the edge goes on for ever, and zero is dark."""
    rng = np.random.default_rng(6)
    probe, obj = probe_and_object(16, 1, rng)
    at = [[-1e9, 8], [1e300, 1e300]]
    own = diffract(np.ones((40, 40)), probe, [[20, 20]], backend=backend)[0]
    made = diffract(obj, probe, at, boundary="vacuum", backend=backend)
    np.testing.assert_allclose(made, [own, own], rtol=1e-5, atol=1e-6 * own.max())
    corner = diffract(obj, probe, at, boundary="edge", backend=backend)[1]
    expected = own * np.abs(obj[-1, -1]) ** 2
    np.testing.assert_allclose(corner, expected, rtol=1e-5, atol=1e-5 * expected.max())
    assert not diffract(obj, probe, at, backend=backend).any()


# --- dose ---


def test_factors_scale_the_mean(backend):
    vacuum, probe = np.ones((40, 40)), np.ones((16, 16))
    at, factors = np.full((80, 2), 20.0), np.repeat([1.0, 2.0, 0.0, 0.5], 20)
    options = {"scale": 3.0, "seed": 11, "backend": backend}
    counts = observe(vacuum, probe, at, factors=factors, **options)
    total = counts.sum(axis=(1, 2), dtype=np.float64).reshape(4, 20).mean(axis=1)
    expected = 9 * 256 * np.array([1, 2, 0, 0.5])
    assert (np.abs(total - expected) <= 5 * np.sqrt(expected / 20)).all()
    ones = observe(vacuum, probe, at, factors=np.ones(80), **options)
    assert ones.tobytes() == observe(vacuum, probe, at, **options).tobytes()


def test_factors_are_those_of_the_rates(fast_backend):
    """The fused chain counts what the stages count one by one."""
    from ptycho_fast import sample_photons

    obj, probe, at = cases.Case(32, 2).inputs()
    factors = np.linspace(0, 3, len(at))
    options = {"seed": 5, "backend": fast_backend}
    fused = observe(obj, probe, at, scale=2.5, factors=factors, **options)
    doses = (2.5**2 * factors).astype(np.float32)[:, None, None]
    rates = doses * diffract(obj, probe, at, backend=fast_backend)
    assert fused.tobytes() == sample_photons(rates, **options).tobytes()


# --- slices ---


def test_nothing_between_slices(backend):
    """Vacuum slices without distance change nothing, before and behind."""
    rng = np.random.default_rng(7)
    probe, obj = probe_and_object(33, 2, rng)
    at = rng.uniform(15, 25, (3, 2))
    single = diffract(obj, probe, at, boundary="vacuum", backend=backend)
    still = np.ones((33, 33), np.complex64)
    for number in range(3):
        slices = np.ones((3, *obj.shape), np.complex64)
        slices[number] = obj
        made = diffract(slices, probe, at, between=still, boundary="vacuum", backend=backend)
        np.testing.assert_allclose(made, single, rtol=1e-4, atol=2e-6 * single.max())


def test_thin_slices_multiply(backend):
    """Without distance between them, slices on whole pixels are one: their product."""
    rng = np.random.default_rng(8)
    probe, obj = probe_and_object(32, 1, rng, 3, 60, 60)
    at = rng.integers(20, 40, (3, 2)).astype(np.float64)
    still = np.ones((32, 32), np.complex64)
    made = diffract(obj, probe, at, between=still, backend=backend)
    expected = diffract(obj.prod(axis=0), probe, at, backend=backend)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=2e-6 * expected.max())


def test_vacuum_slices_are_distance(backend):
    """Through empty slices the wave goes on as through their total thickness."""
    N, pixel, wavelength, step = 64, 20e-9, 1.5e-10, 2e-6
    probe = gaussian(N, 6)
    near = transfer_function(N, pixel, wavelength, 4 * step)
    whole = diffract(np.ones((N, N)), probe, [[32, 32]], near=near, boundary="vacuum",
                     backend=backend)  # fmt: skip
    between = transfer_function(N, pixel, wavelength, step)
    made = diffract(np.ones((4, N, N)), probe, [[32, 32]], between=between, near=between,
                    boundary="vacuum", backend=backend)  # fmt: skip
    np.testing.assert_allclose(made, whole, rtol=1e-4, atol=2e-6 * whole.max())


@settings(max_examples=15, deadline=None)
@given(
    N=st.integers(8, 66), slices=st.integers(1, 5), near=st.booleans(), seed=st.integers(0, 10**6)
)
def test_phase_objects_keep_the_energy(backend, N, slices, near, seed):
    rng = np.random.default_rng(seed)
    probe, _ = probe_and_object(N, 2, rng)
    obj = np.exp(1j * rng.normal(0, 2, (slices, 40, 40)))
    transfer = transfer_function(N, 20e-9, 1.5e-10, 3e-6)
    at = rng.integers(0, 40, (2, 2)).astype(np.float64)  # on whole pixels: nothing is averaged
    made = diffract(
        obj, probe, at, between=transfer, near=transfer if near else None, boundary="vacuum",
        backend=backend,
    )  # fmt: skip
    energy = (np.abs(probe.astype(np.complex128)) ** 2).sum()
    np.testing.assert_allclose(made.sum(axis=(1, 2), dtype=np.float64), energy, rtol=5e-6)


# --- near field ---


def gaussian(N, waist):
    """Amplitude exp(-r**2 / w0**2) around the pixel (N//2, N//2)."""
    r2 = (np.arange(N) - N // 2) ** 2
    return np.exp(-(r2[:, None] + r2) / waist**2).astype(np.complex64)


@pytest.mark.parametrize("N", [128, 131])
def test_gaussian_beam(backend, N):
    """Its width and its peak, A. E. Siegman, Lasers, section 17.1: w0 sqrt(1 + (z / zR)**2)."""
    pixel, wavelength, w0 = 20e-9, 1.5e-10, 8 * 20e-9
    rayleigh = np.pi * w0**2 / wavelength
    for z in (0.0, 0.5 * rayleigh, rayleigh, 1.5 * rayleigh, -rayleigh):
        near = transfer_function(N, pixel, wavelength, z)
        image = diffract(
            np.ones((N, N)), gaussian(N, 8), [[N // 2, N // 2]], near=near, boundary="vacuum",
            backend=backend,
        )[0].astype(np.float64)  # fmt: skip
        grown = 1 + (z / rayleigh) ** 2
        exact = gaussian(N, 8 * np.sqrt(grown)).real.astype(np.float64) ** 2 / grown
        np.testing.assert_allclose(image, exact, rtol=0, atol=2e-5 * exact.max())
        assert image[N // 2, N // 2] == pytest.approx(1 / grown, rel=1e-4)
        r = np.arange(N) - N // 2
        variance = (image.sum(axis=0) * r**2).sum() / image.sum()
        assert 2 * np.sqrt(variance) == pytest.approx(8 * np.sqrt(grown), rel=1e-3)
        assert image.sum() == pytest.approx((gaussian(N, 8).real ** 2).sum(), rel=1e-5)


def test_contact_image(backend):
    """Without distance the image is the exit wave's own, pixel by pixel, not shifted."""
    rng = np.random.default_rng(9)
    for N in (32, 33, 62):
        probe, obj = probe_and_object(N, 2, rng, N + 4, N + 4)
        at = [[N // 2 + 1.5, N // 2 + 2.25]]
        made = diffract(obj, probe, at, near=np.ones((N, N)), backend=backend)[0]
        waves = probe * extract_patches(obj, at, N, backend=backend)[0]
        expected = (np.abs(waves) ** 2).sum(axis=0)
        np.testing.assert_allclose(made, expected, rtol=1e-4, atol=2e-6 * expected.max())


def test_transfer_of_a_ramp_moves_the_image(backend):
    """The sign of the transform back: exp(-2 pi i f d) moves by +d, rows and columns apart."""
    rng = np.random.default_rng(10)
    N = 48
    probe, obj = probe_and_object(N, 1, rng)
    f = np.fft.fftfreq(N)
    ramp = np.exp(-2j * np.pi * (3 * f[:, None] - 5 * f))
    at = [[N // 2, N // 2]]
    still = diffract(obj, probe, at, near=np.ones((N, N)), backend=backend)[0]
    made = diffract(obj, probe, at, near=ramp, backend=backend)[0]
    expected = np.roll(still, (3, -5), (0, 1))
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=2e-6 * expected.max())


# --- pixels of the detector ---


def moments(image, center):
    """Sum, and variance along rows and columns, around a pixel."""
    r2 = (np.arange(len(image)) - center) ** 2
    total = image.sum()
    return total, (image.sum(axis=0) * r2).sum() / total, (image.sum(axis=1) * r2).sum() / total


@settings(max_examples=20, deadline=None)
@given(q=st.integers(1, 9), N=st.integers(1, 12), near=st.booleans(), seed=st.integers(0, 10**6))
def test_bin_keeps_the_sum(backend, q, N, near, seed):
    n = q * N
    if n < 8:
        return
    rng = np.random.default_rng(seed)
    probe, obj = probe_and_object(n, 2, rng)
    options = {"near": np.ones((n, n)) if near else None, "backend": backend}
    at = [[n // 2 + 2.5, n // 2 + 3.25]]
    fine = diffract(obj, probe, at, **options)
    made = diffract(obj, probe, at, bin=q, **options)
    assert made.shape == (1, N, N)
    total = fine.sum(dtype=np.float64)
    assert made.sum(dtype=np.float64) == pytest.approx(total, rel=2e-6)
    if q % 2:  # whole pixels, around the same centre
        first = n // 2 - N // 2 * q - q // 2
        blocks = np.roll(fine[0], (-first, -first), (0, 1)).reshape(N, q, N, q)
        np.testing.assert_allclose(made[0], blocks.sum(axis=(1, 3)), rtol=1e-5, atol=1e-7 * total)


@pytest.mark.parametrize("q", [2, 3, 4])
def test_bin_is_a_larger_pixel_of_the_same_pattern(backend, q):
    """The zero-padded probe has the same far field, finer; its centre stays on N//2."""
    N = 48
    n = q * N
    wide = gaussian(N, 3)
    padded = np.zeros((n, n), np.complex64)
    begin = n // 2 - N // 2
    padded[begin : begin + N, begin : begin + N] = wide
    made = diffract(
        np.ones((n, n)), padded, [[n // 2, n // 2]], bin=q, boundary="vacuum",
        backend=backend,
    )[0].astype(np.float64)  # fmt: skip
    plain = diffract(np.ones((N, N)), wide, [[N // 2, N // 2]], boundary="vacuum", backend=backend)
    sampled = plain[0].astype(np.float64)
    assert made.sum() == pytest.approx(sampled.sum(), rel=1e-5)
    assert np.unravel_index(made.argmax(), made.shape) == (N // 2, N // 2)
    np.testing.assert_allclose(made, made.T, rtol=0, atol=1e-5 * made.max())
    # The pixel's width adds its variance; fine pixels are 1 / q wide, for even q the outer halves.
    width = (q * q - 1) / 12 if q % 2 else (q * q + 2) / 12
    expected = moments(sampled, N // 2)[1] + width / q**2
    for variance in moments(made, N // 2)[1:]:
        assert variance == pytest.approx(expected, rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(N=st.integers(8, 40), length=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_spread_keeps_the_sum(backend, N, length, seed):
    rng = np.random.default_rng(seed)
    probe, obj = probe_and_object(N, 2, rng)
    half = rng.uniform(0.1, 1, length)
    half /= 2 * half.sum() - half[0]
    at = [[N // 2 + 2.5, N // 2 + 3.25]]
    sharp = diffract(obj, probe, at, backend=backend)
    made = diffract(obj, probe, at, spread=half, backend=backend)
    assert made.sum(dtype=np.float64) == pytest.approx(sharp.sum(dtype=np.float64), rel=3e-6)
    if length == 1:
        np.testing.assert_allclose(made, sharp, rtol=1e-5)


def test_spread_adds_its_variance(backend):
    """To a spot in the near field, off the centre so that rows and columns are told apart."""
    half = np.array([0.4, 0.2, 0.07, 0.03])
    variance = 2 * (half * np.arange(4) ** 2).sum()
    rows, columns = (gaussian(64, waist)[32].real for waist in (4, 6))
    spot = np.outer(rows, columns)
    options = {"near": np.ones((64, 64)), "boundary": "vacuum", "backend": backend}
    sharp = diffract(np.ones((64, 64)), spot, [[32, 32]], **options)[0].astype(np.float64)
    made = diffract(np.ones((64, 64)), spot, [[32, 32]], spread=half, **options)[0]
    _, across, along = moments(sharp, 32)
    total, wide, high = moments(made.astype(np.float64), 32)
    assert total == pytest.approx(sharp.sum(), rel=1e-6)
    assert wide == pytest.approx(across + variance, rel=1e-5)
    assert high == pytest.approx(along + variance, rel=1e-5)
