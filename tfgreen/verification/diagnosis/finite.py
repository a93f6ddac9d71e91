"""Values that are no numbers: of the float model, or of the file alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.verification.diagnosis.measuring import Comparison
from tfgreen.verification.diagnosis.record import Fault
from tfgreen.wording import share_text


def not_finite(comparison: Comparison) -> Fault | None:
    """The first op of the float model, or else of the file, that gives NaN or infinity."""
    return _float_model_wrong(comparison) or _file_wrong(comparison)


def _float_model_wrong(comparison: Comparison) -> Fault | None:
    model = comparison.float_model
    for op, index, values in _real_outputs(model, comparison.float_values):
        share = float(np.mean(~np.isfinite(values)))
        if not share:
            continue
        name = model.tensors[index].name
        return Fault(
            cause="float-model-wrong",
            layer=name,
            op_index=op.index,
            op=op.name,
            message=f"The float model itself is wrong: '{name}' ({op.name}) is NaN or infinite "
            f"in {share_text(share)} of its values, before anything is quantized.",
            remedy="Find what makes the weights or activations overflow (learning rate, a "
            "division, a log of zero, a mask of minus infinity), and train again.",
            evidence={"not_finite_share": round(share, 6)},
        )
    return None


def _file_wrong(comparison: Comparison) -> Fault | None:
    """Float ops of the file; also constants, since a RELU turns NaN into zero."""
    model = comparison.model
    for op in model.ops:
        if any(_is_broken(model, index) for index in op.inputs):
            told = "reads a constant that is NaN or infinite, and the float model's is not"
            return _broken(model, op, told, 1.0)
        for _, index, values in _real_outputs(model, comparison.codes, [op]):
            share = float(np.mean(~np.isfinite(values)))
            if share and index in comparison.truths:
                told = (
                    f"gives NaN or infinity in {share_text(share)} of its values, the float model "
                    "none"
                )
                return _broken(model, op, told, share)
    return None


def _broken(model: TfliteModel, op: Op, told: str, share: float) -> Fault:
    name = model.tensors[op.outputs[0]].name
    return Fault(
        cause="weights-differ" if share == 1.0 else "unexplained",
        layer=name,
        op_index=op.index,
        op=op.name,
        message=f"'{name}' ({op.name}) {told}.",
        remedy="Export the file again from this very model.",
        evidence={"not_finite_share": round(share, 6)},
    )


def _is_broken(model: TfliteModel, index: int) -> bool:
    if index < 0 or not model.tensors[index].is_constant:
        return False
    return model.tensors[index].dtype == "float32" and bool(np.isnan(model.constant(index)).any())


def _real_outputs(
    model: TfliteModel, values: dict[int, np.ndarray], ops: list[Op] | None = None
) -> Iterator[tuple[Op, int, np.ndarray]]:
    for op in model.ops if ops is None else ops:
        for index in op.outputs:
            array = values.get(index)
            if array is not None and array.dtype.kind == "f":
                yield op, index, array
