"""Small trained models for the tests: `python -m tests.trained_models NAME FOLDER` makes one.

Each is trained for a few seconds, so that its BatchNormalization statistics and its outputs are
those of a model and not of noise. Written are NAME.keras, NAME-calibration.npz (200 samples) and
NAME-evaluation.npz (100 other samples, with labels where the task has them).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
KEYWORDS = Path(__file__).parents[1] / "tfgreen" / "demonstration" / "keywords.npz"
CALIBRATION_SAMPLES = 200
EVALUATION_SAMPLES = 100


def keywords() -> tuple[np.ndarray, np.ndarray]:
    """MFCCs of spoken words (2080, 49, 10, 1) float32 and their classes, test clips last."""
    with np.load(KEYWORDS) as stored:
        clips = np.concatenate([stored["x_train"], stored["x_test"]]).astype(np.float32)
        return clips, np.concatenate([stored["y_train"], stored["y_test"]]).astype(np.int32)


def digits(size_pixels: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits as images in 0..1 with a little noise, and their classes."""
    from sklearn.datasets import load_digits

    source = load_digits()
    random = np.random.default_rng(0)
    images = np.kron(source.images / 16.0, np.ones((size_pixels // 8, size_pixels // 8)))
    images = images[..., None].repeat(channels, -1)
    images = images + random.normal(0, 0.05, images.shape)
    return images.astype(np.float32), source.target.astype(np.int32)


def _normalized(layers: Any, layer: Any, tensor: Any) -> Any:
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(layer(tensor)))


def keyword_model(keras: Any) -> tuple[Any, Arrays, Arrays]:
    """A DS-CNN: depthwise-separable blocks on MFCCs, 12 classes."""
    layers = keras.layers
    x, y = keywords()
    inputs = layers.Input(x.shape[1:], name="mfcc")
    h = layers.Conv2D(32, (10, 4), strides=2, padding="same", use_bias=False)(inputs)
    h = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(h))
    for _ in range(3):
        h = _normalized(layers, layers.DepthwiseConv2D(3, padding="same", use_bias=False), h)
        h = _normalized(layers, layers.Conv2D(32, 1, use_bias=False), h)
    h = layers.GlobalAveragePooling2D()(h)
    outputs = layers.Dense(12, activation="softmax", name="word")(h)
    return keras.Model(inputs, outputs), {"mfcc": x}, {"word": y}


def residual_model(keras: Any) -> tuple[Any, Arrays, Arrays]:
    """ResNet-8 of MLPerf Tiny: three residual additions, 10 classes, 32 x 32 x 3 images."""
    layers = keras.layers
    x, y = digits(32, 3)
    inputs = layers.Input(x.shape[1:], name="image")
    h = _normalized(layers, layers.Conv2D(16, 3, padding="same"), inputs)
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        shortcut = h
        z = _normalized(layers, layers.Conv2D(width, 3, strides=stride, padding="same"), h)
        z = layers.BatchNormalization(momentum=0.9)(layers.Conv2D(width, 3, padding="same")(z))
        if stride > 1:
            shortcut = layers.Conv2D(width, 1, strides=stride, padding="same")(shortcut)
        h = layers.ReLU()(layers.Add()([z, shortcut]))
    h = layers.GlobalAveragePooling2D()(h)
    outputs = layers.Dense(10, activation="softmax", name="digit")(h)
    return keras.Model(inputs, outputs), {"image": x}, {"digit": y}


def autoencoder_model(keras: Any) -> tuple[Any, Arrays, Arrays]:
    """A fully connected autoencoder with BatchNormalization; its target is its input."""
    layers = keras.layers
    x = keywords()[0].reshape(-1, 490) / 8.0
    inputs = layers.Input((490,), name="frames")
    h = inputs
    for width in (64, 64, 8, 64, 64):
        h = _normalized(layers, layers.Dense(width), h)
    return keras.Model(inputs, layers.Dense(490, name="rebuilt")(h)), {"frames": x}, {"rebuilt": x}


def conv1d_model(keras: Any) -> tuple[Any, Arrays, Arrays]:
    """Conv1D over time, max pooling, a softmax of 12 classes."""
    layers = keras.layers
    x, y = keywords()
    x = x[..., 0]
    inputs = layers.Input(x.shape[1:], name="sequence")
    h = layers.Conv1D(24, 5, padding="same", activation="relu")(inputs)
    h = layers.MaxPooling1D(2)(h)
    h = layers.Conv1D(24, 3, padding="same", activation="relu")(h)
    h = layers.GlobalAveragePooling1D()(h)
    outputs = layers.Dense(12, activation="softmax", name="word")(h)
    return keras.Model(inputs, outputs), {"sequence": x}, {"word": y}


def two_branch_model(keras: Any) -> tuple[Any, Arrays, Arrays]:
    """Two inputs of one shape but different meaning, two outputs: the order of names matters."""
    layers = keras.layers
    x, y = digits(8, 1)
    left, right = x[:, :, :4], x[:, :, 4:] * 3.0
    a, b = layers.Input((8, 4, 1), name="zeta"), layers.Input((8, 4, 1), name="alpha")
    h = layers.Conv2D(8, 3, padding="same", activation="relu")(a)
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(b)
    h = layers.Concatenate()([h, z])
    h = layers.Dense(32, activation="relu")(layers.Flatten()(h))
    digit = layers.Dense(10, activation="softmax", name="digit")(h)
    ink = layers.Dense(1, name="ink")(h)
    model = keras.Model({"zeta": a, "alpha": b}, {"digit": digit, "ink": ink})
    total = x.mean(axis=(1, 2, 3))[:, None]
    total = ((total - total.mean()) / total.std()).astype(np.float32)
    return model, {"zeta": left, "alpha": right}, {"digit": y, "ink": total}


def attention_model(keras: Any) -> tuple[Any, Arrays, Arrays]:
    """A small transformer: two blocks of attention and dense layers on the rows of digits."""
    layers = keras.layers
    x, y = digits(8, 1)
    inputs = layers.Input((8, 8), name="rows")
    h = layers.Dense(32)(inputs)
    for _ in range(2):
        z = layers.LayerNormalization()(h)
        h = layers.Add()([h, layers.MultiHeadAttention(4, 8)(z, z)])
        z = layers.Dense(64, activation="relu")(layers.LayerNormalization()(h))
        h = layers.Add()([h, layers.Dense(32)(z)])
    h = layers.Flatten()(layers.LayerNormalization()(h))
    outputs = layers.Dense(10, activation="softmax", name="digit")(h)
    return keras.Model(inputs, outputs), {"rows": x[..., 0]}, {"digit": y}


BUILDERS: dict[str, tuple[Callable[[Any], tuple[Any, Arrays, Arrays]], int]] = {
    "keyword": (keyword_model, 8),
    "residual": (residual_model, 4),
    "attention": (attention_model, 12),
    "autoencoder": (autoencoder_model, 4),
    "conv1d": (conv1d_model, 25),
    "two-branch": (two_branch_model, 8),
}


def _sole(values: dict[str, Any]) -> Any:
    """The value itself where there is one: a model of one input and output knows no names."""
    return next(iter(values.values())) if len(values) == 1 else values


def _loss(labels: np.ndarray) -> str:
    return "sparse_categorical_crossentropy" if labels.dtype == np.int32 else "mse"


def train(name: str, folder: Path) -> None:
    """Train the model `name` and write it with its calibration and evaluation samples."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    builder, epochs = BUILDERS[name]
    model, inputs, labels = builder(keras)
    count = len(next(iter(labels.values())))
    order = np.random.default_rng(0).permutation(count)
    held_back, used = order[:EVALUATION_SAMPLES], order[EVALUATION_SAMPLES:]
    model.compile("adam", _sole({output: _loss(values) for output, values in labels.items()}))
    x = _sole({key: values[used] for key, values in inputs.items()})
    y = _sole({key: values[used] for key, values in labels.items()})
    model.fit(x, y, epochs=epochs, batch_size=32, verbose=0)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = used[:CALIBRATION_SAMPLES]
    np.savez(
        folder / f"{name}-calibration.npz",
        **{key: values[chosen] for key, values in inputs.items()},
    )
    suffixed = {("y" if len(labels) == 1 else f"y_{key}"): v for key, v in labels.items()}
    np.savez(
        folder / f"{name}-evaluation.npz",
        **{key: values[held_back] for key, values in {**inputs, **suffixed}.items()},
    )
    model.save(folder / f"{name}.keras")  # last: the file that says that all is there


if __name__ == "__main__":
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    train(sys.argv[1], Path(sys.argv[2]))
