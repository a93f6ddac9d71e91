"""The report on a model in quantization-aware training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfgreen.compression.quantization.plan import LayerPlacement
from tfgreen.compression.quantization.state import QuantizationState
from tfgreen.compression.quantization.wrapping import (
    MOST_BITS,
    ROUNDING,
    kept_values,
    rounded_kernels,
)
from tfgreen.compression.technique import LayerDecision

if TYPE_CHECKING:
    from tfgreen.compression.quantization.quantization import QuantizationAwareTraining


def decisions(
    technique: QuantizationAwareTraining, state: QuantizationState, wrapped: Any
) -> tuple[LayerDecision, ...]:
    """One decision for each layer of the model that was given, in its order."""
    pieces: dict[str, list[str]] = {}
    for name, path in state.rewritten.origins.items():
        pieces.setdefault(path, []).append(name)
    changes: dict[str, list[str]] = {}
    for change in state.rewritten.changes:
        changes.setdefault(change.layer, []).append(change.what)
    reader = _Reader(technique, state, wrapped)
    return tuple(
        reader.decide(path, kind, pieces.get(path, []), changes.get(path, []))
        for path, kind in state.kinds.items()
    )


def notes(
    technique: QuantizationAwareTraining, state: QuantizationState, wrapped: Any
) -> tuple[str, ...]:
    """What is to say of the model as a whole."""
    found = []
    if state.source:
        found.append(f"Ranges were set from {state.source} ({state.sample_count} samples).")
    else:
        found.append("Ranges were not set from data before training: they start at [-6, 6].")
    real = {tensor._keras_history.layer.name for tensor in state.rewritten.model.inputs}
    if left := sorted(real - state.plan.inputs):
        found.append(f"Inputs that are not rounded, being whole numbers: {', '.join(left)}.")
    if technique.weight_bits != MOST_BITS:
        found.append(
            "Weights of fewer than 8 bits have fewer values (15 for 4 bits); arithmetic is that of "
            "int8, and int8 profiles store them in 8 bits: only a packed file shrinks."
        )
    return (*found, *state.notes)


class _Reader:
    def __init__(
        self, technique: QuantizationAwareTraining, state: QuantizationState, wrapped: Any
    ) -> None:
        self._technique, self._state = technique, state
        self._kernels = rounded_kernels(wrapped)
        self._layers = {layer.name: layer for layer in wrapped.layers}

    def decide(self, path: str, kind: str, pieces: list[str], changes: list[str]) -> LayerDecision:
        if path in self._state.left_out:
            return LayerDecision(path, kind, "skipped", self._state.left_out[path])
        placed = {
            name: self._state.plan.layers[name]
            for name in pieces
            if name in self._state.plan.layers
        }
        rewritten = "; ".join(changes)
        is_rounded = any(p.kernel or any(p.outputs) for p in placed.values())
        if not is_rounded:
            reason = "; ".join(dict.fromkeys(p.reason for p in placed.values() if p.reason))
            text = "; ".join(part for part in (rewritten, reason) if part)
            return LayerDecision(path, kind, "rewritten" if changes else "skipped", text)
        words = (self._words(name, placement) for name, placement in placed.items())
        reason = "; ".join([*changes, *dict.fromkeys(words)])
        return LayerDecision(path, kind, "quantized", reason, self._measures(placed))

    def _words(self, name: str, placement: LayerPlacement) -> str:
        parts = []
        if placement.kernel and name in self._kernels:
            quantizer = self._kernels[name].quantize_config.kernel
            step = "layer" if getattr(quantizer, "is_tied", False) else "channel"
            parts.append(f"kernel with one step per {step}{_kept(quantizer)}")
        if any(placement.outputs):
            prescribed = any(r and r.kind == "prescribed" for r in placement.outputs)
            parts.append("output with prescribed steps" if prescribed else "output")
        elif placement.reason:
            parts.append(placement.reason)
        return ", ".join(parts)

    def _measures(self, placed: dict[str, LayerPlacement]) -> dict[str, float]:
        measures: dict[str, float] = {}
        for name, placement in placed.items():
            if placement.kernel and name in self._kernels:
                measures |= self._kernel_measures(self._kernels[name])
            if any(placement.outputs):
                measures |= self._range(name)
        return measures

    def _kernel_measures(self, layer: Any) -> dict[str, float]:
        values = np.concatenate([kept_values(*one).reshape(-1) for one in layer.kernels])
        from tfgreen.models.qat_clusters import cluster_count

        measures: dict[str, float] = {"weight_bits": layer.quantize_config.kernel.num_bits}
        if self._technique.preserve_sparsity:
            measures["sparsity"] = float(np.mean(values == 0))
        if self._technique.preserve_clusters:
            clusters = cluster_count(values)
            if clusters is not None:
                measures["clusters"] = clusters
        return measures

    def _range(self, name: str) -> dict[str, float]:
        layer = self._layers.get(ROUNDING.format(name)) or self._layers.get(name)
        ranges = getattr(layer, "ranges", None)
        if not ranges:
            return {}
        return {
            "low": float(ranges["min_var"].numpy()),
            "high": float(ranges["max_var"].numpy()),
        }


def _kept(quantizer: Any) -> str:
    """What stays as it is in a kernel, in words."""
    if type(quantizer).__name__ == "ClusteredWeightsQuantizer":
        return ", clusters and zeros kept" if quantizer.keep_zeros else ", clusters kept"
    keeps_zeros = getattr(quantizer, "keep_zeros", "Preserve" in type(quantizer).__name__)
    return ", zeros kept" if keeps_zeros else ""
