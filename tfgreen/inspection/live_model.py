"""Inspection of a Keras model object, of either Keras and any backend, through its own layers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.inspection.records import LayerFacts, ModelInspection
from tfgreen.inspection.sparsity import ZeroCount
from tfgreen.preprocess import BoundaryTensor


def inspect_live_model(model: Any) -> ModelInspection:
    """Layers and weights of a model in memory; `size_bytes` is that of its weights.

    Raises:
        UnsupportedModelError: the object has no layers and weights, so it is no Keras model.
    """
    if not hasattr(model, "layers") or not hasattr(model, "weights"):
        raise UnsupportedModelError(
            f"Received {type(model).__name__}; expected a Keras model or the path of a model, a "
            ".tflite file or a bundle."
        )
    rows = [_layer(layer, layer.weights) for layer in model.layers]
    told = {id(weight) for layer in model.layers for weight in layer.weights}
    own = [weight for weight in model.weights if id(weight) not in told]
    if own:
        rows.append(_layer(model, own))
    weights = {id(weight): weight for weight in model.weights}.values()
    return ModelInspection(
        path=None,
        size_bytes=sum(_array(weight).nbytes for weight in weights),
        sha256=None,
        parameters=sum(_array(weight).size for weight in weights),
        sparsity=_zeros(weights).share,
        flavour="object",
        name=model.name,
        class_name=type(model).__name__,
        keras_version=_keras_version(model),
        inputs=tuple(_inputs(model)),
        layers=tuple(rows),
    )


def _layer(layer: Any, weights: Sequence[Any]) -> LayerFacts:
    arrays = [_array(weight) for weight in weights]
    dtypes = sorted({str(array.dtype) for array in arrays})
    return LayerFacts(
        name=layer.name,
        class_name=type(layer).__name__,
        dtype=", ".join(dtypes) or str(layer.dtype or ""),
        weights=tuple(array.shape for array in arrays),
        parameters=sum(array.size for array in arrays),
        sparsity=_zeros(weights).share,
        size_bytes=sum(array.nbytes for array in arrays),
    )


def _zeros(weights: Iterable[Any]) -> ZeroCount:
    count = ZeroCount()
    for weight in weights:
        count.add(_array(weight))
    return count


def _array(weight: Any) -> np.ndarray:
    """A weight as an array; both Keras' variables know how, on every backend."""
    return np.asarray(weight.numpy() if hasattr(weight, "numpy") else weight)


def _keras_version(model: Any) -> str | None:
    """The version of the Keras that the model's class comes from."""
    packages = [ancestor.__module__.partition(".")[0] for ancestor in type(model).__mro__]
    found = next((name for name in packages if name in ("keras", "tf_keras")), None)
    return getattr(sys.modules.get(found or ""), "__version__", None)


def _inputs(model: Any) -> Iterator[BoundaryTensor]:
    """The symbolic inputs; a subclassed model has none."""
    for index, tensor in enumerate(getattr(model, "inputs", None) or ()):
        sizes = tuple(-1 if size is None else int(size) for size in tensor.shape)
        name = str(tensor.name or f"input {index}")
        yield BoundaryTensor(name=name, shape=sizes, dtype=_dtype_name(tensor.dtype))


def _dtype_name(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))
