"""One file under all conditions: how many samples it can do, and its scores as they come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import TfgreenError, UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.verification.fidelity import paired_outputs
from tfgreen.verification.robustness.conditions import Condition
from tfgreen.verification.robustness.record import RobustnessRow
from tfgreen.verification.robustness.scores import Scores
from tfgreen.verification.scoring import (
    SCORING_SECONDS,
    Scoring,
    affordable_rows,
    answers_of,
    seconds_of,
)
from tfgreen.verification.shipped import Shipped
from tfgreen.verification.workload import batch_of


@dataclass(frozen=True)
class Subject:
    """A file that is judged: its name in the record, and the kernel set that is its truth."""

    name: str
    content: bytes
    truth: str


@dataclass(eq=False)
class Run:
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
    def of(cls, subject: Subject, float_model: TfliteModel, scoring: Scoring) -> Run:
        """The run of a file; one that cannot be read, or has other outputs, has a problem."""
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
            seconds = seconds_of(self.model, samples.take(few), self.subject.truth)
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

    def row(self, of_float: Run) -> RobustnessRow:
        """The figures, against those of the float model on the same samples."""
        name, truth = self.subject.name, self.subject.truth
        if self.model is None or self.clean is None:
            return RobustnessRow(name=name, truth=truth, status="failed", message=self.problem)
        ours = self._on(self.rows)
        theirs = None if of_float is self else of_float._on(self.rows)
        return RobustnessRow(
            name=name,
            truth=truth,
            samples=len(self.rows),
            clean=ours.score("", 0, theirs),
            means=tuple(ours.score("", severity, theirs) for severity in ours.severities),
            scores=tuple(ours.score(*condition, theirs) for condition in self.scores),
        )

    def _on(self, rows: np.ndarray) -> Scores:
        """The scores of some rows, which must be among the run's."""
        if self.clean is None:
            raise UnsupportedModelError(self.problem)
        places = np.searchsorted(self.rows, rows)
        worse = {condition: scores[places] for condition, scores in self.scores.items()}
        return Scores.of(self.clean[places], worse, self.corruptions)

    def _scored(self, variants: Sequence[Samples]) -> list[np.ndarray]:
        if self.model is None:
            raise UnsupportedModelError(self.problem)
        taken = [samples.take(self.rows) for samples in variants]
        answers = answers_of(self.model, taken, self.subject.truth)
        return [self.scoring.scores(one[self.position], self.rows) for one in answers]
