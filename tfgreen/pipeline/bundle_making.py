"""`make_bundle`: from a model and samples to a bundle, one step after the other.

TensorFlow is loaded in child processes only, whatever the model is: an object is saved first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfgreen.bundle import Bundle
from tfgreen.data import Samples
from tfgreen.encodings import Choice, check_wanted, choose_encoding
from tfgreen.errors import UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.footprint.ledger import Ledger, as_ledger
from tfgreen.given_samples import GivenSamples
from tfgreen.models.loading import ModelSource, as_file, identify
from tfgreen.pipeline.export_options import ExportOptions, OnProgress
from tfgreen.pipeline.float_files import float_file
from tfgreen.pipeline.origin import model_facts, name_of, request_facts
from tfgreen.profile import ExportProfile
from tfgreen.reporting.page.figures import file_facts
from tfgreen.runtimes import quantize_inputs
from tfgreen.targets import examine
from tfgreen.tflite import Conversion, describe
from tfgreen.tflite.rescue import Rescued, convert_or_equalize
from tfgreen.verification import Certificate, certify
from tfgreen.verification.certificate import SampleFacts
from tfgreen.verification.golden_vectors import golden_vectors
from tfgreen.verification.repair import Order, Repaired, repair_file
from tfgreen.verification.structure import refuse_unknown_ops
from tfgreen.verification.workload import random_inputs

_ENCODING_CALLS = 16


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
