"""Each published rule of the Edge TPU's compiler, kept and broken, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tests.targets import npu_files
from tests.tiny_models import OpSpec, TensorSpec, build, float_classifier, int8_classifier
from tfgreen.errors import InvalidModelError
from tfgreen.profile import load_profile
from tfgreen.targets.coral import EdgeTpuFit, check_edgetpu, coral_report
from tfgreen.targets.coral.rules import BREAKS
from tfgreen.targets.coral.table import edgetpu_table
from tfgreen.verification.certificate import Check

RELU = 1  # ActivationFunctionType
SHUFFLED = 1  # FullyConnectedOptionsWeightsFormat
POOL = {"filterWidth": 2, "filterHeight": 2, "strideW": 2, "strideH": 2}
MAPS = (1, 8, 8, 4)

Shape = tuple[int, ...]


def op(
    name: str,
    inputs: Sequence[Shape | np.ndarray],
    output: Shape,
    options: Mapping[str, Any] | None = None,
) -> bytes:
    """A file of one op; arrays are constants: int32 plain, int8 with the zero point 3."""
    tensors = []
    for number, given in enumerate(inputs):
        if isinstance(given, np.ndarray) and given.dtype == np.int32:
            tensors.append(TensorSpec(f"in {number}", given.shape, "int32", data=given))
        else:
            data = given if isinstance(given, np.ndarray) else None
            shape = given.shape if isinstance(given, np.ndarray) else given
            tensors.append(TensorSpec(f"in {number}", shape, "int8", 0.1, 3, data=data))
    graph_inputs = [tensor.name for tensor in tensors if tensor.data is None]
    names = [tensor.name for tensor in tensors]
    tensors.append(TensorSpec("out", output, "int8", 0.1, 3))
    return build(tensors, [OpSpec(name, names, ["out"], options or {})], graph_inputs, ["out"])


def ints(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


def stored(*shape: int, value: int = 7) -> np.ndarray:
    return np.full(shape, value, np.int8)


def objected(content: bytes) -> bool:
    return bool(check_edgetpu(content).objections)


KEPT_AND_BROKEN = {
    "average pooling with an activation": (
        op("AVERAGE_POOL_2D", [MAPS], (1, 4, 4, 4), POOL),
        op("AVERAGE_POOL_2D", [MAPS], (1, 4, 4, 4), {**POOL, "fusedActivationFunction": RELU}),
    ),
    "concatenation with an activation": (
        op("CONCATENATION", [(1, 4), (1, 4)], (1, 8), {"axis": 1}),
        op("CONCATENATION", [(1, 4)] * 2, (1, 8), {"axis": 1, "fusedActivationFunction": RELU}),
    ),
    "concatenation with a constant that is not zero": (
        op("CONCATENATION", [(1, 4), stored(1, 4, value=3)], (1, 8), {"axis": 1}),
        op("CONCATENATION", [(1, 4), stored(1, 4)], (1, 8), {"axis": 1}),
    ),
    "concatenation of zeros and two inputs": (
        op("CONCATENATION", [(1, 4), (1, 4), (1, 4)], (1, 12), {"axis": 1}),
        op("CONCATENATION", [(1, 4), (1, 4), stored(1, 4, value=3)], (1, 12), {"axis": 1}),
    ),
    "dilations that differ": (
        op("CONV_2D", [MAPS, stored(2, 3, 3, 4)], (1, 8, 8, 2), {"dilationHFactor": 2,
           "dilationWFactor": 2}),
        op("CONV_2D", [MAPS, stored(2, 3, 3, 4)], (1, 8, 8, 2), {"dilationHFactor": 2,
           "dilationWFactor": 1}),
    ),
    "a kernel that is computed": (
        op("DEPTHWISE_CONV_2D", [MAPS, stored(1, 3, 3, 4)], MAPS),
        op("DEPTHWISE_CONV_2D", [MAPS, (1, 3, 3, 4)], MAPS),
    ),
    "shuffled weights": (
        op("FULLY_CONNECTED", [(1, 8), stored(2, 8)], (1, 2)),
        op("FULLY_CONNECTED", [(1, 8), stored(2, 8)], (1, 2), {"weightsFormat": SHUFFLED}),
    ),
    "a dense layer over positions": (
        op("FULLY_CONNECTED", [(1, 1, 8), stored(2, 8)], (1, 1, 2)),
        op("FULLY_CONNECTED", [(1, 5, 8), stored(2, 8)], (1, 5, 2)),
    ),
    "the mean of the batch": (
        op("MEAN", [MAPS, ints(1, 2)], (1, 4)),
        op("MEAN", [MAPS, ints(0, 1)], (8, 4)),
    ),
    "the mean of a depth of 6": (
        op("MEAN", [(1, 8, 8, 8), ints(-1)], (1, 8, 8)),
        op("MEAN", [(1, 8, 8, 6), ints(-1)], (1, 8, 8)),
    ),
    "axes that are computed": (
        op("SUM", [MAPS, ints(1)], (1, 8, 4)),
        op("SUM", [MAPS, (1,)], (1, 8, 4)),
    ),
    "the sum of the batch": (
        op("SUM", [MAPS, ints(3)], (1, 8, 8)),
        op("SUM", [MAPS, ints(-4)], (8, 8, 4)),
    ),
    "packing along the batch": (
        op("PACK", [(1, 4), (1, 4)], (1, 2, 4), {"axis": 1}),
        op("PACK", [(1, 4), (1, 4)], (2, 1, 4), {"axis": 0}),
    ),
    "splitting the batch": (
        op("SPLIT", [ints(1), (1, 4)], (1, 4)),
        op("SPLIT", [ints(0), (1, 4)], (1, 4)),
    ),
    "padding the batch": (
        op("PAD", [MAPS, ints([0, 0], [1, 1], [1, 1], [0, 0])], (1, 10, 10, 4)),
        op("PAD", [(1, 8, 4), ints([1, 0], [0, 0], [0, 0])], (2, 8, 4)),
    ),
    "an alpha a place": (
        op("PRELU", [MAPS, stored(1, 1, 4)], MAPS),
        op("PRELU", [MAPS, stored(8, 8, 4)], MAPS),
    ),
    "softmax over rows": (
        op("SOFTMAX", [(1, 10)], (1, 10)),
        op("SOFTMAX", [(1, 5, 10)], (1, 5, 10)),
    ),
    "softmax of many": (
        op("SOFTMAX", [(1, 16_000)], (1, 16_000)),
        op("SOFTMAX", [(1, 16_001)], (1, 16_001)),
    ),
    "a stride of two": (
        op("STRIDED_SLICE", [(1, 8), ints(0, 0), ints(1, 4), ints(1, 1)], (1, 4)),
        op("STRIDED_SLICE", [(1, 8), ints(0, 0), ints(1, 8), ints(1, 2)], (1, 4)),
    ),
    "a new axis": (
        op("STRIDED_SLICE", [(1, 8), ints(0, 0), ints(1, 4), ints(1, 1)], (1, 4)),
        op("STRIDED_SLICE", [(1, 8), ints(0, 0), ints(1, 4), ints(1, 1)], (1, 4),
           {"newAxisMask": 1}),
    ),
    "four dimensions above 1": (
        op("ADD", [(1, 8, 8, 4)] * 2, (1, 8, 8, 4)),
        op("ADD", [(2, 8, 8, 4)] * 2, (2, 8, 8, 4)),
    ),
    "an op that the Edge TPU lacks": (
        op("LOGISTIC", [(1, 8)], (1, 8)),
        op("HARD_SWISH", [(1, 8)], (1, 8)),
    ),
    "an op without its inputs": (
        op("PAD", [(1, 8), ints([0, 0], [1, 1])], (1, 10)),
        op("PAD", [(1, 8)], (1, 10)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT_AND_BROKEN)
def test_rule(name: str) -> None:
    kept, broken = KEPT_AND_BROKEN[name]
    assert not objected(kept)
    assert objected(broken)


def test_the_table_is_whole() -> None:
    table = edgetpu_table()
    profile = load_profile("coral-edgetpu-int8")
    assert {*table.rows, "DEQUANTIZE"} == set(profile.ops or ())
    used = {rule for row in table.rows.values() for rule in row.rules}
    assert used == set(BREAKS)
    assert all(row.told and row.way_out for row in table.rows.values() if row.rules)
    assert table.source.startswith("https://coral.ai/")


def checks_of(fit: EdgeTpuFit) -> dict[str, Check]:
    return {check.name: check for check in coral_report(fit).checks}


def test_a_file_that_fits() -> None:
    fit = check_edgetpu(int8_classifier())
    assert (fit.op_count, fit.mapped_op_count, fit.mapped_macs) == (2, 2, 16 * 4)
    report = coral_report(fit)
    assert {check.status for check in report.checks} == {"passed"}
    assert "edgetpu_compiler -s model.tflite" in report.notes[0]
    assert "cannot be had here" in report.notes[0]
    assert report.files == {}
    facts = json.loads(json.dumps(report.facts, allow_nan=False))
    assert "runtime 14" in facts["edgetpu"]["table"]


def test_everything_after_the_first_objection_stays_on_the_cpu() -> None:
    fit = check_edgetpu(npu_files.conv_and_gather())
    assert (fit.op_count, fit.mapped_op_count) == (2, 1)
    found = checks_of(fit)
    assert found["edgetpu-mapping"].status == found["edgetpu-op"].status == "warning"
    assert "takes 1 of 2 ops, 100 % of the multiply-acc" in found["edgetpu-mapping"].message
    assert "GATHER 'm_1/pick_1/GatherV2' of layer 'pick'" in found["edgetpu-op"].message


def test_nothing_mapped_fails() -> None:
    found = checks_of(check_edgetpu(npu_files.many_gathers(13)))
    assert found["edgetpu-mapping"].status == "failed"
    assert "takes none of 13 ops" in found["edgetpu-mapping"].message
    assert found["edgetpu-op"].message == "The Edge TPU does not take 3 more ops."


def test_conversions_at_the_boundary_are_not_counted() -> None:
    fit = check_edgetpu(npu_files.conv_between_floats())
    assert (fit.op_count, fit.mapped_op_count, fit.refusals) == (1, 1, ())


def test_float_files_are_refused() -> None:
    found = checks_of(check_edgetpu(float_classifier()))
    assert found["edgetpu-tensors"].status == "failed"
    assert "computes in float32" in found["edgetpu-tensors"].message
    assert "edgetpu-mapping" not in found


def test_what_the_page_leaves_open_is_a_note() -> None:
    content = op("RESIZE_BILINEAR", [MAPS, ints(16, 16)], (1, 16, 16, 4))
    report = coral_report(check_edgetpu(content))
    assert {check.status for check in report.checks} == {"passed"}
    assert report.notes[1].endswith("may leave on the CPU: RESIZE_BILINEAR 'out'.")


def test_weights_beyond_the_chip_are_a_warning() -> None:
    big = op("FULLY_CONNECTED", [(1, 9000), stored(1000, 9000)], (1, 1000))
    memory = checks_of(check_edgetpu(big))["edgetpu-memory"]
    assert (memory.status, memory.measured) == ("warning", 9_000_000)


def test_damaged_files_are_refused() -> None:
    with pytest.raises(InvalidModelError):
        check_edgetpu(b"TFL3" * 10)
