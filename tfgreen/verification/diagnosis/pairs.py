"""Is it a pair at all? Another model's file and swapped inputs are no bad quantization."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import TfgreenError
from tfgreen.runtimes import quantize_inputs
from tfgreen.verification.diagnosis.anatomy import Constant, constants_of
from tfgreen.verification.diagnosis.measuring import Comparison
from tfgreen.verification.diagnosis.pairing import correlation
from tfgreen.verification.diagnosis.record import Fault
from tfgreen.verification.diagnosis.running import Runner
from tfgreen.verification.diagnosis.steps import reals_of
from tfgreen.verification.diagnosis.weights import CHANNEL_AXES, likeness
from tfgreen.wording import share_text

_UNRELATED = 0.5
_MOST_INPUTS = 5
_CLEARLY_BETTER = 0.25  # of the unexplained variance
_SWAP_SAMPLES = 16
_FEW_PAIRS = 0.2
_TRAINED_WEIGHTS = 8
"""Fewer values agree or differ by chance."""


def pair_faults(comparison: Comparison) -> Iterator[Fault]:
    """What tells that two files do not belong together, or are fed in the wrong order."""
    swapped = _swapped_inputs(comparison) or _swapped_outputs(comparison)
    if swapped is not None:
        yield swapped
        return
    unrelated = _unrelated_weights(comparison)
    if unrelated is not None:
        yield unrelated


def _unrelated_weights(comparison: Comparison) -> Fault | None:
    """Most weights are nothing like the float model's: another training, or another model."""
    alike = {}
    for step in comparison.steps:
        if step.op.name in CHANNEL_AXES:
            for one in constants_of(comparison, step):
                if _tells(one):
                    alike[step.output] = likeness(one)
    count = len(comparison.steps)
    paired_ops = sum(1 for step in comparison.steps if step.real is not None)
    if alike:
        foreign = [index for index, value in alike.items() if value < _UNRELATED]
        if 2 * len(foreign) <= len(alike):
            return None
        told = (
            f"The weights of {len(foreign)} of {len(alike)} layers have nothing in common with "
            "the float model's: the file was made from another model, or from another training."
        )
        evidence: dict[str, float | int | str] = {
            "layers_compared": len(alike),
            "layers_unlike": len(foreign),
            "median_likeness": round(float(np.median(list(alike.values()))), 3),
        }
    else:
        computing = sum(1 for op in comparison.model.ops if op.name in CHANNEL_AXES)
        if not computing or paired_ops > _FEW_PAIRS * max(count, len(comparison.model.ops)):
            return None
        told = (
            "The two graphs have no tensors in common but the inputs and outputs: the file was "
            "made from another model."
        )
        evidence = {"ops": len(comparison.model.ops), "ops_paired": paired_ops}
    return Fault(
        cause="another-model",
        message=told,
        remedy="Give the very model that the file was exported from.",
        evidence=evidence,
    )


def _tells(one: Constant) -> bool:
    return not one.is_bias and one.truth.size >= _TRAINED_WEIGHTS


def _swapped_inputs(comparison: Comparison) -> Fault | None:
    """Fed in another order, the file would agree with the float model."""
    model = comparison.model
    few = comparison.samples.head(_SWAP_SAMPLES)
    names = list(model.input_names)
    if len(names) < 2 or len(names) > _MOST_INPUTS or set(names) != set(few.inputs):
        return None
    as_given = _explained(comparison, few)
    best, order = as_given, tuple(names)
    for candidate in itertools.permutations(names):
        shapes = [few.inputs[name].shape for name in candidate]
        if shapes != [few.inputs[name].shape for name in names]:
            continue
        swapped = replace(
            few,
            inputs={name: few.inputs[other] for name, other in zip(names, candidate, strict=True)},
        )
        explained = _explained(comparison, swapped)
        if explained > best:
            best, order = explained, candidate
    if order == tuple(names) or 1 - best > _CLEARLY_BETTER * (1 - as_given):
        return None
    moved = [
        f"'{there}' as '{here}'" for here, there in zip(names, order, strict=True) if here != there
    ]
    return Fault(
        cause="swapped-inputs",
        message="The inputs of the file are swapped: fed with "
        f"{', '.join(moved)}, it agrees with the float model ({share_text(best)} of the variance "
        f"explained instead of {share_text(as_given)}).",
        remedy="Feed the file's inputs by the signature's names, and export with names that say "
        "what the inputs are.",
        evidence={
            "explained_as_given": round(as_given, 4),
            "explained_swapped": round(best, 4),
            "order": ", ".join(order),
        },
    )


def _explained(comparison: Comparison, samples: Samples) -> float:
    """Share of the final variance that the file explains, averaged over its final tensors."""
    model = comparison.model
    try:
        codes = Runner(model.content, "the file").tensors(quantize_inputs(model, samples))
    except TfgreenError:
        return -1.0
    likenesses = []
    for index in comparison.bench.final:
        if index in comparison.truths:
            truth = comparison.truths[index][: len(codes[index])]
            likenesses.append(correlation(truth, reals_of(codes[index], model.tensors[index])))
    known = [max(value, 0.0) ** 2 for value in likenesses if value is not None]
    return float(np.mean(known)) if known else -1.0


def _swapped_outputs(comparison: Comparison) -> Fault | None:
    """Each output agrees with another output of the float model, and not with its own."""
    model, truths = comparison.model, comparison.truths
    outputs = [index for index in model.outputs if index in truths]
    if len(outputs) < 2:
        return None
    given = [reals_of(comparison.codes[i], model.tensors[i]) for i in outputs]
    for one, other in itertools.combinations(range(len(outputs)), 2):
        if given[one].shape != given[other].shape:
            continue
        pairs = [(one, one), (other, other), (one, other), (other, one)]
        alike = [correlation(given[i], truths[outputs[j]]) or 0.0 for i, j in pairs]
        straight, crossed = sum(alike[:2]) / 2, sum(alike[2:]) / 2
        if 1 - crossed < _CLEARLY_BETTER * (1 - straight):
            names = [model.output_names[model.outputs.index(outputs[i])] for i in (one, other)]
            return Fault(
                cause="swapped-outputs",
                message=f"The outputs '{names[0]}' and '{names[1]}' of the file are swapped: each "
                "agrees with the float model's other one.",
                remedy="Read the file's outputs by the signature's names.",
                evidence={
                    "correlation_as_named": round(straight, 4),
                    "correlation_swapped": round(crossed, 4),
                },
            )
    return None
