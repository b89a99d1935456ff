"""Solution regions: the draw, the order of channels, and the grouped arrays."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptycho_fast.data.grouping import group_energies, grouped, make_groups
from ptycho_fast.data.split import split_on_y
from ptycho_fast.report.published import published_numbers
from ptycho_fast.rng import uniforms
from ptycho_fast.scaling import amplitude_energies, mean_energy, normalise_gain
from ptycho_fast.scans.random import random
from ptycho_fast.scenario import Scenario

DATA = Path(__file__).parents[1] / "data"


def scan(count=60, seed=0):
    return random((100, 120), seed, n_patterns=count, buffer=5)


@st.composite
def draws(draw):
    """Arguments of make_groups that are possible, on scans with and without duplicates."""
    count = draw(st.integers(12, 40))
    positions = scan(count, draw(st.integers(0, 1000)))
    if draw(st.booleans()):
        positions = np.round(positions / 25) * 25
    gridsize = draw(st.integers(1, 3))
    arguments = {
        "gridsize": gridsize,
        "n_groups": draw(st.integers(1, count)),
        "neighbours": draw(st.integers(gridsize**2, 11)),
        "seed": draw(st.integers(0, 2**32)),
        "order": draw(st.sampled_from(["fixed", "random"])),
        "include_seed": draw(st.booleans()),
    }
    return positions, arguments


def seeds_of(arguments, pool):
    chance = uniforms(arguments["seed"], "groups", pool)
    return pool[np.argsort(chance)[: arguments["n_groups"]]]


@settings(deadline=None)
@given(draws())
def test_members_are_near_distinct_and_ordered(case):
    positions, arguments = case
    groups = make_groups(positions, **arguments)
    g = arguments["gridsize"]
    members = groups.nn_indices
    assert members.shape == (arguments["n_groups"], g * g)
    assert members.dtype == np.int64
    seeds = seeds_of(arguments, np.arange(len(positions)))
    assert len(set(seeds)) == len(seeds)
    for seed_pattern, group in zip(seeds, members, strict=True):
        assert len(set(group)) == g * g
        if g == 1:
            assert group == [seed_pattern]
            continue
        assert (seed_pattern in group) == arguments["include_seed"]
        distance = np.hypot(*(positions - positions[seed_pattern]).T)
        furthest = np.sort(np.delete(distance, seed_pattern))[arguments["neighbours"] - 1]
        assert (distance[group] <= furthest * (1 + 1e-12)).all()
        if arguments["order"] == "fixed":
            x, y = positions[group].T.reshape(2, g, g)
            assert (np.diff(x, axis=1) >= 0).all()
            assert (y[:-1].max(axis=1) <= y[1:].min(axis=1)).all()
        elif arguments["include_seed"]:
            assert group[0] == seed_pattern


@settings(deadline=None)
@given(draws())
def test_coordinates(case):
    positions, arguments = case
    groups = make_groups(positions, **arguments)
    G, C = groups.nn_indices.shape
    assert groups.coords.shape == groups.coords_relative.shape == (G, 1, 2, C)
    assert groups.coords_offsets.shape == (G, 1, 2, 1)
    np.testing.assert_array_equal(groups.coords[:, 0, 0], positions[groups.nn_indices, 0])
    np.testing.assert_array_equal(groups.coords[:, 0, 1], positions[groups.nn_indices, 1])
    np.testing.assert_allclose(groups.coords_offsets, groups.coords.mean(-1, keepdims=True))
    np.testing.assert_array_equal(groups.coords_relative, -(groups.coords - groups.coords_offsets))


def test_the_draw_is_the_smallest_uniforms():
    positions = scan()
    groups = make_groups(positions, 2, 10, neighbours=6, seed=5, order="random")
    seeds = np.argsort(uniforms(5, "groups", np.arange(60)))[:10]
    for seed_pattern, group in zip(seeds, groups.nn_indices, strict=True):
        distance = np.hypot(*(positions - positions[seed_pattern]).T)
        near = np.argsort(distance)[1:7]
        chance = uniforms(5, "members", seed_pattern * 2**20 + np.arange(6))
        np.testing.assert_array_equal(group, near[np.argsort(chance)[:4]])


def test_the_draw_is_pure():
    positions = scan()
    few, many = (make_groups(positions, 2, count) for count in (10, 30))
    np.testing.assert_array_equal(few.nn_indices, many.nn_indices[:10])
    other = make_groups(positions, 2, 30, seed=43)
    assert (many.nn_indices != other.nn_indices).any()


def test_fixed_order_is_the_same_members():
    drawn, fixed = (make_groups(scan(), 2, 20, order=order) for order in ("random", "fixed"))
    np.testing.assert_array_equal(np.sort(drawn.nn_indices), np.sort(fixed.nn_indices))
    assert (drawn.nn_indices != fixed.nn_indices).any()


def test_split():
    positions = scan()
    train, test = split_on_y(positions)
    for split in (train, test):
        groups = make_groups(positions, 2, 30, indices=split)
        assert set(groups.nn_indices.ravel()) <= set(split)
        # Neighbours are sought within the split, and its order says nothing.
        shuffled = make_groups(positions, 2, 30, indices=split[::-1])
        np.testing.assert_array_equal(groups.nn_indices, shuffled.nn_indices)


def test_all_patterns_at_one_place():
    groups = make_groups(np.full((9, 2), 3.5), 2, 9, seed=1, order="random")
    seeds = seeds_of({"seed": 1, "n_groups": 9}, np.arange(9))
    for seed_pattern, group in zip(seeds, groups.nn_indices, strict=True):
        assert len(set(group)) == 4
        assert seed_pattern not in group


def test_frozen():
    with pytest.raises(FrozenInstanceError):
        make_groups(scan(), 1, 1).coords = np.zeros(1)


@pytest.mark.parametrize("C", [1, 4])
def test_grouped_arrays(C):
    positions, rng = scan(), np.random.default_rng(0)
    amplitude = rng.random((60, 8, 8), dtype=np.float32)
    patches = (rng.random((60, 8, 8)) + 1j).astype(np.complex64)
    groups = make_groups(positions, int(C**0.5), 12)
    result = grouped(amplitude, groups, patches=patches, nominal=positions + 1, obj=np.ones((9, 9)))
    assert result.keys() == {
        *("diffraction", "X_full", "Y", "coords_offsets", "coords_relative"),
        *("coords_start_offsets", "coords_start_relative", "nn_indices", "objectGuess"),
    }
    for key, stack in (("diffraction", amplitude), ("Y", patches)):
        assert result[key].shape == (12, 8, 8, C)
        assert result[key].dtype == stack.dtype
        assert result[key].flags.c_contiguous
        for b, c in np.ndindex(12, C):
            np.testing.assert_array_equal(result[key][b, ..., c], stack[groups.nn_indices[b, c]])
    g = normalise_gain(result["diffraction"], 8)
    assert result["X_full"].dtype == np.float32
    np.testing.assert_array_equal(result["X_full"], np.float32(g) * result["diffraction"])
    assert amplitude_energies(result["X_full"]).mean() == pytest.approx(16, rel=1e-6)
    np.testing.assert_allclose(result["coords_start_offsets"], result["coords_offsets"] + 1)
    np.testing.assert_allclose(
        result["coords_start_relative"], result["coords_relative"], atol=1e-12
    )


def test_grouped_defaults():
    groups = make_groups(scan(), 2, 5)
    result = grouped(np.ones((60, 8, 8)), groups, gain=2.0)
    assert result["Y"] is None
    assert "objectGuess" not in result
    assert (result["X_full"] == 2).all()
    assert result["coords_start_relative"] is result["coords_relative"]


def test_group_energies():
    amplitude = np.random.default_rng(0).random((60, 8, 8), dtype=np.float32)
    groups = make_groups(scan(), 2, 12)
    energies = group_energies(amplitude, groups)
    np.testing.assert_array_equal(energies, amplitude_energies(amplitude)[groups.nn_indices])
    diffraction = grouped(amplitude, groups)["diffraction"]
    assert energies.sum(axis=1).mean() == pytest.approx(mean_energy(diffraction), rel=1e-14)


def test_published_statistics():
    data = np.load(DATA / "gs2_noise_free.npz")
    published = published_numbers(Scenario.preset("gs2_ideal"))
    positions, energies = np.stack([data["x"], data["y"]], axis=1), data["sum_intensity"]
    train, test = split_on_y(positions)
    # Groups sample their split, so their mean is that of its patterns but for the luck of the draw.
    for split, name in ((train, "train"), (test, "test")):
        groups = make_groups(positions, 2, 256, indices=split)
        mean = published["split_intensity_stats"][name]["batch_mean_sum_intensity"]
        assert energies[groups.nn_indices].mean() == pytest.approx(mean, rel=0.05)
    # Groups at the edge of the scan reach furthest.
    offsets = make_groups(positions, 2, 512, indices=train).coords_relative
    assert 15 < np.abs(offsets).max() < 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_groups": 61}, "n_groups: 61 given, expected at most the 60"),
        ({"n_groups": 0}, "n_groups: 0"),
        ({"n_groups": 11, "indices": np.arange(10)}, "at most the 10"),
        ({"gridsize": 0}, "gridsize: 0"),
        ({"gridsize": 3}, "neighbours: 4 given, expected at least the 9"),
        ({"neighbours": 3}, "neighbours: 3 given, expected at least the 4"),
        ({"neighbours": 2, "include_seed": True}, "expected at least the 3"),
        ({"neighbours": 60}, "neighbours: 60 given, expected fewer than the 60"),
        ({"neighbours": 10, "indices": np.arange(10)}, "fewer than the 10"),
        ({"order": "sorted"}, "order: 'sorted' given, expected one of fixed, random"),
        ({"positions": np.ones((5, 3))}, r"positions: shape \(5, 3\)"),
        ({"indices": [[1, 2]]}, "indices: shape"),
        ({"indices": np.ones(60, bool)}, "dtype bool"),
        ({"indices": [0, 60]}, "indices: from 0 to 60 given, expected 0 to 59"),
        ({"indices": [1, 1]}, "2 entries, 1 distinct"),
    ],
)
def test_errors(changes, message):
    arguments = {"positions": scan(), "gridsize": 2, "n_groups": 5}
    with pytest.raises(ValueError, match=message):
        make_groups(**(arguments | changes))


@pytest.mark.parametrize(
    ("amplitude", "options", "message"),
    [
        (np.ones((60, 8, 9)), {}, "amplitude: shape"),
        (np.ones((5, 8, 8)), {}, "amplitude: 5 entries"),
        (np.ones((60, 8, 8)), {"patches": np.ones((5, 8, 8))}, "patches: 5 entries"),
        (np.ones((60, 8, 8)), {"nominal": np.ones((5, 2))}, "nominal: 5 entries"),
        (np.ones((60, 8, 8)), {"gain": 0.0}, r"gain: 0\.0"),
        (np.zeros((60, 8, 8)), {}, "mean energy of the amplitude: 0"),
    ],
)
def test_grouped_errors(amplitude, options, message):
    with pytest.raises(ValueError, match=message):
        grouped(amplitude, make_groups(scan(), 2, 20), **options)
