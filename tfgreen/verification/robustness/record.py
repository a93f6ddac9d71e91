"""`Robustness`: how the answers of a model and its files fall as the data get worse."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from tfgreen.errors import InvalidDataError
from tfgreen.intervals import Estimate
from tfgreen.records import Document, Record, row_named
from tfgreen.verification.robustness.kinds import Kind
from tfgreen.verification.scoring import ScoreKind

FLOAT = "float32"
GATE_SEVERITY = 3


class InputFacts(Record):
    """An input that was corrupted: its kind, how that is known, and the range of its values."""

    name: str
    kind: Kind
    how: str
    low: float
    high: float


class ConditionFacts(Record):
    """A corruption or an attack: what it does at severities 1 to 5, in `unit`."""

    name: str
    is_attack: bool
    unit: str
    amounts: tuple[float, ...]


class AttackFacts(Record):
    """How the attacks went: PGD's steps, each of `step_share` of epsilon, from the sample itself.

    loss: What was made larger, on the float model.
    """

    steps: int
    step_share: float
    loss: str


class Score(Record):
    """One file under one condition.

    Attributes:
        condition: A corruption or an attack; "" for the mean over the corruptions.
        severity: 1 to 5; 0 for the samples as they are.
        score: With its bootstrap interval.
        difference: The score minus the float model's under the same condition, paired.
        cost: The difference minus that on the samples as they are: what compression costs under
            this condition beyond what it costs anyway. None for the float model, and at 0.
    """

    condition: str
    severity: int
    score: Estimate
    difference: Estimate | None = None
    cost: Estimate | None = None


class RobustnessRow(Record):
    """One file, or the float model.

    truth: The kernel set that it ran on. samples: Fewer than the record's where that is slow.
    clean: On the samples as they are. means: Over the corruptions, a severity each; without the
    attacks. scores: Every condition. A failed row has none of them, and a message.
    """

    name: str
    truth: str
    status: Literal["measured", "failed"] = "measured"
    message: str = ""
    samples: int = 0
    clean: Score | None = None
    means: tuple[Score, ...] = ()
    scores: tuple[Score, ...] = ()

    def at(self, severity: int, condition: str = "") -> Score:
        """The score at a severity, of one condition or the mean over the corruptions.

        Raises InvalidDataError where there is none.
        """
        for score in (*self.means, *self.scores, *filter(None, (self.clean,))):
            if (score.severity, score.condition) == (severity, condition):
                return score
        known = ", ".join(dict.fromkeys(score.condition for score in self.scores))
        severities = ", ".join(sorted({str(score.severity) for score in self.scores}))
        raise InvalidDataError(
            f"'{self.name}' has no score of '{condition or 'mean'}' at severity {severity}. There "
            f"are: {known or 'none'}, at the severities {severities or 'none'}."
        )


class Robustness(Document):
    """A float model and its files under corruptions and attacks of growing severity.

    Attributes:
        score_kind, output: What the scores are, and of which output.
        samples, samples_sha256: How many clean samples, and their hash.
        seed: Of everything random.
        inputs: What was corrupted. conditions: With what.
        attack: None where nothing was attacked.
        rows: The float model first.
        notes: What was left out, and why.
    """

    title: ClassVar[str] = "record of robustness"
    remedy: ClassVar[str] = "Measure it again."

    schema_version: Literal[1] = 1
    score_kind: ScoreKind
    output: str
    samples: int
    samples_sha256: str
    seed: int
    inputs: tuple[InputFacts, ...]
    conditions: tuple[ConditionFacts, ...]
    attack: AttackFacts | None = None
    rows: tuple[RobustnessRow, ...]
    notes: tuple[str, ...] = ()

    def row(self, name: str) -> RobustnessRow:
        """The row of a file. Raises InvalidDataError where there is none."""
        return row_named({row.name: row for row in self.rows}, name, "file")

    def text(self) -> str:
        """The tables, and what they say."""
        from tfgreen.verification.robustness.text import robustness_text

        return robustness_text(self)

    def __str__(self) -> str:
        return self.text()

    def plot(self, path: str | Path) -> Path:
        """Draw the scores over the severity (PNG, SVG or PDF).

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from tfgreen.verification.robustness.figure import draw

        return draw(self, Path(path))
