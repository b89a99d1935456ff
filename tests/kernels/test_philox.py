"""The generator against the published vectors of Random123, and the uniforms made of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ptycho_fast.rng import STREAMS, philox4x32, photon_uniforms, uniforms

ONES = 0xFFFFFFFF
KNOWN = [  # counter, key, words: kat_vectors of Random123, philox4x32 with 10 rounds
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([ONES] * 4, [ONES] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]
UINT64 = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    result = philox4x32(np.array(counter, np.uint32), np.array(key, np.uint32))
    assert result.dtype == np.uint32
    assert result.tolist() == words


def test_many_counters_at_once_equal_one_by_one():
    counters = np.random.default_rng(0).integers(0, 2**32, (3, 5, 4), dtype=np.uint64)
    key = np.array([1, 2], np.uint64)
    together = philox4x32(counters, key)
    for at in np.ndindex(3, 5):
        np.testing.assert_array_equal(together[at], philox4x32(counters[at], key))


@given(seed=UINT64, index=UINT64, stream=st.sampled_from(["groups", "members"]))
def test_a_uniform_is_the_documented_function_of_seed_stream_and_index(seed, index, stream):
    counter = [0, STREAMS[stream], index & ONES, index >> 32]
    words = philox4x32(counter, [seed & ONES, seed >> 32]).tolist()
    expected = (((words[0] | words[1] << 32) >> 12) + 0.5) * 2.0**-52
    assert uniforms(seed, stream, np.array(index, np.uint64)) == expected
    assert 0 < expected < 1


@given(seed=UINT64, pattern=UINT64, pixel=st.integers(0, 5000))
def test_a_photon_uniform_is_the_documented_function_of_seed_pattern_and_pixel(
    seed, pattern, pixel
):
    counter = [pixel // 32 * 16 + pixel % 16, STREAMS["photons"], pattern & ONES, pattern >> 32]
    words = philox4x32(counter, [seed & ONES, seed >> 32]).tolist()
    h = pixel // 16 % 2
    expected = (((words[2 * h] | words[2 * h + 1] << 32) >> 12) + 0.5) * 2.0**-52
    assert photon_uniforms(seed, pattern, pixel + 1)[pixel] == expected


def test_fewer_pixels_are_the_first_of_more():
    many = photon_uniforms(7, 3, 1000)
    for n in (0, 1, 15, 16, 17, 31, 32, 33, 999):
        np.testing.assert_array_equal(photon_uniforms(7, 3, n), many[:n])


def test_uniforms_are_uniform_and_all_different():
    for u in (uniforms(1, "groups", np.arange(200_000)), photon_uniforms(1, 0, 200_000)):
        assert u.dtype == np.float64
        assert u.min() > 0
        assert u.max() < 1
        assert len(np.unique(u)) == u.size
        assert stats.kstest(u, "uniform").pvalue > 1e-3


def test_seeds_streams_patterns_and_neighbours_are_uncorrelated():
    index = np.arange(100_000)
    rows = [
        uniforms(1, "groups", index),
        uniforms(2, "groups", index),
        uniforms(1, "members", index),
        photon_uniforms(1, 0, index.size),
        photon_uniforms(1, 1, index.size),
        photon_uniforms(1 << 32, 0, index.size),
    ]
    rows += [np.roll(rows[0], 1), np.roll(rows[3], 1), np.roll(rows[3], 16)]
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlation).max() < 5 / np.sqrt(index.size)


def test_unknown_streams_and_bad_seeds_are_refused():
    index = np.arange(3)
    for stream in ("photons", "dose"):
        with pytest.raises(ValueError, match="stream"):
            uniforms(0, stream, index)
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match="seed"):
            uniforms(seed, "groups", index)
