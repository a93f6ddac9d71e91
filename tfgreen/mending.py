"""`repair`: a file that answers otherwise than its model made better, and proved again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfgreen.bundle import Bundle
from tfgreen.data import Samples, audit_calibration, read_samples, refuse_errors
from tfgreen.errors import UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.given_samples import CALIBRATION_LIMIT, GivenSamples, read_evaluation, require_batch
from tfgreen.pipeline import SAMPLES, ExportOptions, float_file, make_bundle, name_of
from tfgreen.profile import DEFAULT_PROFILE, ExportProfile, load_profile
from tfgreen.recheck import input_specs, profile_for
from tfgreen.targets import examine
from tfgreen.tflite import ConversionOptions
from tfgreen.verification import certify
from tfgreen.verification.golden_vectors import golden_vectors
from tfgreen.verification.repair import Order, repair_file
from tfgreen.verification.shipped import Shipped

OnProgress = Callable[[str, int, int], None]


def repair(
    model: Any,
    calibration: Any,
    *,
    against: Any = None,
    profile: str | Path | ExportProfile | None = None,
    evaluate: Any = None,
    samples: int = SAMPLES,
    custom_objects: str | None = None,
    allow_unsafe: bool = False,
    on_progress: OnProgress | None = None,
) -> Bundle:
    """Make a quantized file answer as its model does, the cheapest way first.

    A file that passes its fidelity gate comes back as it is. Nothing is trained.

    Args:
        model: a bundle (the object or its folder) or a quantized .tflite (path or bytes), also one
            that others made; or a Keras model, an object or a path, which is exported with
            `repair=True`.
        calibration: some hundred samples of what the model sees; a quarter of them judges the
            steps and is not fitted to. Sources as for `tfgreen.export`.
        against: the float model that a bundle or file was made from; needed for these.
        profile: the target's rules; by default the bundle's, or those that fit the file's dtypes.
        evaluate: held-back samples, with labels if there are any; they only judge.
        samples: how many samples the gates run.
        custom_objects, allow_unsafe: as for `tfgreen.export`.

    Returns:
        The bundle with the better file; `bundle.facts["repair"]` tells what was tried, and a
        failed gate is in its certificate, not raised.

    Raises:
        UsageError: a file without `against`.
        TfgreenError: anything else that went wrong, in one sentence.
    """
    options = ConversionOptions(custom_objects=custom_objects, allow_unsafe=allow_unsafe)
    content, bundle = _quantized(model)
    if content is None:
        return make_bundle(
            model,
            calibration,
            load_profile(profile or DEFAULT_PROFILE),
            evaluate,
            ExportOptions(against, samples, conversion=options, repair=True),
            on_progress,
        )
    if against is None:
        raise UsageError(
            f"Repairing the file {model} needs the float model that it was made from: give "
            "against= (--against MODEL)."
        )
    plain = Shipped.of(content).plain
    rules = load_profile(profile) if profile else bundle.profile if bundle else profile_for(plain)
    with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        true = float_file(against, Path(folder) / "against", options, on_progress)
    fitted, held = _samples(plain, calibration, evaluate, samples, rules)
    order = Order(
        plain.content, true, rules, fitted, evaluation=held, is_ours=False, options=options
    )
    repaired = repair_file(order, on_progress)
    rules = repaired.rules(rules)
    # A file that stays as it is keeps its encoding too; what is written anew has none.
    changed = bool(repaired.record.applied)
    shipped = repaired.content if changed else content
    certificate = certify(
        shipped,
        rules,
        float_content=true,
        samples=held or fitted,
        metric_samples=held,
        sample_limit=samples,
        on_progress=on_progress,
    )
    notes = (*certificate.notes, *repaired.record.notes())
    certificate = certificate.model_copy(update={"notes": notes})
    golden = golden_vectors(shipped, held or fitted, rules)
    name = "model" if isinstance(model, Bundle | bytes) else name_of(model)
    target = examine(shipped, rules, certificate, golden=golden, name=name)
    return Bundle(
        content=shipped,
        certificate=target.on(certificate),
        profile=rules,
        facts={**_facts(bundle, changed=changed), "repair": repaired.record.to_facts()},
        golden=golden,
        target_files=target.files,
        labels=bundle.labels if bundle else (held or fitted).label_names,
        **GivenSamples(fitted, held, []).origins(),
    )


def _facts(bundle: Bundle | None, *, changed: bool) -> dict[str, Any]:
    """What a bundle knew already, and what is true of a changed file still."""
    known = dict(bundle.facts) if bundle else {}
    if changed:
        known.pop("encoding", None)
    return known


def _quantized(model: Any) -> tuple[bytes | None, Bundle | None]:
    """The file of a bundle or of a quantized .tflite; None for a model."""
    if isinstance(model, Bundle):
        return model.content, model
    if isinstance(model, bytes):
        return TfliteModel.from_bytes(model).content, None
    if not isinstance(model, str | Path):
        return None, None
    place = Path(model)
    if (place / "manifest.json").exists():
        bundle = Bundle.read(place)
        return bundle.content, bundle
    if place.suffix == ".tflite" and place.exists():
        file = TfliteModel.read(place)
        if any(tensor.quantization is not None for tensor in file.tensors):
            return file.content, None
    return None, None


def _samples(
    model: TfliteModel, calibration: Any, evaluate: Any, limit: int, profile: ExportProfile
) -> tuple[Samples, Samples | None]:
    inputs = input_specs(model)
    names = model.output_names
    fitted = read_samples(calibration, inputs=inputs, outputs=names, limit=CALIBRATION_LIMIT)
    held = None if evaluate is None else read_evaluation(evaluate, inputs, names, limit)
    refuse_errors(audit_calibration(fitted, inputs, held))
    for given in (fitted, held):
        if given is not None:
            require_batch(given, profile.batch)
    return fitted, held
