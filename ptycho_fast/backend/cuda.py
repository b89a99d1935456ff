"""NVIDIA GPUs, through CuPy: the kernels of ``csrc/cuda/kernels.cu``, the same bits as ``native``.

Arguments are CuPy arrays on the current GPU, or NumPy arrays: these are copied to the GPU once
a call, and results are copied back piece by piece. Kernels are queued on CuPy's current stream,
and scratch memory comes from CuPy's pool. A call on CuPy arrays does not synchronise, except for
the first call of a kernel or of a size.

For the sides 32, 64, 96 and 128 one block of threads makes a whole pattern in shared memory, and a
batch takes one launch. The sides 192, 256, 384 and 512 (also 96 and 128 on GPUs with less shared
memory) take two launches, with the field between them in the L2 cache. All other sides, and all
exposures that are not plain, take more launches, and each thread transforms one line. The
operations and their order are always the same.
"""

import functools
import importlib
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.backend import native
from ptycho_fast.backend.cuda_build import binary, fits_binary, nvrtc_options, source
from ptycho_fast.backend.protocol import Capabilities
from ptycho_fast.backend.records import BOUNDARIES, Boundary, Counting, Exposure, Sink
from ptycho_fast.backend.series import PickedSeries

Array = Any  # a CuPy or NumPy array

capabilities = Capabilities(
    on_gpu=True,
    narrow=True,
    chunk_pixels=2**24,
    lacks=(
        "quick kernels for slices, near field, sub-exposures, weights, boundaries, bin and spread: "
        "those for any size make them",
        "a detector in the kernels of the photons: another kernel makes its signals",
    ),
)

_SHARED_BY_DEFAULT = 48 * 1024
_FIELD_OF_L2 = 0.5  # of the cache, for the field between two launches
_SCRATCH_BYTES = 2**28
_PIECE_BYTES = 2**26  # of a result on its way to NumPy
_OLDEST = (7, 0)  # compute capability

_MOST_PIXELS = 2**31 - 2**16  # of a pattern, in the kernels that count photons

_NULL = np.int64(0)


def cupy() -> ModuleType:
    """CuPy. Raises ImportError, or any other error if the installation is broken."""
    return importlib.import_module("cupy")


# --- availability ---


def why_not() -> str:
    """Empty if a GPU can be used; else the reason and the remedy."""
    if reason := native.why_not():
        return f"its tables come from the native backend, and {reason}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runtime = cupy().cuda.runtime
    except ModuleNotFoundError as error:
        return (
            f"CuPy is not installed ({error}); pip install cupy-cuda13x, or cupy-cuda12x for a "
            "driver of CUDA 12"
        )
    except Exception as error:  # a broken installation may raise anything
        return (
            f"CuPy cannot be imported ({type(error).__name__}: {error}); reinstall one CuPy alone"
        )
    try:
        driver, needed = runtime.driverGetVersion(), runtime.runtimeGetVersion()
        if driver == 0:
            return "no NVIDIA driver was found; install one, or start the container with its GPUs"
        if driver // 1000 < needed // 1000:
            return (
                f"the NVIDIA driver is of CUDA {_version(driver)}, too old for CuPy, which is of "
                f"CUDA {_version(needed)}; update it, or pip install cupy-cuda{driver // 1000}x"
            )
        if runtime.getDeviceCount() == 0:
            return "no GPU is visible; see nvidia-smi, and the variable CUDA_VISIBLE_DEVICES"
        capability = _capability(cupy().cuda.Device().id)
    except Exception as error:
        return f"the GPU cannot be used ({type(error).__name__}: {error}); see nvidia-smi"
    if capability < _OLDEST:
        return (
            f"the GPU is of compute capability {'.'.join(map(str, capability))}, expected "
            f"{'.'.join(map(str, _OLDEST))} or newer"
        )
    return ""


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _capability(device: int) -> tuple[int, int]:
    text = cupy().cuda.Device(device).compute_capability
    return int(text[:-1]), int(text[-1])


# --- kernels and tables, one set for each GPU ---


@functools.cache
def _module(device: int) -> Any:
    """The fat binary if it has code for this GPU; else the source, compiled once by NVRTC."""
    path = binary()
    if path is not None and fits_binary(_capability(device)):
        return cupy().RawModule(path=str(path))
    return cupy().RawModule(code=source(), options=nvrtc_options())


@functools.cache
def _kernel(device: int, name: str, shared_bytes: int) -> Any:
    kernel = _module(device).get_function(name)
    if shared_bytes > _SHARED_BY_DEFAULT:
        kernel.max_dynamic_shared_size_bytes = shared_bytes
    return kernel


@functools.cache
def _tables(device: int, N: int) -> dict[str, Any]:
    tables = {name: cupy().asarray(table) for name, table in native.core().axis_tables(N).items()}
    cupy().cuda.get_current_stream().synchronize()  # other streams will use them, too
    return tables


@functools.cache
def _attribute(device: int, name: str) -> int:
    runtime = cupy().cuda.runtime
    return int(runtime.deviceGetAttribute(getattr(runtime, f"cudaDevAttr{name}"), device))


@functools.cache
def _shapes() -> dict[str, Any]:
    """How the kernels are launched, see ``csrc/cuda/launch.h``."""
    return native.core().launch_shapes()


def _launch(name: str, blocks: int, threads: int, args: tuple[Any, ...], shared: int = 0) -> None:
    kernel = _kernel(cupy().cuda.Device().id, name, shared)
    kernel((blocks,), (threads,), args, shared_mem=shared)


def _launch_items(name: str, n_patterns: int, items: int, args: tuple[Any, ...]) -> None:
    """Launch one thread for each item of each pattern; blocks of a pattern follow each other."""
    threads = _shapes()["item_threads"]
    _launch(name, n_patterns * -(-items // threads), threads, args)


def _pairs(n_pixels: int) -> int:
    """Pairs of pixels that share their random bits."""
    return -(-n_pixels // 32) * 16


# --- memory ---


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    """Uninitialised array on the current GPU, from CuPy's pool.

    Raises
    ------
    MemoryError
        It does not fit; the message says how many patterns at a time would.
    """
    try:
        return cupy().empty(shape, dtype)
    except cupy().cuda.memory.OutOfMemoryError as error:
        free = cupy().cuda.runtime.memGetInfo()[0] + cupy().get_default_memory_pool().free_bytes()
        pattern = int(np.prod(shape[1:])) * np.dtype(dtype).itemsize
        raise MemoryError(
            f"GPU {cupy().cuda.Device().id}: {shape[0] * pattern / 1e9:.2f} GB asked for, where "
            f"{free / 1e9:.2f} GB are free; give it {max(1, int(0.8 * free) // pattern)} patterns "
            "at a time"
        ) from error


def to_gpu(array: Array) -> Any:
    """The array on the current GPU; an array that is there already is returned unchanged."""
    return cupy().asarray(array)


def on(device: int) -> AbstractContextManager[Any]:
    """Within it, `device` is the current GPU.

    Raises
    ------
    ValueError
        There is no such GPU.
    """
    count = cupy().cuda.runtime.getDeviceCount()
    if not 0 <= device < count:
        raise ValueError(f"device: {device} given, expected 0 to {count - 1}")
    return cupy().cuda.Device(device)


@contextmanager
def _failures_explained() -> Iterator[None]:
    runtime, driver = cupy().cuda.runtime, cupy().cuda.driver
    try:
        yield
    except (runtime.CUDARuntimeError, driver.CUDADriverError) as error:
        raise RuntimeError(
            f"the GPU failed ({error}); what this call, and calls before it that were not waited "
            "for, should have written is not valid. A GPU that was lost comes back in a new process"
        ) from error


def _fill(out: Array, make: Callable[[int, int, Any], None]) -> None:
    """Let `make(first, last, out_of_these)` fill `out`; a NumPy array is filled piece by piece."""
    with _failures_explained():
        if isinstance(out, cupy().ndarray):
            make(0, len(out), out)
            return
        size = max(1, _PIECE_BYTES // out[0].nbytes)
        for first in range(0, len(out), size):
            part = out[first : first + size]
            made = empty(part.shape, part.dtype)
            make(first, first + len(part), made)
            made.get(out=part)


# --- stages ---


def first_call() -> str:
    """See `protocol.Backend`."""
    return ""


def place(device: int | None) -> AbstractContextManager[Any]:
    """See `protocol.Backend`."""
    return nullcontext() if device is None else on(device)


def resident(array: Array) -> Array:
    """See `protocol.Backend`."""
    return to_gpu(array)


def patches(object: Array, positions: Array, boundary: Boundary, out: Array, threads: int) -> None:
    """See `protocol.Backend`."""
    N = out.shape[-1]
    obj, positions = to_gpu(object), to_gpu(positions)

    def make(first: int, last: int, to: Any) -> None:
        where = positions[first:last], np.int32(BOUNDARIES.index(boundary))
        args = (*_object(obj), *where, np.int32(N), to)
        _launch_items("patches", last - first, N * N, args)

    _fill(out, make)


def frames(exposure: Exposure, counting: Counting | None, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`; counts in uint16 stop at 65535."""
    if counting is not None and _behind_detector(counting, sink):
        return _respond(
            lambda part, to: frames(exposure.part(part), counting.part(part), to, threads),
            counting,
            sink,
        )
    exposure, detector = _moved(exposure), _detector(counting, sink)
    factors = None if counting is None else counting.factors
    factors = None if factors is None else to_gpu(factors)
    n, device = exposure.probe.shape[-1], cupy().cuda.Device().id
    plane = 8 * n * n  # bytes of one complex plane
    plain = exposure.plain and exposure.boundary == "zero"
    room = _attribute(device, "MaxSharedMemoryPerBlockOptin")
    if plain and n in _shapes()["fused"] and plane <= room:
        method, size = _fused, len(sink.array)
    elif plain and n in _shapes()["split"]:
        cache = int(_FIELD_OF_L2 * _attribute(device, "L2CacheSize"))
        method, size = _split, cache // (len(exposure.probe) * plane)
    else:
        method, size = _any, _SCRATCH_BYTES // _scratch_of_any(_tables(device, n), n)

    def make(first: int, last: int, to: Any) -> None:
        for begin in range(first, last, max(1, size)):
            end = min(begin + max(1, size), last)
            part = detector(begin, end, to[begin - first : end - first])
            doses = _NULL if factors is None else factors[begin:end]
            method(exposure.part(slice(begin, end)), _tables(device, n), (*part, doses))

    _fill(sink.array, make)


_SHARED = ("object", "probe", "between", "near", "spread")  # arrays that all patterns read


def series(exposure: Exposure, counting: Counting) -> PickedSeries:
    """See `protocol.Backend`."""
    return PickedSeries(frames, _moved(exposure, _SHARED), counting)


def _moved(
    exposure: Exposure, names: tuple[str, ...] = (*_SHARED, "positions", "weights")
) -> Exposure:
    """The exposure with its arrays on the GPU."""
    there = {name: array for name in names if (array := getattr(exposure, name)) is not None}
    return replace(exposure, **{name: to_gpu(array) for name, array in there.items()})


def photons(rates: Array, counting: Counting, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`; counts in uint16 stop at 65535."""
    if _behind_detector(counting, sink):
        return _respond(
            lambda part, to: photons(rates[part], counting.part(part), to, threads), counting, sink
        )
    n_pixels = rates[0].size
    if n_pixels > _MOST_PIXELS:
        raise ValueError(checks.wrong("rates", f"{n_pixels} pixels", f"at most {_MOST_PIXELS}"))
    name = {4: "photons_float", 8: "photons_double"}[rates.dtype.itemsize]
    detector = _detector(counting, sink)

    def make(first: int, last: int, to: Any) -> None:
        args = (to_gpu(rates[first:last]), np.int32(n_pixels), *detector(first, last, to))
        _launch_items(name, last - first, _pairs(n_pixels), args)

    _fill(sink.array, make)


def _detector(counting: Counting | None, sink: Sink) -> Callable[[int, int, Any], tuple[Any, ...]]:
    """Function of (first, last, to) that gives the kernel arguments for these patterns."""
    narrow = sink.kind == "counts" and sink.array.dtype == np.uint16
    result = np.int32(_shapes()["results"]["narrow_counts" if narrow else sink.kind])
    if counting is None:
        return lambda first, last, to: (result, to, np.float64(1), np.uint64(0), _NULL)
    scale, seed, indices = counting.scale, counting.seed, _on_gpu_at_once(counting.indices)
    how = np.float64(scale), np.uint64(seed)
    return lambda first, last, to: (result, to, *how, indices[first:last])


def _behind_detector(counting: Counting, sink: Sink) -> bool:
    """Whether the sink wants what a detector makes of the photons."""
    return counting.detector is not None and sink.kind in ("signal", "amplitude")


def _respond(count: Callable[[slice, Sink], None], counting: Counting, sink: Sink) -> None:
    """Fill a sink behind a detector: `count` makes photons, a kernel of its own the rest."""
    one, kind = counting.detector, str(sink.kind)
    if one is None:
        raise ValueError(checks.wrong("detector", None, "a Response"))
    if kind == "signal":
        kind = {"u": "signal", "i": "signed_signal", "f": "float_signal"}[sink.array.dtype.kind]
    result, indices = np.int32(_shapes()["results"][kind]), _on_gpu_at_once(counting.indices)
    dark, n_dark = (_NULL, 0) if one.dark is None else (to_gpu(one.dark), len(one.dark))
    states = _NULL if one.pixels is None else to_gpu(one.pixels)
    numbers = (
        np.float64(counting.scale),
        np.uint64(one.seed),
        np.float64(one.dead_time),
        np.int32(one.paralysable),
        np.int32(one.dark_least),
        *(dark, np.int64(n_dark)),
        *(np.float64(value) for value in (one.gain, one.readout, one.offset, one.ceiling)),
        np.int32(one.wrap),
        np.float64(one.step),
        *(states, np.float64(one.hot), np.float64(one.masked)),
    )

    def make(first: int, last: int, to: Any) -> None:
        counts = empty(to.shape, np.uint32)
        count(slice(first, last), Sink(counts, "counts"))
        n_pixels = int(to[0].size)
        args = (counts, np.int32(n_pixels), indices[first:last], *numbers, result, to)
        _launch_items("respond", last - first, n_pixels, args)

    _fill(sink.array, make)


def _on_gpu_at_once(indices: Array) -> Any:
    """Pattern numbers on the GPU. A run of them is made there, because a copy synchronises."""
    if isinstance(indices, np.ndarray) and len(indices) and (np.diff(indices) == 1).all():
        return cupy().arange(len(indices), dtype=np.uint64) + np.uint64(indices[0])
    return to_gpu(indices)


def _object(obj: Any) -> tuple[Any, ...]:
    return obj, np.int64(obj.shape[-2]), np.int64(obj.shape[-1])


def _fused(exposure: Exposure, tables: dict[str, Any], detector: Any) -> None:
    probe, positions = exposure.probe, exposure.positions
    N, modes = probe.shape[-1], np.int32(len(probe))
    axis = tables["twiddle"], tables["pixel_of_position"]
    args = (*_object(exposure.object), positions, probe, modes, *axis, *detector)
    _launch(f"fused_{N}", len(positions), _shapes()["fused"][N], args, 8 * N * N)


def _split(exposure: Exposure, tables: dict[str, Any], detector: Any) -> None:
    probe, positions = exposure.probe, exposure.positions
    M, N, _ = probe.shape
    twiddle, pixels, modes = tables["twiddle"], tables["pixel_of_position"], np.int32(M)
    panel, threads = _shapes()["panel"], _shapes()["split"][N]
    blocks, shared = len(positions) * (N // panel), 8 * N * panel
    field = empty((len(positions), M, N, N), np.complex64)
    args = (*_object(exposure.object), positions, probe, modes, twiddle, field)
    _launch(f"columns_{N}", M * blocks, threads, args, shared)
    _launch(f"rows_{N}", blocks, threads, (field, modes, twiddle, pixels, *detector), shared)


def _any(exposure: Exposure, tables: dict[str, Any], detector: Any) -> None:
    """Any exposure; ``csrc/cpu/pattern.h`` has the same phases."""
    B, S, _ = exposure.positions.shape
    planes, n, _ = exposure.probe.shape
    names = ("passes", "twiddle", "at", "chirp", "filter")
    axis = (np.int32(n), np.int32(len(tables["at"])), *(tables.get(name, _NULL) for name in names))
    re, im, turned_re, turned_im, total = (empty((B, n, n), np.float32) for _ in range(5))
    workspace = empty(_workspace(tables, n, B), np.float32)
    between, near = (_transfer(one, tables) for one in (exposure.between, exposure.near))
    weights = _NULL if exposure.weights is None else exposure.weights
    modes = np.int32(exposure.n_modes)

    def columns(number: int, part: int, mode: int) -> None:
        illumination = (exposure.probe, weights) if number == 0 else (_NULL, _NULL)
        positions, boundary = exposure.positions, np.int32(BOUNDARIES.index(exposure.boundary))
        where = positions, boundary, np.int32(S), np.int32(part)
        wave = illumination[0], np.int32(planes), modes, np.int32(mode), illumination[1]
        args = (*_object(exposure.object[number]), *where, *wave, *axis)
        to = re, im, turned_re, turned_im, workspace
        _launch_items("any_columns", B, n, (*args, *to))

    def through(transfer: Any) -> None:
        args = (*axis, transfer, turned_re, turned_im, re, im, workspace)
        _launch_items("any_rows_through", B, n, args)

    for mode in range(exposure.n_modes):
        for part in range(S):
            columns(0, part, mode)
            for number in range(1, len(exposure.object)):
                through(between)
                columns(number, part, mode)
            rest = workspace, total, np.int32(mode == part == 0)
            if near is None:
                _launch_items("any_rows", B, n, (*axis, turned_re, turned_im, *rest))
            else:
                through(near)
                _launch_items("any_image_columns", B, n, (*axis, re, im, *rest))
    order = tables["position_of_pixel"] if near is None else _NULL
    sums = order, np.int32(S), np.int32(near is not None), total
    N = n // exposure.bin
    if exposure.bin > 1 or exposure.spread is not None:
        _launch_items("any_means", B, n * n, (np.int32(n), *sums, re))
        _image(exposure, re, im)
        sums = _NULL, np.int32(1), np.int32(1), re  # they are means, in the detector's order
    _launch_items("any_pixels", B, _pairs(N * N), (np.int32(N), *sums, *detector))


def _image(exposure: Exposure, image: Any, other: Any) -> None:
    """Bin and spread in `image`; `other` has room for as much."""
    B, n, q = len(image), image.shape[-1], exposure.bin
    N = n // q
    if q > 1:
        sizes = np.int32(n), np.int32(q)
        _launch_items("any_bin_rows", B, N * n, (*sizes, image, other))
        _launch_items("any_bin_columns", B, N * N, (*sizes, other, image))
    if exposure.spread is not None:
        how = np.int32(N), exposure.spread, np.int32(len(exposure.spread))
        _launch_items("any_spread_rows", B, N * N, (*how, image, other))
        _launch_items("any_spread_columns", B, N * N, (*how, other, image))


def _transfer(transfer: Any, tables: dict[str, Any]) -> Any:
    """Real and imaginary parts by the positions of the frequencies (column, row), over n**2."""
    if transfer is None:
        return None
    n = len(transfer)
    frequency = (tables["pixel_of_position"] - n // 2) % n
    parts = transfer.view(np.float32).reshape(n, n, 2).transpose(2, 1, 0)
    scaled = parts[:, frequency][:, :, frequency].astype(np.float64) / n**2
    return scaled.astype(np.float32, order="C")


def _workspace(tables: dict[str, Any], N: int, patterns: int) -> tuple[int, ...]:
    """Shape of what convolutions with a chirp work in, in single precision."""
    return patterns, _lines(N), 2 * len(tables["at"]) if "chirp" in tables else 0


def _lines(N: int) -> int:
    """Threads for one pattern if each thread transforms one line."""
    threads = int(_shapes()["item_threads"])
    return -(-N // threads) * threads


def _scratch_of_any(tables: dict[str, Any], N: int) -> int:
    """Bytes of scratch memory for each pattern."""
    return 5 * 4 * N * N + 4 * math.prod(_workspace(tables, N, 1))
