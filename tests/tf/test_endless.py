"""Training without end: other data in every pass, a budget of minutes, runs that go on."""

import json
import time
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from networks import SCENARIO, losses, network
from scipy.ndimage import gaussian_filter

import ptycho_fast
from ptycho_fast import quality, train
from ptycho_fast.campaign import Campaign
from ptycho_fast.data.feed import Feed
from ptycho_fast.tf import Trainer, TrainSpec, prepare, run
from ptycho_fast.tf import train as trainers
from ptycho_fast.tf.recipes import RECIPES
from ptycho_fast.tf.summary import number
from ptycho_fast.tf.train import Watcher

ZOO = SCENARIO.replace(
    {
        "gridsize": 1,
        "probe.curvature": {"min": 1.0, "max": 6.0},
        "dose.nphotons": {"min": 1e4, "max": 1e6, "scale": "log"},
        "scan.n_patterns": {"choice": [20, 30]},
    }
)


class Interrupted(Exception):
    """In the place of Ctrl-C."""


class Stop(Watcher):
    """Interrupts a training in the middle of a pass."""

    def __init__(self, epoch, step):
        self.at = epoch, step

    def step(self, epoch, step, steps, loss):
        if (epoch, step) == self.at:
            raise Interrupted


@pytest.fixture(scope="module")
def feed():
    scenario = SCENARIO.replace({"scan.n_patterns": 24, "object.size": 70})
    return prepare(scenario, part="all", noise="unique", include_seed=True)


def trainer(feed, folder=None, net=None, **spec):
    spec = {"validation": 0, "schedule": "cosine"} | spec
    return Trainer(net or network(feed), TrainSpec(**spec), folder)


@pytest.fixture(scope="module")
def whole(feed):
    """A run of three passes."""
    one = trainer(feed, epochs=3)
    one.train(feed, renew="object")
    return one


def test_an_interrupted_stream_goes_on(feed, whole, tmp_path):
    """With the objects, photons and numbers of a run that nobody interrupted."""
    with pytest.raises(Interrupted):
        trainer(feed, tmp_path, epochs=3).train(feed, Stop(3, 2), renew="object")
    again = Trainer.resume(tmp_path)
    assert again.epoch == 2
    again.train(feed, renew="object")
    assert losses(again.history) == losses(whole.history)
    for a, b in zip(again.model.weights, whole.model.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_history_tells_who_used_the_processor(feed, whole):
    for values in whole.history:
        assert 0 < values["making_cpu_seconds"] < values["cpu_seconds"]
        assert 0 <= values["waiting_seconds"] < values["seconds"]
    assert whole.history[0]["groups"] == len(feed) == 24


def test_errors_of_the_next_object_reach_the_trainer(feed, monkeypatch):
    def broken(self, turn, what):
        raise OSError(f"object {turn} is gone")

    monkeypatch.setattr(Feed, "renewed", broken)
    one = trainer(feed, epochs=3, batch_size=12)
    with pytest.raises(OSError, match="object 1 is gone"):
        one.train(feed, renew="object")
    assert one.epoch == 1


# --- minutes ---


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second whenever it is read."""
    ticks = count()
    clock = SimpleNamespace(perf_counter=lambda: float(next(ticks)), process_time=time.process_time)
    monkeypatch.setattr(trainers, "time", clock)


def test_minutes_end_a_training(feed, tmp_path, clock):
    """In the middle of a pass; the learning rate follows the share of them."""
    one = trainer(feed, tmp_path, minutes=0.5)
    rates = []

    class Rates(Watcher):
        def step(self, epoch, step, steps, loss):
            rates.append(one.rate)

    one.train(feed, Rates(), renew="scan")
    assert one.seconds == pytest.approx(30, abs=4)
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(1e-3, rel=0.02)
    assert rates[-1] == pytest.approx(2e-5, rel=0.8)
    assert one.history[-1]["groups"] < one.history[0]["groups"]
    assert one.train(feed, renew="scan") is one.history  # the time is over

    again = Trainer.resume(tmp_path, minutes=1)
    before = again.seconds
    again.train(feed, renew="scan")
    assert again.seconds == pytest.approx(60, abs=4)
    spec = TrainSpec(schedule="cosine", minutes=1)
    assert Trainer.resume(tmp_path, epochs=5).spec.minutes is None
    middle = again.history[len(one.history)]["learning_rate"]
    assert spec.rate(1) < middle < spec.rate(before / 60)


def test_minutes_of_fixed_data(feed, clock):
    fixed = prepare(feed.data, part="train", n_groups=8)
    one = trainer(fixed, minutes=0.5)
    one.train(fixed)
    assert one.epoch > 2
    assert one.seconds == pytest.approx(30, abs=4)


def test_wrong_minutes():
    with pytest.raises(ValueError, match="minutes: 0 given"):
        TrainSpec(minutes=0)


# --- campaigns ---


def test_a_network_gets_the_probe_of_each_experiment():
    campaign = Campaign(ZOO)
    feed = prepare(campaign, part="all", noise="unique")
    net, seen = network(feed), []

    class Probes(Watcher):
        def step(self, epoch, step, steps, loss):
            if step == 1:
                seen.append(net.diffract.probe.numpy())

    trainer(feed, net=net, epochs=3).train(feed, Probes(), renew="experiment")
    for k, probe in enumerate(seen):
        expected = campaign.experiment(k).probe
        np.testing.assert_array_equal(probe, np.stack([expected.real, expected.imag]))
    assert not np.array_equal(seen[0], seen[1])
    held = feed.held_out(0)
    assert held.source.scenario.seeds.object == campaign.scenario(2**31).seeds.object


def test_nothing_to_renew(feed):
    with pytest.raises(ValueError, match="renew: 'experiment' given"):
        trainer(feed).train(feed, renew="experiment")


# --- runs ---


def test_recipe():
    data = ptycho_fast.simulate(SCENARIO)
    recipe = RECIPES["endless"].adapted(SCENARIO, held_out=2)
    one, test = recipe.feeds(data)
    judged = recipe.judged(one, test)
    assert (len(one), one.noise, one.augment) == (60, "unique", False)
    assert judged[0] is test
    assert len(judged) == 2
    fixed = RECIPES["full"].adapted(SCENARIO, held_out=2)
    for a, b in zip(fixed.judged(*fixed.feeds(data)), judged, strict=True):  # for comparisons
        np.testing.assert_array_equal(a.source.object, b.source.object)
        np.testing.assert_array_equal(a.groups.nn_indices, b.groups.nn_indices)
    with pytest.raises(ValueError, match="noise: False given, expected photon noise"):
        recipe.feeds(ptycho_fast.simulate(SCENARIO.replace({"noise": False})))
    zoo = RECIPES["full"].endless("experiment")
    assert zoo.feeds(Campaign(ZOO))[0].source.campaign


def test_numbers_of_a_curve():
    true = np.random.default_rng(0).random((40, 40)) + 1
    everywhere = np.ones(true.shape, bool)
    same = run._numbers(quality.compare(true, true, everywhere))
    assert same["frc_crossing"] == 0.5
    assert (same["ratio"], same["normalised_error"]) == pytest.approx((1, 0), abs=1e-9)
    blurred = gaussian_filter(true, 2)
    assert 0 < run._numbers(quality.compare(blurred, true, everywhere))["frc_crossing"] < 0.5


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command in a folder of its own; a small scenario and a data set without one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        SCENARIO.replace({"name": "mine", "scan.n_patterns": 24}).to_toml()
    )
    (tmp_path / "zoo.toml").write_text(ZOO.replace({"name": "zoo"}).to_toml())
    common = ["--out", "run", "--no-pictures", "--json", "--refine", "0"]
    return lambda *flags: train.main([*flags, *common])


def test_the_command(command, capsys):
    flags = ["mine.toml", "--endless", "--score-every", "1"]
    assert command(*flags, "--epochs", "1") == 0
    assert command(*flags, "--epochs", "2", "--resume") == 0
    with open("run/scores.json") as file:
        scores = json.load(file)
    assert [s["epoch"] for s in scores] == [0, 1, 2]
    assert [len(s["objects"]) for s in scores] == [2, 2, 2]
    assert all(np.isfinite(s[name]) for s in scores for name in ("pearson_r", "normalised_error"))
    assert scores[-1]["ratio"] == np.mean([one["ratio"] for one in scores[-1]["objects"]])
    with open("run/run_metadata.json") as file:
        metadata = json.load(file)
    assert metadata["untrained"] == scores[0]
    with open("run/summary.md") as file:
        assert f"has r = {number(scores[0]['pearson_r'])}" in file.read()
    training = metadata["training"]
    assert training["making_data_pct_of_cpu"] + training["training_pct_of_cpu"] == 100
    assert metadata["request"]["recipe"]["renew"] == "object"
    held = ptycho_fast.Dataset.load("run/data.npz")  # what the report is about
    assert held.scenario.seeds.object == SCENARIO.seeds.object + 2**31
    capsys.readouterr()
    assert command("mine.toml", "--endless", "--set", "N=32", "--resume") == 2
    assert "scenario.N was 16 and is 32" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_on_a_campaign(command, clock):
    assert command("zoo.toml", "--endless", "--minutes", "1", "--score-at", "0.2,1") == 0
    with open("run/scores.json") as file:
        minutes = [s["seconds"] / 60 for s in json.load(file)]
    assert len(minutes) == 3
    assert minutes[0] == 0
    assert 0.2 <= minutes[1] < 1 <= minutes[2]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("mine.toml --endless --epochs 2 --minutes 1", "--epochs, --minutes: both given"),
        ("mine.toml --endless --noise fresh", "--noise: each pattern of --endless"),
        ("mine.toml --endless --held-out 0", "held_out: 0 given"),
        ("mine.toml --minutes 1 --score-at 1,5", "score_at: 5 given, expected at most the 1 min"),
        ("mine.toml --minutes 0", "minutes: 0.0 given"),
        ("mine.toml --projections -1", "projections: -1 given"),
        ("mine.toml --object-loss -1", "object_loss: -1"),
        ("bare.npz --endless", "--endless: bare.npz has no scenario"),
        ("bare.npz --held-out 1", "--held-out: bare.npz has no scenario"),
        ("zoo.toml --epochs 1", "probe.curvature"),
        ("sizes.toml --endless", "N: "),
    ],
)
def test_flags_that_contradict_each_other(command, flags, message, capsys):
    with open("sizes.toml", "w") as file:
        file.write(ZOO.replace({"N": {"choice": [16, 32]}}).to_toml())
    if "bare" in flags:
        data = ptycho_fast.simulate(
            object=np.ones((60, 60)), probe=np.ones((16, 16)), positions=[[20, 20], [25.5, 22]],
            nphotons=1e4,
        )  # fmt: skip
        replace(data, scenario=None).save("bare.npz")
    assert command(*flags.split()) == 2
    assert message in capsys.readouterr().err
