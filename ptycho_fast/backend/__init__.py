"""Backends by name, and the choice of one. This is the only file that knows their names.

A backend is a module that fulfils `protocol.Backend`; `gate` checks the arrays that it gets.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ptycho_fast import checks
from ptycho_fast.backend import gpu_arrays, host_arrays
from ptycho_fast.backend.protocol import Backend, Gate
from ptycho_fast.rounding import default_rounding


def _native() -> Backend:
    from ptycho_fast.backend import native

    return native


def _numba() -> Backend:
    from ptycho_fast.backend import numba

    return numba


def _reference() -> Backend:
    from ptycho_fast.backend import reference

    return reference


def _cuda() -> Backend:
    from ptycho_fast.backend import cuda

    return cuda


# On the CPU, the best first; then on a GPU, for those who ask for it or have arrays there.
_LOADERS: dict[str, Callable[[], Backend]] = {
    "native": _native,
    "numba": _numba,
    "reference": _reference,
    "cuda": _cuda,
}
_ON_GPU = "cuda"


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """Whether a backend can be used; if not, why, and what would help.

    Attributes
    ----------
    available : bool
        Whether it can be used here.
    reason : str
        Empty if it can; else why not, and the remedy.
    lacks : tuple of str
        What its kernels do not have, and what is done about it. All backends make all exposures.
    """

    available: bool
    reason: str
    lacks: tuple[str, ...] = ()


def names() -> tuple[str, ...]:
    """Names of all backends: those on the CPU, the best first, then those on a GPU."""
    return tuple(_LOADERS)


def backends() -> dict[str, BackendStatus]:
    """Which backends can be used here, and why the others cannot.

    Returns
    -------
    dict of str to BackendStatus
        Those on the CPU, the best first: ``backend="auto"`` takes the first that is available. Then
        "cuda", on GPUs, which "auto" takes for arrays that are on one.
    """
    found = {name: load() for name, load in _LOADERS.items()}
    return {
        name: BackendStatus(not (reason := one.why_not()), reason, one.capabilities.lacks)
        for name, one in found.items()
    }


def passed_over(chosen: str) -> dict[str, str]:
    """Reasons why "auto" did not take the better backends."""
    better = names()[: names().index(chosen)]
    return {name: _LOADERS[name]().why_not() for name in better}


def choose(name: str, *, on_gpu: bool = False) -> tuple[str, Backend]:
    """The backend of that name, or for "auto" the best one that is available.

    Parameters
    ----------
    name : str
        "auto" or a name.
    on_gpu : bool
        Whether the arrays are on a GPU.

    Raises
    ------
    ValueError
        No backend has that name, or it does not take arrays that are on a GPU.
    RuntimeError
        It is not available; the message says why and what would help.
    """
    if name == "auto" and on_gpu:
        name = _ON_GPU
    if name == "auto":
        return next((n, b) for n, load in _LOADERS.items() if not (b := load()).why_not())
    checks.choice(name, "backend", ("auto", *_LOADERS))
    backend = _LOADERS[name]()
    if on_gpu and not backend.capabilities.on_gpu:
        expected = f"{_ON_GPU!r} or 'auto'; cupy.asnumpy moves the arrays to the CPU"
        raise ValueError(checks.wrong("backend", f"{name!r} for arrays on a GPU", expected))
    if reason := backend.why_not():
        raise RuntimeError(f"backend: {name!r} is not available: {reason}")
    return name, backend


def require_device(device: int | None, backend: Backend) -> int | None:
    """The number of a GPU, which only a backend that works on GPUs may be given.

    Raises
    ------
    TypeError, ValueError
        It is not such a number, or the backend works on the CPU.
    """
    if device is None:
        return None
    device = checks.integer(device, "device", 0, 2**31 - 1)
    if not backend.capabilities.on_gpu:
        raise ValueError(checks.wrong("device", device, "None with a backend on the CPU"))
    return device


@contextmanager
def working(backend: str, device: int | None, *values: object) -> Iterator[tuple[Gate, Backend]]:
    """The gate for arrays of the kind of `values`, and the backend that works on them.

    Within it the GPU that they are on, or that `device` names, is the current one, and the
    floating-point mode is the default one.
    """
    on_gpu = gpu_arrays.any_on_gpu(*values)
    _, chosen = choose(backend, on_gpu=on_gpu)
    device = require_device(device, chosen)
    if device is None and on_gpu:
        device = gpu_arrays.common_device(*values)
    gate: Gate = gpu_arrays if on_gpu else host_arrays
    with default_rounding(), chosen.place(device):
        yield gate, chosen
