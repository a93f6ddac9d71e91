"""A model as one TensorFlow function of named inputs and outputs with a fixed batch.

Keras 3 on TensorFlow, tf_keras and SavedModels all become the same thing here, so that what is
converted has static shapes and keeps the names that the user gave.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfgreen.errors import InvalidDataError, InvalidModelError, UnsupportedModelError
from tfgreen.models.config_signature import unique_names
from tfgreen.models.loading import flavour_of, output_names_of
from tfgreen.models.saved_model import DEFAULT_SIGNATURE, choose_signature
from tfgreen.signature import InputSpec


@dataclass(frozen=True)
class Serving:
    """A callable model: `function` takes one tensor an input, in order, and returns a dict."""

    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    batch: int
    function: Any
    owner: Any

    def predict(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name, (n, ...) each, for inputs by name, (n, *shape) each."""
        missing = [spec.name for spec in self.inputs if spec.name not in inputs]
        if missing:
            raise InvalidDataError(
                f"Inputs {missing} are missing; received {sorted(inputs)}, expected "
                f"{[spec.name for spec in self.inputs]}."
            )
        arrays = [np.asarray(inputs[spec.name], spec.dtype) for spec in self.inputs]
        count = len(arrays[0])
        parts = [
            self._run([array[start : start + self.batch] for array in arrays])
            for start in range(0, count, self.batch)
        ]
        return {
            name: np.concatenate([np.atleast_1d(part[name]) for part in parts])[:count]
            for name in self.outputs
        }

    def save(self, folder: Path) -> None:
        """Write a SavedModel whose only signature is "serving_default"."""
        # Gradients would be traced for every swish, and nobody trains this graph.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        signatures = {DEFAULT_SIGNATURE: self.function}
        try:
            tf.saved_model.save(self.owner, str(folder), signatures, options)
        except AssertionError as error:
            raise UnsupportedModelError(
                "The model holds a resource that is no weight, such as the table of a lookup "
                "layer, and cannot become a .tflite. Take that layer out and do its work before "
                f"the model. ({' '.join(str(error).split())[:160]})"
            ) from error

    def _run(self, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        missing = self.batch - len(arrays[0])
        padded = [np.concatenate([a, np.repeat(a[-1:], missing, 0)]) for a in arrays]
        results = self.function(*(tf.constant(array) for array in padded))
        return {name: value.numpy() for name, value in results.items()}


def serve_model(model: Any, batch: int) -> Serving:
    """Serve a live Keras 3 (on TensorFlow) or tf_keras model. The model is not changed.

    Raises UnsupportedModelError where an input has no fixed shape, and for subclassed models that
    were never called.
    """
    is_keras3 = flavour_of(model) == "keras3"
    call = keras_call(model)
    owner = tf.Module()
    owner.variables_kept = [v.value if is_keras3 else v for v in model.variables]
    return _serving(call, batch, owner, f"model '{model.name}'")


def serve_saved_model(folder: Path, batch: int) -> Serving:
    """Serve a SavedModel from its graph alone.

    Raises InvalidModelError when it cannot be loaded and UnsupportedModelError without a signature
    to run or with an input of no fixed shape.
    """
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidModelError(
            f"The SavedModel '{folder}' cannot be loaded: {reason} It may be damaged or cut off."
        ) from error
    name = choose_signature(tuple(loaded.signatures))
    if name is None:
        raise UnsupportedModelError(
            f"The SavedModel '{folder}' has the signatures {sorted(loaded.signatures)}; expected "
            f"'{DEFAULT_SIGNATURE}' or exactly one. Save it with model.export(...)."
        )
    signature = loaded.signatures[name]
    wanted = signature.structured_input_signature[1]
    names = sorted(wanted)
    call = Call(
        specs=[_named(wanted[name], name) for name in names],
        run=lambda tensors: signature(**dict(zip(names, tensors, strict=True))),
        names=lambda result: sorted(result),
    )
    owner = tf.Module()
    owner.loaded = loaded
    return _serving(call, batch, owner, f"SavedModel '{folder}'")


@dataclass(frozen=True)
class Call:
    """How to call a model on flat tensors: their specs, the call, names for the flat result."""

    specs: Sequence[tf.TensorSpec]
    run: Callable[[Sequence[Any]], Any]
    names: Callable[[Any], Sequence[str]]


def _serving(call: Call, batch: int, owner: Any, noun: str) -> Serving:
    inputs = tuple(_input_spec(spec, batch, noun) for spec in call.specs)
    signature = [tf.TensorSpec((batch, *s.shape), s.dtype, name=s.name) for s in inputs]

    @tf.function(input_signature=signature, autograph=False)
    def function(*tensors: Any) -> dict[str, Any]:
        result = call.run(tensors)
        return dict(zip(call.names(result), tf.nest.flatten(result), strict=True))

    try:
        traced = function.get_concrete_function()
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise UnsupportedModelError(
            f"The {noun} cannot be made a graph: {type(error).__name__}: {reason}"
        ) from error
    return Serving(inputs, tuple(traced.structured_outputs), batch, traced, owner)


def _input_spec(spec: tf.TensorSpec, batch: int, noun: str) -> InputSpec:
    if not isinstance(spec, tf.TensorSpec):
        raise UnsupportedModelError(
            f"An input of the {noun} is a {type(spec).__name__}; a .tflite takes dense tensors."
        )
    dtype = spec.dtype.name
    if spec.shape.rank in (None, 0) or None in spec.shape[1:]:
        raise UnsupportedModelError(
            f"Input '{spec.name}' of the {noun} has the shape {spec.shape}; a .tflite needs every "
            "size but the batch. Build the model with fixed sizes, as in "
            "keras.Input(shape=(96, 96, 3))."
        )
    if spec.shape[0] not in (None, batch):
        raise UnsupportedModelError(
            f"Input '{spec.name}' of the {noun} fixes the batch at {spec.shape[0]}, and the "
            f"profile wants {batch}. Build the model without batch_size, or set that batch."
        )
    if not np.issubdtype(spec.dtype.as_numpy_dtype, np.number) and dtype != "bool":
        raise UnsupportedModelError(
            f"Input '{spec.name}' of the {noun} is of dtype {dtype}; a .tflite takes numbers. Turn "
            "it into numbers before the model."
        )
    return InputSpec(spec.name, tuple(spec.shape[1:]), dtype)


def keras_call(model: Any) -> Call:
    """How to call a live Keras 3 (on TensorFlow) or tf_keras model; raises as `serve_model`."""
    return _keras3_call(model) if flavour_of(model) == "keras3" else _keras2_call(model)


def _keras3_call(model: Any) -> Call:
    import keras

    if model.built and getattr(model, "inputs", None):
        is_sequential = isinstance(model, keras.Sequential)
        structure = model.inputs[0] if is_sequential else model.input
        names = output_names_of(model)
        return Call(
            specs=[_keras3_spec(tensor) for tensor in model.inputs],
            run=lambda flat: model(
                keras.tree.pack_sequence_as(structure, list(flat)), training=False
            ),
            names=lambda result: _output_names(result, names),
        )
    shapes = getattr(model, "_build_shapes_dict", None)
    if not shapes:
        raise _never_called(model)
    arguments = _call_arguments(model)
    if len(arguments) > len(shapes):
        raise UnsupportedModelError(
            f"The call of model '{model.name}' takes {', '.join(arguments)}, and Keras records the "
            "shape of the first alone. Take one dict of tensors instead, or define "
            f"build(self, {', '.join(f'{name}_shape' for name in arguments)})."
        )
    names = arguments[:1] if len(shapes) == 1 else [key.removesuffix("_shape") for key in shapes]
    specs = [_specs_of_shapes(shape, model.input_dtype) for shape in shapes.values()]
    wanted = dict(zip(names, specs, strict=True))
    return _subclassed_call(model, {names[0]: wanted.pop(names[0])}, wanted)


def _keras3_spec(tensor: Any) -> Any:
    # By its layer: a tensor without a name of its own is named otherwise once it is read back.
    name = tensor._keras_history.operation.name
    if getattr(tensor, "sparse", False):
        return tf.SparseTensorSpec(tensor.shape, tensor.dtype)
    return _free_batch(tf.TensorSpec(tensor.shape, tensor.dtype), name)


def _keras2_call(model: Any) -> Call:
    if getattr(model, "inputs", None):
        specs = [
            _free_batch(tensor.type_spec, name)
            for name, tensor in zip(model.input_names, model.inputs, strict=True)
        ]
        return Call(
            specs=specs,
            run=lambda flat: model(flat[0] if len(flat) == 1 else list(flat), training=False),
            names=lambda result: _output_names(result, model.output_names),
        )
    spec = model.save_spec(dynamic_batch=True)
    if spec is None:
        raise _never_called(model)
    arguments, keywords = spec
    tensors = {key: value for key, value in keywords.items() if key not in ("training", "mask")}
    names = _call_arguments(model)
    return _subclassed_call(model, dict(zip(names, arguments, strict=False)), tensors)


def _subclassed_call(
    model: Any, positional: Mapping[str, Any], keywords: Mapping[str, Any]
) -> Call:
    """positional, keywords: nested structures of specs by the name of the argument."""
    wanted = [list(positional.values()), dict(keywords)]

    def run(flat: Sequence[Any]) -> Any:
        arguments, named = tf.nest.pack_sequence_as(wanted, flat)
        return model(*arguments, **named, training=False)

    named = [_names_of(value, name) for name, value in positional.items()]
    named += [_names_of(keywords[name], name) for name in sorted(keywords)]
    names = unique_names([name for part in named for name in part])
    specs = zip(tf.nest.flatten(wanted), names, strict=True)
    return Call(
        specs=[_named(spec, name) for spec, name in specs],
        run=run,
        names=lambda result: _output_names(result, None),
    )


def _call_arguments(model: Any) -> list[str]:
    """Names of the arguments that a call needs; of the first, if it needs none."""
    parameters = inspect.signature(model.call).parameters.values()
    required = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    return required or [p.name for p in parameters][:1]


def _specs_of_shapes(shape: Any, dtype: str) -> Any:
    """Keras 3 records a shape for each tensor in the structure of an argument."""
    if isinstance(shape, Mapping):
        return {key: _specs_of_shapes(value, dtype) for key, value in shape.items()}
    if all(size is None or isinstance(size, int) for size in shape):
        return tf.TensorSpec((None, *shape[1:]), dtype)
    return [_specs_of_shapes(value, dtype) for value in shape]


def _names_of(specs: Any, name: str) -> list[str]:
    """Names in the order of `tf.nest.flatten`: keys of dicts, numbers in lists."""
    if isinstance(specs, Mapping):
        return [part for key in sorted(specs) for part in _names_of(specs[key], str(key))]
    if isinstance(specs, list | tuple):
        parts = [_names_of(value, f"{name}_{index}") for index, value in enumerate(specs)]
        return [part for inner in parts for part in inner]
    return [name]


def _output_names(result: Any, names: Sequence[str] | None) -> Sequence[str]:
    """The keys of a dict of outputs, else the model's names, else output_0, output_1..."""
    flat = tf.nest.flatten(result)
    if isinstance(result, Mapping) and len(result) == len(flat):
        return sorted(result)
    if names is None:
        return [f"output_{index}" for index in range(len(flat))]
    if len(names) < len(flat):
        names = [*names, *[names[-1]] * (len(flat) - len(names))]
    return unique_names(names)


def _named(spec: Any, name: str) -> Any:
    return tf.TensorSpec(spec.shape, spec.dtype, name) if isinstance(spec, tf.TensorSpec) else spec


def _free_batch(spec: Any, name: str) -> Any:
    """A model that was built by calling it on data has that batch; it takes any other too."""
    if not isinstance(spec, tf.TensorSpec) or not spec.shape.rank:
        return spec
    return tf.TensorSpec((None, *spec.shape[1:]), spec.dtype, name)


def _never_called(model: Any) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"The model '{model.name}' was never called, so the shape of its input is unknown. Call it "
        "once on a batch, or give it an Input layer."
    )
