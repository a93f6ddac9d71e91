"""`tfmot.quantization.keras` for models and layers of either Keras.

Layers and models can be annotated in Keras 3. `quantize_apply` and `quantize_model` give a
tf_keras model: the original rewrites the graph, and there is no way back from that.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tfgreen.models.bridge import adapt_fit, to_keras2
from tfgreen.models.keras2 import is_model, model_optimization, tf_keras
from tfgreen.tfmot.annotated_layer import QuantizeAnnotate
from tfgreen.tfmot.graphs import (
    copied_layer,
    copy_weights,
    fresh_layer,
    is_keras3,
    require_tensorflow,
    with_layers,
)

__all__ = [
    "quantize_annotate_layer",
    "quantize_annotate_model",
    "quantize_apply",
    "quantize_model",
    "quantize_scope",
]

_ORIGINAL = model_optimization().quantization.keras
_WAY_OUT = "tg.QuantizationAwareTraining prepares models with layers that TF-MOT does not support."


def __getattr__(name: str) -> Any:
    """Quantizers, configs, schemes and registries are the original's."""
    return getattr(_ORIGINAL, name)


def quantize_model(to_quantize: Any, quantized_layer_name_prefix: str | None = "quant_") -> Any:
    """A tf_keras model that trains as if it were quantized to 8 bits; it is not compiled.

    Its `compile` and `fit` take Keras 3's objects. The model that was given is not changed.

    Raises what the original raises for layers that it does not support.
    """
    if not is_keras3(to_quantize):
        twin = to_keras2(to_quantize) if is_model(to_quantize) else to_quantize
        return _quantized(twin, _ORIGINAL.quantize_model, quantized_layer_name_prefix)
    return quantize_apply(
        quantize_annotate_model(to_quantize),
        quantized_layer_name_prefix=quantized_layer_name_prefix or "",
    )


def quantize_annotate_layer(to_annotate: Any, quantize_config: Any | None = None) -> Any:
    """Mark a layer for `quantize_apply`; the mark is of the layer's own Keras.

    A layer of Keras 3 is copied, weights included.
    """
    if not is_keras3(to_annotate) or isinstance(to_annotate, keras.Model):
        return _ORIGINAL.quantize_annotate_layer(to_annotate, quantize_config)
    if quantize_config is not None and not isinstance(quantize_config, _ORIGINAL.QuantizeConfig):
        raise ValueError(
            f"quantize_config received a {type(quantize_config).__name__}; expected a "
            "tfmot.quantization.keras.QuantizeConfig."
        )
    return QuantizeAnnotate.around(to_annotate, quantize_config=quantize_config)


def quantize_annotate_model(to_annotate: Any) -> Any:
    """Mark every layer that is not marked yet; the copy is of the model's own Keras."""
    if not isinstance(to_annotate, keras.Model):
        return _ORIGINAL.quantize_annotate_model(to_annotate)
    require_tensorflow()

    def annotated(layer: Any) -> Any:
        if isinstance(layer, QuantizeAnnotate):
            return QuantizeAnnotate.around(layer.layer, quantize_config=layer.quantize_config)
        if isinstance(layer, keras.layers.Lambda):
            warnings.warn(
                f"Lambda '{layer.name}' is not annotated: what it does cannot be told from it.",
                stacklevel=2,
            )
            return copied_layer(layer)
        return QuantizeAnnotate.around(layer)

    return with_layers(to_annotate, annotated)


def quantize_apply(
    model: Any, scheme: Any | None = None, quantized_layer_name_prefix: str = "quant_"
) -> Any:
    """A tf_keras model whose marked layers train as if they were quantized; it is not compiled.

    scheme: the original's `QuantizeScheme`; by default 8 bits.

    Raises what the original raises for layers that it does not support.
    """
    settings = {"quantized_layer_name_prefix": quantized_layer_name_prefix}
    if scheme is not None:
        settings["scheme"] = scheme
    annotated = _annotated_twin(model) if isinstance(model, keras.Model) else model
    return _quantized(annotated, _ORIGINAL.quantize_apply, **settings)


@contextmanager
def quantize_scope(*args: dict[str, Any]) -> Iterator[None]:
    """Let tf_keras load quantized models, and the original find classes of your own.

    Quantized files are tf_keras files: load them with `tg.load_model` or `tf_keras`.
    """
    with _ORIGINAL.quantize_scope(*args), keras.saving.custom_object_scope(*args):
        yield


def _annotated_twin(model: Any) -> Any:
    """The tf_keras twin of an annotated Keras 3 model, with the original's own marks."""
    pairs: list[tuple[Any, Any]] = []
    configs: dict[str, Any] = {}

    def plain(layer: Any) -> Any:
        if isinstance(layer, QuantizeAnnotate):
            configs[layer.layer.name] = layer.quantize_config
            layer = layer.layer
        pairs.append((layer, fresh_layer(layer)))
        return pairs[-1][1]

    made = with_layers(model, plain)
    copy_weights(pairs)

    def annotated(layer: Any) -> Any:
        if layer.name not in configs:
            return layer
        return _ORIGINAL.quantize_annotate_layer(layer, configs[layer.name])

    return tf_keras().models.clone_model(to_keras2(made), clone_function=annotated)


def _quantized(model: Any, quantize: Any, *args: Any, **settings: Any) -> Any:
    lost = _lost_normalizations(model) if is_model(model) else []
    try:
        made = quantize(model, *args, **settings)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        error.add_note(_WAY_OUT)
        raise
    if lost:
        warnings.warn(
            f"BatchNormalization after a Dense layer ({', '.join(lost)}) trains, and the converted "
            "file computes something else. tg.QuantizationAwareTraining folds it first.",
            stacklevel=3,
        )
    adapt_fit(made)
    return made


def _lost_normalizations(model: Any) -> list[str]:
    """The names of the normalizations that come right after a Dense layer."""
    return [
        _unmarked(layer).name
        for layer in model.layers
        if _kind(layer) == "BatchNormalization" and "Dense" in map(_kind, _layers_before(layer))
    ]


def _layers_before(layer: Any) -> list[Any]:
    found = [node.inbound_layers for node in layer.inbound_nodes]
    return [x for entry in found for x in (entry if isinstance(entry, list) else [entry])]


def _kind(layer: Any) -> str:
    return type(_unmarked(layer)).__name__


def _unmarked(layer: Any) -> Any:
    return layer.layer if type(layer).__name__ == "QuantizeAnnotate" else layer
