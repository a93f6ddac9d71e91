"""The example of the page on repair runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.tflite.chained_networks import RELU, images, separable
from tfgreen.tflite.quantizers import AiEdgeQuantizer

PAGE = Path(__file__).parents[3] / "docs" / "repair.md"


def test_the_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a file whose ranges are ten times too wide."""
    content = separable(RELU)
    model = tmp_path / "float.tflite"
    model.write_bytes(content)
    quantized = tmp_path / "int8.tflite"
    names = ("x", "conv", "depthwise", "pooled", "flat", "y")
    wide = dict.fromkeys(names, (-2000.0, 2000.0))
    quantized.write_bytes(AiEdgeQuantizer(content, "int8").quantize(wide))
    samples: np.ndarray = images(32)[:, 0]
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    known = {"quantized": quantized, "float_model": model, "calibration": samples}
    exec(example, known)
    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("ranges and scales kept Quantized anew")
    bundle = known["bundle"]
    assert bundle.facts["repair"]["gate"]  # type: ignore[attr-defined]
    assert any(note.startswith("Repair, ranges") for note in bundle.certificate.notes)  # type: ignore[attr-defined]
