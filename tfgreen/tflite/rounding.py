"""Weights rounded so that the layer's answer stays right, not each weight for itself.

Rounding every weight to the nearest step ignores that the errors add up in the layer's output.
Here each column of the weight matrix is rounded in turn and its error is pushed into the columns
that are still free, so that the output on the calibration data changes least (Frantar et al.
2022, "GPTQ", arXiv 2210.17323; computed as Babai's nearest plane, 1986, which gives the same from
one Cholesky factor and no inverse). The part of the error that is the same for every input goes
into the bias (Nagel et al. 2019, arXiv 1906.04721), so the inputs' covariance decides; where
there is no bias, their second moment does.

Scales and zero points stay as they are: only stored weights and biases change, each by few steps.
What training made of the weights stays too: zeros stay zeros, and where the weights of a channel
share a few values, equal ones stay equal, since it is their sameness that makes a file small.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfgreen.flatbuffer import Op, Tensor, TfliteModel, with_constants
from tfgreen.tflite.statistics import ActivationStatistics

_DAMPING = 0.01
_BLOCK = 128
_LIMIT = 127
_MOST_SHARED_VALUES, _LEAST_SHARING = 64, 2


def with_compensated_rounding(
    content: bytes, float_content: bytes, statistics: ActivationStatistics
) -> bytes:
    """The int8 file with weights and biases of convolutions and dense layers rounded again.

    Ops are matched with the float file's by the name of their output. An op without a match,
    without rows in `statistics`, or with other than int8 weights, stays as it is.
    """
    model, plain = TfliteModel.from_bytes(content), TfliteModel.from_bytes(float_content)
    float_ops = {plain.tensors[op.outputs[0]].name: op for op in plain.ops if op.outputs}
    changed: dict[int, np.ndarray] = {}
    for op in model.ops:
        twin = float_ops.get(model.tensors[op.outputs[0]].name) if op.outputs else None
        if twin is None or twin.index not in statistics.patches or op.name != twin.name:
            continue
        if _is_changeable(model, op):
            changed |= _round_op(model, op, plain, twin, statistics.patches[twin.index])
    return with_constants(model, changed)


def _is_changeable(model: TfliteModel, op: Op) -> bool:
    """Whether the op has int8 weights, and constants of its own: shared ones serve other inputs."""
    weights = model.tensors[op.inputs[1]]
    own = all(len(model.consumers(index)) == 1 for index in op.inputs[1:] if index >= 0)
    return own and weights.is_constant and weights.dtype == "int8"


def _round_op(
    model: TfliteModel, op: Op, plain: TfliteModel, twin: Op, patches: np.ndarray
) -> Mapping[int, np.ndarray]:
    stored = model.constant(op.inputs[1])
    real = plain.constant(twin.inputs[1]).astype(np.float64)
    facts = model.tensors[op.inputs[1]].quantization
    if facts is None or real.shape != stored.shape:
        return {}
    rows = patches.reshape(-1, *patches.shape[2:])
    depthwise = op.name == "DEPTHWISE_CONV_2D"
    bias, real_bias = constant_bias(model, op), constant_bias(plain, twin)
    mean = rows.mean(axis=0, dtype=np.float64)
    if bias is None or real_bias is None:
        mean = np.zeros_like(mean)
    centred = rows - mean.astype(np.float32)
    scales = facts.scales.astype(np.float64)
    if depthwise:
        matrix = real.reshape(-1, real.shape[-1]).T
        rounded = _round_channels(matrix, centred, scales)
        shift = (rounded * scales.reshape(-1, 1) - matrix) * mean.T
    else:
        matrix = real.reshape(real.shape[0], -1)
        if shares_values(matrix):
            steps = np.rint(matrix / scales.reshape(-1, 1))
            rounded = np.clip(steps, -_LIMIT, _LIMIT)
        else:
            rounded = _round_matrix(matrix, centred, scales)
        shift = (rounded * scales.reshape(-1, 1) - matrix) * mean
    changed = {
        op.inputs[1]: (rounded.T if depthwise else rounded).reshape(stored.shape).astype(np.int8)
    }
    if bias is not None and real_bias is not None:
        wanted = plain.constant(real_bias.index) - shift.sum(axis=1)
        changed[bias.index] = stored_bias(bias, wanted)
    return changed


def shares_values(matrix: np.ndarray) -> bool:
    """Whether clustering shows: at most 64 values a channel, each for two weights or more."""
    most = min(_MOST_SHARED_VALUES, matrix.shape[1] // _LEAST_SHARING)
    return all(len(np.unique(row)) <= most for row in matrix)


def constant_bias(model: TfliteModel, op: Op) -> Tensor | None:
    """The op's bias, if it has one that the file stores."""
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return None
    bias = model.tensors[op.inputs[2]]
    return bias if bias.is_constant else None


def stored_bias(bias: Tensor, wanted: np.ndarray) -> np.ndarray:
    """Real values as the bias tensor stores them."""
    if bias.dtype == "float32":
        return wanted.astype(np.float32)
    limits = np.iinfo(bias.dtype)
    scales = np.ones(1) if bias.quantization is None else bias.quantization.scales
    return np.clip(np.rint(wanted / scales), limits.min, limits.max).astype(bias.dtype)


def _round_matrix(matrix: np.ndarray, rows: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Integers (out, K) for real weights (out, K), given centred input rows (n, K)."""
    factor = _factor((rows.T @ rows).astype(np.float64))
    weights = np.ascontiguousarray((matrix / scales.reshape(-1, 1)).T)
    errors = np.zeros_like(weights)
    length = len(weights)
    for end in range(length, 0, -_BLOCK):
        start = max(end - _BLOCK, 0)
        pushed = factor[end:, start:end].T @ errors[end:]
        for column in range(end - 1, start - 1, -1):
            within = factor[column + 1 : end, column] @ errors[column + 1 : end]
            due = (pushed[column - start] + within) / factor[column, column]
            stored = np.clip(np.rint(weights[column] + due), -_LIMIT, _LIMIT)
            errors[column] = weights[column] - np.where(weights[column] == 0, 0, stored)
    return np.asarray(np.rint(weights - errors)).T


def _round_channels(matrix: np.ndarray, rows: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Integers (channels, k) for depthwise weights, given centred rows (n, k, channels)."""
    channels_first = np.ascontiguousarray(rows.transpose(2, 1, 0))
    moments = channels_first @ channels_first.transpose(0, 2, 1)
    factors = _factor(moments.astype(np.float64))
    weights = matrix / scales.reshape(-1, 1)
    errors = np.zeros_like(weights)
    for column in range(weights.shape[1] - 1, -1, -1):
        later = factors[:, column + 1 :, column] * errors[:, column + 1 :]
        due = later.sum(axis=1) / factors[:, column, column]
        stored = np.clip(np.rint(weights[:, column] + due), -_LIMIT, _LIMIT)
        errors[:, column] = weights[:, column] - np.where(weights[:, column] == 0, 0, stored)
    return np.asarray(np.rint(weights - errors))


def _factor(moments: np.ndarray) -> np.ndarray:
    """The lower Cholesky factor L of damped moments (..., K, K): L Lᵀ = moments + damping.

    The output's error is then |Lᵀ (weights - rounded)|, whose components can be made small one
    after the other, from the last.
    """
    power = np.trace(moments, axis1=-2, axis2=-1)[..., None, None] / moments.shape[-1]
    damping = np.where(power > 0, _DAMPING * power, 1.0)
    return np.linalg.cholesky(moments + np.eye(moments.shape[-1]) * damping)
