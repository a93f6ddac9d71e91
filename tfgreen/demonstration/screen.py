"""The demonstration's result on one screen."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from tfgreen.demonstration.demo import DemoResult
from tfgreen.manifest import REPORT_HTML
from tfgreen.reporting.tables import bullet, heading, status, table
from tfgreen.reporting.wording import bytes_text, decibel_text
from tfgreen.verification.certificate import Certificate
from tfgreen.wording import share_text


def demo_screen(result: DemoResult) -> RenderableType:
    """Accuracy on each kernel set, bytes before and after, arena, gates, and what to do next."""
    certificate = result.bundle.certificate
    return Group(
        Text.assemble(
            ("A keyword spotter", "bold"),
            f": {result.parameters:,} parameters, 12 words, trained in "
            f"{result.training_seconds:.0f} s and exported with {certificate.profile}",
        ),
        table(
            "Accuracy",
            ("model", "kernels", ">accuracy", ">other answers"),
            _accuracies(result),
            f"on {result.test_clips} held-back clips; other answers than the truth's",
        ),
        table("Size", ("file", ">bytes", ">gzip"), _sizes(result)),
        table("Gates", ("gate", "verdict", "of it"), _gates(certificate)),
        *(bullet(check.message) for check in certificate.failed_checks),
        heading(
            f"{certificate.verdict.upper()}: the bundle is in {result.folder}",
            f"{result.total_seconds:.0f} s in all",
        ),
        *_report(result),
    )


def _report(result: DemoResult) -> Iterator[RenderableType]:
    page = result.folder / REPORT_HTML
    if page.is_file():
        yield Text(f"Look at its report: {page}")


def _gates(certificate: Certificate) -> Iterator[tuple[str, RenderableType, str]]:
    details = {
        "structure": f"{bytes_text(certificate.file_bytes)}, no float op inside",
        "kernels": f"{_op_count(certificate)} ops, each fed the same values on every kernel set",
        "fidelity": f"SQNR {decibel_text(certificate.sqnr_db)} before softmax; "
        f"{share_text(certificate.agreement)} of answers as the float model's",
        "runtime": "the whole file on every kernel set, as above",
    }
    for gate in certificate.gates:
        detail = details[gate.gate] if gate.status == "passed" else ""
        yield gate.gate, status(gate.status), detail


def _op_count(certificate: Certificate) -> int:
    return len({result.op_index for result in certificate.kernels})


def _accuracies(result: DemoResult) -> Iterator[tuple[str, str, str, str]]:
    certificate = result.bundle.certificate
    if not certificate.metrics:  # the truth did not run: the gates tell why
        return
    metric = certificate.metrics[0]
    yield "float", "Keras", share_text(metric.float_model), ""
    others = {run.kernel_set: share_text(run.argmax_share) for run in certificate.runtime}
    for name, accuracy in metric.kernel_sets.items():
        role = certificate.kernel_sets[name].role if name in certificate.kernel_sets else ""
        label = f"{name} (truth)" if role in ("truth", "stand-in") else name
        yield "int8", label, share_text(accuracy), others.get(name, "")


def _sizes(result: DemoResult) -> Iterator[tuple[str, str, str]]:
    before, after = result.float_size, result.int8_size
    yield "float .tflite", f"{before.file_bytes:,}", f"{before.gzip_bytes:,}"
    yield "int8 .tflite", f"{after.file_bytes:,}", f"{after.gzip_bytes:,}"
    yield (
        "smaller by",
        f"{before.file_bytes / after.file_bytes:.2f}x",
        f"{before.gzip_bytes / after.gzip_bytes:.2f}x",
    )
    arena = result.bundle.certificate.arena_bytes
    if arena is not None:
        yield "tensor arena (TFLM, host)", f"{arena:,}", ""
