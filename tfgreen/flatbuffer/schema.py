"""The TFLite schema: imported when first needed, and its two tables of names."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any

from tfgreen.errors import MissingDependencyError

FILE_IDENTIFIER = b"TFL3"

BUFFER_ALIGNMENT_BYTES = 16
"""`force_align` of Buffer.data in the schema; Python's own packer ignores it."""


@functools.cache
def load_schema() -> Any:
    """The module `ai_edge_litert.schema_py_generated` (0.1 s the first time).

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise MissingDependencyError(
            "Reading a .tflite file needs the package ai-edge-litert, which is not installed. "
            "Install it: pip install ai-edge-litert"
        ) from error
    return schema_py_generated


@functools.cache
def op_names() -> Mapping[int, str]:
    """Builtin operator code to name, as the schema spells it.

    >>> op_names()[3]
    'CONV_2D'
    """
    return types.MappingProxyType(_enum_names(load_schema().BuiltinOperator))


@functools.cache
def dtype_names() -> Mapping[int, str]:
    """Tensor type code to name, in lower case.

    >>> dtype_names()[9], dtype_names()[17]
    ('int8', 'int4')
    """
    names = _enum_names(load_schema().TensorType)
    return types.MappingProxyType({code: name.lower() for code, name in names.items()})


def _enum_names(enum: type) -> dict[int, str]:
    return {code: name for name, code in vars(enum).items() if isinstance(code, int)}
