"""Copies of models of either Keras, compiled as they are; nothing in them is shared."""

from __future__ import annotations

from typing import Any

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.loading import flavour_of


def copy_of(model: Any) -> Any:
    """A copy with the same layers, weights and compile settings, of the same Keras.

    model: a built Keras 3 or tf_keras model, Sequential or functional.

    Raises:
        UnsupportedModelError: the model is subclassed or was never built, or has low-rank adapters.
    """
    refuse_without_graph(model)
    if flavour_of(model) == "keras2":
        from tfgreen.models.bridge import to_keras2

        return to_keras2(model)
    from tfgreen.models.adapters import refuse_adapters
    from tfgreen.models.bridge.rebuilding import rebuilt

    refuse_adapters(model)
    copy = rebuilt(model)
    for source, target in zip(model.weights, copy.weights, strict=True):
        target.assign(source.numpy())
    for layer in copy._flatten_layers():
        if type(layer).__name__ == "Normalization":
            layer.finalize_state()  # it computes with constants made of its weights
    compile_alike(copy, model)
    return copy


def refuse_without_graph(model: Any) -> None:
    """Raise UnsupportedModelError for a model whose layers are not connected in a graph."""
    if flavour_of(model) == "keras2":
        has_graph = bool(getattr(model, "_is_graph_network", False))
    else:
        from tfgreen.models.bridge.nodes import functional_of

        has_graph = functional_of(model) is not None
    if has_graph:
        return
    if type(model).__name__ == "Sequential":
        raise UnsupportedModelError(
            f"The model '{model.name}' was never built, so the shape of its input is unknown. Give "
            "it an Input layer first, or call model.build(input_shape)."
        )
    raise UnsupportedModelError(
        f"'{model.name}' is a subclassed model ({type(model).__name__}): its layers are called by "
        "Python code and not by a graph. Write it with the functional API: inputs = "
        "keras.Input(...), outputs = ..., keras.Model(inputs, outputs)."
    )


def compile_alike(copy: Any, model: Any, *, with_state: bool = True) -> None:
    """Compile a Keras 3 copy as the model is, with the state of its optimizer if wanted."""
    settings = unshared_settings(model)
    if settings is None:
        return
    copy.compile(**settings)
    if with_state and model.optimizer.built:
        copy.optimizer.build(copy.trainable_variables)
        for source, target in zip(model.optimizer.variables, copy.optimizer.variables, strict=True):
            target.assign(source.numpy())


def unshared_settings(model: Any) -> dict[str, Any] | None:
    """What a Keras 3 model was compiled with, for another model; None if it is not compiled.

    Optimizers and metrics are new ones of the same settings.
    """
    import keras

    if not model.compiled or model.optimizer is None:
        return None

    def unshared(part: Any) -> Any:
        has_state = isinstance(part, keras.metrics.Metric | keras.optimizers.Optimizer)
        return type(part).from_config(part.get_config()) if has_state else part

    settings: dict[str, Any] = keras.tree.map_structure(unshared, model._compile_config.config)
    return settings
