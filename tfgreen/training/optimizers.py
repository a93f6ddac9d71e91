"""Optimizers by name, with rates and decays that are good to begin with."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tfgreen.errors import UnknownNameError, UsageError
from tfgreen.models.loading import flavour_of
from tfgreen.training.budget import is_finite


@dataclass(frozen=True)
class Kind:
    """A class of keras.optimizers and what it is given.

    learning_rate: the peak of the schedule. weight_decay: decoupled; not of vectors (biases,
    scales and offsets of normalizations).
    """

    class_name: str
    learning_rate: float
    weight_decay: float | None
    settings: tuple[tuple[str, Any], ...] = ()


# Lion: a rate 3 to 10 times smaller and a decay as much larger than AdamW's (Chen et al., "Symbolic
# Discovery of Optimization Algorithms", NeurIPS 2023, section 4). SGD: He et al., "Bag of Tricks"
# (CVPR 2019), for batches of 256.
KINDS = MappingProxyType(
    {
        "adam": Kind("Adam", 1e-3, None),
        "adamw": Kind("AdamW", 4e-3, 1e-2),
        "lion": Kind("Lion", 5e-4, 1e-1),
        "sgd": Kind("SGD", 1e-2, None),
        "sgd-nesterov": Kind("SGD", 1e-1, 5e-4, (("momentum", 0.9), ("nesterov", True))),
    }
)
_WITH_DECAY = {"adam": "adamw", "sgd": "sgd-nesterov"}

VECTOR_NAMES = ("bias", "gamma", "beta")
"""In the names that Keras gives to the vectors of its layers."""


def package_of(model: Any) -> Any:
    """keras or tf_keras, whichever the model is of."""
    if flavour_of(model) == "keras2":
        from tfgreen.models.keras2 import tf_keras

        return tf_keras()
    import keras

    return keras


def optimizer_for(
    model: Any, name: str, learning_rate: float | None, weight_decay: float | None
) -> tuple[Any, float]:
    """A new optimizer of the model's flavour of Keras, and its peak learning rate.

    Raises:
        UnknownNameError: no such optimizer.
        UsageError: an optimizer itself, a rate that is not above 0, a negative decay, or a decay
            for "adam" or "sgd".
    """
    if not isinstance(name, str):
        raise UsageError(
            f"Received the optimizer {type(name).__name__}; expected a name: {', '.join(KINDS)}. "
            "For one of your own compile the model, and give `tg.Budget(...).callback()` to `fit`."
        )
    if name not in KINDS:
        raise UnknownNameError("optimizer", name, KINDS)
    kind = KINDS[name]
    rate = kind.learning_rate if learning_rate is None else learning_rate
    decay = kind.weight_decay if weight_decay is None else weight_decay
    if not (is_finite(rate) and rate > 0):
        raise UsageError(f"Received learning_rate={rate!r}; expected a number above 0.")
    if decay is not None and not (is_finite(decay) and decay >= 0):
        raise UsageError(f"Received weight_decay={decay!r}; expected a number that is not below 0.")
    if decay and name in _WITH_DECAY:
        raise UsageError(
            f"Received weight_decay={decay:g} for '{name}', which has none: take "
            f"'{_WITH_DECAY[name]}'."
        )
    settings = dict(kind.settings) | ({"weight_decay": decay} if decay else {})
    if name == "adamw":
        settings["weight_decay"] = decay
    made = getattr(package_of(model).optimizers, kind.class_name)
    return made(learning_rate=float(rate), **settings), float(rate)


def spare_vectors(model: Any) -> None:
    """Let the compiled optimizer decay matrices and kernels only; before it is built.

    A model that is built by its first batch has no variables yet: they are told by their names.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not getattr(optimizer, "weight_decay", None):
        return
    if not model.built:
        optimizer.exclude_from_weight_decay(var_names=list(VECTOR_NAMES))
    else:
        vectors = [one for one in model.trainable_variables if len(one.shape) <= 1]
        optimizer.exclude_from_weight_decay(var_list=vectors)
