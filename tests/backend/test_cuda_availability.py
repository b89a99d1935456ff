"""Why there is no GPU: the reason, never an exception, whatever state CuPy is in."""

import os
import re
import subprocess
import sys
import types

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.backend import cuda

pytestmark = pytest.mark.native


def runtime(driver=13000, needed=13000, count=1, failure=None):
    def devices():
        if failure:
            raise failure
        return count

    return types.SimpleNamespace(
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: needed,
        getDeviceCount=devices,
    )


def with_cupy(monkeypatch, capability="90", **facts):
    device = types.SimpleNamespace(id=0, compute_capability=capability)
    fake = types.SimpleNamespace(runtime=runtime(**facts), Device=lambda *_: device)
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(cuda=fake))


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, ""),
        ({"driver": 0}, "no NVIDIA driver was found"),
        ({"driver": 12080}, "driver is of CUDA 12.8, too old .* CUDA 13.0; .* cupy-cuda12x"),
        ({"count": 0}, "no GPU is visible; see nvidia-smi"),
        ({"failure": RuntimeError("unknown error")}, "GPU cannot be used .RuntimeError: unknown"),
        ({"capability": "61"}, "of compute capability 6.1, expected 7.0 or newer"),
    ],
)
def test_reasons(facts, reason, monkeypatch):
    with_cupy(monkeypatch, **facts)
    status = ptycho_fast.backends()["cuda"]
    assert status.available == (reason == "")
    if reason:
        assert re.search(reason, status.reason)
        with pytest.raises(RuntimeError, match="backend: 'cuda' is not available"):
            ptycho_fast.diffract(np.ones((9, 9), "c8"), np.ones((8, 8), "c8"), [[4, 4]],
                                 backend="cuda")  # fmt: skip


def test_without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert "CuPy is not installed" in cuda.why_not()
    assert "pip install cupy-cuda13x" in cuda.why_not()


def test_broken_cupy(tmp_path):
    """As where its libraries are missing: everything on the processor works."""
    (tmp_path / "cupy.py").write_text("raise OSError('libcudart.so.13: cannot open')")
    code = (
        "import numpy as np, ptycho_fast\n"
        "print(ptycho_fast.backends()['cuda'].reason)\n"
        "one = np.ones((32, 32), 'c8')\n"
        "ptycho_fast.diffract(one, one[:8, :8], [[9, 9]])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    assert "CuPy cannot be imported (OSError: libcudart.so.13" in done.stdout
    assert not done.stderr


def test_auto_stays_on_the_processor(monkeypatch):
    with_cupy(monkeypatch)
    assert ptycho_fast.backends()["cuda"].available
    result = ptycho_fast.diffract(np.ones((9, 9), "c8"), np.ones((8, 8), "c8"), [[4, 4]])
    assert type(result) is np.ndarray
