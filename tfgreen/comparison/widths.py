"""`compare`: one model exported in several widths, each proved, all timed by turns."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from tfgreen.benchmarking.files import TimedFile
from tfgreen.benchmarking.latency import Effort, benchmark_files
from tfgreen.benchmarking.record import Benchmark
from tfgreen.comparison.record import Comparison, Width, WidthRow
from tfgreen.comparison.runs import run_everywhere
from tfgreen.data import Samples, audit_calibration, read_samples, refuse_errors
from tfgreen.errors import TfgreenError, UnknownNameError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.given_samples import CALIBRATION_LIMIT, read_evaluation
from tfgreen.models.loading import as_file
from tfgreen.pipeline import SAMPLES, ExportOptions, float_file, make_bundle
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.recheck import input_specs
from tfgreen.reporting.progress import live_progress
from tfgreen.tflite import ConversionOptions
from tfgreen.verification.certificate import Certificate
from tfgreen.verification.lineup import truth_here
from tfgreen.verification.robustness import (
    ROBUSTNESS_SAMPLES,
    Attacker,
    Conditions,
    Plan,
    Robustness,
    Subject,
    measure_robustness,
)
from tfgreen.verification.scoring import Scoring, affordable_rows, answers_of, difference
from tfgreen.verification.workload import METRIC_SAMPLE_LIMIT
from tfgreen.writing import check_writable, refuse_existing, write_folder

OnProgress = Callable[[str, int, int], None]

FLOAT: Width = "float32"
PROFILES: Mapping[Width, str] = {
    "float16": "mobile-float16",
    "dynamic-int8": "mobile-dynamic-int8",
    "int8": "mobile-int8",
    "int16x8": "microcontroller-int16x8",
    "int4": "mobile-weights-int4",
}
WIDTHS: tuple[Width, ...] = (FLOAT, *PROFILES)
NOTES = (
    "Files are dense: `tfgreen export` may store pruned and clustered models smaller.",
    "Energy, as a multiple of float32's, is modelled: the ratio of CPU-seconds a run. The watts of "
    "the processor cancel; memory traffic and other chips are not in it.",
    "The arena is TensorFlow Lite Micro's on a 64-bit host; a 32-bit target's is somewhat smaller.",
)
_JUDGED_AS = "mobile-float16"


def compare(
    model: Any,
    calibration: Any,
    *,
    evaluate: Any,
    widths: Sequence[str] = WIDTHS,
    samples: int = SAMPLES,
    accuracy_samples: int = METRIC_SAMPLE_LIMIT,
    effort: Effort | None = None,
    keep: str | Path | None = None,
    robustness: bool | str | Mapping[str, str] = False,
    custom_objects: str | None = None,
    allow_unsafe: bool = False,
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Export one model in several widths and put their costs side by side.

    The model is converted to a float file once; the widths are made from that file as
    `tfgreen.export` makes them, and go through the same gates. (A model that was trained for int8
    is exported itself each time: its steps are not in a float file.) A width that fails keeps its
    row, with the reason. All files are then timed by turns on XNNPACK with one thread.

    Args:
        model: as for `tfgreen.export`.
        calibration: some hundred samples of what the model sees; int8 and int16x8 need them.
        evaluate: held-back samples, with labels if there are any: they only judge.
        widths: of "float32", "float16", "dynamic-int8", "int8", "int16x8", "int4"; float32 is
            always among them.
        samples: how many samples the gates and every kernel set run.
        accuracy_samples: how many, evenly spaced, the score is taken on.
        effort: how long is timed.
        keep: a folder that does not exist yet, for the files (`int8.tflite` and so on).
        robustness: also score every width as the data get worse: the kind of data ("image",
            "audio", "text", or one for each input), or True, where its shape tells it.
        custom_objects, allow_unsafe: as for `tfgreen.export`.
        on_progress: called with (step, done, of); by default progress is shown on a terminal.

    Returns:
        A row for each width: bytes, score, SQNR, time, arena, runtimes. Print it, or `.plot()`.

    Raises:
        UsageError: no evaluation samples, a width that does not exist, or data whose kind is
            not clear.
        OutputExistsError: the folder to keep the files in exists.
        TfgreenError: the model or the data cannot be used at all.
    """
    chosen = _chosen(widths)
    if evaluate is None or calibration is None:
        raise UsageError(
            "A comparison needs calibration samples and held-back ones: give calibration= and "
            "evaluate= (--calibration C.npz --evaluate E.npz)."
        )
    if keep is not None:
        check_writable(Path(keep))
        refuse_existing(Path(keep), force=False)
    options = ConversionOptions(custom_objects=custom_objects, allow_unsafe=allow_unsafe)
    with live_progress() as shown, tempfile.TemporaryDirectory(prefix="tfgreen-") as name:
        tell = on_progress or shown
        tell("float32: converting", 0, 0)
        source = as_file(model, Path(name) / "model")
        content = float_file(source, Path(name), options, on_progress)
        place = Path(name) / "float32.tflite"
        place.write_bytes(content)
        floats = TfliteModel.from_bytes(content)
        given = _given(floats, calibration, evaluate, accuracy_samples)
        plan = _plan(given.evaluation, robustness)
        trained = any(tensor.quantization is not None for tensor in floats.tensors)
        trial = _Trial(model if trained else place, options, given, samples, tell)
        made = [trial.float32(content)]
        made += [trial.width(width, PROFILES[width]) for width in chosen if width != FLOAT]
        files = {one.row.width: one.content for one in made if one.content is not None}
        if keep is not None:
            write_folder(Path(keep), {f"{width}.tflite": file for width, file in files.items()})
        attacker = None if source.endswith(".tflite") else Attacker(source, options)
        endured = None
        if plan is not None:
            endured = _endured(made, given.evaluation, plan, attacker, tell)
        timed = _timed(files, effort, tell)
    return Comparison(
        model=str(model) if isinstance(model, str | Path) else getattr(model, "name", "the model"),
        score_kind=trial.scoring.kind if trial.scoring else None,
        score_samples=len(given.evaluation) if trial.scoring else 0,
        output=trial.scoring.output if trial.scoring else "",
        rows=tuple(_with_times(one.row, timed) for one in made),
        host=timed.host if timed else None,
        notes=(*NOTES, *(_busy(timed) if timed else ())),
        robustness=endured,
    )


def _plan(samples: Samples, asked: bool | str | Mapping[str, str]) -> Plan | None:
    """How robustness is measured, if it is asked for; refused before the work, not after it."""
    if asked is False:
        return None
    plan = Plan(kind=None if asked is True else asked)
    Conditions(samples.spread(ROBUSTNESS_SAMPLES), plan)
    return plan


def _endured(
    made: Sequence[_Made],
    samples: Samples,
    plan: Plan,
    attacker: Attacker | None,
    tell: OnProgress,
) -> Robustness:
    """Every width as the data get worse."""
    floats, *rest = made
    subjects = [
        Subject(one.row.width, one.content, one.row.truth)
        for one in rest
        if one.content is not None
    ]
    few = samples.spread(ROBUSTNESS_SAMPLES)
    return measure_robustness(floats.content or b"", subjects, few, plan, attacker, tell)


def _chosen(widths: Sequence[str]) -> tuple[Width, ...]:
    known = get_args(Width)
    for width in widths:
        if width not in known:
            raise UnknownNameError("width", width, known)
    return tuple(width for width in WIDTHS if width in widths)


@dataclass(frozen=True)
class _Given:
    calibration: Samples
    evaluation: Samples


def _given(model: TfliteModel, calibration: Any, evaluate: Any, limit: int) -> _Given:
    """Both sets of samples, audited once for all widths."""
    inputs, names = input_specs(model), model.output_names
    fitted = read_samples(calibration, inputs=inputs, outputs=names, limit=CALIBRATION_LIMIT)
    held = read_evaluation(evaluate, inputs, names, limit).spread(limit)
    refuse_errors(audit_calibration(fitted, inputs, held))
    return _Given(fitted, held)


@dataclass(frozen=True)
class _Made:
    """A row, and the file behind it if there is one."""

    row: WidthRow
    content: bytes | None


class _Trial:
    """One width after the other, on the same samples."""

    def __init__(
        self,
        source: Any,
        conversion: ConversionOptions,
        given: _Given,
        samples: int,
        tell: OnProgress,
    ) -> None:
        self._source, self._given, self._tell = source, given, tell
        self._options = ExportOptions(samples=samples, encoding="dense", conversion=conversion)
        self._float_scores: np.ndarray | None = None
        self.scoring: Scoring | None = None

    def float32(self, content: bytes) -> _Made:
        """The float file: what all others are held against."""
        rules = load_profile(_JUDGED_AS)
        model = TfliteModel.from_bytes(content)
        truth = truth_here(rules.kernel_sets.truth)
        (answers,) = answers_of(model, [self._given.evaluation], truth)
        self.scoring = Scoring.of(model, self._given.evaluation, answers)
        row = WidthRow(width=FLOAT, is_exact=True)
        return _Made(self._filled(row, content, rules, None), content)

    def width(self, width: Width, profile: str) -> _Made:
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
            return _Made(self._filled(row, bundle.content, rules, found), bundle.content)
        except TfgreenError as error:
            reason = {"status": "failed", "message": str(error)}
            return _Made(WidthRow(width=width, profile=profile).model_copy(update=reason), None)

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


def timed_again(
    comparison: Comparison, folder: str | Path, effort: Effort | None = None
) -> Comparison:
    """The comparison with times measured anew, from the files that `compare(keep=)` wrote."""
    files = {
        row.width: (Path(folder) / f"{row.width}.tflite").read_bytes()
        for row in comparison.rows
        if row.status != "failed"
    }
    timed = _timed(files, effort, lambda step, done, of: None)
    rows = tuple(_with_times(row, timed) for row in comparison.rows)
    notes = (*NOTES, *(_busy(timed) if timed else ()))
    host = timed.host if timed else None
    return comparison.model_copy(update={"rows": rows, "host": host, "notes": notes})


def _timed(
    files: Mapping[Width, bytes], effort: Effort | None, tell: OnProgress
) -> Benchmark | None:
    """All files by turns, float32 the baseline; None where LiteRT could time none of them."""
    named = [TimedFile(width, content) for width, content in files.items()]
    found = benchmark_files(named, effort=effort, on_progress=tell)
    return found if any(row.status == "ok" for row in found.rows) else None


def _with_times(row: WidthRow, timed: Benchmark | None) -> WidthRow:
    mine = {one.file: one for one in timed.rows}.get(row.width) if timed else None
    if timed is None or mine is None or mine.cpu_seconds is None:
        return row
    ratios = {one.file: one.ratio for one in timed.comparisons}
    of_float = timed.row(FLOAT).cpu_seconds
    return row.model_copy(
        update={
            "latency": mine.latency,
            "noise": mine.noise,
            "speed": ratios.get(row.width),
            "energy_ratio": mine.cpu_seconds / of_float if of_float else None,
        }
    )


def _busy(timed: Benchmark) -> tuple[str, ...]:
    return tuple(note for note in timed.notes if "busy" in note)
