"""The dtypes at a file's boundary: cameras give uint8, scripts float32, the graph stays int8.

The quantizers give files whose input and output have the activations' own dtype. Another dtype
is one QUANTIZE or DEQUANTIZE op at the boundary, put there by an edit of the file, so that the
two engines need not agree on how they would have done it.
"""

from __future__ import annotations

from typing import Any

from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.packing import pack
from tfgreen.flatbuffer.schema import load_schema

_UINT8_OFFSET = 128
_DEQUANTIZE_VERSIONS = {"int8": 2, "int16": 3}  # the first ones that take these types
_QUANTIZE_VERSIONS = {"int8": 1, "int16": 3}
_NARROWER = 1 << 8  # steps of 16 bits in one of 8
_PROBABILITIES = frozenset({"SOFTMAX", "LOGISTIC"})


def with_boundary(content: bytes, input_type: str, output_type: str) -> bytes:
    """The same file with its quantized inputs and outputs given as the dtypes asked for.

    Inputs and outputs that are not quantized (tokens, indices) stay as they are, and so does a
    boundary that has the dtype already. int8 may become uint8 or float32; int16 float32, and
    an int16 output also int8. Raises UnsupportedModelError for any other step.
    """
    model = TfliteModel.from_bytes(content)
    edit = _Edit(model)
    for position, index in enumerate(model.inputs):
        if _needs_step(model, index, input_type):
            edit.convert_input(position, index, input_type)
    for position, index in enumerate(model.outputs):
        narrows = (model.tensors[index].dtype, output_type) == ("int16", "int8")
        if narrows or _needs_step(model, index, output_type):
            edit.convert_output(position, index, output_type)
    return edit.content() if edit.changed else content


def _needs_step(model: TfliteModel, index: int, dtype: str) -> bool:
    tensor = model.tensors[index]
    if tensor.quantization is None or tensor.dtype == dtype:
        return False
    if (tensor.dtype, dtype) in {("int8", "uint8"), ("int8", "float32"), ("int16", "float32")}:
        return True
    raise UnsupportedModelError(
        f"Tensor '{tensor.name}' at the boundary is {tensor.dtype}; there is no step from it to "
        f"{dtype}. Ask for another dtype with --io."
    )


class _Edit:
    """A copy of the file's objects with new tensors and ops at the boundary."""

    def __init__(self, model: TfliteModel) -> None:
        self._schema = load_schema()
        self._root = self._schema.ModelT.InitFromObj(
            self._schema.Model.GetRootAs(bytearray(model.content))
        )
        self._graph = self._root.subgraphs[0]
        self._model, self._source = model, model.content
        self._dtypes = [tensor.dtype for tensor in model.tensors]
        self.changed = False

    def convert_input(self, position: int, index: int, dtype: str) -> None:
        new = self._new_tensor(index, dtype)
        self._graph.inputs[position] = new
        self._graph.operators.insert(0, self._op("QUANTIZE", 1, new, index))
        self._move_signature("inputs", index, new)

    def convert_output(self, position: int, index: int, dtype: str) -> None:
        new = self._new_tensor(index, dtype)
        self._graph.outputs[position] = new
        if dtype == "float32":
            version = _DEQUANTIZE_VERSIONS[self._dtypes[index]]
            op = self._op("DEQUANTIZE", version, index, new)
        else:
            op = self._op("QUANTIZE", _QUANTIZE_VERSIONS[self._dtypes[index]], index, new)
        self._graph.operators.append(op)
        self._move_signature("outputs", index, new)

    def content(self) -> bytes:
        return pack(self._root, self._source)

    def _new_tensor(self, index: int, dtype: str) -> int:
        old = self._graph.tensors[index]
        new = self._schema.TensorT()
        new.shape, new.shapeSignature, new.hasRank = old.shape, old.shapeSignature, old.hasRank
        new.name = old.name + b"_" + dtype.encode()
        new.type = getattr(self._schema.TensorType, dtype.upper())
        if dtype == "uint8":
            new.quantization = self._schema.QuantizationParametersT()
            new.quantization.scale = old.quantization.scale
            new.quantization.zeroPoint = [int(old.quantization.zeroPoint[0]) + _UINT8_OFFSET]
        elif dtype == "int8":
            producer = self._model.producer(index)
            squashed = producer is not None and producer.name in _PROBABILITIES
            steps = self._model.tensors[index].quantization
            wide = 0.0 if steps is None else float(steps.scales[0]) * _NARROWER
            new.quantization = self._schema.QuantizationParametersT()
            new.quantization.scale = [1 / 256 if squashed else wide]
            new.quantization.zeroPoint = [-128 if squashed else 0]
        self._graph.tensors.append(new)
        self.changed = True
        return len(self._graph.tensors) - 1

    def _op(self, name: str, version: int, source: int, target: int) -> Any:
        op = self._schema.OperatorT()
        op.opcodeIndex = self._opcode(getattr(self._schema.BuiltinOperator, name), version)
        op.inputs, op.outputs = [source], [target]
        return op

    def _opcode(self, builtin: int, version: int) -> int:
        for index, code in enumerate(self._root.operatorCodes):
            found = max(code.builtinCode, code.deprecatedBuiltinCode), code.version
            if found == (builtin, version):
                return index
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = version
        self._root.operatorCodes.append(code)
        return len(self._root.operatorCodes) - 1

    def _move_signature(self, side: str, old: int, new: int) -> None:
        for signature in self._root.signatureDefs or []:
            for entry in getattr(signature, side) or []:
                if entry.tensorIndex == old:
                    entry.tensorIndex = new
