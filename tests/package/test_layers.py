"""The import contract of pyproject.toml knows every module; ``lint-imports`` checks the rest."""

import pkgutil
import tomllib
from pathlib import Path

import ptycho_fast

ROOT = Path(__file__).parents[2]
FREE = {"ptycho_fast._core", "ptycho_fast.data", "ptycho_fast.runs"}  # C++; of several layers


def test_every_module_has_a_layer():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (c["layers"] for c in contracts["contracts"] if c["type"] == "layers")
    listed = {name.strip() for layer in layers for name in layer.split("|")}
    modules = {m.name for m in pkgutil.walk_packages([str(ROOT / "ptycho_fast")], "ptycho_fast.")}
    without = {m for m in modules if not any(m == n or m.startswith(f"{n}.") for n in listed)}
    assert without - FREE == set()
    assert listed <= modules


def test_a_backend_is_chosen_in_one_place():
    """A name that is compared elsewhere is a choice made twice."""
    package = Path(ptycho_fast.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text()
        for name in ("native", "numba", "reference", "cuda"):
            assert f'== "{name}"' not in text, path
            assert f'!= "{name}"' not in text, path
