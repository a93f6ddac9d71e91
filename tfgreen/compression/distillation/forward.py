"""One forward pass that gives all that distillation needs of a model of either Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfgreen.compression.distillation.endings import endings_of
from tfgreen.errors import UnknownNameError, UnsupportedModelError
from tfgreen.models.loading import flavour_of


@dataclass(frozen=True)
class Answer:
    """What a model says to one batch.

    predictions: as the model returns them.
    outputs: the same, flat.
    before: for each output what its activation was applied to, or None.
    features: of the named layers, in their order.
    """

    predictions: Any
    outputs: tuple[Any, ...]
    before: tuple[Any, ...]
    features: tuple[Any, ...] = ()


class Forward:
    """Calls a model once for predictions, logits and features.

    It holds a second graph over the model's own layers, where there is more to give than the
    predictions. Keep it where Keras does not track it.
    """

    def __init__(self, model: Any, layers: Sequence[str] = (), whose: str = "student") -> None:
        self.model = model
        self._positions: list[int | None] = []
        self.endings = endings_of(model)
        before = [ending.before for ending in self.endings]
        features = [_output_of(model, name, whose) for name in layers]
        self.feature_shapes = [tuple(tensor.shape) for tensor in features]
        extra = [tensor for tensor in before if tensor is not None] + features
        self._has_before = [tensor is not None for tensor in before]
        self._graph = _graph(model, extra) if extra else None

    def __call__(self, x: Any, training: bool) -> Answer:
        """Run it; the training flag is that of Keras."""
        if self._graph is None:
            predictions = self.model(x, training=training)
            outputs = flat(predictions)
            return Answer(predictions, outputs, (None,) * len(outputs))
        given = self._graph(x, training=training)
        predictions, extra = given["predictions"], list(given["extra"])
        before = tuple(extra.pop(0) if is_there else None for is_there in self._has_before)
        return Answer(predictions, flat(predictions), before, tuple(extra))


def flat(structure: Any) -> tuple[Any, ...]:
    """The leaves of a nest of tensors, in Keras's order (dicts by their keys as they stand)."""
    import keras

    return tuple(keras.tree.flatten(structure))


def output_shapes(model: Any) -> list[tuple[Any, ...]]:
    """The shape of each output with the batch, as the model's graph knows it; [] without one."""
    outputs = getattr(model, "outputs", None) or ()
    return [tuple(tensor.shape) for tensor in outputs]


def _graph(model: Any, extra: list[Any]) -> Any:
    if flavour_of(model) == "keras2":
        from tfgreen.models.keras2 import tf_keras

        outputs = {"predictions": model._nested_outputs, "extra": extra}
        return tf_keras().Model(model._nested_inputs, outputs)
    import keras

    from tfgreen.models.bridge.nodes import graph_of

    functional = graph_of(model)
    outputs = {"predictions": functional._outputs_struct, "extra": extra}
    return keras.Model(functional._inputs_struct, outputs)


def _output_of(model: Any, name: str, whose: str) -> Any:
    """The output tensor of a layer, also where a technique has wrapped or rounded it."""
    layers = list(getattr(model, "layers", ()))
    if not endings_of(model):
        raise UnsupportedModelError(
            f"The {whose} '{getattr(model, 'name', '')}' is no graph of layers, so the output of "
            f"its layer '{name}' cannot be reached. Write it with the functional API."
        )
    by_name = {layer.name: layer for layer in layers}
    inner = {getattr(getattr(layer, "layer", None), "name", None): layer for layer in layers}
    layer = by_name.get(f"{name}_rounding") or by_name.get(name) or inner.get(name)
    if layer is None:
        raise UnknownNameError(f"layer of the {whose}", name, by_name)
    output = layer.output
    if isinstance(output, list | tuple | dict):
        raise UnsupportedModelError(
            f"Layer '{name}' of the {whose} has several outputs: name a layer with one."
        )
    return output
