"""Hybrid ops: float input, integer weights. What kernel sets may differ by there, and why.

Such an op quantizes its input to 8 bits while it runs, and each kernel set does so in its own way
(symmetric or not, per tensor or per row). So the results differ by design, by what rounding the
input does to the output: with an input step s and weights w of one output channel, an error of
standard deviation s / sqrt(12) * |w| for each kernel set. 2 * s * |w| is five standard deviations
of the difference of two, and serves as the quantum: one more than that is no rounding.
"""

from __future__ import annotations

import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.runtimes import dequantize

_CHANNEL_AXIS = {"DEPTHWISE_CONV_2D": 3}
_LARGEST_CODE = 127
_SHARE_OF_RANGE = 0.05  # for ops whose weights cannot be looked at (blockwise, recurrent)


def is_hybrid(model: TfliteModel, op: Op) -> bool:
    """Whether an op computes float values from float input and integer weights."""
    if len(op.inputs) < 2 or min(op.inputs[:2]) < 0 or not op.outputs:
        return False
    source, weight = (model.tensors[index] for index in op.inputs[:2])
    result = model.tensors[op.outputs[0]]
    floats = source.dtype in FLOAT_DTYPES and result.dtype in FLOAT_DTYPES
    return floats and weight.is_constant and weight.quantization is not None


def hybrid_quantum(
    model: TfliteModel, op: Op, given: np.ndarray, results: np.ndarray
) -> float | None:
    """The quantum of a hybrid op's output, from its input values; None if that tells nothing.

    Args:
        given: Values of the op's first input; results: of its output.
    """
    largest = float(np.max(np.abs(given), initial=0.0))
    try:
        weights = _weights(model, op)
    except UnsupportedModelError:
        return _SHARE_OF_RANGE * float(np.ptp(results)) or None
    norms = np.sqrt((weights.astype(np.float64) ** 2).sum(axis=1))
    return 2 * largest / _LARGEST_CODE * float(norms.max(initial=0.0)) or None


def _weights(model: TfliteModel, op: Op) -> np.ndarray:
    """The real weights, (output channels, all others)."""
    index = op.inputs[1]
    stored = dequantize(model.constant(index), model.tensors[index].quantization)
    axis = _CHANNEL_AXIS.get(op.name, 0)
    if stored.ndim < 2 or op.name.endswith(("LSTM", "RNN")):
        raise UnsupportedModelError(f"{op.name} has no weights of one matrix.")
    return np.moveaxis(stored, axis, 0).reshape(stored.shape[axis], -1)
