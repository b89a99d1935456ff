"""Photon-exact, bit-reproducible simulation of ptychography data sets.

A probe scans an object; at each position a detector counts the photons of the far field. The public
names below are loaded when they are first used, so that ``import ptycho_fast`` stays light.
"""

import importlib
import pkgutil
import warnings
from typing import TYPE_CHECKING, Any

# A source tree on the path must not hide the compiled extension that was installed from it.
__path__ = pkgutil.extend_path(__path__, __name__)

if TYPE_CHECKING:
    from ptycho_fast import scaling as scaling
    from ptycho_fast.backend import backends as backends
    from ptycho_fast.build import build_info as build_info
    from ptycho_fast.campaign import Campaign as Campaign
    from ptycho_fast.data.dataset import Dataset as Dataset
    from ptycho_fast.data.opening import open as open
    from ptycho_fast.errors import DataWarning as DataWarning
    from ptycho_fast.errors import ScenarioError as ScenarioError
    from ptycho_fast.experiment import Experiment as Experiment
    from ptycho_fast.ladder import dose_ladder as dose_ladder
    from ptycho_fast.scenario import Scenario as Scenario
    from ptycho_fast.simulation import simulate as simulate
    from ptycho_fast.simulator import Simulator as Simulator
    from ptycho_fast.stages import diffract as diffract
    from ptycho_fast.stages import extract_patches as extract_patches
    from ptycho_fast.stages import observe as observe
    from ptycho_fast.stages import sample_photons as sample_photons
    from ptycho_fast.version import __version__ as __version__

_HOME = {
    "Campaign": "campaign",
    "Dataset": "data.dataset",
    "DataWarning": "errors",
    "Experiment": "experiment",
    "Scenario": "scenario",
    "ScenarioError": "errors",
    "__version__": "version",
    "backends": "backend",
    "build_info": "build",
    "diffract": "stages",
    "dose_ladder": "ladder",
    "extract_patches": "stages",
    "observe": "stages",
    "open": "data.opening",
    "sample_photons": "stages",
    "scaling": "scaling",
    "simulate": "simulation",
    "Simulator": "simulator",
}

# Modules of version 0.1.0 that have other places now.
_MOVED = {
    "dataset": "data.dataset",
    "energy": "dose.energy",
    "grouping": "data.grouping",
    "philox": "rng",
}

__all__ = [  # noqa: RUF022 - in the order of the data flow
    "Scenario",
    "ScenarioError",
    "DataWarning",
    "extract_patches",
    "diffract",
    "sample_photons",
    "observe",
    "Experiment",
    "Simulator",
    "simulate",
    "Campaign",
    "dose_ladder",
    "Dataset",
    "open",
    "scaling",
    "backends",
    "build_info",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _MOVED:
        place = f"{__name__}.{_MOVED[name]}"
        warnings.warn(f"{__name__}.{name} is now {place}", DeprecationWarning, stacklevel=2)
        return importlib.import_module(place)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f".{_HOME[name]}", __name__)
    value = home if name == "scaling" else getattr(home, name)
    globals()[name] = value  # also where a submodule of the same name was bound first
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
