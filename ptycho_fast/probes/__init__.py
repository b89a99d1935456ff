"""Probes: illumination in the object plane, one mode ``(N, N)`` or several ``(M, N, N)``.

One file per kind; a new file with a function marked ``@kind(name)`` adds a kind. `finished`,
`modes.with_modes` and `variation.varied` have the keys that all kinds share.
"""

import math
import os
import warnings
from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.errors import ScenarioError
from ptycho_fast.formats.numpy_files import to_complex64
from ptycho_fast.keys import Key, declared_by, wrong
from ptycho_fast.kinds import Kinds, fingerprint
from ptycho_fast.optics import Geometry

from .modes import MOST_MODES, mode_fractions, with_modes
from .variation import varied

__all__ = [
    "COMMON",
    "KINDS",
    "as_probe",
    "check_shape",
    "finished",
    "keys_of_given",
    "make_probe",
    "make_variation",
    "mode_fractions",
    "normalise",
    "quadratic_phase",
    "support_mask",
]

KINDS = Kinds("probe", __name__, first="ideal_disk")


def support_mask(N: int) -> npt.NDArray[np.bool_]:
    """Return the disk that normalisation looks at: closer than ``N // 4`` to the patch's middle.

    Parameters
    ----------
    N : int
        Side, pixels.

    Returns
    -------
    ndarray, (N, N), bool
        True where ``hypot(i - N/2 + 1/2, j - N/2 + 1/2) < N // 4``.

    Raises
    ------
    ValueError
        If `N` is below 1.
    """
    side = checks.count(N, "N")
    square = (np.arange(side) - side / 2 + 0.5) ** 2
    return np.sqrt(square[:, None] + square) < side // 4


def normalise(probe: npt.NDArray[Any], scale: float) -> npt.NDArray[Any]:
    """Divide a probe by ``scale * mean(mask * sqrt(sum_m |probe_m|**2))``.

    The mean runs over all N x N pixels, with zeros outside `support_mask`.  One factor serves all
    modes, so their power ratios stay; a second application changes nothing.

    Parameters
    ----------
    probe : ndarray, (N, N) or (M, N, N)
        The probe, float or complex.
    scale : float
        The scenario's ``probe_scale``, above zero.

    Returns
    -------
    ndarray
        The normalised probe; shape and dtype as given.

    Raises
    ------
    ValueError
        If `scale` is not positive, the shape is not as above, or the support holds no power
        (ScenarioError).
    """
    check_shape(probe, "probe")
    modes = probe.reshape(-1, *probe.shape[-2:])
    power = sum(np.square(np.abs(mode), dtype=np.float64) for mode in modes)
    mean = float(np.mean(np.sqrt(power) * support_mask(probe.shape[-1])))
    if not mean > 0:
        raise ScenarioError(
            f"probe.normalise: true given, but the mean of the probe in its support is {mean:g}, "
            "expected light there, or false, which takes the probe as it is",
            key="probe.normalise",
        )
    return probe / (checks.positive(scale, "scale") * mean)


def quadratic_phase(N: int, curvature: float) -> npt.NDArray[np.complex128]:
    """Make the factor that defocuses a probe, ``exp(i curvature (r / (N/4))**2)``.

    Parameters
    ----------
    N : int
        Side, pixels; r is measured from the patch's middle, as for `support_mask`.
    curvature : float
        Phase at ``r = N/4``, radians.

    Returns
    -------
    ndarray, (N, N), complex128
        Of modulus 1.

    Raises
    ------
    ValueError
        If `N` is below 1 or the curvature not finite.
    """
    side = checks.count(N, "N")
    square = ((np.arange(side) - side / 2 + 0.5) / (side / 4)) ** 2
    return np.exp(1j * checks.number(curvature, "curvature") * (square[:, None] + square))


def check_shape(probe: npt.NDArray[Any], name: str) -> None:
    """Raise ValueError unless an array is (N, N) or (M, N, N)."""
    if probe.ndim not in (2, 3) or probe.shape[-1] != probe.shape[-2] or probe.size == 0:
        raise ValueError(
            checks.wrong(name, f"shape {probe.shape}", "square modes, (N, N) or (M, N, N)")
        )


def finished(
    probe: npt.NDArray[Any],
    *,
    scale: Annotated[
        float,
        Key("the probe is divided by scale * mean(mask * |probe|), no unit; see normalise", gt=0),
    ] = 10.0,
    normalise: Annotated[
        bool, Key("whether to apply scale; false takes the probe as it is", synonyms=("normalize",))
    ] = True,
    curvature: Annotated[
        float,
        Key(
            "quadratic phase (defocus): radians at N/4 pixels from the centre, 0 at the centre",
            synonyms=("defocus",),
        ),
    ] = 0.0,
) -> npt.NDArray[np.complex64]:
    """Normalise and defocus a probe of any kind, as the common keys of ``[probe]`` say.

    Parameters
    ----------
    probe : (N, N) or (M, N, N), float or complex
        The probe as its kind makes it.
    scale : float
        As for `normalise`.
    normalise : bool
        Whether to normalise.
    curvature : float
        As for `quadratic_phase`, radians; 0 leaves the phase alone.

    Returns
    -------
    (N, N) or (M, N, N) complex64
        The probe.

    Raises
    ------
    TypeError, ValueError
        As `normalise` and `quadratic_phase`.
    ScenarioError
        The curvature is too large: at N/4 the phase changes by more than pi from pixel to pixel.
    """
    if normalise:
        probe = _normalised(probe, scale)
    if curvature:
        most = math.pi * probe.shape[-1] / 8
        if not abs(curvature) <= most:
            expected = f"{-most:.4g} to {most:.4g}, pi N/8: more is aliased at N/4 already"
            raise wrong("probe.curvature", curvature, expected)
        probe = probe * quadratic_phase(probe.shape[-1], curvature)
    return to_complex64(probe, "probe")


_normalised = normalise  # `finished` has an argument of that name
_FINISHED, _MODES, _VARIED = (declared_by(each) for each in (finished, with_modes, varied))
COMMON = {**_FINISHED, **_MODES, **_VARIED}


def _values(spec: Any, keys: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in keys}


def make_probe(
    spec: Any,
    N: int,
    *,
    geometry: Geometry | None = None,
    seed: int = 0,
    given: npt.ArrayLike | None = None,
) -> npt.NDArray[np.complex64]:
    """Make the probe that a scenario describes.

    Parameters
    ----------
    spec : ProbeSpec
        The table ``[probe]``: ``kind``, the keys of that kind, and those of `COMMON`, as
        attributes.
    N : int
        Side, pixels.
    geometry : Geometry, optional
        Energy, distances and sizes of pixels, for kinds in physical units.
    seed : int
        Seed of the draw; kinds that draw nothing ignore it.
    given : (N, N) or (M, N, N) array, optional
        The array of the kind "given".

    Returns
    -------
    (N, N) or (M, N, N) complex64
        The probe.

    Raises
    ------
    ScenarioError
        The kind is unknown, a key that it needs is missing, or the kind is "given" and the array
        is missing or another one; a beam in metres does not fit; modes cannot be made.
    OSError, TypeError, ValueError
        As the function of the kind, `modes.with_modes` and `finished`.

    Examples
    --------
    >>> from ptycho_fast import Scenario
    >>> scenario = Scenario.preset("gs2_ideal")
    >>> make_probe(scenario.probe, scenario.N).shape
    (64, 64)
    """
    array = None if given is None else as_probe(given)
    probe = KINDS.make(spec, N=N, array=array, geometry=geometry, seed=seed)
    probe = with_modes(probe, geometry, **_values(spec, _MODES))
    if probe.ndim == 3 and len(probe) > MOST_MODES:
        expected = f"1 to {MOST_MODES}, the first of the {len(probe)} planes that there are"
        raise wrong("probe.modes", None, expected)
    return finished(probe, **_values(spec, _FINISHED))


def make_variation(
    spec: Any, probe: npt.NDArray[Any], n_patterns: int, seed: int
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.float32]] | None:
    """Make what varies in a probe from pattern to pattern, as a scenario describes it.

    Parameters
    ----------
    spec : ProbeSpec
        The table ``[probe]``.
    probe : (N, N) or (M, N, N) complex64
        The probe of `make_probe`.
    n_patterns : int
        Number of patterns B.
    seed : int
        Seed of the draws.

    Returns
    -------
    (K, N, N) complex64 and (B, M + K) float32, or None
        Eigenprobes and weights, see `variation.varied`; None if nothing varies.

    Raises
    ------
    ScenarioError, TypeError, ValueError
        As `variation.varied`.

    Examples
    --------
    >>> from ptycho_fast import Scenario
    >>> spec = Scenario().replace({"probe.intensity_fluctuation": 0.1}).probe
    >>> eigenprobes, weights = make_variation(spec, make_probe(spec, 32), 500, seed=42)
    >>> eigenprobes.shape, weights.shape, f"{np.square(weights, dtype=float).mean():.4f}"
    ((0, 32, 32), (500, 1), '1.0000')
    """
    return varied(probe, n_patterns, seed, **_values(spec, _VARIED))


def keys_of_given(probe: npt.ArrayLike) -> dict[str, Any]:
    """The table ``[probe]`` that records a probe handed over in Python, to be taken as it is.

    How it varies from pattern to pattern stays as it is.
    """
    off = {name: rule.default for name, rule in _MODES.items()}
    return {
        "kind": "given",
        "sha256": fingerprint(as_probe(probe)),
        "normalise": False,
        "curvature": 0.0,
        **off,
    }


def as_probe(probe: npt.ArrayLike) -> npt.NDArray[np.complex64]:
    """A probe as the kernels take it, (M, N, N) complex64; see `checks.floating` for errors."""
    array = checks.floating(probe, "probe", np.complex64, integers=True)
    check_shape(array, "probe")
    return array.reshape(-1, *array.shape[-2:])


def __getattr__(name: str) -> Any:
    if name == "read_probe":
        from .from_file import from_file

        warnings.warn(
            "probes.read_probe(path, N) is now probes.from_file.from_file(N, file=path)",
            DeprecationWarning,
            stacklevel=2,
        )

        def read_probe(path: str | os.PathLike[str], N: int) -> npt.NDArray[np.complex64]:
            return from_file(N, file=os.fspath(path))

        return read_probe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
