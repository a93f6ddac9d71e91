"""Each op of a file beside the float ops that it stands for, both ready to run on any values.

A step goes from tensors that are paired with float ones to the next paired one. Mostly it is one
op of the file and one of the float model; where one of the two fused what the other did not, it is
several.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfgreen.errors import TfgreenError
from tfgreen.flatbuffer import Op, Tensor, TfliteModel
from tfgreen.preprocess import STORED_RANGES
from tfgreen.runtimes import dequantize
from tfgreen.verification.diagnosis.pairing import TensorPair
from tfgreen.verification.diagnosis.running import Runner
from tfgreen.verification.diagnosis.segments import Segment, cut_segment, segment_to

Reals = Mapping[int, np.ndarray]
"""Real values by the file's tensor index, (N, *tensor shape of the file)."""

MOVING = frozenset(
    [
        "BATCH_TO_SPACE_ND",
        "BROADCAST_TO",
        "CONCATENATION",
        "DEPTH_TO_SPACE",
        "EXPAND_DIMS",
        "GATHER",
        "GATHER_ND",
        "MAX_POOL_2D",
        "MIRROR_PAD",
        "PACK",
        "PAD",
        "PADV2",
        "RESHAPE",
        "REVERSE_V2",
        "SLICE",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SPLIT_V",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TILE",
        "TRANSPOSE",
        "UNPACK",
    ]
)
"""Ops that only hand values on: what they give is rounded already."""


@dataclass(frozen=True, eq=False)
class Step:
    """One op of the file, or a few that only make sense together.

    Attributes:
        op: The file's op that writes `output`.
        file: The segment of the file.
        real: The segment of the float model; None where it computes nothing of its own (a
            QUANTIZE) or cannot be told.
        twins: The float tensor index of each input and of the output.
        is_identity: The float value does not change at all from input to output.
    """

    op: Op
    file: Segment
    real: Segment | None
    twins: Mapping[int, int]
    is_identity: bool

    @property
    def output(self) -> int:
        """The file's tensor that the step writes."""
        return self.file.output


def steps_of(
    float_model: TfliteModel, model: TfliteModel, pairs: Sequence[TensorPair]
) -> tuple[Step, ...]:
    """Every step of a file, in execution order; ops that compute from constants alone have none."""
    twins = {one.file_index: one.float_index for one in pairs}
    found = []
    for index in twins:
        op = model.producer(index)
        if op is None:
            continue
        segment = segment_to(model, index, twins)
        if segment is None or not segment.inputs:
            continue
        sources = {twins[i] for i in segment.inputs}
        identity = sources == {twins[index]}
        real = None if identity else segment_to(float_model, twins[index], set(twins.values()))
        if real is not None and not set(real.inputs) <= sources:
            real = segment_to(float_model, twins[index], sources)
        own = {i: twins[i] for i in (*segment.inputs, index)}
        found.append(Step(op, segment, real, own, identity))
    return tuple(sorted(found, key=lambda step: step.op.index))


class Workbench:
    """Both sides of every step, made ready to run when they are first asked for.

    Args:
        known: the file's tensors that have a float counterpart.
    """

    def __init__(
        self, float_model: TfliteModel, model: TfliteModel, known: Collection[int]
    ) -> None:
        self.float_model, self.model, self._known = float_model, model, known
        self._runners: dict[tuple[str, int], Runner | None] = {}

    def stored(self, step: Step, codes: Reals) -> np.ndarray | None:
        """What the file's ops give for stored values; None where they cannot be run alone."""
        runner = self._runner("file", step.file, self.model)
        if runner is None:
            return None
        try:
            return runner.output([codes[index] for index in step.file.inputs])
        except TfgreenError:
            return None

    def runner(self, step: Step) -> Runner | None:
        """What runs the file's ops of a step."""
        return self._runner("file", step.file, self.model)

    def real(self, step: Step, values: Reals) -> np.ndarray | None:
        """What the float model's ops give for real values, in the shape of the file's tensor."""
        shape = self.model.tensors[step.output].shape
        if step.is_identity:
            return values[step.file.inputs[0]].reshape(-1, *shape)
        if step.real is None:
            return None
        runner = self._runner("real", step.real, self.float_model)
        if runner is None:
            return None
        return run_float(runner, step, values, shape)

    def _runner(self, side: str, segment: Segment, model: TfliteModel) -> Runner | None:
        key = (side, segment.output)
        if key not in self._runners:
            try:
                runner = Runner(cut_segment(model, segment), self._label(model, segment))
            except TfgreenError:
                runner = None
            self._runners[key] = runner
        return self._runners[key]

    def _label(self, model: TfliteModel, segment: Segment) -> str:
        return f"the op that writes '{model.tensors[segment.output].name}'"

    @functools.cached_property
    def final(self) -> tuple[int, ...]:
        """The file's tensors at which the end is judged: logits, or outputs where these are not
        known to the float model.
        """
        from tfgreen.flatbuffer import logits

        ends = zip(logits(self.model), self.model.outputs, strict=True)
        found = [one if one in self._known else output for one, output in ends]
        return tuple(dict.fromkeys(index for index in found if index in self._known))


def run_float(
    runner: Runner, step: Step, values: Reals, shape: tuple[int, ...]
) -> np.ndarray | None:
    """A float segment fed by the file's tensors, in the batches of the float model."""
    sources = {step.twins[index]: index for index in step.file.inputs}
    wanted = step.real.inputs if step.real is not None else ()
    given = [
        values[sources[twin]]
        .reshape(-1, *runner.model.tensors[place].shape)
        .astype(np.float32, copy=False)
        for twin, place in zip(wanted, runner.model.inputs, strict=True)
    ]
    try:
        return runner.output(given).reshape(-1, *shape)
    except TfgreenError:
        return None


def codes_of(real: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Real values as the file stores them in a tensor; float tensors keep them.

    Rounded half to even and clipped, as TensorFlow quantizes inputs.
    """
    limits = STORED_RANGES.get(tensor.dtype)
    if limits is None or tensor.quantization is None:
        return real.astype(np.dtype(tensor.dtype), copy=False)
    scale, zero_point = tensor.quantization.scales[0], tensor.quantization.zero_points[0]
    with np.errstate(invalid="ignore", over="ignore"):
        stored = np.round(real / scale) + np.float32(zero_point)
    return np.clip(np.nan_to_num(stored), *limits).astype(tensor.dtype)


def reals_of(codes: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Stored values as real numbers, float32."""
    return dequantize(codes, tensor.quantization)
