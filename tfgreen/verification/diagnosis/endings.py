"""What the logits do not show: scales that a kernel fixes, and the ops behind the logits."""

from __future__ import annotations

from collections.abc import Iterator

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.verification.diagnosis.anatomy import anatomy
from tfgreen.verification.diagnosis.measuring import Comparison, LayerError
from tfgreen.verification.diagnosis.ranges import explain_storing
from tfgreen.verification.diagnosis.record import Fault
from tfgreen.verification.labels import tensor_label

_SPECIFIED = {
    ("SOFTMAX", "int8"): (1 / 256, -128),
    ("SOFTMAX", "uint8"): (1 / 256, 0),
    ("LOGISTIC", "int8"): (1 / 256, -128),
    ("LOGISTIC", "uint8"): (1 / 256, 0),
    ("TANH", "int8"): (1 / 128, 0),
    ("TANH", "uint8"): (1 / 128, 128),
}
"""Scale and zero point of the output, from TensorFlow Lite's 8-bit quantization specification."""

_SAME_SCALE = 0.01
_LOST_DB, _VISIBLE_DB = 12.0, 20.0


def ending_faults(comparison: Comparison, layers: tuple[LayerError, ...]) -> Iterator[Fault]:
    """Declared scales that are not the specified ones; outputs that are stored badly."""
    for op in comparison.model.ops:
        fault = _unspecified(comparison.model, op)
        if fault is not None:
            yield fault
    behind = set(comparison.model.outputs) - set(comparison.bench.final)
    for layer in layers:
        if layer.tensor_index in behind and _is_stored_badly(layer):
            yield _badly_stored(comparison, layer)


def _unspecified(model: TfliteModel, op: Op) -> Fault | None:
    tensor = model.tensors[op.outputs[0]]
    wanted, found = _SPECIFIED.get((op.name, tensor.dtype)), tensor.quantization
    if wanted is None or found is None:
        return None
    scale, zero_point = float(found.scales[0]), int(found.zero_points[0])
    if abs(scale / wanted[0] - 1) <= _SAME_SCALE and zero_point == wanted[1]:
        return None
    return Fault(
        cause="output-scaling",
        layer=tensor.name,
        op_index=op.index,
        op=op.name,
        message=f"'{tensor_label(model, tensor.index)}' declares the scale {scale:.5g} and the "
        f"zero point {zero_point}. A {op.name} of {tensor.dtype} has to have {wanted[0]:.5g} and "
        f"{wanted[1]}: kernels compute with these, or refuse the file.",
        remedy="Give the tensor the scale and zero point of the specification.",
        evidence={
            "scale": scale,
            "specified_scale": wanted[0],
            "zero_point": zero_point,
            "specified_zero_point": wanted[1],
        },
    )


def _is_stored_badly(layer: LayerError) -> bool:
    stored, ideal = layer.stored_sqnr_db, layer.ideal_sqnr_db
    if stored is None or ideal is None:
        return False
    return stored < min(ideal - _LOST_DB, _VISIBLE_DB)


def _badly_stored(comparison: Comparison, layer: LayerError) -> Fault:
    step = comparison.step_to(layer.tensor_index)
    clipped = 0.0
    if step is not None:
        parts = anatomy(comparison, step)
        clipped = parts.clipped / max(parts.parts["storing"], 1e-300)
    told = explain_storing(comparison, layer.tensor_index, step, clipped)
    name = tensor_label(comparison.model, layer.tensor_index)
    return Fault(
        cause=told.cause,
        layer=layer.tensor_name,
        op_index=layer.op_index,
        op=layer.op_name,
        message=told.message.format(layer=f"the output '{name}'"),
        remedy=told.remedy,
        evidence=told.evidence,
    )
