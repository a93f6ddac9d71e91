"""The C++ snippet: one header without dependencies, for phones and microcontrollers."""

from __future__ import annotations

import math

from tfgreen.preprocess import STORED_RANGES, BoundaryTensor, Preprocess
from tfgreen.source_text import camel_names, float32_literal, one_line, shape_text

_HEAD = """\
// Quantizes the inputs of model.tflite and dequantizes its outputs. C++11, no dependencies.
#ifndef TFGREEN_MODEL_IO_HPP_
#define TFGREEN_MODEL_IO_HPP_

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace model_io {

// Divides in float32, rounds halves to even (the default rounding mode), clips.
inline std::int32_t Quantize(float value, float scale, std::int32_t zero_point, std::int32_t low,
                             std::int32_t high) {
  const float stored = std::nearbyint(value / scale) + static_cast<float>(zero_point);
  if (!(stored > static_cast<float>(low))) return low;
  if (stored > static_cast<float>(high)) return high;
  return static_cast<std::int32_t>(stored);
}
"""
_TAIL = """
}  // namespace model_io

#endif  // TFGREEN_MODEL_IO_HPP_
"""


def render(preprocess: Preprocess) -> str:
    """The header's source text."""
    parts = [_HEAD]
    for tensor, name in zip(preprocess.inputs, camel_names(preprocess.inputs), strict=True):
        parts.append(_constants(tensor, f"Input{name}") + _quantizer(tensor, name))
    for tensor, name in zip(preprocess.outputs, camel_names(preprocess.outputs), strict=True):
        parts.append(_constants(tensor, f"Output{name}") + _dequantizer(tensor, name))
    if preprocess.labels:
        parts.append(_labels(preprocess.labels))
    return "".join(parts) + _TAIL


def _constants(tensor: BoundaryTensor, name: str) -> str:
    text = (
        f"\n// {name} ({one_line(tensor.name)}): {shape_text(tensor)}\n"
        f"constexpr std::size_t k{name}Size = {math.prod(tensor.shape)};\n"
    )
    if tensor.scale is not None:
        text += (
            f"constexpr float k{name}Scale = {float32_literal(tensor.scale)}f;\n"
            f"constexpr std::int32_t k{name}ZeroPoint = {tensor.zero_point};\n"
        )
    return text


def _quantizer(tensor: BoundaryTensor, name: str) -> str:
    if tensor.scale is None:
        return "// Plain numbers: copy them as they are.\n"
    low, high = STORED_RANGES[tensor.dtype]
    stored = f"std::{tensor.dtype}_t"
    return f"""\
inline void Quantize{name}(const float* values, {stored}* stored) {{
  for (std::size_t i = 0; i < kInput{name}Size; ++i) {{
    stored[i] = static_cast<{stored}>(
        Quantize(values[i], kInput{name}Scale, kInput{name}ZeroPoint, {low}, {high}));
  }}
}}
"""


def _dequantizer(tensor: BoundaryTensor, name: str) -> str:
    if tensor.scale is None:
        return "// Plain numbers: read them as they are.\n"
    return f"""\
inline void Dequantize{name}(const std::{tensor.dtype}_t* stored, float* values) {{
  for (std::size_t i = 0; i < kOutput{name}Size; ++i) {{
    values[i] = kOutput{name}Scale *
                static_cast<float>(static_cast<std::int32_t>(stored[i]) - kOutput{name}ZeroPoint);
  }}
}}
"""


def _labels(labels: tuple[str, ...]) -> str:
    rows = "".join(f'    "{_escaped(label)}",\n' for label in labels)
    comment = "// Class names in output order (UTF-8)."
    return f"\n{comment}\nconstexpr const char* kLabels[] = {{\n{rows}}};\n"


def _escaped(text: str) -> str:
    """The inside of a string literal: UTF-8 bytes beyond plain ASCII as octal escapes."""
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
