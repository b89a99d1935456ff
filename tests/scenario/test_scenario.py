"""Scenario: presets, round trips, and every wrong value or key with its message."""

import copy
import dataclasses
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptycho_fast.errors import ScenarioError
from ptycho_fast.scenario import (
    DetectorSpec,
    DoseSpec,
    ObjectSpec,
    OpticsSpec,
    ProbeSpec,
    ScanSpec,
    Scenario,
    SeedSpec,
    campaigns,
    known_keys,
    presets,
    resolve,
)
from ptycho_fast.scenario.tables import described_keys

RULES = described_keys(Scenario)
TABLES = {
    "optics": OpticsSpec.known(),
    "object": ObjectSpec.common,
    "probe": ProbeSpec.common,
    "scan": ScanSpec.common,
    "detector": DetectorSpec.known(),
    "dose": DoseSpec.known(),
    "seeds": SeedSpec.known(),
}
OFF = {
    f"{table}.{name}": rule.default
    for table, rules in TABLES.items()
    for name, rule in rules.items()
    if rule.default is not None
}
"""Keys that every scenario has, and that are not None by default."""


def flat(mapping, prefix=""):
    """Leaves of a nested mapping by dotted key."""
    leaves = {}
    for name, value in mapping.items():
        nested = isinstance(value, dict)
        leaves |= flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return leaves


# ---- presets ---------------------------------------------------------------------------------

SHARED = {
    "schema": 2,
    "N": 64,
    "noise": True,
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
    assert campaigns() == ("electron_zoo", "xray_zoo")
    assert not set(campaigns()) & set(presets())


@pytest.mark.parametrize("name", PUBLISHED)
def test_preset_has_the_published_values(name):
    expected = OFF | {"name": name} | SHARED | dict(zip(COLUMNS, PUBLISHED[name], strict=True))
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
    written = flat(tomllib.loads(text))
    # All that was published, whether it holds its default or not; what came later is off.
    expected = {key for key, value in flat(Scenario.preset(name).to_dict()).items()}
    assert set(written) == {"name", *SHARED, *COLUMNS} & expected
    assert expected - set(written) <= set(OFF)
    assert "#" in text


@pytest.mark.parametrize("name", PUBLISHED)
def test_preset_is_runnable_once_it_has_its_probe(name):
    scenario = Scenario.preset(name)
    if scenario.probe.kind == "file":
        scenario = scenario.replace({"probe.file": "probe.npz"})
    scenario.require_runnable(groups=True)


@pytest.mark.parametrize("name", ["GS2_Ideal", "gs2_IDEAL"])
def test_case_is_forgiven_in_the_name_of_a_preset(name):
    assert Scenario.preset(name) == resolve(name) == Scenario.preset("gs2_ideal")


@pytest.mark.parametrize("name", ["gs2_idael", "GS2_Idael"])
def test_unknown_preset_lists_the_names_and_the_nearest(name):
    with pytest.raises(ScenarioError) as caught:
        Scenario.preset(name)
    assert caught.value.key == "preset"
    assert str(caught.value) == (
        f"preset: {name!r} given, expected one of gs1_custom, gs1_ideal, gs2_custom, gs2_ideal, "
        "or of the campaigns electron_zoo, xray_zoo; did you mean gs2_ideal?"
    )


# ---- round trips -----------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
not_negative = st.floats(min_value=0, allow_infinity=False)
count = st.integers(1, 2**63)
text = st.text(min_size=1)
seed32 = st.integers(0, 2**32 - 1)
seed64 = st.integers(0, 2**64 - 1)
positive_std = st.floats(min_value=1e-300, max_value=1e300)
names = st.from_regex(r"[\w äß:*?<>|-]{1,40}(\.[\w ]{1,40})?", fullmatch=True)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)


def spelled(values):
    """A value, or a choice of values, as a scenario file spells it."""
    return values | st.builds(
        lambda some: {"choice": some}, st.lists(values, min_size=1, max_size=4)
    )


def numbers(values):
    """A number, or a range, choice or distribution of numbers."""
    ends = st.tuples(values, values).map(sorted)
    linear = ends.map(lambda two: {"min": two[0], "max": two[1]})
    log = linear.filter(lambda ends: ends["min"] > 0).map(lambda ends: ends | {"scale": "log"})
    normal = st.tuples(finite, positive_std).map(lambda two: {"normal": list(two)})
    cut = st.tuples(normal, linear).map(lambda two: two[0] | two[1])
    return spelled(values) | linear | log | normal | cut


def lists(values):
    """A list of numbers, or a choice of lists."""
    return spelled(st.lists(values, min_size=1, max_size=4))


objects = st.fixed_dictionaries(
    {"kind": st.just("lines"), "size": numbers(st.integers(8, 65536))}
) | st.fixed_dictionaries({"kind": st.just("file")}, optional={"file": spelled(text)})
probes = st.builds(
    lambda kind, shared: kind | shared,
    st.just({"kind": "ideal_disk"})
    | st.fixed_dictionaries({"kind": st.just("file")}, optional={"file": spelled(text)})
    | st.fixed_dictionaries({"kind": st.just("given"), "sha256": digests})
    | st.fixed_dictionaries({"kind": st.just("gaussian")}, optional={"sigma": numbers(positive)})
    | st.fixed_dictionaries(
        {"kind": st.just("zone_plate"), "defocus_m": numbers(finite)},
        optional={"zone_plate": spelled(st.sampled_from(["HXN", "LYNX"]))},
    )
    | st.fixed_dictionaries(
        {
            "kind": st.just("zernike"),
            "aperture": spelled(st.sampled_from(["disk", "annulus", "square"])),
            "obstruction": numbers(st.floats(0.1, 0.9)),
            "plane": spelled(st.sampled_from(["object", "fourier"])),
            "ordering": spelled(st.sampled_from(["noll", "osa"])),
            "phase_unit": spelled(st.sampled_from(["radians", "waves"])),
            "random_rms": numbers(not_negative),
            "random_degree": numbers(st.integers(2, 20)),
        },
        optional={"coefficients": lists(finite), "indices": lists(st.integers(0, 1000))},
    ),
    st.fixed_dictionaries(
        {
            "scale": numbers(positive),
            "normalise": spelled(st.booleans()),
            "curvature": numbers(finite),
        },
        optional={
            "modes": numbers(st.integers(1, 16)),
            "mode_kind": spelled(st.sampled_from(["given", "hermite_gauss", "gaussian_schell"])),
            "mode_fractions": lists(positive),
            "coherence_length": numbers(positive),
            "variation": numbers(st.floats(0, 10)),
            "variation_modes": numbers(st.integers(1, 15)),
        },
    ),
)
scans = st.builds(
    lambda kind, shared: kind | shared,
    st.fixed_dictionaries(
        {"kind": st.just("random"), "n_patterns": numbers(count), "buffer": numbers(not_negative)}
    )
    | st.fixed_dictionaries({"kind": st.just("given"), "n_patterns": count, "sha256": digests}),
    st.fixed_dictionaries(
        {
            "boundary": spelled(st.sampled_from(["zero", "error", "vacuum", "edge"])),
            "jitter": numbers(not_negative),
            "jitter_law": spelled(st.sampled_from(["normal", "uniform"])),
            "drift_x": numbers(finite),
            "drift_y": numbers(finite),
            "drift_law": spelled(st.sampled_from(["linear", "walk"])),
            "scale_x": numbers(positive),
            "scale_y": numbers(positive),
            "rotation": numbers(st.floats(-3, 3)),
            "shear": numbers(finite),
            "fly_points": numbers(count),
            "fly_fraction": numbers(st.floats(0.01, 1)),
        }
    ),
)
scenarios = st.fixed_dictionaries(
    {
        "schema": st.just(2),
        "name": names,
        "N": numbers(st.integers(8, 2048)),
        "gridsize": numbers(st.integers(1, 8)),
        "noise": spelled(st.booleans()),
        "object": spelled(objects),
        "probe": spelled(probes),
        "scan": spelled(scans),
        "dose": st.fixed_dictionaries({"nphotons": numbers(positive)}),
        "detector": st.fixed_dictionaries(
            {"beam_stop_radius": numbers(not_negative)},
            optional={"saturation": numbers(st.integers(1, 2**32 - 1))},
        ),
        "seeds": st.fixed_dictionaries(
            {
                "object": numbers(seed32),
                "scan": numbers(seed32),
                "photons": numbers(seed64),
                "groups": numbers(seed64),
            }
        ),
        "split": st.fixed_dictionaries(
            {"train_fraction": numbers(st.floats(0, 1, exclude_min=True, exclude_max=True))}
        ),
        "groups": st.fixed_dictionaries(
            {
                "n_train": numbers(count),
                "n_test": numbers(count),
                "neighbours": numbers(count),
                "order": spelled(st.sampled_from(["fixed", "random"])),
                "include_seed": spelled(st.booleans()),
            }
        ),
    }
)


def completed(spelling):
    """The spelling, with the keys that it leaves out and that hold their default."""
    whole = dict(spelling)
    for table, rules in TABLES.items():
        given_ones = spelling.get(table, {})
        off = {name: rule.default for name, rule in rules.items() if rule.default is not None}
        if "choice" in given_ones:
            whole[table] = {"choice": [off | option for option in given_ones["choice"]]}
        else:
            whole[table] = off | given_ones
    return whole


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(scenarios)
def test_round_trips_are_exact(spelling):
    scenario = Scenario.from_dict(spelling)
    copies = [
        Scenario.from_dict(scenario.to_dict()),
        Scenario.from_dict(json.loads(json.dumps(scenario.to_dict()))),
        Scenario.from_toml(scenario.to_toml()),
        pickle.loads(pickle.dumps(scenario)),
        copy.deepcopy(scenario),
        Scenario().replace(scenario.to_dict()),
        scenario.replace({}),
    ]
    for one in copies:
        assert one == scenario
        assert hash(one) == hash(scenario)
        assert one.to_dict() == scenario.to_dict()
    assert scenario.to_dict() == completed(spelling)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["kind", "size", "choice", "min", "max", "scale", "normal", "file", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
KEYS = [
    "schema",
    "object",
    "probe",
    "dose",
    "nowhere",
    *known_keys(),
    "object.choice",
    "scan.sha256",
]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), anything, max_size=4))
def test_whatever_a_file_holds_is_a_scenario_or_an_error_of_one_line(mapping):
    for make in (Scenario.from_dict, Scenario.preset("gs1_custom").replace):
        try:
            scenario = make(mapping)
        except ScenarioError as error:
            message = str(error)
        else:
            message = ""
            assert Scenario.from_dict(scenario.to_dict()) == scenario
        assert "\n" not in message
        assert len(message) < 700


def test_toml_keeps_the_order_of_the_fields():
    written = flat(Scenario.preset("gs2_ideal").to_dict())
    assert list(written) == ["schema", *(key for key in known_keys() if key in written)]
    lines = Scenario.preset("gs2_ideal").to_toml().splitlines()
    tables = [line for line in lines if line.startswith("[")]
    assert tables == [
        "[optics]",
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
        scenario.object.size = 100
    with pytest.raises(dataclasses.FrozenInstanceError):
        del scenario.detector.saturation
    assert not hasattr(scenario.object, "__dict__")
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
    scenario = Scenario().replace({"detector.saturation": 1000})
    assert scenario.replace({"detector.saturation": None}) == Scenario()
    of_file = Scenario().replace({"probe.kind": "file", "probe.file": "p.npy"})
    assert of_file.replace({"probe.file": None}).probe.file is None
    back = {"probe.kind": "ideal_disk", "probe.file": None}
    assert of_file.replace(back) == Scenario()


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
        assert (
            default == flat(Scenario().replace(kind_with(key)).to_dict()).get(key) or ".kind" in key
        )
    assert not set(flat(Scenario().to_dict())) - {"schema"} - set(known)
    assert known["dose.nphotons"] == (
        "a finite number > 0",
        1e9,
        "mean detected photons per pattern",
    )
    assert known["N"].type == "an integer from 8 to 2048"
    assert known["object.kind"].type.startswith("one of lines, dead_leaves, ")
    assert known["probe.normalise"].type == "true or false"
    assert known["probe.file"].type == "a non-empty string"
    assert known["probe.file"].doc.endswith("(kind file)")
    assert "lines (random lines" in known["object.kind"].doc
    assert "handed over" not in str(known)  # made by the program, not by a user
    assert known["detector.saturation"].type == "an integer from 1 to 4294967295, or nothing"


# ---- wrong values ------------------------------------------------------------------------------


def keys_of(*types):
    """The keys that hold one value of these types."""
    return [key for key, rule in RULES.items() if rule.type in types and not rule.many]


INTEGER_KEYS, FLOAT_KEYS, BOOL_KEYS, TEXT_KEYS = map(keys_of, (int, float, bool, str))
SIGNED_KEYS = {key for key in FLOAT_KEYS if RULES[key].holds(-1.0)}
OPTIONAL_KEYS = {key for key, rule in RULES.items() if rule.optional or rule.required}


def kind_with(key):
    """The change that gives a scenario a kind that has the key."""
    table, _, name = key.partition(".")
    specs = {"object": ObjectSpec, "probe": ProbeSpec, "scan": ScanSpec}
    kinds = specs[table].kinds.listed if table in specs else {}
    having = [kind for kind, its in kinds.items() if name in its.keys]
    return {f"{table}.kind": having[0]} if having else {}


def refused(key, value):
    """The message with which `value` is refused, checked for its parts."""
    with pytest.raises(ScenarioError) as caught:
        Scenario().replace(kind_with(key) | {key: value})
    message = str(caught.value)
    shown = "nothing" if value is None else repr(value)
    assert caught.value.key == key
    assert message == f"{key}: {shown} given, expected {known_keys()[key].type}"
    return message


@pytest.mark.parametrize("value", [64, 64.0, np.float64(64), np.int16(64)])
def test_a_whole_number_is_an_integer_however_it_is_written(value):
    """1e3 is a float in TOML, and what people write for a number of patterns."""
    scenario = Scenario(N=value)
    assert scenario.N == 64
    assert type(scenario.N) is int
    assert Scenario.from_toml("[scan]\nn_patterns = 1e3").scan.n_patterns == 1000


@pytest.mark.parametrize("key", INTEGER_KEYS)
@pytest.mark.parametrize(
    "value", [8.5, True, "8", 1e300, np.float64(8.5), np.True_, [8], {}, float("nan"), -1]
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


@pytest.mark.parametrize("key", sorted({*FLOAT_KEYS} - SIGNED_KEYS))
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


@pytest.mark.parametrize("key", sorted(set(known_keys()) - OPTIONAL_KEYS))
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
        ("noise", [True, False], [0]),
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
    assert refused("scan.kind", "grid").startswith(
        "scan.kind: 'grid' given, expected one of random, concentric"
    )


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
        ("n", "N or scan.n_patterns"),
        ("grid_size", "gridsize"),
        ("file", "object.file or probe.file or scan.file"),
        ("seed.photons", "seeds.photons or dose.nphotons"),
        ("defocus", "probe.defocus_m or probe.curvature"),
        ("probe.defocus", "probe.defocus_m or probe.curvature"),
        ("photons", "dose.nphotons or seeds.photons"),
        ("dose.photons", "dose.nphotons or seeds.photons"),
        ("count", "scan.n_patterns"),
        ("scan.count", "scan.n_patterns"),
        ("seed", "seeds.photons"),
        ("side", "N"),
        ("detector.size", "object.size or N"),
        ("Size", "N or object.size"),
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
    keys = ", ".join(ScanSpec.described())
    assert keys.startswith("kind, n_patterns, buffer, ")
    assert str(caught.value) == (
        f"scan.wavelength: unknown key; did you mean optics.wavelength_m? (keys of scan: {keys})"
    )
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_toml("zzz = 1")
    assert str(caught.value) == (
        "zzz: unknown key (top-level keys: name, N, gridsize, noise, optics, object, probe, scan, "
        "dose, detector, seeds, split, groups)"
    )


def test_unknown_table_is_refused_even_when_empty():
    with pytest.raises(ScenarioError, match=r"^dosee: unknown key; did you mean dose\?"):
        Scenario.from_toml("[dosee]")
    assert Scenario.from_toml("[dose]") == Scenario()


def test_a_table_is_not_a_value():
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_toml("scan = 3")
    keys = ", ".join(ScanSpec.described())
    assert str(caught.value) == f"scan: 3 given, expected a table with the keys {keys}"
    with pytest.raises(ScenarioError, match=r"^N: \{'a': 1\} given, expected an integer"):
        Scenario.from_toml("N = {a = 1}")
    with pytest.raises(ScenarioError, match=r"^scan\.buffer\.a: unknown key"):
        Scenario.from_dict({"scan.buffer.a": 1})


@pytest.mark.parametrize("given", [None, 3, [1], "N = 64"])
def test_from_dict_wants_a_mapping(given):
    with pytest.raises(ScenarioError, match="given, expected a mapping of keys to values"):
        Scenario.from_dict(given)


def test_import_needs_the_standard_library_alone():
    code = (
        "import sys; import ptycho_fast.scenario; "
        "heavy = {'tomli_w', 'scipy', 'tensorflow', 'numba', 'cupy'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
