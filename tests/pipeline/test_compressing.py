"""Recipes are run: resumed to the same bytes, reused, shared, and refused where they cannot be."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfgreen as tg
from tests.pipeline.conftest import Run, X, Y
from tests.pipeline.small import THREE_STAGES, small_data, small_model
from tfgreen import writing
from tfgreen.bundle import Bundle
from tfgreen.pipeline import compress_to
from tfgreen.pipeline.compressing import Compression
from tfgreen.pipeline.given_model import GivenModel
from tfgreen.pipeline.planning import plan
from tfgreen.reporting.plan_text import plan_text
from tfgreen.training.optimizers import KINDS
from tfgreen.training.rate_callback import RateCallback
from tfgreen.training.schedules import cosine

HELD_BACK = small_data(30, seed=1)
PRUNE = tg.Stage([tg.Pruning(sparsity=0.5)], epochs=2, batch_size=16)


pytestmark = pytest.mark.usefixtures("made_up_exports")


class Interruptions:
    """Progress that is interrupted when it tells of an epoch for the first time."""

    def __init__(self, at: tuple[str, ...]) -> None:
        self.left = list(at)
        self.told: list[str] = []

    def __call__(self, step: str, done: int, of: int) -> None:
        self.told.append(step)
        if self.left and step.startswith(self.left[0]):
            self.left.pop(0)
            raise KeyboardInterrupt


def outcome(result: Compression) -> tuple[Any, ...]:
    curves = [stage.history for stage in result.record.stages]
    return [stage.model_sha256 for stage in result.record.stages], curves, result.content


def test_interrupted_in_every_stage_and_finished_to_the_same_bytes(
    run: Run, tmp_path: Path
) -> None:
    whole = run(THREE_STAGES, validation_data=HELD_BACK, cache=tmp_path / "other")
    at = (
        "prune: preparing", "prune: epoch 2", "prune: epoch 3", "cluster: epoch 1",
        "qat+distill: epoch 1",
    )  # fmt: skip
    watch = Interruptions(at)
    for _ in at:
        with pytest.raises(KeyboardInterrupt):
            run(THREE_STAGES, validation_data=HELD_BACK, on_progress=watch)
    result = run(THREE_STAGES, validation_data=HELD_BACK, on_progress=watch)
    assert outcome(result) == outcome(whole)
    # The epochs that were done are not done again; of the last one alone nothing is noted.
    assert [text[:14] for text in watch.told].count("prune: epoch 1") == 1
    assert [text[:14] for text in watch.told].count("prune: epoch 3") == 2
    spent = {entry.stage for entry in result.ledger.entries}
    assert spent == {stage.name for stage in THREE_STAGES.stages}
    assert not list((tmp_path / "cache").glob("*.unfinished"))
    assert not list((tmp_path / "cache").glob("*.ledger.json"))


def test_optimizers_and_schedules_are_those_of_fit(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    honest = RateCallback.on_train_batch_begin

    def watched(self: Any, batch: int, logs: Any = None) -> None:
        honest(self, batch, logs)
        rates.append(float(self.model.optimizer.learning_rate))
        assert type(self.model.optimizer).__name__ == "AdamW"
        assert self.model.optimizer.weight_decay == KINDS["adamw"].weight_decay

    monkeypatch.setattr(RateCallback, "on_train_batch_begin", watched)
    stage = tg.Stage(
        [tg.Pruning(sparsity=0.5)], epochs=3, batch_size=16, optimizer="adamw",
        learning_rate=0.01, learning_rate_schedule="cosine",
    )  # fmt: skip
    whole = run(tg.Recipe([stage]), cache=tmp_path / "other")
    steps = 3 * len(X) // 16
    expected = [0.01 * cosine(step / steps) for step in range(steps)]
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-9)
    rates.clear()
    with pytest.raises(KeyboardInterrupt):
        run(tg.Recipe([stage]), on_progress=Interruptions(("prune: epoch 2",)))
    assert outcome(run(tg.Recipe([stage]))) == outcome(whole)
    np.testing.assert_allclose(rates, [*expected[:10], *expected[10:]], rtol=1e-5, atol=1e-9)
    assert whole.record.stages[0].optimizer == "adamw, learning rate 0.01, cosine"


def test_a_second_run_trains_nothing_and_another_seed_everything(run: Run) -> None:
    recipe = tg.Recipe([PRUNE])
    first, again, other = run(recipe), run(recipe), run(recipe, seed=1)
    assert not any(step.reused for step in first.steps[:2])
    assert all(step.reused for step in again.steps)
    assert outcome(again) == outcome(first)
    assert again.record == first.record
    assert again.ledger.document == first.ledger.document
    assert [step.reused for step in other.steps] == [True, False, False]
    assert other.content != first.content


def test_what_differs_in_the_last_stage_shares_the_first(run: Run) -> None:
    one = run(tg.Recipe([PRUNE, tg.Stage([tg.Clustering(clusters=4)])]))
    other = run(tg.Recipe([PRUNE, tg.Stage([tg.Clustering(clusters=8)])]))
    assert {step.name: step.reused for step in other.steps} == {
        "as it came: export": True, "prune": True, "prune: export": True,
        "cluster": False, "cluster: export": False,
    }  # fmt: skip
    assert other.record.stages[0] == one.record.stages[0]


def test_what_a_result_depends_on_is_part_of_its_key(
    models: tuple[Any, Any], run: Run, tmp_path: Path
) -> None:
    def stage(**options: Any) -> tg.Stage:
        return tg.Stage([tg.Distillation(teacher="large", **options)], batch_size=40)

    def is_done(stage: tg.Stage, train: Any = (X, Y), teacher: Any = None, seed: int = 0) -> Any:
        teachers = {"large": teacher or models[1]}
        planned = plan(
            models[0], tg.Recipe([stage]), train, teachers=teachers, seed=seed,
            cache=tmp_path / "cache",
        )  # fmt: skip
        return planned.steps[1].is_done

    run(tg.Recipe([stage()]))
    assert is_done(stage())
    assert is_done(dataclasses.replace(stage(), name="another name"))
    assert not is_done(stage(alpha=0.2))
    assert not is_done(dataclasses.replace(stage(), learning_rate=1e-2))
    assert not is_done(stage(), train=(X + np.float32(1e-3), Y))
    assert not is_done(stage(), train=(X, 2 - Y))
    assert not is_done(stage(), teacher=small_model(seed=3))
    assert not is_done(stage(), seed=1)


def test_a_damaged_result_is_told_and_made_again(run: Run, tmp_path: Path) -> None:
    first = run(tg.Recipe([PRUNE]))
    (kept,) = (tmp_path / "cache").glob("*/model.keras")
    kept.write_bytes(kept.read_bytes()[:-1])
    told: list[str] = []
    again = run(tg.Recipe([PRUNE]), tell=told.append)
    assert [step.reused for step in again.steps] == [True, False, True]
    assert outcome(again) == outcome(first)
    assert len(told) == 1
    assert "model.keras is not the file that was kept" in told[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["*/stage.json", "*/ledger.json", "*/bundle/manifest.json"])
def test_a_sound_result_of_another_version_is_made_again(
    name: str, run: Run, tmp_path: Path
) -> None:
    recipe = tg.Recipe([PRUNE])
    first = run(recipe)
    changed = list((tmp_path / "cache").glob(name))
    for path in changed:
        path.write_text('{"format": "another"}')
        entry = next(parent for parent in path.parents if (parent / "entry.json").exists())
        hashes = json.loads((entry / "entry.json").read_text())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        hashes[path.relative_to(entry).as_posix()] = digest
        (entry / "entry.json").write_text(json.dumps(hashes))
    told: list[str] = []
    assert outcome(run(recipe, tell=told.append)) == outcome(first)
    assert len(told) == len(changed) > 0
    assert all("made again" in text for text in told)


def test_a_damaged_note_of_an_epoch_begins_the_stage_anew(run: Run, tmp_path: Path) -> None:
    recipe = tg.Recipe([PRUNE])
    whole = run(recipe, cache=tmp_path / "other")
    with pytest.raises(KeyboardInterrupt):
        run(recipe, on_progress=Interruptions(("prune: epoch 1",)))
    (note,) = (tmp_path / "cache").glob("*.unfinished/state.json")
    note.write_text("{}")
    told: list[str] = []
    assert outcome(run(recipe, tell=told.append)) == outcome(whole)
    assert "damaged" in told[0]


def test_a_disk_that_fills_in_a_stage(run: Run, tmp_path: Path) -> None:
    """The run ends with a sentence; with space again it goes on after the last noted epoch."""
    recipe = tg.Recipe([PRUNE])
    whole = run(recipe, cache=tmp_path / "other")
    honest, told = writing._write, []

    def full(path: Path, content: bytes) -> None:
        if "prune: epoch 2" in told:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        honest(path, content)

    def tell(step: str, done: int, of: int) -> None:
        told.append(step[:14])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writing, "_write", full)
        with pytest.raises(tg.OutputError, match="No space left on device. Free some space"):
            run(recipe, on_progress=tell)
    assert outcome(run(recipe, on_progress=tell)) == outcome(whole)
    assert (told.count("prune: epoch 1"), told.count("prune: epoch 2")) == (1, 2)


def test_the_callers_model_and_generators_stay(models: tuple[Any, Any], run: Run) -> None:
    before = [weights.copy() for weights in models[0].get_weights()]
    np.random.seed(7)
    expected = np.random.get_state()[1].copy()
    run(tg.Recipe([tg.Stage(epochs=1)]))
    assert all(map(np.array_equal, before, models[0].get_weights()))
    assert np.array_equal(np.random.get_state()[1], expected)


@pytest.mark.slow
def test_a_path_and_an_object_come_out_alike(
    models: tuple[Any, Any], run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "small.keras"
    models[0].save(path)
    result = tg.compress(path, tg.Recipe([PRUNE]), (X, Y), cache=tmp_path / "other")
    first, second = result.model.get_weights(), run(tg.Recipe([PRUNE])).model.get_weights()
    assert all(map(np.array_equal, first, second))
    zeros = [np.mean(w == 0) for w in first if w.ndim == 2]
    assert zeros == [0.5, 0.5]


@pytest.mark.slow
def test_pipelines_are_used_as_they_are(run: Run) -> None:
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(20)
    stage = tg.Stage([tg.Pruning(sparsity=0.5)], epochs=2, loss="sparse_categorical_crossentropy")
    recipe = tg.Recipe([stage])
    first = run(recipe, batches, validation_data=batches)
    assert len(first.record.stages[0].history["val_loss"]) == 2
    assert first.record.data_sha256 is None
    assert not run(recipe, batches).steps[1].reused
    run(recipe, batches, data_version="3")
    assert run(recipe, batches, data_version="3").steps[1].reused
    with pytest.raises(tg.UsageError, match="name its loss"):
        run(tg.Recipe([PRUNE]), batches)


def test_the_output_is_a_bundle_with_its_record(models: tuple[Any, Any], tmp_path: Path) -> None:
    options: dict[str, Any] = {"cache": tmp_path / "cache"}
    compress_to(tmp_path / "out", models[0], tg.Recipe([PRUNE]), (X, Y), **options)
    bundle = Bundle.read(tmp_path / "out")
    assert bundle.compression is not None
    (stage,) = bundle.compression.stages
    assert stage.techniques == ("pruning: sparsity 0.5",)
    assert stage.file is not None
    assert (stage.file.metric, stage.file.value) == ("accuracy", 0.9)
    before = bundle.compression.before
    assert before is not None and before.float_file is not None
    assert before.float_file.parameters == 68
    assert before.float_metrics == {"scores": before.float_value} == {"scores": 0.91}
    assert bundle.facts["float_file"]["file_bytes"] == before.float_file.file_bytes
    assert bundle.ledger is not None
    with pytest.raises(tg.OutputExistsError):
        compress_to(tmp_path / "out", models[0], tg.Recipe([PRUNE]), (X, Y), **options)
    compress_to(tmp_path / "out.keras", models[0], tg.Recipe([PRUNE]), (X, Y), **options)
    assert tg.load_model(tmp_path / "out.keras").count_params() == models[0].count_params()
    with pytest.raises(tg.UsageError, match=r"ends in \.keras"):
        compress_to(tmp_path / "out.h5", models[0], tg.Recipe([PRUNE]), (X, Y), **options)
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "out", "out.keras"}


def test_an_interrupt_leaves_the_old_bundle(models: tuple[Any, Any], tmp_path: Path) -> None:
    options: dict[str, Any] = {"cache": tmp_path / "cache", "force": True}
    recipe = tg.Recipe([PRUNE])
    compress_to(tmp_path / "out", models[0], recipe, (X, Y), **options)
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        compress_to(
            tmp_path / "out", models[0], recipe, (X, Y), **options,
            seed=1, on_progress=Interruptions(("prune: epoch 2",)),
        )  # fmt: skip
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "out"}


def test_classes_may_come_as_whole_floats(run: Run) -> None:
    whole, floats = (run(tg.Recipe([PRUNE]), (X, one)) for one in (Y, Y.astype(np.float32)))
    assert outcome(floats) == outcome(whole)


def test_the_code_of_own_classes_is_part_of_the_key(
    models: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "own_classes_of_this_test.py"
    module.write_text("SIZE = 1\n")
    given = GivenModel(models[0], module.stem)
    before = given.code_sha256
    module.write_text("SIZE = 2\n")
    assert GivenModel(models[0], module.stem).code_sha256 != before
    assert GivenModel(models[0]).code_sha256 is None


def test_the_plan_tells_what_is_done(models: tuple[Any, Any], run: Run, tmp_path: Path) -> None:
    two = tg.Recipe([PRUNE, tg.Stage([tg.Clustering(clusters=4)], epochs=3)])
    options: dict[str, Any] = {"cache": tmp_path / "cache"}
    before = plan(models[0], two, (X, Y), **options)
    assert [step.is_done for step in before.steps] == [False, False, None, None, None]
    assert {step.basis for step in before.steps} == {"a guess from the model's size"}
    done = run(tg.Recipe([PRUNE]))
    after = plan(models[0], two, (X, Y), **options)
    assert [step.is_done for step in after.steps] == [True, True, True, False, None]
    assert after.steps[3].basis == "the pace of an earlier run"
    assert after.steps[2].file_bytes == len(done.bundle.content)
    assert "prune: export: done before, a file of " in plan_text(after)
    assert 0 < after.seconds < 600
    assert json.loads(after.to_json())["train_samples"] == len(X)


def test_a_sequential_model_of_keras_3_whose_inputs_have_no_names(
    tmp_path: Path,
) -> None:
    import keras

    inputs = keras.Input((X.shape[1],))
    model = keras.Sequential([inputs, keras.layers.Dense(3, activation="softmax")])
    recipe = tg.Recipe([tg.Stage([tg.Pruning(sparsity=0.5)], epochs=1)])
    found = tg.compress(model, recipe, (X, Y), cache=tmp_path)
    kernel = found.model.get_weights()[0]
    assert (kernel == 0).sum() == kernel.size // 2
    assert repr(found) == f"Compression(recipe, {found.bundle!r})"
