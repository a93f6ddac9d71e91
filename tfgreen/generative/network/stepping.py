"""Any decoder of our attention layers, called step by step.

A functional model is replayed on the tokens of one call; the layers that look at positions get
the window with its caches, all others work on each position alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.generative.network.attention import CausalSelfAttention
from tfgreen.generative.network.embedding import TokenEmbedding
from tfgreen.generative.network.encoder import EncoderSelfAttention
from tfgreen.generative.network.positions import Window

_PROBE_LENGTH = 64
_LEAK = 1e-4


@dataclass(frozen=True)
class DecoderFacts:
    """What a decoder is, as far as an export has to know.

    attention: its attention layers in the order of the graph; context: the longest sequence that
    it is made for, None when nothing in it says; is_bounded: it knows no position beyond.
    """

    vocabulary: int
    context: int | None
    is_bounded: bool
    attention: tuple[CausalSelfAttention, ...]


def step(model: Any, tokens: Any, window: Window) -> Any:
    """Scores (1, n, vocabulary) of int32 `tokens` (1, n) that stand at the window's positions."""
    graph = getattr(model, "_functional", None) or model
    return graph._run_through_graph(tokens, operation_fn=lambda op: _bound(op, window))


def _bound(operation: Any, window: Window) -> Callable[..., Any]:
    if isinstance(operation, CausalSelfAttention | TokenEmbedding):
        return partial(_named_call, operation, window)
    if isinstance(operation, keras.Model):
        return lambda inputs, **_: step(operation, inputs, window)
    return operation  # type: ignore[no-any-return]


def _named_call(layer: Any, window: Window, *inputs: Any, **options: Any) -> Any:
    with keras.name_scope(layer.name):  # the ops of the file get names that say whose they are
        return layer.call(*inputs, window=window, **options)


def decoder_facts(model: Any) -> DecoderFacts:
    """What kind of decoder a model is.

    Raises UnsupportedModelError for a model that is none: no graph, no causal attention, other
    inputs or outputs, or positions that look ahead.
    """
    if not hasattr(model, "_run_through_graph") and getattr(model, "_functional", None) is None:
        raise UnsupportedModelError(
            f"'{model.name}' is a subclassed model, which has no graph to replay step by step. "
            "Build the decoder as a functional or sequential model, as tfgreen.build_decoder does."
        )
    layers = list(model._flatten_layers(include_self=False, recursive=True))
    attention = tuple(layer for layer in layers if isinstance(layer, CausalSelfAttention))
    if not attention or any(isinstance(layer, EncoderSelfAttention) for layer in attention):
        raise UnsupportedModelError(_without_attention(model, layers))
    _refuse_other_ends(model)
    embeddings = [layer for layer in layers if isinstance(layer, TokenEmbedding)]
    context = min((layer.context for layer in embeddings), default=None)
    is_bounded = any(layer.learns_positions for layer in embeddings)
    facts = DecoderFacts(int(model.output_shape[-1]), context, is_bounded, attention)
    _probe(model, facts)
    return facts


def _without_attention(model: Any, layers: list[Any]) -> str:
    others = [f"{type(one).__name__} '{one.name}'" for one in layers if _mixes(one)]
    found = f" It mixes positions by {others[0]}, which sees all of them." if others else ""
    return (
        f"'{model.name}' has no causal mask: it has no CausalSelfAttention layer.{found} An "
        "encoder or classifier is exported with tfgreen.export; a decoder is built with "
        "tfgreen.build_decoder or of tfgreen.CausalSelfAttention layers."
    )


def _mixes(layer: Any) -> bool:
    words = ("Attention", "LSTM", "GRU", "Conv1D", "Bidirectional", "Pooling1D")
    return any(word in type(layer).__name__ for word in words)


def _refuse_other_ends(model: Any) -> None:
    is_plain = len(model.inputs) == len(model.outputs) == 1
    shapes = [tuple(one.shape) for one in (*model.inputs, *model.outputs)]
    if is_plain and len(shapes[0]) == 2 and len(shapes[1]) == 3:
        return
    raise UnsupportedModelError(
        f"'{model.name}' takes and gives {shapes}; expected one input of tokens (batch, length) "
        "and one output of scores (batch, length, vocabulary)."
    )


def _probe(model: Any, facts: DecoderFacts) -> None:
    length = min(_PROBE_LENGTH, facts.context or _PROBE_LENGTH)
    length = model.input_shape[1] or length
    tokens = np.random.default_rng(0).integers(0, facts.vocabulary, (1, length))
    refuse_looking_ahead(model, tokens.astype(np.int32), facts.vocabulary)


def refuse_looking_ahead(model: Any, tokens: np.ndarray, vocabulary: int) -> None:
    """Change the second half of sequences (n, length): nothing in the first half may notice.

    Random tokens find a missing mask; a mask that training got round shows on text alone. Raises
    UnsupportedModelError.
    """
    half = tokens.shape[1] // 2
    other = tokens.copy()
    other[:, half:] = (other[:, half:] + 1) % vocabulary
    before, after = (np.asarray(model(one, training=False)) for one in (tokens, other))
    if not np.isfinite(before).all():
        raise UnsupportedModelError(
            f"'{model.name}' gives scores that are not finite. Train it again: an export would "
            "only keep that."
        )
    change = np.abs(before - after)[:, :half].max(initial=0.0)
    if change > _LEAK * max(1.0, float(np.abs(before).max())):
        raise UnsupportedModelError(
            f"'{model.name}' has no causal mask throughout: other tokens change the scores before "
            f"them by {change:.3g}. Only attention to earlier positions can be cached; look for a "
            "layer that mixes positions, or a mask that is not strong enough."
        )
