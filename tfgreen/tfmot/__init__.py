"""TensorFlow Model Optimization under its own names, for Keras 3 models.

    from tfgreen import tfmot                    # instead of the original's import

    pruned = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=...)

What takes a model or a layer takes those of Keras 3 and of tf_keras; every other name (schedules,
quantizers, configs, schemes) is the original's own object.

* Pruned and clustered Keras 3 models and layers stay of Keras 3, so that your optimizers, losses,
  callbacks, training loops and `save` work as ever; the masks and centroids are computed by the
  original's code.
* Quantized models are tf_keras models, since the original rewrites their graph; their `compile`
  and `fit` take Keras 3's objects.

New code is better served by `tg.Pruning`, `tg.Clustering` and `tg.QuantizationAwareTraining`,
which know more layers and report what they did. Modules are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["clustering", "experimental", "quantization", "sparsity"]


def __getattr__(name: str) -> Any:
    """Load a module on first use; what is not here is the original's."""
    if name in ("clustering", "quantization", "sparsity"):
        return importlib.import_module(f"{__name__}.{name}")
    if name.startswith("__") and name != "__version__":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from tfgreen.models.keras2 import model_optimization

    return getattr(model_optimization(), name)
