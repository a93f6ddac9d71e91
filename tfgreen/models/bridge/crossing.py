"""Keras 3 → tf_keras: the graph replayed on tf_keras's symbolic tensors."""

from __future__ import annotations

from typing import Any

import keras

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.adapters import refuse_adapters
from tfgreen.models.bridge.comparison import compare_outputs, layer_differences
from tfgreen.models.bridge.compiling import compile_as
from tfgreen.models.bridge.copying import copy_of
from tfgreen.models.bridge.fitting import adapt_fit
from tfgreen.models.bridge.nodes import graph_of, own_arguments, run, without_mask_warnings
from tfgreen.models.bridge.operations import hosted_operation, operation_twin
from tfgreen.models.bridge.origin import Crossing, remember
from tfgreen.models.bridge.rules import is_of_keras
from tfgreen.models.bridge.translation import Translation
from tfgreen.models.bridge.weights import copy_values, paired_weights, refuse_unequal_training
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
    _refuse_what_cannot_cross(model)
    with without_mask_warnings():
        twin = _equal_twin(model)
    remember(twin, Crossing(original=model))
    compile_as(twin, model)
    adapt_fit(twin)
    return twin


def _equal_twin(model: Any, hosted: frozenset[str] = frozenset()) -> Any:
    """The twin, compared; layers of Keras that differ from their namesakes are run as they are."""
    replay = _Replay(hosted)
    twin = replay.model(model)
    pairs = paired_weights(model, twin)
    refuse_unequal_training(model, twin, pairs)
    copy_values(pairs)
    differences = layer_differences(model, twin, replay.twin_call)
    names = {d.operation.name for d in differences if replay.may_be_hosted(d.operation)}
    if names - hosted:
        return _equal_twin(model, hosted | names)
    if differences:
        raise differences[0].error()
    compare_outputs(model, twin)
    return twin


class _Replay:
    """The crossing of one model with all that is nested in it.

    hosted: names of layers and ops of Keras 3 that run as they are.
    """

    def __init__(self, hosted: frozenset[str]) -> None:
        self.translation = Translation(self.model, hosted)
        self._hosted = hosted
        self._calls: dict[int, tuple[Any, Any]] = {}

    def model(self, model: Any) -> Any:
        functional = graph_of(model)
        inputs = keras.tree.map_structure(_input, functional._inputs_struct)
        outputs = run(functional, keras.tree.flatten(inputs), self._call)
        twin = tf_keras().Model(inputs, outputs, name=model.name)
        if not model.trainable:
            twin._trainable = False
        return twin

    def twin_call(self, node: Any) -> Any:
        """What stands for a call of the original's graph, as a function of tensors."""
        return self._calls.get(id(node), (node, None))[1]

    @staticmethod
    def may_be_hosted(operation: Any) -> bool:
        """Whether it is Keras's own: a twin that the caller registered is the caller's word."""
        return is_of_keras(type(operation)) or not isinstance(operation, keras.layers.Layer)

    def _call(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(node.operation, keras.layers.Layer):
            call, outputs = self.translation.called(node.operation, args, kwargs)
        else:
            call = _OperationCall(node, self._hosted)
            outputs = call(*args, **kwargs)
        self._calls[id(node)] = node, call
        return outputs


class _OperationCall:
    """An op's layer, called with the arguments of the op."""

    def __init__(self, node: Any, hosted: frozenset[str]) -> None:
        arguments = own_arguments(node)
        count = node.operation._inbound_nodes.index(node)
        name = f"{node.operation.name}_{count}" if count else node.operation.name
        make = hosted_operation if node.operation.name in hosted else operation_twin
        self.layer, tensors = make(node.operation, arguments, name)
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


def _refuse_what_cannot_cross(model: Any) -> None:
    if keras.config.backend() != "tensorflow":
        raise UnsupportedModelError(
            f"The model '{model.name}' runs on the {keras.config.backend()} backend; training with "
            "TensorFlow Model Optimization needs TensorFlow. Save it as .keras, and load it in a "
            "process with KERAS_BACKEND=tensorflow."
        )
    graph_of(model)
    refuse_adapters(model)
    own = type(model)
    keras_class = next(base for base in own.__mro__ if base.__module__.startswith("keras."))
    for name in ("call", "train_step", "test_step", "compute_loss"):
        if getattr(own, name) is not getattr(keras_class, name):
            raise UnsupportedModelError(
                f"The model '{model.name}' ({own.__name__}) has a {name} of its own, which the "
                "tf_keras twin would not run. Give a plain functional model of the same layers: "
                "keras.Model(model.inputs, model.outputs)."
            )
