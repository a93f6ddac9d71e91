"""Before and after: the figures that people ask for first."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from typing import Any

from tfgreen.inspection.records import TfliteInspection
from tfgreen.inspection.tflite_file import inspect_tflite
from tfgreen.profile import ExportProfile
from tfgreen.reporting.page.baseline import Baseline
from tfgreen.reporting.page.record import CostAccount, Figure, Value
from tfgreen.verification.certificate import Certificate, Metric

_GZIP_LEVEL = 9
_PRUNED_SHARE = 0.1


def file_facts(content: bytes) -> dict[str, int | float | None]:
    """Sizes of a `.tflite` file, for the manifest of what is made of it.

    Bytes plain and by gzip -9, numbers in constants, multiply-accumulates of one call, and the
    share of zeros among the weights.
    """
    return _facts(content, inspect_tflite(content))


def _facts(content: bytes, inspection: TfliteInspection) -> dict[str, int | float | None]:
    return {
        "file_bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, _GZIP_LEVEL, mtime=0)),
        "parameters": inspection.parameters,
        "macs": inspection.macs,
        "zero_share": inspection.sparsity,
    }


def figures_of(
    content: bytes,
    inspection: TfliteInspection,
    certificate: Certificate,
    profile: ExportProfile,
    baseline: Baseline,
    judge: str,
) -> Iterator[Figure]:
    """Accuracy on every kernel set, fidelity, sizes, memory, in the order of the page.

    baseline: what was before. judge: the model whose answers fidelity is about, in words.
    """
    for metric in certificate.metrics:
        yield from _metric_figures(metric, certificate, baseline.metrics.get(metric.output))
    yield from _fidelity_figures(certificate, profile, judge)
    yield from _size_figures(_facts(content, inspection), baseline.sizes, profile)
    yield from _memory_figures(certificate, profile)


def _metric_figures(
    metric: Metric, certificate: Certificate, before: float | None
) -> Iterator[Figure]:
    is_accuracy = metric.kind == "accuracy"
    name = "Accuracy" if is_accuracy else "Mean absolute error"
    several = len(certificate.metrics) > 1
    for kernel_set, value in metric.kernel_sets.items():
        facts = certificate.kernel_sets.get(kernel_set)
        role = " (truth)" if facts is not None and facts.role == "truth" else ""
        output = f" of {metric.output}" if several else ""
        yield Figure(
            key=f"metric/{metric.output}/{kernel_set}",
            label=f"{name}{output} on {kernel_set}{role}",
            unit="share" if is_accuracy else "error",
            before=None if before is None else Value.exactly(before),
            after=Value.exactly(value),
            better="more" if is_accuracy else "less",
            how=f"on {metric.samples.get(kernel_set, 0):,} labelled samples",
        )


def _fidelity_figures(
    certificate: Certificate, profile: ExportProfile, judge: str
) -> Iterator[Figure]:
    if certificate.agreement is not None:
        yield Figure(
            key="agreement",
            label=f"Same answer as {judge}",
            unit="share",
            after=Value.exactly(certificate.agreement),
            better="more",
            limit=profile.limits.agreement,
        )
    if certificate.sqnr_db is not None:
        yield Figure(
            key="sqnr",
            label="Signal to quantization noise (SQNR)",
            unit="dB",
            after=Value.exactly(certificate.sqnr_db),
            better="more",
            how=f"against {judge}, before a trailing softmax, on the truth",
            limit=profile.limits.sqnr_db,
        )


def _size_figures(
    after: Mapping[str, Any], before: Mapping[str, Any], profile: ExportProfile
) -> Iterator[Figure]:
    for key, label, unit in (
        ("file_bytes", "File", "bytes"),
        ("gzip_bytes", "File, with gzip -9", "bytes"),
        ("parameters", "Parameters", "count"),
        ("zero_share", "Zeros among the weights", "share"),
        ("macs", "Multiply-accumulates of a call", "count"),
    ):
        ours, theirs = (_number(facts.get(key)) for facts in (after, before))
        if ours is None or (key == "zero_share" and ours.typical < _PRUNED_SHARE):
            continue
        yield Figure.model_validate(
            {
                "key": key,
                "label": label,
                "unit": unit,
                "before": theirs,
                "after": ours,
                "better": "more" if key == "zero_share" else "less",
                "limit": profile.budgets.file_bytes if key == "file_bytes" else None,
            }
        )


def _number(known: Any) -> Value | None:
    return Value.exactly(known) if isinstance(known, int | float) else None


def cost_figures(cost: CostAccount) -> Iterator[Figure]:
    """Time, energy and carbon of an inference on the device, or else on the first runtime."""
    for one in cost.runtimes[:1]:
        where = "its device" if one.where == "device" else f"{one.where}, this machine"
        rows = (
            ("latency", f"Latency on {where}", "seconds", one.before_latency, one.latency),
            ("joules", "Energy of 1,000 inferences", "joules", one.before_joules, one.joules),
            ("grams", "CO2e of 1,000 inferences", "grams", one.before_grams, one.grams),
        )
        for key, label, unit, before, after in rows:
            if after is None:
                continue
            how = one.method if key != "latency" else "median and quartiles, one thread"
            yield Figure.model_validate(
                {
                    "key": key,
                    "label": label,
                    "unit": unit,
                    "before": before,
                    "after": after,
                    "better": "less",
                    "how": "as it was told" if key == "latency" and after.is_exact else how,
                    "ratio": None if key == "latency" else one.ratio,
                }
            )


def _memory_figures(certificate: Certificate, profile: ExportProfile) -> Iterator[Figure]:
    if certificate.arena_bytes is not None:
        yield Figure(
            key="arena_bytes",
            label="Tensor arena",
            unit="bytes",
            after=Value.exactly(certificate.arena_bytes),
            better="less",
            how="TensorFlow Lite Micro on a 64-bit host",
            limit=profile.budgets.arena_bytes,
        )
    npu = certificate.target.get("npu", {})
    if not isinstance(npu, Mapping) or npu.get("status") != "compiled":
        return
    for key, label, unit in (
        ("sram_bytes", "SRAM of the NPU", "bytes"),
        ("inference_seconds", "Latency on the NPU", "seconds"),
    ):
        if isinstance(npu.get(key), int | float):
            yield Figure.model_validate(
                {
                    "key": f"npu/{key}",
                    "label": label,
                    "unit": unit,
                    "after": Value.exactly(npu[key]),
                    "better": "less",
                    "how": "Vela's estimate, not measured",
                }
            )
