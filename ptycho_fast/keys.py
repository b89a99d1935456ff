"""Keys: what a setting may hold, declared where it is used.

A key is an argument of a function, or a field of a dataclass, whose annotation carries a `Key`::

    def lines(seed: int, *, size: Annotated[int, Key("side, pixels", ge=8)] = 392): ...

Type, range, default and meaning are read from there by everything else: scenario files, error
messages, the command line's help and the reference pages.
"""

import inspect
import math
import operator
import re
from collections.abc import Callable
from dataclasses import KW_ONLY, MISSING, dataclass, fields, is_dataclass
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from ptycho_fast import checks
from ptycho_fast.errors import ScenarioError


@dataclass(frozen=True, slots=True)
class Key:
    """What an annotation says of a key beside its type.

    Attributes
    ----------
    doc : str
        Meaning and unit, one line.
    ge, gt, le, lt : float, optional
        Range of a number, or of each number of a list.
    items : (int, int), optional
        Shortest and longest list.
    pattern, words : str, optional
        Regular expression that a whole text must match, and the same rule in words.
    synonyms : tuple of str
        Other names that a user may try; they lead to a suggestion, and are not accepted.
    drawn : bool
        Whether a campaign may draw the value from a range or a choice.
    """

    doc: str
    _: KW_ONLY
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    items: tuple[int, int] | None = None
    pattern: str | None = None
    words: str = "a non-empty string"
    synonyms: tuple[str, ...] = ()
    drawn: bool = True


def _is_integer(value: object) -> bool:
    """Whether it is a whole number; 1e3 is one, as people write it in TOML."""
    if isinstance(value, float):
        return value.is_integer() and abs(value) <= 2**53  # beyond it floats leave numbers out
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of a float
        return False


_TYPES: dict[type, tuple[str, Callable[[object], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("an integer", _is_integer),
    float: ("a finite number", _is_finite),
    str: ("a non-empty string", lambda value: isinstance(value, str) and value != ""),
}
_BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": (">=", operator.ge),
    "gt": (">", operator.gt),
    "le": ("<=", operator.le),
    "lt": ("<", operator.lt),
}


@dataclass(frozen=True, slots=True)
class Declared:
    """A key as it was declared: name, type, default and `Key`.

    Attributes
    ----------
    name : str
        Name of the argument.
    type : type
        bool, int, float or str; of each item if the key is a list.
    choices : tuple of str
        The words allowed, if they are listed.
    many : bool
        Whether the key is a list.
    optional : bool
        Whether None is a value: the part is off.
    required : bool
        Whether there is no default; None then means "not given yet".
    default : object
        The default.
    key : Key
        Meaning and range.
    """

    name: str
    type: type
    choices: tuple[str, ...]
    many: bool
    optional: bool
    required: bool
    default: Any
    key: Key

    @property
    def allowed(self) -> str:
        """What the key may hold, in words."""
        text = self._allowed_item
        if self.many:
            text = f"a list, each item {text}"
            if self.key.items is not None:
                text = f"a list of {_words(*self.key.items)} items, each {self._allowed_item}"
        return f"{text}, or nothing" if self.optional else text

    @property
    def _allowed_item(self) -> str:
        if self.choices:
            words = ", ".join(self.choices)
            return f"one of {words}" if len(self.choices) > 1 else repr(words)
        key = self.key
        if self.type is str:
            return key.words
        text = _TYPES[self.type][0]
        if key.ge is not None and key.le is not None:
            return f"{text} from {key.ge} to {key.le}"
        bounds = ((_BOUNDS[name][0], getattr(key, name)) for name in _BOUNDS)
        limits = " and ".join(f"{sign} {bound}" for sign, bound in bounds if bound is not None)
        return f"{text} {limits}".rstrip()

    def checked(self, path: str, value: object) -> Any:
        """Return a value as plain Python type (a list as tuple).

        Parameters
        ----------
        path : str
            Dotted key, for the message.
        value : object
            What was given.

        Raises
        ------
        ScenarioError
            The value has another type or is out of range.
        """
        if value is None and (self.optional or self.required):
            return None
        if not self.many:
            if self.holds(value):
                return self.type(value)
        elif isinstance(value, list | tuple):
            shortest, longest = self.key.items or (0, math.inf)
            if shortest <= len(value) <= longest and all(map(self.holds, value)):
                return tuple(self.type(item) for item in value)
        raise wrong(path, value, self.allowed)

    def holds(self, value: object) -> bool:
        """Whether one value has the type and lies in the range."""
        if not _TYPES[self.type][1](value):
            return False
        plain = self.type(value)
        if self.choices and plain not in self.choices:
            return False
        if self.key.pattern is not None and not re.fullmatch(self.key.pattern, plain):
            return False
        bounds = ((holds, getattr(self.key, name)) for name, (_, holds) in _BOUNDS.items())
        return all(bound is None or holds(plain, bound) for holds, bound in bounds)


def wrong(key: str, given: object, expected: str) -> ScenarioError:
    """The error about a key: ``key: given, expected``."""
    return ScenarioError(checks.wrong(key, shown(given), expected), key=key)


def shown(value: object) -> str:
    """A value on one line of bearable length; None reads as "nothing"."""
    text = "nothing" if value is None else " ".join(repr(value).split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def declared_by(source: Callable[..., Any]) -> dict[str, Declared]:
    """The keys that a function or a dataclass declares.

    Parameters
    ----------
    source : function or dataclass
        Keyword-only arguments of a function; fields of a dataclass whose annotation has a `Key`.

    Returns
    -------
    dict
        By name, in the order of the declaration.

    Raises
    ------
    TypeError
        A keyword-only argument of a function has no `Key`.
    """
    hints = get_type_hints(source, include_extras=True)
    if is_dataclass(source):
        defaults = {field.name: field.default for field in fields(source)}
        return {
            name: _declared(name, hints[name], default, default is MISSING)
            for name, default in defaults.items()
            if _has_key(hints[name])
        }
    arguments = [
        argument
        for argument in inspect.signature(source).parameters.values()
        if argument.kind is argument.KEYWORD_ONLY
    ]
    for argument in arguments:
        if not _has_key(hints.get(argument.name)):
            raise TypeError(f"{source.__name__}: the argument {argument.name} has no Key")
    return {
        argument.name: _declared(
            argument.name,
            hints[argument.name],
            argument.default,
            argument.default is argument.empty,
        )
        for argument in arguments
    }


def _has_key(hint: Any) -> bool:
    return get_origin(hint) is Annotated and any(isinstance(m, Key) for m in hint.__metadata__)


def _declared(name: str, hint: Any, default: Any, required: bool) -> Declared:
    key = next(note for note in hint.__metadata__ if isinstance(note, Key))
    kind = hint.__origin__
    optional = many = False
    if get_origin(kind) in (Union, UnionType):
        optional = NoneType in get_args(kind)
        (kind,) = (arm for arm in get_args(kind) if arm is not NoneType)
    if get_origin(kind) is tuple:
        many, kind = True, get_args(kind)[0]
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    plain = str if choices else kind
    if plain not in _TYPES:
        raise TypeError(f"{name}: {plain} cannot be the type of a key")
    return Declared(
        name, plain, choices, many, optional, required, None if required else default, key
    )


def _words(shortest: float, longest: float) -> str:
    return f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
