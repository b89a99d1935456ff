"""Tables of a scenario: named values that are checked when the table is made, then frozen."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, NamedTuple, NoReturn, Self, Union, get_args, get_origin
from typing import get_type_hints as type_hints

from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Declared, Key, declared_by, shown, wrong
from ptycho_fast.kinds import Kind, Kinds

from .values import Choice, checked, plain

_FEW = 4  # kinds that a text names


class Table(ABC):
    """Base of every table."""

    __slots__ = ()
    _path: ClassVar[str] = ""
    """What stands before the names of the keys, such as ``"dose."``."""

    @abstractmethod
    def items(self) -> Iterator[tuple[str, Any]]:
        """Name and value of every entry, in order."""

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain nested dictionaries, in the order of declaration.

        Returns
        -------
        dict
            Every key that holds a value; keys that hold None are left out.
        """
        return {name: plain(value) for name, value in self.items() if value is not None}

    @classmethod
    @abstractmethod
    def known(cls) -> dict[str, Declared]:
        """Every key that the table may have, by name."""

    @classmethod
    def described(cls) -> dict[str, Declared]:
        """Every key that messages and help offer, by name."""
        return cls.known()

    @classmethod
    def accepted(cls) -> set[str]:
        """Every name that a mapping of values may have."""
        return set(cls.known())

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Any:
        """Make the table of values by name."""
        return cls(**values)


class _Place(NamedTuple):
    """A table inside another one."""

    table: type[Table]
    optional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedTable(Table):
    """A table that always has the same keys: a dataclass whose annotations declare them.

    A field without a `Key` is a table in this one; with ``| None`` and the default None it may be
    absent.
    """

    def __post_init__(self) -> None:
        for name, rule in self.known().items():
            value = checked(rule, f"{self._path}{name}", getattr(self, name))
            object.__setattr__(self, name, value)  # frozen, and this is still its construction
        for name, place in places(type(self)).items():
            value = getattr(self, name)
            options = value.options if isinstance(value, Choice) else (value,)
            is_kind = issubclass(place.table, KindTable)
            if not (
                (value is None and place.optional)
                or (isinstance(value, place.table))
                or (is_kind and options and all(isinstance(o, place.table) for o in options))
            ):
                expected = f"a table of type {place.table.__name__}"
                raise wrong(f"{self._path}{name}", value, expected)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Name and value of every entry, in order."""
        return ((name, getattr(self, name)) for name in _names(type(self)))

    @classmethod
    def known(cls) -> dict[str, Declared]:
        """Every key that the table may have, by name."""
        return _declared(cls)


def _find_names(table: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(table))


def _find_places(table: type) -> dict[str, _Place]:
    found = {}
    for name, hint in type_hints(table).items():
        arms = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        for arm in arms:
            if isinstance(arm, type) and issubclass(arm, Table):
                found[name] = _Place(arm, NoneType in arms)
    return found


# Each is read from a class once.
_declared: Callable[[type], dict[str, Declared]] = cache(declared_by)
_names: Callable[[type], tuple[str, ...]] = cache(_find_names)
places: Callable[[type], dict[str, _Place]] = cache(_find_places)
"""The tables inside a table, by name."""


def described_keys(root: type[FixedTable]) -> dict[str, Declared]:
    """Every key of a tree of tables that messages and help offer, by dotted key."""
    inside, known = places(root), root.known()
    found: dict[str, Declared] = {}
    for name in _names(root):
        if name in known:
            found[name] = known[name]
        elif name in inside:
            keys = inside[name].table.described()
            found |= {f"{name}.{key}": rule for key, rule in keys.items()}
    return found


def offered(root: type[FixedTable], table: str) -> list[str]:
    """Names of the keys in a table, or at the top (``""``), for messages."""
    return list(places(root)[table].table.described()) if table else list(_names(root))


class OpenTable(Table):
    """A table whose keys are those of some functions."""

    __slots__ = ("_values",)
    _values: dict[str, Any]

    def __init__(self, /, **values: Any) -> None:
        self._fill({}, self.known(), values)

    def _fill(self, head: dict[str, Any], rules: Mapping[str, Declared], given: Any) -> None:
        for name in given:
            if name not in rules:
                raise self._stranger(name, head, rules)
        values = {
            name: checked(rule, f"{self._path}{name}", given.get(name, rule.default))
            for name, rule in rules.items()
        }
        object.__setattr__(self, "_values", head | values)

    def _stranger(
        self, name: str, head: Mapping[str, Any], rules: Mapping[str, Declared]
    ) -> ScenarioError:
        key, keys = f"{self._path}{name}", ", ".join([*head, *rules])
        return ScenarioError(f"{key}: unknown key (keys: {keys})", key=key)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Name and value of every entry, in order."""
        return iter(self._values.items())

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self._values:
            return self._values[name]
        raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {self!r}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to {name!r}; use Scenario.replace")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OpenTable) or type(self) is not type(other):
            return NotImplemented
        return self._values == other._values

    def __hash__(self) -> int:
        return hash((type(self), *self._values.items()))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.items())
        return f"{type(self).__name__}({values})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self._values)


def _rebuilt(table: type[OpenTable], values: dict[str, Any]) -> OpenTable:
    return table(**values)


class KindTable(OpenTable):
    """A table with kinds: each kind is a function, and its keywords are the keys.

    Parameters
    ----------
    kind : str, optional
        Name of the kind.
    **values
        Keys of that kind, and those that all kinds share. A key that is left out takes its
        default.

    Raises
    ------
    ScenarioError
        There is no such kind, it has no such key, or a value is not allowed.
    """

    __slots__ = ()
    kinds: ClassVar[Kinds]
    common: ClassVar[Mapping[str, Declared]] = {}
    kind: str

    def __init__(self, /, **values: Any) -> None:
        chosen = self.kinds.of(values.pop("kind", self.kinds.default))
        rules = self.keys_of(chosen)
        # None clears a key; there is nothing to clear where the kind has no such key.
        known = self.known()
        given = {
            name: value
            for name, value in values.items()
            if value is not None or name in rules or name not in known
        }
        self._fill({"kind": chosen.name}, rules, given)

    @classmethod
    def keys_of(cls, kind: Kind) -> dict[str, Declared]:
        """The keys of a kind, and those that all kinds share."""
        return {**kind.keys, **cls.common}

    @classmethod
    def known(cls) -> dict[str, Declared]:
        """Every key that the table may have, of any kind, by name; without ``kind`` itself."""
        known: dict[str, Declared] = {}
        for kind in cls.kinds.values():
            for name, rule in kind.keys.items():
                known.setdefault(name, rule)
        return {**known, **cls.common}

    @classmethod
    def described(cls) -> dict[str, Declared]:
        """``kind`` and every key of the listed kinds, by name; the text says which kind has it."""
        kinds = cls.kinds.listed
        docs = ", ".join(f"{kind.name} ({_begun_small(kind.doc)})" for kind in kinds.values())
        first = cls.kinds.default
        keys = {
            "kind": Declared("kind", str, tuple(kinds), False, False, False, first, Key(docs)),
        }
        for name, rule in cls.known().items():
            having = [kind.name for kind in kinds.values() if name in kind.keys]
            if name in cls.common or len(having) == len(kinds):
                keys[name] = rule
            elif having:
                others = [kind.name for kind in kinds.values() if name not in kind.keys]
                few = len(others) < len(having) > _FEW
                which = f"not kind {' or '.join(others)}" if few else f"kind {' or '.join(having)}"
                defaults = {one: kinds[one].keys[name].default for one in having}
                differ = [
                    f"{shown(d)} for {one}" for one, d in defaults.items() if d != rule.default
                ]
                if differ:
                    which += f"; default {', '.join(differ)}"
                doc = f"{rule.key.doc} ({which})"
                keys[name] = replace(rule, key=replace(rule.key, doc=doc))
        return keys

    @classmethod
    def accepted(cls) -> set[str]:
        """Every name that a mapping of values may have."""
        return {"kind", "choice", *cls.known()}

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self | Choice:
        """Make the table, or a choice of tables from ``{"choice": [...]}``."""
        path = f"{cls._path}choice"
        if "choice" not in values:
            if isinstance(values.get("kind"), Mapping):
                raise wrong(f"{cls._path}kind", values["kind"], f"one kind; see [[{path}]]")
            return cls(**values)
        options, others = values["choice"], sorted(set(values) - {"choice"})
        if others:
            raise wrong(f"{cls._path}{others[0]}", values[others[0]], f"nothing beside {path}")
        if not isinstance(options, list | tuple) or not options:
            raise wrong(path, options, "a list of at least one table")
        for option in options:
            if not isinstance(option, Mapping | cls):
                raise wrong(path, option, f"a table of {cls._path.rstrip('.')} in each place")
        return Choice(
            tuple(
                option
                if isinstance(option, cls)
                else cls(**{str(key): value for key, value in option.items()})
                for option in options
            )
        )

    def _stranger(
        self, name: str, head: Mapping[str, Any], rules: Mapping[str, Declared]
    ) -> ScenarioError:
        having = [kind.name for kind in self.kinds.values() if name in kind.keys]
        if not having:
            return super()._stranger(name, head, rules)
        key, keys = f"{self._path}{name}", ", ".join([*head, *rules])
        return ScenarioError(
            f"{key}: not a key of kind {head['kind']!r} (keys: {keys}); "
            f"it is a key of kind {' and '.join(map(repr, having[:_FEW]))}"
            + (" and others" if len(having) > _FEW else ""),
            key=key,
        )


def _begun_small(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
