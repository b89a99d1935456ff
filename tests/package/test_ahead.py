"""Items made by a thread before they are asked for."""

import threading

import pytest

from ptycho_fast.ahead import made_ahead


def test_all_items_in_order():
    assert list(made_ahead(iter(range(20)), 3)) == list(range(20))
    assert list(made_ahead(iter(()), 3)) == []


def test_no_more_than_the_depth_is_made():
    made, makers, five = [], set(), threading.Event()

    def source():
        for n in range(20):
            makers.add(threading.current_thread())
            made.append(n)
            if len(made) == 5:
                five.set()
            yield n

    items = made_ahead(source(), 3)
    assert [next(items), next(items)] == [0, 1]
    assert five.wait(300)
    items.close()
    assert made == [0, 1, 2, 3, 4]  # those asked for, and three more
    (maker,) = makers
    assert maker is not threading.current_thread()
    assert not maker.is_alive()


def test_what_makes_the_items_is_closed_as_well():
    closed = threading.Event()

    def source():
        try:
            yield from range(20)
        finally:
            closed.set()

    items = made_ahead(source(), 1)
    assert next(items) == 0
    assert not closed.is_set()
    items.close()
    assert closed.is_set()


def test_errors_are_passed_on():
    def source():
        yield 1
        raise ValueError("no more")

    items = made_ahead(source(), 4)
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        next(items)
