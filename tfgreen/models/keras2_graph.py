"""A tf_keras model's graph, call by call, and the model rebuilt with other layers in it.

Rebuilding is how a rewrite works: the calls are replayed on new symbolic tensors, and a rewrite
puts something else in the place of some layers. The model that is read is not changed, and no
layer of it is used again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.keras2 import tf_keras

Call = Callable[..., Any]
"""Takes the arguments of a layer's call and gives its outputs."""


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of one layer: tensors are tf_keras's symbolic ones."""

    layer: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[Any, ...]

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The symbolic tensors among the arguments."""
        flat = _nest().flatten((self.args, list(self.kwargs.values())))
        return tuple(x for x in flat if _is_symbolic(x))


@dataclass(frozen=True, eq=False)
class Graph:
    """The calls of a functional or sequential model, in an order in which they can be made."""

    model: Any

    @cached_property
    def calls(self) -> tuple[LayerCall, ...]:
        """Nested models are one call each."""
        by_depth = self.model._nodes_by_depth
        ordered = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
        return tuple(
            LayerCall(
                node.layer,
                tuple(node.call_args),
                dict(node.call_kwargs),
                tuple(_nest().flatten(node.outputs)),
            )
            for node in ordered
            if not node.is_input
        )

    @cached_property
    def _readers(self) -> dict[int, list[LayerCall]]:
        readers: dict[int, list[LayerCall]] = {}
        for call in self.calls:
            for tensor in call.inputs:
                readers.setdefault(id(tensor), []).append(call)
        return readers

    @cached_property
    def _writers(self) -> dict[int, LayerCall]:
        return {id(tensor): call for call in self.calls for tensor in call.outputs}

    @cached_property
    def _results(self) -> frozenset[int]:
        return frozenset(id(tensor) for tensor in self.model.outputs)

    @cached_property
    def _times_called(self) -> dict[int, int]:
        times: dict[int, int] = {}
        for call in self.calls:
            times[id(call.layer)] = times.get(id(call.layer), 0) + 1
        return times

    def readers(self, tensor: Any) -> list[LayerCall]:
        """The calls that take a tensor, once for each time that they take it."""
        return self._readers.get(id(tensor), [])

    def writer(self, tensor: Any) -> LayerCall | None:
        """The call that gives a tensor; None for an input of the model."""
        return self._writers.get(id(tensor))

    def is_result(self, tensor: Any) -> bool:
        """Whether it is an output of the model."""
        return id(tensor) in self._results

    def is_called_once(self, layer: Any) -> bool:
        """Whether no other call shares its weights."""
        return self._times_called.get(id(layer)) == 1

    def only_reader(self, call: LayerCall) -> LayerCall | None:
        """The one call that takes the one output of this one; None where there are others."""
        if len(call.outputs) != 1 or self.is_result(call.outputs[0]):
            return None
        readers = self.readers(call.outputs[0])
        return readers[0] if len(readers) == 1 else None


def graph_of(model: Any) -> Graph:
    """The graph of a model; UnsupportedModelError for one without."""
    if not getattr(model, "_is_graph_network", False):
        raise UnsupportedModelError(
            f"The model '{model.name}' has no graph of layers: it is a subclassed model, or was "
            "never built. Build it with the functional API or as a Sequential with an Input."
        )
    return Graph(model)


class Replay:
    """The calls of a graph made again with other layers.

    replacement: asked once for each layer, before its first call; what it gives takes the
        arguments of the layer's calls. None leaves the layer: it is cloned, weights included.
    clone: makes the layer that stands for another; `clone_of` by default.
    """

    def __init__(
        self,
        replacement: Callable[[Any], Call | None],
        clone: Callable[[Any], Any] | None = None,
    ) -> None:
        self._replacement, self._clone = replacement, clone or clone_of
        self._made: dict[int, Call] = {}

    def run(self, model: Any, inputs: Any) -> Any:
        """The model's outputs, in their structure, for these inputs in any structure."""
        pairs = zip(model.inputs, _nest().flatten(inputs), strict=True)
        values = {id(tensor): new for tensor, new in pairs}
        for call in graph_of(model).calls:
            args, kwargs = _filled((call.args, dict(call.kwargs)), values)
            outputs = _nest().flatten(self._layer(call.layer)(*args, **kwargs))
            values.update((id(old), new) for old, new in zip(call.outputs, outputs, strict=True))
        return _filled(_nested_outputs(model), values)

    def _layer(self, layer: Any) -> Call:
        if id(layer) not in self._made:
            self._made[id(layer)] = self._replacement(layer) or self._cloned(layer)
        return self._made[id(layer)]

    def _cloned(self, layer: Any) -> Call:
        """A clone gets its weights after its first call, which builds all that is inside of it."""
        copy = self._clone(layer)
        waiting = [layer.get_weights()]

        def first_call_sets_weights(*args: Any, **kwargs: Any) -> Any:
            outputs = copy(*args, **kwargs)
            if waiting:
                copy.set_weights(waiting.pop())
            return outputs

        return first_call_sets_weights


def rebuilt(model: Any, replay: Replay, enter: Call | None = None) -> Any:
    """The model that a replay gives, with the same inputs and the same names of outputs.

    enter: what each input runs through before the first layer. A sequential model becomes a
    functional one.
    """
    inputs = _nest().map_structure(_new_input, _nested_inputs(model))
    entered = inputs if enter is None else _nest().map_structure(enter, inputs)
    outputs = replay.run(model, entered)
    made = tf_keras().Model(inputs, outputs, name=model.name)
    if list(made.output_names) == list(model.output_names):
        return made
    named = [
        x if ours == theirs else tf_keras().layers.Activation("linear", name=ours)(x)
        for x, ours, theirs in zip(made.outputs, model.output_names, made.output_names, strict=True)
    ]
    return tf_keras().Model(inputs, _nest().pack_sequence_as(outputs, named), name=model.name)


def clone_of(layer: Any) -> Any:
    """An unbuilt layer of the same config and name."""
    return clone_from(layer, layer.get_config())


def clone_from(layer: Any, config: dict[str, Any]) -> Any:
    """An unbuilt layer of a layer's class with another config."""
    try:
        return type(layer).from_config(config)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UnsupportedModelError(
            f"Layer '{layer.name}' ({type(layer).__name__}) cannot be copied from its config: "
            f"{reason}. Give the class get_config() and from_config() that make it again."
        ) from error


def built_like(layer: Any, original: Any, shapes: Any) -> Any:
    """Build a layer for input shapes and give it the original's weights."""
    import tensorflow as tf

    if not layer.built:
        with tf.name_scope(layer.name):
            layer.build(shapes)
    layer.set_weights(original.get_weights())
    return layer


def _nest() -> Any:
    import tensorflow as tf

    return tf.nest


def _new_input(tensor: Any) -> Any:
    layer = tensor._keras_history.layer
    return tf_keras().Input(
        batch_shape=tensor.shape, dtype=tensor.dtype, name=layer.name, sparse=layer.sparse
    )


def _nested_inputs(model: Any) -> Any:
    nested = getattr(model, "_nested_inputs", None)
    return model.inputs if nested is None else nested


def _nested_outputs(model: Any) -> Any:
    nested = getattr(model, "_nested_outputs", None)
    return model.outputs if nested is None else nested


def _filled(structure: Any, values: Mapping[int, Any]) -> Any:
    return _nest().map_structure(lambda x: values[id(x)] if _is_symbolic(x) else x, structure)


def _is_symbolic(value: Any) -> bool:
    return hasattr(value, "_keras_history")
