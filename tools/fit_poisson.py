"""Make the coefficients of csrc/poisson.h and ptycho_fast/backend/numba_photons.py again.

Run ``python tools/fit_poisson.py`` (mpmath and numpy, about a minute). It prints one array per
approximation, lowest power first, with the largest error against mpmath. What is fitted:

- ``exp(-t)``, ``|t| <= ln(2)/2``: a polynomial.
- the normal quantile ``w = Phi^-1(u)``: in the middle ``w / (u - 1/2)`` as a ratio of polynomials
  in ``y = sqrt(u (1 - u))``, in the tails ``|w|`` as one in ``sqrt(-log(min(u, 1 - u)))``.
- ``h, c0, c1, c2`` of the Poisson quantile (Giles 2016, ACM Transactions on Mathematical Software
  42, algorithm 955): the root ``x`` of ``Gamma(x, rate) / Gamma(x) = Phi(w)`` is
  ``x = rate + sqrt(rate) w + w^2 h(s) + c0(s) + c1(s) / rate + c2(s) / rate^2 + ...`` with
  ``s = w / sqrt(rate)``, and the Poisson quantile is ``floor(x)``.
- the same, shorter, for the short cut in floats (``QUICK``).
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import numpy as np

Real = Any  # mpmath has no types
mp.mp.dps = 50
TAIL = mp.mpf(2) ** -9  # the tails of u
S_LOW, S_HIGH = -1.0, 1.25  # s served by h, c0, c1, c2
CHECKED = 640.0  # rates from here on take floor(x) unchecked
ERROR_F, ERROR_X = 1e-12, 4e-4  # aims: unchecked error of the distribution, checked one of x
QUICK_W = 2.67  # |w| served by the short cut, at rates from 8 on


def nodes(low: Real, high: Real, count: int) -> list[Real]:
    """Chebyshev nodes on [low, high]."""
    angles = [mp.pi * (2 * j + 1) / (2 * count) for j in range(count)]
    return [(low + high - (high - low) * mp.cos(angle)) / 2 for angle in angles]


def ratio_through(f: Callable[[Real], Real], xs: Sequence[Real], bottom: int) -> list[list[float]]:
    """Coefficients of P and Q, Q(0) = 1 and deg Q = bottom, with P/Q = f at every x in xs."""
    top = len(xs) - 1 - bottom
    rows, right = mp.matrix(len(xs), len(xs)), mp.matrix([f(x) for x in xs])
    for i, x in enumerate(xs):
        for j in range(len(xs)):
            rows[i, j] = x**j if j <= top else -right[i] * x ** (j - top)
    c = [float(v) for v in mp.lu_solve(rows, right)]
    return [c[: top + 1], [1.0, *c[top + 1 :]]]


def weighted(xs: Any, ys: Any, tolerance: Any, degree: int) -> tuple[list[float], float]:
    """Polynomial with the smallest max |error / tolerance| (Lawson's reweighted least squares)."""
    basis = np.polynomial.chebyshev.chebvander((2 * xs - S_LOW - S_HIGH) / (S_HIGH - S_LOW), degree)
    weight = np.ones_like(xs)
    for _ in range(60):
        root = np.sqrt(weight) / tolerance
        c = np.linalg.lstsq(basis * root[:, None], ys * root, rcond=1e-15)[0]
        error = np.abs(basis @ c - ys) / tolerance
        weight *= error / error.max() + 1e-3
        weight /= weight.sum()
    series = np.polynomial.Chebyshev(c, domain=[S_LOW, S_HIGH])
    powers = series.convert(kind=np.polynomial.Polynomial).coef
    return [float(v) for v in powers], float(error.max())


def value(c: Sequence[float], x: Real) -> Real:
    """c[0] + c[1] x + ...."""
    return mp.polyval([mp.mpf(v) for v in reversed(c)], x)


def normal_quantile(u: Real) -> Real:
    """Phi^-1(u)."""
    return mp.sqrt(2) * mp.erfinv(2 * u - 1)


def middle(y: Real) -> Real:
    """Phi^-1(u) / (u - 1/2) at y = sqrt(u (1 - u))."""
    q = mp.sqrt(mp.mpf(1) / 4 - y * y)
    return normal_quantile(q + mp.mpf(1) / 2) / q


def tail(t: Real) -> Real:
    """-Phi^-1(exp(-t^2))."""
    return -normal_quantile(mp.exp(-t * t))


def ratio_to_rate(s: Real) -> Real:
    """Ratio r = x / rate to leading order: sign(r - 1) sqrt(2 (1 - r + r ln r)) = s."""

    def f(r: Real) -> Real:
        return mp.sign(r - 1) * mp.sqrt(abs(2 * (1 - r + r * mp.log(r)))) - s

    return mp.findroot(f, (mp.mpf("1e-6"), mp.mpf(6)), solver="anderson", tol=1e-80, verify=False)


def log_gamma_ratio(x: Real, rate: Real) -> Real:
    """Log of Gamma(x, rate) / Gamma(x) if rate > x (fraction), else of 1 minus it (series)."""
    front = x * mp.log(rate) - rate - mp.loggamma(x)
    if rate > x:
        b = rate + 1 - x
        c, d = mp.mpf(10) ** 60, 1 / b
        total, change, i = d, mp.mpf(0), 0
        while abs(change - 1) > mp.mpf(10) ** -45:
            i += 1
            a = -i * (i - x)
            b += 2
            d, c = 1 / (a * d + b), b + a / c
            change = c * d
            total *= change
        return front + mp.log(total)
    term = total = 1 / x
    n = 0
    while term > total * mp.mpf(10) ** -48:
        n += 1
        term *= rate / (x + n)
        total += term
    return front + mp.log(total)


def expansion(s: Real, orders: int = 8) -> list[Real]:
    """h, c0, c1, c2 at s: exact roots x at several rates, extrapolated to large rates."""
    s = mp.mpf(s)
    r = ratio_to_rate(s)
    c0 = mp.log(s * mp.sqrt(r) / (r - 1)) / mp.log(r)
    rows, right = mp.matrix(orders, orders), mp.matrix(orders, 1)
    for i in range(orders):
        rate = mp.mpf(400 * (i + 1))

        def error(x: Real, rate: Real = rate) -> Real:
            sign = 1 if rate > x else -1
            return log_gamma_ratio(x, rate) - mp.log(mp.erfc(-sign * s * mp.sqrt(rate / 2)) / 2)

        start = rate * r + c0
        x = mp.findroot(error, (start, start + 1 / rate), solver="secant", tol=1e-60, verify=False)
        right[i] = (x - start) * rate
        for j in range(orders):
            rows[i, j] = rate**-j
    c = mp.lu_solve(rows, right)
    return [(r - 1 - s) / s**2, c0, c[0], c[1]]


def exponential(half: Real, count: int) -> tuple[list[float], Real]:
    """Coefficients of exp(-t), |t| <= half, and their error."""
    c = ratio_through(lambda t: mp.exp(-t), nodes(-half, half, count), 0)[0]
    return c, max(abs(value(c, t) - mp.exp(-t)) for t in mp.linspace(-half, half, 200))


def middle_ratio(count: int, bottom: int) -> tuple[list[float], list[float], Real]:
    """Coefficients of `middle`, deg Q = bottom, and the error of u that they make."""
    y_low = mp.sqrt(TAIL * (1 - TAIL))
    low, high = y_low ** mp.mpf(0.25), mp.mpf(0.5) ** mp.mpf(0.25)  # nodes crowded at 0
    top, below = ratio_through(middle, [v**4 for v in nodes(low, high, count)], bottom)
    error = mp.mpf(0)
    for y in mp.linspace(y_low, mp.mpf("0.49999"), 200):
        q = mp.sqrt(mp.mpf(0.25) - y * y)
        miss = abs(q * (value(top, y) / value(below, y) - middle(y)))
        error = max(error, miss * mp.npdf(q * middle(y)))
    return top, below, error


def show(name: str, c: Sequence[float], note: str = "") -> None:
    """Print one array."""
    if name.startswith("QUICK"):
        c = [float(np.float32(v)) for v in c]
    sys.stdout.write(f"{name}: {note}\n  {', '.join(repr(v) for v in c)}\n")


def main() -> None:
    """Fit and print everything."""
    for name, count in (("EXP", 12), ("QUICK_EXP", 6)):
        c, error = exponential(mp.log(2) / 2, count)
        show(name, c, f"error {mp.nstr(error, 2)}")

    for name, count, degree in (("MIDDLE", 15, 7), ("QUICK_MIDDLE", 9, 4)):
        top, bottom, error = middle_ratio(count, degree)
        show(f"{name}_TOP", top, f"error of u {mp.nstr(error, 2)}")
        show(f"{name}_BOTTOM", bottom)

    t_low, t_high = mp.sqrt(-mp.log(TAIL)), mp.sqrt(53 * mp.log(2))
    top, bottom = ratio_through(tail, nodes(t_low, t_high, 11), 5)
    ts = mp.linspace(t_low, t_high, 200)
    error = max(abs(value(top, t) / value(bottom, t) - tail(t)) for t in ts)
    show("TAIL_TOP", top, f"error of w {mp.nstr(error, 2)}")
    show("TAIL_BOTTOM", bottom)

    s = np.array([float(v) for v in nodes(S_LOW, S_HIGH, 100)])
    targets = np.array([[float(v) for v in expansion(v)] for v in s]).T

    # An error dx of x shifts the distribution function by dx exp(-w^2 / 2) / sqrt(2 pi rate): the
    # worst unchecked rate for h (times w^2) is 1 / s^2, for the others it is the smallest.
    def allowed(rate: Any) -> Any:
        return ERROR_F * np.sqrt(2 * np.pi * rate) * np.exp(np.minimum(rate * s * s / 2, 80))

    rate_h = np.maximum(CHECKED, 1 / s**2)
    tolerances = [
        np.minimum(allowed(rate_h) / (rate_h * s * s), ERROR_X / 16),
        np.minimum(allowed(CHECKED), ERROR_X),
        np.minimum(allowed(CHECKED) * CHECKED, ERROR_X * 8),
        np.minimum(allowed(CHECKED) * CHECKED**2, ERROR_X * 64),
    ]
    plan = zip(("H", "C0", "C1", "C2"), targets, tolerances, (7, 6, 5, 2), strict=True)
    for name, y, tolerance, degree in plan:
        c, worst = weighted(s, y, tolerance, degree)
        show(name, c, f"error / aim {worst:.2g}")

    # The short cut may miss x by about 1e-3 (s^2 + 1 / rate); h counts rate s^2 <= QUICK_W^2 times.
    inside = np.abs(s) < QUICK_W / np.sqrt(8)
    s, (h, c0, c1, c2) = s[inside], targets[:, inside]
    quick = (
        ("QUICK_H", h, 1e-3 * s * s / QUICK_W**2 + 1e-9, 4),
        ("QUICK_C0", c0, 1e-3 * s * s + 1e-6, 3),
        ("QUICK_C1", c1 + c2 / 8, 8e-3 * s * s + 1e-3, 1),
    )
    for name, y, tolerance, degree in quick:
        c, worst = weighted(s, y, tolerance, degree)
        show(name, c, f"error / aim {worst:.2g}")


if __name__ == "__main__":
    main()
