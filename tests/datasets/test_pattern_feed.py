"""Patterns as batches from every source: the same bits, once each, and no more made than asked."""

import pickle
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptycho_fast
from ptycho_fast.data.feed import Stream, prepare
from ptycho_fast.data.order import Order
from ptycho_fast.data.pattern_feed import PatternFeed
from ptycho_fast.errors import ScenarioError
from ptycho_fast.simulation import dataset_of

SCENARIO = ptycho_fast.Scenario.preset("gs2_ideal").replace(
    {
        "N": 16,
        "object.size": 90,
        "scan.n_patterns": 50,
        "dose.nphotons": 1e4,
        "groups.n_train": 10,
        "groups.n_test": 6,
    }
)
ZOO = SCENARIO.replace({"scan.n_patterns": 12, "dose.nphotons": {"min": 1e3, "max": 1e5}})


@pytest.fixture(scope="module")
def sim():
    return ptycho_fast.Simulator(SCENARIO)


@pytest.fixture(scope="module")
def data(sim):
    return dataset_of(sim)


@pytest.fixture(scope="module")
def sources(sim, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("feed") / "scan.npz"
    data.save(path)
    lazy = dataset_of(sim, lazy=True)
    lazy.save(path.with_suffix(".toml"))
    return {"scenario": SCENARIO, "simulator": sim, "experiment": sim.experiment, "data set": data,
            "lazy": lazy, "file": path, "recipe": path.with_suffix(".toml")}  # fmt: skip


def all_of(feed, order=None, **how):
    batches = list(feed.batches(order, **how))
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


# --- sources ---


@pytest.mark.parametrize("output", ["counts", "amplitude"])
@pytest.mark.parametrize(
    "name", ["scenario", "simulator", "experiment", "data set", "lazy", "file", "recipe"]
)
def test_every_source_gives_the_same_patterns(sources, data, name, output):
    feed = PatternFeed(sources[name], output=output, patches=True)
    assert (feed.n_patterns, feed.N) == (50, 16)
    found = feed.batch([7, 49, 7, 0])
    assert list(found) == ["patterns", "positions", "patches", "index"]
    truth = data.counts if output == "counts" else data.amplitude()
    np.testing.assert_array_equal(found["patterns"], truth[[7, 49, 7, 0]])
    assert found["patterns"].dtype == feed.dtype
    np.testing.assert_array_equal(found["positions"], data.positions[[7, 49, 7, 0]])
    patches = ptycho_fast.extract_patches(data.object, data.positions[[7, 49, 7, 0]], 16)
    np.testing.assert_array_equal(found["patches"], patches)


@settings(deadline=None, max_examples=15)
@given(
    size=st.integers(1, 60),
    shuffle=st.booleans(),
    block=st.none() | st.integers(1, 60),
    ranks=st.integers(1, 3),
    workers=st.integers(1, 3),
)
def test_the_bits_do_not_depend_on_who_makes_them(sim, data, size, shuffle, block, ranks, workers):
    feed = PatternFeed(sim, output="counts")
    seen = []
    for rank in range(ranks):
        for worker in range(workers):
            how = {"rank": rank, "ranks": ranks, "worker": worker, "workers": workers}
            order = Order(batch_size=size, shuffle=shuffle, block=block, **how)
            for batch in feed.batches(order):
                np.testing.assert_array_equal(batch["patterns"], data.counts[batch["index"]])
                seen.extend(batch["index"])
    assert sorted(seen) == list(range(50))


def test_only_the_patterns_of_a_batch_are_made(sim):
    class Counting(ptycho_fast.Simulator):
        made = 0

        def frames(self, first, last=None, **how):
            Counting.made += len(first) if last is None else last - first
            return super().frames(first, last, **how)

    counting = Counting(SCENARIO)
    for source in (dataset_of(counting, lazy=True), counting):
        Counting.made = 0
        next(PatternFeed(source, output="counts").batches(Order(batch_size=50, ranks=10)))
        assert Counting.made == 50
        PatternFeed(source, output="counts").batch([3, 4])
        assert Counting.made == 52


def test_fresh_photons_have_the_same_mean_and_their_own_noise(sources, data):
    for source in (sources["simulator"], sources["data set"], sources["file"]):
        feed = PatternFeed(source, output="amplitude", noise="fresh")
        zero, one, two = (all_of(feed, epoch=epoch)["patterns"] for epoch in (0, 1, 2))
        np.testing.assert_allclose(zero, data.amplitude(), rtol=1e-6)
        lit = data.diffraction > 5
        assert (one != zero)[lit].mean() > 0.8
        assert (one != two)[lit].mean() > 0.8
        scale = data.intensity_scale**2
        photons = [scale * float(np.square(each, dtype=float).sum()) for each in (zero, one, two)]
        assert np.ptp(photons) < 8 * np.sqrt(np.mean(photons))  # Poisson: sqrt of 500,000
    fixed = PatternFeed(sources["simulator"])
    np.testing.assert_array_equal(all_of(fixed, epoch=3)["patterns"], all_of(fixed)["patterns"])


# --- epochs and steps ---


def test_a_run_goes_on_where_it_ended(sim):
    feed = PatternFeed(sim, noise="fresh")
    order = Order(batch_size=8, shuffle=True)
    whole = list(feed.batches(order, epochs=3))
    assert len(whole) == 21
    rest = list(feed.batches(order, epoch=1, epochs=2, first_step=3))
    for a, b in zip(whole[10:], rest, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("first_step", [0, 3])
def test_workers_in_turn_are_one_worker(sim, workers, first_step):
    """Over the end of an epoch too, and after a run that was ended."""
    feed = PatternFeed(sim, noise="fresh", output="counts")
    order = Order(batch_size=8, shuffle=True)
    how = {"epochs": 3, "first_step": first_step}
    turns = [feed.batches(order.of_worker(w, workers), **how) for w in range(workers)]
    for i, batch in enumerate(feed.batches(order, **how)):
        other = next(turns[i % workers])
        np.testing.assert_array_equal(batch["index"], other["index"])
        np.testing.assert_array_equal(batch["patterns"], other["patterns"])
    assert not [batch for turn in turns for batch in turn]


def test_ahead_and_without_end(sim):
    feed = PatternFeed(sim)
    order = Order(batch_size=20, shuffle=True)
    plain = list(islice(feed.batches(order, epochs=None), 7))
    ahead = feed.batches(order, epochs=None, ahead=2)
    for batch in plain:
        np.testing.assert_array_equal(batch["index"], next(ahead)["index"])
    ahead.close()


# --- campaigns ---


def test_a_campaign_is_one_long_row():
    campaign = ptycho_fast.Campaign(ZOO, count=5)
    feed = PatternFeed(campaign, output="counts", patches=True)
    assert len(feed) == 60
    found = all_of(feed, Order(batch_size=7))
    np.testing.assert_array_equal(found["index"], np.arange(60))
    np.testing.assert_array_equal(found["patterns"], campaign.frames(0, 60))
    for k in (0, 4):
        here, one = slice(12 * k, 12 * k + 12), campaign.experiment(k)
        np.testing.assert_array_equal(found["positions"][here], one.positions)
        patches = ptycho_fast.extract_patches(one.object, one.positions, 16)
        np.testing.assert_array_equal(found["patches"][here], patches)


def test_shuffled_experiments_are_made_once(monkeypatch):
    """Two blocks are as large as what is kept, so that no experiment is made again."""
    made = []
    real = ptycho_fast.Campaign.scenario
    monkeypatch.setattr(
        ptycho_fast.Campaign, "scenario", lambda self, k: made.append(k) or real(self, k)
    )
    feed = PatternFeed(ptycho_fast.Campaign(ZOO, count=6, kept=4), output="counts")
    found = all_of(feed, Order(batch_size=5, shuffle=True))
    assert sorted(found["index"]) == list(range(72))
    assert not (np.diff(found["index"]) == 1).all()
    assert sorted(set(made)) == list(range(6))
    assert len(made) <= 7  # the first one was needed before, to know its type


def test_a_scenario_with_ranges_is_a_campaign_without_end():
    feed = PatternFeed(ZOO, output="counts")
    assert "without end" in repr(feed)
    with pytest.raises(TypeError, match="without end"):
        len(feed)
    order = Order(batch_size=6, shuffle=True, block=24)
    found = np.concatenate([b["index"] for b in islice(feed.batches(order), 8)])
    assert sorted(found) == list(range(48))
    later = next(feed.batches(order, first_step=5))
    np.testing.assert_array_equal(later["index"], found[30:36])


def test_groups_of_a_campaign_go_on_with_its_experiments():
    campaign = ptycho_fast.Campaign(SCENARIO.replace({"dose.nphotons": {"min": 1e3, "max": 1e5}}))
    feed = prepare(campaign, noise="fixed", gridsize=1, n_groups=10, truth=True)
    batches = list(islice(feed.stream(Stream(batch_size=10, renew="experiment")), 3))
    first = [np.sort(b[1]["amplitude"].sum(axis=(1, 2, 3))) for b in batches]
    assert not np.allclose(first[0], first[1])
    data = campaign.dataset(2)
    targets = batches[2][1]
    assert abs(targets["object"]).mean() == pytest.approx(
        feed.gain * abs(data.object).mean(), rel=0.2
    )
    with pytest.raises(ValueError, match="renew: 'experiment' given"):
        prepare(SCENARIO).stream(Stream(renew="experiment"))


# --- groups of data that are not in memory ---


@pytest.mark.parametrize("noise", ["fixed", "fresh"])
def test_groups_of_lazy_data_are_those_of_data_in_memory(sources, data, noise):
    for name in ("lazy", "file"):
        feeds = [prepare(source, noise=noise) for source in (data, sources[name])]
        for a, b in zip(*(feed.epoch(1, 4) for feed in feeds), strict=True):
            np.testing.assert_allclose(a[0][0], b[0][0], rtol=1e-5)
            np.testing.assert_array_equal(a[0][1], b[0][1])


# --- other processes ---


def test_a_copy_opens_its_file_anew(sources):
    for name in ("simulator", "data set", "file"):
        feed = PatternFeed(sources[name], output="counts")
        text = pickle.dumps(feed)
        assert name != "file" or len(text) < 2000
        copy = pickle.loads(text)
        np.testing.assert_array_equal(copy.batch([3])["patterns"], feed.batch([3])["patterns"])


def test_threads_change_nothing(sim):
    feed = PatternFeed(sim, output="counts")
    one = feed.with_threads(1)
    assert (one.threads, feed.threads) == (1, None)
    np.testing.assert_array_equal(all_of(one)["patterns"], all_of(feed)["patterns"])


# --- what is wrong ---


def test_what_is_wrong_is_named(sim, data):
    with pytest.raises(IndexError, match="50"):
        PatternFeed(sim).batch([50])
    with pytest.raises(ValueError, match="output: 'photons' given"):
        PatternFeed(sim, output="photons")
    quiet = ptycho_fast.Simulator(SCENARIO, noise=False)
    with pytest.raises(ValueError, match="output: 'counts' of .* given"):
        PatternFeed(quiet, output="counts")
    with pytest.raises(ScenarioError, match="nothing_like_it"):
        PatternFeed("nothing_like_it")
    with pytest.raises(FileNotFoundError):
        PatternFeed("not_there.npz")
    with pytest.raises(ScenarioError, match="N: "):
        PatternFeed(SCENARIO.replace({"N": {"choice": [16, 32]}}))
    with pytest.raises(ValueError, match="epochs: 0 given"):
        PatternFeed(sim).batches(epochs=0)
