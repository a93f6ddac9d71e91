"""The examples of the page on distillation run as they are written, from top to bottom."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.compression.distillation_models import net
from tests.compression.models import CLASSES, compile_classifier, data

PAGE = Path(__file__).parents[2] / "docs" / "distillation.md"
BLOCKS = 6


@pytest.mark.slow
def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = data()
    names: dict[str, Any] = {"keras": keras, "x_train": x, "y_train": y}
    names |= {"x_validation": x, "y_validation": y, "model": student(), "teacher": teacher()}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == BLOCKS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Keras's own, when it writes variables to a file.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        for block in blocks:
            exec(compile(block, PAGE.name, "exec"), names)
    assert (tmp_path / "student.tflite").exists() and any((tmp_path / "teacher_cache").iterdir())
    loaded = keras.models.load_model(tmp_path / "student.keras")
    assert loaded.name == names["model"].name


def student() -> Any:
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(6, activation="relu", name="block_1"),
            keras.layers.Dense(CLASSES, name="head"),
        ]
    )
    compile_classifier(model, keras)
    return model


def teacher() -> Any:
    made = net(16)
    made.layers[0].name = "block_1"
    return made
