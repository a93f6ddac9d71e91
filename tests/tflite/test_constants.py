"""Constants computed from constants, with their steps."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tflite import trained_files
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.tflite.constants import Constant, computed_constants


def constants(content: bytes) -> dict[str, Constant]:
    model = TfliteModel.from_bytes(content)
    return {model.tensors[i].name: value for i, value in computed_constants(model).items()}


def test_rounded_weights_keep_their_steps_through_a_transpose() -> None:
    found = constants(trained_files.dense())
    assert set(found) == {"weights_steps", "rounded_weights", "turned"}
    turned = found["turned"]
    # 0.5 / 0.01 = 50, 1.27 / 0.02 = 63.5 → 64 (half away from zero), 0.1 / 0.02 = 5
    assert turned.stored.tolist() == [[50, -100, 24], [64, 5, -30]]
    assert turned.axis == 0 and turned.bits == 8
    np.testing.assert_array_equal(turned.scales, np.float32([0.01, 0.02]))
    np.testing.assert_array_equal(
        turned.real, np.float32([[50, -100, 24], [64, 5, -30]]) * turned.scales[:, None]
    )
    assert found["rounded_weights"].axis == 1


def test_one_step_for_all_has_no_axis() -> None:
    turned = constants(trained_files.dense(weight_scales=(0.02,)))["turned"]
    assert turned.axis is None and turned.stored.tolist() == [[25, -50, 12], [64, 5, -30]]


def test_four_bits_keep_to_seven_steps_on_either_side() -> None:
    turned = constants(trained_files.dense(weight_scales=(0.1,), weight_dtype="uint4"))["turned"]
    # 1.27 / 0.1 = 12.7 and -1.0 / 0.1 = -10 lie outside of the narrow range -7..7
    assert turned.stored.tolist() == [[5, -7, 2], [7, 1, -6]] and turned.bits == 4


def test_asymmetric_steps_leave_the_value_alone() -> None:
    content = _rounded(np.float32([-0.5, 0.0, 2.5]), "uint8", 0.02, 100)
    rounded = constants(content)["reshaped"]
    assert rounded.stored is None
    np.testing.assert_allclose(rounded.real, [-0.5, 0.0, 2.5], atol=1e-6)


@pytest.mark.parametrize(
    ("after", "axis"), [((2, 1, 3), 2), ((1, 2, 3), 2), ((2, 3), 1), ((6,), None)]
)
def test_a_reshape_moves_the_axis_or_loses_it(after: tuple[int, ...], axis: int | None) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3) / 10
    content = _rounded(values, "uint8", (0.1, 0.2, 0.1), 128, after)
    made = constants(content)["reshaped"]
    assert made.axis == axis and made.real.shape == after
    assert (made.stored is None) == (axis is None)


def test_stored_constants_and_activations_are_no_computed_ones() -> None:
    names = constants(trained_files.dense())
    assert not {"weights", "bias", "x_rounded", "y", "y_rounded"} & set(names)


def _rounded(
    values: np.ndarray,
    dtype: str,
    scale: float | tuple[float, ...],
    zero_point: int,
    after: tuple[int, ...] | None = None,
) -> bytes:
    after = after or values.shape
    tensors = [
        TensorSpec("x", after, "float32"),
        TensorSpec("real", values.shape, "float32", data=values),
        TensorSpec("steps", values.shape, dtype, scale, zero_point, axis=values.ndim - 1),
        TensorSpec("back", values.shape, "float32"),
        TensorSpec("shape", (len(after),), "int32", data=np.array(after, np.int32)),
        TensorSpec("reshaped", after, "float32"),
        TensorSpec("y", after, "float32"),
    ]
    ops = [
        OpSpec("QUANTIZE", ["real"], ["steps"]),
        OpSpec("DEQUANTIZE", ["steps"], ["back"]),
        OpSpec("RESHAPE", ["back", "shape"], ["reshaped"]),
        OpSpec("ADD", ["x", "reshaped"], ["y"]),
    ]
    return build(tensors, ops, ["x"], ["y"])
