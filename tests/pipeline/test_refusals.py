"""What `compress` refuses, with a sentence, and before it costs hours."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfgreen as tg
from tests.pipeline.conftest import Run, X, Y
from tests.tiny_models import int8_classifier
from tfgreen.pipeline import compress_to

PRUNE = tg.Stage([tg.Pruning(sparsity=0.5)], epochs=2, batch_size=16)

pytestmark = pytest.mark.usefixtures("made_up_exports")


def test_teachers_are_the_recipes(run: Run) -> None:
    recipe = tg.Recipe([tg.Stage([tg.Distillation(teacher="large")])])
    with pytest.raises(tg.UsageError, match="has a teacher 'large'.*--teacher large=MODEL"):
        run(recipe, teachers={})
    with pytest.raises(tg.UnknownNameError, match="Unknown teacher 'large'. Did you mean 'lage'"):
        run(recipe, teachers={"lage": None})
    with pytest.raises(tg.UsageError, match="teacher 'large', and the recipe 'recipe' has none"):
        run(tg.Recipe([PRUNE]), teachers={"large": None})
    with pytest.raises(tg.UnknownNameError, match="Did you mean 'large'"):
        run(recipe, teachers={"large": None, "lage": None})


def test_what_a_stage_cannot_do_is_refused(run: Run) -> None:
    with pytest.raises(tg.UsageError, match="has no labels"):
        run(tg.Recipe([PRUNE]), X)
    with pytest.raises(tg.UnknownNameError, match="Unknown strategy 'miror'"):
        run(tg.Recipe([PRUNE]), strategy="miror")


@pytest.mark.parametrize(
    ("labels", "loss", "told"),
    [
        (Y - 1, None, "reach from -1 to 1; expected class numbers from 0 to 2"),
        (
            Y + 3 * (np.arange(80) == 70),
            None,
            "reach from 0 to 3; expected class numbers from 0 to 2",
        ),
        (np.where(Y == 1, np.nan, Y), None, "hold 44 NaN or infinite values"),
        (Y, "mse", r"have the shape \(80,\) and the output has \(80, 3\), and the loss 'mse'"),
        (np.eye(4)[Y], None, r"have the shape \(80, 4\) and the output has \(80, 3\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    run: Run, labels: np.ndarray, loss: str | None, told: str
) -> None:
    with pytest.raises(tg.InvalidDataError, match=told):
        run(tg.Recipe([tg.Stage(loss=loss)]), (X, labels))


def test_labels_are_held_against_a_compiled_loss_too(
    models: tuple[Any, Any], tmp_path: Path
) -> None:
    import keras

    model = keras.models.clone_model(models[0])
    for loss in (
        "sparse_categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(),
        {"y": "sparse_categorical_crossentropy"},
    ):
        model.compile(loss=loss)
        with pytest.raises(tg.InvalidDataError, match="reach from -1 to 1; expected class"):
            tg.compress(model, tg.Recipe([PRUNE]), (X, Y - 1), cache=tmp_path)


def test_a_training_that_goes_astray_ends_at_once(run: Run, tmp_path: Path) -> None:
    stage = dataclasses.replace(PRUNE, learning_rate=1e30, epochs=50)
    told: list[str] = []

    def tell(step: str, done: int, of: int) -> None:
        told.append(step)

    said = "loss of stage 'prune' is NaN or infinite in epoch .*it is 1e[+]30"
    with pytest.raises(tg.UsageError, match=said):
        run(tg.Recipe([stage]), on_progress=tell)
    assert len(told) < 10
    assert not list((tmp_path / "cache").glob("*/model.keras"))


def test_a_loss_that_keras_does_not_know_is_refused(run: Run) -> None:
    with pytest.raises(tg.UsageError, match="loss 'msse', which Keras does not know"):
        run(tg.Recipe([tg.Stage(loss="msse")]))


def test_pipelines_without_epochs_are_refused(run: Run) -> None:
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(20)
    loss = "sparse_categorical_crossentropy"
    with pytest.raises(tg.InvalidDataError, match="a generator, which can be gone through only"):
        run(tg.Recipe([tg.Stage(loss=loss)]), (batch for batch in [(X, Y)]))
    with pytest.raises(tg.InvalidDataError, match="repeats forever"):
        run(tg.Recipe([tg.Stage(loss=loss)]), batches.repeat())
    with pytest.raises(tg.InvalidDataError, match="a list of 1; expected arrays"):
        run(tg.Recipe([tg.Stage(loss=loss)]), [(X, Y)])
    with pytest.raises(tg.UsageError, match=r"a pipeline, which has no labels. Give batches of"):
        run(tg.Recipe([tg.Stage(loss=loss)]), batches.map(lambda x, y: x))
    unknown = batches.filter(lambda x, y: True)
    falling = tg.Stage(loss=loss, learning_rate_schedule="cosine")
    with pytest.raises(tg.UsageError, match="moves its learning rate over all steps"):
        run(tg.Recipe([falling]), unknown)


def test_an_ending_that_cannot_be_is_refused_before_the_training(tmp_path: Path) -> None:
    recipe = tg.Recipe([tg.Stage([tg.QuantizationAwareTraining()])])
    with pytest.raises(tg.UsageError, match=r"is kept as \.h5, and the output is out\.keras"):
        compress_to(tmp_path / "out.keras", "missing.keras", recipe, (X, Y))


def test_models_that_cannot_be_trained_are_refused_at_once(
    models: tuple[Any, Any], tmp_path: Path
) -> None:
    import keras

    def refused(path: Path, recipe: tg.Recipe, **options: Any) -> str:
        told: list[str] = []
        with pytest.raises((tg.UnsafeModelError, tg.UnsupportedModelError)) as error:
            tg.compress(
                path, recipe, (X, Y), cache=tmp_path / "cache", **options,
                on_progress=lambda step, done, of: told.append(step),
            )  # fmt: skip
        assert told == []
        return str(error.value)

    graph, code = tmp_path / "a.tflite", tmp_path / "code.keras"
    graph.write_bytes(int8_classifier())
    assert refused(graph, tg.Recipe([PRUNE])).startswith(f"'{graph}' is a .tflite file")
    outputs = keras.layers.Lambda(lambda x: x * 2)(models[0].output)
    keras.Model(models[0].inputs, outputs).save(code)
    assert refused(code, tg.Recipe([PRUNE])).startswith(f"'{code}' would run code")
    distill = tg.Recipe([tg.Stage([tg.Distillation(teacher="large")])])
    sound = tmp_path / "sound.keras"
    models[0].save(sound)
    assert f"'{code}' would run code" in refused(sound, distill, teachers={"large": code})
