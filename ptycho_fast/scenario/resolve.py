"""Find the scenario that a user means, and describe its keys."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from ptycho_fast.keys import wrong

from . import toml
from .suggest import unknown_preset
from .tables import described_keys
from .tree import Scenario


class KnownKey(NamedTuple):
    """What `known_keys` tells of a key.

    Attributes
    ----------
    type : str
        Type, range or choices, in words.
    default : object
        Value when the key is not given.
    doc : str
        Meaning and unit.
    """

    type: str
    default: object
    doc: str


def known_keys() -> dict[str, KnownKey]:
    """Describe every key of a scenario.

    Returns
    -------
    dict
        ``(type, default, doc)`` by dotted key, in the order of declaration.

    Examples
    --------
    >>> known_keys()["dose.nphotons"]
    KnownKey(type='a finite number > 0', default=1000000000.0, \
doc='mean detected photons per pattern')
    """
    return {
        key: KnownKey(rule.allowed, rule.default, rule.key.doc)
        for key, rule in described_keys(Scenario).items()
    }


def resolve(
    preset_or_path: str | os.PathLike[str] | None,
    overrides: Mapping[str, Any] | None = None,
    config: str | os.PathLike[str] | None = None,
    *,
    start: Mapping[str, Any] | None = None,
) -> Scenario:
    """Find a scenario and lay changes over it: flag before file before start before preset.

    Parameters
    ----------
    preset_or_path : str, path-like or None
        Name of a preset, or path of a TOML file. A preset wins over a file of the same
        name; ``./name`` is always the file. None: all keys have their defaults.
    overrides : Mapping, optional
        Values by dotted key that win over everything else.
    config : path-like, optional
        A TOML file that is laid over the first argument.
    start : Mapping, optional
        Values by dotted key that are laid over the first argument before; see
        `ptycho_fast.start.changes_from`.

    Returns
    -------
    Scenario
        The result, checked.

    Raises
    ------
    ScenarioError
        There is no such preset or file, a file cannot be read, or a value is not allowed.
    """
    scenario = (Scenario() if preset_or_path is None else _found(preset_or_path)).replace(
        start or {}
    )
    if config is not None:
        with toml.naming(config):
            changes = toml.parsed(toml.read(config))
            if "preset" in changes:
                raise wrong(
                    "preset",
                    changes["preset"],
                    f"no preset in a file that is laid over {preset_or_path or 'another'}",
                )
            scenario = scenario.replace({"schema": 1} | changes)
    return scenario.replace(overrides or {})


def _found(preset_or_path: str | os.PathLike[str]) -> Scenario:
    name = os.fspath(preset_or_path)
    if name in toml.presets() or name in toml.campaigns():
        return Scenario.preset(name)
    if os.path.exists(name):
        return Scenario.load(name)
    if toml.preset_named(name):
        return Scenario.preset(name)
    raise unknown_preset(name, f"a preset ({toml.listed()}) or the path of a TOML file that exists")
