"""The samples that a user gives with a model: read, matched to its inputs, audited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfgreen.data import (
    Finding,
    Samples,
    audit_calibration,
    audit_classes,
    audit_evaluation,
    read_samples,
    refuse_errors,
)
from tfgreen.errors import InvalidDataError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.signature import InputSpec
from tfgreen.verification.workload import METRIC_SAMPLE_LIMIT

CALIBRATION_LIMIT = 500


@dataclass(frozen=True)
class GivenSamples:
    """What calibrates, what judges (either may be missing), and what is odd about them."""

    calibration: Samples | None
    evaluation: Samples | None
    findings: list[dict[str, Any]]

    @classmethod
    def read(
        cls,
        calibration: Any,
        evaluate: Any,
        inputs: Sequence[InputSpec],
        outputs: Sequence[str],
        *,
        batch: int,
        sample_limit: int,
    ) -> GivenSamples:
        """Both sets, matched to the model's inputs and audited; wrong ones are refused."""
        chosen = held = None
        if calibration is not None:
            chosen = read_samples(
                calibration, inputs=inputs, outputs=outputs, limit=CALIBRATION_LIMIT
            )
        if evaluate is not None:
            held = read_evaluation(evaluate, inputs, outputs, sample_limit)
        for samples in filter(None, (chosen, held)):
            require_batch(samples, batch)
        findings: tuple[Finding, ...] = ()
        if chosen is not None:
            findings = audit_calibration(chosen, inputs, held)
        elif held is not None:
            findings = audit_evaluation(held, inputs)
        refuse_errors(findings)
        return cls(chosen, held, [finding.to_facts() for finding in findings])

    def origins(self) -> dict[str, Any]:
        """Hashes and sources of both, as `tfgreen.Bundle` takes them."""
        calibration, evaluation = self.calibration, self.evaluation
        return {
            "calibration_sha256": calibration.sha256() if calibration else None,
            "calibration_source": calibration.source if calibration else None,
            "evaluation_sha256": evaluation.sha256() if evaluation else None,
            "evaluation_source": evaluation.source if evaluation else None,
        }

    def with_class_findings(self, content: bytes) -> GivenSamples:
        """With what is odd about the labels, which only the outputs' sizes tell to be classes."""
        if self.calibration is None:
            return self
        model = TfliteModel.from_bytes(content)
        outputs = zip(model.output_names, model.outputs, strict=True)
        counts = {name: (model.tensors[index].shape or (1,))[-1] for name, index in outputs}
        found = audit_classes(self.calibration, counts, self.evaluation)
        return replace(self, findings=[*self.findings, *(one.to_facts() for one in found)])


def read_evaluation(
    source: Any, inputs: Sequence[InputSpec], outputs: Sequence[str], sample_limit: int
) -> Samples:
    """No more samples than the gates can use, evenly spaced ones: a folder may hold millions."""
    limit = max(METRIC_SAMPLE_LIMIT, sample_limit)
    return read_samples(source, inputs=inputs, outputs=outputs, limit=limit, to_the_end=True)


def require_batch(samples: Samples, batch: int) -> None:
    """Raise InvalidDataError if the samples do not fill one call of a file."""
    if 0 < len(samples) < batch:
        raise InvalidDataError(
            f"{samples.source} holds {len(samples)} samples, and one call of the file takes "
            f"{batch}. Give at least {batch} samples, or export with a smaller batch."
        )
