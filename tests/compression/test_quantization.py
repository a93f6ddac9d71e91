"""Quantization-aware training: each layer told, ranges from data, the given model left alone."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfgreen as tg
from tests.compression.models import fingerprint, models_without_a_graph
from tests.compression.quantization_models import MODELS, compiled, samples_of
from tfgreen.compression.quantization.quantization import QuantizationAwareTraining
from tfgreen.errors import (
    InvalidDataError,
    UnknownNameError,
    UnsupportedModelError,
    UsageError,
)
from tfgreen.models.identification import identify
from tfgreen.models.keras2 import is_model


def flat(outputs: Any) -> list[np.ndarray]:
    return outputs if isinstance(outputs, list) else [outputs]


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_is_told_and_the_first_step_starts_from_the_float_model(name: str) -> None:
    model = compiled(name)
    x, y = samples_of(model)
    before = fingerprint(model)
    training = QuantizationAwareTraining()
    wrapped = training.prepare(model, calibration=x)
    assert is_model(wrapped)
    expected, received = flat(model.predict(x, verbose=0)), flat(wrapped.predict(x, verbose=0))
    for ours, theirs in zip(expected, received, strict=True):
        assert np.abs(ours - theirs).max() < 0.2 * np.abs(ours).max()
    report = training.report(wrapped)
    weighted = {one.layer for one in report.layers if one.kind in ("Conv2D", "Dense", "Conv1D")}
    assert weighted <= {one.layer for one in report.with_action("quantized")}
    assert all(one.reason for one in report.layers)
    assert wrapped.output_names == list(model.output_names)
    assert fingerprint(model) == before


def test_recurrent_layers_are_left_to_the_export() -> None:
    training = QuantizationAwareTraining()
    report = training.report(training.prepare(compiled("recurrent")))
    assert report.of("lstm").reason == "recurrent: quantized after training, from data"
    assert report.of("conv1d").action == "quantized"


def test_training_and_the_file_on_disk(tmp_path: Path) -> None:
    model = compiled("ds_cnn")
    x, y = samples_of(model)
    training = QuantizationAwareTraining()
    wrapped = training.prepare(model)
    losses = wrapped.fit(x, y, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    note = "Ranges were set from the first samples of fit (96 samples)."
    assert note in training.report(wrapped).notes
    norms = [one for one in wrapped.layers if type(one).__name__ == "BatchNormalization"]
    assert not any(norm.trainable for norm in norms)
    trained = training.finalize(wrapped)
    expected = trained.predict(x, verbose=0)
    # The steps of the weights follow the last update.
    assert np.abs(wrapped.predict(x, verbose=0) - expected).max() < 0.05
    for path in (tmp_path / "trained.keras", tmp_path / "trained.h5"):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You are saving your model as an HDF5", UserWarning)
            trained.save(path)
        np.testing.assert_array_equal(tg.load_model(path).predict(x, verbose=0), expected)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_with_activations_of_keras_3_are_read_back_anywhere(
    tmp_path: Path, suffix: str
) -> None:
    model = compiled("squeeze_excite")
    x, _ = samples_of(model)
    training = QuantizationAwareTraining()
    trained = training.finalize(training.prepare(model, calibration=x))
    assert "Keras3Activation" in {type(layer).__name__ for layer in trained.layers}
    path = tmp_path / f"trained{suffix}"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are saving your model as an HDF5", UserWarning)
        trained.save(path)
    assert identify(path).unsafe == ()
    loaded = tg.load_model(path)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), trained.predict(x, verbose=0))


def planted(clusters: int = 0) -> Any:
    """dense_norm, its first kernels half zero or of few values."""
    model = compiled("dense_norm")
    for layer in model.layers:
        if type(layer).__name__ != "Dense":
            continue
        kernel = np.asarray(layer.kernel)
        if clusters:
            values = np.linspace(kernel.min(), kernel.max(), clusters)
            kernel = values[np.abs(kernel[..., None] - values).argmin(-1)]
        layer.kernel.assign(np.where(np.abs(kernel) < 0.15, 0, kernel))
    return model


@pytest.mark.parametrize("clusters", [0, 8])
def test_zeros_and_clusters_survive_training(clusters: int) -> None:
    model = planted(clusters)
    x, y = samples_of(model)
    keeps = {"preserve_sparsity": True, "preserve_clusters": bool(clusters)}
    training = QuantizationAwareTraining(**keeps)
    wrapped = training.prepare(model, calibration=x)
    wrapped.fit(x, y, epochs=3, verbose=0)
    trained = training.finalize(wrapped)
    for before in (one for one in model.layers if type(one).__name__ == "Dense"):
        given = np.asarray(before.kernel)
        after = trained.get_layer(before.name).kernels[0][0].numpy()
        if before.name == "y":  # BatchNormalization is folded into the others
            assert not np.array_equal(given, after)
            if clusters:
                assert len(np.unique(after)) <= len(np.unique(given))
        assert (after[given == 0] == 0).all()
    measures = training.report(wrapped).of("y").measures
    assert measures["sparsity"] >= float(np.mean(np.asarray(model.get_layer("y").kernel) == 0))
    assert ("clusters" in measures) == bool(clusters)


def test_what_training_undoes_is_told() -> None:
    model = planted(clusters=6)
    plain = QuantizationAwareTraining()
    told = plain.report(plain.prepare(model)).notes
    assert (
        "Zeros are trained away in dense, dense_1, y: preserve_sparsity=True would keep them."
        in told
    )
    assert any(
        note.startswith("Shared values are trained apart in dense, dense_1, y") for note in told
    )
    keeping = QuantizationAwareTraining(preserve_sparsity=True, preserve_clusters=True)
    assert not any("trained" in note for note in keeping.report(keeping.prepare(model)).notes)


def test_weights_of_few_bits_by_layer() -> None:
    model = compiled("dense_norm")
    training = QuantizationAwareTraining(weight_bits={"y": 4})
    wrapped = training.prepare(model, calibration=samples_of(model)[0])
    report = training.report(wrapped)
    assert report.of("y").measures["weight_bits"] == 4
    assert report.of("dense").measures["weight_bits"] == 8
    ((kernel, quantizer, variables),) = wrapped.get_layer("y").kernels
    rounded = quantizer(kernel, False, weights=variables).numpy()
    assert max(len(np.unique(channel)) for channel in rounded.T) <= 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_bits": 2}, "weight_bits received 2; expected 4 to 8. No runtime"),
        ({"weight_bits": 3}, "weight_bits received 3; expected 4 to 8"),
        ({"weight_bits": {}}, "weight_bits received .*expected 4 to 8, or that by layer"),
        ({"weight_bits": {"y": True}}, "weight_bits received True"),
        ({"activation_bits": 4}, "activation_bits received 4; expected 8 or 16"),
        ({"weight_steps": "tensor"}, "weight_steps received 'tensor'"),
        ({"freeze_batch_norm_after": 1.5}, "freeze_batch_norm_after received 1.5"),
        ({"calibrate": 1}, "calibrate received 1; expected True or False"),
        ({"activation_bits": 8.0}, "activation_bits received 8.0; expected 8 or 16"),
        ({"skip": [3]}, "skip received 3 as a layer"),
        ({"skip": None}, "skip received None as a layer"),
        ({"only": ()}, r"only received \(\); expected one layer or more"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        QuantizationAwareTraining(**options)


def test_numbers_of_numpy_are_taken() -> None:
    given = QuantizationAwareTraining(
        activation_bits=np.int64(16),  # type: ignore[arg-type]
        weight_bits={"y": np.int64(4)},
        freeze_batch_norm_after=np.float32(0.5),
    )
    expected = QuantizationAwareTraining(activation_bits=16, weight_bits={"y": 4})
    assert given == expected


@pytest.mark.parametrize(
    ("model", "way_out"),
    [
        ("a.keras", "load it first, with tfgreen.load_model('a.keras')"),
        (compiled, "call it, and hand over the model that it returns"),
        (None, "expected a model of Keras 3 or tf_keras."),
    ],
)
@pytest.mark.parametrize(
    "technique", [QuantizationAwareTraining(), tg.Pruning(sparsity=0.5), tg.Clustering()]
)
def test_what_is_no_model_is_refused(technique: Any, model: Any, way_out: str) -> None:
    with pytest.raises(UnsupportedModelError, match=re.escape(way_out)):
        technique.prepare(model)


@pytest.mark.parametrize(
    ("steps_at_once", "options", "frozen"),
    [
        (1, {}, [False, False, True, True]),
        (4, {}, [False, False, True, True]),
        (1, {"initial_epoch": 2}, [False, True]),
    ],
)
def test_normalization_stands_still_after_half_of_the_training(
    steps_at_once: int, options: dict[str, Any], frozen: list[bool]
) -> None:
    model = compiled("ds_cnn")
    x, y = samples_of(model)
    model.compile(model.optimizer, model.loss, steps_per_execution=steps_at_once)
    wrapped = QuantizationAwareTraining().prepare(model, calibration=x)
    (norm, *_) = [one for one in wrapped.layers if type(one).__name__ == "BatchNormalization"]
    seen: list[bool] = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(not norm.trainable)
    )
    wrapped.fit(x, y, batch_size=4, epochs=4, callbacks=[note], verbose=0, **options)
    assert seen == frozen


@pytest.mark.parametrize(("build", "message"), models_without_a_graph())
def test_models_without_a_graph_are_refused(build: Any, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        QuantizationAwareTraining().prepare(build)


def test_wrong_use_is_told_before_any_training() -> None:
    model = compiled("dense_norm")
    training = QuantizationAwareTraining()
    with pytest.raises(UnknownNameError, match="Unknown layer 'nope'"):
        QuantizationAwareTraining(skip="nope").prepare(model)
    with pytest.raises(UnsupportedModelError, match="Nothing in .* is left to be rounded"):
        QuantizationAwareTraining(skip="re:.*").prepare(model)
    with pytest.raises(InvalidDataError, match=r"expected \(n, 12\)"):
        training.prepare(model, calibration=np.zeros((4, 3), np.float32))
    wrapped = training.prepare(model)
    with pytest.raises(UsageError, match="ranges were never set"):
        training.finalize(wrapped)
    with pytest.raises(UsageError, match="was not prepared by this"):
        training.finalize(model)
    with pytest.raises(UsageError, match="Quantization-aware training comes last, and once"):
        training.prepare(wrapped)
    pruned = tg.Pruning(sparsity=0.5).prepare(model)
    with pytest.raises(UsageError, match="preserve_sparsity=True"):
        training.prepare(pruned)
    with pytest.raises(UsageError, match="was not trained after prepare"):
        QuantizationAwareTraining(preserve_sparsity=True).prepare(pruned)


def test_techniques_in_a_row_are_finalized_in_reverse() -> None:
    model = compiled("dense_norm")
    x, y = samples_of(model)
    clustering = tg.Clustering(clusters=6, preserve_sparsity=True)
    techniques = [
        tg.Pruning(threshold=0.2),
        clustering,
        QuantizationAwareTraining(preserve_sparsity=True, preserve_clusters=True),
    ]
    wrapped = techniques[0].finalize(techniques[0].prepare(model))
    for technique in techniques[1:]:
        wrapped = technique.prepare(wrapped, calibration=x)
    wrapped.fit(x, y, epochs=2, verbose=0)
    for technique in reversed(techniques[1:]):
        wrapped = technique.finalize(wrapped)
    kernel = wrapped.get_layer("y").kernels[0][0].numpy()
    assert len(np.unique(kernel)) <= 6
    assert np.mean(kernel == 0) >= np.mean(np.abs(model.get_layer("y").kernel) < 0.2) - 1e-6
    assert clustering.report(wrapped).of("y").action == "clustered"
