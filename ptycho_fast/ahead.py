"""Items of an iterator, made by a thread before they are asked for."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def made_ahead(source: Iterator[Item], depth: int) -> Generator[Item]:
    """The items of `source` in order, up to `depth` of them waiting.

    What `source` raises is raised where the item is asked for. When this iterator is closed,
    nothing more is made, and `source` is closed as well.
    """
    end = object()
    maker = ThreadPoolExecutor(1, "made_ahead")
    try:
        waiting = deque(maker.submit(next, source, end) for _ in range(depth))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(maker.submit(next, source, end))
            yield item  # type: ignore[misc]
    finally:
        maker.shutdown(cancel_futures=True)
        if isinstance(source, Generator):
            source.close()
