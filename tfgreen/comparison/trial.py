"""`Trial`: a model in one width after the other, each proved and scored on the same samples."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.comparison.record import FLOAT, Width, WidthRow
from tfgreen.comparison.runs import run_everywhere
from tfgreen.data import Samples, audit_calibration, read_samples, refuse_errors
from tfgreen.errors import TfgreenError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.given_samples import CALIBRATION_LIMIT, read_evaluation
from tfgreen.pipeline import ExportOptions, OnProgress, make_bundle
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.recheck import input_specs
from tfgreen.tflite import ConversionOptions
from tfgreen.verification.certificate import Certificate
from tfgreen.verification.lineup import truth_here
from tfgreen.verification.scoring import Scoring, affordable_rows, answers_of, difference

_JUDGED_AS = "mobile-float16"


@dataclass(frozen=True)
class Given:
    """The samples of all widths: what ranges are fitted to, and what judges."""

    calibration: Samples
    evaluation: Samples


def given_samples(model: TfliteModel, calibration: Any, evaluate: Any, limit: int) -> Given:
    """Both sets of samples, audited once for all widths."""
    inputs, names = input_specs(model), model.output_names
    fitted = read_samples(calibration, inputs=inputs, outputs=names, limit=CALIBRATION_LIMIT)
    held = read_evaluation(evaluate, inputs, names, limit).spread(limit)
    refuse_errors(audit_calibration(fitted, inputs, held))
    return Given(fitted, held)


@dataclass(frozen=True)
class Made:
    """A row, and the file behind it if there is one."""

    row: WidthRow
    content: bytes | None


class Trial:
    """One width after the other, on the same samples."""

    def __init__(
        self,
        source: Any,
        conversion: ConversionOptions,
        given: Given,
        samples: int,
        tell: OnProgress,
    ) -> None:
        self._source, self._given, self._tell = source, given, tell
        self._options = ExportOptions(samples=samples, encoding="dense", conversion=conversion)
        self._float_scores: np.ndarray | None = None
        self.scoring: Scoring | None = None

    def float32(self, content: bytes) -> Made:
        """The float file: what all others are held against."""
        rules = load_profile(_JUDGED_AS)
        model = TfliteModel.from_bytes(content)
        truth = truth_here(rules.kernel_sets.truth)
        (answers,) = answers_of(model, [self._given.evaluation], truth)
        self.scoring = Scoring.of(model, self._given.evaluation, answers)
        row = WidthRow(width=FLOAT, is_exact=True)
        return Made(self._filled(row, content, rules, None), content)

    def width(self, width: Width, profile: str) -> Made:
        """One export with its gates; a width that cannot be made keeps its row."""
        rules = load_profile(profile)

        def tell(step: str, done: int, of: int) -> None:
            self._tell(f"{width}: {step}", done, of)

        row = WidthRow(width=width, profile=profile)
        try:
            bundle = make_bundle(
                self._source,
                self._given.calibration,
                rules,
                self._given.evaluation,
                self._options,
                tell,
            )
            found = bundle.certificate
            row = row.model_copy(
                update={"sqnr_db": found.sqnr_db, "is_exact": found.sqnr_db is None}
            )
            if not found.passed:
                told = {"status": "gate-failed", "message": found.failed_checks[0].message}
                row = row.model_copy(update=told)
            return Made(self._filled(row, bundle.content, rules, found), bundle.content)
        except TfgreenError as error:
            reason = {"status": "failed", "message": str(error)}
            return Made(WidthRow(width=width, profile=profile).model_copy(update=reason), None)

    def _filled(
        self,
        row: WidthRow,
        content: bytes,
        rules: ExportProfile,
        certificate: Certificate | None,
    ) -> WidthRow:
        """The row with bytes, score, arena and runtimes."""
        model = TfliteModel.from_bytes(content)
        truth = truth_here(rules.kernel_sets.truth)
        few = self._given.evaluation.spread(self._options.samples)
        self._tell(f"{row.width}: running on every kernel set", 0, 0)
        everywhere = run_everywhere(model, few, truth, rules.limits, certificate)
        return row.model_copy(
            update={
                "truth": truth,
                "file_bytes": len(content),
                "gzip_bytes": len(gzip.compress(content, 9, mtime=0)),
                "arena_bytes": everywhere.arena_bytes,
                "runtimes": everywhere.verdicts,
                **self._scored(row.width, model, truth, everywhere.sample_seconds),
            }
        )

    def _scored(
        self, width: str, model: TfliteModel, truth: str, sample_seconds: float | None
    ) -> dict[str, Any]:
        if self.scoring is None or sample_seconds is None:
            return {}
        self._tell(f"{width}: scoring the answers", 0, 0)
        rows = affordable_rows(len(self._given.evaluation), sample_seconds)
        (answers,) = answers_of(model, [self._given.evaluation.take(rows)], truth)
        scores = self.scoring.scores(answers[self.scoring.position], rows)
        told = {"score": self.scoring.estimate(scores), "score_samples": len(rows)}
        if self._float_scores is None:
            self._float_scores = np.full(len(self._given.evaluation), np.nan)
            self._float_scores[rows] = scores
            return told
        both = ~np.isnan(self._float_scores[rows])
        apart = difference(scores[both], self._float_scores[rows][both])
        return {**told, "difference": apart}
