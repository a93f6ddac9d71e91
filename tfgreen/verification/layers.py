"""Layer by layer: what the file computes in each tensor against the float model's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tfgreen.flatbuffer import Quantization, TfliteModel
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.runtimes import dequantize
from tfgreen.verification.certificate import LayerFidelity
from tfgreen.verification.sqnr import Power, rounded_to


@dataclass
class _Layer:
    index: int
    float_index: int
    power: Power = field(default_factory=Power)
    ideal: Power = field(default_factory=Power)


class LayerTrial:
    """Every tensor of the file that the float model has under the same name.

    Args:
        model: The file.
        float_model: The float file of the same conversion; the two share the names of op
            outputs, as far as the converter did not fuse or rename them.
    """

    def __init__(self, model: TfliteModel, float_model: TfliteModel) -> None:
        self._model = model
        written = [index for op in model.ops for index in op.outputs]
        matched = _matched_by_name(model, float_model)
        self._layers = [_Layer(i, matched[i]) for i in written if i in matched]
        self.unmatched = len(written) - len(self._layers)

    def add(self, values: Mapping[int, np.ndarray], truths: Mapping[int, np.ndarray]) -> None:
        """Take in the same samples' activations of the file and of the float model.

        Both map tensor indices to (calls, *tensor shape).
        """
        for layer in self._layers:
            if layer.index not in values or layer.float_index not in truths:
                continue
            quantization = self._model.tensors[layer.index].quantization
            stored, real = values[layer.index], truths[layer.float_index]
            if stored.shape != real.shape:
                continue
            for call in range(len(real)):
                layer.power.add(real[call], _real(stored[call], quantization))
                layer.ideal.add(real[call], rounded_to(real[call], quantization, stored.dtype))

    def results(self) -> tuple[LayerFidelity, ...]:
        """In the file's order; tensors with values that are not finite are left out."""
        return tuple(
            LayerFidelity(
                tensor=self._model.tensors[layer.index].name,
                op=producer.name,
                sqnr_db=layer.power.sqnr_db,
                ideal_sqnr_db=layer.ideal.sqnr_db,
            )
            for layer in self._layers
            if (producer := self._model.producer(layer.index)) is not None
            and layer.power.signal + layer.power.noise > 0
            and layer.power.is_finite
        )

    def not_finite(self) -> Iterator[str]:
        """Names of the tensors that hold a NaN or an infinity in either model."""
        for layer in self._layers:
            if not layer.power.is_finite:
                yield self._model.tensors[layer.index].name


def _real(stored: np.ndarray, quantization: Quantization | None) -> np.ndarray:
    return stored if quantization is None else dequantize(stored, quantization)


def _matched_by_name(model: TfliteModel, float_model: TfliteModel) -> dict[int, int]:
    """Tensor index in the file to tensor index in the float file, for comparable activations."""
    truths: dict[str, int] = {}
    for op in float_model.ops:
        for index in op.outputs:
            if float_model.tensors[index].dtype in FLOAT_DTYPES:
                truths[float_model.tensors[index].name] = index
    matched = {}
    for tensor in model.tensors:
        real = tensor.dtype in FLOAT_DTYPES or tensor.quantization is not None
        truth = truths.get(tensor.name)
        if real and truth is not None and not tensor.is_constant:
            if tensor.shape != float_model.tensors[truth].shape:
                continue
            matched[tensor.index] = truth
    return matched
