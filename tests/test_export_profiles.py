"""Every bundled profile, from a float file and data to a bundle whose gates have passed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conftest import TrainedModel
from tests.float_files import FloatFile, float_file
from tfgreen.bundle import Bundle
from tfgreen.flatbuffer import TfliteModel
from tfgreen.pipeline import export
from tfgreen.profile import list_profiles, load_profile
from tfgreen.runtimes import availability
from tfgreen.stack import installed_version
from tfgreen.targets.ethos_u import compile_for_npu

INT8 = (
    "coral-edgetpu-int8",
    "ethos-u55-int8",
    "ethos-u65-int8",
    "ethos-u85-int8",
    "microcontroller-int8",
    "mobile-int8",
    "raspberry-pi-int8",
)
FLOAT_BETWEEN_OPS = {
    "mobile-float16": "float16",
    "mobile-dynamic-int8": "int8",
    "mobile-weights-int4": "int4",
}


@pytest.fixture(scope="module")
def keyword(keyword_model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> FloatFile:
    return float_file(keyword_model, tmp_path_factory)


@pytest.fixture(scope="module")
def autoencoder(
    autoencoder_model: TrainedModel, tmp_path_factory: pytest.TempPathFactory
) -> FloatFile:
    return float_file(autoencoder_model, tmp_path_factory)


def exported(source: FloatFile, name: str, labelled: bool = True, **options: Any) -> Bundle:
    needs_calibration = load_profile(name).needs_calibration
    evaluation = source.evaluation
    if not labelled:
        evaluation = {key: array for key, array in evaluation.items() if key != "y"}
    bundle = export(
        source.path,
        source.calibration if needs_calibration else None,
        profile=name,
        evaluate=evaluation,
        **options,
    )
    assert bundle.certificate.passed and bundle.profile.name == name
    assert [gate.status for gate in bundle.certificate.gates] == ["passed"] * 4
    return bundle


def boundary_types(bundle: Bundle) -> tuple[str, ...]:
    model = TfliteModel.from_bytes(bundle.content)
    return tuple(model.tensors[i].dtype for i in (*model.inputs, *model.outputs))


def inner_types(bundle: Bundle) -> set[str]:
    """Dtypes of what the ops compute, but for the last at the boundary."""
    model = TfliteModel.from_bytes(bundle.content)
    return {
        model.tensors[i].dtype for op in model.ops for i in op.outputs if i not in model.outputs
    }


def test_these_are_all() -> None:
    assert set(list_profiles()) == {*INT8, "microcontroller-int16x8", *FLOAT_BETWEEN_OPS}


@pytest.mark.parametrize("name", INT8)
def test_int8(keyword: FloatFile, name: str) -> None:
    bundle = exported(keyword, name)
    assert boundary_types(bundle) == ("int8", "int8") and inner_types(bundle) == {"int8"}
    assert len(bundle.content) < 0.7 * len(keyword.content)
    assert bundle.certificate.sqnr_db > 25 and bundle.certificate.agreement >= 0.97
    assert set(bundle.golden.outputs) == {
        kernel_set
        for kernel_set in (*bundle.profile.kernel_sets.runs, "reference")
        if availability(kernel_set).available
    }
    assert len(bundle.golden) == 8
    assert_fits_its_npu(bundle)


def assert_fits_its_npu(bundle: Bundle) -> None:
    """Vela's figures as they are in the certificate; the compiled file lies in the bundle."""
    found, expected = bundle.certificate.target, set()
    if bundle.profile.edgetpu_rules:
        expected = {"edgetpu"}
        ops = len(TfliteModel.from_bytes(bundle.content).ops)
        assert found["edgetpu"]["mapped_op_count"] == found["edgetpu"]["op_count"] == ops
        assert any("edgetpu_compiler -s model.tflite" in note for note in bundle.certificate.notes)
    if bundle.profile.vela is not None and installed_version("ethos-u-vela"):
        expected = {"npu"}
        direct = compile_for_npu(bundle.content, bundle.profile)
        assert bundle.target_files["model_vela.tflite"] == direct.content
        assert found["npu"] == direct.to_facts()
        assert found["npu"]["cpu_ops"] == []
        assert found["npu"]["npu_share_of_macs"] == 1
    assert {"npu", "edgetpu"} & set(found) == expected


def test_16_bits(autoencoder: FloatFile) -> None:
    bundle = exported(autoencoder, "microcontroller-int16x8")
    assert boundary_types(bundle) == ("int16", "int16") and inner_types(bundle) == {"int16"}
    assert bundle.certificate.sqnr_db > 40


@pytest.mark.parametrize("name", FLOAT_BETWEEN_OPS)
def test_float_between_ops(autoencoder: FloatFile, name: str) -> None:
    """Judged by the answers: the mean error of a small autoencoder does not bear 4 bits."""
    bundle = exported(autoencoder, name, labelled=name != "mobile-weights-int4")
    assert boundary_types(bundle) == ("float32", "float32") and inner_types(bundle) == {"float32"}
    model = TfliteModel.from_bytes(bundle.content)
    stored = {t.dtype for t in model.tensors if t.is_constant and t.size_bytes > 2000}
    assert stored == {FLOAT_BETWEEN_OPS[name]}
    assert bundle.calibration_sha256 is None


@pytest.mark.skipif(not availability("micro").available, reason=availability("micro").reason)
@pytest.mark.parametrize("io", ["float32", "uint8", "uint8:float32"])
def test_microcontrollers_run_every_boundary(keyword: FloatFile, io: str) -> None:
    bundle = exported(keyword, "microcontroller-int8", io=io)
    given, _, answered = io.partition(":")
    assert boundary_types(bundle) == (given, answered or given)
    facts = bundle.certificate.kernel_sets["micro"]
    assert facts.role == "truth" and facts.available
    assert bundle.certificate.arena_bytes > 10_000
    (answers,) = bundle.golden.outputs["micro"]
    assert answers.dtype == np.dtype(answered or given) and answers.shape == (8, 1, 12)
