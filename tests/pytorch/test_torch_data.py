"""The adapters for PyTorch: any number of workers and ranks, however they are started."""

import doctest
import pickle

import numpy as np
import pages
import pytest

import ptycho_fast
from ptycho_fast.data.pattern_feed import PatternFeed

torch = pytest.importorskip("torch", reason="torch is not installed: pip install .[torch]")

from torch.utils.data import DataLoader, DistributedSampler, RandomSampler  # noqa: E402

from ptycho_fast import torch_data  # noqa: E402
from ptycho_fast.torch_data import PatternDataset, PatternStream, collate  # noqa: E402

SCENARIO = ptycho_fast.Scenario.preset("gs2_ideal").replace(
    {"N": 16, "object.size": 90, "scan.n_patterns": 50, "dose.nphotons": 1e4}
)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # of few CPUs
]


@pytest.fixture(scope="module")
def sim():
    return ptycho_fast.Simulator(SCENARIO)


@pytest.fixture(scope="module")
def truth(sim):
    return torch.from_numpy(sim.frames(0, 50))


def seen(batches, truth):
    """The numbers of all patterns, which have the right bits."""
    numbers = []
    for batch in batches:
        assert torch.equal(batch["patterns"], truth[batch["index"]])
        numbers.append(batch["index"])
    return torch.cat(numbers).tolist()


# --- streams ---


@pytest.mark.parametrize("start", ["fork", "forkserver", "spawn"])
def test_workers_however_they_are_started(sim, truth, start):
    stream = PatternStream(sim, 8, shuffle=True, output="counts")
    alone = seen(stream, truth)
    assert sorted(alone) == list(range(50))
    loader = DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context=start)
    assert seen(loader, truth) == alone
    assert len(loader) == len(list(stream)) == 7


def test_three_workers_and_two_ranks_see_each_pattern_once(sim, truth):
    numbers = []
    for rank in range(2):
        stream = PatternStream(sim, 4, shuffle=True, output="counts", rank=rank, ranks=2)
        numbers += seen(DataLoader(stream, batch_size=None, num_workers=3), truth)
    assert sorted(numbers) == list(range(50))


def test_workers_that_go_on_living_are_told_of_the_epoch(sim):
    stream = PatternStream(sim, 8, shuffle=True, noise="fresh", output="counts")
    loader = DataLoader(stream, batch_size=None, num_workers=2, persistent_workers=True)
    for epoch in (0, 5):
        stream.set_epoch(epoch)
        feed = PatternFeed(sim, noise="fresh", output="counts")
        truth = torch.from_numpy(feed.batch(np.arange(50), epoch)["patterns"])
        first = seen(loader, truth)
        assert first == seen(stream, truth)
    stream.set_epoch(5, step=3)
    assert seen(loader, truth) == first[24:]


def test_epochs_without_a_break(sim):
    stream = PatternStream(sim, 8, shuffle=True, output="counts", epochs=3)
    loader = DataLoader(stream, batch_size=None, num_workers=2)
    alone, others = ([batch["index"].tolist() for batch in each] for each in (stream, loader))
    assert alone == others
    assert len(alone) == len(stream) == 21


def test_a_worker_makes_its_patterns_on_one_thread(sim):
    class Telling(PatternStream):
        def __iter__(self):
            yield torch.tensor(self.feed.threads or 0)

    assert [int(t) for t in DataLoader(Telling(sim), batch_size=None)] == [0]
    workers = DataLoader(Telling(sim), batch_size=None, num_workers=2)
    assert [int(t) for t in workers] == [1, 1]
    feed = PatternFeed(sim, threads=3)
    workers = DataLoader(Telling(feed), batch_size=None, num_workers=1)
    assert [int(t) for t in workers] == [3]


def test_ranks_are_those_of_torch_distributed(sim, tmp_path):
    if not torch.distributed.is_available():
        pytest.skip("torch.distributed is not available")
    store = f"file://{tmp_path}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        stream = PatternStream(sim, 50)
        assert len(list(stream)) == 1
    finally:
        torch.distributed.destroy_process_group()


def test_a_file_is_opened_by_each_worker(sim, tmp_path):
    data = ptycho_fast.simulate(SCENARIO)
    data.save(tmp_path / "scan.npz")
    stream = PatternStream(tmp_path / "scan.npz", 8, output="amplitude")
    truth = torch.from_numpy(data.amplitude())
    loader = DataLoader(stream, batch_size=None, num_workers=2)
    assert seen(loader, truth) == list(range(50))


def test_a_campaign_in_workers():
    campaign = ptycho_fast.Campaign(
        SCENARIO.replace({"scan.n_patterns": 12, "dose.nphotons": {"min": 1e3, "max": 1e5}}),
        count=4,
    )
    truth = torch.from_numpy(campaign.frames(0, 48))
    for shuffle in (False, True):
        stream = PatternStream(campaign, 5, shuffle=shuffle, output="counts")
        loader = DataLoader(stream, batch_size=None, num_workers=2)
        assert sorted(seen(loader, truth)) == list(range(48))
        with pytest.raises(TypeError, match="depends on the number of workers"):
            len(loader)


# --- by number ---


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("merge", [None, collate])
def test_patterns_by_number(sim, truth, workers, merge):
    dataset = PatternDataset(sim, output="counts", patches=True)
    assert len(dataset) == 50
    one = dataset[7]
    assert torch.equal(one["patterns"], truth[7])
    assert one["patches"].dtype == torch.complex64
    generator = torch.Generator().manual_seed(1)
    sampler = RandomSampler(dataset, generator=generator)
    loader = DataLoader(dataset, 8, sampler=sampler, num_workers=workers, collate_fn=merge)
    numbers = seen(loader, truth)
    assert sorted(numbers) == list(range(50))
    assert numbers != sorted(numbers)


def test_ranks_by_a_sampler(sim, truth):
    dataset = PatternDataset(sim, output="counts")
    numbers = []
    for rank in range(2):
        sampler = DistributedSampler(dataset, num_replicas=2, rank=rank)
        numbers += seen(DataLoader(dataset, 8, sampler=sampler, collate_fn=collate), truth)
    assert sorted(numbers) == list(range(50))


def test_fresh_photons_by_number(sim):
    dataset = PatternDataset(sim, output="counts", noise="fresh")
    zero = dataset[3]["patterns"]
    dataset.set_epoch(1)
    one = dataset[3]["patterns"]
    assert not torch.equal(zero, one)
    assert (
        abs(float(zero.double().sum() - one.double().sum())) < 8 * float(zero.double().sum()) ** 0.5
    )


# --- memory ---


def test_tensors_share_the_memory_of_the_arrays(sim):
    dataset = PatternDataset(sim, output="amplitude")
    rows = dataset.__getitems__([3, 4, 5])
    assert rows[1]["patterns"].data_ptr() == rows.tensors["patterns"][1].data_ptr()
    assert collate(rows) is rows.tensors
    copied = torch.utils.data.default_collate(rows)
    assert torch.equal(copied["patterns"], rows.tensors["patterns"])


def test_copies(sim, truth):
    for made in (PatternStream(sim, 8, output="counts"), PatternDataset(sim, output="counts")):
        made.set_epoch(4)
        copy = pickle.loads(pickle.dumps(made))
        assert copy.epoch == 4
    assert torch.equal(copy[3]["patterns"], truth[3])


def test_the_page_runs():
    blocks = [block for block in pages.blocks_of("docs/feeds.md") if block.needs_torch]
    assert len(blocks) == 2
    exec("\n".join(block.text for block in blocks), {"__name__": "page"})


def test_examples():
    assert doctest.testmod(torch_data).failed == 0


# --- what is wrong ---


def test_what_is_wrong_is_named(sim):
    with pytest.raises(ValueError, match="rank: 2 given"):
        PatternStream(sim, rank=2, ranks=2)
    with pytest.raises(TypeError, match="options: output given"):
        PatternStream(PatternFeed(sim), output="counts")
    with pytest.raises(ValueError, match="step: -1 given"):
        PatternStream(sim).set_epoch(0, step=-1)
    with pytest.raises(IndexError, match="50"):
        PatternDataset(sim)[50]
