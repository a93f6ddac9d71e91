"""Which layers bear 4 bits: measured one by one, and chosen until the loss is used up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfgreen.flatbuffer import TfliteModel, with_constants
from tfgreen.generative.layout import SCORE
from tfgreen.generative.perplexity import token_losses
from tfgreen.generative.schemes import layer_weights
from tfgreen.generative.session import window_scorer
from tfgreen.generative.signatures import signature_models

OnProgress = Callable[[str, int, int], None]

_LIMIT = 7


@dataclass(frozen=True)
class LayerSensitivity:
    """What one layer's weights cost at 4 bits, rounded to nearest, all others in float.

    loss_increase: nats a token on calibration text; weights: how many.
    """

    layer: str
    loss_increase: float
    weights: int

    def to_facts(self) -> dict[str, Any]:
        """The record for the manifest."""
        return asdict(self)


def measure_sensitivity(
    float_content: bytes, windows: np.ndarray, on_progress: OnProgress | None = None
) -> list[LayerSensitivity]:
    """Try each dense layer; windows (n, context + 1) of calibration tokens."""
    model = signature_models(float_content)[SCORE]
    before = _loss(model.content, windows)
    found = []
    layers = layer_weights(model)
    for number, (name, op_index) in enumerate(layers.items()):
        tensor = model.ops[op_index].inputs[1]
        weights = model.constant(tensor)
        changed = with_constants(model, {tensor: _at_four_bits(weights)})
        increase = _loss(changed, windows) - before
        found.append(LayerSensitivity(name, increase, int(weights.size)))
        if on_progress is not None:
            on_progress("sensitivity of layers", number + 1, len(layers))
    return found


def layers_at_eight_bits(table: Sequence[LayerSensitivity], loss_limit: float) -> list[str]:
    """Those that keep 8 bits: the others' increases together stay within `loss_limit` nats.

    Layers that lose least for each weight go to 4 bits first.

    >>> table = [LayerSensitivity("a", 0.01, 100), LayerSensitivity("b", 0.001, 100)]
    >>> layers_at_eight_bits(table, 0.005)
    ['a']
    """
    left = loss_limit
    wide = []
    for layer in sorted(table, key=lambda one: one.loss_increase / one.weights):
        cost = max(layer.loss_increase, 0.0)
        if cost <= left:
            left -= cost
        else:
            wide.append(layer.layer)
    return wide


def _loss(content: bytes, windows: np.ndarray) -> float:
    score = window_scorer(TfliteModel.from_bytes(content))
    losses = [token_losses(score(window[:-1]), window[1:]) for window in windows]
    return float(np.mean(losses))


def _at_four_bits(weights: np.ndarray) -> np.ndarray:
    """Float weights (outputs, K) rounded to what 4 bits with a scale an output can hold."""
    scales = np.maximum(np.abs(weights).max(axis=1, keepdims=True) / _LIMIT, 1e-12)
    return np.asarray(np.rint(weights / scales) * scales, np.float32)
