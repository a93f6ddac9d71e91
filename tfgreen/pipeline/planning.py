"""`plan`: what a run would do, and about how long and how large; nothing is trained or written."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from tfgreen.errors import TfgreenError
from tfgreen.inspection import ModelInspection, inspect
from tfgreen.pipeline.compressing import open_run
from tfgreen.pipeline.export_options import SAMPLES
from tfgreen.pipeline.file_sizes import Bounds, dense_file_bytes, packed_savings_bytes
from tfgreen.pipeline.node_keys import export_key, stage_key
from tfgreen.pipeline.run import Run
from tfgreen.profile import DEFAULT_PROFILE
from tfgreen.recipe import Stage
from tfgreen.records import Document, Record

_EXPORT_SECONDS, _PREPARE_SECONDS = 30.0, 15.0
# A training step computes forward, and twice as much backward.
_PASSES = 3
_MACS_PER_SECOND = 1e9
_GUESSED, _KNOWN = "a guess from the model's size", "the pace of an earlier run"


class PlannedStep(Record):
    """A node of a run.

    is_done: whether an earlier run did it; None where that depends on a stage before it.
    is_damaged: whether its kept result is damaged, so that it is made again.
    epochs_done: those that a run that was killed left behind.
    seconds: what is left of it, about. basis: how they are known.
    file_bytes: of the file that an earlier run made.
    expected_file_bytes: the fewest and the most of one that is not made yet.
    """

    name: str
    techniques: tuple[str, ...] = ()
    epochs: int = 0
    is_done: bool | None
    is_damaged: bool = False
    epochs_done: int = 0
    seconds: float
    basis: str
    file_bytes: int | None = None
    expected_file_bytes: tuple[int, int] | None = None


class Plan(Document):
    """All nodes in their order.

    notes: what is wrong with the cache.
    """

    title: ClassVar[str] = "plan of a compression"
    remedy: ClassVar[str] = "Run with --dry-run again."

    recipe_name: str
    train_samples: int | None
    parameters: int | None
    cache: str
    steps: tuple[PlannedStep, ...]
    notes: tuple[str, ...] = ()

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
    told: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        run = open_run(
            model, recipe, train, validation_data, teachers, profile, calibration,
            seed=seed, cache=cache, data_version=data_version, strategy=strategy,
            custom_objects=custom_objects, allow_unsafe=allow_unsafe, samples=samples,
            on_progress=lambda step, done, of: None, tell=told.append, fallback=Path(folder),
            writes=False,
        )  # fmt: skip
        planner = _Planner(run)
        steps = tuple(planner.steps())
    return Plan(
        recipe_name=run.recipe.name,
        train_samples=None if run.data.samples is None else len(run.data.samples),
        parameters=None if planner.layers is None else planner.layers.parameters,
        cache=str(run.store.folder),
        steps=steps,
        notes=tuple(told),
    )


class _Planner:
    """Walks the nodes of a run in their order, as far as they are known."""

    def __init__(self, run: Run) -> None:
        self._run, self._pace = run, run.pace()
        self.layers = _inspected(run)

    def steps(self) -> Iterator[PlannedStep]:
        """An export, and then for each stage its training and its export."""
        run = self._run
        known: bytes | None = run.model.file[1]
        yield self._export("as it came", known, 0)
        before = None
        for number, stage in enumerate(run.recipe.stages):
            key = None if known is None else stage_key(run, number, before)
            result = None if key is None else run.kept_stage(key)
            yield self._stage(stage, key, is_done=None if key is None else result is not None)
            known = None if result is None else result.content
            before = None if result is None else result.record.model_sha256
            yield self._export(f"{stage.name}: export", known, number + 1)

    def _stage(self, stage: Stage, key: str | None, *, is_done: bool | None) -> PlannedStep:
        epochs_done = 0 if key is None or is_done else self._run.epochs_done(key)
        epochs = stage.epochs - epochs_done
        seconds = _PREPARE_SECONDS + epochs * self._epoch_seconds()
        return PlannedStep(
            name=stage.name,
            techniques=stage.in_words(),
            epochs=stage.epochs,
            is_done=is_done,
            is_damaged=key in self._run.store.damaged,
            epochs_done=epochs_done,
            seconds=0.0 if is_done else seconds,
            basis=_KNOWN if "sample" in self._pace else _GUESSED,
        )

    def _export(self, name: str, content: bytes | None, stages: int) -> PlannedStep:
        """The export after so many stages; content: the model, as far as it is known."""
        key = None if content is None else export_key(self._run, content)
        kept = None if key is None else self._run.kept_bundle(key)
        seconds = self._pace.get("export")
        return PlannedStep(
            name=name,
            is_done=None if key is None else kept is not None,
            is_damaged=key in self._run.store.damaged,
            seconds=0.0 if kept is not None else seconds or _EXPORT_SECONDS,
            basis=_GUESSED if seconds is None else _KNOWN,
            file_bytes=None if kept is None else len(kept.content),
            expected_file_bytes=None if kept is not None else self._expected(stages),
        )

    def _expected(self, stages: int) -> Bounds | None:
        """Bytes of the file after so many stages."""
        if self.layers is None:
            return None
        layers, profile = self.layers.layers, self._run.profile
        low, high = dense_file_bytes(layers, profile)
        saved = packed_savings_bytes(layers, self._run.recipe.stages[:stages], profile)
        return low - saved, high

    def _epoch_seconds(self) -> float:
        samples = self._run.data.samples
        count = 0 if samples is None else len(samples)
        if "sample" in self._pace:
            return count * self._pace["sample"]
        inputs, _ = self._run.model.signature
        largest = max(math.prod(size or 1 for size in spec.shape) for spec in inputs)
        positions = max(largest // 4, 1) if len(inputs[0].shape) > 1 else 1
        parameters = 0 if self.layers is None else self.layers.parameters
        return count * _PASSES * parameters * positions / _MACS_PER_SECOND


def _inspected(run: Run) -> ModelInspection | None:
    """The layers of the model; None where its file does not tell them."""
    try:
        found = inspect(run.model.model if run.model.source is None else run.model.given)
    except TfgreenError:
        return None
    return found if isinstance(found, ModelInspection) else None
