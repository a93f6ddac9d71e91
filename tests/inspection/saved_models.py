"""Save one small network in every format of both Keras, and tell what it is made of.

Run as `python -m tests.inspection.saved_models FOLDER` in a process of its own. The oracle is
Keras itself: `expected.json` holds what its layers say; `live-*.json` what tfgreen says of the
same models in memory.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tfgreen.inspection import inspect


def build(k: Any) -> Any:
    """A network with a nested model and names that do not sort in their order."""
    image = k.Input((8, 8, 3), name="image")
    x = k.layers.Conv2D(4, 3, name="zz_stem")(image)
    x = k.layers.BatchNormalization()(x)
    nested = k.Sequential(
        [k.Input((6, 6, 4)), k.layers.Conv2D(5, 3), k.layers.ReLU()], name="inner"
    )
    x = k.layers.Flatten()(nested(x))
    x = k.layers.Dense(6, name="mm_hidden")(x)
    model = k.Model(image, k.layers.Dense(3, name="aa_head")(x), name="net")
    kernel, bias = model.get_layer("mm_hidden").get_weights()
    kernel[:40] = 0  # half of its 80 rows
    model.get_layer("mm_hidden").set_weights([kernel, bias])
    model.compile("adam", "mse")
    model.fit(np.zeros((4, 8, 8, 3)), np.zeros((4, 3)), verbose=0)  # gives the optimizer weights
    kernel, bias = model.get_layer("mm_hidden").get_weights()
    kernel[:40] = 0
    model.get_layer("mm_hidden").set_weights([kernel, bias])
    return model


class Subclassed(keras.Model):
    """A model without a graph, with a weight of its own."""

    def __init__(self) -> None:
        super().__init__(name="subclassed")
        self.dense = keras.layers.Dense(2)
        self.offset = self.add_weight(shape=(2,), name="offset")

    def call(self, x: Any) -> Any:
        return self.dense(x) + self.offset


def main(folder: Path) -> None:
    """Write the files."""
    model, twin = build(keras), build(tf_keras)
    model.save(folder / "keras3.keras")
    model.save(folder / "keras3.h5")
    model.export(folder / "keras3-saved-model", verbose=False)
    twin.save(folder / "keras2.keras")
    twin.save(folder / "keras2.h5")
    twin.save(folder / "keras2-saved-model")
    model.save_weights(folder / "only.weights.h5")
    subclassed = Subclassed()
    subclassed(np.zeros((1, 3), np.float32))
    expected = [
        {"name": layer.name, "class": type(layer).__name__, "parameters": layer.count_params()}
        for layer in model.layers
    ]
    (folder / "expected.json").write_text(json.dumps(expected))
    for name, live in (("keras3", model), ("keras2", twin), ("subclassed", subclassed)):
        (folder / f"live-{name}.json").write_text(inspect(live).to_json())


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    main(Path(sys.argv[1]))
