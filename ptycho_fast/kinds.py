"""Kinds: functions that make an object, a probe or a scan, found by looking into a folder.

A kind is a function with the decorator `kind`, in any file of the folder of its table::

    @kind("lines")
    def lines(seed: int, *, size: Annotated[int, Key("side, pixels", ge=8)] = 392): ...

Its keyword-only arguments are the keys of ``[object] kind = "lines"``. Its positional arguments are
what the table's ``make_...`` function knows: a seed, N, the object's shape. A new kind needs its
file and nothing else.
"""

import hashlib
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Annotated, Any, TypeVar

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Declared, Key, declared_by, wrong

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Kind:
    """A kind of object, probe or scan.

    Attributes
    ----------
    name : str
        Its name in a scenario.
    function : callable
        What makes it.
    context : tuple of str
        Names of the positional arguments of `function`.
    keys : dict
        Its keys by name.
    doc : str
        First line of the function's docstring.
    listed : bool
        Whether users can ask for it by name.
    """

    name: str
    function: Callable[..., Any]
    context: tuple[str, ...]
    keys: dict[str, Declared]
    doc: str
    listed: bool


def kind(name: str, *, listed: bool = True) -> Callable[[_Function], _Function]:
    """Mark a function as a kind of the table that its folder belongs to.

    Parameters
    ----------
    name : str
        Name in a scenario, ``kind = name``.
    listed : bool
        Whether messages and help offer it.
    """

    def mark(function: _Function) -> _Function:
        function._kind = (name, listed)  # type: ignore[attr-defined]
        return function

    return mark


class Kinds(Mapping[str, Kind]):
    """The kinds of a table, by name.

    The folder is scanned at the first use, and again if the package's path changes.

    Parameters
    ----------
    table : str
        Name of the table in a scenario, such as ``object``.
    package : str
        Package whose files hold the kinds.
    first : str
        The kind that is the default, and listed first.
    """

    def __init__(self, table: str, package: str, first: str) -> None:
        self.table = table
        self.default = first
        self._package = package
        self._scanned: tuple[str, ...] = ()
        self._kinds: dict[str, Kind] = {}

    def __getitem__(self, name: str) -> Kind:
        return self._found()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found())

    def __len__(self) -> int:
        return len(self._found())

    @property
    def listed(self) -> dict[str, Kind]:
        """The kinds that users can ask for by name."""
        return {name: kind for name, kind in self.items() if kind.listed}

    def of(self, name: object) -> Kind:
        """The kind of a name.

        Raises
        ------
        ScenarioError
            There is no such kind; the message lists those that there are.
        """
        if isinstance(name, str) and name in self:
            return self[name]
        names = list(self.listed)
        raise wrong(
            f"{self.table}.kind",
            name,
            f"one of {', '.join(names)}" if len(names) > 1 else repr(names[0]),
        )

    def make(self, spec: Any, **context: Any) -> Any:
        """Call the function of a kind.

        Parameters
        ----------
        spec : object
            With the attribute ``kind`` and one for each key of that kind.
        **context
            The positional arguments that kinds may ask for.

        Raises
        ------
        ScenarioError
            The kind is unknown, a key that it needs is not given, or a value is at fault; the
            message has the dotted key.
        """
        kind = self.of(spec.kind)
        values = {name: getattr(spec, name) for name in kind.keys}
        for name, value in values.items():
            if value is None and kind.keys[name].required:
                raise self.missing(kind.keys[name])
        try:
            return kind.function(*(context[name] for name in kind.context), **values)
        except ScenarioError:
            raise
        except (TypeError, ValueError) as error:
            # The functions name their arguments, users of a scenario know the keys.
            name = str(error).partition(":")[0]
            if name not in kind.keys:
                raise
            raise ScenarioError(f"{self.table}.{error}", key=f"{self.table}.{name}") from error

    def missing(self, key: Declared) -> ScenarioError:
        """The error about a key that a kind needs and that is not given."""
        return wrong(f"{self.table}.{key.name}", None, key.key.doc)

    def _found(self) -> dict[str, Kind]:
        folders = tuple(sys.modules[self._package].__path__)
        if folders != self._scanned:
            kinds: dict[str, Kind] = {}
            for entry in pkgutil.iter_modules(folders):
                for new in _kinds_in(f"{self._package}.{entry.name}"):
                    if new.name in kinds:
                        raise TypeError(f"{self.table}: two kinds with the name {new.name!r}")
                    kinds[new.name] = new
            self._kinds = {self.default: kinds.pop(self.default)} | dict(sorted(kinds.items()))
            self._scanned = folders
        return self._kinds


def _kinds_in(module: str) -> Iterator[Kind]:
    for function in list(vars(importlib.import_module(module)).values()):
        if getattr(function, "__module__", None) == module and hasattr(function, "_kind"):
            name, listed = function._kind
            arguments = signature(function).parameters.values()
            context = tuple(a.name for a in arguments if a.kind is not a.KEYWORD_ONLY)
            doc = (function.__doc__ or "").strip().partition("\n")[0]
            yield Kind(name, function, context, declared_by(function), doc, listed)


# --- arrays that were handed over in Python ---

Sha256 = Annotated[
    str,
    Key(
        "SHA-256 of the array that was handed over",
        pattern="[0-9a-f]{64}",
        words="64 hexadecimal digits",
        drawn=False,
    ),
]


def fingerprint(array: npt.NDArray[Any]) -> str:
    """SHA-256 of an array's dtype, shape and values, as 64 hexadecimal digits."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def handed_over(
    array: npt.NDArray[Any] | None, sha256: str, table: str, argument: str
) -> npt.NDArray[Any]:
    """The array of a scenario's kind "given", if it is the one that the scenario means.

    Raises
    ------
    ScenarioError
        There is no array, or its fingerprint is another.
    """
    if array is None:
        raise ScenarioError(
            f"{table}.kind: 'given' given, expected the array itself too: the scenario was made "
            f"with an array in Python, of which it holds the SHA-256 alone ({sha256[:12]}...); "
            f"hand it over again with {argument}=",
            key=f"{table}.kind",
        )
    found = fingerprint(array)
    if found != sha256:
        message = checks.wrong(argument, f"array of SHA-256 {found[:12]}...", f"{sha256[:12]}...")
        raise ScenarioError(f"{message}, the one in the scenario", key=f"{table}.sha256")
    return array


# --- arrays that are read from files ---

FileFormat = Annotated[
    str | None,
    Key(
        "name of the file's format, where its content leaves several; see docs/formats.md",
        drawn=False,
    ),
]

ReadOptions = Annotated[
    tuple[str, ...] | None,
    Key(
        "what the format's reader takes besides, each as 'OPTION=VALUE'; see docs/formats.md",
        drawn=False,
    ),
]

StoredSha256 = Annotated[
    str | None,
    Key(
        "SHA-256 of what is read; a file that holds something else is an error",
        pattern="[0-9a-f]{64}",
        words="64 hexadecimal digits",
        drawn=False,
    ),
]


def same_as_recorded(
    array: npt.NDArray[Any],
    sha256: str | None,
    table: str,
    file: str | os.PathLike[str],
    key: str = "sha256",
) -> None:
    """Raise ScenarioError if an array from a file is not the one that a scenario means."""
    if sha256 is None or (found := fingerprint(array)) == sha256:
        return
    raise ScenarioError(
        f"{table}.{key}: {sha256[:12]}... given, but what {file} holds has {found[:12]}...: the "
        f"file was changed since the scenario was written; without {table}.{key} it is taken as "
        "it is",
        key=f"{table}.{key}",
    )
