"""Copies of tf_keras models that share nothing with the original."""

from __future__ import annotations

from typing import Any

from tfgreen.models.bridge.compiling import compile_as
from tfgreen.models.bridge.fitting import adapt_fit
from tfgreen.models.bridge.weights import copy_values
from tfgreen.models.keras2 import tf_keras


def copy_of(model: Any) -> Any:
    """A copy of a tf_keras model with equal weights; what it remembers goes along."""
    twin = tf_keras().models.clone_model(model)
    copy_values(zip(model.weights, twin.weights, strict=True))
    compile_as(twin, model)
    adapt_fit(twin)
    return twin
