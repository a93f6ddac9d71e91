"""Bundles for pages: of any depth, passed or failed, with names as hostile as they come."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from tests.certificates import certificate_of
from tests.footprint.test_ledger import entry_of
from tests.tiny_models import OpSpec, TensorSpec, build, int8_classifier
from tfgreen.bundle import Bundle
from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.ledger import Ledger
from tfgreen.manifest import sha256
from tfgreen.profile import load_profile
from tfgreen.recipe.record import (
    CompressionRecord,
    FileFigures,
    FloatFile,
    LayerSkipped,
    StageRecord,
)
from tfgreen.verification.answer_changes import AnswerChange, AnswerChanges, ClassScore
from tfgreen.verification.certificate import KernelResult, LayerFidelity, TensorSaturation

HOSTILE = "</style><script>alert('\u202epwned')</script>\"'><img src=x onerror=alert(1)> עברית"
GIVEN_FLOAT_FILE = FloatFile(
    file_bytes=9_000, gzip_bytes=8_000, parameters=2_000, macs=128, zero_share=0.0
)
VERSIONS = {"python": "3.11.7", "tfgreen": "0.1.0"}


def bundle_of(
    *,
    verdict: Literal["passed", "failed"] = "passed",
    profile: str = "microcontroller-int8",
    name: str = "keyword_spotter",
) -> Bundle:
    """A classifier of two ops with a ledger, labels and all that an export tells."""
    content = int8_classifier()
    certificate = certificate_of(content, verdict=verdict, profile=profile)
    return Bundle(
        content=content,
        certificate=certificate.model_copy(update={"answers": (answers(),)}),
        profile=load_profile(profile).with_overrides(arena="64KB"),
        facts={
            "model": {"kind": "keras3", "sha256": "3" * 64, "keras_version": "3.15.1"},
            "request": {"model": f"{name}.keras", "name": name, "samples": 32, "repair": True},
            "float_file": {
                "file_bytes": 4 * len(content),
                "gzip_bytes": 3 * len(content),
                "parameters": 68,
                "macs": 64,
                "zero_share": 0.0,
            },
            "route": {"quantizer": "tensorflow", "rounding": "nearest"},
            "candidates": [{"quantizer": "tensorflow"}, {"quantizer": "ai-edge-quantizer"}],
            "data_findings": [
                {"severity": "warning", "code": "few-samples", "message": "12 samples are few."}
            ],
        },
        calibration_sha256=sha256(b"calibration"),
        calibration_source="calibration data.npz",
        evaluation_sha256=sha256(b"evaluation"),
        evaluation_source="the pair (x, y)",
        labels=("yes", "no", "up", "naïve"),
        versions=VERSIONS,
        ledger=ledger().document,
    )


def ledger() -> Ledger:
    """One stage of 10 processor seconds at 1, 4 and 9 W."""
    kept = Ledger()
    joules = Amount(low=1, typical=4, high=9) * 10.0
    kept.add([entry_of(0, "conversion", joules, cpu_seconds=10.0, wall_seconds=12.0)])
    return kept


def answers() -> AnswerChanges:
    """The class "no" loses two of ten answers, "up" gains one."""
    return AnswerChanges(
        output="scores",
        samples=30,
        changed_samples=3,
        scores=(
            ClassScore(label=0, samples=10, float_right=9, file_right=9),
            ClassScore(label=1, samples=10, float_right=9, file_right=7),
            ClassScore(label=2, samples=10, float_right=8, file_right=9),
        ),
        changes=(
            AnswerChange(label=1, float_answer=1, answer=3, samples=2),
            AnswerChange(label=2, float_answer=0, answer=2, samples=1),
        ),
    )


def trained(bundle: Bundle) -> Bundle:
    """The bundle with a recipe of two stages."""
    file = FileFigures(
        sha256="4" * 64, file_bytes=3_000, gzip_bytes=2_000, metric="accuracy", value=0.9
    )
    stages = tuple(
        StageRecord(
            name=name,
            techniques=(technique,),
            epochs=4,
            batch_size=32,
            optimizer="Adam, learning rate 0.001",
            history={
                "loss": (1.0, 0.5, None, 0.2),
                "val_loss": (1.1, 0.6, 0.5, 0.4),
                "accuracy": (0.5, 0.8, 0.9, 0.95),
            },
            file=file,
            skipped=(
                LayerSkipped(technique=technique, layer="dense", kind="Dense", reason="too small"),
            ),
            model_sha256="5" * 64,
        )
        for name, technique in (("prune", "Pruning"), ("quantize", "QuantizationAwareTraining"))
    )
    record = CompressionRecord(
        recipe_name="pqat",
        recipe='[[stages]]\nname = "prune"\n',
        seed=7,
        model_sha256="6" * 64,
        before=file.model_copy(
            update={
                "value": 0.97,
                "float_value": 0.975,
                "float_metrics": {"scores": 0.975},
                "float_file": GIVEN_FLOAT_FILE,
            }
        ),
        stages=stages,
    )
    return replace(bundle, compression=record)


def without_labels(bundle: Bundle) -> Bundle:
    """The bundle as an export without evaluation data gives it."""
    update = {"metrics": (), "answers": (), "metric_samples": None}
    certificate = bundle.certificate.model_copy(update=update)
    return replace(
        bundle,
        certificate=certificate,
        labels=None,
        evaluation_sha256=None,
        evaluation_source=None,
    )


def deep(layers: int, name: str = "block_{number}/depthwise_of_the_main_branch") -> Bundle:
    """A chain of so many ops, each with its record in the certificate."""
    names = ["x", *(name.format(number=number) for number in range(layers))]
    content = build(
        [TensorSpec(one, (1, 16), scale=0.05) for one in names],
        [OpSpec("RELU", [one], [other]) for one, other in zip(names, names[1:], strict=False)],
        ["x"],
        [names[-1]],
    )
    whole = bundle_of(verdict="failed", profile="mobile-int8")
    certificate = certificate_of(content, verdict="failed").model_copy(
        update={
            "layers": tuple(
                LayerFidelity(
                    tensor=one,
                    op="RELU",
                    sqnr_db=40 - number / layers if number < layers // 2 else 9 - number / layers,
                    ideal_sqnr_db=45.0,
                )
                for number, one in enumerate(names[1:])
            ),
            "kernels": tuple(
                KernelResult(
                    op_index=number, op="RELU", tensor=one, kernel_set=kernel_set,
                    status="ok", max_quanta=number % 2, differing_share=0.0,
                )
                for number, one in enumerate(names[1:])
                for kernel_set in ("micro", "reference")
            ),
            "saturation": tuple(
                TensorSaturation(
                    tensor=one, op="RELU", lowest_share=0.4, highest_share=0.01,
                    clipped_share=0.01, headroom_bits=None,
                )
                for one in names[1:]
            ),
        }
    )  # fmt: skip
    return replace(whole, content=content, certificate=certificate)


def hostile() -> Bundle:
    """Names, labels, sources, messages and notes that try to become markup."""
    bundle = deep(3, HOSTILE + "{number}")
    certificate = bundle.certificate
    change = (
        certificate.gates[0].checks[0].model_copy(update={"status": "failed", "message": HOSTILE})
    )
    gate = type(certificate.gates[0]).of("structure", [change])
    return replace(
        bundle,
        certificate=certificate.model_copy(
            update={"gates": (gate, *certificate.gates[1:]), "notes": (HOSTILE,)}
        ),
        facts={**bundle.facts, "request": {"model": HOSTILE, "name": HOSTILE}, "route": HOSTILE},
        labels=(HOSTILE,) * 4,
        calibration_source=HOSTILE,
        evaluation_source=HOSTILE,
        versions={"tfgreen": HOSTILE},
    )
