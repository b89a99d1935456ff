"""Kinds of objects, probes and scans: found in their folder, read by everything else."""

import sys

import numpy as np
import pytest

from ptycho_fast import command, objects, probes, scans
from ptycho_fast.errors import ScenarioError
from ptycho_fast.scenario import ObjectSpec, ProbeSpec, ScanSpec, Scenario, known_keys
from ptycho_fast.simulate import main, parser

NEW_KIND = '''
"""A checkerboard."""

from typing import Annotated, Literal

import numpy as np

from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind

def helper():
    """Not a kind."""


@kind("checkerboard")
def checkerboard(
    seed: int,
    *,
    size: Annotated[int, Key("side of the board, pixels", ge=8, le=4096)] = 64,
    fields: Annotated[int, Key("fields along a side", ge=2, synonyms=("squares",))] = 8,
    phases: Annotated[tuple[float, ...], Key("phase of each field, radians", ge=-4, le=4)] = (0, 1),
    edge: Annotated[Literal["sharp", "soft"], Key("what the fields' edges are like")] = "sharp",
    seed_offset: Annotated[int | None, Key("added to the seed", ge=0)] = None,
):
    """Two phases in turn."""
    step = np.arange(size) * fields // size
    return np.exp(1j * np.array(phases)[(step[:, None] + step) % 2]).astype(np.complex64)
'''


@pytest.fixture
def checkerboard(tmp_path, monkeypatch):
    """A kind of object that one new file in the folder adds."""
    (tmp_path / "checkerboard.py").write_text(NEW_KIND)
    monkeypatch.setattr(objects, "__path__", [*objects.__path__, str(tmp_path)])
    yield
    sys.modules.pop("ptycho_fast.objects.checkerboard", None)


def test_the_kinds_that_there_are():
    assert list(objects.KINDS.listed) == [
        "lines",
        "dead_leaves",
        "diagonals",
        "file",
        "fractal_noise",
        "image_folder",
        "natural_image",
        "points",
        "random_field",
        "random_shapes",
        "refractive",
        "siemens_star",
        "spheres",
        "v_shapes",
        "weak_phase",
    ]
    assert list(probes.KINDS.listed) == [
        "ideal_disk",
        "electron",
        "file",
        "gaussian",
        "super_gaussian",
        "zernike",
        "zone_plate",
    ]
    assert list(scans.KINDS.listed) == [
        "random",
        "concentric",
        "fermat",
        "file",
        "jittered_raster",
        "lissajous",
        "raster",
        "snake",
    ]
    for kinds in (objects.KINDS, probes.KINDS, scans.KINDS):
        assert "given" in kinds
        assert all(kind.doc and kind.function.__doc__ for kind in kinds.values())


class TestANewFile:
    """Everything knows the new kind, and nothing but its file was written."""

    @pytest.fixture(autouse=True)
    def there(self, checkerboard):
        pass

    def test_scenario(self):
        scenario = Scenario().replace({"object.kind": "checkerboard", "object.phases": [0, 0.5]})
        assert scenario.object.to_dict() == {
            "kind": "checkerboard",
            "size": 392,  # kept: both kinds have it
            "fields": 8,
            "phases": [0.0, 0.5],
            "edge": "sharp",
        }
        assert scenario.object.seed_offset is None
        assert Scenario.from_toml(scenario.to_toml()) == scenario
        assert hash(Scenario.from_dict(scenario.to_dict())) == hash(scenario)
        made = objects.make_object(scenario.object, 42)
        assert made.shape == (392, 392)
        np.testing.assert_allclose(np.angle(made[0, ::49]), [0, 0.5] * 4, atol=1e-7)

    def test_help(self, capsys):
        known = known_keys()
        assert known["object.kind"].type.startswith("one of lines, checkerboard, dead_leaves, ")
        assert "checkerboard (two phases in turn)" in known["object.kind"].doc
        assert known["object.fields"] == (
            "an integer >= 2",
            8,
            "fields along a side (kind checkerboard)",
        )
        assert known["object.phases"].type == "a list, each item a finite number from -4 to 4"
        assert "(not kind file; default 64 for checkerboard, " in known["object.size"].doc
        with pytest.raises(SystemExit):
            main(["--help"])
        assert "object.fields" in capsys.readouterr().out

    def test_errors(self):
        board = {"object.kind": "checkerboard"}
        for change, message in (
            ({"object.kind": "board"}, "object.kind: 'board' given, expected one of lines, check"),
            ({"object.fields": 4}, "object.fields: not a key of kind 'lines' (keys: kind, size, a"),
            (
                board | {"object.size": 7},
                "object.size: 7 given, expected an integer from 8",
            ),
            (board | {"object.phases": 1.0}, "object.phases: 1.0 given, expected a list, each"),
            (board | {"object.phases": [1, 9]}, "object.phases: [1, 9] given, expected a list"),
            (board | {"object.edge": "wavy"}, "object.edge: 'wavy' given, expected one of sharp"),
            ({"object.squares": 4}, "object.squares: unknown key; did you mean object.fields?"),
        ):
            with pytest.raises(ScenarioError) as caught:
                Scenario().replace(change)
            assert str(caught.value).startswith(message)

    def test_choices_of_lists_and_of_tables(self):
        spelling = {
            "choice": [
                {"kind": "lines", "size": {"min": 100, "max": 200}},
                {"kind": "checkerboard", "phases": {"choice": [[0.0, 1.0], [0.0, 2.0]]}},
            ]
        }
        scenario = Scenario().replace({"object": spelling})
        assert Scenario.from_toml(scenario.to_toml()) == scenario
        drawn = scenario.to_dict()["object"]["choice"]
        assert drawn[0] == spelling["choice"][0]
        assert drawn[1]["phases"] == spelling["choice"][1]["phases"]


def test_a_new_file_is_gone_with_its_folder():
    assert "checkerboard" not in objects.KINDS


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("def bad(seed, *, size: int = 8): ...", "bad: the argument size has no Key"),
        ("def bad(seed, *, a: Annotated[dict, Key('x')] = 1): ...", "cannot be the type of a key"),
        ("def bad(seed): ...\n@kind('lines')\ndef two(seed): ...", "two kinds with the name"),
    ],
)
def test_a_kind_that_is_declared_wrongly_says_so(tmp_path, monkeypatch, function, message):
    imports = "from typing import Annotated\nfrom ptycho_fast.keys import Key\n"
    imports += "from ptycho_fast.kinds import kind\n"
    (tmp_path / "bad.py").write_text(f"{imports}@kind('bad')\n{function}\n")
    monkeypatch.setattr(objects, "__path__", [*objects.__path__, str(tmp_path)])
    try:
        with pytest.raises(TypeError, match=message):
            len(objects.KINDS)
    finally:
        sys.modules.pop("ptycho_fast.objects.bad", None)


# --- changes of kind ---


def test_another_kind_drops_what_it_does_not_have():
    preset = Scenario.preset("gs2_ideal").replace({"probe.curvature": 2.0})
    of_file = preset.replace({"probe.kind": "file", "probe.file": "p.npz"})
    assert of_file.probe == ProbeSpec(kind="file", file="p.npz", curvature=2.0)
    assert of_file.replace({"probe.kind": "ideal_disk"}) == preset
    assert preset.replace({"object.kind": "file"}).object == ObjectSpec(kind="file")
    nested = {"object": {"kind": "file", "file": "o.npz"}}
    assert preset.replace(nested).object == ObjectSpec(kind="file", file="o.npz")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Scenario().replace({"object.kind": "file", "object.size": 100}),
        lambda: Scenario.from_dict({"object": {"kind": "file", "size": 100}}),
        lambda: Scenario.from_toml('schema = 2\n[object]\nkind = "file"\nsize = 100'),
        lambda: ObjectSpec(kind="file", size=100),
    ],
)
def test_a_key_of_another_kind_is_named(make):
    with pytest.raises(ScenarioError) as caught:
        make()
    assert caught.value.key == "object.size"
    assert str(caught.value) == (
        "object.size: not a key of kind 'file' (keys: kind, file, format, read, sha256, "
        "amplitude_min, amplitude_max, phase_min, phase_max, correlation, slices); it is a key of "
        "kind 'lines' and 'dead_leaves' and 'diagonals' and 'fractal_noise' and others"
    )


def test_a_file_over_a_preset(tmp_path):
    np.save(tmp_path / "o.npy", np.ones((50, 60)))
    over = ["gs2_ideal", "--object-file", str(tmp_path / "o.npy")]
    scenario = command.scenario_of(parser().parse_args(over))
    assert scenario.object == ObjectSpec(kind="file", file=str(tmp_path / "o.npy"))


def test_an_error_gets_the_hint_of_its_flag(capsys):
    assert main(["gs1_custom"]) == 2
    assert capsys.readouterr().err.endswith(
        "give it with --probe-file PATH or --set probe.file=PATH\n"
    )


def test_attributes_that_a_table_does_not_have():
    with pytest.raises(AttributeError, match=r"ObjectSpec has no 'size'.*kind='file'"):
        _ = ObjectSpec(kind="file").size
    assert ScanSpec(n_patterns=7).n_patterns == 7


# --- arrays that were handed over ---

RNG = np.random.default_rng(0)
OBJECT = RNG.normal(size=(90, 100)) + 1j * RNG.normal(size=(90, 100))
PROBE = RNG.normal(size=(2, 32, 32))
POSITIONS = RNG.uniform(20, 70, size=(7, 2))


def test_given_arrays_are_recorded_and_taken_as_they_are():
    preset = Scenario.preset("gs2_ideal").replace({"probe.curvature": 1.0})
    scenario = preset.with_given(object=OBJECT, probe=PROBE, positions=POSITIONS)
    assert (scenario.object.kind, scenario.probe.kind, scenario.scan.kind) == ("given",) * 3
    assert (scenario.N, scenario.scan.n_patterns) == (32, 7)
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    obj = objects.make_object(scenario.object, 1, given=OBJECT)
    probe = probes.make_probe(scenario.probe, scenario.N, given=PROBE)
    positions = scans.make_scan(scenario.scan, obj.shape, 1, given=POSITIONS).positions
    np.testing.assert_array_equal(obj, OBJECT.astype(np.complex64))
    np.testing.assert_array_equal(probe, PROBE.astype(np.complex64))
    np.testing.assert_array_equal(positions, POSITIONS)
    # The fingerprint is that of the kernels' type.
    assert preset.with_given(object=OBJECT.astype(np.complex64)).object == scenario.object
    assert preset.with_given(probe=np.asfortranarray(PROBE)).probe == scenario.probe
    assert preset.with_given(positions=POSITIONS.tolist()).scan == scenario.scan
    assert preset.with_given(probe=PROBE[0]).probe == preset.with_given(probe=PROBE[:1]).probe
    assert preset.with_given() == preset
    changed = OBJECT.copy()
    changed[3, 3] += 1
    assert preset.with_given(object=changed).object != scenario.object


def test_a_given_probe_is_normalised_if_asked_for():
    scenario = Scenario().with_given(probe=PROBE).replace({"probe.normalise": True})
    probe = probes.make_probe(scenario.probe, 32, given=PROBE)
    expected = probes.normalise(PROBE.astype(np.complex64), 10.0)
    np.testing.assert_array_equal(probe, expected)


@pytest.mark.parametrize(
    ("table", "make"),
    [
        ("object", lambda s, array: objects.make_object(s.object, 1, given=array)),
        ("probe", lambda s, array: probes.make_probe(s.probe, s.N, given=array)),
        ("scan", lambda s, array: scans.make_scan(s.scan, (90, 100), 1, given=array)),
    ],
)
def test_a_given_array_that_is_missing_or_another_one(table, make):
    scenario = Scenario().with_given(object=OBJECT, probe=PROBE, positions=POSITIONS)
    argument = "positions" if table == "scan" else table
    array = {"object": OBJECT, "probe": PROBE, "scan": POSITIONS}[table]
    scenario.require_runnable()
    with pytest.raises(ScenarioError, match=f"hand it over again with {argument}=") as caught:
        make(scenario, None)
    assert caught.value.key == f"{table}.kind"
    with pytest.raises(ScenarioError, match=f"^{argument}: array of SHA-256 .* given") as caught:
        make(scenario, array + 1)
    assert caught.value.key == f"{table}.sha256"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"object": np.ones(4)}, r"object: shape \(4,\)"),
        ({"object": [["a"]]}, "object: "),
        ({"probe": np.ones((4, 5))}, r"probe: shape \(4, 5\)"),
        ({"positions": np.ones((4, 3))}, r"positions: shape \(4, 3\)"),
        ({"probe": np.ones((4, 4))}, "N: 4 given, expected an integer from 8"),
    ],
)
def test_arrays_that_cannot_be_given(arrays, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Scenario().with_given(**arrays)


# --- names of the package before ---


def test_old_names_work_with_a_warning(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((8, 8)))
    with pytest.warns(DeprecationWarning, match="from_file"):
        assert objects.read_object(tmp_path / "a.npy").shape == (8, 8)
    with pytest.warns(DeprecationWarning, match="from_file"):
        assert probes.read_probe(tmp_path / "a.npy", 8).shape == (8, 8)
    with pytest.warns(DeprecationWarning, match=r"scans\.random"):
        assert scans.random_scan((50, 60), 5, 1.0, 3).shape == (5, 2)
    with pytest.warns(DeprecationWarning, match=r"rng\.legacy_generator"):
        assert scans.legacy_generator(3).randint(10) == np.random.RandomState(3).randint(10)
    with pytest.warns(DeprecationWarning, match=r"data\.split\.split_on_y"):
        assert len(scans.split_on_y([[0, 1], [1, 2]])) == 2
    for module in (objects, probes, scans):
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            _ = module.nothing
