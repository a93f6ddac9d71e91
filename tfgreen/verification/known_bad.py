"""The dated table of kernels known to be wrong, and the question whether it names an op.

>>> {op for kernel in known_bad_kernels() if kernel.aborts for op in kernel.ops} == {
...     "SOFTMAX", "LOG_SOFTMAX"}
True
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources

import numpy as np

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.verification.conversions import same_quantization

_LONG_ROW = 512
_VANISHING_EXPONENT = 2.0**-26
_VANISHING_CURVE = 2.0**-28
_TABLE = "known_bad_kernels.toml"


@dataclass(frozen=True)
class KnownBad:
    """One entry: which kernel, when it is wrong, what it does, and how that was found out.

    `condition` is "always", "rescaling" (input and output have different scales), "per-channel"
    (the input has several scales), "blockwise-weights" (the second input has block scales),
    "padding" (the third input pads), "long-rows" (512 values or more along the last axis),
    "vanishing-exponent" (the input's scale, times beta, is 2**-26 or less) or "vanishing-curve"
    (the input's scale is below 2**-28).
    `aborts`: it dies there for some values, and is right for the others.
    """

    kernel_sets: tuple[str, ...]
    ops: tuple[str, ...]
    dtypes: tuple[str, ...]
    condition: str
    symptom: str
    source: str
    dated: date
    versions: str
    aborts: bool = False

    @property
    def told(self) -> str:
        """The entry as a clause for people, with its date and source."""
        return f"{self.symptom} (known-bad table of {self.dated}; {self.source})"


@functools.cache
def known_bad_kernels() -> tuple[KnownBad, ...]:
    """Every entry of the table, in its order."""
    text = resources.files(__package__).joinpath(_TABLE).read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return tuple(
        KnownBad(
            kernel_sets=tuple(entry["kernel_sets"]),
            ops=tuple(entry["ops"]),
            dtypes=tuple(entry["dtypes"]),
            condition=entry["condition"],
            symptom=entry["symptom"],
            source=entry["source"],
            dated=table["dated"],
            versions=table["versions"],
            aborts=entry.get("aborts", False),
        )
        for entry in table["kernel"]
    )


def known_bad(kernel_set: str, model: TfliteModel, op: Op) -> KnownBad | None:
    """The entry that says that a kernel set computes this op of this model wrongly, if any."""
    return next((e for e in _entries(kernel_set, model, op) if not e.aborts), None)


def known_to_abort(kernel_set: str, model: TfliteModel, op: Op) -> KnownBad | None:
    """The entry that says that a kernel set may die on this op of this model, if any."""
    return next((e for e in _entries(kernel_set, model, op) if e.aborts), None)


def _entries(kernel_set: str, model: TfliteModel, op: Op) -> Iterator[KnownBad]:
    if not op.inputs or op.inputs[0] < 0:
        return
    dtype = model.tensors[op.inputs[0]].dtype
    for entry in known_bad_kernels():
        named = kernel_set in entry.kernel_sets and op.name in entry.ops and dtype in entry.dtypes
        if named and CONDITIONS[entry.condition](model, op):
            yield entry


def _rescales(model: TfliteModel, op: Op) -> bool:
    source, target = model.tensors[op.inputs[0]], model.tensors[op.outputs[0]]
    return not same_quantization(source.quantization, target.quantization)


def _is_per_channel(model: TfliteModel, op: Op) -> bool:
    quantization = model.tensors[op.inputs[0]].quantization
    return quantization is not None and quantization.scales.size > 1


def _has_blockwise_weights(model: TfliteModel, op: Op) -> bool:
    if len(op.inputs) < 2 or op.inputs[1] < 0:
        return False
    quantization = model.tensors[op.inputs[1]].quantization
    return quantization is not None and quantization.block_size > 0


def _pads(model: TfliteModel, op: Op) -> bool:
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return False
    paddings = op.inputs[2]
    return not model.tensors[paddings].is_constant or bool(np.any(model.constant(paddings)))


def _has_long_rows(model: TfliteModel, op: Op) -> bool:
    return model.tensors[op.inputs[0]].shape[-1:] >= (_LONG_ROW,)


def _has_a_vanishing_exponent(model: TfliteModel, op: Op) -> bool:
    """Kernels turn scale times beta times 2**26 into a multiplier that has to be above 1."""
    beta = 1.0
    if op.name == "SOFTMAX":
        beta = 0.0 if op.options is None else float(op.options.beta)
    scale = _input_scale(model, op)
    return scale is not None and scale * beta <= _VANISHING_EXPONENT


def _has_a_vanishing_curve(model: TfliteModel, op: Op) -> bool:
    """TFLM shifts by the exponent of scale times 2**27, which may not be negative."""
    scale = _input_scale(model, op)
    return scale is not None and scale < _VANISHING_CURVE


def _input_scale(model: TfliteModel, op: Op) -> float | None:
    quantization = model.tensors[op.inputs[0]].quantization
    if quantization is None or not quantization.scales.size:
        return None
    return float(quantization.scales[0])


CONDITIONS: Mapping[str, Callable[[TfliteModel, Op], bool]] = {
    "always": lambda model, op: True,
    "rescaling": _rescales,
    "per-channel": _is_per_channel,
    "blockwise-weights": _has_blockwise_weights,
    "padding": _pads,
    "long-rows": _has_long_rows,
    "vanishing-exponent": _has_a_vanishing_exponent,
    "vanishing-curve": _has_a_vanishing_curve,
}
"""When an entry holds, by the name that the table uses."""
