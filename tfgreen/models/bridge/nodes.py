"""The graph of a Keras 3 functional model: which layer is called with what, in which order.

Keras records its own additions in a call's arguments: the `training` that was the default when the
graph was built (replayed, it would freeze recurrent layers in inference) and the masks that it
propagates by itself. tf_keras adds its own of both, so `own_arguments` leaves them out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tfgreen.errors import UnsupportedModelError

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def functional_of(model: Any) -> Any | None:
    """The functional model whose graph it is; None for a model without a graph."""
    if isinstance(model, keras.Sequential):
        return getattr(model, "_functional", None)
    return model if hasattr(model, "_nodes_by_depth") else None


def graph_of(model: Any) -> Any:
    """The functional model whose graph it is; UnsupportedModelError for a model without one."""
    functional = functional_of(model)
    if functional is not None:
        return functional
    if isinstance(model, keras.Sequential):
        raise UnsupportedModelError(
            f"The model '{model.name}' was never built, so the shape of its input is unknown. "
            "Give it an Input layer first, or call model.build(input_shape)."
        )
    raise UnsupportedModelError(
        f"'{model.name}' is a subclassed model ({type(model).__name__}): its layers are called by "
        "Python code and not by a graph that can be taken over to tf_keras. Write it with the "
        "functional API: inputs = keras.Input(...), outputs = ..., keras.Model(inputs, outputs)."
    )


def own_arguments(node: Any) -> Arguments:
    """A call's arguments without those that Keras added."""
    args, kwargs = node.arguments.args, node.arguments.kwargs
    masks = {id(x._keras_mask) for x in node.input_tensors if _has_mask(x)}
    own = {
        name: value
        for name, value in kwargs.items()
        if name != "training" and not (name.endswith("mask") and _is_propagated(value, masks))
    }
    return args, own


def recorded_arguments(node: Any) -> Arguments:
    """A call's arguments as Keras recorded them, without `training`."""
    kwargs = {name: x for name, x in node.arguments.kwargs.items() if name != "training"}
    return node.arguments.args, kwargs


def needed_nodes(functional: Any, arguments: Callable[[Any], Arguments]) -> list[Any]:
    """The calls that the outputs depend on, in an order in which each can be made."""
    by_depth = functional._nodes_by_depth
    ordered = [
        node
        for depth in sorted(by_depth, reverse=True)
        for node in sorted(by_depth[depth], key=_number_of_call)
    ]
    wanted = {id(x) for x in functional.outputs}
    needed = []
    for node in reversed(ordered):
        if node.is_input or not wanted.intersection(id(x) for x in node.outputs):
            continue
        needed.append(node)
        wanted.update(id(x) for x in tensors_in(arguments(node)))
    return needed[::-1]


def _number_of_call(node: Any) -> int:
    """A shared layer's calls keep their order."""
    return int(node.operation._inbound_nodes.index(node))


def run(
    functional: Any,
    inputs: Iterable[Any],
    call: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any],
    arguments: Callable[[Any], Arguments] = own_arguments,
) -> Any:
    """Walk the graph: `call(node, args, kwargs)` makes each call; outputs in the model's structure.

    inputs: one value for each input of the model, in its flat order.
    """
    values = {id(x): value for x, value in zip(functional.inputs, inputs, strict=True)}
    for node in needed_nodes(functional, arguments):
        args, kwargs = filled(arguments(node), values)
        outputs = keras.tree.flatten(call(node, args, kwargs))
        values.update((id(x), y) for x, y in zip(node.outputs, outputs, strict=True))
    return filled(functional._outputs_struct, values)


def filled(structure: Any, values: dict[int, Any]) -> Any:
    """The structure with each symbolic tensor replaced by its value."""
    return keras.tree.map_structure(
        lambda x: values[id(x)] if isinstance(x, keras.KerasTensor) else x, structure
    )


def tensors_in(structure: Any) -> list[Any]:
    """The symbolic tensors of a structure, in its flat order."""
    return [x for x in keras.tree.flatten(structure) if isinstance(x, keras.KerasTensor)]


@contextmanager
def without_mask_warnings() -> Iterator[None]:
    """Keras has told the caller, when the model was built, which layers drop a mask."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Layer .* was passed an input with a mask")
        yield


def _has_mask(tensor: Any) -> bool:
    return getattr(tensor, "_keras_mask", None) is not None


def _is_propagated(value: Any, masks: set[int]) -> bool:
    parts = keras.tree.flatten(value)
    return all(part is None or id(part) in masks for part in parts)
