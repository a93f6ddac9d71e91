"""Engine, ranges and rounding: decided by cross-validation inside the calibration set.

The runs are dealt into two folds. Every candidate is built from the one fold and judged on the
other, both ways, by the signal-to-quantization-noise ratio (SQNR) at the last tensors before
softmax; the winner is then built again from all runs. Evaluation data play no part in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import ConversionError
from tfgreen.flatbuffer import TfliteModel, logits, with_outputs
from tfgreen.runtimes import dequantize, quantize_inputs
from tfgreen.tflite.quantizers import Quantizer
from tfgreen.tflite.ranges import (
    Ranges,
    least_error_ranges,
    minmax_ranges,
    percentile_ranges,
    residual_ranges,
)
from tfgreen.tflite.statistics import ActivationStatistics

FOLDS = 2
_JUDGED_RUNS_PER_FOLD = 48
_MIN_RUNS_PER_FOLD = 4

RangeMethod = Callable[[ActivationStatistics], Ranges]

RANGE_METHODS: Mapping[str, RangeMethod] = {
    "minmax": minmax_ranges,
    "minmax-residual": residual_ranges,
    "percentile-99.999": partial(percentile_ranges, percentile=99.999),
    "percentile-99.99": partial(percentile_ranges, percentile=99.99),
    "least-square-error": partial(least_error_ranges, exponent=2.0),
    "least-cubic-error": partial(least_error_ranges, exponent=3.0),
}


@dataclass(frozen=True)
class Candidate:
    """One engine with one way to choose ranges and to round weights, and how it did.

    `sqnr_db` is None when it was not judged; `fault` says in words why it is out of the race.
    """

    quantizer: str
    ranges: str
    rounding: str = "nearest"
    sqnr_db: float | None = None
    fault: str | None = None

    def to_facts(self) -> dict[str, Any]:
        """The record for the manifest."""
        return asdict(self)


@dataclass(frozen=True)
class Contender:
    """A candidate and how to build it from some of the calibration runs."""

    quantizer: str
    ranges: str
    build: Callable[[Sequence[int]], bytes]
    rounding: str = "nearest"


def contender(quantizer: Quantizer, method: str, statistics: ActivationStatistics) -> Contender:
    """The contender that pairs an engine with one of `RANGE_METHODS`."""

    def build(runs: Sequence[int]) -> bytes:
        return quantizer.quantize(RANGE_METHODS[method](statistics.subset(runs)))

    return Contender(quantizer.name, method, build)


def folds(runs: int) -> tuple[tuple[int, ...], ...]:
    """The runs dealt in turn, so that data sorted by class still fall into both folds.

    >>> folds(9)
    ((0, 2, 4, 6, 8), (1, 3, 5, 7))

    With fewer than eight runs there is nothing to cross-validate: one fold holds them all.

    >>> folds(3)
    ((0, 1, 2),)
    """
    if runs < FOLDS * _MIN_RUNS_PER_FOLD:
        return (tuple(range(runs)),)
    return tuple(tuple(range(start, runs, FOLDS)) for start in range(FOLDS))


class Judge:
    """Scores files against the float file's logits on given runs."""

    def __init__(self, float_content: bytes, inputs: Sequence[np.ndarray]) -> None:
        self._inputs = [np.asarray(array) for array in inputs]
        self._float_answers = _answers(TfliteModel.from_bytes(float_content), self._inputs)

    def sqnr_db(self, pairs: Sequence[tuple[TfliteModel, Sequence[int]]]) -> float:
        """SQNR over all (file, runs) pairs together, in dB; the mean over the outputs.

        10 log10(sum(float²) / sum((float - dequantized)²)), at most 200.
        """
        powers = [
            self._powers(index, given)
            for model, runs in pairs
            for index, given in zip(
                runs, _answers(model, [array[runs] for array in self._inputs]), strict=True
            )
        ]
        if not powers:
            raise ConversionError("No calibration runs to judge on; give at least one sample.")
        return _decibel(powers)

    def _powers(self, index: int, given: Sequence[np.ndarray]) -> np.ndarray:
        """Power of the float answers of a run, and of the error, (2, outputs)."""
        pairs = list(zip(self._float_answers[index], given, strict=True))
        signal = [float((true**2).sum()) for true, _ in pairs]
        return np.array([signal, [float(((true - got) ** 2).sum()) for true, got in pairs]])

    def sqnr_and_agreement(self, model: TfliteModel, runs: Sequence[int]) -> tuple[float, float]:
        """SQNR in dB as `sqnr_db`, and the share of rows of logits with the same largest value.

        The share is the least over the outputs.
        """
        answers = _answers(model, [array[list(runs)] for array in self._inputs])
        powers = [self._powers(index, given) for index, given in zip(runs, answers, strict=True)]
        same = np.mean(
            [
                [
                    (true.argmax(-1) == got.argmax(-1)).mean()
                    for true, got in zip(self._float_answers[index], given, strict=True)
                ]
                for index, given in zip(runs, answers, strict=True)
            ],
            axis=0,
        )
        return _decibel(powers), float(same.min())


def _decibel(powers: Sequence[np.ndarray]) -> float:
    signal, noise = np.sum(powers, axis=0)
    ratio = np.maximum(signal, 1e-30) / np.maximum(noise, signal * 1e-20 + 1e-30)
    return float(np.mean(10 * np.log10(ratio)))


def _answers(model: TfliteModel, inputs: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Each run's logits in real numbers, from XNNPACK with one thread."""
    from ai_edge_litert.interpreter import Interpreter

    wanted = logits(model)
    real = Samples(dict(zip(model.input_names, inputs, strict=True)))
    interpreter = Interpreter(model_content=with_outputs(model, wanted), num_threads=1)
    interpreter.allocate_tensors()
    answers = []
    for arrays in zip(*quantize_inputs(model, real), strict=True):
        for index, array in zip(model.inputs, arrays, strict=True):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        answers.append(
            [
                dequantize(interpreter.get_tensor(i), model.tensors[i].quantization).astype(
                    np.float64
                )
                for i in wanted
            ]
        )
    return answers


class Race:
    """Judges contenders one after the other and remembers the best.

    A contender whose engine raises, or whose file cannot be run, is out. One whose file has a
    fault by `fault_of` is out as long as another has none. Ties go to the earlier one.
    """

    def __init__(
        self,
        judge: Judge,
        runs: int,
        fault_of: Callable[[TfliteModel], str | None],
        on_candidate: Callable[[int], None],
    ) -> None:
        self._judge = judge
        self._every = tuple(range(runs))
        self._split = folds(runs)
        self._fault_of = fault_of
        self._on_candidate = on_candidate
        self._entries: list[Contender] = []
        self.candidates: list[Candidate] = []

    def enter(self, entry: Contender) -> Candidate:
        """Build the contender from each fold's complement, and judge it on the fold."""
        candidate = _judge_one(entry, self._judge, self._split, self._every, self._fault_of)
        self._entries.append(entry)
        self.candidates.append(candidate)
        self._on_candidate(len(self.candidates))
        return candidate

    @property
    def is_led(self) -> bool:
        """Whether any contender gave a file that can be run."""
        return any(candidate.sqnr_db is not None for candidate in self.candidates)

    @property
    def leader(self) -> tuple[Contender, Candidate]:
        """The best so far; ConversionError when no engine gave a file."""
        sound = [i for i, c in enumerate(self.candidates) if c.fault is None]
        usable = sound or [i for i, c in enumerate(self.candidates) if c.sqnr_db is not None]
        if not usable:
            reasons = "; ".join(dict.fromkeys(f"{c.quantizer}: {c.fault}" for c in self.candidates))
            raise ConversionError(
                f"No engine could quantize the model ({reasons}). Channels whose sizes lie far "
                "apart are one cause: export with --repair (repair=True), which makes them alike."
            )
        best = max(usable, key=lambda i: self.candidates[i].sqnr_db or 0.0)
        return self._entries[best], self.candidates[best]

    def finish(self) -> tuple[bytes, Candidate]:
        """The leader's file, built from all runs."""
        entry, candidate = self.leader
        return entry.build(self._every), candidate


def _judge_one(
    entry: Contender,
    judge: Judge,
    split: Sequence[Sequence[int]],
    every: Sequence[int],
    fault_of: Callable[[TfliteModel], str | None],
) -> Candidate:
    try:
        pairs = [
            (
                TfliteModel.from_bytes(entry.build(_others(fold, every))),
                list(fold[:_JUDGED_RUNS_PER_FOLD]),
            )
            for fold in split
        ]
        score = round(judge.sqnr_db(pairs), 3)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 (the engines are others' code and raise anything)
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        return Candidate(entry.quantizer, entry.ranges, entry.rounding, fault=f"refused: {reason}")
    if not math.isfinite(score):
        reason = "the file answers NaN or infinity"
        return Candidate(entry.quantizer, entry.ranges, entry.rounding, fault=reason)
    faults = (fault for model, _ in pairs if (fault := fault_of(model)) is not None)
    return Candidate(entry.quantizer, entry.ranges, entry.rounding, score, next(faults, None))


def _others(fold: Sequence[int], every: Sequence[int]) -> Sequence[int]:
    held = set(fold)
    return [run for run in every if run not in held] or list(every)
