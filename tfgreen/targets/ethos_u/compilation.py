"""`compile_for_npu`: a file compiled for the NPU of its profile, with what stays on the CPU."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tfgreen.errors import InvalidModelError, UsageError
from tfgreen.flatbuffer import Op, TfliteModel, multiply_accumulates
from tfgreen.profile import ExportProfile, VelaSettings
from tfgreen.stack import OPTIONAL, installed_version
from tfgreen.targets.ethos_u.figures import NpuFigures, reasons
from tfgreen.targets.ethos_u.vela import Run, Status, run_vela
from tfgreen.targets.layer_names import layer_clause, layer_of
from tfgreen.verification.labels import op_label

PACKAGE = "ethos-u-vela"
TIMEOUT_SECONDS = 120.0

_NPU_OP = "CUSTOM:ethos-u"


@dataclass(frozen=True)
class CpuOp:
    """An op of the file that Vela leaves to the CPU.

    Attributes:
        op: As certificates call it.
        layer: The Keras layer behind it, None where no name tells.
        where: The layer as a clause of a sentence.
        reason: Vela's; empty where it gives none.
        is_boundary: It converts between float and int8 at an input or output of the file.
    """

    op: str
    layer: str | None
    where: str
    reason: str
    is_boundary: bool


@dataclass(frozen=True)
class Compiled:
    """What came of compiling one file for one NPU.

    Attributes:
        settings: What Vela was told.
        status: `compiled`; `missing` (Vela is not installed), `refused` (it gave up with an
            error), `crashed` (it died) or `timed-out`: then there is nothing but `words`.
        words: How it ended, if it did not compile.
        version: Vela's.
        content: The file for the NPU; its NPU ops are the custom op "ethos-u".
        figures: Vela's; None if it did not compile.
        cpu_ops: In the file's order.
        op_count: Ops of the file that was compiled.
        macs, npu_macs: Multiply-accumulates of the file's layers, and those of them on the NPU.
    """

    settings: VelaSettings
    status: Status | Literal["missing"]
    words: str = ""
    version: str | None = None
    content: bytes = b""
    figures: NpuFigures | None = None
    cpu_ops: tuple[CpuOp, ...] = ()
    op_count: int = 0
    macs: int = 0
    npu_macs: int = 0

    @property
    def npu_share_of_macs(self) -> float | None:
        """From 0 to 1; None for a file without any."""
        return self.npu_macs / self.macs if self.macs else None

    def to_facts(self) -> dict[str, Any]:
        """Ready for JSON: status and settings, and of a compiled file the figures too."""
        facts: dict[str, Any] = {
            "status": self.status,
            "vela": self.version,
            **self.settings.model_dump(),
        }
        if self.figures is None:
            return {**facts, "words": self.words}
        ops = [{"op": one.op, "layer": one.layer, "reason": one.reason} for one in self.cpu_ops]
        return {
            **facts,
            **asdict(self.figures),
            "file_bytes": len(self.content),
            "macs": self.macs,
            "npu_share_of_macs": self.npu_share_of_macs,
            "op_count": self.op_count,
            "cpu_ops": ops,
        }


def compile_for_npu(
    content: bytes, profile: ExportProfile, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> Compiled:
    """Compile a file with Arm's Vela for the NPU of a profile, in a child process.

    Args:
        content: A .tflite file; int8 or int16x8, Vela leaves every float op to the CPU.
        profile: One with a `[vela]` table, as `ethos-u55-int8`.
        timeout_seconds: Most that Vela may take; it needs well below a second for most files.

    Returns:
        What came of it; Vela's errors, its death and its absence are told in it.

    Raises:
        UsageError: the profile has no `[vela]` table.
        InvalidModelError: the file is damaged.
    """
    settings = profile.vela
    if settings is None:
        raise UsageError(
            f"The profile {profile.name} names no NPU. Take an ethos-u profile, or give it a "
            "[vela] table."
        )
    model = TfliteModel.from_bytes(content)
    version = installed_version(PACKAGE)
    if version is None:
        line = f'pip install "tfgreen[{OPTIONAL[PACKAGE]}]"'
        return Compiled(settings, "missing", f"{PACKAGE} is not installed: {line}")
    run = run_vela(content, settings, timeout_seconds)
    if run.status != "compiled":
        return Compiled(settings, run.status, run.words, version)
    try:
        return _compiled(model, settings, version, run)
    except (ValueError, InvalidModelError) as error:
        words = f"what it wrote cannot be read: {error}"
        return Compiled(settings, "refused", words, version)


def _compiled(model: TfliteModel, settings: VelaSettings, version: str, run: Run) -> Compiled:
    figures = NpuFigures.read(run.summary, run.output)
    left = _left_to_the_cpu(model, TfliteModel.from_bytes(run.content))
    told = reasons(run.output)
    macs = {op.index: multiply_accumulates(model, op) for op in model.ops}
    return Compiled(
        settings,
        "compiled",
        version=version,
        content=run.content,
        figures=figures,
        cpu_ops=tuple(_cpu_op(model, op, told) for op in left),
        op_count=len(model.ops),
        macs=sum(macs.values()),
        npu_macs=sum(macs.values()) - sum(macs[op.index] for op in left),
    )


def _left_to_the_cpu(model: TfliteModel, compiled: TfliteModel) -> list[Op]:
    """The ops of the file that the compiled one has too: those write tensors of the same names."""
    written = {
        (op.name, compiled.tensors[index].name)
        for op in compiled.ops
        if op.name != _NPU_OP
        for index in op.outputs
    }
    return [
        op
        for op in model.ops
        if any((op.name, model.tensors[index].name) in written for index in op.outputs)
    ]


def _cpu_op(model: TfliteModel, op: Op, told: dict[str, str]) -> CpuOp:
    names = [model.tensors[index].name for index in op.outputs]
    at_an_end = bool({*model.inputs, *model.outputs} & {*op.inputs, *op.outputs})
    return CpuOp(
        op=op_label(model, op),
        layer=layer_of(model, op),
        where=layer_clause(model, op),
        reason=next((told[name] for name in names if name in told), ""),
        is_boundary=at_an_end and op.name in ("QUANTIZE", "DEQUANTIZE"),
    )
