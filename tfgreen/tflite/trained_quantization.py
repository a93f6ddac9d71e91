"""The quantized file of a model from quantization-aware training: as it was trained.

Trained ranges and weights are taken as they are. Data decide only where training left nothing:
layers that were kept out, and tensors inside of layers. Both engines build the file, and the one
that comes closer to the trained model is taken; the trained model, not the float model of before,
is what the file is judged by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tfgreen.errors import ConversionError, UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile
from tfgreen.tflite.boundary import with_boundary
from tfgreen.tflite.fake_quantization import FakeQuantized
from tfgreen.tflite.quantization import OnProgress, Quantized, float_op
from tfgreen.tflite.quantizers import AiEdgeQuantizer, Quantizer, TensorflowQuantizer
from tfgreen.tflite.ranges import Ranges, minmax_ranges
from tfgreen.tflite.same_scale import handed_through
from tfgreen.tflite.selection import Contender, Judge, Race
from tfgreen.tflite.statistics import ActivationStatistics, collect_statistics
from tfgreen.tflite.trained_weights import with_trained_weights

_SCHEME_BITS = {"int8": 8, "int16x8": 16}


def quantize_as_trained(
    trained: FakeQuantized,
    inputs: Sequence[np.ndarray],
    profile: ExportProfile,
    on_progress: OnProgress,
) -> Quantized:
    """Build the file of a static scheme.

    inputs: calibration runs as in `tfgreen.tflite.quantization.quantize`.
    Raises UnsupportedModelError where activations were trained for another width.
    """
    _refuse_other_width(trained, profile)
    statistics = collect_statistics(
        trained.simulated, inputs, lambda done, of: on_progress("activation ranges", done, of)
    )
    race = Race(
        Judge(trained.simulated, inputs),
        statistics.runs,
        float_op if profile.full_integer else lambda model: None,
        lambda done: on_progress("building the file as trained", done, 0),
    )
    for engine in _engines(trained.plain, inputs, profile):
        build = _builder(engine, trained, statistics)
        race.enter(Contender(engine.name, "trained", build, rounding="trained"))
    content, winner = race.finish()
    bounded = with_boundary(content, profile.input_type, profile.output_type)
    return Quantized(bounded, winner, tuple(race.candidates), ())


def _refuse_other_width(trained: FakeQuantized, profile: ExportProfile) -> None:
    wanted = _SCHEME_BITS[profile.scheme]
    if trained.activation_bits <= {wanted}:
        return
    received = ", ".join(f"int{bits}" for bits in sorted(trained.activation_bits))
    raise UnsupportedModelError(
        f"The model was trained for {received} activations, and profile {profile.name} has "
        f"int{wanted}. Export it with a profile of that width, or train it again with "
        f"QuantizationAwareTraining(activation_bits={wanted})."
    )


def _engines(plain: bytes, inputs: Sequence[np.ndarray], profile: ExportProfile) -> list[Quantizer]:
    engines: list[Quantizer] = [AiEdgeQuantizer(plain, profile.scheme)]
    if profile.scheme == "int8":
        engines.insert(0, TensorflowQuantizer(plain, [array[0] for array in inputs]))
    return engines


def _builder(
    engine: Quantizer, trained: FakeQuantized, statistics: ActivationStatistics
) -> Callable[[Sequence[int]], bytes]:
    plain = TfliteModel.from_bytes(trained.plain)
    fixed = handed_through(plain, _symmetric(trained))
    known = {tensor.name for tensor in plain.tensors}

    def build(runs: Sequence[int]) -> bytes:
        measured = minmax_ranges(statistics.subset(runs))
        ranges = {name: ends for name, ends in measured.items() if name in known} | dict(fixed)
        made = with_trained_weights(engine.quantize(ranges), trained.plain, trained.weights)
        if made.rounded_again and _has_few_bits(trained, made.rounded_again):
            raise ConversionError(f"the 4-bit weights of {made.rounded_again[0]} do not fit")
        return made.content

    return build


def _symmetric(trained: FakeQuantized) -> Ranges:
    """int16 has one step more below zero than above; engines count from the smaller side."""
    if 16 not in trained.activation_bits:
        return trained.ranges
    return {name: (-high, high) for name, (_, high) in trained.ranges.items()}


def _has_few_bits(trained: FakeQuantized, names: Sequence[str]) -> bool:
    return any(trained.weights[name].bits < 8 for name in names)
