"""`Diagnosis`: what was found, in plain words first, with every number behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from tfgreen.records import Document, Record

Cause = Literal[
    "float-model-wrong",
    "another-model",
    "swapped-inputs",
    "swapped-outputs",
    "input-scaling",
    "calibration-unlike-evaluation",
    "range-too-wide",
    "range-too-narrow",
    "constant-owns-range",
    "huge-channel",
    "dead-channel",
    "per-channel-spread",
    "weight-width",
    "batch-normalization",
    "weights-differ",
    "accumulator-overflow",
    "output-scaling",
    "float-island",
    "requantize-chain",
    "kernel-difference",
    "unexplained",
]

Evidence = dict[str, float | int | str]


_INFINITE = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="constants")


class _Record(Record):
    model_config = _INFINITE


class Fault(_Record):
    """One thing that is wrong, with its cause.

    Attributes:
        cause: Its kind, a stable short name.
        layer: The tensor that the op at fault writes, by its whole name; None if it is no layer.
        op_index, op: The op that writes it; -1 for a graph input.
        message: What is wrong and how that is known, in plain words.
        remedy: The cheapest thing to do about it.
        evidence: The numbers, by name.
        share_of_final_error: 0..1; None where the fault is no error of one op.
    """

    cause: Cause
    layer: str | None = None
    op_index: int | None = None
    op: str | None = None
    message: str
    remedy: str
    evidence: Evidence = {}
    share_of_final_error: float | None = None


class LayerRow(_Record):
    """One op in the table; SQNRs in dB against the float model, None for no error at all.

    See `tfgreen.verification.diagnosis.measuring.LayerError` for what each figure is.
    """

    op_index: int
    op: str
    tensor: str
    own_sqnr_db: float | None
    inherited_sqnr_db: float | None
    ideal_sqnr_db: float | None
    stored_sqnr_db: float | None
    alone_sqnr_db: float | None
    share_of_final_error: float


class Diagnosis(Document):
    """Why a file differs from its float model.

    Attributes:
        faults: What is wrong: data and pairs first, then ops in the file's order, then what is
            odd without costing accuracy. Empty for a healthy file.
        layers: Every op that could be compared.
        sqnr_db: Of the file's final tensors, before softmax; None without any error.
        agreement: Share of samples on which both pick the same class; None without classes.
        float_accuracy, file_accuracy: With labels: share of right classes.
        samples: How many samples were run. file: What was diagnosed, for people.
    """

    model_config = _INFINITE
    title: ClassVar[str] = "record of `tfgreen diagnose`"
    remedy: ClassVar[str] = "Run it again with --json."

    schema_version: Literal[1] = 1
    file: str = ""
    faults: tuple[Fault, ...] = ()
    layers: tuple[LayerRow, ...] = ()
    sqnr_db: float | None = None
    agreement: float | None = None
    float_accuracy: float | None = None
    file_accuracy: float | None = None
    samples: int = 0

    @property
    def is_healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.faults

    @property
    def culprit(self) -> str | None:
        """The layer that goes wrong first, by the tensor it writes; None if no layer does."""
        return self.faults[0].layer if self.faults else None

    @property
    def cause(self) -> Cause | None:
        """Why; None for a healthy file."""
        return self.faults[0].cause if self.faults else None

    @property
    def evidence(self) -> Evidence:
        """The numbers that the cause rests on."""
        return dict(self.faults[0].evidence) if self.faults else {}

    def text(self, *, layers: int = 8) -> str:
        """Plain words, the numbers behind them, and the worst layers.

        Args:
            layers: How many rows of the table to show; 0 for none.
        """
        from tfgreen.verification.diagnosis.text import diagnosis_text

        return diagnosis_text(self, layers)

    def __str__(self) -> str:
        return self.text()

    def plot(self, path: str | Path) -> Path:
        """Draw SQNR and share of the final error layer by layer (PNG, SVG or PDF).

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from tfgreen.verification.diagnosis.figure import draw

        return draw(self, Path(path))

    def to_facts(self) -> dict[str, Any]:
        """The record in plain types, for a manifest."""
        return self.model_dump(mode="json")
