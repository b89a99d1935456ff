"""Which backends must be there: a missing one is a failure, never a silent skip.

PTYCHO_FAST_REQUIRE names them, "tf" for the training core, and "interop" for the programs of
tests/interop, which are not required otherwise; without a compiler set it to "numba,reference,tf".
"""

import os
import sys

import pytest

NAMED = os.environ.get("PTYCHO_FAST_REQUIRE", "native,numba,reference,tf").split(",")
REQUIRED = [name for name in NAMED if name not in ("tf", "interop")]

of_tensorflow = ["tf/*", "doors/test_train.py", "docs/test_tensorflow.py"]
collect_ignore_glob = [] if "tf" in NAMED else of_tensorflow


def pytest_report_header():
    import ptycho_fast

    status = ptycho_fast.backends()
    facts = ptycho_fast.build_info()
    there = ", ".join(name for name, s in status.items() if s.available)
    return [
        f"ptycho_fast {facts['version']}: backends {there}; required {', '.join(NAMED)}",
        f"extension: {facts.get('compiler')}, {facts.get('usable_instruction_sets')}",
    ]


# Their positions lie beyond all edges on purpose.
BEYOND_THE_EDGES = ("kernels", "stages", "backend")


def pytest_collection_modifyitems(config, items):
    """Where the extension is not required, its own tests are deselected, in plain sight."""
    for item in items:
        if item.path.parent.name in BEYOND_THE_EDGES:
            item.add_marker(pytest.mark.filterwarnings("ignore::ptycho_fast.DataWarning"))
    if "native" in REQUIRED:
        return
    own = [
        i for i in items if i.get_closest_marker("native") or "instruction_sets" in i.fixturenames
    ]
    config.hook.pytest_deselected(items=own)
    items[:] = [item for item in items if item not in own]


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", REQUIRED)
    if "fast_backend" in metafunc.fixturenames:
        metafunc.parametrize("fast_backend", [name for name in REQUIRED if name != "reference"])


@pytest.fixture(scope="session", autouse=True)
def required_backends_are_there():
    import ptycho_fast

    status = ptycho_fast.backends()
    missing = {name: status[name].reason for name in REQUIRED if not status[name].available}
    assert not missing, f"required backends are missing: {missing}"


@pytest.fixture
def instruction_sets():
    import ptycho_fast

    return ptycho_fast.build_info().get("usable_instruction_sets", [])


@pytest.fixture(scope="session")
def kernels_on_cpu(tmp_path_factory):
    import cupy_on_cpu

    return cupy_on_cpu.build(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def gpu(kernels_on_cpu, monkeypatch):
    """CuPy and a GPU, played by the processor."""
    import cupy_on_cpu

    from ptycho_fast.backend import cuda

    gpu = cupy_on_cpu.Gpu(kernels_on_cpu)
    monkeypatch.setitem(sys.modules, "cupy", gpu)
    caches = (cuda._module, cuda._kernel, cuda._tables, cuda._attribute)
    for cache in caches:
        cache.cache_clear()
    yield gpu
    for cache in caches:
        cache.cache_clear()
