"""Sides of every kind: as exact as the others, no light lost, and never far from a quick length."""

import cases
import numpy as np
import pytest
import scipy.fft

import ptycho_fast
from ptycho_fast.backend import native

pytestmark = pytest.mark.native

LARGE = [331, 338, 343, 509, 514, 539, 605, 676, 719, 845, 1009, 1021]
SLOW = [1331, 1543, 2027, 2039]


def waves(rng, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def needs_chirp(n):
    for prime in (2, 3, 5, 7, 11, 13):
        while n % prime == 0:
            n //= prime
    return n > 1


def assert_exact(N, rng):
    """Amplitudes and energy of one pattern, against double precision."""
    obj, probe = waves(rng, N, N), waves(rng, 1, N, N)
    centre = np.array([[N // 2, N // 2]], np.float64)
    made = ptycho_fast.diffract(obj, probe, centre, backend="native")[0].astype(np.float64)
    wave = probe[0].astype(np.complex128) * obj
    exact = np.abs(scipy.fft.fftshift(scipy.fft.fft2(wave, norm="ortho")))
    error = np.sqrt(made) - exact
    assert np.abs(error).max() < cases.MAX_ERROR * exact.max(), N
    assert np.linalg.norm(error) < cases.L2_ERROR * np.linalg.norm(exact), N
    light = (np.abs(wave) ** 2).sum()
    assert abs(made.sum() - light) < cases.ENERGY_ERROR * light, N


@pytest.mark.parametrize("first", range(8, 301, 49))
def test_every_side_is_exact(first):
    rng = np.random.default_rng(first)
    for N in range(first, min(first + 49, 301)):
        assert_exact(N, rng)


@pytest.mark.parametrize("N", [*LARGE, *(pytest.param(N, marks=pytest.mark.slow) for N in SLOW)])
def test_large_sides_are_exact(N):
    assert_exact(N, np.random.default_rng(N))


@pytest.mark.parametrize("N", [14, 17, 33, 46, 67, 77, 97, 121, 127, 169, 202, 263])
def test_there_and_back(N):
    """A wave that meets nothing on the way to the near field is what it was."""
    rng = np.random.default_rng(N)
    obj, probe = waves(rng, N, N), waves(rng, 1, N, N)
    centre = np.array([[N // 2, N // 2]], np.float64)
    free = np.ones((N, N), np.complex64)
    made = ptycho_fast.diffract(obj, probe, centre, near=free, backend="native")[0]
    exact = np.abs(probe[0].astype(np.complex128) * obj)
    assert np.abs(np.sqrt(made.astype(np.float64)) - exact).max() < 1e-6 * exact.max()


def test_lengths():
    """A chirp only where a large prime asks for it, at most 2.4 times as long as the line."""
    for n in range(8, 2049):
        tables = native.core().axis_tables(n)
        assert ("chirp" in tables) == needs_chirp(n), n
        length = len(tables["at"])
        if needs_chirp(n):
            assert 2 * n - 1 <= length <= 2.4 * n
            assert not needs_chirp(length)
        else:
            assert length == n
        assert sorted(tables["at"]) == list(range(length))
