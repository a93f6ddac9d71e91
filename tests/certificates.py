"""Small certificates for tests of what shows, saves and reads them."""

from __future__ import annotations

import hashlib
from typing import Literal

from tfgreen.verification.certificate import (
    Certificate,
    Check,
    GateResult,
    KernelResult,
    KernelSetFacts,
    LayerFidelity,
    Metric,
    OutputFidelity,
    RuntimeResult,
    SampleFacts,
    TensorSaturation,
)

SQNR_LIMIT_DB = 10.0


def certificate_of(
    content: bytes,
    *,
    verdict: Literal["passed", "failed"] = "passed",
    profile: str = "mobile-int8",
) -> Certificate:
    """A certificate of `content` as the gates could have written it, over two kernel sets."""
    sqnr_db = 31.52 if verdict == "passed" else 8.34
    return Certificate(
        verdict=verdict,
        profile=profile,
        model_sha256=hashlib.sha256(content).hexdigest(),
        float_sha256=hashlib.sha256(b"float").hexdigest(),
        file_bytes=len(content),
        arena_bytes=24_272,
        arena_to_load_bytes=25_000,
        kernel_sets={
            "micro": KernelSetFacts(role="truth", available=True, version="0.dev1"),
            "reference": KernelSetFacts(role="compared", available=True, version="2.3.0"),
            "xnnpack": KernelSetFacts(
                role="compared", available=False, version=None, reason="not installed"
            ),
        },
        samples=SampleFacts(count=64, sha256="0" * 64, origin="given"),
        metric_samples=SampleFacts(count=100, sha256="1" * 64, origin="given"),
        sqnr_db=sqnr_db,
        agreement=0.984,
        metrics=(
            Metric(
                output="scores",
                kind="accuracy",
                float_model=0.91,
                kernel_sets={"micro": 0.9, "reference": 0.905},
                samples={"float": 100, "micro": 100, "reference": 100},
            ),
        ),
        gates=(_structure(len(content)), _kernels(), _fidelity(sqnr_db), _runtime()),
        outputs=(
            OutputFidelity(output="scores", tensor="logits", sqnr_db=sqnr_db, agreement=0.984),
        ),
        layers=(
            LayerFidelity(tensor="logits", op="FULLY_CONNECTED", sqnr_db=sqnr_db, ideal_sqnr_db=40),
        ),
        kernels=(
            KernelResult(
                op_index=0, op="FULLY_CONNECTED", tensor="logits", kernel_set="reference",
                status="ok", max_quanta=1, differing_share=0.02,
            ),
            KernelResult(
                op_index=1, op="SOFTMAX", tensor="scores", kernel_set="reference",
                status="unregistered", message="The op is not registered.",
            ),
        ),
        runtime=(
            RuntimeResult(
                kernel_set="reference", output="scores", samples=64, differing_share=0.125,
                max_quanta=2, argmax_share=0.0,
            ),
        ),
        saturation=(
            TensorSaturation(
                tensor="logits", op="FULLY_CONNECTED", lowest_share=0.001, highest_share=0.0432,
                clipped_share=0.0442, headroom_bits=14.25,
            ),
            TensorSaturation(
                tensor="flat", op="RESHAPE", lowest_share=0.0, highest_share=0.5,
                clipped_share=None, headroom_bits=None,
            ),
        ),
        notes=("SRAM of the target is not measured on this machine.",),
        created_with={"tfgreen": "0.1.0"},
    )  # fmt: skip


def _structure(file_bytes: int) -> GateResult:
    check = Check(
        gate="structure", name="file-bytes", status="passed", measured=file_bytes, limit=65_536,
        unit="bytes", message=f"The file takes {file_bytes:,} of 65,536 bytes.",
    )  # fmt: skip
    return GateResult.of("structure", [check])


def _kernels() -> GateResult:
    check = Check(
        gate="kernels", name="op-unregistered", status="warning", op="SOFTMAX 'scores'",
        kernel_set="reference", message="SOFTMAX 'scores' is not registered by reference.",
    )  # fmt: skip
    return GateResult.of("kernels", [check])


def _fidelity(sqnr_db: float) -> GateResult:
    passed = sqnr_db >= SQNR_LIMIT_DB
    check = Check(
        gate="fidelity", name="sqnr", status="passed" if passed else "failed", unit="dB",
        measured=sqnr_db, limit=SQNR_LIMIT_DB,
        message=f"SQNR at 'logits' is {sqnr_db} dB, at least {SQNR_LIMIT_DB} dB are demanded.",
    )  # fmt: skip
    return GateResult.of("fidelity", [check])


def _runtime() -> GateResult:
    check = Check(
        gate="runtime", name="argmax", status="skipped", message="There was nothing to compare.",
    )  # fmt: skip
    return GateResult.of("runtime", [check])
