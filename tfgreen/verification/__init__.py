"""The proof: four gates judge a .tflite file, and their certificate says what they found.

structure   what the file is made of, against what the target accepts
kernels     every op alone, fed the same intermediates, on every kernel set
fidelity    the file against the float model it was made from
runtime     the whole file, end to end, on every kernel set
"""

from tfgreen.verification.certificate import (
    GATES,
    Certificate,
    Check,
    GateResult,
    KernelResult,
    LayerFidelity,
    Metric,
    OutputFidelity,
    RuntimeResult,
)
from tfgreen.verification.certification import certify

__all__ = [
    "GATES",
    "Certificate",
    "Check",
    "GateResult",
    "KernelResult",
    "LayerFidelity",
    "Metric",
    "OutputFidelity",
    "RuntimeResult",
    "certify",
]
