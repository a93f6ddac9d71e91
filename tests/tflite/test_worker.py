"""The real worker, in a process of its own, on models that it has to refuse or to get right."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests import tiny_models
from tests.tflite import odd_models, small_networks
from tfgreen.errors import ConversionError, UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.signature import InputSpec
from tfgreen.tflite import ConversionOptions, convert, convert_float, describe, worker

ODD_MODELS = f"{odd_models.__name__}:"


def renamed(content: bytes, old: str, new: str) -> bytes:
    root = tiny_models.unpack(content)
    for tensor in root.subgraphs[0].tensors:
        if tensor.name == old.encode():
            tensor.name = new.encode()
    return tiny_models.pack(root)


def test_nan_weights_are_refused(tmp_path: Path) -> None:
    root = tiny_models.unpack(small_networks.dense())
    weights = root.subgraphs[0].tensors[1]
    values = np.frombuffer(bytes(root.buffers[weights.buffer].data), np.float32).copy()
    values[17] = np.nan
    root.buffers[weights.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    path = tmp_path / "nan.tflite"
    path.write_bytes(tiny_models.pack(root))
    with pytest.raises(ConversionError, match="The model itself answers NaN or infinity"):
        convert_float(path)


def test_what_is_odd_about_the_model_is_told_when_it_cannot_be_quantized(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*arguments: object) -> None:
        raise ConversionError("No engine could quantize the model.")

    odd = SimpleNamespace(
        inputs=(),
        outputs=("y",),
        rewrites=(),
        notes=("GRU 'g' stays a loop",),
        is_quantization_aware=False,
    )
    monkeypatch.setattr(worker, "_open", lambda request: odd)
    monkeypatch.setattr(worker, "_float_file", lambda convertible, request: b"")
    monkeypatch.setattr(worker, "_check_float_file", lambda *arguments: 0.0)
    monkeypatch.setattr(worker, "_quantize", refuse)
    with pytest.raises(ConversionError, match="quantize the model. GRU 'g' stays a loop"):
        worker._convert(tmp_path, {"job": "convert", "calibration_inputs": None})


def test_a_model_that_is_random_at_inference_is_refused() -> None:
    with pytest.raises(ConversionError) as told:
        convert_float(f"{ODD_MODELS}random_at_inference")
    assert re.search(r"output '\w+' is off by [\d.]+ of its largest", str(told.value))
    assert "may be random at inference" in str(told.value)


def test_a_converter_that_crashes_leaves_no_folder_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # what was read from the environment before
    with pytest.raises(ConversionError, match="was killed by signal 6"):
        convert_float(f"{ODD_MODELS}aborts_the_converter")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif("sys.platform == 'win32'", reason="no limit of address space there")
def test_a_memory_limit_is_kept() -> None:
    """TensorFlow's libraries alone do not fit into a gigabyte of address space."""
    options = ConversionOptions(memory_limit_bytes=2**30)
    with pytest.raises(ConversionError, match="more memory than the limit of 1,073,741,824 bytes"):
        convert_float(f"{ODD_MODELS}random_at_inference", options)


def test_two_processes_make_the_same_bytes_whatever_the_input_is_called(tmp_path: Path) -> None:
    path = tmp_path / "network.tflite"
    path.write_bytes(renamed(small_networks.two_convolutions_added(), "x", "file"))
    told: list[str] = []
    calibration = {"file": small_networks.runs()[:, 0]}
    profile = load_profile("mobile-int8")
    first = convert(path, profile, calibration, on_progress=lambda step, *counts: told.append(step))
    again = convert(path, profile, calibration)
    assert first.content == again.content and first.float_content == path.read_bytes()
    assert first.inputs == (InputSpec("file", (6, 6, 4), "float32"),)
    assert first.facts["float_error"] == 0.0 and first.facts["route"]["quantizer"] == "tensorflow"
    assert set(first.facts["seconds"]) == {
        "load",
        "float_conversion",
        "float_check",
        "quantization",
    }
    steps = list(dict.fromkeys(told))
    assert steps[0] == "loading TensorFlow and the model"
    assert steps[-1] == "choosing ranges and rounding"


def test_nothing_is_imported_from_the_working_directory_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "network.tflite").write_bytes(small_networks.dense())
    for name in ("keras", "absl", "h5py", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the wrong place')\n")
    monkeypatch.chdir(tmp_path)
    assert describe("network.tflite")[0] == (InputSpec("x", (64,), "float32"),)


def test_ops_without_a_builtin_version_are_named() -> None:
    with pytest.raises(UnsupportedModelError, match="does not have: MatrixInverse"):
        convert_float(f"{ODD_MODELS}needs_flex")


@pytest.mark.slow
def test_select_ops_are_kept_only_where_activations_are_float() -> None:
    options = ConversionOptions(allow_select_ops=True)
    model, x = f"{ODD_MODELS}needs_flex", np.ones((20, 3, 3), np.float32)
    with pytest.raises(UnsupportedModelError, match="profile of float activations"):
        convert(model, load_profile("mobile-int8"), {"x": x}, options)
    made = convert(model, load_profile("mobile-float16"), None, options)
    names = [op.name for op in TfliteModel.from_bytes(made.content).ops]
    assert "FLEX:MatrixInverse" in names and made.facts["float_error"] is None


@pytest.mark.slow
def test_a_function_s_model_is_described_by_the_child() -> None:
    inputs, outputs = describe(f"{ODD_MODELS}needs_flex")
    assert inputs == (InputSpec("x", (3, 3), "float32"),) and outputs == ("inverse",)
