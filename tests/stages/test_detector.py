"""Detector model: beam stop and saturation."""

from types import SimpleNamespace

import numpy as np
import pytest

from ptycho_fast import detector
from ptycho_fast.detector import apply
from ptycho_fast.scenario import DetectorSpec

DTYPES = [np.uint32, np.uint16, np.float32, np.float64]


def spec(saturation=None, beam_stop_radius=0.0):
    return SimpleNamespace(saturation=saturation, beam_stop_radius=beam_stop_radius)


def counts(dtype=np.uint32, N=8):
    return np.arange(3 * N * N).reshape(3, N, N).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_off_returns_the_input(dtype):
    given = counts(dtype)
    assert apply(given, spec()) is given


@pytest.mark.parametrize("dtype", DTYPES)
def test_saturation(dtype):
    given = counts(dtype)
    before = given.copy()
    seen = apply(given, spec(saturation=100))
    assert seen.dtype == dtype
    np.testing.assert_array_equal(seen, np.minimum(before, 100))
    np.testing.assert_array_equal(given, before)


def test_saturation_beyond_the_type_never_acts():
    given = np.full((1, 4, 4), 65535, np.uint16)
    np.testing.assert_array_equal(apply(given, spec(saturation=2**20)), given)


@pytest.mark.parametrize("N", [7, 8])
@pytest.mark.parametrize("radius", [0.5, 1, 1.1, 2.5, 100])
def test_beam_stop(N, radius):
    given = counts(N=N) + 1
    given.flags.writeable = False
    seen = apply(given, spec(beam_stop_radius=radius))
    for (_, r, c), value in np.ndenumerate(seen):
        assert (value == 0) == (np.hypot(r - N // 2, c - N // 2) < radius)
    np.testing.assert_array_equal(seen[seen > 0], given[seen > 0])


def test_the_parts_are_the_keys_of_the_table():
    assert [part.__name__ for part in detector.PARTS] == ["beam_stop", "saturate"]
    assert list(detector.keys()) == ["beam_stop_radius", "saturation"]
    given = counts()
    assert apply(given, DetectorSpec()) is given
    with pytest.raises(ValueError, match=r"^detector\.colour: unknown key \(keys: beam"):
        DetectorSpec(colour="red")


def test_both():
    seen = apply(np.full((1, 8, 8), 9.5, np.float32), spec(saturation=4, beam_stop_radius=1))
    assert seen[0, 4, 4] == 0
    assert (np.delete(seen.ravel(), 36) == 4).all()


@pytest.mark.parametrize(
    ("given", "what", "message"),
    [
        (counts()[0], {}, r"counts: uint32 array of shape \(8, 8\) given"),
        (counts()[:, :4], {}, "counts: .* expected \\(B, N, N\\)"),
        (counts().astype(complex), {}, "counts: complex128 array"),
        (counts(), {"saturation": 0}, "saturation: 0"),
        (counts(), {"saturation": 1.5}, "saturation: 1.5"),
        (counts(), {"beam_stop_radius": -1}, "beam_stop_radius: -1"),
        (counts(), {"beam_stop_radius": np.nan}, "beam_stop_radius: nan"),
    ],
)
def test_errors(given, what, message):
    with pytest.raises((TypeError, ValueError), match=message):
        apply(given, spec(**what))
