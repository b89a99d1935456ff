"""Fitted coefficients of the photon sampler: the same numbers in C++ and numba, and good ones."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    pytest.importorskip("mpmath")
    spec = importlib.util.spec_from_file_location("fit_poisson", ROOT / "tools" / "fit_poisson.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def header(tool):
    """The arrays of the header."""
    found = {}
    for name, values in re.findall(r"#define PF_(\w+) (.*)", tool.HEADER.read_text()):
        found[name] = [float(value.strip().removesuffix("f")) for value in values.split(",")]
    return found


def test_both_languages_have_the_same_numbers(tool, header):
    from ptycho_fast.backend.numba import poisson_coefficients as module

    shared = {name: list(value) for name, value in vars(module).items() if name.isupper()}
    assert shared == {name: v for name, v in header.items() if not name.startswith("QUICK")}
    assert len(shared) == 9


def test_files_are_as_the_tool_writes_them(tool, header):
    assert tool.HEADER.read_text() == tool.as_header(header)
    assert tool.MODULE.read_text() == tool.as_module(header)


def test_single_precision_ones_are_single(header):
    for name, values in header.items():
        if name.startswith("QUICK"):
            assert values == [float(np.float32(value)) for value in values], name


def test_errors_are_as_stated(tool, header):
    errors = tool.errors(header)
    assert len(errors) == 13
    for name, (error, bound) in errors.items():
        assert error <= bound, name
    spoiled = header | {"C0": [header["C0"][0] + 1e-3, *header["C0"][1:]]}
    assert tool.errors(spoiled)["C0"][0] > errors["C0"][1]


@pytest.mark.slow
def test_fits_are_found_again(tool, header):
    """Least squares may differ in the last digit with another LAPACK."""
    found, _ = tool.fit()
    assert found.keys() == header.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, header[name], rtol=1e-6)
