"""What stands in several files is the same in all of them: version, author, dependencies."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from ptycho_fast import __version__
from ptycho_fast.commands import main

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]


def read(name):
    return yaml.safe_load((ROOT / name).read_text())


def test_the_command_is_the_one_of_the_table():
    module, function = PROJECT["scripts"]["ptycho-fast"].split(":")
    assert (module, function) == (main.__module__, main.__name__)


def test_the_citation():
    cited = read("CITATION.cff")
    assert cited["version"] == __version__
    assert cited["license"] == PROJECT["license"]
    assert [one["name"] for one in cited["authors"]] == [one["name"] for one in PROJECT["authors"]]
    assert cited["keywords"] == PROJECT["keywords"]
    assert PROJECT["description"].split()[0] in cited["title"].partition(": ")[2].capitalize()


def test_the_recipe_for_conda():
    recipe = read("packaging/conda/recipe.yaml")
    assert recipe["context"]["version"] == __version__
    run = {one.replace(" ", "") for one in recipe["requirements"]["run"]}
    assert run == {f"python{PROJECT['requires-python']}", *PROJECT["dependencies"]}
    build = {re.split("[><=]", one)[0].strip() for one in recipe["requirements"]["host"]}
    assert build >= {re.split("[><=]", one)[0] for one in PYPROJECT["build-system"]["requires"]}


def test_every_python_that_is_named_has_a_wheel():
    """3.11 to 3.14, in the classifiers and in the builds of cibuildwheel."""
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    built = [f"3.{one[3:-2]}" for one in PYPROJECT["tool"]["cibuildwheel"]["build"]]
    assert named == built
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_wheels_are_built_for_all_systems():
    workflow = read(".github/workflows/wheels.yml")
    systems = workflow["jobs"]["wheels"]["strategy"]["matrix"]["os"]
    assert {name.partition("-")[0] for name in systems} == {"ubuntu", "macos"}
    assert any(name.endswith("-arm") for name in systems)
    assert any(name.endswith("-intel") for name in systems)


@pytest.mark.parametrize(
    "section", re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
)
def test_every_section_of_the_changes_says_whether_bits_changed(section):
    text = (ROOT / "CHANGELOG.md").read_text().partition(f"### {section}\n\n")[2]
    assert re.match(r"Bits changed: (yes|no)\b", text), section
