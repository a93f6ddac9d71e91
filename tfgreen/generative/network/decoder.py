"""A decoder language model as a plain Keras model, from a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import keras

from tfgreen.errors import UsageError
from tfgreen.generative.network.attention import (
    SAFE_MASK_VALUE,
    CausalSelfAttention,
    rotary_frequencies,
)
from tfgreen.generative.network.embedding import TokenEmbedding

Positions = Literal["learned", "rotary"]
Norm = Literal["layer", "rms"]


@dataclass(frozen=True)
class Shape:
    """The numbers of a decoder; see `build_decoder`."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    hidden: int
    positions: Positions
    wavelength: float
    norm: Norm
    gated: bool
    activation: str
    dropout: float
    mask_value: float

    @property
    def key_size(self) -> int:
        """Values of one head."""
        return self.width // self.heads


def build_decoder(
    vocabulary: int,
    context: int = 128,
    *,
    width: int = 160,
    layers: int = 4,
    heads: int = 4,
    kv_heads: int | None = None,
    hidden: int | None = None,
    positions: Positions = "learned",
    wavelength: float = 10_000.0,
    norm: Norm = "layer",
    gated: bool = False,
    activation: str = "gelu",
    tied: bool = True,
    dropout: float = 0.0,
    mask_value: float = SAFE_MASK_VALUE,
    name: str = "decoder",
) -> keras.Model:
    """A decoder: tokens (batch, length), int32, to the scores of the next, (…, vocabulary).

    A plain functional Keras model: compile it with `SparseCategoricalCrossentropy` from logits and
    fit it on windows of tokens, each labelled with the token that follows.

    Args:
        vocabulary: How many tokens there are.
        context: The longest sequence, and the length of the cache that it is exported with.
        width: Values that stand for one position.
        layers: Blocks of attention and feed-forward layer.
        heads, kv_heads: Heads of queries, and of keys and values (default: as many).
        hidden: Neurons of a feed-forward layer; default: 4 * width.
        positions: "learned" vectors, or "rotary" with `wavelength`.
        norm: "layer" normalization, or "rms".
        gated: Feed-forward layers with a gate (Shazeer 2020, arXiv 2002.05202).
        activation: Of feed-forward layers, a name that Keras knows.
        tied: Scores come from the table of the embedding; else from a Dense layer `head`.
        dropout: Share of values dropped after the embedding and each layer, in training.
        mask_value: See `CausalSelfAttention`.

    Raises:
        UsageError: width is no multiple of heads, or a choice that does not exist.

    >>> model = build_decoder(50, 16, width=32, layers=2, heads=4)
    >>> model.input_shape, model.output_shape
    ((None, None), (None, None, 50))
    """
    if width % heads:
        raise UsageError(
            f"build_decoder received width={width} and heads={heads}; the width has to be a "
            "multiple of the heads."
        )
    for value, known in ((positions, ("learned", "rotary")), (norm, ("layer", "rms"))):
        if value not in known:
            raise UsageError(f"build_decoder received '{value}'; expected one of {known}.")
    shape = Shape(
        width, layers, heads, kv_heads or heads, hidden or 4 * width, positions, wavelength, norm,
        gated, activation, dropout, mask_value,
    )  # fmt: skip
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    embedding = TokenEmbedding(
        vocabulary, width, context, learns_positions=positions == "learned", name="embedding"
    )
    flow = dropped(embedding(tokens), shape)
    for number in range(layers):
        flow = block(flow, f"block_{number}", shape)
    flow = normalized(flow, "final_norm", shape)
    if tied:
        scores = embedding(flow, reverse=True)
    else:
        scores = keras.layers.Dense(vocabulary, use_bias=False, name="head")(flow)
    return keras.Model(tokens, scores, name=name)


def block(
    flow: Any,
    name: str,
    shape: Shape,
    layer: type[CausalSelfAttention] = CausalSelfAttention,
    is_token: Any = None,
) -> Any:
    """Attention by `layer` and a feed-forward layer, both added to `flow` (batch, length, width).

    is_token: a second input of the attention layer, for one that knows padding.
    """
    is_rotary = shape.positions == "rotary"
    attention = layer(
        shape.heads,
        shape.key_size,
        kv_heads=shape.kv_heads,
        rotary_frequencies=(
            rotary_frequencies(shape.key_size, shape.wavelength) if is_rotary else None
        ),
        use_bias=shape.norm == "layer",
        mask_value=shape.mask_value,
        name=f"{name}_attention",
    )
    normal = normalized(flow, f"{name}_attention_norm", shape)
    mixed = attention(normal) if is_token is None else attention(normal, is_token)
    flow = keras.layers.Add(name=f"{name}_attention_sum")([flow, dropped(mixed, shape)])
    fed = _feed_forward(normalized(flow, f"{name}_feed_norm", shape), name, shape)
    return keras.layers.Add(name=f"{name}_feed_sum")([flow, dropped(fed, shape)])


def _feed_forward(flow: Any, name: str, shape: Shape) -> Any:
    use_bias = shape.norm == "layer"
    dense = keras.layers.Dense
    opened = dense(
        shape.hidden, activation=shape.activation, use_bias=use_bias, name=f"{name}_feed_open"
    )(flow)
    if shape.gated:
        carried = dense(shape.hidden, use_bias=use_bias, name=f"{name}_feed_carry")(flow)
        opened = keras.layers.Multiply(name=f"{name}_feed_gate")([opened, carried])
    return dense(shape.width, use_bias=use_bias, name=f"{name}_feed_close")(opened)


def normalized(flow: Any, name: str, shape: Shape) -> Any:
    """By the normalization of the shape."""
    if shape.norm == "rms":
        return keras.layers.RMSNormalization(epsilon=1e-6, name=name)(flow)
    return keras.layers.LayerNormalization(epsilon=1e-5, name=name)(flow)


def dropped(flow: Any, shape: Shape) -> Any:
    """With dropout, if the shape has it."""
    return keras.layers.Dropout(shape.dropout)(flow) if shape.dropout else flow
