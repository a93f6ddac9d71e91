"""tf_keras → Keras 3: a new model of the original's layers with the twin's weights, by name."""

from __future__ import annotations

from typing import Any

import keras

from tfgreen.models.bridge.comparison import compare_outputs
from tfgreen.models.bridge.nodes import without_mask_warnings
from tfgreen.models.bridge.rebuilding import rebuilt
from tfgreen.models.bridge.returning import compile_back
from tfgreen.models.bridge.states import copy_states, states_of
from tfgreen.models.bridge.weights import copy_values, paired_weights


def to_keras3(twin: Any, original: Any) -> Any:
    """A new Keras 3 model of the original's layers and settings with the twin's weights.

    twin: the original's tf_keras twin, trained, with all wrappers taken off; it is not changed.
    original: the Keras 3 model that the twin was made of; it is not changed.

    It is compiled as the twin is now. Outputs are compared on random input (1e-5 of their scale).
    Raises UnsupportedModelError when the twin has no such layer, or one of other shapes: where
    normalizations were folded or layers quantized there is no way back.
    """
    with without_mask_warnings():
        model = rebuilt(original)
        copy_values(zip(original.weights, model.weights, strict=True))
        copy_values((theirs, ours) for ours, theirs in paired_weights(model, twin))
        copy_states(states_of(twin), model)
        _keep_constants(original, model)
        compare_outputs(model, twin)
    compile_back(model, twin)
    return model


def _keep_constants(original: Any, model: Any) -> None:
    """Normalization computes with constants that it took from its weights once."""
    pairs = zip(_layers(original), _layers(model), strict=True)
    for ours, theirs in pairs:
        if isinstance(ours, keras.layers.Normalization) and ours.built:
            theirs.mean, theirs.variance = ours.mean, ours.variance


def _layers(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False, recursive=True))
