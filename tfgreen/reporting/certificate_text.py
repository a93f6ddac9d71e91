"""A certificate as one screen: verdict first, then gates, what failed, kernel sets, accuracy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from tfgreen.reporting.npu_text import render_npu
from tfgreen.reporting.summary import headline, metric_value
from tfgreen.reporting.tables import bullet, cell, facts, heading, status, table
from tfgreen.reporting.wording import bits_text, decibel_text
from tfgreen.verification.certificate import (
    Certificate,
    Check,
    CheckStatus,
    KernelResult,
    RuntimeResult,
    SampleFacts,
    TensorSaturation,
)
from tfgreen.wording import ABSENT, share_text

_WORST_LAYERS = 5
_WORST_TENSORS = 5
_STATUSES: tuple[CheckStatus, ...] = ("passed", "failed", "warning", "skipped")


def render_certificate(certificate: Certificate, *, detailed: bool = False) -> RenderableType:
    """The certificate for a terminal.

    Args:
        detailed: every check and every layer, instead of what failed and the worst layers.
    """
    return Group(*_parts(certificate, detailed))


def _parts(certificate: Certificate, detailed: bool) -> Iterator[RenderableType]:
    word = certificate.verdict.upper()
    yield Text.assemble(
        (f" {word} ", "bold white on " + ("green" if certificate.passed else "red")),
        f"  {headline(certificate)}",
    )
    yield table("Gates", ("gate", "status", "checks"), _gates(certificate))
    yield from _checks("Failed", certificate.failed_checks, "bold red")
    yield from _checks("Warnings", certificate.warnings, "yellow")
    if detailed:
        yield from _checks("All checks", certificate.checks, "dim")
    columns = ("kernel set", "role", "version", "ops", ">max step", ">differing", ">argmax")
    yield table("Kernel sets", columns, _kernel_sets(certificate), _judged_on(certificate.samples))
    if certificate.metrics:
        yield _metrics(certificate)
    yield from render_npu(certificate.target)
    if certificate.layers:
        yield _layers(certificate, detailed)
    if certificate.saturation:
        yield _saturation(certificate, detailed)
    if certificate.notes:
        yield heading("Notes")
        yield from (bullet(note) for note in certificate.notes)
    yield Text()
    yield facts(_origin(certificate))


def _origin(certificate: Certificate) -> Iterator[tuple[str, object]]:
    yield "profile", certificate.profile
    yield "file", f"{certificate.file_bytes:,} bytes, sha256 {certificate.model_sha256}"
    if certificate.arena_bytes is not None:
        head, to_load = certificate.arena_head_bytes, certificate.arena_to_load_bytes
        tail = "" if head is None else f" ({certificate.arena_bytes - head:,} of them the tail)"
        more = tail if to_load is None else f"{tail}, {to_load:,} to load"
        whose = "plain file's arena" if "npu" in certificate.target else "tensor arena"
        yield whose, f"{certificate.arena_bytes:,} bytes{more}"


def _gates(certificate: Certificate) -> Iterator[Sequence[object]]:
    for result in certificate.gates:
        counts = Counter(check.status for check in result.checks)
        told = ", ".join(f"{counts[key]} {key}" for key in _STATUSES if counts[key])
        yield result.gate, status(result.status), told


def _checks(title: str, checks: Sequence[Check], style: str) -> Iterator[RenderableType]:
    if checks:
        yield heading(title)
        yield from (bullet(f"{check.gate}: {check.message}", style) for check in checks)


def _judged_on(samples: SampleFacts) -> str:
    origin = "given" if samples.origin == "given" else "made up at random"
    return f"on {samples.count} samples, {origin}"


def _kernel_sets(certificate: Certificate) -> Iterator[Sequence[object]]:
    for name, facts_of_set in certificate.kernel_sets.items():
        if not facts_of_set.available:
            yield name, facts_of_set.role, cell(facts_of_set.reason or "missing", "yellow")
            continue
        kernels = [kernel for kernel in certificate.kernels if kernel.kernel_set == name]
        runs = [run for run in certificate.runtime if run.kernel_set == name]
        version = facts_of_set.version or ABSENT
        yield name, facts_of_set.role, version, _ops(kernels), *_runs(runs)


def _ops(kernels: Sequence[KernelResult]) -> Text:
    counts = Counter(kernel.status for kernel in kernels)
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return cell(told or ABSENT, "" if set(counts) <= {"ok"} else "yellow")


def _runs(runs: Sequence[RuntimeResult]) -> tuple[str, str, str]:
    """The largest of each over the outputs; a step that is no number is told as NaN."""
    if not runs:
        return ABSENT, ABSENT, ABSENT
    steps = [run.max_quanta for run in runs]
    numbers = [step for step in steps if step is not None]
    largest = "NaN" if len(numbers) < len(steps) else f"{max(numbers):g}"
    classes = [run.argmax_share for run in runs if run.argmax_share is not None]
    differing = share_text(max(run.differing_share for run in runs))
    return largest, differing, share_text(max(classes)) if classes else ABSENT


def _metrics(certificate: Certificate) -> RenderableType:
    names = list(dict.fromkeys(n for m in certificate.metrics for n in m.kernel_sets))
    columns = ("output", "metric", ">float", *(f">{name}" for name in names), ">samples")
    rows = [
        (
            metric.output,
            metric.kind,
            metric_value(metric.kind, metric.float_model),
            *(metric_value(metric.kind, metric.kernel_sets.get(name)) for name in names),
            max(metric.samples.values(), default=0),
        )
        for metric in certificate.metrics
    ]
    return table("Accuracy", columns, rows)


def _layers(certificate: Certificate, detailed: bool) -> RenderableType:
    """Layers by error, the worst first; one without error is the best."""
    layers = certificate.layers
    if not detailed:
        told = (layer for layer in layers if layer.sqnr_db is not None)
        layers = tuple(sorted(told, key=lambda layer: layer.sqnr_db or 0.0)[:_WORST_LAYERS])
    rows = [
        (layer.op, layer.tensor, decibel_text(layer.sqnr_db), decibel_text(layer.ideal_sqnr_db))
        for layer in layers
    ]
    note = "in order" if detailed else f"the worst {len(rows)} of {len(certificate.layers)}"
    return table("Layers", ("=op", "~tensor", ">SQNR", ">ideal"), rows, note)


def _saturation(certificate: Certificate, detailed: bool) -> RenderableType:
    """Tensors by what they clip, then by how full the accumulator is; copies only on demand."""
    tensors = certificate.saturation
    if not detailed:
        told = (one for one in tensors if one.clipped_share is not None)
        tensors = tuple(sorted(told, key=_fullness)[:_WORST_TENSORS])
    rows = [
        (
            one.op or "(input)",
            one.tensor,
            share_text(one.lowest_share),
            share_text(one.highest_share),
            share_text(one.clipped_share),
            bits_text(one.headroom_bits),
        )
        for one in tensors
    ]
    columns = ("=op", "~tensor", ">at lowest", ">at highest", ">clipped", ">head room")
    note = "in order" if detailed else f"the worst {len(rows)} of {len(certificate.saturation)}"
    return table("Saturation", columns, rows, note)


def _fullness(one: TensorSaturation) -> tuple[float, float]:
    room = math.inf if one.headroom_bits is None else one.headroom_bits
    return -(one.clipped_share or 0.0), room
