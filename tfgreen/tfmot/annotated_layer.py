"""A Keras 3 layer that is marked for quantization."""

from __future__ import annotations

from typing import Any

import keras

from tfgreen.errors import UnsupportedModelError
from tfgreen.tfmot.wrapping import LayerWrapper


@keras.saving.register_keras_serializable(package="tfgreen")
class QuantizeAnnotate(LayerWrapper):
    """The original's mark of this name on a Keras 3 layer; it computes what the layer computes.

    quantize_config: the original's `QuantizeConfig` for this layer; None for the default.
    """

    prefix = "quantize_annotate_"

    def __init__(self, layer: Any, quantize_config: Any | None = None, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.quantize_config = quantize_config

    def get_config(self) -> dict[str, Any]:
        """The layer's config; a QuantizeConfig has none that Keras 3 could write."""
        if self.quantize_config is not None:
            raise UnsupportedModelError(
                f"'{self.name}' has a QuantizeConfig and cannot be saved or cloned as it is. Save "
                "the model before annotation, or after quantize_apply."
            )
        return super().get_config()  # type: ignore[no-any-return]
