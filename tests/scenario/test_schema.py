"""Versions of the schema: older ones are migrated, newer ones refused; tables may be absent."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Key
from ptycho_fast.scenario import DetectorSpec, Scenario, resolve, schema
from ptycho_fast.scenario.tables import FixedTable

STORED = Path(__file__).parents[1] / "data/schema1"
LINES = Scenario.preset("gs2_ideal").replace(
    {
        "name": "before",
        "scan.n_patterns": 12,
        "detector.saturation": 60000,
        "seeds.photons": 7,
        "probe.curvature": 1.5,
    }
)
FILES = Scenario.preset("gs1_custom").replace(
    {
        "name": "of_files",  # it was of/files, which is no name of a file
        "object.kind": "file",
        "object.file": "object.npy",
        "probe.file": "probe.npz",
        "scan.n_patterns": 5,
    }
)


@pytest.mark.parametrize(("stored", "scenario"), [("lines", LINES), ("files", FILES)])
def test_what_version_0_1_0_wrote_loads_and_equals(stored, scenario):
    text = (STORED / f"{stored}.toml").read_text()
    assert "schema" not in text
    assert Scenario.from_toml(text) == scenario
    assert Scenario.load(STORED / f"{stored}.toml") == scenario
    assert Scenario.from_dict(json.loads((STORED / f"{stored}.json").read_text())) == scenario
    assert resolve("gs2_ideal", {}, STORED / f"{stored}.toml") == scenario


def test_the_version_is_written():
    scenario = Scenario()
    assert next(iter(scenario.to_dict().items())) == ("schema", 2)
    assert scenario.to_toml().startswith("schema = 2\n")
    assert schema.version() == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (9, "schema: 9 given, expected at most 2: the file is from a newer version of ptycho_fast"),
        (0, "schema: 0 given, expected an integer from 1 to 2"),
        (-1, "schema: -1 given, expected an integer from 1 to 2"),
        (True, "schema: True given, expected an integer from 1 to 2"),
        ("2", "schema: '2' given, expected an integer from 1 to 2"),
        (2.0, "schema: 2.0 given, expected an integer from 1 to 2"),
        (None, "schema: nothing given, expected an integer from 1 to 2"),
    ],
)
def test_other_versions_are_refused(given, message):
    # The unknown key must not be what the message is about.
    for call in (Scenario.from_dict, Scenario().replace):
        with pytest.raises(ScenarioError) as caught:
            call({"schema": given, "key_of_the_future": 1})
        assert str(caught.value) == message
        assert caught.value.key == "schema"


def test_a_newer_file_is_named(tmp_path):
    path = tmp_path / "new.toml"
    path.write_text("schema = 3")
    with pytest.raises(ScenarioError, match="newer version") as caught:
        Scenario.load(path)
    assert str(caught.value).startswith(f"{path}: schema: 3 given")


@pytest.fixture
def renamed(monkeypatch):
    """A version 3 in which two keys have other names than in version 2."""

    def to_3(values):
        new = {"dose.per_pattern": "dose.nphotons", "aperture.scale": "probe.scale"}
        values.pop("aperture", None)
        return {new.get(key, key): value for key, value in values.items()}

    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, to_3])


def test_a_renamed_key_gives_the_same_bits(renamed, tmp_path):
    scenario = LINES.replace({"dose.nphotons": 5e4, "probe.scale": 8.0, "N": 32})
    assert scenario.to_dict()["schema"] == 3
    older = scenario.to_dict() | {"schema": 2}
    older["dose"] = {"per_pattern": older["dose"]["nphotons"]}
    older["aperture"] = {"scale": older["probe"].pop("scale")}
    migrated = Scenario.from_dict(older)
    assert migrated == scenario
    made = [ptycho_fast.simulate(one, backend="numba").counts for one in (scenario, migrated)]
    np.testing.assert_array_equal(*made)

    path = tmp_path / "part.toml"
    path.write_text('preset = "gs2_ideal"\nschema = 2\n[dose]\nper_pattern = 7.0')
    assert Scenario.load(path).dose.nphotons == 7.0
    path.write_text("[dose]\nper_pattern = 7.0")  # laid over a preset, and of version 1
    assert resolve("gs2_ideal", {}, path).dose.nphotons == 7.0
    assert Scenario.from_toml((STORED / "lines.toml").read_text()) == LINES
    with pytest.raises(ScenarioError, match=r"^dose\.per_pattern: unknown key"):
        Scenario.from_dict({"schema": 3, "dose": {"per_pattern": 1.0}})


# --- a table that may be absent ---


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSpec(FixedTable):
    """A table of the next version."""

    _path: ClassVar[str] = "campaign."

    count: Annotated[int, Key("experiments", ge=1)] = 10
    doses: Annotated[tuple[float, ...], Key("doses of a ladder", gt=0, items=(1, 3))] = (1e6,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Later(Scenario):
    """A scenario that has it."""

    campaign: CampaignSpec | None = None


def test_a_table_may_be_absent():
    without = Later()
    assert without.campaign is None
    assert "campaign" not in without.to_dict()
    there = without.replace({"campaign": {}})
    assert there.campaign == CampaignSpec()
    assert Later.from_toml("[campaign]") == there
    assert without.replace({"campaign.count": 3}).campaign.count == 3
    assert there.replace({"campaign": None}) == without
    assert there.replace({"campaign.doses": [1, 2]}).to_dict()["campaign"]["doses"] == [1.0, 2.0]
    for scenario in (without, there):
        assert Later.from_dict(scenario.to_dict()) == scenario
        assert Later.from_toml(scenario.to_toml()) == scenario
        assert hash(scenario.replace({})) == hash(scenario)
    assert dataclasses.replace(there, campaign=None) == without


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"campaign": 3}, "campaign: 3 given, expected a table with the keys count, doses"),
        ({"campaign.size": 3}, "campaign.size: unknown key; did you mean object.size or N? (keys"),
        ({"campaign.count": 0}, "campaign.count: 0 given, expected an integer >= 1"),
        (
            {"campaign.doses": 1.0},
            "campaign.doses: 1.0 given, expected a list of 1 to 3 it",
        ),
        ({"campaign.doses": []}, "campaign.doses: [] given, expected a list of 1 to 3 items"),
        ({"campaign.doses": [1, 0]}, "campaign.doses: [1, 0] given, expected a list of 1 to 3"),
        ({"campaign.doses": "12"}, "campaign.doses: '12' given, expected a list of 1 to 3"),
        ({"scan": None}, "scan: nothing given, expected a table with the keys kind, n_patterns"),
    ],
)
def test_errors_of_lists_and_tables(change, message):
    with pytest.raises(ScenarioError) as caught:
        Later().replace(change)
    assert str(caught.value).startswith(message)


def test_a_part_of_the_detector_is_off_by_default():
    assert DetectorSpec() == Scenario().detector
    assert DetectorSpec().to_dict() == {"beam_stop_radius": 0.0}
