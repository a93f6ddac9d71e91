"""Mixed precision for the time of a training, and back."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import tfgreen as tg
from tests.training.small import BATCH_SIZE, X, Y, model_of
from tfgreen.training.precision import mixed, policy_for


def test_layers_compute_in_16_bits_and_outputs_stay() -> None:
    model = model_of("keras", compiled=False)
    first, last = model.layers
    before = model.predict(X, verbose=0)
    with mixed(model, "mixed_bfloat16"):
        assert first.compute_dtype == "bfloat16" and first.variable_dtype == "float32"
        assert last.compute_dtype == "float32"
        model.compile()
        np.testing.assert_allclose(model.predict(X, verbose=0), before, atol=0.02)
        assert not np.array_equal(model.predict(X, verbose=0), before)
    assert first.compute_dtype == "float32"


@pytest.mark.parametrize("policy", [True, "mixed_float16"])
def test_a_model_trained_so_comes_back_in_float32(policy: bool | str) -> None:
    model = model_of("keras", units=16)
    result = tg.fit(
        model, (X, Y), epochs=8, learning_rate=0.03, mixed_precision=policy, seed=0,
        batch_size=BATCH_SIZE, verbose=0,
    )  # fmt: skip
    assert result.history["loss"][-1] < 0.5 * result.history["loss"][0]
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert type(model.optimizer) is keras.optimizers.AdamW
    assert float(model.optimizer.learning_rate) == pytest.approx(0.03)
    assert model.evaluate(X, Y, verbose=0)[0] == pytest.approx(result.best, rel=0.2)


def test_the_last_layer_within_a_model_that_is_the_last_layer_stays() -> None:
    inner = model_of("keras", compiled=False)
    outside = keras.layers.Input((4,))
    model = keras.Model(outside, inner(keras.layers.Dense(4)(outside)))
    with mixed(model, "mixed_bfloat16"):
        assert [one.compute_dtype for one in inner.layers] == ["bfloat16", "float32"]
        assert model(X).dtype == "float32"


def test_what_cannot_be_is_refused() -> None:
    class Net(keras.Model):  # type: ignore[misc]
        """Which of its layers gives the output is not known."""

    with pytest.raises(tg.UnsupportedModelError, match="without a graph of layers"):
        tg.fit(Net(), (X, Y), loss="mse", mixed_precision=True)
    with pytest.raises(tg.UnsupportedModelError, match="set_global_policy"):
        tg.fit(model_of("tf_keras"), (X, Y), mixed_precision=True)
    with pytest.raises(tg.UnknownNameError, match="Did you mean 'mixed_float16'"):
        policy_for("mixed_flaot16")
