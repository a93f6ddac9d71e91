"""A certificate in a few plain lines, for notebooks and logs."""

from __future__ import annotations

from collections.abc import Iterator

from tfgreen.reporting.wording import bytes_text, decibel_text, printable
from tfgreen.verification.certificate import Certificate, Metric
from tfgreen.wording import share_text


def certificate_summary(certificate: Certificate, *, with_warnings: bool = False) -> str:
    """Verdict, key figures, the four gates, and every failed check; no trailing newline.

    Args:
        with_warnings: also every warning, each once, however many gates give it.
    """
    lines = [*_lines(certificate)]
    if with_warnings:
        told = dict.fromkeys(printable(check.message) for check in certificate.warnings)
        lines += [f"  warning: {message}" for message in told]
    return "\n".join(lines)


def headline(certificate: Certificate) -> str:
    """The figures that people ask for first, in one line."""
    parts = [certificate.profile, bytes_text(certificate.file_bytes)]
    npu = certificate.target.get("npu", {})
    if npu.get("status") == "compiled":
        parts.append(f"SRAM {bytes_text(npu['sram_bytes'])}")
    elif certificate.arena_bytes is not None:
        parts.append(f"arena {bytes_text(certificate.arena_bytes)}")
    if certificate.outputs:
        parts.append(f"SQNR {decibel_text(certificate.sqnr_db)}")
    if certificate.agreement is not None:
        parts.append(f"agreement {share_text(certificate.agreement)}")
    parts.extend(metric_text(metric) for metric in certificate.metrics)
    return printable(" · ".join(parts))


def metric_text(metric: Metric) -> str:
    """A metric of the float model and of the first kernel set, which is the truth."""
    values = [metric.float_model, next(iter(metric.kernel_sets.values()), None)]
    return f"{metric.kind} {' → '.join(metric_value(metric.kind, value) for value in values)}"


def metric_name(kind: str, output: str | None = None) -> str:
    """A kind of metric in words, with the output that it is of, where there are several.

    >>> metric_name("mean-absolute-error", "size"), metric_name("accuracy")
    ("mean absolute error of 'size'", 'accuracy')
    """
    return kind.replace("-", " ") + ("" if output is None else f" of '{printable(output)}'")


def metric_value(kind: str, value: float | None) -> str:
    """One number of a kind of metric in its own unit.

    >>> metric_value("accuracy", 0.9663), metric_value("mean-absolute-error", 0.123456)
    ('96.6 %', '0.1235')
    """
    if kind == "accuracy" or value is None:
        return share_text(value)
    return f"{value:.4g}"


def _lines(certificate: Certificate) -> Iterator[str]:
    yield f"{certificate.verdict.upper()}  {headline(certificate)}"
    yield "  " + " · ".join(f"{result.gate} {result.status}" for result in certificate.gates)
    for check in certificate.failed_checks:
        yield f"  {check.gate}: {printable(check.message)}"
