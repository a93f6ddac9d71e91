"""Our plan of the arena's head against the head that TensorFlow Lite Micro prints."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from tests import tiny_models
from tests.conftest import TrainedModel
from tests.encodings.networks import layer
from tests.reference.families import FAMILIES, drawn
from tests.reference.whole_models import quantized_file
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.encodings.candidates import candidate
from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.packing import pack
from tfgreen.flatbuffer.schema import load_schema
from tfgreen.runtimes import Outcome, Task, availability, run_tasks
from tfgreen.targets.microcontroller.planner import Buffer, Plan, plan_arena

needs_micro = pytest.mark.skipif(
    not availability("micro").available, reason=availability("micro").reason
)


def run(content: bytes) -> Task:
    model = TfliteModel.from_bytes(content)
    tensors = [model.tensors[index] for index in model.inputs]
    inputs = tuple(np.zeros((1, *tensor.shape), tensor.dtype) for tensor in tensors)
    return Task("the file", content, inputs)


def heads(contents: list[bytes]) -> list[tuple[int, int]]:
    """Ours and TFLM's of every file."""
    outcomes = run_tasks("micro", [run(content) for content in contents])
    pairs = []
    for content, outcome in zip(contents, outcomes, strict=True):
        assert outcome.ok, outcome.message
        plan = plan_arena(TfliteModel.from_bytes(content))
        assert plan is not None
        pairs.append((plan.head_bytes, _printed(outcome)))
    return pairs


def _printed(outcome: Outcome) -> int:
    assert outcome.arena_head_bytes is not None
    return outcome.arena_head_bytes


def random_graph(seed: int) -> bytes:
    """Concatenations and activations of tensors that live for long and for short."""
    rng = np.random.default_rng(seed)
    sizes, ops = [int(rng.integers(1, 400))], []
    for step in range(1, int(rng.integers(3, 25))):
        first, second = (int(rng.integers(max(0, step - 6), step)) for _ in range(2))
        if rng.random() < 0.5:
            sizes.append(sizes[first])
            ops.append(OpSpec("RELU", [f"t{first}"], [f"t{step}"]))
        else:
            sizes.append(min(3000, sizes[first] + sizes[second]))
            joined = sizes[first] + sizes[second] == sizes[-1]
            names = [f"t{first}", f"t{second}"] if joined else [f"t{first}"]
            sizes[-1] = sizes[-1] if joined else sizes[first]
            ops.append(OpSpec("CONCATENATION", names, [f"t{step}"]))
    tensors = [TensorSpec(f"t{i}", (1, size), scale=0.1) for i, size in enumerate(sizes)]
    return build(tensors, ops, ["t0"], [f"t{len(sizes) - 1}"])


@needs_micro
def test_random_graphs_are_planned_as_tflm_does() -> None:
    """Ties, gaps, and tensors that nothing reads: 40 graphs of up to 24 ops."""
    ours, theirs = zip(*heads([random_graph(seed) for seed in range(40)]), strict=True)
    assert ours == theirs
    assert len(set(ours)) > 30


@needs_micro
def test_every_family_of_ops_asks_for_the_working_memory_that_is_planned() -> None:
    cases = [case for strategy in FAMILIES.values() for case in drawn(strategy, 4)]
    outcomes = run_tasks("micro", [run(case.content) for case in cases])
    ran = [(c, o) for c, o in zip(cases, outcomes, strict=True) if o.ok]
    assert len(ran) > 180
    for case, outcome in ran:
        plan = plan_arena(TfliteModel.from_bytes(case.content))
        assert plan is not None
        assert plan.head_bytes == _printed(outcome), case.told


@needs_micro
def test_packed_weights_are_unpacked_into_planned_buffers() -> None:
    dense = TfliteModel.from_bytes(layer(zeros=0.8, values=7))
    packed = [candidate(dense, encoding) for encoding in ("lut", "decode")]
    ours, theirs = zip(*heads([one.content for one in packed if one]), strict=True)
    assert ours == theirs
    assert min(ours) > 16 * 3 * 3 * 32  # the unpacked weights lie in the head


@pytest.mark.slow
@needs_micro
def test_trained_models(
    keyword_model: TrainedModel,
    residual_model: TrainedModel,
    autoencoder_model: TrainedModel,
    conv1d_model: TrainedModel,
    attention_model: TrainedModel,
    two_branch_model: TrainedModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    models = [keyword_model, residual_model, autoencoder_model, conv1d_model]
    models += [attention_model, two_branch_model]
    ours, theirs = zip(
        *heads([quantized_file(model, tmp_path_factory) for model in models]), strict=True
    )
    assert ours == theirs


def offline(content: bytes, offsets: list[int]) -> bytes:
    """The file with places for its tensors, as Vela writes them."""
    root, schema = copy.copy(TfliteModel.from_bytes(content).root), load_schema()
    numbers = np.array([1, 0, len(offsets), *offsets], np.int32)
    root.buffers = [*root.buffers, schema.BufferT(data=numbers.view(np.uint8))]
    name = b"OfflineMemoryAllocation"
    root.metadata = [schema.MetadataT(name=name, buffer=len(root.buffers) - 1)]
    return pack(root, content)


@needs_micro
def test_places_that_the_file_gives_are_kept() -> None:
    tensors = [TensorSpec(name, (1, 100), scale=0.1) for name in "xaby"]
    ops = [OpSpec("RELU", ["x"], ["a"]), OpSpec("ADD", ["a", "x"], ["b"])]
    ops.append(OpSpec("ADD", ["b", "x"], ["y"]))
    content = build(tensors, ops, ["x"], ["y"])
    places = ([-1] * 4, [0, 112, 224, 336], [0, 1000, -1, -1], [-1, -1, 2000, 0])
    found = heads([offline(content, place) for place in places])
    assert found == [(336, 336), (448, 448), (1112, 1112), (2112, 2112)]


def test_a_plan_by_hand() -> None:
    """x (16) and a (32) together, then a and y (16): y takes the place of x.

    Steps: x lives 0-1, a 1-2, y 2. The largest first: a at 0, then y at 32, and x at 32.
    """
    tensors = [TensorSpec(name, (1, size), scale=0.1) for name, size in (("x", 10), ("y", 10))]
    tensors.append(TensorSpec("a", (1, 20), scale=0.1))
    ops = [OpSpec("CONCATENATION", ["x", "x"], ["a"]), OpSpec("SLICE", ["a"], ["y"])]
    plan = plan_arena(TfliteModel.from_bytes(build(tensors, ops, ["x"], ["y"])))
    assert plan == Plan((Buffer(0, 16, 0, 1, 32), Buffer(1, 16, 2, 2, 32), Buffer(2, 32, 1, 2, 0)))
    assert plan.head_bytes == 48
    assert [plan.used_bytes(step) for step in range(3)] == [16, 48, 48]


def test_other_subgraphs_are_not_planned() -> None:
    tensors = [TensorSpec("x", (1, 4), scale=0.1), TensorSpec("y", (1, 4), scale=0.1)]
    content = build(tensors, [OpSpec("WHILE", ["x"], ["y"])], ["x"], ["y"])
    assert plan_arena(TfliteModel.from_bytes(content)) is None


def test_damaged_places_are_none() -> None:
    content = offline(tiny_models.int8_classifier(), [])
    model = TfliteModel.from_bytes(content)
    model.root.metadata[0].buffer = 10**6
    plain = plan_arena(TfliteModel.from_bytes(tiny_models.int8_classifier()))
    assert plan_arena(model) == plain == plan_arena(TfliteModel.from_bytes(content))
