"""Scenarios as TOML files, and precedence of flags, files and presets."""

import json
import os

import pytest

from ptycho_fast.errors import ScenarioError
from ptycho_fast.scenario import Scenario, parse_assignment, resolve

# ---- TOML files --------------------------------------------------------------------------------


@pytest.fixture
def toml(tmp_path):
    def write(content, name="mine.toml"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_load_reads_what_to_toml_wrote(toml):
    scenario = Scenario.preset("gs2_ideal").replace({"name": "Überlappung", "seeds.scan": 7})
    assert Scenario.load(toml(scenario.to_toml())) == scenario


def test_load_takes_a_byte_order_mark(toml):
    assert Scenario.load(toml(b"\xef\xbb\xbfN = 128")).N == 128


def test_keys_left_out_take_their_defaults(toml):
    assert Scenario.load(toml("N = 128")) == Scenario(name="mine", N=128)


def test_a_file_may_start_from_a_preset(toml):
    loaded = Scenario.load(toml('preset = "gs2_ideal"\n[dose]\nnphotons = 1e6'))
    assert loaded == Scenario.preset("gs2_ideal").replace({"dose.nphotons": 1e6, "name": "mine"})


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("mine.toml", "mine"),
        ("two words.v2.toml", "two words.v2"),
        (".hidden.toml", "_hidden"),
        ("a..b.toml", "a_b"),
        (f"{'x' * 200}.toml", "x" * 100),
    ],
)
def test_the_name_is_that_of_the_file_unless_the_file_says_another(toml, file, name):
    assert Scenario.load(toml("N = 128", file)).name == name
    assert Scenario.load(toml('preset = "gs2_ideal"', file)).name == name
    assert resolve(toml('preset = "gs2_ideal"', file)).name == name
    assert Scenario.load(toml('preset = "gs2_ideal"\nname = "own"', file)).name == "own"
    assert resolve("gs2_ideal", {}, toml("N = 128", file)).name == "gs2_ideal"


@pytest.mark.parametrize(
    "name",
    ["a/b", "a\\b", "/a", "..", "a..b", ".hidden", "a\nb", "a\0", "\x85", "x" * 101, "\u2028"],
)
def test_a_name_that_is_no_name_of_a_file_is_refused(toml, name):
    path = toml(f"name = {json.dumps(name)}")
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(path)
    assert caught.value.key == "name"
    assert "given, expected 1 to 100 characters without / " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "key", "message"),
    [
        ("[dose]\nnphotons = -1.0", "dose.nphotons", "-1.0 given, expected a finite number > 0"),
        ("[dose]\nnphoton = 1.0", "dose.nphoton", "did you mean dose.nphotons?"),
        ("N = 64\ngridsize = = 2", "", "not valid TOML: Invalid value (at line 2, column 12)"),
        ("N = 64\n\ngridsize =", "", "not valid TOML: Invalid value (at line 3, the last)"),
        (f"a = {'[' * 100_000}", "", "not valid TOML: nested too deeply"),
        ("N = 64\nN = 65", "", "not valid TOML: Cannot overwrite a value (at line 2"),
        (b"name = '\xff'", "", "byte 8 is not UTF-8; expected a TOML file in UTF-8"),
        ('preset = "gs3"', "preset", "'gs3' given, expected one of gs1_custom"),
        ("preset = 3", "preset", "3 given, expected one of gs1_custom"),
    ],
)
def test_load_names_the_file_and_the_fault(toml, content, key, message):
    path = toml(content)
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(path)
    assert caught.value.key == key
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_load_of_a_missing_file_or_a_directory(tmp_path):
    missing = tmp_path / "missing.toml"
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(missing)
    assert str(caught.value) == f"{missing}: No such file or directory; expected a TOML file"
    with pytest.raises(ScenarioError, match="expected a TOML file") as caught:
        Scenario.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


# ---- command line and precedence -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("dose.nphotons=1e6", "dose.nphotons", 1e6),
        ("N=128", "N", 128),
        ("N = 128", "N", 128),
        ("N=1e3", "N", 1000.0),
        ("probe.normalise=false", "probe.normalise", False),
        ("probe.file=data/my probe.npz", "probe.file", "data/my probe.npz"),
        ("probe.file=C:\\data\\p.npz", "probe.file", "C:\\data\\p.npz"),
        ("probe.file='7'", "probe.file", "7"),
        ("probe.file=a=b.npz", "probe.file", "a=b.npz"),
        ('name="two words"', "name", "two words"),
        ("name=gs1", "name", "gs1"),
        ("name=", "name", ""),
        ("name=1\nN=2", "name", "1\nN=2"),
    ],
)
def test_parse_assignment(assignment, key, value):
    parsed = parse_assignment(assignment)
    assert parsed == (key, value)
    assert type(parsed[1]) is type(value)


@pytest.mark.parametrize("assignment", ["", "N", "=3", " = 3"])
def test_parse_assignment_wants_key_and_value(assignment):
    with pytest.raises(ScenarioError) as caught:
        parse_assignment(assignment)
    assert str(caught.value) == (
        f"{assignment!r} given, expected KEY=VALUE, for example dose.nphotons=1e6"
    )


def test_an_integer_key_takes_a_whole_number_in_any_spelling():
    whole = Scenario().replace(dict([parse_assignment("scan.n_patterns=1e3")])).scan.n_patterns
    assert (whole, type(whole)) == (1000, int)
    with pytest.raises(
        ScenarioError, match=r"^scan\.n_patterns: 1000\.5 given, expected an integer"
    ):
        Scenario().replace(dict([parse_assignment("scan.n_patterns=1000.5")]))


def test_flags_win_over_file_over_preset(toml):
    config = toml("N = 128\n[dose]\nnphotons = 1e6")
    preset = Scenario.preset("gs2_ideal")
    assert resolve("gs2_ideal", {}) == preset
    assert resolve("gs2_ideal", {}, config) == preset.replace({"N": 128, "dose.nphotons": 1e6})
    assert resolve("gs2_ideal", {"N": 256}, config) == preset.replace(
        {"N": 256, "dose.nphotons": 1e6}
    )


def test_resolve_takes_a_file_in_place_of_a_preset(toml):
    base = toml('preset = "gs1_ideal"\nN = 128\ngridsize = 2', "base.toml")
    extra = toml("N = 256", "extra.toml")
    preset = Scenario.preset("gs1_ideal")
    preset = preset.replace({"name": "base"})
    assert resolve(str(base), {}) == preset.replace({"N": 128, "gridsize": 2})
    assert resolve(base, {"dose.nphotons": 5}, extra) == preset.replace(
        {"N": 256, "gridsize": 2, "dose.nphotons": 5}
    )


def test_a_preset_wins_over_a_file_of_its_name(toml, monkeypatch):
    path = toml("N = 128", "gs1_ideal")
    monkeypatch.chdir(path.parent)
    assert resolve("gs1_ideal") == Scenario.preset("gs1_ideal")
    assert resolve(os.path.join(".", "gs1_ideal")) == Scenario(name="gs1_ideal", N=128)
    path.rename(path.with_name("GS1_ideal"))  # a file wins over a preset in another case
    assert resolve("GS1_ideal").N == 128


@pytest.mark.parametrize("name", ["gs2_idea", "gs2_ideal.toml"])
def test_resolve_of_nothing_lists_the_presets_and_the_nearest(name):
    with pytest.raises(ScenarioError) as caught:
        resolve(name)
    assert str(caught.value) == (
        f"preset: {name!r} given, expected a preset (gs1_custom, gs1_ideal, gs2_custom, "
        "gs2_ideal, or of the campaigns electron_zoo, xray_zoo) or the path of a TOML file that "
        "exists; did you mean gs2_ideal?"
    )
    assert caught.value.key == "preset"


def test_resolve_names_the_file_at_fault(toml, tmp_path):
    bad = toml("N = 7")
    for call in (lambda: resolve(bad), lambda: resolve("gs1_ideal", config=bad)):
        with pytest.raises(ScenarioError) as caught:
            call()
        assert str(caught.value).startswith(f"{bad}: N: 7 given, expected an integer from 8")
    with pytest.raises(ScenarioError, match="No such file"):
        resolve("gs1_ideal", config=tmp_path / "missing.toml")
    with pytest.raises(ScenarioError, match="expected a TOML file"):
        resolve(tmp_path)
    with pytest.raises(ScenarioError, match=r"^N: 7 given"):
        resolve("gs1_ideal", {"N": 7})


def test_a_file_laid_over_another_scenario_brings_no_preset(toml):
    config = toml('preset = "gs2_ideal"')
    with pytest.raises(ScenarioError) as caught:
        resolve("gs1_ideal", {}, config)
    assert str(caught.value) == (
        f"{config}: preset: 'gs2_ideal' given, "
        "expected no preset in a file that is laid over gs1_ideal"
    )
