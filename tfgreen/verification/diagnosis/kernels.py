"""A kernel that computes something else than the specification says, on one runtime.

Kernel sets round differently by design, and depth amplifies that; so a kernel set is suspect only
if it makes the final error clearly larger than exact arithmetic does, and a kernel is at fault only
if it is more than two steps off, fed the same integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.runtimes import Task, availability, run_tasks
from tfgreen.verification.diagnosis.measuring import Comparison
from tfgreen.verification.diagnosis.record import Fault
from tfgreen.verification.diagnosis.segments import cut_segment
from tfgreen.verification.diagnosis.steps import Step, reals_of
from tfgreen.verification.labels import tensor_label
from tfgreen.verification.quanta import float_quantum
from tfgreen.verification.sqnr import Power

_CALLS = 16
_CLEARLY_WORSE = 2.0  # 3 dB
_VISIBLE_NOISE = 10**-3.5
_SOUND_STEPS = 2.0
_FLOAT_STEPS = 100.0


def kernel_faults(comparison: Comparison, kernel_sets: Sequence[str]) -> Iterator[Fault]:
    """The kernels at fault on each of some kernel sets; those not installed are passed over."""
    for kernel_set in dict.fromkeys(kernel_sets):
        if availability(kernel_set).available and _is_worse(comparison, kernel_set):
            fault = _first_bad_kernel(comparison, kernel_set)
            if fault is not None:
                yield fault


def _is_worse(comparison: Comparison, kernel_set: str) -> bool:
    model = comparison.model
    inputs = tuple(comparison.codes[index][:_CALLS] for index in model.inputs)
    outcome = run_tasks(kernel_set, [Task("the file", model.content, inputs)])[0]
    if not outcome.ok:
        return True  # the ops one by one will tell which
    for position, index in enumerate(model.outputs):
        if index not in comparison.truths:
            continue
        truth = comparison.truths[index][:_CALLS]
        exact, given = Power(), Power()
        exact.add(truth, comparison.reals(index)[:_CALLS])
        given.add(truth, reals_of(outcome.outputs[position], model.tensors[index]))
        if given.noise > max(_CLEARLY_WORSE * exact.noise, _VISIBLE_NOISE * given.signal):
            return True
    return False


def _first_bad_kernel(comparison: Comparison, kernel_set: str) -> Fault | None:
    model = comparison.model
    steps = comparison.steps
    tasks = [
        Task(
            f"op {step.op.index} ({step.op.name})",
            cut_segment(model, step.file),
            tuple(comparison.codes[index][:_CALLS] for index in step.file.inputs),
        )
        for step in steps
    ]
    for step, outcome in zip(steps, run_tasks(kernel_set, tasks), strict=True):
        if outcome.ok:
            off = _steps_off(model, step, outcome.outputs[0], comparison.codes[step.output])
            if off > (_FLOAT_STEPS if model.tensors[step.output].quantization is None else 1) * (
                _SOUND_STEPS
            ):
                return _fault(comparison, step, kernel_set, off)
    return None


def _steps_off(model: TfliteModel, step: Step, given: np.ndarray, codes: np.ndarray) -> float:
    """Largest distance from the exact result: in quanta, or 1e-5 of the range for floats."""
    expected = codes[: len(given)].astype(np.float64)
    distance = float(np.max(np.abs(given.astype(np.float64) - expected), initial=0.0))
    if model.tensors[step.output].quantization is not None:
        return distance
    return distance / float_quantum(float(expected.min()), float(expected.max()))


def _fault(comparison: Comparison, step: Step, kernel_set: str, off: float) -> Fault:
    name = tensor_label(comparison.model, step.output)
    return Fault(
        cause="kernel-difference",
        layer=comparison.model.tensors[step.output].name,
        op_index=step.op.index,
        op=step.op.name,
        message=f"The {step.op.name} kernel of '{kernel_set}' computes '{name}' wrongly: fed the "
        f"same integers, it is off by up to {off:.3g} steps from the specification's arithmetic, "
        "and the final error grows with it. The file itself is sound there.",
        remedy=f"Run the file on another kernel set, or write the model without {step.op.name}.",
        evidence={"kernel_set": kernel_set, "largest_quanta": round(off, 2)},
    )
