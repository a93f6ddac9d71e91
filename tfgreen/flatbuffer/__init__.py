"""What a .tflite file holds, read without running it, and the small edits that tfgreen needs.

>>> from tfgreen.flatbuffer import TfliteModel
>>> TfliteModel.from_bytes(b"not a model")
Traceback (most recent call last):
    ...
tfgreen.errors.InvalidModelError: The model has no TFL3 file identifier: it is not a .tflite file.
"""

from tfgreen.flatbuffer.edits import (
    cut_op,
    inline_external_buffers,
    with_constants,
    with_outputs,
    with_ranges,
)
from tfgreen.flatbuffer.facts import Op, Quantization, Tensor
from tfgreen.flatbuffer.model import TfliteModel
from tfgreen.flatbuffer.queries import logits, multiply_accumulates, op_names_used
from tfgreen.flatbuffer.schema import dtype_names, op_names

__all__ = [
    "Op",
    "Quantization",
    "Tensor",
    "TfliteModel",
    "cut_op",
    "dtype_names",
    "inline_external_buffers",
    "logits",
    "multiply_accumulates",
    "op_names",
    "op_names_used",
    "with_constants",
    "with_outputs",
    "with_ranges",
]
