"""Distillation as a technique: alone, and together with pruning and rounding in one fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfgreen as tg
from tests.compression.distillation_models import FLAVOURS, bits, crossentropy, net, package
from tests.compression.models import data, fingerprint, kernels, zeros

X, Y = data()


def student(flavour: str = "keras3", end: str | None = None) -> Any:
    model = net(8, flavour, end)
    model.compile(
        package(flavour).optimizers.Adam(0.01),
        crossentropy(flavour, from_logits=end is None),
        metrics=["accuracy"],
    )
    return model


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_alone(flavour: str) -> None:
    model, teacher = student(flavour), net(32)
    before, teachers = fingerprint(model), bits(teacher)
    technique = tg.Distillation(teacher=teacher, alpha=0.5)
    wrapped = technique.prepare(model)
    assert isinstance(wrapped, package(flavour).Model)
    assert float(np.asarray(wrapped.optimizer.learning_rate)) == pytest.approx(0.01)
    wrapped.fit(X, Y, epochs=2, verbose=0, callbacks=technique.callbacks())
    trained = technique.finalize(wrapped)
    assert fingerprint(model) == before and bits(teacher) == teachers
    assert isinstance(trained, package(flavour).Sequential)
    assert not isinstance(trained, tg.Distiller)
    assert [w.shape for w in trained.get_weights()] == [w.shape for w in model.get_weights()]
    assert not np.array_equal(trained.get_weights()[0], model.get_weights()[0])
    found = wrapped.evaluate(X, Y, verbose=0, return_dict=True)
    loss, accuracy = trained.evaluate(X, Y, verbose=0)
    assert found["student_loss"] == pytest.approx(loss, rel=1e-5)
    assert found["accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_with_pruning(flavour: str) -> None:
    model = student(flavour)
    before = fingerprint(model)
    pruning = tg.Pruning(sparsity=0.5)
    distillation = tg.Distillation(teacher=net(32), features={"hidden": "hidden"})
    wrapped = distillation.prepare(pruning.prepare(model))
    history = wrapped.fit(X, Y, epochs=4, verbose=0, callbacks=[stop_early()]).history
    assert history["feature_loss"][-1] < history["feature_loss"][0]
    pruned = distillation.finalize(wrapped)
    sparse = pruning.finalize(pruned)
    assert fingerprint(model) == before
    assert isinstance(sparse, package(flavour).Model)
    for kernel in kernels(sparse).values():
        assert zeros(kernel) == pytest.approx(kernel.size / 2, abs=1)
    np.testing.assert_allclose(wrapped.predict(X, verbose=0), sparse(X), atol=1e-5)


def stop_early() -> Any:
    return keras.callbacks.EarlyStopping("loss", patience=9)


@pytest.mark.parametrize("calibrates_before", [True, False])
def test_with_rounding(calibrates_before: bool, tmp_path: Path) -> None:
    model = student(end="softmax")
    rounding = tg.QuantizationAwareTraining(freeze_batch_norm_after=0.5)
    distillation = tg.Distillation(teacher=net(32), features={"hidden": "hidden"})
    prepared = rounding.prepare(model, calibration=X if calibrates_before else None)
    wrapped = distillation.prepare(prepared)
    wrapped.fit(X, Y, epochs=4, verbose=0)
    assert not any(
        layer.trainable for layer in prepared.layers if "BatchNormalization" in type(layer).__name__
    )
    said = wrapped.predict(X, verbose=0)
    trained = rounding.finalize(distillation.finalize(wrapped))
    source = "calibration data" if calibrates_before else "first samples of fit"
    assert any(source in note for note in rounding.report(trained).notes)
    np.testing.assert_allclose(trained(X), said, atol=4 / 256)
    assert bool(tg.export(trained, X).certificate.verdict == "passed")


def test_rounding_learns_from_its_own_average() -> None:
    rounding = tg.QuantizationAwareTraining()
    distillation = tg.Distillation(teacher=[net(32), tg.MovingAverage(0.9)])
    wrapped = distillation.prepare(rounding.prepare(student(end="softmax"), calibration=X))
    wrapped.fit(X, Y, epochs=1, verbose=0)
    rounding.finalize(distillation.finalize(wrapped))


def test_one_technique_serves_many_models() -> None:
    technique = tg.Distillation(teacher=net(32))
    first, second = technique.prepare(student()), technique.prepare(student())
    first.fit(X, Y, verbose=0)
    technique.finalize(first)
    technique.finalize(second)
    with pytest.raises(tg.UsageError, match="was not prepared by this Distillation"):
        technique.finalize(student())
    with pytest.raises(tg.UsageError, match="was not prepared by this Distillation"):
        tg.Distillation(teacher=net(16)).report(first)
    with pytest.raises(tg.UsageError, match="is a distiller already"):
        technique.prepare(first)


def test_an_uncompiled_model_stays_uncompiled() -> None:
    wrapped = tg.Distillation(teacher=net(32)).prepare(net(8))
    assert not wrapped.compiled
    wrapped.compile("adam", crossentropy("keras3"))
    wrapped.fit(X, Y, verbose=0)


def test_names_of_teachers() -> None:
    technique = tg.Distillation(teacher="large", alpha=0.2)
    with pytest.raises(tg.UsageError, match="with_teachers"):
        technique.prepare(student())
    teacher = net(32)
    resolved = technique.with_teachers({"large": teacher})
    assert resolved.teacher is teacher and resolved.alpha == 0.2
    with pytest.raises(tg.UnknownNameError, match="Unknown teacher 'large'. .*Known: larger"):
        technique.with_teachers({"larger": teacher})


def test_options_are_checked_when_it_is_built() -> None:
    for options, message in (
        ({"teacher": None}, "no teacher"),
        ({"teacher": "a", "temperature": -1}, "temperature received -1"),
        ({"teacher": "a", "alpha": (0, 1, 2)}, "alpha received"),
        ({"teacher": "a", "features": ["hidden"]}, "features received"),
        ({"teacher": ["a", "b"], "teacher_weights": [1]}, "expected 2 numbers"),
        ({"teacher": "a", "scale_by_temperature": 1}, "expected True or False"),
    ):
        with pytest.raises(tg.UsageError, match=message):
            tg.Distillation(**options)  # type: ignore[arg-type]


def test_report(tmp_path: Path) -> None:
    technique = tg.Distillation(
        teacher=net(32), features={"hidden": "hidden"}, alpha=(0.5, 0.1), cache=tmp_path
    )
    wrapped = technique.prepare(student())
    assert "not trained" in technique.report(wrapped).notes[-1]
    wrapped.fit(X, Y, epochs=3, verbose=0)
    report = technique.report(wrapped)
    hint = report.of("hidden")
    assert hint.action == "distilled" and hint.measures == {"width": 8.0, "teacher_width": 32.0}
    assert "learned projection" in hint.reason
    text = str(report)
    for part in ("515 weights", "alpha 0.5 → 0.1, temperature 2", "categorical: logits", "saved"):
        assert part in text


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_finalized_rounding_is_refused_and_left_alone(flavour: str, tmp_path: Path) -> None:
    rounding = tg.QuantizationAwareTraining()
    trained = rounding.finalize(rounding.prepare(student(flavour, "softmax"), calibration=X))
    trained.save(tmp_path / "rounded.keras")
    before = fingerprint(trained)
    for model in (trained, tg.load_model(tmp_path / "rounded.keras")):
        with pytest.raises(tg.UsageError, match="was finalized by QuantizationAwareTraining"):
            tg.Distillation(teacher=net(32)).prepare(model)
    assert fingerprint(trained) == before


def test_pruned_rounded_and_distilled_in_one_fit() -> None:
    model = student(end="softmax")
    pruning = tg.Pruning(sparsity=0.5)
    sparse = pruning.prepare(model)
    sparse.fit(X, Y, epochs=3, verbose=0)
    rounding = tg.QuantizationAwareTraining(preserve_sparsity=True)
    distillation = tg.Distillation(teacher=net(32), features={"hidden": "hidden"})
    wrapped = distillation.prepare(rounding.prepare(sparse, calibration=X))
    history = wrapped.fit(X, Y, epochs=4, verbose=0).history
    assert history["distillation_loss"][-1] < history["distillation_loss"][0]
    trained = rounding.finalize(distillation.finalize(wrapped))
    for kernel in kernels(trained).values():
        assert zeros(kernel) >= kernel.size // 2
    certificate = tg.export(trained, X).certificate
    assert certificate.verdict == "passed"


@pytest.mark.parametrize("technique", [tg.Pruning(sparsity=0.5), tg.Clustering(clusters=4)])
def test_a_prepared_student_learns_from_its_own_average(technique: Any) -> None:
    distillation = tg.Distillation(teacher=[net(32), tg.MovingAverage(0.5)])
    wrapped = distillation.prepare(technique.prepare(student()))
    start = {weight.name: np.array(weight) for weight in wrapped.student.weights}
    wrapped.fit(X, Y, batch_size=len(X), verbose=0)
    average = wrapped.averages[0]
    decay = 2 / 11
    ends = {weight.name: np.array(weight) for weight in wrapped.student.weights}
    moved = [w for w in average.weights if w.dtype.is_floating and w.name in ends]
    assert len(moved) >= 6
    for weight in moved:
        expected = decay * start[weight.name] + (1 - decay) * ends[weight.name]
        np.testing.assert_allclose(weight, expected, atol=1e-6, err_msg=weight.name)
    technique.finalize(distillation.finalize(wrapped))
