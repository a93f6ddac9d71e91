"""Compile settings from one model to another, of whichever flavours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.hosted_optimizer import Keras3Optimizer
from tfgreen.models.bridge.losses import loss_twin
from tfgreen.models.bridge.metrics import metrics_twin
from tfgreen.models.bridge.optimizer_state import carry_state
from tfgreen.models.bridge.optimizers import optimizer_twin
from tfgreen.models.bridge.origin import Crossing, crossing_of, origin_of, remember
from tfgreen.models.keras2 import tf_keras

_NAMES = (
    "optimizer",
    "loss",
    "metrics",
    "loss_weights",
    "weighted_metrics",
    "run_eagerly",
    "steps_per_execution",
)


def compile_as(target: Any, source: Any) -> None:
    """Compile a tf_keras model as another model of the same outputs is compiled.

    source: of either flavour; it is not changed. The optimizer is a new one of the same kind and
        settings, with the source's step count, and with its moments where the trainable
        variables of both have the same shapes in the same order. What the source remembers of
        its crossing goes along. An uncompiled source leaves the target uncompiled.

    XLA (jit_compile) is always off: the graphs of TensorFlow Model Optimization do not need it.

    Raises UnsupportedModelError for an optimizer that tf_keras does not have.
    """
    crossing = crossing_of(source)
    if crossing is not None and crossing_of(target) is None:
        remember(target, replace(crossing))
    arguments = compile_arguments(source)
    if arguments is None:
        return
    compile_with(target, arguments)
    carry_state(source, target)


def compile_with(target: Any, arguments: dict[str, Any]) -> None:
    """Compile a tf_keras model with arguments of either flavour, which it remembers."""
    own = dict(arguments)
    own["optimizer"] = _unshared(optimizer_twin(own["optimizer"]))
    _refuse_unfit(own["optimizer"], target)
    if origin_of(target) is not None:
        own["loss"] = loss_twin(own.get("loss"))
        for name in ("metrics", "weighted_metrics"):
            own[name] = metrics_twin(own.get(name))
    own["jit_compile"] = False
    tf_keras().Model.compile(target, **own)
    remember(target, replace(crossing_of(target) or Crossing(), compile_arguments=arguments))


def compile_arguments(model: Any) -> dict[str, Any] | None:
    """What a model of either flavour was compiled with, and its present optimizer.

    None for a model that is not compiled.
    """
    config = getattr(model, "_compile_config", None)
    optimizer = getattr(model, "optimizer", None)
    if config is None or optimizer is None:
        return None
    crossing = crossing_of(model)
    given = crossing.compile_arguments if crossing else None
    arguments = {k: v for k, v in (given or config.config).items() if k in _NAMES}
    return {**arguments, "optimizer": optimizer}


def _refuse_unfit(optimizer: Any, target: Any) -> None:
    """Keras 3's Muon reads names that variables of tf_keras do not have: try it on one."""
    if not isinstance(optimizer, Keras3Optimizer):
        return
    trial = type(optimizer).from_config(optimizer.get_config())
    try:
        trial.build(target.trainable_variables[:1])
    except (AttributeError, TypeError, ValueError) as error:
        raise UnsupportedModelError(
            f"The optimizer {type(optimizer.hosted).__name__} cannot train a tf_keras model "
            f"({error}). Compile the model with another one, for example Adam."
        ) from error


def _unshared(optimizer: Any) -> Any:
    """A tf_keras optimizer belongs to one model: another one of the same settings."""
    if isinstance(optimizer, str) or not hasattr(optimizer, "get_config"):
        return optimizer
    return type(optimizer).from_config(optimizer.get_config())
