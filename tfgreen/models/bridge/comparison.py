"""The comparison after every crossing: each layer, fed the original's own values.

Layer by layer a difference is told where it arises, is not amplified by the depth after it, and is
not hidden by a softmax at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.nodes import functional_of, own_arguments, recorded_arguments, run
from tfgreen.models.bridge.random_input import random_inputs

# Of the largest value of the layer's output.
TOLERANCE = 1e-5

TwinCall = Callable[[Any], Callable[..., Any] | None]


def compare(model: Any, twin: Any, twin_call: TwinCall) -> None:
    """Raise UnsupportedModelError with the first layer whose twin gives another output.

    twin_call: gives, for a call in the model's graph, the twin's function of tensors; None for a
        call that the twin does not need, such as the making of a mask.
    """
    functional = functional_of(model)
    _Comparison(twin_call).walk(functional, random_inputs(functional))
    compare_outputs(model, twin)


def compare_outputs(model: Any, twin: Any) -> None:
    """Raise UnsupportedModelError when a model and its twin differ from end to end."""
    functional = functional_of(model)
    inputs = random_inputs(functional)
    given = keras.tree.pack_sequence_as(functional._inputs_struct, inputs)
    ours, theirs = model(given, training=False), twin(given, training=False)
    for name, one, two in zip(
        functional.output_names, keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True
    ):
        difference = relative_difference(np.asarray(one), np.asarray(two))
        if difference > TOLERANCE:
            raise UnsupportedModelError(
                f"The output '{name}' of the model '{model.name}' and of its tf_keras twin differ "
                f"by {difference:.2g} of their largest value on the same random input; at most "
                f"{TOLERANCE:g} is accepted."
            )


class _Comparison:
    def __init__(self, twin_call: TwinCall) -> None:
        self._twin_call = twin_call

    def walk(self, functional: Any, inputs: Sequence[Any]) -> Any:
        return run(functional, inputs, self._call, recorded_arguments)

    def _call(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        operation = node.operation
        inner = functional_of(operation) if isinstance(operation, keras.Model) else None
        if inner is not None:
            outputs = self.walk(inner, keras.tree.flatten(args[0] if args else kwargs["inputs"]))
        else:
            outputs = operation(*args, **kwargs)
        call = self._twin_call(node)
        if call is not None:
            own = {name: value for name, value in kwargs.items() if name in own_arguments(node)[1]}
            _refuse_difference(operation, outputs, call(*args, **own))
        return outputs


def _refuse_difference(operation: Any, outputs: Any, theirs: Any) -> None:
    ours = keras.tree.flatten(outputs)
    for mine, other in zip(ours, keras.tree.flatten(theirs), strict=True):
        difference = relative_difference(np.asarray(mine), np.asarray(other))
        if difference > TOLERANCE:
            raise UnsupportedModelError(
                f"{type(operation).__name__} '{operation.name}' computes something else in "
                f"tf_keras: on the same random input its output differs by {difference:.2g} of its "
                f"largest value, and at most {TOLERANCE:g} is accepted. Name a twin that computes "
                "the same with tg.register_twin, or replace the layer."
            )


def relative_difference(first: np.ndarray, second: np.ndarray) -> float:
    """The largest difference as a share of the first's largest value; inf for other shapes.

    >>> relative_difference(np.array([1.0, 4.0]), np.array([1.0, 3.0]))
    0.25
    """
    if first.shape != second.shape:
        return float("inf")
    if first.size == 0:
        return 0.0
    one, two = first.astype("float64"), second.astype("float64")
    same = (one == two) | (np.isnan(one) & np.isnan(two))
    if same.all():
        return 0.0
    if not np.isfinite(one[~same]).all() or not np.isfinite(two[~same]).all():
        return float("inf")
    scale = np.abs(one[np.isfinite(one)]).max()
    return float(np.abs(one - two)[~same].max() / scale) if scale else float("inf")
