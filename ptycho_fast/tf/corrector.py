"""A U-net from objects to better ones, for a network that begins with `Projections`."""

from typing import Any

import keras
import tensorflow as tf

from .layers import registered

_SMALLEST = 8  # side of the innermost feature maps
_MOST = 4  # times as many filters there as outside, at most


@registered
class Corrector(keras.layers.Layer):
    """Adds to the windows of a group's patches what a U-net finds wrong with them.

    It begins with no correction: the last convolution starts at zero.

    Parameters
    ----------
    channels : int
        Patches C of a group.
    filters : int
        Filters of the outermost maps; twice as many at half the side, and at most four times.
    seed : int
        Seed of the weights.
    """

    def __init__(self, channels: int, filters: int, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self.settings: dict[str, Any] = {"channels": channels, "filters": filters, "seed": seed}
        self.down: list[keras.Sequential] = []
        self.up: list[keras.Sequential] = []
        shared = {"dtype": self.dtype_policy}
        self.halve = keras.layers.MaxPooling2D(2, **shared)
        self.double = keras.layers.UpSampling2D(2, **shared)
        self.last = keras.layers.Conv2D(
            2 * channels, 3, padding="same", kernel_initializer="zeros", **shared
        )

    def build(self, shape: tuple[Any, ...]) -> None:
        """Make the weights for windows (G, C, 2, K, K)."""
        side, channels = shape[-1], 2 * self.settings["channels"]
        sides = [side]
        while sides[-1] % 2 == 0 and sides[-1] // 2 >= _SMALLEST:
            sides.append(sides[-1] // 2)
        filters = [self.settings["filters"] * min(2**level, _MOST) for level in range(len(sides))]
        seeds = iter(range(self.settings["seed"], self.settings["seed"] + 4 * len(sides)))
        for number, here in zip(filters, sides, strict=True):
            self.down.append(self._block(number, (None, here, here, channels), seeds))
            channels = number
        for number, here in zip(filters[-2::-1], sides[-2::-1], strict=True):
            self.up.append(self._block(number, (None, here, here, channels + number), seeds))
            channels = number
        self.last.build((None, side, side, channels))
        self.built = True

    def _block(self, filters: int, shape: tuple[Any, ...], seeds: Any) -> keras.Sequential:
        """Two 3 x 3 convolutions with ReLU."""
        block = keras.Sequential(
            keras.layers.Conv2D(
                filters,
                3,
                padding="same",
                activation="relu",
                kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
                dtype=self.dtype_policy,
            )
            for _ in range(2)
        )
        block.build(shape)
        return block

    def call(self, patches: tf.Tensor) -> tf.Tensor:
        """Windows (G, C, 2, K, K) to windows."""
        C, side = self.settings["channels"], patches.shape[-1]
        maps = tf.transpose(tf.reshape(patches, [-1, 2 * C, side, side]), [0, 2, 3, 1])
        skipped: list[tf.Tensor] = []
        for block in self.down:
            maps = block(self.halve(maps) if skipped else maps)
            skipped.append(maps)
        for block, beside in zip(self.up, skipped[-2::-1], strict=True):
            maps = block(tf.concat([self.double(maps), beside], axis=-1))
        wrong = tf.transpose(self.last(maps), [0, 3, 1, 2])
        return patches + tf.reshape(wrong, [-1, C, 2, side, side])

    def map_values(self) -> int:
        """Number of values in the feature maps of one group."""
        blocks = [*self.down, *self.up]
        return sum(
            layer.output.shape[1] * layer.output.shape[2] * layer.output.shape[3]
            for block in blocks
            for layer in block.layers
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the layer again."""
        return {**super().get_config(), **self.settings}
