"""Facts of a model, a .tflite file or a bundle, without running any of them.

Files are read without TensorFlow: their texts, arrays and tables are parsed, nothing is built.

>>> inspect("no/such/file.keras")
Traceback (most recent call last):
    ...
tfgreen.errors.MissingPathError: There is no file or folder no/such/file.keras.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfgreen.errors import MissingPathError, UnsupportedModelError
from tfgreen.generative.decoder_bundle import DecoderBundle, is_decoder_bundle
from tfgreen.inspection.bundle_folder import inspect_bundle
from tfgreen.inspection.keras_file import inspect_keras_file
from tfgreen.inspection.live_model import inspect_live_model
from tfgreen.inspection.records import (
    BundleInspection,
    Inspection,
    LayerFacts,
    ModelInspection,
    OpFacts,
    TfliteInspection,
)
from tfgreen.inspection.saved_model_folder import inspect_saved_model
from tfgreen.inspection.tflite_file import inspect_tflite
from tfgreen.manifest import MODEL, is_bundle

__all__ = [
    "BundleInspection",
    "Inspection",
    "LayerFacts",
    "ModelInspection",
    "OpFacts",
    "TfliteInspection",
    "inspect",
]


def inspect(path_or_model: Any) -> Inspection:
    """What is in a model, a `.tflite` file or a bundle.

    Args:
        path_or_model: a path (`.keras`, `.h5`, a SavedModel folder, `.tflite`, a bundle folder)
            or a Keras model object. Of a decoder's bundle, the first signature of its file.

    Returns:
        ModelInspection, TfliteInspection or BundleInspection; `kind` tells which.

    Raises:
        MissingPathError: there is nothing at the path.
        InvalidModelError: damaged, or nothing that tfgreen knows.
        IntegrityError: a file of the bundle is not the one that its manifest describes.
    """
    if not isinstance(path_or_model, str | Path):
        content = getattr(path_or_model, "content", None)  # an unsaved Bundle
        return inspect_tflite(content) if content else inspect_live_model(path_or_model)
    path = Path(path_or_model)
    if not path.exists():
        raise MissingPathError(f"There is no file or folder {path}.")
    if is_bundle(path):
        return inspect_bundle(path)
    if is_decoder_bundle(path):
        return inspect_tflite(DecoderBundle.read(path).content, str(path / MODEL))
    return _inspect_model(path)


def _inspect_model(path: Path) -> Inspection:
    from tfgreen.models.identification import identify

    source = identify(path)
    if source.kind == "tflite":
        return inspect_tflite(path.read_bytes(), str(path))
    if source.kind == "saved-model":
        return inspect_saved_model(path, source.kind, source.inputs or ())
    if path.is_file():
        return inspect_keras_file(path, source.kind)
    raise UnsupportedModelError(f"{path} is {source.kind}, which has no layers to show.")
