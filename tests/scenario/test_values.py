"""Ranges, choices and distributions as values."""

import numpy as np
import pytest

from ptycho_fast.errors import ScenarioError
from ptycho_fast.scenario import (
    GRAMMAR,
    Choice,
    Normal,
    Range,
    Scenario,
    known_keys,
    parse_assignment,
)


@pytest.mark.parametrize(
    ("key", "spelling", "value"),
    [
        ("dose.nphotons", "{min = 1, max = 1e9}", Range(1.0, 1e9)),
        ("dose.nphotons", '{min = 1e5, max = 1e9, scale = "log"}', Range(1e5, 1e9, "log")),
        ("dose.nphotons", '{min = 1e5, max = 1e9, scale = "linear"}', Range(1e5, 1e9)),
        ("probe.curvature", "{min = -2, max = 2}", Range(-2.0, 2.0)),
        ("probe.curvature", "{normal = [0, 1.5]}", Normal(0.0, 1.5)),
        ("probe.scale", "{normal = [10, 3], min = 5, max = 20}", Normal(10.0, 3.0, 5.0, 20.0)),
        ("probe.scale", "{normal = [10, 3], min = 5}", Normal(10.0, 3.0, min=5.0)),
        ("object.size", "{min = 8, max = 8}", Range(8, 8)),
        ("N", "{choice = [64, 128]}", Choice((64, 128))),
        ("noise", "{choice = [true, false]}", Choice((True, False))),
        ("groups.order", '{choice = ["fixed", "random"]}', Choice(("fixed", "random"))),
        ("detector.saturation", "{min = 1, max = 100}", Range(1, 100)),
    ],
)
def test_spellings(key, spelling, value):
    scenario = Scenario().replace(dict([parse_assignment(f"{key}={spelling}")]))
    assert scenario.undrawn() == {key: value}
    assert Scenario().replace({key: value}) == scenario
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    table, _, name = key.rpartition(".")
    text = f"[{table}]\n{name} = {spelling}" if table else f"{name} = {spelling}"
    assert Scenario.from_toml(text) == scenario
    assert repr(scenario.undrawn()[key]) == repr(value)  # the types are those of the key
    assert scenario.replace({key: known_keys()[key].default}) == Scenario()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("dose.nphotons", {"min": 0, "max": 1}, ".min: 0 given, expected a finite number > 0"),
        ("dose.nphotons", {"min": 1, "max": np.inf}, ".max: inf given, expected a finite number"),
        ("dose.nphotons", {"min": np.nan, "max": 1}, ".min: nan given, expected a finite number"),
        ("dose.nphotons", {"min": 2, "max": 1}, ".min: 2.0 given, expected no more than max, 1.0"),
        ("dose.nphotons", {"min": 1}, ": {'min': 1} given, expected {min = ..., max = ...}, {min"),
        ("dose.nphotons", {"min": 1, "max": 2, "scale": "ln"}, ".scale: 'ln' given, expected one"),
        ("dose.nphotons", {"min": 1, "max": 2, "by": 1}, ": {'min': 1, 'max': 2, 'by': 1} given"),
        ("dose.nphotons", {"choice": []}, ".choice: [] given, expected a list of at least one"),
        ("dose.nphotons", {"choice": 3}, ".choice: 3 given, expected a list of at least one"),
        ("dose.nphotons", {"choice": [1, -1]}, ".choice: -1 given, expected a finite number > 0"),
        (
            "dose.nphotons",
            {"choice": [{"min": 1, "max": 2}]},
            ".choice: {'min': 1, 'max': 2}",
        ),
        ("dose.nphotons", {"choice": [1], "min": 1}, ": {'choice': [1], 'min': 1} given, expected"),
        ("dose.nphotons", {"normal": [1, 0]}, ".normal, standard deviation: 0 given, expected"),
        ("dose.nphotons", {"normal": [np.nan, 1]}, ".normal, mean: nan given, expected a finite"),
        ("dose.nphotons", {"normal": 1}, ".normal: 1 given, expected [mean, standard deviation]"),
        ("dose.nphotons", {"normal": [1, 1], "min": 3, "max": 2}, ".min: 3.0 given, expected no"),
        ("dose.nphotons", {"normal": [1, 1], "min": 0}, ".min: 0 given, expected a finite number"),
        (
            "probe.curvature",
            {"min": 0, "max": 1, "scale": "log"},
            ".min: 0.0 given, expected",
        ),
        ("N", {"min": 8, "max": 2049}, ".max: 2049 given, expected an integer from 8 to 2048"),
        ("N", {"min": 8.5, "max": 9}, ".min: 8.5 given, expected an integer from 8 to 2048"),
        ("N", {"choice": [64, None]}, ".choice: nothing given, expected an integer"),
        ("noise", {"min": 0, "max": 1}, ": {'min': 0, 'max': 1} given, expected true or false; or"),
        ("groups.order", {"choice": ["fixed", "x"]}, ".choice: 'x' given, expected one of fixed"),
        (
            "detector.saturation",
            {"min": None, "max": 3},
            ".min: nothing given",
        ),
        ("name", {"choice": ["a", "b"]}, "; it cannot be drawn"),
        ("scan.kind", {"choice": ["random"]}, "given, expected one kind; see [[scan.choice]]"),
        ("object.choice", [], ": [] given, expected a list of at least one table"),
        ("object.choice", [3], ": 3 given, expected a table of object in each place"),
    ],
)
def test_errors_name_the_key(key, value, message):
    with pytest.raises(ScenarioError) as caught:
        Scenario().replace({key: value})
    assert caught.value.key == key
    assert message in str(caught.value)
    assert str(caught.value).startswith(key)


def test_a_choice_of_tables():
    text = """
[[object.choice]]
kind = "lines"
size = {min = 256, max = 512}

[[object.choice]]
kind = "file"
file = "o.npz"
"""
    scenario = Scenario.from_toml(text)
    assert [option.kind for option in scenario.object.options] == ["lines", "file"]
    assert scenario.object.options[0].size == Range(256, 512)
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    assert Scenario(object=scenario.object) == scenario
    # Another kind, or another choice, takes its place.
    assert scenario.replace({"object.kind": "lines"}) == Scenario()
    again = {"object": {"choice": [{"kind": "lines"}]}}
    assert scenario.replace(again).object == Choice((Scenario().object,))
    assert Scenario().replace({"object.choice": scenario.object.to_dict()["choice"]}) == scenario


def test_a_choice_of_tables_stands_alone():
    choice = {"choice": [{"kind": "lines"}]}
    with pytest.raises(ScenarioError) as caught:
        Scenario().replace({"object": choice | {"size": 5}})
    assert str(caught.value) == "object.size: 5 given, expected nothing beside object.choice"
    with pytest.raises(ScenarioError, match=r"^dose\.choice: unknown key"):
        Scenario().replace({"dose": choice})
    with pytest.raises(ScenarioError, match=r"^object: .* given, expected a table of type ObjectS"):
        Scenario(object=Choice((3,)))


def test_the_grammar_is_in_the_help(capsys):
    from ptycho_fast.simulate import main

    with pytest.raises(SystemExit):
        main(["--help"])
    assert GRAMMAR in capsys.readouterr().out
