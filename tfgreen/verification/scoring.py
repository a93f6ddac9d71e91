"""Scores sample by sample, so that two widths can be compared on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.intervals import Estimate, bootstrapped, wilson
from tfgreen.runtimes import Outcome, Task, dequantize, quantize_inputs, run_tasks
from tfgreen.verification.execution import TASK_TIMEOUT_SECONDS
from tfgreen.verification.metrics import check_labels, classes, is_classification, per_sample
from tfgreen.verification.workload import batch_of

SCORING_SECONDS = 120.0
"""For which a slow kernel set answers samples."""

_LEAST_SCORED = 50

ScoreKind = Literal["accuracy", "mean-absolute-error", "agreement"]


@dataclass(frozen=True, eq=False)
class Scoring:
    """How answers are scored.

    Attributes:
        kind: "accuracy" of class labels, "mean-absolute-error" of float ones, "agreement" with
            the float32 file where there are classes but no labels.
        position: Of the output. output: Its name.
        wanted: (n, ...): labels, or the float32 file's classes.
    """

    kind: ScoreKind
    position: int
    output: str
    wanted: np.ndarray

    @classmethod
    def of(
        cls, model: TfliteModel, samples: Samples, answers: tuple[np.ndarray, ...]
    ) -> Scoring | None:
        """What can be scored: the first labelled output, else the first that holds classes.

        Args:
            model: The float32 file. answers: Its outputs for all samples, (n, ...) each.
        """
        labels = samples.labels_for(model.output_names)
        for position, name in enumerate(model.output_names):
            if name in labels:
                check_labels(labels[name], name, model.tensors[model.outputs[position]].shape)
                classifies = is_classification(model, position, labels[name])
                kind: ScoreKind = "accuracy" if classifies else "mean-absolute-error"
                return cls(kind, position, name, labels[name])
        for position, name in enumerate(model.output_names):
            if is_classification(model, position, None):
                return cls("agreement", position, name, classes(answers[position]))
        return None

    def scores(self, answers: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """(n,) float64: 1 or 0 for right or wrong classes, or the absolute error.

        Args:
            answers: The output's real numbers, (n, ...).
            rows: Which samples they belong to, (n,); all by default.
        """
        wanted = self.wanted if rows is None else self.wanted[rows]
        if self.kind == "mean-absolute-error":
            wanted = wanted.reshape(answers.shape)
            errors = np.abs(answers.astype(np.float64) - wanted)
            return np.asarray(errors.reshape(len(answers), -1).mean(axis=1))
        picked = classes(answers)
        right = picked == _class_numbers(wanted, answers).reshape(picked.shape)
        return np.asarray(right.reshape(len(right), -1).mean(axis=1), np.float64)

    def labels(self, answers: np.ndarray) -> np.ndarray | None:
        """The class that each sample should have, (n,) int64; None where there is no single one.

        Args:
            answers: The output's real numbers for all samples, (n, ...).
        """
        wanted = _class_numbers(self.wanted, answers)
        if self.kind == "mean-absolute-error" or wanted.size != len(answers):
            return None
        return np.asarray(wanted.reshape(-1), np.int64)

    def estimate(self, scores: np.ndarray) -> Estimate:
        """The mean: Wilson's interval for shares of right samples, else the bootstrap's."""
        if self.kind != "mean-absolute-error" and np.isin(scores, (0, 1)).all():
            low, high = wilson(int(scores.sum()), len(scores))
            return Estimate(value=float(scores.mean()), low=low, high=high)
        return bootstrapped(scores)


def _class_numbers(wanted: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Labels as class numbers: one-hot ones have the shape of the answers."""
    if wanted.shape == answers.shape and answers.ndim > 1 and np.size(answers, -1) > 1:
        return np.argmax(wanted, axis=-1)
    return wanted


def difference(scores: np.ndarray, of_float: np.ndarray) -> Estimate:
    """Mean difference on the same samples, with the paired bootstrap's interval."""
    return bootstrapped(scores - of_float)


def real_answers(model: TfliteModel, outputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Outputs of calls, (calls, *tensor shape), as real numbers of samples (n, ...)."""
    batch = batch_of(model)
    return tuple(
        dequantize(per_sample(array, batch), model.tensors[index].quantization)
        for array, index in zip(outputs, model.outputs, strict=True)
    )


def answers_of(
    model: TfliteModel, variants: Sequence[Samples], kernel_set: str
) -> list[tuple[np.ndarray, ...]]:
    """Real outputs, (n, ...) each, for all samples of every variant, run in one process.

    Raises UnsupportedModelError where the kernel set does not run the file.
    """
    return [real_answers(model, one.outputs) for one in _run(model, variants, kernel_set)]


def seconds_of(model: TfliteModel, samples: Samples, kernel_set: str) -> float:
    """Wall seconds of loading a file and running it on samples; raises as `answers_of` does."""
    return _run(model, [samples], kernel_set)[0].seconds


def _run(model: TfliteModel, variants: Sequence[Samples], kernel_set: str) -> list[Outcome]:
    tasks = [Task("file", model.content, quantize_inputs(model, one)) for one in variants]
    outcomes = run_tasks(kernel_set, tasks, timeout_seconds=TASK_TIMEOUT_SECONDS)
    for outcome in outcomes:
        if not outcome.ok:
            raise UnsupportedModelError(
                f"The {kernel_set} kernels did not run the file: {outcome.message}"
            )
    return outcomes


def affordable_rows(
    samples: int, sample_seconds: float, seconds: float = SCORING_SECONDS
) -> np.ndarray:
    """Row numbers, evenly spaced, that a kernel set answers in that time, two minutes by default.

    Fifty at least, if there are as many.

    >>> affordable_rows(5, 0.001), len(affordable_rows(2000, 0.5))
    (array([0, 1, 2, 3, 4]), 240)
    """
    most = max(_LEAST_SCORED, int(seconds / max(sample_seconds, 1e-9)))
    return np.round(np.linspace(0, samples - 1, min(samples, most))).astype(np.intp)
