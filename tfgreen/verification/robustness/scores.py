"""Scores sample by sample, and what they come to: means, differences and costs, paired."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from tfgreen.intervals import Estimate, bootstrapped
from tfgreen.verification.robustness.corruptions import SEVERITIES
from tfgreen.verification.robustness.record import Score


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores sample by sample, by condition and severity; "" is the mean over the corruptions."""

    by_condition: Mapping[tuple[str, int], np.ndarray]

    @classmethod
    def of(
        cls,
        clean: np.ndarray,
        worse: Mapping[tuple[str, int], np.ndarray],
        corruptions: Collection[str],
    ) -> Scores:
        """From the samples as they are, and under each condition; `corruptions` make the means."""
        found = dict(worse)
        for severity in {severity for name, severity in worse if name in corruptions}:
            corrupted = [worse[name, severity] for name in sorted(corruptions)]
            found["", severity] = np.mean(corrupted, axis=0)
        found["", 0] = clean
        return cls(found)

    @property
    def severities(self) -> list[int]:
        """At which there is a mean over corruptions."""
        return [severity for severity in SEVERITIES if ("", severity) in self.by_condition]

    def score(self, condition: str, severity: int, of_float: Scores | None) -> Score:
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
