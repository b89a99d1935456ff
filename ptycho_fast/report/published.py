"""Published numbers of a scenario, to stand beside those of a run."""

import json
from importlib import resources
from typing import Any

from ptycho_fast.scenario import Scenario

_RUNS = ("gs2_ideal",)


def published_numbers(scenario: Scenario | None) -> dict[str, Any]:
    """The published numbers of a training on the same data.

    Parameters
    ----------
    scenario : Scenario, optional
        The description of the data.

    Returns
    -------
    dict
        Sections of numbers with the keys of ``run_metadata.json``; empty unless the scenario is
        the preset of a published run, without any change.

    Examples
    --------
    >>> preset = Scenario.preset("gs2_ideal")
    >>> published_numbers(preset)["forward_pass_diagnostics"]["output_vs_truth_ratio"]
    0.23412097299346354
    >>> published_numbers(preset.replace({"dose.nphotons": 1e6}))
    {}
    """
    if scenario is None or scenario.name not in _RUNS:
        return {}
    if scenario != Scenario.preset(scenario.name):
        return {}
    file = resources.files(__package__).joinpath(f"published_{scenario.name}.json")
    numbers = json.loads(file.read_text("utf-8"))
    del numbers["about"]
    return numbers
