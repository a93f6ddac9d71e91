"""Decoders as they come, as models of our layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfgreen.errors import UnsupportedModelError
from tfgreen.generative.network.kerashub import is_kerashub, taken_over
from tfgreen.models.adapters import merged_for_conversion
from tfgreen.models.loading import flavour_of, load_model


def load_decoder(source: str, custom_objects: str | None, allow_unsafe: bool) -> Any:
    """A Keras decoder from a file or `module:function`; KerasHub's come as models of our layers.

    Low-rank adapters are added to the kernels.
    """
    model = load_model(source, custom_objects=custom_objects, allow_unsafe=allow_unsafe)
    if is_kerashub(model):
        return taken_over(model)
    plain, _ = merged_for_conversion(model)
    return plain


def save_decoder(model: Any, folder: Path) -> Path:
    """Save a model object as a file that `load_decoder` opens in another process."""
    if is_kerashub(model):
        model = taken_over(model)
    if flavour_of(model) != "keras3":
        raise UnsupportedModelError(
            f"'{model.name}' is a tf_keras model; decoders are Keras 3 models of "
            "CausalSelfAttention layers. Build it with tfgreen.build_decoder."
        )
    path = folder / "model.keras"
    model.save(path)
    return path
