"""Rendered sources compile without a warning and carry, bit for bit, what they were made of."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests import tiny_models
from tests.targets.microcontroller.compiling import compiled, output_of
from tests.targets.microcontroller.rendered import PROFILE, Project, c_arrays, golden_of, written
from tests.tiny_models import OpSpec, TensorSpec, int8_classifier
from tfgreen.data import Samples
from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.golden import Golden
from tfgreen.runtimes import availability, dequantize, quantize_inputs, run_tasks
from tfgreen.runtimes.protocol import Task
from tfgreen.targets.microcontroller.sources import c_identifier, render_sources
from tfgreen.targets.microcontroller.sources.golden_part import MOST_GOLDEN_BYTES
from tfgreen.verification.golden_vectors import golden_vectors

HOSTILE = [
    "class",
    "1abc",
    "größe",
    "*/",
    '"; #include <x>\n',
    "../../x",
    "??/",
    "math",
    "",
    "ö" * 99,
]
VALUES = np.random.default_rng(0).normal(0, 0.5, (3, 16)).astype(np.float32)
ANSWERS = np.random.default_rng(1).integers(-128, 127, (3, 1, 4)).astype(np.int8)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    content = int8_classifier()
    return Project(tmp_path, content, golden_of(content, VALUES, [ANSWERS]))


DUMP = """
#include <stdint.h>
#include <stdio.h>
#include "model_data.h"
int main(void) {
  if ((uintptr_t)g_kws_model_data % 16 != 0) return 1;
  return fwrite(g_kws_model_data, 1, g_kws_model_data_len, stdout) != g_kws_model_data_len;
}
"""


@pytest.mark.parametrize("standard", ["c99", "c11", "c++11", "c++14", "c++17"])
def test_the_model_is_the_file_byte_for_byte(project: Project, standard: str) -> None:
    is_c = not standard.startswith("c++")
    main = project.folder / ("dump.c" if is_c else "dump.cc")
    main.write_text(DUMP)
    array = project.root / ("c/model_data.c" if is_c else "src/kws_model/model_data.cc")
    options = [f"-I{project.root}/src/kws_model"]
    program = compiled([main, array], project.folder / "dump", standard=standard, options=options)
    assert output_of(program) == project.content


def test_the_array_reads_as_the_file(project: Project) -> None:
    (array,) = c_arrays(project.text("src/{id}/model_data.cc")).values()
    assert array.tobytes() == project.content


@pytest.mark.parametrize(
    ("standard", "release"),
    [("c++11", ""), ("c++14", "-DSTAND_IN_OF_2026"), ("c++17", "")],
    ids=["c++11, tflite", "c++14, tflite::micro", "c++17, tflite"],
)
def test_the_golden_test_passes_on_a_board_that_answers_so(
    project: Project, standard: str, release: str
) -> None:
    main = project.root / "examples/golden_test_plain/main.cc"
    options = [release] if release else []
    program = project.compile(main, [ANSWERS], standard=standard, options=options)
    line = json.loads(output_of(program))
    assert (line["status"], line["max_steps"], line["arena_bytes"]) == ("ok", 0, 1000)
    assert line["model"] == hashlib.sha256(project.content).hexdigest()
    outputs = [bytes.fromhex(run["outputs"][0]) for run in line["runs"]]
    assert b"".join(outputs) == ANSWERS.tobytes()


def test_the_golden_test_fails_on_a_board_that_answers_otherwise(project: Project) -> None:
    wrong = ANSWERS.copy()
    wrong[1, 0, 2] += 3
    main = project.root / "examples/golden_test_plain/main.cc"
    result = subprocess.run([project.compile(main, [wrong])], capture_output=True, check=False)
    line = json.loads(result.stdout)
    assert result.returncode == 1
    assert [run["steps"] for run in line["runs"]] == [[0], [3], [0]]


def test_a_small_arena_is_told(project: Project) -> None:
    main = project.root / "examples/golden_test_plain/main.cc"
    program = project.compile(main, [ANSWERS], arena_bytes=1009)
    result = subprocess.run([program], capture_output=True, check=False)
    line = json.loads(result.stdout)
    assert (result.returncode, line["status"], line["runs"]) == (1, "allocation-failed", [])


CLOCK = """
#include <cstdio>
#include "kws_model.h"
namespace {
std::uint32_t now = 0xfffffff0u;  // wraps around
std::uint32_t Clock() { return now += 20; }
void Print(const char* text) { std::fputs(text, stdout); }
}  // namespace
int main() { return kws_model::RunGoldenTest(Print, Clock) ? 0 : 1; }
"""


def test_times_survive_a_clock_that_wraps(project: Project) -> None:
    line = json.loads(output_of(project.compile(CLOCK, [ANSWERS])))
    assert [run["microseconds"] for run in line["runs"]] == [20, 20, 20]


RUN = """
#include <cstdio>
#include "kws_model.h"
int main() {
  float output[kws_model::kOutputScoresSize];
  const float input[kws_model::kInputXSize] = {%s};
  if (kws_model::Run(input, output) != kws_model::Status::kNotSetUp) return 1;
  if (kws_model::Setup() != kws_model::Status::kOk) return 2;
  if (kws_model::Run(input, output) != kws_model::Status::kOk) return 3;
  return std::fwrite(output, 4, 4, stdout) != 4;
}
"""


def test_floats_go_in_and_come_out(project: Project) -> None:
    numbers = ", ".join(f"{value!r}f" for value in VALUES[2].tolist())
    got = np.frombuffer(output_of(project.compile(RUN % numbers, [ANSWERS])), np.float32)
    model = TfliteModel.from_bytes(project.content)
    quantization = model.tensors[model.outputs[0]].quantization
    np.testing.assert_array_equal(got, dequantize(ANSWERS[2, 0], quantization))


def passing(dtype: str, scale: float | None, zero_point: int = 0, size: int = 64) -> bytes:
    """A file whose output is its input."""
    quantized = {"scale": scale, "zero_point": zero_point}
    tensors = [
        TensorSpec("x", (1, size), dtype, **quantized),  # type: ignore[arg-type]
        TensorSpec("y", (1, size), dtype, **quantized),  # type: ignore[arg-type]
        TensorSpec("shape", (2,), "int32", data=np.array([1, size], np.int32)),
    ]
    return tiny_models.build(tensors, [OpSpec("RESHAPE", ["x", "shape"], ["y"])], ["x"], ["y"])


CONVERT = """
#include <cstdio>
#include "kws_model/inference.h"
int main() {
  using Stored = %s;
  static float values[kws_model::kInputXSize];
  static Stored stored[kws_model::kInputXSize];
  if (std::fread(values, sizeof(float), kws_model::kInputXSize, stdin) == 0) return 1;
  kws_model::Store(values, kws_model::kInputXSize%s, stored);
  std::fwrite(stored, sizeof(Stored), kws_model::kInputXSize, stdout);
  kws_model::Load(stored, kws_model::kInputXSize%s, values);
  return std::fwrite(values, sizeof(float), kws_model::kInputXSize, stdout) == 0;
}
"""


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"),
    [
        ("int8", 0.0039215689, -128),
        ("uint8", 1 / 255, 3),
        ("int16", 1 / 32768, 0),
        ("float32", None, 0),
        ("int32", None, 0),
    ],
)
def test_numbers_are_converted_as_numpy_does(
    tmp_path: Path, dtype: str, scale: float | None, zero_point: int
) -> None:
    content = passing(dtype, scale, zero_point, size=4096)
    step = np.float32(scale or 1)
    values = np.random.default_rng(0).normal(0, 200 * step, 4096).astype(np.float32)
    values[:2048] = np.arange(-1024, 1024, dtype=np.float32) / 2 * step  # halves
    values[2048:2052] = [1e30, -1e30, 1e-45, -0.0] if scale else [0, 1, 2, 3]
    values = values if dtype != "int32" else np.round(values)
    values = values[np.newaxis]
    model = TfliteModel.from_bytes(content)
    (expected,) = quantize_inputs(model, Samples({"x": values}, source="test"))
    golden = golden_of(content, values, [np.zeros_like(expected)])
    c_type = "float" if dtype == "float32" else f"std::{dtype}_t"
    known = ", kws_model::kInputXQuantization" if scale else ""
    project = Project(tmp_path, content, golden)
    program = project.compile(CONVERT % (c_type, known, known), [expected], standard="c++14")
    got = subprocess.run([program], input=values.tobytes(), capture_output=True, check=True).stdout
    size = expected.nbytes
    np.testing.assert_array_equal(np.frombuffer(got[:size], dtype), expected.ravel())
    real = dequantize(expected, model.tensors[model.inputs[0]].quantization)
    np.testing.assert_array_equal(np.frombuffer(got[size:], np.float32), real.ravel())


def two_in_two_out() -> bytes:
    tensors = [
        TensorSpec("class", (1, 4), "int8", 0.5, 1),
        TensorSpec("b", (1, 4), "int8", 0.25, -3),
        TensorSpec("sum", (1, 4), "int8", 0.5, 0),
        TensorSpec("float", (1, 4), "float32"),
    ]
    ops = [OpSpec("ADD", ["class", "b"], ["sum"]), OpSpec("DEQUANTIZE", ["sum"], ["float"])]
    return tiny_models.build(tensors, ops, ["class", "b"], ["sum", "float"])


TWO = """
#include <cstdio>
#include "kws_model.h"
int main() {
  const float first[] = {1, 2, 3, 4};
  const float second[] = {0, 0.25f, 0.5f, 1000};
  const float* inputs[] = {first, second};
  float sum[kws_model::kOutputSumSize], real[kws_model::kOutputFloatSize];
  float* outputs[] = {sum, real};
  if (kws_model::Setup() != kws_model::Status::kOk) return 2;
  if (kws_model::Run(inputs, outputs) != kws_model::Status::kOk) return 3;
  std::fwrite(sum, 4, 4, stdout);
  std::fwrite(real, 4, 4, stdout);
}
"""


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    content = two_in_two_out()
    first, second = [[1, 2, 3, 4]], [[0, 0.25, 0.5, 1000]]
    values = {"class": np.array(first, np.float32), "b": np.array(second, np.float32)}
    answers = [
        np.array([[[2, 4, 6, -128]]], np.int8),
        np.array([[[1.5, np.nan, 1 / 3, -1e9]]], np.float32),
    ]
    project = Project(tmp_path, content, golden_of(content, values, answers))
    got = np.frombuffer(output_of(project.compile(TWO, answers)), np.float32)
    np.testing.assert_array_equal(got[:4], [1, 2, 3, -64])
    np.testing.assert_array_equal(got[4:], answers[1].ravel())
    line = json.loads(output_of(project.compile(CLOCK, answers)))
    assert line["runs"][0]["steps"] == [0, 0]
    # The float's quantum is the scale of the integers that it was made of, 0.5.
    wrong = [answers[0] + np.int8(1), answers[1] + np.float32(1.25)]
    program = project.compile(CLOCK, wrong)
    line = json.loads(subprocess.run([program], capture_output=True, check=False).stdout)
    assert line["runs"][0]["steps"] == [1, 2]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_harmless(tmp_path: Path, name: str) -> None:
    content = int8_classifier()
    identifier = c_identifier(name)
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*_model", identifier)
    files = render_sources(content, PROFILE, Golden(), name)
    assert {path.partition("/src/")[0] for path in files if "/src/" in path} == {
        f"microcontroller/{identifier}"
    }
    assert not any(".." in path.split("/") for path in files)
    library = json.loads(files[f"microcontroller/{identifier}/library.json"])
    assert library["name"] == identifier


def test_the_worst_names_compile(tmp_path: Path) -> None:
    """The model's name, and a tensor's name that would end a comment."""
    content = int8_classifier()
    root = tiny_models.unpack(content)
    root.subgraphs[0].tensors[root.subgraphs[0].inputs[0]].name = b"*/ ??/\nint x; \\"
    root.signatureDefs = None
    content = tiny_models.pack(root)
    golden = golden_of(content, VALUES, [ANSWERS])
    project = Project(tmp_path, content, golden, '*/ class "\n')
    main = project.root / "examples/golden_test_plain/main.cc"
    assert json.loads(output_of(project.compile(main, [ANSWERS])))["max_steps"] == 0


ARDUINO = """
#pragma once
#include <cstdio>
struct Port {
  void begin(long) {}
  void print(const char* text) { std::fputs(text, stdout); }
  explicit operator bool() const { return true; }
};
static Port Serial;
static unsigned long micros() { return 7; }
void setup();
int main() { setup(); }
"""
ESP_IDF = """
#include <cstdint>
static std::int64_t esp_timer_get_time() { return 7; }
extern "C" void app_main(void);
int main() { app_main(); }
"""


@pytest.mark.parametrize(
    ("example", "header", "shim"),
    [
        ("golden_test/golden_test.ino", "TensorFlowLite.h", ARDUINO),
        ("golden_test_esp_idf/app_main.cc", "esp_timer.h", ESP_IDF),
    ],
)
def test_the_examples_of_boards_print_the_line(
    project: Project, example: str, header: str, shim: str
) -> None:
    (project.folder / header).write_text(shim)
    main = (project.root / "examples" / example).read_text()
    program = project.compile(main, [ANSWERS], options=[f"-I{project.folder}"])
    line = json.loads(output_of(program))
    assert (line["status"], line["runs"][0]["microseconds"]) == ("ok", 0)


def test_two_models_live_in_one_firmware(tmp_path: Path, project: Project) -> None:
    files = render_sources(project.content, PROFILE, project.golden, "other")
    written(files, tmp_path)
    other = tmp_path / "microcontroller" / "other_model" / "src"
    main = (
        '#include "kws_model.h"\n#include "other_model.h"\n'
        "int main() {\n  return kws_model::Setup() == kws_model::Status::kOk &&\n"
        "         other_model::Setup() == other_model::Status::kOk ? 0 : 1;\n}\n"
    )
    sources = [str(path) for path in sorted((other / "other_model").glob("*.cc"))]
    output_of(project.compile(main, [ANSWERS], options=[f"-I{other}", *sources]))


def test_the_arena_is_the_measured_one(project: Project) -> None:
    def arena(**facts: int) -> str:
        profile = PROFILE.with_overrides(arena=facts.get("budget"))
        files = render_sources(
            project.content, profile, Golden(), "x", arena_bytes=facts.get("measured")
        )
        text = files["microcontroller/x_model/src/x_model/inference.h"].decode()
        (found,) = re.findall(r"#define X_MODEL_ARENA_BYTES (\d+)", text)
        return found

    assert arena(measured=1001, budget=4096) == "1008"
    assert arena(budget=4096) == "4096"
    assert arena() == str(64 * 1024)


def test_without_samples_there_is_no_golden_test(project: Project, tmp_path: Path) -> None:
    files = render_sources(project.content, PROFILE, Golden(), "x")
    assert not [path for path in files if "golden" in path]
    assert not [path for path, text in files.items() if b"golden" in text.lower()]


def test_golden_vectors_leave_room_in_the_flash(tmp_path: Path) -> None:
    content = passing("int8", 0.5, size=3000)
    values = np.zeros((8, 3000), np.float32)
    project = Project(tmp_path, content, golden_of(content, values, [np.zeros((8, 1, 3000), "i1")]))
    arrays = c_arrays(project.text("src/{id}/golden_data.cc"))
    assert {name: array.size for name, array in arrays.items()} == {
        "kGoldenInputX": 5 * 3000,
        "kGoldenOutputY": 5 * 3000,
    }
    assert 5 * 6000 <= MOST_GOLDEN_BYTES < 6 * 6000


def test_a_boundary_that_cpp_has_no_type_for_is_refused() -> None:
    content = passing("float16", None)
    with pytest.raises(UnsupportedModelError, match=r"'x' is of type float16; .* pass on int8"):
        render_sources(content, PROFILE, Golden(), "x")


def test_the_golden_arrays_are_what_tflm_computes(tmp_path: Path) -> None:
    if not availability("micro").available:
        pytest.skip("needs tflite-micro")
    content = int8_classifier()
    golden = golden_vectors(content, Samples({"x": VALUES}, source="test"), PROFILE)
    project = Project(tmp_path, content, golden)
    (embedded,) = c_arrays(project.text("src/{id}/model_data.cc")).values()
    arrays = c_arrays(project.text("src/{id}/golden_data.cc"))
    given = arrays["kGoldenInputX"].reshape(len(golden), 1, 16)
    (outcome,) = run_tasks("micro", [Task("golden", embedded.tobytes(), (given,))])
    np.testing.assert_array_equal(outcome.outputs[0].ravel(), arrays["kGoldenOutputScores"])
