"""`run_tasks`: right results, and nothing that happens to a child reaches the caller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.errors import KernelSetError, UnknownNameError, UsageError
from tfgreen.runtimes import KERNEL_SETS, Task, availability, run_tasks, session

ROOT = Path(__file__).parents[2]
CLASSIFIER = tiny_models.int8_classifier()
LITERT_SETS = ("reference", "optimized", "xnnpack")
HERE = [name for name in KERNEL_SETS if availability(name).available]


def classifier_samples(count: int = 5) -> np.ndarray:
    return np.random.default_rng(7).integers(-128, 128, (count, 1, 16), np.int8)


def expected_logits(x: np.ndarray) -> np.ndarray:
    """FULLY_CONNECTED of the classifier in real numbers, quantized at its end."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (4, 16), np.int8).astype(np.int64)
    bias = rng.integers(-2000, 2000, 4, np.int32)
    real = (x.astype(np.int64) @ weights.T + bias) * np.linspace(0.005, 0.01, 4) / 128
    return np.clip(np.round(real / 0.04) + 3, -128, 127)


@pytest.mark.parametrize("kernel_set", HERE)
def test_every_kernel_set_computes_float_addition(kernel_set: str) -> None:
    a = np.arange(12, dtype=np.float32).reshape(3, 1, 4)
    (outcome,) = run_tasks(kernel_set, [Task("add", tiny_models.float_add(), (a, 10 * a))])
    assert outcome.ok and outcome.message == ""
    np.testing.assert_array_equal(outcome.outputs[0], 11 * a)
    assert outcome.seconds > 0


@pytest.mark.parametrize("kernel_set", HERE)
def test_every_kernel_set_is_within_one_quantum_of_real_arithmetic(kernel_set: str) -> None:
    from tfgreen.flatbuffer import TfliteModel, cut_op

    x = classifier_samples(64)
    content = cut_op(TfliteModel.from_bytes(CLASSIFIER), 0)
    (outcome,) = run_tasks(kernel_set, [Task("dense", content, (x,))])
    assert outcome.outputs[0].shape == (64, 1, 4) and outcome.outputs[0].dtype == np.int8
    assert np.abs(outcome.outputs[0] - expected_logits(x)).max() <= 1


def test_inputs_go_in_graph_order() -> None:
    specs = [TensorSpec(name, (1, 2), "float32") for name in ("a", "b", "y")]
    content = tiny_models.build(specs, [OpSpec("SUB", ["b", "a"], ["y"])], ["a", "b"], ["y"])
    a, b = np.zeros((1, 1, 2), np.float32), np.ones((1, 1, 2), np.float32)
    (outcome,) = run_tasks("reference", [Task("subtract", content, (a, b))])
    assert outcome.outputs[0].tolist() == [[[1, 1]]]


def test_capturing_all_gives_every_activation_and_input() -> None:
    x = classifier_samples()
    for kernel_set in ("reference", "optimized"):
        (outcome,) = run_tasks(kernel_set, [Task("all", CLASSIFIER, (x,), capture="all")])
        assert sorted(outcome.tensors) == [0, 3, 4]
        np.testing.assert_array_equal(outcome.tensors[0], x)
        assert np.abs(outcome.tensors[3] - expected_logits(x)).max() <= 1
        np.testing.assert_array_equal(outcome.tensors[4], outcome.outputs[0])


def test_capturing_shows_tensors_whose_memory_is_used_again() -> None:
    specs = [TensorSpec(f"t{i}", (1, 4), "float32") for i in range(6)]
    ops = [OpSpec("NEG", [f"t{i}"], [f"t{i + 1}"]) for i in range(5)]
    content = tiny_models.build(specs, ops, ["t0"], ["t5"])
    x = np.arange(1, 9, dtype=np.float32).reshape(2, 1, 4)
    (outcome,) = run_tasks("optimized", [Task("chain", content, (x,), capture="all")])
    for index, tensor in outcome.tensors.items():
        np.testing.assert_array_equal(tensor, x * (-1) ** index)


@pytest.mark.parametrize("kernel_set", [name for name in ("xnnpack", "micro") if name in HERE])
def test_capturing_all_is_refused_where_tensors_do_not_last(kernel_set: str) -> None:
    tasks = [Task("all", CLASSIFIER, (classifier_samples(),), capture="all")]
    (outcome,) = run_tasks(kernel_set, tasks)
    assert outcome.status == "failed" and "Capture on the reference" in outcome.message


@pytest.mark.parametrize("kernel_set", [name for name in ("reference", "micro") if name in HERE])
def test_an_aborting_kernel_costs_only_its_own_task(kernel_set: str) -> None:
    x = classifier_samples()
    flat = np.zeros((1, 1, 512), np.int8)
    done = []
    before, crash, after = run_tasks(
        kernel_set,
        [
            Task("before", CLASSIFIER, (x,)),
            Task("flat softmax", tiny_models.int8_softmax(512), (flat,)),
            Task("after", CLASSIFIER, (x,)),
        ],
        on_progress=lambda *counts: done.append(counts),
    )
    assert (before.status, crash.status, after.status) == ("ok", "crashed", "ok")
    assert "flat softmax" in crash.message and "SIGABRT" in crash.message
    np.testing.assert_array_equal(before.outputs[0], after.outputs[0])
    assert done == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("kernel_set", "op", "word"),
    [
        ("reference", OpSpec("ELU", ["x"], ["y"]), "ELU"),
        ("xnnpack", OpSpec("RELU", ["x"], ["y"], version=99), "RELU version 99"),
        ("optimized", OpSpec("COS", ["x"], ["y"]), "COS for these types"),
        ("micro", OpSpec("GELU", ["x"], ["y"], version=2), "GELU"),
        ("reference", OpSpec("CUSTOM", ["x"], ["y"], custom="Mystery"), "custom op Mystery"),
        ("micro", OpSpec("CUSTOM", ["x"], ["y"], custom="Mystery"), "custom op Mystery"),
        ("optimized", OpSpec("CUSTOM", ["x"], ["y"], custom="FlexErf"), "FlexErf"),
    ],
)
def test_ops_without_a_kernel_are_unregistered(kernel_set: str, op: OpSpec, word: str) -> None:
    if kernel_set not in HERE:
        pytest.skip(availability(kernel_set).reason)
    specs = [TensorSpec(name, (1, 4), scale=0.1) for name in ("x", "y")]
    content = tiny_models.build(specs, [op], ["x"], ["y"])
    (outcome,) = run_tasks(kernel_set, [Task("op", content, (np.zeros((1, 1, 4), np.int8),))])
    assert outcome.status == "unregistered"
    assert word in outcome.message and kernel_set in outcome.message


@pytest.mark.parametrize("kernel_set", HERE)
@pytest.mark.parametrize(
    "inputs",
    [
        (np.zeros((2, 1, 16), np.int16),),
        (np.zeros((2, 16), np.int8),),
        (np.zeros((0, 1, 16), np.int8),),
        (),
        (np.zeros((1, 1, 16), np.int8), np.zeros((1, 1, 16), np.int8)),
    ],
)
def test_inputs_that_do_not_fit_say_what_was_expected(kernel_set: str, inputs: tuple) -> None:
    (outcome,) = run_tasks(kernel_set, [Task("misfit", CLASSIFIER, inputs)])
    assert outcome.status == "failed"
    assert "(N, 1, 16) int8" in outcome.message and "received" in outcome.message


@pytest.mark.parametrize("kernel_set", HERE)
def test_a_damaged_file_is_a_failed_task(kernel_set: str) -> None:
    tasks = [Task("damaged", CLASSIFIER[:300], (classifier_samples(),))]
    (outcome,) = run_tasks(kernel_set, tasks)
    assert outcome.status == "failed" and "\n" not in outcome.message


@pytest.mark.parametrize("kernel_set", [name for name in HERE if name != "numpy"])
def test_samples_do_not_see_the_state_of_others(kernel_set: str) -> None:
    """SVDF keeps a memory of past inputs in a variable."""
    specs = [
        TensorSpec("x", (1, 3), "float32"),
        TensorSpec("feature", (2, 3), "float32", data=np.ones((2, 3), np.float32)),
        TensorSpec("time", (2, 4), "float32", data=np.ones((2, 4), np.float32)),
        TensorSpec("bias", (2,), "float32", data=np.zeros(2, np.float32)),
        TensorSpec("state", (1, 8), "float32", is_variable=True),
        TensorSpec("y", (1, 2), "float32"),
    ]
    op = OpSpec("SVDF", ["x", "feature", "time", "bias", "state"], ["y"], {"rank": 1})
    content = tiny_models.build(specs, [op], ["x"], ["y"])
    x = np.ones((3, 1, 3), np.float32)
    (outcome,) = run_tasks(kernel_set, [Task("svdf", content, (x,))])
    assert outcome.status == "ok", outcome.message
    assert outcome.outputs[0].tolist() == [[[3, 3]]] * 3


def test_a_slow_task_is_killed_and_the_next_one_runs() -> None:
    slow = tiny_models.int8_conv(size=96, channels=32, filters=32)
    images = np.zeros((200, 1, 96, 96, 32), np.int8)
    start = time.perf_counter()
    late, fine = run_tasks(
        "reference",
        [Task("slow", slow, (images,)), Task("quick", CLASSIFIER, (classifier_samples(),))],
        timeout_seconds=1.5,
    )
    assert late.status == "timed-out" and "1.5 seconds" in late.message
    assert fine.ok and time.perf_counter() - start < 20


def test_an_array_of_several_tasks_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    save = np.save
    monkeypatch.setattr(
        session.np, "save", lambda path, *a, **k: (written.append(path), save(path, *a, **k))
    )
    x, y = classifier_samples(3), classifier_samples(4)
    tasks = [Task("x", CLASSIFIER, (x,)), Task("y", CLASSIFIER, (y,)), Task("x", CLASSIFIER, (x,))]
    outcomes = run_tasks("optimized", tasks)
    assert len(written) == 2
    np.testing.assert_array_equal(outcomes[0].outputs[0], outcomes[2].outputs[0])
    assert len(outcomes[1].outputs[0]) == 4


def test_folders_with_spaces_and_hebrew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "תיקייה עם רווחים"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    tasks = [Task("שלום", CLASSIFIER, (classifier_samples(),), capture="all")]
    (outcome,) = run_tasks("reference", tasks)
    assert outcome.ok and list(folder.iterdir()) == []
    assert outcome.tensors[4].shape == (5, 1, 4)


def test_a_full_disk_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session.np, "save", full)
    with pytest.raises(KernelSetError, match="No space left on device.*TMPDIR"):
        run_tasks("reference", [Task("x", CLASSIFIER, (classifier_samples(),))])


def test_a_child_that_cannot_start_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfgreen.runtimes.process._CHILD", "tfgreen.runtimes.no_such_module")
    with pytest.raises(KernelSetError, match="could not be started.*no_such_module"):
        run_tasks("reference", [Task("x", CLASSIFIER, (classifier_samples(),))])


def test_wrong_calls() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'reference'"):
        run_tasks("referense", [])
    with pytest.raises(UsageError, match="timeout_seconds=0"):
        run_tasks("reference", [], timeout_seconds=0)
    assert run_tasks("reference", []) == []


SLOW_PARENT = """
import numpy as np
from tests import tiny_models
from tfgreen.runtimes import Task, run_tasks

content = tiny_models.int8_conv(size=96, channels=32, filters=32)
print("started", flush=True)
try:
    run_tasks("reference", [Task("slow", content, (np.zeros((999, 1, 96, 96, 32), np.int8),))])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the child in /proc")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_no_child_outlives_its_parent(end: signal.Signals, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SLOW_PARENT)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        child = wait_for_child(parent.pid)
        parent.send_signal(end)
        output, _ = parent.communicate(timeout=20)
    finally:
        parent.kill()
    assert wait_until(lambda: not Path(f"/proc/{child}").exists())
    if end == signal.SIGINT:
        assert output.split() == ["started", "interrupted"]
        assert list(tmp_path.iterdir()) == []


def wait_for_child(parent_id: int) -> int:
    """The id of the parent's child, once it is at work on its task."""
    children = Path(f"/proc/{parent_id}/task/{parent_id}/children")
    found: list[str] = []

    def at_work() -> bool:
        found[:] = children.read_text().split()
        if not found:
            return False
        fields = Path(f"/proc/{found[0]}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) / os.sysconf("SC_CLK_TCK") > 0.6  # seconds of computing

    assert wait_until(at_work, seconds=60)
    return int(found[0])


def wait_until(condition, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
