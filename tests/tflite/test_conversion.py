"""Whatever happens in the converter's process, the caller gets files or one clear error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from tests.processes import is_alive, wait_for_child, wait_until
from tests.tflite import odd_worker
from tfgreen import errors
from tfgreen.profile import load_profile
from tfgreen.signature import InputSpec
from tfgreen.tflite import ConversionOptions, conversion, convert, convert_float, describe

ROOT = Path(__file__).parents[2]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks for the child in /proc")


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The stand-in is the worker, and its files lie in an own folder, which is returned."""
    monkeypatch.setattr(conversion, "_WORKER", odd_worker.__name__)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_the_worker_wrote_comes_back(odd: Path) -> None:
    x = np.ones((3, 4), np.float32)
    made = convert("fine", load_profile(), {"x": x})
    assert made.content == made.float_content == odd_worker.CONTENT
    assert made.inputs == (InputSpec("x", (4,), "float32"),) and made.outputs == ("y",)
    assert list(odd.iterdir()) == [], "nothing is left in the temporary folder"
    assert convert_float("fine").content == odd_worker.CONTENT
    assert describe("fine") == (made.inputs, made.outputs)


def test_inputs_may_be_called_anything(odd: Path) -> None:
    """Names that np.savez keeps for itself, or that no file could have."""
    names = ["file", "allow_pickle", "a/b:0", "arr_0"]
    made = convert("request", load_profile(), {n: np.ones((2, 1)) for n in names})
    assert made.facts["request"]["calibration_inputs"] == names


@pytest.mark.parametrize(
    ("behaviour", "signal_number"), [("abort", signal.SIGABRT), ("segfault", signal.SIGSEGV)]
)
def test_a_crash_is_an_error_with_the_step_and_the_last_words(
    odd: Path, behaviour: str, signal_number: int
) -> None:
    with pytest.raises(errors.ConversionError) as told:
        convert_float(behaviour)
    assert f"was killed by signal {int(signal_number)} while doing odd things" in str(told.value)
    assert f"of {behaviour}" in str(told.value)
    assert "what it said last" in str(told.value)
    assert "\n" not in str(told.value) and list(odd.iterdir()) == []


def test_a_crash_under_a_memory_limit_names_the_limit(odd: Path) -> None:
    with pytest.raises(errors.ConversionError, match=r"memory \(limit 4,294,967,296 bytes\)"):
        convert_float("abort", ConversionOptions(memory_limit_bytes=2**32))


@pytest.mark.parametrize(("behaviour", "code"), [("leave", 7), ("nothing", 0)])
def test_a_child_that_leaves_without_a_result(odd: Path, behaviour: str, code: int) -> None:
    with pytest.raises(errors.ConversionError, match=f"ended with code {code}"):
        convert_float(behaviour)


def test_a_time_limit_ends_the_child(odd: Path) -> None:
    start = time.monotonic()
    with pytest.raises(errors.ConversionError, match="time limit and was ended while doing odd"):
        convert_float("sleep", ConversionOptions(timeout_seconds=1.0))
    assert time.monotonic() - start < 10 and list(odd.iterdir()) == []


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("error", errors.UnsupportedModelError),
        ("unknown-name", errors.UsageError),
        ("missing", errors.MissingPathError),
    ],
)
def test_the_worker_s_own_errors_arrive_as_what_they_are(
    odd: Path, behaviour: str, kind: type[errors.TfgreenError]
) -> None:
    with pytest.raises(errors.TfgreenError) as told:
        convert_float(behaviour)
    assert type(told.value) is kind and str(told.value) == "No, since so."
    shown = "".join(traceback.format_exception(told.value))
    assert ("Traceback of the child" in shown) == (behaviour == "error")


def test_noise_on_both_outputs_does_not_matter(odd: Path, capfd: pytest.CaptureFixture) -> None:
    assert convert_float("noise").content == odd_worker.CONTENT
    assert capfd.readouterr() == ("", "")


def test_a_file_of_a_few_bytes_is_no_model(odd: Path) -> None:
    with pytest.raises(errors.ConversionError, match="a file of 4 bytes for stub"):
        convert_float("stub")


def test_progress_arrives_and_half_a_line_is_no_progress(odd: Path) -> None:
    told: list[tuple[str, int, int]] = []
    convert_float("fine", on_progress=lambda *step: told.append(step))
    assert told == [("doing odd things", 1, 2)]


def test_the_child_finds_this_tfgreen_and_tensorflow_as_keras_backend(
    odd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = convert_float("environment").facts["environment"]
    assert environment["PYTHONPATH"] == f"{ROOT}{os.pathsep}/somewhere"
    assert environment["KERAS_BACKEND"] == "tensorflow"


def test_the_request_holds_what_was_asked_for(odd: Path) -> None:
    options = ConversionOptions("mine:OBJECTS", allow_unsafe=True, allow_select_ops=True)
    request = convert_float("request", options, batch=3).facts["request"]
    assert request["job"] == "convert-float" and request["profile"]["batch"] == 3
    asked = (request["custom_objects"], request["allow_unsafe"], request["allow_select_ops"])
    assert asked == ("mine:OBJECTS", True, True)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@linux_only
def test_an_error_in_the_caller_ends_the_child(odd: Path, error: type[BaseException]) -> None:
    children: list[int] = []

    def interrupt(step: str, done: int, of: int) -> None:
        children.append(wait_for_child(os.getpid()))
        raise error

    with pytest.raises(error):
        convert_float("sleep", on_progress=interrupt)
    assert wait_until(lambda: not is_alive(children[0])) and list(odd.iterdir()) == []


def test_a_full_disk_is_told_as_such(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion.np, "savez", full)
    with pytest.raises(errors.ConversionError, match=r"\(No space left on device\).*TMPDIR"):
        convert("fine", load_profile(), {"x": np.ones((3, 4), np.float32)})


def test_no_temporary_folder_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    with pytest.raises(errors.ConversionError, match="TMPDIR"):
        convert_float("fine")


PARENT = """
from tfgreen.tflite import conversion, convert_float
if {worker!r}:
    conversion._WORKER = {worker!r}
print("started", flush=True)
try:
    convert_float({model!r})
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def start_parent(folder: Path, model: str, worker: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT).format(model=model, worker=worker)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )


@linux_only
def test_ctrl_c_leaves_no_orphan_and_no_files(tmp_path: Path) -> None:
    parent = start_parent(tmp_path, "sleep", odd_worker.__name__)
    try:
        child = wait_for_child(parent.pid)
        parent.send_signal(signal.SIGINT)
        output, _ = parent.communicate(timeout=20)
    finally:
        parent.kill()
    assert wait_until(lambda: not is_alive(child))
    assert output.split() == ["started", "interrupted"] and list(tmp_path.iterdir()) == []


@linux_only
def test_the_worker_ends_when_its_caller_is_killed(tmp_path: Path) -> None:
    """The real worker, in the middle of loading TensorFlow."""
    model = f"{__name__}:endless_model"
    parent = start_parent(tmp_path, model, "")
    try:
        child = wait_for_child(parent.pid, busy_seconds=0.5)
        parent.kill()
        parent.communicate(timeout=20)
    finally:
        parent.kill()
    assert wait_until(lambda: not is_alive(child), limit_seconds=20)


def endless_model() -> None:
    """A model that takes its time."""
    time.sleep(60)
