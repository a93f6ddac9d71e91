"""The signatures of an exported decoder, as a SavedModel for the converter.

`prefill_<n>` writes n tokens into the cache, `decode` takes one more and gives the scores of the
next, `score` gives the scores of a whole window without any cache: what the others are held
against. Names and meanings are those that LiteRT-LM expects: tokens, input_pos, kv_cache_k_<i>,
kv_cache_v_<i>, logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfgreen.generative.layout import (
    DECODE,
    FILLED,
    LOGITS,
    POSITIONS,
    SCORE,
    TOKENS,
    cache_name,
    prefill,
)
from tfgreen.generative.network.positions import Cache, CachedWindow, Window
from tfgreen.generative.network.stepping import DecoderFacts, step

Scores = Callable[[Any, Window], Any]


def save_signatures(
    model: Any,
    facts: DecoderFacts,
    context: int,
    prefill_lengths: Sequence[int],
    folder: Path,
    *,
    keeps_state: bool,
) -> None:
    """Write the SavedModel.

    context: length of the cache. keeps_state: the cache lives in resource variables of the file;
    else it goes in and comes out with every call.
    """
    # The converter gives the variables of a graph with several signatures no values, and the file
    # answers NaN: the weights have to be constants already.
    weights = [(one, tf.constant(one.numpy())) for one in model.variables]

    def scores(tokens: Any, window: Window) -> Any:
        with keras.StatelessScope(state_mapping=weights):
            return step(model, tokens, window)

    module = tf.Module()
    make = partial(_stateful, module) if keeps_state else _stateless
    signatures = {SCORE: _score(scores, context), DECODE: make(scores, facts, context, 1)}
    for length in prefill_lengths:
        signatures[prefill(length)] = make(scores, facts, context, length)
    tf.saved_model.save(module, str(folder), signatures=signatures)


def cache_shapes(facts: DecoderFacts, context: int) -> list[tuple[int, int, int, int]]:
    """(1, kv heads, context, key size) of each attention layer."""
    return [(1, layer.kv_heads, context, layer.key_size) for layer in facts.attention]


def _score(scores: Scores, context: int) -> Any:
    # Positions come from outside, so that masks are computed and not stored.
    @tf.function
    def score(tokens: Any, input_pos: Any) -> dict[str, Any]:
        return {LOGITS: scores(tokens, Window(input_pos))}

    return score.get_concrete_function(*_token_specs(context))


def _stateless(scores: Scores, facts: DecoderFacts, context: int, length: int) -> Any:
    specs: dict[str, Any] = {}
    for number, shape in enumerate(cache_shapes(facts, context)):
        for part in ("k", "v"):
            name = cache_name(part, number)
            specs[name] = tf.TensorSpec(shape, tf.float32, name=name)

    @tf.function
    def call(tokens: Any, input_pos: Any, **given: Any) -> dict[str, Any]:
        caches: dict[str, Cache] = {
            layer.name: (given[cache_name("k", number)], given[cache_name("v", number)])
            for number, layer in enumerate(facts.attention)
        }
        window = CachedWindow(input_pos, caches)
        logits = scores(tokens, window)
        written = {
            cache_name(part, number): window.caches[layer.name][side]
            for number, layer in enumerate(facts.attention)
            for side, part in enumerate("kv")
        }
        return written | ({LOGITS: logits} if length == 1 else {})

    return call.get_concrete_function(*_token_specs(length), **specs)


def _stateful(module: Any, scores: Scores, facts: DecoderFacts, context: int, length: int) -> Any:
    if not hasattr(module, "caches"):
        module.caches = [
            tuple(
                tf.Variable(tf.zeros(shape), trainable=False, name=cache_name(part, number))
                for part in ("k", "v")
            )
            for number, shape in enumerate(cache_shapes(facts, context))
        ]

    @tf.function
    def call(tokens: Any, input_pos: Any) -> dict[str, Any]:
        held = zip(facts.attention, module.caches, strict=True)
        caches = {layer.name: (pair[0].read_value(), pair[1].read_value()) for layer, pair in held}
        window = CachedWindow(input_pos, caches)
        logits = scores(tokens, window)
        for layer, pair in zip(facts.attention, module.caches, strict=True):
            for variable, written in zip(pair, window.caches[layer.name], strict=True):
                variable.assign(written)
        # A signature has to give something: prefill tells how far the cache is filled.
        return {LOGITS: logits} if length == 1 else {FILLED: input_pos[-1:] + 1}

    return call.get_concrete_function(*_token_specs(length))


def _token_specs(length: int) -> tuple[Any, Any]:
    return (
        tf.TensorSpec((1, length), tf.int32, name=TOKENS),
        tf.TensorSpec((length,), tf.int32, name=POSITIONS),
    )
