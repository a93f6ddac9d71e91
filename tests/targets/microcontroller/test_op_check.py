"""The op check: each fault by name, with its layer and what to change."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import tiny_models
from tests.targets.microcontroller import files
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.runtimes import availability
from tfgreen.targets.microcontroller.op_check import check_ops
from tfgreen.targets.microcontroller.op_resolver import resolver_functions
from tfgreen.targets.microcontroller.registered_ops import registered_ops
from tfgreen.verification import Check

MICRO = load_profile("microcontroller-int8")


def found(content: bytes) -> list[Check]:
    return list(check_ops(TfliteModel.from_bytes(content), MICRO))


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (files.missing_op, "ops", ["layer 'activation'", "GELU", "use the activation relu"]),
        (files.weight_only, "surplus-conversion", ["layer 'dense'", "first channel's", "export"]),
        (files.hybrid, "float-island", ["layer 'dense'", "refuses", "with calibration samples"]),
        (files.half_floats, "half-floats", ["float16", "profile microcontroller-int8"]),
        (files.external, "external-constants", ["'weights'", "inline_external_buffers"]),
        (files.late_version, "op-version", ["layer 're_lu'", "version 77", "export again"]),
    ],
)
def test_each_fault_is_one_sentence_with_a_way_out(
    make: Callable[[], bytes], name: str, words: list[str]
) -> None:
    first = found(make())[0]
    assert (first.gate, first.name, first.status) == ("structure", name, "failed")
    assert first.message.count(". ") == 0 and first.message.endswith(".")
    for word in words:
        assert word in first.message


def test_a_sound_file_passes_with_one_check() -> None:
    (check,) = found(tiny_models.int8_classifier())
    assert (check.name, check.status, check.measured) == ("micro-ops", "passed", 2)
    assert "tflite-micro" in check.message and str(registered_ops().dated) in check.message


def test_an_op_that_only_the_profile_names_is_the_firmware_s() -> None:
    """A copy of the profile that says so: the firmware registers a kernel of its own."""
    own = MICRO.model_copy(update={"ops": (*(MICRO.ops or ()), "GELU")})
    warning, passed = check_ops(TfliteModel.from_bytes(files.missing_op()), own)
    assert (warning.status, passed.status) == ("warning", "passed")
    assert "kernel of its own" in warning.message
    assert (passed.measured, "has every other op" in passed.message) == (0, True)


def test_ops_that_only_the_body_of_a_loop_runs_are_looked_at() -> None:
    root = tiny_models.unpack(tiny_models.int8_classifier())
    body = tiny_models.unpack(files.missing_op())
    (operator,) = body.subgraphs[0].operators
    operator.opcodeIndex = len(root.operatorCodes)
    root.operatorCodes += body.operatorCodes
    for tensor in body.subgraphs[0].tensors:
        tensor.buffer = 0
    root.subgraphs += body.subgraphs
    (check,) = found(tiny_models.pack(root))
    assert (check.name, check.status, check.op) == ("ops", "failed", "GELU")
    assert "GELU, which the body of a loop or a branch runs" in check.message
    assert "use the activation relu" in check.message


def test_no_more_than_ten_are_named() -> None:
    tensors = [TensorSpec(f"t{i}", (1, 8), scale=0.1) for i in range(13)]
    ops = [OpSpec("GELU", [f"t{i}"], [f"t{i + 1}"], version=2) for i in range(12)]
    assert len(found(build(tensors, ops, ["t0"], ["t12"]))) == 10


def test_the_table_the_profile_and_the_resolver_name_the_same_ops() -> None:
    """Three lists found in three ways: by loading files, for the profile, and from symbols."""
    table = set(registered_ops().highest_version)
    assert table == set(MICRO.ops or ())
    assert table == {name for name in resolver_functions() if ":" not in name}
    assert min(registered_ops().highest_version.values()) >= 1


@pytest.mark.skipif(not availability("micro").available, reason=availability("micro").reason)
def test_the_table_is_of_the_tflm_that_is_installed() -> None:
    assert registered_ops().source == f"tflite-micro {availability('micro').version}"
