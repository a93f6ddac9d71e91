"""What an audit finds: graded, worded for people, and with the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tfgreen.errors import InvalidDataError


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (error) or odd (warning) about data.

    code: a stable short name, as "not-finite". message: a sentence or two with the numbers and
    the remedy. evidence: the same numbers by name.
    """

    severity: Literal["error", "warning"]
    code: str
    message: str
    evidence: Mapping[str, float | int | str] = field(default_factory=dict)

    def to_facts(self) -> dict[str, Any]:
        """The finding in plain types, for JSON.

        >>> Finding("warning", "few-samples", "Only 3.", {"samples": 3}).to_facts()["evidence"]
        {'samples': 3}
        """
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "evidence": dict(self.evidence),
        }


def refuse_errors(findings: Iterable[Finding]) -> None:
    """Raise InvalidDataError with every error among the findings; warnings pass."""
    errors = [finding.message for finding in findings if finding.severity == "error"]
    if errors:
        raise InvalidDataError(" ".join(errors))
