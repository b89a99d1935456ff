"""Campaigns: experiment k is a pure function of the scenario and k, and every draw is recorded."""

import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import ptycho_fast
from ptycho_fast import Campaign, Scenario, ScenarioError, Simulator, rng
from ptycho_fast.scenario.draws import key_seed

SMALL = Scenario.preset("gs2_ideal").replace(
    {"name": "zoo", "N": 16, "object.size": 90, "scan.n_patterns": 5, "dose.nphotons": 1e5}
)
ZOO = SMALL.replace(
    {
        "object": {
            "choice": [
                {"kind": "lines", "size": {"min": 60, "max": 90}},
                {"kind": "lines", "size": 100},
            ]
        },
        "dose.nphotons": {"min": 1e3, "max": 1e6, "scale": "log"},
        "probe.curvature": {"normal": [0.0, 2.0]},
        "scan.n_patterns": {"min": 2, "max": 6},
        "groups.order": {"choice": ["fixed", "random"]},
    }
)
MANY = range(1000)


def values(key, what):
    """Draws of one key in many experiments."""
    campaign = Campaign(SMALL.replace({key: what}))
    return np.array([campaign.draws(k)[key] for k in MANY])


# --- purity ---


def test_an_experiment_does_not_depend_on_the_others():
    numbers = [7, 0, 3, 2**32 - 1]
    first = {k: Campaign(ZOO).scenario(k) for k in numbers}
    again = Campaign(ZOO)
    assert {k: again.scenario(k) for k in reversed(numbers)} == first
    assert {k: again.scenario(k) for k in numbers} == first
    copied = pickle.loads(pickle.dumps(again))
    with ThreadPoolExecutor(4) as pool:
        assert dict(zip(numbers, pool.map(copied.scenario, numbers), strict=True)) == first
    assert Campaign(Scenario.from_toml(ZOO.to_toml())).scenario(7) == first[7]


def test_numbers_that_must_not_change():
    """Of the published definition; other values would make other data of an old scenario."""
    campaign = Campaign(ZOO)
    assert campaign.draws(0) == {
        "probe.curvature": -0.220596402964,
        "scan.n_patterns": 4,
        "dose.nphotons": 297337.342067,
        "groups.order": "fixed",
        "object.choice": 0,
        "object.kind": "lines",
        "object.size": 84,
    }
    assert campaign.scenario(0).seeds.photons == 6279208953235643675
    assert rng.words(key_seed(42, "N"), "campaign", np.array(3)).tolist() == [
        976128757,
        11478177,
        2639144445,
        3078774118,
    ]


def test_a_drawn_scenario_is_one_without_ranges():
    for k in range(20):
        scenario = Campaign(ZOO).scenario(k)
        scenario.require_runnable()
        draws = Campaign(ZOO).draws(k)
        assert scenario.dose.nphotons == draws["dose.nphotons"]
        assert scenario.object.size == draws.get("object.size", 100)
        assert scenario.object.kind == draws["object.kind"]
        assert ("object.size" in draws) == (draws["object.choice"] == 0)
        assert scenario.seeds.campaign == ZOO.seeds.campaign


def test_a_key_more_or_less_changes_no_other_draw():
    campaign, draws = Campaign(ZOO), Campaign(ZOO).draws(5)
    for key in campaign.drawn:
        if "." in key and not key.startswith("object"):
            fewer = Campaign(ZOO.replace({key: getattr_path(Scenario(), key)}))
            assert key not in fewer.drawn
            assert fewer.draws(5) == {name: draws[name] for name in draws if name != key}
            assert fewer.scenario(5).seeds == campaign.scenario(5).seeds
    more = Campaign(ZOO.replace({"probe.scale": {"min": 1, "max": 2}}))
    assert {name: value for name, value in more.draws(5).items() if name in draws} == draws


def getattr_path(scenario, key):
    table, name = key.split(".")
    return getattr(getattr(scenario, table), name)


def test_another_campaign_seed_draws_anew():
    other = Campaign(ZOO.replace({"seeds.campaign": 43}))
    assert other.draws(0)["dose.nphotons"] != Campaign(ZOO).draws(0)["dose.nphotons"]
    assert other.scenario(0).seeds.object != Campaign(ZOO).scenario(0).seeds.object
    with pytest.raises(ScenarioError, match=r"seeds.campaign: .* it cannot be drawn"):
        ZOO.replace({"seeds.campaign": {"min": 1, "max": 2}})


# --- seeds ---


def test_seeds_differ():
    seeds = [Campaign(SMALL).scenario(k).seeds for k in range(500)]
    for name in ("object", "probe", "scan", "photons", "groups", "detector"):
        assert len({getattr(s, name) for s in seeds}) == 500
    assert {s.campaign for s in seeds} == {42}
    together = np.array([[s.object, s.scan] for s in seeds], float).T
    assert abs(np.corrcoef(together)[0, 1]) < 0.2
    other = Campaign(SMALL.replace({"seeds.photons": 7})).scenario(0).seeds
    assert (other.object, other.photons != seeds[0].photons) == (seeds[0].object, True)


def test_a_seed_that_is_drawn_is_left_as_drawn():
    campaign = Campaign(SMALL.replace({"seeds.object": {"choice": [42]}}))
    one, two = campaign.experiment(0), campaign.experiment(1)
    assert one.scenario.seeds.object == two.scenario.seeds.object == 42
    np.testing.assert_array_equal(one.object, two.object)
    assert (one.positions != two.positions).any()


# --- distributions ---


@pytest.mark.parametrize(
    ("key", "what", "law"),
    [
        ("dose.nphotons", {"min": 10, "max": 30}, stats.uniform(10, 20)),
        (
            "dose.nphotons",
            {"min": 1e3, "max": 1e9, "scale": "log"},
            stats.loguniform(1e3, 1e9),
        ),
        ("probe.curvature", {"normal": [1.0, 2.0]}, stats.norm(1, 2)),
        (
            "probe.curvature",
            {"normal": [1.0, 2.0], "min": 0, "max": 2},
            stats.truncnorm(-0.5, 0.5, 1, 2),
        ),
        ("probe.scale", {"normal": [0.1, 1.0]}, stats.truncnorm(-0.1, np.inf, 0.1, 1)),
        (
            "probe.curvature",  # far out in the upper tail, and in the lower one
            {"normal": [0.0, 1.0], "min": 40, "max": 41},
            stats.expon(40, 1 / 40),
        ),
        ("probe.scale", {"normal": [-50.0, 1.0]}, stats.expon(0, 1 / 50)),
    ],
)
def test_distributions(key, what, law):
    found = values(key, what)
    assert stats.kstest(found, law.cdf).pvalue > 1e-3
    low, high = law.support()
    assert (low <= found).all()
    assert (found <= high).all()


@pytest.mark.parametrize(("low", "high"), [(1, 1), (8, 10), (100, 700)])
def test_integers_include_both_ends_without_bias(low, high):
    found = values("scan.n_patterns", {"min": low, "max": high})
    assert (found.min(), found.max()) == (low, high)
    if high > low:
        counts = np.bincount(found - low, minlength=high - low + 1)
        assert stats.chisquare(counts).pvalue > 1e-3


def test_large_integers():
    campaign = Campaign(SMALL.replace({"seeds.photons": {"min": 0, "max": 2**64 - 1}}))
    found = [campaign.draws(k)["seeds.photons"] for k in range(500)]
    assert all(type(seed) is int for seed in found)
    assert stats.kstest(np.array(found, float) / 2**64, "uniform").pvalue > 1e-3


def test_integers_uniform_in_the_logarithm():
    found = values("scan.n_patterns", {"min": 1, "max": 30, "scale": "log"})
    ends = np.arange(1, 32) - 0.5
    chances = np.diff(np.log(ends)) / math.log(30.5 / 0.5)
    counts = np.bincount(found, minlength=31)[1:]
    assert stats.chisquare(counts, chances * len(found)).pvalue > 1e-3


def test_normal_integers():
    found = values("scan.n_patterns", {"normal": [3, 2], "min": 2, "max": 5})
    law = stats.norm(3, 2)
    chances = np.diff(law.cdf(np.arange(2, 7) - 0.5))
    counts = np.bincount(found, minlength=6)[2:]
    assert stats.chisquare(counts, chances / chances.sum() * len(found)).pvalue > 1e-3


@settings(deadline=None, max_examples=100)
@given(
    mean=st.floats(-1e9, 1e9),
    std=st.floats(1e-6, 1e6),
    k=st.integers(0, 2**32 - 1),
    key=st.sampled_from(
        ["probe.scale", "scan.n_patterns", "seeds.photons", "split.train_fraction"]
    ),
)
def test_a_normal_draw_is_always_allowed(mean, std, k, key):
    campaign = Campaign(SMALL.replace({key: {"normal": [mean, std]}}))
    assert getattr_path(campaign.scenario(k), key) == campaign.draws(k)[key]


@settings(deadline=None, max_examples=100)
@given(
    ends=st.tuples(*[st.floats(1e-300, 1e300)] * 2).map(sorted),
    scale=st.sampled_from(["linear", "log"]),
    k=st.integers(0, 2**32 - 1),
)
def test_a_range_is_kept(ends, scale, k):
    low, high = ends
    what = {"min": low, "max": high, "scale": scale}
    drawn = Campaign(SMALL.replace({"dose.nphotons": what})).draws(k)["dose.nphotons"]
    assert low <= drawn <= high
    assert drawn in (low, high, float(f"{drawn:.12g}"))


def test_choices():
    found = values("groups.order", {"choice": ["fixed", "random"]})
    assert stats.binomtest(int((found == "random").sum()), len(found)).pvalue > 1e-3
    campaign = Campaign(SMALL.replace({"object": ZOO.object.to_dict()}))
    tables = [campaign.draws(k)["object.choice"] for k in MANY]
    assert stats.binomtest(sum(tables), len(tables)).pvalue > 1e-3
    assert {n for n in values("N", {"choice": [64, 128, 64]})} == {64, 128}


def test_draws_of_two_keys_and_of_neighbours_are_independent():
    both = SMALL.replace(
        {"dose.nphotons": {"min": 1, "max": 2}, "probe.scale": {"min": 1, "max": 2}}
    )
    drawn = [Campaign(both).draws(k) for k in MANY]
    x, y = (np.array([d[key] for d in drawn]) for key in ("dose.nphotons", "probe.scale"))
    assert abs(np.corrcoef(x, y)[0, 1]) < 4 / math.sqrt(len(x))
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 4 / math.sqrt(len(x))


# --- experiments ---


def test_an_experiment_is_its_scenario_alone():
    campaign = Campaign(ZOO)
    for k in (0, 4):
        expected = ptycho_fast.simulate(campaign.scenario(k))
        data = campaign.dataset(k)
        np.testing.assert_array_equal(data.counts, expected.counts)
        assert data.provenance["campaign"] == campaign.record(k)
        assert data.provenance["campaign"]["draws"] == campaign.draws(k)


def test_a_file_is_enough_to_make_experiment_and_campaign_again(tmp_path):
    data = Campaign(ZOO).dataset(3)
    data.save(tmp_path / "three.npz")
    read = ptycho_fast.Dataset.load(tmp_path / "three.npz")
    again = ptycho_fast.simulate(read.scenario)
    np.testing.assert_array_equal(again.counts, data.counts)
    record = read.provenance["campaign"]
    campaign = Campaign(Scenario.from_dict(record["scenario"]))
    assert campaign.scenario(record["k"]) == read.scenario
    assert campaign.draws(record["k"]) == record["draws"]


def test_simulators_are_kept():
    campaign = Campaign(ZOO, kept=2)
    one = campaign.simulator(1)
    assert campaign.simulator(1) is one
    campaign.simulator(2)
    assert campaign.simulator(1) is one
    campaign.simulator(3)
    campaign.simulator(4)
    assert campaign.simulator(1) is not one
    with ThreadPoolExecutor(4) as pool:
        assert len(set(map(id, pool.map(Campaign(ZOO).simulator, [0] * 8)))) == 1


def test_repr():
    assert repr(Campaign(SMALL, count=3)) == (
        "Campaign('zoo', 3 experiments, draws the seeds alone)"
    )
    assert "without end, draws probe.curvature, scan.n_patterns, dose" in repr(Campaign(ZOO))


# --- one index across experiments ---


@pytest.mark.parametrize("scenario", [SMALL, ZOO], ids=["fixed", "drawn"])
def test_frames_across_experiments(scenario):
    campaign = Campaign(scenario, count=6)
    parts = [Simulator(campaign.scenario(k)).frames(0, campaign.n_patterns(k)) for k in range(6)]
    whole = np.concatenate(parts)
    np.testing.assert_array_equal(campaign.frames(0, len(whole)), whole)
    some = [len(whole) - 1, 0, 4, 5, 6, 5, 11]
    np.testing.assert_array_equal(campaign.frames(some), whole[some])
    np.testing.assert_array_equal(Campaign(scenario).frames(some), whole[some])
    out = np.empty((3, 16, 16), np.uint32)
    assert campaign.frames(3, 6, out=out) is out
    np.testing.assert_array_equal(out, whole[3:6])
    assert campaign.frames([]).shape == (0, 16, 16)
    with pytest.raises(IndexError, match=f"indices: {len(whole)} given, expected 0 to"):
        campaign.frames([len(whole)])
    k, pattern = campaign.locate(np.arange(len(whole)))
    assert [(k == i).sum() for i in range(6)] == [len(part) for part in parts]
    assert all((pattern[k == i] == np.arange(len(part))).all() for i, part in enumerate(parts))


def test_other_exposures():
    campaign = Campaign(SMALL)
    sim = campaign.simulator(1)
    np.testing.assert_array_equal(campaign.frames([6], epoch=2), sim.frames([1], epoch=2))


def test_drawn_numbers_of_patterns_of_a_choice_of_scans():
    scenario = SMALL.replace(
        {
            "scan": {
                "choice": [
                    {"kind": "random", "n_patterns": {"min": 2, "max": 9}},
                    {"kind": "random", "n_patterns": 20},
                ]
            }
        }
    )
    campaign = Campaign(scenario)
    counts = [campaign.scenario(k).scan.n_patterns for k in range(50)]
    assert [campaign.n_patterns(k) for k in range(50)] == counts
    assert {20} < set(counts)
    k, _ = campaign.locate(np.arange(sum(counts)))
    np.testing.assert_array_equal(np.bincount(k), counts)


@pytest.mark.parametrize(
    ("key", "what"), [("N", {"choice": [16, 32]}), ("noise", {"choice": [True, False]})]
)
def test_frames_of_different_shapes_do_not_mix(key, what):
    campaign = Campaign(SMALL.replace({key: what}))
    with pytest.raises(ScenarioError, match=f"{key}: .* one value for frames across") as caught:
        campaign.frames(0, 2)
    assert caught.value.key == key
    assert len(campaign.simulator(1).frames(0, 2)) == 2


def test_a_scan_of_unknown_length_has_no_index(tmp_path):
    np.savetxt(tmp_path / "xy.csv", np.full((3, 2), 40.0), delimiter=",")
    campaign = Campaign(SMALL.replace({"scan": {"kind": "file", "file": str(tmp_path / "xy.csv")}}))
    assert campaign.n_patterns(0) is None
    assert len(campaign.dataset(1).counts) == 3
    with pytest.raises(ScenarioError, match=r"scan.n_patterns: nothing given, .* across experi"):
        campaign.frames(0, 2)


# --- what cannot be ---


def test_an_experiment_that_cannot_be_made_names_itself():
    campaign = Campaign(SMALL.replace({"scan.buffer": {"min": 10, "max": 80}}))
    numbers = range(30)
    impossible = [k for k in numbers if 2 * campaign.draws(k)["scan.buffer"] >= 90]
    assert 0 < len(impossible) < 30
    for k in numbers:
        if k not in impossible:
            campaign.scenario(k)
            continue
        with pytest.raises(ScenarioError) as caught:
            campaign.simulator(k)
        text = str(caught.value)
        drawn = campaign.draws(k)["scan.buffer"]
        assert text.startswith(
            f"experiment {k} (scan.buffer = {drawn}): scan.buffer: {drawn} given"
        )
        assert text.endswith(f"leave this experiment out (--skip {k})")
        assert caught.value.key == "scan.buffer"


def test_too_high_a_dose_is_found_with_the_frames():
    campaign = Campaign(SMALL.replace({"dose.nphotons": {"min": 1e14, "max": 1e15}}))
    with pytest.raises(ScenarioError, match=r"experiment 1 \(dose.nphotons = .* given"):
        campaign.frames(5, 7)


def test_wrong_arguments():
    for k in (-1, 2**32, 1.5):
        with pytest.raises((ValueError, TypeError), match="k: "):
            Campaign(SMALL).scenario(k)
    with pytest.raises(ValueError, match="k: 3 given, expected 0 to 2"):
        Campaign(SMALL, count=3).draws(3)
    with pytest.raises(ValueError, match="count: 0"):
        Campaign(SMALL, count=0)
    with pytest.raises(ValueError, match="epoch: -1"):
        Campaign(SMALL).frames(0, 1, epoch=-1)
    with pytest.raises(ScenarioError, match="preset"):
        Campaign("no such scenario")
