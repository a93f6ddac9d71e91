"""The wrapper that prunes one layer: TensorFlow Model Optimization's, with its gaps closed.

* Every kernel has a schedule of its own: those of one LSTM need not be equally sparse.
* A layer may be called with several positional arguments (attention: query, value).
* A mask of padded time steps is passed on; the original drops it without a word.
* Which weights are kernels is decided by `tfgreen.compression.kernels`, so that Bidirectional,
  TimeDistributed and your own layers are pruned too.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from tfgreen.models.keras2 import model_optimization, tf_keras


def prune_layer(
    layer: Any, kernels: Sequence[Any], schedules: Sequence[Any], **pattern: Any
) -> Any:
    """Wrap a layer of a model that nobody else holds.

    Args:
        layer: a built tf_keras layer.
        kernels: the variables to prune.
        schedules: one schedule for each of them.
        pattern: `block_size`, `block_pooling_type` or `sparsity_m_by_n` of `prune_low_magnitude`.
    """
    layer.get_prunable_weights = lambda: list(kernels)
    policies = _compute_in_float32(layer)
    pattern["dtype"] = layer.variable_dtype
    wrapper = _wrapper_class()(layer, schedules[0], kernel_schedules=tuple(schedules), **pattern)
    wrapper.supports_masking = layer.supports_masking
    wrapper.mixed_policies = _Untracked(policies)
    return wrapper


def unwrapped_layer(layer: Any) -> Any:
    """The layer inside a wrapper; any other layer as it is."""
    wrapper_class: Any = _wrapper_class()
    return layer.layer if isinstance(layer, wrapper_class) else layer


@contextmanager
def mixed_precision_restored(wrappers: Iterable[Any]) -> Iterator[None]:
    """Give the layers inside the precision that they had before they were wrapped, for a while."""
    mixed = [entry for wrapper in wrappers for entry in wrapper.mixed_policies.value]
    try:
        for layer, policy in mixed:
            layer._set_dtype_policy(policy)
        yield
    finally:
        for layer, _ in mixed:
            layer._set_dtype_policy("float32")


def calls_per_step(model: Any) -> dict[int, int]:
    """How often one pass through the model calls each pruned layer, by the layer's id."""
    found: dict[int, int] = {}
    _count_calls(model, 1, found)
    return found


@cache
def _wrapper_class() -> type:
    original: Any = type(
        model_optimization().sparsity.keras.prune_low_magnitude(tf_keras().layers.Dense(1))
    )

    class PruneLowMagnitude(original):  # type: ignore[misc]
        """Keeps the name of the original, under which saved models are read."""

        def __init__(
            self, layer: Any, *args: Any, kernel_schedules: Any = (), **kwargs: Any
        ) -> None:
            super().__init__(layer, *args, **kwargs)
            self._kernel_schedules = _Untracked(kernel_schedules)

        def build(self, input_shape: Any) -> None:
            super().build(input_shape)
            schedules = self._kernel_schedules.value
            if schedules:
                self.pruning_obj = _PruningPerKernel(self, schedules)

        def call(self, inputs: Any, *args: Any, training: Any = None, **kwargs: Any) -> Any:
            names = list(inspect.signature(self.layer.call).parameters)[1:]
            named = dict(zip(names, args, strict=False))
            return super().call(inputs, training=training, **named, **kwargs)

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            return self.layer.compute_mask(inputs, mask)

    return PruneLowMagnitude


class _Untracked:
    """Hides a value from the tracking of a tf_keras layer."""

    def __init__(self, value: Any) -> None:
        self.value = value


class _PruningPerKernel:
    """The original's masks, updated kernel by kernel."""

    def __init__(self, wrapper: Any, schedules: Sequence[Any]) -> None:
        self._parts = [
            type(wrapper.pruning_obj)(
                training_step_fn=lambda: wrapper.pruning_step,
                pruning_vars=[variables],
                pruning_schedule=schedule,
                block_size=wrapper.block_size,
                block_pooling_type=wrapper.block_pooling_type,
                sparsity_m_by_n=wrapper.sparsity_m_by_n,
            )
            for variables, schedule in zip(wrapper.pruning_vars, schedules, strict=True)
        ]

    def conditional_mask_update(self) -> Any:
        return self._grouped("conditional_mask_update")

    def weight_mask_op(self) -> Any:
        return self._grouped("weight_mask_op")

    def add_pruning_summaries(self) -> None:
        self._grouped("add_pruning_summaries")

    def _grouped(self, name: str) -> Any:
        import tensorflow as tf

        return tf.group(*[getattr(part, name)() for part in self._parts])


def _compute_in_float32(layer: Any) -> list[tuple[Any, Any]]:
    """Take mixed precision off; gives the layers that had it, with their policies.

    In 16 bits the wrapper would round the weights that it multiplies with masks.
    """
    every = [layer, *layer._flatten_layers(include_self=False, recursive=True)]
    mixed = [(one, one.dtype_policy) for one in every if one.compute_dtype != one.variable_dtype]
    for one, _ in mixed:
        one._set_dtype_policy("float32")
    return mixed


def _count_calls(model: Any, times: int, found: dict[int, int]) -> None:
    for layer in model.layers:
        calls = times * max(len(layer.inbound_nodes), 1)
        if isinstance(layer, _wrapper_class()):
            found[id(layer)] = found.get(id(layer), 0) + calls
        elif hasattr(layer, "layers"):
            _count_calls(layer, calls, found)
