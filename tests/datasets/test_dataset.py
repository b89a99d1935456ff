"""Data sets as objects: what they print, and the examples of their documentation."""

import doctest
import importlib
from dataclasses import replace

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.data.grouping import make_groups


@pytest.fixture(scope="module")
def dataset():
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace({"scan.n_patterns": 12})
    return ptycho_fast.simulate(scenario, backend="reference")


def test_repr_is_one_line_without_arrays(dataset):
    assert repr(dataset) == (
        "Dataset(gs2_ideal: 12 patterns of 64 x 64, count_intensity, object 392 x 392, "
        f"1 probe mode, {dataset.photons().mean():.6g} photons per pattern, backend reference)"
    )
    bare = replace(
        dataset, scenario=None, provenance={}, probe=np.concatenate([dataset.probe, dataset.probe])
    )
    assert repr(bare) == (
        "Dataset(no scenario: 12 patterns of 64 x 64, count_intensity, object 392 x 392, "
        "2 probe modes, dose unknown, backend unknown)"
    )


def test_repr_of_groups():
    groups = make_groups(np.random.default_rng(0).random((20, 2)), 2, 5)
    assert repr(groups) == "Groups(5 of 4 patterns)"


def test_grouped_always_has_patches_or_none(dataset):
    scenario = dataset.scenario.replace({"groups.n_train": 3, "groups.n_test": 3})
    data = replace(dataset, scenario=scenario)
    assert data.grouped("train", patches=False)["Y"] is None
    assert data.grouped("train")["Y"].shape == (3, 64, 64, 4)


@pytest.mark.parametrize(
    "module",
    [
        "files",
        "handover",
        "formats",
        "formats.numpy_files",
        "data.dataset",
        "data.grouping",
        "report.preview",
    ],
)
def test_examples(module):
    result = doctest.testmod(importlib.import_module(f"ptycho_fast.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
