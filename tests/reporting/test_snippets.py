"""The ready code does the library's own arithmetic, in Python and, compiled, in C++."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.targets.microcontroller.compiling import compiler
from tests.tiny_models import int8_classifier
from tfgreen.data import Samples
from tfgreen.flatbuffer import TfliteModel
from tfgreen.preprocess import BoundaryTensor, Preprocess
from tfgreen.reporting.snippets import render_snippets
from tfgreen.runtimes import Task, dequantize, quantize_inputs, run_tasks

SCALES = {"int8": (0.0039215689, -128), "uint8": (1 / 255, 0), "int16": (1 / 32768, 0)}
HOSTILE = 'x"; */ $y\n#include "/etc/passwd"\\'


def tensor(dtype: str, name: str = "x", size: int = 64) -> BoundaryTensor:
    scale, zero_point = SCALES.get(dtype, (None, None))
    scale = None if scale is None else float(np.float32(scale))
    return BoundaryTensor(
        name=name, shape=(1, size), dtype=dtype, scale=scale, zero_point=zero_point
    )


def module_of(preprocess: Preprocess) -> ModuleType:
    module = ModuleType("model_io")
    exec(compile(render_snippets(preprocess)["model_io.py"], "model_io.py", "exec"), vars(module))
    return module


def awkward_values(scale: float, count: int = 64) -> np.ndarray:
    """Ties, values beyond the range, and random ones."""
    random = np.random.default_rng(0).normal(0, 200 * scale, count).astype(np.float32)
    random[:6] = np.float32(scale) * np.array([0.5, 1.5, 2.5, -0.5, 1e6, -1e6], np.float32)
    return random


def test_python_equals_the_library() -> None:
    content = int8_classifier(features=16)
    model = TfliteModel.from_bytes(content)
    module = module_of(Preprocess.of(model))
    values = awkward_values(1 / 128, 16).reshape(1, 16)
    (expected,) = quantize_inputs(model, Samples({"x": values}, source="test"))
    np.testing.assert_array_equal(module.quantize(values, module.INPUTS[0]), expected[0])
    stored = np.arange(-128, -124, dtype=np.int8).reshape(1, 4)
    np.testing.assert_array_equal(
        module.dequantize(stored, module.OUTPUTS[0]),
        dequantize(stored, model.tensors[model.outputs[0]].quantization),
    )


def test_python_predicts_as_the_runtime(tmp_path: Path) -> None:
    content = int8_classifier()
    model = TfliteModel.from_bytes(content)
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    values = awkward_values(1 / 128, 16).reshape(1, 16)
    inputs = quantize_inputs(model, Samples({"x": values}, source="test"))
    (outcome,) = run_tasks("xnnpack", [Task("test", content, inputs)])
    got = module_of(Preprocess.of(model)).predict(path, {"x": values})
    quantization = model.tensors[model.outputs[0]].quantization
    np.testing.assert_array_equal(got["scores"], dequantize(outcome.outputs[0][0], quantization))


@pytest.mark.parametrize("dtype", sorted(SCALES))
def test_cpp_equals_python(tmp_path: Path, dtype: str) -> None:
    preprocess = Preprocess(
        inputs=(tensor(dtype, "in"),), outputs=(tensor(dtype, "out"),), labels=("jä", '"\\?')
    )
    (tmp_path / "model_io.hpp").write_text(render_snippets(preprocess)["model_io.hpp"])
    (tmp_path / "main.cpp").write_text(
        f"""
        #include <cstdio>
        #include "model_io.hpp"
        #include "model_io.hpp"
        int main() {{
          float values[64]; std::{dtype}_t stored[64];
          if (std::fread(values, 4, 64, stdin) != 64) return 1;
          model_io::QuantizeIn(values, stored);
          std::fwrite(stored, sizeof stored[0], 64, stdout);
          model_io::DequantizeOut(stored, values);
          std::fwrite(values, 4, 64, stdout);
          std::fputs(model_io::kLabels[0], stdout); std::fputs(model_io::kLabels[1], stdout);
        }}
        """
    )
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-variable"]
    program = tmp_path / "program"
    subprocess.run([*compiler("c++"), *flags, tmp_path / "main.cpp", "-o", program], check=True)
    values = awkward_values(preprocess.inputs[0].scale)
    output = subprocess.run([program], input=values.tobytes(), capture_output=True, check=True)
    module = module_of(preprocess)
    stored = module.quantize(values, module.INPUTS[0])
    real = module.dequantize(stored, module.OUTPUTS[0])
    assert output.stdout == stored.tobytes() + real.tobytes() + 'jä"\\?'.encode()
    assert module.LABELS == ["jä", '"\\?']


def test_cpp_survives_hostile_and_equal_names(tmp_path: Path) -> None:
    tensors = tuple(tensor("int8", name) for name in (HOSTILE, "x_y", "X:Y", "", "7"))
    preprocess = Preprocess(inputs=tensors, outputs=tensors, labels=(HOSTILE,))
    source = tmp_path / "main.cpp"
    source.write_text(render_snippets(preprocess)["model_io.hpp"] + "\nint main() {}\n")
    subprocess.run([*compiler("c++"), "-std=c++11", "-fsyntax-only", source], check=True)
    module_of(preprocess)


def test_kotlin_is_consistent() -> None:
    """No Kotlin compiler is at hand: brackets balance, and every name used is defined."""
    names = (HOSTILE, "image", "Image", "mask")
    dtypes = ("int8", "uint8", "int16", "float32")
    tensors = tuple(tensor(dtype, name) for name, dtype in zip(names, dtypes, strict=True))
    preprocess = Preprocess(inputs=tensors, outputs=tensors, labels=("a$b", 'q"', "日本"))
    text = render_snippets(preprocess)["ModelIo.kt"]
    for pair in ("()", "{}", "[]"):
        assert text.count(pair[0]) == text.count(pair[1]), pair
    used = set(re.findall(r"\b(?:INPUT|OUTPUT)_\w+", text))
    defined = re.findall(r"const val (\w+)", text)
    assert used == set(defined)
    assert len(defined) == len(set(defined))
    assert len(re.findall(r"fun quantize[A-Z]\w*\(", text)) == 3
    assert '"a\\u0024b"' in text
    assert '"\\u65e5\\u672c"' in text
    assert "/etc/passwd" not in re.sub(r"/\*\*.*?\*/", "", text)


def test_plain_numbers_pass_as_they_are() -> None:
    plain = Preprocess(inputs=(tensor("float32"),), outputs=(tensor("float32"),))
    module = module_of(plain)
    values = np.linspace(-1, 1, 64)
    np.testing.assert_array_equal(
        module.quantize(values, module.INPUTS[0]), values.astype(np.float32).reshape(1, 64)
    )
    assert "Quantize" not in render_snippets(plain)["model_io.hpp"].split("// InputX")[1]
