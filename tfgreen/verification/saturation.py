"""Where values saturate, and how much room the accumulators keep: the audit of every tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.reference.saturation import Saturation, TensorAudit
from tfgreen.verification.certificate import Check, TensorSaturation
from tfgreen.verification.labels import counted
from tfgreen.wording import share_text

CLIPPED_SHARE = 0.01
"""A tensor that loses more of its values at an end of its range is told as a finding."""
HEADROOM_BITS = 1.0
"""So is an accumulator that could not double once more."""

_QUANTIZED = frozenset({"int8", "uint8", "int16"})
_COPIES = frozenset(
    {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "PADV2", "MIRROR_PAD", "PACK"}
    | {"CONCATENATION", "SPLIT", "SPLIT_V", "SLICE", "STRIDED_SLICE", "UNPACK", "GATHER", "TILE"}
    | {"SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"}
    | {"MAX_POOL_2D", "REDUCE_MAX", "REDUCE_MIN", "RESIZE_NEAREST_NEIGHBOR", "BROADCAST_TO"}
)
_BOUNDED = frozenset({"SOFTMAX", "LOGISTIC", "TANH"})
_NEVER_NEGATIVE = frozenset(
    {"RELU", "RELU6", "RELU_0_TO_1", "ABS", "SQUARE", "SQUARED_DIFFERENCE", "SQRT", "RSQRT", "EXP"}
    | {"L2_POOL_2D"}
)
_NOT_BELOW_ITS_INPUT = frozenset({"AVERAGE_POOL_2D", "MEAN", "SUM", "RESIZE_BILINEAR", "QUANTIZE"})
_NOT_BELOW_ITS_INPUTS = frozenset({"ADD", "ADD_N", "MUL", "DIV", "MAXIMUM", "MINIMUM"})
_FLOORS = {1: 0.0, 2: -1.0, 3: 0.0}  # RELU, RELU_N1_TO_1, RELU6 of ActivationFunctionType
_FLOORS_OF_OPS = dict.fromkeys(_NEVER_NEGATIVE, 0.0) | {
    "RELU_N1_TO_1": -1.0, "ELU": -1.0, "HARD_SWISH": -0.375, "GELU": -0.17,
}  # fmt: skip
_CEILINGS = {2: 1.0, 3: 6.0}
_CEILINGS_OF_OPS = {"RELU6": 6.0, "RELU_N1_TO_1": 1.0, "RELU_0_TO_1": 1.0}


class SaturationTrial:
    """Counts the values at the ends of every quantized activation's range, portion by portion."""

    def __init__(self, model: TfliteModel) -> None:
        self._model = model
        self._counts = {
            index: Saturation()
            for index in (*model.inputs, *(i for op in model.ops for i in op.outputs))
            if model.tensors[index].dtype in _QUANTIZED and model.tensors[index].quantization
        }

    def add(self, values: Mapping[int, np.ndarray]) -> None:
        """Take in activations by tensor index, (calls, *tensor shape)."""
        for index, count in self._counts.items():
            if index in values:
                count.add(values[index])

    def results(self, peaks: Mapping[int, int]) -> tuple[TensorSaturation, ...]:
        """In the file's order; `peaks` are the largest accumulators by tensor index."""
        found = []
        for index, count in self._counts.items():
            if count.total:
                audit = count.audit(self._model, index, peaks.get(index))
                found.append(_told(self._model, audit))
        return tuple(found)


def findings(results: tuple[TensorSaturation, ...], is_made_up: bool) -> Iterator[Check]:
    """What the audit found out, in words: what clips, and what is about to overflow."""
    owned = [result for result in results if result.clipped_share is not None]
    if not owned:
        return
    clipping = [result for result in owned if (result.clipped_share or 0.0) > CLIPPED_SHARE]
    worst = max(owned, key=lambda result: result.clipped_share or 0.0)
    share = worst.clipped_share or 0.0
    lose, their = ("loses", "its") if len(clipping) == 1 else ("lose", "their")
    text = f"{counted(len(clipping), 'tensor')} of {len(owned)} {lose} more than "
    text += f"{share_text(CLIPPED_SHARE, 0)} of {their} values at an end of {their} range"
    if share:
        text += f"; the worst is {_named(worst)} with {share_text(share, 2)}"
    if clipping:
        text += ". Its range is too narrow for these samples: calibrate, or "
        text += "train for int8, with more data like them"
    status = "warning" if clipping else "passed"
    if is_made_up:
        status = "skipped"
        text += "; the inputs are made up, so that this decides nothing"
    yield _check("saturation", status, text, share, CLIPPED_SHARE, "share of values")
    yield from _headroom_findings(results, is_made_up)


def _headroom_findings(results: tuple[TensorSaturation, ...], is_made_up: bool) -> Iterator[Check]:
    summed = [result for result in results if result.headroom_bits is not None]
    if not summed:
        return
    fullest = min(summed, key=lambda result: result.headroom_bits or 0.0)
    bits = fullest.headroom_bits or 0.0
    if bits < 0:
        status, text = "failed", f"The accumulator of {_named(fullest)} overflows"
    else:
        status = "warning" if bits < HEADROOM_BITS else "passed"
        text = f"The fullest accumulator, that of {_named(fullest)}, has {bits:.1f} bits left"
        text += "" if status == "passed" else ": an input twice as large makes it overflow"
    if is_made_up and status == "failed":
        status = "warning"
    yield _check("accumulators", status, text, bits, HEADROOM_BITS, "bits")


def _named(result: TensorSaturation) -> str:
    return f"{result.op} '{result.tensor}'"


def _check(name: str, status: str, text: str, measured: float, limit: float, unit: str) -> Check:
    return Check.model_validate(
        {
            "gate": "kernels", "name": name, "status": status, "message": f"{text}.",
            "measured": measured, "limit": limit, "unit": unit,
        }
    )  # fmt: skip


def _told(model: TfliteModel, audit: TensorAudit) -> TensorSaturation:
    lowest_is_loss, highest_is_loss = _losses(model, audit.index)
    clipped = lowest_is_loss * audit.lowest_share + highest_is_loss * audit.highest_share
    return TensorSaturation(
        tensor=audit.name,
        op=audit.op,
        lowest_share=audit.lowest_share,
        highest_share=audit.highest_share,
        clipped_share=None if audit.op in ("", *_COPIES) else clipped,
        headroom_bits=audit.headroom_bits,
    )


def _losses(model: TfliteModel, index: int) -> tuple[bool, bool]:
    """Whether values at the lower and the upper end may stand for others beyond it.

    They do not where the op itself ends there: at the zero of a RELU, at six of a RELU6, at the
    fixed range of a SOFTMAX. A range that begins at zero is no such end by itself.
    """
    tensor, op = model.tensors[index], model.producer(index)
    if op is None or op.name in _BOUNDED or tensor.quantization is None:
        return False, False
    limits = np.iinfo(tensor.dtype)
    scale = float(tensor.quantization.scales[0])
    zero_point = int(tensor.quantization.zero_points[0])
    lowest, highest = ((int(end) - zero_point) * scale for end in (limits.min, limits.max))
    activation = int(getattr(op.options, "fusedActivationFunction", 0) or 0)
    ceiling = _CEILINGS.get(activation, _CEILINGS_OF_OPS.get(op.name))
    ends_there = ceiling is not None and abs(highest - ceiling) <= scale
    floor = _FLOORS.get(activation, _FLOORS_OF_OPS.get(op.name))
    if floor is None and _is_fed_no_negatives(model, op):
        floor = 0.0
    begins_there = floor is not None and lowest <= floor + scale
    return not begins_there, not ends_there


def _is_fed_no_negatives(model: TfliteModel, op: Op) -> bool:
    """Whether an op that keeps the sign of its inputs is given nothing below zero."""
    if op.name in _NOT_BELOW_ITS_INPUT:
        return _is_never_negative(model, op.inputs[0])
    return op.name in _NOT_BELOW_ITS_INPUTS and all(_is_never_negative(model, i) for i in op.inputs)


def _is_never_negative(model: TfliteModel, index: int) -> bool:
    tensor = model.tensors[index]
    if tensor.dtype not in _QUANTIZED or tensor.quantization is None:
        return False
    zero_point = int(tensor.quantization.zero_points[0])
    if tensor.is_constant:
        return bool(np.all(model.constant(index) >= zero_point))
    return zero_point == np.iinfo(tensor.dtype).min
