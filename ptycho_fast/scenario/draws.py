"""Values drawn from ranges, choices and distributions, as pure functions of a number.

The value of key `key` in experiment `k` comes from one block of 128 random bits that depends on the
seed, the key and k alone. A draw more or less, or another order of keys, changes no other value.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ptycho_fast import rng
from ptycho_fast.keys import Declared

from .tables import KindTable, Table
from .values import Choice, Drawn, Normal, Range

if TYPE_CHECKING:
    from .tree import Scenario

__all__ = ["Draw", "Draws", "key_seed"]

_DIGITS = 12
"""Significant digits of a drawn number; the last bits of exp and log differ between machines."""


def key_seed(seed: int, key: str) -> int:
    """Seed of the numbers of one key: 64 bits of a SHA-256.

    Parameters
    ----------
    seed : int
        ``seeds.campaign``.
    key : str
        Dotted key, such as ``"dose.nphotons"``.

    Examples
    --------
    >>> key_seed(42, "dose.nphotons") == key_seed(42, "N")
    False
    """
    digest = hashlib.sha256(f"{seed} {key}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


@dataclass(frozen=True)
class Draw:
    """What is drawn for one key.

    Attributes
    ----------
    key : str
        Dotted key; the name of a table with ``.choice`` for a choice of tables.
    value : Range, Choice or Normal
        What it is drawn from.
    rule : Declared, optional
        What the key may hold; not for a choice.
    """

    key: str
    value: Drawn
    rule: Declared | None = None

    def at(self, seed: int, numbers: Sequence[int]) -> list[Any]:
        """The values of some experiments.

        Parameters
        ----------
        seed : int
            ``seeds.campaign``.
        numbers : sequence of int
            Numbers k of the experiments.

        Returns
        -------
        list
            Values that the key may hold; for a choice of tables the number of each, from 0.
        """
        index = np.asarray(numbers, dtype=np.uint64)
        blocks = rng.words(key_seed(seed, self.key), "campaign", index).astype(object)
        bits = blocks[:, 0] | blocks[:, 1] << 32 | blocks[:, 2] << 64 | blocks[:, 3] << 96
        return [self._of(int(number)) for number in bits]

    def _of(self, bits: int) -> Any:
        """The value of 128 random bits."""
        value = self.value
        if isinstance(value, Choice):
            number = _below(bits, len(value.options))
            return number if self.rule is None else value.options[number]
        assert self.rule is not None
        if isinstance(value, Normal):
            return _normal(value, self.rule, _unit(bits))
        if self.rule.type is int:
            return _integer(value, bits)
        return _number(value, _unit(bits))


def _below(bits: int, n: int) -> int:
    """An integer from 0 to n - 1; the chances of any two differ by less than n / 2**128."""
    return bits * n >> 128


def _unit(bits: int) -> float:
    """A number in (0, 1), of the upper 52 bits; exact."""
    return ((bits >> 76) + 0.5) * 2.0**-52


def _integer(value: Range, bits: int) -> int:
    low, high = int(value.min), int(value.max)
    if value.scale == "linear":
        return low + _below(bits, high - low + 1)
    # Rounded, so that n has the chance log((n + 1/2) / (n - 1/2)), about 1 / n, also at the ends.
    return int(_within(round(_log_uniform(low - 0.5, high + 0.5, _unit(bits))), low, high))


def _number(value: Range, u: float) -> float:
    if value.scale == "log":
        drawn = _log_uniform(value.min, value.max, u)
    else:
        drawn = value.min * (1 - u) + value.max * u  # the difference could overflow
    return _within(_short(drawn), value.min, value.max)


def _log_uniform(low: float, high: float, u: float) -> float:
    return math.exp(math.log(low) * (1 - u) + math.log(high) * u)


def _normal(value: Normal, rule: Declared, u: float) -> float:
    """By the inverse of the distribution function, which is that of the cut distribution.

    ``Phi(z) = (1 - u) Phi(a) + u Phi(b)`` is solved in logarithms and in the lower tail, so that a
    cut far from the mean works too.
    """
    from scipy.special import log_ndtr, ndtri_exp

    low, high = _cut(value, rule)
    half = 0.5 if rule.type is int else 0.0  # an integer stands for the interval around it
    a = (low - half - value.mean) / value.std
    b = (high + half - value.mean) / value.std
    flipped = a > 0
    if flipped:
        a, b, u = -b, -a, 1 - u
    logarithm = np.logaddexp(log_ndtr(a) + math.log1p(-u), log_ndtr(b) + math.log(u))
    z = float(ndtri_exp(logarithm))
    drawn = value.mean + value.std * (-z if flipped else z)
    if rule.type is int:
        return int(_within(round(drawn), low, high))
    return _within(_short(drawn), low, high)


def _cut(value: Normal, rule: Declared) -> tuple[float, float]:
    """The least and the largest value that can be drawn."""
    key = rule.key
    lows = [-math.inf, value.min, key.ge, _beside(rule, key.gt, math.inf)]
    highs = [math.inf, value.max, key.le, _beside(rule, key.lt, -math.inf)]
    return max(x for x in lows if x is not None), min(x for x in highs if x is not None)


def _beside(rule: Declared, bound: float | None, towards: float) -> float | None:
    """The value nearest to a bound that is not allowed itself."""
    if bound is None:
        return None
    if rule.type is int:
        return math.floor(bound) + 1 if towards > 0 else math.ceil(bound) - 1
    return math.nextafter(bound, towards)


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


class Draws:
    """All that a scenario leaves open.

    Parameters
    ----------
    scenario : Scenario
        With ranges, choices and distributions, or without.
    """

    def __init__(self, scenario: "Scenario") -> None:
        self._seed = scenario.seeds.campaign
        self._fixed: list[Draw] = []
        self._tables: dict[str, tuple[Draw, list[Table], list[list[Draw]]]] = {}
        known = scenario.known()
        for name, value in scenario.items():
            if isinstance(value, Choice) and name not in known:
                options = list(value.options)
                nested = [list(_in_table(name, option)) for option in options]
                self._tables[name] = Draw(f"{name}.choice", value), options, nested
            elif isinstance(value, Drawn):
                self._fixed.append(Draw(name, value, known[name]))
            elif isinstance(value, Table):
                self._fixed += _in_table(name, value)

    @property
    def keys(self) -> list[str]:
        """The keys for which something is drawn, in order; some only with some tables."""
        found = [draw.key for draw in self._fixed]
        for head, _, nested in self._tables.values():
            found += [head.key, *(draw.key for draws in nested for draw in draws)]
        return list(dict.fromkeys(found))

    def at(self, k: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is drawn for experiment k, and the changes that it makes to the scenario.

        Returns
        -------
        draws : dict
            Values by key. A choice of tables has the number of the table from 0, ``KEY.choice``,
            and its kind.
        changes : dict
            For `Scenario.replace`.
        """
        draws = {draw.key: draw.at(self._seed, [k])[0] for draw in self._fixed}
        changes = dict(draws)
        for name, (head, options, nested) in self._tables.items():
            (which,) = head.at(self._seed, [k])
            values = {f"{name}.{key}": value for key, value in options[which].items()}
            inside = {draw.key: draw.at(self._seed, [k])[0] for draw in nested[which]}
            draws |= {head.key: which, f"{name}.kind": values[f"{name}.kind"]} | inside
            changes |= values | inside
        return draws, changes

    def values(self, table: str, name: str, fixed: Any, numbers: Sequence[int]) -> list[Any]:
        """The values of one key of a table in some experiments, without drawing the others.

        Parameters
        ----------
        table, name : str
            Such as ``"scan"`` and ``"n_patterns"``; all options of a choice must have the key.
        fixed : object
            The value where the key is not drawn; ignored for a choice of tables.
        numbers : sequence of int
            Numbers k of the experiments.
        """
        key = f"{table}.{name}"
        if table not in self._tables:
            draw = next((draw for draw in self._fixed if draw.key == key), None)
            return draw.at(self._seed, numbers) if draw else [fixed] * len(numbers)
        head, options, nested = self._tables[table]
        columns = []
        for option, draws in zip(options, nested, strict=True):
            draw = next((draw for draw in draws if draw.key == key), None)
            value = getattr(option, name)
            columns.append(draw.at(self._seed, numbers) if draw else [value] * len(numbers))
        return [columns[which][i] for i, which in enumerate(head.at(self._seed, numbers))]


def _in_table(name: str, table: Table) -> Iterator[Draw]:
    rules = table.known()
    if isinstance(table, KindTable):
        rules = table.keys_of(table.kinds.of(table.kind))
    for key, value in table.items():
        if isinstance(value, Drawn):
            yield Draw(f"{name}.{key}", value, rules[key])
