"""Probes: illumination in the object plane, one mode ``(N, N)`` or several ``(M, N, N)``."""

import math
import os
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.numpy_files import read_array, to_complex64


class _ProbeSpec(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def scale(self) -> float: ...
    @property
    def normalise(self) -> bool: ...
    @property
    def curvature(self) -> float: ...
    @property
    def file(self) -> str | os.PathLike[str] | None: ...


def ideal_disk(N: int) -> npt.NDArray[np.float64]:
    """Make the idealised disk probe, not normalised.

    A Gaussian window of standard deviation ``N / (0.7 pi**2)`` is multiplied with itself,
    thresholded at one half, blurred by one pixel, and raised by 1e-9.

    Parameters
    ----------
    N : int
        Side, pixels.

    Returns
    -------
    ndarray, (N, N), float64
        The probe: real, between 0 and 1.

    Raises
    ------
    ValueError
        If `N` is below 1.
    """
    from scipy.ndimage import gaussian_filter

    side = checks.count(N, "N")
    offset = np.arange(side) - (side - 1) / 2
    window = np.exp(-0.5 * (offset / (side / (0.7 * math.pi**2))) ** 2)
    disk = (np.outer(window, window) > 0.5).astype(np.float64)
    probe: npt.NDArray[np.float64] = gaussian_filter(disk, sigma=1) + 1e-9
    return probe


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
        If `scale` is not positive, the shape is not as above, or the support holds no power.
    """
    _check_shape(probe, "probe")
    modes = probe.reshape(-1, *probe.shape[-2:])
    power = sum(np.square(np.abs(mode), dtype=np.float64) for mode in modes)
    mean = float(np.mean(np.sqrt(power) * support_mask(probe.shape[-1])))
    checks.positive(mean, "mean of the probe in its support")
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


def read_probe(path: str | os.PathLike[str], N: int) -> npt.NDArray[np.complex64]:
    """Read a probe from an ``.npz`` (key ``probeGuess``) or an ``.npy`` file.

    Parameters
    ----------
    path : str or path-like
        The file.
    N : int
        Side wanted, pixels.

    Returns
    -------
    ndarray, (N, N) or (M, N, N), complex64
        The probe as stored, not normalised.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no finite array of numbers of that shape.
    """
    side = checks.count(N, "N")
    name = f"{path}: probeGuess"
    probe = to_complex64(read_array(path, "probeGuess"), name)
    _check_shape(probe, name)
    if probe.shape[-1] != side:
        raise ValueError(
            f"{name}: shape {probe.shape} given, expected ({side}, {side}) or (M, {side}, {side}) "
            f"because N = {side}"
        )
    return probe


def _check_shape(probe: npt.NDArray[Any], name: str) -> None:
    if probe.ndim not in (2, 3) or probe.shape[-1] != probe.shape[-2] or probe.size == 0:
        raise ValueError(f"{name}: shape {probe.shape} given, expected square, (N, N) or (M, N, N)")


def make_probe(spec: _ProbeSpec, N: int) -> npt.NDArray[np.complex64]:
    """Make the probe a scenario describes.

    Parameters
    ----------
    spec : object with attributes ``kind``, ``scale``, ``normalise``, ``curvature``, ``file``
        ``kind`` is ``"ideal_disk"`` or ``"file"`` (which uses ``file``); with ``normalise`` the
        probe is normalised to ``scale``; ``curvature`` defocuses it.
    N : int
        Side, pixels.

    Returns
    -------
    ndarray, (N, N) or (M, N, N), complex64
        The probe.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    ValueError
        For an unknown kind, a kind "file" without a file, and as `read_probe` and `normalise`.
    """
    probe: npt.NDArray[Any]
    if spec.kind == "ideal_disk":
        probe = ideal_disk(N)
    elif spec.kind == "file":
        if spec.file is None:
            raise ValueError("probe.file: None given, expected a path")
        probe = read_probe(spec.file, N)
    else:
        raise ValueError(f"probe.kind: {spec.kind!r} given, expected 'ideal_disk' or 'file'")
    if spec.normalise:
        probe = normalise(probe, spec.scale)
    if spec.curvature:
        probe = probe * quadratic_phase(N, spec.curvature)
    return to_complex64(probe, "probe")
