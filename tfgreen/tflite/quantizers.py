"""The engines that turn a float file and activation ranges into a quantized file.

Both take the ranges from outside, so that the choice of ranges and the choice of engine are two
choices. TensorFlow's engine is what `TFLiteConverter` runs after its calibrator; its own
calibrator is passed over, since it records wrong ranges for residual networks
(tensorflow/tensorflow#127842). AI Edge Quantizer works on the float file alone and is the only
engine here for 4-bit weights.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from tfgreen.errors import ConversionError
from tfgreen.flatbuffer import TfliteModel, inline_external_buffers, with_ranges
from tfgreen.profile import Scheme
from tfgreen.tflite.idle_conversions import without_idle_conversions
from tfgreen.tflite.ranges import Ranges
from tfgreen.tflite.same_scale import with_equal_reversals

_WEIGHTED_OPS = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "EMBEDDING_LOOKUP"}
)


class Quantizer(Protocol):
    """One engine, bound to one float file and one scheme."""

    name: str

    def quantize(self, ranges: Ranges) -> bytes:
        """The quantized file; raises ConversionError when the engine refuses the model."""


class TensorflowQuantizer:
    """TensorFlow's MLIR quantizer: static int8, weights with a scale a channel or one in all."""

    name = "tensorflow"

    def __init__(
        self,
        float_content: bytes,
        first_run: Sequence[np.ndarray],
        *,
        per_channel: bool = True,
    ) -> None:
        self._float_content, self._first_run = float_content, first_run
        self._per_channel = per_channel

    @cached_property
    def _calibrated(self) -> TfliteModel:
        return TfliteModel.from_bytes(calibrate(self._float_content, [self._first_run]))

    def quantize(self, ranges: Ranges) -> bytes:
        """The int8 file, input and output included."""
        import tensorflow as tf
        from tensorflow.lite.python.convert import mlir_quantize

        tensors = self._calibrated.tensors
        known = {tensor.name for tensor in tensors if tensor.dtype == "float32"}
        ranges = with_equal_reversals(self._calibrated, ranges)
        content: bytes = mlir_quantize(
            with_ranges(self._calibrated, {k: ends for k, ends in ranges.items() if k in known}),
            disable_per_channel=not self._per_channel,
            input_data_type=tf.int8,
            output_data_type=tf.int8,
        )
        return content


def calibrate(float_content: bytes, runs: Sequence[Sequence[np.ndarray]]) -> bytes:
    """The float file with the ranges that TensorFlow's own calibrator sees on `runs`.

    Each run holds one array for each graph input, of the tensor's shape.
    """
    from tensorflow.lite.python.optimize import calibrator

    content = calibrator.add_intermediate_tensors(float_content)
    calibrated: bytes = calibrator.Calibrator(content).calibrate(lambda: iter(map(list, runs)))
    return calibrated


class TensorflowInt16Quantizer:
    """TensorFlow's older quantizer, the only one of its two that does 16-bit activations.

    It calibrates for itself on `runs`: ranges from outside are not taken.
    """

    name = "tensorflow"

    def __init__(
        self,
        float_content: bytes,
        runs: Sequence[Sequence[np.ndarray]],
        *,
        per_channel: bool = True,
    ) -> None:
        self._float_content = float_content
        self._runs = [list(run) for run in runs]
        self._per_channel = per_channel

    def quantize(self, ranges: Ranges) -> bytes:
        """The int16x8 file, input and output included; `ranges` is not used."""
        import tensorflow as tf
        from tensorflow.lite.python.optimize import calibrator

        content: bytes = calibrator.Calibrator(self._float_content).calibrate_and_quantize(
            lambda: iter(self._runs),
            tf.int16,
            tf.int16,
            False,
            activations_type=tf.int16,
            bias_type=tf.int64,
            disable_per_channel=not self._per_channel,
        )
        return content


class AiEdgeQuantizer:
    """Google's AI Edge Quantizer, fed with our ranges where the scheme needs any.

    per_channel: whether weights have a scale for each output channel; one in all if not.
    """

    name = "ai-edge-quantizer"

    def __init__(self, float_content: bytes, scheme: Scheme, *, per_channel: bool = True) -> None:
        self._float_content = float_content
        self._scheme = scheme
        self._per_channel = per_channel
        model = TfliteModel.from_bytes(float_content)
        self._ranks = {tensor.name: len(tensor.shape) for tensor in model.tensors}

    def quantize(self, ranges: Ranges, wide: tuple[Scheme, Sequence[str]] | None = None) -> bytes:
        """The quantized file with all constants inside the flatbuffer.

        wide: another scheme, and patterns of the names of first outputs of the ops that get it.
        """
        extremes = {
            name: {"min": self._filled(name, low), "max": self._filled(name, high)}
            for name, (low, high) in ranges.items()
        }
        rules = self._rules(self._scheme)
        extra = [] if wide is None else self._rules_for(*wide)
        content = quantized_by(self._float_content, [*rules, *extra], extremes)
        if self._scheme == "weights-int4" and (left := _ops_with_float_weights(content)):
            rules = [*rules, *_eight_bits_for(left), *extra]
            content = quantized_by(self._float_content, rules, extremes)
        return content

    def _rules(self, scheme: Scheme) -> list[dict[str, Any]]:
        rules = _recipe(scheme)
        if not self._per_channel:
            for rule in rules:
                rule["op_config"]["weight_tensor_config"]["granularity"] = "TENSORWISE"
        return rules

    def _rules_for(self, scheme: Scheme, patterns: Sequence[str]) -> list[dict[str, Any]]:
        return [{**rule, "regex": p} for p in patterns for rule in self._rules(scheme)]

    def _filled(self, name: str, value: float) -> np.ndarray:
        return np.full((1,) * self._ranks[name], value, np.float32)


def quantized_by(
    float_content: bytes, rules: list[dict[str, Any]], extremes: dict[str, Any] | None = None
) -> bytes:
    """The file that AI Edge Quantizer makes of a float file by rules of its own form.

    extremes: "min" and "max" by tensor name, for rules that quantize activations. All constants
    of the result lie inside the flatbuffer. Raises ConversionError when there is no result.
    """
    from ai_edge_quantizer import quantizer

    with _quietly():
        engine = quantizer.Quantizer(float_content, rules)
        result = engine.quantize(extremes or None, enable_progress_report=False)
    if result.quantized_model is None:
        raise ConversionError("AI Edge Quantizer gave no file for this model.")
    return without_idle_conversions(inline_external_buffers(bytes(result.quantized_model)))


def _recipe(scheme: Scheme) -> list[dict[str, Any]]:
    from ai_edge_quantizer import recipe

    recipes = {
        "int8": recipe.static_wi8_ai8,
        "int16x8": recipe.static_wi8_ai16,
        "dynamic-int8": recipe.dynamic_wi8_afp32,
        "float16": float16_recipe,
        "weights-int4": recipe.dynamic_wi4_afp32,
    }
    rules: list[dict[str, Any]] = recipes[scheme]()
    return rules


def float16_recipe() -> list[dict[str, Any]]:
    """AI Edge Quantizer's rules for float16 weights."""
    return [
        {
            "regex": ".*",
            "operation": "*",
            "algorithm_key": "float_casting",
            "op_config": {
                "weight_tensor_config": {"num_bits": 16, "dtype": "FLOAT"},
                "compute_precision": "FLOAT",
                "explicit_dequantize": True,
            },
        }
    ]


def _ops_with_float_weights(content: bytes) -> list[str]:
    """Names of the ops that the engine left alone: it skips in silence what 4 bits cannot do."""
    model = TfliteModel.from_bytes(content)
    constants = {tensor.index for tensor in model.tensors if tensor.is_constant}
    weighted = [op for op in model.ops if op.name in _WEIGHTED_OPS]
    return sorted(
        {
            op.name
            for op in weighted
            if any(i in constants and model.tensors[i].dtype == "float32" for i in op.inputs[:2])
        }
    )


def _eight_bits_for(ops: Sequence[str]) -> list[dict[str, Any]]:
    from ai_edge_quantizer import recipe

    return [{**rule, "operation": op} for op in ops for rule in recipe.dynamic_wi8_afp32()]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
