"""Compile settings of a tf_keras twin back on a Keras 3 model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras

from tfgreen.models.bridge.compiling import compile_arguments
from tfgreen.models.bridge.configs import parameters
from tfgreen.models.bridge.optimizer_state import carry_state
from tfgreen.models.bridge.optimizers import optimizer_back
from tfgreen.models.keras2 import tf_keras


def compile_back(model: Any, twin: Any) -> None:
    """Compile a Keras 3 model as its twin is compiled now, with the optimizer's state.

    Losses and metrics are the objects that the caller gave, where they were of Keras 3. Where a
    part of tf_keras's own has no counterpart, the model stays uncompiled, with a warning.
    """
    arguments = compile_arguments(twin)
    if arguments is None:
        return
    try:
        arguments = {**arguments, "optimizer": optimizer_back(arguments["optimizer"])}
        for name in ("loss", "metrics", "weighted_metrics"):
            arguments[name] = _back(arguments.get(name))
    except LookupError as problem:
        warnings.warn(
            f"The Keras 3 model '{model.name}' was not compiled: {problem} is a part of tf_keras "
            "that Keras 3 does not have. Compile it before the next fit.",
            stacklevel=3,
        )
        return
    given = {name: value for name, value in arguments.items() if value is not None}
    model.compile(**{"jit_compile": False, **given})
    carry_state(twin, model)


def _back(part: Any) -> Any:
    """Keras 3's loss or metric for one of tf_keras; everything else as it is."""
    if isinstance(part, Mapping):
        return {key: _back(value) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_back(value) for value in part]
    for base, module in (
        (tf_keras().losses.Loss, keras.losses),
        (tf_keras().metrics.Metric, keras.metrics),
    ):
        if isinstance(part, base):
            return _same_named(part, module)
    if isinstance(part, keras.metrics.Metric):
        return type(part).from_config(part.get_config())
    return part


def _same_named(part: Any, module: Any) -> Any:
    same = getattr(module, type(part).__name__, None)
    if same is None:
        raise LookupError(type(part).__name__)
    config = {k: v for k, v in part.get_config().items() if k in parameters(same)}
    if config.get("reduction") == "auto":
        config["reduction"] = "sum_over_batch_size"
    return same(**config)
