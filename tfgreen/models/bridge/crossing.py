"""Keras 3 → tf_keras: the graph replayed on tf_keras's symbolic tensors."""

from __future__ import annotations

from typing import Any

import keras

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.comparison import compare_layers, compare_outputs
from tfgreen.models.bridge.compiling import compile_as
from tfgreen.models.bridge.copying import copy_of
from tfgreen.models.bridge.fitting import adapt_fit
from tfgreen.models.bridge.nodes import functional_of, own_arguments, run
from tfgreen.models.bridge.operations import operation_twin
from tfgreen.models.bridge.origin import Crossing, remember
from tfgreen.models.bridge.translation import Translation
from tfgreen.models.bridge.weights import copy_values, paired_weights
from tfgreen.models.keras2 import tf_keras
from tfgreen.models.loading import flavour_of


def to_keras2(model: Any) -> Any:
    """The tf_keras twin of a model: equal outputs, layer names, weights and compile settings.

    model: a Keras 3 Sequential or functional model, nested or not, on the TensorFlow backend; it
        is not changed. A tf_keras model comes back as a copy with equal weights.

    Every layer's output is compared with the original's on random input (1e-5 of its scale).
    Raises UnsupportedModelError for a model without a graph (subclassed, unbuilt), for a layer
    that cannot be taken over, and, with the first layer that differs, for a failed comparison.
    """
    if flavour_of(model) == "keras2":
        return copy_of(model)
    _refuse_what_has_no_graph(model)
    replay = _Replay()
    twin = replay.model(model)
    copy_values(paired_weights(model, twin))
    compare_layers(model, replay.twin_call)
    compare_outputs(model, twin)
    remember(twin, Crossing(original=model))
    compile_as(twin, model)
    adapt_fit(twin)
    return twin


class _Replay:
    """The crossing of one model with all that is nested in it."""

    def __init__(self) -> None:
        self.translation = Translation(self.model)
        self._calls: dict[int, tuple[Any, Any]] = {}

    def model(self, model: Any) -> Any:
        functional = functional_of(model)
        if functional is None:
            raise _no_graph(model)
        inputs = keras.tree.map_structure(_input, functional._inputs_struct)
        outputs = run(functional, keras.tree.flatten(inputs), self._call)
        twin = tf_keras().Model(inputs, outputs, name=model.name)
        if not model.trainable:
            twin._trainable = False
        return twin

    def twin_call(self, node: Any) -> Any:
        """What stands for a call of the original's graph, as a function of tensors."""
        return self._calls.get(id(node), (node, None))[1]

    def _call(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        operation = node.operation
        if isinstance(operation, keras.layers.Layer):
            call = self.translation.twin_of(operation)
        else:
            call = _OperationCall(node)
        self._calls[id(node)] = node, call
        return call(*args, **kwargs)


class _OperationCall:
    """An op's layer, called with the arguments of the op."""

    def __init__(self, node: Any) -> None:
        arguments = own_arguments(node)
        count = node.operation._inbound_nodes.index(node)
        name = f"{node.operation.name}_{count}" if count else node.operation.name
        self.layer, tensors = operation_twin(node.operation, arguments, name)
        places = {id(x): place for place, x in enumerate(keras.tree.flatten(arguments))}
        self._places = [places[id(x)] for x in tensors]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = keras.tree.flatten((args, kwargs))
        chosen = [given[place] for place in self._places]
        return self.layer(chosen[0] if len(chosen) == 1 else chosen)


def _input(tensor: Any) -> Any:
    layer = tensor._keras_history.operation
    if getattr(layer, "optional", False) or getattr(tensor, "sparse", False):
        raise UnsupportedModelError(
            f"The input '{layer.name}' is optional or sparse, which tf_keras's inputs cannot be. "
            "Give the model an ordinary, dense input."
        )
    batch, *shape = tensor.shape
    return tf_keras().Input(shape, batch_size=batch, dtype=tensor.dtype, name=layer.name)


def _refuse_what_has_no_graph(model: Any) -> None:
    if keras.config.backend() != "tensorflow":
        raise UnsupportedModelError(
            f"The model '{model.name}' runs on the {keras.config.backend()} backend; training with "
            "TensorFlow Model Optimization needs TensorFlow. Save it as .keras, and load it in a "
            "process with KERAS_BACKEND=tensorflow."
        )
    if functional_of(model) is None:
        raise _no_graph(model)


def _no_graph(model: Any) -> UnsupportedModelError:
    if isinstance(model, keras.Sequential):
        return UnsupportedModelError(
            f"The model '{model.name}' was never built, so the shape of its input is unknown. "
            "Give it an Input layer first, or call model.build(input_shape)."
        )
    return UnsupportedModelError(
        f"'{model.name}' is a subclassed model ({type(model).__name__}): its layers are called by "
        "Python code and not by a graph that can be taken over to tf_keras. Write it with the "
        "functional API: inputs = keras.Input(...), outputs = ..., keras.Model(inputs, outputs)."
    )
