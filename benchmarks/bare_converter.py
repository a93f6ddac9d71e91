"""What people write without tfgreen: a script around TFLiteConverter, int8 in and out.

    python benchmarks/bare_converter.py MODEL.keras CALIBRATION.npz OUT.tflite

It checks nothing: `export_overhead.py` times what the checks cost.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def main(model_path: str, calibration_path: str, output_path: str) -> None:
    """Convert one model with all samples of the .npz as its representative data."""
    model = keras.models.load_model(model_path)
    names = [tensor.name for tensor in model.inputs]
    with np.load(calibration_path) as stored:
        samples = {name: stored[name] for name in names}

    def representative() -> Iterator[dict[str, np.ndarray]]:
        for row in range(len(next(iter(samples.values())))):
            yield {name: array[row : row + 1] for name, array in samples.items()}

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    Path(output_path).write_bytes(converter.convert())


if __name__ == "__main__":
    main(*sys.argv[1:])
