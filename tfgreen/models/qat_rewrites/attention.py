"""MultiHeadAttention as dense layers, products and a softmax, each rounded for itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfgreen.models.keras2 import tf_keras
from tfgreen.models.keras2_graph import Call, LayerCall, Replay, graph_of, rebuilt
from tfgreen.models.qat_rewrites.changes import Change, Step


def open_attention(model: Any) -> Step:
    """Take apart the attention layers that are called without a mask on sequences of fixed length.

    The output's dense layer keeps the name. Others stay whole.
    """
    graph = graph_of(model)
    opened = {id(call.layer) for call in graph.calls if _is_open(call)}
    opened -= {id(call.layer) for call in graph.calls if not _is_open(call)}
    if not opened:
        return Step(model)
    changes: list[Change] = []

    def replacement(layer: Any) -> Call | None:
        if id(layer) not in opened:
            return None
        attention = _Attention(layer)
        what = "dense layers, products and a softmax"
        changes.append(Change(layer.name, what, attention.pieces))
        return attention

    return Step(rebuilt(model, Replay(replacement)), tuple(changes))


def _is_open(call: LayerCall) -> bool:
    layer = call.layer
    if type(layer).__name__ != "MultiHeadAttention":
        return False
    named = {key for key, value in call.kwargs.items() if value is not None and value is not False}
    tensors = call.inputs
    return (
        named <= {"query", "value", "key", "use_causal_mask", "training"}
        and len(call.args) <= 3
        and len(call.outputs) == 1
        and tuple(layer._attention_axes) == (1,)
        and all(len(x.shape) == 3 and x.shape[1] is not None for x in tensors)
        and all(getattr(x, "_keras_mask", None) is None for x in tensors)
    )


class _Attention:
    """The same attention out of simple layers (Vaswani et al. 2017, arXiv 1706.03762)."""

    def __init__(self, layer: Any) -> None:
        layers = tf_keras().layers
        self._layer, self._heads = layer, layer._num_heads
        sizes = {"query": layer._key_dim, "key": layer._key_dim, "value": layer._value_dim}
        self._dense = {
            part: layers.Dense(
                self._heads * size,
                use_bias=layer._use_bias,
                name=f"{layer.name}_{part}",
                trainable=layer.trainable,
            )
            for part, size in sizes.items()
        }
        self._sizes = sizes
        self._names = [f"{layer.name}_{part}" for part in ("scores", "weights", "mix")]
        self.pieces = (*(dense.name for dense in self._dense.values()), *self._names, layer.name)

    def __call__(
        self, query: Any, value: Any, key: Any = None, use_causal_mask: bool = False, **_: Any
    ) -> Any:
        from tfgreen.models.qat_layers import BatchMatMul, CausalMask

        layers, name = tf_keras().layers, self._layer.name
        inputs = {"query": query, "key": value if key is None else key, "value": value}
        parts = {part: self._heads_of(part, x) for part, x in inputs.items()}
        scores = BatchMatMul(True, name=self._names[0])([parts["query"], parts["key"]])
        if use_causal_mask:
            scores = CausalMask(name=f"{name}_causal")(scores)
        weights = layers.Softmax(name=self._names[1])(scores)
        if self._layer._dropout > 0:
            weights = layers.Dropout(self._layer._dropout, name=f"{name}_dropout")(weights)
        mixed = BatchMatMul(name=self._names[2])([weights, parts["value"]])
        mixed = layers.Permute((2, 1, 3), name=f"{name}_merge")(mixed)
        width = self._heads * self._sizes["value"]
        mixed = layers.Reshape((query.shape[1], width), name=f"{name}_merged")(mixed)
        return self._output(mixed)

    def _heads_of(self, part: str, inputs: Any) -> Any:
        """(batch, steps, width) → (batch, heads, steps, size)."""
        layers, name = tf_keras().layers, f"{self._layer.name}_{part}"
        dense = self._dense[part]
        outputs = dense(inputs)
        weights = [np.asarray(w) for w in getattr(self._layer, f"_{part}_dense").get_weights()]
        # The layer multiplies the query by 1 / sqrt(size): here it is part of the weights.
        factor = 1.0 / math.sqrt(self._layer._key_dim) if part == "query" else 1.0
        shaped = [w.reshape(own.shape) for w, own in zip(weights, dense.weights, strict=True)]
        dense.set_weights([w * np.float32(factor) for w in shaped])
        split = (inputs.shape[1], self._heads, self._sizes[part])
        outputs = layers.Reshape(split, name=f"{name}_split")(outputs)
        return layers.Permute((2, 1, 3), name=f"{name}_heads")(outputs)

    def _output(self, mixed: Any) -> Any:
        weights = [np.asarray(w) for w in self._layer._output_dense.get_weights()]
        dense = tf_keras().layers.Dense(
            weights[0].shape[-1],
            use_bias=self._layer._use_bias,
            name=self._layer.name,
            trainable=self._layer.trainable,
        )
        outputs = dense(mixed)
        dense.set_weights(
            [w.reshape(own.shape) for w, own in zip(weights, dense.weights, strict=True)]
        )
        return outputs
