"""What a file may be judged by: a float model, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_models import float_classifier, int8_classifier
from tfgreen.errors import UnsupportedModelError
from tfgreen.pipeline import float_file
from tfgreen.tflite import ConversionOptions


def test_a_float_file_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "float.tflite").write_bytes(float_classifier())
    assert (
        float_file(tmp_path / "float.tflite", tmp_path, ConversionOptions()) == float_classifier()
    )


def test_a_quantized_file_is_no_measure(tmp_path: Path) -> None:
    (tmp_path / "int8.tflite").write_bytes(int8_classifier())
    with pytest.raises(UnsupportedModelError, match=r"'.*int8.tflite' is quantized \(tensor"):
        float_file(tmp_path / "int8.tflite", tmp_path, ConversionOptions())
