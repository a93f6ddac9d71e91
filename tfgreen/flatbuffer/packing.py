"""From the schema's objects back to bytes, laid out as microcontrollers need them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tfgreen.errors import InvalidModelError
from tfgreen.flatbuffer import reading
from tfgreen.flatbuffer.schema import BUFFER_ALIGNMENT_BYTES, FILE_IDENTIFIER, load_schema

_SPARE_BYTES = 4096


def pack(root: Any, content: bytes) -> bytes:
    """The bytes of a model, every constant inside the flatbuffer and aligned to 16 bytes."""
    import flatbuffers

    root = copy.copy(root)
    root.buffers = [_AlignedBuffer(reading.stored_bytes(b, content)) for b in root.buffers]
    root.subgraphs = [_with_inline_options(graph, content) for graph in root.subgraphs]
    total_bytes = sum(buffer.data.size for buffer in root.buffers)
    builder = flatbuffers.Builder(total_bytes + _SPARE_BYTES)
    builder.Finish(root.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def _with_inline_options(graph: Any, content: bytes) -> Any:
    """A subgraph whose custom ops carry their options themselves."""
    if not any(op.largeCustomOptionsOffset for op in graph.operators or ()):
        return graph
    graph = copy.copy(graph)
    graph.operators = [copy.copy(op) for op in graph.operators]
    for op in graph.operators:
        start, end = op.largeCustomOptionsOffset, op.largeCustomOptionsSize
        end += start
        if end > len(content):
            raise InvalidModelError(
                f"The .tflite file is cut off: a custom op's options end at byte {end}, "
                f"the file at {len(content)}."
            )
        if start:
            op.customOptions = np.frombuffer(content[start:end], np.uint8)
            op.largeCustomOptionsOffset = op.largeCustomOptionsSize = 0
    return graph


class _AlignedBuffer:
    """A buffer that packs itself with the alignment that the schema demands.

    The generated `BufferT.Pack` aligns to 4 bytes, which faults on some microcontrollers.
    """

    def __init__(self, data: np.ndarray) -> None:
        self.data = data

    def Pack(self, builder: Any) -> int:  # noqa: N802 (the schema's name)
        schema = load_schema()
        data_offset = None
        if self.data.size:
            builder.StartVector(1, self.data.size, BUFFER_ALIGNMENT_BYTES)
            builder.head = builder.Head() - self.data.size
            builder.Bytes[builder.head : builder.head + self.data.size] = self.data.tobytes()
            data_offset = builder.EndVector()
        schema.BufferStart(builder)
        if data_offset is not None:
            schema.BufferAddData(builder, data_offset)
        return int(schema.BufferEnd(builder))
