"""The bridge between Keras 3 and tf_keras, which TensorFlow Model Optimization works on.

`to_keras2` makes the tf_keras twin of a Keras 3 model: its graph is replayed on tf_keras's
symbolic tensors, layer by layer, and every layer's output is compared. `to_keras3` takes the
twin's weights back into a Keras 3 model of the same layers. Neither changes the caller's model.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfgreen.models.bridge.compiling import compile_as
    from tfgreen.models.bridge.crossing import to_keras2
    from tfgreen.models.bridge.fitting import adapt_fit
    from tfgreen.models.bridge.origin import origin_of
    from tfgreen.models.bridge.registration import register_twin
    from tfgreen.models.bridge.way_back import to_keras3

__all__ = ["adapt_fit", "compile_as", "origin_of", "register_twin", "to_keras2", "to_keras3"]

_MODULES = {
    "adapt_fit": "fitting",
    "compile_as": "compiling",
    "origin_of": "origin",
    "register_twin": "registration",
    "to_keras2": "crossing",
    "to_keras3": "way_back",
}


def __getattr__(name: str) -> Any:
    """Load a name on first use: the bridge imports both flavours of Keras."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
