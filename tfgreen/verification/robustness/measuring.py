"""Run the float model and its files under every condition, and score their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import InvalidDataError, TfgreenError, UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.intervals import Estimate, bootstrapped
from tfgreen.runtimes import Task, quantize_inputs, run_tasks
from tfgreen.verification.execution import TASK_TIMEOUT_SECONDS
from tfgreen.verification.fidelity import paired_outputs
from tfgreen.verification.robustness.conditions import Attacker, Condition, Conditions, Plan
from tfgreen.verification.robustness.corruptions import SEVERITIES
from tfgreen.verification.robustness.record import FLOAT, Robustness, RobustnessRow, Score
from tfgreen.verification.scoring import (
    SCORING_SECONDS,
    Scoring,
    affordable_rows,
    real_answers,
)
from tfgreen.verification.shipped import Shipped
from tfgreen.verification.workload import batch_of

OnProgress = Callable[[str, int, int], None]

FLOAT_KERNEL_SET = "xnnpack"
ROBUSTNESS_SAMPLES = 500
"""Evenly spaced ones, unless others are asked for: each runs under some thirty conditions."""

_GROUP_BYTES = 256 << 20


@dataclass(frozen=True)
class Subject:
    """A file that is judged: its name in the record, and the kernel set that is its truth."""

    name: str
    content: bytes
    truth: str


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
    conditions = Conditions(samples, plan)
    model = TfliteModel.from_bytes(float_content)
    samples = samples.head(len(samples) // batch_of(model) * batch_of(model))
    answers = _answers(model, [samples], FLOAT_KERNEL_SET)[0]
    scoring = Scoring.of(model, samples, answers)
    if scoring is None:
        raise InvalidDataError(
            f"There is nothing to score: {samples.source} has no labels, and no output of the "
            "model holds classes. Give labels."
        )
    labels = scoring.labels(answers[scoring.position])
    _attack(conditions, plan, attacker, scoring, labels, tell)
    runs = [_Run(Subject(FLOAT, float_content, FLOAT_KERNEL_SET), model, model, scoring)]
    runs += [_Run.of(subject, model, scoring) for subject in subjects]
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


@dataclass(eq=False)
class _Run:
    """One file, and its scores sample by sample as they come in."""

    subject: Subject
    model: TfliteModel | None
    float_model: TfliteModel
    scoring: Scoring
    position: int = 0
    problem: str = ""
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.intp))
    clean: np.ndarray | None = None
    scores: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    corruptions: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, subject: Subject, float_model: TfliteModel, scoring: Scoring) -> _Run:
        try:
            model = Shipped.of(subject.content).plain
            position = paired_outputs(model, float_model).index(scoring.position)
        except TfgreenError as error:
            return cls(subject, None, float_model, scoring, problem=str(error))
        return cls(subject, model, float_model, scoring, position)

    def begin(self, samples: Samples, conditions: int) -> None:
        """The samples as they are, some of them first, which tells how many the truth can do."""
        if self.model is None:
            return
        batch = batch_of(self.model)
        whole = len(samples) // batch * batch
        few = np.arange(min(whole, max(batch, 8 // batch * batch)))
        try:
            seconds = _timed(self.model, samples.take(few), self.subject.truth)
            limit = SCORING_SECONDS / conditions
            rows = affordable_rows(whole, seconds / max(1, len(few)), limit)
            self.rows = rows[: len(rows) // batch * batch]
            self.clean = self._scored([samples])[0]
        except TfgreenError as error:
            self.model, self.problem = None, str(error)

    def add(self, group: Sequence[Condition]) -> None:
        """All conditions of a group in one process."""
        if self.model is None:
            return
        try:
            found = self._scored([condition.samples for condition in group])
        except TfgreenError as error:
            self.model, self.problem = None, str(error)
            return
        for condition, scores in zip(group, found, strict=True):
            self.scores[condition.name, condition.severity] = scores
            if not condition.is_attack:
                self.corruptions.add(condition.name)

    def row(self, of_float: _Run) -> RobustnessRow:
        """The figures, against those of the float model on the same samples."""
        name, truth = self.subject.name, self.subject.truth
        if self.model is None or self.clean is None:
            return RobustnessRow(name=name, truth=truth, status="failed", message=self.problem)
        ours = _Scores.of(self, self.rows)
        theirs = None if of_float is self else _Scores.of(of_float, self.rows)
        return RobustnessRow(
            name=name,
            truth=truth,
            samples=len(self.rows),
            clean=ours.score("", 0, theirs),
            means=tuple(ours.score("", severity, theirs) for severity in ours.severities),
            scores=tuple(ours.score(*condition, theirs) for condition in self.scores),
        )

    def _scored(self, variants: Sequence[Samples]) -> list[np.ndarray]:
        if self.model is None:
            raise UnsupportedModelError(self.problem)
        taken = [samples.take(self.rows) for samples in variants]
        answers = _answers(self.model, taken, self.subject.truth)
        return [self.scoring.scores(one[self.position], self.rows) for one in answers]


@dataclass(frozen=True, eq=False)
class _Scores:
    """Scores sample by sample, by condition and severity; "" is the mean over the corruptions."""

    by_condition: Mapping[tuple[str, int], np.ndarray]

    @classmethod
    def of(cls, run: _Run, rows: np.ndarray) -> _Scores:
        """Those of some rows, which must be among the run's."""
        places = np.searchsorted(run.rows, rows)
        found = {condition: scores[places] for condition, scores in run.scores.items()}
        for severity in {severity for name, severity in found if name in run.corruptions}:
            corrupted = [found[name, severity] for name in sorted(run.corruptions)]
            found["", severity] = np.mean(corrupted, axis=0)
        if run.clean is not None:
            found["", 0] = run.clean[places]
        return cls(found)

    @property
    def severities(self) -> list[int]:
        """At which there is a mean over corruptions."""
        return [severity for severity in SEVERITIES if ("", severity) in self.by_condition]

    def score(self, condition: str, severity: int, of_float: _Scores | None) -> Score:
        """The figures under one condition, against the float model's."""
        ours = self.by_condition[condition, severity]
        difference = cost = None
        if of_float is not None:
            apart = ours - of_float.by_condition[condition, severity]
            difference = _estimate(apart)
            if severity:
                clean = self.by_condition["", 0] - of_float.by_condition["", 0]
                cost = _estimate(apart - clean)
        return Score(
            condition=condition,
            severity=severity,
            score=_estimate(ours),
            difference=difference,
            cost=cost,
        )


def _estimate(values: np.ndarray) -> Estimate:
    return bootstrapped(np.round(values, 12))  # means over corruptions, the same where equal


def _answers(
    model: TfliteModel, variants: Sequence[Samples], kernel_set: str
) -> list[tuple[np.ndarray, ...]]:
    """Real outputs of every variant, run in one process."""
    tasks = [Task("file", model.content, quantize_inputs(model, one)) for one in variants]
    outcomes = run_tasks(kernel_set, tasks, timeout_seconds=TASK_TIMEOUT_SECONDS)
    for outcome in outcomes:
        if not outcome.ok:
            raise UnsupportedModelError(
                f"The {kernel_set} kernels did not run the file: {outcome.message}"
            )
    return [real_answers(model, outcome.outputs) for outcome in outcomes]


def _timed(model: TfliteModel, samples: Samples, kernel_set: str) -> float:
    task = Task("file", model.content, quantize_inputs(model, samples))
    (outcome,) = run_tasks(kernel_set, [task], timeout_seconds=TASK_TIMEOUT_SECONDS)
    if not outcome.ok:
        raise UnsupportedModelError(
            f"The {kernel_set} kernels did not run the file: {outcome.message}"
        )
    return outcome.seconds
