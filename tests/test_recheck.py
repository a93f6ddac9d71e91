"""Verifying: bundles replayed and checked against their hashes, other files judged as they are."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tiny_models
from tests.conftest import TrainedModel
from tests.float_files import FloatFile, float_file
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.bundle import Bundle
from tfgreen.errors import (
    IntegrityError,
    InvalidDataError,
    InvalidModelError,
    MissingPathError,
    UsageError,
)
from tfgreen.flatbuffer import TfliteModel
from tfgreen.pipeline import export
from tfgreen.profile import load_profile
from tfgreen.recheck import input_specs, profile_for, verify
from tfgreen.signature import InputSpec
from tfgreen.tflite.boundary import with_boundary
from tfgreen.verification.certificate import Certificate, Check

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def keyword(keyword_model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> FloatFile:
    return float_file(keyword_model, tmp_path_factory)


@pytest.fixture(scope="module")
def bundle(keyword: FloatFile) -> Bundle:
    return export(
        keyword.path,
        keyword.calibration,
        profile="microcontroller-int8",
        evaluate=keyword.evaluation,
    )


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    return bundle.save(tmp_path / "kws")


@pytest.fixture
def lone(bundle: Bundle, tmp_path: Path) -> Path:
    path = tmp_path / "other.tflite"
    path.write_bytes(bundle.content)
    return path


def golden_checks(certificate: Certificate) -> dict[str, Check]:
    return {c.kernel_set: c for c in certificate.checks if c.name == "golden-vectors"}


def test_a_bundle_is_replayed_and_judged_again(bundle: Bundle, folder: Path) -> None:
    """Fidelity needs the float model, which a bundle does not carry."""
    certificate = verify(folder)
    assert certificate.passed and certificate.profile == "microcontroller-int8"
    assert certificate.model_sha256 == bundle.certificate.model_sha256
    statuses = {name: check.status for name, check in golden_checks(certificate).items()}
    assert statuses == dict.fromkeys(bundle.golden.outputs, "passed")
    assert [gate.status for gate in certificate.gates] == ["passed", "passed", "skipped", "passed"]
    assert certificate.samples.count == len(bundle.golden)


def test_with_the_float_model_and_samples_all_four_gates_run(
    bundle: Bundle, folder: Path, keyword: FloatFile
) -> None:
    certificate = verify(folder, against=keyword.path, evaluate=keyword.evaluation)
    assert [gate.status for gate in certificate.gates] == ["passed"] * 4
    assert certificate.sqnr_db == bundle.certificate.sqnr_db
    assert certificate.metrics == bundle.certificate.metrics


def test_a_bundle_brings_samples_of_its_own(folder: Path, keyword: FloatFile) -> None:
    certificate = verify(folder, against=keyword.path)
    assert certificate.gate("fidelity").status == "passed" and certificate.samples.count == 8
    assert certificate.metrics == ()


def test_another_float_model_fails_fidelity(
    folder: Path, keyword: FloatFile, tmp_path: Path
) -> None:
    root = tiny_models.unpack(keyword.content)
    largest = max((b for b in root.buffers if b.data is not None), key=lambda b: len(b.data))
    values = np.frombuffer(bytes(largest.data), np.float32)
    largest.data = np.frombuffer((-values).tobytes(), np.uint8)
    other = tmp_path / "other.tflite"
    other.write_bytes(tiny_models.pack(root))
    certificate = verify(folder, against=other, evaluate=keyword.evaluation)
    assert certificate.gate("fidelity").status == "failed" and not certificate.passed


def test_no_tensorflow_is_loaded(folder: Path) -> None:
    script = (
        "import sys, tfgreen\n"
        f"assert tfgreen.verify({str(folder)!r}).passed\n"
        "heavy = {'tensorflow', 'keras', 'ai_edge_quantizer'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=120)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", ["model.tflite", "golden.npz", "certificate.json"])
def test_a_changed_file_is_found_by_its_hash(folder: Path, name: str) -> None:
    flip_a_bit(folder / name)
    with pytest.raises(IntegrityError, match=name) as told:
        verify(folder)
    assert told.value.exit_code == 3


def test_a_missing_file_is_found(folder: Path) -> None:
    (folder / "golden.npz").unlink()
    with pytest.raises(IntegrityError, match="golden.npz"):
        verify(folder)


def test_a_machine_that_answers_otherwise_fails(bundle: Bundle, tmp_path: Path) -> None:
    """Here the golden answers are moved by a quantum, which comes to the same."""
    moved = {
        kernel_set: tuple((array ^ 1) for array in arrays)
        for kernel_set, arrays in bundle.golden.outputs.items()
    }
    golden = dataclasses.replace(bundle.golden, outputs=moved)
    certificate = verify(dataclasses.replace(bundle, golden=golden).save(tmp_path / "moved"))
    checks = golden_checks(certificate)
    assert checks["reference"].status == "failed" and certificate.verdict == "failed"
    assert checks["xnnpack"].status == "passed", "a quantum is within its limits"


def test_a_file_alone_is_judged_by_structure_and_kernels(lone: Path) -> None:
    certificate = verify(lone)
    assert certificate.profile == "mobile-int8" and certificate.passed
    assert certificate.gate("fidelity").status == "skipped"
    assert certificate.samples.origin == "random" and not golden_checks(certificate)


def test_a_file_alone_with_model_and_samples(lone: Path, keyword: FloatFile) -> None:
    certificate = verify(
        lone,
        against=keyword.path,
        evaluate=keyword.evaluation,
        profile="microcontroller-int8",
        samples=16,
    )
    assert [gate.status for gate in certificate.gates] == ["passed"] * 4
    assert certificate.profile == "microcontroller-int8" and certificate.samples.count == 16


def test_against_a_keras_file(lone: Path, keyword: FloatFile, keyword_model: TrainedModel) -> None:
    certificate = verify(lone, against=keyword_model.path, evaluate=keyword.evaluation, samples=16)
    assert certificate.gate("fidelity").status == "passed" and certificate.sqnr_db > 25


def test_a_profile_s_budgets_apply(lone: Path) -> None:
    rules = load_profile("mobile-int8").with_overrides(flash="1KB")
    certificate = verify(lone, profile=rules)
    assert certificate.gate("structure").status == "failed"
    assert any("1,024" in check.message for check in certificate.failed_checks)


def test_a_model_without_samples_is_refused(lone: Path, keyword: FloatFile) -> None:
    with pytest.raises(UsageError, match="--evaluate"):
        verify(lone, against=keyword.path)


def with_nan(evaluation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    x = evaluation["mfcc"].copy()
    x[7, 0, 0, 0] = np.nan
    return {**evaluation, "mfcc": x}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (with_nan, "1 NaN .* first in sample 7"),
        (lambda given: given["mfcc"][:, 1:], "48"),
        (lambda given: {**given, "extra": given["y"]}, "extra"),
        (lambda given: given["mfcc"][:0], "sample"),
    ],
    ids=["nan", "shape", "name", "none"],
)
def test_unusable_evaluation_data_are_refused(
    lone: Path, keyword: FloatFile, spoil: Callable[[Any], Any], words: str
) -> None:
    with pytest.raises(InvalidDataError, match=words):
        verify(lone, evaluate=spoil(keyword.evaluation))


def test_samples_that_fill_no_batch_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "batch.tflite"
    path.write_bytes(tiny_models.int8_conv(batch=4))
    images = np.random.default_rng(0).uniform(0, 1, (9, 6, 6, 3)).astype(np.float32)
    with pytest.raises(InvalidDataError, match="3 samples, and one call of the file takes 4"):
        verify(path, evaluate=images[:3])
    certificate = verify(path, evaluate=images)
    assert certificate.samples.count == 8


def test_what_is_no_file_and_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="nowhere"):
        verify(tmp_path / "nowhere.tflite")
    with pytest.raises(InvalidModelError):
        verify(tmp_path)
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(InvalidModelError):
        verify(tmp_path / "text.tflite")


def weights_of(dtype: str, activations: str = "float32") -> bytes:
    """FULLY_CONNECTED with weights of a type; `activations` computes in another."""
    scale = None if activations == "float32" else 0.1
    quantized = dtype not in ("float16", "float32")
    stored = bytes({"int4": 16, "int8": 32, "float16": 64, "float32": 128}[dtype])
    specs = [
        TensorSpec("x", (2, 8), activations, scale),
        TensorSpec("weights", (4, 8), dtype, 0.1 if quantized else None, data=stored),
        TensorSpec("y", (2, 4), activations, scale),
    ]
    op = OpSpec("FULLY_CONNECTED", ["x", "weights", ""], ["y"])
    return tiny_models.build(specs, [op], ["x"], ["y"])


@pytest.mark.parametrize(
    ("content", "name", "io"),
    [
        (weights_of("int8", "int8"), "mobile-int8", ("int8", "int8")),
        (
            with_boundary(weights_of("int8", "int8"), "uint8", "float32"),
            "mobile-int8",
            ("uint8", "float32"),
        ),
        (weights_of("int8", "int16"), "microcontroller-int16x8", ("int16", "int16")),
        (weights_of("int8"), "mobile-dynamic-int8", ("float32", "float32")),
        (weights_of("float16"), "mobile-float16", ("float32", "float32")),
        (weights_of("int4"), "mobile-weights-int4", ("float32", "float32")),
    ],
)
def test_the_profile_that_fits_a_file(content: bytes, name: str, io: tuple[str, str]) -> None:
    profile = profile_for(TfliteModel.from_bytes(content))
    assert profile.name == name and profile.batch == 2
    assert (profile.input_type, profile.output_type) == io


def test_layers_of_two_widths_are_int8_with_wider_ones() -> None:
    specs = [
        TensorSpec("x", (1, 4), scale=0.1),
        TensorSpec("small", (1, 4), scale=0.1),
        TensorSpec("wide", (1, 4), "int16", scale=0.001),
        TensorSpec("sum", (1, 4), "int16", scale=0.001),
        TensorSpec("y", (1, 4), scale=0.1),
    ]
    ops = [
        OpSpec("RELU", ["x"], ["small"]),
        OpSpec("QUANTIZE", ["small"], ["wide"]),
        OpSpec("ADD", ["wide", "wide"], ["sum"]),
        OpSpec("QUANTIZE", ["sum"], ["y"]),
    ]
    profile = profile_for(TfliteModel.from_bytes(tiny_models.build(specs, ops, ["x"], ["y"])))
    assert (profile.name, profile.wider_layers) == ("mobile-int8", "allowed")


def test_a_float_file_is_held_against_no_profile_but_a_named_one(tmp_path: Path) -> None:
    path = tmp_path / "float.tflite"
    path.write_bytes(weights_of("float32"))
    with pytest.raises(UsageError, match="not quantized.*--profile"):
        verify(path)
    certificate = verify(path, profile="mobile-int8")
    assert certificate.gate("structure").status == "failed"


def test_quantized_inputs_are_given_as_real_numbers() -> None:
    specs = [
        TensorSpec("token", (1, 3), "int32"),
        TensorSpec("image", (1, 4, 4, 1), scale=0.1),
        TensorSpec("y", (1, 4, 4, 1), scale=0.1),
    ]
    op = OpSpec("ADD", ["image", "image"], ["y"])
    content = tiny_models.build(specs, [op], ["token", "image"], ["y"])
    assert input_specs(TfliteModel.from_bytes(content)) == (
        InputSpec("token", (3,), "int32"),
        InputSpec("image", (4, 4, 1), "float32"),
    )
