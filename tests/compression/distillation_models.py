"""Teachers and students that train in a second, of either Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tests.compression.models import CLASSES, FEATURES
from tfgreen.models.keras2 import tf_keras

FLAVOURS = ("keras3", "keras2")


def package(flavour: str) -> Any:
    return keras if flavour == "keras3" else tf_keras()


def net(
    width: int,
    flavour: str = "keras3",
    end: str | None = None,
    outputs: int = CLASSES,
    seed: int = 7,
) -> Any:
    """Dense(width, relu) 'hidden', BatchNormalization 'norm', Dense(outputs) 'head'."""
    own = package(flavour)
    own.utils.set_random_seed(seed)
    layers = own.layers
    return own.Sequential(
        [
            own.Input((FEATURES,)),
            layers.Dense(width, activation="relu", name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(outputs, activation=end, name="head"),
        ],
        name=f"net_{width}",
    )


def crossentropy(flavour: str, **options: Any) -> Any:
    losses = package(flavour).losses
    return losses.SparseCategoricalCrossentropy(**{"from_logits": True, **options})


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(np.float64(logits) - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def divergence(teacher: np.ndarray, student: np.ndarray, temperature: float = 2.0) -> np.ndarray:
    """T² · KL for each position, from logits, in float64."""
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return temperature**2 * (p * np.log(p / q)).sum(-1)


def label_losses(y: np.ndarray, student: np.ndarray) -> np.ndarray:
    """Cross-entropy of each position, from logits and class numbers."""
    shares = np.take_along_axis(softmax(student), y[..., None].astype(np.int64), -1)[..., 0]
    return -np.log(shares)


def bits(model: Any) -> list[bytes]:
    return [np.asarray(weight).tobytes() for weight in model.weights]
