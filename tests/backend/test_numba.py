"""The numba backend where an installation or its callers make it hard."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cases
import numpy as np
import pytest

import ptycho_fast

OBSERVE = """
import numpy as np
import ptycho_fast
from concurrent.futures import ThreadPoolExecutor
def observe(_):
    obj, probe = np.ones((50, 50), np.complex64), np.ones((16, 16), np.complex64)
    return ptycho_fast.observe(
        obj, probe, [[20, 21.5]] * 9, scale=3.0, seed=1, backend="numba", threads=2
    ).tobytes()
with ThreadPoolExecutor(8) as pool:
    assert len(set(pool.map(observe, range(8)))) == 1
"""


def test_first_calls_at_once_in_a_read_only_installation(tmp_path):
    package = Path(ptycho_fast.__file__).parent
    copy = shutil.copytree(
        package, tmp_path / "ptycho_fast", ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in (*copy.rglob("*"), copy, tmp_path):
        path.chmod(0o555 if path.is_dir() else 0o444)
    names = {"NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME"}
    environment = {k: v for k, v in os.environ.items() if k not in names}
    environment |= {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/none"}
    environment["NUMBA_OPT"] = "0"  # nothing here depends on it, and compiling takes half the time
    try:
        subprocess.run([sys.executable, "-c", OBSERVE], env=environment, check=True, timeout=300)
        assert {path.name for path in tmp_path.iterdir()} == {"ptycho_fast"}
    finally:
        for path in (tmp_path, copy, *copy.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize("case", [cases.Case(40, 2), cases.Case(44)], ids=str)
def test_read_only_inputs_are_the_same_to_it(case):
    obj, probe, positions = case.inputs()
    once = ptycho_fast.diffract(obj, probe, positions, backend="numba")
    for array in (obj, probe, positions):
        array.flags.writeable = False
    with ThreadPoolExecutor(4) as pool:
        again = pool.map(
            lambda t: ptycho_fast.diffract(obj, probe, positions, backend="numba", threads=t),
            (1, 2, 3, 7),
        )
        assert all(np.array_equal(once, other) for other in again)
