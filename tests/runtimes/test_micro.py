"""TensorFlow Lite Micro: its arena, and the files that it would silently get wrong."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.runtimes import Task, availability, run_tasks

pytestmark = pytest.mark.skipif(
    not availability("micro").available, reason=availability("micro").reason
)


def test_the_arena_is_measured_and_reproducible() -> None:
    content = tiny_models.int8_conv(size=16, channels=3, filters=8)
    task = Task("conv", content, (np.zeros((2, 1, 16, 16, 3), np.int8),))
    first, second = run_tasks("micro", [task, task])
    assert first.arena_bytes == second.arena_bytes
    assert first.arena_to_load_bytes is None
    activation_bytes = 16 * 16 * (3 + 8)  # input and output live at the same time
    assert activation_bytes <= first.arena_bytes <= activation_bytes + 2048


def test_the_loading_arena_is_at_least_the_one_in_use() -> None:
    content = tiny_models.int8_classifier()
    inputs = (np.zeros((1, 1, 16), np.int8),)
    (outcome,) = run_tasks("micro", [Task("x", content, inputs, measure_loading_arena=True)])
    assert outcome.arena_bytes <= outcome.arena_to_load_bytes <= outcome.arena_bytes + 1024
    assert outcome.arena_to_load_bytes % 16 == 0


def test_an_arena_larger_than_ten_times_the_file_is_found() -> None:
    """The runtime's own guess is ten times the file."""
    shape = (1, 512, 512, 4)
    specs = [TensorSpec(name, shape, scale=0.1) for name in ("x", "y")]
    content = tiny_models.build(specs, [OpSpec("RELU", ["x"], ["y"])], ["x"], ["y"])
    x = np.full((1, *shape), -5, np.int8)
    (outcome,) = run_tasks("micro", [Task("large", content, (x,))])
    assert outcome.status == "ok", outcome.message
    assert outcome.arena_bytes > 2 * 512 * 512 * 4 > 10 * len(content)
    assert not outcome.outputs[0].any()


def test_constants_outside_the_flatbuffer_are_refused() -> None:
    content = tiny_models.with_external_buffers(tiny_models.int8_classifier())
    (outcome,) = run_tasks("micro", [Task("x", content, (np.zeros((1, 1, 16), np.int8),))])
    assert outcome.status == "failed" and "inline_external_buffers" in outcome.message


def test_the_runtime_s_chatter_does_not_reach_the_caller(capfd: pytest.CaptureFixture) -> None:
    run_tasks("micro", [Task("x", tiny_models.custom_op(), (np.zeros((1, 1, 4), np.float32),))])
    assert capfd.readouterr() == ("", "")
