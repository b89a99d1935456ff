"""Kinds of scans, and the split of a scan."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ptycho_fast.data.split import split_on_y
from ptycho_fast.scans import make_scan
from ptycho_fast.scans.random import random
from ptycho_fast.scenario import ScanSpec


def test_scan_of_an_oblong_object():
    x, y = random((50, 200), 7, n_patterns=500, buffer=20).T
    assert 20 <= x.min() < x.max() < 180
    assert 20 <= y.min() < y.max() < 30
    assert x.max() > 100


def test_the_table_makes_what_the_function_makes():
    spec = ScanSpec(n_patterns=9, buffer=3)
    found = make_scan(spec, (40, 50), 7).positions
    np.testing.assert_array_equal(found, random((40, 50), 7, n_patterns=9, buffer=3))


@given(
    y=hnp.arrays(np.float64, st.integers(1, 30), elements=st.integers(0, 5)),
    fraction=st.floats(0, 1),
)
def test_split(y, fraction):
    train, test = split_on_y(np.stack([np.zeros_like(y), y], axis=1), fraction)
    assert len(train) == int(fraction * len(y))
    assert sorted([*train, *test]) == list(range(len(y)))
    joined = np.concatenate([train, test])
    # Ascending in y, and in index where y is equal.
    assert sorted(joined, key=lambda b: (y[b], b)) == list(joined)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random((50, 50), 1, n_patterns=0), "n_patterns: 0"),
        (lambda: random((50, 50), 1, buffer=25), "buffer: 25"),
        (lambda: random((50, 20), 1, buffer=10), r"buffer: 10.*\(50 x 20\)"),
        (lambda: random((50, 50), 1, buffer=-1), "buffer: -1"),
        (lambda: random((50, 50), 1, buffer=np.nan), "buffer: nan"),
        (lambda: random((0, 50), 1), "shape: 0"),
        (lambda: split_on_y(np.ones((4, 2)), 1.5), r"train_fraction: 1\.5"),
        (lambda: split_on_y(np.ones((4, 2)), np.nan), "train_fraction: nan"),
        (lambda: split_on_y(np.ones(4)), r"positions: shape \(4,\)"),
        (lambda: split_on_y([[0.0, np.nan]]), "positions: nan at index"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
