"""`plan`: what a run would do, and about how long and how large; nothing is trained."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from tfgreen.errors import TfgreenError
from tfgreen.pipeline.compressing import open_run
from tfgreen.pipeline.exporting import SAMPLES
from tfgreen.pipeline.run import Run
from tfgreen.profile import DEFAULT_PROFILE
from tfgreen.recipe import Stage
from tfgreen.records import Document, Record

_EXPORT_SECONDS, _PREPARE_SECONDS = 30.0, 15.0
_BYTES_OF_A_WEIGHT = {"float16": 2.0, "weights-int4": 0.5}
_BYTES_AROUND_WEIGHTS = 8_000
# A training step computes forward, and twice as much backward.
_PASSES = 3
_MACS_PER_SECOND = 1e9
_GUESSED, _KNOWN = "a guess from the model's size", "the pace of an earlier run"


class PlannedStep(Record):
    """A node of a run.

    is_done: whether an earlier run did it; None where that depends on a stage before it.
    seconds: what is left of it, about. basis: how they are known.
    file_bytes: of the file that it gives; about, if it is not done.
    """

    name: str
    techniques: tuple[str, ...] = ()
    epochs: int = 0
    is_done: bool | None
    seconds: float
    basis: str
    file_bytes: int | None = None


class Plan(Document):
    """All nodes in their order."""

    title: ClassVar[str] = "plan of a compression"
    remedy: ClassVar[str] = "Run with --dry-run again."

    recipe_name: str
    train_samples: int | None
    parameters: int | None
    cache: str
    steps: tuple[PlannedStep, ...]

    @property
    def seconds(self) -> float:
        """What is left to do, all together."""
        return math.fsum(step.seconds for step in self.steps)


def plan(
    model: Any,
    recipe: Any,
    train: Any,
    *,
    validation_data: Any = None,
    teachers: Any = None,
    profile: Any = DEFAULT_PROFILE,
    calibration: Any = None,
    seed: int = 0,
    cache: Any = None,
    data_version: str | None = None,
    strategy: str | None = None,
    custom_objects: Any = None,
    allow_unsafe: bool = False,
    samples: int = SAMPLES,
) -> Plan:
    """What `compress` with the same arguments would do.

    Raises:
        TfgreenError: what it would refuse before it trains.
    """
    with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        run = open_run(
            model, recipe, train, validation_data, teachers, profile, calibration,
            seed=seed, cache=cache, data_version=data_version, strategy=strategy,
            custom_objects=custom_objects, allow_unsafe=allow_unsafe, samples=samples,
            on_progress=lambda step, done, of: None, tell=None, fallback=Path(folder),
        )  # fmt: skip
        return _planned(run)


def _planned(run: Run) -> Plan:
    parameters = _parameters(run)
    pace = run.pace()
    count = None if run.data.samples is None else len(run.data.samples)
    size = _file_bytes(run, parameters)
    _, content = run.model.file
    known: bytes | None = content
    steps = [_export_step(run, "as it came", known, pace.get("export"), size)]
    size = steps[0].file_bytes  # the file as it came, if it is there, is a better guess
    before = None
    for number, stage in enumerate(run.recipe.stages):
        is_done, result = None, None
        if known is not None:
            result = run.kept_stage(run.stage_key(number, before))
            is_done = result is not None
        seconds = _PREPARE_SECONDS + stage.epochs * _epoch_seconds(run, stage, parameters, pace)
        steps.append(
            PlannedStep(
                name=stage.name,
                techniques=stage.in_words(),
                epochs=stage.epochs,
                is_done=is_done,
                seconds=0.0 if is_done else seconds,
                basis=_KNOWN if "sample" in pace else _GUESSED,
            )
        )
        known = None if result is None else result.content
        before = None if result is None else result.record.model_sha256
        steps.append(_export_step(run, f"{stage.name}: export", known, pace.get("export"), size))
    return Plan(
        recipe_name=run.recipe.name,
        train_samples=count,
        parameters=parameters,
        cache=str(run.store.folder),
        steps=tuple(steps),
    )


def _export_step(
    run: Run, name: str, content: bytes | None, seconds: float | None, file_bytes: int | None
) -> PlannedStep:
    kept = None if content is None else run.kept_bundle(run.export_key(content))
    is_done = None if content is None else kept is not None
    return PlannedStep(
        name=name,
        is_done=is_done,
        seconds=0.0 if is_done else seconds or _EXPORT_SECONDS,
        basis=_GUESSED if seconds is None else _KNOWN,
        file_bytes=file_bytes if kept is None else len(kept.content),
    )


def _epoch_seconds(run: Run, stage: Stage, parameters: int | None, pace: dict[str, float]) -> float:
    count = 0 if run.data.samples is None else len(run.data.samples)
    if "sample" in pace:
        return count * pace["sample"]
    largest = max(math.prod(s or 1 for s in spec.shape) for spec in run.model.signature[0])
    positions = max(largest // 4, 1) if len(run.model.signature[0][0].shape) > 1 else 1
    return count * _PASSES * (parameters or 0) * positions / _MACS_PER_SECOND


def _parameters(run: Run) -> int | None:
    from tfgreen.inspection import inspect

    try:
        return getattr(inspect(run.model.given), "parameters", None)
    except TfgreenError:
        return None


def _file_bytes(run: Run, parameters: int | None) -> int | None:
    if parameters is None:
        return None
    width = _BYTES_OF_A_WEIGHT.get(run.profile.scheme, 1.0)
    return int(parameters * width) + _BYTES_AROUND_WEIGHTS
