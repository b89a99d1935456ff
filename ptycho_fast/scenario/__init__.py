"""The one description of a simulation.

A `Scenario` is a frozen tree of checked values. A Python call, a TOML file and a command line are
three spellings of it, and a data set carries it so that it can be made again::

    Scenario.preset("gs2_ideal").replace({"dose.nphotons": 1e6})

Each key is declared once: as an argument of the function that makes an object, a probe, a scan or
a part of the detector, or as a field of a table in `specs`. Checks, messages, the command line's
help and the reference pages read that declaration.
"""

from ptycho_fast.errors import ScenarioError

from .resolve import KnownKey, known_keys, resolve
from .specs import (
    DetectorSpec,
    DoseSpec,
    GroupSpec,
    ObjectSpec,
    OpticsSpec,
    ProbeSpec,
    ScanSpec,
    SeedSpec,
    SplitSpec,
)
from .toml import campaigns, parse_assignment, presets
from .tree import Scenario
from .values import GRAMMAR, Choice, Normal, Range

__all__ = [
    "GRAMMAR",
    "Choice",
    "DetectorSpec",
    "DoseSpec",
    "GroupSpec",
    "KnownKey",
    "Normal",
    "ObjectSpec",
    "OpticsSpec",
    "ProbeSpec",
    "Range",
    "ScanSpec",
    "Scenario",
    "ScenarioError",
    "SeedSpec",
    "SplitSpec",
    "campaigns",
    "known_keys",
    "parse_assignment",
    "presets",
    "resolve",
]
