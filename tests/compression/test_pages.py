"""The examples of the pages on compression run as they are written, from top to bottom."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.compression.models import CLASSES, compile_classifier, data, fingerprint

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = {"pruning.md": 7, "clustering.md": 3, "tfmot.md": 4}
# tf_keras says it of every .h5 file, and those of quantized models have no other format.
WARNINGS = {"tfmot.md": "You are saving your model as an HDF5 file"}


@pytest.mark.slow
@pytest.mark.parametrize("page", BLOCKS)
def test_examples(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "pruning.md":
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    x, y = data()
    model = model_with_the_layers_of_the_pages(x.shape[1])
    before = fingerprint(model)
    names: dict[str, Any] = {"model": model, "x_train": x, "y_train": y}
    names |= {"x_validation": x, "y_validation": y}
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(blocks) == BLOCKS[page]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if page in WARNINGS:
            warnings.filterwarnings("ignore", WARNINGS[page])
        for block in blocks:
            exec(compile(block, page, "exec"), names)
    assert fingerprint(model) == before
    assert (tmp_path / "sensitivity.png").exists() == (page == "pruning.md")


def model_with_the_layers_of_the_pages(features: int) -> Any:
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
