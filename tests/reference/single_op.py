"""Builds .tflite files of one op, runs them on a kernel set and on NumPy, and compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.packing import pack
from tfgreen.flatbuffer.schema import load_schema
from tfgreen.reference import Interpreter, Rounding
from tfgreen.runtimes import Outcome, Task, run_tasks

SAMPLES = 3


@dataclass(frozen=True, eq=False)
class TensorSpec:
    """One tensor of a single-op file; `data` makes it a constant."""

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: float | Sequence[float] | None = None
    zero_point: int = 0
    axis: int = 0
    is_variable: bool = False
    data: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """One op to run: its file, inputs of `SAMPLES` samples, and words for a failure."""

    content: bytes
    inputs: tuple[np.ndarray, ...]
    told: str


def constant(values: Any, dtype: str = "int32") -> TensorSpec:
    """A plain constant."""
    array = np.asarray(values, dtype)
    return TensorSpec(array.shape, dtype, data=array)


def build(
    name: str,
    inputs: Sequence[TensorSpec | None],
    outputs: Sequence[TensorSpec],
    options: Any = None,
    version: int = 1,
    intermediates: Sequence[TensorSpec] = (),
) -> bytes:
    """The file of one op."""
    schema = load_schema()
    code = getattr(schema.BuiltinOperator, name)
    buffers, tensors = [schema.BufferT()], []
    specs = [*inputs, *outputs, *intermediates]
    for number, spec in enumerate(specs):
        if spec is None:
            continue
        buffer = 0
        if spec.data is not None:
            buffer = len(buffers)
            buffers.append(schema.BufferT(data=np.frombuffer(_packed(spec), np.uint8)))
        tensors.append(
            schema.TensorT(
                shape=list(spec.shape),
                type=getattr(schema.TensorType, spec.dtype.upper()),
                buffer=buffer,
                isVariable=spec.is_variable,
                name=f"t{number}".encode(),
                quantization=_quantization(spec),
            )
        )
    numbers = iter(range(len(tensors)))
    indices = [-1 if spec is None else next(numbers) for spec in specs]
    end = len(inputs) + len(outputs)
    op = schema.OperatorT(
        opcodeIndex=0,
        inputs=indices[: len(inputs)],
        outputs=indices[len(inputs) : end],
        intermediates=indices[end:] or None,
    )
    if options is not None:
        op.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        op.builtinOptions = options
    given = [
        index
        for index, spec in zip(indices, inputs, strict=False)
        if spec and spec.data is None and not spec.is_variable
    ]
    graph = schema.SubGraphT(
        tensors=tensors,
        inputs=list(dict.fromkeys(given)),
        outputs=indices[len(inputs) : end],
        operators=[op],
        name=b"main",
    )
    operator_code = schema.OperatorCodeT(
        builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=version
    )
    root = schema.ModelT(
        version=3, operatorCodes=[operator_code], subgraphs=[graph], buffers=buffers
    )
    return pack(root, b"")


def _packed(spec: TensorSpec) -> bytes:
    assert spec.data is not None
    if spec.dtype != "int4":
        return np.ascontiguousarray(spec.data).tobytes()
    low = np.append(spec.data.ravel(), np.zeros(spec.data.size % 2, np.int8)).astype(np.int8)
    return ((low[::2] & 15) | ((low[1::2] & 15) << 4)).astype(np.uint8).tobytes()


def _quantization(spec: TensorSpec) -> Any:
    if spec.scale is None:
        return None
    scales = np.atleast_1d(np.asarray(spec.scale, np.float32))
    zero_points = np.full(scales.size, spec.zero_point, np.int64)
    return load_schema().QuantizationParametersT(
        scale=scales, zeroPoint=zero_points, quantizedDimension=spec.axis
    )


def random_inputs(content: bytes, seed: int, samples: int = SAMPLES) -> tuple[np.ndarray, ...]:
    """Inputs for each graph input: uniform values, and in the last sample only the extremes."""
    model, rng = TfliteModel.from_bytes(content), np.random.default_rng(seed)
    arrays = []
    for index in model.inputs:
        tensor = model.tensors[index]
        if tensor.dtype == "float32":
            arrays.append(rng.normal(0, 3, (samples, *tensor.shape)).astype(np.float32))
            continue
        limits = np.iinfo(tensor.dtype)
        values = rng.integers(limits.min, limits.max, (samples, *tensor.shape), endpoint=True)
        values[-1] = rng.choice([limits.min, limits.max], tensor.shape)
        arrays.append(values.astype(tensor.dtype))
    return tuple(arrays)


def case(
    name: str,
    inputs: Sequence[TensorSpec | None],
    outputs: Sequence[TensorSpec],
    options: Any = None,
    seed: int = 0,
    version: int = 1,
) -> Case:
    """A case with random inputs."""
    content = build(name, inputs, outputs, options, version)
    told = f"{name} {[*inputs, *outputs]} {vars(options) if options else ''}"
    return Case(content, random_inputs(content, seed), told)


def outcomes_on(kernel_set: str, cases: Sequence[Case]) -> list[Outcome]:
    """What a kernel set gives, in one child process."""
    return run_tasks(kernel_set, [Task("one op", c.content, c.inputs) for c in cases])


def assert_equal(
    cases: Sequence[Case], kernel_set: str = "reference", rounding: Rounding = "reference"
) -> int:
    """Compare wherever the kernel set runs the file; the number of cases that it ran."""
    ran = 0
    for one, outcome in zip(cases, outcomes_on(kernel_set, cases), strict=True):
        if outcome.status != "ok":
            continue
        ran += 1
        given = Interpreter(one.content, rounding).run(one.inputs)
        for mine, theirs in zip(given, outcome.outputs, strict=True):
            if theirs.dtype == np.float32:
                np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6, err_msg=one.told)
            else:
                np.testing.assert_array_equal(mine, theirs, err_msg=one.told)
    return ran
