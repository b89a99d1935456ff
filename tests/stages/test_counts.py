"""Counts as users need them: 32 or 16 bits, with a policy for what does not fit, in place."""

import cases
import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import stages

OBJ, PROBE, AT = cases.Case(32).inputs()
OPTIONS = {"scale": 3.0, "seed": 4}


def wide(backend, **changes):
    return ptycho_fast.observe(OBJ, PROBE, AT, backend=backend, **(OPTIONS | changes))


def test_uint16_where_all_fits(backend):
    narrow = wide(backend, dtype=np.uint16)
    assert narrow.dtype == np.uint16
    assert narrow.ctypes.data % 64 == 0
    np.testing.assert_array_equal(narrow, wide(backend))
    out = np.empty(narrow.shape, np.uint16)
    assert wide(backend, out=out) is out
    np.testing.assert_array_equal(out, narrow)


@pytest.mark.parametrize("pieces", [1, 5])
def test_uint16_overflow(backend, pieces, monkeypatch):
    monkeypatch.setattr(stages, "_CHUNK_PIXELS", pieces * 32**2)
    counts = wide(backend, scale=200.0)
    first = np.unravel_index(np.argmax(counts > 65535), counts.shape)
    assert counts[first] > 65535
    out = np.full(counts.shape, 7, np.uint16)
    message = f"dtype: {counts[first]} photons in pattern {first[0]}, pixel .row {first[1]}"
    with pytest.raises(ValueError, match=message):
        wide(backend, scale=200.0, out=out)
    assert (out == 7).all()
    saturated = wide(backend, scale=200.0, out=out, overflow="saturate")
    np.testing.assert_array_equal(saturated, np.minimum(counts, 65535))


def test_sample_photons_in_place(backend):
    rates = np.random.default_rng(0).exponential(30, (5, 20, 20)).astype(np.float32)
    counts = ptycho_fast.sample_photons(rates, seed=1, backend=backend)
    for dtype in (np.uint32, np.uint16):
        out = np.empty(rates.shape, dtype)
        assert ptycho_fast.sample_photons(rates, seed=1, backend=backend, out=out) is out
        np.testing.assert_array_equal(out, counts)
        rates[4, 3, 2] = -1
        with pytest.raises(ValueError, match=r"pattern 4, pixel \(row 3, column 2\)"):
            ptycho_fast.sample_photons(rates, seed=2, backend=backend, out=out)
        np.testing.assert_array_equal(out, counts)
        rates[4, 3, 2] = 0
        counts = ptycho_fast.sample_photons(rates, seed=1, backend=backend)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"dtype": np.int32}, TypeError, "dtype: int32 given, expected uint32 or uint16"),
        ({"dtype": np.uint16, "output": "amplitude"}, TypeError, "dtype: uint16 given, expected f"),
        ({"dtype": np.uint16, "overflow": "wrap"}, ValueError, "overflow: 'wrap' given"),
        ({"out": np.empty((len(AT), 32, 32), np.int64)}, TypeError, "out: dtype int64 given"),
    ],
)
def test_wrong_types(changes, error, message):
    with pytest.raises(error, match=message):
        wide("auto", **changes)
