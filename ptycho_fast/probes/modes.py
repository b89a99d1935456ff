"""Incoherent modes of a probe: their shapes, their powers, and how they are made orthogonal."""

import math
import warnings
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.errors import DataWarning, ScenarioError
from ptycho_fast.keys import Key, wrong
from ptycho_fast.optics import Geometry

from .sampling import Complex, Real, in_pixels, offsets

MOST_MODES = 16
"""Planes, modes and eigenprobes together, that the kernels take."""
ENOUGH = 0.99
"""Share of the power that the modes of a Gaussian-Schell beam hold if their number is left open."""
_FEW = 0.9  # with less of the power in the modes, their number is probably a mistake
_SHORTEST = 0.25  # pixels: neighbours have a degree of coherence of 3e-4, as good as none
_TINY = 1e-7  # relative power that modes are cut off at
_LINE, _PAIRS = 40, 400  # functions along an axis, and their products, that modes are made of


def mode_fractions(probe: npt.ArrayLike) -> Real:
    """Share of the power that is in each mode of a probe.

    Parameters
    ----------
    probe : (N, N) or (M, N, N), float or complex
        The probe.

    Returns
    -------
    (M,) float64
        They sum to 1.

    Raises
    ------
    TypeError, ValueError
        The probe has another shape, is not finite, or is zero.

    Examples
    --------
    >>> mode_fractions(np.stack([np.full((8, 8), 3.0), np.ones((8, 8))]))
    array([0.9, 0.1])
    """
    planes = _planes(checks.floating(probe, "probe", np.complex128, integers=True))
    powers = np.square(np.abs(planes)).sum(axis=(1, 2))
    return powers / checks.positive(float(powers.sum()), "power of the probe")


def with_modes(
    probe: npt.NDArray[Any],
    geometry: Geometry | None = None,
    *,
    modes: Annotated[
        int | None,
        Key(
            "number of incoherent modes; by default as many as mode_kind gives",
            ge=1,
            le=MOST_MODES,
            synonyms=("n_modes", "probe_modes", "mode_count"),
        ),
    ] = None,
    mode_kind: Annotated[
        Literal["given", "hermite_gauss", "gaussian_schell"],
        Key(
            "what the modes are: the planes that the kind gives, Hermite-Gauss modes of its one "
            "plane, or those of a beam with a Gaussian degree of coherence"
        ),
    ] = "given",
    mode_fractions: Annotated[
        tuple[float, ...] | None,
        Key(
            "power of each mode, relative to each other; by default that of given planes, and of "
            "Hermite-Gauss modes each half of the one before",
            gt=0,
            items=(1, MOST_MODES),
            synonyms=("fractions", "mode_weights", "occupancies"),
        ),
    ] = None,
    coherence_length: Annotated[
        float | None,
        Key(
            "distance at which the degree of coherence of gaussian_schell is exp(-1/2), object "
            "pixels",
            gt=0,
        ),
    ] = None,
    coherence_length_m: Annotated[
        float | None,
        Key(
            "the same in metres, in place of probe.coherence_length; needs optics.object_pixel_m",
            gt=0,
        ),
    ] = None,
    orthogonalise: Annotated[
        bool,
        Key(
            "whether given planes are replaced by orthogonal ones, strongest first, that make the "
            "same patterns",
            synonyms=("orthogonalize",),
        ),
    ] = False,
) -> npt.NDArray[Any]:
    """Make the incoherent modes of a probe, as the common keys of ``[probe]`` say.

    The power of all modes together is that of the probe, unless given planes are left out.

    Parameters
    ----------
    probe : (N, N) or (M, N, N), float or complex
        The probe as its kind makes it.
    geometry : Geometry, optional
        Has the size of an object pixel.
    modes : int, optional
        M. Fewer than the given planes keeps the first ones; for "gaussian_schell" the default is
        the fewest that hold 99 % of the power, or 16.
    mode_kind : {"given", "hermite_gauss", "gaussian_schell"}
        See `hermite_gauss` and `gaussian_schell`.
    mode_fractions : tuple of float, optional
        Powers, of any sum.
    coherence_length, coherence_length_m : float, optional
        Of "gaussian_schell".
    orthogonalise : bool
        Whether given planes are made orthogonal, see `orthogonal`; the other kinds of modes always
        are.

    Returns
    -------
    ndarray
        `probe` itself if nothing is asked for; otherwise (M, N, N) complex128.

    Raises
    ------
    ScenarioError
        Keys contradict each other, or there are not that many modes.
    TypeError, ValueError
        An argument is out of range.

    Examples
    --------
    >>> from ptycho_fast.probes.gaussian import gaussian
    >>> made = with_modes(gaussian(32), mode_kind="hermite_gauss", mode_fractions=(3, 1))
    >>> print(made.shape, np.square(abs(made)).sum(axis=(1, 2)).round(6))
    (2, 32, 32) [0.75 0.25]
    """
    _check_keys(mode_kind, mode_fractions, coherence_length, coherence_length_m)
    planes, count = _planes(probe), modes
    if mode_fractions is not None:
        if count not in (None, len(mode_fractions)):
            given, M = f"{len(mode_fractions)} numbers given", f"{count}, one for each of"
            raise ScenarioError(
                f"probe.mode_fractions: {given}, expected {M} probe.modes",
                key="probe.mode_fractions",
            )
        count = len(mode_fractions)
    if count is not None and count > planes[0].size:
        raise wrong("probe.modes", count, f"at most N * N = {planes[0].size}")
    if mode_kind == "given":
        return _given(probe, planes, count, mode_fractions, orthogonalise)
    if len(planes) > 1:
        expected = f"'given', since the probe has {len(planes)} planes already"
        raise wrong("probe.mode_kind", mode_kind, expected)
    if mode_kind == "hermite_gauss":
        if count is None:
            raise wrong("probe.modes", None, "the number of Hermite-Gauss modes")
        return hermite_gauss(planes[0], mode_fractions or tuple(0.5 ** np.arange(count)))
    length = in_pixels("coherence_length", coherence_length, coherence_length_m, geometry, 0.0)
    return gaussian_schell(planes[0], length, count)


def _check_keys(
    mode_kind: str, fractions: Any, length: float | None, length_m: float | None
) -> None:
    """Raise if a key is given that belongs to another kind of modes, or one is missing."""
    checks.choice(mode_kind, "mode_kind", ("given", "hermite_gauss", "gaussian_schell"))
    schell = mode_kind == "gaussian_schell"
    for key, value in (("coherence_length", length), ("coherence_length_m", length_m)):
        if value is not None and not schell:
            raise wrong(f"probe.{key}", value, "nothing, or probe.mode_kind = 'gaussian_schell'")
    if schell and length is None and length_m is None:
        raise wrong("probe.coherence_length", None, "object pixels, for 'gaussian_schell'")
    if schell and fractions is not None:
        expected = "nothing, since they follow from the coherence length of 'gaussian_schell'"
        raise wrong("probe.mode_fractions", fractions, expected)


def _planes(probe: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if probe.ndim not in (2, 3):
        raise ValueError(checks.wrong("probe", f"shape {probe.shape}", "(N, N) or (M, N, N)"))
    return probe.reshape(-1, *probe.shape[-2:])


def _given(
    probe: npt.NDArray[Any],
    planes: npt.NDArray[Any],
    count: int | None,
    fractions: tuple[float, ...] | None,
    orthogonalise: bool,
) -> npt.NDArray[Any]:
    """The planes that the kind gave, or those of them that are wanted, with the powers wanted."""
    if count is not None and count > len(planes):
        expected = (
            f"at most {len(planes)}, as many as the kind gives; probe.mode_kind = 'hermite_gauss' "
            "or 'gaussian_schell' makes more"
        )
        raise wrong("probe.modes", count, expected)
    if orthogonalise and len(planes) > 1:
        planes = orthogonal(planes)
    elif count in (None, len(planes)) and fractions is None:
        return probe
    planes = planes[:count].astype(np.complex128)
    return planes if fractions is None else _powered(planes, fractions)


def _powered(planes: npt.NDArray[Any], fractions: tuple[float, ...]) -> Complex:
    """Planes with other powers, in the ratio of `fractions`, and the same sum."""
    wanted = np.array([checks.positive(share, "mode_fractions") for share in fractions])
    powers = np.square(np.abs(planes)).sum(axis=(1, 2))
    if not (powers > 0).all():
        m = int(np.argmin(powers))
        raise wrong("probe.mode_fractions", fractions, f"planes with power, but plane {m} has none")
    factors = np.sqrt(wanted / wanted.sum() * powers.sum() / powers)
    return planes * factors[:, None, None]


# --- shapes ---


def hermite_gauss(plane: npt.NDArray[Any], fractions: tuple[float, ...]) -> Complex:
    """Modes that are a probe times orthogonal polynomials of x and y.

    The polynomials are those that are orthogonal where the probe's intensity is their weight, in
    the order 1, x, y, x**2, x y, y**2, ... A Gaussian probe has the Hermite-Gauss modes, and any
    other one its own counterpart of them; the first mode is the probe itself. They are made by a QR
    decomposition, and so orthogonal.

    Parameters
    ----------
    plane : (N, N), float or complex
        The probe.
    fractions : tuple of float
        Power of each mode, of any sum.

    Returns
    -------
    (M, N, N) complex128
        Orthogonal modes, together of the probe's power.

    Raises
    ------
    ScenarioError
        The probe has not that many independent modes.
    """
    shapes = plane * polynomials(np.square(np.abs(plane)), len(fractions))
    q, independent = orthonormal(shapes)
    if not independent.all():
        expected = f"at most {int(np.argmin(independent))}, since this probe has no more modes"
        raise wrong("probe.modes", len(fractions), expected)
    return _powered(q * (np.linalg.norm(plane) / math.sqrt(len(q))), fractions)


def polynomials(intensity: Real, count: int) -> Real:
    """Hermite polynomials of x and y in graded order, scaled to an intensity's width.

    Parameters
    ----------
    intensity : (N, N) float64
        Its middle and standard deviations are the origin and the units.
    count : int
        How many.

    Returns
    -------
    (count, N, N) float64
        ``He_a(x) He_b(y)`` for (a, b) = (0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), ...

    Raises
    ------
    ValueError
        The intensity is zero.
    """
    from scipy.special import eval_hermitenorm

    lines = []
    for axis in (1, 0):  # x, y
        marginal = intensity.sum(axis=1 - axis)
        share = marginal / checks.positive(float(marginal.sum()), "power of the probe")
        along = offsets(len(share))
        from_middle = along - (share * along).sum()
        width = math.sqrt(float((share * from_middle**2).sum()))
        lines.append(from_middle / max(width, 0.5))  # of a single pixel it is zero
    orders = ((total - b, b) for total in range(count) for b in range(total + 1))
    x, y = lines
    return np.stack(
        [
            np.outer(eval_hermitenorm(b, y), eval_hermitenorm(a, x))
            for (a, b), _ in zip(orders, range(count), strict=False)
        ]
    )


def orthonormal(shapes: npt.NDArray[Any]) -> tuple[Complex, npt.NDArray[np.bool_]]:
    """Orthonormal planes by QR: plane m is what of shape m is new, beside those before.

    Parameters
    ----------
    shapes : (M, N, N), float or complex
        The planes.

    Returns
    -------
    (M, N, N) complex128
        Of unit power, each with the phase of its shape.
    (M,) bool
        Whether a shape had something new; otherwise its plane is arbitrary.
    """
    columns = shapes.reshape(len(shapes), -1).T.astype(np.complex128)
    q, r = np.linalg.qr(columns)
    new = np.diagonal(r)
    size = np.abs(new)
    independent = size > 1e-7 * np.maximum(np.linalg.norm(columns, axis=0), np.finfo(float).tiny)
    turned = q * np.divide(new, size, out=np.ones_like(new), where=size > 0)
    return turned.T.reshape(shapes.shape), independent


def orthogonal(planes: npt.NDArray[Any]) -> Complex:
    """Orthogonal modes with the coherence of some planes, and so the same patterns.

    They are the coherent modes of the mutual intensity ``sum_m P_m(r1)* P_m(r2)``: the planes'
    singular value decomposition, of which no pattern depends on the right factor.

    Parameters
    ----------
    planes : (M, N, N), float or complex
        Modes that need not be orthogonal.

    Returns
    -------
    (M, N, N) complex128
        Strongest first.

    Examples
    --------
    >>> planes = np.zeros((2, 8, 8))
    >>> planes[0, 0, 0] = planes[1, 0, 0] = planes[1, 0, 1] = 1.0
    >>> modes = orthogonal(planes)
    >>> print(f"{abs(np.vdot(modes[0], modes[1])):.1f}", mode_fractions(modes).round(4))
    0.0 [0.8727 0.1273]
    """
    rows = planes.reshape(len(planes), -1).astype(np.complex128)
    _, vectors = _principal(rows.conj() @ rows.T)
    return (vectors.T @ rows).reshape(planes.shape)


def gaussian_schell(
    plane: npt.NDArray[Any], coherence_length: float, modes: int | None = None
) -> Complex:
    """Coherent modes of a beam with a Gaussian degree of coherence.

    The mutual intensity is ``P(r1)* P(r2) exp(-|r1 - r2|**2 / (2 l**2))`` with the probe P and the
    coherence length l. Its eigenfunctions are the modes, its eigenvalues their powers. Of a
    Gaussian probe with the standard deviation s of the intensity they are Hermite-Gauss modes with

        power of (a, b)  ~  (1 / (q**2 / 2 + 1 + q sqrt((q / 2)**2 + 1)))**(a + b),    q = l / s

    Source: A. Starikov and E. Wolf, "Coherent-mode representation of Gaussian Schell-model sources
    and of their radiation fields", J. Opt. Soc. Am. 72, 923 (1982). Here the eigenvalue problem is
    solved for any probe, in products of functions of x and of y.

    Parameters
    ----------
    plane : (N, N), float or complex
        The coherent probe.
    coherence_length : float
        l, pixels.
    modes : int, optional
        How many; by default the fewest that hold 99 % of the power, but 16 at most.

    Returns
    -------
    (M, N, N) complex128
        Orthogonal modes, strongest first, scaled by one factor to the power of the probe.

    Raises
    ------
    ScenarioError
        There are not that many modes, or the coherence length is shorter than a pixel can tell.

    Warns
    -----
    DataWarning
        The modes hold less than 90 % of the power.
    """
    length = checks.positive(coherence_length, "coherence_length")
    if length < _SHORTEST:
        expected = f"at least {_SHORTEST} object pixels; is it in pixels?"
        raise wrong("probe.coherence_length", length, expected)
    intensity = np.square(np.abs(plane), dtype=np.float64)
    total = checks.positive(float(intensity.sum()), "power of the probe")
    cx, fx = _line_modes(intensity.sum(axis=0), length)
    cy, fy = _line_modes(intensity.sum(axis=1), length)
    products = np.outer(cy, cx).ravel()
    order = np.argsort(-products, kind="stable")[:_PAIRS]
    kept = np.sort(order[products[order] > _TINY * products.max()])
    # <pair | pair'> with the weight |P|**2; pairs (k of y, l of x).
    ky, kx = len(cy), len(cx)
    squares_y = (fy[:, :, None] * fy[:, None, :]).reshape(len(fy), -1)
    squares_x = (fx[:, :, None] * fx[:, None, :]).reshape(len(fx), -1)
    gram = (squares_y.T @ intensity @ squares_x).reshape(ky, ky, kx, kx).transpose(0, 2, 1, 3)
    gram = gram.reshape(ky * kx, ky * kx)[np.ix_(kept, kept)]
    powers, vectors = _principal(gram)
    held = np.cumsum(powers) / total
    if modes is None:
        modes = min(int(np.count_nonzero(held < ENOUGH)) + 1, MOST_MODES, len(kept))
    elif modes > len(kept) or not powers[modes - 1] > _TINY * powers[0]:
        most = int(np.count_nonzero(powers > _TINY * powers[0]))
        expected = f"at most {most}, since with this coherence length no more have any power"
        raise wrong("probe.modes", modes, expected)
    if held[modes - 1] < _FEW:
        warnings.warn(
            f"probe.modes: {modes} modes hold {held[modes - 1]:.0%} of the power of a beam with a "
            f"coherence length of {length:g} pixels, so patterns are less blurred than they should "
            "be; detector.source_blur has no such limit",
            DataWarning,
            stacklevel=2,
        )
    made = np.zeros((modes, *plane.shape), np.complex128)
    for m in range(modes):
        pairs = np.zeros(ky * kx)
        pairs[kept] = vectors[:, m]
        made[m] = plane * (fy @ pairs.reshape(ky, kx) @ fx.T)
    made /= math.sqrt(held[modes - 1])
    return made


def _line_modes(marginal: Real, length: float) -> tuple[Real, Real]:
    """Functions f_k of one coordinate with ``sum_k f_k(x1) f_k(x2) = exp(-(x1-x2)**2/(2 l**2))``.

    They are best where the marginal intensity is; (K,) their power in it, falling, and (N, K).
    """
    weight = np.sqrt(marginal + 1e-9 * marginal.max())  # not zero, to be divided by
    along = offsets(len(marginal))
    kernel = np.exp(-(((along[:, None] - along) / length) ** 2) / 2)
    powers, vectors = _principal(weight[:, None] * kernel * weight)
    kept = np.count_nonzero(powers[:_LINE] > _TINY * powers[0])
    return powers[:kept], vectors[:, :kept] * np.sqrt(powers[:kept]) / weight[:, None]


def _principal(hermitian: npt.NDArray[Any]) -> tuple[Real, npt.NDArray[Any]]:
    """Eigenvalues, falling, and eigenvectors of a Hermitian matrix, always the same ones.

    Phase and, among equal eigenvalues, rotation are those with which the vectors are nearest to the
    coordinates that they have most of: rounding errors must not choose them.
    """
    values, vectors = np.linalg.eigh(hermitian)
    values, vectors = values[::-1], vectors[:, ::-1].copy()
    begin = 0
    while begin < len(values):
        end = begin + 1
        while end < len(values) and values[end - 1] - values[end] <= 1e-9 * values[0]:
            end += 1
        block = vectors[:, begin:end]
        size = np.round(np.square(np.abs(block)).sum(axis=1), 6)
        most = np.sort(np.argsort(-size, kind="stable")[: end - begin])
        u, _, vh = np.linalg.svd(block[most])
        vectors[:, begin:end] = block @ (u @ vh).conj().T
        begin = end
    return np.maximum(values, 0.0), vectors
