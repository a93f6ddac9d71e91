"""Whether a decoder, called step by step, is what it is when called on a whole sequence."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from keras import ops

from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.generative.network.positions import Cache, CachedWindow, Window
from tfgreen.generative.network.stepping import DecoderFacts, step

_LENGTH = 8
_TOLERANCE = 1e-3


def refuse_other_steps(model: Any, facts: DecoderFacts) -> None:
    """Raise UnsupportedModelError where a cache would change what the model computes.

    Each attention layer needs a cache of its own: a name that no other has, one call, and none of
    them hidden inside another layer, which would call it without the cache. What mixes positions
    beside attention, with a causal mask or none, shows when the tokens come one by one.
    """
    length = model.input_shape[1] or min(_LENGTH, facts.context or _LENGTH)
    tokens = np.random.default_rng(1).integers(0, facts.vocabulary, (1, length)).astype(np.int32)
    counting = _Counting(ops.arange(length, dtype="int32"))
    whole = np.asarray(step(model, tokens, counting))
    _refuse_shared(model, facts, counting.calls)
    caches: dict[str, Cache] = {
        layer.name: (ops.zeros((1, layer.kv_heads, length, layer.key_size)),) * 2
        for layer in facts.attention
    }
    for place in range(min(length, _LENGTH)):
        window = CachedWindow(ops.convert_to_tensor([place], "int32"), caches)
        scores = np.asarray(step(model, tokens[:, place : place + 1], window))[0, 0]
        change = float(np.abs(scores - whole[0, place]).max())
        if not change <= _TOLERANCE * max(1.0, float(np.abs(whole).max())):
            raise UnsupportedModelError(
                f"'{model.name}' scores token {place} by {change:.3g} otherwise when the tokens "
                "come one by one: a layer besides CausalSelfAttention and TokenEmbedding looks at "
                "positions, such as a causal convolution, a recurrent layer or positions of its "
                "own. Use these two layers for that."
            )


def refuse_other_length(model: Any, context: int) -> None:
    """Raise UsageError for a model of one fixed length that is not the context."""
    fixed = model.input_shape[1]
    if fixed not in (None, context):
        raise UsageError(
            f"Received context={context}; '{model.name}' takes sequences of exactly {fixed} "
            "tokens. Ask for that, or build it with keras.Input((None,))."
        )


class _Counting(Window):
    """A whole window that counts the calls of each attention layer."""

    def __init__(self, positions: Any) -> None:
        super().__init__(positions)
        self.calls: Counter[int] = Counter()

    def extended(self, layer: Any, keys: Any, values: Any) -> Cache:
        self.calls[id(layer)] += 1
        return super().extended(layer, keys, values)


def _refuse_shared(model: Any, facts: DecoderFacts, calls: Counter[int]) -> None:
    names = Counter(layer.name for layer in facts.attention)
    for layer in facts.attention:
        if names[layer.name] > 1:
            raise UnsupportedModelError(
                f"'{model.name}' has {names[layer.name]} attention layers named '{layer.name}', "
                "and caches go by these names. Give each its own."
            )
        if not calls[id(layer)]:
            raise UnsupportedModelError(
                f"Attention layer '{layer.name}' of '{model.name}' lies inside another layer, "
                "where it cannot be given a cache. Call it in the model's own graph."
            )
        if calls[id(layer)] > 1:
            raise UnsupportedModelError(
                f"'{model.name}' calls attention layer '{layer.name}' {calls[id(layer)]} times, "
                "and it has one cache. Give each place a layer of its own."
            )
