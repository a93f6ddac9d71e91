"""Weights and data for networks that nobody trained, such that their numbers mean something.

Weights stay random. Normalization gets random scales, and statistics that fit the data but for a
random tenth, so that activations keep their size through a hundred layers. The last layer is then
fitted to the data by ridge regression: the outputs tell the classes apart, with logits whose
spread is more than 1. (A softmax over flat logits would hide every difference, and over 512 of
them it aborts TFLite's reference kernels.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.coverage.zoo import CLASSES, VOCABULARY, Row

Arrays = Mapping[str, np.ndarray]
_LOGIT_SPREAD = 3.0
_RIDGE = 0.02


@dataclass(frozen=True)
class Task:
    """A model ready for every column, and its data.

    calibration, held_back: inputs by name, each (n, *shape).
    labels: what the outputs were fitted to on the calibration samples, by output name: class
        indices for a softmax, numbers of the output's shape for others.
    """

    model: Any
    calibration: Arrays
    held_back: Arrays
    labels: Arrays

    def given(self, arrays: Arrays) -> Any:
        """The arrays as the model takes them: alone, or by name."""
        return _sole(arrays)

    def training_data(self, count: int) -> tuple[Any, Any]:
        """The first samples with their labels, as `fit` takes them."""
        x = {name: array[:count] for name, array in self.calibration.items()}
        y = {name: array[:count] for name, array in self.labels.items()}
        return _sole(x), _sole(y)


def conditioned(row: Row, seed: int = 0) -> Task:
    """Build the network of a row and give it weights, data and compile settings.

    Layer names start from nothing, so that messages are the same in every process.
    """
    import keras

    from tfgreen.models.keras2 import tf_keras

    keras.backend.clear_session()
    tf_keras().backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = row.build(keras)
    random = np.random.default_rng(seed)
    classes = np.arange(row.calibration + row.held_back) % CLASSES
    data = {
        tensor._keras_history.operation.name: _samples(
            tuple(tensor.shape[1:]), str(tensor.dtype), classes, row, random
        )
        for tensor in model.inputs
    }
    calibration = {name: array[: row.calibration] for name, array in data.items()}
    held_back = {name: array[row.calibration :] for name, array in data.items()}
    _randomize(model, random)
    if row.is_deep:
        _calm(model, random)
    _settle_statistics(keras, model, _sole(calibration), random)
    labels = _fit_outputs(keras, model, calibration, classes[: row.calibration], random)
    losses = {
        name: "sparse_categorical_crossentropy" if array.dtype.kind == "i" else "mse"
        for name, array in labels.items()
    }
    model.compile(keras.optimizers.Adam(row.learning_rate), _sole(losses))
    return Task(model, calibration, held_back, labels)


def _sole(values: Mapping[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else dict(values)


def _samples(
    shape: tuple[int, ...], dtype: str, classes: np.ndarray, row: Row, random: np.random.Generator
) -> np.ndarray:
    """A pattern for each class, with variations; smooth where there is room for it."""
    if "int" in dtype:
        patterns = random.integers(0, VOCABULARY, (CLASSES, *shape))
        others = random.integers(0, VOCABULARY, (len(classes), *shape))
        keeps = random.uniform(size=others.shape) < 0.9
        return np.where(keeps, patterns[classes], others).astype(dtype)
    patterns = _smooth(random, CLASSES, shape)
    values = patterns[classes] + row.variation * _smooth(random, len(classes), shape)
    values = np.clip(0.5 + 0.2 * values + random.normal(0, 0.02, values.shape), 0, 1)
    return (row.low + (row.high - row.low) * values).astype(np.float32)


def _smooth(random: np.random.Generator, count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Normal noise in patches of a quarter of the length, along all axes but the last."""
    coarse = [-(-size // max(size // 4, 1)) for size in shape[:-1]]
    values = random.normal(size=(count, *coarse, shape[-1]))
    for axis, size in enumerate(shape[:-1], start=1):
        values = np.repeat(values, max(size // 4, 1), axis=axis)
        values = np.take(values, range(size), axis=axis)
    return values


def _randomize(model: Any, random: np.random.Generator) -> None:
    """Scales and offsets that are not all ones and zeros."""
    for variable in model.trainable_variables:
        name, shape = variable.path.rsplit("/", 1)[-1], tuple(variable.shape)
        if name == "gamma":
            is_layer_scale = "layer_scale" in variable.path
            ends = (0.2, 0.5) if is_layer_scale else (0.7, 1.3)
            variable.assign(random.uniform(*ends, shape))
        elif name == "beta":
            variable.assign(random.normal(0, 0.2, shape))
        elif name == "embeddings":
            variable.assign(random.normal(0, 0.5, shape))
        elif name == "bias" and not np.any(np.asarray(variable)):
            variable.assign(random.normal(0, 0.05, shape))


def _calm(model: Any, random: np.random.Generator) -> None:
    """Keep a deep network from multiplying whatever small change its input has.

    Random filters answer to noise as to a picture, and normalization brings the weak answers up
    again, layer after layer. So filters average more than they differentiate, as trained ones do,
    and activations lie where they are straight more often than where they bend.
    """
    for variable in model.trainable_variables:
        name, value = variable.path.rsplit("/", 1)[-1], np.asarray(variable)
        if name.endswith("kernel") and value.ndim == 4 and value.shape[0] > 1:
            signs = np.where(random.uniform(size=(1, 1, *value.shape[2:])) < 0.5, -1.0, 1.0)
            variable.assign(0.5 * value + value.std() * signs)
        elif name == "beta":
            variable.assign(value + 1.0)


def _settle_statistics(keras: Any, model: Any, x: Any, random: np.random.Generator) -> None:
    """One pass in which every BatchNormalization takes over the statistics of the data."""
    layers = [
        layer
        for layer in model._flatten_layers(include_self=False, recursive=True)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    model(x, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        mean, variance = (np.asarray(v) for v in (layer.moving_mean, layer.moving_variance))
        variance = np.maximum(variance, 1e-3)
        layer.moving_mean.assign(mean + 0.1 * np.sqrt(variance) * random.normal(size=mean.shape))
        layer.moving_variance.assign(variance * random.uniform(0.8, 1.25, variance.shape))


def _fit_outputs(
    keras: Any, model: Any, x: Arrays, classes: np.ndarray, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Fit the layer before each output; returns the labels by output name."""
    labels: dict[str, np.ndarray] = {}
    for name, output in zip(model.output_names, model.outputs, strict=True):
        layer = _last_with_kernel(output)
        inputs = model.inputs if len(model.inputs) > 1 else model.inputs[0]
        features = keras.Model(inputs, layer.input)(_sole(x), training=False)
        features = np.asarray(features, np.float64).reshape(len(classes), -1)
        units = output.shape[-1]
        if output.shape[1:] == model.inputs[0].shape[1:]:
            labels[name] = next(iter(x.values()))
            targets = labels[name].astype(np.float64)
        elif units == 1:
            labels[name] = (classes[:, None] / CLASSES * 4 - 2).astype(np.float32)
            targets = labels[name].astype(np.float64)
        else:
            labels[name] = (classes % units).astype(np.int64)
            targets = _LOGIT_SPREAD * (2.0 * np.eye(units)[labels[name]] - 1)
        _fit_kernel(layer, features, targets)
    return labels


def _fit_kernel(layer: Any, features: np.ndarray, targets: np.ndarray) -> None:
    """Ridge regression, in its dual form: there are fewer samples than features."""
    center, offset = features.mean(axis=0), targets.mean(axis=0)
    centered = features - center
    products = centered @ centered.T
    ridge = _RIDGE * np.trace(products) / len(products) * np.eye(len(products))
    kernel = centered.T @ np.linalg.solve(products + ridge, targets - offset)
    layer.kernel.assign(kernel.reshape(layer.kernel.shape))
    layer.bias.assign(offset - center @ kernel)


def _last_with_kernel(output: Any) -> Any:
    """The layer with weights that an output comes from, through activations and reshapes."""
    operation = output._keras_history.operation
    while not hasattr(operation, "kernel"):
        (output,) = operation._inbound_nodes[0].input_tensors
        operation = output._keras_history.operation
    return operation
