"""Energies of all patterns of a scan, without making a single pattern.

With ``P = sum_m |probe_m|**2`` and the bilinear weights ``w_t`` of the four taps of a position,
Parseval's theorem gives the sum of a pattern's intensities as::

    E = sum_rc P[r, c] |sum_t w_t O_t[r, c]|**2
      = sum_tt' w_t w_t' sum_rc P[r, c] Re(O_t[r, c] conj(O_t'[r, c]))

The inner sum depends only on the pixel of the first tap and on the lag between the two taps. Up to
symmetry there are five lags. So five correlations of the object with ``P`` give the energy at every
position, and each position costs ten look-ups.
"""

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

# Lag (rows, columns) of a pair of taps, and the pairs that have it: first tap (row, column), second
# tap, multiplicity.  The sixteen products of four taps, by symmetry ten.
_PAIRS = {
    (0, 0): (((0, 0), (0, 0), 1), ((0, 1), (0, 1), 1), ((1, 0), (1, 0), 1), ((1, 1), (1, 1), 1)),
    (0, 1): (((0, 0), (0, 1), 2), ((1, 0), (1, 1), 2)),
    (1, 0): (((0, 0), (1, 0), 2), ((0, 1), (1, 1), 2)),
    (1, 1): (((0, 0), (1, 1), 2),),
    (1, -1): (((0, 1), (1, 0), 2),),
}


def pattern_energies(
    obj: npt.ArrayLike, probe: npt.ArrayLike, positions: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Energy ``sum_mrc |probe_m * patch_b|**2`` of the pattern at every position.

    This is the sum of the intensities before the dose, for bilinear sub-pixel interpolation and
    an object that is zero outside its array.  Exact to about 1e-15 of the largest energy the
    object can give; the cost is that of a dozen transforms of the object.

    Parameters
    ----------
    obj : array, (H, W)
        Complex object.
    probe : array, (N, N) or (M, N, N)
        Probe modes, any `N`.
    positions : array, (B, 2)
        ``[x, y]``, pixels, anywhere: where patch index ``N // 2`` lands.

    Returns
    -------
    ndarray, (B,), float64
        Energies, zero or more, exactly zero where the patch lies wholly outside.

    Raises
    ------
    TypeError
        If an array does not hold numbers of the kind above.
    ValueError
        If a shape is not as above or a value is not finite.

    Examples
    --------
    A vacuum object leaves the energy of the probe, far outside there is none:

    >>> probe = np.full((8, 8), 2.0)
    >>> pattern_energies(np.ones((40, 40)), probe, [[20, 20], [500, 20]]).round(9)
    array([256.,   0.])
    """
    from scipy import fft

    field = checks.floating(obj, "obj", np.complex128, integers=True)
    if field.ndim != 2 or field.size == 0:
        raise ValueError(checks.wrong("obj", f"shape {field.shape}", "(H, W)"))
    modes = checks.floating(probe, "probe", np.complex128, integers=True)
    if modes.ndim not in (2, 3) or modes.shape[-1] != modes.shape[-2] or modes.size == 0:
        raise ValueError(checks.wrong("probe", f"shape {modes.shape}", "(N, N) or (M, N, N)"))
    N = modes.shape[-1]
    power = (modes.real**2 + modes.imag**2).reshape(-1, N, N).sum(axis=0)
    H, W = field.shape

    corner = checks.positions(positions) - N // 2
    base = np.floor(corner)
    fraction = corner - base
    weights = {  # by tap (row, column)
        (row, column): np.abs(1 - row - fraction[:, 1]) * np.abs(1 - column - fraction[:, 0])
        for row in (0, 1)
        for column in (0, 1)
    }
    # A patch overlaps the object if its corner is within -(N - 1) .. H - 1. Around that range lie
    # two rings of zeros; positions further out are moved into them, so that they find zeros too.
    i = np.clip(base[:, 0], -N - 1, W).astype(np.int64) + N + 1
    j = np.clip(base[:, 1], -N - 1, H).astype(np.int64) + N + 1

    full = (H + N - 1, W + N - 1)
    canvas = [fft.next_fast_len(side, real=True) for side in full]
    spectrum = fft.rfft2(power[::-1, ::-1], canvas)
    correlation = np.zeros((full[0] + 4, full[1] + 4))
    energies = np.zeros(len(corner))
    for lag, pairs in _PAIRS.items():
        product = _lagged_product(field, *lag)
        correlation[2:-2, 2:-2] = fft.irfft2(fft.rfft2(product, canvas) * spectrum, canvas)[
            : full[0], : full[1]
        ]
        for first, second, times in pairs:
            weight = times * weights[first] * weights[second]
            energies += weight * correlation[j + first[0], i + first[1]]
    return np.maximum(energies, 0)  # rounding may leave a dark pattern just below zero


def _lagged_product(
    field: npt.NDArray[np.complex128], rows: int, columns: int
) -> npt.NDArray[np.float64]:
    """Return ``Re(O[r, c] conj(O[r + rows, c + columns]))``, zero where either is outside."""
    H, W = field.shape
    product = np.zeros((H, W))
    here = np.s_[: H - rows, max(0, -columns) : W - max(0, columns)]
    there = np.s_[rows:, max(0, columns) : W + min(0, columns)]
    product[here] = field.real[here] * field.real[there] + field.imag[here] * field.imag[there]
    return product
