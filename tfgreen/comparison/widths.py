"""`compare`: one model exported in several widths, each proved, all timed by turns."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from tfgreen.benchmarking.latency import Effort
from tfgreen.comparison.record import FLOAT, Comparison, Width
from tfgreen.comparison.timing import notes_of, timed_files, with_times
from tfgreen.comparison.trial import Made, Trial, given_samples
from tfgreen.data import Samples
from tfgreen.errors import UnknownNameError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.models.loading import as_file
from tfgreen.pipeline import SAMPLES, OnProgress, float_file
from tfgreen.reporting.progress import live_progress
from tfgreen.tflite import ConversionOptions
from tfgreen.verification.robustness import (
    ROBUSTNESS_SAMPLES,
    Attacker,
    Conditions,
    Plan,
    Robustness,
    Subject,
    measure_robustness,
)
from tfgreen.verification.workload import METRIC_SAMPLE_LIMIT
from tfgreen.writing import check_writable, refuse_existing, write_folder

PROFILES: Mapping[Width, str] = {
    "float16": "mobile-float16",
    "dynamic-int8": "mobile-dynamic-int8",
    "int8": "mobile-int8",
    "int16x8": "microcontroller-int16x8",
    "int4": "mobile-weights-int4",
}
WIDTHS: tuple[Width, ...] = (FLOAT, *PROFILES)


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
        given = given_samples(floats, calibration, evaluate, accuracy_samples)
        plan = _plan(given.evaluation, robustness)
        trained = any(tensor.quantization is not None for tensor in floats.tensors)
        trial = Trial(model if trained else place, options, given, samples, tell)
        made = [trial.float32(content)]
        made += [trial.width(width, PROFILES[width]) for width in chosen if width != FLOAT]
        files = {one.row.width: one.content for one in made if one.content is not None}
        if keep is not None:
            write_folder(Path(keep), {f"{width}.tflite": file for width, file in files.items()})
        attacker = None if source.endswith(".tflite") else Attacker(source, options)
        endured = None
        if plan is not None:
            endured = _endured(made, given.evaluation, plan, attacker, tell)
        timed = timed_files(files, effort, tell)
    return Comparison(
        model=str(model) if isinstance(model, str | Path) else getattr(model, "name", "the model"),
        score_kind=trial.scoring.kind if trial.scoring else None,
        score_samples=len(given.evaluation) if trial.scoring else 0,
        output=trial.scoring.output if trial.scoring else "",
        rows=tuple(with_times(one.row, timed) for one in made),
        host=timed.host if timed else None,
        notes=notes_of(timed),
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
    made: Sequence[Made],
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
