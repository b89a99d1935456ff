"""Errors about names that do not exist, with the name that was probably meant."""

from collections.abc import Collection, Mapping

from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Declared, wrong

from .toml import campaigns, presets


def unknown_preset(name: object, expected: str) -> ScenarioError:
    """The error about a preset that does not exist."""
    from difflib import get_close_matches

    known = (*presets(), *campaigns())
    nearest = get_close_matches(str(name).casefold(), known, n=1)
    return wrong("preset", name, f"{expected}{_meant(nearest)}")


def unknown_key(
    key: str, known: Mapping[str, Declared], tables: Collection[str], beside: Collection[str]
) -> ScenarioError:
    """The error about a key that does not exist.

    Parameters
    ----------
    key : str
        The dotted key.
    known : Mapping
        Every key of a scenario.
    tables : collection of str
        Names of the tables.
    beside : collection of str
        Names in the same table (or at the top), to be listed.
    """
    from difflib import get_close_matches

    table, _, name = key.rpartition(".")
    # The right name in the wrong table is a likelier slip than a key that looks alike.
    likely = [path for path, rule in known.items() if _called(path, rule, name.lower())]
    likely.sort(key=lambda path: -_likeness(path.rpartition(".")[0], table))
    nearest = likely or get_close_matches(key, [*known, *tables], n=1)
    where = f"keys of {table}" if table in tables else "top-level keys"
    message = f"{key}: unknown key{_meant(nearest)} ({where}: {', '.join(beside)})"
    return ScenarioError(message, key=key)


def _likeness(one: str, other: str) -> float:
    from difflib import SequenceMatcher

    return SequenceMatcher(None, one, other).ratio()


def _called(path: str, rule: Declared, name: str) -> bool:
    names = (path.rpartition(".")[2], *rule.key.synonyms)
    return name in (own.lower() for own in names)


def _meant(nearest: list[str]) -> str:
    return f"; did you mean {' or '.join(nearest)}?" if nearest else ""
