"""The inputs and outputs of a file as C++ knows them: types, constants, and lines of code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.preprocess import BoundaryTensor
from tfgreen.source_text import camel_names, float32_literal, one_line, shape_text

_TYPES = {
    "int8": "std::int8_t",
    "uint8": "std::uint8_t",
    "int16": "std::int16_t",
    "int32": "std::int32_t",
    "int64": "std::int64_t",
    "float32": "float",
    "bool": "bool",
}


@dataclass(frozen=True)
class CTensor:
    """One input or output.

    Attributes:
        index: Its place among the inputs, or among the outputs.
        role: "Input" or "Output".
        name: In CamelCase, no other of the same role has it.
        tensor: Name, shape, dtype, scale and zero point.
    """

    index: int
    role: str
    name: str
    tensor: BoundaryTensor

    @property
    def c_type(self) -> str:
        """The type of one stored value."""
        return _TYPES[self.tensor.dtype]

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.tensor.shape)

    @property
    def size_bytes(self) -> int:
        """What all values take."""
        return self.size * np.dtype(self.tensor.dtype).itemsize

    @property
    def constants(self) -> str:
        """Size, scale and zero point for the header."""
        name = one_line(self.tensor.name).replace("?", "_")
        text = (
            f"// {self.role} {self.index}, {self.name} ({name}): {shape_text(self.tensor)}\n"
            f"constexpr std::size_t k{self.role}{self.name}Size = {self.size};\n"
        )
        if self.tensor.scale is not None:
            scale = float32_literal(self.tensor.scale)
            values = f"{{{scale}f, {self.tensor.zero_point}}}"
            text += f"constexpr Quantization k{self.role}{self.name}Quantization = {values};\n"
        return text

    @property
    def store(self) -> str:
        """The line that fills this input from floats."""
        given = f"inputs[{self.index}], {self._known}"
        return f"  Store({given},\n        static_cast<{self.c_type}*>(InputData({self.index})));"

    @property
    def load(self) -> str:
        """The line that makes floats of this output."""
        stored = f"static_cast<const {self.c_type}*>(OutputData({self.index}))"
        return f"  Load({stored},\n       {self._known}, outputs[{self.index}]);"

    @property
    def golden_array(self) -> str:
        """The declaration of this tensor's golden values, without a semicolon."""
        name = f"kGolden{self.role}{self.name}"
        return f"extern const {self.c_type} {name}[kGoldenVectors * {self.size}]"

    @property
    def feed(self) -> str:
        """The line that copies one golden input."""
        source = f"kGoldenInput{self.name} + vector * kInput{self.name}Size"
        return (
            f"  std::memcpy(InputData({self.index}), {source},\n              {self.size_bytes});"
        )

    def step_case(self, quantum: float) -> str:
        """The lines that compare this output to a golden one; `quantum` matters for floats."""
        arguments = [
            f"static_cast<const {self.c_type}*>(OutputData({self.index}))",
            f"kGoldenOutput{self.name} + vector * kOutput{self.name}Size",
            f"kOutput{self.name}Size",
        ]
        if self.c_type == "float":
            arguments.append(f"{float32_literal(quantum)}f")
        separator = ",\n                       "
        return f"    case {self.index}:\n      return MostSteps({separator.join(arguments)});"

    @property
    def _known(self) -> str:
        size = f"k{self.role}{self.name}Size"
        if self.tensor.scale is None:
            return size
        return f"{size}, k{self.role}{self.name}Quantization"


def c_tensors(role: str, tensors: Sequence[BoundaryTensor]) -> tuple[CTensor, ...]:
    """All inputs, or all outputs.

    Raises:
        UnsupportedModelError: a dtype that the sources cannot pass on.
    """
    for tensor in tensors:
        if tensor.dtype not in _TYPES:
            raise UnsupportedModelError(
                f"{role} '{one_line(tensor.name)}' is of type {tensor.dtype}; sources for "
                f"microcontrollers pass on {', '.join(_TYPES)}. Export with another io."
            )
    names = camel_names(tensors)
    return tuple(
        CTensor(index, role, name, tensor)
        for index, (name, tensor) in enumerate(zip(names, tensors, strict=True))
    )
