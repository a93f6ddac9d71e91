"""A quantized file's weights and biases fitted again, layer by layer, on calibration data.

Each layer is fed what the quantized network gives it, errors of the layers before included, and
its answer is held against the float network's. Weights may be rounded anew (`least_squares`),
scales of channels and biases may move: bias correction (Nagel et al. 2019, arXiv 1906.04721,
section 4.2, empirical), and with the scales what re-estimating a BatchNormalization that has been
folded into the layer would do. Names, dtypes and ranges of activations stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfgreen.data import Samples
from tfgreen.flatbuffer import Op, Tensor, TfliteModel, with_constants
from tfgreen.flatbuffer.edits import with_requantized_constants
from tfgreen.runtimes import dequantize, quantize_inputs
from tfgreen.tflite.least_squares import Problem, best_integers, best_shrink, problem_of
from tfgreen.tflite.patches import PatchSampler, patch_sampler
from tfgreen.tflite.rounding import constant_bias, shares_values, stored_bias
from tfgreen.tflite.statistics import preserving_interpreter

OnLayer = Callable[[int, int], None]

_GROUPS = 12
_LIMITS = {"int8": 127, "int4": 7}
_GAINS = 0.8, 1.25


@dataclass(frozen=True)
class Fit:
    """What may change of each layer.

    weights: round them anew. scales: choose the steps of weights in fewer than 8 bits anew.
    gains: let each output channel's scale move by up to a quarter. Biases follow always.
    """

    weights: bool = False
    scales: bool = False
    gains: bool = False


@dataclass(frozen=True)
class _Layer:
    op: Op
    twin: Op
    sampler: PatchSampler


def refitted(
    content: bytes,
    float_content: bytes,
    inputs: Sequence[np.ndarray],
    fit: Fit,
    on_layer: OnLayer | None = None,
) -> bytes:
    """The file with its convolutions and dense layers fitted again.

    Args:
        content: a file with int8 or int4 weights; ops are matched with the float file's by the
            name of their output. A layer without a match, or whose constants serve others too,
            stays as it is.
        float_content: the float file that it was made from.
        inputs: calibration runs, one array for each graph input, (runs, *tensor shape).
        fit: what may change.
        on_layer: called with (layers done, layers in all).
    """
    plain = TfliteModel.from_bytes(float_content)
    layers = _layers(TfliteModel.from_bytes(content), plain, len(inputs[0]))
    size = max(1, -(-len(layers) // _GROUPS))
    for start in range(0, len(layers), size):
        group = layers[start : start + size]
        model = TfliteModel.from_bytes(content)
        real = _rows(plain, inputs, [(layer.twin, layer.sampler) for layer in group])
        given = _rows(model, inputs, [(layer.op, layer.sampler) for layer in group])
        stored: dict[int, np.ndarray] = {}
        rescaled: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for number, layer in enumerate(group):
            for index, (values, scales) in _refit(
                model, plain, layer, real[number], given[number], fit
            ).items():
                if scales is None:
                    stored[index] = values
                else:
                    rescaled[index] = values, scales
            if on_layer is not None:
                on_layer(start + number + 1, len(layers))
        content = with_constants(model, stored)
        if rescaled:
            content = with_requantized_constants(TfliteModel.from_bytes(content), rescaled)
    return content


def _layers(model: TfliteModel, plain: TfliteModel, runs: int) -> list[_Layer]:
    twins = {plain.tensors[op.outputs[0]].name: op for op in plain.ops if op.outputs}
    found = []
    for op in model.ops:
        twin = twins.get(model.tensors[op.outputs[0]].name) if op.outputs else None
        if twin is None or twin.name != op.name or not _is_changeable(model, op):
            continue
        sampler = patch_sampler(plain, twin, runs)
        same = model.tensors[op.inputs[1]].shape == plain.tensors[twin.inputs[1]].shape
        if sampler is not None and same:
            found.append(_Layer(op, twin, sampler))
    return found


def _is_changeable(model: TfliteModel, op: Op) -> bool:
    """Whether the op has narrow integer weights of its own, with scales that `_refit` knows."""
    if len(op.inputs) < 2 or op.inputs[1] < 0:
        return False
    weights = model.tensors[op.inputs[1]]
    facts = weights.quantization
    own = all(len(model.consumers(index)) == 1 for index in op.inputs[1:] if index >= 0)
    plain_scales = facts is not None and not facts.block_size and not facts.zero_points.any()
    return own and weights.is_constant and weights.dtype in _LIMITS and plain_scales


def _rows(
    model: TfliteModel, inputs: Sequence[np.ndarray], wanted: Sequence[tuple[Op, PatchSampler]]
) -> list[np.ndarray]:
    """For each op the sampled rows of its real-valued inputs over all runs, (n, ...) float32."""
    invoke = preserving_interpreter(model.content, model)
    real = Samples(dict(zip(model.input_names, inputs, strict=True)))
    taken: list[list[np.ndarray]] = [[] for _ in wanted]
    for arrays in zip(*quantize_inputs(model, real), strict=True):
        read = invoke(arrays)
        for rows, (op, sampler) in zip(taken, wanted, strict=True):
            source = op.inputs[0]
            values = dequantize(read(source), model.tensors[source].quantization)
            rows.append(sampler.take(values))
    return [np.concatenate(rows) for rows in taken]


Changes = Mapping[int, tuple[np.ndarray, np.ndarray | None]]


def _refit(
    model: TfliteModel,
    plain: TfliteModel,
    layer: _Layer,
    real_rows: np.ndarray,
    given_rows: np.ndarray,
    fit: Fit,
) -> Changes:
    """New stored values, and scales where they change, by tensor index."""
    weights = model.tensors[layer.op.inputs[1]]
    facts = weights.quantization
    if facts is None:
        return {}
    depthwise = layer.op.name == "DEPTHWISE_CONV_2D"
    real = _blocks(plain.constant(layer.twin.inputs[1]).astype(np.float64), depthwise)
    stored = _blocks(model.constant(weights.index).astype(np.float64), depthwise)
    outputs = real.shape[0] * real.shape[2]
    scales = np.broadcast_to(facts.scales.astype(np.float64), (outputs,))
    scales = scales.reshape(real.shape[0], 1, real.shape[2])
    rows = _block_rows(real_rows, depthwise), _block_rows(given_rows, depthwise)
    bias, real_bias = constant_bias(model, layer.op), constant_bias(plain, layer.twin)
    means = [r.mean(axis=1, keepdims=True, dtype=np.float64) for r in rows]
    if bias is None or real_bias is None:
        means = [np.zeros_like(mean) for mean in means]
    changed: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
    gains = np.ones_like(scales)
    if fit.weights and not shares_values(real.transpose(0, 2, 1).reshape(-1, real.shape[1])):
        centred = [r - mean.astype(np.float32) for r, mean in zip(rows, means, strict=True)]
        limit = _LIMITS[weights.dtype]
        problem = problem_of(real, scales, centred[1], centred[0], limit)
        if fit.scales and weights.dtype == "int4" and facts.scales.size == outputs:
            gains = best_shrink(problem)[:, None, :].astype(np.float64)
            problem = Problem(
                (problem.weights / gains).astype(np.float32),
                problem.moments,
                (problem.wanted / gains).astype(np.float32),
                limit,
            )
            stored = np.clip(np.rint(real / (scales * gains)), -limit, limit)
        stored = best_integers(problem, (stored.astype(np.float32),)).astype(np.float64)
    elif fit.gains and facts.scales.size == outputs > 1:
        gains = _gains(real, stored * scales, rows, means)
    scales = scales * gains
    narrow = _unblocked(stored, model.constant(weights.index).shape, depthwise).astype(np.int8)
    moved = bool((gains != 1).any())
    flat = scales.reshape(-1).astype(np.float32)
    changed[weights.index] = narrow, flat if moved else None
    if bias is not None and real_bias is not None:
        wanted = means[0] @ real - means[1] @ (stored * scales)
        values = plain.constant(real_bias.index).astype(np.float64) + wanted.reshape(-1)
        changed[bias.index] = _bias(bias, values, gains.reshape(-1) if moved else None)
    return changed


def _gains(
    real: np.ndarray,
    approximate: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray],
    means: Sequence[np.ndarray],
) -> np.ndarray:
    """By least squares, what each output of the quantized layer has to be multiplied by."""
    true = (rows[0] - means[0].astype(np.float32)) @ real.astype(np.float32)
    given = (rows[1] - means[1].astype(np.float32)) @ approximate.astype(np.float32)
    power = (given**2).sum(axis=1, keepdims=True, dtype=np.float64)
    crossed = (true * given).sum(axis=1, keepdims=True, dtype=np.float64)
    return np.clip(np.where(power > 0, crossed / np.maximum(power, 1e-30), 1.0), *_GAINS)


def _bias(
    bias: Tensor, values: np.ndarray, gains: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    if gains is None or bias.quantization is None:
        return stored_bias(bias, values), None
    scales = (bias.quantization.scales * gains).astype(np.float32)
    limits = np.iinfo(bias.dtype)
    whole = np.clip(np.rint(values / scales), limits.min, limits.max)
    return whole.astype(bias.dtype), scales


def _blocks(weights: np.ndarray, depthwise: bool) -> np.ndarray:
    """(blocks, K, outputs): one block, or for a depthwise layer one a channel."""
    if depthwise:
        return weights.reshape(-1, weights.shape[-1]).T[:, :, None]
    return weights.reshape(weights.shape[0], -1).T[None]


def _unblocked(blocks: np.ndarray, shape: tuple[int, ...], depthwise: bool) -> np.ndarray:
    return (blocks[:, :, 0] if depthwise else blocks[0]).T.reshape(shape)


def _block_rows(rows: np.ndarray, depthwise: bool) -> np.ndarray:
    """(blocks, n, K)."""
    return np.ascontiguousarray(rows.transpose(2, 0, 1)) if depthwise else rows[None]
