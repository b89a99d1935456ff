"""Kinds of objects."""

import numpy as np
import pytest

from ptycho_fast.objects import as_object, make_object
from ptycho_fast.objects.lines import lines
from ptycho_fast.scenario import ObjectSpec


@pytest.mark.parametrize("size", [64, 65])
def test_lines_size_and_seed(size):
    assert lines(0, size=size).shape == (size, size)
    np.testing.assert_array_equal(lines(0, size=size), lines(0, size=size))
    assert (lines(0, size=size) != lines(1, size=size)).any()


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
