"""4-bit weights that leave a layer's answer right on calibration text.

Rounding each weight to the nearest step costs a language model one or two percent of perplexity.
Here columns are rounded one after the other, and what each rounding changes in the layer's output
is made good by the columns that are still free (Frantar et al. 2022, "GPTQ", arXiv 2210.17323).
Each layer is fed what the quantized network before it gives, and aims at what the float layer
answered, so that errors of earlier layers are made good too. Scales are chosen anew before: a
smaller one clips the largest weights and is finer for all others. `tflite.rounding` does the same
for convolutions and 8 bits; here one column may have several scales, one for each block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.generative.layout import SCORE
from tfgreen.generative.schemes import layer_weights
from tfgreen.generative.session import window_scorer
from tfgreen.generative.signatures import buffer_of, signature_models, with_weights

OnProgress = Callable[[str, int, int], None]

_DAMPING = 0.01
_LIMIT = 7
_HALF = np.finfo(np.float16)
_SHRINKS = np.linspace(1.0, 0.55, 19)


@dataclass(frozen=True)
class Moments:
    """Of a layer's inputs on calibration text, summed over all positions.

    quantized: (K, K), of what the quantized network gives the layer. crossed: (K, K), of that with
    what the float network gives it.
    """

    quantized: np.ndarray
    crossed: np.ndarray

    def target(self, weights: np.ndarray) -> np.ndarray:
        """Weights (K, outputs) that answer on quantized inputs what the float layer did."""
        damping = _damping(self.quantized)
        return np.linalg.solve(self.quantized + damping, (self.crossed + damping) @ weights)


@dataclass(frozen=True)
class _Layer:
    name: str
    op: Op
    twin: Op


def compensated(
    content: bytes,
    float_content: bytes,
    windows: np.ndarray,
    on_progress: OnProgress | None = None,
) -> bytes:
    """The file with its 4-bit dense layers rounded again, scales included.

    Args:
        content: a file with 4-bit weights, one scale for each output or for each block.
        float_content: the float file that it was made of.
        windows: calibration tokens (n, context), int32.
        on_progress: called with (step, layers done, layers in all).
    """
    plain = signature_models(float_content)[SCORE]
    layers = _layers(signature_models(content)[SCORE], plain)
    done = 0
    for group in _groups(layers):
        model = signature_models(content)[SCORE]
        moments = _moments(model, plain, group[0], windows)
        values: dict[int, np.ndarray] = {}
        scales: dict[int, np.ndarray] = {}
        for layer in group:
            _round_layer(model, plain, layer, moments, values, scales)
        content = with_weights(content, values, scales)
        done += len(group)
        if on_progress is not None:
            on_progress("rounding 4-bit weights", done, len(layers))
    return content


def rounded(target: np.ndarray, moments: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Integers (K, outputs) for real weights, given scales of that shape and moments (K, K).

    Columns with much power go first, while there are others left to make good for them.
    """
    order = np.argsort(-np.diagonal(moments))
    left, steps = target[order].copy(), scales[order]
    damped = (moments + _damping(moments))[np.ix_(order, order)]
    # The upper Cholesky factor of the inverse: row i holds how the columns after i make good.
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    chosen = np.empty_like(left)
    for row in range(len(left)):
        chosen[row] = np.clip(np.rint(left[row] / steps[row]), -_LIMIT, _LIMIT)
        error = (left[row] - chosen[row] * steps[row]) / factor[row, row]
        left[row + 1 :] -= np.outer(factor[row, row + 1 :], error)
    integers = np.empty_like(chosen)
    integers[order] = chosen
    return integers


def best_scales(weights: np.ndarray, power: np.ndarray, block: int) -> np.ndarray:
    """A scale for each block of `block` weights of an output, (blocks, outputs).

    The one with the least error of rounding to nearest, each weight's error weighted by the power
    (K,) of its input.
    """
    blocks = weights.reshape(-1, block, weights.shape[1])
    importance = power.reshape(-1, block, 1)
    widest = np.maximum(np.abs(blocks).max(axis=1, keepdims=True) / _LIMIT, 1e-12)
    best, least = widest, np.full(widest.shape, np.inf)
    for shrink in _SHRINKS:
        scale = widest * shrink
        error = np.clip(np.rint(blocks / scale), -_LIMIT, _LIMIT) * scale - blocks
        cost = (error**2 * importance).sum(axis=1, keepdims=True)
        best, least = np.where(cost < least, scale, best), np.minimum(cost, least)
    return np.asarray(best[:, 0])


def _round_layer(
    model: TfliteModel,
    plain: TfliteModel,
    layer: _Layer,
    moments: Moments,
    values: dict[int, np.ndarray],
    scales: dict[int, np.ndarray],
) -> None:
    """Note the layer's new bytes and scales, by buffer."""
    weights = model.tensors[layer.op.inputs[1]]
    facts = weights.quantization
    if facts is None:
        return
    target = moments.target(plain.constant(layer.twin.inputs[1]).astype(np.float64).T)
    block = facts.block_size or target.shape[0]
    found = best_scales(target, np.diagonal(moments.quantized), block)
    if facts.block_size:
        # Blocks of zeros, as pruning leaves them, would have a scale of zero.
        found = np.clip(found, _HALF.tiny, _HALF.max).astype(np.float16).astype(np.float64)
        values[_scales_buffer(model, weights.index)] = _bytes(found.T.astype(np.float16))
    else:
        found = found.astype(np.float32).astype(np.float64)
        scales[buffer_of(model, weights.index)] = found[0].astype(np.float32)
    integers = rounded(target, moments.quantized, np.repeat(found, block, axis=0))
    values[buffer_of(model, weights.index)] = _nibbles(integers.T)


def _moments(model: TfliteModel, plain: TfliteModel, layer: _Layer, windows: np.ndarray) -> Moments:
    """Run both networks on all windows, up to the layer."""
    quantized = window_scorer(model, layer.op.inputs[0])
    real = window_scorer(plain, layer.twin.inputs[0])
    own: Any = 0.0
    crossed: Any = 0.0
    for window in windows:
        rows = quantized(window)
        own = own + (rows.T @ rows).astype(np.float64)
        crossed = crossed + (rows.T @ real(window)).astype(np.float64)
    return Moments(own, crossed)


def _groups(layers: Sequence[_Layer]) -> list[list[_Layer]]:
    """Layers after one another that are fed the same."""
    return [list(group) for _, group in groupby(layers, key=lambda layer: layer.op.inputs[0])]


def _layers(model: TfliteModel, plain: TfliteModel) -> list[_Layer]:
    """Dense layers with 4-bit weights that no other layer shares, in the order of the graph."""
    twins = layer_weights(plain)
    uses = Counter(buffer_of(model, index) for op in model.ops for index in op.inputs if index >= 0)
    found = []
    for name, number in layer_weights(model).items():
        op = model.ops[number]
        weights = model.tensors[op.inputs[1]]
        is_own = uses[buffer_of(model, weights.index)] == 1
        if weights.dtype == "int4" and is_own and name in twins:
            found.append(_Layer(name, op, plain.ops[twins[name]]))
    return found


def _scales_buffer(model: TfliteModel, tensor_index: int) -> int:
    details = model.root.subgraphs[0].tensors[tensor_index].quantization.details
    return buffer_of(model, int(details.scales))


def _damping(moments: np.ndarray) -> np.ndarray:
    power = float(np.trace(moments)) / len(moments)
    return np.eye(len(moments)) * (_DAMPING * power if power > 0 else 1.0)


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)


def _nibbles(integers: np.ndarray) -> np.ndarray:
    """4-bit values two to a byte, the first in the lower half."""
    flat = integers.astype(np.int8).reshape(-1)
    halves = np.append(flat, np.zeros(flat.size % 2, np.int8)).view(np.uint8) & 15
    return np.asarray(halves[::2] | halves[1::2] << 4)
