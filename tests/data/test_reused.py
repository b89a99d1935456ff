"""Memory that comes back when the last view of an array ends, and not before."""

import threading

import numpy as np

from ptycho_fast.data.reused import Pool


def test_memory_comes_back_with_the_last_view():
    pool = Pool()
    a = pool.array((4, 8, 8), np.uint32)
    a[...] = 7
    view, place = a[1:3], a.ctypes.data
    assert place % 64 == 0
    del a
    other = pool.array((4, 8, 8), np.uint32)
    assert other.ctypes.data != place
    other[...] = 9
    assert (view == 7).all()
    del view
    assert pool.array((2, 8, 8), np.uint32).ctypes.data == place  # a smaller one fits too


def test_threads_never_share():
    pool, wrong = Pool(), []

    def work(mark):
        for _ in range(300):
            a = pool.array((64,), np.int64)
            a[...] = mark
            if not (a == mark).all():
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
