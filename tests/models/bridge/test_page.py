"""The examples of the page run as they are written, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfgreen.models.bridge import registration
from tfgreen.models.bridge.comparison import TOLERANCE, output_difference

PAGE = Path(__file__).parents[3] / "docs" / "bridge.md"


def test_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "_registered", {})
    random = np.random.default_rng(0)
    names: dict[str, Any] = {
        "x_train": random.normal(size=(32, 8)).astype("float32"),
        "y_train": random.integers(0, 3, 32),
    }
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    assert [type(layer).__name__ for layer in names["twin"].layers[1:]] == ["ScaledTwin", "Dense"]
    assert output_difference(names["trained"], names["twin"]) <= TOLERANCE
