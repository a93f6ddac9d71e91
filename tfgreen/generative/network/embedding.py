"""From tokens to vectors and, with the same table, back to scores of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfgreen.generative.network.positions import Window


@keras.saving.register_keras_serializable("tfgreen")
class TokenEmbedding(keras.layers.Layer):
    """Token ids (batch, length), int32, to vectors (batch, length, width), float32.

    Called with `reverse=True` it goes back: vectors to scores (batch, length, vocabulary), by the
    same table (a tied head; Press and Wolf 2017, arXiv 1608.05859).

    Args:
        vocabulary: How many tokens there are; ids run from 0.
        width: Values of a vector.
        context: The longest sequence that the model is made for.
        learns_positions: Add a learned vector for each of the `context` positions.
        scale: Multiplies the token's vector (Gemma: width ** 0.5).
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        context: int,
        *,
        learns_positions: bool = False,
        scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary, self.width, self.context = vocabulary, width, context
        self.learns_positions, self.scale = learns_positions, float(scale)
        self.table: Any = None
        self.position_table: Any = None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the tables."""
        start = keras.initializers.RandomNormal(stddev=0.02)
        self.table = self.add_weight(
            shape=(self.vocabulary, self.width), initializer=start, name="tokens"
        )
        if self.learns_positions:
            self.position_table = self.add_weight(
                shape=(self.context, self.width), initializer=start, name="positions"
            )
        self.built = True

    def call(self, inputs: Any, window: Window | None = None, reverse: bool = False) -> Any:
        """Vectors of tokens, or with `reverse` scores of vectors."""
        if reverse:
            return ops.matmul(inputs, ops.transpose(self.table))
        length = ops.shape(inputs)[1]
        flat = ops.take(self.table, ops.reshape(inputs, (-1,)), axis=0)
        vectors = ops.reshape(flat, (-1, length, self.width))
        if self.scale != 1.0:
            vectors = vectors * self.scale
        if self.position_table is not None:
            if window is None:
                window = Window(ops.arange(length, dtype="int32"))
            vectors = vectors + ops.take(self.position_table, window.positions, axis=0)
        return vectors

    def compute_output_spec(
        self, inputs: Any, window: Window | None = None, reverse: bool = False
    ) -> Any:
        """Shape and dtype of what `call` returns."""
        last = self.vocabulary if reverse else self.width
        shape = (*(inputs.shape[:-1] if reverse else inputs.shape), last)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same layer."""
        return super().get_config() | {
            "vocabulary": self.vocabulary,
            "width": self.width,
            "context": self.context,
            "learns_positions": self.learns_positions,
            "scale": self.scale,
        }
