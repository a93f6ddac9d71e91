"""Pruning in training: counts by arithmetic, models left alone, errors before training."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from tests.compression.models import (
    CLASSES,
    FEATURES,
    compile_classifier,
    data,
    dense_model,
    fingerprint,
    kernels,
    models_without_a_graph,
    nested_model,
    tf_keras_model,
    zeros,
)
from tfgreen.compression.clustering.clustering import Clustering
from tfgreen.compression.pruning.pruning import Pruning
from tfgreen.compression.pruning.report import pruning_report
from tfgreen.compression.technique import NO_WEIGHTS, state_of
from tfgreen.errors import UnknownNameError, UnsupportedModelError, UsageError
from tfgreen.models.keras2 import model_optimization, tf_keras

X, Y = data()
STEPS = model_optimization().sparsity.keras.ConstantSparsity(0.5, 1)


def pruned(technique: Pruning, model: Any, epochs: int = 2, **options: Any) -> tuple[Any, Any]:
    """The wrapped model after training and what finalize made of it; checks the caller's model."""
    before = fingerprint(model)
    wrapped = technique.prepare(model)
    assert fingerprint(model) == before
    wrapped.fit(X, Y, epochs=epochs, batch_size=16, verbose=0, **options)
    final = technique.finalize(wrapped)
    assert fingerprint(model) == before
    return wrapped, final


@pytest.mark.parametrize("schedule", ["polynomial", "constant", "exponential", "one-cycle"])
def test_every_schedule_reaches_the_sparsity(schedule: Any) -> None:
    technique = Pruning(sparsity=0.75, schedule=schedule)
    wrapped, final = pruned(technique, dense_model())
    assert isinstance(final, keras.Sequential)
    assert [layer.name for layer in final.layers] == ["hidden", "norm", "head"]
    # 8 * 16 = 128 and 16 * 3 = 48 weights, of which a quarter stays.
    assert {name: zeros(kernel) for name, kernel in kernels(final).items()} == {
        "hidden": 96,
        "head": 36,
    }
    np.testing.assert_allclose(
        final.predict(X, verbose=0), wrapped.predict(X, verbose=0), atol=1e-6
    )


def test_the_final_model_is_compiled_and_trains_on() -> None:
    _, final = pruned(Pruning(sparsity=0.5), dense_model())
    assert set(final.evaluate(X, Y, return_dict=True, verbose=0)) == {"loss", "accuracy"}
    final.fit(X, Y, verbose=0)


def test_a_tf_keras_model_stays_one() -> None:
    _, final = pruned(Pruning(sparsity=0.5), tf_keras_model())
    assert isinstance(final, tf_keras().Sequential)
    assert [zeros(kernel) for kernel in kernels(final).values()] == [64, 24]
    assert [type(layer).__name__ for layer in final.layers] == ["Dense", "Dense"]
    final.fit(X, Y, verbose=0)


def test_the_final_model_shares_nothing_with_the_wrapped_one() -> None:
    technique = Pruning(sparsity=0.5)
    wrapped, final = pruned(technique, tf_keras_model())
    before = [weight.copy() for weight in final.get_weights()]
    wrapped.fit(X, Y, verbose=0)
    for one, other in zip(before, final.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_targets_by_layer() -> None:
    model = nested_model()
    targets = {"head": 0.5, re.compile(r"inner_\d"): 0.8, "inner_2": 0.0}
    _, final = pruned(Pruning(sparsity=targets), model)
    block = kernels(final.get_layer("block"))
    assert zeros(kernels(final)["head"]) == 9  # of 6 * 3
    assert zeros(kernels(final)["first"]) == 0
    assert zeros(block["inner_1"]) == 24  # of 6 * 5
    assert zeros(block["inner_2"]) == 0


def test_report_names_every_layer() -> None:
    technique = Pruning(sparsity={"head": 0.5, "inner_2": 0.0}, frequency=2)
    wrapped, final = pruned(technique, nested_model())
    report = technique.report(wrapped)
    assert report.of("head").measures == {"sparsity": 0.5, "target": 0.5}
    reasons = {decision.layer: decision.reason for decision in report.with_action("skipped")}
    assert reasons == {
        "first": "no target given",
        "block/inner_1": "no target given",
        "block/norm": "normalization is exempt",
        "block/inner_2": "nothing is to be pruned",
    }
    # 8 steps, of which three quarters: updates in steps 1, 3 and 5.
    assert "every 2 steps from step 1 to step 5; 8 steps of training are done" in str(report)
    assert "9 of 18 weights in pruned kernels are zero" in str(report)
    assert pruning_report(final) == report


def test_skip() -> None:
    technique = Pruning(sparsity=0.5, skip=["head", keras.layers.BatchNormalization])
    wrapped, final = pruned(technique, dense_model())
    assert [zeros(kernel) for kernel in kernels(final).values()] == [64, 0]
    assert technique.report(wrapped).of("head").reason == "named in skip"


def test_a_threshold_takes_effect_at_once_and_is_held() -> None:
    model = dense_model()
    original = kernels(model)
    technique = Pruning(threshold=0.2)
    wrapped = technique.prepare(model)
    for name, kernel in kernels(technique.finalize(wrapped)).items():
        np.testing.assert_array_equal(kernel, original[name] * (np.abs(original[name]) >= 0.2))
    wrapped.fit(X, Y, epochs=2, verbose=0)
    for name, kernel in kernels(technique.finalize(wrapped)).items():
        np.testing.assert_array_equal(kernel != 0, np.abs(original[name]) >= 0.2)
        assert not np.array_equal(kernel, original[name] * (np.abs(original[name]) >= 0.2))
    share = float(np.mean(np.abs(original["hidden"]) < 0.2))
    measures = technique.report(wrapped).of("hidden").measures
    assert measures == pytest.approx({"sparsity": share, "target": share, "threshold": 0.2})


def test_a_threshold_in_units_of_the_layer() -> None:
    model = dense_model()
    original = kernels(model)["hidden"]
    by_quantile = Pruning(threshold=0.75, threshold_unit="quantile", skip="head")
    final = by_quantile.finalize(by_quantile.prepare(model))
    limit = np.quantile(np.abs(original.astype("float64")), 0.75)
    np.testing.assert_array_equal(kernels(final)["hidden"] != 0, np.abs(original) >= limit)
    assert zeros(kernels(final)["hidden"]) == 96
    by_deviation = Pruning(threshold={"hidden": 0.5}, threshold_unit="standard-deviation")
    final = by_deviation.finalize(by_deviation.prepare(model))
    limit = 0.5 * original.astype("float64").std()
    np.testing.assert_array_equal(kernels(final)["hidden"] != 0, np.abs(original) >= limit)


def test_a_threshold_with_a_ramp_gives_each_kernel_its_own_sparsity() -> None:
    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input((4, FEATURES)), keras.layers.LSTM(6, name="lstm")])
    model.compile("adam", "mse")
    kernel, recurrent, _ = model.layers[0].get_weights()
    technique = Pruning(threshold=0.2, schedule="polynomial")
    wrapped = technique.prepare(model)
    x = np.random.default_rng(0).normal(size=(32, 4, FEATURES)).astype("float32")
    wrapped.fit(x, np.zeros((32, 6)), epochs=4, verbose=0)
    final = technique.finalize(wrapped).layers[0].get_weights()
    assert zeros(final[0]) == np.count_nonzero(np.abs(kernel) < 0.2)
    assert zeros(final[1]) == np.count_nonzero(np.abs(recurrent) < 0.2)
    assert zeros(final[0]) / kernel.size != zeros(final[1]) / recurrent.size


def test_a_threshold_that_leaves_a_layer_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match=r"leaves a kernel of layer 'hidden' no weight .*largest"):
        Pruning(threshold=50).prepare(dense_model())


def test_one_ranking_across_layers() -> None:
    model = dense_model()
    scaled = model.get_weights()
    scaled[0] *= 10  # "hidden" is far larger than "head"
    model.set_weights(scaled)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    technique = Pruning(sparsity=0.5, scope="global")
    wrapped = technique.prepare(model)
    wrapped.fit(X, np.zeros((len(X), CLASSES)), epochs=2, batch_size=16, verbose=0)
    final = technique.finalize(wrapped)
    every = np.concatenate([kernel.ravel() for kernel in kernels(model).values()])
    limit = np.sort(np.abs(every))[len(every) // 2]  # 88 of 176 lie below it
    for name, kernel in kernels(final).items():
        kept = np.abs(kernels(model)[name]) >= limit
        if not kept.any():  # a kernel keeps at least one weight
            assert zeros(kernel) == kernel.size - 1
            reason = technique.report(wrapped).of(name).reason
            assert reason == ("next to nothing is left of it" if kernel.size > 100 else "")
        else:
            np.testing.assert_array_equal(kernel != 0, kept)


def test_global_sparsity_is_reached_in_training() -> None:
    technique = Pruning(sparsity=0.5, scope="global")
    _, final = pruned(technique, dense_model(), epochs=3)
    shares = [zeros(kernel) / kernel.size for kernel in kernels(final).values()]
    assert sum(zeros(kernel) for kernel in kernels(final).values()) == 88  # of 176
    assert shares[0] != shares[1]


def test_two_of_four() -> None:
    model = conv_model()
    technique = Pruning(pattern="2:4")
    wrapped = technique.prepare(model)
    wrapped.fit(np.ones((8, 6, 6, 4), "float32"), np.zeros((8, 3)), epochs=2, verbose=0)
    final = technique.finalize(wrapped)
    for name in ("conv", "head"):
        kernel = final.get_layer(name).kernel.numpy()
        inputs_last = np.moveaxis(kernel, -2, -1)
        kept = np.count_nonzero(inputs_last.reshape(-1, 4), axis=1)
        assert (kept <= 2).all()
        assert zeros(kernel) == kernel.size // 2
    reasons = technique.report(wrapped)
    assert reasons.of("depthwise").reason.startswith("depthwise kernels are small")


def test_one_of_four_keeps_one() -> None:
    model = dense_model()
    wrapped, final = pruned(Pruning(pattern="1:4"), model)
    groups = kernels(final)["hidden"].T.reshape(-1, 4)
    assert (np.count_nonzero(groups, axis=1) == 1).all()


def test_blocks() -> None:
    technique = Pruning(sparsity=0.5, block_size=(4, 4))
    wrapped, final = pruned(technique, dense_model())
    blocks = kernels(final)["hidden"].reshape(2, 4, 4, 4).swapaxes(1, 2).reshape(8, 16)
    assert sorted(np.count_nonzero(blocks, axis=1)) == [0] * 4 + [16] * 4
    # 16 x 3: TensorFlow Model Optimization would fail on it in the first step of training.
    head = technique.report(wrapped).of("head")
    assert head.action == "skipped"
    assert head.reason == "its kernel of 16 x 3 is no more than one block of 4 x 4 high or wide"


def test_a_named_layer_that_is_one_block_is_refused() -> None:
    with pytest.raises(UsageError, match="Layer 'head' .Dense. cannot be pruned: its kernel of"):
        Pruning(sparsity={"Dense": 0.5}, block_size=(4, 4)).prepare(dense_model())


def test_blocks_need_matrices() -> None:
    technique = Pruning(sparsity=0.5, block_size=(2, 1))
    report = technique.report(technique.prepare(conv_model()))
    assert report.of("conv").reason == "blocks need kernels of 2 dimensions"
    assert report.of("head").action == "pruned"


def test_a_schedule_object_counts_steps() -> None:
    schedule = model_optimization().sparsity.keras.PolynomialDecay(0.0, 0.5, 1, 5, frequency=1)
    endless = ((X[:16], Y[:16]) for _ in range(100))
    technique = Pruning(schedule=schedule)
    wrapped = technique.prepare(dense_model())
    wrapped.fit(endless, steps_per_epoch=6, verbose=0)
    assert [zeros(kernel) for kernel in kernels(technique.finalize(wrapped)).values()] == [64, 24]


def test_depthwise_kernels_are_pruned_when_named_or_by_threshold() -> None:
    named = Pruning(sparsity={"depthwise": 0.5})
    assert named.report(named.prepare(conv_model())).of("depthwise").action == "pruned"
    by_threshold = Pruning(threshold=0.1)
    report = by_threshold.report(by_threshold.prepare(conv_model()))
    assert {decision.layer for decision in report.with_action("pruned")} == {
        "conv", "depthwise", "separable", "head"
    }  # fmt: skip


def test_only_the_pointwise_kernel_of_a_separable_convolution() -> None:
    model = conv_model()
    technique = Pruning(sparsity=0.5, schedule="constant")
    wrapped = technique.prepare(model)
    wrapped.fit(np.ones((8, 6, 6, 4), "float32"), np.zeros((8, 3)), epochs=2, verbose=0)
    layer = technique.finalize(wrapped).get_layer("separable")
    assert zeros(layer.depthwise_kernel.numpy()) == 0
    assert zeros(layer.pointwise_kernel.numpy()) == 16  # of 1 * 1 * 8 * 4
    assert "depthwise kernel is left alone" in technique.report(wrapped).of("separable").reason


def test_a_shared_layer_keeps_the_pace() -> None:
    keras.utils.set_random_seed(7)
    shared = keras.layers.Dense(FEATURES, name="shared")
    inputs = keras.Input((FEATURES,))
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, name="head")(shared(shared(inputs))))
    compile_classifier(model, keras)
    technique = Pruning(sparsity=0.5, end=1.0, frequency=1)
    seen: list[dict[str, float]] = []

    def note(epoch: int, logs: Any) -> None:
        report = technique.report(wrapped)
        seen.append({name: report.of(name).measures["sparsity"] for name in ("shared", "head")})

    wrapped = technique.prepare(model)
    note_it = keras.callbacks.LambdaCallback(on_epoch_end=note)
    wrapped.fit(X, Y, epochs=8, batch_size=64, verbose=0, callbacks=[note_it])
    # One step an epoch: after step k of 8 the sparsity is .5 - .5 * (1 - (k - 1) / 7) ** 3.
    expected = [0.5 - 0.5 * (1 - (k - 1) / 7) ** 3 for k in range(1, 9)]
    assert [one["shared"] for one in seen] == pytest.approx(expected, abs=1 / 64)
    assert [one["head"] for one in seen] == pytest.approx(expected, abs=1 / 24)
    technique.finalize(wrapped)


@pytest.mark.parametrize("kind", ["bidirectional", "attention", "masked", "einsum", "distributed"])
def test_layers_that_the_original_refuses_or_gets_wrong(kind: str) -> None:
    model, x = unusual_model(kind)
    before = fingerprint(model)
    technique = Pruning(sparsity=0.5, schedule="constant")
    wrapped = technique.prepare(model)
    wrapped.fit(x, np.zeros((len(x), 2)), epochs=2, verbose=0)
    final = technique.finalize(wrapped)
    assert fingerprint(model) == before
    np.testing.assert_allclose(
        final.predict(x, verbose=0), wrapped.predict(x, verbose=0), atol=1e-5
    )
    report = technique.report(wrapped)
    assert len(report.with_action("pruned")) >= 2
    for decision in report.with_action("pruned"):
        assert decision.measures["sparsity"] == pytest.approx(0.5, abs=0.1)


@keras.saving.register_keras_serializable("tests")
class Own(keras.layers.Layer):
    """A layer of one's own, with a normalization inside."""

    def build(self, input_shape: Any) -> None:
        self.table = self.add_weight(name="table", shape=(input_shape[-1], 6))
        self.norm = keras.layers.LayerNormalization()
        self.norm.build((None, 6))

    def call(self, inputs: Any) -> Any:
        return self.norm(inputs @ self.table)


def test_a_layer_of_ones_own() -> None:
    model = small_model(Own(name="own"))
    wrapped, final = pruned(Pruning(sparsity={Own: 0.5}), model)
    own = final.get_layer("own")
    assert type(own) is Own
    assert zeros(own.table.numpy()) == 24  # of 8 * 6
    assert zeros(own.norm.gamma.numpy()) == 0


@pytest.mark.parametrize("technique", [Pruning(sparsity=0.5), Clustering(clusters=4)])
def test_a_graph_with_operations(technique: Any) -> None:
    """An operation such as keras.ops.transpose is no layer: it has not even a list of weights."""
    inputs = keras.Input((4, 4))
    turned = keras.ops.transpose(keras.layers.Dense(4)(inputs), (0, 2, 1))
    model = keras.Model(inputs, keras.layers.Dense(2)(turned))
    report = technique.report(technique.prepare(model))
    assert [one.layer for one in report.layers if one.reason == NO_WEIGHTS]


def test_mixed_precision_is_kept_and_told() -> None:
    model = small_model(keras.layers.Dense(6, name="half", dtype="mixed_float16"))
    technique = Pruning(sparsity=0.5)
    wrapped, final = pruned(technique, model)
    assert final.get_layer("half").compute_dtype == "float16"
    assert zeros(kernels(final)["half"]) == 24
    assert technique.report(wrapped).of("half").reason == "trained in float32"
    wrapped.fit(X, Y, verbose=0)
    assert zeros(kernels(technique.finalize(wrapped))["half"]) == 24


@pytest.mark.parametrize(
    "settings", [{"steps_per_execution": 4}, {"run_eagerly": True}], ids=["at-once", "eagerly"]
)
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_ways_to_run_a_step(settings: dict[str, Any], scope: Any) -> None:
    model = dense_model()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), **settings)
    _, final = pruned(Pruning(sparsity=0.5, scope=scope), model)
    assert sum(zeros(kernel) for kernel in kernels(final).values()) == 88


def test_inside_another_model() -> None:
    technique = Pruning(sparsity=0.5)
    wrapped = technique.prepare(tf_keras_model())

    class Around(tf_keras().Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.student = wrapped

        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.student(inputs, training=training)

    around = Around()
    compile_classifier(around, tf_keras())
    around.fit(X, Y, epochs=2, verbose=0, callbacks=technique.callbacks())
    assert [zeros(kernel) for kernel in kernels(technique.finalize(wrapped)).values()] == [64, 24]


def test_a_threshold_that_begins_later_keeps_its_sparsity() -> None:
    model = dense_model()
    original = kernels(model)["hidden"]
    technique = Pruning(threshold=0.2, schedule="constant", begin=0.5)
    wrapped = technique.prepare(model)
    assert zeros(wrapped.trainable_weights[0].numpy()) == 0
    wrapped.fit(X, Y, epochs=2, batch_size=16, verbose=0)
    expected = np.count_nonzero(np.abs(original) < 0.2)
    assert zeros(kernels(technique.finalize(wrapped))["hidden"]) == expected


def test_outputs_keep_their_names() -> None:
    inputs = keras.Input((FEATURES,))
    outputs = {name: keras.layers.Dense(2, name=name)(inputs) for name in ("one", "two")}
    model = keras.Model(inputs, outputs)
    model.compile("adam", {"one": "mse", "two": "mae"}, metrics={"two": ["mse"]})
    technique = Pruning(sparsity=0.5)
    wrapped = technique.prepare(model)
    labels = {"one": np.zeros((len(X), 2)), "two": np.ones((len(X), 2))}
    history = wrapped.fit(X, labels, verbose=0).history
    assert {"one_loss", "two_loss", "two_mse"} <= set(history)
    final = technique.finalize(wrapped)
    assert set(final.predict(X, verbose=0)) == {"one", "two"}


def test_one_technique_serves_many_models() -> None:
    technique = Pruning(sparsity=0.5)
    first, second = technique.prepare(dense_model()), technique.prepare(tf_keras_model())
    first.fit(X, Y, verbose=0)
    second.fit(X, Y, epochs=2, verbose=0)
    assert isinstance(technique.finalize(first), keras.Model)
    assert isinstance(technique.finalize(second), tf_keras().Model)


def test_callbacks_given_by_hand_are_not_doubled() -> None:
    technique = Pruning(sparsity=0.5)
    wrapped, final = pruned(technique, dense_model(), callbacks=technique.callbacks())
    assert [zeros(kernel) for kernel in kernels(final).values()] == [64, 24]


def test_a_second_fit_goes_on_and_holds() -> None:
    technique = Pruning(sparsity=0.5)
    wrapped = technique.prepare(dense_model())
    wrapped.fit(X, Y, verbose=0)
    masks = [kernel != 0 for kernel in kernels(technique.finalize(wrapped)).values()]
    wrapped.fit(X, Y, epochs=2, verbose=0)
    for mask, kernel in zip(masks, kernels(technique.finalize(wrapped)).values(), strict=True):
        np.testing.assert_array_equal(kernel != 0, mask)


def test_one_training_in_several_fits() -> None:
    technique = Pruning(sparsity=0.5, end=1.0, frequency=1, training_steps=8)
    wrapped = technique.prepare(dense_model())
    seen = []
    for _ in range(2):
        wrapped.fit(X, Y, batch_size=16, verbose=0)
        seen.append(technique.report(wrapped).of("hidden").measures["sparsity"])
    # After step 4 of 8, and at the end: .5 - .5 * (1 - 3 / 7) ** 3.
    assert seen == pytest.approx([0.5 - 0.5 * (4 / 7) ** 3, 0.5], abs=0.5 / 128)


def test_initial_epoch_shortens_the_training() -> None:
    technique = Pruning(sparsity=0.5)
    wrapped = technique.prepare(dense_model())
    wrapped.fit(X, Y, initial_epoch=3, epochs=5, batch_size=16, verbose=0)
    assert state_of(wrapped, technique).steps == 2 * 4


def test_an_early_end_is_told() -> None:
    technique = Pruning(sparsity=0.5, end=1.0)
    wrapped = technique.prepare(dense_model())
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(wrapped, "stop_training", True)
    )
    wrapped.fit(X, Y, epochs=5, batch_size=16, verbose=0, callbacks=[stop])
    with pytest.warns(UserWarning, match="ended at step 4, but .* target at step 20"):
        technique.finalize(wrapped)


def test_a_loop_of_ones_own() -> None:
    technique = Pruning(sparsity=0.5, training_steps=6)
    wrapped = technique.prepare(dense_model())
    (callback,) = technique.callbacks()
    callback.set_model(wrapped)
    callback.on_train_begin()
    for epoch in range(3):
        callback.on_epoch_begin(epoch)
        for batch in range(2):
            callback.on_train_batch_begin(batch)
            wrapped.train_on_batch(X[:32], Y[:32])
        callback.on_epoch_end(epoch)
    assert [zeros(kernel) for kernel in kernels(technique.finalize(wrapped)).values()] == [64, 24]


def test_saved_while_wrapped_it_is_read_by_the_original(tmp_path: Any) -> None:
    technique = Pruning(sparsity=0.5)
    wrapped = technique.prepare(tf_keras_model())
    wrapped.fit(X, Y, verbose=0)
    path = tmp_path / "wrapped.keras"
    wrapped.save(path)
    with model_optimization().sparsity.keras.prune_scope():
        loaded = tf_keras().models.load_model(path)
    np.testing.assert_allclose(
        loaded.predict(X, verbose=0), wrapped.predict(X, verbose=0), atol=1e-6
    )


# Bad input: a clear error, before any training.


def test_a_dataset_of_unknown_length_is_refused_before_training() -> None:
    technique = Pruning(sparsity=0.5)
    wrapped = technique.prepare(dense_model())
    before = [weight.copy() for weight in wrapped.get_weights()]

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield X[:16], Y[:16]

    with pytest.raises(UsageError, match="how many steps .* steps_per_epoch"):
        wrapped.fit(batches(), verbose=0)
    after = wrapped.get_weights()
    for one, other in zip(before, after, strict=True):
        if one.dtype.kind == "f":
            np.testing.assert_array_equal(one, other)


def test_finalize_before_fit_is_refused() -> None:
    technique = Pruning(sparsity=0.5)
    with pytest.raises(UsageError, match=r"not trained after prepare.*wrapped.fit.*tg.prune"):
        technique.finalize(technique.prepare(dense_model()))


def test_a_model_that_was_not_prepared_is_refused() -> None:
    for method in (Pruning(sparsity=0.5).finalize, Pruning(sparsity=0.5).report):
        with pytest.raises(UsageError, match="not prepared by this Pruning"):
            method(dense_model())


def test_a_wrapped_model_is_refused() -> None:
    technique = Pruning(sparsity=0.5)
    with pytest.raises(UsageError, match="is a PruneLowMagnitude already"):
        technique.prepare(technique.prepare(dense_model()))


def test_unknown_layers_are_refused_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="Unknown layer 'hiden'. Did you mean 'hidden'"):
        Pruning(sparsity={"hiden": 0.5}).prepare(dense_model())
    with pytest.raises(UnknownNameError, match="Did you mean 'head'"):
        Pruning(sparsity=0.5, skip="heads").prepare(dense_model())


def test_a_named_layer_without_kernels_is_refused() -> None:
    with pytest.raises(UsageError, match="Layer 'norm' .* cannot be pruned: normalization"):
        Pruning(sparsity={"norm": 0.5}).prepare(dense_model())


def test_a_model_without_kernels_is_refused() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    with pytest.raises(UnsupportedModelError, match="No layer of the model can be pruned"):
        Pruning(sparsity=0.5).prepare(model)


@pytest.mark.parametrize(("model", "message"), models_without_a_graph())
def test_models_without_a_graph_are_refused(model: Any, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        Pruning(sparsity=0.5).prepare(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "received none of them; expected exactly one of sparsity, threshold and pattern"),
        ({"sparsity": 0.5, "threshold": 0.1}, "received sparsity and threshold"),
        ({"sparsity": 1.0}, "sparsity received 1.0.*1 would leave no weight at all"),
        ({"sparsity": 1}, "1 would leave no weight"),
        ({"sparsity": -0.1}, "from 0 to below 1"),
        ({"sparsity": float("nan")}, "from 0 to below 1"),
        ({"sparsity": True}, "from 0 to below 1"),
        ({"sparsity": "0.5"}, "received '0.5'"),
        ({"sparsity": {}}, "empty mapping"),
        ({"sparsity": {"head": 1.5}}, "received 1.5"),
        ({"sparsity": {3: 0.5}}, "received 3 as a layer"),
        ({"threshold": -1e-3}, "expected a number from 0 on"),
        ({"threshold": 1.0, "threshold_unit": "quantile"}, "from 0 to below 1 .quantile"),
        ({"threshold": 1.0, "threshold_unit": "sigma"}, "Unknown threshold unit 'sigma'"),
        ({"sparsity": 0.5, "threshold_unit": "quantile"}, "threshold_unit without a threshold"),
        ({"sparsity": 0.5, "begin": 0.8, "end": 0.2}, "begin=0.8 and end=0.2; expected begin"),
        ({"sparsity": 0.5, "begin": 0.5, "end": 0.5}, "expected begin before end"),
        ({"sparsity": 0.5, "end": 100}, "end received 100; expected a share of training"),
        ({"sparsity": 0.5, "frequency": 0}, "frequency received 0"),
        ({"sparsity": 0.5, "training_steps": 0.5}, "training_steps received 0.5"),
        ({"sparsity": 0.5, "schedule": "cubic"}, "Unknown schedule 'cubic'"),
        ({"sparsity": 0.5, "initial_sparsity": 0.6}, "initial_sparsity received 0.6"),
        (
            {"sparsity": 0.5, "schedule": "constant", "initial_sparsity": 0.1},
            "no meaning with the constant",
        ),
        ({"sparsity": 0.5, "scope": "model"}, "Unknown scope 'model'"),
        ({"threshold": 0.5, "scope": "global"}, "scope='global', which ranks"),
        ({"sparsity": {"head": 0.5}, "scope": "global"}, "Give a number as sparsity"),
        ({"pattern": "4:2"}, "pattern received '4:2'"),
        ({"pattern": 24}, "pattern received 24"),
        ({"pattern": "2:4", "begin": 0.5}, "received begin and a pattern"),
        ({"pattern": "2:4", "schedule": "constant"}, "leave schedule out"),
        ({"sparsity": 0.5, "block_size": (0, 4)}, "block_size received"),
        ({"sparsity": 0.5, "block_size": (4,)}, "block_size received"),
        ({"sparsity": 0.5, "block_size": 4}, r"block_size received \(4,\)"),
        ({"pattern": "2:4", "block_size": (4, 1)}, "Blocks are pruned to a sparsity"),
        ({"sparsity": 0.5, "block_pooling": "sum"}, "Unknown block pooling"),
        ({"sparsity": 0.5, "schedule": object()}, "which has its own sparsity"),
        ({"schedule": object()}, "schedule received <object .* or a schedule object"),
        ({"schedule": STEPS, "begin": 0.5}, "received begin and a schedule object"),
        ({"threshold": 0.1, "end": 0.5}, "received end and a threshold that takes effect at once"),
        ({"threshold": "a", "threshold_unit": "quantile"}, "received 'a'; expected a share"),
        ({"sparsity": 0.5, "skip": [None]}, "skip received None as a layer"),
    ],
)
def test_options_are_checked_when_built(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Pruning(**options)


def test_numbers_of_numpy_are_taken() -> None:
    given = Pruning(sparsity={"head": np.float32(0.5)}, frequency=np.int64(10))
    assert given == Pruning(sparsity={"head": 0.5}, frequency=10)
    assert Pruning(sparsity=np.float32(0.5), block_size=(np.int64(4), 1)).block_size == (4, 1)


def test_options_are_frozen() -> None:
    targets = {"head": 0.5}
    technique = Pruning(sparsity=targets)
    targets["head"] = 2.0
    assert technique == Pruning(sparsity={"head": 0.5})
    with pytest.raises(dataclasses.FrozenInstanceError):
        technique.begin = 0.5  # type: ignore[misc]


def small_model(layer: Any) -> Any:
    keras.utils.set_random_seed(7)
    inputs = keras.Input((FEATURES,))
    head = keras.layers.Dense(CLASSES, name="head", dtype="float32")
    model = keras.Model(inputs, head(layer(inputs)))
    compile_classifier(model, keras)
    return model


def conv_model() -> Any:
    keras.utils.set_random_seed(7)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            layers.Conv2D(8, 3, name="conv"),
            layers.DepthwiseConv2D(2, name="depthwise"),
            layers.SeparableConv2D(4, 2, name="separable"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="head"),
        ]
    )
    model.compile("adam", "mse")
    return model


def unusual_model(kind: str) -> tuple[Any, np.ndarray]:
    keras.utils.set_random_seed(7)
    layers = keras.layers
    x = np.random.default_rng(0).normal(size=(16, 6, 8)).astype("float32")
    inputs = keras.Input((6, 8))
    if kind == "bidirectional":
        features = layers.Bidirectional(layers.GRU(4))(inputs)
    elif kind == "attention":
        attended = layers.MultiHeadAttention(2, 4)(inputs, inputs)
        features = layers.Flatten()(layers.LayerNormalization()(attended))
    elif kind == "masked":
        x = np.random.default_rng(0).integers(0, 5, size=(16, 6))
        inputs = keras.Input((6,), dtype="int32")
        features = layers.LSTM(4)(layers.Embedding(5, 4, mask_zero=True)(inputs))
    elif kind == "einsum":
        features = layers.Flatten()(
            layers.EinsumDense("btf,fg->btg", (6, 4), bias_axes="g")(inputs)
        )
    else:
        features = layers.Flatten()(layers.TimeDistributed(layers.Dense(4))(inputs))
    model = keras.Model(inputs, layers.Dense(2)(features))
    model.compile("adam", "mse")
    return model, x
