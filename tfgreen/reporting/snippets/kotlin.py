"""The Kotlin snippet: one object for Android, on direct buffers as the LiteRT interpreter takes."""

from __future__ import annotations

import math

from tfgreen.preprocess import STORED_RANGES, BoundaryTensor, Preprocess
from tfgreen.source_text import (
    camel_names,
    constant_name,
    float32_literal,
    one_line,
    shape_text,
)

_HEAD = """\
// Quantizes the inputs of model.tflite and dequantizes its outputs, as direct buffers for
// Interpreter.run and Interpreter.runForMultipleInputsOutputs.
package model.io

import java.nio.ByteBuffer
import java.nio.ByteOrder

object ModelIo {
"""
_TAIL = """
    private fun buffer(bytes: Int): ByteBuffer =
        ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())

    /** Divides in float32, rounds halves to even, clips. */
    private fun quantize(value: Float, scale: Float, zeroPoint: Int, low: Int, high: Int): Int =
        (Math.rint((value / scale).toDouble()) + zeroPoint)
            .coerceIn(low.toDouble(), high.toDouble())
            .toInt()
}
"""
_BYTES = {"int8": 1, "uint8": 1, "int16": 2}
_READ = {
    "int8": "buffer.get().toInt()",
    "uint8": "(buffer.get().toInt() and 0xFF)",
    "int16": "buffer.getShort().toInt()",
}


def render(preprocess: Preprocess) -> str:
    """The object's source text."""
    parts = []
    for tensor, name in zip(preprocess.inputs, camel_names(preprocess.inputs), strict=True):
        parts.append(_constants(tensor, f"INPUT_{constant_name(name)}") + _quantizer(tensor, name))
    for tensor, name in zip(preprocess.outputs, camel_names(preprocess.outputs), strict=True):
        constants = _constants(tensor, f"OUTPUT_{constant_name(name)}")
        parts.append(constants + _dequantizer(tensor, name))
    if preprocess.labels:
        parts.append(_labels(preprocess.labels))
    return _HEAD + "\n".join(parts) + _TAIL


def _constants(tensor: BoundaryTensor, name: str) -> str:
    text = (
        f"    /** {one_line(tensor.name)}: {shape_text(tensor)} */\n"
        f"    const val {name}_SIZE = {math.prod(tensor.shape)}\n"
    )
    if tensor.scale is not None:
        text += (
            f"    const val {name}_SCALE = {float32_literal(tensor.scale)}f\n"
            f"    const val {name}_ZERO_POINT = {tensor.zero_point}\n"
        )
    return text


def _quantizer(tensor: BoundaryTensor, name: str) -> str:
    if tensor.scale is None:
        return "    // Plain numbers: put them into the buffer as they are.\n"
    low, high = STORED_RANGES[tensor.dtype]
    constant = f"INPUT_{constant_name(name)}"
    put, cast = ("putShort", "toShort") if tensor.dtype == "int16" else ("put", "toByte")
    return f"""
    fun quantize{name}(values: FloatArray): ByteBuffer {{
        require(values.size == {constant}_SIZE) {{
            "expected ${constant}_SIZE values, received ${{values.size}}"
        }}
        val stored = buffer({constant}_SIZE * {_BYTES[tensor.dtype]})
        for (value in values) {{
            val step = quantize(value, {constant}_SCALE, {constant}_ZERO_POINT, {low}, {high})
            stored.{put}(step.{cast}())
        }}
        stored.rewind()
        return stored
    }}
"""


def _dequantizer(tensor: BoundaryTensor, name: str) -> str:
    if tensor.scale is None:
        return "    // Plain numbers: read them from the buffer as they are.\n"
    constant = f"OUTPUT_{constant_name(name)}"
    return f"""
    fun empty{name}(): ByteBuffer = buffer({constant}_SIZE * {_BYTES[tensor.dtype]})

    fun dequantize{name}(buffer: ByteBuffer): FloatArray {{
        buffer.rewind()
        return FloatArray({constant}_SIZE) {{
            ({_READ[tensor.dtype]} - {constant}_ZERO_POINT) * {constant}_SCALE
        }}
    }}
"""


def _labels(labels: tuple[str, ...]) -> str:
    rows = "".join(f'        "{_escaped(label)}",\n' for label in labels)
    return f"\n    /** Class names in output order. */\n    val LABELS = listOf(\n{rows}    )\n"


def _escaped(text: str) -> str:
    """The inside of a string literal: everything but plain ASCII as UTF-16 escapes."""
    units = text.encode("utf-16-be")
    codes = [int.from_bytes(units[k : k + 2], "big") for k in range(0, len(units), 2)]
    return "".join(
        chr(code) if 32 <= code < 127 and chr(code) not in '"\\$' else f"\\u{code:04x}"
        for code in codes
    )
