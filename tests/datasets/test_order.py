"""Shuffling without a table, and patterns dealt to ranks and workers."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ptycho_fast.data.order import Order
from ptycho_fast.permutation import LONGEST, Permutation

# --- the permutation ---


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 3000),
    seed=st.integers(0, 2**64 - 1),
    epoch=st.integers(0, 2**40),
    tweak=st.integers(0, 2**64 - 1),
)
def test_every_number_once(n, seed, epoch, tweak):
    there = Permutation(n, seed, epoch)(np.arange(n), np.full(n, tweak, np.uint64))
    np.testing.assert_array_equal(np.sort(there), np.arange(n))


def test_a_number_depends_on_nothing_beside_it():
    shuffled = Permutation(10**9, 3)
    numbers = np.array([5, 999_999_999, 0, 123_456_789])
    together = shuffled(numbers)
    assert [int(shuffled(numbers[i : i + 1])[0]) for i in range(4)] == together.tolist()
    assert len(set(together.tolist())) == 4


@pytest.mark.parametrize("n", [10**9 + 7, 2**40, LONGEST])
def test_long_ones_have_no_collision_and_no_bound_is_passed(n):
    numbers = np.concatenate([np.arange(20_000), n - 1 - np.arange(20_000)])
    there = Permutation(n, 1)(numbers)
    assert there.min() >= 0
    assert there.max() < n
    assert len(np.unique(there)) == len(numbers)


@pytest.mark.parametrize("n", [2, 3, 5, 7, 16])
def test_each_place_is_equally_likely(n):
    """Of a short permutation, which is the hardest: where each number goes, over many tweaks."""
    many = 20_000
    there = Permutation(n, 7)(np.tile(np.arange(n), many), np.repeat(np.arange(many), n))
    table = np.array([np.bincount(column, minlength=n) for column in there.reshape(many, n).T])
    chi = ((table - many / n) ** 2 / (many / n)).sum()
    assert 1e-4 < stats.chi2.sf(chi, (n - 1) ** 2) < 1 - 1e-4


def test_all_orders_of_four_appear():
    """24 orders; with epochs as well as with tweaks in the place of seeds."""
    epochs = {tuple(Permutation(4, 1, epoch)(np.arange(4))) for epoch in range(600)}
    tweaked = Permutation(4, 1)(np.tile(np.arange(4), 600), np.repeat(np.arange(600), 4))
    assert len(epochs) == 24
    assert len({tuple(row) for row in tweaked.reshape(600, 4)}) == 24


def test_neighbours_are_torn_apart():
    """Correlation of places and numbers, and steps of neighbours: as of independent numbers."""
    n = 100_000
    there = Permutation(n, 5)(np.arange(n))
    other = Permutation(n, 5, 1)(np.arange(n))
    for a, b in ((np.arange(n), there), (there[:-1], there[1:]), (there, other)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(n)
    steps = np.diff(there) % n
    assert stats.kstest(steps / n, "uniform").pvalue > 1e-4


# --- dealing ---


def together(order, n, epoch=0):
    """Batches of all ranks and workers."""
    return [
        batch
        for rank in range(order["ranks"])
        for worker in range(order["workers"])
        for batch in Order(**order, rank=rank, worker=worker).batches(n, epoch=epoch)
    ]


ORDERS = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 20),
        "shuffle": st.booleans(),
        "block": st.none() | st.integers(1, 70),
        "ranks": st.integers(1, 5),
        "workers": st.integers(1, 4),
        "seed": st.integers(0, 2**64 - 1),
    }
)


@settings(deadline=None, max_examples=100)
@given(order=ORDERS, n=st.integers(0, 400), epoch=st.integers(0, 9))
def test_all_patterns_appear_once_whatever_the_numbers(order, n, epoch):
    numbers = [int(number) for batch in together(order, n, epoch) for number in batch]
    assert sorted(numbers) == list(range(n))


@settings(deadline=None, max_examples=60)
@given(order=ORDERS, n=st.integers(0, 400))
def test_without_the_rest_all_ranks_have_as_many_full_batches(order, n):
    per_rank = []
    for rank in range(order["ranks"]):
        batches = [
            batch
            for worker in range(order["workers"])
            for batch in Order(**order, rank=rank, worker=worker, drop_last=True).batches(n)
        ]
        assert all(len(batch) == order["batch_size"] for batch in batches)
        per_rank.append(len(batches))
    assert len(set(per_rank)) == 1
    if order["block"] is None:
        assert per_rank[0] == n // order["batch_size"] // order["ranks"]


@settings(deadline=None, max_examples=60)
@given(order=ORDERS, n=st.integers(1, 400), step=st.integers(0, 30))
def test_steps_are_counted_and_left_out(order, n, step):
    one = Order(**order)
    batches = list(one.batches(n))
    assert one.steps(n) == len(batches)
    assert one.share(n) == sum(map(len, batches))
    rest = list(one.batches(n, first_step=step))
    assert len(rest) == max(0, len(batches) - step)
    for a, b in zip(batches[step:], rest, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_batches_do_not_depend_on_the_number_of_workers(workers):
    """A loader asks its workers in turn: the same batches come in the same order."""
    order = Order(batch_size=4, shuffle=True, rank=1, ranks=2)
    alone = list(order.batches(103))
    turns = [order.of_worker(w, workers).batches(103) for w in range(workers)]
    for i, batch in enumerate(alone):
        np.testing.assert_array_equal(next(turns[i % workers]), batch)
    assert not [batch for turn in turns for batch in turn]


def test_epochs_have_their_own_orders():
    first, second = (
        np.concatenate(list(Order(shuffle=True).batches(500, epoch=epoch))) for epoch in (0, 1)
    )
    assert (first != second).mean() > 0.98


def test_blocks_stay_together_and_are_mixed_inside():
    order = Order(batch_size=10, shuffle=True, block=50)
    numbers = np.concatenate(list(order.batches(1020)))
    blocks = numbers[:1000].reshape(20, 50) // 50
    assert (blocks == blocks[:, :1]).all()
    assert (blocks[:, 0] != np.arange(20)).any()
    assert not (numbers[:50] == np.sort(numbers[:50])).all()
    assert (numbers[:50] % 50 != numbers[50:100] % 50).any()
    assert sorted(numbers[1000:]) == list(range(1000, 1020))  # the rest stays at the end


def test_without_end():
    order = Order(batch_size=8, shuffle=True, block=32, worker=1, workers=2)
    batches = list(islice(order.batches(None), 8))
    assert sorted(np.concatenate(batches[:4])) == list(range(32, 64))
    assert sorted(np.concatenate(batches[4:])) == list(range(96, 128))
    np.testing.assert_array_equal(next(order.batches(None, first_step=6)), batches[6])


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"rank: 2 given, expected 0 to 1"):
        Order(rank=2, ranks=2)
    with pytest.raises(ValueError, match=r"block: None given.*without end"):
        Order(shuffle=True).batches(None)
    with pytest.raises(ValueError, match="first_step: -1 given"):
        Order().batches(5, first_step=-1)
    with pytest.raises(TypeError, match="batch_size"):
        Order(batch_size=2.5)
