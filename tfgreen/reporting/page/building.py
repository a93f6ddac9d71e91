"""From a bundle to the record of its page: nothing is run, all is read from what the bundle has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tfgreen.footprint.entry import LedgerDocument, Total
from tfgreen.footprint.ledger import Ledger
from tfgreen.inspection.tflite_file import inspect_tflite
from tfgreen.reporting.page.baseline import baseline_of, judge_text
from tfgreen.reporting.page.figures import cost_figures, figures_of
from tfgreen.reporting.page.layers import first_culprit, layer_lines, plain_model
from tfgreen.reporting.page.record import (
    BundleReport,
    CheckLine,
    CostAccount,
    DataLine,
    Finding,
    GateLine,
    StageCost,
    Value,
)
from tfgreen.reporting.page.reproduction import reproduction_of, skipped_of
from tfgreen.reporting.wording import mapping_text
from tfgreen.verification.certificate import Certificate, Check
from tfgreen.verification.labels import counted

if TYPE_CHECKING:
    from tfgreen.bundle import Bundle

_TOTAL = "all stages"


def report_of(
    bundle: Bundle, *, name: str | None = None, cost: CostAccount | None = None
) -> BundleReport:
    """The record of a bundle's page.

    Args:
        bundle: a `tfgreen.Bundle`.
        name: what the page calls it; the model's own name by default.
        cost: of its inferences, as `tfgreen report` found it out.
    """
    certificate, profile = bundle.certificate, bundle.profile
    inspection = inspect_tflite(bundle.content)
    model = plain_model(bundle.content)
    layers = layer_lines(model, inspection, certificate)
    stages = tuple(_stages(bundle.ledger))
    truth = profile.kernel_sets.truth
    return BundleReport(
        name=name or _name(bundle.facts),
        profile=profile.name,
        summary=profile.summary,
        target=profile.target,
        verdict=certificate.verdict,
        sentence=_sentence(certificate, truth),
        truth=truth,
        gates=tuple(
            GateLine(
                gate=result.gate,
                status=result.status,
                checks=dict(Counter(check.status for check in result.checks)),
            )
            for result in certificate.gates
        ),
        failures=tuple(map(_line, certificate.failed_checks)),
        warnings=tuple(map(_line, certificate.warnings)),
        figures=(
            *figures_of(
                bundle.content,
                inspection,
                certificate,
                profile,
                baseline_of(bundle),
                judge_text(bundle.compression),
            ),
            *(() if cost is None else cost_figures(cost)),
        ),
        layers=layers,
        culprit=first_culprit(model, layers),
        answers=certificate.answers,
        labels=bundle.labels,
        kernel_sets=certificate.kernel_sets,
        samples=certificate.samples,
        compression=bundle.compression,
        spent=stages,
        spent_total=_total(bundle.ledger),
        cost=cost,
        data=tuple(_data(bundle)),
        findings=tuple(_findings(bundle.facts)),
        made=dict(_made(bundle.facts)),
        skipped=tuple(skipped_of(bundle, has_cost=cost is not None)),
        notes=certificate.notes,
        reproduction=reproduction_of(bundle),
    )


def _name(facts: Mapping[str, Any]) -> str:
    request = facts.get("request")
    told = request.get("name") if isinstance(request, Mapping) else None
    return str(told or "model")


def _sentence(certificate: Certificate, truth: str) -> str:
    if not certificate.passed:
        gates = ", ".join(one.gate for one in certificate.gates if one.status == "failed")
        failed = counted(len(certificate.failed_checks), "check")
        return f"May not be shipped: {failed} failed ({gates})."
    unproven = [result.gate for result in certificate.gates if result.status == "skipped"]
    if unproven:
        return f"No gate failed, but nothing is proven about {' and '.join(unproven)}."
    return f"May be shipped: all four gates passed, judged on the {truth} kernels."


def _line(check: Check) -> CheckLine:
    return CheckLine(gate=check.gate, status=check.status, message=check.message)


def _stages(document: LedgerDocument | None) -> Iterator[StageCost]:
    if document is not None:
        for name, total in _ledger(document).stages().items():
            yield _cost(name, total)


def _total(document: LedgerDocument | None) -> StageCost | None:
    if document is None or not document.entries:
        return None
    return _cost(_TOTAL, _ledger(document).total())


def _ledger(document: LedgerDocument) -> Ledger:
    ledger = Ledger()
    ledger.add(document)
    return ledger


def _cost(name: str, total: Total) -> StageCost:
    return StageCost(
        stage=name,
        joules=Value.of(total.joules),
        method=total.method,
        sources=total.sources,
        cpu_seconds=total.cpu_seconds,
        wall_seconds=total.wall_seconds,
    )


def _data(bundle: Bundle) -> Iterator[DataLine]:
    certificate = bundle.certificate
    calibration = certificate.calibration
    if bundle.calibration_sha256 is not None or calibration is not None:
        yield DataLine(
            role="calibration",
            source=bundle.calibration_source,
            sha256=bundle.calibration_sha256 or (calibration.sha256 if calibration else None),
            count=calibration.count if calibration else None,
        )
    judged = certificate.metric_samples or certificate.samples
    if bundle.evaluation_sha256 is not None or judged.origin == "random":
        yield DataLine(
            role="evaluation",
            source=bundle.evaluation_source,
            sha256=bundle.evaluation_sha256 or judged.sha256,
            count=judged.count,
            origin=judged.origin,
        )


def _findings(facts: Mapping[str, Any]) -> Iterator[Finding]:
    for one in facts.get("data_findings") or ():
        if isinstance(one, Mapping) and one.get("severity") in ("error", "warning"):
            yield Finding(
                severity=one["severity"],
                code=str(one.get("code", "")),
                message=str(one.get("message", "")),
            )


def _made(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How the file was made, in words."""
    model = facts.get("model")
    if isinstance(model, Mapping) and model.get("kind"):
        keras = model.get("keras_version")
        yield "model", f"{model['kind']}{f', written by Keras {keras}' if keras else ''}"
    if facts.get("route"):
        yield "ranges and rounding", mapping_text(facts["route"])
    candidates = facts.get("candidates") or ()
    if len(candidates) > 1:
        yield "chosen among", f"{len(candidates)} ways to quantize, by cross-validation"
    if facts.get("rewrites"):
        yield "rewritten", "; ".join(map(str, facts["rewrites"]))
    encoding = facts.get("encoding")
    if isinstance(encoding, Mapping) and encoding.get("chosen"):
        yield "weights stored", str(encoding["chosen"])
