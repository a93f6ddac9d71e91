"""A small keyword spotter: a DS-CNN like MLPerf Tiny's, trained in about half a minute."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tfgreen.demonstration.keywords import Keywords

if TYPE_CHECKING:
    import keras

EPOCHS = 20
_BATCH_SIZE = 32
_WIDTH = 64
_BLOCKS = 4
_PEAK_LEARNING_RATE = 4e-3
_SHIFT_FRAMES = 6
_NOISE_DEVIATIONS = 0.2


def build_keyword_spotter(class_count: int = 12) -> keras.Model:
    """An untrained DS-CNN: (49, 10, 1) float32 MFCCs in, probabilities of the classes out.

    One convolution, then four blocks of a depthwise and a pointwise convolution, 64 wide, each
    with BatchNormalization and ReLU (Zhang et al., "Hello Edge", arXiv:1711.07128).
    """
    from keras import Model, layers

    def activated(convolution: Any, tensor: Any) -> Any:
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(convolution(tensor)))

    inputs = layers.Input((49, 10, 1), name="mfcc")
    stem = layers.Conv2D(_WIDTH, (10, 4), strides=2, padding="same", use_bias=False)
    features = activated(stem, inputs)
    for _ in range(_BLOCKS):
        depthwise = layers.DepthwiseConv2D(3, padding="same", use_bias=False)
        pointwise = layers.Conv2D(_WIDTH, 1, use_bias=False)
        features = activated(pointwise, activated(depthwise, features))
    features = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(features))
    outputs = layers.Dense(class_count, activation="softmax", name="word")(features)
    return Model(inputs, outputs, name="keyword_spotter")


def train_keyword_spotter(
    keywords: Keywords,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    on_epoch: Callable[[int, int, float], None] | None = None,
) -> keras.Model:
    """Train the spotter on `keywords.x_train`; the held-back clips are not looked at.

    Every epoch hears the clips moved in time and with other noise. `on_epoch` is called after
    each with its number from 1, the number of epochs, and the training accuracy as a share.
    Sets the random seeds of Python, NumPy and Keras.
    """
    import keras

    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    model = build_keyword_spotter(len(keywords.labels))
    steps = epochs * -(-len(keywords.x_train) // _BATCH_SIZE)
    rate = keras.optimizers.schedules.CosineDecay(_PEAK_LEARNING_RATE, steps)
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    for epoch in range(epochs):
        clips = _varied(keywords.x_train, random)
        history = model.fit(clips, keywords.y_train, batch_size=_BATCH_SIZE, verbose=0)
        if on_epoch is not None:
            on_epoch(epoch + 1, epochs, float(history.history["accuracy"][-1]))
    return model


def _varied(clips: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The clips shifted by up to 6 frames (the edge frame repeated), with a little noise added."""
    count, frames = clips.shape[:2]
    shifts = random.integers(-_SHIFT_FRAMES, _SHIFT_FRAMES + 1, (count, 1))
    moved = clips[np.arange(count)[:, None], np.clip(np.arange(frames) + shifts, 0, frames - 1)]
    deviation = clips.std(axis=(0, 1, 3), keepdims=True) * _NOISE_DEVIATIONS
    return (moved + deviation * random.standard_normal(clips.shape)).astype(np.float32)
