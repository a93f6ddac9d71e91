"""`export`: a model and samples go in, a bundle with its certificate comes out.

`export` is what people type: it prints the verdict and raises when a gate fails. `make_bundle`
is the same without the two, for callers that decide for themselves (the command line).
TensorFlow is loaded in child processes only, whatever `model` is: a model object is saved first.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfgreen.bundle import Bundle
from tfgreen.data import Samples
from tfgreen.encodings import Choice, check_wanted, choose_encoding
from tfgreen.errors import GateError, UnsupportedModelError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.footprint.ledger import Ledger, as_ledger
from tfgreen.given_samples import GivenSamples
from tfgreen.models.loading import ModelSource, as_file, identify
from tfgreen.pipeline.origin import model_facts, request_facts
from tfgreen.profile import DEFAULT_PROFILE, ExportProfile, load_profile, parse_bytes
from tfgreen.reporting import certificate_summary
from tfgreen.reporting.encoding_text import encodings_summary
from tfgreen.reporting.page.figures import file_facts
from tfgreen.reporting.progress import live_progress
from tfgreen.reporting.repair_text import repair_summary
from tfgreen.runtimes import quantize_inputs
from tfgreen.targets import examine
from tfgreen.tflite import (
    Conversion,
    ConversionOptions,
    convert_float,
    describe,
)
from tfgreen.tflite.rescue import Rescued, convert_or_equalize
from tfgreen.verification import Certificate, certify
from tfgreen.verification.certificate import SampleFacts
from tfgreen.verification.golden_vectors import golden_vectors
from tfgreen.verification.repair import Order, Repaired, repair_file
from tfgreen.verification.structure import refuse_unknown_ops
from tfgreen.verification.workload import random_inputs

OnProgress = Callable[[str, int, int], None]

SAMPLES = 64
_ENCODING_CALLS = 16


@dataclass(frozen=True)
class ExportOptions:
    """What an export may do beside the profile.

    against: the model whose answers the file is judged by, when it is not the exported one
        (the model before pruning, say): a path or an object.
    samples: how many samples the gates run, 64 by default; metrics use up to 2,000 of `evaluate`.
    encoding: how the weights are stored: "auto", "dense", or one of the profile's encodings.
    repair: make a file that misses its fidelity gate better, see `tfgreen.verification.repair`.
    ledger: what the stages before took, or the path of one; the bundle's begins with it.
    conversion: custom objects, safety, select ops, memory and time of the child.
    """

    against: Any = None
    samples: int = SAMPLES
    encoding: str = "auto"
    conversion: ConversionOptions = field(default_factory=ConversionOptions)
    repair: bool = False
    ledger: Ledger | str | Path | None = None


def export(
    model: Any,
    calibration: Any = None,
    *,
    profile: str | Path | ExportProfile = DEFAULT_PROFILE,
    evaluate: Any = None,
    against: Any = None,
    io: str | None = None,
    arena: int | str | None = None,
    flash: int | str | None = None,
    batch: int | None = None,
    custom_objects: str | None = None,
    allow_unsafe: bool = False,
    allow_select_ops: bool = False,
    memory_limit: int | str | None = None,
    samples: int = SAMPLES,
    encoding: str = "auto",
    repair: bool = False,
    ledger: Ledger | str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> Bundle:
    """Convert a trained model for a target, prove what the file computes, print the verdict.

    Args:
        model: a Keras model (Keras 3, any backend, or tf_keras), a path to one (`.keras`,
            `.h5`, a SavedModel folder, a float `.tflite`), or "module:function".
        calibration: samples the model was made for, unlabelled or not; some hundred are enough.
            An array, a dict by input name, a `tf.data.Dataset`, a path to `.npz`, `.npy` or an
            image folder, or "module:function". Needed by int8 and int16x8 profiles.
        profile: a bundled name (`tfgreen profiles`), a path, or an ExportProfile.
        evaluate: held-back samples with labels if there are any: `(x, y)` or the same sources.
            They judge the file and never influence it. Of more than 2,000, evenly spaced ones
            are used.
        against: judge by this model instead of `model`, such as the one before a training. Where
            there are labels, they judge then: SQNR and agreement are told and do not fail.
        io: dtype at the boundary, "uint8" or "input:output" as "uint8:float32".
        arena, flash: budgets in bytes or as "64KB", over the profile's.
        batch: samples in one call of the file; the profile's, mostly 1.
        custom_objects: "module" that defines the model's own classes.
        allow_unsafe: load a file that carries code, such as a Lambda layer.
        allow_select_ops: keep ops that have no builtin version as TensorFlow ops (Flex).
        memory_limit: most memory (address space) of the converter's process, in bytes or as
            "8GB"; TensorFlow alone takes some gigabytes. None for no limit; ignored on Windows.
        samples: how many samples the gates run.
        encoding: how weights are stored. "auto": the smallest of the profile's encodings, if the
            weights are pruned or clustered, and if the file answers bit for bit as the dense one
            does; "dense": as they come; or one of the profile's (`sparse`, `lut`, `decode`).
        repair: make a file that misses its fidelity gate better, the cheapest way first, until
            the gate passes or nothing helps; the certificate's notes tell every step that was
            kept. Judged on a quarter of the calibration samples, which no step is fitted to.
        ledger: what training and compressing the model took (`tg.Ledger`, or its path); the
            bundle keeps it, with the stages of this export.
        on_progress: called with (step, done, of); by default progress is shown on a terminal and
            in notebooks.

    Returns:
        The bundle; `.save("kws.tflite")` or `.save("folder/")` writes it.

    Raises:
        GateError: a gate failed; the error's `bundle` can be saved all the same.
        TfgreenError: anything else that went wrong, in one sentence.
    """
    rules = load_profile(profile).with_overrides(io=io, arena=arena, flash=flash, batch=batch)
    conversion = ConversionOptions(
        custom_objects=custom_objects,
        allow_unsafe=allow_unsafe,
        allow_select_ops=allow_select_ops,
        memory_limit_bytes=None if memory_limit is None else parse_bytes(memory_limit),
    )
    options = ExportOptions(against, samples, encoding, conversion, repair, ledger)
    with live_progress() as shown:
        tell = on_progress or shown
        bundle = make_bundle(model, calibration, rules, evaluate, options, tell)
    print(certificate_summary(bundle.certificate, with_warnings=True))
    for line in encodings_summary(bundle.facts["encoding"]):
        print(f"  {line}")
    for line in repair_summary(bundle.facts["repair"]):
        print(f"  {line}")
    for finding in bundle.facts["data_findings"]:
        print(f"  warning: {finding['message']}")
    if not bundle.certificate.passed:
        raise _gate_error(bundle)
    return bundle


def make_bundle(
    model: Any,
    calibration: Any,
    profile: ExportProfile,
    evaluate: Any = None,
    options: ExportOptions | None = None,
    on_progress: OnProgress | None = None,
) -> Bundle:
    """`export` without printing and without raising for a failed gate."""
    refuse_unknown_ops(profile)  # before the work, not after it
    options = options or ExportOptions()
    check_wanted(options.encoding, profile)
    spent = _begun(options.ledger)
    tell = on_progress or (lambda step, done, of: None)
    with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder, spent.stage("conversion"):
        place = as_file(model, Path(folder) / "model", batch=profile.batch)
        source = identify(place)
        origin = model_facts(source, is_file=isinstance(model, str | Path))
        tell("reading the data", 0, 0)
        data = _read_data(source, calibration, evaluate, profile, options)
        calibration_inputs = None if data.calibration is None else data.calibration.inputs
        made = convert_or_equalize(
            place,
            profile,
            calibration_inputs,
            options.conversion,
            on_progress,
            equalizes=options.repair,
        )
        conversion = made.conversion
        data = data.with_class_findings(conversion.content)
        float_content = _judge_by(options, conversion, Path(folder) / "against", on_progress)
    judged = data.evaluation or data.calibration
    repaired = _repaired(made, float_content, data, profile, options, spent, tell)
    content = conversion.content if repaired is None else repaired.content
    repair_notes = tuple(repaired.record.notes()) if repaired else ()
    if options.repair and repaired is None:
        repair_notes = ("Not repaired: its steps were trained, and repair would choose others.",)
    profile = profile if repaired is None else repaired.rules(profile)
    tell("choosing the encoding", 0, 0)
    with spent.stage("encoding"):
        encoded = _encoded(content, profile, judged, options.encoding)
    with spent.stage("verification"):
        certificate = _judged(encoded, profile, conversion, float_content, data, options, tell)
    with spent.stage("target"):
        tell("golden vectors", 0, 0)
        golden = golden_vectors(encoded.content, judged, profile)
        certificate = _with_origin(certificate, conversion, data, encoded, repair_notes)
        tell("the target", 0, 0)
        target = examine(encoded.content, profile, certificate, golden=golden, name=name_of(model))
    return Bundle(
        content=encoded.content,
        certificate=target.on(certificate),
        profile=profile,
        facts={
            "model": origin,
            "request": request_facts(model, options),
            "float_file": file_facts(float_content),
            **conversion.facts,
            "repair": None if repaired is None else repaired.record.to_facts(),
            "encoding": encoded.to_facts(),
            "data_findings": data.findings,
        },
        golden=golden,
        target_files=target.files,
        labels=judged.label_names if judged is not None else None,
        ledger=spent.document,
        **data.origins(),
    )


def _begun(given: Ledger | str | Path | None) -> Ledger:
    """A ledger for one export, which begins with what was spent before; the given one stays."""
    ledger, before = Ledger(), as_ledger(given)
    if before is not None:
        ledger.add(before)
    return ledger


def _repaired(
    made: Rescued,
    float_content: bytes,
    data: GivenSamples,
    profile: ExportProfile,
    options: ExportOptions,
    spent: Ledger,
    on_progress: OnProgress,
) -> Repaired | None:
    """The file after its repair; None where none was asked for, or training quantized it."""
    if not options.repair or data.calibration is None or "trained" in made.conversion.facts:
        return None
    order = Order(
        made.conversion.content,
        made.quantized_from,
        profile,
        data.calibration,
        against=float_content,
        evaluation=data.evaluation,
        options=options.conversion,
    )
    with spent.stage("repair"):
        return repair_file(order, on_progress)


def _judged(
    encoded: Choice,
    profile: ExportProfile,
    conversion: Conversion,
    float_content: bytes,
    data: GivenSamples,
    options: ExportOptions,
    on_progress: OnProgress,
) -> Certificate:
    return certify(
        encoded.content,
        profile,
        float_content=float_content,
        is_other_model=float_content != conversion.float_content,
        samples=data.evaluation or data.calibration,
        metric_samples=data.evaluation,
        sample_limit=options.samples,
        allow_select_ops=options.conversion.allow_select_ops,
        on_progress=on_progress,
    )


def _encoded(
    content: bytes, profile: ExportProfile, samples: Samples | None, wanted: str
) -> Choice:
    """The file to ship, chosen on a few samples; on made-up ones where none were given."""
    model = TfliteModel.from_bytes(content)
    if samples is None:
        return choose_encoding(content, profile, random_inputs(model, _ENCODING_CALLS), wanted)
    few = samples.spread(_ENCODING_CALLS * profile.batch)
    few = few.head(len(few) // profile.batch * profile.batch)
    return choose_encoding(content, profile, quantize_inputs(model, few), wanted)


def _with_origin(
    certificate: Certificate,
    conversion: Conversion,
    data: GivenSamples,
    encoded: Choice,
    repair_notes: Sequence[str],
) -> Certificate:
    """The certificate with the calibration's hash, and what is odd about the model and the data."""
    odd = [f"{note}." for note in conversion.facts["notes"]]
    odd += encoded.notes()
    odd += repair_notes
    notes = (*certificate.notes, *odd, *(finding["message"] for finding in data.findings))
    calibration = None
    if data.calibration is not None:
        count, sha256 = len(data.calibration), data.calibration.sha256()
        calibration = SampleFacts(count=count, sha256=sha256, origin="given")
    return certificate.model_copy(update={"notes": notes, "calibration": calibration})


def name_of(model: Any) -> str:
    """What sources call a model: the name of its file, "model" for an object or a function.

    >>> name_of("build/kws-small.keras"), name_of("models:teacher")
    ('kws_small', 'model')
    """
    is_path = isinstance(model, str | Path) and ":" not in Path(model).name
    return re.sub(r"\W+", "_", Path(model).stem) if is_path else "model"


def _gate_error(bundle: Bundle) -> GateError:
    failed = bundle.certificate.failed_checks
    rest = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return GateError(f"The file may not be shipped: {failed[0].message}{rest}", bundle)


def _read_data(
    source: ModelSource,
    calibration: Any,
    evaluate: Any,
    profile: ExportProfile,
    options: ExportOptions,
) -> GivenSamples:
    if calibration is None and (profile.needs_calibration or options.repair):
        who = f"Profile {profile.name}" if profile.needs_calibration else "Repair"
        raise UsageError(
            f"{who} needs calibration samples and received none. Give some "
            "hundred samples of what the model will see (--calibration on the command line)."
        )
    inputs, outputs = source.inputs, source.outputs
    if inputs is None or outputs is None:
        inputs, outputs = describe(source.path, options.conversion)
    return GivenSamples.read(
        calibration,
        evaluate,
        inputs,
        outputs,
        batch=profile.batch,
        sample_limit=options.samples,
    )


def _judge_by(
    options: ExportOptions, conversion: Conversion, folder: Path, on_progress: OnProgress | None
) -> bytes:
    """The float file that the exported one is held against."""
    if options.against is None:
        return conversion.float_content
    return float_file(options.against, folder, options.conversion, on_progress)


def float_file(
    model: Any,
    folder: Path,
    options: ConversionOptions,
    on_progress: OnProgress | None = None,
) -> bytes:
    """The float `.tflite` of any model; a float `.tflite` is read as it is.

    Raises UnsupportedModelError for a `.tflite` that is quantized: it is no measure of a file.
    """
    place = as_file(model, folder)
    if place.endswith(".tflite"):
        file = TfliteModel.read(place)
        quantized = [tensor.name for tensor in file.tensors if tensor.quantization is not None]
        if quantized:
            raise UnsupportedModelError(
                f"A file is judged against a float model, and '{place}' is quantized (tensor "
                f"'{quantized[0]}', for one). Give the model that it was made from."
            )
        return file.content
    return convert_float(place, options, on_progress).content
