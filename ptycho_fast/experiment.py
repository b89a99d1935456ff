"""The truth behind a data set: object, probe, positions and the scale of the dose."""

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks, objects, optics, probes, scaling, scans
from ptycho_fast.backend import host_arrays
from ptycho_fast.dose.energy import pattern_energies
from ptycho_fast.progress import StageClock
from ptycho_fast.scenario import Scenario, resolve


@dataclass(frozen=True, eq=False, kw_only=True)
class Experiment:
    """The truth behind a data set: all that its patterns are made of.

    Attributes
    ----------
    object : (H, W) complex64
        The true object.
    probe : (M, N, N) complex64
        Probe modes in the object plane.
    positions, positions_nominal : (B, 2) float64
        True and intended ``[x, y]`` in object pixels.
    intensity_scale : float
        s: a pixel expects ``s**2`` times its intensity in photons.
    energies : (B,) float64
        Sum of each pattern's intensity before dose.
    scenario : Scenario
        The description that all this was made from.
    """

    object: npt.NDArray[np.complex64]
    probe: npt.NDArray[np.complex64]
    positions: npt.NDArray[np.float64]
    positions_nominal: npt.NDArray[np.float64]
    intensity_scale: float
    energies: npt.NDArray[np.float64]
    scenario: Scenario

    @property
    def n_patterns(self) -> int:
        """Number of patterns B."""
        return len(self.positions)

    @property
    def N(self) -> int:
        """Patch side, pixels."""
        return self.probe.shape[-1]

    def changed(
        self, *, seed: int | None = None, noise: bool | None = None, **others: Any
    ) -> "Experiment":
        """The same experiment with another seed of the photons, or without photons.

        Raises
        ------
        ValueError
            Something else is given, which would make another experiment of it.
        """
        for name, value in others.items():
            if value is not None:
                expected = "nothing beside an experiment that is made already"
                raise ValueError(checks.wrong(name, "a value", expected))
        changes = {"seeds.photons": seed, "noise": noise}
        given = {key: value for key, value in changes.items() if value is not None}
        return replace(self, scenario=self.scenario.replace(given)) if given else self


def make_experiment(
    scenario: Scenario,
    *,
    object: npt.ArrayLike | None = None,
    probe: npt.ArrayLike | None = None,
    positions: npt.ArrayLike | None = None,
    intensity_scale: float | None = None,
    clock: StageClock | None = None,
) -> Experiment:
    """Make object, probe and positions of a scenario, and the intensity scale of its dose.

    Parameters
    ----------
    scenario : Scenario
        The description.
    object, probe, positions : array, optional
        Taken as they are, in place of what the scenario would make.
    intensity_scale : float, optional
        That of an existing data set, in place of the one that the scenario's dose gives.
    clock : StageClock, optional
        Told of every stage as it begins.

    Returns
    -------
    Experiment
        A pure function of the arguments.

    Raises
    ------
    ScenarioError
        The scenario cannot be simulated; the message names the key.
    ValueError, TypeError, OSError
        An array or an input file is at fault, or no light reaches the detector.
    """
    clock = clock or StageClock()
    scenario.require_runnable()
    seeds = scenario.seeds
    geometry = optics.make_geometry(scenario.N, **dict(scenario.optics.items()))
    with clock.stage("object"):
        obj = objects.make_object(scenario.object, seeds.object, geometry=geometry, given=object)
        obj = host_arrays.as_object(obj)
    with clock.stage("probe"):
        modes = probes.make_probe(
            scenario.probe, scenario.N, geometry=geometry, seed=seeds.probe, given=probe
        )
        modes = host_arrays.as_probe(modes)
    with clock.stage("scan"):
        scan = scans.make_scan(
            scenario.scan, obj.shape, seeds.scan, geometry=geometry, given=positions
        )
        xy = scan.positions
    with clock.stage("intensity scale"):
        energies = pattern_energies(obj, modes, xy)
        energy = float(energies.mean())
        if not energy > 0:
            raise ValueError(
                "object, probe: no light reaches the detector at any position, so no dose can be "
                "given; expected an object and a probe that are not zero"
            )
        scale = intensity_scale
        if scale is None:
            scale = scaling.dataset_intensity_scale(scenario.dose.nphotons, energy)
    return Experiment(
        object=obj,
        probe=modes,
        positions=xy,
        positions_nominal=scan.nominal,
        intensity_scale=scale,
        energies=energies,
        scenario=scenario,
    )


def described_by(
    scenario: "Scenario | str | os.PathLike[str] | None",
    *,
    object: npt.ArrayLike | None = None,
    probe: npt.ArrayLike | None = None,
    positions: npt.ArrayLike | None = None,
    nphotons: float | None = None,
    seed: int | None = None,
    noise: bool | None = None,
) -> Scenario:
    """The scenario that a call describes, with what was given in it."""
    if scenario is None:
        arrays = {"object": object, "probe": probe, "positions": positions}
        needed = {**arrays, "nphotons": nphotons}
        missing = [name for name, value in needed.items() if value is None]
        if missing:
            expected = "an array" if missing[0] in arrays else "mean detected photons per pattern"
            raise ValueError(
                checks.wrong(missing[0], "nothing", f"{expected}, or a scenario that says it")
            )
        scenario = Scenario()
    elif not isinstance(scenario, Scenario):
        scenario = resolve(scenario)
    changes: dict[str, Any] = {}
    if nphotons is not None:
        changes["dose.nphotons"] = nphotons
    if seed is not None:
        changes["seeds.photons"] = checks.seed(seed)
    if noise is not None:
        changes["noise"] = noise
    return scenario.replace(changes).with_given(object=object, probe=probe, positions=positions)
