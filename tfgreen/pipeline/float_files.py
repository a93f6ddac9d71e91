"""The float `.tflite` of a model: what files are held against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.models.loading import as_file
from tfgreen.pipeline.export_options import OnProgress
from tfgreen.tflite import ConversionOptions, convert_float


def float_file(
    model: Any,
    folder: Path,
    options: ConversionOptions,
    on_progress: OnProgress | None = None,
) -> bytes:
    """The float `.tflite` of any model; a float `.tflite` is read as it is.

    Raises UnsupportedModelError for a `.tflite` that is quantized: it is no measure of a file.
    """
    place = as_file(model, folder)
    if place.endswith(".tflite"):
        file = TfliteModel.read(place)
        quantized = [tensor.name for tensor in file.tensors if tensor.quantization is not None]
        if quantized:
            raise UnsupportedModelError(
                f"A file is judged against a float model, and '{place}' is quantized (tensor "
                f"'{quantized[0]}', for one). Give the model that it was made from."
            )
        return file.content
    return convert_float(place, options, on_progress).content
