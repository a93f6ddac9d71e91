"""The comparison after every crossing: each layer, fed the original's own values.

Layer by layer a difference is told where it arises, is not amplified by the depth after it, and is
not hidden by a softmax at the end. Masks are compared too: what a layer hands on decides what the
layers and the loss after it leave out. Then the outputs are compared from end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.nodes import functional_of, own_arguments, recorded_arguments, run
from tfgreen.models.bridge.random_input import nudged, random_inputs

# Of the largest value of an output.
TOLERANCE = 1e-5

# A deep model with wild weights multiplies the rounding of its first layers. How much is seen by
# moving its input by one rounding step; each of its many layers adds a step of its own.
_ROUNDING_STEPS = 100

TwinCall = Callable[[Any], Callable[..., Any] | None]


def compare_layers(model: Any, twin_call: TwinCall) -> None:
    """Raise UnsupportedModelError with the first layer whose twin computes something else.

    twin_call: gives, for a call in the model's graph, the twin's function of tensors; None for a
        call that the twin does not need, such as the making of a mask.
    """
    functional = functional_of(model)
    with _state_kept(model):
        _Comparison(twin_call).walk(functional, random_inputs(functional))


def compare_outputs(model: Any, twin: Any) -> None:
    """Raise UnsupportedModelError when a model and its twin differ from end to end."""
    difference = output_difference(model, twin)
    if difference > TOLERANCE and difference > _ROUNDING_STEPS * _sensitivity(model):
        raise UnsupportedModelError(
            f"The outputs of the model '{model.name}' and of its tf_keras twin differ by "
            f"{difference:.2g} of their largest value on the same random input; at most "
            f"{TOLERANCE:g} is accepted."
        )


def output_difference(model: Any, twin: Any) -> float:
    """The largest difference of a Keras 3 model's and its twin's outputs on random input.

    As a share of each output's largest value, the largest of all outputs.
    """
    inputs = random_inputs(functional_of(model))
    with _state_kept(model):
        return _largest_difference(_outputs(model, model, inputs), _outputs(model, twin, inputs))


def _sensitivity(model: Any) -> float:
    inputs = random_inputs(functional_of(model))
    with _state_kept(model):
        moved = _outputs(model, model, nudged(inputs))
        return _largest_difference(_outputs(model, model, inputs), moved)


def _outputs(model: Any, called: Any, inputs: Sequence[Any]) -> list[Any]:
    given = keras.tree.pack_sequence_as(functional_of(model)._inputs_struct, inputs)
    return list(keras.tree.flatten(called(given, training=False)))


def _largest_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    pairs = zip(ours, theirs, strict=True)
    return max(relative_difference(np.asarray(one), np.asarray(two)) for one, two in pairs)


class _Comparison:
    def __init__(self, twin_call: TwinCall) -> None:
        self._twin_call = twin_call

    def walk(self, functional: Any, inputs: Sequence[Any]) -> Any:
        return run(functional, inputs, self._call, recorded_arguments)

    def _call(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        operation = node.operation
        inner = functional_of(operation) if isinstance(operation, keras.Model) else None
        if inner is not None:
            return self.walk(inner, keras.tree.flatten(args[0] if args else kwargs["inputs"]))
        outputs = operation(*args, **kwargs)
        call = self._twin_call(node)
        if call is not None:
            own = {name: value for name, value in kwargs.items() if name in own_arguments(node)[1]}
            _refuse_difference(operation, outputs, call(*args, **own))
        return outputs


def _refuse_difference(operation: Any, outputs: Any, theirs: Any) -> None:
    for one, two in zip(keras.tree.flatten(outputs), keras.tree.flatten(theirs), strict=True):
        difference = relative_difference(np.asarray(one), np.asarray(two))
        if difference > TOLERANCE:
            raise UnsupportedModelError(
                f"{type(operation).__name__} '{operation.name}' computes something else in "
                f"tf_keras: on the same random input its output differs by {difference:.2g} of its "
                f"largest value, and at most {TOLERANCE:g} is accepted. Name a twin that computes "
                "the same with tg.register_twin, or replace the layer."
            )
        if not _same_mask(one, two):
            raise UnsupportedModelError(
                f"{type(operation).__name__} '{operation.name}' hands on another mask in tf_keras "
                "than in Keras 3. Name a twin that hands on the same with tg.register_twin, or "
                "pass the mask on explicitly."
            )


def _same_mask(one: Any, two: Any) -> bool:
    ours, theirs = getattr(one, "_keras_mask", None), getattr(two, "_keras_mask", None)
    if ours is None or theirs is None:
        return ours is theirs
    return bool(np.array_equal(np.asarray(ours), np.asarray(theirs)))


@contextmanager
def _state_kept(model: Any) -> Iterator[None]:
    """Put back what a call in inference changes: the states of stateful recurrent layers."""
    before = [(v, np.array(v)) for v in model.non_trainable_variables]
    try:
        yield
    finally:
        model._clear_losses()
        for variable, value in before:
            if not np.array_equal(value, np.asarray(variable), equal_nan=value.dtype.kind == "f"):
                variable.assign(value)


def relative_difference(first: np.ndarray, second: np.ndarray) -> float:
    """The largest difference as a share of the first's largest value; inf for other shapes.

    >>> relative_difference(np.array([1.0, 4.0]), np.array([1.0, 3.0]))
    0.25
    """
    if first.shape != second.shape:
        return float("inf")
    one, two = first.astype("float64"), second.astype("float64")
    differs = ~((one == two) | (np.isnan(one) & np.isnan(two)))
    if not differs.any():
        return 0.0
    if not np.isfinite(one[differs]).all() or not np.isfinite(two[differs]).all():
        return float("inf")
    scale = np.abs(one[np.isfinite(one)]).max()
    return float(np.abs(one - two)[differs].max() / scale) if scale else float("inf")
