"""The examples of the page on training language models run as they are written."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "language_models_training.md"
BLOCKS = 5


@pytest.mark.slow
def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"tokens": np.arange(2000) * 7 % 96}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == BLOCKS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for block in blocks:
            exec(compile(block, PAGE.name, "exec"), names)
    assert names["sliced"].parameters_after < names["sliced"].parameters_before
    assert names["merged"].count_params() == names["decoder"].count_params()
    kernels = [w.numpy() for w in names["sparse"].weights if len(w.shape) > 1]
    assert all(np.mean(kernel == 0) == pytest.approx(0.5, abs=0.01) for kernel in kernels)
