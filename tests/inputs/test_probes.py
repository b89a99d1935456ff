"""Kinds of probes, and what is done to all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptycho_fast.probes import as_probe, make_probe, normalise, support_mask
from ptycho_fast.probes.ideal_disk import ideal_disk
from ptycho_fast.scenario import ProbeSpec


@pytest.mark.parametrize("N", [8, 33, 64, 128])
def test_disk_and_mask(N):
    disk, mask = ideal_disk(N), support_mask(N)
    np.testing.assert_allclose(disk, disk[::-1, ::-1], atol=1e-15)
    np.testing.assert_allclose(disk, disk.T, atol=1e-15)
    assert disk.min() >= 1e-9
    assert 0.4 < disk.max() < 1.1
    middle = (N - 1) / 2
    for (i, j), inside in np.ndenumerate(mask):
        assert inside == (np.hypot(i - middle, j - middle) < N // 4)


@given(modes=st.integers(0, 4), scale=st.floats(0.01, 100), seed=st.integers(0, 100), N=st.just(16))
def test_normalise(modes, scale, seed, N):
    rng = np.random.default_rng(seed)
    shape = (modes, N, N) if modes else (N, N)
    probe = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    once = normalise(probe, scale)
    assert once.dtype == np.complex64
    modulus = np.sqrt((np.abs(once.astype(complex)) ** 2).reshape(-1, N, N).sum(axis=0))
    assert (modulus * support_mask(N)).mean() == pytest.approx(1 / scale, rel=1e-6)
    np.testing.assert_allclose(normalise(once, scale), once, rtol=2e-7)
    np.testing.assert_allclose(once / once.flat[0], probe / probe.flat[0], rtol=1e-5)


def test_curvature_defocuses():
    flat, curved = make_probe(ProbeSpec(), 64), make_probe(ProbeSpec(curvature=2.0), 64)
    np.testing.assert_allclose(np.abs(curved), np.abs(flat), rtol=1e-6)
    phase = np.angle(curved)
    assert phase[31, 31] == pytest.approx(2.0 * 0.5 / 16**2, rel=1e-5)
    assert phase[31, 47] == pytest.approx(2.0 * (0.5**2 + 15.5**2) / 16**2, rel=1e-5)
    np.testing.assert_array_equal(curved, curved[::-1, ::-1])


def test_probe_from_file_with_and_without_normalisation(tmp_path):
    given = 7 * ideal_disk(32)
    np.savez(tmp_path / "probe.npz", probeGuess=given)
    keys = {"kind": "file", "file": str(tmp_path / "probe.npz"), "scale": 4.0}
    spec = ProbeSpec(**keys)
    assert (np.abs(make_probe(spec, 32)) * support_mask(32)).mean() == pytest.approx(0.25, rel=1e-6)
    spec = ProbeSpec(**keys, normalise=False)
    np.testing.assert_array_equal(make_probe(spec, 32), given.astype(np.complex64))


def test_a_probe_in_the_kernels_type():
    given = np.ones((8, 8))
    assert (as_probe(given).dtype, as_probe(given).shape) == (np.complex64, (1, 8, 8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ideal_disk(0), "N: 0"),
        (lambda: normalise(np.ones((8, 8)), 0), "scale: 0"),
        (
            lambda: normalise(np.zeros((8, 8)), 1),
            r"in its support is 0, expected light there, or false",
        ),
        (lambda: normalise(np.ones((8, 9)), 1), r"probe: shape \(8, 9\) given"),
        (lambda: make_probe(ProbeSpec(kind="file"), 8), "probe.file: nothing given, expected"),
        (lambda: as_probe(np.ones((2, 8, 9))), r"probe: shape \(2, 8, 9\) given"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
