"""The examples of docs/quantization.md run as they are written, from top to bottom."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.compression.models import compile_classifier

PAGE = Path(__file__).parents[2] / "docs" / "quantization.md"
CLASSES, SAMPLES = 4, 400


@pytest.mark.slow
def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = samples()
    names: dict[str, Any] = {
        "model": trained_model(x, y),
        "x_train": x[:300],
        "y_train": y[:300],
        "x_test": x[300:],
        "y_test": y[300:],
    }
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 7
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are saving your model as an HDF5", UserWarning)
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
    assert (tmp_path / "trained.tflite").exists()
    assert names["bundle"].certificate.passed
    kernel = names["trained"].get_layer("head").kernels[0][0].numpy()
    assert np.mean(kernel == 0) == pytest.approx(0.8, abs=0.02)


def samples() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    x = random.uniform(-1, 1, (SAMPLES, 8, 8, 1)).astype("float32")
    quarters = x.reshape(SAMPLES, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(SAMPLES, 4)
    return x, quarters.argmax(axis=1)


def trained_model(x: np.ndarray, y: np.ndarray) -> Any:
    keras.utils.set_random_seed(7)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, padding="same", name="stem"),
            layers.BatchNormalization(momentum=0.8),
            layers.ReLU(),
            layers.AveragePooling2D(4),
            layers.Flatten(),
            layers.Dense(CLASSES, name="head"),
        ]
    )
    compile_classifier(model, keras)
    model.fit(x, y, epochs=20, verbose=0)
    return model
