"""One small data set for all tests of the training core."""

import networks
import pytest

import ptycho_fast


@pytest.fixture(scope="session")
def data():
    return ptycho_fast.simulate(networks.SCENARIO)
