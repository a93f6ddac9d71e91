"""Models that a cache would change are refused by what they do."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.generative.network import CausalSelfAttention, TokenEmbedding, build_decoder
from tfgreen.generative.network.calling import refuse_other_length, refuse_other_steps
from tfgreen.generative.network.stepping import decoder_facts

VOCABULARY, CONTEXT, WIDTH = 11, 16, 16


class Wrapped(keras.layers.Layer):
    """A block that hides its attention layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = CausalSelfAttention(2, 8, name="hidden")

    def call(self, inputs: Any) -> Any:
        return inputs + self.inner(inputs)


def nested(name: str) -> keras.Model:
    given = keras.Input((None, WIDTH))
    return keras.Model(given, CausalSelfAttention(2, 8, name="attention")(given), name=name)


def shared() -> Any:
    layer = CausalSelfAttention(2, 8, name="shared")
    return lambda flow: layer(layer(flow))


def model(middle: Any, length: int | None = None) -> keras.Model:
    keras.utils.set_random_seed(0)
    tokens = keras.Input((length,), dtype="int32")
    flow = TokenEmbedding(VOCABULARY, WIDTH, CONTEXT, learns_positions=True)(tokens)
    return keras.Model(tokens, keras.layers.Dense(VOCABULARY)(middle(flow)), name="odd")


def causal_convolution(flow: Any) -> Any:
    attended = CausalSelfAttention(2, 8)(flow)
    return keras.layers.Conv1D(WIDTH, 3, padding="causal")(keras.layers.Add()([flow, attended]))


@pytest.mark.parametrize(
    ("middle", "message"),
    [
        (lambda flow: nested("two")(nested("one")(flow)), "2 attention layers named 'attention'"),
        (shared(), "'shared' 2 times"),
        (Wrapped(), "'hidden' of 'odd' lies inside another layer"),
        (causal_convolution, "otherwise when the tokens come one by one"),
    ],
)
def test_a_model_that_a_cache_would_change_is_refused(middle: Any, message: str) -> None:
    odd = model(middle)
    with pytest.raises(UnsupportedModelError, match=message):
        refuse_other_steps(odd, decoder_facts(odd))


@pytest.mark.parametrize("length", [None, 12])
def test_others_are_not(length: int | None) -> None:
    plain = model(nested("one"), length)
    refuse_other_steps(plain, decoder_facts(plain))
    decoder = build_decoder(VOCABULARY, 4, width=16, layers=2, heads=4, positions="rotary")
    refuse_other_steps(decoder, decoder_facts(decoder))


def test_a_fixed_length_is_the_context() -> None:
    refuse_other_length(model(nested("one")), 9)
    refuse_other_length(model(nested("one"), 12), 12)
    with pytest.raises(UsageError, match="exactly 12"):
        refuse_other_length(model(nested("one"), 12), 9)
