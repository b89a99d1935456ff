"""`Scenario`: the tree of all tables, and its spellings as mapping and TOML."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from ptycho_fast import objects, probes, scans
from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Key, shown, wrong

from . import names, schema, toml
from .runnable import require_runnable
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
from .suggest import unknown_key, unknown_preset
from .tables import FixedTable, KindTable, Table, described_keys, offered, places
from .values import Choice, Normal, Range

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario(FixedTable):
    """One simulation, described completely.

    Every argument has a default and is checked; `known_keys` lists all keys with type, default,
    unit and meaning. A key may hold a range, a choice or a distribution instead of a value
    (see `ptycho_fast.scenario.values`); a campaign draws from it.

    Raises
    ------
    ScenarioError
        When a value has the wrong type or lies outside its range.

    Examples
    --------
    >>> scenario = Scenario.preset("gs2_ideal").replace({"dose.nphotons": 1e6, "N": 128})
    >>> scenario.dose.nphotons, scenario.N, scenario.object.kind, scenario.object.size
    (1000000.0, 128, 'lines', 392)
    >>> Scenario.from_toml(scenario.to_toml()) == scenario
    True
    >>> scenario.replace({"dose.nphotons": {"min": 1e5, "max": 1e9, "scale": "log"}}).dose.nphotons
    Range(min=100000.0, max=1000000000.0, scale='log')
    """

    name: Annotated[
        str,
        Key(
            "label of the scenario, and of its files",
            pattern=names.PATTERN,
            words=names.WORDS,
            drawn=False,
        ),
    ] = "custom"
    N: Annotated[
        int,
        Key(
            "side of a patch and of the detector, pixels",
            ge=8,
            le=2048,
            synonyms=("size", "side", "pixels", "detector_size", "patch_size"),
        ),
    ] = 64
    gridsize: Annotated[int, Key("a group holds gridsize**2 patterns", ge=1, le=8)] = 1
    noise: Annotated[
        bool,
        Key("whether photons are drawn; false gives noise-free intensities", synonyms=("poisson",)),
    ] = True
    optics: OpticsSpec = field(default_factory=OpticsSpec)
    object: ObjectSpec = field(default_factory=ObjectSpec)
    probe: ProbeSpec = field(default_factory=ProbeSpec)
    scan: ScanSpec = field(default_factory=ScanSpec)
    dose: DoseSpec = field(default_factory=DoseSpec)
    detector: DetectorSpec = field(default_factory=DetectorSpec)
    seeds: SeedSpec = field(default_factory=SeedSpec)
    split: SplitSpec = field(default_factory=SplitSpec)
    groups: GroupSpec = field(default_factory=GroupSpec)

    # --- spellings ---

    @classmethod
    def preset(cls, name: str) -> Self:
        """Return a scenario that comes with the package.

        Parameters
        ----------
        name : str
            One of `presets` or `campaigns`, in upper or lower case.

        Returns
        -------
        Scenario
            The preset.

        Raises
        ------
        ScenarioError
            There is no such preset; the message lists them and suggests the nearest.
        """
        known = toml.preset_named(name)
        if known is None:
            raise unknown_preset(name, f"one of {toml.listed()}")
        return cls.from_toml(toml.preset_text(known))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Self:
        """Build a scenario from a mapping; keys that are left out take their defaults.

        Parameters
        ----------
        mapping : Mapping
            Values by key. Tables may be nested mappings or dotted keys. ``schema`` tells the
            version; a mapping without it is of version 1, and older versions are migrated.

        Returns
        -------
        Scenario
            The scenario, checked.

        Raises
        ------
        ScenarioError
            A key is unknown, a value not allowed, or the schema is newer than this package.
        """
        return cls._built(_migrated(cls._flat(mapping)))

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
            The scenario, checked; errors as for `from_dict` and `preset`.
        """
        return cls._read(toml.parsed(text))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a scenario from a TOML file.

        Parameters
        ----------
        path : path-like
            The file, in UTF-8; see `from_toml`. Unless it has a key ``name``, the scenario takes
            the name of the file.

        Returns
        -------
        Scenario
            The scenario, checked; errors name the file.
        """
        with toml.naming(path):
            values = toml.parsed(toml.read(path))
            return cls._read({"name": names.as_name(Path(path).stem)} | values)

    @classmethod
    def _read(cls, values: dict[str, Any]) -> Self:
        if "preset" not in values:
            return cls.from_dict(values)
        base = cls.preset(values.pop("preset"))
        return base._changed(_migrated(cls._flat(values)))

    def to_dict(self) -> dict[str, Any]:
        """Return the scenario as plain nested dictionaries, in the order of declaration.

        Returns
        -------
        dict
            ``schema``, then every key that holds a value. JSON and TOML can hold it.
        """
        return {"schema": schema.version(), **FixedTable.to_dict(self)}

    def to_toml(self) -> str:
        """Return the scenario as TOML text.

        Returns
        -------
        str
            Text from which `from_toml` makes an equal scenario.
        """
        import tomli_w

        return tomli_w.dumps(self.to_dict())

    # --- changes ---

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with some values changed.

        Another ``kind`` of a table keeps the values that the new kind has too, and drops the
        others.

        Parameters
        ----------
        changes : Mapping
            New values by dotted key, such as ``{"dose.nphotons": 1e6, "N": 128}``. Nested mappings
            work as well. None clears an optional key.

        Returns
        -------
        Scenario
            The new scenario; errors as for `from_dict`.

        Examples
        --------
        >>> changed = Scenario().replace({"object.kind": "file", "object.file": "a.npz"})
        >>> changed.object.to_dict()
        {'kind': 'file', 'file': 'a.npz'}
        """
        flat = self._flat(changes)
        return self._changed(_migrated(flat) if "schema" in flat else flat)

    def with_given(
        self,
        *,
        object: "npt.ArrayLike | None" = None,
        probe: "npt.ArrayLike | None" = None,
        positions: "npt.ArrayLike | None" = None,
    ) -> Self:
        """Return a copy that records arrays handed over in Python.

        The tables get the kind "given" and the SHA-256 of the array. A probe is taken as it is
        (``probe.normalise`` becomes false, ``probe.curvature`` 0) and decides N.

        Parameters
        ----------
        object : (H, W) array, optional
            Complex object.
        probe : (N, N) or (M, N, N) array, optional
            Probe modes.
        positions : (B, 2) array, optional
            ``[x, y]`` in object pixels.

        Returns
        -------
        Scenario
            The new scenario. `make_object`, `make_probe` and `make_scan` take the array of such a
            table as ``given=``.

        Raises
        ------
        TypeError, ValueError
            An array has the wrong shape or dtype, or holds NaN or infinity.
        """
        changes: dict[str, Any] = {}
        if object is not None:
            changes["object"] = objects.keys_of_given(object)
        if probe is not None:
            changes["probe"] = probes.keys_of_given(probe)
            changes["N"] = probes.as_probe(probe).shape[-1]
        if positions is not None:
            changes["scan"] = scans.keys_of_given(positions)
        return self.replace(changes)

    # --- checks ---

    def undrawn(self) -> dict[str, Any]:
        """The ranges, choices and distributions of the scenario, by dotted key."""
        entries = list(self.items())
        for name, value in self.items():
            if isinstance(value, Table):
                entries += [(f"{name}.{key}", inner) for key, inner in value.items()]
        return {key: value for key, value in entries if isinstance(value, Range | Choice | Normal)}

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
            For the first key that is in the way.
        """
        require_runnable(self, groups=groups)

    # --- building: every spelling becomes one mapping of dotted keys ---

    @classmethod
    def _flat(cls, mapping: Mapping[str, Any]) -> dict[str, Any]:
        """Spell nested tables as dotted keys, so that one mapping lies over another by ``|``.

        An entry ``table: {}`` says that the table is there.
        """
        if not isinstance(mapping, Mapping):
            raise ScenarioError(f"{shown(mapping)} given, expected a mapping of keys to values")
        flat: dict[str, Any] = {}
        for name, value in mapping.items():
            key = str(name)
            # A value may be a mapping itself: a range or a choice.
            if isinstance(value, Mapping) and "." not in key and key not in cls.known():
                if not value or key in places(cls):
                    flat[key] = {}
                flat |= {f"{key}.{inner}": one for inner, one in value.items()}
            else:
                flat[key] = value
        return flat

    @classmethod
    def _built(cls, flat: Mapping[str, Any]) -> Self:
        """Make the scenario of dotted keys of the present schema."""
        inside, known = places(cls), cls.known()
        accepted = {name: place.table.accepted() for name, place in inside.items()}
        top: dict[str, Any] = {}
        tables: dict[str, dict[str, Any]] = {
            name: {} for name, place in inside.items() if not place.optional
        }
        for key, value in flat.items():
            table, _, name = key.partition(".")
            if key in inside:
                if value is None and inside[key].optional:
                    continue
                if value != {}:
                    names = ", ".join(offered(cls, key))
                    raise wrong(key, value, f"a table with the keys {names}")
                tables.setdefault(key, {})
            elif key in known:
                top[key] = value
            elif table in inside and name in accepted[table]:
                tables.setdefault(table, {})[name] = value
            else:
                beside = offered(cls, table if table in inside else "")
                raise unknown_key(key, described_keys(cls), inside, beside)
        made = {name: inside[name].table.from_values(values) for name, values in tables.items()}
        return cls(**top, **made)

    def _changed(self, changes: Mapping[str, Any]) -> Self:
        """Lay dotted keys of the present schema over the scenario."""
        current = self._flat(FixedTable.to_dict(self))
        for name, place in places(type(self)).items():
            if changes.get(name, current) is None:
                gone = place.table.accepted()
            elif issubclass(place.table, KindTable):
                gone = self._replaced_keys(name, place.table, changes)
            else:
                continue
            for key in gone:
                current.pop(f"{name}.{key}", None)
        return self._built(current | dict(changes))

    def _replaced_keys(
        self, name: str, table: type[KindTable], changes: Mapping[str, Any]
    ) -> set[str]:
        """The keys of a table that go because its kind changes."""
        old, kind = getattr(self, name), changes.get(f"{name}.kind")
        if f"{name}.choice" in changes or (kind is not None and isinstance(old, Choice)):
            return table.accepted()
        if not isinstance(kind, str) or kind == old.kind or kind not in table.kinds:
            return set()
        # A key that may be left out in one kind alone has another meaning there.
        before, after = (table.keys_of(table.kinds[k]) for k in (old.kind, kind))
        same = {n for n in before.keys() & after.keys() if before[n].optional == after[n].optional}
        return table.accepted() - same


def _migrated(flat: dict[str, Any]) -> dict[str, Any]:
    values = dict(flat)
    return schema.migrated(values, values.pop("schema", 1))
