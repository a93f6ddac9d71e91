"""The examples of docs/pruning.md run as they are written, from top to bottom."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.compression.models import CLASSES, compile_classifier, data

PAGE = Path(__file__).parents[2] / "docs" / "pruning.md"


@pytest.mark.slow
def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    x, y = data()
    names: dict[str, Any] = {
        "model": model_with_the_layers_of_the_page(x.shape[1]),
        "x_train": x,
        "y_train": y,
        "x_validation": x,
        "y_validation": y,
    }
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 7
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
    assert names["sparse"].layers[-1].name == "head"
    assert (tmp_path / "sensitivity.png").exists()


def model_with_the_layers_of_the_page(features: int) -> Any:
    keras.utils.set_random_seed(7)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((features,)),
            layers.Reshape((2, 2, 2)),
            layers.Conv2D(4, 2, name="stem"),
            layers.Flatten(),
            layers.Dense(12, activation="relu", name="block_1"),
            layers.Dense(CLASSES, name="head"),
        ]
    )
    compile_classifier(model, keras)
    return model
