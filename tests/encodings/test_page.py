"""The example of the page on encodings runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.encodings.networks import inputs, layer

PAGE = Path(__file__).parents[2] / "docs" / "encodings.md"


def test_the_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pruned.tflite"
    path.write_bytes(layer("conv", "float32", zeros=0.9))
    samples: np.ndarray = inputs("conv", "float32", 16)[0][:, 0]
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(example, {"pruned": path, "calibration": samples})
    assert "sparse" in capsys.readouterr().out.splitlines()[-1]
