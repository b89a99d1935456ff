"""Make the fitted coefficients of the photon sampler, for C++ and for numba.

Run ``python tools/fit_poisson.py`` (mpmath and numpy, half a minute). It writes
``csrc/poisson_coefficients.h`` and ``ptycho_fast/backend/numba/poisson_coefficients.py`` and prints
the largest error of each approximation against mpmath. ``--check`` writes nothing and fails where
the files differ from what would be written.

The files are in version control, because every digit decides results: another LAPACK may give the
least-squares fits another last digit. Never replace them without a reason.

What is fitted, as polynomials with the lowest power first:

- ``EXP``: ``exp(-t)``, ``|t| <= ln(2)/2``.
- ``MIDDLE``, ``TAIL``: the normal quantile ``w = Phi^-1(u)``. In the middle ``w / (u - 1/2)`` is a
  ratio of polynomials in ``y = sqrt(u (1 - u))``, in the tails ``|w|`` is one in
  ``sqrt(-log(min(u, 1 - u)))``. ``NORMAL`` is the middle of the detector's read-out noise, which
  reaches further into the tails.
- ``H``, ``C0``, ``C1``, ``C2`` of the Poisson quantile (Giles 2016, ACM Transactions on
  Mathematical Software 42, algorithm 955): the root ``x`` of ``Gamma(x, rate) / Gamma(x) = Phi(w)``
  is ``x = rate + sqrt(rate) w + w^2 h(s) + c0(s) + c1(s) / rate + c2(s) / rate^2 + ...`` with
  ``s = w / sqrt(rate)``, and the Poisson quantile is ``floor(x)``.
- ``QUICK_...``: the same, shorter, in single precision.
"""

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np

Real = Any  # mpmath has no types
mp.mp.dps = 50
Coefficients = dict[str, list[float]]

ROOT = Path(__file__).parents[1]
HEADER = ROOT / "csrc" / "poisson_coefficients.h"
MODULE = ROOT / "ptycho_fast" / "backend" / "numba" / "poisson_coefficients.py"

TAIL = mp.mpf(2) ** -9  # u or 1 - u below: the tails
MIDDLES = {  # number of coefficients, degree of the bottom, where the tails begin
    "MIDDLE": (15, 7, TAIL),
    "QUICK_MIDDLE": (9, 4, TAIL),
    "QUICK_NORMAL": (9, 4, mp.mpf(2) ** -12),
}
S_LOW, S_HIGH = -1.0, 1.25  # range of s for h, c0, c1, c2
CHECKED = 640.0  # from this rate on floor(x) is taken without a check
ERROR_F, ERROR_X = 1e-12, 4e-4  # aims: error of F where it is not checked, of x where it is
QUICK_W = 2.67  # largest |w| for single precision, at rates from 8 on


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
    total = mp.mpf(0)
    for v in reversed(c):
        total = total * x + mp.mpf(v)
    return total


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


@functools.cache
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
    c[0] = 1.0  # exp(0) is exactly 1, in single precision too
    return c, max(abs(value(c, t) - mp.exp(-t)) for t in mp.linspace(-half, half, 200))


def middle_ratio(count: int, bottom: int, tail: Real) -> tuple[list[float], list[float], Real]:
    """Coefficients of `middle`, deg Q = bottom, and the error of u that they make."""
    y_low = mp.sqrt(tail * (1 - tail))
    low, high = y_low ** mp.mpf(0.25), mp.mpf(0.5) ** mp.mpf(0.25)  # nodes crowded at 0
    top, below = ratio_through(middle, [v**4 for v in nodes(low, high, count)], bottom)
    error = mp.mpf(0)
    for y in mp.linspace(y_low, mp.mpf("0.49999"), 200):
        q = mp.sqrt(mp.mpf(0.25) - y * y)
        miss = abs(q * (value(top, y) / value(below, y) - middle(y)))
        error = max(error, miss * mp.npdf(q * middle(y)))
    return top, below, error


def fit() -> tuple[Coefficients, dict[str, str]]:
    """All coefficients, and a note on the error of each."""
    found: Coefficients = {}
    notes: dict[str, str] = {}

    for name, count in (("EXP", 12), ("QUICK_EXP", 6)):
        found[name], error = exponential(mp.log(2) / 2, count)
        notes[name] = f"error {mp.nstr(error, 2)}"

    for name, (count, degree, tail_at) in MIDDLES.items():
        found[f"{name}_TOP"], found[f"{name}_BOTTOM"], error = middle_ratio(count, degree, tail_at)
        notes[f"{name}_TOP"] = f"error of u {mp.nstr(error, 2)}"

    t_low, t_high = mp.sqrt(-mp.log(TAIL)), mp.sqrt(53 * mp.log(2))
    top, bottom = ratio_through(tail, nodes(t_low, t_high, 11), 5)
    ts = mp.linspace(t_low, t_high, 200)
    error = max(abs(value(top, t) / value(bottom, t) - tail(t)) for t in ts)
    found |= {"TAIL_TOP": top, "TAIL_BOTTOM": bottom}
    notes["TAIL_TOP"] = f"error of w {mp.nstr(error, 2)}"

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
        found[name], worst = weighted(s, y, tolerance, degree)
        notes[name] = f"error / aim {worst:.2g}"

    # Single precision may miss x by about 1e-3 (s^2 + 1 / rate); h counts rate s^2 <= QUICK_W^2
    # times.
    inside = np.abs(s) < QUICK_W / np.sqrt(8)
    s, (h, c0, c1, c2) = s[inside], targets[:, inside]
    quick = (
        ("QUICK_H", h, 1e-3 * s * s / QUICK_W**2 + 1e-9, 4),
        ("QUICK_C0", c0, 1e-3 * s * s + 1e-6, 3),
        ("QUICK_C1", c1 + c2 / 8, 8e-3 * s * s + 1e-3, 1),
    )
    for name, y, tolerance, degree in quick:
        found[name], worst = weighted(s, y, tolerance, degree)
        notes[name] = f"error / aim {worst:.2g}"

    for name in [name for name in found if name.startswith("QUICK")]:
        found[name] = [float(np.float32(v)) for v in found[name]]
    # The kernel rounds x - 1/2 to the nearest integer; the difference is exact in single precision.
    c0_quick = found.pop("QUICK_C0")
    found["QUICK_C0_MINUS_HALF"] = [c0_quick[0] - 0.5, *c0_quick[1:]]
    return found, notes


def errors(c: Coefficients, count: int = 6) -> dict[str, tuple[float, float]]:
    """Largest error of each approximation at `count` points, and what it may be.

    Quick; independent of how the coefficients were found.
    """
    found: dict[str, tuple[float, float]] = {}
    for name, bound in (("EXP", 2e-17), ("QUICK_EXP", 4e-7)):
        ts = mp.linspace(-mp.log(2) / 2, mp.log(2) / 2, count)
        found[name] = float(max(abs(value(c[name], t) - mp.exp(-t)) for t in ts)), bound
    for name, bound in (("MIDDLE", 1e-13), ("QUICK_MIDDLE", 3e-8), ("QUICK_NORMAL", 2e-7)):
        worst = 0.0
        tail_at = MIDDLES[name][2]
        for y in mp.linspace(mp.sqrt(tail_at * (1 - tail_at)), mp.mpf("0.49999"), count):
            q = mp.sqrt(mp.mpf(0.25) - y * y)
            ratio = value(c[f"{name}_TOP"], y) / value(c[f"{name}_BOTTOM"], y)
            worst = max(worst, float(abs(q * (ratio - middle(y))) * mp.npdf(q * middle(y))))
        found[name] = worst, bound
    ts = mp.linspace(mp.sqrt(-mp.log(TAIL)), mp.sqrt(53 * mp.log(2)), count)
    ratios = [value(c["TAIL_TOP"], t) / value(c["TAIL_BOTTOM"], t) - tail(t) for t in ts]
    found["TAIL"] = float(max(map(abs, ratios))), 1e-13
    bounds = {"H": ERROR_X / 16, "C0": ERROR_X, "C1": ERROR_X * 8, "C2": ERROR_X * 64}
    at = [s for s in np.linspace(S_LOW + 0.01, S_HIGH - 0.01, count) if abs(s) > 0.01]
    exact = {s: expansion(s) for s in at}
    for i, (name, bound) in enumerate(bounds.items()):
        found[name] = float(max(abs(value(c[name], s) - exact[s][i]) for s in at)), bound
    inside = [s for s in at if abs(s) < QUICK_W / 8**0.5]
    for name, of in (
        ("QUICK_H", lambda e: e[0]),
        ("QUICK_C0_MINUS_HALF", lambda e: e[1] - 0.5),
        ("QUICK_C1", lambda e: e[2] + e[3] / 8),
    ):
        bound = {"QUICK_H": 2e-4, "QUICK_C0_MINUS_HALF": 1e-3, "QUICK_C1": 2e-2}[name]
        found[name] = float(max(abs(value(c[name], s) - of(exact[s])) for s in inside)), bound
    return found


def as_header(c: Coefficients) -> str:
    """Text of ``csrc/poisson_coefficients.h``."""
    lines = [
        "// Made by tools/fit_poisson.py, which says what they are: do not edit. They are macros,",
        "// because a CUDA kernel cannot use constant arrays that are defined outside functions.",
        "// clang-format off",
        "#pragma once",
    ]
    for name, values in c.items():
        suffix = "f" if name.startswith("QUICK") else ""
        lines.append(f"#define PF_{name} {', '.join(f'{v!r}{suffix}' for v in values)}")
    return "\n".join(lines) + "\n"


def as_module(c: Coefficients) -> str:
    """Text of ``ptycho_fast/backend/numba/poisson_coefficients.py``."""
    lines = ['"""Made by ``tools/fit_poisson.py``, which says what they are: do not edit."""', ""]
    for name, values in c.items():
        if not name.startswith("QUICK"):
            lines += [f"{name} = (", *(f"    {v!r}," for v in values), ")"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Fit, and write or compare the files."""
    found, notes = fit()
    for name, note in notes.items():
        sys.stdout.write(f"{name}: {note}\n")
    status = 0
    for path, text in ((HEADER, as_header(found)), (MODULE, as_module(found))):
        if "--check" not in sys.argv:
            path.write_text(text)
        elif path.read_text() != text:
            sys.stderr.write(f"{path}: differs from what would be written\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
