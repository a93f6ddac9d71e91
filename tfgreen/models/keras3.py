"""Keras 3 files and models, on whichever backend the process runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras


class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras's own, that reads the `groups=1` which Keras 2 wrote into every config."""

    def __init__(self, *args: Any, groups: int = 1, **kwargs: Any) -> None:
        if groups != 1:
            raise ValueError(f"DepthwiseConv2D with groups={groups} has no meaning")
        super().__init__(*args, **kwargs)


def load(path: Path, custom_objects: Mapping[str, Any], allow_unsafe: bool) -> Any:
    """Load a Keras 3 .keras or .h5 file, uncompiled; its config has been judged before."""
    objects = dict(custom_objects)
    if path.suffix != ".keras":
        objects.setdefault("DepthwiseConv2D", DepthwiseConv2D)
    return keras.saving.load_model(
        path, custom_objects=objects, compile=False, safe_mode=not allow_unsafe
    )


def is_model(candidate: object) -> bool:
    """Whether it is a Keras 3 model."""
    return isinstance(candidate, keras.Model)


def layers_of(model: Any) -> list[Any]:
    """Every layer, those inside nested models and wrappers too."""
    return list(model._flatten_layers(include_self=False, recursive=True))
