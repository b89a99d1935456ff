"""Scenario: presets, spellings, precedence, and every error with its message."""

import dataclasses
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptycho_fast.errors import ScenarioError
from ptycho_fast.scenario import (
    DetectorSpec,
    DoseSpec,
    GroupSpec,
    ObjectSpec,
    ProbeSpec,
    ScanSpec,
    Scenario,
    SeedSpec,
    SplitSpec,
    known_keys,
    parse_assignment,
    presets,
    resolve,
)


def flat(mapping, prefix=""):
    """Leaves of a nested mapping by dotted key."""
    leaves = {}
    for name, value in mapping.items():
        nested = isinstance(value, dict)
        leaves |= flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return leaves


# ---- presets ---------------------------------------------------------------------------------

SHARED = {
    "N": 64,
    "object.kind": "lines",
    "object.size": 392,
    "probe.normalise": True,
    "probe.curvature": 0.0,
    "scan.kind": "random",
    "scan.buffer": 10.0,
    "dose.nphotons": 1e9,
    "detector.beam_stop_radius": 0.0,
    "seeds.object": 42,
    "seeds.scan": 42,
    "seeds.photons": 42,
    "seeds.groups": 42,
    "split.train_fraction": 0.5,
    "groups.neighbours": 4,
    "groups.order": "fixed",
    "groups.include_seed": False,
}
COLUMNS = (
    "gridsize",
    "probe.kind",
    "probe.scale",
    "scan.n_patterns",
    "groups.n_train",
    "groups.n_test",
)
PUBLISHED = {
    "gs1_ideal": (1, "ideal_disk", 10.0, 512, 256, 128),
    "gs2_ideal": (2, "ideal_disk", 10.0, 1024, 128, 64),
    "gs1_custom": (1, "file", 4.0, 2000, 1000, 500),
    "gs2_custom": (2, "file", 4.0, 8000, 1000, 500),
}


def test_presets_are_the_published_ones():
    assert set(presets()) == set(PUBLISHED)
    assert presets() == tuple(sorted(presets()))


@pytest.mark.parametrize("name", PUBLISHED)
def test_preset_has_the_published_values(name):
    expected = {"name": name} | SHARED | dict(zip(COLUMNS, PUBLISHED[name], strict=True))
    assert flat(Scenario.preset(name).to_dict()) == expected


@pytest.mark.parametrize("name", PUBLISHED)
def test_preset_file_writes_every_key_out(name):
    import tomllib
    from importlib.resources import files

    text = (
        files("ptycho_fast.scenario")
        .joinpath("presets")
        .joinpath(f"{name}.toml")
        .read_text("utf-8")
    )
    optional = {key for key, known in known_keys().items() if known.default is None}
    assert set(flat(tomllib.loads(text))) == set(known_keys()) - optional
    assert "#" in text


@pytest.mark.parametrize("name", PUBLISHED)
def test_preset_is_runnable_once_it_has_its_probe(name):
    scenario = Scenario.preset(name)
    if scenario.probe.kind == "file":
        scenario = scenario.replace({"probe.file": "probe.npz"})
    scenario.require_runnable(groups=True)


def test_unknown_preset_lists_the_names_and_the_nearest():
    with pytest.raises(ScenarioError) as caught:
        Scenario.preset("gs2_idael")
    assert caught.value.key == "preset"
    assert str(caught.value) == (
        "preset: 'gs2_idael' given, expected one of gs1_custom, gs1_ideal, gs2_custom, gs2_ideal; "
        "did you mean gs2_ideal?"
    )


# ---- round trips -----------------------------------------------------------------------------

positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
not_negative = st.floats(min_value=0, allow_infinity=False)
count = st.integers(1, 2**63)
text = st.text(min_size=1)
seed32 = st.integers(0, 2**32 - 1)
seed64 = st.integers(0, 2**64 - 1)

scenarios = st.builds(
    Scenario,
    name=text,
    N=st.integers(8, 2048),
    gridsize=st.integers(1, 8),
    object=st.builds(
        ObjectSpec,
        kind=st.sampled_from(["lines", "file"]),
        size=st.integers(8, 65536),
        file=st.none() | text,
    ),
    probe=st.builds(
        ProbeSpec,
        kind=st.sampled_from(["ideal_disk", "file"]),
        scale=positive,
        normalise=st.booleans(),
        file=st.none() | text,
    ),
    scan=st.builds(ScanSpec, n_patterns=count, buffer=not_negative),
    dose=st.builds(DoseSpec, nphotons=positive),
    detector=st.builds(
        DetectorSpec,
        saturation=st.none() | st.integers(1, 2**32 - 1),
        beam_stop_radius=not_negative,
    ),
    seeds=st.builds(SeedSpec, object=seed32, scan=seed32, photons=seed64, groups=seed64),
    split=st.builds(SplitSpec, train_fraction=st.floats(0, 1, exclude_min=True, exclude_max=True)),
    groups=st.builds(
        GroupSpec,
        n_train=count,
        n_test=count,
        neighbours=count,
        order=st.sampled_from(["fixed", "random"]),
        include_seed=st.booleans(),
    ),
)


@given(scenarios)
def test_round_trips_are_exact(scenario):
    copies = [
        Scenario.from_dict(scenario.to_dict()),
        Scenario.from_toml(scenario.to_toml()),
        pickle.loads(pickle.dumps(scenario)),
        Scenario().replace(flat(scenario.to_dict())),
    ]
    for copy in copies:
        assert copy == scenario
        assert hash(copy) == hash(scenario)
        assert copy.to_dict() == scenario.to_dict()


def test_toml_keeps_the_order_of_the_fields():
    written = flat(Scenario.preset("gs2_ideal").to_dict())
    assert list(written) == [key for key in known_keys() if key in written]
    lines = Scenario.preset("gs2_ideal").to_toml().splitlines()
    tables = [line for line in lines if line.startswith("[")]
    assert tables == [
        "[object]",
        "[probe]",
        "[scan]",
        "[dose]",
        "[detector]",
        "[seeds]",
        "[split]",
        "[groups]",
    ]


def test_scenario_is_frozen_slotted_and_keyword_only():
    scenario = Scenario()
    with pytest.raises(dataclasses.FrozenInstanceError):
        scenario.N = 128
    with pytest.raises(dataclasses.FrozenInstanceError):
        scenario.dose.nphotons = 1.0
    assert not hasattr(scenario, "__dict__")
    assert not hasattr(scenario.dose, "__dict__")
    with pytest.raises(TypeError):
        Scenario("name")


def test_replace_leaves_the_original_alone():
    scenario = Scenario.preset("gs1_ideal")
    changed = scenario.replace({"dose.nphotons": 1e6, "N": 128})
    assert (changed.dose.nphotons, changed.N) == (1e6, 128)
    assert scenario == Scenario.preset("gs1_ideal")
    assert changed.replace({"dose": {"nphotons": 1e9}, "N": 64}) == scenario


def test_replace_with_none_clears_an_optional_key():
    scenario = Scenario().replace({"detector.saturation": 1000, "probe.file": "p.npy"})
    assert scenario.replace({"detector.saturation": None, "probe.file": None}) == Scenario()


def test_accepted_values_become_plain_python_ones():
    scenario = Scenario(
        N=np.int64(128),
        name=np.str_("x"),
        dose=DoseSpec(nphotons=1000),
        scan=ScanSpec(buffer=np.float32(2.5), n_patterns=np.uint16(7)),
    )
    values = flat(scenario.to_dict())
    assert (values["N"], values["dose.nphotons"], values["scan.buffer"]) == (128, 1000.0, 2.5)
    assert {type(value) for value in values.values()} == {int, float, str, bool}
    assert type(scenario.dose.nphotons) is type(scenario.scan.buffer) is float
    assert type(scenario.N) is type(scenario.scan.n_patterns) is int


def test_known_keys_describe_every_key():
    known = known_keys()
    for key, (type_text, default, doc) in known.items():
        assert type_text
        assert doc
        assert default == flat(Scenario().to_dict()).get(key)
    assert known["dose.nphotons"] == (
        "a finite number > 0",
        1e9,
        "mean detected photons per pattern",
    )
    assert known["N"].type == "an integer >= 8 and <= 2048"
    assert known["object.kind"].type == "one of 'lines', 'file'"
    assert known["probe.normalise"].type == "true or false"
    assert known["probe.file"].type == "a non-empty string, or nothing"
    assert known["detector.saturation"].type == "an integer >= 1 and <= 4294967295, or nothing"


# ---- wrong values ------------------------------------------------------------------------------

INTEGER_KEYS = [key for key, known in known_keys().items() if type(known.default) is int] + [
    "detector.saturation"
]
FLOAT_KEYS = [key for key, known in known_keys().items() if type(known.default) is float]
BOOL_KEYS = [key for key, known in known_keys().items() if type(known.default) is bool]
OPTIONAL_KEYS = [key for key, known in known_keys().items() if known.default is None]
TEXT_KEYS = sorted(set(known_keys()) - set(INTEGER_KEYS) - set(FLOAT_KEYS) - set(BOOL_KEYS))


def refused(key, value):
    """The message with which `value` is refused, checked for its parts."""
    with pytest.raises(ScenarioError) as caught:
        Scenario().replace({key: value})
    message = str(caught.value)
    shown = "nothing" if value is None else repr(value)
    assert caught.value.key == key
    assert message == f"{key}: {shown} given, expected {known_keys()[key].type}"
    return message


@pytest.mark.parametrize("key", INTEGER_KEYS)
@pytest.mark.parametrize(
    "value", [8.0, True, "8", 1e3, np.float64(8), np.True_, [8], {}, float("nan"), -1]
)
def test_integer_keys_refuse(key, value):
    refused(key, value)


@pytest.mark.parametrize("key", FLOAT_KEYS)
@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        np.float32("inf"),
        np.float64("nan"),
        True,
        "1.0",
        1j,
        np.True_,
        [1.0],
    ],
)
def test_float_keys_refuse(key, value):
    refused(key, value)


@pytest.mark.parametrize("key", sorted({*FLOAT_KEYS} - {"probe.curvature"}))
def test_float_keys_refuse_negative_numbers(key):
    refused(key, -1.0)


@pytest.mark.parametrize("key", BOOL_KEYS)
@pytest.mark.parametrize("value", [0, 1, "true", 1.0])
def test_bool_keys_refuse(key, value):
    refused(key, value)


@pytest.mark.parametrize("key", TEXT_KEYS)
@pytest.mark.parametrize("value", ["", 1, True, b"lines", ["lines"]])
def test_text_keys_refuse(key, value):
    refused(key, value)


@pytest.mark.parametrize("key", sorted(set(known_keys()) - set(OPTIONAL_KEYS)))
def test_none_is_only_for_optional_keys(key):
    refused(key, None)


@pytest.mark.parametrize(
    ("key", "inside", "outside"),
    [
        ("N", [8, 2048], [7, 2049]),
        ("gridsize", [1, 8], [0, 9]),
        ("object.size", [8, 65536], [7, 65537]),
        ("probe.scale", [5e-324], [0.0]),
        ("scan.n_patterns", [1], [0]),
        ("scan.buffer", [0.0], [-5e-324]),
        ("dose.nphotons", [5e-324, 1.7e308], [0, -1.0]),
        ("detector.saturation", [1, 2**32 - 1], [0, 2**32]),
        ("detector.beam_stop_radius", [0.0], [-0.1]),
        ("seeds.object", [0, 2**32 - 1], [-1, 2**32]),
        ("seeds.scan", [0, 2**32 - 1], [-1, 2**32]),
        ("seeds.photons", [0, 2**64 - 1], [-1, 2**64]),
        ("seeds.groups", [0, 2**64 - 1], [-1, 2**64]),
        ("split.train_fraction", [1e-9, 0.999], [0.0, 1.0]),
        ("groups.n_train", [1], [0]),
        ("groups.n_test", [1], [0]),
        ("groups.neighbours", [1], [0]),
        ("object.kind", ["lines", "file"], ["Lines", "disk"]),
        ("probe.kind", ["ideal_disk", "file"], ["disk"]),
        ("scan.kind", ["random"], ["spiral"]),
        ("groups.order", ["fixed", "random"], ["sorted"]),
    ],
)
def test_ranges_end_where_they_should(key, inside, outside):
    for value in inside:
        assert flat(Scenario().replace({key: value}).to_dict())[key] == value
    for value in outside:
        refused(key, value)


def test_the_message_reads_well():
    assert refused("dose.nphotons", -1.0) == (
        "dose.nphotons: -1.0 given, expected a finite number > 0"
    )
    assert refused("scan.kind", "grid") == "scan.kind: 'grid' given, expected 'random'"


def test_direct_construction_names_the_full_key():
    with pytest.raises(ScenarioError, match=r"^dose\.nphotons: 0 given") as caught:
        DoseSpec(nphotons=0)
    assert caught.value.key == "dose.nphotons"
    with pytest.raises(ScenarioError, match=r"^dose: \{'nphotons': 1\} given.* type DoseSpec$"):
        Scenario(dose={"nphotons": 1})


@pytest.mark.parametrize("value", [10**400, np.arange(100).reshape(10, 10)])
def test_the_message_stays_one_bearable_line(value):
    with pytest.raises(
        ScenarioError, match=r"\.\.\. given, expected a finite number > 0$"
    ) as caught:
        Scenario().replace({"dose.nphotons": value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_error_survives_pickling():
    with pytest.raises(ScenarioError) as caught:
        Scenario(N=1)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.key) == (str(caught.value), "N")
    assert isinstance(copy, ValueError)


# ---- unknown keys ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("dose.nphoton", "dose.nphotons"),
        ("nphotons", "dose.nphotons"),
        ("nphoton", "dose.nphotons"),
        ("probe.nphotons", "dose.nphotons"),
        ("n", "N"),
        ("grid_size", "gridsize"),
        ("file", "object.file or probe.file"),
        ("seed.photons", "seeds.photons"),
        ("groups.neighbors", "groups.neighbours"),
    ],
)
def test_unknown_key_suggests_the_nearest(key, nearest):
    with pytest.raises(ScenarioError) as caught:
        Scenario().replace({key: 1})
    assert caught.value.key == key
    assert str(caught.value).startswith(f"{key}: unknown key; did you mean {nearest}? (")


def test_unknown_key_lists_the_keys_of_its_table():
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_dict({"scan": {"wavelength": 3}})
    assert (
        str(caught.value) == "scan.wavelength: unknown key (keys of scan: kind, n_patterns, buffer)"
    )
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_toml("zzz = 1")
    assert str(caught.value) == (
        "zzz: unknown key (top-level keys: name, N, gridsize, object, probe, scan, dose, "
        "detector, seeds, split, groups)"
    )


def test_unknown_table_is_refused_even_when_empty():
    with pytest.raises(ScenarioError, match=r"^dosee: unknown key; did you mean dose\?"):
        Scenario.from_toml("[dosee]")
    assert Scenario.from_toml("[dose]") == Scenario()


def test_a_table_is_not_a_value():
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_toml("scan = 3")
    assert str(caught.value) == (
        "scan: 3 given, expected a table with the keys kind, n_patterns, buffer"
    )
    with pytest.raises(ScenarioError, match=r"^N\.a: unknown key "):
        Scenario.from_toml("N = {a = 1}")


@pytest.mark.parametrize("given", [None, 3, [1], "N = 64"])
def test_from_dict_wants_a_mapping(given):
    with pytest.raises(ScenarioError, match="given, expected a mapping of keys to values"):
        Scenario.from_dict(given)


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
    assert Scenario.load(toml("N = 128")) == Scenario(N=128)


def test_a_file_may_start_from_a_preset(toml):
    loaded = Scenario.load(toml('preset = "gs2_ideal"\n[dose]\nnphotons = 1e6'))
    assert loaded == Scenario.preset("gs2_ideal").replace({"dose.nphotons": 1e6})


@pytest.mark.parametrize(
    ("content", "key", "message"),
    [
        ("[dose]\nnphotons = -1.0", "dose.nphotons", "-1.0 given, expected a finite number > 0"),
        ("[dose]\nnphoton = 1.0", "dose.nphoton", "did you mean dose.nphotons?"),
        ("N = 64\ngridsize = = 2", "", "not valid TOML: Invalid value (at line 2, column 12)"),
        ("N = 64\n\ngridsize =", "", "not valid TOML: Invalid value (at line 3, the last)"),
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


def test_an_integer_key_refuses_a_float_spelling():
    with pytest.raises(ScenarioError, match=r"^N: 1000\.0 given, expected an integer"):
        Scenario().replace(dict([parse_assignment("N=1e3")]))


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
    assert resolve(str(base), {}) == preset.replace({"N": 128, "gridsize": 2})
    assert resolve(base, {"dose.nphotons": 5}, extra) == preset.replace(
        {"N": 256, "gridsize": 2, "dose.nphotons": 5}
    )


def test_a_preset_wins_over_a_file_of_its_name(toml, monkeypatch):
    path = toml("N = 128", "gs1_ideal")
    monkeypatch.chdir(path.parent)
    assert resolve("gs1_ideal") == Scenario.preset("gs1_ideal")
    assert resolve(os.path.join(".", "gs1_ideal")) == Scenario(N=128)


@pytest.mark.parametrize("name", ["gs2_idea", "gs2_ideal.toml"])
def test_resolve_of_nothing_lists_the_presets_and_the_nearest(name):
    with pytest.raises(ScenarioError) as caught:
        resolve(name)
    assert str(caught.value) == (
        f"preset: {name!r} given, expected a preset (gs1_custom, gs1_ideal, gs2_custom, "
        "gs2_ideal) or the path of a TOML file that exists; did you mean gs2_ideal?"
    )
    assert caught.value.key == "preset"


def test_resolve_names_the_file_at_fault(toml, tmp_path):
    bad = toml("N = 7")
    for call in (lambda: resolve(bad), lambda: resolve("gs1_ideal", config=bad)):
        with pytest.raises(ScenarioError) as caught:
            call()
        assert str(caught.value).startswith(f"{bad}: N: 7 given, expected an integer >= 8")
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


# ---- what a run needs ----------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["object", "probe"])
def test_a_file_kind_needs_its_file(table):
    scenario = Scenario().replace({f"{table}.kind": "file"})
    with pytest.raises(ScenarioError) as caught:
        scenario.require_runnable()
    assert caught.value.key == f"{table}.file"
    assert str(caught.value) == (
        f"{table}.file: nothing given, expected the path of an .npz with '{table}Guess' or a .npy; "
        f"give it with --{table}-file PATH or --set {table}.file=PATH"
    )
    scenario.replace({f"{table}.file": "mine.npz"}).require_runnable()


@pytest.mark.parametrize("name", ["gs1_custom", "gs2_custom"])
def test_custom_presets_load_and_wait_for_their_probe(name):
    with pytest.raises(ScenarioError, match=r"^probe\.file: nothing given"):
        Scenario.preset(name).require_runnable()


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"probe.file": "p.npz"}, "probe.kind", "expected 'file', because probe.file = 'p.npz'"),
        ({"object.file": "o.npz"}, "object.kind", "expected 'file', because object.file = 'o.npz'"),
        ({"scan.buffer": 196}, "scan.buffer", "196.0 given, expected a number < 196.0"),
        (
            {"detector.beam_stop_radius": 46},
            "detector.beam_stop_radius",
            "46.0 given, expected a number <= 45.3 for N = 64",
        ),
        ({"gridsize": 3}, "groups.neighbours", "4 given, expected an integer >= 9"),
        (
            {"gridsize": 3, "groups.include_seed": True, "groups.neighbours": 7},
            "groups.neighbours",
            "7 given, expected an integer >= 8",
        ),
    ],
)
def test_combinations_that_cannot_run(changes, key, message):
    with pytest.raises(ScenarioError) as caught:
        Scenario().replace(changes).require_runnable()
    assert caught.value.key == key
    assert str(caught.value).startswith(f"{key}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"scan.buffer": 195.9},
        {"scan.buffer": 300, "object.kind": "file", "object.file": "o.npz"},
        {"detector.beam_stop_radius": 45},
        {"gridsize": 1, "groups.neighbours": 1},
        {"gridsize": 2, "groups.neighbours": 3, "groups.include_seed": True},
        {"gridsize": 3, "groups.neighbours": 9},
        {"scan.n_patterns": 1},
    ],
)
def test_combinations_that_can_run(changes):
    Scenario().replace(changes).require_runnable()


@pytest.mark.parametrize(
    ("changes", "key", "limit"),
    [
        ({"scan.n_patterns": 511}, "groups.n_train", "<= 255, the number of train patterns"),
        (
            {"split.train_fraction": 0.9, "groups.n_test": 104},
            "groups.n_test",
            "<= 103, the number of test patterns",
        ),
        (
            {"gridsize": 2, "scan.n_patterns": 8, "groups.n_train": 4, "groups.n_test": 4},
            "groups.neighbours",
            "< 4, the number of train patterns",
        ),
    ],
)
def test_groups_need_enough_patterns(changes, key, limit):
    scenario = Scenario().replace(changes)
    scenario.require_runnable()
    with pytest.raises(ScenarioError) as caught:
        scenario.require_runnable(groups=True)
    assert caught.value.key == key
    assert str(caught.value).endswith(f"given, expected an integer {limit}")


@pytest.mark.parametrize(
    ("fraction", "n_patterns", "sizes"),
    [(0.5, 1024, (512, 512)), (0.5, 7, (3, 4)), (0.9, 10, (9, 1)), (0.1, 5, (0, 5))],
)
def test_split_sizes(fraction, n_patterns, sizes):
    assert SplitSpec(train_fraction=fraction).sizes(n_patterns) == sizes


def test_import_needs_the_standard_library_alone():
    code = (
        "import sys; import ptycho_fast.scenario; "
        "heavy = {'tomli_w', 'scipy', 'tensorflow', 'numba', 'cupy'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
