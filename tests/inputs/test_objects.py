"""Kinds of objects."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given as inputs
from hypothesis import settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.draw import line

from ptycho_fast import gaussian_blur
from ptycho_fast.objects import as_object, make_object
from ptycho_fast.objects.lines import lines
from ptycho_fast.scenario import ObjectSpec


@pytest.mark.parametrize("size", [64, 65])
def test_lines_size_and_seed(size):
    assert lines(0, size=size).shape == (size, size)
    np.testing.assert_array_equal(lines(0, size=size), lines(0, size=size))
    assert (lines(0, size=size) != lines(1, size=size)).any()


def published_lines(seed, size):
    """The published recipe as it stands: scikit-image draws, SciPy blurs the whole canvas."""
    side, draw = 2 * size, np.random.RandomState(seed)
    canvas = np.zeros((side, side))
    for _ in range(400):
        canvas[line(*(int(side * u) for u in draw.uniform(size=4)))] = 1
    blurred = sum(
        weight * gaussian_filter(canvas, sigma) for sigma, weight in ((1, 1), (5, 2), (10, 5))
    )
    centre = slice(size // 2, size // 2 + size)
    return blurred[centre, centre].astype(np.complex64)


@inputs(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 260))
@settings(max_examples=20, deadline=None)
def test_lines_are_the_published_ones_to_the_bit(seed, size):
    np.testing.assert_array_equal(lines(seed, size=size), published_lines(seed, size))


@inputs(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 50))
@settings(max_examples=8, deadline=None)
def test_lines_whose_rounding_is_open_are_summed_in_order(seed, size):
    """As all of them are where the matrices' rounding is taken for far larger than it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaussian_blur, "_ROUNDING", 1e-7)
        np.testing.assert_array_equal(lines(seed, size=size), published_lines(seed, size))


def test_lines_by_matrices_are_right_to_the_rounding_that_is_assumed(monkeypatch):
    """A hundredth of it is seen, so that a pixel that is open is never taken for settled."""
    by_matrices, worst = gaussian_blur._by_matrices, []

    def compared(band, matrices, reach):
        sums = by_matrices(band, matrices, reach)
        ends = [len(matrix[0]) - gaussian_blur._TILE for _, matrix in matrices]
        blurs = [
            (weight, matrix[0, : end + 1])
            for (weight, matrix), end in zip(matrices, ends, strict=True)
        ]
        whole = np.lib.stride_tricks.sliding_window_view(band, [2 * reach + 1] * 2)[:3]
        exact = gaussian_blur._by_order(whole.reshape(-1, *whole.shape[2:]), blurs, reach)
        worst.append(np.abs(sums[:3].ravel() / exact - 1).max())
        return sums

    monkeypatch.setattr(gaussian_blur, "_by_matrices", compared)
    lines(3, size=130)
    assert max(worst) < gaussian_blur._ROUNDING / 20


@inputs(seed=st.integers(0, 2**32 - 1), sigma=st.sampled_from([0.3, 1, 2.7]))
@settings(max_examples=20, deadline=None)
def test_a_blur_has_the_numbers_of_scipy(seed, sigma):
    draw = np.random.default_rng(seed)
    image = draw.standard_normal(draw.integers(1, 40, 2))
    blurred = gaussian_blur.gaussian_blur(image, sigma)
    np.testing.assert_array_equal(blurred, gaussian_filter(image, sigma))


def test_a_blur_keeps_the_light_and_adds_to_the_variance():
    image = np.zeros((65, 65))
    image[32, 32] = 1
    blurred = gaussian_blur.gaussian_blur(image, 3)
    assert blurred.sum() == pytest.approx(1, abs=1e-14)
    variance = (blurred.sum(axis=0) * (np.arange(65) - 32.0) ** 2).sum()
    assert variance == pytest.approx(9, rel=2e-3)  # beyond four deviations it is cut off


def test_large_lines_take_little_memory():
    tracemalloc.start()
    lines(5, size=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * 1000**2  # bytes a pixel


def test_the_table_makes_what_the_function_makes():
    spec = ObjectSpec(kind="lines", size=64)
    np.testing.assert_array_equal(make_object(spec, 7), lines(7, size=64))


def test_an_object_in_the_kernels_type():
    given = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    obj = as_object(given)
    assert (obj.dtype, obj.shape, obj.flags.c_contiguous) == (np.complex64, (2, 3), True)
    np.testing.assert_array_equal(obj, given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lines(42, size=0), "size: 0"),
        (lambda: lines(-1, size=8), "seed: -1"),
        (lambda: lines(2**32, size=8), "seed: 4294967296"),
        (lambda: make_object(ObjectSpec(kind="file"), 1), "object.file: nothing given, expected"),
        (lambda: as_object(np.ones(4)), r"object: shape \(4,\) given, expected \(H, W\)"),
        (lambda: as_object(np.ones((0, 4))), r"object: shape \(0, 4\) given"),
        (lambda: as_object([[np.nan]]), "object: nan at index"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
