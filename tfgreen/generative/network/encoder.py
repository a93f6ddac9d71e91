"""Encoders: every position sees all others, and a static int8 file still tells them apart."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfgreen.errors import UsageError
from tfgreen.generative.network.attention import SAFE_MASK_VALUE, CausalSelfAttention
from tfgreen.generative.network.decoder import Shape, block, normalized
from tfgreen.generative.network.embedding import TokenEmbedding
from tfgreen.generative.network.positions import WholeWindow


@keras.saving.register_keras_serializable("tfgreen")
class EncoderSelfAttention(CausalSelfAttention):
    """Multi-head attention of each position to all that are no padding.

    Called with vectors (batch, length, width) and, where there is padding, with `is_token`,
    float32 (batch, length): 1 for tokens, 0 for padding. Arguments are those of
    `CausalSelfAttention` without `reach`.

    >>> attention = EncoderSelfAttention(heads=2, key_size=4)
    >>> attention(keras.ops.ones((1, 5, 8)), keras.ops.ones((1, 5))).shape
    TensorShape([1, 5, 8])
    """

    def call(self, inputs: Any, is_token: Any = None) -> Any:
        """Attend, to positions where `is_token` is 1; default: to all."""
        positions = ops.arange(ops.shape(inputs)[1], dtype="int32")
        return super().call(inputs, WholeWindow(positions, is_token))

    def _refuse_misfits(self) -> None:
        super()._refuse_misfits()
        if self.reach is not None:
            raise UsageError(
                f"EncoderSelfAttention received reach={self.reach}; it sees all positions. Leave "
                "it out, or use CausalSelfAttention."
            )


@keras.saving.register_keras_serializable("tfgreen")
class TokenMask(keras.layers.Layer):
    """Token ids, int32, to float32 of the same shape: 1 for tokens, 0 for padding.

    It looks tokens up in a table, which a static int8 file can hold; a comparison would leave
    float arithmetic in it.

    Args:
        vocabulary: How many tokens there are.
        padding: The one that stands for none.

    >>> TokenMask(5, padding=0)(np.array([[3, 1, 0]])).numpy().tolist()
    [[1.0, 1.0, 0.0]]
    """

    def __init__(self, vocabulary: int, padding: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary, self.padding = vocabulary, padding

    def call(self, tokens: Any) -> Any:
        """Look up."""
        is_token = np.arange(self.vocabulary) != self.padding
        return ops.take(ops.convert_to_tensor(is_token.astype(np.float32)), tokens, axis=0)

    def compute_output_spec(self, tokens: Any) -> Any:
        """The shape of the tokens, float32."""
        return keras.KerasTensor(tokens.shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same layer."""
        return super().get_config() | {"vocabulary": self.vocabulary, "padding": self.padding}


def build_encoder(
    vocabulary: int,
    length: int,
    *,
    classes: int | None = None,
    padding: int | None = None,
    width: int = 64,
    layers: int = 2,
    heads: int = 4,
    hidden: int | None = None,
    activation: str = "gelu",
    dropout: float = 0.0,
    mask_value: float = SAFE_MASK_VALUE,
    name: str = "encoder",
) -> keras.Model:
    """An encoder like BERT: tokens (batch, length), int32, to scores, float32.

    A plain functional Keras model with learned positions, for `tfgreen.export`; scores are logits.

    Args:
        vocabulary: How many tokens there are.
        length: Tokens of every sequence, padding included.
        classes: Scores of a sequence, (batch, classes), from the vector at its first position,
            as in BERT (Devlin et al. 2019, arXiv 1810.04805). None: scores of every position's
            token, (batch, length, vocabulary), from the table of the embedding.
        padding: The token that fills short sequences, never attended to. None: there is none.
        width: Values that stand for one position.
        layers: Blocks of attention and feed-forward layer.
        heads: Heads of attention, a divisor of the width.
        hidden: Neurons of a feed-forward layer; default: 4 * width.
        activation: Of feed-forward layers, a name that Keras knows.
        dropout: Share of values dropped after each layer, in training.
        mask_value: See `CausalSelfAttention`.

    Raises:
        UsageError: width is no multiple of heads, or padding is no token.

    >>> build_encoder(50, 16, classes=3, padding=0, width=32, layers=1).output_shape
    (None, 3)
    >>> build_encoder(50, 16, width=32, layers=1).output_shape
    (None, 16, 50)
    """
    _refuse_misfits(vocabulary, padding, width, heads)
    shape = Shape(
        width, layers, heads, heads, hidden or 4 * width, "learned", 0.0, "layer", False,
        activation, dropout, mask_value,
    )  # fmt: skip
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    is_token = None
    if padding is not None:
        is_token = TokenMask(vocabulary, padding, name="is_token")(tokens)
    embedding = TokenEmbedding(vocabulary, width, length, learns_positions=True, name="embedding")
    flow = embedding(tokens)
    for number in range(layers):
        flow = block(flow, f"block_{number}", shape, EncoderSelfAttention, is_token)
    flow = normalized(flow, "final_norm", shape)
    if classes is None:
        scores = embedding(flow, reverse=True)
    else:
        scores = keras.layers.Dense(classes, name="head")(flow[:, 0])
    return keras.Model(tokens, scores, name=name)


def _refuse_misfits(vocabulary: int, padding: int | None, width: int, heads: int) -> None:
    if width % heads:
        raise UsageError(
            f"build_encoder received width={width} and heads={heads}; the width has to be a "
            "multiple of the heads."
        )
    if padding is not None and not 0 <= padding < vocabulary:
        raise UsageError(
            f"build_encoder received padding={padding}; expected one of the tokens 0 to "
            f"{vocabulary - 1}, or None."
        )
