"""How widely weights are stored, by scheme."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.verification.weights import expected_dtypes, misfits, stored_weights

PROFILES = {
    "int8": "mobile-int8",
    "int16x8": "microcontroller-int16x8",
    "float16": "mobile-float16",
    "dynamic-int8": "mobile-dynamic-int8",
    "weights-int4": "mobile-weights-int4",
}


def dense(dtype: str, inputs: int) -> TfliteModel:
    """FULLY_CONNECTED with 4 units; float16 weights are unpacked by a DEQUANTIZE."""
    quantized = dtype in ("int8", "int4")
    stored = np.zeros(4 * inputs, np.int8 if quantized else dtype)
    data = bytes(2 * inputs) if dtype == "int4" else stored
    scale = 0.1 if quantized else None
    tensors = [
        TensorSpec("x", (1, inputs), "float32"),
        TensorSpec("stored", (4, inputs), dtype, scale=scale, data=data),
        TensorSpec("unpacked", (4, inputs), "float32"),
        TensorSpec("y", (1, 4), "float32"),
    ]
    ops = [OpSpec("FULLY_CONNECTED", ["x", "stored", ""], ["y"])]
    if dtype == "float16":
        ops = [
            OpSpec("DEQUANTIZE", ["stored"], ["unpacked"]),
            OpSpec("FULLY_CONNECTED", ["x", "unpacked", ""], ["y"]),
        ]
    return TfliteModel.from_bytes(build(tensors, ops, ["x"], ["y"]))


@pytest.mark.parametrize(
    ("scheme", "fitting"),
    [
        ("int8", {"int8"}),
        ("int16x8", {"int8"}),
        ("float16", {"float16"}),
        ("dynamic-int8", {"int8"}),
        ("weights-int4", {"int4", "int8"}),
    ],
)
def test_large_weights(scheme: str, fitting: set[str]) -> None:
    profile = load_profile(PROFILES[scheme])
    for dtype in ("int4", "int8", "float16", "float32"):
        wrong = [tensor.dtype for _, tensor in misfits(dense(dtype, 256), profile)]
        assert wrong == ([] if dtype in fitting else [dtype]), dtype


def test_small_float_weights_stay_where_activations_are_float() -> None:
    small = dense("float32", 255)  # 1,020 values
    assert not list(misfits(small, load_profile("mobile-dynamic-int8")))
    assert list(misfits(small, load_profile("mobile-int8")))


def test_weights_are_found_behind_their_unpacking() -> None:
    ((op, tensor),) = stored_weights(dense("float16", 4))
    assert (op.name, tensor.name) == ("FULLY_CONNECTED", "stored")


def test_words() -> None:
    assert expected_dtypes(load_profile("mobile-weights-int4")) == "int4 or int8"
