"""The feed: batches from a scenario, a data set or a file, the same every time."""

import hashlib
import threading
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import scaling
from ptycho_fast.data.feed import Feed, Stream, prepare
from ptycho_fast.data.grouping import grouped
from ptycho_fast.data.symmetry import SYMMETRIES, channel_order

SCENARIO = ptycho_fast.Scenario.preset("gs2_ideal").replace(
    {
        "N": 16,
        "object.size": 90,
        "scan.n_patterns": 40,
        "dose.nphotons": 1e4,
        "groups.n_train": 10,
        "groups.n_test": 6,
    }
)


@pytest.fixture(scope="module")
def data():
    return ptycho_fast.simulate(SCENARIO)


@pytest.fixture(scope="module")
def feed(data):
    return prepare(data)


def flat(batch):
    """The arrays of a batch."""
    inputs, targets = batch
    return [*inputs, *(targets[name] for name in sorted(targets))]


def same(batches, others):
    for one, other in zip(batches, others, strict=True):
        for a, b in zip(flat(one), flat(other), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_batch_is_the_grouped_arrays(data):
    feed = prepare(data)
    arrays = grouped(data.amplitude(), data.groups("train"))
    (amplitude, offsets), targets = next(feed.epoch(0, 10, shuffle=False))
    s = scaling.dataset_intensity_scale(
        1e4, float(np.square(arrays["diffraction"], dtype=float).sum(axis=(1, 2, 3)).mean())
    )
    assert feed.intensity_scale == pytest.approx(s, rel=1e-12)
    assert feed.gain == pytest.approx(scaling.normalise_gain(arrays["diffraction"], 16), rel=1e-12)
    np.testing.assert_allclose(amplitude, np.float32(s) * arrays["X_full"], rtol=1e-6)
    np.testing.assert_allclose(offsets, arrays["coords_relative"], rtol=1e-6)
    assert list(targets) == ["amplitude", "intensity"]
    np.testing.assert_array_equal(targets["amplitude"], amplitude)
    np.testing.assert_array_equal(targets["intensity"], amplitude**2)


def test_sources_agree(data, tmp_path):
    data.save(tmp_path / "d.npz")
    feeds = [prepare(SCENARIO), prepare(data), prepare(tmp_path / "d.npz")]
    for feed in feeds[1:]:
        for one, other in zip(feeds[0].epoch(1, 4), feed.epoch(1, 4), strict=True):
            for a, b in zip(flat(one), flat(other), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5)


def test_shuffle_and_seed(data):
    def order(feed, epoch, **options):
        return [float(b[0][1][0, 0, 0, 0]) for b in feed.epoch(epoch, 1, **options)]

    feed = prepare(data)
    in_order = order(feed, 0, shuffle=False)
    assert in_order == order(feed, 5, shuffle=False)
    assert order(feed, 0) == order(feed, 0) != order(feed, 1)
    assert sorted(order(feed, 0)) == sorted(in_order)
    assert order(feed, 0) != order(prepare(data, seed=7), 0)


def test_fresh_photons(data):
    """Epoch 0 has the photons of the data set, later ones have others of the same mean."""
    feed, fixed = prepare(data, noise="fresh"), prepare(data)
    in_order = {"batch_size": 10, "shuffle": False}
    same(feed.epoch(0, **in_order), fixed.epoch(0, **in_order))
    mean, n = 0.0, 60
    for epoch in range(1, n + 1):
        mean = mean + next(feed.epoch(epoch, **in_order))[1]["intensity"] / n
    unit = (feed.intensity_scale * feed.gain) ** 2
    expected = feed.source.simulator.expected(feed.groups.nn_indices.ravel())
    expected = expected.reshape(*feed.groups.nn_indices.shape, 16, 16)
    photons = np.moveaxis(expected, 1, -1).astype(float)
    z = (mean / unit * data.intensity_scale**2 - photons) / np.sqrt(photons / n + 1e-12)
    assert np.abs(z[photons > 1].mean()) < 0.05
    assert z[photons > 1].std() == pytest.approx(1, abs=0.05)


def test_fresh_photons_are_frames(data):
    """Those of the simulator, keyed by epoch and pattern."""
    feed = prepare(data, noise="fresh")
    (amplitude, _), _ = next(feed.epoch(3, 10, shuffle=False))
    counts = ptycho_fast.Simulator(SCENARIO).frames(feed.groups.nn_indices.ravel(), epoch=3)
    once = (np.sqrt(counts, dtype=np.float64) / data.intensity_scale).astype(np.float32)
    once = once.reshape(*feed.groups.nn_indices.shape, 16, 16)
    expected = np.float32(feed.intensity_scale * feed.gain) * once
    np.testing.assert_array_equal(amplitude, np.moveaxis(expected, 1, -1))


def test_fresh_photons_without_a_scenario(data):
    """Of the arrays and the scale of a file; the feed's seed is that of the photons."""
    bare = replace(data, scenario=None)
    feed = prepare(bare, 2, noise="fresh", seed=SCENARIO.seeds.photons, n_groups=6)
    fixed = prepare(bare, 2, seed=SCENARIO.seeds.photons, n_groups=6)
    same(feed.epoch(0, 6), fixed.epoch(0, 6))
    assert not np.array_equal(next(feed.epoch(1, 6))[0][0], next(fixed.epoch(1, 6))[0][0])


def test_noise_free_data_get_photons(data):
    quiet = prepare(ptycho_fast.simulate(SCENARIO, noise=False), noise="fresh")
    noisy = prepare(data, noise="fresh")
    ratio = quiet.intensity_scale * quiet.gain / noisy.intensity_scale / noisy.gain
    for one, other in zip(quiet.epoch(2, 4), noisy.epoch(2, 4), strict=True):
        np.testing.assert_allclose(one[0][0], ratio * other[0][0], rtol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 64])
def test_batches_do_not_depend_on_their_size(data, monkeypatch, batch_size):
    """Nor on how many of them are made in one call."""
    options = {"noise": "fresh", "augment": True, "truth": True}
    (whole,) = prepare(data, **options).epoch(5, 10)
    for pixels in (1, 2**12, 2**20):
        monkeypatch.setattr("ptycho_fast.data.feed._BLOCK_PIXELS", pixels)
        batches = list(prepare(data, **options).epoch(5, batch_size))
        assert [len(b[0][0]) for b in batches[:-1]] == [batch_size] * (len(batches) - 1)
        for a, *parts in zip(flat(whole), *map(flat, batches), strict=True):
            np.testing.assert_array_equal(np.concatenate(parts), a)


def test_the_same_bits_as_ever(fast_backend):
    """What a training is given must not change; this is a sum over two epochs."""
    feed = prepare(SCENARIO, noise="fresh", augment=True, truth=True, backend=fast_backend)
    total = hashlib.sha256()
    for batch in feed.stream(Stream(4, first_epoch=1, epochs=2)):
        for array in flat(batch):
            total.update(np.ascontiguousarray(array).tobytes())
    assert total.hexdigest()[:16] == "dc1b8dc8f5ffc095"


def test_streams(feed):
    same(feed.stream(Stream(4, epochs=2)), [*feed.epoch(0, 4), *feed.epoch(1, 4)])
    same(feed.stream(Stream(3, shuffle=False, first_epoch=7)), feed.epoch(7, 3, shuffle=False))


@pytest.mark.parametrize("noise", ["fixed", "fresh"])
@pytest.mark.parametrize("what", ["scan", "object"])
def test_without_end(data, what, noise):
    feed = prepare(data, part="test", n_groups=8, noise=noise)
    batches = list(islice(feed.stream(Stream(4, shuffle=False, renew=what)), 9))
    same(batches[:2], feed.epoch(0, 4, shuffle=False))
    later = feed.renewed(1, what)
    same(batches[2:3], islice(later.epoch(1, 4, shuffle=False), 1))
    assert np.array_equal(later.data.object, data.object) == (what == "scan")
    assert not np.array_equal(later.data.positions, data.positions)
    assert later.largest_offset <= feed.largest_offset
    assert 0 < len(later) <= 8
    assert set(later.groups.nn_indices.ravel()) <= set(later.data.split()[1])
    assert (later.gain, later.intensity_scale) == (feed.gain, feed.intensity_scale)
    if noise == "fixed":  # the patterns of the renewed scenario's data set
        members = later.groups.nn_indices
        np.testing.assert_array_equal(
            later.source.amplitudes(members, None), later.amplitude[members]
        )


def shown(feed, passes, **how):
    """Hashes of all patterns of the first passes of a stream, in order."""
    sums = []
    for made in feed.steps(Stream(4, renew=how.get("renew"), epochs=passes)):
        if made.epoch == passes:
            break
        amplitude = np.moveaxis(made.batch[0][0], -1, 1).reshape(-1, feed.N, feed.N)
        sums += [hashlib.sha256(np.ascontiguousarray(one)).hexdigest() for one in amplitude]
    return sums


@pytest.mark.parametrize("what", ["scan", "object"])
def test_no_pattern_twice(data, what):
    """Not in a pass, where groups share positions of the scan, not in another, not to judge by."""
    feed = prepare(data, part="all", noise="unique")
    assert len(feed) == 40 < len(np.unique(feed.groups.nn_indices)) * 4
    sums = shown(feed, 5, renew=what)
    assert len(set(sums)) == len(sums) > 4 * 4 * 30
    held_out = [feed.held_out(number, "all") for number in range(3)]
    unseen = [one for held in held_out for one in set(shown(held, 1))]
    assert len(set(unseen)) == len(unseen) == 3 * 40
    assert not set(unseen) & set(sums)
    parts = [feed.part(0, 25), feed.part(25)]  # as training and validation
    both = [one for part in parts for one in shown(part, 2)]
    assert len(set(both)) == len(both) == 2 * 4 * 40
    fresh = shown(prepare(data, part="all", noise="fresh"), 1)
    assert len(set(fresh)) < len(fresh)


def test_unique_photons_are_frames(data):
    """Each group has an exposure of its own."""
    feed = prepare(data, noise="unique")
    amplitude = feed.source.amplitudes(feed.groups.nn_indices, np.arange(10) + 10 * 3)
    (shown, _), _ = next(feed.epoch(3, 10, shuffle=False))
    np.testing.assert_allclose(
        np.moveaxis(shown, -1, 1), amplitude * feed.intensity_scale * feed.gain, rtol=1e-6
    )
    for n, members in enumerate(feed.groups.nn_indices):
        one = ptycho_fast.Simulator(SCENARIO).amplitudes(members, epoch=30 + n)
        np.testing.assert_array_equal(amplitude[n], one)


def test_held_out_objects(data):
    feed = prepare(data)
    one, other = feed.held_out(0), feed.held_out(1)
    assert not np.array_equal(one.source.object, other.source.object)
    assert (len(one), one.noise, one.gain) == (20, "fixed", feed.gain)
    assert set(one.groups.nn_indices.ravel()) == set(one.data.split()[1])
    np.testing.assert_array_equal(
        one.source.object, prepare(data, part="all", noise="unique").held_out(0).source.object
    )
    star = prepare(SCENARIO.replace({"object.kind": "siemens_star"}))
    with pytest.raises(ValueError, match=r"held_out: object.kind = 'siemens_star', the same"):
        star.held_out(0)
    with pytest.raises(ValueError, match="renew: 'object' for data without a scenario given"):
        prepare(replace(data, scenario=None), 2, n_groups=6).held_out(0)


# --- the next experiment is made ahead ---


def test_made_ahead_is_made_in_turn(data):
    """The same bits, whether a thread makes the next object or nobody does before it is shown."""
    feed = prepare(data, noise="unique")
    in_turn = [*feed.epoch(0, 4)]
    for turn in (1, 2):
        in_turn += feed.renewed(turn, "object").epoch(turn, 4)
    same(islice(feed.stream(Stream(4, renew="object")), len(in_turn)), in_turn)
    later = feed.stream(Stream(4, renew="object", first_epoch=1))
    same(islice(later, len(in_turn) - 3), in_turn[3:])


def test_where_batches_stand(data):
    feed = prepare(data, noise="unique")
    steps = feed.steps(Stream(4, renew="scan"))
    made = list(islice(steps, 7))
    steps.close()
    assert [(m.epoch, m.number, m.of) for m in made[:4]] == [
        (0, 0, 3),
        (0, 1, 3),
        (0, 2, 3),
        (1, 0, made[3].of),
    ]
    assert made[2].feed is feed
    assert made[3].feed is not feed
    assert all(m.cpu_seconds >= 0 for m in made)
    assert made[3].cpu_seconds > 0


def test_the_next_object_is_begun_before_it_is_asked_for(data, monkeypatch):
    begun = threading.Event()
    renewed = Feed.renewed

    def noticed(self, turn, what):
        begun.set()
        return renewed(self, turn, what)

    monkeypatch.setattr(Feed, "renewed", noticed)
    steps = prepare(data).steps(Stream(4, renew="object"))
    next(steps)
    assert begun.wait(60)
    threads = {thread.name for thread in threading.enumerate()}
    assert any(name.startswith("made_ahead") for name in threads)
    steps.close()
    assert not any(t.name.startswith("made_ahead") for t in threading.enumerate())


def test_errors_of_the_next_object_arrive(data, monkeypatch):
    def broken(self, turn, what):
        raise ValueError(f"no object {turn}")

    monkeypatch.setattr(Feed, "renewed", broken)
    stream = prepare(data).stream(Stream(4, renew="object"))
    assert len(list(islice(stream, 3))) == 3  # those that are there
    with pytest.raises(ValueError, match="no object 1"):
        next(stream)


def test_fresh_photons_pass_the_detector():
    scenario = SCENARIO.replace({"detector.saturation": 50})
    feed = prepare(scenario, noise="fresh")
    amplitude = next(feed.epoch(3, 10))[0][0] / feed.intensity_scale / feed.gain
    counts = (amplitude * feed.data.intensity_scale) ** 2
    assert counts.max() == pytest.approx(50, rel=1e-5)


def test_truth_is_in_the_units_of_the_network(data):
    feed = prepare(data, truth=True)
    *_, targets = next(feed.epoch(0, 10, shuffle=False))
    np.testing.assert_array_equal(targets["object"], feed.true_objects())
    at = feed.groups.coords_offsets[:, 0, :, 0]
    truth = np.float32(feed.gain) * ptycho_fast.extract_patches(data.object, at, 16)
    np.testing.assert_array_equal(targets["object"], truth)
    assert feed.true_patches().shape == (10, 4, 16, 16)


def test_pairings(data):
    published, consistent = prepare(data), prepare(data, pairing="consistent")
    assert consistent.intensity_scale == scaling.closed_form_intensity_scale(1e4, 16)
    assert consistent.effective_photons == pytest.approx(1e4)
    assert published.effective_photons == pytest.approx(
        published.intensity_scale**2 * 64, rel=1e-12
    )
    assert published.effective_photons < 0.5 * 1e4


# --- orientations ---


def test_patterns_turn_with_their_fields():
    """Diffraction of a turned exit wave is the turned pattern, for every orientation."""
    rng = np.random.default_rng(0)
    field = (rng.normal(size=(16, 16)) + 1j * rng.normal(size=(16, 16))).astype(np.complex64)
    one = np.ones((16, 16), np.complex64)

    def pattern(field):
        return ptycho_fast.diffract(field, one, [[8, 8]], backend="reference")[0]

    turned = [symmetry.pattern(pattern(field)) for symmetry in SYMMETRIES]
    for symmetry, found in zip(SYMMETRIES, turned, strict=True):
        truth = pattern(np.ascontiguousarray(symmetry.field(field)))
        np.testing.assert_allclose(found, truth, atol=1e-5)
    assert len({found.tobytes() for found in turned}) == 8


def test_groups_turn_as_a_whole(data):
    """Channels come in the fixed order again, each pattern with its own offset."""
    feed = prepare(data)
    patterns = feed.amplitude[feed.groups.nn_indices]
    for offsets, stack in zip(feed.groups.coords_relative, patterns, strict=True):
        assert list(channel_order(offsets)) == [0, 1, 2, 3]
        for symmetry in SYMMETRIES:
            turned, moved = symmetry.group(stack, offsets)
            assert list(channel_order(moved)) == [0, 1, 2, 3]
            distances = np.hypot(*offsets[0])
            for c, distance in enumerate(np.hypot(*moved[0])):
                source = int(np.argmin(np.abs(distances - distance)))
                np.testing.assert_array_equal(turned[c], symmetry.pattern(stack[source]))


def test_fields_turn_back(data):
    feed = prepare(data)
    fields = feed.true_patches()
    for symmetry in SYMMETRIES:
        np.testing.assert_array_equal(symmetry.back(symmetry.field(fields)), fields)
        for patches, offsets in zip(fields, feed.groups.coords_relative, strict=True):
            order = channel_order(symmetry.offsets(offsets))
            turned = symmetry.field(patches)[order]
            np.testing.assert_array_equal(symmetry.group_back(turned, offsets), patches)


def test_augmented_batches(data):
    plain, feed = prepare(data), prepare(data, augment=True, truth=True)
    seen = set()
    for epoch in range(4):
        (amplitude, offsets), targets = next(feed.epoch(epoch, 10, shuffle=False))
        reference = next(plain.epoch(0, 10, shuffle=False))[0][0]
        np.testing.assert_allclose(
            np.sort(amplitude.sum(axis=(1, 2))), np.sort(reference.sum(axis=(1, 2))), rtol=1e-5
        )
        np.testing.assert_array_equal(targets["intensity"], amplitude**2)
        seen.add(offsets.tobytes())
        assert not np.array_equal(targets["object"], feed.true_objects())
    assert len(seen) == 4


def test_augmentation_needs_a_symmetric_probe(data):
    probe = data.probe.copy()
    probe[0, 5, 4] *= 1.1
    with pytest.raises(ValueError, match="probe: one that changes when it is mirrored"):
        prepare(replace(data, probe=probe), augment=True)
    curved = SCENARIO.replace({"probe.curvature": 3.0})
    assert prepare(curved, augment=True).augment
    with pytest.raises(ValueError, match=r"augment: True with groups\.order = 'random' given"):
        prepare(SCENARIO.replace({"groups.order": "random"}), augment=True)


# --- what cannot be ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": "both"}, "part: 'both'"),
        ({"noise": "none"}, "noise: 'none' given, expected one of fixed, fresh"),
        ({"pairing": "best"}, "pairing: 'best'"),
        ({"n_groups": 21}, "n_groups: 21 given, expected at most the 20 patterns"),
        ({"gridsize": 3}, "neighbours: 4 given, expected at least the 9"),
        ({"gridsize": 0}, "gridsize: 0 given"),
    ],
)
def test_wrong_arguments(data, options, message):
    with pytest.raises(ValueError, match=message):
        prepare(data, **options)


def test_nan_in_data(data):
    broken = data.amplitude().copy()
    broken[3, 1, 1] = np.nan
    with pytest.raises(ValueError, match="source: pattern 3 with NaN or infinity given"):
        prepare(replace(data, diffraction=broken, domain="normalized_amplitude"))


def test_files_that_do_not_say(data, tmp_path):
    with np.load(_saved(data, tmp_path)) as arrays:
        bare = {key: arrays[key] for key in arrays.files if key != "_metadata"}
    np.savez(tmp_path / "bare.npz", **bare)
    with pytest.raises(ValueError, match="does not say what its patterns mean"):
        prepare(tmp_path / "bare.npz")
    options = {"domain": "normalized_amplitude", "gridsize": 2}
    with pytest.raises(ValueError, match="intensity_scale"):
        prepare(tmp_path / "bare.npz", **options)
    feed = prepare(tmp_path / "bare.npz", nphotons=1e4, n_groups=6, **options)
    assert len(feed) == 6
    with pytest.raises(ValueError, match="noise: 'fresh'"):
        prepare(tmp_path / "bare.npz", nphotons=1e4, noise="fresh", **options)
    with pytest.raises(ValueError, match="renew: 'scan' for data without a scenario given"):
        feed.stream(Stream(2, renew="scan"))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"batch_size": 0}, "batch_size: 0 given"),
        ({"first_epoch": -1}, "first_epoch: -1 given"),
        ({"epochs": 0}, "epochs: 0 given"),
        ({"renew": "photons"}, "renew: 'photons' given, expected one of scan, object"),
    ],
)
def test_wrong_streams(how, message):
    with pytest.raises(ValueError, match=message):
        Stream(**how)


def _saved(data, folder):
    data.save(folder / "whole.npz")
    return folder / "whole.npz"
