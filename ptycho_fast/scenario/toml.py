"""TOML text, files of it, presets, and ``KEY=VALUE`` of a command line."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptycho_fast.errors import ScenarioError

_RECIPE = "recipe"
_HERE = Path(__file__).parent


def presets() -> tuple[str, ...]:
    """Name the scenarios that come with the package and describe one experiment each.

    Returns
    -------
    tuple of str
        Names, sorted.

    Examples
    --------
    >>> "gs2_ideal" in presets()
    True
    """
    return _names_in("presets")


def campaigns() -> tuple[str, ...]:
    """Name the scenarios that come with the package and describe many experiments each.

    Returns
    -------
    tuple of str
        Names, sorted.

    Examples
    --------
    >>> campaigns()
    ('electron_zoo', 'xray_zoo')
    """
    return _names_in("campaigns")


def listed() -> str:
    """The names of `presets` and `campaigns`, for messages."""
    return f"{', '.join(presets())}, or of the campaigns {', '.join(campaigns())}"


def preset_named(name: object) -> str | None:
    """The preset or campaign of that name, whatever its case, or None."""
    if not isinstance(name, str):
        return None
    names = (*presets(), *campaigns())
    return next((known for known in names if known.casefold() == name.casefold()), None)


def preset_text(name: str) -> str:
    """The TOML text of a preset or campaign."""
    folder = "presets" if name in presets() else "campaigns"
    return (_HERE / folder / f"{name}.toml").read_text("utf-8")


def _names_in(folder: str) -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in (_HERE / folder).glob("*.toml")))


def parse_assignment(assignment: str) -> tuple[str, Any]:
    """Read one ``KEY=VALUE`` of a command line.

    Parameters
    ----------
    assignment : str
        Such as ``"dose.nphotons=1e6"``. The value is read as TOML; what is not TOML is
        taken as a string, so that paths need no quotes.

    Returns
    -------
    tuple
        The dotted key and the value, both still to be checked by `Scenario.replace`.

    Raises
    ------
    ScenarioError
        There is no key or no ``=``.

    Examples
    --------
    >>> parse_assignment("dose.nphotons={min=1e5, max=1e9}")
    ('dose.nphotons', {'min': 100000.0, 'max': 1000000000.0})
    >>> parse_assignment("probe.file=my probe.npz")
    ('probe.file', 'my probe.npz')
    """
    key, equals, text = (part.strip() for part in assignment.partition("="))
    if not key or not equals:
        raise ScenarioError(
            f"{assignment!r} given, expected KEY=VALUE, for example dose.nphotons=1e6"
        )
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return key, text
    # Text of several lines could hold further keys; then it is no single value.
    return key, document["value"] if len(document) == 1 else text


def parsed(text: str) -> dict[str, Any]:
    """The values of a scenario's TOML text, or a ScenarioError that says where it is wrong.

    The table ``[recipe]`` is left out: it is about a data set that was made of the scenario.
    """
    values = _loaded(text)
    if isinstance(values.get(_RECIPE), dict):
        del values[_RECIPE]
    return values


def recipe(text: str) -> dict[str, Any]:
    """The table ``[recipe]`` of a scenario's TOML text; empty where there is none."""
    table = _loaded(text).get(_RECIPE, {})
    return table if isinstance(table, dict) else {}


def _loaded(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ScenarioError("not valid TOML: nested too deeply") from error
    except ValueError as error:
        last_line = text.count("\n") + 1
        reason = str(error).replace("at end of document", f"at line {last_line}, the last")
        raise ScenarioError(f"not valid TOML: {reason}") from error


def read(path: str | os.PathLike[str]) -> str:
    """The text of a TOML file, or a ScenarioError that says why it cannot be read."""
    try:
        return Path(path).read_text("utf-8-sig")  # some editors write a byte order mark
    except OSError as error:
        raise ScenarioError(f"{error.strerror or error}; expected a TOML file") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(
            f"byte {error.start} is not UTF-8; expected a TOML file in UTF-8"
        ) from error


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let the errors raised inside say which file they come from."""
    try:
        yield
    except ScenarioError as error:
        raise ScenarioError(f"{os.fspath(path)}: {error}", key=error.key) from error
