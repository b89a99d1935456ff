"""Energies of all patterns of a scan, without making a single pattern.

With ``P = sum_m |probe_m|**2`` and the bilinear weights ``w_t`` of the four taps of a position,
Parseval's theorem gives the sum of a pattern's intensities as::

    E = sum_rc P[r, c] |sum_t w_t O_t[r, c]|**2
      = sum_tt' w_t w_t' sum_rc P[r, c] Re(O_t[r, c] conj(O_t'[r, c]))

The inner sum depends only on the pixel of the first tap and on the lag between the two taps. Up to
symmetry there are five lags. So five correlations of the object with ``P`` give the energy at every
position, and each position costs ten look-ups.

Where the probe varies from pattern to pattern, with weights ``a_bi`` of its planes ``p_i``, the
power is ``P_b = sum_ij a_bi a_bj Re(p_i conj(p_j))``: E is the same sum of the energies that those
real maps give. The near field, a blur and larger detector pixels keep the energy. A thick object
does not fit this: the wave on its second slice is not known before it is made.
"""

import math
from collections.abc import Sequence

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


_PATCH_PIXELS = 2**19  # of patches at a time
_POSITIONS = 2**14  # at a time, so that what is computed of them stays in cache


def pattern_energies(
    obj: npt.ArrayLike,
    probe: npt.ArrayLike,
    positions: npt.ArrayLike,
    *,
    boundary: str = "zero",
    weights: npt.ArrayLike | None = None,
    modes: int | None = None,
) -> npt.NDArray[np.float64]:
    """Energy ``sum_mrc |probe_m * patch_b|**2`` of the pattern at every position.

    This is the sum over all pixels of the intensities before the dose, for bilinear sub-pixel
    interpolation and an object of one slice, behind any propagation that keeps the energy.  Exact
    to about 1e-15 of the largest energy the object can give; the cost is that of a dozen
    transforms of the object; where the probe varies, of five for each pair of planes, or of all
    patches, whichever is less.

    Parameters
    ----------
    obj : array, (H, W)
        Complex object.
    probe : array, (N, N) or (M, N, N)
        Probe modes, any `N`; with `modes` also eigenprobes.
    positions : array, (B, 2) or (B, S, 2)
        ``[x, y]``, pixels, anywhere: where patch index ``N // 2`` lands. With S sub-exposures of
        a fly scan a pattern is the mean of theirs.
    boundary : {"zero", "vacuum", "edge"}
        What lies outside the object: 0, 1, or its nearest pixel.
    weights : array, (B, M) or (B, M + K), optional
        Mode m of pattern b is multiplied by ``weights[b, m]``.
    modes : int, optional
        M, where K eigenprobes follow the modes: eigenprobe k, times ``weights[b, M + k]``, is
        added to mode 0.

    Returns
    -------
    ndarray, (B,), float64
        Energies, zero or more, exactly zero where the patch lies wholly in the dark outside.

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
    field = checks.floating(obj, "obj", np.complex128, integers=True)
    if field.ndim != 2 or field.size == 0:
        raise ValueError(checks.wrong("obj", f"shape {field.shape}", "(H, W)"))
    planes = _planes(probe)
    N = planes.shape[-1]
    at = checks.array(positions, "positions")
    flat = checks.positions(at.reshape(-1, 2) if at.ndim == 3 and at.shape[2] == 2 else at)
    corner = flat - N // 2
    if checks.choice(boundary, "boundary", ("zero", "vacuum", "edge")) != "zero":
        field, corner = _padded(field, corner, N, boundary)
    powers = _power_maps(planes, weights, modes, len(at))
    energies = np.zeros(len(at))
    maps = np.stack([power for _, power in powers])
    # One map costs five transforms of the object; patches cost the same for any number of maps.
    many = len(maps) > 1 and 5 * len(maps) * field.size > len(corner) * N * N
    found = (_energies_of_patches if many else _energies)(field, maps, corner)
    for (share, _), of_power in zip(powers, found, strict=True):
        energies += share * of_power.reshape(len(at), -1).mean(axis=1)
    return np.maximum(energies, 0)  # rounding may leave a dark pattern just below zero


def probe_energies(
    probe: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    modes: int | None = None,
) -> npt.NDArray[np.float64]:
    """Energy of the light that falls on the object, pattern by pattern.

    Parameters
    ----------
    probe, weights, modes
        As for `pattern_energies`.

    Returns
    -------
    ndarray, (B,) or (1,), float64
        Sum of ``|probe|**2`` over pixels and modes; one number where the probe does not vary.

    Raises
    ------
    TypeError, ValueError
        As `pattern_energies`.

    Examples
    --------
    >>> probe_energies(np.full((8, 8), 2.0), weights=[[1.0], [0.5]])
    array([256.,  64.])
    """
    planes = _planes(probe)
    count = 1 if weights is None else len(checks.array(weights, "weights"))
    powers = _power_maps(planes, weights, modes, count)
    return np.maximum(sum(share * float(power.sum()) for share, power in powers), 0)


def _planes(probe: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    """(M + K, N, N) complex128: modes and eigenprobes."""
    planes = checks.floating(probe, "probe", np.complex128, integers=True)
    if planes.ndim not in (2, 3) or planes.shape[-1] != planes.shape[-2] or planes.size == 0:
        raise ValueError(checks.wrong("probe", f"shape {planes.shape}", "(N, N) or (M, N, N)"))
    return planes.reshape(-1, *planes.shape[-2:])


def _power_maps(
    planes: npt.NDArray[np.complex128],
    weights: npt.ArrayLike | None,
    modes: int | None,
    count: int,
) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Shares (B,) and real maps (N, N) whose weighted sum is the power of each pattern's probe."""
    if weights is None:
        power = (planes.real**2 + planes.imag**2).sum(axis=0)
        return [(np.ones(count), power)]
    factors = checks.floating(weights, "weights", np.float64, integers=True)
    if factors.shape != (count, len(planes)):
        expected = f"({count}, {len(planes)}), one for each pattern and plane of the probe"
        raise ValueError(checks.wrong("weights", f"shape {factors.shape}", expected))
    M = len(planes) if modes is None else checks.integer(modes, "modes", 1, len(planes))
    coherent = [0, *range(M, len(planes))]  # the first mode and its eigenprobes are one wave
    pairs = [(i, j) for n, i in enumerate(coherent) for j in coherent[n:]]
    pairs += [(m, m) for m in range(1, M)]
    return [
        (
            (1 if i == j else 2) * factors[:, i] * factors[:, j],
            planes[i].real * planes[j].real + planes[i].imag * planes[j].imag,
        )
        for i, j in pairs
    ]


def _padded(
    field: npt.NDArray[np.complex128],
    corner: npt.NDArray[np.float64],
    N: int,
    boundary: str,
) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.float64]]:
    """The object with as much of what lies around it as patches see; their corners on that."""
    H, W = field.shape
    corner = np.clip(corner, -N - 2, [W + 1, H + 1])  # further out all looks the same
    before = np.maximum(-np.floor(corner.min(axis=0)), 0).astype(int)
    after = np.maximum(np.floor(corner.max(axis=0)) + N + 1 - [W, H], 0).astype(int)
    widths = [(before[1], after[1]), (before[0], after[0])]
    if boundary == "vacuum":
        return np.pad(field, widths, constant_values=1), corner + before
    return np.pad(field, widths, mode="edge"), corner + before


def _energies_of_patches(
    field: npt.NDArray[np.complex128],
    powers: npt.NDArray[np.float64],
    corner: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """(maps, positions) energies of power maps (maps, N, N), from all patches of the object."""
    maps, N, _ = powers.shape
    H, W = field.shape
    energies = np.empty((maps, len(corner)))
    corner = np.clip(corner, -N - 2, [W + 1, H + 1])
    base = np.floor(corner)
    for first in range(0, len(corner), step := max(1, _PATCH_PIXELS // N**2)):
        part = slice(first, first + step)
        taps = base[part].astype(np.int64)[:, :, np.newaxis] + np.arange(N + 1)
        columns, rows = taps[:, 0], taps[:, 1]
        around = field[rows.clip(0, H - 1)[:, :, None], columns.clip(0, W - 1)[:, None]]
        around *= ((rows >= 0) & (rows < H))[:, :, None]
        around *= ((columns >= 0) & (columns < W))[:, None]
        u, v = (corner[part] - base[part]).T[:, :, None, None]
        along = (1 - v) * around[:, :-1] + v * around[:, 1:]
        patch = (1 - u) * along[:, :, :-1] + u * along[:, :, 1:]
        seen = (patch.real**2 + patch.imag**2).reshape(len(patch), -1)
        # Not by BLAS, whose sums depend on the number of its threads.
        energies[:, part] = np.einsum("mp,bp->mb", powers.reshape(maps, -1), seen)
    return energies


def _energies(
    field: npt.NDArray[np.complex128],
    powers: npt.NDArray[np.float64],
    corner: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """The same from correlations of the object with the maps."""
    N = powers.shape[-1]
    H, W = field.shape
    full = (H + N - 1, W + N - 1)
    canvas = [_fast_length(side) for side in full]
    spectra = [np.fft.rfft2(power[::-1, ::-1], canvas) for power in powers]
    correlation = np.zeros((full[0] + 4, full[1] + 4))
    energies = np.zeros((len(powers), len(corner)))
    for lag, pairs in _PAIRS.items():
        product = np.fft.rfft2(_lagged_product(field, *lag), canvas)
        for spectrum, energy in zip(spectra, energies, strict=True):
            sums = np.fft.irfft2(product * spectrum, canvas, norm="forward")
            correlation[2:-2, 2:-2] = sums[: full[0], : full[1]] * (1 / math.prod(canvas))
            for at in range(0, len(corner), _POSITIONS):
                part = slice(at, at + _POSITIONS)
                _add_taps(energy[part], correlation, corner[part], pairs, N)
    return energies


def _fast_length(length: int) -> int:
    """The next length whose transform is fast: a product of 2, 3 and 5."""
    odd = (3**i * 5**j for i in range(12) for j in range(8))
    return min(factor << (-(-length // factor) - 1).bit_length() for factor in odd)


def _add_taps(
    energy: npt.NDArray[np.float64],
    correlation: npt.NDArray[np.float64],
    corner: npt.NDArray[np.float64],
    pairs: Sequence[tuple[tuple[int, int], tuple[int, int], int]],
    N: int,
) -> None:
    """Add what pairs of taps at one distance have of the energy, at some positions."""
    base = np.floor(corner)
    fraction = corner - base
    weights = {  # by tap (row, column)
        (row, column): np.abs(1 - row - fraction[:, 1]) * np.abs(1 - column - fraction[:, 0])
        for row in (0, 1)
        for column in (0, 1)
    }
    # A patch overlaps the object if its corner is within -(N - 1) .. H - 1. Around that range lie
    # two rings of zeros; positions further out are moved into them, so that they find zeros too.
    rows, columns = (side - (N + 3) for side in correlation.shape)
    i = np.clip(base[:, 0], -N - 1, columns).astype(np.int64) + N + 1
    j = np.clip(base[:, 1], -N - 1, rows).astype(np.int64) + N + 1
    for first, second, times in pairs:
        weight = times * weights[first] * weights[second]
        energy += weight * correlation[j + first[0], i + first[1]]


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
