"""Calibration and evaluation data: every source becomes one type, and is audited before use."""

from tfgreen.data.audit import audit_calibration, audit_classes, audit_evaluation
from tfgreen.data.findings import Finding, refuse_errors
from tfgreen.data.matching import match
from tfgreen.data.reading import read_samples
from tfgreen.data.samples import Samples

__all__ = [
    "Finding",
    "Samples",
    "audit_calibration",
    "audit_classes",
    "audit_evaluation",
    "match",
    "read_samples",
    "refuse_errors",
]
