"""Backends by name: modules with the same functions on arguments that are already checked.

========================  ==================================================================
``why_not()``             empty where the backend can be used, else the reason and the remedy
``extract_patches``       (obj, positions, out, threads)
``diffract``              (obj, probe, positions, out, threads)
``sample_photons``        (expected, seed, first_index, out, threads)
``observe``               (obj, probe, positions, scale, seed, first_index, out, threads)
========================  ==================================================================

``out`` tells what is asked for. The one on GPUs takes NumPy's arrays and CuPy's.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType

# On the processor, the best first; then on GPUs, for whoever asks for it or has arrays there.
_MODULES = {"native": "native", "numba": "numba", "reference": "reference", "cuda": "cuda"}


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """Whether a backend can be used; if not, why, and what would help."""

    available: bool
    reason: str


def names() -> tuple[str, ...]:
    """Names of all backends: on the processor, the best first, then on GPUs."""
    return tuple(_MODULES)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f".{_MODULES[name]}", __name__)


def backends() -> dict[str, BackendStatus]:
    """Which backends are there, and why the rest is not.

    Returns
    -------
    dict of str to BackendStatus
        Those on the processor, the best first: ``backend="auto"`` takes the first that is
        available. Then "cuda", on GPUs, which "auto" takes for arrays that are on one.
    """
    reasons = {name: _module(name).why_not() for name in _MODULES}
    return {name: BackendStatus(not reason, reason) for name, reason in reasons.items()}


def passed_over(chosen: str) -> dict[str, str]:
    """Reasons why "auto" did not take the better backends."""
    better = names()[: names().index(chosen)]
    return {name: _module(name).why_not() for name in better}


def choose(name: str, *, on_gpu: bool = False) -> tuple[str, ModuleType]:
    """The backend of that name, or for "auto" the best that is available.

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
        name = "cuda"
    if name == "auto":
        return next((n, m) for n in _MODULES if not (m := _module(n)).why_not())
    if name not in _MODULES:
        known = ", ".join(["auto", *_MODULES])
        raise ValueError(f"backend: {name!r} given, expected one of {known}")
    if on_gpu and name != "cuda":
        raise ValueError(
            f"backend: {name!r} given for arrays that are on a GPU, expected 'cuda' or 'auto'; "
            "cupy.asnumpy moves them"
        )
    module = _module(name)
    if reason := module.why_not():
        raise RuntimeError(f"backend: {name!r} is not available: {reason}")
    return name, module
