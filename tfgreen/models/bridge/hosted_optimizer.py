"""An optimizer of tf_keras that runs one of Keras 3."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tfgreen.models.bridge.hosting import remembered_class
from tfgreen.models.keras2 import tf_keras


@tf_keras().saving.register_keras_serializable(package="tfgreen")
class Keras3Optimizer(tf_keras().optimizers.Optimizer):  # type: ignore[misc]
    """A Keras 3 optimizer that tf_keras does not have, or computes otherwise.

    On the TensorFlow backend Keras 3's optimizers update tf.Variables, whosever they are.

    optimizer: the key of its class, with its `configuration`.
    """

    def __init__(self, optimizer: str, configuration: dict[str, Any]) -> None:
        hosted = remembered_class(optimizer).from_config(dict(configuration))
        super().__init__(name=hosted.name, jit_compile=False)
        self.__dict__["_key"] = optimizer
        self.__dict__["_hosted"] = hosted

    @property
    def hosted(self) -> Any:
        """The Keras 3 optimizer that does the work."""
        return vars(self)["_hosted"]

    @property
    def iterations(self) -> Any:
        """The variable that counts the steps."""
        hosted = vars(self).get("_hosted")
        return hosted._iterations.value if hosted is not None else super().iterations

    @property
    def learning_rate(self) -> Any:
        """The variable of the learning rate; a tensor where a schedule sets it."""
        rate = self.hosted.learning_rate
        return rate.value if hasattr(rate, "value") else rate

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        self.hosted.learning_rate = rate

    @property
    def variables(self) -> Any:
        """Steps, learning rate and moments."""
        own = super().variables
        return type(own)(variable.value for variable in self.hosted.variables)

    def build(self, var_list: Any) -> None:
        """Make the moments of these variables."""
        with tf.init_scope():
            if not self.hosted.built:
                self.hosted.build(list(var_list))

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Leave these variables out of the weight decay."""
        self.hosted.exclude_from_weight_decay(var_list, var_names)

    def apply_gradients(self, grads_and_vars: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        """One step."""
        gradients, variables = zip(*grads_and_vars, strict=True)
        self.build(variables)
        scale = self.hosted.loss_scale_factor
        if scale is not None:  # Keras 3 has scaled the loss, and divides the gradients again.
            gradients = tuple(None if g is None else g * scale for g in gradients)
        self.hosted.apply(list(gradients), list(variables))
        return self.iterations

    def update_step(self, gradient: Any, variable: Any) -> None:
        """Never called: `apply_gradients` hands all variables over at once."""
        raise NotImplementedError("Keras3Optimizer updates all variables in apply_gradients.")

    def finalize_variable_values(self, var_list: Any) -> None:
        """Put moving averages in the place of the weights, where they were asked for."""
        self.hosted.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        """The key of the hosted optimizer's class and its config."""
        return {"optimizer": vars(self)["_key"], "configuration": settings_of(self.hosted)}


def settings_of(optimizer: Any) -> dict[str, Any]:
    """A Keras 3 optimizer's config; a schedule is in it as the object that it is."""
    config = dict(optimizer.get_config())
    if not hasattr(optimizer._learning_rate, "assign"):
        config["learning_rate"] = optimizer._learning_rate
    return config
