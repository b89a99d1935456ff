"""Photon counts in numba: csrc/philox.h and csrc/poisson.h, operation by operation, same bits.

The approximations, their sources and error bounds are described there.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from ptycho_fast.backend.numba import poisson_coefficients as fitted
from ptycho_fast.backend.numba.compiled import inline, kernel

_intrinsic: Any = intrinsic

_SUM_BELOW = 8.0
_CHECK_BELOW = 640.0
_ROUND = 1.5 * 2.0**52
_TAIL = 0.5 - 2.0**-9
_PIXELS = 1024  # counted together: a multiple of 32
_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33")
_ARTANH = tuple(2.0 / k for k in range(1, 20, 2))

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_TWO_TO_52 = np.uint64(0x433 << 52)  # of a float64


@_intrinsic  # type: ignore[untyped-decorator]
def _double(_: Any, bits: Any) -> Any:
    """The float64 of these 64 bits."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.float64))

    return types.float64(types.uint64), emit


@inline
def _polynomial(c: Any, x: Any) -> Any:
    n = len(c)
    square = x * x
    odd, even = c[n - 1], c[n - 2]
    for i in range(n - 3, 0, -2):
        odd = odd * square + c[i]
        even = even * square + c[i - 1]
    total = odd * x + even
    return total * x + c[0] if n % 2 else total


@inline
def _exp_minus(x: Any) -> Any:
    n = (x * 1.4426950408889634 + _ROUND) - _ROUND
    t = (x - n * _LN2_HIGH) - n * _LN2_LOW
    return _polynomial(fitted.EXP, t) * _double(np.uint64(1023 - int(n)) << np.uint64(52))


@kernel
def _log(x: Any) -> Any:
    m, e = math.frexp(x)
    if m < 0.7071067811865476:
        m, e = 2.0 * m, e - 1
    f = (m - 1.0) / (m + 1.0)
    return e * 0.6931471805599453 + f * _polynomial(_ARTANH, f * f)


@kernel
def _sum_quantile(rate: Any, u: Any) -> Any:
    goal = min(u, 1.0 - (rate + 32.0) * 2.0**-51)
    p = total = _exp_minus(rate)
    count = 0
    while total < goal:
        count += 1
        p *= rate * (1.0 / count)
        total += p
    return count


@inline
def _middle(u: Any, rate: Any) -> tuple[Any, Any, Any]:
    """Normal quantile between the tails, root of the rate and its inverse."""
    deviation = math.sqrt(rate)
    q = u - 0.5
    y = math.sqrt(u * (1.0 - u))
    bottom = _polynomial(fitted.MIDDLE_BOTTOM, y)
    common = 1.0 / (bottom * deviation)
    return q * _polynomial(fitted.MIDDLE_TOP, y) * (common * deviation), deviation, common * bottom


@inline
def _expand(rate: Any, w: Any, deviation: Any, inverse_deviation: Any) -> tuple[Any, bool]:
    """Count at a normal quantile, and whether it is in doubt."""
    s = w * inverse_deviation
    inverse = inverse_deviation * inverse_deviation
    higher = _polynomial(fitted.C1, s) + inverse * _polynomial(fitted.C2, s)
    small = _polynomial(fitted.C0, s) + inverse * higher
    offset = deviation * w + (w * w * _polynomial(fitted.H, s) + small)
    whole = (rate + _ROUND) - _ROUND
    x = (rate - whole) - 0.5 + offset
    nearest = (x + _ROUND) - _ROUND
    error = 1.5e-3 * (s * s) + 1e-3 * inverse
    far = (abs(x - nearest) + error > 0.5) | (abs(s - 0.125) > 1.125)
    return whole + nearest, (rate < _CHECK_BELOW) & far


@kernel
def poisson_quantile(u: Any, rate: Any) -> Any:
    """Smallest integer ``k >= 0`` with ``F(k; rate) >= u``, u in (0, 1), rate in [0, 2**31]."""
    if rate < _SUM_BELOW:
        return _sum_quantile(rate, u)
    w, deviation, inverse_deviation = _middle(u, rate)
    q = u - 0.5
    if abs(q) > _TAIL:
        t = math.sqrt(-_log(0.5 - abs(q)))
        tail = _polynomial(fitted.TAIL_TOP, t) / _polynomial(fitted.TAIL_BOTTOM, t)
        w = tail if q > 0.0 else -tail
    count, doubtful = _expand(rate, w, deviation, inverse_deviation)
    return _sum_quantile(rate, u) if doubtful else int(count)


@inline
def _uniform(bits: Any) -> Any:
    """The upper 52 bits, as the middle of their interval of (0, 1)."""
    return ((_double(bits >> np.uint64(12) | _TWO_TO_52) - 2.0**52) + 0.5) * 2.0**-52


@inline
def _philox_pair(block: int, seed: int, pattern: int) -> tuple[float, float]:
    """The two uniforms of one block of the photon stream."""
    c0, c1 = np.uint64(block), np.uint64(0)
    c2, c3 = np.uint64(pattern) & _LOW, np.uint64(pattern) >> _HALF
    key0, key1 = np.uint64(seed) & _LOW, np.uint64(seed) >> _HALF
    for _ in range(10):
        product0 = np.uint64(0xD2511F53) * c0
        product1 = np.uint64(0xCD9E8D57) * c2
        c0 = (product1 >> _HALF) ^ c1 ^ key0
        c2 = (product0 >> _HALF) ^ c3 ^ key1
        c1, c3 = product1 & _LOW, product0 & _LOW
        key0 = (key0 + np.uint64(0x9E3779B9)) & _LOW
        key1 = (key1 + np.uint64(0xBB67AE85)) & _LOW
    return _uniform(c0 | (c1 << _HALF)), _uniform(c2 | (c3 << _HALF))


@kernel
def _uniforms(first_block: int, seed: int, pattern: int, u: Any) -> None:
    """Uniforms of the pixels from block `first_block` on; 16 blocks serve 32 pixels."""
    for row in range(u.size // 32):
        for i in range(16):
            pair = _philox_pair(first_block + 16 * row + i, seed, pattern)
            u[32 * row + i], u[32 * row + 16 + i] = pair


@kernel
def _expand_all(rate: Any, u: Any, count: Any) -> None:
    """Counts, or -1 for pixels that `poisson_quantile` must count."""
    for i in range(rate.size):
        w, deviation, inverse_deviation = _middle(u[i], rate[i])
        k, doubtful = _expand(rate[i], w, deviation, inverse_deviation)
        count[i] = -1.0 if doubtful | (abs(u[i] - 0.5) > _TAIL) else k


def _sum_all(steps: int) -> Any:
    @kernel
    def run(rate: Any, u: Any, count: Any) -> None:
        """Counts as by `_sum_quantile`, or -1 if they exceed `steps`."""
        for i in range(rate.size):
            goal = min(u[i], 1.0 - (rate[i] + 32.0) * 2.0**-51)
            p = total = _exp_minus(rate[i])
            k = 0.0
            for step in range(1, steps + 1):
                k += 1.0 if total < goal else 0.0
                p *= rate[i] * (1.0 / step)
                total += p
            count[i] = -1.0 if total < goal else k

    return run


_sum_few, _sum_many = _sum_all(6), _sum_all(20)


@inline
def _settle(n: int, pixels: Any, rates: Any, us: Any, counts: Any, count: Any) -> int:
    """Store the counts of `n` pixels. Pixels without a count move to the front; their number."""
    left = 0
    for i in range(n):
        count[pixels[i]] = np.uint32(np.int64(counts[i]))
        if counts[i] < 0.0:
            pixels[left], rates[left], us[left] = pixels[i], rates[i], us[i]
            left += 1
    return left


@kernel
def poisson_counts(
    rates_of: npt.NDArray[np.floating[Any]],
    counts_of: npt.NDArray[np.uint32],
    seed: int,
    indices: npt.NDArray[np.uint64],
) -> None:
    """Photon counts of patterns, into `counts_of`.

    Every pixel gets its `poisson_quantile`. Pixels of a kind are gathered first, so that the loops
    over them have no branches and LLVM can vectorise them.

    Parameters
    ----------
    rates_of : (B, n_pixels) float32 or float64
        Expected photons per pixel, 0 to 2**31.
    counts_of : (B, n_pixels) uint32
        Result.
    seed : uint64
        Seed of the noise.
    indices : (B,) uint64
        Pattern numbers.
    """
    u, rates, us = np.empty(_PIXELS), np.empty(_PIXELS), np.empty(_PIXELS)
    counts, pixels = np.empty(_PIXELS), np.empty(_PIXELS, np.int64)
    for b in range(len(rates_of)):
        rate, count, pattern = rates_of[b], counts_of[b], indices[b]
        for first in range(0, rate.size, _PIXELS):
            here = min(_PIXELS, rate.size - first)
            _uniforms(first // 2, seed, pattern, u[: (here + 31) // 32 * 32])
            for large in (True, False):
                n = 0
                for i in range(here):
                    r = np.float64(rate[first + i])
                    pixels[n], rates[n], us[n] = first + i, r, u[i]
                    if large:
                        count[first + i] = 0
                        n += int(r >= _SUM_BELOW)
                    else:  # F(0) = exp(-rate) > 1 - rate: where u is below that, the count is 0
                        n += int((r < _SUM_BELOW) & (u[i] >= (1.0 - 2.0**-50) - r))
                all_of_a_kind = n == here
                if large:
                    _expand_all(rates[:n], us[:n], counts)
                else:
                    _sum_few(rates[:n], us[:n], counts)
                    n = _settle(n, pixels, rates, us, counts, count)
                    _sum_many(rates[:n], us[:n], counts)
                n = _settle(n, pixels, rates, us, counts, count)
                for i in range(n):
                    count[pixels[i]] = poisson_quantile(us[i], rates[i])
                if all_of_a_kind:
                    break
