"""The eight networks of the export benchmarks, trained briefly and kept in benchmarks/.cache.

    python -m benchmarks.models            # train what is missing
    python -m benchmarks.models resnet8    # train this one anew

Each is trained on the spoken keywords of the demonstration or on scikit-learn's digits, a few
seconds to a minute on two cores: long enough that BatchNormalization has settled and the classes
are told apart. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.demonstration.keywords import load_keywords

CACHE = Path(__file__).parent / ".cache"
CALIBRATION_SAMPLES = 200
HELD_BACK_SAMPLES = 400
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Task:
    """Inputs and labels by name, for training and, after them, held back."""

    inputs: Arrays
    labels: Arrays


@dataclass(frozen=True)
class Network:
    """How one network is made: its data, its layers, and how long it is trained."""

    title: str
    task: Callable[[], Task]
    build: Callable[[Any], Any]
    epochs: int
    train_samples: int | None = None
    peak_learning_rate: float = 2e-3
    batch_size: int = 32


@dataclass(frozen=True)
class CachedModel:
    """A trained network on disk; the .npz files hold inputs by name and labels."""

    name: str
    title: str
    path: Path
    calibration: Path
    held_back: Path


def keywords() -> Task:
    """MFCCs of spoken words."""
    data = load_keywords()
    clips = np.concatenate([data.x_train, data.x_test])
    return Task({"mfcc": clips}, {"word": np.concatenate([data.y_train, data.y_test])})


def keyword_sequences() -> Task:
    """The same as sequences of 49 frames with 10 channels."""
    task = keywords()
    return Task({"sequence": task.inputs["mfcc"][..., 0]}, task.labels)


def keyword_frames() -> Task:
    """The same as flat vectors, to be rebuilt by an autoencoder."""
    vectors = keywords().inputs["mfcc"].reshape(-1, 490) / 8.0
    return Task({"frames": vectors}, {"rebuilt": vectors})


def digits(size_pixels: int, channels: int = 3, white: float = 1.0) -> Task:
    """scikit-learn's 8 x 8 digits, scaled up bilinearly, coloured and made a little noisy.

    `white` is the value of full ink: 1, or 255 for networks that scale their input themselves.
    """
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    source = load_digits()
    random = np.random.default_rng(0)
    images = zoom(source.images / 16.0, (1, size_pixels / 8, size_pixels / 8), order=1)
    tints = random.uniform(0.5, 1.0, (len(images), 1, 1, channels))
    images = images[..., None] * tints + random.normal(0, 0.05, (*images.shape, channels))
    images = (images * white).astype(np.float32)
    return Task({"image": images}, {"digit": source.target.astype(np.int32)})


def halved_digits() -> Task:
    """The upper and the lower half of a digit: which digit, and how much ink."""
    task = digits(32, 1)
    image = task.inputs["image"]
    ink = image.mean(axis=(1, 2, 3))[:, None]
    ink = ((ink - ink.mean()) / ink.std()).astype(np.float32)
    halves = {"upper": image[:, :16], "lower": image[:, 16:] * 255.0}
    return Task(halves, {"digit": task.labels["digit"], "ink": ink})


def _activated(keras: Any, layer: Any, tensor: Any) -> Any:
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(layer(tensor)))


def keyword_ds_cnn(keras: Any) -> Any:
    """The demonstration's network."""
    from tfgreen.demonstration.keyword_spotter import build_keyword_spotter

    return build_keyword_spotter()


def resnet8(keras: Any) -> Any:
    """MLPerf Tiny's image classifier: three residual additions."""
    layers = keras.layers
    inputs = layers.Input((32, 32, 3), name="image")
    features = _activated(keras, layers.Conv2D(16, 3, padding="same"), inputs)
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        first = layers.Conv2D(width, 3, strides=stride, padding="same")
        branch = _activated(keras, first, features)
        branch = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(branch))
        if stride > 1:
            features = layers.Conv2D(width, 1, strides=stride, padding="same")(features)
        features = layers.ReLU()(layers.Add()([branch, features]))
    features = layers.GlobalAveragePooling2D()(features)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="digit")(features))


def autoencoder(keras: Any) -> Any:
    """MLPerf Tiny's fully connected autoencoder, for 490 values."""
    layers = keras.layers
    inputs = features = layers.Input((490,), name="frames")
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        features = _activated(keras, layers.Dense(width), features)
    return keras.Model(inputs, layers.Dense(490, name="rebuilt")(features))


def conv1d(keras: Any) -> Any:
    """Three convolutions over time."""
    layers = keras.layers
    inputs = features = layers.Input((49, 10), name="sequence")
    for width in (32, 48, 64):
        convolution = layers.Conv1D(width, 5, padding="same")
        features = layers.MaxPooling1D(2)(_activated(keras, convolution, features))
    features = layers.GlobalAveragePooling1D()(features)
    return keras.Model(inputs, layers.Dense(12, activation="softmax", name="word")(features))


def two_branches(keras: Any) -> Any:
    """Two inputs of unlike scale, two outputs: a class and a quantity."""
    layers = keras.layers
    upper = layers.Input((16, 32, 1), name="upper")
    lower = layers.Input((16, 32, 1), name="lower")
    ends = []
    for inputs, scale in ((upper, None), (lower, layers.Rescaling(1 / 255.0))):
        features = inputs if scale is None else scale(inputs)
        for width in (16, 32):
            convolution = layers.Conv2D(width, 3, strides=2, padding="same")
            features = _activated(keras, convolution, features)
        ends.append(features)
    joined = layers.Flatten()(layers.Concatenate()(ends))
    joined = layers.Dense(64, activation="relu")(joined)
    digit = layers.Dense(10, activation="softmax", name="digit")(joined)
    ink = layers.Dense(1, name="ink")(joined)
    return keras.Model({"upper": upper, "lower": lower}, {"digit": digit, "ink": ink})


def _application(name: str, **options: Any) -> Callable[[Any], Any]:
    def build(keras: Any) -> Any:
        inputs = keras.layers.Input((96, 96, 3), name="image")
        network = getattr(keras.applications, name)
        return network(input_tensor=inputs, weights=None, classes=10, **options)

    return build


NETWORKS: dict[str, Network] = {
    "ds-cnn": Network("DS-CNN (keywords)", keywords, keyword_ds_cnn, 12),
    "resnet8": Network("ResNet-8", lambda: digits(32), resnet8, 8),
    "mobilenetv1": Network(
        "MobileNetV1 0.25, 96 px",
        lambda: digits(96),
        _application("MobileNet", alpha=0.25),
        15,
        peak_learning_rate=5e-3,
        batch_size=16,
    ),
    "autoencoder": Network("Autoencoder (FC)", keyword_frames, autoencoder, 20),
    "mobilenetv2": Network(
        "MobileNetV2, 96 px",
        lambda: digits(96),
        _application("MobileNetV2"),
        6,
        1000,
        batch_size=16,
    ),
    "efficientnetb0": Network(
        "EfficientNetB0, 96 px",
        lambda: digits(96, white=255.0),
        _application("EfficientNetB0"),
        14,
        batch_size=16,
    ),
    "conv1d": Network("Conv1D", keyword_sequences, conv1d, 15),
    "two-branches": Network("Two inputs, two outputs", halved_digits, two_branches, 30),
}


def cached_model(name: str) -> CachedModel:
    """The trained network of a name in NETWORKS; trained in a child process when missing."""
    path = CACHE / f"{name}.keras"
    if not path.exists():
        subprocess.run([sys.executable, "-m", "benchmarks.models", name], check=True)
    return CachedModel(
        name,
        NETWORKS[name].title,
        path,
        CACHE / f"{name}-calibration.npz",
        CACHE / f"{name}-held-back.npz",
    )


def _sole(values: Mapping[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else dict(values)


def _rows(arrays: Arrays, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: array[rows] for name, array in arrays.items()}


def _loss(labels: np.ndarray) -> str:
    return "mse" if labels.dtype.kind == "f" else "sparse_categorical_crossentropy"


def _metric(labels: np.ndarray) -> str:
    return "mae" if labels.dtype.kind == "f" else "accuracy"


def train(name: str) -> None:
    """Train one network and write it with its calibration and held-back samples."""
    import keras

    keras.utils.set_random_seed(0)
    network = NETWORKS[name]
    task = network.task()
    count = len(_sole(task.inputs)) if len(task.inputs) == 1 else len(task.inputs["upper"])
    order = np.random.default_rng(0).permutation(count)
    held_back, used = order[:HELD_BACK_SAMPLES], order[HELD_BACK_SAMPLES:]
    model = network.build(keras)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # the statistics settle within a short training
    rows = used[: network.train_samples]
    steps = network.epochs * -(-len(rows) // network.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(network.peak_learning_rate, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        _sole({output: _loss(labels) for output, labels in task.labels.items()}),
        metrics=_sole({output: [_metric(labels)] for output, labels in task.labels.items()}),
    )
    began = time.perf_counter()
    model.fit(
        _sole(_rows(task.inputs, rows)),
        _sole(_rows(task.labels, rows)),
        batch_size=network.batch_size,
        epochs=network.epochs,
        verbose=0,
    )
    seconds = time.perf_counter() - began
    CACHE.mkdir(exist_ok=True)
    _save_samples(CACHE / f"{name}-calibration.npz", task, rows[:CALIBRATION_SAMPLES])
    _save_samples(CACHE / f"{name}-held-back.npz", task, held_back)
    results = model.evaluate(
        _sole(_rows(task.inputs, held_back)),
        _sole(_rows(task.labels, held_back)),
        verbose=0,
        return_dict=True,
    )
    model.save(CACHE / f"{name}.keras")
    figures = ", ".join(f"{key} {value:.3f}" for key, value in results.items())
    print(f"{name}: {model.count_params():,} parameters, {seconds:.0f} s; held back: {figures}")


def _save_samples(path: Path, task: Task, rows: np.ndarray) -> None:
    labels = _rows(task.labels, rows)
    keys = {"y": _sole(labels)} if len(labels) == 1 else {f"y_{k}": v for k, v in labels.items()}
    np.savez(path, **_rows(task.inputs, rows), **keys)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", choices=[[], *NETWORKS], help="networks to train anew")
    names = parser.parse_args().names
    for name in names or NETWORKS:
        if names or not (CACHE / f"{name}.keras").exists():
            train(name)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
