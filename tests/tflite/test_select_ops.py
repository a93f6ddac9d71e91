"""Ops that only TensorFlow's kernels could run are named, and refused unless asked for."""

from __future__ import annotations

import pytest

from tests import tiny_models
from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.tflite.select_ops import missed_ops, refuse_select_ops, select_ops


def test_select_ops_of_a_file() -> None:
    assert select_ops(TfliteModel.from_bytes(tiny_models.custom_op("FlexErf"))) == ("Erf",)
    assert select_ops(TfliteModel.from_bytes(tiny_models.custom_op("Mystery"))) == ()


def test_ops_in_the_converter_s_message() -> None:
    message = (
        "error: 'tf.MatrixInverse' op is neither a custom op nor a flex op\n"
        "error: 'tf.Betainc' op is neither a custom op nor a flex op\n"
        "error: 'tf.MatrixInverse' op is neither a custom op nor a flex op"
    )
    assert missed_ops(message) == ("Betainc", "MatrixInverse")
    assert missed_ops("something else") == ()


def test_refusing_names_them_and_the_way_out() -> None:
    refuse_select_ops((), "m.keras")
    with pytest.raises(UnsupportedModelError, match="m.keras .*Betainc, Erf.*--allow-select-ops"):
        refuse_select_ops(("Betainc", "Erf"), "m.keras")
