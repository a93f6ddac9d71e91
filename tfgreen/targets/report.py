"""What a target adds to a certificate and to a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfgreen.verification.certificate import Certificate, Check, GateResult, verdict_of


@dataclass(frozen=True)
class TargetReport:
    """What was found out about one file on its target; empty for targets that need nothing more.

    Attributes:
        checks: For the structure gate. One of the same name and op as a check that is there
            already takes its place: it knows more of the target.
        facts: Ready for JSON; the certificate's `target`.
        files: Relative path → content, saved in the bundle's folder.
        notes: Sentences for the certificate's notes.
    """

    checks: tuple[Check, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __add__(self, other: TargetReport) -> TargetReport:
        """Both reports as one.

        >>> sum([TargetReport(notes=("a",)), TargetReport(notes=("b",))], TargetReport()).notes
        ('a', 'b')
        """
        return TargetReport(
            (*self.checks, *other.checks),
            {**self.facts, **other.facts},
            {**self.files, **other.files},
            (*self.notes, *other.notes),
        )

    def on(self, certificate: Certificate) -> Certificate:
        """The certificate with this report in it, and the verdict that follows."""
        structure, *others = certificate.gates
        replaced = {(check.name, check.op) for check in self.checks}
        kept = (check for check in structure.checks if (check.name, check.op) not in replaced)
        gates = (GateResult.of("structure", (*self.checks, *kept)), *others)
        return certificate.model_copy(
            update={
                "gates": gates,
                "verdict": verdict_of(gates),
                "target": {**certificate.target, **self.facts},
                "notes": (*certificate.notes, *self.notes),
            }
        )
