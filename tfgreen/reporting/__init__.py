"""One record, several renderings: text for people, JSON for programs, code for applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfgreen.verification.certificate import Certificate


def certificate_summary(certificate: Certificate, *, with_warnings: bool = False) -> str:
    """Verdict, key figures, the four gates, and every failed check; no trailing newline."""
    from tfgreen.reporting import summary

    return summary.certificate_summary(certificate, with_warnings=with_warnings)
