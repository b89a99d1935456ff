"""A physics-informed network in TensorFlow, trained on the data sets of any backend.

>>> from ptycho_fast import tf as training
>>> stream = training.dataset("gs2_ideal", gridsize=2, batch_size=4, noise="fresh")

``python -m ptycho_fast.train`` does all of it: simulate, train, stitch, compare with the truth.
"""

import os

try:
    import tensorflow  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"ptycho_fast.tf: {error}; pip install 'ptycho_fast[tf]' brings TensorFlow",
        name=error.name,
    ) from error

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"ptycho_fast.tf: Keras runs on {keras.backend.backend()!r}, expected 'tensorflow'; unset "
        f"KERAS_BACKEND (now {os.environ.get('KERAS_BACKEND')!r}) and keras.json"
    )

from .diagnostics import diagnose as diagnose
from .inference import predict as predict
from .inference import stitch as stitch
from .losses import LossWeights as LossWeights
from .model import PtychoNet as PtychoNet
from .model import canvas_side as canvas_side
from .model import load_model as load_model
from .pattern_stream import patterns as patterns
from .refine import Refinement as Refinement
from .refine import Refiner as Refiner
from .refine import refine as refine
from .streams import Feed as Feed
from .streams import dataset as dataset
from .streams import prepare as prepare
from .train import Trainer as Trainer
from .train import TrainSpec as TrainSpec

__all__ = [  # noqa: RUF022 - in the order of the data flow
    "dataset",
    "patterns",
    "prepare",
    "Feed",
    "PtychoNet",
    "canvas_side",
    "LossWeights",
    "TrainSpec",
    "Trainer",
    "load_model",
    "predict",
    "stitch",
    "diagnose",
    "refine",
    "Refiner",
    "Refinement",
]
