"""Causal self-attention that can be exported with a cache and quantized with its mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfgreen.errors import UsageError
from tfgreen.generative.network.positions import Window

SAFE_MASK_VALUE = -30.0


@keras.saving.register_keras_serializable("tfgreen")
class CausalSelfAttention(keras.layers.Layer):
    """Multi-head attention of each position to itself and those before it.

    Takes and returns (batch, length, width). Unlike Keras's attention layers it can be asked for
    one position at a time, with the keys and values of the others from a cache, and what stands
    for masked scores can be chosen: Keras's own constant of -1e9 owns the range of the scores when
    activations are quantized, and the file then answers nonsense.

    Args:
        heads: Query heads.
        key_size: Values of a head; an even number with rotary positions.
        kv_heads: Heads of keys and values, a divisor of `heads`: grouped queries (Ainslie et al.
            2023, arXiv 2305.13245). Default: as many as `heads`.
        rotary_frequencies: Radians a position, key_size / 2 of them: rotary positions (Su et al.
            2021, arXiv 2104.09864), see `rotary_frequencies`. Default: none.
        reach: A position sees itself and the `reach - 1` before it. Default: all before it.
        use_bias: Whether the four projections have a bias.
        normalizes_heads: RMS normalization of queries and keys, head by head, as in Gemma 3.
        epsilon: Of that normalization.
        score_scale: What queries are multiplied by. Default: key_size ** -0.5.
        soft_cap: Scores become cap * tanh(score / cap). Default: none.
        mask_value: Stands for the score of a position that may not be seen, negative; its weight
            is zero whatever the value. -30 costs quantized scores little, and lies below what
            scores come to.

    Raises:
        UsageError: a value that does not fit the others.
    """

    def __init__(
        self,
        heads: int,
        key_size: int,
        *,
        kv_heads: int | None = None,
        rotary_frequencies: Sequence[float] | None = None,
        reach: int | None = None,
        use_bias: bool = True,
        normalizes_heads: bool = False,
        epsilon: float = 1e-6,
        score_scale: float | None = None,
        soft_cap: float | None = None,
        mask_value: float = SAFE_MASK_VALUE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.key_size = heads, key_size
        self.kv_heads = heads if kv_heads is None else kv_heads
        self.rotary_frequencies = None if rotary_frequencies is None else [*rotary_frequencies]
        self.reach, self.use_bias = reach, use_bias
        self.normalizes_heads, self.epsilon = normalizes_heads, epsilon
        self.score_scale = key_size**-0.5 if score_scale is None else score_scale
        self.soft_cap, self.mask_value = soft_cap, float(mask_value)
        self._refuse_misfits()
        self.query = self._projection("query", heads * key_size)
        self.key = self._projection("key", self.kv_heads * key_size)
        self.value = self._projection("value", self.kv_heads * key_size)
        self.output_projection: Any = None
        self.query_norm: Any = None
        self.key_norm: Any = None
        if normalizes_heads:
            norm = keras.layers.RMSNormalization
            self.query_norm = norm(epsilon=epsilon, name="query_norm")
            self.key_norm = norm(epsilon=epsilon, name="key_norm")

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the weights for (batch, length, width)."""
        width = input_shape[-1]
        self.output_projection = self._projection("output", width)
        for layer in (self.query, self.key, self.value):
            layer.build(input_shape)
        joined = (*input_shape[:-1], self.heads * self.key_size)
        self.output_projection.build(joined)
        for norm in (self.query_norm, self.key_norm):
            if norm is not None:
                norm.build((*input_shape[:-1], self.key_size))
        self.built = True

    def call(self, inputs: Any, window: Window | None = None) -> Any:
        """Attend. `window` tells the positions and holds the cache; default: a whole sequence."""
        length = ops.shape(inputs)[1]
        if window is None:
            window = Window(ops.arange(length, dtype="int32"))
        queries = self._heads(self.query(inputs), self.heads, self.query_norm, window)
        keys = self._heads(self.key(inputs), self.kv_heads, self.key_norm, window)
        values = self._split(self.value(inputs), self.kv_heads)
        keys, values = window.extended(self, keys, values)
        mixed = self._attend(queries * self.score_scale, keys, values, window)
        joined = ops.transpose(mixed, (0, 2, 1, 3))
        return self.output_projection(ops.reshape(joined, (-1, length, self.joined_size)))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return tuple(input_shape)

    @property
    def joined_size(self) -> int:
        """Values of all query heads together."""
        return self.heads * self.key_size

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same layer."""
        return super().get_config() | {
            "heads": self.heads,
            "key_size": self.key_size,
            "kv_heads": self.kv_heads,
            "rotary_frequencies": self.rotary_frequencies,
            "reach": self.reach,
            "use_bias": self.use_bias,
            "normalizes_heads": self.normalizes_heads,
            "epsilon": self.epsilon,
            "score_scale": self.score_scale,
            "soft_cap": self.soft_cap,
            "mask_value": self.mask_value,
        }

    def _attend(self, queries: Any, keys: Any, values: Any, window: Window) -> Any:
        """(batch, heads, n, key size) from queries of that shape and keys of all positions.

        The query heads of a group are stacked along the length, so that grouped queries copy
        neither keys nor values.
        """
        length, seen = ops.shape(queries)[2], ops.shape(keys)[2]
        group = self.heads // self.kv_heads
        stacked = (-1, self.kv_heads, group * length, self.key_size)
        scores = ops.matmul(ops.reshape(queries, stacked), ops.transpose(keys, (0, 1, 3, 2)))
        if self.soft_cap is not None:
            scores = self.soft_cap * ops.tanh(scores / self.soft_cap)
        scores = ops.reshape(scores, (-1, self.heads, length, seen))
        # Scores of trained models come to 30 and more, which outweighs a mask that is only added.
        # So masked scores are replaced, and their weights are zero whatever they are.
        visible = window.visible(self.reach)
        if visible is None:
            weights = ops.softmax(scores, axis=-1)
        else:
            scores = scores * visible + window.masked_scores(self.mask_value, self.reach)
            weights = ops.softmax(scores, axis=-1) * visible
        weights = ops.reshape(weights, (-1, self.kv_heads, group * length, seen))
        return ops.reshape(ops.matmul(weights, values), (-1, self.heads, length, self.key_size))

    def _heads(self, projected: Any, heads: int, norm: Any, window: Window) -> Any:
        split = self._split(projected, heads)
        if norm is not None:
            split = norm(split)
        return split if self.rotary_frequencies is None else self._rotated(split, window)

    def _split(self, projected: Any, heads: int) -> Any:
        """(batch, length, heads * key size) to (batch, heads, length, key size)."""
        length = ops.shape(projected)[1]
        return ops.transpose(
            ops.reshape(projected, (-1, length, heads, self.key_size)), (0, 2, 1, 3)
        )

    def _rotated(self, split: Any, window: Window) -> Any:
        cosine, sine = window.rotation(self.rotary_frequencies or ())
        first, second = ops.split(split, 2, axis=-1)
        return ops.concatenate(
            [first * cosine - second * sine, second * cosine + first * sine], axis=-1
        )

    def _projection(self, name: str, size: Any) -> Any:
        return keras.layers.Dense(size, use_bias=self.use_bias, name=f"{self.name}_{name}")

    def _refuse_misfits(self) -> None:
        if self.kv_heads < 1 or self.heads % self.kv_heads:
            raise UsageError(
                f"CausalSelfAttention received heads={self.heads} and kv_heads={self.kv_heads}; "
                "the number of query heads has to be a multiple of kv_heads."
            )
        if self.mask_value >= 0:
            raise UsageError(
                f"CausalSelfAttention received mask_value={self.mask_value}; expected a negative "
                "number, such as -30."
            )
        if self.rotary_frequencies is not None and 2 * len(self.rotary_frequencies) != (
            self.key_size
        ):
            raise UsageError(
                f"CausalSelfAttention received {len(self.rotary_frequencies)} rotary frequencies "
                f"for key_size={self.key_size}; expected key_size / 2, as `rotary_frequencies` "
                "gives them."
            )


def rotary_frequencies(key_size: int, wavelength: float = 10_000.0) -> list[float]:
    """The angles, in radians a position, by which rotary positions turn a head of `key_size`.

    >>> rotary_frequencies(4, wavelength=100.0)
    [1.0, 0.1]
    """
    return [wavelength ** (-2 * pair / key_size) for pair in range(key_size // 2)]
