"""Faults planted into the float model, then quantized: named, with their layer."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest

from tests.verification.diagnosis import planting
from tests.verification.diagnosis.conftest import Patient
from tests.verification.diagnosis.test_planted import computing_op
from tfgreen.flatbuffer import TfliteModel, with_constants
from tfgreen.flatbuffer.schema import load_schema
from tfgreen.runtimes import quantize_inputs
from tfgreen.tflite.chains import pairs, scaled_columns, scaled_rows
from tfgreen.tflite.quantizers import AiEdgeQuantizer
from tfgreen.tflite.ranges import minmax_ranges
from tfgreen.tflite.statistics import collect_statistics

Patients = Callable[[str], Patient]
CLOSE_TO_32_BITS = 2**31 - 1000


def quantized(patient: Patient, content: bytes, *, per_channel: bool = True) -> bytes:
    runs = quantize_inputs(TfliteModel.from_bytes(content), patient.samples)
    ranges = minmax_ranges(collect_statistics(content, runs))
    return AiEdgeQuantizer(content, "int8", per_channel=per_channel).quantize(dict(ranges))


def rescaled(content: bytes, factors: Callable[[int], np.ndarray]) -> tuple[bytes, int]:
    """Channels between two layers of another size, with the same answers; and the first layer."""
    model = TfliteModel.from_bytes(content)
    found = pairs(model)
    one = found[len(found) // 2]
    scales = factors(model.tensors[one.tensor].shape[-1])
    before, bias, behind = one.first.inputs[1], one.first.inputs[2], one.second.inputs[1]
    values = {
        before: scaled_rows(one.first, model.constant(before), scales),
        bias: model.constant(bias) * scales,
        behind: scaled_columns(one.second, model.constant(behind), 1 / scales),
    }
    floats = {index: value.astype(np.float32) for index, value in values.items()}
    return with_constants(model, floats), one.first.index


def one_huge(channels: int) -> np.ndarray:
    return np.where(np.arange(channels) == channels // 2, 100.0, 1.0)


def spread(channels: int) -> np.ndarray:
    return np.asarray(10 ** np.random.default_rng(0).uniform(-1, 1, channels))


SPREADS = [
    ("keyword", one_huge, True, "huge-channel"),
    ("residual", one_huge, False, "huge-channel"),
    ("keyword", spread, True, "per-channel-spread"),
    ("residual", spread, False, "per-channel-spread"),
]


@pytest.mark.parametrize(("kind", "factors", "per_channel", "cause"), SPREADS)
def test_channels_of_unlike_size(
    patient: Patients,
    kind: str,
    factors: Callable[[int], np.ndarray],
    per_channel: bool,
    cause: str,
) -> None:
    sound = patient(kind)
    content, op = rescaled(sound.float_content, factors)
    file = quantized(sound, content, per_channel=per_channel)
    diagnosis = Patient(content, file, sound.samples, ()).diagnose()
    assert (diagnosis.cause, diagnosis.faults[0].op_index) == (cause, op), diagnosis.text()


def test_a_file_with_equalized_channels_is_sound(patient: Patients) -> None:
    """What repair makes of channels of unlike size: other tensors and weights, the same answers."""
    sound = patient("keyword")
    content, _ = rescaled(sound.float_content, spread)
    diagnosis = Patient(content, sound.content, sound.samples, ()).diagnose()
    assert diagnosis.is_healthy, diagnosis.text()


def unfolded(content: bytes, op_index: int) -> bytes:
    """A layer whose BatchNormalization is a MUL and an ADD behind it."""
    schema = load_schema()
    editor = planting.Editor(content)
    model, op = editor.model, editor.model.ops[op_index]
    raw = editor.graph.operators[op_index] = copy.copy(editor.graph.operators[op_index])
    raw.builtinOptions = copy.copy(raw.builtinOptions)
    activation = raw.builtinOptions.fusedActivationFunction
    raw.builtinOptions.fusedActivationFunction = 0
    weights, bias = model.constant(op.inputs[1]), model.constant(op.inputs[2])
    axis = planting.CHANNEL_AXES[op.name]
    factors = np.exp(np.random.default_rng(0).normal(0, 1, weights.shape[axis]))
    shape = [1] * weights.ndim
    shape[axis] = -1
    editor.store(op.inputs[1], (weights / factors.reshape(shape)).astype(np.float32))
    editor.store(op.inputs[2], np.zeros_like(bias))
    behind = [planting._new_tensor(editor, op.outputs[0], name) for name in ("linear", "scaled")]
    added = []
    chain = [("MUL", behind[0], behind[1], factors), ("ADD", behind[1], op.outputs[0], bias)]
    for name, source, target, values in chain:
        constant = planting._new_tensor(editor, op.inputs[2], f"{name} constant")
        editor.store(constant, values.astype(np.float32))
        one = planting._new_op(editor, name, source, target)
        kind = name.capitalize() + "Options"
        one.inputs = [source, constant]  # type: ignore[attr-defined]
        one.builtinOptionsType = getattr(schema.BuiltinOptions, kind)  # type: ignore[attr-defined]
        one.builtinOptions = getattr(schema, f"{kind}T")()  # type: ignore[attr-defined]
        added.append(one)
    added[1].builtinOptions.fusedActivationFunction = activation  # type: ignore[attr-defined]
    raw.outputs = [behind[0]]
    editor.graph.operators[op_index + 1 : op_index + 1] = added
    return editor.content()


@pytest.mark.parametrize("in_both", [True, False])
def test_a_normalization_left_unfolded(patient: Patients, in_both: bool) -> None:
    sound = patient("keyword")
    op = computing_op(sound.float_content, 0.5)
    content = unfolded(sound.float_content, op)
    file = quantized(sound, content)
    float_content = content if in_both else sound.float_content
    diagnosis = Patient(float_content, file, sound.samples, ()).diagnose()
    assert (diagnosis.cause, diagnosis.faults[0].op) == ("batch-normalization", "MUL")
    assert diagnosis.culprit == "scaled"
    assert (diagnosis.faults[0].share_of_final_error or 0) > 0.3
    assert len(diagnosis.faults) == 1, diagnosis.text()


def test_a_file_folded_with_other_statistics(patient: Patients) -> None:
    """All ranges behind are off too: they are no calibration's fault."""
    sound = patient("keyword")
    model = TfliteModel.from_bytes(sound.float_content)
    op = model.ops[computing_op(sound.float_content, 0.4)]
    weights, bias = model.constant(op.inputs[1]), model.constant(op.inputs[2])
    moved = np.random.default_rng(0).choice([-1, 1], bias.shape) * 3.0
    changed = {op.inputs[1]: weights / 4, op.inputs[2]: bias + moved}
    wrong = with_constants(model, {i: v.astype(np.float32) for i, v in changed.items()})
    file = quantized(sound, wrong)
    diagnosis = Patient(sound.float_content, file, sound.samples, ()).diagnose()
    assert (diagnosis.cause, diagnosis.faults[0].op_index) == ("batch-normalization", op.index)


def test_a_sum_that_does_not_fit_32_bits(patient: Patients) -> None:
    """The bias fits, just: what is added to it does not."""
    sound = patient("residual")
    index = computing_op(sound.content, 0.5)
    editor = planting.Editor(sound.content)
    op = editor.model.ops[index]
    source = float(planting.scales_of(editor.model, op.inputs[0])[0])
    scales = planting.scales_of(editor.model, op.inputs[1]).astype(np.float64).copy()
    stored = editor.model.constant(op.inputs[2]).copy()
    real = stored * scales * source
    scales[1] = abs(real[1]) / CLOSE_TO_32_BITS / source
    stored[1] = np.sign(real[1]) * CLOSE_TO_32_BITS
    weights = planting.real_weights(sound.content, index)
    shape = (-1, *[1] * (weights.ndim - 1))
    codes = np.clip(np.round(weights / scales.reshape(shape)), -127, 127)
    editor.store(op.inputs[1], codes.astype(np.int8))
    editor.scale(op.inputs[1], scales, [0] * len(scales))
    editor.store(op.inputs[2], stored)
    editor.scale(op.inputs[2], scales * source, [0] * len(scales))
    diagnosis = sound.diagnose(editor.content())
    assert (diagnosis.cause, diagnosis.faults[0].op_index) == ("accumulator-overflow", index)
    assert int(diagnosis.evidence["peak_accumulator"]) >= 2**31


@pytest.fixture(scope="module")
def hybrid(patient: Patients) -> Patient:
    """Weights in 8 bits, all else float."""
    sound = patient("keyword")
    content = AiEdgeQuantizer(sound.float_content, "dynamic-int8").quantize({})
    return Patient(sound.float_content, content, sound.samples, ())


def test_a_float_bias_of_a_hybrid_file(hybrid: Patient) -> None:
    assert hybrid.diagnose().is_healthy
    index = computing_op(hybrid.content, 0.5)
    model = TfliteModel.from_bytes(hybrid.content)
    place = model.ops[index].inputs[2]
    bias = model.constant(place)
    moved = bias + np.random.default_rng(0).normal(0, 2 * np.abs(bias).mean(), bias.shape)
    wrong = with_constants(model, {place: moved.astype(np.float32)})
    diagnosis = hybrid.diagnose(wrong)
    assert (diagnosis.cause, diagnosis.faults[0].op_index) == ("batch-normalization", index)


def test_a_file_that_gives_no_numbers(hybrid: Patient) -> None:
    index = computing_op(hybrid.content, 0.5)
    model = TfliteModel.from_bytes(hybrid.content)
    place = model.ops[index].inputs[2]
    bias = model.constant(place)
    bias[0] = np.nan
    diagnosis = hybrid.diagnose(with_constants(model, {place: bias}))
    assert (diagnosis.cause, diagnosis.faults[0].op_index) == ("weights-differ", index)
    assert "NaN" in diagnosis.faults[0].message


@pytest.mark.parametrize(("factor", "shift"), [(2.0, 0), (0.5, 0), (1.0, 128)])
def test_an_output_that_declares_another_scale(
    patient: Patients, factor: float, shift: int
) -> None:
    """The logits are right; what the caller reads is not."""
    sound = patient("keyword")
    editor = planting.Editor(sound.content)
    index = editor.model.outputs[0]
    found = editor.model.tensors[index].quantization
    assert found is not None
    editor.scale(index, found.scales * factor, found.zero_points + shift)
    diagnosis = sound.diagnose(editor.content())
    assert (diagnosis.cause, diagnosis.faults[0].op) == ("output-scaling", "SOFTMAX")
    assert diagnosis.evidence["specified_scale"] == 1 / 256


def test_a_bias_scale_that_is_not_the_product(patient: Patients) -> None:
    """An activation given another range, and the bias of its reader left as it was."""
    sound = patient("keyword")
    editor = planting.Editor(sound.content)
    mean = next(op for op in editor.model.ops if op.name == "MEAN")
    index = mean.outputs[0]
    found = editor.model.tensors[index].quantization
    assert found is not None
    editor.scale(index, found.scales * 8, found.zero_points)
    diagnosis = sound.diagnose(editor.content())
    fault = next(one for one in diagnosis.faults if one.op == "FULLY_CONNECTED")
    assert fault.cause == "weights-differ"
    assert float(fault.evidence["bias_factor"]) == pytest.approx(8, rel=1e-3)


def test_a_last_conversion_with_a_narrow_range(patient: Patients) -> None:
    """A QUANTIZE behind the softmax, as to uint8, whose range holds a quarter of it."""
    sound = patient("keyword")
    editor = planting.Editor(sound.content)
    last = editor.model.outputs[0]
    found = editor.model.tensors[last].quantization
    assert found is not None
    again = planting._new_tensor(editor, last, "again")
    editor.scale(again, found.scales / 4, found.zero_points)
    editor.graph.operators.append(planting._new_op(editor, "QUANTIZE", last, again))
    editor.graph.outputs = [again]
    for one in editor.root.signatureDefs or []:
        one.outputs[0].tensorIndex = again
    diagnosis = sound.diagnose(editor.content())
    assert (diagnosis.cause, diagnosis.culprit) == ("range-too-narrow", "again")
