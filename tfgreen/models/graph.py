"""The worker's side: any model opened as a graph that is ready for the converter.

Every kind of model becomes a SavedModel with one static signature that keeps the names of its
inputs and outputs, rewritten where that is needed for int8 and proven equal to the model.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf

from tfgreen.errors import ConversionError, UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.models import islands, rewrites, rounding
from tfgreen.models.custom_objects import CustomObjects, resolve_custom_objects
from tfgreen.models.loading import ModelSource, flavour_of, identify, load_source, scan
from tfgreen.models.saved_model import DEFAULT_SIGNATURE
from tfgreen.models.serving import Serving, serve_model, serve_saved_model
from tfgreen.signature import InputSpec

_TOLERANCE = 1e-5
_ROUNDING_TOLERANCE = 0.25
_PROBES = 4


@dataclass(frozen=True)
class Convertible(ABC):
    """A model that can be converted and asked for its float outputs.

    inputs, outputs: names and shapes as the .tflite will have them.
    rewrites: what was changed for the conversion, in words; the outputs are equal.
    notes: what the user should know, such as a loop that int8 conversion cannot take.
    is_quantization_aware: the graph carries the ranges of quantization-aware training, which
        `tf.lite.Optimize.DEFAULT` applies without calibration.
    """

    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    rewrites: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_quantization_aware: bool = False

    @abstractmethod
    def converter(self) -> Any:
        """A fresh `tf.lite.TFLiteConverter`, or what converts like one."""

    @abstractmethod
    def predict(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Float outputs by name, (n, ...), for inputs by name, (n, *shape)."""

    def unrounded(self) -> Convertible:
        """The same without the roundings of quantization-aware training, for comparisons."""
        return self


def open_for_conversion(
    source: ModelSource | str | Path,
    *,
    custom_objects: CustomObjects = None,
    allow_unsafe: bool = False,
    batch: int = 1,
) -> Convertible:
    """Open a model for conversion with a fixed batch. For a process of its own.

    The graph is written to a temporary folder that goes with the object; should the converter take
    the process down, it is left to whoever set this process' TMPDIR.

    Raises whatever loading raises (see `tfgreen.models.loading.load_model`), and
    UnsupportedModelError for inputs without a fixed shape and for .tflite files that are
    quantized already.
    """
    if not isinstance(source, ModelSource):
        source = identify(source)
    if source.kind == "tflite":
        return _FloatFile.read(source.path, batch)
    if source.kind == "saved-model":
        # Its graph alone runs: no class of the Keras metadata beside it is ever looked up.
        objects = resolve_custom_objects(custom_objects)
        scan(source, custom_objects=objects, allow_unsafe=allow_unsafe)
        return _graph_of(serve_saved_model(source.path, batch))
    model = load_source(source, custom_objects, allow_unsafe)
    _require_tensorflow(model)
    return _open_model(model, batch)


def _require_tensorflow(model: Any) -> None:
    if flavour_of(model) == "keras2":
        return
    import keras

    backend = keras.config.backend()
    if backend != "tensorflow":
        raise ConversionError(
            f"Keras runs on the {backend} backend in this process; conversion needs "
            "KERAS_BACKEND=tensorflow in its environment."
        )


def _open_model(model: Any, batch: int) -> Convertible:
    stripped: tuple[str, ...] = ()
    if flavour_of(model) == "keras2":
        from tfgreen.models import keras2

        model, stripped = keras2.without_training_wrappers(model)
    else:
        from tfgreen.models.adapters import merged_for_conversion

        model, stripped = merged_for_conversion(model)
    done = (*stripped, *rewrites.compute_in_float32(model))
    original = serve_model(model, batch)
    trained = _is_quantization_aware(model)
    unrolled, looped = rewrites.unroll_recurrent_layers(model, with_fused=trained)
    if not unrolled:
        return _graph_of(original, done, looped)
    serving = serve_model(model, batch)
    # Rounding amplifies the last bit of a float to steps.
    if not _are_equal(serving, original, _ROUNDING_TOLERANCE if trained else _TOLERANCE):
        raise ConversionError(
            f"The recurrent layers of model '{model.name}' compute something else when they are "
            "unrolled, and int8 conversion of a loop fails. Build them with unroll=True and train "
            "again, or use convolutions."
        )
    return _graph_of(serving, (*done, *unrolled), looped)


def _is_quantization_aware(model: Any) -> bool:
    names = (type(layer).__name__ for layer in model.layers)
    return any(name.startswith(("Rounded", "QuantizeWrapper", "QuantizeLayer")) for name in names)


def _graph_of(
    serving: Serving, done: tuple[str, ...] = (), notes: tuple[str, ...] = ()
) -> Convertible:
    """Write the SavedModel, rewrite it, and see that the outputs stay the same."""
    folder = Path(tempfile.mkdtemp(prefix="tfgreen-")) / "graph"
    serving.save(folder)
    rewritten = _without_islands(folder)
    trained = rounding.rounds(folder)
    tolerance = _ROUNDING_TOLERANCE if trained else _TOLERANCE
    if rewritten and not _are_equal(serve_saved_model(folder, serving.batch), serving, tolerance):
        raise ConversionError(
            f"Rewriting the graph for int8 changed its outputs ({rewritten[0]}). Please report "
            "this model."
        )
    graph = _Graph(
        serving.inputs,
        serving.outputs,
        (*done, *rewritten),
        notes,
        trained,
        serving=serving,
        folder=folder,
    )
    weakref.finalize(graph, shutil.rmtree, folder.parent, ignore_errors=True)
    return graph


def _without_islands(folder: Path) -> tuple[str, ...]:
    """Convert once to see which ops are left without an int8 kernel, and rewrite just these."""
    if not islands.may_leave_islands(folder):
        return ()
    converter = _converter(folder)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    found = islands.islands_of(converter.convert())
    return islands.rewrite_graph(folder, found) if found else ()


def _converter(folder: Path) -> Any:
    return tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[DEFAULT_SIGNATURE])


@dataclass(frozen=True, kw_only=True)
class _Graph(Convertible):
    """A SavedModel in a folder of its own."""

    serving: Serving = field(repr=False)
    folder: Path = field(repr=False)

    def converter(self) -> Any:
        converter = _converter(self.folder)
        converter.graph_owner = self  # the folder stays as long as a converter reads it
        return converter

    def predict(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        return self.serving.predict(inputs)

    def unrounded(self) -> Convertible:
        folder = Path(tempfile.mkdtemp(prefix="tfgreen-")) / "graph"
        shutil.copytree(self.folder, folder)
        rounding.remove_rounding(folder)
        serving = serve_saved_model(folder, self.serving.batch)
        plain = _Graph(self.inputs, self.outputs, serving=serving, folder=folder)
        weakref.finalize(plain, shutil.rmtree, folder.parent, ignore_errors=True)
        return plain


@dataclass(frozen=True, kw_only=True)
class _FloatFile(Convertible):
    """A float .tflite, which needs no conversion to be one."""

    content: bytes = field(repr=False)

    @classmethod
    def read(cls, path: Path, batch: int) -> _FloatFile:
        model = TfliteModel.read(path)
        quantized = [t.name for t in model.tensors if t.quantization is not None]
        if quantized:
            raise UnsupportedModelError(
                f"'{path}' is quantized already (tensor '{quantized[0]}', for one). Give the float "
                "model, or judge this file with verify."
            )
        specs: list[InputSpec] = []
        for name, index in zip(model.input_names, model.inputs, strict=True):
            tensor = model.tensors[index]
            if tensor.shape[:1] != (batch,):
                raise UnsupportedModelError(
                    f"Input '{name}' of '{path}' has the shape {tensor.shape}, and the profile "
                    f"wants batch {batch}. Convert the model again with that batch."
                )
            specs.append(InputSpec(name, tensor.shape[1:], tensor.dtype))
        return cls(tuple(specs), model.output_names, content=model.content)

    def converter(self) -> Any:
        return SimpleNamespace(target_spec=SimpleNamespace(), convert=lambda: self.content)

    def predict(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        from ai_edge_litert.interpreter import Interpreter

        model = TfliteModel.from_bytes(self.content)
        interpreter = Interpreter(model_content=self.content, num_threads=1)
        interpreter.allocate_tensors()
        arrays = [np.asarray(inputs[spec.name], spec.dtype) for spec in self.inputs]
        batch = model.tensors[model.inputs[0]].shape[0]
        results: dict[str, list[np.ndarray]] = {name: [] for name in self.outputs}
        for start in range(0, len(arrays[0]), batch):
            for index, array in zip(model.inputs, arrays, strict=True):
                interpreter.set_tensor(index, _filled(array[start : start + batch], batch))
            interpreter.invoke()
            for index, name in zip(model.outputs, self.outputs, strict=True):
                results[name].append(interpreter.get_tensor(index))
        return {name: np.concatenate(r)[: len(arrays[0])] for name, r in results.items()}


def _filled(array: np.ndarray, batch: int) -> np.ndarray:
    return np.concatenate([array, np.repeat(array[-1:], batch - len(array), 0)])


def _are_equal(rewritten: Serving, original: Serving, tolerance: float) -> bool:
    """Whether both give the same on random input, within a share of each output's largest value."""
    probe = _probe(original)
    expected, received = original.predict(probe), rewritten.predict(probe)
    for name, array in expected.items():
        limit = tolerance * max(float(np.abs(array).max(initial=0.0)), 1e-6)
        error = np.abs(received[name].astype(np.float64) - array).max(initial=0.0)
        if not error <= limit:
            return False
    return True


def _probe(serving: Serving) -> dict[str, np.ndarray]:
    """Random inputs: numbers around 0 for floats, 0 and 1 for whole numbers (valid indices)."""
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for spec in serving.inputs:
        shape = (_PROBES, *(size or 1 for size in spec.shape))
        is_float = np.issubdtype(np.dtype(spec.dtype), np.floating)
        values = random.normal(size=shape) if is_float else random.integers(0, 2, shape)
        arrays[spec.name] = values.astype(spec.dtype)
    return arrays
