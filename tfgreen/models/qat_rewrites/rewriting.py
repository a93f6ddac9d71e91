"""All rewrites, one after the other, and proof that the outputs stayed what they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.qat_rewrites.activations import split_activations
from tfgreen.models.qat_rewrites.attention import open_attention
from tfgreen.models.qat_rewrites.batch_normalization import fold_batch_normalization
from tfgreen.models.qat_rewrites.changes import Change, Step
from tfgreen.models.qat_rewrites.flattening import flatten
from tfgreen.models.qat_rewrites.separable import separate

_REWRITES: tuple[Callable[[Any], Step], ...] = (
    separate,
    open_attention,
    split_activations,
    fold_batch_normalization,
)
_TOLERANCE = 1e-4  # of the largest output; folding multiplies in another order
_TOLERANCE_IN_16_BITS = 2e-2


@dataclass(frozen=True)
class Rewritten:
    """A flat tf_keras model with the outputs of the one that it was made of.

    changes: the layers that were rewritten, named by their path in that model.
    origins: from the name of each layer here to the path of the layer that it stands for.
    """

    model: Any
    changes: tuple[Change, ...]
    origins: Mapping[str, str]


def rewrite(model: Any) -> Rewritten:
    """Rewrite a copy of a tf_keras model for quantization-aware training.

    Raises:
        UnsupportedModelError: no graph, a layer that cannot be copied, or outputs that change.
    """
    step = flatten(model)
    made, changes = step.model, list(step.changes)
    origins = {layer.name: layer.name for layer in made.layers}
    for apply in _REWRITES:
        step = apply(made)
        made = step.model
        for change in step.changes:
            path = origins[change.layer]
            changes.append(Change(path, change.what, change.pieces))
            origins.update(dict.fromkeys(change.pieces, path))
    origins = {layer.name: origins.get(layer.name, layer.name) for layer in made.layers}
    _refuse_other_outputs(model, made, changes)
    return Rewritten(made, tuple(changes), origins)


def _refuse_other_outputs(model: Any, made: Any, changes: list[Change]) -> None:
    import tensorflow as tf

    from tfgreen.models.bridge.comparison import relative_difference
    from tfgreen.models.bridge.random_input import random_inputs

    inputs = random_inputs(model)
    ours, theirs = (tf.nest.flatten(m(inputs, training=False)) for m in (model, made))
    is_mixed = any("float32 instead of" in change.what for change in changes)
    tolerance = _TOLERANCE_IN_16_BITS if is_mixed else _TOLERANCE
    for name, mine, other in zip(model.output_names, ours, theirs, strict=True):
        difference = relative_difference(np.asarray(mine), np.asarray(other))
        if difference > tolerance:
            rewritten = ", ".join(sorted({change.layer for change in changes})) or "none"
            raise UnsupportedModelError(
                f"Output '{name}' of '{model.name}' changes by {difference:.2g} of its largest "
                "value when the model is rewritten for quantization-aware training; at most "
                f"{tolerance:g} is accepted. Layers that were rewritten: {rewritten}. Please "
                "report this model."
            )
