"""Faults planted into int8 files by editing the flatbuffer: what a bad tool would have written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.flatbuffer.edits import editable_copy
from tfgreen.flatbuffer.packing import pack
from tfgreen.flatbuffer.schema import load_schema
from tfgreen.runtimes import dequantize

CHANNEL_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
SAME_SCALE = frozenset({"RESHAPE", "TRANSPOSE", "MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD"})
INT32 = np.iinfo(np.int32)
BIAS = 2


class Editor:
    """A file whose tensors can be given other scales and other stored values."""

    def __init__(self, content: bytes) -> None:
        self.model = TfliteModel.from_bytes(content)
        self.root, self.graph = editable_copy(self.model)

    def scale(self, index: int, scales: Sequence[float], zero_points: Sequence[int]) -> None:
        tensor = self.graph.tensors[index] = copy.copy(self.graph.tensors[index])
        tensor.quantization = copy.copy(tensor.quantization)
        tensor.quantization.scale = np.asarray(scales, np.float32)
        tensor.quantization.zeroPoint = np.asarray(zero_points, np.int64)

    def store(self, index: int, values: np.ndarray) -> None:
        tensor = self.graph.tensors[index] = copy.copy(self.graph.tensors[index])
        tensor.buffer = len(self.root.buffers)
        data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.root.buffers.append(load_schema().BufferT(data=data))

    def rescale_bias(self, op: Op, input_scale: float, weight_scales: np.ndarray) -> None:
        """Keep the bias's real values under other scales of input and weights."""
        if op.name not in CHANNEL_AXES or len(op.inputs) <= BIAS or op.inputs[BIAS] < 0:
            return
        index = op.inputs[BIAS]
        quantization = self.model.tensors[index].quantization
        assert quantization is not None
        real = self.model.constant(index) * quantization.scales.astype(np.float64)
        scales = np.float64(input_scale) * weight_scales
        codes = np.clip(np.round(real / scales), INT32.min, INT32.max)
        self.store(index, codes.astype(np.int32))
        self.scale(index, scales, [0] * len(scales))

    def content(self) -> bytes:
        return pack(self.root, self.model.content)


def scales_of(model: TfliteModel, index: int) -> np.ndarray:
    quantization = model.tensors[index].quantization
    assert quantization is not None
    return quantization.scales


def with_range(content: bytes, index: int, factor: float) -> bytes:
    """An activation stored in a range `factor` times as wide, as a wrong calibration would."""
    editor = Editor(content)
    model = editor.model
    group = _same_scale_group(model, index)
    for member in group:
        quantization = model.tensors[member].quantization
        assert quantization is not None
        editor.scale(member, quantization.scales * factor, quantization.zero_points)
    for op in model.ops:
        if op.inputs[0] in group and op.name in CHANNEL_AXES:
            scale = float(scales_of(model, op.inputs[0])[0]) * factor
            editor.rescale_bias(op, scale, scales_of(model, op.inputs[1]))
    return editor.content()


def _same_scale_group(model: TfliteModel, index: int) -> set[int]:
    group = {index}
    for _ in model.ops:
        for op in model.ops:
            ends = {op.inputs[0], op.outputs[0]}
            if op.name in SAME_SCALE and group & ends:
                group |= ends
    return group


def real_weights(content: bytes, op_index: int) -> np.ndarray:
    model = TfliteModel.from_bytes(content)
    index = model.ops[op_index].inputs[1]
    return dequantize(model.constant(index), model.tensors[index].quantization)


def reach(weights: np.ndarray, axis: int) -> np.ndarray:
    """Largest magnitude of each channel."""
    return np.abs(weights).max(axis=tuple(i for i in range(weights.ndim) if i != axis))


def with_weights(
    content: bytes,
    op_index: int,
    change: Callable[[np.ndarray, int], np.ndarray] = lambda weights, axis: weights,
    *,
    largest_code: float = 127,
    limit: int = 127,
    one_scale: bool = False,
) -> bytes:
    """An op with changed real weights, quantized so that the largest gets `largest_code`."""
    editor = Editor(content)
    op = editor.model.ops[op_index]
    axis = CHANNEL_AXES[op.name]
    weights = change(real_weights(content, op_index).astype(np.float64), axis)
    largest = reach(weights, axis)
    scales = np.where(largest > 0, largest, np.median(largest)) / largest_code
    scales = scales.max(keepdims=True) if one_scale else scales
    shape = [1] * weights.ndim
    shape[axis] = -1
    codes = np.clip(np.round(weights / scales.reshape(shape)), -limit, limit).astype(np.int8)
    editor.store(op.inputs[1], codes)
    editor.scale(op.inputs[1], scales, [0] * len(scales))
    editor.rescale_bias(op, float(scales_of(editor.model, op.inputs[0])[0]), scales)
    return editor.content()


def with_bias(content: bytes, op_index: int, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """An op whose real bias is changed; what does not fit 32 bits is clipped."""
    editor = Editor(content)
    index = editor.model.ops[op_index].inputs[BIAS]
    scales = scales_of(editor.model, index).astype(np.float64)
    real = change(editor.model.constant(index) * scales)
    codes = np.clip(np.round(real / scales), INT32.min, INT32.max).astype(np.int32)
    editor.store(index, codes)
    return editor.content()


def with_tiny_scale(content: bytes, op_index: int, channel: int) -> bytes:
    """One channel's weights next to zero under a scale of their own, its bias as large as ever."""
    editor = Editor(content)
    op = editor.model.ops[op_index]
    scales = scales_of(editor.model, op.inputs[1]).copy()
    scales[channel] = 1e-12
    editor.scale(op.inputs[1], scales, [0] * len(scales))
    editor.rescale_bias(op, float(scales_of(editor.model, op.inputs[0])[0]), scales)
    return editor.content()


def with_renamed_tensors(content: bytes) -> bytes:
    """The file as another converter would have named it."""
    editor = Editor(content)
    for index, tensor in enumerate(editor.graph.tensors):
        editor.graph.tensors[index] = copy.copy(tensor)
        editor.graph.tensors[index].name = b"t%d" % index
    return editor.content()


def _new_tensor(editor: Editor, like: int, name: str, dtype: int | None = None) -> int:
    tensor = copy.copy(editor.graph.tensors[like])
    tensor.name, tensor.buffer = name.encode(), 0
    if dtype is not None:
        tensor.type, tensor.quantization = dtype, None
    editor.graph.tensors.append(tensor)
    return len(editor.graph.tensors) - 1


def _new_op(editor: Editor, builtin: str, source: int, target: int) -> object:
    schema = load_schema()
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, builtin)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = 2 if builtin == "DEQUANTIZE" else 1
    editor.root.operatorCodes = [*editor.root.operatorCodes, code]
    op = schema.OperatorT()
    op.opcodeIndex = len(editor.root.operatorCodes) - 1
    op.inputs, op.outputs = [source], [target]
    return op


def _reroute(editor: Editor, old: int, new: int) -> None:
    """Let all readers of a tensor read another."""
    for position, op in enumerate(editor.graph.operators):
        if old in [int(i) for i in op.inputs]:
            changed = copy.copy(op)
            changed.inputs = [new if int(i) == old else int(i) for i in op.inputs]
            editor.graph.operators[position] = changed


def with_requantizations(content: bytes, op_index: int, factors: Sequence[float]) -> bytes:
    """QUANTIZE ops one behind the other after an op, each to a scale of its own."""
    editor = Editor(content)
    first = source = editor.model.ops[op_index].outputs[0]
    base = float(scales_of(editor.model, source)[0])
    quantization = editor.model.tensors[source].quantization
    assert quantization is not None
    added = []
    for number, factor in enumerate(factors):
        target = _new_tensor(editor, first, f"again{number}")
        editor.scale(target, [base * factor], quantization.zero_points)
        added.append(_new_op(editor, "QUANTIZE", source, target))
        source = target
    _reroute(editor, first, source)
    for op in editor.model.consumers(first):
        editor.rescale_bias(op, base * factors[-1], scales_of(editor.model, op.inputs[1]))
    editor.graph.operators[op_index + 1 : op_index + 1] = added
    return editor.content()


def with_island(content: bytes, op_index: int) -> bytes:
    """A float op between DEQUANTIZE and QUANTIZE behind an op whose values are not negative."""
    schema = load_schema()
    editor = Editor(content)
    first = editor.model.ops[op_index].outputs[0]
    floats = [
        _new_tensor(editor, first, name, schema.TensorType.FLOAT32)
        for name in ("island0", "island1")
    ]
    back = _new_tensor(editor, first, "back")
    added = [
        _new_op(editor, "DEQUANTIZE", first, floats[0]),
        _new_op(editor, "RELU", floats[0], floats[1]),
        _new_op(editor, "QUANTIZE", floats[1], back),
    ]
    _reroute(editor, first, back)
    editor.graph.operators[op_index + 1 : op_index + 1] = added
    return editor.content()
