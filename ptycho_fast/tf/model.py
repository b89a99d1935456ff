"""The physics-informed network: diffraction in, complex object out, its own diffraction predicted.

scaled amplitude -> scaler -> encoder -> amplitude and phase decoders -> patches of the object
(or: -> projections -> corrector -> patches of the object)
-> reassembled on the group's canvas -> patches again -> times probe -> far field -> scaler
"""

import math
import os
from functools import cached_property
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ptycho_fast import checks
from ptycho_fast.probes import support_mask

from .corrector import Corrector
from .layers import (
    Diffract,
    Extract,
    IntensityScaler,
    IntensityScalerInverse,
    Reassemble,
    registered,
    root,
)
from .losses import poisson_deviance, published_likelihood
from .projections import Projections

ACTIVATIONS = {
    "sigmoid": tf.nn.sigmoid,
    "softplus": tf.nn.softplus,
    "swish": tf.nn.silu,
    "relu": tf.nn.relu,
}
BORDER_CHANNELS = 4  # feature channels that a head keeps for the border outside the central window
_LATENT = 8  # side of the innermost feature maps


def check_side(N: int) -> None:
    """Raise ValueError unless the network can take patches of N x N pixels."""
    if N not in [_LATENT << level for level in range(1, 8)]:
        raise ValueError(checks.wrong("N", N, "a power of two from 16 to 1024"))


def canvas_side(N: int, largest_offset: float) -> int:
    """Side of the smallest canvas that holds groups of patches with these local offsets."""
    return N + 2 * int(np.ceil(largest_offset))


def _pi_tanh(x: tf.Tensor) -> tf.Tensor:
    return np.pi * tf.tanh(x)


@registered
class Head(keras.layers.Layer):
    """Features (G, N/2, N/2, F) to the patches of a group, (G, C, K, K).

    One convolution fills the central window, K = N/2. With `border`, the last four channels go
    through one more up block and fill the rest of the patch, K = N.

    Parameters
    ----------
    channels : int
        Patches C of a group.
    activation : str
        Of the central window: a key of `ACTIVATIONS`, or "phase" for ``pi * tanh``.
    bias : float
        Start of the convolution's bias.
    border : bool
        Whether the border is filled.
    filters : int
        Filters of the border's up block.
    seed : int
        Seed of the weights.
    """

    def __init__(
        self,
        channels: int,
        activation: str,
        *,
        bias: float = 0.0,
        border: bool = False,
        filters: int = 32,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.settings: dict[str, Any] = {
            "channels": channels,
            "activation": activation,
            "bias": bias,
            "border": border,
            "filters": filters,
            "seed": seed,
        }
        shared = {"padding": "same", "dtype": self.dtype_policy}
        self.centre = keras.layers.Conv2D(
            channels,
            3,
            kernel_initializer=keras.initializers.GlorotUniform(seed),
            bias_initializer=keras.initializers.Constant(bias),
            **shared,
        )
        self.outside = None
        if border:
            self.outside = keras.Sequential(
                [
                    *_convolutions(filters, [seed + 1, seed + 2], self.dtype_policy),
                    keras.layers.UpSampling2D(2, dtype=self.dtype_policy),
                    keras.layers.Conv2D(
                        channels,
                        3,
                        activation="swish",
                        kernel_initializer=keras.initializers.GlorotUniform(seed + 3),
                        **shared,
                    ),
                ]
            )

    def build(self, shape: tuple[int, ...]) -> None:
        """Make the weights for features of this shape."""
        self.centre.build((*shape[:-1], shape[-1] - BORDER_CHANNELS))
        if self.outside is not None:
            self.outside.build((*shape[:-1], BORDER_CHANNELS))
        self.built = True

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Features to patches."""
        name = self.settings["activation"]
        activate = _pi_tanh if name == "phase" else ACTIVATIONS[name]
        patches = activate(self.centre(features[..., :-BORDER_CHANNELS]))
        if self.outside is not None:
            margin = patches.shape[1] // 2
            inside = tf.pad(tf.ones_like(patches), _margins(margin))
            around = self.outside(features[..., -BORDER_CHANNELS:])
            patches = tf.pad(patches, _margins(margin)) + around * (1 - inside)
        return tf.transpose(patches, [0, 3, 1, 2])

    def compute_output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the patches."""
        side = shape[1] * (1 if self.outside is None else 2)
        return (shape[0], self.settings["channels"], side, side)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the layer again."""
        return {**super().get_config(), **self.settings}


def _margins(width: int) -> list[list[int]]:
    return [[0, 0], [width, width], [width, width], [0, 0]]


def _convolutions(filters: int, seeds: list[int], dtype: Any) -> list[keras.layers.Layer]:
    """Two 3 x 3 convolutions with ReLU."""
    return [
        keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_initializer=keras.initializers.GlorotUniform(seed),
            dtype=dtype,
        )
        for seed in seeds
    ]


def encoder_filters(N: int, n_filters_scale: int) -> list[int]:
    """Filters of the encoder's blocks: 32, 64, 128 for N = 64, times `n_filters_scale`."""
    depth = int(np.log2(N // _LATENT))
    return [n_filters_scale * (128 >> level) for level in reversed(range(depth))]


def decoder_filters(N: int, n_filters_scale: int) -> list[int]:
    """Filters of a decoder's blocks: 64, 32 for N = 64, times `n_filters_scale`."""
    depth = int(np.log2(N // _LATENT))
    return [n_filters_scale * (32 << level) for level in reversed(range(depth - 1))]


@registered
class PtychoNet(keras.Model):
    """Maps scaled amplitudes and local offsets of groups to their object and its diffraction.

    Takes ``(amplitude, offsets)``: (G, N, N, C) float32, the data's amplitude times the intensity
    scale, and (G, 1, 2, C) float32, ``[x, y]`` in pixels. Gives a dictionary of ``object``
    (G, N, N) complex64, ``amplitude`` and ``intensity`` (G, N, N, C) float32 in the input's units.

    Parameters
    ----------
    N : int
        Patch side: 16, 32, 64, ..., 1024.
    gridsize : int
        A group holds gridsize**2 patterns.
    canvas : int
        Side of the canvas of a group, see `canvas_side`.
    intensity_scale : float
        The scale s that the data come with.
    modes : int
        Number of probe modes.
    n_filters_scale : int
        Factor of all filter numbers.
    amplitude_activation : str
        A key of `ACTIVATIONS`.
    amplitude_bias : float
        Start of the amplitude head's bias.
    probe_big : bool
        Whether the heads fill the border outside the central window too.
    trainable_scale : bool
        Whether training changes the intensity scale.
    projections : int
        Passes of `Projections` that give the network a first object, which it corrects in a
        `Corrector` instead of encoder and decoders; the amplitude head's arguments then have no
        meaning. 0: the network gets the amplitudes, as published.
    seed : int
        Seed of the weights.

    Raises
    ------
    ValueError
        An argument is wrong, or `probe_big` comes with `projections`.
    """

    def __init__(
        self,
        N: int,
        gridsize: int,
        canvas: int,
        intensity_scale: float,
        *,
        modes: int = 1,
        n_filters_scale: int = 2,
        amplitude_activation: str = "softplus",
        amplitude_bias: float = 1.0,
        probe_big: bool = False,
        trainable_scale: bool = False,
        projections: int = 0,
        seed: int = 42,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_side(N)
        if amplitude_activation not in ACTIVATIONS:
            raise ValueError(
                f"amplitude_activation: {amplitude_activation!r} given, expected one of "
                f"{', '.join(ACTIVATIONS)}"
            )
        if canvas < N or canvas % 2:
            raise ValueError(f"canvas: {canvas} given, expected an even number >= N = {N}")
        checks.count(n_filters_scale, "n_filters_scale")
        if checks.integer(projections, "projections", 0) and probe_big:
            raise ValueError(checks.wrong("probe_big", True, "False with projections"))
        self.settings: dict[str, Any] = {
            "N": N,
            "gridsize": checks.count(gridsize, "gridsize"),
            "canvas": canvas,
            "intensity_scale": float(intensity_scale),
            "modes": modes,
            "n_filters_scale": n_filters_scale,
            "amplitude_activation": amplitude_activation,
            "amplitude_bias": float(amplitude_bias),
            "probe_big": bool(probe_big),
            "trainable_scale": bool(trainable_scale),
            "projections": int(projections),
            "seed": int(seed),
        }
        self.N, self.gridsize, self.canvas = N, gridsize, canvas
        C, dtype = gridsize**2, self.dtype_policy
        fresh = iter(range(1000 * seed, 1000 * (seed + 1)))

        def blocks(filters: list[int], between: type) -> list[keras.layers.Layer]:
            layers = []
            for number in filters:
                layers += _convolutions(number, [next(fresh), next(fresh)], dtype)
                layers.append(between(2, dtype=dtype))
            return layers

        def decoder(activation: str, bias: float) -> keras.Sequential:
            filters = decoder_filters(N, n_filters_scale)
            up = blocks(filters, keras.layers.UpSampling2D)
            head = Head(
                C,
                activation,
                bias=bias,
                border=probe_big,
                filters=32 * n_filters_scale,
                seed=next(fresh) + 500,
                dtype=dtype,
            )
            return keras.Sequential([*up, head])

        self.scaler = IntensityScaler(intensity_scale, trainable=trainable_scale, dtype=dtype)
        if projections:
            self.projections = Projections(projections, canvas, dtype=dtype)
            self.corrector = Corrector(C, 32 * n_filters_scale, next(fresh), dtype=dtype)
        else:
            self.encoder = keras.Sequential(
                blocks(encoder_filters(N, n_filters_scale), keras.layers.MaxPooling2D)
            )
            self.amplitude_decoder = decoder(amplitude_activation, amplitude_bias)
            self.phase_decoder = decoder("phase", 0.0)
        self.reassemble = Reassemble(canvas, dtype=dtype)
        self.extract = Extract(N, dtype=dtype)
        self.diffract = Diffract(modes, N, dtype=dtype)
        self.unscaler = IntensityScalerInverse(self.scaler, dtype=dtype)
        self.build([(None, N, N, C), (None, 1, 2, C)])

    def build(self, shapes: Any) -> None:
        """Make the weights."""
        if self.settings["projections"]:
            self.corrector.build((None, self.gridsize**2, 2, self.N // 2, self.N // 2))
        else:
            self.encoder.build(shapes[0])
            latent = self.encoder.compute_output_shape(shapes[0])
            self.amplitude_decoder.build(latent)
            self.phase_decoder.build(latent)
        self.built = True

    def set_probe(self, probe: npt.ArrayLike, *, mask: bool = False) -> None:
        """Take over the probe, (N, N) or (M, N, N) complex; `mask` cuts it at radius N/4."""
        modes = np.asarray(probe).reshape(-1, *np.shape(probe)[-2:])
        expected = (self.settings["modes"], self.N, self.N)
        if modes.shape != expected:
            raise ValueError(f"probe: shape {modes.shape} given, expected {expected}")
        self.diffract.set_probe(modes * support_mask(self.N) if mask else modes)

    def patches(self, amplitude: tf.Tensor, offsets: tf.Tensor) -> tf.Tensor:
        """Scaled amplitude (G, N, N, C), offsets (G, 1, 2, C) to object windows (G, C, 2, K, K)."""
        amplitude = self.scaler(amplitude)
        if self.settings["projections"]:
            first = self.projections(amplitude, offsets, self.diffract.shifted())
            window = slice(self.N // 4, self.N - self.N // 4)
            return self.corrector(first[..., window, window])
        features = self.encoder(amplitude)
        modulus, phase = self.amplitude_decoder(features), self.phase_decoder(features)
        return tf.stack([modulus * tf.cos(phase), modulus * tf.sin(phase)], axis=2)

    def centre(self, canvas: tf.Tensor) -> tf.Tensor:
        """Central N x N pixels of a canvas (G, 2, P, P), complex."""
        margin = (self.canvas - self.N) // 2
        inner = canvas[:, :, margin : margin + self.N, margin : margin + self.N]
        return tf.complex(inner[:, 0], inner[:, 1])

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> dict[str, Any]:
        """Object of each group and its diffraction."""
        amplitude, offsets = inputs
        canvas = self.reassemble(self.patches(amplitude, offsets), offsets)
        intensity = self.unscaler(self.diffract(self.extract(canvas, offsets)))
        return {
            "object": self.centre(canvas),
            "amplitude": root(intensity),
            "intensity": intensity,
        }

    def map_values(self) -> int:
        """Number of values in the feature maps of one group, for an estimate of memory."""
        if self.settings["projections"]:
            return self.corrector.map_values()
        values = 0
        for block in (self.encoder, self.amplitude_decoder, self.phase_decoder):
            shape = (1, *block.input_shape[1:])
            for layer in block.layers:
                shape = layer.compute_output_shape(shape)
                values += math.prod(shape)
        return values

    @cached_property
    def predicted(self) -> Any:
        """What `inference.predict` wants of a batch, compiled once.

        Takes scaled amplitude, local offsets and scaled intensity; gives objects (G, N, N), windows
        of patches (G, C, K, K), both complex64, and the published likelihood.
        """
        unit = self.settings["intensity_scale"] ** 2

        @tf.function(reduce_retracing=True)
        def predicted(amplitude: Any, offsets: Any, intensity: Any) -> Any:
            patches = self.patches(amplitude, offsets)
            outputs = self((amplitude, offsets))
            complete = tf.complex(patches[:, :, 0], patches[:, :, 1])
            likelihood = published_likelihood(intensity, outputs["intensity"], unit)
            return outputs["object"], complete, likelihood

        return predicted

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Poisson deviance, so that Keras' own ``fit`` works as well."""
        unit = self.settings["intensity_scale"] ** 2
        return poisson_deviance(y["intensity"], y_pred["intensity"], unit)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the model again."""
        return {**super().get_config(), **self.settings}


def load_model(path: str | os.PathLike[str], *, compiled: bool = False) -> PtychoNet:
    """Read a model that was saved as ``.keras``, with its optimiser if `compiled`.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, or it holds something else.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: there is no such model file")
    try:
        model = keras.saving.load_model(path, compile=compiled)
    except Exception as error:
        raise ValueError(f"{path}: not a model file ({error})") from error
    if not isinstance(model, PtychoNet):
        raise ValueError(f"{path}: holds a {type(model).__name__}, expected a {PtychoNet.__name__}")
    return model
