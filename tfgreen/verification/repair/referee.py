"""The judge of repairs: a file against the float model on the kernel set that is its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import KernelSetError, UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel, logits, with_outputs
from tfgreen.profile import ExportProfile
from tfgreen.runtimes import Task, dequantize, quantize_inputs, run_tasks
from tfgreen.verification import fidelity
from tfgreen.verification.lineup import Lineup
from tfgreen.verification.metrics import check_labels, is_classification, per_sample
from tfgreen.verification.repair.record import Score
from tfgreen.verification.shipped import Shipped
from tfgreen.verification.workload import batch_of

_FLOAT_SET = "xnnpack"
_WORST_DB = -200.0


class Referee:
    """Scores files on fixed samples by the limits of a profile.

    samples: float inputs by name, with labels if there are any: then the metric counts too.
    """

    def __init__(self, float_content: bytes, profile: ExportProfile, samples: Samples) -> None:
        self._lineup, self._limits = Lineup.of(profile), profile.limits
        model = TfliteModel.from_bytes(float_content)
        batch = profile.batch * batch_of(model)
        self._samples = samples.head(len(samples) // batch * batch)
        self._float = model
        self._float_logits = self._answers(model, logits(model), _FLOAT_SET)
        self._float_outputs = self._answers(model, model.outputs, _FLOAT_SET)
        self._scores: dict[bytes, Score] = {}

    def __len__(self) -> int:
        return len(self._samples)

    def score(self, content: bytes) -> Score:
        """How the file does; raises KernelSetError where the truth does not run it."""
        if content not in self._scores:
            self._scores[content] = _with_numbers(self._scored(content))
        return self._scores[content]

    def _scored(self, content: bytes) -> Score:
        model = Shipped.of(content).plain
        order = fidelity.paired_outputs(model, self._float)
        truth = self._lineup.truth
        wanted = (*model.outputs, *logits(model))
        shown = self._answers(model, wanted, truth)
        count = len(model.outputs)
        labels = self._labels(model)
        answers = fidelity.Answers(
            outputs={truth: tuple(shown[:count])},
            float_outputs=tuple(self._float_outputs[position] for position in order),
            logits=tuple(shown[count:]),
            float_logits=tuple(self._float_logits[position] for position in order),
            labels=labels,
            labelled_from=0,
            classifying=frozenset(
                position
                for position in range(count)
                if is_classification(model, position, labels.get(position))
            ),
        )
        gate = fidelity.judge_fidelity(model, self._lineup, self._limits, answers, ())
        found = fidelity.compare_outputs(model, self._lineup, answers)
        ratios = [output.sqnr_db for output in found if output.sqnr_db is not None]
        shares = [output.agreement for output in found if output.agreement is not None]
        return Score(
            min(ratios, default=None),
            min(shares, default=None),
            gate.status == "passed",
            len(content),
        )

    def _labels(self, model: TfliteModel) -> dict[int, np.ndarray]:
        if not self._samples.labels:
            return {}
        found = self._samples.labels_for(model.output_names).items()
        labels = {model.output_names.index(name): array for name, array in found}
        for position, array in labels.items():
            shape = model.tensors[model.outputs[position]].shape
            check_labels(array, model.output_names[position], shape)
        return labels

    def _answers(
        self, model: TfliteModel, tensors: Sequence[int], kernel_set: str
    ) -> list[np.ndarray]:
        """Real values of some tensors, (samples, ...) each."""
        distinct = list(dict.fromkeys(tensors))
        content = model.content
        if distinct != list(model.outputs):
            content = with_outputs(model, distinct)
        inputs = quantize_inputs(model, self._samples)
        outcome = run_tasks(kernel_set, [Task("the file", content, inputs)])[0]
        if not outcome.ok:
            raise KernelSetError(f"The file does not run on {kernel_set}: {outcome.message}")
        real = {
            index: per_sample(dequantize(array, model.tensors[index].quantization), batch_of(model))
            for index, array in zip(distinct, outcome.outputs, strict=True)
        }
        return [real[index] for index in tensors]


def scored_or_none(referee: Referee, content: bytes) -> Score | None:
    """The score, or None for a file that cannot be run or compared."""
    try:
        return referee.score(content)
    except (KernelSetError, UnsupportedModelError):
        return None


def _with_numbers(score: Score) -> Score:
    """A file that gives NaN or infinity is worse than any that does not, before a repair too."""
    if score.sqnr_db is not None and not np.isfinite(score.sqnr_db):
        return replace(score, sqnr_db=_WORST_DB, passed=False)
    return score
