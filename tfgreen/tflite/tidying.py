"""What a finished file carries and nobody reads: names of constants, and one scale many times over.

Together it is a tenth of a small file: the converter names a constant after every op that was
folded into it, and writes the step of a whole kernel once for each channel.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.edits import editable_copy
from tfgreen.flatbuffer.packing import pack

_ONE_SCALE_SUFFICES = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})


def tidied(content: bytes) -> bytes:
    """The file without names of constants, and with one scale where all channels have the same.

    Names of activations, of inputs and of outputs stay: they tell which tensor of the float file
    a tensor is. What the file computes does not change.
    """
    model = TfliteModel.from_bytes(content)
    root, graph = editable_copy(model)
    boundary = {*model.inputs, *model.outputs}
    collapsible = _kernels_and_biases(model)
    for tensor in model.tensors:
        if not tensor.is_constant or tensor.index in boundary:
            continue
        changed = graph.tensors[tensor.index] = copy.copy(graph.tensors[tensor.index])
        changed.name = None
        if tensor.index in collapsible:
            changed.quantization = _with_one_scale(changed.quantization)
    return pack(root, model.content)


def _kernels_and_biases(model: TfliteModel) -> set[int]:
    """Constants that only convolutions read, as the weights or the bias."""
    read: dict[int, bool] = {}
    for op in model.ops:
        for place, index in enumerate(op.inputs):
            fits = op.name in _ONE_SCALE_SUFFICES and place in (1, 2)
            read[index] = read.get(index, True) and fits
    return {index for index, fits in read.items() if fits and index >= 0}


def _with_one_scale(quantization: Any) -> Any:
    scales = None if quantization is None else quantization.scale
    if scales is None or len(scales) < 2 or np.any(np.asarray(scales) != scales[0]):
        return quantization
    if np.any(np.asarray(quantization.zeroPoint)):
        return quantization
    single = copy.copy(quantization)
    single.scale, single.zeroPoint = scales[:1], quantization.zeroPoint[:1]
    return single
