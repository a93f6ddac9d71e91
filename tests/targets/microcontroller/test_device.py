"""From a board's serial port into the certificate: the compiled golden test, and faulty logs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.certificates import certificate_of
from tests.targets.microcontroller.rendered import PROFILE, Project, golden_of
from tests.targets.microcontroller.test_sources import CLOCK, two_in_two_out
from tests.tiny_models import int8_classifier
from tfgreen import recheck
from tfgreen.bundle import Bundle
from tfgreen.cli.main import tfgreen_command
from tfgreen.errors import IntegrityError, InvalidDataError, MissingPathError, UsageError
from tfgreen.golden import Golden
from tfgreen.recheck import verify
from tfgreen.runtimes import Task, run_tasks
from tfgreen.verification.certificate import Certificate, Check
from tfgreen.verification.device import DEVICE, with_device_log
from tfgreen.verification.device_line import LINE_START, golden_id

CONTENT = int8_classifier()
VALUES = np.random.default_rng(0).normal(0, 0.5, (8, 16)).astype(np.float32)
BOOT = "\x00\xffrst:0x1 (POWERON_RESET),boot:0x13\r\nI (31) boot: ESP-IDF v5.3 {ok}\r\n"


def true_answers() -> np.ndarray:
    """What the reference kernels answer; for this model TFLM's do too."""
    inputs = golden_of(CONTENT, VALUES, []).file_inputs
    (outcome,) = run_tasks("reference", [Task("golden", CONTENT, inputs)])
    return outcome.outputs[0]


@pytest.fixture(scope="module")
def answers() -> np.ndarray:
    return true_answers()


@pytest.fixture(scope="module")
def golden(answers: np.ndarray) -> Golden:
    return golden_of(CONTENT, VALUES, [answers])


@pytest.fixture(scope="module")
def line(golden: Golden, answers: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the rendered test, compiled, prints on a board that answers right."""
    project = Project(tmp_path_factory.mktemp("board"), CONTENT, golden)
    printed = subprocess.run([project.compile(CLOCK, [answers])], capture_output=True, check=True)
    return printed.stdout.decode().strip()


def wrong(line: str, *changes: tuple[int, int, int], status: str = "ok") -> str:
    """The line of a board that answers `step` more in the output `column` of `vector`."""
    document = json.loads(line)
    for vector, column, step in changes:
        run = document["runs"][vector]
        scores = np.frombuffer(bytes.fromhex(run["outputs"][0]), np.int8).astype(np.int16)
        scores[column] += step
        run["outputs"] = [scores.astype(np.int8).tobytes().hex()]
        run["steps"] = [max(run["steps"][0], abs(step))]
    document["status"] = status
    return json.dumps(document, separators=(",", ":"))


def judged(golden: Golden, log: str) -> Certificate:
    return with_device_log(certificate_of(CONTENT), CONTENT, golden, PROFILE, log)


def device_checks(certificate: Certificate) -> dict[str, Check]:
    return {check.name: check for check in certificate.checks if check.kernel_set == DEVICE}


def test_a_board_that_answers_right_is_a_measured_kernel_set(golden: Golden, line: str) -> None:
    certificate = judged(golden, BOOT + line + "\r\n")
    assert certificate.passed
    assert certificate.kernel_sets[DEVICE].role == "measured"
    (result,) = [run for run in certificate.runtime if run.kernel_set == DEVICE]
    assert (result.samples, result.max_quanta, result.argmax_share) == (8, 0.0, 0.0)
    checks = device_checks(certificate)
    assert "0 of 8 samples differ" in checks["end-to-end"].message
    # The clock of the made-up board goes on by 20 microseconds a reading.
    assert checks["device-latency"].measured == 0.02
    assert checks["device-arena"].measured == 1000
    assert certificate.target[DEVICE] == {
        "runs": 1,
        "broken_lines": 0,
        "whole_runs": 1,
        "golden_vectors": 8,
        "arena_bytes": 1000,
        "milliseconds": 0.02,
    }
    assert Certificate.from_json(certificate.to_json()) == certificate


def test_a_changed_class_is_worse_than_the_limit(
    golden: Golden, line: str, answers: np.ndarray
) -> None:
    loser, winner = int(answers[3, 0].argmin()), int(answers[3, 0].argmax())
    step = int(answers[3, 0, winner]) - int(answers[3, 0, loser]) + 1
    certificate = judged(golden, wrong(line, (3, loser, step)))
    check = device_checks(certificate)["end-to-end"]
    assert (check.status, check.measured) == ("failed", 1 / 8)
    assert certificate.verdict == "failed"


def test_one_quantum_is_within_the_limits(golden: Golden, line: str, answers: np.ndarray) -> None:
    loser = int(answers[3, 0].argmin())
    certificate = judged(golden, wrong(line, (3, loser, 1)))
    assert "1 of 8 samples differ, by at most 1 quantum" in (
        device_checks(certificate)["end-to-end"].message
    )
    assert certificate.passed


def test_the_worst_run_of_the_log_counts(golden: Golden, line: str, answers: np.ndarray) -> None:
    loser, winner = int(answers[3, 0].argmin()), int(answers[3, 0].argmax())
    step = int(answers[3, 0, winner]) - int(answers[3, 0, loser]) + 1
    flaky = "\n".join([line, BOOT, wrong(line, (3, loser, step)), BOOT, f"14:02:11.3 -> {line}"])
    certificate = judged(golden, flaky)
    check = device_checks(certificate)["end-to-end"]
    assert (check.status, check.measured) == ("failed", 1 / 8)
    assert device_checks(certificate)["device-latency"].measured == 0.02


def test_what_breaks_off_beside_a_whole_line_is_a_warning(golden: Golden, line: str) -> None:
    certificate = judged(golden, f"{line[:300]}{BOOT}{line}\n{line[:-1]}")
    assert certificate.passed
    facts = certificate.target[DEVICE]
    assert (facts["runs"], facts["broken_lines"]) == (1, 2)
    check = device_checks(certificate)["device-lines"]
    assert (check.status, check.measured) == ("warning", 2)
    assert "device-lines" not in device_checks(judged(golden, line))


def test_a_whole_run_of_no_vectors_is_refused(golden: Golden, line: str) -> None:
    none = [array[:0] for array in (*golden.file_inputs, *golden.outputs["micro"])]
    changes = {"runs": [], "golden": golden_id(none[:1], none[1:])}
    with pytest.raises(IntegrityError, match="other golden vectors"):
        judged(golden, json.dumps(json.loads(line) | changes, separators=(",", ":")))


def test_a_board_that_does_not_get_through_fails(golden: Golden, line: str) -> None:
    document = json.loads(line) | {"runs": [], "status": "allocation-failed", "arena_bytes": 0}
    certificate = judged(golden, json.dumps(document, separators=(",", ":")))
    check = device_checks(certificate)["device-runs"]
    assert check.status == "failed" and "ended with 'allocation-failed'" in check.message


def test_an_arena_beyond_the_budget_fails(golden: Golden, line: str) -> None:
    profile = PROFILE.with_overrides(arena=999)
    certificate = with_device_log(certificate_of(CONTENT), CONTENT, golden, profile, line)
    check = device_checks(certificate)["device-arena"]
    assert (check.status, check.measured, check.limit) == ("failed", 1000, 999)


@pytest.mark.parametrize(
    ("log", "error", "message"),
    [
        ("", InvalidDataError, "holds no line of the golden test"),
        (BOOT, InvalidDataError, "holds no line of the golden test"),
        ("{line:.400}", InvalidDataError, "cut off"),
        (LINE_START + "[" * 100_000, InvalidDataError, "cut off"),
        (LINE_START + "}", InvalidDataError, "is of version None"),
        (LINE_START + ',"version":2}', InvalidDataError, "is of version 2"),
        (LINE_START + ',"version":1}', InvalidDataError, "damaged: at 'model', Field required"),
    ],
)
def test_logs_without_a_whole_line_are_refused(
    golden: Golden, line: str, log: str, error: type[Exception], message: str
) -> None:
    log = line[:400] if log == "{line:.400}" else log
    with pytest.raises(error, match=message):
        judged(golden, log)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "0" * 64}, IntegrityError, "of another model: its sha256 begins with 000000"),
        ({"crc32": "00000000"}, IntegrityError, "memory holds another file"),
        ({"golden": "0" * 16}, IntegrityError, "other golden vectors"),
        ({"output_bytes": [5]}, InvalidDataError, r"outputs of \[5\] bytes"),
        ({"runs": [{"steps": [0], "outputs": ["00"]}]}, InvalidDataError, "is not 4 bytes"),
        ({"runs": [{"steps": [0], "outputs": ["zz" * 4]}]}, InvalidDataError, "is not 4 bytes"),
        ({"runs": [{"steps": [], "outputs": []}]}, InvalidDataError, "is not 4 bytes"),
        ({"runs": [{"steps": [0], "outputs": [4]}]}, InvalidDataError, "runs.0.outputs.0"),
        ({"arena_bytes": -1}, InvalidDataError, "at 'arena_bytes'"),
    ],
)
def test_lines_that_cannot_be_of_this_firmware_are_refused(
    golden: Golden, line: str, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    document = json.loads(line) | changes
    with pytest.raises(error, match=message):
        judged(golden, json.dumps(document, separators=(",", ":")))


def test_a_character_lost_on_the_way_is_no_wrong_answer(golden: Golden, line: str) -> None:
    document = json.loads(line)
    digits = document["runs"][0]["outputs"][0]
    document["runs"][0]["outputs"] = [("0" if digits[0] != "0" else "1") + digits[1:]]
    with pytest.raises(InvalidDataError, match="contradicts itself"):
        judged(golden, json.dumps(document, separators=(",", ":")))


def test_floats_of_several_outputs_are_judged_too(tmp_path: Path) -> None:
    content = two_in_two_out()
    values = {name: np.arange(8, dtype=np.float32).reshape(2, 4) for name in ("class", "b")}
    right = [np.full((2, 1, 4), 4, np.int8), np.full((2, 1, 4), 2.0, np.float32)]
    golden = golden_of(content, values, right)
    project = Project(tmp_path, content, golden)
    before = certificate_of(content)

    def after(*answers: np.ndarray) -> Certificate:
        program = project.compile(CLOCK, answers)
        log = subprocess.run([program], capture_output=True, check=False).stdout.decode()
        return with_device_log(before, content, golden, PROFILE, log)

    assert after(*right).passed
    broken = right[1].copy()
    broken[1, 0, 2] = np.nan
    certificate = after(right[0], broken)
    failed = [check.message for check in certificate.failed_checks]
    assert len(failed) == 1 and "not finite" in failed[0]


def test_a_board_may_run_what_an_npu_compiler_made_of_the_file(golden: Golden, line: str) -> None:
    compiled = CONTENT + b"for an NPU"
    changes = {
        "model": hashlib.sha256(compiled).hexdigest(),
        "crc32": f"{zlib.crc32(compiled):08x}",
    }
    log = json.dumps(json.loads(line) | changes, separators=(",", ":"))
    with pytest.raises(IntegrityError, match="of another model"):
        judged(golden, log)
    certificate = with_device_log(
        certificate_of(CONTENT), CONTENT, golden, PROFILE, log, compiled=[compiled]
    )
    assert certificate.passed and DEVICE in certificate.kernel_sets


@pytest.fixture
def folder(golden: Golden, tmp_path: Path) -> Path:
    bundle = Bundle(CONTENT, certificate_of(CONTENT), PROFILE, golden=golden)
    return bundle.save(tmp_path / "kws")


def test_the_command_line_judges_a_log(
    folder: Path,
    tmp_path: Path,
    line: str,
    answers: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, saved = tmp_path / "serial.log", tmp_path / "certificate.json"
    command = ["verify", str(folder), "--device-log", str(log), "-o", str(saved), "--force", "-q"]
    log.write_bytes((BOOT + line).encode("utf-16"))  # as PowerShell redirects
    result = CliRunner().invoke(tfgreen_command, command)
    assert result.exit_code == 0, result.output
    judged = Certificate.from_json(saved.read_text())
    assert {"micro", "reference", DEVICE} <= set(judged.kernel_sets)

    # The rest is the log's alone: the file is judged as before.
    monkeypatch.setattr(recheck, "certify", lambda *rest, **more: certificate_of(CONTENT))
    monkeypatch.setattr(recheck, "with_replay", lambda certificate, *rest: certificate)
    loser, winner = int(answers[3, 0].argmin()), int(answers[3, 0].argmax())
    step = int(answers[3, 0, winner]) - int(answers[3, 0, loser]) + 1
    log.write_text(wrong(line, (3, loser, step)))
    result = CliRunner().invoke(tfgreen_command, command)
    assert result.exit_code == 3
    assert Certificate.from_json(saved.read_text()).verdict == "failed"

    log.write_text(line.replace('"model":"', '"model":"f'))
    result = CliRunner().invoke(tfgreen_command, command)
    assert result.exit_code == 3 and "of another model" in result.output
    log.write_text(BOOT)
    result = CliRunner().invoke(tfgreen_command, command)
    assert result.exit_code == 1 and "no line of the golden test" in result.output


def test_a_log_needs_a_bundle_with_golden_vectors(
    folder: Path, tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recheck, "certify", lambda *rest, **more: certificate_of(CONTENT))
    log = tmp_path / "serial.log"
    with pytest.raises(MissingPathError, match=r"no device log .*serial\.log"):
        verify(folder, device_log=log)
    log.write_text(line)
    with pytest.raises(UsageError, match=r"model\.tflite is a file alone"):
        verify(folder / "model.tflite", device_log=log)
    bare = dataclasses.replace(Bundle.read(folder), golden=Golden()).save(tmp_path / "bare")
    with pytest.raises(InvalidDataError, match="holds no golden vectors"):
        verify(bare, device_log=log)
