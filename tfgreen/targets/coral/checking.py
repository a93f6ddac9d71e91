"""`check_edgetpu`: a file against the published rules of the Edge TPU's compiler."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import Op, Tensor, TfliteModel, multiply_accumulates
from tfgreen.targets.coral.rules import BREAKS
from tfgreen.targets.coral.table import Row, edgetpu_table
from tfgreen.targets.layer_names import layer_clause, layer_of
from tfgreen.verification.labels import op_label, tensor_label

ON_CHIP_BYTES = 8 * 1024**2
"""Memory of the Edge TPU for weights and its own program together: "roughly 8 MB", says Google."""

_INNERMOST = 3
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
_STORED_DTYPES = ("int8", "uint8")
_PLAIN_DTYPES = ("int32", "int64", "bool")


@dataclass(frozen=True)
class Objection:
    """An op that the compiler leaves on the CPU, and why.

    Attributes:
        op: As certificates call it.
        layer: The Keras layer behind it, None where no name tells.
        where: The layer as a clause of a sentence.
        told: What the Edge TPU does not do, following on the op: "takes no fused activation".
        way_out: What to do about it.
    """

    op: str
    layer: str | None
    where: str
    told: str
    way_out: str


@dataclass(frozen=True)
class EdgeTpuFit:
    """How a file stands with the published rules; the compiler itself may be stricter.

    Attributes:
        refusals: Why the compiler would take nothing of the file, as sentences.
        objections: Ops that stay on the CPU. The first takes every later op with it.
        undecided: Ops of which the page says only that they may stay on the CPU.
        op_count: Ops of the file, without conversions at its boundary, which run on the CPU.
        mapped_op_count: Those before the first objection.
        macs, mapped_macs: Multiply-accumulates of both.
        parameter_bytes: Constants of the file.
    """

    refusals: tuple[str, ...]
    objections: tuple[Objection, ...]
    undecided: tuple[str, ...]
    op_count: int
    mapped_op_count: int
    macs: int
    mapped_macs: int
    parameter_bytes: int

    def to_facts(self) -> dict[str, Any]:
        """Ready for JSON, with the table's date and source."""
        table = edgetpu_table()
        return {
            "table": f"{table.source}, {table.versions}, {table.dated}",
            **asdict(self),
        }


def check_edgetpu(content: bytes) -> EdgeTpuFit:
    """Hold a file against the published rules of the Edge TPU's compiler.

    Args:
        content: A .tflite file; the Edge TPU takes int8 and uint8.

    Raises:
        InvalidModelError: the file is damaged.
    """
    model = TfliteModel.from_bytes(content)
    inner = [op for op in model.ops if not _is_boundary(model, op)]
    objections = {op.index: found for op in inner if (found := _objection(model, op)) is not None}
    first = min(objections, default=math.inf)
    mapped = [op for op in inner if op.index < first]
    rows = edgetpu_table().rows
    return EdgeTpuFit(
        refusals=tuple(_refusals(model, inner)),
        objections=tuple(objections.values()),
        undecided=tuple(
            op_label(model, op) for op in mapped if op.name in rows and rows[op.name].might
        ),
        op_count=len(inner),
        mapped_op_count=len(mapped),
        macs=sum(multiply_accumulates(model, op) for op in inner),
        mapped_macs=sum(multiply_accumulates(model, op) for op in mapped),
        parameter_bytes=sum(tensor.size_bytes for tensor in model.tensors),
    )


def _is_boundary(model: TfliteModel, op: Op) -> bool:
    ends = {*model.inputs, *model.outputs}
    return op.name in _CONVERSIONS and not ends.isdisjoint((*op.inputs, *op.outputs))


def _refusals(model: TfliteModel, inner: list[Op]) -> Iterator[str]:
    """Whole files that the compiler takes nothing of: dynamic sizes, tensors of other dtypes."""
    for tensor in model.tensors:
        if tensor.has_dynamic_shape and not tensor.is_constant:
            label = tensor_label(model, tensor.index)
            yield (
                f"Tensor '{label}' has a size that is unknown until run time, which the Edge TPU "
                "does not take; export with a fixed batch."
            )
            break
    for op in inner:
        wrong = [t for t in _activations(model, op) if not _has_a_dtype(t)]
        if wrong:
            yield (
                f"{op_label(model, op)}{layer_clause(model, op)} computes in {wrong[0].dtype}, "
                "and the Edge TPU in int8 and uint8 only; export in full int8."
            )
            break


def _has_a_dtype(tensor: Tensor) -> bool:
    allowed = _STORED_DTYPES if tensor.quantization is not None else _PLAIN_DTYPES
    return tensor.dtype in allowed


def _activations(model: TfliteModel, op: Op) -> list[Tensor]:
    tensors = (model.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0)
    return [tensor for tensor in tensors if not tensor.is_constant]


def _objection(model: TfliteModel, op: Op) -> Objection | None:
    row = edgetpu_table().rows.get(op.name)
    if row is None:
        told = "is no op of the Edge TPU"
        return _objected(model, op, told, "replace the layer by one that it has")
    outer = [math.prod(t.shape[:-_INNERMOST]) for t in _activations(model, op)]
    if max(outer, default=1) > 1:
        told = "has a tensor of more than three dimensions above 1"
        return _objected(model, op, told, "use a batch of 1, and fold dimensions into one another")
    if not row.might and _breaks(model, op, row):
        return _objected(model, op, row.told, row.way_out)
    return None


def _breaks(model: TfliteModel, op: Op, row: Row) -> bool:
    try:
        return any(BREAKS[rule](model, op) for rule in row.rules)
    except (IndexError, AttributeError, UnsupportedModelError):
        return True  # it has not even the inputs and options of its kind


def _objected(model: TfliteModel, op: Op, told: str, way_out: str) -> Objection:
    where = layer_clause(model, op)
    return Objection(op_label(model, op), layer_of(model, op), where, told, way_out)
