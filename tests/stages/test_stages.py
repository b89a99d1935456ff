"""Every backend, stage by stage and fused, against the float64 reference and against physics."""

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptycho_fast
from ptycho_fast.backend import reference


def exact_intensity(obj, probe, positions):
    """The reference before it is rounded to float32."""
    N = probe.shape[-1]
    waves = (reference.exit_wave(probe, reference.patch(obj, p, N)) for p in positions)
    return np.array([reference.intensity(reference.far_field(wave)) for wave in waves])


def assert_amplitudes_agree(intensity, exact, bound=cases.L2_ERROR):
    assert np.isfinite(intensity).all()
    amplitude, truth = np.sqrt(intensity.astype(np.float64)), np.sqrt(exact)
    largest = truth.max(axis=(1, 2))
    error = np.abs(amplitude - truth)
    assert (error.max(axis=(1, 2)) <= bound * largest).all()
    norm = np.sqrt((truth**2).sum(axis=(1, 2)))
    assert (np.sqrt((error**2).sum(axis=(1, 2))) <= bound * norm).all()
    energy, exact_energy = (x.astype(np.float64).sum(axis=(1, 2)) for x in (intensity, exact))
    assert (np.abs(energy - exact_energy) <= cases.ENERGY_ERROR * exact_energy).all()


@pytest.mark.parametrize("case", cases.ALL, ids=str)
def test_patches(backend, case):
    obj, _, positions = case.inputs()
    patches = ptycho_fast.extract_patches(obj, positions, case.N, backend=backend)
    assert patches.dtype == np.complex64
    assert patches.shape == (len(positions), case.N, case.N)
    exact = np.array([reference.patch(obj, p, case.N) for p in positions])
    assert np.abs(patches - exact).max() <= 1e-6 * np.abs(exact).max()


@pytest.mark.parametrize("case", cases.ALL, ids=str)
def test_intensity(backend, case):
    obj, probe, positions = case.inputs()
    intensity = ptycho_fast.diffract(obj, probe, positions, backend=backend)
    assert intensity.dtype == np.float32
    assert_amplitudes_agree(intensity, exact_intensity(obj, probe, positions))


@pytest.mark.slow
@pytest.mark.parametrize("case", cases.LARGE, ids=str)
def test_intensity_of_large_patterns(fast_backend, case):
    obj, probe, positions = case.inputs()
    positions = positions[[0, 5, 11, 14]]
    intensity = ptycho_fast.diffract(obj, probe, positions, backend=fast_backend)
    assert_amplitudes_agree(intensity, exact_intensity(obj, probe, positions))


@settings(deadline=None, max_examples=25)
@given(N=st.integers(8, 72), modes=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_intensity_of_any_size(fast_backend, N, modes, seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 2 * N, 2)
    obj = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    probe = (rng.normal(size=(modes, N, N)) + 1j * rng.normal(size=(modes, N, N))).astype("c8")
    positions = rng.uniform(-N, 2 * N, (3, 2))
    intensity = ptycho_fast.diffract(obj, probe, positions, backend=fast_backend)
    assert_amplitudes_agree(intensity, exact_intensity(obj, probe, positions))


@pytest.mark.parametrize("case", [cases.Case(32), cases.Case(33, 2), cases.Case(64, 4)], ids=str)
@pytest.mark.parametrize("output", ["counts", "amplitude"])
def test_fused_is_the_stages_one_by_one(backend, case, output):
    obj, probe, positions = case.inputs()
    scale, seed, first = 7.25, 99, 2**40
    intensity = ptycho_fast.diffract(obj, probe, positions, backend=backend)
    expected = np.float32(scale**2) * intensity
    counts = ptycho_fast.sample_photons(expected, seed=seed, index=first, backend=backend)
    apart = counts if output == "counts" else (np.sqrt(counts) / scale).astype(np.float32)
    fused = ptycho_fast.observe(
        obj, probe, positions, scale=scale, seed=seed, index=first, output=output,
        backend=backend,
    )  # fmt: skip
    assert fused.dtype == apart.dtype
    assert fused.tobytes() == apart.tobytes()
    assert counts.any()


def test_parseval_and_unitary_scale(backend):
    """The energy of a pattern is that of its exit waves, for one known by heart."""
    N = 64
    probe = np.ones((N, N), np.complex64)
    intensity = ptycho_fast.diffract(
        np.full((200, 200), 2.0, np.complex64), probe, [[100, 100]], backend=backend
    )
    assert intensity.sum(dtype=np.float64) == pytest.approx(4 * N * N, rel=1e-6)
    assert np.unravel_index(intensity[0].argmax(), (N, N)) == (N // 2, N // 2)


@pytest.mark.parametrize("N", [32, 33])
def test_zero_frequency_stands_at_half(backend, N):
    """A probe with k periods along x is a peak k pixels right of the middle."""
    phase = 2j * np.pi * 3 * np.arange(N) / N
    probe = np.broadcast_to(np.exp(phase), (N, N)).astype(np.complex64)
    intensity = ptycho_fast.diffract(
        np.ones((99, 99), np.complex64), probe, [[50, 50]], backend=backend
    )
    assert np.unravel_index(intensity[0].argmax(), (N, N)) == (N // 2, N // 2 + 3)


def test_vacuum_shows_the_probe(backend):
    rng = np.random.default_rng(3)
    probe = (rng.normal(size=(48, 48)) + 1j * rng.normal(size=(48, 48))).astype(np.complex64)
    intensity = ptycho_fast.diffract(
        np.ones((100, 100), np.complex64), probe, [[50.3, 49.8]], backend=backend
    )
    exact = np.fft.fftshift(np.abs(np.fft.fft2(probe.astype(complex), norm="ortho")) ** 2)
    assert_amplitudes_agree(intensity, exact[None])


def test_a_position_is_where_index_half_lands(backend):
    """Golden impulse; swapped axes, negated offsets and half pixels would all miss it."""
    obj = np.zeros((128, 140), np.complex64)
    obj[52, 62] = 1 + 2j
    patch = ptycho_fast.extract_patches(obj, [[62, 52]], 64, backend=backend)[0]
    assert patch[32, 32] == 1 + 2j
    assert np.count_nonzero(patch) == 1
    patch = ptycho_fast.extract_patches(obj, [[61.75, 52.5]], 64, backend=backend)[0]
    weights = patch[31:33, 32:34] / np.complex64(1 + 2j)
    np.testing.assert_allclose(weights, [[0.375, 0.125], [0.375, 0.125]], rtol=1e-6)


def test_minimum_corner_of_the_golden_table(backend):
    rng = np.random.default_rng(4)
    obj = (rng.normal(size=(128, 128)) + 0j).astype(np.complex64)
    patch = ptycho_fast.extract_patches(obj, [[62, 52]], 64, backend=backend)[0]
    np.testing.assert_array_equal(patch, obj[20:84, 30:94])


def test_a_moved_object_is_a_moved_position(backend):
    obj, probe, _ = cases.Case(32).inputs()
    moved = np.zeros((obj.shape[0] + 7, obj.shape[1] + 9), np.complex64)
    moved[7:, 9:] = obj
    at = np.array([[20.25, 21.5]])  # dyadic, so that the weights are the same numbers
    first = ptycho_fast.diffract(obj, probe, at, backend=backend)
    second = ptycho_fast.diffract(moved, probe, at + np.array([9, 7]), backend=backend)
    np.testing.assert_array_equal(first, second)


def test_modes_add_incoherently(backend):
    obj, probe, positions = cases.Case(32, 3).inputs()
    together = ptycho_fast.diffract(obj, probe, positions, backend=backend)
    apart = sum(
        ptycho_fast.diffract(obj, mode, positions, backend=backend).astype(np.float64)
        for mode in probe
    )
    np.testing.assert_allclose(together, apart, rtol=1e-5, atol=1e-6 * apart.max())


def test_counts_follow_the_dose(backend):
    obj, probe, positions = cases.Case(32).inputs()
    positions = positions[-4:]
    energy = exact_intensity(obj, probe, positions).sum()
    for scale in (0.5, 1.0, 10.0):
        counts = ptycho_fast.observe(obj, probe, positions, scale=scale, seed=1, backend=backend)
        mean = scale**2 * energy
        assert abs(counts.sum(dtype=float) - mean) < 5 * np.sqrt(mean)


def test_wholly_outside_is_dark(backend):
    obj, probe, _ = cases.Case(32).inputs()
    far = [[-1e300, 0], [1e18, 1e18], [-40, 20], [20, 5000]]
    assert not ptycho_fast.diffract(obj, probe, far, backend=backend).any()
    assert not ptycho_fast.observe(obj, probe, far, scale=5, seed=0, backend=backend).any()


def test_outputs_are_aligned(backend):
    obj, probe, positions = cases.Case(9).inputs()
    for result in (
        ptycho_fast.extract_patches(obj, positions, 9, backend=backend),
        ptycho_fast.diffract(obj, probe, positions, backend=backend),
        ptycho_fast.observe(obj, probe, positions, scale=1, seed=0, backend=backend),
    ):
        assert result.ctypes.data % 64 == 0
        assert result.flags.c_contiguous


def test_out_is_filled_and_returned(backend):
    obj, probe, positions = cases.Case(32).inputs()
    shape = (len(positions), 32, 32)
    out = np.full(shape, np.nan, np.float32)
    assert ptycho_fast.diffract(obj, probe, positions, backend=backend, out=out) is out
    np.testing.assert_array_equal(out, ptycho_fast.diffract(obj, probe, positions, backend=backend))
    patches = np.full(shape, np.nan, np.complex64)
    assert ptycho_fast.extract_patches(obj, positions, 32, backend=backend, out=patches) is patches
    counts = np.full(shape, 7, np.uint32)
    options = {"scale": 2.0, "seed": 3, "backend": backend}
    assert ptycho_fast.observe(obj, probe, positions, out=counts, **options) is counts
    np.testing.assert_array_equal(counts, ptycho_fast.observe(obj, probe, positions, **options))


def test_other_types_and_orders_are_converted(backend):
    obj, probe, positions = cases.Case(32, 2).inputs()
    plain = ptycho_fast.diffract(obj, probe, positions, backend=backend)
    others = ptycho_fast.diffract(
        np.asfortranarray(obj.astype(np.complex128)),
        np.asfortranarray(probe),
        np.asfortranarray(positions),
        backend=backend,
    )
    np.testing.assert_array_equal(plain, others)
    real = np.abs(obj).astype(np.float64)
    np.testing.assert_array_equal(
        ptycho_fast.extract_patches(real, positions, 32, backend=backend),
        ptycho_fast.extract_patches(real.astype(np.complex64), positions, 32, backend=backend),
    )
    obj.flags.writeable = False
    np.testing.assert_array_equal(
        plain, ptycho_fast.diffract(obj, probe, positions, backend=backend)
    )
