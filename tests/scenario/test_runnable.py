"""What a run needs of a scenario."""

import pytest

from ptycho_fast.errors import ScenarioError
from ptycho_fast.scenario import Scenario, SplitSpec

# ---- what a run needs ----------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["object", "probe"])
def test_a_file_kind_needs_its_file(table):
    scenario = Scenario().replace({f"{table}.kind": "file"})
    with pytest.raises(ScenarioError) as caught:
        scenario.require_runnable()
    assert caught.value.key == f"{table}.file"
    assert str(caught.value) == (
        f"{table}.file: nothing given, expected path of an .npz with '{table}Guess', of an .npy, "
        "or of any file of a data set or a reconstruction that is read"
    )
    scenario.replace({f"{table}.file": "mine.npz"}).require_runnable()


@pytest.mark.parametrize("name", ["gs1_custom", "gs2_custom"])
def test_custom_presets_load_and_wait_for_their_probe(name):
    with pytest.raises(ScenarioError, match=r"^probe\.file: nothing given"):
        Scenario.preset(name).require_runnable()


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
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
        {"noise": False},
    ],
)
def test_combinations_that_can_run(changes):
    Scenario().replace(changes).require_runnable()


@pytest.mark.parametrize(
    ("changes", "key", "limit"),
    [
        (
            {"scan.n_patterns": 511},
            "groups.n_train",
            "<= 255, the number of train patterns",
        ),
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
    assert f"given, expected an integer {limit}" in str(caught.value)


@pytest.mark.parametrize(
    ("fraction", "n_patterns", "sizes"),
    [(0.5, 1024, (512, 512)), (0.5, 7, (3, 4)), (0.9, 10, (9, 1)), (0.1, 5, (0, 5))],
)
def test_split_sizes(fraction, n_patterns, sizes):
    assert SplitSpec(train_fraction=fraction).sizes(n_patterns) == sizes


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dose.nphotons", {"min": 1e5, "max": 1e9, "scale": "log"}),
        ("N", {"choice": [64, 128]}),
        ("probe.curvature", {"normal": [0.0, 1.0]}),
        ("object", {"choice": [{"kind": "lines", "size": 64}, {"kind": "file", "file": "o.npy"}]}),
    ],
)
def test_what_is_not_drawn_yet_cannot_run(key, value):
    scenario = Scenario().replace({key: value})
    assert list(scenario.undrawn()) == [key]
    with pytest.raises(ScenarioError) as caught:
        scenario.require_runnable()
    assert caught.value.key == key
    assert str(caught.value) == (
        f"{key}: {value} given, expected one value to simulate; a campaign (Campaign, or simulate "
        "--count) draws one for each experiment"
    )
