"""A scenario as TOML text to edit: every key that it may have, with meaning, type and default."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from ptycho_fast.keys import Declared

from . import schema
from .tables import KindTable, Table, places
from .tree import Scenario
from .values import Choice, plain

_WIDTH = 100


def commented(scenario: Scenario, label: str) -> str:
    r"""TOML text that means the scenario, with a comment on every key.

    A key that has its default is commented out, ``#key = default`` without a space.

    Parameters
    ----------
    scenario : Scenario
        May have ranges and choices.
    label : str
        What the file names the scenario after: its own name, without suffix. The name of
        `scenario` is not in the text.

    Returns
    -------
    str
        `Scenario.from_toml` makes the same of it, but for the name.

    Examples
    --------
    >>> text = commented(Scenario.preset("gs2_ideal"), "mine")
    >>> print(text[text.index("# side of a patch") :].split("\n\n")[0])
    # side of a patch and of the detector, pixels: an integer from 8 to 2048; default 64
    #N = 64
    """
    parts = [f"{_comment('version of the keys below')}schema = {schema.version()}\n"]
    parts += _top(scenario, label)
    for name, place in places(Scenario).items():
        parts.append(f"\n\n{_comment(_about(place.table))}")
        parts += _tables(name, getattr(scenario, name))
    return "".join(parts)


def _top(scenario: Scenario, label: str) -> Iterator[str]:
    for name, rule in Scenario.known().items():
        if name == "name":
            comment = _comment(f"{rule.key.doc}; default: the name of this file")
            yield f"\n{comment}#name = {_text(label)}\n"
        else:
            yield _entry(name, rule, getattr(scenario, name), set())


def _tables(name: str, value: Any) -> Iterator[str]:
    """The table of that name, or each table of a choice."""
    said: set[str] = set()
    if isinstance(value, Choice):
        for n, option in enumerate(value.options):
            yield "\n" * (n > 0) + f"[[{name}.choice]]\n"
            yield from _entries(option, said)
    elif value is not None:
        yield f"[{name}]\n"
        yield from _entries(value, said)


def _entries(table: Table, said: set[str]) -> Iterator[str]:
    rules: Mapping[str, Declared] = type(table).known()
    if isinstance(table, KindTable):
        kind = table.kinds[table.kind]
        rules = table.keys_of(kind)
        yield f"{_comment(kind.doc)}kind = {_text(kind.name)}\n"
    for name, value in table.items():
        if name in rules:
            yield _entry(name, rules[name], value, said)


def _entry(name: str, rule: Declared, value: Any, said: set[str]) -> str:
    """A key, with a comment where the same was not said before."""
    if rule.required:
        default = "to be given"
    else:
        default = f"default {'nothing' if rule.default is None else _text(plain(rule.default))}"
    allowed = (
        rule.allowed if rule.default is not None else rule.allowed.removesuffix(", or nothing")
    )
    comment = f"{rule.key.doc}: {allowed}; {default}"
    above = "" if comment in said else f"\n{_comment(comment)}"
    said.add(comment)
    text = "" if value is None else f" {_text(plain(value))}"
    off = "#" if value == rule.default else ""
    return f"{above}{off}{name} ={text}\n"


def _about(table: type[Table]) -> str:
    sentence = (table.__doc__ or "").partition("\n")[0]
    if not issubclass(table, KindTable):
        return sentence
    kinds = ", ".join(table.kinds.listed)
    return f"{sentence.partition(';')[0]}. Kinds: {kinds}."


def _comment(text: str) -> str:
    plain_text = text.replace("``", "")
    lines = textwrap.wrap(plain_text, _WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return "".join(f"# {line}\n" for line in lines)


def _text(value: Any) -> str:
    """A value on one line of TOML."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {_text(one)}' for key, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, float):
        short = f"{value:g}"
        text = short if float(short) == value else repr(value)
        text = text.replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
        return text if "e" in text or "." in text else f"{text}.0"
    import tomli_w

    return tomli_w.dumps({"key": value}).partition(" = ")[2].rstrip("\n")
