"""A dose ladder: the same scan at several doses.

With common numbers all doses have the same random numbers, so that a pixel never loses a photon
when the dose grows, and what differs between two doses is the dose alone. With independent numbers
each dose has photons of its own, as if the scan were repeated.
"""

import itertools
import os
import warnings
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.dose.modes import key_of_number
from ptycho_fast.errors import DataWarning
from ptycho_fast.experiment import Experiment
from ptycho_fast.rng import uniforms
from ptycho_fast.scenario import Scenario
from ptycho_fast.simulation import dataset_of
from ptycho_fast.simulator import Simulator

NUMBERS = ("common", "independent")


def dose_ladder(
    scenario: Scenario | str | os.PathLike[str],
    doses: Sequence[float] | npt.NDArray[Any],
    *,
    numbers: str = "common",
    **options: Any,
) -> Iterator[Dataset]:
    """Simulate the same scan at several doses, one data set after the other.

    Object, probe, scan and energies are made once.

    Parameters
    ----------
    scenario : Scenario, str or path
        As for `Simulator`.
    doses : sequence of float
        What ``dose.nphotons`` is in each data set; with ``dose.mode`` "per_area" the fluence.
    numbers : {"common", "independent"}
        Whether all doses have the same random numbers; see above.
    **options
        Other arguments of `Simulator`.

    Returns
    -------
    iterator of Dataset
        At the next dose. Its scenario makes it again, alone.

    Raises
    ------
    ScenarioError
        The scenario cannot be simulated, a dose is not allowed, or its mode has no number.
    TypeError, ValueError, RuntimeError, OSError
        As `Simulator`.

    Examples
    --------
    >>> scenario = Scenario.preset("gs2_ideal").replace({"scan.n_patterns": 10})
    >>> few, many = dose_ladder(scenario, [1e3, 1e6])
    >>> bool((few.counts <= many.counts).all())
    True
    """
    return map(dataset_of, ladder_simulators(scenario, doses, numbers=numbers, **options))


def ladder_simulators(
    scenario: Scenario | str | os.PathLike[str],
    doses: Sequence[float] | npt.NDArray[Any],
    *,
    numbers: str = "common",
    **options: Any,
) -> Iterator[Simulator]:
    """The simulators of a dose ladder; arguments and errors as for `dose_ladder`."""
    values = as_doses(doses)
    checks.choice(numbers, "numbers", NUMBERS)
    first = Simulator(scenario, **options).experiment
    key_of_number(first.scenario.dose)
    run = {name: options[name] for name in ("backend", "device", "threads") if name in options}

    def step_of(step: int, dose: float) -> Simulator:
        experiment = at_dose(first, dose, step, numbers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)  # said about the first one
            return Simulator(experiment, **run)

    return itertools.starmap(step_of, enumerate(values))


def as_doses(doses: Any) -> list[float]:
    """Doses as numbers above zero, none twice.

    Raises
    ------
    TypeError, ValueError
        They are something else.
    """
    values = [checks.positive(dose, "doses") for dose in doses]
    if not values or len(set(values)) < len(values):
        given = values or "nothing"
        raise ValueError(checks.wrong("doses", given, "at least one number, and none twice"))
    return values


def at_dose(experiment: Experiment, dose: float, step: int, numbers: str) -> Experiment:
    """The experiment on one step of a ladder."""
    return experiment.with_dose(dose_changes(experiment.scenario, dose, step, numbers))


def dose_changes(scenario: Scenario, dose: float, step: int, numbers: str) -> dict[str, Any]:
    """What a step of a ladder changes in the scenario, by dotted key.

    Parameters
    ----------
    scenario : Scenario
        The description.
    dose : float
        Dose of the step.
    step : int
        Its number, from 0, which has the scenario's own seeds.
    numbers : {"common", "independent"}
        Whether the seeds of photons and detector stay. Dead and hot pixels always do: all doses
        are of one detector.

    Raises
    ------
    ScenarioError
        The mode of the dose has no number.

    Examples
    --------
    >>> dose_changes(Scenario(), 1e4, 3, "common")
    {'dose.nphotons': 10000.0}
    """
    changes: dict[str, Any] = {key_of_number(scenario.dose): dose}
    if numbers == "independent" and step > 0:
        for key in ("photons", "detector"):
            seed = getattr(scenario.seeds, key)
            changes[f"seeds.{key}"] = int(uniforms(seed, "ladder", np.array(step)) * 2**52)
        if scenario.detector.dead_pixels or scenario.detector.hot_pixels:
            changes["seeds.defects"] = scenario.seeds.bad_pixels
    return changes


def dose_text(dose: float) -> str:
    """A dose as it stands in names of files: short, and different for different doses.

    Examples
    --------
    >>> dose_text(1000.0), dose_text(2.5e7), dose_text(0.03)
    ('1e3', '2.5e7', '3e-2')
    """
    return f"{Decimal(repr(float(dose))).normalize():e}".replace("e+", "e")
