"""The comparison after every crossing: each layer, fed the original's own values.

Layer by layer a difference is told where it arises, is not amplified by the depth after it, and is
not hidden by a softmax at the end. Masks are compared too: what a layer hands on decides what the
layers and the loss after it leave out. Then the outputs are compared from end to end.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.nodes import (
    functional_of,
    graph_of,
    own_arguments,
    recorded_arguments,
    run,
)
from tfgreen.models.bridge.random_input import nudged, random_inputs
from tfgreen.models.bridge.states import state_kept

# Of the largest value of an output.
TOLERANCE = 1e-5

_ROUNDING_STEP = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}

# Layers that compute in 16 bits round each intermediate value: the flavours differ in where.
_HALF_PRECISION_STEPS = 4

# A deep model with wild weights multiplies the rounding of its first layers. How much is seen by
# moving its input by one rounding step; each of its many layers adds a step of its own.
_ROUNDING_STEPS = 50

TwinCall = Callable[[Any], Callable[..., Any] | None]


@dataclass(frozen=True)
class Difference:
    """A layer or op whose twin computes something else.

    share: of its output's largest value; None where the output agrees and its mask does not.
    """

    operation: Any
    share: float | None

    def error(self) -> UnsupportedModelError:
        """What to tell the caller about it."""
        kind, name = type(self.operation).__name__, self.operation.name
        if self.share is None:
            return UnsupportedModelError(
                f"{kind} '{name}' hands on another mask in tf_keras than in Keras 3. Name a twin "
                "that hands on the same with tg.register_twin, or pass the mask on explicitly."
            )
        return UnsupportedModelError(
            f"{kind} '{name}' computes something else in tf_keras: on the same random input its "
            f"output differs by {self.share:.2g} of its largest value, and at most {TOLERANCE:g} "
            "is accepted. Name a twin that computes the same with tg.register_twin, or replace "
            "the layer."
        )


def layer_differences(model: Any, twin: Any, twin_call: TwinCall) -> list[Difference]:
    """Every layer whose twin computes something else, in the order of the graph.

    twin_call: gives, for a call in the model's graph, the twin's function of tensors; None for a
        call that the twin does not need, such as the making of a mask.
    """
    functional = graph_of(model)
    comparison = _Comparison(twin_call)
    with state_kept(model, twin):
        comparison.walk(functional, random_inputs(functional))
    return comparison.differences


def compare_outputs(model: Any, twin: Any) -> None:
    """Raise UnsupportedModelError when a model and its twin differ from end to end."""
    difference = output_difference(model, twin)
    dtypes = {model.compute_dtype, *(layer.compute_dtype for layer in _layers(model))}
    limit = max(_tolerance(dtype) for dtype in dtypes)
    if difference > limit and difference > _ROUNDING_STEPS * _sensitivity(model, dtypes):
        raise UnsupportedModelError(
            f"The outputs of the model '{model.name}' and of its tf_keras twin differ by "
            f"{difference:.2g} of their largest value on the same random input; at most "
            f"{limit:.2g} is accepted."
        )


def output_difference(model: Any, twin: Any) -> float:
    """The largest difference of a Keras 3 model's and its twin's outputs on random input.

    As a share of each output's largest value; of several outputs the largest.
    """
    inputs = random_inputs(graph_of(model))
    with state_kept(model, twin):
        return _largest_difference(_outputs(model, model, inputs), _outputs(model, twin, inputs))


def _sensitivity(model: Any, dtypes: set[str]) -> float:
    """How far the outputs move when the input moves by one rounding step of the coarsest dtype."""
    step = max(_ROUNDING_STEP.get(dtype, _ROUNDING_STEP["float32"]) for dtype in dtypes)
    inputs = random_inputs(graph_of(model))
    with state_kept(model):
        at_rest = _outputs(model, model, inputs)
    with state_kept(model):
        return _largest_difference(at_rest, _outputs(model, model, nudged(inputs, step)))


def _layers(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False, recursive=True))


def _outputs(model: Any, called: Any, inputs: Sequence[Any]) -> list[Any]:
    given = keras.tree.pack_sequence_as(graph_of(model)._inputs_struct, inputs)
    return list(keras.tree.flatten(called(given, training=False)))


def _largest_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    pairs = zip(ours, theirs, strict=True)
    return max(relative_difference(np.asarray(one), np.asarray(two)) for one, two in pairs)


class _Comparison:
    def __init__(self, twin_call: TwinCall) -> None:
        self._twin_call = twin_call
        self.differences: list[Difference] = []

    def walk(self, functional: Any, inputs: Sequence[Any]) -> Any:
        return run(functional, inputs, self._call, recorded_arguments)

    def _call(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        operation = node.operation
        inner = functional_of(operation) if isinstance(operation, keras.Model) else None
        if inner is not None:
            return self.walk(inner, keras.tree.flatten(args[0] if args else kwargs["inputs"]))
        given = keras.tree.flatten((args, kwargs))
        before = _masks(given)
        outputs = operation(*args, **kwargs, **_inference(operation))
        call = self._twin_call(node)
        if call is not None:
            left = _masks(given)
            _put_masks(given, before)
            own = {name: value for name, value in kwargs.items() if name in own_arguments(node)[1]}
            theirs = call(*args, **own, **_inference(call))
            difference = _difference(operation, outputs, theirs)
            if difference is None and not all(map(_equal_masks, left, _masks(given))):
                difference = Difference(operation, None)
            self.differences += [difference] if difference else []
            _put_masks(given, left)
        return outputs


def _inference(called: Any) -> dict[str, bool]:
    """Random layers take `training` for true when nobody says otherwise."""
    function = getattr(called, "call", called)
    return {"training": False} if "training" in inspect.signature(function).parameters else {}


def _difference(operation: Any, outputs: Any, theirs: Any) -> Difference | None:
    for one, two in zip(keras.tree.flatten(outputs), keras.tree.flatten(theirs), strict=True):
        share = relative_difference(np.asarray(one), np.asarray(two))
        if share > TOLERANCE:
            return Difference(operation, share)
        if not _equal_masks(*_masks([one, two])):
            return Difference(operation, None)
    return None


def _masks(tensors: Sequence[Any]) -> list[Any]:
    return [getattr(tensor, "_keras_mask", None) for tensor in tensors]


def _put_masks(tensors: Sequence[Any], masks: Sequence[Any]) -> None:
    """Attention of Keras 3 takes the masks off its inputs for all the layers after it."""
    for tensor, mask in zip(tensors, masks, strict=True):
        if getattr(tensor, "_keras_mask", None) is not mask:
            tensor._keras_mask = mask


def _tolerance(dtype: str) -> float:
    return max(TOLERANCE, _HALF_PRECISION_STEPS * _ROUNDING_STEP.get(dtype, 0.0))


def _equal_masks(ours: Any, theirs: Any) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return bool(np.array_equal(np.asarray(ours), np.asarray(theirs)))


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
    distances = np.abs(one[differs] - two[differs])
    scale = np.abs(one[np.isfinite(one)]).max(initial=0.0)
    if not np.isfinite(distances).all() or not scale:
        return float("inf")
    return float(distances.max() / scale)
