"""A Keras 3 layer that is pruned while it is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from tfgreen.compression.kernels import kernels_of
from tfgreen.models.bridge.nodes import functional_of
from tfgreen.models.keras2 import model_optimization
from tfgreen.tfmot.originals import pruning_module, tensorflow_variable
from tfgreen.tfmot.wrapping import LayerWrapper


def prunable_weights(layer: Any) -> list[Any]:
    """What the original prunes in such a layer: kernels, but no depthwise ones.

    A `PrunableLayer` tells them itself.
    """
    if isinstance(layer, model_optimization().sparsity.keras.PrunableLayer):
        return list(layer.get_prunable_weights())
    return [kernel.variable for kernel in kernels_of(layer) if not kernel.is_depthwise]


@keras.saving.register_keras_serializable(package="tfgreen")
class PruneLowMagnitude(LayerWrapper):
    """The original's wrapper of this name for a Keras 3 layer; its arguments are the original's.

    It counts the steps of training by itself, so that the `UpdatePruningStep` callback may be
    left out.
    """

    prefix = "prune_low_magnitude_"

    def __init__(
        self,
        layer: Any,
        pruning_schedule: Any,
        block_size: tuple[int, int] = (1, 1),
        block_pooling_type: str = "AVG",
        sparsity_m_by_n: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(layer, **kwargs)
        if block_pooling_type not in ("AVG", "MAX"):
            raise ValueError(
                f"block_pooling_type received {block_pooling_type!r}; expected AVG or MAX."
            )
        self.pruning_schedule = pruning_schedule
        self.block_size = tuple(block_size)
        self.block_pooling_type = block_pooling_type
        self.sparsity_m_by_n = tuple(sparsity_m_by_n) if sparsity_m_by_n else None
        self._bookkeeping: _Bookkeeping | None = None

    def build(self, input_shape: Any = None) -> None:
        """Add a mask and a threshold for each prunable weight, and the count of steps."""
        if not self.layer.built:
            self.layer.build(input_shape)
        weights = prunable_weights(self.layer)
        masks = [self._extra(f"mask_{i}", w.shape, "ones", w.dtype) for i, w in enumerate(weights)]
        thresholds = [
            self._extra(f"threshold_{i}", (), "zeros", w.dtype) for i, w in enumerate(weights)
        ]
        self.pruning_step = self._extra("pruning_step", (), "zeros", "int64")
        self._bookkeeping = _Bookkeeping(weights, masks, thresholds)

    def _extra(self, name: str, shape: Any, initializer: str, dtype: str) -> Any:
        return self.add_weight(
            shape=shape,
            initializer=initializer,
            dtype=dtype,
            trainable=False,
            autocast=False,
            name=name,
        )

    @property
    def pruning_vars(self) -> list[tuple[Any, Any, Any]]:
        """(weight, mask, threshold) for each prunable weight."""
        return self._bookkeeping.variables if self._bookkeeping else []

    def call(self, inputs: Any, *args: Any, training: Any = None, **kwargs: Any) -> Any:
        """Update the masks if it is time, mask the weights, and call the inner layer."""
        pruning = self._pruning()
        if pruning is not None:
            if training:
                self.pruning_step.assign_add(1)
                pruning.conditional_mask_update()
            pruning.weight_mask_op()
        return super().call(inputs, *args, **kwargs)

    def mask_weights(self) -> None:
        """Zero what the masks have taken out."""
        pruning = self._pruning()
        if pruning is not None:
            pruning.weight_mask_op()

    def _pruning(self) -> Any | None:
        """The original's masks on this layer's variables; None while they have no values."""
        if self._bookkeeping is None:
            return None
        return self._bookkeeping.pruning(
            self.pruning_step,
            pruning_schedule=self.pruning_schedule,
            block_size=self.block_size,
            block_pooling_type=self.block_pooling_type,
            sparsity_m_by_n=self.sparsity_m_by_n,
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments, with the schedule as the original writes it."""
        return {
            **super().get_config(),
            "pruning_schedule": self.pruning_schedule.get_config(),
            "block_size": self.block_size,
            "block_pooling_type": self.block_pooling_type,
            "sparsity_m_by_n": self.sparsity_m_by_n,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The wrapper again; a schedule of your own is found in Keras's custom objects."""
        schedule = config["pruning_schedule"]
        name = schedule["class_name"]
        kind = (custom_objects or {}).get(name) or keras.saving.get_registered_object(name)
        kind = kind or getattr(model_optimization().sparsity.keras, name)
        made = {**config, "pruning_schedule": kind(**schedule["config"])}
        return super().from_config(made, custom_objects)


class _Bookkeeping:
    """Holds the variables where Keras does not track them a second time."""

    def __init__(self, weights: list[Any], masks: list[Any], thresholds: list[Any]) -> None:
        self.variables = list(zip(weights, masks, thresholds, strict=True))
        self._made: Any | None = None

    def pruning(self, step: Any, **settings: Any) -> Any | None:
        if self._made is None and self.variables:
            rows = [tuple(map(tensorflow_variable, row)) for row in self.variables]
            counter = tensorflow_variable(step)
            if counter is None or any(part is None for row in rows for part in row):
                return None
            self._made = pruning_module().pruning_impl.Pruning(
                training_step_fn=lambda: counter, pruning_vars=rows, **settings
            )
        return self._made


def pruned_layers(model: Any) -> Iterator[PruneLowMagnitude]:
    """The wrapped layers of a Keras 3 model, those of nested models too."""
    for layer in model.layers:
        if isinstance(layer, PruneLowMagnitude):
            yield layer
        elif isinstance(layer, keras.Model) and functional_of(layer) is not None:
            yield from pruned_layers(layer)
