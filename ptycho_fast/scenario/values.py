"""Values that are not fixed: ranges, choices and distributions of a campaign.

Wherever a key takes a number, it takes a range as well, and every key takes a choice. In TOML::

    dose.nphotons = {min = 1e5, max = 1e9, scale = "log"}   # uniform in the logarithm
    object.size = {min = 256, max = 512}                    # uniform, both ends included
    probe.curvature = {normal = [0.0, 2.0]}                 # mean and standard deviation
    probe.scale = {normal = [10, 3], min = 5, max = 20}     # the same, cut off on both sides
    N = {choice = [64, 128]}                                # each with the same chance

A table that has kinds may be a choice of whole tables, each with the keys of its own kind::

    [[object.choice]]
    kind = "lines"
    size = {min = 256, max = 512}

    [[object.choice]]
    kind = "file"
    file = "object.npz"

The range of a key holds for both ends and for each choice. A normal distribution is cut off at the
range of its key. Such a scenario describes many experiments; it can be stored and changed, and is
simulated by a campaign, which draws one value for each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Declared, Key, wrong

__all__ = ["Choice", "Drawn", "Normal", "Range", "checked", "plain"]

_WORDS = {"min", "max", "scale", "choice", "normal"}


@dataclass(frozen=True, slots=True)
class Range:
    """Uniform between two ends, both included.

    Attributes
    ----------
    min, max : float or int
        The ends.
    scale : {"linear", "log"}
        Whether the value or its logarithm is uniform.
    """

    min: float
    max: float
    scale: str = "linear"

    def to_dict(self) -> dict[str, Any]:
        """The spelling in a scenario file."""
        ends: dict[str, Any] = {"min": self.min, "max": self.max}
        return ends if self.scale == "linear" else ends | {"scale": self.scale}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values or tables, each with the same chance.

    Attributes
    ----------
    options : tuple
        What there is to choose from.
    """

    options: tuple[Any, ...]

    def to_dict(self) -> dict[str, Any]:
        """The spelling in a scenario file."""
        return {"choice": [plain(option) for option in self.options]}


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal distribution, cut off outside `min` to `max` and outside the key's own range.

    Attributes
    ----------
    mean, std : float
        Mean and standard deviation before the cut.
    min, max : float, int or None
        Where it is cut off.
    """

    mean: float
    std: float
    min: float | None = None
    max: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The spelling in a scenario file."""
        ends = {"min": self.min, "max": self.max}
        given = {name: end for name, end in ends.items() if end is not None}
        return {"normal": [self.mean, self.std], **given}


Drawn = Range | Choice | Normal


def plain(value: Any) -> Any:
    """A value as TOML and JSON hold it."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def checked(rule: Declared, path: str, value: object) -> Any:
    """Return the value of a key as plain Python type, or as range, choice or distribution.

    Parameters
    ----------
    rule : Declared
        What the key may hold.
    path : str
        Dotted key, for messages.
    value : object
        What was given; a mapping with the words above stands for a range or a choice.

    Raises
    ------
    ScenarioError
        The value, an end of the range or an option is not allowed.
    """
    if isinstance(value, Range | Choice | Normal):
        value = value.to_dict()
    if not (isinstance(value, Mapping) and _WORDS & set(value)):
        return rule.checked(path, value)
    try:
        return _drawn(rule, path, value)
    except ScenarioError as error:
        raise ScenarioError(str(error), key=path) from None


def _drawn(rule: Declared, path: str, given: Mapping[str, Any]) -> Drawn:
    if not rule.key.drawn:
        raise wrong(path, dict(given), f"{rule.allowed}; it cannot be drawn")
    words = set(given)
    if words == {"choice"}:
        return _choice(rule, f"{path}.choice", given["choice"])
    if rule.many or rule.type not in (int, float):
        raise wrong(path, dict(given), f"{rule.allowed}; or {{choice = [...]}} of such values")
    if "normal" in words and words <= {"normal", "min", "max"}:
        return _normal(rule, path, given)
    if {"min", "max"} <= words <= {"min", "max", "scale"}:
        return _range(rule, path, given)
    raise wrong(
        path,
        dict(given),
        "{min = ..., max = ...}, {min = ..., max = ..., scale = 'log'}, {choice = [...]} "
        "or {normal = [mean, std]}",
    )


def _choice(rule: Declared, path: str, options: object) -> Choice:
    if not isinstance(options, list | tuple) or not options:
        raise wrong(path, options, f"a list of at least one, each {rule.allowed}")
    return Choice(tuple(rule.checked(path, option) for option in options))


def _range(rule: Declared, path: str, given: Mapping[str, Any]) -> Range:
    low, high = _end(rule, path, given, "min"), _end(rule, path, given, "max")
    scale = given.get("scale", "linear")
    if scale not in ("linear", "log"):
        raise wrong(f"{path}.scale", scale, "one of linear, log")
    if low > high:
        raise wrong(f"{path}.min", low, f"no more than max, {high}")
    if scale == "log" and low <= 0:
        raise wrong(f"{path}.min", low, "a number > 0 for scale = 'log'")
    return Range(low, high, scale)


def _normal(rule: Declared, path: str, given: Mapping[str, Any]) -> Normal:
    numbers = given["normal"]
    if not isinstance(numbers, list | tuple) or len(numbers) != 2:
        raise wrong(f"{path}.normal", numbers, "[mean, standard deviation]")
    # The mean may lie outside the key's range; what is drawn does not.
    number = Declared("", float, (), False, False, False, None, Key(""))
    spread = replace(number, key=Key("", gt=0))
    mean = number.checked(f"{path}.normal, mean", numbers[0])
    std = spread.checked(f"{path}.normal, standard deviation", numbers[1])
    low, high = (
        _end(rule, path, given, name) if name in given else None for name in ("min", "max")
    )
    if low is not None and high is not None and low > high:
        raise wrong(f"{path}.min", low, f"no more than max, {high}")
    return Normal(mean, std, low, high)


def _end(rule: Declared, path: str, given: Mapping[str, Any], name: str) -> Any:
    return replace(rule, optional=False, required=False).checked(f"{path}.{name}", given[name])
