"""Photon counts: the exact Poisson quantile of every uniform, on every backend."""

import numpy as np
import pytest
from scipy import stats

import ptycho_fast
from ptycho_fast.backend.numba.poisson import poisson_quantile as numba_quantile
from ptycho_fast.backend.reference.poisson import poisson_cdf, poisson_quantile
from ptycho_fast.rng import photon_uniforms

RATES = [1e-3, 0.1, 1, 5, 9.9, 12, 30, 100, 639, 641, 999, 1001, 1e4, 1e6, 1e9]
LARGEST = 2.0**31


def sample(backend, rate, seed=5, index=0):
    return ptycho_fast.sample_photons(rate, seed=seed, index=index, backend=backend)


def mixed_rates(dtype, patterns=4, n=64):
    """Neighbours many decades apart, with zeros, the largest rate and both sides of each border."""
    rng = np.random.default_rng(3)
    rate = 10 ** rng.uniform(-6, np.log10(LARGEST), (patterns, n, n))
    rate[1] = 10 ** rng.uniform(-1, 3, (n, n))
    rate[2] = np.sort(rate[2], axis=None).reshape(n, n)
    flat = rate.reshape(-1)
    flat[::31] = 0
    flat[::101] = LARGEST
    flat[::103] = 8
    flat[1::103] = np.nextafter(8, 0)
    flat[::109] = 4
    flat[1::109] = np.nextafter(4, 0, dtype=np.float32)
    flat[::107] = 640
    flat[1::107] = np.nextafter(640, 0)
    return np.minimum(rate, LARGEST).astype(dtype)


def assert_quantiles(count, u, rate, tolerance=1e-11):
    """F(count - 1) < u <= F(count), up to rounding."""
    k = count.astype(np.float64)
    rate = rate.astype(np.float64)
    assert np.all(poisson_cdf(k, rate) >= u - tolerance)
    assert np.all((k == 0) | (poisson_cdf(k - 1, rate) < u + tolerance))


@pytest.mark.native
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [64, 13])
def test_native_and_numba_are_bit_identical(dtype, n):
    rate = mixed_rates(dtype, n=n)
    for seed, first in ((0, 0), (2**64 - 1, 2**32 - 2), (12345, 2**64 - 4)):
        native = sample("native", rate, seed, first)
        np.testing.assert_array_equal(native, sample("numba", rate, seed, first))


@pytest.mark.native
def test_the_short_cut_in_floats_changes_no_count(instruction_sets, monkeypatch):
    borders = np.float32([1e-6, 1, 2, 4, 8, 16, 640, 2**23, 2**24, 2**30, LARGEST])
    below, above = (np.nextafter(borders, np.float32(to)) for to in (0, LARGEST))
    single = [*borders, *below, *above]
    single += [*np.geomspace(1e-4, LARGEST, 60, dtype=np.float32), 0, *np.float32(RATES)]
    n = 128
    rate = np.repeat(np.float32(single), n * n).reshape(-1, n, n)
    rate = np.concatenate([rate, mixed_rates(np.float32, n=n)])
    exact = sample("native", rate.astype(np.float64), 8)
    for name in instruction_sets:
        monkeypatch.setenv("PTYCHO_FAST_ISA", name)
        np.testing.assert_array_equal(sample("native", rate, 8), exact)


@pytest.mark.native
@pytest.mark.parametrize("small", [0.002, 0.2, 3.999])
@pytest.mark.parametrize("large", [4.0, 1e9])
def test_sorting_pixels_changes_no_count(small, large, instruction_sets, monkeypatch):
    """No, few, many or only pixels of a kind among their neighbours; whole chunks and less."""
    rng = np.random.default_rng(6)
    for n in (5, 31, 45, 70):
        shares = np.array([0, 0.001, 0.03, 0.06, 0.5, 0.94, 0.97, 0.999, 1])
        is_large = rng.uniform(size=(len(shares), n, n)) < shares[:, None, None]
        rate = np.where(is_large, large, small) * rng.uniform(1, 1.5, is_large.shape)
        rate[:, 0, 0], rate[:, -1, -1] = 0, LARGEST
        rate = rate.astype(np.float32)
        exact = sample("native", rate.astype(np.float64), 4)
        for name in instruction_sets:
            monkeypatch.setenv("PTYCHO_FAST_ISA", name)
            np.testing.assert_array_equal(sample("native", rate, 4), exact)


def test_every_instruction_set_gives_the_same_counts(instruction_sets, monkeypatch):
    rate = mixed_rates(np.float32)
    expected = sample("numba", rate)
    for name in instruction_sets:
        monkeypatch.setenv("PTYCHO_FAST_ISA", name)
        np.testing.assert_array_equal(sample("native", rate), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_are_quantiles(backend, dtype):
    rate = mixed_rates(dtype)
    count = sample(backend, rate, seed=9, index=3)
    assert count.dtype == np.uint32
    assert np.all(count[rate == 0] == 0)
    u = np.stack([photon_uniforms(9, 3 + b, rate[0].size).reshape(rate[0].shape) for b in range(4)])
    assert_quantiles(count, u, rate)
    differs = count != poisson_quantile(u, rate)
    assert differs.sum() <= 1


@pytest.mark.parametrize("rate", [*RATES, 1e-300, 7.999, 8, 20, 50, 200, 1e5, 1e8, LARGEST])
def test_extreme_uniforms(rate):
    powers = 2.0 ** -np.arange(1, 54)
    u = np.concatenate([powers, 1 - powers, [1e-5, 0.9999, 1e-9]])
    count = np.array([numba_quantile(v, rate) for v in u])
    assert_quantiles(count, u, np.full(u.shape, rate))
    deviations = np.abs(count - rate) / np.sqrt(rate + 4)
    assert deviations.max() < 14


@pytest.mark.parametrize("rate", [9.0, 40.0, 250.0, 1e4, 1e7])
def test_a_uniform_beside_the_distribution_function_takes_the_right_count(rate):
    k = np.unique(np.rint(rate + np.sqrt(rate) * np.linspace(-4, 4, 41)).clip(0))
    for step in (-1e-10, 1e-10):
        u = poisson_cdf(k, np.full(k.shape, rate)) + step
        expected = k + (step > 0)
        assert [numba_quantile(v, rate) for v in u] == expected.tolist()


def test_reference_distribution_function():
    import mpmath as mp

    for rate, deviations in ((1e5, 4.4), (1e5, -4.4), (2e5, 6.0), (1e6, 5.0)):
        k = np.floor(rate + deviations * np.sqrt(rate))
        with mp.workdps(30):
            term = total = mp.exp(k * mp.log(rate) - rate - mp.loggamma(k + 1))
            down, j = deviations < 0, k
            while term > total * mp.mpf(10) ** -20:
                term *= j / mp.mpf(rate) if down else mp.mpf(rate) / (j + 1)
                j += -1 if down else 1
                total += term
            exact = (
                total if down else 1 - total + mp.exp(k * mp.log(rate) - rate - mp.loggamma(k + 1))
            )
        assert abs(float(poisson_cdf(np.array([k]), np.array([rate]))[0] - exact)) < 1e-13


def draws(backend, rate, total, seed=1):
    n = 512
    expected = np.full((-(-total // n**2), n, n), float(rate))
    return sample(backend, expected, seed).ravel()


def check_moments(count, rate):
    n = count.size
    residual = count.astype(np.float64) - rate
    assert abs(residual.mean()) < 5 * np.sqrt(rate / n)
    # Variances of the moments from the cumulants, all equal to the rate.
    assert abs((residual**2).mean() - rate) < 5 * np.sqrt((rate + 2 * rate**2) / n)
    sixth = rate + 25 * rate**2 + 15 * rate**3
    assert abs((residual**3).mean() - rate) < 5 * np.sqrt((sixth - rate**2) / n)


def check_distribution(count, rate):
    """Chi-square against the exact probabilities, in cells of at least 20 expected counts."""
    edges = np.unique(stats.poisson.ppf(np.linspace(0, 1, 401)[1:-1], rate))
    if rate > 1e5:
        edges = edges[np.abs(edges - rate) < 4 * np.sqrt(rate)]
    cdf = np.concatenate([[0.0], poisson_cdf(edges, np.full(edges.shape, rate)), [1.0]])
    expected = np.diff(cdf) * count.size
    observed = np.bincount(np.searchsorted(edges, count), minlength=edges.size + 1)
    if edges.size < 40:  # few values: also the rare ones, as far as the draws go
        k = np.arange(stats.poisson.isf(20 / count.size, rate))
        cdf = np.concatenate([[0.0], poisson_cdf(k, np.full(k.shape, rate)), [1.0]])
        expected = np.diff(cdf) * count.size
        observed = np.bincount(np.minimum(count, k.size), minlength=k.size + 1)
    keep = expected >= 20
    assert keep.sum() >= 2
    expected = np.append(expected[keep], expected[~keep].sum())
    observed = np.append(observed[keep], observed[~keep].sum())
    if expected[-1] < 20:
        expected = np.append(expected[:-2], expected[-2:].sum())
        observed = np.append(observed[:-2], observed[-2:].sum())
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert 1e-4 < stats.chi2.sf(statistic, expected.size - 1) < 1 - 1e-4


@pytest.mark.parametrize("rate", RATES)
def test_statistics(fast_backend, rate):
    count = draws(fast_backend, rate, 2_000_000)
    check_moments(count, rate)
    check_distribution(count, rate)


@pytest.mark.parametrize("rate", [0.1, 5, 100, 1e6])
def test_statistics_of_the_reference(rate):
    count = draws("reference", rate, 250_000)
    check_moments(count, rate)
    check_distribution(count, rate)


@pytest.mark.slow
@pytest.mark.parametrize("rate", RATES)
def test_statistics_of_many_draws(fast_backend, rate):
    count = draws(fast_backend, rate, 20_000_000, seed=77)
    check_moments(count, rate)
    check_distribution(count, rate)


@pytest.mark.slow
def test_p_values_are_uniform():
    p = []
    for seed in range(200):
        count = draws("native", 40.0, 250_000, seed)
        k = np.arange(15, 70)
        cdf = np.concatenate([[0.0], poisson_cdf(k, np.full(k.shape, 40.0)), [1.0]])
        observed = np.bincount(np.clip(count, 15, 70) - 15, minlength=k.size + 1)
        p.append(stats.chisquare(observed, np.diff(cdf) * count.size).pvalue)
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_counts_depend_on_seed_pattern_and_pixel_alone(backend):
    rate = mixed_rates(np.float64, n=32)
    whole = sample(backend, rate)
    np.testing.assert_array_equal(whole, sample(backend, rate))
    for b in range(len(rate)):
        np.testing.assert_array_equal(whole[b], sample(backend, rate[b : b + 1], index=b)[0])
    changed = rate.copy()
    changed[:, ::2] = 3.0  # the rates of other pixels do not matter
    np.testing.assert_array_equal(whole[:, 1::2], sample(backend, changed)[:, 1::2])


def test_seeds_patterns_and_pixels_are_uncorrelated(fast_backend):
    rate = np.full((3, 256, 256), 20.0)
    one, two = sample(fast_backend, rate, 1), sample(fast_backend, rate, 2)
    rows = [*one.reshape(3, -1), *two.reshape(3, -1)]
    rows += [np.roll(rows[0], shift) for shift in (1, 16, 256)]
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlation).max() < 5 / 256
