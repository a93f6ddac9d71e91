"""Models from quantization-aware training as files: what was trained, step for step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tfgreen as tg
from tests.compression.quantization_models import MODELS, compiled, samples_of
from tfgreen.compression.quantization.quantization import QuantizationAwareTraining
from tfgreen.data import Samples
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.runtimes import Task, dequantize, quantize_inputs, run_tasks
from tfgreen.verification.conversions import surplus_conversions

FAST = ("ds_cnn", "several_inputs")
# Attention, and recurrent layers, which are quantized after training, add up their roundings.
FARTHEST_QUANTA = {"transformer": 8, "squeeze_excite": 6, "recurrent": 12}


def trained(name: str, **options: Any) -> tuple[Any, Any]:
    model = compiled(name)
    x, y = samples_of(model)
    model.fit(x, y, epochs=4, verbose=0)
    training = QuantizationAwareTraining(**options)
    wrapped = training.prepare(model, calibration=x)
    wrapped.fit(x, y, epochs=2, verbose=0)
    return training.finalize(wrapped), x


def exported(model: Any, x: Any, profile: str = "mobile-int8") -> tuple[Any, TfliteModel]:
    try:
        bundle = tg.export(model, x, profile=profile, evaluate=x)
    except tg.GateError as error:  # a model of a few steps of training may be too unsure
        bundle = error.bundle
    gates = {gate.gate: gate.status for gate in bundle.certificate.gates}
    assert gates["structure"] == gates["kernels"] == gates["runtime"] == "passed"
    return bundle, TfliteModel.from_bytes(bundle.content)


def differences(model: Any, file: TfliteModel, x: Any) -> list[np.ndarray]:
    """|file - model| in quanta, output by output."""
    inputs = x if isinstance(x, dict) else {model.input_names[0]: x}
    task = Task("file", file.content, quantize_inputs(file, Samples(inputs)))
    (outcome,) = run_tasks("xnnpack", [task])
    assert outcome.status == "ok", outcome.message
    expected = model.predict(x, verbose=0)
    by_name = dict(
        zip(model.output_names, expected if isinstance(expected, list) else [expected], strict=True)
    )
    given = []
    for name, index, values in zip(file.output_names, file.outputs, outcome.outputs, strict=True):
        steps = file.tensors[index].quantization
        assert steps is not None
        real = dequantize(values, steps).reshape(by_name[name].shape)
        given.append(np.abs(real - by_name[name]) / steps.scales[0])
    return given


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in MODELS],
)
def test_the_file_answers_as_the_trained_model(name: str) -> None:
    model, x = trained(name)
    _, file = exported(model, x)
    assert not list(surplus_conversions(file, load_profile("mobile-int8")))
    for difference in differences(model, file, x):
        assert difference.max() <= FARTHEST_QUANTA.get(name, 3)


def weights(file: TfliteModel, op: str) -> list[np.ndarray]:
    return [file.constant(one.inputs[1]) for one in file.ops if one.name == op]


def test_zeros_and_clusters_are_in_the_file_and_normalization_is_folded() -> None:
    model = compiled("ds_cnn")
    x, y = samples_of(model)
    values = np.linspace(-0.4, 0.4, 7)  # zero is one of them
    for layer in model.layers:
        if type(layer).__name__ in ("Conv2D", "Dense"):
            kernel = np.asarray(layer.kernel)
            layer.kernel.assign(values[np.abs(kernel[..., None] - values).argmin(-1)])
        if type(layer).__name__ == "BatchNormalization":
            layer.gamma.assign(np.where(np.arange(layer.gamma.shape[0]) % 2, 1.2, -0.7))
    training = QuantizationAwareTraining(
        preserve_sparsity=True, preserve_clusters=True, weight_bits={"DepthwiseConv2D": 5}
    )
    wrapped = training.prepare(model, calibration=x)
    wrapped.fit(x, y, epochs=2, verbose=0)
    trained_model = training.finalize(wrapped)
    _, file = exported(trained_model, x)
    kinds = {op.name for op in file.ops}
    assert kinds == {"CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"}
    kernels = [one.kernel for one in model.layers if type(one).__name__ == "Conv2D"]
    for stored, given in zip(weights(file, "CONV_2D"), kernels, strict=True):
        zeros = np.moveaxis(np.asarray(given), -1, 0) == 0
        assert (stored[zeros] == 0).all()
        assert len(np.unique(np.abs(stored))) <= len(values)
    for stored in weights(file, "DEPTHWISE_CONV_2D"):
        assert np.abs(stored).max() <= 15
    assert max(d.max() for d in differences(trained_model, file, x)) <= 2


@pytest.mark.slow
def test_four_bits_are_four_bits_where_the_profile_has_them() -> None:
    model, x = trained("ds_cnn", weight_bits=4)
    _, file = exported(model, x)
    for op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        assert all(len(np.unique(stored)) <= 15 for stored in weights(file, op))
    _, file = exported(model, x, "mobile-weights-int4")
    convolutions = [one for one in file.ops if one.name in ("CONV_2D", "FULLY_CONNECTED")]
    assert {file.tensors[one.inputs[1]].dtype for one in convolutions} == {"int4"}


@pytest.mark.slow
def test_sixteen_bits() -> None:
    model, x = trained("ds_cnn", activation_bits=16)
    _, file = exported(model, x, "microcontroller-int16x8")
    assert file.tensors[file.outputs[0]].dtype in ("int16", "float32")
    with pytest.raises(tg.UnsupportedModelError, match="trained for int16 activations"):
        tg.export(model, x)
