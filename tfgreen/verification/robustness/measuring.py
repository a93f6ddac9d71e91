"""Run the float model and its files under every condition, and score their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import InvalidDataError, UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.verification.robustness.conditions import Attacker, Condition, Conditions, Plan
from tfgreen.verification.robustness.record import FLOAT, Robustness
from tfgreen.verification.robustness.running import Run, Subject
from tfgreen.verification.scoring import Scoring, answers_of
from tfgreen.verification.workload import batch_of

OnProgress = Callable[[str, int, int], None]

FLOAT_KERNEL_SET = "xnnpack"
ROBUSTNESS_SAMPLES = 500
"""Evenly spaced ones, unless others are asked for: each runs under some thirty conditions."""

_GROUP_BYTES = 256 << 20


def measure_robustness(
    float_content: bytes,
    subjects: Sequence[Subject],
    samples: Samples,
    plan: Plan | None = None,
    attacker: Attacker | None = None,
    on_progress: OnProgress | None = None,
) -> Robustness:
    """Score the float model and its files as the data get worse.

    Args:
        float_content: The float .tflite; it runs on XNNPACK.
        subjects: Files of the same model. One that does not run keeps its row, with the reason.
        samples: As the float model takes them, with labels if there are any; without labels the
            float model's classes of the clean samples are what is asked for.
        plan: Kinds, corruptions, attacks, seed.
        attacker: The model whose gradient is followed; without one nothing is attacked.
        on_progress: Called with (step, done, of).

    Raises:
        InvalidDataError: there is nothing to score, or the samples do not fit.
        UsageError: the kind of data is not clear.
    """
    plan = plan or Plan()
    tell = on_progress or (lambda step, done, of: None)
    model = TfliteModel.from_bytes(float_content)
    samples = samples.head(len(samples) // batch_of(model) * batch_of(model))
    conditions = Conditions(samples, plan)
    answers = answers_of(model, [samples], FLOAT_KERNEL_SET)[0]
    scoring = Scoring.of(model, samples, answers)
    if scoring is None:
        raise InvalidDataError(
            f"There is nothing to score: {samples.source} has no labels, and no output of the "
            "model holds classes. Give labels."
        )
    labels = scoring.labels(answers[scoring.position])
    _attack(conditions, plan, attacker, scoring, labels, tell)
    runs = [Run(Subject(FLOAT, float_content, FLOAT_KERNEL_SET), model, model, scoring)]
    runs += [Run.of(subject, model, scoring) for subject in subjects]
    for run in runs:
        run.begin(samples, 1 + len(conditions))
    if runs[0].problem:
        raise UnsupportedModelError(runs[0].problem)
    done = 0
    for group in _groups(conditions):
        for run in runs:
            tell(f"{run.subject.name}: under corruption", done, len(conditions))
            run.add(group)
        done += len(group)
    return Robustness(
        score_kind=scoring.kind,
        output=scoring.output,
        samples=len(samples),
        samples_sha256=samples.sha256(),
        seed=plan.seed,
        inputs=conditions.inputs,
        conditions=conditions.facts,
        attack=conditions.attack,
        rows=tuple(run.row(runs[0]) for run in runs),
        notes=tuple(conditions.notes),
    )


def _attack(
    conditions: Conditions,
    plan: Plan,
    attacker: Attacker | None,
    scoring: Scoring,
    labels: np.ndarray | None,
    tell: OnProgress,
) -> None:
    if not plan.attacks:
        return
    if attacker is None:
        conditions.notes.append(
            "Not attacked: a .tflite has no gradient; give the Keras model that it was made from."
        )
    elif scoring.kind == "mean-absolute-error":
        conditions.notes.append("Not attacked: the output holds no classes.")
    elif labels is None:
        conditions.notes.append("Not attacked: the output holds several classes a sample.")
    else:
        tell("attacking the float model", 0, 0)
        conditions.add_attacks(attacker, labels, scoring.output, scoring.position, tell)


def _groups(conditions: Iterable[Condition]) -> Iterator[list[Condition]]:
    """Conditions together, as many as memory and disk should hold at once."""
    group: list[Condition] = []
    held = 0
    for condition in conditions:
        group.append(condition)
        held += sum(array.nbytes for array in condition.samples.inputs.values())
        if held >= _GROUP_BYTES:
            yield group
            group, held = [], 0
    if group:
        yield group
