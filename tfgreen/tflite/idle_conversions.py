"""Takes out QUANTIZE ops that change nothing.

AI Edge Quantizer gives the output of a table's lookup the steps of the table and rounds once more
to those that it was told: where these are the same, the op only costs time.
"""

from __future__ import annotations

import numpy as np

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.tflite.fake_quantization import rebuilt


def without_idle_conversions(content: bytes) -> bytes:
    """The same file, its readers served with what an idle QUANTIZE was given."""
    model = TfliteModel.from_bytes(content)
    sources: dict[int, int] = {}
    for op in model.ops:
        if _is_idle(model, op):
            source = op.inputs[0]
            sources[op.outputs[0]] = sources.get(source, source)
    return rebuilt(model, {}, sources) if sources else content


def _is_idle(model: TfliteModel, op: Op) -> bool:
    if op.name != "QUANTIZE" or op.outputs[0] in model.outputs:
        return False
    before, after = (model.tensors[index] for index in (op.inputs[0], op.outputs[0]))
    if before.dtype != after.dtype or before.quantization is None or after.quantization is None:
        return False
    return np.array_equal(before.quantization.scales, after.quantization.scales) and np.array_equal(
        before.quantization.zero_points, after.quantization.zero_points
    )
