"""Versions of the scenario's schema, and how older ones become the present one.

A scenario that is written says ``schema = N``. One without that key is of version 1, which
ptycho_fast 0.1.0 wrote. To change the schema (to rename a key, say), append a function to
`MIGRATIONS`: it takes the values of version N by dotted key and returns those of version N + 1. It
may meet a scenario that leaves keys out, such as a file with a few changes to a preset.
"""

from collections.abc import Callable
from typing import Any

from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import shown, wrong

from .names import as_name

Flat = dict[str, Any]


def _from_1(values: Flat) -> Flat:
    """Version 1: every object had a size, names were free, noise was no key."""
    # What a program wrote holds every key; what a person wrote is checked as it is.
    if {"name", "N", "object.kind", "object.size", "seeds.groups", "groups.order"} <= set(values):
        values["name"] = as_name(str(values["name"]))
        if values["object.kind"] == "file":
            del values["object.size"]
    return values


MIGRATIONS: list[Callable[[Flat], Flat]] = [_from_1]
"""Entry i makes version i + 2 of version i + 1."""


def version() -> int:
    """The present version."""
    return len(MIGRATIONS) + 1


def migrated(values: Flat, given: object = 1) -> Flat:
    """Bring values to the present version, step by step.

    Parameters
    ----------
    values : dict
        Values by dotted key.
    given : int
        Their version.

    Returns
    -------
    dict
        New values.

    Raises
    ------
    ScenarioError
        The version is not an integer, or newer than the present one.

    Examples
    --------
    >>> migrated({"N": 64}, 9)
    Traceback (most recent call last):
    ...
    ptycho_fast.errors.ScenarioError: schema: 9 given, expected at most 2: the file is from a \
newer version of ptycho_fast
    """
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise wrong("schema", given, f"an integer from 1 to {version()}")
    if given > version():
        raise ScenarioError(
            f"schema: {shown(given)} given, expected at most {version()}: the file is from a newer "
            "version of ptycho_fast",
            key="schema",
        )
    values = dict(values)
    for migration in MIGRATIONS[given - 1 :]:
        values = migration(values)
    return values
