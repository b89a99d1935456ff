"""The headers of csrc/ one by one, compiled for this processor, against direct formulas."""

import ctypes

import cases
import cpp_library
import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.backend.records import BOUNDARIES

pytestmark = pytest.mark.native

_OPTIONS = {
    "baseline": (),
    "neon": (),
    "avx2": ("-mavx2", "-DPF_ISA=avx2"),
    "avx512": (
        "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mprefer-vector-width=512",
        "-DPF_ISA=avx512",
    ),
}  # fmt: skip
SETS = ptycho_fast.build_info().get("usable_instruction_sets", [])


class Headers:
    """The library, with NumPy arrays for pointers."""

    def __init__(self, library):
        self._library = library
        library.uniform_of.restype = ctypes.c_double
        library.summed_quantile.restype = ctypes.c_uint64
        self.width = library.lane_width()

    def __getattr__(self, name):
        def call(*arguments):
            return getattr(self._library, name)(*map(self._argument, arguments))

        return call

    @staticmethod
    def _argument(value):
        if isinstance(value, np.ndarray):
            assert value.flags.c_contiguous
            return ctypes.c_void_p(value.ctypes.data)
        if isinstance(value, np.generic):
            return np.ctypeslib.as_ctypes_type(type(value))(value.item())
        return ctypes.c_double(value) if isinstance(value, float) else value


@pytest.fixture(scope="module", params=SETS)
def headers(request, libraries):
    own = request.param, *_OPTIONS[request.param]
    return Headers(cpp_library.build("headers_on_cpu.cpp", libraries, *own))


# --- lanes ---


@pytest.mark.parametrize(
    ("name", "function", "low", "high"),
    [
        ("exp_minus_of", lambda x: np.exp(-x), 0.0, 700.0),
        ("log_of_each", np.log, 1e-300, 1.0),
    ],
)
def test_lane_math(headers, name, function, low, high):
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.uniform(low, high, 3000), rng.uniform(low, low + 1, 1000)])
    x = np.concatenate([x, 1 - 0.3 * rng.uniform(0, 1, 96)]) if low else x
    x = x[: len(x) // 16 * 16].clip(low, np.nextafter(high, 0))
    one, wide = np.empty_like(x), np.empty_like(x)
    getattr(headers, name)(len(x), False, x, one)
    getattr(headers, name)(len(x), True, x, wide)
    assert one.tobytes() == wide.tobytes()
    exact = function(x.astype(np.longdouble))
    assert (np.abs((one - exact) / exact)).max() < 6e-16


def test_lane_shuffle(headers):
    W = headers.width
    tile = np.arange(W * W, dtype=np.float32).reshape(W, W)
    turned = tile.copy()
    headers.transpose_tile(turned)
    np.testing.assert_array_equal(turned, tile.T)
    pairs = np.arange(2 * W, dtype=np.float32)
    headers.separate(pairs)
    np.testing.assert_array_equal(pairs, [*range(0, 2 * W, 2), *range(1, 2 * W, 2)])


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 1])
def test_numbers_are_sorted_and_put_back(headers, share):
    W, lanes = headers.width, 40
    rng = np.random.default_rng(int(10 * share))
    picked = rng.uniform(size=(lanes, W)) < share
    chosen = (picked << np.arange(W)).sum(1).astype(np.uint32)
    x = rng.permutation(lanes * W).astype(np.uint32)
    moved, back = np.empty_like(x), np.empty_like(x)
    in_front = headers.sort_by_bits(len(x), x, chosen, moved, back)
    assert in_front == picked.sum()
    assert set(moved[:in_front]) == set(x[picked.ravel()])
    np.testing.assert_array_equal(np.sort(moved), np.arange(len(x)))
    np.testing.assert_array_equal(back, x)


# --- random numbers ---

# Philox4x32-10: counter, key, result, from the generator's published known answers.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_known_answers(headers, counter, key, expected, wide):
    words = np.array([int(word, 16) for word in counter.split()], np.uint32)
    low, high = (int(word, 16) for word in key.split())
    made = np.empty(4, np.uint32)
    headers.philox_words(words, np.uint64(low | high << 32), wide, made)
    assert [f"{word:08x}" for word in made] == expected.split()


def test_bits_of_pixels(headers):
    """Pixel p has half of block 16 (p // 32) + p % 16 of its pattern."""
    n, seed, pattern = 128, 2**63 + 12345, 2**40 + 7
    bits, high = np.empty(n, np.uint64), np.empty(n, np.uint32)
    headers.bits_of_pixels(n, np.uint64(seed), np.uint64(pattern), bits, high)
    np.testing.assert_array_equal(high, bits >> np.uint64(32))
    words = np.empty(4, np.uint32)
    for pixel in range(n):
        counter = [pixel // 32 * 16 + pixel % 16, 0, pattern % 2**32, pattern >> 32]
        headers.philox_words(np.array(counter, np.uint32), np.uint64(seed), False, words)
        low, up = words[2:] if pixel // 16 % 2 else words[:2]
        assert bits[pixel] == int(low) | int(up) << 32
    assert len(set(bits.tolist())) == n


def test_uniform(headers):
    assert headers.uniform_of(np.uint64(0)) == 2.0**-53
    assert headers.uniform_of(np.uint64(2**64 - 1)) == 1 - 2.0**-53
    assert headers.uniform_of(np.uint64(2**63)) == 0.5 + 2.0**-53


# --- Poisson quantiles ---


def distribution(rate, largest):
    """F(-1), F(0), ... F(largest), summed in extended precision from the smaller side."""
    k = np.arange(1, largest + 1, dtype=np.longdouble)
    log_p = np.concatenate([[0], np.cumsum(np.log(np.longdouble(rate)) - np.log(k))])
    p = np.exp(log_p - np.longdouble(rate))
    return np.concatenate([[0], np.cumsum(p)])


RATES = [1e-3, 0.3, 1, 3.999, 4, 5, 7, 7.999, 8, 12.25, 60, 639.5, 641, 3000.75]


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="needs extended precision")
@pytest.mark.parametrize("rate", RATES)
def test_poisson_quantiles(headers, rate):
    """The smallest k with F(k) >= u, up to the rounding that csrc/poisson.h states."""
    rng = np.random.default_rng(int(rate * 1000))
    n = 20000
    bits = rng.integers(0, 2**64, n, dtype=np.uint64)
    bits[:4] = 0, 1, 2**64 - 1, 2**63
    bits[4:100] >>= rng.integers(1, 40, 96, dtype=np.uint64)  # small u
    bits[100:200] = ~(bits[100:200] >> rng.integers(1, 40, 100, dtype=np.uint64))  # u near 1
    u = ((bits >> np.uint64(12)).astype(np.longdouble) + np.longdouble(0.5)) * 2.0**-52
    counts, quick = np.empty(n, np.uint32), np.empty(n, np.uint32)
    headers.quantiles_double(n, bits, np.full(n, rate, np.float64), counts)
    F = distribution(rate, int(rate + 60 + 12 * rate**0.5))
    allowed = 2e-12 if rate >= 640 else (rate + 40) * 2.0**-50
    assert (F[counts.astype(int) + 1] >= np.minimum(u, 1 - allowed) - allowed).all()
    assert (F[counts.astype(int)] < u + allowed).all()
    single = np.float32(rate)
    headers.quantiles_float(n, bits, np.full(n, single), quick)
    headers.quantiles_double(n, bits, np.full(n, single, np.float64), counts)
    np.testing.assert_array_equal(quick, counts)


@pytest.mark.parametrize("rate", [np.nan, -1.0, -1e30, np.inf, 1e30, 2.0**31, 5e-324, 0.0])
def test_loops_end(headers, rate):
    """Also for rates and uniforms that cannot occur."""
    for u in (0.5, 1.0, np.nan, np.inf, 2.0**-53):
        assert headers.summed_quantile(float(rate), float(u)) <= 1024
    for high in (0, 2**31, 2**32 - 1):
        assert headers.quickly_summed_quantile(ctypes.c_float(rate), high) <= 68
    n, counts = 4, np.empty(4, np.uint32)
    bits = np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
    headers.quantiles_double(n, bits, np.full(n, rate, np.float64), counts)
    with np.errstate(over="ignore"):
        headers.quantiles_float(n, bits, np.full(n, rate, np.float32), counts)


# --- Fourier transforms ---


def direct(x):
    """Sum over t of x[t] exp(-2 pi i k t / n), along the first axis, in double precision."""
    n = len(x)
    turns = np.exp(-2j * np.pi * np.arange(n) / n)
    k = np.arange(n)
    return turns[np.outer(k, k) % n] @ x


@pytest.mark.parametrize(
    "n",
    [*range(2, 61), 62, 63, 64, 65, 77, 80, 91, 96, 97, 100, 127, 128, 143, 169, 192, 243, 256, 257,
     343, 384, 500, 509, 512, 625, 1000, 1001, 1021, 1024, 1331, 2039, 2048],
)  # fmt: skip
def test_transforms(headers, n):
    """All radices, alone and together, and chirps for prime factors above 13."""
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, headers.width)) + 1j * rng.normal(size=(n, headers.width))
    re, im = (np.ascontiguousarray(part, np.float32) for part in (x.real, x.imag))
    x = re + 1j * im.astype(np.float64)
    back = np.empty((2, *re.shape), np.float32)
    headers.transform_lines(n, re, im, back)
    expected = direct(x)
    size = np.abs(expected).max()
    assert np.abs(re + 1j * im - expected).max() < 5e-7 * size
    assert np.abs(back[0] + 1j * back[1] - n * x).max() < 1e-6 * n * np.abs(x).max()
    if headers.passes_of(n, np.empty(16, np.int32)):
        re, im = x[:, 0].real.copy(), x[:, 0].imag.copy()
        headers.transform_double(n, re, im)
        assert np.abs(re + 1j * im - expected[:, 0]).max() < 2e-15 * size


def test_radices(headers):
    """They are what the length is made of; a prime factor above 13 leaves none."""
    radices = np.empty(16, np.int32)
    for n in [-8, 0, 1, *range(2, 2049), 2**31 - 1, 3**19]:
        count = headers.passes_of(n, radices)
        rest = max(n, 1)
        for prime in (2, 3, 5, 7, 11, 13):
            while rest % prime == 0:
                rest //= prime
        few = n < 2 or rest > 1 or n > 10**6
        assert (count == 0) == few, n
        if count:
            assert np.prod(radices[:count]) == n
            assert set(radices[:count].tolist()) <= {2, 3, 4, 5, 7, 8, 11, 13}


# --- patches ---


def direct_patch(obj, x, y, N):
    """Four taps, in double precision."""
    H, W = obj.shape
    rows, columns = np.floor(y - N // 2), np.floor(x - N // 2)
    v, u = y - N // 2 - rows, x - N // 2 - columns

    def taps(down, right):
        r = int(rows) + down + np.arange(N)[:, None]
        c = int(columns) + right + np.arange(N)
        inside = (r >= 0) & (r < H) & (c >= 0) & (c < W)
        return np.where(inside, obj[r.clip(0, H - 1), c.clip(0, W - 1)], 0)

    upper = (1 - u) * taps(0, 0) + u * taps(0, 1)
    lower = (1 - u) * taps(1, 0) + u * taps(1, 1)
    return (1 - v) * upper + v * lower


@pytest.mark.parametrize("N", [8, 9, 15, 16, 17, 32, 45])
def test_patches(headers, N):
    obj, _, positions = cases.Case(N).inputs()
    for x, y in positions[np.abs(positions).max(axis=1) < 1e6].tolist():
        made = {}
        for name in ("patch_by_lanes", "patch_by_pixels"):
            out = np.full((N, N), np.nan, np.complex64)
            sizes = (ctypes.c_int64(obj.shape[0]), ctypes.c_int64(obj.shape[1]))
            getattr(headers, name)(obj, *sizes, float(x), float(y), N, out)
            made[name] = out
        lanes, pixels = made.values()
        assert lanes.tobytes() == pixels.tobytes()
        assert np.abs(lanes - direct_patch(obj.astype(complex), x, y, N)).max() < 1e-6


# --- the phases of a pattern ---


@pytest.mark.parametrize("name", ["plain", *cases.EXPOSURES])
@pytest.mark.parametrize(
    "case", [cases.Case(8), cases.Case(33, 2), cases.Case(62), cases.Case(64, 3), cases.Case(96)],
    ids=str,
)  # fmt: skip
def test_phases_in_any_order(headers, case, name):
    """Forward, in reverse and shuffled: the bits of the extension."""
    (obj, probe, positions), options = cases.arguments(case, name)
    expected = ptycho_fast.diffract(obj, probe, positions, backend="native", **options)
    expected *= np.float32(3.5**2)
    boundary = BOUNDARIES.index(options.get("boundary", "zero"))
    weights = options.get("weights")
    slices, paths = obj.reshape(-1, *obj.shape[-2:]), positions.reshape(len(positions), -1, 2)
    modes = options.get("modes", len(probe))
    transfers, spread = (options.get("between"), options.get("near")), options.get("spread")
    numbers = [*slices.shape, *probe.shape[:2], boundary, modes, paths.shape[1]]
    numbers += [options.get("bin", 1), 0 if spread is None else len(spread)]
    for order in range(3):
        for b in range(len(paths)) if name == "plain" else range(4, 12, 2):
            path, pattern = paths[b], expected[b]
            out = np.full(pattern.shape, np.nan, np.float32)
            own = None if weights is None else weights[b]
            headers.pattern_in_order(
                np.array(numbers, np.int64),
                slices,
                probe,
                path,
                own,
                *transfers,
                spread,
                3.5,
                order,
                out,
            )
            assert out.tobytes() == pattern.tobytes(), order
