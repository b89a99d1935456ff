"""Energies from correlations, against a direct float64 sum over every patch."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptycho_fast import diffract
from ptycho_fast.dose.energy import pattern_energies, probe_energies


def direct_energies(obj, probe, positions):
    """Sum every patch pixel by pixel; taps outside the object are zero, each on its own."""
    N = probe.shape[-1]
    modes = probe.reshape(-1, N, N)
    H, W = obj.shape
    energies = []
    for x, y in positions - N // 2:
        i, j = int(np.floor(x)), int(np.floor(y))
        u, v = x - i, y - j
        taps = np.zeros((N + 1, N + 1), complex)
        rows = np.arange(max(j, 0), min(j + N + 1, H))
        columns = np.arange(max(i, 0), min(i + N + 1, W))
        if rows.size and columns.size:
            taps[np.ix_(rows - j, columns - i)] = obj[np.ix_(rows, columns)]
        patch = (1 - v) * ((1 - u) * taps[:-1, :-1] + u * taps[:-1, 1:])
        patch += v * ((1 - u) * taps[1:, :-1] + u * taps[1:, 1:])
        energies.append((np.abs(modes * patch) ** 2).sum())
    return np.array(energies)


def complex_normal(rng, shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@settings(deadline=None)
@given(
    H=st.integers(1, 40),
    W=st.integers(1, 40),
    N=st.integers(1, 20),
    M=st.integers(0, 3),
    seed=st.integers(0, 2**32),
)
def test_equals_direct_sum(H, W, N, M, seed):
    rng = np.random.default_rng(seed)
    obj = complex_normal(rng, (H, W))
    probe = complex_normal(rng, (M, N, N) if M else (N, N))
    # From wholly outside on one side to wholly outside on the other, on and between pixels.
    positions = rng.uniform(-N - 3, np.array([W, H]) + N + 3, (60, 2))
    positions[:20] = np.round(positions[:20])
    positions[20:30, 0] = np.round(positions[20:30, 0])
    expected = direct_energies(obj, probe, positions)
    energies = pattern_energies(obj, probe, positions)
    # Relative to the largest energy the object can give, which no patch here need reach.
    largest = pattern_energies(obj, probe, np.indices((W, H)).reshape(2, -1).T).max()
    np.testing.assert_allclose(energies, expected, rtol=0, atol=1e-12 * largest)
    assert (energies >= 0).all()
    assert (energies[expected == 0] == 0).all()


def test_largest_energy_bound_on_the_published_scan():
    data = np.load(Path(__file__).parents[1] / "data/gs2_noise_free.npz")
    rng = np.random.default_rng(0)
    obj = complex_normal(rng, (392, 392)).astype(np.complex64)
    positions = np.stack([data["x"], data["y"]], axis=1)[:64]
    expected = direct_energies(obj, data["probe"], positions)
    energies = pattern_energies(obj, data["probe"], positions)
    assert np.abs(energies - expected).max() <= 1e-12 * expected.max()


@pytest.mark.parametrize("N", [7, 8])
def test_where_a_position_points(N):
    obj = np.zeros((30, 40))
    obj[12, 17] = 1
    probe = np.zeros((N, N))
    probe[N // 2, N // 2] = 3
    positions = [[17, 12], [17.25, 12], [17, 11.5], [17.25, 11.5], [12, 17], [18, 12]]
    energies = pattern_energies(obj, probe, positions)
    expected = 9 * np.array([1, 0.75, 0.5, 0.375, 0, 0]) ** 2
    np.testing.assert_allclose(energies, expected, atol=1e-14)


def test_wholly_outside_is_exactly_zero():
    obj, probe = np.full((20, 30), 1e3), np.full((8, 8), 1e3)
    edges = [[-4, 10], [34, 10], [10, -4], [10, 24]]
    far = [[1e300, 0], [-1e300, 0], [0, 1e18], [np.float64(-1e18), -1e300]]
    np.testing.assert_array_equal(pattern_energies(obj, probe, edges + far), 0)
    # One step inside, the outermost pixels are lit.
    inside = pattern_energies(obj, probe, [[-3, 10], [33, 10], [10, -3], [10, 23]])
    np.testing.assert_allclose(inside, 8e12)


def test_modes_add_and_order_does_not_matter():
    rng = np.random.default_rng(3)
    obj, probe = complex_normal(rng, (30, 20)), complex_normal(rng, (3, 8, 8))
    positions = rng.uniform(0, 20, (50, 2))
    energies = pattern_energies(obj, probe, positions)
    by_mode = sum(pattern_energies(obj, mode, positions) for mode in probe)
    np.testing.assert_allclose(energies, by_mode, rtol=1e-13)
    np.testing.assert_array_equal(pattern_energies(obj, probe, positions[::-1]), energies[::-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"obj": np.ones(4)}, r"obj: shape \(4,\)"),
        ({"obj": np.full((4, 4), np.nan)}, "obj: nan"),
        ({"probe": np.ones((4, 5))}, r"probe: shape \(4, 5\)"),
        ({"probe": np.ones((0, 4, 4))}, r"probe: shape \(0, 4, 4\)"),
        ({"positions": np.ones((4, 3))}, r"positions: shape \(4, 3\)"),
        ({"positions": [[1.0, np.inf]]}, r"positions: inf at index \(0, 1\)"),
    ],
)
def test_errors(changes, message):
    arguments = {"obj": np.ones((9, 9)), "probe": np.ones((4, 4)), "positions": [[1.0, 2.0]]}
    with pytest.raises(ValueError, match=message):
        pattern_energies(**(arguments | changes))


@settings(deadline=None, max_examples=25)
@given(
    N=st.integers(8, 14),
    M=st.integers(1, 3),
    K=st.integers(0, 2),
    S=st.integers(1, 3),
    boundary=st.sampled_from(["zero", "vacuum", "edge"]),
    weighted=st.booleans(),
    q=st.sampled_from([1, 2, 3]),
    blurred=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_equals_the_sum_of_made_patterns(N, M, K, S, boundary, weighted, q, blurred, seed):
    """Whatever the exposure, what the definition makes of it has the energy that is foretold."""
    rng = np.random.default_rng(seed)
    H, W = rng.integers(6, 30, 2)
    obj = complex_normal(rng, (H, W)).astype(np.complex64)
    K = K if weighted else 0
    planes = complex_normal(rng, (M + K, N * q, N * q)).astype(np.complex64)
    positions = rng.uniform(-2 * N, np.array([W, H]) + 2 * N, (5, S, 2))
    weights = rng.normal(size=(5, M + K)).astype(np.float32) if weighted else None
    options = {"boundary": boundary, "weights": weights, "modes": M if K else None}
    made = diffract(
        obj, planes, positions, bin=q, spread=[0.5, 0.25] if blurred else None,
        backend="reference", **options,
    ).sum(axis=(1, 2), dtype=np.float64)  # fmt: skip
    energies = pattern_energies(obj, planes, positions, **options)
    np.testing.assert_allclose(energies, made, rtol=1e-6, atol=1e-12)


def test_of_the_probe():
    rng = np.random.default_rng(3)
    planes = complex_normal(rng, (3, 8, 8)).astype(np.complex64)
    weights = rng.normal(size=(4, 3)).astype(np.float32)
    vacuum = np.ones((40, 40))
    at = np.full((4, 2), 20.0)
    options = {"weights": weights, "modes": 2}
    expected = pattern_energies(vacuum, planes, at, **options)
    np.testing.assert_allclose(probe_energies(planes, **options), expected, rtol=1e-12)
    np.testing.assert_allclose(
        probe_energies(planes), pattern_energies(vacuum, planes, at[:1]), rtol=1e-12
    )


@pytest.mark.parametrize("modes", [1, 2])
def test_any_part_of_a_long_scan_has_the_same_energies(modes):
    rng = np.random.default_rng(5)
    obj = rng.normal(size=(60, 50)) + 1j * rng.normal(size=(60, 50))
    probe = rng.normal(size=(modes, 8, 8))
    positions = rng.uniform(-10, 70, (40_000, 2))
    whole = pattern_energies(obj, probe, positions)
    parts = [pattern_energies(obj, probe, part) for part in np.array_split(positions, 7)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
