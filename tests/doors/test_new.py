"""``ptycho-fast new``: a scenario to edit, that says the same as the one that it is made from."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptycho_fast
from ptycho_fast import Scenario
from ptycho_fast.scenario import campaigns, known_keys, presets
from ptycho_fast.scenario.commented import commented


@pytest.mark.parametrize("name", [*presets(), *campaigns()])
def test_it_means_the_same(name, command):
    assert command("new", "mine.toml", "--from", name, "--quiet") == 0
    found = Scenario.load("mine.toml")
    assert found.name == "mine"
    assert found.replace({"name": name}) == Scenario.preset(name)


NUMBERS = st.floats(1e-3, 1e12) | st.builds(
    lambda a, b: {"min": min(a, b), "max": max(a, b), "scale": "log"},
    st.floats(1e-3, 1e12),
    st.floats(1e-3, 1e12),
)


@settings(max_examples=30, deadline=None)
@given(dose=NUMBERS, seed=st.integers(0, 2**63 - 1), preset=st.sampled_from(["eiger2", None]))
def test_it_means_the_same_whatever_the_values(dose, seed, preset):
    changes = {"dose.nphotons": dose, "seeds.photons": seed, "detector.preset": preset}
    scenario = Scenario.preset("gs2_ideal").replace(changes)
    text = commented(scenario, 'a "name" \\ with marks')
    assert Scenario.from_toml(text).replace({"name": scenario.name}) == scenario


def test_every_key_is_there_with_its_meaning():
    text = commented(Scenario.preset("gs2_ideal"), "mine")
    values = {"kind", "schema"}
    for key, (_, _, doc) in known_keys().items():
        name = key.rpartition(".")[2]
        if "(kind " in doc or "(not kind" in doc or name in values:
            continue  # of kinds alone
        assert re.search(rf"^#?{name} =", text, re.MULTILINE), key
        assert doc in re.sub(r"\n# ", " ", text), key


def test_a_default_can_be_uncommented():
    """Every line ``#key = value`` is TOML that changes nothing."""
    scenario = Scenario.preset("gs2_ideal")
    text = commented(scenario, "gs2_ideal")
    whole = re.sub(r"^#(\w+ = .+)$", r"\1", text, flags=re.MULTILINE)
    assert len(tomllib.loads(whole)["detector"]) > 0 or "optics" in tomllib.loads(whole)
    assert Scenario.from_toml(whole) == scenario
    assert max(map(len, text.splitlines())) <= 100


def test_keys_can_be_set_and_the_file_is_run(command, run, capsys):
    flags = ["--nphotons", "1e6", "--n-patterns", "7", "--object.kind", "siemens_star"]
    assert command("new", "mine.toml", *flags, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["file"] == "mine.toml"
    assert run("mine.toml", "--quiet") == 0
    with ptycho_fast.open("mine.npz") as data:
        assert data.scenario.object.kind == "siemens_star"
        assert (len(data), data.scenario.dose.nphotons) == (7, 1e6)


def test_refusals(command, capsys):
    Path("mine.toml").write_text("")
    assert command("new", "mine.toml") == 2
    assert "--force" in capsys.readouterr().err
    assert Path("mine.toml").read_text() == ""
    assert command("new", "mine.toml", "--force", "--quiet") == 0
    assert command("new", "b.toml", "--from", "xray_zo") == 2
    assert "xray_zoo" in capsys.readouterr().err
    assert command("new", "b.toml", "--set", "dose.nphotons=-1") == 2
    assert not Path("b.toml").exists()
