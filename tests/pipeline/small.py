"""A small model with its data, for runs of recipes that take seconds."""

from __future__ import annotations

from typing import Any

import numpy as np

import tfgreen as tg
from tests.certificates import certificate_of
from tests.tiny_models import int8_classifier
from tfgreen.bundle import Bundle
from tfgreen.reporting.page.figures import file_facts

FEATURES, CLASSES = 8, 3


def small_model(seed: int = 1, *, is_plain: bool = False) -> Any:
    """Dense layers with BatchNormalization, and Dropout, which draws numbers in training.

    is_plain: without the two, so that half batches on two devices add up to whole ones.
    """
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((FEATURES,), name="x")
    hidden = keras.layers.Dense(16)(inputs)
    if not is_plain:
        hidden = keras.layers.BatchNormalization()(hidden)
    hidden = keras.layers.ReLU()(hidden)
    if not is_plain:
        hidden = keras.layers.Dropout(0.3)(hidden)
    outputs = keras.layers.Dense(CLASSES, activation="softmax", name="y")(hidden)
    return keras.Model(inputs, outputs)


def small_data(count: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(count, 8) float32, and classes that two of the features decide."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, FEATURES)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0)


def made_up_bundle(model: Any, calibration: Any, profile: Any, *rest: Any) -> Bundle:
    """In the place of an export, which takes seconds and is tested elsewhere."""
    content = int8_classifier()
    facts = {"float_file": file_facts(content)}
    return Bundle(content, certificate_of(content, profile=profile.name), profile, facts=facts)


THREE_STAGES = tg.Recipe(
    [
        tg.Stage([tg.Pruning(sparsity=0.5)], epochs=3, batch_size=16),
        tg.Stage([tg.Clustering(clusters=4, preserve_sparsity=True)], epochs=2),
        tg.Stage(
            [
                tg.QuantizationAwareTraining(preserve_sparsity=True, preserve_clusters=True),
                tg.Distillation(teacher="large", alpha=(0.5, 0.1)),
            ],
            epochs=2,
            batch_size=16,
        ),
    ]
)
"""Every technique; the last two work in one `fit`."""
