"""`diagnose`: why a quantized file differs from its model; the file and the float model meet here.

TensorFlow is needed only for a Keras model, in a child process; a float .tflite needs none.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfgreen.bundle import Bundle
from tfgreen.data import Samples, audit_evaluation, read_samples, refuse_errors
from tfgreen.errors import MissingPathError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.given_samples import CALIBRATION_LIMIT, read_evaluation, require_batch
from tfgreen.inspection.normalizations import batch_normalizations
from tfgreen.pipeline import SAMPLES, float_file
from tfgreen.recheck import input_specs, profile_for
from tfgreen.reporting.progress import live_progress
from tfgreen.tflite import ConversionOptions
from tfgreen.verification.diagnosis.examination import Case, examine
from tfgreen.verification.diagnosis.measuring import Comparison
from tfgreen.verification.diagnosis.record import Diagnosis
from tfgreen.verification.diagnosis.sensitivity import BitSensitivity, bit_sensitivities
from tfgreen.verification.shipped import Shipped
from tfgreen.verification.workload import batch_of

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Given:
    """A file and what came with it."""

    content: bytes
    kernel_sets: tuple[str, ...]
    samples: Samples | None
    name: str


def diagnose(
    model: Any,
    file: str | Path | bytes | Bundle,
    evaluate: Any = None,
    labels: Any = None,
    *,
    calibration: Any = None,
    samples: int = SAMPLES,
    custom_objects: str | None = None,
    allow_unsafe: bool = False,
    on_progress: OnProgress | None = None,
) -> Diagnosis:
    """Find the first op of a quantized file that goes wrong, and say why.

    Args:
        model: what the file was made from: a Keras model, a path to one, "module:function", or a
            float .tflite.
        file: a .tflite (path or bytes), a bundle folder, or a Bundle.
        evaluate: samples as the model gets them in use, float, by input name; with labels if
            there are any. Sources as for `tfgreen.export`. A bundle brings a few of its own.
        labels: class numbers of `evaluate`, if they are not in it.
        calibration: what the file was calibrated with, if known.
        samples: how many samples the ops are measured on.
        custom_objects, allow_unsafe: as for `tfgreen.export`.
        on_progress: called with (step, done, of); by default progress is shown on a terminal.

    Returns:
        The diagnosis: `culprit`, `cause`, `evidence`, `faults`, `layers`; print it, or `.plot()`.
        Nothing is found in a sound file: `is_healthy`.

    Raises:
        UnsupportedModelError: the file's inputs or outputs are not the model's.
        InvalidDataError: samples that do not fit.
        UsageError: no samples.
    """
    with live_progress() as shown:
        tell = on_progress or shown
        given = _given(file)
        kept = _samples(given, evaluate, labels, samples)
        tell("making the float file", 0, 0)
        options = ConversionOptions(custom_objects=custom_objects, allow_unsafe=allow_unsafe)
        with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
            place = Path(folder) / "model"
            float_content = float_file(model, place, options, on_progress)
            saved = (
                Path(model)
                if isinstance(model, str | Path)
                else next(place.rglob("*.keras"), place)
            )
            normalizations = batch_normalizations(saved)
        case = Case(
            float_content=float_content,
            content=given.content,
            samples=kept,
            calibration=_calibration(given.content, calibration),
            sample_limit=samples,
            kernel_sets=given.kernel_sets,
            normalizations=normalizations,
            name=given.name,
        )
        return examine(case, tell)


def bit_sensitivity(
    model: Any,
    file: str | Path | bytes | Bundle,
    evaluate: Any = None,
    *,
    bits: int = 4,
    samples: int = SAMPLES,
    custom_objects: str | None = None,
    allow_unsafe: bool = False,
    on_progress: OnProgress | None = None,
) -> tuple[BitSensitivity, ...]:
    """Which layers of a quantized file bear weights of few bits, and which need more.

    Args:
        bits: width of the weights to try, one layer at a time, 2 to 8.
        model, file, evaluate, samples, custom_objects, allow_unsafe, on_progress: as for
            `diagnose`.

    Returns:
        One row for each layer with weights, in the file's order.
    """
    with live_progress() as shown:
        tell = on_progress or shown
        given = _given(file)
        kept = _samples(given, evaluate, None, samples)
        options = ConversionOptions(custom_objects=custom_objects, allow_unsafe=allow_unsafe)
        with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
            float_content = float_file(model, Path(folder) / "model", options, on_progress)
        comparison = Comparison(float_content, given.content, kept.spread(samples))
        return bit_sensitivities(comparison, bits, tell)


def _given(file: str | Path | bytes | Bundle) -> _Given:
    if isinstance(file, bytes):
        return _of_file(file, "The file")
    if isinstance(file, Bundle):
        return _of_bundle(file, "The bundle")
    place = Path(file)
    if not place.exists():
        raise MissingPathError(f"There is no file or bundle {place}.")
    if place.is_dir():
        return _of_bundle(Bundle.read(place), str(place))
    return _of_file(TfliteModel.read(place).content, str(place))


def _of_bundle(bundle: Bundle, name: str) -> _Given:
    inputs = dict(bundle.golden.inputs)
    samples = Samples(inputs, source="golden vectors of the bundle") if inputs else None
    plain = Shipped.of(bundle.content).plain.content
    return _Given(plain, bundle.profile.kernel_sets.runs, samples, name)


def _of_file(content: bytes, name: str) -> _Given:
    model = Shipped.of(content).plain
    if not any(tensor.quantization is not None for tensor in model.tensors):
        raise UsageError(
            f"{name} is not quantized: there is nothing to diagnose. Give the int8 file, and the "
            "float model that it was made from."
        )
    return _Given(model.content, profile_for(model).kernel_sets.runs, None, name)


def _samples(given: _Given, evaluate: Any, labels: Any, sample_limit: int) -> Samples:
    if sample_limit < 1:
        raise UsageError(f"Received samples={sample_limit}; expected 1 or more.")
    if evaluate is None:
        if labels is not None:
            raise UsageError(
                "Received labels without samples: give evaluate=, the samples that they are of."
            )
        if given.samples is None:
            raise UsageError(
                "A diagnosis needs samples: give evaluate= (--evaluate E.npz), some tens of them."
            )
        return given.samples
    model = TfliteModel.from_bytes(given.content)
    inputs = input_specs(model)
    source = evaluate if labels is None else (evaluate, labels)
    kept = read_evaluation(source, inputs, model.output_names, sample_limit)
    refuse_errors(audit_evaluation(kept, inputs))
    require_batch(kept, batch_of(model))
    return kept


def _calibration(content: bytes, calibration: Any) -> Samples | None:
    if calibration is None:
        return None
    model = TfliteModel.from_bytes(content)
    specs, names = input_specs(model), model.output_names
    return read_samples(calibration, inputs=specs, outputs=names, limit=CALIBRATION_LIMIT)
