"""Patterns as a tf.data stream: the bits, the order and the epochs of the plain feed."""

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.data.order import Order
from ptycho_fast.data.pattern_feed import PatternFeed
from ptycho_fast.tf import patterns

SCENARIO = ptycho_fast.Scenario.preset("gs2_ideal").replace(
    {"N": 16, "object.size": 90, "scan.n_patterns": 50, "dose.nphotons": 1e4}
)


@pytest.fixture(scope="module")
def sim():
    return ptycho_fast.Simulator(SCENARIO)


@pytest.mark.parametrize("workers", [0, 2, 4])
def test_batches_are_those_of_the_feed(sim, workers):
    options = {"output": "counts", "patches": True, "noise": "fresh"}
    order = Order(batch_size=8, shuffle=True, rank=1, ranks=2)
    stream = patterns(sim, order, workers=workers, **options)
    feed = PatternFeed(sim, **options)
    for epoch in (0, 1):  # each iteration is the next epoch
        both = zip(stream, feed.batches(order, epoch=epoch), strict=True)
        for batch, expected in both:
            assert batch.keys() == expected.keys()
            for name in batch:
                np.testing.assert_array_equal(batch[name].numpy(), expected[name])
            assert batch["patterns"].shape[1:] == (16, 16)


def test_ranks_see_each_pattern_once_and_a_run_goes_on(sim):
    numbers = []
    for rank in range(3):
        order = Order(batch_size=7, rank=rank, ranks=3)
        numbers += [int(n) for batch in patterns(sim, order, workers=2) for n in batch["index"]]
    assert sorted(numbers) == list(range(50))
    order = Order(batch_size=7, shuffle=True)
    whole = [batch["index"].numpy().tolist() for batch in patterns(sim, order, epoch=3)]
    rest = [b["index"].numpy().tolist() for b in patterns(sim, order, epoch=3, first_step=5)]
    assert rest == whole[5:]


def test_a_campaign_without_end():
    zoo = SCENARIO.replace({"scan.n_patterns": 12, "dose.nphotons": {"min": 1e3, "max": 1e5}})
    stream = patterns(zoo, Order(batch_size=6, shuffle=True), workers=2, output="counts")
    campaign = ptycho_fast.Campaign(zoo)
    for batch in stream.take(4):
        expected = campaign.frames(batch["index"].numpy())
        np.testing.assert_array_equal(batch["patterns"].numpy(), expected)


def test_what_is_wrong_is_named(sim):
    with pytest.raises(ValueError, match="workers: -1 given"):
        patterns(sim, workers=-1)
    with pytest.raises(TypeError, match="options: output given"):
        patterns(PatternFeed(sim), output="counts")
    with pytest.raises(ValueError, match=r"epoch: \d+ given, expected 0 to 4194304"):
        patterns(sim, epoch=2**23)
