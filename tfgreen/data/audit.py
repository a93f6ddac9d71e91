"""The audit of calibration data: what would spoil the file is said before the file is made.

Errors refuse the export, warnings go into the certificate. Every finding carries its numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from tfgreen.data.comparison import compare_values
from tfgreen.data.findings import Finding
from tfgreen.data.matching import match
from tfgreen.data.randomness import looks_random
from tfgreen.data.samples import Samples
from tfgreen.errors import InvalidDataError
from tfgreen.signature import InputSpec

# Fewer samples miss the extremes of the activations; TFLite's guide asks for a hundred or more.
FEW_SAMPLES = 32
# A few silent clips or blank frames are normal.
_MANY_DUPLICATES_SHARE = 0.1
_MUCH_OVERLAP_SHARE = 0.01


def audit_evaluation(evaluation: Samples, inputs: Sequence[InputSpec]) -> tuple[Finding, ...]:
    """What makes evaluation data unusable: samples that do not fit, none at all, NaN, infinity."""
    matched, findings = _matched(evaluation, inputs)
    if matched is None:
        return findings
    broken = (_not_finite(name, array, evaluation) for name, array in matched.inputs.items())
    return tuple(finding for finding in broken if finding is not None)


def audit_calibration(
    calibration: Samples, inputs: Sequence[InputSpec], evaluation: Samples | None = None
) -> tuple[Finding, ...]:
    """Everything that is wrong or odd about calibration data, errors first.

    Errors: the samples do not fit `inputs` (names, shapes, dtypes), there are none, values are
    NaN or infinite, all samples are the same or constant, or their values are far from those of
    `evaluation`. Warnings: fewer than 32 samples, data that look random, duplicates, samples that
    are also in `evaluation`, ranges that differ.
    """
    matched, refused = _matched(calibration, inputs)
    if evaluation is not None:
        refused += audit_evaluation(evaluation, inputs)
    if matched is None or refused:
        return refused
    judged = match(evaluation, inputs) if evaluation is not None else None
    findings = [
        *_count_findings(matched),
        *_value_findings(matched, inputs, judged),
        *_repetition_findings(matched, judged),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.severity))


def audit_classes(
    calibration: Samples, class_counts: Mapping[str, int], evaluation: Samples | None = None
) -> tuple[Finding, ...]:
    """Warnings where the calibration data hold one class, or fewer than half of the known ones.

    `class_counts` is the number of values in the last dimension of each of the model's outputs:
    labels that are no class numbers of their output (whole numbers of a regression) are let be.
    """
    return tuple(_class_findings(calibration, class_counts, evaluation))


def _matched(
    samples: Samples, inputs: Sequence[InputSpec]
) -> tuple[Samples | None, tuple[Finding, ...]]:
    """The samples in the model's shapes and dtypes, or why they cannot be had."""
    try:
        matched = match(samples, inputs)
    except InvalidDataError as error:
        evidence = {"inputs": "; ".join(map(str, inputs)), "source": samples.source}
        return None, (Finding("error", "does-not-fit", str(error), evidence),)
    if not len(matched) or any(array.size == 0 for array in matched.inputs.values()):
        message = f"{samples.source} holds no values; expected at least one sample."
        return None, (Finding("error", "no-samples", message, {"samples": len(matched)}),)
    return matched, ()


def _count_findings(samples: Samples) -> Iterator[Finding]:
    if len(samples) < FEW_SAMPLES:
        message = (
            f"Only {len(samples)} calibration samples: the extremes of the activations are "
            f"probably missed. Give {FEW_SAMPLES} or more, better some hundreds."
        )
        evidence = {"samples": len(samples), "recommended": FEW_SAMPLES}
        yield Finding("warning", "few-samples", message, evidence)


def _value_findings(
    samples: Samples, inputs: Sequence[InputSpec], evaluation: Samples | None
) -> Iterator[Finding]:
    constant = {name: _sameness(array) for name, array in samples.inputs.items()}
    for spec in inputs:
        array = samples.inputs[spec.name]
        broken = _not_finite(spec.name, array, samples)
        if broken is not None:
            yield broken
            continue
        if constant[spec.name]:
            severe = all(constant.values())
            yield _constant_finding(spec.name, array, constant[spec.name], severe)
            continue
        if spec.dtype in ("int32", "int64", "bool"):
            continue  # tokens and flags have no scale: neither range nor noise says anything
        noise = looks_random(array)
        if noise is not None:
            yield _random_finding(spec.name, noise)
        other = evaluation.inputs[spec.name] if evaluation is not None else None
        if other is not None:
            far = compare_values(spec.name, array, other)
            if far is not None:
                yield far


def _not_finite(name: str, array: np.ndarray, samples: Samples) -> Finding | None:
    finite = np.isfinite(array)
    if finite.all():
        return None
    bad = ~finite.reshape(len(array), -1).all(axis=1)
    nans = int(np.isnan(array).sum())
    infinite = int(array.size - finite.sum()) - nans
    message = (
        f"Input '{name}' of {samples.source} has {nans} NaN and {infinite} infinite values in "
        f"{int(bad.sum())} of {len(array)} samples, first in sample {int(bad.argmax())}. "
        "Remove these samples."
    )
    evidence: dict[str, float | int | str]
    evidence = {"input": name, "nan": nans, "infinite": infinite, "samples": int(bad.sum())}
    return Finding("error", "not-finite", message, evidence)


def _sameness(array: np.ndarray) -> str:
    """ "constant" for one value throughout, "identical" for one sample repeated, else ""."""
    if np.all(array == array.flat[0]) and array.size > 1:
        return "constant"
    return "identical" if len(array) > 1 and np.all(array == array[:1]) else ""


def _constant_finding(name: str, array: np.ndarray, sameness: str, severe: bool) -> Finding:
    if sameness == "constant":
        what = f"is {array.flat[0]:.4g} in every value of all {len(array)} samples"
    else:
        what = f"is the same in all {len(array)} samples"
    message = (
        f"Input '{name}' of the calibration data {what}: the ranges found with it say nothing "
        "about real data. Calibrate with real, varied samples."
    )
    severity: Literal["error", "warning"] = "error" if severe else "warning"
    numbers: dict[str, float | int | str] = {"input": name, "samples": len(array)}
    return Finding(severity, f"{sameness}-data", message, numbers)


def _random_finding(name: str, noise: Mapping[str, float | str]) -> Finding:
    message = (
        f"Input '{name}' of the calibration data looks like {noise['distribution']} noise: "
        f"neighbouring values are uncorrelated (|r| <= {noise['neighbour_correlation']}) and the "
        f"distribution is off by {noise['distribution_distance']} only. Ranges found with random "
        "data are wrong for real data."
    )
    return Finding("warning", "random-data", message, {"input": name, **noise})


def _class_findings(
    samples: Samples, class_counts: Mapping[str, int], evaluation: Samples | None
) -> Iterator[Finding]:
    held_back = _labelled(evaluation, class_counts) if evaluation is not None else {}
    for name, labels in _labelled(samples, class_counts).items():
        classes = _classes(labels, class_counts[name])
        if classes is None:
            continue
        known = _classes(held_back.get(name), class_counts[name])
        known_count = max(len(known or ()), len(samples.label_names or ()))
        if len(samples) > 1 and len(classes) == 1 or 2 * len(classes) < known_count:
            of = f" of {known_count}" if known_count else ""
            held = f"class {next(iter(classes))} only" if len(classes) == 1 else "few classes"
            message = (
                f"The calibration data hold {held} ({len(classes)}{of} in '{name}'). Activations "
                "of the other classes are not seen: take samples of every class."
            )
            numbers: dict[str, float | int | str] = {"label": name, "classes": len(classes)}
            yield Finding("warning", "few-classes", message, numbers | {"of": known_count})


def _labelled(samples: Samples, outputs: Iterable[str]) -> dict[str, np.ndarray]:
    """Labels by output; "y" is the sole output's. An audit does not refuse labels of no output."""
    names = tuple(outputs)
    labels = dict(samples.labels)
    if "y" in labels and "y" not in names and len(names) == 1:
        labels[names[0]] = labels.pop("y")
    return {name: array for name, array in labels.items() if name in names}


def _classes(labels: np.ndarray | None, class_count: int) -> set[int] | None:
    """The classes of class numbers (n,) or (n, 1), or of one-hot rows; None for other labels.

    Class numbers lie below the number of scores, and are 0 and 1 for a single score.
    """
    if labels is None or labels.size == 0:
        return None
    if labels.ndim == 2 and labels.shape[1] > 1:
        one_hot = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
        return set(labels.argmax(axis=1).tolist()) if one_hot else None
    if labels.dtype.kind not in "iub" or labels.size != len(labels):
        return None
    if labels.min() < 0 or labels.max() >= max(class_count, 2):
        return None
    return set(labels.ravel().tolist())


def _repetition_findings(samples: Samples, evaluation: Samples | None) -> Iterator[Finding]:
    rows = _row_hashes(samples)
    duplicates = len(rows) - len(set(rows))
    if duplicates > _MANY_DUPLICATES_SHARE * len(rows) and len(set(rows)) > 1:
        message = (
            f"{duplicates} of {len(rows)} calibration samples repeat another one exactly: there "
            f"are {len(set(rows))} different ones. Repetition adds nothing."
        )
        evidence = {"duplicates": duplicates, "samples": len(rows)}
        yield Finding("warning", "duplicates", message, evidence)
    if evaluation is None or not len(evaluation):
        return
    seen = set(rows)
    shared = sum(row in seen for row in _row_hashes(evaluation))
    if shared > _MUCH_OVERLAP_SHARE * len(evaluation):
        message = (
            f"{shared} of {len(evaluation)} evaluation samples are calibration samples too: the "
            "figures will look better than they are. Keep the two apart."
        )
        evidence = {"shared": shared, "evaluation_samples": len(evaluation)}
        yield Finding("warning", "overlap", message, evidence)


def _row_hashes(samples: Samples) -> list[bytes]:
    arrays = [np.ascontiguousarray(samples.inputs[name]) for name in sorted(samples.inputs)]
    return [
        hashlib.blake2b(b"".join(array[row].tobytes() for array in arrays)).digest()
        for row in range(len(samples))
    ]
