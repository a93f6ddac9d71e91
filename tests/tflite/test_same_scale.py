"""Ranges handed through ops that only move values."""

from __future__ import annotations

import numpy as np

from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.tflite.same_scale import handed_through, with_equal_reversals


def floats(*names: str) -> list[TensorSpec]:
    return [TensorSpec(name, (1, 2), "float32") for name in names]


SHAPE = TensorSpec("shape", (2,), "int32", data=np.array([1, 2], np.int32))


def chain(*ops: OpSpec, names: str, outputs: tuple[str, ...] = ("d",)) -> TfliteModel:
    return TfliteModel.from_bytes(build([*floats(*names), SHAPE], ops, ["a"], outputs))


def move(source: str, target: str) -> OpSpec:
    return OpSpec("RESHAPE", [source, "shape"], [target])


def test_a_range_goes_on_in_both_directions() -> None:
    model = chain(OpSpec("RELU", ["a"], ["b"]), move("b", "c"), move("c", "d"), names="abcd")
    assert handed_through(model, {"b": (0.0, 2.0)}) == dict.fromkeys("bcd", (0.0, 2.0))
    assert handed_through(model, {"d": (0.0, 3.0)}) == dict.fromkeys("bcd", (0.0, 3.0))


def test_ops_that_compute_end_it() -> None:
    model = chain(move("a", "b"), OpSpec("RELU", ["b"], ["c"]), move("c", "d"), names="abcd")
    assert set(handed_through(model, {"a": (0.0, 1.0)})) == {"a", "b"}


def test_a_trained_range_is_never_replaced() -> None:
    model = chain(OpSpec("RELU", ["a"], ["b"]), move("b", "d"), names="abd")
    own = {"b": (0.0, 2.0), "d": (0.0, 1.0)}
    assert handed_through(model, own) == own


def test_several_readers_and_inputs_keep_what_is_theirs() -> None:
    ops = (OpSpec("RELU", ["a"], ["b"]), move("b", "c"), OpSpec("ADD", ["b", "c"], ["d"]))
    assert handed_through(chain(*ops, names="abcd"), {"c": (0.0, 1.0)}) == {"c": (0.0, 1.0)}
    assert set(handed_through(chain(move("a", "d"), names="ad"), {"d": (0.0, 1.0)})) == {"d"}


def test_what_is_joined_gets_the_range_of_the_joint() -> None:
    tensors = [*floats("a", "b", "c"), TensorSpec("d", (1, 4), "float32")]
    ops = [
        OpSpec("RELU", ["a"], ["b"]),
        OpSpec("TANH", ["a"], ["c"]),
        OpSpec("CONCATENATION", ["b", "c"], ["d"], {"axis": 1}),
    ]
    model = TfliteModel.from_bytes(build(tensors, ops, ["a"], ["d"]))
    assert handed_through(model, {"d": (-1.0, 4.0)}) == dict.fromkeys("bcd", (-1.0, 4.0))
    # two different ranges go in: neither is the joint's
    assert "d" not in handed_through(model, {"b": (0.0, 1.0), "c": (-1.0, 1.0)})


def test_both_sides_of_a_reversal_have_the_range_of_what_it_is_joined_with() -> None:
    axis = TensorSpec("axis", (1,), "int32", data=np.array([1], np.int32))
    tensors = [*floats("a", "b", "c", "r"), SHAPE, axis, TensorSpec("d", (1, 4), "float32")]
    ops = [
        OpSpec("RELU", ["a"], ["b"]),
        move("b", "c"),
        OpSpec("REVERSE_V2", ["c", "axis"], ["r"]),
        OpSpec("CONCATENATION", ["b", "r"], ["d"], {"axis": 1}),
    ]
    model = TfliteModel.from_bytes(build(tensors, ops, ["a"], ["d"]))
    own = {"a": (-1.0, 1.0), "b": (0.0, 1.0), "c": (0.0, 1.0), "r": (0.0, 1.0), "d": (-2.0, 3.0)}
    equal = with_equal_reversals(model, own)
    assert equal == {**own, "c": (-2.0, 3.0), "r": (-2.0, 3.0)}
    assert with_equal_reversals(model, {"a": (-1.0, 1.0)}) == {"a": (-1.0, 1.0)}
