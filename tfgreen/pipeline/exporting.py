"""`export`: a model and samples go in, a bundle with its certificate comes out.

`export` is what people type: it prints the verdict and raises when a gate fails. `make_bundle`
is the same without the two, for callers that decide for themselves (the command line).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfgreen.bundle import Bundle
from tfgreen.errors import GateError
from tfgreen.footprint.ledger import Ledger
from tfgreen.pipeline.bundle_making import make_bundle
from tfgreen.pipeline.export_options import SAMPLES, ExportOptions, OnProgress
from tfgreen.profile import DEFAULT_PROFILE, ExportProfile, load_profile, parse_bytes
from tfgreen.reporting import certificate_summary
from tfgreen.reporting.encoding_text import encodings_summary
from tfgreen.reporting.progress import live_progress
from tfgreen.reporting.repair_text import repair_summary
from tfgreen.tflite import ConversionOptions


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


def _gate_error(bundle: Bundle) -> GateError:
    failed = bundle.certificate.failed_checks
    rest = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return GateError(f"The file may not be shipped: {failed[0].message}{rest}", bundle)
