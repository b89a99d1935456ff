"""As much of CuPy as the backend "cuda" uses, on the processor: kernels run in ``cuda_on_cpu.cpp``.

A launch is checked against the signature in ``kernels.cu``, then its blocks run one after another,
their threads in the order that `Gpu.order` names. New memory is filled with NaN.
"""

import contextlib
import ctypes
import re
import types
from pathlib import Path

import cpp_library
import numpy as np

from ptycho_fast.backend.host_arrays import empty_aligned

ROOT = Path(__file__).parents[1]
ORDERS = {"forward": 0, "reverse": 1, "shuffled": 2}

_SCALARS = {
    "int": np.int32, "int64_t": np.int64, "uint64_t": np.uint64, "double": np.float64,
}  # fmt: skip
_POINTERS = {  # what an array may hold
    "float": (np.float32, np.complex64), "double": (np.float64,), "int": (np.int32,),
    "uint64_t": (np.uint64,), "uint32_t": (np.uint32,), "uint8_t": (np.uint8,),
    "Pair": (np.complex64, np.float32),
    "void": (np.float32, np.float64, np.uint32, np.uint16, np.int32),
}  # fmt: skip


def build(folder):
    """The shared library."""
    return cpp_library.build("cuda_on_cpu.cpp", folder, "cuda")


def signatures():
    """Types of the parameters of each kernel, from its source; of families, by their prefix."""
    text = (ROOT / "csrc" / "cuda" / "kernels.cu").read_text().replace("\\\n", "\n")
    found = {}
    for name, parameters in re.findall(r"PF_KERNEL\(.*?\)\s+(\w+?)(?:##\w+)?\(([^()]*)\) \{", text):
        kinds = []
        for parameter in " ".join(parameters.split()).split(", "):
            words = parameter.removeprefix("const ")
            if words.startswith("*"):  # a second pointer of the type before
                kinds.append(kinds[-1])
            else:
                kinds.append(words.rsplit(" ", 1)[0] + ("*" if "*" in words else ""))
        found[name] = [kind.replace("**", "*").replace(" ", "") for kind in kinds]
    return found


class Device(contextlib.nullcontext):
    """One of several GPUs, the current one within it."""

    compute_capability = "90"

    def __init__(self, number=0):
        super().__init__()
        self.id = number


class ndarray(np.ndarray):
    """NumPy's, with what only CuPy's have."""

    device = Device()

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self.ctypes.data)

    def get(self, out):
        out[...] = self

    def __array_function__(self, *call):
        """NumPy's functions make CuPy's arrays of them, `stack` too."""
        made = super().__array_function__(*call)
        return made.view(ndarray) if type(made) is np.ndarray else made

    def __dlpack__(self, **options):
        """Of a copy that is aligned, as all that CuPy makes is."""
        copy = empty_aligned(self.shape, self.dtype)
        copy[...] = self
        return copy.__dlpack__(**options)


class Gpu:
    """The module `cupy`, and what the tests ask of it."""

    def __init__(self, library):
        self.library, self.signatures = library, signatures()
        self.library.end_block.restype = ctypes.c_char_p
        self.order, self.launches, self.synchronised = "forward", [], 0
        self.shared_limit, self.free_bytes = 227 * 1024, 2**40
        self.ndarray = ndarray
        error = type("CUDARuntimeError", (RuntimeError,), {})
        self.cuda = types.SimpleNamespace(
            Device=Device,
            get_current_stream=lambda: types.SimpleNamespace(synchronize=self.synchronize),
            memory=types.SimpleNamespace(OutOfMemoryError=type("OOM", (MemoryError,), {})),
            driver=types.SimpleNamespace(CUDADriverError=type("Driver", (RuntimeError,), {})),
            runtime=types.SimpleNamespace(
                CUDARuntimeError=error,
                cudaDevAttrMaxSharedMemoryPerBlockOptin="shared",
                cudaDevAttrL2CacheSize="cache",
                deviceGetAttribute=lambda name, device: {
                    "shared": self.shared_limit, "cache": 2**22,
                }[name],
                driverGetVersion=lambda: 13000,
                runtimeGetVersion=lambda: 13000,
                getDeviceCount=lambda: 1,
                memGetInfo=lambda: (self.free_bytes, 2**40),
            ),
        )  # fmt: skip

    def synchronize(self):
        self.synchronised += 1

    def get_default_memory_pool(self):
        return types.SimpleNamespace(free_bytes=lambda: 0)

    def empty(self, shape, dtype):
        if np.prod(shape) * np.dtype(dtype).itemsize > self.free_bytes:
            raise self.cuda.memory.OutOfMemoryError
        array = np.empty(shape, dtype).view(ndarray)
        array.view(np.uint8)[...] = 0xFF
        return array

    def arange(self, n, dtype):
        return np.arange(n, dtype=dtype).view(ndarray)

    def asarray(self, array):
        return array if isinstance(array, ndarray) else np.array(array, order="C").view(ndarray)

    def RawModule(self, **source):
        return types.SimpleNamespace(get_function=lambda name: Kernel(self, name))


class Kernel:
    """A kernel that can be launched."""

    def __init__(self, gpu, name):
        self.gpu, self.name, self.max_dynamic_shared_size_bytes = gpu, name, 48 * 1024
        family, _, member = name.rpartition("_")
        kinds = gpu.signatures.get(name) or gpu.signatures[family + "_"]
        self.kinds = [kind.replace("type", member) for kind in kinds]

    def __call__(self, grid, block, args, *, shared_mem=0):
        gpu = self.gpu
        assert shared_mem <= min(self.max_dynamic_shared_size_bytes, gpu.shared_limit), self.name
        assert 0 < grid[0] < 2**31, self.name
        assert len(args) == len(self.kinds), self.name
        values = [self._value(kind, value) for kind, value in zip(self.kinds, args, strict=True)]
        gpu.launches.append(self.name)
        for number in range(grid[0]):
            gpu.library.begin_block(
                number, grid[0], block[0], ctypes.c_size_t(shared_mem), ORDERS[gpu.order]
            )
            getattr(gpu.library, self.name)(*values)
            fault = gpu.library.end_block().decode()
            assert not fault, f"{self.name}, block {number}: {fault}"

    def _value(self, kind, value):
        if kind.endswith("*"):
            if isinstance(value, np.int64):
                assert value == 0, f"{self.name}: {value} given for {kind}"
                return ctypes.c_void_p(0)
            assert isinstance(value, ndarray), f"{self.name}: {type(value)} given for {kind}"
            assert value.dtype in _POINTERS[kind[:-1]], f"{self.name}: {value.dtype} for {kind}"
            assert value.flags.c_contiguous, self.name
            return ctypes.c_void_p(value.ctypes.data)
        assert type(value) is _SCALARS[kind], f"{self.name}: {type(value)} given for {kind}"
        return np.ctypeslib.as_ctypes_type(type(value))(value.item())
