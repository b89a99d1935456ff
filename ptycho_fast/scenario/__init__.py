"""The one description of a simulation.

A `Scenario` is a frozen tree of validated values. A Python call, a TOML file and a command
line are three spellings of it, and a data set carries it so that it can be made again::

    Scenario.preset("gs2_ideal").replace({"dose.nphotons": 1e6})

Each key is declared once, as a dataclass field: its annotation gives the type (and the
choices), `_key` gives the default, the range and a line of documentation. Validation, error
messages, the command line's help and the reference pages all read that declaration.
"""

import difflib
import math
import operator
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import Field, dataclass, field, fields
from importlib import resources
from importlib.resources.abc import Traversable
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args, get_origin

from ptycho_fast.errors import ScenarioError

__all__ = [
    "DetectorSpec",
    "DoseSpec",
    "GroupSpec",
    "KnownKey",
    "ObjectSpec",
    "ProbeSpec",
    "ScanSpec",
    "Scenario",
    "ScenarioError",
    "SeedSpec",
    "SplitSpec",
    "known_keys",
    "parse_assignment",
    "presets",
    "resolve",
]

_UINT32_MAX = 2**32 - 1
_UINT64_MAX = 2**64 - 1


# ---- rules: what a key may hold ------------------------------------------------------------


def _is_integer(value: object) -> bool:
    # The abstract number types also cover NumPy's scalars, without importing NumPy.
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of a float
        return False


_KINDS: dict[type, tuple[str, Callable[[object], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("an integer", _is_integer),
    float: ("a finite number", _is_finite),
    str: ("a non-empty string", lambda value: isinstance(value, str) and value != ""),
}
_BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "gt": (">", operator.gt),
    "ge": (">=", operator.ge),
    "lt": ("<", operator.lt),
    "le": ("<=", operator.le),
}


def _key(default: Any, doc: str, **bounds: float) -> Any:
    """Declare a key: its default, its documentation and its bounds (gt, ge, lt, le)."""
    return field(default=default, metadata={"doc": doc, "bounds": bounds})


class _Rule(NamedTuple):
    """What one key may hold."""

    kind: type
    choices: tuple[str, ...]
    optional: bool
    bounds: Mapping[str, float]

    @classmethod
    def of(cls, declared: Field[Any]) -> Self:
        """Read the rule from a field's annotation and metadata."""
        hint: Any = declared.type
        args = get_args(hint)
        choices = args if get_origin(hint) is Literal else ()
        kind = str if choices else next((arg for arg in args if arg is not NoneType), hint)
        return cls(kind, choices, NoneType in args, declared.metadata["bounds"])

    @property
    def allowed(self) -> str:
        """The rule in words."""
        if self.choices:
            words = ", ".join(map(repr, self.choices))
            return words if len(self.choices) == 1 else f"one of {words}"
        bounds = [f"{_BOUNDS[name][0]} {bound}" for name, bound in self.bounds.items()]
        text = f"{_KINDS[self.kind][0]} {' and '.join(bounds)}".rstrip()
        return f"{text}, or nothing" if self.optional else text

    def checked(self, key: str, value: object) -> Any:
        """Return `value` as the plain Python type of this key, or raise."""
        if value is None and self.optional:
            return None
        if _KINDS[self.kind][1](value):
            plain = self.kind(value)
            if (not self.choices or plain in self.choices) and all(
                _BOUNDS[name][1](plain, bound) for name, bound in self.bounds.items()
            ):
                return plain
        raise _wrong(key, value, self.allowed)


def _wrong(key: str, given: object, expected: str) -> ScenarioError:
    return ScenarioError(f"{key}: {_shown(given)} given, expected {expected}", key=key)


def _shown(value: object) -> str:
    """Show a value on one line of bearable length."""
    text = "nothing" if value is None else " ".join(repr(value).split())
    return text if len(text) <= 120 else f"{text[:117]}..."


# ---- the tree ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Base of every table: checks its fields when it is made."""

    _path: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for declared in fields(self):
            value = getattr(self, declared.name)
            key = f"{self._path}{declared.name}"
            if isinstance(declared.default, _Table):
                kind = type(declared.default)
                if not isinstance(value, kind):
                    raise _wrong(key, value, f"a table of type {kind.__name__}")
            else:
                # The class is frozen, and this is still its construction.
                object.__setattr__(self, declared.name, _Rule.of(declared).checked(key, value))

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain nested dictionaries, in field order.

        Returns
        -------
        dict
            Every key that holds a value; optional keys that hold None are left out.
        """
        values = ((declared.name, getattr(self, declared.name)) for declared in fields(self))
        return {
            name: value.to_dict() if isinstance(value, _Table) else value
            for name, value in values
            if value is not None
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSpec(_Table):
    """The object under the probe."""

    _path: ClassVar[str] = "object."

    kind: Literal["lines", "file"] = _key("lines", "random lines, or an object read from a file")
    size: int = _key(392, "side of the square 'lines' object, pixels", ge=8, le=65536)
    file: str | None = _key(None, "path of the object, an .npz with 'objectGuess' or a .npy")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec(_Table):
    """The illumination."""

    _path: ClassVar[str] = "probe."

    kind: Literal["ideal_disk", "file"] = _key(
        "ideal_disk", "smoothed disk, or a probe read from a file"
    )
    scale: float = _key(
        10.0, "the probe is divided by scale * mean(mask * |probe|), no unit; see normalise", gt=0
    )
    normalise: bool = _key(True, "whether to apply scale; false takes the probe as it is")
    curvature: float = _key(
        0.0, "quadratic phase (defocus): radians at N/4 pixels from the centre, 0 at the centre"
    )
    file: str | None = _key(None, "path of the probe, an .npz with 'probeGuess' or a .npy")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSpec(_Table):
    """Where the probe goes."""

    _path: ClassVar[str] = "scan."

    kind: Literal["random"] = _key("random", "positions drawn uniformly over the object")
    n_patterns: int = _key(1024, "number of scan positions, one diffraction pattern each", ge=1)
    buffer: float = _key(
        10.0, "margin that positions keep from the object's border, object pixels", ge=0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseSpec(_Table):
    """How much light is detected."""

    _path: ClassVar[str] = "dose."

    nphotons: float = _key(1e9, "mean detected photons per pattern", gt=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSpec(_Table):
    """What the detector does to the counts; every part is off by default."""

    _path: ClassVar[str] = "detector."

    saturation: int | None = _key(
        None, "largest count a pixel can hold, counts", ge=1, le=_UINT32_MAX
    )
    beam_stop_radius: float = _key(0.0, "radius of the central beam stop, detector pixels", ge=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSpec(_Table):
    """One seed for each random draw, so that each can change alone."""

    _path: ClassVar[str] = "seeds."

    # NumPy's legacy generator, which the object and the scan use, takes 32 bits.
    object: int = _key(42, "seed of the lines", ge=0, le=_UINT32_MAX)
    scan: int = _key(42, "seed of the positions", ge=0, le=_UINT32_MAX)
    photons: int = _key(42, "seed of the photon noise", ge=0, le=_UINT64_MAX)
    groups: int = _key(42, "seed of the grouping", ge=0, le=_UINT64_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSpec(_Table):
    """Training and test halves: patterns are sorted on y, and smaller y trains."""

    _path: ClassVar[str] = "split."

    train_fraction: float = _key(0.5, "share of the patterns that trains, no unit", gt=0, lt=1)

    def sizes(self, n_patterns: int) -> tuple[int, int]:
        """Count the patterns on each side of the split.

        Parameters
        ----------
        n_patterns : int
            Number of patterns in all.

        Returns
        -------
        tuple of int
            Patterns for training (rounded down) and for test (the others).
        """
        n_train = int(n_patterns * self.train_fraction)
        return n_train, n_patterns - n_train


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSpec(_Table):
    """How patterns form groups of ``gridsize**2`` neighbours (solution regions)."""

    _path: ClassVar[str] = "groups."

    n_train: int = _key(256, "number of groups in the training part", ge=1)
    n_test: int = _key(128, "number of groups in the test part", ge=1)
    neighbours: int = _key(4, "nearest neighbours that a group is drawn from", ge=1)
    order: Literal["fixed", "random"] = _key(
        "fixed", "order within a group: smaller y pair first, each pair by x; or as drawn"
    )
    include_seed: bool = _key(False, "whether the seed pattern counts among its neighbours")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario(_Table):
    """One simulation, described completely.

    Every argument has a default and is checked; `known_keys` lists them all with type,
    default, unit and meaning.

    Raises
    ------
    ScenarioError
        When a value has the wrong type or lies outside its range.
    """

    name: str = _key("custom", "label of the scenario")
    N: int = _key(64, "side of a patch and of the detector, pixels", ge=8, le=2048)
    gridsize: int = _key(1, "a group holds gridsize**2 patterns", ge=1, le=8)
    object: ObjectSpec = field(default=ObjectSpec())
    probe: ProbeSpec = field(default=ProbeSpec())
    scan: ScanSpec = field(default=ScanSpec())
    dose: DoseSpec = field(default=DoseSpec())
    detector: DetectorSpec = field(default=DetectorSpec())
    seeds: SeedSpec = field(default=SeedSpec())
    split: SplitSpec = field(default=SplitSpec())
    groups: GroupSpec = field(default=GroupSpec())

    @classmethod
    def preset(cls, name: str) -> Self:
        """Return a scenario that comes with the package.

        Parameters
        ----------
        name : str
            One of `presets`.

        Returns
        -------
        Scenario
            The preset.
        """
        if name not in presets():
            raise _unknown_preset(name, f"one of {', '.join(presets())}")
        return cls.from_toml(_preset_folder().joinpath(f"{name}.toml").read_text("utf-8"))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Self:
        """Build a scenario from a mapping; keys that are left out take their defaults.

        Parameters
        ----------
        mapping : Mapping
            Values by key. Tables may be nested mappings or dotted keys.

        Returns
        -------
        Scenario
            The validated scenario.
        """
        tables: dict[str, dict[str, Any]] = {name: {} for name in ("", *_TABLES)}
        for key, value in _flat(mapping).items():
            if key in _TABLES:
                raise _wrong(key, value, f"a table with the keys {_keys_beside(f'{key}.')}")
            if key not in _KEYS:
                raise _unknown_key(key)
            table, _, name = key.rpartition(".")
            tables[table][name] = value
        top = tables.pop("")
        return cls(**top | {name: _TABLES[name](**values) for name, values in tables.items()})

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Build a scenario from TOML text.

        Parameters
        ----------
        text : str
            TOML. With a top-level key ``preset``, the other keys are laid over that preset.

        Returns
        -------
        Scenario
            The validated scenario.
        """
        values = _parsed(text)
        if "preset" in values:
            return cls.preset(values.pop("preset")).replace(values)
        return cls.from_dict(values)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a scenario from a TOML file.

        Parameters
        ----------
        path : path-like
            The file, in UTF-8; see `from_toml`.

        Returns
        -------
        Scenario
            The validated scenario.
        """
        with _naming(path):
            return cls.from_toml(_read(path))

    def to_toml(self) -> str:
        """Return the scenario as TOML text, keys in field order.

        Returns
        -------
        str
            Text from which `from_toml` makes an equal scenario.
        """
        import tomli_w

        return tomli_w.dumps(self.to_dict())

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with some values changed.

        Parameters
        ----------
        changes : Mapping
            New values by dotted key, such as ``{"dose.nphotons": 1e6, "N": 128}``.
            Nested mappings work as well. None clears an optional key.

        Returns
        -------
        Scenario
            The new scenario.
        """
        return self.from_dict(_flat(self.to_dict()) | _flat(changes))

    def require_runnable(self, *, groups: bool = False) -> None:
        """Raise unless the scenario can be simulated.

        Each value is already valid by itself; this looks at what must hold between them.

        Parameters
        ----------
        groups : bool, optional
            Whether the patterns will be grouped too, which needs enough of them on both
            sides of the split.

        Raises
        ------
        ScenarioError
            For the first key that stands in the way.
        """
        size_of_group = self.gridsize**2
        seed_counts = int(self.groups.include_seed)
        widest_stop = self.N / math.sqrt(2)  # the distance from the centre to a corner
        checks = [
            *self._file_checks("object"),
            *self._file_checks("probe"),
            (
                self.object.kind != "lines" or 2 * self.scan.buffer < self.object.size,
                "scan.buffer",
                f"a number < {self.object.size / 2}, half of object.size, to leave a scan area",
            ),
            (
                self.detector.beam_stop_radius <= widest_stop,
                "detector.beam_stop_radius",
                f"a number <= {widest_stop:.1f} for N = {self.N}, to leave a lit pixel",
            ),
            (
                self.gridsize == 1 or size_of_group <= self.groups.neighbours + seed_counts,
                "groups.neighbours",
                f"an integer >= {size_of_group - seed_counts} to fill groups of {size_of_group} "
                f"patterns, gridsize = {self.gridsize}",
            ),
        ]
        if groups:
            n_patterns = self.split.sizes(self.scan.n_patterns)
            for part, available in zip(("train", "test"), n_patterns, strict=True):
                checks += [
                    (
                        getattr(self.groups, f"n_{part}") <= available,
                        f"groups.n_{part}",
                        f"an integer <= {available}, the number of {part} patterns",
                    ),
                    (
                        self.gridsize == 1 or self.groups.neighbours < available,
                        "groups.neighbours",
                        f"an integer < {available}, the number of {part} patterns",
                    ),
                ]
        for possible, key, expected in checks:
            if not possible:
                raise _wrong(key, operator.attrgetter(key)(self), expected)

    def _file_checks(self, table: Literal["object", "probe"]) -> list[tuple[bool, str, str]]:
        """Check that `table` has a file exactly when its kind asks for one."""
        spec: ObjectSpec | ProbeSpec = getattr(self, table)
        return [
            (
                spec.kind != "file" or spec.file is not None,
                f"{table}.file",
                f"the path of an .npz with '{table}Guess' or a .npy; "
                f"give it with --{table}-file PATH or --set {table}.file=PATH",
            ),
            # A file that is named and not read would be a silent surprise.
            (
                spec.kind == "file" or spec.file is None,
                f"{table}.kind",
                f"'file', because {table}.file = {spec.file!r}",
            ),
        ]


_TABLES: dict[str, type[_Table]] = {
    declared.name: type(declared.default)
    for declared in fields(Scenario)
    if isinstance(declared.default, _Table)
}
_ALL_TABLES: tuple[type[_Table], ...] = (Scenario, *_TABLES.values())
_KEYS: dict[str, Field[Any]] = {
    f"{table._path}{declared.name}": declared
    for table in _ALL_TABLES
    for declared in fields(table)
    if not isinstance(declared.default, _Table)
}


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
        ``(type, default, doc)`` by dotted key, in field order.
    """
    return {
        key: KnownKey(_Rule.of(declared).allowed, declared.default, declared.metadata["doc"])
        for key, declared in _KEYS.items()
    }


# ---- spellings: mappings, TOML, presets, command line ----------------------------------------


def presets() -> tuple[str, ...]:
    """Name the scenarios that come with the package.

    Returns
    -------
    tuple of str
        Names, sorted.
    """
    files = (Path(entry.name) for entry in _preset_folder().iterdir())
    return tuple(sorted(file.stem for file in files if file.suffix == ".toml"))


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
    """
    key, equals, text = (part.strip() for part in assignment.partition("="))
    if not key or not equals:
        raise ScenarioError(
            f"{assignment!r} given, expected KEY=VALUE, for example dose.nphotons=1e6"
        )
    try:
        document = tomllib.loads(f"value = {text}")
    except ValueError:
        return key, text
    # Text of several lines could hold further keys; then it is no single value.
    return key, document["value"] if len(document) == 1 else text


def resolve(
    preset_or_path: str | os.PathLike[str],
    overrides: Mapping[str, Any] | None = None,
    config: str | os.PathLike[str] | None = None,
) -> Scenario:
    """Find a scenario and lay changes over it: flag before file before preset.

    Parameters
    ----------
    preset_or_path : str or path-like
        Name of a preset, or path of a TOML file. A preset wins over a file of the same
        name; ``./name`` is always the file.
    overrides : Mapping, optional
        Values by dotted key that win over everything else.
    config : path-like, optional
        A TOML file that is laid over the first argument.

    Returns
    -------
    Scenario
        The validated result.
    """
    name = os.fspath(preset_or_path)
    if name in presets():
        scenario = Scenario.preset(name)
    elif os.path.exists(name):
        scenario = Scenario.load(name)
    else:
        raise _unknown_preset(
            name, f"a preset ({', '.join(presets())}) or the path of a TOML file that exists"
        )
    if config is not None:
        with _naming(config):
            changes = _parsed(_read(config))
            if "preset" in changes:
                raise _wrong(
                    "preset", changes["preset"], f"no preset in a file that is laid over {name}"
                )
            scenario = scenario.replace(changes)
    return scenario.replace(overrides or {})


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Spell nested tables as dotted keys, so that one mapping lies over another by ``|``."""
    if not isinstance(mapping, Mapping):
        raise ScenarioError(f"{_shown(mapping)} given, expected a mapping of keys to values")
    flat: dict[str, Any] = {}
    for name, value in mapping.items():
        key = f"{prefix}{name}"
        # An empty table says nothing, unless there is no such table.
        if isinstance(value, Mapping) and (value or key in _TABLES):
            flat |= _flat(value, f"{key}.")
        else:
            flat[key] = value
    return flat


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        last_line = text.count("\n") + 1
        reason = str(error).replace("at end of document", f"at line {last_line}, the last")
        raise ScenarioError(f"not valid TOML: {reason}") from error


def _read(path: str | os.PathLike[str]) -> str:
    try:
        return Path(path).read_text("utf-8-sig")  # some editors write a byte order mark
    except OSError as error:
        raise ScenarioError(f"{error.strerror or error}; expected a TOML file") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(
            f"byte {error.start} is not UTF-8; expected a TOML file in UTF-8"
        ) from error


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let the errors raised inside say which file they come from."""
    try:
        yield
    except ScenarioError as error:
        raise ScenarioError(f"{os.fspath(path)}: {error}", key=error.key) from error


def _preset_folder() -> Traversable:
    return resources.files("ptycho_fast.scenario").joinpath("presets")


def _keys_beside(table: str) -> str:
    """List the names in a table (``"dose."``), or at the top (``""``)."""
    names = (key.removeprefix(table).partition(".")[0] for key in _KEYS if key.startswith(table))
    return ", ".join(dict.fromkeys(names))


def _nearest(suggestions: list[str]) -> str:
    return f"; did you mean {' or '.join(suggestions)}?" if suggestions else ""


def _unknown_preset(name: object, expected: str) -> ScenarioError:
    nearest = _nearest(difflib.get_close_matches(str(name), presets(), n=1))
    return _wrong("preset", name, f"{expected}{nearest}")


def _unknown_key(key: str) -> ScenarioError:
    table, _, name = key.rpartition(".")
    # The right name in the wrong table is a likelier slip than a key that looks alike.
    namesakes = [known for known in _KEYS if known.rpartition(".")[2].lower() == name.lower()]
    nearest = _nearest(namesakes or difflib.get_close_matches(key, [*_KEYS, *_TABLES], n=1))
    if table in _TABLES:
        beside = f"keys of {table}: {_keys_beside(f'{table}.')}"
    else:
        beside = f"top-level keys: {_keys_beside('')}"
    return ScenarioError(f"{key}: unknown key{nearest} ({beside})", key=key)
