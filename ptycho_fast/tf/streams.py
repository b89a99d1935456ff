"""Batches as tensors: from a thread that works ahead of the training, or as a tf.data stream."""

import os
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import fields, replace
from itertools import count
from typing import Any

import tensorflow as tf

from ptycho_fast.ahead import made_ahead
from ptycho_fast.data import feed
from ptycho_fast.data.dataset import Dataset
from ptycho_fast.data.feed import Batch, Made, Stream
from ptycho_fast.handover import tensorflow_capsule
from ptycho_fast.scenario import Scenario

_AHEAD = 8  # batches that are made while the network trains


class Feed(feed.Feed):
    """A feed that also gives TensorFlow's tensors; see `ptycho_fast.data.feed.Feed`."""

    def tensors(self, batch_size: int, **how: Any) -> Iterator[Batch]:
        """Batches as tensors, made ahead by a thread, with less overhead than `batches`.

        The tensors share the memory of the arrays. If the backend works on a GPU and TensorFlow has
        one as well, batches are made there. Keep such a batch until the result that was computed
        from it has been read: afterwards CuPy uses the memory again.

        Parameters
        ----------
        batch_size, **how
            Of `ptycho_fast.data.feed.Stream`: ``shuffle``, ``first_epoch``, ``epochs``, ``renew``.

        Returns
        -------
        iterator
            Of batches as `Feed.stream` describes them.

        Raises
        ------
        TypeError, ValueError
            An argument is wrong.
        """
        return (made.batch for made in self.steps_ahead(batch_size, **how))

    def steps_ahead(self, batch_size: int, **how: Any) -> Generator[Made]:
        """As `tensors`, and with each batch where it stands; close it to stop its threads.

        Parameters
        ----------
        batch_size, **how
            As for `tensors`.

        Returns
        -------
        generator
            Of what `Feed.steps` describes.

        Raises
        ------
        TypeError, ValueError
            An argument is wrong.
        """
        on_gpu = self.source.can_be_on_gpu and bool(tf.config.list_logical_devices("GPU"))
        steps = replace(self, on_gpu=on_gpu).steps(Stream(batch_size, **how))
        return made_ahead(_as_tensors(steps), _AHEAD)

    def batches(self, batch_size: int, **how: Any) -> Any:
        """Batches as a `tf.data.Dataset`; each iteration begins with the epoch after the last one.

        Parameters
        ----------
        batch_size, **how
            As for `tensors`.

        Returns
        -------
        tf.data.Dataset
            Of batches as `Feed.stream` describes them.

        Raises
        ------
        TypeError, ValueError
            An argument is wrong.
        """
        first = Stream(batch_size, **how)
        self.check(first)
        starts = count(first.first_epoch, first.epochs)

        def generate() -> Iterator[Batch]:
            return self.stream(replace(first, first_epoch=next(starts)))

        N, C = self.N, self.channels
        pattern = tf.TensorSpec((None, N, N, C), tf.float32)
        targets = {"amplitude": pattern, "intensity": pattern}
        if self.truth:
            targets["object"] = tf.TensorSpec((None, N, N), tf.complex64)
        signature = ((pattern, tf.TensorSpec((None, 1, 2, C), tf.float32)), targets)
        stream = tf.data.Dataset.from_generator(generate, output_signature=signature)
        per_epoch = -(-len(self) // batch_size)
        size = tf.data.INFINITE_CARDINALITY if first.renew else first.epochs * per_epoch
        stream = stream.apply(tf.data.experimental.assert_cardinality(size)).prefetch(_AHEAD)
        # An iterator waits at its end for tf.data's autotuner, which sleeps for 10 ms * 2**k: an
        # epoch of fit() would take up to twice its time. There is nothing to tune here.
        options = tf.data.Options()
        options.autotune.enabled = False
        return stream.with_options(options)


prepare = Feed.prepare


def _as_tensors(steps: Generator[Made]) -> Generator[Made]:
    with closing(steps):
        for made in steps:
            start = time.thread_time()
            batch = tf.nest.map_structure(_tensor, made.batch)
            seconds = made.cpu_seconds + time.thread_time() - start
            yield made._replace(batch=batch, cpu_seconds=seconds)


def _tensor(array: Any) -> Any:
    """The tensor that shares the memory of a NumPy or CuPy array."""
    return tf.experimental.dlpack.from_dlpack(tensorflow_capsule(array))


def dataset(
    source: Scenario | Dataset | str | os.PathLike[str],
    gridsize: int | None = None,
    batch_size: int = 4,
    noise: str = "fixed",
    **options: Any,
) -> Any:
    """A stream of training data from a scenario, a data set or a file.

    Each epoch has its own order and, with ``noise="fresh"``, its own photons. Batches are made
    ahead in the background.

    Parameters
    ----------
    source, gridsize, noise
        As for `prepare`.
    batch_size : int
        Groups in a batch; the last batch of an epoch may be smaller.
    **options
        Further ones of `ptycho_fast.data.feed.Stream` and of `prepare`.

    Returns
    -------
    tf.data.Dataset
        Of batches as `Feed.stream` describes them; see `Feed.batches`.

    Raises
    ------
    ScenarioError, TypeError, ValueError
        An argument is wrong.

    Examples
    --------
    >>> stream = dataset("gs2_ideal", batch_size=2, noise="fresh", epochs=3, augment=True)
    >>> (amplitude, offsets), targets = next(iter(stream))
    >>> amplitude.shape.as_list(), offsets.shape.as_list()
    ([2, 64, 64, 4], [2, 1, 2, 4])
    """
    names = {field.name for field in fields(Stream)} & options.keys()
    how = {name: options.pop(name) for name in names}
    return prepare(source, gridsize, noise=noise, **options).batches(batch_size, **how)


def require_same_shape(feeds: Sequence[feed.Feed], N: int, gridsize: int, canvas: int) -> None:
    """Raise ValueError unless a network of these sizes can take the feeds."""
    for one in feeds:
        if (one.N, one.gridsize) != (N, gridsize):
            raise ValueError(
                f"data: N = {one.N} and gridsize {one.gridsize} given, expected N = {N} and "
                f"gridsize {gridsize}, which the network was made for"
            )
        if one.N + 2 * one.largest_offset > canvas:
            raise ValueError(
                f"data: local offsets up to {one.largest_offset:.1f} pixels given, expected at "
                f"most {(canvas - N) / 2:.1f}, which the network's canvas of {canvas} holds"
            )
