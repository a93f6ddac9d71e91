"""BatchNormalization folded into the layers before it, for good.

    folded = tg.fold_batch_normalization(model)

A converter does the same to a finished model. Done earlier, what is pruned, clustered and rounded
in training is what the file will hold, and a file can do with one step for a whole kernel.
"""

from __future__ import annotations

from typing import Any

from tfgreen.compression.copies import compile_alike, refuse_without_graph
from tfgreen.errors import UnsupportedModelError
from tfgreen.models.loading import flavour_of

# Of the largest output: the product of two float32 numbers is rounded once more.
_TOLERANCE = 1e-4


def fold_batch_normalization(model: Any) -> Any:
    """A copy without the BatchNormalization layers whose input a linear layer makes for them alone.

    Linear layers are Dense, Conv1D to Conv3D and their transposes, depthwise and separable
    convolutions without an activation. A BatchNormalization elsewhere, of a shared layer, or at
    the model's output stays. In inference the outputs are those of the model; while training, the
    statistics of the batch no longer matter. Zeros of a kernel stay zeros.

    Args:
        model: a built Keras 3 or tf_keras model, Sequential or functional. It stays as it is.

    Returns:
        A model of the same Keras. A Keras 3 copy is compiled as the model is, with a new
        optimizer state; a tf_keras copy is not compiled.

    Raises:
        UnsupportedModelError: the model is subclassed or was never built.

    >>> import keras
    >>> layers = [keras.Input((8,)), keras.layers.Dense(4), keras.layers.BatchNormalization()]
    >>> model = keras.Sequential([*layers, keras.layers.ReLU()])
    >>> [type(layer).__name__ for layer in fold_batch_normalization(model).layers]
    ['Dense', 'ReLU']
    """
    refuse_without_graph(model)
    if flavour_of(model) == "keras2":
        from tfgreen.models.qat_rewrites.batch_normalization import fold_batch_normalization

        return fold_batch_normalization(model, only_fold=True).model
    from tfgreen.models.folding import folded

    copy = folded(model)
    compile_alike(copy, model, with_state=False)
    _refuse_other_outputs(model, copy)
    return copy


def _refuse_other_outputs(model: Any, copy: Any) -> None:
    import keras
    import numpy as np

    from tfgreen.models.bridge.comparison import relative_difference
    from tfgreen.models.bridge.nodes import graph_of
    from tfgreen.models.bridge.random_input import random_inputs

    graph = graph_of(model)
    inputs = keras.tree.pack_sequence_as(graph._inputs_struct, random_inputs(graph))
    ours, theirs = (keras.tree.flatten(graph_of(m)(inputs, training=False)) for m in (copy, model))
    for mine, other in zip(ours, theirs, strict=True):
        difference = relative_difference(np.asarray(mine), np.asarray(other))
        if difference > _TOLERANCE:
            raise UnsupportedModelError(
                f"Folding BatchNormalization changes an output of '{model.name}' by "
                f"{difference:.2g} of its largest value; at most {_TOLERANCE:g} is accepted. "
                "Please report this model."
            )
