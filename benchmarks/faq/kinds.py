"""Small tasks and networks of several kinds, each with a teacher and a student."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.keyword_trials import judging_clips
from tfgreen.demonstration.keywords import load_keywords

SETTINGS = ("few", "few-both", "all")

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""x and y to train with, x and y to judge by; y is int32 for classes, float32 for values."""


@dataclass(frozen=True)
class Kind:
    """One kind of model and what it has to learn.

    build: a network of a width that ends in logits or values. widths: the student's and the
    teacher's. data: given the path of other clips to judge by, or None. settings: see
    `distillation`; where a sample is its own label, none can be missing.
    """

    title: str
    task: str
    build: Callable[[int], Any]
    widths: tuple[int, int]
    data: Callable[[str | None], Arrays]
    epochs: int = 15
    settings: tuple[str, ...] = ("few", "all")


def words(test: str | None) -> Arrays:
    """The spoken keywords of the package, (n, 49, 10, 1)."""
    keywords, clips = load_keywords(), judging_clips(test)
    return keywords.x_train, keywords.y_train.astype(np.int32), clips.x, clips.y.astype(np.int32)


def frames(test: str | None) -> Arrays:
    """The same, to be told again by an autoencoder: 490 values in and out."""
    x, _, x_judging, _ = words(test)
    flat, flat_judging = x.reshape(-1, 490) / 8.0, x_judging.reshape(-1, 490) / 8.0
    return flat, flat, flat_judging, flat_judging


def diabetes(test: str | None) -> Arrays:
    """scikit-learn's diabetes data: ten measurements, one quantity with mean 0 and variance 1."""
    from sklearn.datasets import load_diabetes

    source = load_diabetes()
    y = (source.target - source.target.mean()) / source.target.std()
    x = (source.data / source.data.std(0)).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    judging, used = np.split(order, [len(order) // 3])
    y = y.astype(np.float32)[:, None]
    return x[used], y[used], x[judging], y[judging]


def dense_net(width: int) -> Any:
    """Two hidden layers on all values at once."""
    from keras import Model, layers

    inputs = layers.Input((49, 10, 1))
    features = layers.Flatten()(inputs)
    for _ in range(2):
        features = layers.ReLU()(layers.BatchNormalization()(layers.Dense(width)(features)))
    return Model(inputs, layers.Dense(12)(features))


def conv1d_net(width: int) -> Any:
    """Three convolutions over time."""
    from keras import Model, layers

    inputs = layers.Input((49, 10, 1))
    features = layers.Reshape((49, 10))(inputs)
    for _ in range(3):
        features = layers.Conv1D(width, 5, strides=2, padding="same", use_bias=False)(features)
        features = layers.ReLU()(layers.BatchNormalization()(features))
    return Model(inputs, layers.Dense(12)(layers.GlobalAveragePooling1D()(features)))


def recurrent_net(width: int) -> Any:
    """A GRU over the frames."""
    from keras import Model, layers

    inputs = layers.Input((49, 10, 1))
    features = layers.GRU(width)(layers.Reshape((49, 10))(inputs))
    return Model(inputs, layers.Dense(12)(features))


def attention_net(width: int) -> Any:
    """Two blocks of self-attention over the frames, with learned positions."""
    import keras
    from keras import layers

    inputs = layers.Input((49, 10, 1))
    features = layers.Dense(width)(layers.Reshape((49, 10))(inputs))
    places = layers.Embedding(49, width)(keras.ops.arange(49)[None])
    features = layers.Add()([features, places])
    for _ in range(2):
        normal = layers.LayerNormalization()(features)
        attended = layers.MultiHeadAttention(2, width // 2)(normal, normal)
        features = layers.Add()([features, attended])
        hidden = layers.Dense(2 * width, activation="relu")(layers.LayerNormalization()(features))
        features = layers.Add()([features, layers.Dense(width)(hidden)])
    pooled = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(features))
    return keras.Model(inputs, layers.Dense(12)(pooled))


def autoencoder_net(width: int) -> Any:
    """Dense layers with eight values in the middle."""
    from keras import Model, layers

    inputs = features = layers.Input((490,))
    for size in (width, 8, width):
        features = layers.Dense(size, activation="relu" if size > 8 else None)(features)
    return Model(inputs, layers.Dense(490)(features))


def regression_net(width: int) -> Any:
    """Two hidden layers on a row of a table."""
    from keras import Model, layers

    inputs = features = layers.Input((10,))
    for _ in range(2):
        features = layers.Dense(width, activation="relu")(features)
    return Model(inputs, layers.Dense(1)(features))


KINDS = {
    "conv1d": Kind("convolutions over time", "words", conv1d_net, (16, 64), words, 40),
    "conv1d-brief": Kind(
        "convolutions over time, half as wide, 15 epochs", "words", conv1d_net, (8, 64), words
    ),
    "dense": Kind("dense layers", "words", dense_net, (16, 256), words, settings=SETTINGS),
    "recurrent": Kind("recurrent (GRU)", "words", recurrent_net, (16, 64), words, 20),
    "attention": Kind("transformer", "words", attention_net, (16, 48), words, 12),
    "regression": Kind(
        "regression on a table", "one value", regression_net, (4, 64), diabetes, 40, SETTINGS
    ),
    "autoencoder": Kind(
        "autoencoder", "490 values", autoencoder_net, (32, 256), frames, settings=("all",)
    ),
}
