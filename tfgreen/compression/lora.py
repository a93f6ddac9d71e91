"""Fine-tuning by low-rank adapters: a few weights are trained, and merged before the export.

The original kernels stay as they are, and each gets a product of two narrow matrices beside it
(Hu et al. 2021, arXiv 2106.09685). Keras's own layers compute that; what is added here is to put
it into a whole model, attention included, and to take it out again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfgreen.compression.copies import compile_alike, copy_of, refuse_without_graph
from tfgreen.compression.selection import (
    PlacedLayer,
    Selector,
    check_selectors,
    placed_layers,
    selected,
)
from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.models.loading import flavour_of


def with_lora(
    model: Any, rank: int = 4, *, alpha: float | None = None, layers: Sequence[Selector] = ()
) -> Any:
    """A copy of a model in which only low-rank adapters are trained.

    It computes what the model does, until it is trained. Gradients and the optimizer's state are a
    fraction of the model's in size. Merge the adapters afterwards:

        tuned = tg.with_lora(decoder, rank=8)
        tuned.compile("adam", loss)
        tuned.fit(windows, labels)
        decoder = tg.merge_lora(tuned)

    Args:
        model: A built Keras 3 model, functional or sequential. It stays as it is.
        rank: Columns of the narrow matrices, from 1.
        alpha: Their product is multiplied by alpha / rank. Default: rank.
        layers: Which layers get adapters, by name, class or expression, as in `tfgreen.Pruning`.
            Default: all Dense, EinsumDense and Embedding layers, those inside of attention too.

    Returns:
        A model compiled as `model` is, with a new state of the optimizer. A file of it holds the
        sums already, so training cannot go on from there: save the model when it is merged.

    Raises:
        UsageError: a rank below 1, a name that no layer has, or layers that take no adapters.
        UnsupportedModelError: no graph, a tf_keras model, or adapters in it already.

    >>> from tfgreen.generative.network import build_decoder
    >>> tuned = with_lora(build_decoder(50, 16, width=32, layers=1), rank=2)
    >>> sum(weight.shape.num_elements() for weight in tuned.trainable_variables)
    1152
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise UsageError(f"with_lora received rank={rank!r}; expected a number from 1 on.")
    check_selectors(layers, "layers")
    _refuse_other_flavour(model)
    copy = copy_of(model)
    placed = placed_layers(copy)
    chosen = selected(layers, placed) if layers else frozenset(one.path for one in placed)
    for variable in copy.variables:
        variable.trainable = False
    adapted = {one.path for one in placed if one.path in chosen and _adapt(one, rank, alpha)}
    if not adapted or (layers and chosen - adapted):
        raise UsageError(
            f"with_lora found nothing to adapt in {', '.join(sorted(chosen - adapted))}: it adapts "
            "Dense, EinsumDense and Embedding layers, and those inside of attention."
        )
    compile_alike(copy, model, with_state=False)
    return copy


def merge_lora(model: Any) -> Any:
    """A copy of a model with its low-rank adapters added to the kernels, all of it trainable.

    A model without adapters is copied as it is. `tg.export` and `tg.export_decoder` merge by
    themselves; techniques that compress in training ask for a merged model.

    Args:
        model: A built Keras 3 model, functional or sequential. It stays as it is.

    Raises:
        UnsupportedModelError: no graph, a tf_keras model, or adapters on quantized kernels.
    """
    from tfgreen.models.adapters import merged

    _refuse_other_flavour(model)
    refuse_without_graph(model)
    copy = merged(model)
    compile_alike(copy, model, with_state=False)
    return copy


def _refuse_other_flavour(model: Any) -> None:
    if flavour_of(model) == "keras2":
        raise UnsupportedModelError(
            f"'{model.name}' is a tf_keras model, whose layers know no low-rank adapters. Give a "
            "model of Keras 3."
        )


def _adapt(placed: PlacedLayer, rank: int, alpha: float | None) -> bool:
    import keras

    kinds = (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding)
    inner = [one for one in placed.layer._flatten_layers() if isinstance(one, kinds)]
    for layer in inner:
        layer.enable_lora(rank, lora_alpha=alpha)
    return bool(inner)
