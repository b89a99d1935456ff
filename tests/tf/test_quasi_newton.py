"""Descent with a memory: finds the lowest point, takes long steps back, knows when it is there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptycho_fast.tf.quasi_newton import QuasiNewton, dot

SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=15, deadline=None)


def bowl(seed, n=12, spread=100.0):
    """A quadratic function of n complex numbers, with curvatures of a given spread."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n)))[0]
    matrix = (turn * np.geomspace(1 / spread, 1, n)) @ turn.conj().T
    aim = rng.normal(size=n) + 1j * rng.normal(size=n)

    def function(point):
        pull = matrix @ (point - aim)
        return dot(point - aim, pull) / 2, pull

    return function, aim


def walked(function, descent, looks):
    values = []
    for _ in range(looks):
        value, gradient = function(descent.point)
        values.append(value)
        descent.tell(value, gradient)
    return values


@FEW
@given(seed=SEEDS)
def test_it_finds_the_bottom_of_a_bowl(seed):
    function, aim = bowl(seed)
    descent = QuasiNewton(np.zeros(len(aim), complex), np.ones(len(aim)))
    walked(function, descent, 150)
    np.testing.assert_allclose(descent.point, aim, atol=1e-4)


@FEW
@given(seed=SEEDS)
def test_it_is_much_faster_than_the_gradient_alone(seed):
    function, aim = bowl(seed, spread=1000.0)
    descent = QuasiNewton(np.zeros(len(aim), complex), np.ones(len(aim)))
    alone = np.zeros(len(aim), complex)
    for _ in range(60):
        alone = alone - function(alone)[1]
    assert min(walked(function, descent, 60)) < 0.1 * function(alone)[0]


@FEW
@given(seed=SEEDS, factor=st.floats(2.0, 1e3))
def test_a_step_that_is_too_long_is_taken_back(seed, factor):
    function, aim = bowl(seed)
    descent = QuasiNewton(np.zeros(len(aim), complex), np.full(len(aim), factor))
    best = np.minimum.accumulate(walked(function, descent, 60))
    assert best[-1] < best[0]


@FEW
@given(seed=SEEDS)
def test_it_does_not_matter_where_nothing_is_defined(seed):
    """A value that is not a number is higher than all."""
    function, aim = bowl(seed)
    far = 3 * np.abs(aim).max()

    def with_a_wall(point):
        value, gradient = function(point)
        return (value, gradient) if np.abs(point).max() < far else (np.nan, gradient * np.nan)

    descent = QuasiNewton(np.zeros(len(aim), complex), np.full(len(aim), 50.0))
    values = walked(with_a_wall, descent, 80)
    assert np.nanmin(values) < 0.1 * values[0]
    assert np.isfinite(descent.point).all()


def test_what_does_not_follow_stays():
    function, aim = bowl(3)
    start = np.full(len(aim), 7.0 + 1j)
    follows = np.ones(len(aim))
    follows[4:6] = 0
    descent = QuasiNewton(start, follows)
    walked(function, descent, 30)
    assert (descent.point[4:6] == start[4:6]).all()
    assert (descent.point[:4] != start[:4]).all()


@pytest.mark.parametrize("kind", [np.complex64, np.complex128])
def test_at_the_bottom_it_settles(kind):
    function, aim = bowl(1)
    descent = QuasiNewton(np.zeros(len(aim), kind), np.ones(len(aim), kind(0).real.dtype))
    for _ in range(2000):
        if descent.settled:
            break
        value, gradient = function(descent.point)
        descent.tell(value, gradient.astype(kind))
        assert descent.point.dtype == kind
    assert descent.settled
    np.testing.assert_allclose(descent.point, aim, atol=1e-3 if kind is np.complex64 else 1e-6)


def test_a_curved_valley():
    """Rosenbrock's function of the real parts, where steps of Newton are no straight way."""

    def function(point):
        x, y = point.real
        value = (1 - x) ** 2 + 100 * (y - x * x) ** 2
        by_x, by_y = -2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)
        return value, np.array([by_x, by_y], complex)

    descent = QuasiNewton(np.array([-1.2, 1.0], complex), np.full(2, 1e-3))
    assert min(walked(function, descent, 120)) < 1e-8
