"""Recipes: a scenario of a few kilobytes in place of its patterns, which are made when needed.

A recipe is the TOML file of a scenario with one more table::

    [recipe]
    schema = 1
    version = "0.1.0"       # of ptycho_fast, when the recipe was written
    backend = "native"      # whose bits are meant; those of "cuda" are the same
    patterns = 2000
    dtype = "uint32"
    domain = "count_intensity"
    hashed = 16             # how many of the first patterns sha256 is of
    sha256 = "..."          # see `fingerprint`
    count = 100             # experiments, of a campaign; hashed are patterns of number `first`
    first = 0

Whoever opens it gets the patterns as from a file; with `verify` only if they are the same. A
scenario without that table is opened too. Input files are named by their absolute path; one that is
not there is looked for beside the recipe.
"""

import dataclasses
import hashlib
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.backend import choose
from ptycho_fast.errors import DataWarning, ScenarioError
from ptycho_fast.files import written_aside
from ptycho_fast.formats.contents import DOMAINS as _KNOWN_DOMAINS
from ptycho_fast.formats.contents import Contents
from ptycho_fast.scenario import Scenario, toml
from ptycho_fast.simulation import SimulatedPatterns, dataset_of
from ptycho_fast.simulator import Simulator
from ptycho_fast.version import __version__

if TYPE_CHECKING:
    from ptycho_fast.campaign import Campaign
    from ptycho_fast.formats.work import Work

DOMAINS = ("count_intensity", "detector_signal", "normalized_intensity", "normalized_amplitude")
OPTIONS: frozenset[str] = frozenset()
READ_OPTIONS = frozenset({"verify", "experiment", "backend", "device", "threads"})

SCHEMA = 1
"""Version of the table ``[recipe]``."""

_HASHED = 16
_HASHED_PIXELS = 2**20  # so that a recipe of large patterns is written in a moment, too
_SIZE = 8_000  # bytes, about
_SAME_BITS = {"cuda": "native"}
_KEYS: dict[str, type] = {
    "schema": int,
    "version": str,
    "backend": str,
    "patterns": int,
    "dtype": str,
    "domain": str,
    "hashed": int,
    "sha256": str,
    "count": int,
    "first": int,
}
_OPTIONAL = ("count", "first")


def fingerprint(patterns: npt.NDArray[Any]) -> str:
    """SHA-256 of patterns: dtype and shape as text, then the pixels in little-endian order.

    Parameters
    ----------
    patterns : (n, N, N) array
        Counts, signals or intensities.

    Returns
    -------
    str
        64 hexadecimal digits, the same on every machine.

    Examples
    --------
    >>> fingerprint(np.zeros((1, 2, 2), np.uint32))[:16]
    '6ac691996f585035'
    """
    little = np.ascontiguousarray(patterns, patterns.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{patterns.dtype.name} {patterns.shape} ".encode())
    digest.update(little.data)
    return digest.hexdigest()


# --- writing ---


def check(contents: Contents) -> None:
    """Raise ValueError where `write` would.

    Parameters
    ----------
    contents : Contents
        The data; its patterns are not looked at.
    """
    if contents.scenario is None:
        expected = "one: a recipe is a scenario; another format holds patterns without one"
        raise ValueError(checks.wrong("scenario", "none", expected))
    _check_kinds(contents.scenario)
    checks.choice(contents.domain, "domain", DOMAINS)


def _check_kinds(scenario: Mapping[str, Any]) -> None:
    for table in ("object", "probe", "scan"):
        if scenario.get(table, {}).get("kind") == "given":
            raise ValueError(
                checks.wrong(
                    f"{table}.kind",
                    "'given'",
                    "a kind that a recipe can name: it holds no arrays; save the array in a file, "
                    "and take it with the kind 'file'",
                )
            )


def file_size(contents: Contents) -> int:
    """Bytes that `write` will need, about."""
    return _SIZE


def write(path: str | os.PathLike[str], contents: Contents, work: "Work") -> list[Path]:
    """Write the recipe of a data set, of whose patterns only the first few are looked at.

    Parameters
    ----------
    path : path-like
        File to make.
    contents : Contents
        The data, with its scenario.
    work : Work
        Whether an existing file may be replaced.

    Returns
    -------
    list of Path
        The file.

    Raises
    ------
    ValueError
        There is no scenario, or it was made with arrays that were handed over in Python.
    OSError
        The file exists, or cannot be written; nothing is left behind.
    """
    check(contents)
    frames = contents.diffraction[: _hashed(contents.diffraction.shape)]
    table = {
        "schema": SCHEMA,
        "version": __version__,
        "backend": same_bits(str(contents.provenance.get("backend", "native"))),
        "patterns": len(contents.diffraction),
        **_of_patterns(frames, contents.domain),
    }
    with work.aside(path) as file:
        file.write(_text(contents.scenario or {}, table))
    return [Path(path)]


def write_campaign(
    path: str | os.PathLike[str],
    campaign: "Campaign",
    *,
    count: int,
    first: int = 0,
    force: bool = False,
) -> None:
    """Write the recipe of a campaign, of which only the first experiment is looked at.

    Parameters
    ----------
    path : path-like
        File to make.
    campaign : Campaign
        What makes the experiments.
    count, first : int
        Number of experiments, and the number of the first one.
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    ValueError, ScenarioError
        An experiment cannot be made, or needs arrays that were handed over in Python.
    OSError
        The file exists, or cannot be written; nothing is left behind.
    """
    simulator = campaign.simulator(first)
    scenario = campaign.template.to_dict()
    _check_kinds(scenario)
    frames = simulator.frames(0, _hashed((simulator.n_patterns, simulator.N, simulator.N)))
    table = {
        "schema": SCHEMA,
        "version": __version__,
        "backend": same_bits(simulator.backend),
        "patterns": simulator.n_patterns,
        **_of_patterns(frames, simulator.domain),
        "count": count,
        "first": first,
    }
    with written_aside(path, force=force) as file:
        file.write(_text(scenario, table))


def _hashed(shape: tuple[int, ...]) -> int:
    B, N = shape[:2]
    return min(B, _HASHED, max(1, _HASHED_PIXELS // N**2))


def _of_patterns(frames: npt.NDArray[Any], domain: str) -> dict[str, Any]:
    return {
        "dtype": frames.dtype.name,
        "domain": domain,
        "hashed": len(frames),
        "sha256": fingerprint(frames),
    }


def _text(scenario: Mapping[str, Any], table: Mapping[str, Any]) -> bytes:
    import tomli_w

    tables = {**scenario, "recipe": table}
    for name in ("object", "probe", "scan"):
        if "file" in tables.get(name, {}):
            tables[name] = {**tables[name], "file": os.path.abspath(tables[name]["file"])}
    head = (
        "# A data set as a recipe: ptycho_fast.open makes its patterns when they are asked for.\n"
    )
    return (head + tomli_w.dumps(tables)).encode()


def same_bits(backend: str) -> str:
    """The backend that stands for all that have the same bits."""
    return _SAME_BITS.get(backend, backend)


# --- reading ---


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether a text is a scenario: every TOML file is taken for one, so that errors name a key."""
    return True


def read(
    path: str | os.PathLike[str],
    *,
    verify: bool = False,
    experiment: int | None = None,
    backend: str = "auto",
    device: int | None = None,
    threads: int | None = None,
) -> Contents:
    """Open a recipe, or a scenario without that table.

    Parameters
    ----------
    path : path-like
        The TOML file.
    verify : bool
        Whether the first patterns are made to see that they are those of the recipe.
    experiment : int, optional
        Which experiment of a campaign.
    backend, device, threads
        As for `Simulator`; "auto" is the backend that the recipe was written with.

    Returns
    -------
    Contents
        Its patterns are made when they are asked for.

    Raises
    ------
    ScenarioError
        A key is wrong, or the scenario cannot be simulated.
    ValueError
        The patterns are others than those of the recipe, or it is one of a campaign and
        `experiment` is not given.
    OSError, RuntimeError
        An input file or the backend is not there.
    """
    recipe = Recipe.load(path)
    how = {"backend": recipe.backend_for(backend), "device": device, "threads": threads}
    simulator = recipe.simulator(experiment, **how)
    if verify:
        recipe.verify(simulator if experiment in (None, recipe.first) else None)
    # What nobody writes need not be measured.
    return dataclasses.replace(
        dataset_of(simulator, lazy=True).contents(), diffraction=SimulatedPatterns(simulator)
    )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a recipe says; of a scenario without the table ``[recipe]`` only the scenario.

    Attributes
    ----------
    path : Path
        The file, for messages.
    scenario : Scenario
        The description, of a campaign with its ranges.
    version, backend, domain, dtype, sha256 : str or None
        See the module.
    patterns, hashed : int or None
        See the module. Of a campaign the patterns of its first experiment.
    count : int or None
        Experiments of a campaign.
    first : int
        Number of its first experiment.
    """

    path: Path
    scenario: Scenario
    version: str | None = None
    backend: str | None = None
    patterns: int | None = None
    dtype: str | None = None
    domain: str | None = None
    hashed: int | None = None
    sha256: str | None = None
    count: int | None = None
    first: int = 0

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file; nothing is made.

        Raises
        ------
        ScenarioError
            It is no TOML, a key of the scenario or of ``[recipe]`` is wrong, or written by a newer
            version; the message names file and key.
        """
        scenario = _with_files_beside(Scenario.load(path), Path(path))
        with toml.naming(path):
            values = _checked(toml.recipe(toml.read(path)))
        values.pop("schema", None)
        return cls(path=Path(path), scenario=scenario, **values)

    @property
    def is_recipe(self) -> bool:
        """Whether there is a table ``[recipe]``."""
        return self.sha256 is not None

    @property
    def is_campaign(self) -> bool:
        """Whether it describes many experiments."""
        return self.count is not None or bool(self.scenario.undrawn())

    def backend_for(self, asked: str) -> str:
        """The backend to use where `asked` is "auto": the one whose bits the recipe means.

        Warns
        -----
        DataWarning
            It is not available, so that another one makes the patterns.
        """
        if asked != "auto" or self.backend is None:
            return asked
        if not _why_not(self.backend):
            return self.backend
        warnings.warn(
            f"{self.path}: the backend {self.backend!r} that the recipe was written with is not "
            "available here; another one makes the patterns, and some counts may differ by a few "
            "photons",
            DataWarning,
            stacklevel=3,
        )
        return asked

    def campaign(self, **how: Any) -> "Campaign":
        """All experiments; `how` as for `Campaign`."""
        from ptycho_fast.campaign import Campaign

        count = None if self.count is None else self.first + self.count
        return Campaign(self.scenario, count=count, **how)

    def simulator(self, experiment: int | None = None, **how: Any) -> Simulator:
        """What makes the patterns.

        Parameters
        ----------
        experiment : int, optional
            Which experiment of a campaign.
        **how
            Backend, device and threads of `Simulator`.

        Raises
        ------
        ValueError
            It is a campaign and no experiment is given, or the other way round.
        ScenarioError
            The scenario cannot be simulated, or makes another number of patterns.
        """
        if self.is_campaign:
            return self._of_campaign(experiment, how)
        if experiment is not None:
            expected = f"nothing, since {self.path} describes one experiment"
            raise ValueError(checks.wrong("experiment", experiment, expected))
        counts = self.domain == "count_intensity"
        simulator = Simulator(self.scenario, dtype=self.dtype if counts else None, **how)
        self._check_number(simulator.n_patterns)
        return simulator

    def _of_campaign(self, experiment: int | None, how: dict[str, Any]) -> Simulator:
        if experiment is None:
            last = f" to {self.first + self.count - 1}" if self.count else ", "
            many = f"{self.count} experiments" if self.count else "experiments without end"
            raise ValueError(
                f"{self.path}: a campaign of {many} given, expected the number of one of them, "
                f"experiment={self.first}{last or ''}; ptycho_fast.Campaign(path) has the patterns "
                "of all under one index"
            )
        if self.count is not None:
            checks.integer(experiment, "experiment", self.first, self.first + self.count - 1)
        simulator = self.campaign(**how).simulator(experiment)
        if experiment == self.first:
            self._check_number(simulator.n_patterns)
        return simulator

    def _check_number(self, n_patterns: int) -> None:
        if self.patterns not in (None, n_patterns):
            raise ScenarioError(
                f"{self.path}: recipe.patterns: {self.patterns} given, expected {n_patterns}, as "
                f"many as the scenario makes{self._versions}",
                key="recipe.patterns",
            )

    def verify(self, simulator: Simulator | None = None) -> None:
        """Make the first patterns and compare them with the fingerprint.

        Parameters
        ----------
        simulator : Simulator, optional
            That of the recipe, of a campaign the one of its first experiment, if it is made
            already. It is not used if its backend has other bits.

        Raises
        ------
        ValueError
            They are others, the file has no fingerprint, or no backend with the bits of the recipe
            is available.
        """
        if self.sha256 is None or self.hashed is None or self.backend is None:
            expected = "the table [recipe], with what the first patterns are"
            raise ValueError(checks.wrong(f"{self.path}: recipe", "nothing", expected))
        if simulator is None or same_bits(simulator.backend) != self.backend:
            if reason := _why_not(self.backend):
                raise ValueError(f"{self.path}: recipe.backend cannot verify the bits: {reason}")
            number = self.first if self.is_campaign else None
            simulator = self.simulator(number, backend=self.backend)
        n = checks.integer(self.hashed, "recipe.hashed", 1, simulator.n_patterns)
        amplitudes = self.domain == "normalized_amplitude"
        frames = simulator.amplitudes(0, n) if amplitudes else simulator.frames(0, n)
        found = fingerprint(frames)
        if found != self.sha256:
            raise ValueError(
                f"{self.path}: the first {n} patterns have SHA-256 {found[:12]}..., expected "
                f"{self.sha256[:12]}...{self._versions}"
            )

    @property
    def _versions(self) -> str:
        same = "the scenario or an input file was changed since"
        other = f"this is ptycho_fast {__version__}; that version makes the patterns again"
        why = same if self.version == __version__ else other
        return f": the recipe was written by ptycho_fast {self.version}, {why}"


def _checked(table: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the table ``[recipe]``, each of the right type; empty where there is none."""
    if not table:
        return {}
    schema = table.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise ScenarioError(
            f"recipe.schema: {schema} given, expected at most {SCHEMA}: the recipe was written by "
            f"a newer ptycho_fast ({table.get('version')}; this is {__version__})",
            key="recipe.schema",
        )
    for key in table:
        if key not in _KEYS:
            expected = f"unknown key (keys: {', '.join(_KEYS)})"
            raise ScenarioError(f"recipe.{key}: {expected}", key=f"recipe.{key}")
    for key, kind in _KEYS.items():
        value = table.get(key)
        if (value is None and key in _OPTIONAL) or type(value) is kind:
            continue
        what = {int: "an integer", str: "a text"}[kind]
        raise _wrong(key, value, what)
    for key, least in (("patterns", 1), ("hashed", 1), ("count", 1), ("first", 0)):
        if table.get(key, least) < least:
            raise _wrong(key, table[key], f"an integer >= {least}")
    if table["hashed"] > table["patterns"]:
        raise _wrong("hashed", table["hashed"], f"at most {table['patterns']}, recipe.patterns")
    if table["domain"] not in DOMAINS:
        named = ", ".join(f"{name!r} ({_KNOWN_DOMAINS[name]})" for name in DOMAINS)
        raise _wrong("domain", table["domain"], f"one of {named}")
    if table["dtype"] not in ("uint16", "uint32", "int32", "float32"):
        raise _wrong("dtype", table["dtype"], "uint16, uint32, int32 or float32")
    return dict(table)


def _wrong(key: str, value: object, expected: str) -> ScenarioError:
    given = "nothing" if value is None else repr(value)
    return ScenarioError(checks.wrong(f"recipe.{key}", given, expected), key=f"recipe.{key}")


def _with_files_beside(scenario: Scenario, path: Path) -> Scenario:
    """The scenario with input files that are not in their place, but beside the recipe."""
    changes = {}
    for name in ("object", "probe", "scan"):
        file = getattr(getattr(scenario, name), "file", None)
        if isinstance(file, str) and not os.path.exists(file):
            beside = path.absolute().parent / Path(file).name
            if beside.exists():
                changes[f"{name}.file"] = str(beside)
    return scenario.replace(changes) if changes else scenario


def _why_not(backend: str) -> str:
    """Why a backend cannot be used here; empty if it can."""
    try:
        choose(backend)
    except (RuntimeError, ValueError) as error:
        return str(error)
    return ""
