"""Whole networks, every tensor against the reference kernels, the outputs against TFLM."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference.whole_models import hard_inputs, quantized_file
from tfgreen.profile import Scheme
from tfgreen.reference import Interpreter
from tfgreen.runtimes import Task, availability, run_tasks

NETWORKS = [
    pytest.param("keyword_model", "int8", id="keyword"),
    pytest.param("residual_model", "int8", id="residual"),
    pytest.param("autoencoder_model", "int8", id="autoencoder"),
    pytest.param("conv1d_model", "int8", id="conv1d", marks=pytest.mark.slow),
    pytest.param("keyword_model", "int16x8", id="keyword-16x8"),
]


@pytest.mark.parametrize(("fixture", "scheme"), NETWORKS)
def test_every_tensor_is_that_of_the_kernels(
    fixture: str,
    scheme: Scheme,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    content = quantized_file(request.getfixturevalue(fixture), tmp_path_factory, scheme)
    inputs = hard_inputs(content)
    (outcome,) = run_tasks("reference", [Task(fixture, content, inputs, capture="all")])
    assert outcome.status == "ok", outcome.message
    tensors = Interpreter(content).run_tensors(inputs)
    assert set(tensors) == set(outcome.tensors)
    for index, mine in tensors.items():
        np.testing.assert_array_equal(mine, outcome.tensors[index], err_msg=f"tensor {index}")
    if availability("micro").available:
        (outcome,) = run_tasks("micro", [Task(fixture, content, inputs)])
        assert outcome.status == "ok", outcome.message
        for mine, theirs in zip(
            Interpreter(content, "micro").run(inputs), outcome.outputs, strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)


@pytest.fixture(scope="module")
def residual(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, tuple[np.ndarray, ...]]:
    content = quantized_file(request.getfixturevalue("residual_model"), tmp_path_factory)
    return content, hard_inputs(content, samples=12)


def test_a_batch_in_parts_gives_the_same(residual: tuple[bytes, tuple[np.ndarray, ...]]) -> None:
    content, inputs = residual
    whole = Interpreter(content).run(inputs)
    parts = Interpreter(content, working_set_bytes=4 << 20).run(inputs)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_names(residual: tuple[bytes, tuple[np.ndarray, ...]]) -> None:
    content, inputs = residual
    interpreter = Interpreter(content)
    named = interpreter.run_all(inputs)
    outputs = [interpreter.model.tensors[index].name for index in interpreter.model.outputs]
    for name, values in zip(outputs, interpreter.run(inputs), strict=True):
        np.testing.assert_array_equal(named[name], values)


def test_audit(residual: tuple[bytes, tuple[np.ndarray, ...]]) -> None:
    content, inputs = residual
    interpreter = Interpreter(content)
    audit = {entry.index: entry for entry in interpreter.audit(inputs)}
    tensors = interpreter.run_tensors(inputs)
    assert set(audit) == set(tensors)
    for index, entry in audit.items():
        assert entry.highest_share == np.mean(tensors[index] == 127)
        assert entry.lowest_share == np.mean(tensors[index] == -128)
        if entry.op == "CONV_2D":
            assert entry.headroom_bits is not None
            assert 5 < entry.headroom_bits < 20
