"""Which backends must be there: a missing one is a failure, never a silent skip.

PTYCHO_FAST_REQUIRE names them, "tf" for the training core, and "interop" for the programs of
tests/interop, which are not required otherwise; without a compiler set it to "numba,reference,tf".
"""

import contextlib
import os
import sys

import pytest

with contextlib.suppress(ImportError):  # the programs of tests/interop come without it
    import hypothesis

    # A machine that does other things too is slow, which is no fault of the code.
    hypothesis.settings.register_profile(
        "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("any machine")

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


# --- several processes, `pytest -n auto` ---

# These take longest: begun last, they would keep one process busy and the others waiting.
BEGUN_FIRST = (
    "tf/test_trainer.py", "tf/test_streams.py", "doors/test_resume.py", "kernels/test_headers.py",
    "backend/test_numba.py",
)  # fmt: skip
# Their tests take long and share nothing. Of any other file all tests run in one process.
TEST_BY_TEST = ("docs/test_documents.py", "kernels/test_cuda_compiles.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """As many as there are processors to use; each holds TensorFlow, half a gigabyte."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(there, 8)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Whole files for each process, in the order of the folders; ``--dist`` chooses otherwise."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return nodeid if file.endswith(TEST_BY_TEST) else file

    config.option.loadscopereorder = False
    return Files(config, log)


# --- which tests ---

# Their positions lie beyond all edges on purpose.
BEYOND_THE_EDGES = ("kernels", "stages", "backend")


def pytest_collection_modifyitems(config, items):
    """Where the extension is not required, its own tests are deselected, in plain sight."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: not item.path.as_posix().endswith(BEGUN_FIRST))
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
def libraries(tmp_path_factory):
    """A folder for compiled libraries; the processes of one run share it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "libraries"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def kernels_on_cpu(libraries):
    import cupy_on_cpu

    return cupy_on_cpu.build(libraries)


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
