"""The installed package: light import, one version, a stub that tells the truth."""

import ast
import importlib.metadata
import importlib.resources
import re
import subprocess
import sys

import pytest

import ptycho_fast


def python(code, **options):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, **options
    ).stdout


def test_import_is_light():
    heavy = ("tensorflow", "cupy", "numba", "matplotlib", "scipy", "skimage", "rich")
    loaded = python(
        "import sys, ptycho_fast\n"
        "ptycho_fast.Scenario.preset('gs2_ideal')\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert loaded.strip() == "[]"


@pytest.mark.native
def test_the_command_loads_only_what_it_uses(tmp_path):
    """Each of these takes a good part of a second, or belongs to what is not asked for."""
    unused = {
        "cupy", "h5py", "hdf5plugin", "importlib.metadata", "matplotlib", "numba", "numpy.f2py",
        "numpy.testing", "rich", "scipy", "skimage", "tensorflow", "torch", "zarr", "difflib",
        "unittest", "charset_normalizer", "ptycho_fast.cluster",
        "ptycho_fast.formats.hdf5", "ptycho_fast.formats.zarr",
        "ptycho_fast.report", "ptycho_fast.backend.numba", "ptycho_fast.data.feed",
    }  # fmt: skip
    loaded = python(
        "import sys\n"
        "from ptycho_fast.simulate import main\n"
        f"assert main(['gs2_ideal', '--quiet', '--out', {str(tmp_path / 'a.npz')!r}]) == 0\n"
        f"print(sorted({unused} & set(sys.modules)))"
    )
    assert loaded.strip() == "[]"


def test_import_is_quick():
    """In CPU time, which other programs on the machine do not change."""
    code = (
        "import time; t = time.process_time(); import ptycho_fast; print(time.process_time() - t)"
    )
    assert any(float(python(code)) < 0.3 for _ in range(5))


def test_functions_keep_their_names():
    """Importing a submodule must not hide the function of the same name."""
    called = python(
        "import importlib, pkgutil, ptycho_fast\n"
        "for module in pkgutil.iter_modules(ptycho_fast.__path__, 'ptycho_fast.'):\n"
        "    if not module.name.endswith(('.tf', '._core', '.torch_data', '.torch_slots')):\n"
        "        if not module.name.endswith('__main__'):\n"
        "            importlib.import_module(module.name)\n"
        "import ptycho_fast.simulate\n"
        "print(ptycho_fast.simulate('gs2_ideal', noise=False, backend='reference').n_patterns)\n"
        "print(*(name for name in ptycho_fast.__all__\n"
        "        if not callable(getattr(ptycho_fast, name))))"
    )
    assert called.splitlines() == ["1024", "scaling __version__"]


def test_without_torch_the_extra_is_named():
    said = python(
        "import sys; sys.modules['torch'] = None\n"
        "try:\n    import ptycho_fast.torch_data\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    assert said.startswith("ptycho_fast.torch_data: ")
    assert "pip install 'ptycho_fast[torch]'" in said


def test_public_names():
    for name in ptycho_fast.__all__:
        assert getattr(ptycho_fast, name) is not None
    assert set(ptycho_fast.__all__) == set(dir(ptycho_fast))
    with pytest.raises(AttributeError, match="no attribute 'simulatr'"):
        _ = ptycho_fast.simulatr


def test_one_version():
    assert ptycho_fast.__version__ == importlib.metadata.version("ptycho_fast")
    assert ptycho_fast.build_info()["version"] == ptycho_fast.__version__


def test_marked_as_typed():
    files = importlib.resources.files("ptycho_fast")
    assert files.joinpath("py.typed").is_file()
    assert files.joinpath("scenario/presets/gs2_ideal.toml").is_file()


def test_backends_say_why():
    status = ptycho_fast.backends()
    assert list(status) == ["native", "numba", "reference", "cuda"]
    assert status["reference"].available
    for name, state in status.items():
        assert state.available == (state.reason == ""), name


def test_a_broken_backend_is_explained_and_passed_over():
    out = python(
        "import sys\n"
        "sys.modules['ptycho_fast._core'] = None\n"
        "sys.modules['numba'] = None\n"
        "import ptycho_fast, numpy as np\n"
        "print(ptycho_fast.backends()['native'].reason)\n"
        "print(ptycho_fast.backends()['numba'].reason)\n"
        "one = np.ones((32, 32), 'c8')\n"
        "ptycho_fast.diffract(one, one[:8, :8], [[9, 9]])\n"
        "try: ptycho_fast.diffract(one, one[:8, :8], [[9, 9]], backend='native')\n"
        "except RuntimeError as error: print(error)\n"
    )
    native, numba, error = out.splitlines()
    assert "reinstall" in native
    assert "pip install numba" in numba
    assert error == f"backend: 'native' is not available: {native}"


@pytest.mark.native
class TestExtension:
    """Where the extension is built, its facts and its stub agree with it."""

    @pytest.fixture(autouse=True)
    def core(self):
        from ptycho_fast import _core

        self.core = _core

    def test_version_is_compiled_in(self):
        assert self.core.build_facts()["version"] == ptycho_fast.__version__

    def test_build_info(self):
        info = ptycho_fast.build_info()
        assert info["native"]
        assert "-ffp-contract=off" in info["flags"]
        assert not re.search(r"fast-math|march=native", info["flags"])
        assert info["usable_instruction_sets"][0] == "baseline"

    def test_stub(self):
        text = importlib.resources.files("ptycho_fast").joinpath("_core.pyi").read_text()
        stub = {
            node.name: [a.arg for a in node.args.args]
            for node in ast.parse(text).body
            if isinstance(node, ast.FunctionDef)
        }
        built = {}
        for name in dir(self.core):
            if not name.startswith("_"):
                signature = getattr(self.core, name).__doc__.splitlines()[0]
                built[name] = re.findall(r"(\w+):", signature.split("->")[0])
        assert stub == built


def test_moved_modules_are_found_for_one_release():
    with pytest.warns(DeprecationWarning, match="ptycho_fast.grouping is now ptycho_fast.data.g"):
        from ptycho_fast import grouping
    assert grouping.make_groups
