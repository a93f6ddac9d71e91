"""`verify`: judge a bundle, or any .tflite file, again on this machine. No TensorFlow needed.

Only `against` a Keras model needs TensorFlow, in a child process; a float .tflite does not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from tfgreen.bundle import Bundle
from tfgreen.data import Samples, audit_evaluation, refuse_errors
from tfgreen.errors import MissingPathError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.given_samples import read_evaluation, require_batch
from tfgreen.pipeline import SAMPLES, float_file
from tfgreen.profile import BoundaryType, ExportProfile, load_profile
from tfgreen.signature import InputSpec
from tfgreen.targets import examine
from tfgreen.tflite import ConversionOptions
from tfgreen.verification import certify
from tfgreen.verification.certificate import Certificate
from tfgreen.verification.conversions import CONVERSIONS
from tfgreen.verification.device import with_device_log
from tfgreen.verification.device_log import decoded
from tfgreen.verification.replay import with_replay
from tfgreen.verification.shipped import Shipped
from tfgreen.verification.workload import batch_of

OnProgress = Callable[[str, int, int], None]


def verify(
    path: str | Path,
    *,
    against: Any = None,
    evaluate: Any = None,
    profile: str | Path | ExportProfile | None = None,
    samples: int = SAMPLES,
    device_log: str | Path | None = None,
    custom_objects: str | None = None,
    allow_unsafe: bool = False,
    on_progress: OnProgress | None = None,
) -> Certificate:
    """Judge a bundle folder or a .tflite file on this machine's kernel sets.

    A bundle is checked against its hashes, and its golden vectors are replayed. Structure and
    kernels are judged always; fidelity when `against` names the float model (a Keras model or a
    float .tflite) and `evaluate` gives samples (a bundle brings some of its own).

    Args:
        path: a bundle folder or a file.
        against: what the file should compute: a model object, a path or "module:function".
        evaluate: samples as for `tfgreen.export`, labelled or not.
        profile: the target's rules; the bundle's own by default, else the one that fits the
            file's dtypes.
        samples: how many samples the gates run.
        device_log: what a board with the bundle's sources printed over its serial port while it
            ran the golden test; the board is judged as one more kernel set, "device".

    Raises IntegrityError when a file of the bundle is not the one that was written or a device
    log is of another model, InvalidDataError for a log without a whole line of the golden test,
    and UsageError for a float file without a profile, or a log without a bundle.

    Returns the certificate; a failed gate is in it, not raised.
    """
    place = Path(path)
    if not place.exists():
        raise MissingPathError(f"There is no file or bundle {place}.")
    log = None if device_log is None else _read_log(Path(device_log), place)
    bundle = Bundle.read(place) if place.is_dir() else None
    content = bundle.content if bundle else TfliteModel.read(place).content
    rules = _rules(profile, bundle, content)
    given = _samples(bundle, content, evaluate, samples)
    options = ConversionOptions(custom_objects=custom_objects, allow_unsafe=allow_unsafe)
    if against is not None and given is None:
        raise UsageError(
            "Judging a file against a model needs samples: give evaluate= (--evaluate E.npz)."
        )
    with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        float_content = (
            None
            if against is None
            else float_file(against, Path(folder) / "against", options, on_progress)
        )
    certificate = certify(
        content,
        rules,
        float_content=float_content,
        samples=given,
        metric_samples=given if evaluate is not None else None,
        sample_limit=samples,
        on_progress=on_progress,
    )
    certificate = examine(content, rules, certificate, with_files=False).on(certificate)
    if bundle is None:
        return certificate
    golden = bundle.golden
    if golden.outputs:
        certificate = with_replay(certificate, content, golden.file_inputs, golden.outputs, rules)
    if log is None:
        return certificate
    compiled = [file for name, file in bundle.target_files.items() if name.endswith(".tflite")]
    return with_device_log(certificate, content, golden, rules, log, compiled=compiled)


def _read_log(log: Path, judged: Path) -> str:
    if not judged.is_dir():
        raise UsageError(
            f"A device log is compared with a bundle's golden vectors, and {judged} is a file "
            "alone. Give the bundle's folder."
        )
    if not log.is_file():
        raise MissingPathError(f"There is no device log {log}.")
    return decoded(log.read_bytes())


def _rules(
    profile: str | Path | ExportProfile | None, bundle: Bundle | None, content: bytes
) -> ExportProfile:
    if profile is not None:
        return load_profile(profile)
    return bundle.profile if bundle else profile_for(Shipped.of(content).plain)


def profile_for(model: TfliteModel) -> ExportProfile:
    """The bundled profile that fits a file's dtypes, with the file's own boundary and batch.

    Layers of 8 and of 16 bits together are what a repair makes: int8, wider layers allowed.

    Raises UsageError for a file in which nothing is quantized: no profile promises floats.
    """
    activations = {model.tensors[i].dtype for op in model.ops for i in op.outputs}
    weights = {tensor.dtype for tensor in model.tensors if tensor.is_constant}
    wider = {"int8", "int16"} <= _computed(model)
    if "int16" in activations and not wider:
        name = "microcontroller-int16x8"
    elif "int8" in activations:
        name = "mobile-int8"
    elif "int4" in weights:
        name = "mobile-weights-int4"
    elif "int8" in weights:
        name = "mobile-dynamic-int8"
    elif "float16" in weights:
        name = "mobile-float16"
    elif activations & FLOAT_DTYPES and not any(t.quantization for t in model.tensors):
        raise UsageError(
            "The file is not quantized, so that no profile follows from it. Name the one that it "
            "should keep to, as profile='mobile-float16' (--profile mobile-float16)."
        )
    else:
        name = "mobile-int8"
    profile = load_profile(name)
    if wider:
        profile = profile.model_copy(update={"wider_layers": "allowed"})
    return _with_own_boundary(profile, model)


def _computed(model: TfliteModel) -> set[str]:
    """Dtypes of the activations that ops compute, conversions apart."""
    ops = [op for op in model.ops if op.name not in CONVERSIONS]
    return {model.tensors[index].dtype for op in ops for index in op.outputs}


def _with_own_boundary(profile: ExportProfile, model: TfliteModel) -> ExportProfile:
    if not model.inputs or not model.outputs:
        return profile
    first, last = model.tensors[model.inputs[0]], model.tensors[model.outputs[0]]
    # Tokens, say, are int32, which no profile asks for: then its own word stands.
    input_type = first.dtype if first.dtype in get_args(BoundaryType) else profile.input_type
    output_type = last.dtype if last.dtype in get_args(BoundaryType) else profile.output_type
    profile = profile.with_overrides(batch=batch_of(model))
    try:
        return profile.with_overrides(io=f"{input_type}:{output_type}")
    except UsageError:
        return profile


def _samples(
    bundle: Bundle | None, content: bytes, evaluate: Any, sample_limit: int
) -> Samples | None:
    if evaluate is not None:
        model = TfliteModel.from_bytes(content)
        inputs = input_specs(model)
        given = read_evaluation(evaluate, inputs, model.output_names, sample_limit)
        refuse_errors(audit_evaluation(given, inputs))
        require_batch(given, batch_of(model))
        return given
    if bundle is not None and bundle.golden.inputs:
        return Samples(dict(bundle.golden.inputs), source="golden vectors of the bundle")
    return None


def input_specs(model: TfliteModel) -> tuple[InputSpec, ...]:
    """What the float model behind a file takes: quantized inputs are given as float32."""
    return tuple(
        InputSpec(
            name,
            model.tensors[index].shape[1:],
            "float32"
            if model.tensors[index].quantization is not None
            else model.tensors[index].dtype,
        )
        for name, index in zip(model.input_names, model.inputs, strict=True)
    )
