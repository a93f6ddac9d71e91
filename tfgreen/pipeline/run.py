"""`Run`: the nodes of a compression, each of which is reused where nothing before it changed.

model ─ stage 1 ─ stage 2 ─ …        each hands on a file; its hash is part of the next key
  │        │         │
export   export    export            what the file has become so far; the last one is the bundle
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tfgreen.bundle import Bundle
from tfgreen.compression.technique import NO_WEIGHTS
from tfgreen.data import Samples
from tfgreen.errors import TfgreenError
from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.ledger import Ledger
from tfgreen.footprint.wording import amount_text, seconds_text
from tfgreen.manifest import sha256
from tfgreen.models.loading import load_model
from tfgreen.pipeline.determinism import deterministic
from tfgreen.pipeline.exporting import ExportOptions, OnProgress, make_bundle
from tfgreen.pipeline.given_model import GivenModel
from tfgreen.pipeline.model_files import model_bytes
from tfgreen.pipeline.occupied import occupied
from tfgreen.pipeline.snapshots import Snapshot
from tfgreen.pipeline.store import Store, key_of
from tfgreen.pipeline.strategies import Devices, devices_for
from tfgreen.pipeline.training_data import TrainingData
from tfgreen.profile import ExportProfile
from tfgreen.recipe import Recipe
from tfgreen.recipe.record import FileFigures, FloatFile, LayerSkipped, Spent, StageRecord
from tfgreen.stack import stack_versions
from tfgreen.verification.certificate import Certificate

_STAGE, _LEDGER, _BUNDLE, _PACE = "stage.json", "ledger.json", "bundle", "pace.json"
_VERSIONS = ("tfgreen", "tensorflow", "tf_keras", "keras", "tensorflow-model-optimization", "numpy")
_EXPORT_VERSIONS = (*_VERSIONS, "ai-edge-litert", "ai-edge-quantizer", "tflite-micro")


@dataclass(frozen=True)
class StageResult:
    """What a stage gave: a model file, its record, and what it took."""

    suffix: str
    content: bytes
    record: StageRecord
    ledger: Ledger


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
        key = self.stage_key(number, None if before is None else before.record.model_sha256)
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
        files = self.store.find(self._pace_key())
        return {} if files is None else dict(json.loads(files[_PACE]))

    def _note_pace(self, kind: str, seconds: float) -> None:
        pace = {**self.pace(), kind: seconds}
        self.store.keep(self._pace_key(), {_PACE: json.dumps(pace).encode()})

    def _pace_key(self) -> str:
        return key_of({"node": "pace", "model": self.model.sha256})

    def stage_key(self, number: int, model_sha256: str | None) -> str:
        """The hash of all that a stage depends on; `model_sha256` None: the model as it came."""
        stage = self.recipe.stages[number].to_plain()
        stage.pop("name")
        names = Recipe([self.recipe.stages[number]]).teachers
        teachers = {name: self._teacher(name).sha256 for name in names}
        validation = self.evaluation.sha256() if self.evaluation is not None else None
        return key_of(
            {
                "node": "stage",
                "number": number,
                "stage": stage,
                "model": model_sha256 or self.model.sha256,
                "code": self.model.code_sha256,
                "loss": repr(self.model.loss) if number == 0 else None,
                "data": self.data_sha256,
                "validation": validation,
                "calibration": self.calibration.sha256() if self.calibration else None,
                "teachers": teachers,
                "seed": self.seed,
                "strategy": self._strategy_facts(),
                "versions": _of_stack(_VERSIONS),
            }
        )

    def exported(self, label: str, suffix: str, content: bytes) -> Bundle:
        """The bundle of a model file: the cached one, or exported now."""
        began = time.monotonic()
        key = self.export_key(content)
        bundle = self.kept_bundle(key)
        reused = bundle is not None
        if bundle is None:
            bundle = self._export(label, suffix, content)
            if self.devices.is_chief:
                self.store.keep(key, _bundle_files(bundle))
                self._note_pace("export", time.monotonic() - began)
            bundle = self.kept_bundle(key) or bundle
        self.steps.append(Step(f"{label}: export", reused, time.monotonic() - began))
        return bundle

    def export_key(self, content: bytes) -> str:
        """The hash of all that an export depends on."""
        return key_of(
            {
                "node": "export",
                "model": sha256(content),
                "name": self.model.name,
                "code": self.model.code_sha256,
                "profile": self.profile.model_dump(mode="json"),
                "calibration": self.calibration.sha256() if self.calibration else None,
                "evaluation": self.evaluation.sha256() if self.evaluation is not None else None,
                "labels": list(_label_names(self.evaluation, self.calibration)),
                "options": repr(self.options),
                "versions": _of_stack(_EXPORT_VERSIONS),
            }
        )

    def _train(self, number: int, key: str, before: StageResult | None) -> StageResult:
        from tfgreen.pipeline.stage_training import Notebook, StageOrder, train_stage

        stage = self.recipe.stages[number]
        devices = self.devices
        is_kept = self.data_sha256 is not None
        files = self.store.find_unfinished(key) if is_kept else None
        is_writer = is_kept and devices.is_chief
        ledger = Ledger(self.store.folder / f"{key}.ledger.json" if is_writer else None)
        clock = _Clock(self, number, ledger)
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
        record = StageRecord(
            name=stage.name,
            techniques=stage.in_words(),
            epochs=stage.epochs,
            batch_size=stage.batch_size,
            optimizer=trained.optimizer,
            history={name: tuple(values) for name, values in trained.history.items()},
            spent=spent_of(ledger),
            skipped=tuple(
                LayerSkipped(
                    technique=report.technique, layer=one.layer, kind=one.kind, reason=one.reason
                )
                for report in trained.reports
                for one in report.with_action("skipped")
                if one.reason != NO_WEIGHTS
            ),
            notes=tuple(note for report in trained.reports for note in report.notes),
            model_sha256=sha256(content),
        )
        result = StageResult(suffix, content, record, ledger)
        if is_writer:
            self.store.keep(key, _stage_files(result))
            (self.store.folder / f"{key}.ledger.json").unlink(missing_ok=True)
            if clock.seconds_per_sample is not None:
                self._note_pace("sample", clock.seconds_per_sample)
        return result

    def _open_teachers(self) -> dict[str, Any]:
        """Models where paths of Keras files were given; a SavedModel is opened by who asks it."""
        opened = {name: self._teacher(name) for name in self.teachers}
        return {
            name: one.given if one.source and one.source.kind == "saved-model" else one.model
            for name, one in opened.items()
        }

    def _teacher(self, name: str) -> GivenModel:
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
            (name,) = set(files) - {_STAGE, _LEDGER}
            record = StageRecord.model_validate_json(files[_STAGE])
            ledger = Ledger.from_json(files[_LEDGER])
        except (KeyError, ValueError, TfgreenError) as error:  # of another version, for one
            self.store.throw_away(key, error)
            return None
        return StageResult(Path(name).suffix, files[name], record, ledger)

    def epochs_done(self, key: str) -> int:
        """The epochs of a stage that a run that was killed left behind."""
        files = self.store.find_unfinished(key) if self.data_sha256 is not None else None
        return 0 if files is None else Snapshot.from_files(files).epoch

    def kept_bundle(self, key: str) -> Bundle | None:
        """The export of an earlier run."""
        if self.store.find(key) is None:
            return None
        try:
            return Bundle.read(self.store.path(key, _BUNDLE))
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

    def _strategy_facts(self) -> Any:
        if self.strategy is None:
            return None
        return [self.strategy, self.devices.replicas]


def figures_of(bundle: Bundle) -> FileFigures:
    """What a bundle's file is worth."""
    certificate = bundle.certificate
    metric = next(iter(certificate.metrics), None)
    float_file = bundle.facts.get("float_file")
    return FileFigures(
        sha256=sha256(bundle.content),
        file_bytes=len(bundle.content),
        gzip_bytes=len(gzip.compress(bundle.content, mtime=0)),
        metric=None if metric is None else metric.kind,
        value=None if metric is None else metric.kernel_sets.get(_truth(certificate)),
        float_value=None if metric is None else metric.float_model,
        float_file=None if float_file is None else FloatFile.model_validate(float_file),
    )


def spent_of(ledger: Ledger) -> Spent | None:
    """The sum of a ledger."""
    if not ledger.entries:
        return None
    total = ledger.total()
    return Spent(
        cpu_seconds=total.cpu_seconds,
        wall_seconds=total.wall_seconds,
        joules=total.joules,
        method=total.method,
        source=" + ".join(total.sources),
    )


def with_figures(result: StageResult, bundle: Bundle) -> StageResult:
    """The result with what its exported file is worth."""
    return replace(result, record=result.record.model_copy(update={"file": figures_of(bundle)}))


class _Clock:
    """Tells how far training is: the epoch, its figures, joules so far, and the time left."""

    def __init__(self, run: Run, number: int, ledger: Ledger) -> None:
        self.meter: Any = None
        self.seconds_per_sample: float | None = None
        self._run, self._number = run, number
        self._before = run.joules + ledger.total().joules

    def epoch_done(self, done: Any) -> None:
        stage = self._run.recipe.stages[self._number]
        told = [f"{name} {value:.4g}" for name, value in done.figures.items() if value is not None]
        joules = self._before + self.meter.reading.joules
        left = done.seconds * (done.epochs - done.epoch)
        line = f"{stage.name}: epoch {done.epoch} of {done.epochs}, {', '.join(told)}, "
        line += f"{amount_text(joules, 'J')} so far, about {seconds_text(left)} left of the stage"
        self._run.on_progress(line, done.epoch, done.epochs)
        if self._run.data.samples is not None:
            self.seconds_per_sample = done.seconds / len(self._run.data.samples)


def _stage_files(result: StageResult) -> dict[str, bytes]:
    return {
        f"model{result.suffix}": result.content,
        _STAGE: result.record.model_dump_json(indent=2).encode(),
        _LEDGER: result.ledger.to_json().encode(),
    }


def _bundle_files(bundle: Bundle) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        place = bundle.save(Path(folder) / _BUNDLE)
        return {
            f"{_BUNDLE}/{path.relative_to(place).as_posix()}": path.read_bytes()
            for path in sorted(place.rglob("*"))
            if path.is_file()
        }


def _truth(certificate: Certificate) -> str:
    """The kernel set that judged: the truth, or what stood in for it."""
    roles = {facts.role: name for name, facts in certificate.kernel_sets.items() if facts.available}
    return roles.get("truth") or roles.get("stand-in") or ""


def _label_names(*given: Samples | None) -> tuple[str, ...]:
    return next((one.label_names for one in given if one is not None and one.label_names), ())


def _of_stack(names: tuple[str, ...]) -> dict[str, str]:
    installed = stack_versions()
    return {name: installed[name] for name in names if name in installed}
