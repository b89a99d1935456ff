"""Whether a file is sound, and whether its scenario makes its patterns again, bit for bit."""

import os
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ptycho_fast.data.dataset import Dataset
from ptycho_fast.data.recipe import Recipe, same_bits
from ptycho_fast.formats import Format, container_of
from ptycho_fast.scenario import Scenario
from ptycho_fast.simulator import Simulator
from ptycho_fast.version import __version__

_FEW = 5  # problems that are told one by one
_PIXELS = 1e-9
_ROUNDING = 2.0**-22


@dataclass
class Verified:
    """What was looked at, and what was wrong, in words.

    Attributes
    ----------
    done : list of str
        What was verified.
    problems : list of str
        What is damaged or different.
    undone : list of str
        What could not be verified, and why.
    """

    done: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)


def verify(
    path: str | os.PathLike[str],
    file_format: Format,
    dataset: Dataset,
    *,
    patterns: int = 8,
    advance: Callable[[int], None] | None = None,
) -> Verified:
    """Compare a file with its checksums, and some of its patterns with those of its scenario.

    Parameters
    ----------
    path : path-like
        The file.
    file_format : Format
        What it is.
    dataset : Dataset
        The file, opened.
    patterns : int
        How many patterns are made again: the first, the last, and others at random.
    advance : callable, optional
        Told how many patterns were compared with their checksums.

    Returns
    -------
    Verified
        What came out.
    """
    report = Verified()
    _checksums(path, file_format, report, advance)
    if report.problems:  # damaged patterns cannot be compared
        return report
    numbers = _some(len(dataset), patterns)
    if _scenario_of(dataset)[0] is None:
        report.undone.append("no pattern was made again: the file has no scenario")
        return report
    problems = made_again(dataset, numbers)
    report.problems += problems
    if not problems:
        report.done.append(f"{len(numbers)} patterns, made again, have the same bits")
    return report


def verify_recipe(recipe: Recipe) -> Verified:
    """Make the first patterns of a recipe and compare them with its fingerprint.

    Parameters
    ----------
    recipe : Recipe
        Of a scenario without the table ``[recipe]`` there is nothing to verify.

    Returns
    -------
    Verified
        What came out.
    """
    if not recipe.is_recipe:
        return Verified(undone=["a scenario without a table [recipe] has nothing to compare with"])
    try:
        recipe.verify()
    except ValueError as error:
        return Verified(problems=[str(error).removeprefix(f"{recipe.path}: ")])
    return Verified(done=[f"the first {recipe.hashed} patterns are those of the recipe"])


def _checksums(
    path: str | os.PathLike[str],
    file_format: Format,
    report: Verified,
    advance: Callable[[int], None] | None,
) -> None:
    module = file_format.load()
    if hasattr(module, "damaged"):
        wrong = []
        for first, last, whole in module.damaged(path):
            if not whole:
                wrong.append(f"patterns {first} to {last - 1} are damaged: wrong checksum")
            if advance:
                advance(last - first)
        report.problems += wrong[:_FEW]
        if wrong[_FEW:]:
            report.problems.append(f"and {len(wrong) - _FEW} more such parts")
        if not wrong:
            report.done.append("all checksums are right")
    elif hasattr(module, "verify"):
        try:
            module.verify(path)
        except ValueError as error:
            report.problems.append(str(error))
        else:
            report.done.append("all checksums are right")
    elif container_of(path) == "zip":
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad is None:
            report.done.append("all checksums are right")
        else:
            report.problems.append(f"key {bad.removesuffix('.npy')!r} is damaged: wrong checksum")
    else:
        report.undone.append(f"{file_format.title} has no checksums")


def _some(B: int, n: int) -> list[int]:
    """Numbers of n patterns: the first, the last, and others at random."""
    if n >= B:
        return list(range(B))
    chosen = {0, B - 1} if n > 1 else set()
    rng = np.random.default_rng()
    while len(chosen) < n:
        chosen.add(int(rng.integers(B)))
    return sorted(chosen)


def _scenario_of(dataset: Dataset) -> tuple[Scenario | None, int]:
    """The scenario that makes the patterns, and the number of the data set's first one in it."""
    part = dataset.provenance.get("part")
    if dataset.scenario is None and isinstance(part, dict) and "scenario" in part:
        return Scenario.from_dict(part["scenario"]), int(part["first"])
    return dataset.scenario, 0


def made_again(dataset: Dataset, numbers: Iterable[int]) -> list[str]:
    """Make object, probe, positions and some patterns again, and compare their bits.

    Parameters
    ----------
    dataset : Dataset
        With a scenario, or a part of a data set with one.
    numbers : iterable of int
        Pattern numbers in the data set.

    Returns
    -------
    list of str
        What is different, in words; empty if nothing is.

    Raises
    ------
    ValueError, ScenarioError, OSError, RuntimeError
        The scenario, an input file of it or the backend cannot be used here.
    """
    scenario, offset = _scenario_of(dataset)
    if scenario is None:
        return ["the file has no scenario"]
    chosen = np.array(list(numbers), np.int64)
    simulator = _simulator(dataset, scenario)
    problems = []
    expected: Any
    found: Any
    if dataset.domain == "normalized_amplitude":
        expected = simulator.amplitudes(chosen + offset)
    else:
        expected = simulator.frames(chosen + offset)
    problems += _other_truth(dataset, simulator, offset)
    found = np.asarray(dataset.diffraction[chosen])
    wrong = (found != expected).any(axis=(1, 2))
    if wrong.any():
        version, b = dataset.provenance.get("version"), int(chosen[np.argmax(wrong)])
        made_by = f", which ptycho_fast {version} made; this is {__version__}"
        problems.append(
            f"{int(wrong.sum())} of {len(chosen)} patterns, made again, have other bits: the first "
            f"is pattern {b}{'' if version in (None, __version__) else made_by}"
        )
    return problems


def _other_truth(dataset: Dataset, simulator: Simulator, offset: int) -> list[str]:
    """Which of object, probe and positions are not those of the scenario, in words.

    Some formats hold positions in metres and probes in other units, so these are compared to
    `_PIXELS`, and to `_ROUNDING` of the largest value. What has another shape, as
    the first mode of several, was chosen when the file was written.
    """
    experiment = simulator.experiment
    rounding = _ROUNDING * float(np.abs(experiment.probe).max())
    here = slice(offset, offset + len(dataset))
    pairs: dict[str, tuple[Any, Any, float]] = {
        "object": (dataset.object, experiment.object, 0.0),
        "probe": (dataset.probe, experiment.probe[: len(dataset.probe)], rounding),
        "positions": (dataset.positions, experiment.positions[here], _PIXELS),
    }
    return [
        f"{name}: not what the scenario makes"
        for name, (found, expected, tolerance) in pairs.items()
        if found.shape == expected.shape and not (np.abs(found - expected) <= tolerance).all()
    ]


def _simulator(dataset: Dataset, scenario: Scenario) -> Simulator:
    tables = {"object": "object", "probe": "probe", "scan": "positions"}
    arrays: dict[str, Any] = {
        argument: getattr(dataset, argument)
        for table, argument in tables.items()
        if getattr(scenario, table).kind == "given"
    }
    backend = same_bits(str(dataset.provenance.get("backend", "auto")))
    return Simulator(scenario, **arrays, backend=backend)
