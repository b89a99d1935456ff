"""The examples in docstrings run, and the functions that define something for users have one."""

import doctest
import importlib
from pathlib import Path

import pytest

import ptycho_fast

ROOT = Path(ptycho_fast.__file__).parent
OTHERS = {  # folders and files whose import needs more than NumPy and SciPy, or starts a command
    "tf": "needs TensorFlow",
    "torch_data.py": "needs PyTorch; tests/pytorch runs them",
    "torch_slots.py": "needs PyTorch",
    "backend/numba": "needs numba",
    "backend/cuda.py": "needs CuPy",
    "__main__.py": "starts a command",
}
MODULES = sorted(
    path.relative_to(ROOT.parent).with_suffix("").as_posix().replace("/", ".")
    for path in ROOT.rglob("*.py")
    if not path.relative_to(ROOT).as_posix().startswith(tuple(OTHERS))
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name.removesuffix(".__init__"))
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", ["scaling", "scale_report", "rng", "threads", "progress"])
def test_every_public_function_has_an_example(name):
    module = importlib.import_module(f"ptycho_fast.{name}")
    without = [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and not name.startswith("_")
        and ">>>" not in value.__doc__
    ]
    assert without == []
