"""What must hold between the values of a scenario before it can be simulated."""

import math
import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ptycho_fast import objects
from ptycho_fast.keys import wrong

if TYPE_CHECKING:
    from .tree import Scenario

_Check = tuple[bool, str, str]
"""Whether it holds, the key that is in the way if not, and what was expected of it."""


def require_runnable(scenario: "Scenario", *, groups: bool) -> None:
    """Raise for the first key that is in the way; see `Scenario.require_runnable`."""
    for key, value in scenario.undrawn().items():
        expected = (
            "one value to simulate; a campaign (Campaign, or simulate --count) draws one for each "
            "experiment"
        )
        raise wrong(key, value.to_dict(), expected)
    for table in (scenario.object, scenario.probe, scenario.scan):
        for name, rule in table.kinds[table.kind].keys.items():
            if rule.required and getattr(table, name) is None:
                raise table.kinds.missing(rule)
    objects.check(scenario.object)
    checks = [*_checks(scenario), *(_group_checks(scenario) if groups else ())]
    for holds, key, expected in checks:
        if not holds:
            raise wrong(key, operator.attrgetter(key)(scenario), expected)


def _checks(scenario: "Scenario") -> Iterator[_Check]:
    # Not every kind of object is a square of a known size, nor has every scan a margin.
    side = getattr(scenario.object, "size", None)
    buffer = getattr(scenario.scan, "buffer", None)
    if side is not None and buffer is not None:
        yield (
            2 * buffer < side,
            "scan.buffer",
            f"a number < {side / 2}, half of object.size, to leave a scan area",
        )
    widest_stop = scenario.N / math.sqrt(2)  # the distance from the centre to a corner
    yield (
        scenario.detector.beam_stop_radius <= widest_stop,
        "detector.beam_stop_radius",
        f"a number <= {widest_stop:.1f} for N = {scenario.N}, to leave a lit pixel",
    )
    yield from _dose_checks(scenario)
    patterns = scenario.gridsize**2
    least = patterns - int(scenario.groups.include_seed)
    yield (
        scenario.gridsize == 1 or least <= scenario.groups.neighbours,
        "groups.neighbours",
        f"an integer >= {least} to fill groups of {patterns} patterns, "
        f"gridsize = {scenario.gridsize}",
    )


def _dose_checks(scenario: "Scenario") -> Iterator[_Check]:
    dose = scenario.dose
    by_area = dose.mode == "per_area"
    fluences = (dose.fluence_per_m2, dose.fluence_per_angstrom2)
    yield (
        not by_area or fluences != (None, None),
        "dose.fluence_per_m2",
        "photons (or electrons) on a square metre of the object, or dose.fluence_per_angstrom2, "
        "for dose.mode 'per_area'",
    )
    yield None in fluences, "dose.fluence_per_angstrom2", "nothing beside dose.fluence_per_m2"
    for name in ("fluence_per_m2", "fluence_per_angstrom2"):
        yield (
            by_area or getattr(dose, name) is None,
            f"dose.{name}",
            f"nothing with dose.mode {dose.mode!r}; dose.mode 'per_area' takes it",
        )


def _group_checks(scenario: "Scenario") -> Iterator[_Check]:
    if scenario.scan.n_patterns is None:  # known when the file is read
        return
    sizes = scenario.split.sizes(scenario.scan.n_patterns)
    for part, available in zip(("train", "test"), sizes, strict=True):
        yield (
            getattr(scenario.groups, f"n_{part}") <= available,
            f"groups.n_{part}",
            f"an integer <= {available}, the number of {part} patterns of "
            f"scan.n_patterns = {scenario.scan.n_patterns}",
        )
        yield (
            scenario.gridsize == 1 or scenario.groups.neighbours < available,
            "groups.neighbours",
            f"an integer < {available}, the number of {part} patterns",
        )
