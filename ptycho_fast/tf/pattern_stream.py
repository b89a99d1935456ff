"""Patterns as a `tf.data.Dataset`: whole batches, made by calls that may run at the same time."""

import os
from functools import lru_cache
from itertools import count, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ptycho_fast import checks
from ptycho_fast.data.order import Order
from ptycho_fast.data.pattern_feed import PatternFeed
from ptycho_fast.data.source import Given
from ptycho_fast.scenario import Scenario

_ORDERED = 4096  # pattern numbers that are put in order at a time
_AHEAD = 4  # batches that wait for the network, at least
_STEP_BITS = 40  # of an element's number, which is that of the epoch and, below it, of the step


def patterns(
    source: PatternFeed | Given | Scenario | str | os.PathLike[str],
    order: Order | None = None,
    *,
    workers: int = 0,
    epoch: int = 0,
    first_step: int = 0,
    **options: Any,
) -> Any:
    """Batches of patterns.

    Parameters
    ----------
    source
        What `ptycho_fast.data.pattern_feed.PatternFeed` takes, or such a feed.
    order : Order, optional
        Size of a batch, shuffling, and which rank this is for; see `PatternFeed.order`. The order
        is the same for any number of workers.
    workers : int
        Batches that are made at the same time, each on one thread; 0: one after the other, each on
        all threads.
    epoch : int
        The first epoch; each iteration of the data set is the epoch after the last one.
    first_step : int
        Batches of the first epoch that are left out.
    **options
        Of `PatternFeed`: ``output``, ``patches``, ``noise``, ``domain``, ``backend``, ``threads``.

    Returns
    -------
    tf.data.Dataset
        Of batches as `PatternFeed.batch` describes them. The memory of the arrays is shared where
        TensorFlow can.

    Raises
    ------
    ScenarioError, TypeError, ValueError
        An argument is wrong.

    Examples
    --------
    >>> stream = patterns("gs2_ideal", Order(batch_size=256, shuffle=True), output="counts")
    >>> [int(batch["patterns"].shape[0]) for batch in stream]
    [256, 256, 256, 256]
    """
    feed = source if isinstance(source, PatternFeed) else PatternFeed(source, **options)
    if isinstance(source, PatternFeed) and options:
        raise TypeError(checks.wrong("options", ", ".join(options), "none with a PatternFeed"))
    workers = checks.integer(workers, "workers", 0)
    epoch = checks.integer(epoch, "epoch", 0, 2 ** (62 - _STEP_BITS))
    first_step = checks.integer(first_step, "step", 0)
    if workers and feed.threads is None:
        feed = feed.with_threads(1)
    order = feed.order(order)
    steps = 2**_STEP_BITS if feed.n_patterns is None else order.steps(feed.n_patterns)
    checks.integer(steps, "batches of an epoch", most=2**_STEP_BITS)
    per_turn = max(1, _ORDERED // order.batch_size)
    order.batches(feed.n_patterns)  # an error now, not with the first batch

    dtype = feed.dtype

    @lru_cache(maxsize=2 * workers + 2)
    def ordered(turn: int, part: int) -> list[npt.NDArray[np.int64]]:
        numbers = order.batches(feed.n_patterns, epoch=turn, first_step=part * per_turn)
        return list(islice(numbers, per_turn))

    signature = {
        "patterns": tf.TensorSpec((None, feed.N, feed.N), dtype),
        "positions": tf.TensorSpec((None, 2), tf.float64),
        "index": tf.TensorSpec((None,), tf.int64),
    }
    if feed.patches:
        signature["patches"] = tf.TensorSpec((None, feed.N, feed.N), tf.complex64)

    def make(number: Any) -> list[Any]:
        turn, step = divmod(int(number), 2**_STEP_BITS)
        part, place = divmod(step, per_turn)
        numbers = ordered(turn, part)[place]
        batch = feed.batch(numbers, turn)
        return [batch[name] for name in signature]

    def batch_of(number: Any) -> dict[str, Any]:
        made = tf.numpy_function(
            make, [number], [spec.dtype for spec in signature.values()], stateful=False
        )
        return {
            name: tf.ensure_shape(tensor, spec.shape)
            for (name, spec), tensor in zip(signature.items(), made, strict=True)
        }

    turns = count(epoch)

    def next_turn(_: Any) -> Any:
        return tf.numpy_function(lambda: np.int64(next(turns)), [], tf.int64)

    def numbers_of(turn: Any) -> Any:
        first = tf.where(turn == epoch, tf.constant(first_step, tf.int64), 0)
        start = turn * 2**_STEP_BITS  # numbers, not pairs: TensorFlow takes time for every function
        return tf.data.Dataset.range(start + first, start + steps)

    parallel = {"num_parallel_calls": workers, "deterministic": True} if workers else {}
    stream = tf.data.Dataset.from_tensors(0).map(next_turn).flat_map(numbers_of)
    stream = stream.map(batch_of, **parallel).prefetch(max(_AHEAD, workers))
    # As in `streams`: at its end an iterator would wait for the autotuner.
    settings = tf.data.Options()
    settings.autotune.enabled = False
    return stream.with_options(settings)
