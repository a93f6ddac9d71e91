"""KerasHub's causal language models as models of our layers, weight by weight.

Their own layers keep one cache for keys and values of all layers, mask with -1e9 and repeat the
keys of grouped queries; ours are what the rest of this room knows. A model that came over is
compared with the one that it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.generative.network.attention import CausalSelfAttention
from tfgreen.generative.network.embedding import TokenEmbedding
from tfgreen.models.adapters import plain_values

_TOLERANCE = 1e-4
_PROBE_LENGTH = 64
_LONGEST_CONTEXT = 1024

REFUSED = {
    "BloomCausalLM": "its positions are slopes added to the scores (ALiBi)",
    "FalconCausalLM": "its positions are slopes added to the scores (ALiBi)",
    "GPTNeoXCausalLM": "it feeds attention and feed-forward layer the same, and rotates in part",
    "OPTCausalLM": "its learned positions are shifted",
    "MixtralCausalLM": "it is a mixture of experts",
    "QwenMoeCausalLM": "it is a mixture of experts",
    "Qwen3MoeCausalLM": "it is a mixture of experts",
    "GptOssCausalLM": "it is a mixture of experts",
    "RWKV7CausalLM": "it is recurrent and has no attention to cache",
}
"""Families that are refused, and why; others are refused as encoders or as unknown."""

_ENCODERS = ("MaskedLM", "TextClassifier", "TextEmbedder")
_ENCODER = "it is an encoder, in which every position sees all others; use tfgreen.export"
_UNKNOWN = "nobody has written down how its layers map to ours"


@keras.saving.register_keras_serializable("tfgreen")
def gelu_by_tanh(values: Any) -> Any:
    """GELU by the tanh approximation, as GPT-2 and Gemma were trained with."""
    return keras.activations.gelu(values, approximate=True)


@dataclass
class _Building:
    """A model in the making: the layers, each with the weights that it gets."""

    backbone: Any
    weights: list[tuple[Any, list[np.ndarray]]] = field(default_factory=list)

    def dense(self, source: Any, name: str, activation: Any = None) -> Any:
        """A Dense layer with the kernel and bias of one of KerasHub's."""
        arrays = plain_values(source)
        kernel = arrays[0].reshape(arrays[0].shape[0], -1)
        layer = keras.layers.Dense(
            kernel.shape[1], activation=activation, use_bias=len(arrays) > 1, name=name
        )
        self.weights.append((layer, [kernel, *(one.reshape(-1) for one in arrays[1:])]))
        return layer

    def layer_norm(self, source: Any, name: str) -> Any:
        layer = keras.layers.LayerNormalization(epsilon=source.epsilon, name=name)
        self.weights.append((layer, [one.numpy() for one in source.weights]))
        return layer

    def rms_norm(self, source: Any, name: str, *, offset: float) -> Any:
        """offset: what the source adds to its scale, 1 in Gemma."""
        layer = keras.layers.RMSNormalization(epsilon=source.epsilon, name=name)
        self.weights.append((layer, [source.weights[0].numpy() + offset]))
        return layer

    def attention(
        self, layer: CausalSelfAttention, query: Any, key: Any, value: Any, output: Any
    ) -> CausalSelfAttention:
        """Give the attention layer the projections of KerasHub's."""
        for target, source in ((layer.query, query), (layer.key, key), (layer.value, value)):
            self.weights.append((target, _flat(source)))
        self.weights.append((layer, _flat(output)))
        return layer


def is_kerashub(model: Any) -> bool:
    """Whether it is a task of KerasHub."""
    return any(base.__module__.startswith("keras_hub.") for base in type(model).__mro__)


def taken_over(model: Any) -> keras.Model:
    """The same decoder, of our layers, named as the model is.

    Raises UnsupportedModelError, naming family and reason, for one that does not come over.
    """
    family = type(model).__name__
    if family not in FAMILIES:
        reason = REFUSED.get(family, _UNKNOWN)
        if family.endswith(_ENCODERS):
            reason = _ENCODER
        raise UnsupportedModelError(
            f"'{model.name}' is a {family} of KerasHub, which cannot be exported with a cache: "
            f"{reason}. Those that can: {', '.join(sorted(FAMILIES))}."
        )
    building = _Building(model.backbone)
    made = FAMILIES[family](building, model.name)
    for layer, arrays in building.weights:
        target = layer.output_projection if isinstance(layer, CausalSelfAttention) else layer
        target.set_weights(arrays)
    _refuse_difference(model, made)
    return made


def _gpt2(building: _Building, name: str) -> keras.Model:
    backbone = building.backbone
    context, width = backbone.max_sequence_length, backbone.hidden_dim
    embedding = TokenEmbedding(
        backbone.vocabulary_size, width, context, learns_positions=True, name="embedding"
    )
    tables = (backbone.token_embedding.embeddings, backbone.position_embedding.position_embeddings)
    building.weights.append((embedding, [table.numpy() for table in tables]))
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    flow = embedding(tokens)
    for number, block in enumerate(backbone.transformer_layers):
        label, source = f"block_{number}", block._self_attention_layer
        attention = CausalSelfAttention(
            backbone.num_heads, width // backbone.num_heads, name=f"{label}_attention"
        )
        building.attention(
            attention,
            source._query_dense,
            source._key_dense,
            source._value_dense,
            source._output_dense,
        )
        norm = building.layer_norm(block._self_attention_layer_norm, f"{label}_attention_norm")
        flow = keras.layers.Add()([flow, attention(norm(flow))])
        norm = building.layer_norm(block._feedforward_layer_norm, f"{label}_feed_norm")
        opened = building.dense(
            block._feedforward_intermediate_dense, f"{label}_feed_open", gelu_by_tanh
        )
        closed = building.dense(block._feedforward_output_dense, f"{label}_feed_close")
        flow = keras.layers.Add()([flow, closed(opened(norm(flow)))])
    flow = building.layer_norm(backbone.layer_norm, "final_norm")(flow)
    return keras.Model(tokens, embedding(flow, reverse=True), name=name)


def _llama(building: _Building, name: str) -> keras.Model:
    backbone = building.backbone
    width, heads = backbone.hidden_dim, backbone.num_query_heads
    tokens, embedding, flow = _embedded(building, 1.0)
    for number, block in enumerate(backbone.transformer_layers):
        label, source = f"block_{number}", block._self_attention_layer
        attention = CausalSelfAttention(
            heads,
            width // heads,
            kv_heads=backbone.num_key_value_heads,
            rotary_frequencies=_frequencies(source.rotary_embedding_layer, width // heads),
            use_bias=False,
            name=f"{label}_attention",
        )
        building.attention(
            attention,
            source._query_dense,
            source._key_dense,
            source._value_dense,
            source._output_dense,
        )
        norm = building.rms_norm(
            block._self_attention_layernorm, f"{label}_attention_norm", offset=0.0
        )
        flow = keras.layers.Add()([flow, attention(norm(flow))])
        norm = building.rms_norm(block._feedforward_layernorm, f"{label}_feed_norm", offset=0.0)
        normed = norm(flow)
        gate = building.dense(block._feedforward_gate_dense, f"{label}_feed_open", "silu")
        carry = building.dense(block._feedforward_intermediate_dense, f"{label}_feed_carry")
        closed = building.dense(block._feedforward_output_dense, f"{label}_feed_close")
        fed = closed(keras.layers.Multiply()([gate(normed), carry(normed)]))
        flow = keras.layers.Add()([flow, fed])
    flow = building.rms_norm(backbone.layer_norm, "final_norm", offset=0.0)(flow)
    return keras.Model(tokens, _scores(building, embedding, flow), name=name)


def _gemma(building: _Building, name: str) -> keras.Model:
    backbone = building.backbone
    tokens, embedding, flow = _embedded(building, float(backbone.hidden_dim) ** 0.5)
    for number, block in enumerate(backbone.transformer_layers):
        label, source = f"block_{number}", block.attention
        norm = building.rms_norm(block.pre_attention_norm, f"{label}_attention_norm", offset=1.0)
        mixed = _gemma_attention(building, source, f"{label}_attention")(norm(flow))
        if block.use_post_attention_norm:
            after = block.post_attention_norm
            mixed = building.rms_norm(after, f"{label}_attention_post", offset=1.0)(mixed)
        flow = keras.layers.Add()([flow, mixed])
        normed = building.rms_norm(block.pre_ffw_norm, f"{label}_feed_norm", offset=1.0)(flow)
        gate = building.dense(block.gating_ffw, f"{label}_feed_open", gelu_by_tanh)
        carry = building.dense(block.gating_ffw_2, f"{label}_feed_carry")
        closed = building.dense(block.ffw_linear, f"{label}_feed_close")
        fed = closed(keras.layers.Multiply()([gate(normed), carry(normed)]))
        if block.use_post_ffw_norm:
            fed = building.rms_norm(block.post_ffw_norm, f"{label}_feed_post", offset=1.0)(fed)
        flow = keras.layers.Add()([flow, fed])
    flow = building.rms_norm(backbone.layer_norm, "final_norm", offset=1.0)(flow)
    return keras.Model(tokens, _scores(building, embedding, flow), name=name)


def _gemma_attention(building: _Building, source: Any, name: str) -> CausalSelfAttention:
    heads, key_size = source.num_query_heads, source.head_dim
    scaled_by = key_size if source.query_head_dim_normalize else source.hidden_dim // heads
    normalizes = bool(getattr(source, "use_query_key_norm", False))
    attention = CausalSelfAttention(
        heads,
        key_size,
        kv_heads=source.num_key_value_heads,
        rotary_frequencies=_frequencies(source.rope_layer, key_size),
        reach=source.sliding_window_size if source.use_sliding_window_attention else None,
        use_bias=False,
        normalizes_heads=normalizes,
        epsilon=source.query_norm.epsilon if normalizes else 1e-6,
        score_scale=scaled_by**-0.5,
        soft_cap=source.logit_soft_cap,
        name=name,
    )
    if normalizes:
        for target, norm in (
            (attention.query_norm, source.query_norm),
            (attention.key_norm, source.key_norm),
        ):
            building.weights.append((target, [norm.weights[0].numpy() + 1.0]))
    return building.attention(
        attention,
        source.query_dense,
        source.key_dense,
        source.value_dense,
        source.output_dense,
    )


def _embedded(building: _Building, scale: float) -> tuple[Any, TokenEmbedding, Any]:
    backbone = building.backbone
    embedding = TokenEmbedding(
        backbone.vocabulary_size, backbone.hidden_dim, _LONGEST_CONTEXT, scale=scale,
        name="embedding",
    )  # fmt: skip
    building.weights.append((embedding, [backbone.token_embedding.embeddings.numpy()]))
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    return tokens, embedding, embedding(tokens)


def _scores(building: _Building, embedding: TokenEmbedding, flow: Any) -> Any:
    table = building.backbone.token_embedding
    if table.tie_weights:
        scores = embedding(flow, reverse=True)
    else:
        head = keras.layers.Dense(building.backbone.vocabulary_size, use_bias=False, name="head")
        building.weights.append((head, [table.reverse_embeddings.numpy()]))
        scores = head(flow)
    cap = getattr(table, "logit_soft_cap", None)
    if cap is None:
        return scores
    scores = keras.layers.Rescaling(1.0 / cap)(scores)
    return keras.layers.Rescaling(cap)(keras.layers.Activation("tanh")(scores))


def _frequencies(rotary: Any, key_size: int) -> list[float]:
    return [float(one) for one in np.asarray(rotary._get_inverse_freq(key_size))]


def _flat(source: Any) -> list[np.ndarray]:
    """Kernel (inputs, outputs) and bias of an einsum layer, its dimensions put in that order."""
    kernel, *bias = plain_values(source)
    given, answered = source.equation.split("->")
    given, own = given.split(",")
    summed = [letter for letter in given if letter in own]
    kept = [letter for letter in answered if letter in own]
    ordered = kernel.transpose([own.index(letter) for letter in (*summed, *kept)])
    rows = int(np.prod(ordered.shape[: len(summed)]))
    return [ordered.reshape(rows, -1), *(one.reshape(-1) for one in bias)]


def _refuse_difference(model: Any, made: keras.Model) -> None:
    vocabulary = int(made.output_shape[-1])
    contexts = [layer.context for layer in made.layers if isinstance(layer, TokenEmbedding)]
    length = min(_PROBE_LENGTH, *contexts)
    tokens = np.random.default_rng(0).integers(0, vocabulary, (1, length)).astype(np.int32)
    given = {"token_ids": tokens, "padding_mask": np.ones_like(tokens)}
    expected, got = np.asarray(model(given)), np.asarray(made(tokens))
    error = float(np.abs(expected - got).max())
    if not error <= _TOLERANCE * float(np.abs(expected).max()):
        raise UnsupportedModelError(
            f"'{model.name}' ({type(model).__name__}) answers otherwise by up to {error:.3g} when "
            "it is built of our layers: an option of its backbone has no counterpart here."
        )


FAMILIES: dict[str, Callable[[_Building, str], keras.Model]] = {
    "GPT2CausalLM": _gpt2,
    "LlamaCausalLM": _llama,
    "Llama3CausalLM": _llama,
    "GemmaCausalLM": _gemma,
    "Gemma3CausalLM": _gemma,
}
"""The families that come over, by the name of their class."""
