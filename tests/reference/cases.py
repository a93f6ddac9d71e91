"""Random single-op files, a strategy for each family of ops."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.reference.single_op import (
    Case,
    TensorSpec,
    build,
    case,
    constant,
    random_inputs,
)
from tfgreen.flatbuffer.schema import load_schema

SCALES = st.floats(1e-4, 0.5).map(lambda scale: float(np.float32(scale)))
ZERO_POINTS = st.integers(-128, 127)
SEEDS = st.integers(0, 2**32 - 1)
ACTIVATIONS = st.sampled_from([0, 0, 1, 2, 3])
SIZES = st.integers(1, 9)
Draw = st.DrawFn


def _shape(draw: Draw, low: int = 1, high: int = 4) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(1, 6), min_size=low, max_size=high)))


def _window(draw: Draw, kernel: tuple[int, int], dilates: bool) -> dict[str, int]:
    choice = st.sampled_from([1, 1, 2, 3])
    found = {
        "padding": draw(st.integers(0, 1)),
        "strideH": draw(choice),
        "strideW": draw(choice),
        "fusedActivationFunction": draw(ACTIVATIONS),
    }
    if dilates:
        found |= {"dilationHFactor": draw(choice), "dilationWFactor": draw(choice)}
    return found


def _counts(shape: tuple[int, ...], kernel: tuple[int, int], window: dict[str, int]) -> list[int]:
    counts = []
    for size, taps, letter in zip(shape[1:3], kernel, "HW", strict=True):
        reach = (taps - 1) * window.get(f"dilation{letter}Factor", 1) + 1
        stride = window[f"stride{letter}"]
        counts.append(-(-size // stride) if not window["padding"] else (size - reach) // stride + 1)
    return counts


@st.composite
def convolutions(draw: Draw, depthwise: bool = False, wide: bool = False) -> Case:
    """CONV_2D (grouped too) and DEPTHWISE_CONV_2D, on int8 or, `wide`, on int16."""
    schema, rng = load_schema(), np.random.default_rng(draw(SEEDS))
    kernel = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    window = _window(draw, kernel, dilates=True)
    reach = [(k - 1) * window[f"dilation{x}Factor"] + 1 for k, x in zip(kernel, "HW", strict=True)]
    groups = 1 if depthwise else draw(st.sampled_from([1, 1, 1, 2, 3]))
    depth = groups * draw(st.integers(1, 5))
    channels = (depth if depthwise else groups) * draw(st.integers(1, 4))
    spatial = [r + draw(st.integers(0, 6)) for r in reach]
    shape = (draw(st.integers(1, 2)), *spatial, depth)
    filters = (1, *kernel, channels) if depthwise else (channels, *kernel, depth // groups)
    per_channel = draw(st.booleans())
    bits = 4 if not wide and draw(st.integers(0, 9)) == 0 else 8
    limit = 7 if bits == 4 else 127
    weights = rng.integers(-limit, limit, filters, endpoint=True).astype(np.int8)
    scale, zero_point = draw(SCALES), 0 if wide else draw(ZERO_POINTS)
    weight_scale = rng.uniform(1e-3, 0.05, channels if per_channel else 1).astype(np.float32)
    reached = np.sqrt(weights[0].size + 1) * 74 * weight_scale.mean() * (150 if wide else 74)
    out_scale = scale * reached / draw(st.sampled_from([30, 100, 300, 1000])) / (128 if wide else 1)
    out = TensorSpec(
        (shape[0], *_counts(shape, kernel, window), channels), "int16" if wide else "int8",
        float(out_scale), 0 if wide else draw(ZERO_POINTS),
    )  # fmt: skip
    bias: TensorSpec | None = None
    if draw(st.integers(0, 9)):  # the reference kernels refuse CONV_2D without one
        values = rng.integers(-20_000, 20_000, channels).astype("int64" if wide else "int32")
        bias = TensorSpec(
            (channels,), str(values.dtype), (scale * weight_scale).tolist(), data=values
        )
    inputs = [
        TensorSpec(shape, out.dtype, scale, zero_point),
        TensorSpec(
            filters, "int4" if bits == 4 else "int8", weight_scale.tolist(),
            axis=3 if depthwise else 0, data=weights,
        ),
        bias,
    ]  # fmt: skip
    if depthwise:
        options = schema.DepthwiseConv2DOptionsT(depthMultiplier=channels // depth, **window)
    else:
        options = schema.Conv2DOptionsT(**window)
    name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    given = inputs if bias is not None else inputs[:2]
    return case(name, given, [out], options, draw(SEEDS))


@st.composite
def fully_connected(draw: Draw, wide: bool = False) -> Case:
    """FULLY_CONNECTED with one scale or one a channel."""
    schema, rng = load_schema(), np.random.default_rng(draw(SEEDS))
    depth, channels, rows = draw(st.integers(1, 40)), draw(st.integers(1, 9)), draw(SIZES)
    keeps = draw(st.booleans())
    shape = (2, rows, depth) if keeps else (rows, depth)
    weights = rng.integers(-127, 127, (channels, depth), endpoint=True).astype(np.int8)
    per_channel = draw(st.booleans())
    weight_scale = rng.uniform(1e-3, 0.05, channels if per_channel else 1).astype(np.float32)
    scale = draw(SCALES)
    reached = np.sqrt(depth + 1) * 74 * weight_scale.mean() * (19_000 if wide else 74)
    out_scale = scale * reached / draw(st.sampled_from([30, 100, 300])) / (128 if wide else 1)
    dtype = "int16" if wide else "int8"
    bias: TensorSpec | None = None
    if draw(st.booleans()):
        values = rng.integers(-20_000, 20_000, channels).astype("int64" if wide else "int32")
        bias = TensorSpec(
            (channels,), str(values.dtype), (scale * weight_scale).tolist(), data=values
        )
    inputs = [
        TensorSpec(shape, dtype, scale, 0 if wide else draw(ZERO_POINTS)),
        TensorSpec((channels, depth), "int8", weight_scale.tolist(), data=weights),
        bias,
    ]
    out = TensorSpec(
        (*shape[:-1], channels), dtype, float(out_scale), 0 if wide else draw(ZERO_POINTS)
    )
    options = schema.FullyConnectedOptionsT(
        fusedActivationFunction=draw(ACTIVATIONS), keepNumDims=keeps
    )
    return case("FULLY_CONNECTED", inputs, [out], options, draw(SEEDS))


@st.composite
def binaries(draw: Draw, name: str, wide: bool = False) -> Case:
    """ADD, SUB, MUL, SQUARED_DIFFERENCE, MINIMUM, MAXIMUM, with broadcasting and constants."""
    schema, dtype = load_schema(), "int16" if wide else "int8"
    shape = _shape(draw)
    other = tuple(draw(st.sampled_from([size, size, 1])) for size in shape)
    other = other[draw(st.integers(0, len(shape) - 1)) :] if draw(st.booleans()) else other
    scales = [draw(SCALES) for _ in range(3)]
    zero_points = [0 if wide else draw(ZERO_POINTS) for _ in range(3)]
    if name in ("MINIMUM", "MAXIMUM"):
        scales, zero_points = [scales[0]] * 3, [zero_points[0]] * 3
    if name in ("MUL", "SQUARED_DIFFERENCE"):
        scales[2] = scales[0] * scales[1] * (200 if not wide else 30_000)
    data: np.ndarray | None = None
    if draw(st.booleans()):
        limits = np.iinfo(dtype)
        rng = np.random.default_rng(draw(SEEDS))
        data = rng.integers(limits.min, limits.max, other, endpoint=True).astype(dtype)
    specs = [
        TensorSpec(shape, dtype, scales[0], zero_points[0]),
        TensorSpec(other, dtype, scales[1], zero_points[1], data=data),
    ]
    if draw(st.booleans()):
        specs.reverse()
    options: Any = None
    if name in ("ADD", "SUB", "MUL"):
        options = getattr(schema, f"{name.capitalize()}OptionsT")(
            fusedActivationFunction=draw(ACTIVATIONS)
        )
        if name != "MUL":
            options.potScaleInt16 = False
    elif name == "SQUARED_DIFFERENCE":
        options = schema.SquaredDifferenceOptionsT()
    else:
        options = schema.MaximumMinimumOptionsT()
    out = TensorSpec(shape, dtype, scales[2], zero_points[2])
    return case(name, specs, [out], options, draw(SEEDS))


@st.composite
def pools(draw: Draw, name: str, wide: bool = False) -> Case:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""
    kernel = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    window = _window(draw, kernel, dilates=False)
    shape = (draw(st.integers(1, 2)), *(k + draw(st.integers(0, 5)) for k in kernel), draw(SIZES))
    scale, zero_point = draw(SCALES), 0 if wide else draw(ZERO_POINTS)
    options = load_schema().Pool2DOptionsT(filterHeight=kernel[0], filterWidth=kernel[1], **window)
    dtype = "int16" if wide else "int8"
    out = (shape[0], *_counts(shape, kernel, window), shape[3])
    specs = [TensorSpec(size, dtype, scale, zero_point) for size in (shape, out)]
    return case(name, specs[:1], specs[1:], options, draw(SEEDS))


@st.composite
def reductions(draw: Draw, name: str, wide: bool = False) -> Case:
    """MEAN, SUM, REDUCE_MAX, REDUCE_MIN over any axes."""
    shape = _shape(draw, 2)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    keeps = draw(st.booleans())
    out = tuple(
        1 if axis in axes else size for axis, size in enumerate(shape) if keeps or axis not in axes
    )
    scale, zero_point = draw(SCALES), 0 if wide else draw(ZERO_POINTS)
    same = name.startswith("REDUCE")
    out_scale = scale if same else scale * draw(st.floats(0.2, 4))
    out_zero_point = zero_point if same or wide else draw(ZERO_POINTS)
    dtype = "int16" if wide else "int8"
    inputs = [TensorSpec(shape, dtype, scale, zero_point), constant(axes)]
    outputs = [TensorSpec(out, dtype, out_scale, out_zero_point)]
    return case(name, inputs, outputs, load_schema().ReducerOptionsT(keepDims=keeps), draw(SEEDS))


FIXED_OUTPUTS = {
    "SOFTMAX": (1 / 256, -128),
    "LOGISTIC": (1 / 256, -128),
    "TANH": (1 / 128, 0),
}


@st.composite
def unaries(draw: Draw, name: str) -> Case:
    """Functions of one int8 value, and SOFTMAX."""
    schema = load_schema()
    shape = _shape(draw) if name != "SOFTMAX" else (draw(SIZES), draw(st.integers(1, 60)))
    scale, zero_point = draw(SCALES), draw(ZERO_POINTS)
    out_scale, out_zero_point = scale * draw(st.floats(0.3, 3)), draw(ZERO_POINTS)
    if name in FIXED_OUTPUTS:
        out_scale, out_zero_point = FIXED_OUTPUTS[name]
    options: Any = None
    if name == "SOFTMAX":
        options = schema.SoftmaxOptionsT(beta=1.0)
    if name == "LEAKY_RELU":
        options = schema.LeakyReluOptionsT(alpha=draw(st.floats(0.01, 1.5)))
    if name in ("ABS", "NEG", "RSQRT"):
        zero_point = -128 if name == "RSQRT" else zero_point
        options = {"ABS": schema.AbsOptionsT, "NEG": schema.NegOptionsT}.get(name, lambda: None)()
    if name == "GELU":
        options = schema.GeluOptionsT(approximate=draw(st.booleans()))
    inputs = [TensorSpec(shape, "int8", scale, zero_point)]
    outputs = [TensorSpec(shape, "int8", out_scale, out_zero_point)]
    return case(name, inputs, outputs, options, draw(SEEDS))


@st.composite
def prelus(draw: Draw) -> Case:
    """PRELU with a slope for each channel."""
    shape = _shape(draw, 2)
    rng, scale = np.random.default_rng(draw(SEEDS)), draw(SCALES)
    slopes = rng.integers(-128, 127, (*[1] * (len(shape) - 2), shape[-1]), endpoint=True)
    inputs = [
        TensorSpec(shape, "int8", scale, draw(ZERO_POINTS)),
        TensorSpec(
            slopes.shape, "int8", draw(st.floats(1e-3, 0.02)), draw(ZERO_POINTS),
            data=slopes.astype(np.int8),
        ),
    ]  # fmt: skip
    out = TensorSpec(shape, "int8", scale * draw(st.floats(0.3, 3)), draw(ZERO_POINTS))
    return case("PRELU", inputs, [out], None, draw(SEEDS))


@st.composite
def quantizations(draw: Draw) -> Case:
    """QUANTIZE and DEQUANTIZE between float32, int8, uint8 and int16."""
    shape = _shape(draw)
    kinds = [
        ("float32", "int8"), ("float32", "uint8"), ("float32", "int16"), ("int8", "int8"),
        ("int8", "uint8"), ("uint8", "int8"), ("int8", "float32"), ("uint8", "float32"),
        ("int16", "float32"), ("int16", "int16"), ("int8", "int16"), ("int16", "int8"),
    ]  # fmt: skip
    specs = []
    scale = draw(SCALES)
    for dtype in draw(st.sampled_from(kinds)):
        zero_point = {"int8": draw(ZERO_POINTS), "uint8": draw(st.integers(0, 255))}.get(dtype, 0)
        specs.append(TensorSpec(shape, dtype, None if dtype == "float32" else scale, zero_point))
        scale *= draw(st.floats(0.3, 3))
    name = "DEQUANTIZE" if specs[1].dtype == "float32" else "QUANTIZE"
    return case(name, specs[:1], specs[1:], None, draw(SEEDS))


@st.composite
def transposed_convolutions(draw: Draw, wide: bool = False) -> Case:
    """TRANSPOSE_CONV."""
    schema, rng = load_schema(), np.random.default_rng(draw(SEEDS))
    kernel = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    strides = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, 1))
    shape = (draw(st.integers(1, 2)), draw(SIZES), draw(SIZES), draw(st.integers(1, 6)))
    sizes = [
        (n - 1) * s + (k if padding else max(1, s - draw(st.integers(0, s - 1))))
        for n, s, k in zip(shape[1:3], strides, kernel, strict=True)
    ]
    channels = draw(st.integers(1, 6))
    out_shape = (shape[0], *sizes, channels)
    weights = rng.integers(-127, 127, (channels, *kernel, shape[3]), endpoint=True)
    weight_scale = rng.uniform(1e-3, 0.05, channels).astype(np.float32)
    scale, dtype = draw(SCALES), "int16" if wide else "int8"
    bias = rng.integers(-20_000, 20_000, channels).astype("int64" if wide else "int32")
    inputs: list[TensorSpec | None] = [
        constant(out_shape),
        TensorSpec(weights.shape, "int8", weight_scale.tolist(), data=weights.astype(np.int8)),
        TensorSpec(shape, dtype, scale, 0 if wide else draw(ZERO_POINTS)),
    ]
    if draw(st.booleans()):
        inputs.append(
            TensorSpec((channels,), str(bias.dtype), (scale * weight_scale).tolist(), data=bias)
        )
    reached = np.sqrt(weights[0].size) * 74 * weight_scale.mean() * (19_000 if wide else 74)
    out_scale = float(scale * reached / 100 / (128 if wide else 1))
    out = TensorSpec(out_shape, dtype, out_scale, 0 if wide else draw(ZERO_POINTS))
    options = schema.TransposeConvOptionsT(
        padding=padding, strideH=strides[0], strideW=strides[1],
        fusedActivationFunction=draw(ACTIVATIONS),
    )  # fmt: skip
    return case("TRANSPOSE_CONV", inputs, [out], options, draw(SEEDS))


@st.composite
def resizings(draw: Draw, name: str) -> Case:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""
    shape = (draw(st.integers(1, 2)), draw(SIZES), draw(SIZES), draw(st.integers(1, 4)))
    size = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    aligned = draw(st.booleans())
    centred = not aligned and draw(st.booleans())
    kind = "ResizeBilinear" if name == "RESIZE_BILINEAR" else "ResizeNearestNeighbor"
    options = getattr(load_schema(), f"{kind}OptionsT")(
        alignCorners=aligned, halfPixelCenters=centred
    )
    dtype, scale = draw(st.sampled_from(["int8", "int8", "int16"])), draw(SCALES)
    zero_point = 0 if dtype == "int16" else draw(ZERO_POINTS)
    outer = TensorSpec((shape[0], *size, shape[3]), dtype, scale, zero_point)
    inputs = [TensorSpec(shape, dtype, scale, zero_point), constant(size)]
    return case(name, inputs, [outer], options, draw(SEEDS))


@st.composite
def matrix_products(draw: Draw) -> Case:
    """BATCH_MATMUL of two activations."""
    turned = draw(st.booleans()), draw(st.booleans())
    rows, depth, columns = draw(SIZES), draw(SIZES), draw(SIZES)
    outer = draw(st.lists(st.integers(1, 3), max_size=2))
    dtype = draw(st.sampled_from(["int8", "int8", "int16"]))
    scales = draw(SCALES), draw(SCALES)
    left = (*outer, *((depth, rows) if turned[0] else (rows, depth)))
    right = (*outer, *((columns, depth) if turned[1] else (depth, columns)))
    zero_points = [0 if dtype == "int16" else draw(ZERO_POINTS) for _ in range(3)]
    size = 74 if dtype == "int8" else 19_000
    out_scale = scales[0] * scales[1] * np.sqrt(depth) * size * draw(st.floats(0.3, 2))
    specs = [
        TensorSpec(left, dtype, scales[0], zero_points[0]),
        TensorSpec(right, dtype, scales[1], zero_points[1]),
    ]
    out = TensorSpec((*outer, rows, columns), dtype, float(out_scale), zero_points[2])
    options = load_schema().BatchMatMulOptionsT(adjX=turned[0], adjY=turned[1])
    return case("BATCH_MATMUL", specs, [out], options, draw(SEEDS))


@st.composite
def recurrences(draw: Draw) -> Case:
    """UNIDIRECTIONAL_SEQUENCE_LSTM as Keras' layer becomes it."""
    schema, rng = load_schema(), np.random.default_rng(draw(SEEDS))
    steps, depth, cells = draw(st.integers(1, 6)), draw(st.integers(1, 8)), draw(st.integers(1, 8))
    scale, zero_point = draw(st.floats(0.005, 0.05)), draw(ZERO_POINTS)
    state_scale, state_zero_point = draw(st.floats(0.003, 0.01)), draw(st.integers(-20, 20))
    weight_scales = rng.uniform(1e-3, 2e-2, 8).astype(np.float32)

    def weights(index: int, columns: int) -> TensorSpec:
        values = rng.integers(-127, 127, (cells, columns), endpoint=True).astype(np.int8)
        return TensorSpec(values.shape, "int8", float(weight_scales[index]), data=values)

    biases = [
        TensorSpec(
            (cells,), "int32", float(scale * weight_scales[i]),
            data=rng.integers(-9000, 9000, cells).astype(np.int32),
        )
        for i in range(4)
    ]  # fmt: skip
    cell_scale = 2.0 ** -draw(st.integers(10, 15))
    inputs = [
        TensorSpec((1, steps, depth), "int8", scale, zero_point),
        *(weights(i, depth) for i in range(4)),
        *(weights(4 + i, cells) for i in range(4)),
        *[None] * 3,
        *biases,
        *[None] * 2,
        TensorSpec((1, cells), "int8", state_scale, state_zero_point, is_variable=True),
        TensorSpec((1, cells), "int16", cell_scale, is_variable=True),
        *[None] * 4,
    ]
    out = TensorSpec((1, steps, cells), "int8", state_scale, state_zero_point)
    options = schema.UnidirectionalSequenceLSTMOptionsT(
        fusedActivationFunction=4, cellClip=draw(st.sampled_from([0.0, 1.0, 10.0]))
    )
    hidden = TensorSpec((0,), "int8", state_scale, state_zero_point)
    intermediates = [*[TensorSpec((0,), "float32")] * 4, hidden]
    content = build("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [out], options, 1, intermediates)
    return Case(content, random_inputs(content, draw(SEEDS)), f"LSTM {inputs} {vars(options)}")
