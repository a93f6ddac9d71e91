"""The two routes that tfgreen is measured against, each at its best: a child of export_table.py.

    python -m benchmarks.rival_routes MODEL.keras CALIBRATION.npz FOLDER

writes float.tflite, bare.tflite (TFLiteConverter with all calibration samples) and aeq.tflite
(AI Edge Quantizer on float.tflite with minimum and maximum, not its default moving average).
Both start from a SavedModel with batch 1, so that names are kept and no shape arithmetic is left.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def saved_model(path: str, folder: str) -> None:
    """Export a Keras 3 model as a SavedModel with batch 1 and its input names."""
    import keras
    import tensorflow as tf

    model = keras.models.load_model(path)
    specs = [
        tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name=tensor.name)
        for tensor in model.inputs
    ]
    signature = {spec.name: spec for spec in specs} if len(specs) > 1 else specs
    options: dict[str, Any] = {"format": "tf_saved_model", "verbose": False}
    model.export(folder, input_signature=[signature] if len(specs) > 1 else signature, **options)


def float_file(folder: str) -> bytes:
    """The float .tflite."""
    import tensorflow as tf

    content: bytes = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    return content


def bare_file(folder: str, samples: dict[str, np.ndarray]) -> bytes:
    """TFLiteConverter, full int8."""
    import tensorflow as tf

    def representative() -> Iterator[dict[str, np.ndarray]]:
        for row in range(len(next(iter(samples.values())))):
            yield {name: array[row : row + 1] for name, array in samples.items()}

    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    content: bytes = converter.convert()
    return content


def aeq_file(float_content: bytes, samples: dict[str, np.ndarray]) -> bytes:
    """AI Edge Quantizer, static int8, minimum and maximum over all samples."""
    from ai_edge_quantizer import calibrator, quantizer, recipe
    from ai_edge_quantizer.utils import qsv_utils

    engine = quantizer.Quantizer(float_content, recipe.static_wi8_ai8())
    rows = len(next(iter(samples.values())))
    runs = [{name: array[row : row + 1] for name, array in samples.items()} for row in range(rows)]
    statistics = calibrator.Calibrator(float_content, qsv_update_func=qsv_utils.min_max_update)
    statistics.calibrate({"serving_default": runs}, engine._recipe_manager)
    result = engine.quantize(statistics.get_model_qsvs())
    return bytes(result.quantized_model)


def main(model_path: str, calibration_path: str, output: str) -> None:
    """Write the three files."""
    with tempfile.TemporaryDirectory() as folder:
        saved_model(model_path, folder)
        float_content = float_file(folder)
        with np.load(calibration_path) as stored:
            samples = {name: stored[name] for name in stored.files if not name.startswith("y")}
        made = {
            "float": float_content,
            "bare": bare_file(folder, samples),
            "aeq": aeq_file(float_content, samples),
        }
    for name, content in made.items():
        (Path(output) / f"{name}.tflite").write_bytes(content)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(*sys.argv[1:])
