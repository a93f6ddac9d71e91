"""What the error of one op is made of: storing its result, its weights, its bias, its arithmetic.

Each part is the noise at the op's output when everything else is float, over the signal there:

    storing      the float result, rounded and clipped by the file's scale of the output
    weights      the float op with the file's weights, dequantized
    bias         the float op with the file's bias, dequantized
    arithmetic   what the file's op gives beyond all of that
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tfgreen.errors import TfgreenError
from tfgreen.flatbuffer import Op, Quantization, TfliteModel, with_constants
from tfgreen.runtimes import dequantize
from tfgreen.verification.diagnosis.measuring import Comparison
from tfgreen.verification.diagnosis.running import Runner
from tfgreen.verification.diagnosis.segments import cut_segment
from tfgreen.verification.diagnosis.steps import Step, codes_of, reals_of, run_float
from tfgreen.verification.sqnr import Power

Part = Literal["storing", "weights", "bias", "arithmetic"]

BIAS_POSITIONS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
"""Which input of an op is its bias."""

_BIAS_DTYPES = frozenset({"int32", "int64", "float32"})


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant of the file's op and the float constant that it stands for.

    Attributes:
        position: Among the op's inputs.
        codes: As stored, less the zero point.
        real: Dequantized, in the shape of `truth`.
        truth: Of the float model.
        scales: As stored, one or one a channel; axis: the channels' dimension, None per tensor.
        dtype: Of the stored values, as "int4".
        is_bias: Whether it is a convolution's or a matrix product's bias.
    """

    position: int
    codes: np.ndarray
    real: np.ndarray
    truth: np.ndarray
    scales: np.ndarray
    axis: int | None
    dtype: str
    is_bias: bool


@dataclass(frozen=True)
class Anatomy:
    """The parts of one op's error, as noise over signal.

    Attributes:
        parts: Noise over signal by part.
        clipped: How much of `storing` comes from values outside the stored range.
        constants: The op's constants beside the float model's.
        largest_quanta: How far the op's result is from the exact arithmetic, in output steps.
        slope: Of the op's results over what they should be, 1 when right.
    """

    parts: Mapping[Part, float]
    clipped: float = 0.0
    constants: tuple[Constant, ...] = field(default=(), repr=False)
    largest_quanta: float = 0.0
    slope: float = 1.0

    @property
    def dominant(self) -> Part:
        """The largest part."""
        return max(self.parts, key=self.parts.__getitem__)


def anatomy_of_input(comparison: Comparison, index: int) -> Anatomy:
    """Of a graph input there is nothing but the storing."""
    noise, clipped = _storing(comparison, index)
    return Anatomy({"storing": noise}, clipped)


def anatomy(comparison: Comparison, step: Step) -> Anatomy:
    """Take one op's error apart."""
    tensor = comparison.model.tensors[step.output]
    truth = comparison.truths[step.output]
    noise, clipped = _storing(comparison, step.output)
    parts: dict[Part, float] = {"storing": noise}
    constants = constants_of(comparison, step)
    inputs = {i: comparison.truths[i] for i in step.file.inputs}
    weights, both = (
        _noise_with(comparison, step, chosen, inputs)
        for chosen in ([one for one in constants if not one.is_bias], list(constants))
    )
    # A bias may make up for what the rounding of the weights shifts: then it is no fault.
    parts |= {"weights": min(weights, both), "bias": max(both - weights, 0.0)}
    rounded = comparison.rounded_inputs(step)
    codes = comparison.bench.stored(step, rounded)
    reals = {i: reals_of(c, comparison.model.tensors[i]) for i, c in rounded.items()}
    exact = float_with(comparison, step, list(constants), reals)
    if codes is None or exact is None:
        return Anatomy(parts, clipped, constants)
    expected = reals_of(codes_of(exact, tensor), tensor)
    given = reals_of(codes, tensor)
    parts["arithmetic"] = _relative(truth, truth + given - expected)
    quanta = 0.0
    if tensor.quantization is not None:
        quanta = float(np.max(np.abs(given - expected))) / float(tensor.quantization.scales[0])
    return Anatomy(parts, clipped, constants, quanta, slope(exact, given))


def constants_of(comparison: Comparison, step: Step) -> tuple[Constant, ...]:
    """The quantized constants of a step's op that have a float constant at the same place."""
    twin = _float_op(comparison, step)
    if twin is None:
        return ()
    found = []
    for position, index in enumerate(step.op.inputs):
        there = twin.inputs[position] if position < len(twin.inputs) else -1
        one = _constant(comparison, step.op, position, index, there) if there >= 0 else None
        if one is not None:
            found.append(one)
    return tuple(found)


def slope(truth: np.ndarray, given: np.ndarray) -> float:
    """Least-squares slope, through the means, of what is given over what is true."""
    one, other = truth.astype(np.float64).ravel(), given.astype(np.float64).ravel()
    one, other = one - one.mean(), other - other.mean()
    power = float(one @ one)
    return float(one @ other) / power if power > 0 else 1.0


def _float_op(comparison: Comparison, step: Step) -> Op | None:
    """The one op of the float segment that has the same name, if there is exactly one."""
    if step.real is None:
        return None
    ops = [comparison.float_model.ops[i] for i in step.real.ops]
    same = [op for op in ops if op.name == step.op.name]
    return same[0] if len(same) == 1 else None


def _constant(
    comparison: Comparison, op: Op, position: int, index: int, there: int
) -> Constant | None:
    model, float_model = comparison.model, comparison.float_model
    if index < 0 or not model.tensors[index].is_constant:
        return None
    tensor, twin = model.tensors[index], float_model.tensors[there]
    if not twin.is_constant or twin.dtype != "float32" or tensor.value_count != twin.value_count:
        return None
    is_bias = BIAS_POSITIONS.get(op.name) == position and tensor.dtype in _BIAS_DTYPES
    if tensor.quantization is None and not (is_bias and tensor.dtype == "float32"):
        return None
    if tensor.quantization is not None and tensor.quantization.block_size:
        return None
    try:
        codes, truth = model.constant(index), float_model.constant(there)
        codes = codes.reshape(tensor.shape or (1,))
        real = dequantize(codes, tensor.quantization).reshape(truth.shape)
    except TfgreenError:
        return None
    quantization = tensor.quantization
    scales, axis = (
        (np.ones(1), None)
        if quantization is None
        else (
            quantization.scales,
            quantization.axis,
        )
    )
    if quantization is not None:
        codes = _centred(codes, quantization)
    return Constant(position, codes, real, truth, scales, axis, tensor.dtype, is_bias)


def _centred(codes: np.ndarray, quantization: Quantization) -> np.ndarray:
    """Stored values less their zero points, so that 0 stands for 0."""
    if not quantization.zero_points.any():
        return codes
    shape = [1] * codes.ndim
    if quantization.axis is not None:
        shape[quantization.axis] = -1
    return codes.astype(np.int64) - quantization.zero_points.reshape(shape)


def float_with(
    comparison: Comparison,
    step: Step,
    constants: list[Constant],
    inputs: Mapping[int, np.ndarray],
) -> np.ndarray | None:
    """The float model's segment with the `real` values of some constants, on some inputs.

    Returns None where the float op cannot be told or run.
    """
    shape = comparison.model.tensors[step.output].shape
    if step.real is None or not constants:
        return comparison.bench.real(step, inputs)
    twin = _float_op(comparison, step)
    cut = TfliteModel.from_bytes(cut_segment(comparison.float_model, step.real))
    twin_op = next((op for op in cut.ops if twin is not None and op.name == twin.name), None)
    if twin_op is None:
        return None
    values = {twin_op.inputs[one.position]: one.real for one in constants}
    runner = Runner(with_constants(cut, values), "a float op with the file's weights")
    return run_float(runner, step, inputs, shape)


def _storing(comparison: Comparison, index: int) -> tuple[float, float]:
    """Noise over signal of storing the float values, and the part of it that is clipped."""
    tensor, truth = comparison.model.tensors[index], comparison.truths[index]
    stored = reals_of(codes_of(truth, tensor), tensor)
    power = Power()
    power.add(truth, stored)
    if tensor.quantization is None or not power.signal:
        return 0.0, 0.0
    error = (truth - stored).astype(np.float64).ravel()
    beyond = np.abs(error) > 0.51 * float(tensor.quantization.scales[0])
    return power.noise / power.signal, float(error[beyond] @ error[beyond]) / power.signal


def _noise_with(
    comparison: Comparison, step: Step, constants: list[Constant], inputs: Mapping[int, np.ndarray]
) -> float:
    """Noise over signal of the float op with some of the file's constants."""
    changed = float_with(comparison, step, constants, inputs) if constants else None
    return 0.0 if changed is None else _relative(comparison.truths[step.output], changed)


def _relative(truth: np.ndarray, other: np.ndarray) -> float:
    power = Power()
    power.add(truth, other)
    return power.noise / power.signal if power.signal else 0.0
