"""Memory of large results: it comes back when the last view of an array ends, and not before."""

import multiprocessing
import os
import threading

import numpy as np
import pytest

from ptycho_fast.backend import native
from ptycho_fast.backend.host_arrays import ALIGNMENT, empty_aligned

pytestmark = pytest.mark.native

LARGE = (40, 64, 64)


@pytest.fixture
def core():
    core = native.core()
    core.release_memory()
    a = empty_aligned(LARGE, np.float32)
    del a
    if not core.memory_kept():
        pytest.skip("this build has a sanitizer, and keeps nothing")
    yield core
    core.release_memory()
    assert core.memory_kept() == 0


def place(array):
    return array.ctypes.data


def test_memory_comes_back_with_the_last_view(core):
    a = empty_aligned(LARGE, np.uint32)
    assert place(a) % ALIGNMENT == 0
    a[...] = 7
    view, first = a[1:3], place(a)
    del a
    other = empty_aligned(LARGE, np.uint32)
    assert place(other) != first
    other[...] = 9
    assert (view == 7).all()
    del view
    assert place(empty_aligned((35, 64, 64), np.float32)) == first  # a smaller one fits, too


def test_a_small_result_holds_no_large_block(core):
    assert core.memory_kept() == 4 * np.prod(LARGE)
    small = empty_aligned((10, 64, 64), np.float32)
    assert core.memory_kept() == 4 * np.prod(LARGE)
    assert small.nbytes == 4 * 10 * 64**2


@pytest.mark.parametrize("shape", [(0, 8, 8), (1,), (1, 8, 8), (3, 2**19)])
def test_any_size_is_aligned_and_writeable(core, shape):
    for dtype in (np.uint16, np.float32, np.complex64):
        a = empty_aligned(shape, dtype)
        assert (a.shape, a.dtype) == (shape, dtype)
        assert place(a) % ALIGNMENT == 0
        a[...] = 1
        assert (a == 1).all()


def test_what_is_kept_is_limited_and_given_back(core):
    several = [empty_aligned((2**24,), np.uint8) for _ in range(12)]
    several.clear()
    assert 2**26 < core.memory_kept() <= 2**27  # 8 of 16 MiB; pages are not touched
    for _ in range(16):  # nothing that these results pass over stays
        empty_aligned((2**18,), np.uint8)
    assert core.memory_kept() <= 2**19


def test_threads_never_share(core):
    wrong = []

    def work(mark):
        for k in range(100):
            a = empty_aligned((2**15 + 2**13 * (k % 3),), np.int64)
            a[::64] = mark
            if not (a[::64] == mark).all():
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def _child(array, pipe):
    other = empty_aligned(LARGE, np.float32)
    other[...] = 2
    pipe.send(bool((array == 1).all()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_has_memory_of_its_own(core):
    array = empty_aligned(LARGE, np.float32)
    array[...] = 1
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_child, args=(array, there))
    child.start()
    assert here.poll(120)
    assert here.recv()
    child.join()
    assert child.exitcode == 0
    assert (array == 1).all()
