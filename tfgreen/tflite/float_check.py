"""Does the float file compute what the model computes?

A conversion can go wrong in silence: files that answer NaN, or that lost their weights. So every
float file is run beside the model it came from, before anything is built on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tfgreen.errors import ConversionError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.signature import InputSpec

_PROBES = 4


class Predictor(Protocol):
    """Anything with the model's own forward pass."""

    def predict(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Outputs by name for inputs by name, each (n, *shape)."""


@dataclass(frozen=True)
class FloatError:
    """The worst output: its name and max |file - model| over max |model|."""

    output: str
    relative: float


def probe(inputs: Sequence[InputSpec]) -> dict[str, np.ndarray]:
    """Seeded random samples for a model whose data are not at hand: normal, or integers 0..1."""
    generator = np.random.default_rng(0)
    samples = {}
    for spec in inputs:
        shape = (_PROBES, *(size or 1 for size in spec.shape))
        if np.issubdtype(np.dtype(spec.dtype), np.floating):
            samples[spec.name] = generator.normal(size=shape).astype(spec.dtype)
        else:
            samples[spec.name] = generator.integers(0, 2, shape).astype(spec.dtype)
    return samples


def float_error(
    content: bytes, predictor: Predictor, samples: Mapping[str, np.ndarray], limit: int
) -> FloatError:
    """Run at most `limit` samples through both. Raises ConversionError for NaN or infinity."""
    model = TfliteModel.from_bytes(content)
    count = _whole_batches(model, len(next(iter(samples.values()))), limit)
    few = {name: _first(array, count) for name, array in samples.items()}
    expected = predictor.predict(few)
    given = _run(content, model, few, count)
    errors = [_compare(name, given[name], np.asarray(expected[name])) for name in expected]
    return max(errors, key=lambda error: error.relative)


def _first(array: np.ndarray, count: int) -> np.ndarray:
    return np.resize(array[:count], (count, *array.shape[1:]))


def _whole_batches(model: TfliteModel, available: int, limit: int) -> int:
    shape = model.tensors[model.inputs[0]].shape
    batch = shape[0] if shape else 1
    return batch * max(1, min(available, limit) // batch)


def _run(
    content: bytes, model: TfliteModel, samples: Mapping[str, np.ndarray], count: int
) -> dict[str, np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    batch = model.tensors[model.inputs[0]].shape[0]
    outputs: dict[str, list[np.ndarray]] = {name: [] for name in model.output_names}
    for start in range(0, count, batch):
        for name, index in zip(model.input_names, model.inputs, strict=True):
            array = samples[name][start : start + batch]
            interpreter.set_tensor(index, np.ascontiguousarray(array))
        interpreter.invoke()
        for name, index in zip(model.output_names, model.outputs, strict=True):
            outputs[name].append(interpreter.get_tensor(index))
    return {name: np.concatenate(parts) for name, parts in outputs.items()}


def _compare(name: str, given: np.ndarray, expected: np.ndarray) -> FloatError:
    if not np.isfinite(expected).all():
        raise ConversionError(
            f"The model itself answers NaN or infinity at output '{name}'. Check its weights and "
            "the calibration data before exporting."
        )
    if given.shape != expected.shape or not np.isfinite(given).all():
        raise ConversionError(
            f"The converter's float file is broken at output '{name}': the model gives finite "
            f"values of shape {expected.shape}, the file shape {given.shape}"
            + ("." if given.shape != expected.shape else " with NaN or infinity.")
        )
    largest = float(np.abs(expected).max()) or 1.0
    difference = np.abs(given.astype(np.float64) - expected.astype(np.float64)).max()
    return FloatError(name, float(difference) / largest)
