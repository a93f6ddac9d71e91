"""What the nodes of a run give, and the files that they are kept as."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfgreen.bundle import Bundle
from tfgreen.compression.technique import NO_WEIGHTS
from tfgreen.footprint.ledger import Ledger
from tfgreen.manifest import sha256
from tfgreen.recipe import Stage
from tfgreen.recipe.record import FileFigures, FloatFile, LayerSkipped, Spent, StageRecord
from tfgreen.verification.certificate import Certificate

if TYPE_CHECKING:
    from tfgreen.pipeline.stage_training import Trained

BUNDLE = "bundle"
_STAGE, _LEDGER = "stage.json", "ledger.json"


@dataclass(frozen=True)
class StageResult:
    """What a stage gave: a model file, its record, and what it took."""

    suffix: str
    content: bytes
    record: StageRecord
    ledger: Ledger

    def to_files(self) -> dict[str, bytes]:
        """As it is kept."""
        return {
            f"model{self.suffix}": self.content,
            _STAGE: self.record.model_dump_json(indent=2).encode(),
            _LEDGER: self.ledger.to_json().encode(),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> StageResult:
        """The inverse of `to_files`; KeyError, ValueError or TfgreenError for other files."""
        (name,) = set(files) - {_STAGE, _LEDGER}
        record = StageRecord.model_validate_json(files[_STAGE])
        return cls(Path(name).suffix, files[name], record, Ledger.from_json(files[_LEDGER]))


def record_of(stage: Stage, trained: Trained, ledger: Ledger, content: bytes) -> StageRecord:
    """A stage as it ran; content: the model's file."""
    return StageRecord(
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


def bundle_files(bundle: Bundle) -> dict[str, bytes]:
    """A bundle as it is kept: below the folder BUNDLE."""
    with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        place = bundle.save(Path(folder) / BUNDLE)
        return {
            f"{BUNDLE}/{path.relative_to(place).as_posix()}": path.read_bytes()
            for path in sorted(place.rglob("*"))
            if path.is_file()
        }


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
        output=metric.output if metric and len(certificate.metrics) > 1 else None,
        value=None if metric is None else metric.kernel_sets.get(_truth(certificate)),
        float_value=None if metric is None else metric.float_model,
        float_metrics={
            one.output: one.float_model
            for one in certificate.metrics
            if one.float_model is not None
        },
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


def _truth(certificate: Certificate) -> str:
    """The kernel set that judged: the truth, or what stood in for it."""
    roles = {facts.role: name for name, facts in certificate.kernel_sets.items() if facts.available}
    return roles.get("truth") or roles.get("stand-in") or ""
