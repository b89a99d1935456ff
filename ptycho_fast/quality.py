"""How good a found object is: against the truth, and against what photons allow.

All comparisons are over the pixels that patterns light. What patterns cannot tell is taken out
first: a constant phase, and where the probe was found too, a complex factor, a linear phase and a
shift.

>>> import numpy as np
>>> rng = np.random.default_rng(0)
>>> true = rng.random((64, 64)) + 0.5
>>> found = np.exp(0.3j) * (true + 0.01 * rng.normal(size=true.shape))
>>> result = compare(found, true, np.ones(true.shape, bool))
>>> result["pearson_r"] > 0.999, round(result["normalised_error"], 3), result["frc"]["crossing"]
(True, 0.01, None)
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

Complex = npt.NDArray[np.complexfloating[Any, Any]]
Real = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

LIT = 0.1  # of the probe's brightest pixel: what is darker does not light an object pixel
_BINS = {"1": (1, 1), "2": (2, 2), "3-4": (3, 4), "5-8": (5, 8), "more": (9, math.inf)}
_NO_CONTRAST = 1e-9  # span below which values are the same
_HANN_BANDWIDTH = 1.5  # equivalent noise bandwidth of a Hann window along an axis, in pixels
_NEWTON = 8  # steps from a pixel of a spectrum to its peak


# --- numbers over pixels ---


def pearson_r(a: npt.ArrayLike, b: npt.ArrayLike) -> float | None:
    """Correlation of two arrays; None where one of them does not vary.

    Examples
    --------
    >>> round(pearson_r([1.0, 2.0, 4.0], [2.0, 4.0, 8.0]), 12), pearson_r([1.0, 1.0], [1.0, 2.0])
    (1.0, None)
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.size == 0 or min(np.ptp(a), np.ptp(b)) < _NO_CONTRAST:
        return None
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def errors(error: Real) -> dict[str, float]:
    """Mean absolute, root mean square and largest absolute error: ``mae``, ``rmse``, ``max``."""
    size = np.abs(error)
    return {
        "mae": float(size.mean()),
        "rmse": float(np.sqrt(np.square(error).mean())),
        "max": float(size.max()),
    }


def phase_factor(found: Complex, true: Complex) -> complex:
    """The constant phase factor that brings `found` nearest to `true`, by least squares.

    Patterns do not depend on a constant phase.

    Examples
    --------
    >>> phase_factor(np.array([2j, 2j]), np.array([1.0, 1.0])).round(12)
    np.complex128(-1j)
    """
    return np.exp(-1j * np.angle(np.vdot(true, found)))


def normalised_error(found: Complex, true: Complex) -> float:
    """Root of the mean square difference over that of the truth, a constant phase taken out.

    Examples
    --------
    >>> round(normalised_error(np.array([1.1j, 1.1j]), np.array([1.0, 1.0])), 6)
    0.1
    """
    difference = found * phase_factor(found, true) - true
    return float(np.linalg.norm(difference) / np.linalg.norm(true))


def score(found: Complex, true: Complex, covered: Mask) -> dict[str, Any]:
    """Amplitude and phase of an object against the truth, over the covered pixels.

    Parameters
    ----------
    found, true : (H, W) complex
        The objects; a constant phase is taken out.
    covered : (H, W) bool
        Where they are compared.

    Returns
    -------
    dict
        ``covered_pixels``; ``ratio`` of the mean amplitudes; ``pearson_r`` of the amplitudes;
        ``amplitude`` and ``phase`` with `errors`, that of the phase in radians and with its own
        ``pearson_r``.
    """
    seen, truth = found[covered], true[covered].astype(np.complex128)
    seen = seen * phase_factor(seen, truth)
    amplitude, true_amplitude = np.abs(seen), np.abs(truth)
    phase_error = np.angle(seen * np.conj(truth))
    true_phase = np.angle(truth)
    return {
        "covered_pixels": int(covered.sum()),
        "ratio": float(amplitude.mean() / true_amplitude.mean()),
        "pearson_r": pearson_r(amplitude, true_amplitude),
        "amplitude": errors(amplitude - true_amplitude),
        "phase": {
            **errors(phase_error),
            "pearson_r": pearson_r(true_phase + phase_error, true_phase),
        },
    }


def compare(
    found: Complex,
    true: Complex,
    covered: Mask,
    coverage: npt.NDArray[np.integer[Any]] | None = None,
    *,
    pixel_m: float | None = None,
    probe_found: bool = False,
) -> dict[str, Any]:
    """All numbers about a found object; plain JSON types.

    Parameters
    ----------
    found, true : (H, W) complex
        The objects.
    covered : (H, W) bool
        Where they are compared.
    coverage : (H, W) int, optional
        How many patterns light each pixel; of `coverage`.
    pixel_m : float, optional
        Side of an object pixel, metres.
    probe_found : bool
        Whether the probe was found as well, so that `aligned` takes out more than a phase.

    Returns
    -------
    dict
        As `score`, and ``normalised_error``; ``frc``, of `fourier_ring_correlation` (None where
        the covered region is too small); ``by_coverage``, of `by_coverage`.

    Raises
    ------
    ValueError
        The shapes differ, or no pixel is covered.
    """
    if not found.shape == true.shape == covered.shape:
        given = f"shapes {found.shape}, {true.shape} and {covered.shape}"
        raise ValueError(checks.wrong("found, true, covered", given, "three of the same"))
    if not covered.any():
        raise ValueError(checks.wrong("covered", "no pixel", "at least one that patterns light"))
    if probe_found:
        found = aligned(found, true, covered)
    rings = fourier_ring_correlation(found, true, covered)
    return {
        **score(found, true, covered),
        "normalised_error": normalised_error(found[covered], true[covered]),
        "frc": None if rings is None else rings.summary(pixel_m),
        "by_coverage": None if coverage is None else by_coverage(found, true, coverage),
    }


# --- how often a pixel is lit ---


def coverage(
    positions: npt.NDArray[np.float64],
    probe: Complex,
    shape: tuple[int, int],
    lit: float = LIT,
) -> npt.NDArray[np.int32]:
    """How many patterns light each pixel of an object.

    A pattern lights a pixel where the intensity of the probe, all modes together, is at least `lit`
    times its largest. Positions count to the nearest pixel.

    Parameters
    ----------
    positions : (B, 2) float64
        ``[x, y]`` in object pixels.
    probe : (M, N, N) complex
        Probe modes.
    shape : (int, int)
        Rows and columns of the object.
    lit : float
        Share of the brightest pixel.

    Returns
    -------
    (H, W) int32

    Examples
    --------
    >>> coverage(np.array([[2.0, 1.0], [3.0, 1.0]]), np.ones((1, 2, 2)), (3, 5))
    array([[0, 1, 2, 1, 0],
           [0, 1, 2, 1, 0],
           [0, 0, 0, 0, 0]], dtype=int32)
    """
    power = _power(probe)
    return _laid((power >= lit * power.max()).astype(np.int32), positions, shape)


def illumination(
    positions: npt.NDArray[np.float64], probe: Complex, shape: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Sum over the patterns of the probe's intensity on each pixel of an object, (H, W) float64.

    Times ``s**2`` these are the photons that reach the pixel.
    """
    return _laid(_power(probe), positions, shape)


def _power(probe: Complex) -> npt.NDArray[np.float64]:
    return np.square(np.abs(probe), dtype=np.float64).sum(axis=0)


def _laid(plane: Any, positions: npt.NDArray[np.float64], shape: tuple[int, int]) -> Any:
    """Sum of a plane (N, N) about each position, on the grid of the object."""
    N, (H, W) = plane.shape[-1], shape
    total = np.zeros((H + 2 * N, W + 2 * N), plane.dtype)
    corner = np.rint(positions) - N // 2 + N
    beyond = (corner < 0) | (corner > [W + N, H + N])
    for x, y in corner[~beyond.any(axis=1)].astype(np.int64):
        total[y : y + N, x : x + N] += plane
    return total[N:-N, N:-N]


def by_coverage(
    found: Complex, true: Complex, coverage: npt.NDArray[np.integer[Any]]
) -> dict[str, dict[str, Any]]:
    """Correlation and error by how many patterns light a pixel: 1, 2, 3-4, 5-8, more.

    Where a pixel is lit once, nothing but its own pattern tells its value, and with a symmetric
    probe the twin (the patch turned by 180 degrees) explains that pattern as well.

    Returns
    -------
    dict
        For each class with pixels in it ``pixels``, ``pearson_r`` of the amplitude and
        ``normalised_error``.
    """
    near = found * phase_factor(found[coverage > 0], true[coverage > 0])
    result: dict[str, dict[str, Any]] = {}
    for name, (least, most) in _BINS.items():
        here = (coverage >= least) & (coverage <= most)
        if here.any():
            seen, truth = near[here], true[here]
            result[name] = {
                "pixels": int(here.sum()),
                "pearson_r": pearson_r(np.abs(seen), np.abs(truth)),
                "normalised_error": float(np.linalg.norm(seen - truth) / np.linalg.norm(truth)),
            }
    return result


def photon_limit(true: Complex, photons: npt.NDArray[np.float64], covered: Mask) -> float:
    """The smallest normalised error that photon noise allows, with a known probe.

    A pattern of n photons tells ``4 n`` of Fisher's information about its amplitudes, and a unitary
    transform keeps it. For a complex object pixel that n photons reach this bounds the variance of
    real and imaginary part together by ``1 / n`` (Cramer and Rao; the trace of the information
    matrix, so that no method is better and real ones, whose pixels share their information, are
    somewhat worse). Independent of the object, with the slope -1/2 against the dose.

    Parameters
    ----------
    true : (H, W) complex
        The object.
    photons : (H, W) float64
        Photons that reach each pixel, of all patterns; ``s**2`` times `illumination`.
    covered : (H, W) bool
        Where they are compared.

    Returns
    -------
    float
        To compare with `normalised_error`.

    Examples
    --------
    >>> everywhere = np.ones((4, 4), bool)
    >>> photon_limit(np.full((4, 4), 2.0), np.full((4, 4), 100.0), everywhere)
    0.05
    """
    variance = (1 / photons[covered]).mean()
    return float(np.sqrt(variance / np.square(np.abs(true[covered])).mean()))


# --- what patterns cannot tell ---


def aligned(found: Complex, true: Complex, covered: Mask) -> Complex:
    """`found` moved to where it is nearest to `true`: shift, linear phase, complex factor.

    If object and probe are both unknown, patterns allow each of the three: the object is shifted
    together with the probe; a linear phase on the object, with the opposite one on the probe, moves
    all patterns together by a part of a pixel that nobody knows; a factor goes from one to the
    other.

    Parameters
    ----------
    found, true : (H, W) complex
        The objects.
    covered : (H, W) bool
        Where they are compared.

    Returns
    -------
    (H, W) complex128
        To a fraction of a thousandth of a pixel where the object has contrast.
    """
    box = covered_box(covered)
    taper = _taper(box, covered)
    moved: Complex = np.asarray(found, np.complex128)
    shape = moved.shape
    rows, columns = np.indices(shape)
    for _ in range(2):  # shift and linear phase disturb each other, but little
        product = (moved * np.conj(true))[box] * taper
        fy, fx = _tilt(product)
        moved = moved * np.exp(-2j * np.pi * (fy * rows + fx * columns))
        here, there = (np.fft.fft2(_centred(one, box, covered) * taper) for one in (moved, true))
        # A shift is a linear phase of the spectrum; frequencies in rising order.
        dy, dx = _tilt(np.fft.fftshift(here * np.conj(there)))
        height, width = taper.shape
        moved = _shifted(moved, dy * height, dx * width)
    seen, truth = moved[covered], true[covered]
    return moved * (np.vdot(seen, truth) / np.vdot(seen, seen))


def _tilt(product: Complex) -> tuple[float, float]:
    """Frequency (fy, fx), cycles a pixel, of the wave that an array is most like.

    The largest pixel of the spectrum, then Newton's steps on its modulus squared.
    """
    height, width = product.shape
    spectrum = np.abs(np.fft.fft2(product))
    row, column = np.unravel_index(int(spectrum.argmax()), spectrum.shape)
    f = np.array([np.fft.fftfreq(height)[row], np.fft.fftfreq(width)[column]])
    y = np.arange(height) - (height - 1) / 2
    x = np.arange(width) - (width - 1) / 2
    for _ in range(_NEWTON):
        wy, wx = np.exp(-2j * np.pi * f[0] * y), np.exp(-2j * np.pi * f[1] * x)
        # Moments of the sum: S = sum p w, and its derivatives by 2 pi f.
        by = np.stack([wy, -1j * y * wy, -(y**2) * wy])
        bx = np.stack([wx, -1j * x * wx, -(x**2) * wx])
        m = by @ product @ bx.T
        s, sy, sx = m[0, 0], m[1, 0], m[0, 1]
        gradient = 2 * np.real(np.conj(s) * np.array([sy, sx]))
        mixed = np.real(np.conj(sy) * sx + np.conj(s) * m[1, 1])
        hessian = 2 * np.array([
            [abs(sy) ** 2 + np.real(np.conj(s) * m[2, 0]), mixed],
            [mixed, abs(sx) ** 2 + np.real(np.conj(s) * m[0, 2])],
        ])  # fmt: skip
        if not np.all(np.linalg.eigvalsh(hessian) < 0):  # not at a peak: no contrast
            break
        step = -np.linalg.solve(hessian, gradient) / (2 * np.pi)
        f = f + np.clip(step, [-0.5 / height, -0.5 / width], [0.5 / height, 0.5 / width])
    return float(f[0]), float(f[1])


def _shifted(field: Complex, dy: float, dx: float) -> Complex:
    """A field moved by (dy, dx) pixels: exact where its spectrum ends below half a cycle."""
    height, width = field.shape
    phase = np.fft.fftfreq(height)[:, None] * dy + np.fft.fftfreq(width) * dx
    return np.fft.ifft2(np.fft.fft2(field) * np.exp(-2j * np.pi * phase))


# --- Fourier ring correlation ---


@dataclass(frozen=True, eq=False)
class RingCorrelation:
    """Correlation of two images, ring by ring in Fourier space.

    Attributes
    ----------
    frequency : (R,) float64
        Of each ring, cycles per pixel, up to 0.5.
    correlation : (R,) float64
        -1 to 1.
    threshold : (R,) float64
        The half-bit curve: above it a ring carries half a bit of information a pixel.
    box : tuple of slice
        The rectangle that was compared.
    """

    frequency: npt.NDArray[np.float64]
    correlation: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.float64]
    box: tuple[slice, slice]

    @property
    def crossing(self) -> float | None:
        """Frequency, cycles per pixel, where the correlation falls below the half-bit curve.

        None where it stays above up to 0.5, the finest that pixels hold; 0.0 where it never is.
        """
        above = self.correlation - self.threshold
        below = np.flatnonzero(above < 0)
        if not below.size:
            return None
        first = int(below[0])
        if first == 0:
            return 0.0
        share = above[first - 1] / (above[first - 1] - above[first])
        f = self.frequency
        return float(f[first - 1] + share * (f[first] - f[first - 1]))

    def resolution_m(self, pixel_m: float | None) -> float | None:
        """Half a period at the crossing, metres; the pixel where there is none.

        None where the size of a pixel is not known, or nothing correlates.
        """
        crossing = 0.5 if self.crossing is None else self.crossing
        return None if pixel_m is None or crossing == 0 else pixel_m / (2 * crossing)

    def summary(self, pixel_m: float | None = None) -> dict[str, Any]:
        """The numbers as plain JSON types."""
        rows, columns = self.box
        return {
            "crossing": self.crossing,
            "resolution_m": self.resolution_m(pixel_m),
            "mean": float(self.correlation.mean()),
            "box": [rows.start, rows.stop, columns.start, columns.stop],
            "frequency": self.frequency.tolist(),
            "correlation": self.correlation.tolist(),
            "threshold": self.threshold.tolist(),
        }


def fourier_ring_correlation(
    a: Complex, b: Complex, covered: Mask | None = None
) -> RingCorrelation | None:
    """Fourier ring correlation of two objects, with the half-bit curve.

    ``FRC(r) = Re sum A conj(B) / sqrt(sum |A|**2 sum |B|**2)`` over the pixels of a ring, and the
    half-bit curve ``(0.2071 + 1.9102 / sqrt(n)) / (1.2071 + 0.9102 / sqrt(n))``: van Heel and
    Schatz, J. Struct. Biol. 151 (2005) 250, equations 2 and 17. Their n counts independent pixels;
    here it is the number of pixels of the ring over 1.5**2, since a Hann window ties neighbours
    together (Harris, Proc. IEEE 66 (1978) 51). The curve is meant for two halves of a data set;
    against a known truth, which has no noise, it asks for less than half a bit.

    The rectangle that is compared is that of `covered_box`. Its mean is subtracted, pixels in it
    that are not covered count as the mean, and a Hann window takes its border to zero, so that
    neither the edge nor the mean counts.

    Parameters
    ----------
    a, b : (H, W) complex
        The objects; a constant phase between them is taken out.
    covered : (H, W) bool, optional
        Where they are known; by default everywhere.

    Returns
    -------
    RingCorrelation or None
        None where the rectangle is less than 8 pixels high or wide.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image = rng.normal(size=(64, 64))
    >>> rings = fourier_ring_correlation(image, image)
    >>> bool(np.allclose(rings.correlation, 1)), rings.crossing
    (True, None)
    >>> fourier_ring_correlation(image, rng.normal(size=(64, 64))).crossing < 0.1
    True
    """
    covered = np.ones(a.shape, bool) if covered is None else covered
    box = covered_box(covered)
    height, width = (side.stop - side.start for side in box)
    if min(height, width) < 8:
        return None
    a = a * phase_factor(a[covered], b[covered])
    taper = _taper(box, covered)
    first, second = (np.fft.fft2(_centred(one, box, covered) * taper) for one in (a, b))
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    width_of_ring = 1 / min(height, width)
    ring = np.rint(f / width_of_ring).astype(np.int64).ravel()
    last = math.floor(0.5 / width_of_ring)

    def summed(values: Any) -> Any:
        return np.bincount(ring, np.real(values).ravel(), last + 1)[1 : last + 1]

    power = summed(np.abs(first) ** 2) * summed(np.abs(second) ** 2)
    correlation = summed(first * np.conj(second)) / np.sqrt(np.maximum(power, 1e-300))
    n = summed(np.ones(f.shape)) / _HANN_BANDWIDTH**2
    threshold = (0.2071 + 1.9102 / np.sqrt(n)) / (1.2071 + 0.9102 / np.sqrt(n))
    return RingCorrelation(
        np.arange(1, last + 1) * width_of_ring, correlation, np.minimum(threshold, 1), box
    )


def covered_box(covered: Mask) -> tuple[slice, slice]:
    """The rectangle in which images are compared: most of every side of it is covered.

    From the smallest rectangle around all covered pixels the side with the smallest covered share
    is moved inwards, until each side is covered to at least a half. Holes inside are allowed; of
    pixels that lie scattered nothing is left.

    Parameters
    ----------
    covered : (H, W) bool
        Where objects are known; at least one pixel.

    Examples
    --------
    >>> seen = np.zeros((9, 9), bool)
    >>> seen[2:7, 1:6] = True
    >>> seen[4, 8] = True
    >>> covered_box(seen)
    (slice(2, 7, None), slice(1, 6, None))
    """
    sums = np.pad(covered, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1

    def share(t: int, b: int, l: int, r: int) -> float:  # noqa: E741
        return float(sums[b, r] - sums[t, r] - sums[b, l] + sums[t, l]) / ((b - t) * (r - l))

    while min(bottom - top, right - left) > 0:
        sides = [
            share(top, top + 1, left, right),
            share(bottom - 1, bottom, left, right),
            share(top, bottom, left, left + 1),
            share(top, bottom, right - 1, right),
        ]
        least = int(np.argmin(sides))
        if sides[least] >= 0.5:
            break
        top, bottom = top + (least == 0), bottom - (least == 1)
        left, right = left + (least == 2), right - (least == 3)
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _centred(image: Complex, box: tuple[slice, slice], covered: Mask) -> Complex:
    """The image in a box without its mean; zero where it is not covered."""
    part, seen = image[box], covered[box]
    return np.where(seen, part - part[seen].mean(), 0)


def _taper(box: tuple[slice, slice], covered: Mask) -> npt.NDArray[np.float64]:
    """A Hann window over a box, zero where the image is not covered."""
    sides = (side.stop - side.start for side in box)
    down, across = (np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in sides)
    return np.outer(down, across) * covered[box]
