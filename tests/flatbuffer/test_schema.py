"""The tables of names."""

from __future__ import annotations

import sys

import pytest

from tfgreen.errors import MissingDependencyError
from tfgreen.flatbuffer import dtype_names, op_names
from tfgreen.flatbuffer.schema import load_schema


def test_names_of_ops_and_types() -> None:
    assert (op_names()[0], op_names()[4], op_names()[25]) == ("ADD", "DEPTHWISE_CONV_2D", "SOFTMAX")
    assert (dtype_names()[0], dtype_names()[7], dtype_names()[17]) == ("float32", "int16", "int4")


def test_a_missing_package_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(MissingDependencyError, match="pip install ai-edge-litert"):
        load_schema.__wrapped__()
