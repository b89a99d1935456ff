"""On a GPU (``pytest -m gpu``): the native bits, everywhere, whatever the stream and the batch."""

import importlib
import threading

import cases
import numpy as np
import pytest
from test_cuda_phases import everything

import ptycho_fast
from ptycho_fast import handover

pytestmark = pytest.mark.gpu

SIZES = [*cases.FUSED, *cases.ODD, *cases.GENERAL, *cases.MODES, *cases.INTEGER]
LARGE = [cases.Case(192, 4), cases.Case(384), cases.Case(512, 2), cases.Case(509), cases.Case(1024)]


@pytest.fixture(scope="module")
def cupy():
    reason = ptycho_fast.backends()["cuda"].reason
    assert not reason, reason
    return importlib.import_module("cupy")


def on_gpu(cupy, case):
    return tuple(cupy.asarray(array) for array in case.inputs())


@pytest.mark.parametrize("case", [*SIZES, *LARGE], ids=str)
def test_native_bits(cupy, case):
    native = everything(*case.inputs(), backend="native")
    there = everything(*on_gpu(cupy, case))
    moved = everything(*case.inputs(), backend="cuda")
    for name, expected in native.items():
        assert cupy.asnumpy(there[name]).tobytes() == expected.tobytes(), name
        assert moved[name].tobytes() == expected.tobytes(), name


def test_data_sets_are_the_same():
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace({"scan.n_patterns": 64})
    native, cuda = (ptycho_fast.simulate(scenario, backend=name) for name in ("native", "cuda"))
    assert native.counts.tobytes() == cuda.counts.tobytes()


@pytest.mark.parametrize("N", [64, 100, 256])
def test_source_compiled_at_run_time(cupy, N, monkeypatch):
    """NVRTC's code, where else the fat binary's runs."""
    from ptycho_fast.backend import cuda

    case = cases.Case(N)
    first = ptycho_fast.diffract(*on_gpu(cupy, case))
    monkeypatch.setattr(cuda, "binary", lambda: None)
    cuda._module.cache_clear()
    cuda._kernel.cache_clear()
    second = ptycho_fast.diffract(*on_gpu(cupy, case))
    cuda._module.cache_clear()
    cuda._kernel.cache_clear()
    assert cupy.asnumpy(first).tobytes() == cupy.asnumpy(second).tobytes()


@pytest.mark.parametrize("N", [64, 128, 256, 45])
def test_two_streams_at_once(cupy, N):
    """From two threads: each finds its own results, in memory from the pool."""
    case = cases.Case(N, 2)
    arrays = on_gpu(cupy, case)
    cupy.cuda.Device().synchronize()
    expected = ptycho_fast.observe(*case.inputs(), scale=9.0, seed=1)
    wrong = []

    def work(seed):
        with cupy.cuda.Stream(non_blocking=True) as stream:
            for _ in range(20):
                counts = ptycho_fast.observe(*arrays, scale=9.0, seed=1)
                ptycho_fast.observe(*arrays, scale=9.0, seed=seed)
                stream.synchronize()
                if cupy.asnumpy(counts).tobytes() != expected.tobytes():
                    wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_calls_do_not_wait(cupy):
    """A call returns while the stream is still held up by what went before."""
    arrays = on_gpu(cupy, cases.Case(64))
    ptycho_fast.observe(*arrays, scale=1.0, seed=0)
    cupy.cuda.Device().synchronize()
    hold = cupy.RawKernel(
        'extern "C" __global__ void hold() { const long long start = clock64();'
        " while (clock64() - start < 1000000000LL) {} }",
        "hold",
    )
    hold.compile()
    with cupy.cuda.Stream(non_blocking=True) as stream:
        hold((1,), (1,), ())
        ptycho_fast.observe(*arrays, scale=1.0, seed=0)
        assert not stream.done
        stream.synchronize()


def test_more_than_2_to_the_31_elements(cupy):
    """The last patterns of a result of 8.6 GB are those of a small one."""
    obj, probe, positions = cases.Case(64).inputs()
    B = 2**31 // 64**2 + 5
    many = np.resize(positions, (B, 2))
    arrays = tuple(cupy.asarray(array) for array in (obj, probe, many))
    counts = ptycho_fast.observe(*arrays, scale=3.0, seed=5)
    for first in (0, 2**30 // 64**2 - 3, B - 8):
        part = many[first : first + 8]
        few = ptycho_fast.observe(obj, probe, part, scale=3.0, seed=5, index=first)
        assert cupy.asnumpy(counts[first : first + 8]).tobytes() == few.tobytes()
    del counts
    rates = cupy.full((B, 64, 64), 3, np.float32)
    sampled = ptycho_fast.sample_photons(rates, seed=1)
    few = ptycho_fast.sample_photons(np.full((8, 64, 64), 3, "f4"), seed=1, index=B - 8)
    assert cupy.asnumpy(sampled[-8:]).tobytes() == few.tobytes()


def test_memory_does_not_grow(cupy):
    arrays = on_gpu(cupy, cases.Case(256, 2))
    pool = cupy.get_default_memory_pool()
    ptycho_fast.observe(*arrays, scale=1.0, seed=0)
    held = pool.total_bytes()
    for seed in range(50):
        ptycho_fast.observe(*arrays, scale=1.0, seed=seed)
    assert pool.total_bytes() <= 2 * held


def test_out_of_memory_says_what_fits(cupy):
    obj, probe, positions = cases.Case(512).inputs()
    arrays = [cupy.asarray(a) for a in (obj, probe, np.resize(positions, (2**21, 2)))]
    with pytest.raises(MemoryError, match=r"GB are free; give it \d+ patterns at a time"):
        ptycho_fast.diffract(*arrays)


def test_handed_over(cupy):
    array = ptycho_fast.diffract(*on_gpu(cupy, cases.Case(64)))
    assert not handover.why_copy(array)
    assert cupy.from_dlpack(array).data.ptr == array.data.ptr
    torch = pytest.importorskip("torch")
    assert torch.from_dlpack(array).data_ptr() == array.data.ptr


def test_every_gpu(cupy):
    case = cases.Case(64)
    expected = ptycho_fast.diffract(*case.inputs())
    for device in range(cupy.cuda.runtime.getDeviceCount()):
        moved = ptycho_fast.diffract(*case.inputs(), backend="cuda", device=device)
        assert moved.tobytes() == expected.tobytes()
        with cupy.cuda.Device(device):
            arrays = on_gpu(cupy, case)
        there = ptycho_fast.diffract(*arrays)
        assert there.device.id == device
        assert cupy.asnumpy(there).tobytes() == expected.tobytes()
