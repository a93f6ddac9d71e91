"""What a repair tried, what it kept, and what each step did: for manifest, report and terminal.

>>> before, after = Score(8.0, 0.9, False, 1000), Score(21.5, 0.99, True, 1000)
>>> Step("equalize-weights", "equalization", True, "Channels were made alike.", before, after).gain
13.5
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

_OTHER_SIZES = (
    "Equalized layers hold other numbers than the float model's, which the next layer makes good: "
    "their SQNR by layer says nothing; that of the outputs does."
)


@dataclass(frozen=True)
class Score:
    """How a file did on the samples held back.

    sqnr_db: against the float model at the last tensors before softmax, the least over the
    outputs; None where the file is exactly the float model. agreement: share of equal classes;
    None without classes. passed: whether the fidelity limits are met. file_bytes: its size.
    """

    sqnr_db: float | None
    agreement: float | None
    passed: bool
    file_bytes: int

    @property
    def rank(self) -> float:
        """The SQNR as a number that can be compared."""
        return 200.0 if self.sqnr_db is None else self.sqnr_db


@dataclass(frozen=True)
class Step:
    """One rung of the ladder.

    kind: of `tfgreen.tflite.treatment`. title: for people. applied: whether the file has it.
    said: what was done, or why there was nothing to do. before, after: None where nothing was
    tried. facts: numbers of the treatment.
    """

    kind: str
    title: str
    applied: bool
    said: str
    before: Score
    after: Score | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gain(self) -> float | None:
        """dB of SQNR; None where nothing was tried."""
        return None if self.after is None else self.after.rank - self.before.rank


@dataclass(frozen=True)
class RepairRecord:
    """The whole repair.

    before, after: the file's scores. steps: in the order in which they were tried. judged_on:
    how many samples judged; are_held_back: whether no step was fitted to them. gate: whether the
    fidelity gate passes now. recommendation: what is left to do, or "".
    """

    before: Score
    after: Score
    steps: tuple[Step, ...]
    judged_on: int
    are_held_back: bool
    gate: bool
    recommendation: str

    @property
    def applied(self) -> tuple[Step, ...]:
        """The steps that the file has."""
        return tuple(step for step in self.steps if step.applied)

    def to_facts(self) -> dict[str, Any]:
        """The record for the manifest, ready for JSON."""
        return {**asdict(self), "applied": [step.kind for step in self.applied]}

    def notes(self) -> Iterator[str]:
        """What the certificate says: one sentence a step that was applied, and what is left."""
        for step in self.applied:
            yield (
                f"Repair, {step.title}: {step.said} SQNR {decibel(step.before)} to "
                f"{decibel(step.after or step.before)} on {self._samples()}."
            )
        if any(step.kind.startswith("equalize") for step in self.applied):
            yield _OTHER_SIZES
        if self.recommendation:
            yield self.recommendation

    def _samples(self) -> str:
        origin = "held-back samples" if self.are_held_back else "calibration samples"
        return f"{self.judged_on} {origin}"


def decibel(score: Score) -> str:
    """The SQNR of a score for people."""
    return "exact" if score.sqnr_db is None else f"{score.sqnr_db:.1f} dB"
