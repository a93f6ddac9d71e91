"""`Run`: the nodes of a compression, each of which is reused where nothing before it changed.

model ─ stage 1 ─ stage 2 ─ …        each hands on a file; its hash is part of the next key
  │        │         │
export   export    export            what the file has become so far; the last one is the bundle
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tfgreen.bundle import Bundle
from tfgreen.data import Samples
from tfgreen.errors import TfgreenError
from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.ledger import Ledger
from tfgreen.models.loading import load_model
from tfgreen.pipeline.bundle_making import make_bundle
from tfgreen.pipeline.determinism import deterministic
from tfgreen.pipeline.epoch_clock import EpochClock
from tfgreen.pipeline.epochs import Notebook
from tfgreen.pipeline.export_options import ExportOptions, OnProgress
from tfgreen.pipeline.given_model import GivenModel
from tfgreen.pipeline.model_files import model_bytes
from tfgreen.pipeline.node_keys import export_key, pace_key, stage_key
from tfgreen.pipeline.occupied import occupied
from tfgreen.pipeline.results import BUNDLE, StageResult, bundle_files, record_of
from tfgreen.pipeline.snapshots import Snapshot
from tfgreen.pipeline.store import Store
from tfgreen.pipeline.strategies import Devices, devices_for
from tfgreen.pipeline.training_data import TrainingData
from tfgreen.profile import ExportProfile
from tfgreen.recipe import Recipe

_PACE = "pace.json"


@dataclass(frozen=True)
class Step:
    """A node that was run or reused, for people and tests."""

    name: str
    reused: bool
    seconds: float


@dataclass
class Run:
    """One run of a recipe.

    data_sha256: of what is trained on; None for a pipeline that nobody gave a version, whose
        stages are neither kept nor resumed.
    """

    model: GivenModel
    recipe: Recipe
    data: TrainingData
    data_sha256: str | None
    profile: ExportProfile
    calibration: Samples | None
    evaluation: Samples | None
    teachers: Mapping[str, Any]
    seed: int
    strategy: str | None
    store: Store
    options: ExportOptions
    on_progress: OnProgress
    steps: list[Step] = field(default_factory=list)
    joules: Amount = Amount.exactly(0.0)  # of the stages so far

    @property
    def devices(self) -> Devices:
        """What it trains on."""
        return devices_for(self.strategy)

    def stage(self, number: int, before: StageResult | None) -> StageResult:
        """The result of a stage: the cached one, or trained now."""
        began = time.monotonic()
        key = stage_key(self, number, None if before is None else before.record.model_sha256)
        name = self.recipe.stages[number].name
        result = self.kept_stage(key)
        reused = result is not None
        if result is None and not self.devices.is_chief:
            result = self._train(number, key, before)
        elif result is None:
            with occupied(self.store.folder / key, "choose another cache (--cache)"):
                result = self.kept_stage(key) or self._train(number, key, before)
        if result.record.name != name:  # an earlier run called it otherwise
            result = replace(result, record=result.record.model_copy(update={"name": name}))
        self.steps.append(Step(name, reused, time.monotonic() - began))
        self.joules += result.ledger.total().joules
        return result

    def pace(self) -> dict[str, float]:
        """What earlier runs on this model took: seconds for a "sample", and for an "export"."""
        files = self.store.find(pace_key(self))
        return {} if files is None else dict(json.loads(files[_PACE]))

    def exported(self, label: str, suffix: str, content: bytes) -> Bundle:
        """The bundle of a model file: the cached one, or exported now."""
        began = time.monotonic()
        key = export_key(self, content)
        bundle = self.kept_bundle(key)
        reused = bundle is not None
        if bundle is None:
            bundle = self._export(label, suffix, content)
            if self.devices.is_chief:
                self.store.keep(key, bundle_files(bundle))
                self._note_pace("export", time.monotonic() - began)
            bundle = self.kept_bundle(key) or bundle
        self.steps.append(Step(f"{label}: export", reused, time.monotonic() - began))
        return bundle

    def _note_pace(self, kind: str, seconds: float) -> None:
        pace = {**self.pace(), kind: seconds}
        self.store.keep(pace_key(self), {_PACE: json.dumps(pace).encode()})

    def _train(self, number: int, key: str, before: StageResult | None) -> StageResult:
        from tfgreen.pipeline.stage_training import StageOrder, train_stage

        stage = self.recipe.stages[number]
        devices = self.devices
        is_kept = self.data_sha256 is not None
        files = self.store.find_unfinished(key) if is_kept else None
        is_writer = is_kept and devices.is_chief
        ledger = Ledger(self.store.folder / f"{key}.ledger.json" if is_writer else None)
        clock = EpochClock(self, number, ledger)
        notebook = Notebook(
            unfinished=None if files is None else Snapshot.from_files(files),
            note=lambda snapshot: self._note(key, snapshot, is_writer),
            tell=clock.epoch_done,
        )
        self.on_progress(f"{stage.name}: preparing", 0, 0)
        with ledger.stage(stage.name) as meter, deterministic():
            clock.meter = meter
            model = self._model_before(before)
            order = StageOrder(
                model, stage, number, self.data, self.seed, self._open_teachers(),
                self.calibration, devices, self.model.loss,
            )  # fmt: skip
            trained = train_stage(order, notebook)
            suffix, content = model_bytes(trained.model)
        result = StageResult(suffix, content, record_of(stage, trained, ledger, content), ledger)
        if is_writer:
            self.store.keep(key, result.to_files())
            (self.store.folder / f"{key}.ledger.json").unlink(missing_ok=True)
            if clock.seconds_per_sample is not None:
                self._note_pace("sample", clock.seconds_per_sample)
        return result

    def _open_teachers(self) -> dict[str, Any]:
        """Models where paths of Keras files were given; a SavedModel is opened by who asks it."""
        opened = {name: self.teacher(name) for name in self.teachers}
        return {
            name: one.given if one.source and one.source.kind == "saved-model" else one.model
            for name, one in opened.items()
        }

    def teacher(self, name: str) -> GivenModel:
        """The model that a name of the recipe means; a path means itself."""
        given = self.teachers.get(name, name)
        return GivenModel(given, self.model.custom_objects, self.model.allow_unsafe)

    def _note(self, key: str, snapshot: Snapshot, is_kept: bool) -> None:
        if is_kept:
            self.store.note_unfinished(key, snapshot.to_files())

    def _model_before(self, before: StageResult | None) -> Any:
        if before is None:
            return self.model.model
        with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
            path = Path(folder) / f"model{before.suffix}"
            path.write_bytes(before.content)
            return load_model(path, self.model.custom_objects, self.model.allow_unsafe)

    def kept_stage(self, key: str) -> StageResult | None:
        """The result of an earlier run."""
        files = self.store.find(key) if self.data_sha256 is not None else None
        if files is None:
            return None
        try:
            return StageResult.from_files(files)
        except (KeyError, ValueError, TfgreenError) as error:  # of another version, for one
            self.store.throw_away(key, error)
            return None

    def epochs_done(self, key: str) -> int:
        """The epochs of a stage that a run that was killed left behind."""
        files = self.store.find_unfinished(key) if self.data_sha256 is not None else None
        return 0 if files is None else Snapshot.from_files(files).epoch

    def kept_bundle(self, key: str) -> Bundle | None:
        """The export of an earlier run."""
        if self.store.find(key) is None:
            return None
        try:
            return Bundle.read(self.store.path(key, BUNDLE))
        except TfgreenError as error:  # of another version, for one
            self.store.throw_away(key, error)
            return None

    def _export(self, label: str, suffix: str, content: bytes) -> Bundle:
        def tell(step: str, done: int, of: int) -> None:
            self.on_progress(f"{label}: {step}", done, of)

        with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
            path = Path(folder) / f"{self.model.name}{suffix}"
            path.write_bytes(content)
            return make_bundle(
                path, self.calibration, self.profile, self.evaluation, self.options, tell
            )
