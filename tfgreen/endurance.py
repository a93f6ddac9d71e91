"""`robustness`: how a model and its files bear worse data; models and bundles meet here."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfgreen.bundle import Bundle
from tfgreen.data import audit_evaluation, refuse_errors
from tfgreen.errors import MissingPathError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.given_samples import read_evaluation
from tfgreen.models.loading import as_file
from tfgreen.pipeline import float_file
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.recheck import input_specs, profile_for
from tfgreen.reporting.progress import live_progress
from tfgreen.tflite import ConversionOptions
from tfgreen.verification.lineup import truth_here
from tfgreen.verification.robustness import (
    ROBUSTNESS_SAMPLES,
    Attacker,
    Plan,
    Robustness,
    Subject,
    measure_robustness,
)
from tfgreen.verification.robustness.conditions import ATTACKS
from tfgreen.verification.robustness.record import FLOAT
from tfgreen.verification.shipped import Shipped

OnProgress = Callable[[str, int, int], None]


def robustness(
    model: Any,
    files: Any,
    data: Any,
    *,
    kind: str | Mapping[str, str] | None = None,
    corruptions: Sequence[str] | None = None,
    attacks: Sequence[str] = ATTACKS,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    profile: str | Path | ExportProfile | None = None,
    samples: int = ROBUSTNESS_SAMPLES,
    seed: int = 0,
    custom_objects: str | None = None,
    allow_unsafe: bool = False,
    on_progress: OnProgress | None = None,
) -> Robustness:
    """Score a model and its files as the data get worse, step by step.

    The float model runs as its float .tflite on XNNPACK, every file on the kernel set that is its
    profile's truth, all on the same samples.

    Args:
        model: what the files were made from: a Keras model, a path to one, "module:function", or
            a float .tflite, which has no gradient and is not attacked.
        files: one or more: a .tflite (path or bytes), a bundle's folder or a Bundle; or a mapping
            from names to them.
        data: held-back samples as the model gets them in use, with labels; without labels the
            float model's classes of the clean samples are what is asked for.
        kind: "image", "audio" or "text"; for several inputs a mapping, and inputs left out stay
            as they are. By default told from the shape, where that leaves no doubt.
        corruptions: names, as in `Robustness.conditions`; all that fit by default.
        attacks: of "fgsm" and "pgd"; () for none.
        ranges: (low, high) of an input's values by name, where the data do not show them.
        profile: whose truth files without a bundle are run on; by default told from the file.
        samples: how many, evenly spaced.
        seed: of everything random.
        custom_objects, allow_unsafe: as for `tfgreen.export`.
        on_progress: called with (step, done, of); by default progress is shown on a terminal.

    Returns:
        A row for the float model and one for each file. Print it, or `.plot()`.

    Raises:
        UsageError: the kind of data is not clear, or there is no file.
        InvalidDataError: samples that do not fit, or nothing to score.
    """
    if samples < 1:
        raise UsageError(f"Received samples={samples}; expected 1 or more.")
    plan = Plan(kind, ranges or {}, corruptions, attacks, seed)
    subjects = [_subject(name, file, profile) for name, file in _named(files).items()]
    options = ConversionOptions(custom_objects=custom_objects, allow_unsafe=allow_unsafe)
    with live_progress() as shown, tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        tell = on_progress or shown
        tell("making the float file", 0, 0)
        place = as_file(model, Path(folder) / "model")
        content = float_file(place, Path(folder), options, on_progress)
        found = TfliteModel.from_bytes(content)
        inputs = input_specs(found)
        given = read_evaluation(data, inputs, found.output_names, samples).spread(samples)
        refuse_errors(audit_evaluation(given, inputs))
        attacker = None if place.endswith(".tflite") else Attacker(place, options)
        return measure_robustness(content, subjects, given, plan, attacker, tell)


def _named(files: Any) -> dict[str, Any]:
    if isinstance(files, Mapping):
        found = dict(files)
    elif isinstance(files, str | Path | bytes | Bundle):
        found = {_name(files, 1): files}
    else:
        given = list(files)
        found = {_name(file, number): file for number, file in enumerate(given, start=1)}
        if len(found) < len(given):
            raise UsageError(
                "Two files have the same name. Name them: files={'int8': 'a/model.tflite', ...}."
            )
    if not found:
        raise UsageError("Received no file; give a .tflite or a bundle.")
    if FLOAT in found:
        raise UsageError(
            f"Received a file named '{FLOAT}', which is the float model's row. Leave it out, or "
            "name it otherwise: files={'mine': ...}."
        )
    return found


def _name(file: Any, number: int) -> str:
    if isinstance(file, str | Path):
        return Path(file).stem
    return file.profile.name if isinstance(file, Bundle) else f"file {number}"


def _subject(name: str, file: Any, profile: str | Path | ExportProfile | None) -> Subject:
    if isinstance(file, str | Path):
        if not Path(file).exists():
            raise MissingPathError(f"There is no file or bundle {file}.")
        file = Bundle.read(Path(file)) if Path(file).is_dir() else Path(file).read_bytes()
    if isinstance(file, Bundle):
        rules, content = file.profile, file.content
    else:
        content = file
        rules = load_profile(profile) if profile else profile_for(Shipped.of(content).plain)
    return Subject(name, content, truth_here(rules.kernel_sets.truth))
