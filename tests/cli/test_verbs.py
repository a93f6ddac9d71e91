"""Every verb parses, calls one function, prints and exits with the code that is documented."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.certificates import certificate_of
from tests.tiny_models import int8_classifier
from tfgreen.bundle import Bundle
from tfgreen.cli.main import tfgreen_command
from tfgreen.doctor import Diagnosis, Package
from tfgreen.errors import ConversionError, IntegrityError
from tfgreen.golden import Golden
from tfgreen.profile import list_profiles, load_profile
from tfgreen.stack import stack_versions
from tfgreen.verification.certificate import Certificate

CONTENT = int8_classifier()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(tfgreen_command, [str(argument) for argument in arguments])


def bundle_of(verdict: str, facts: dict[str, Any] | None = None) -> Bundle:
    return Bundle(
        facts=facts or {},
        content=CONTENT,
        certificate=certificate_of(CONTENT, verdict=verdict),
        profile=load_profile(),
        golden=Golden(),
    )


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and data that exist; they are never read here."""
    monkeypatch.chdir(tmp_path)
    for name in ("model.keras", "c.npz", "e.npz"):
        (tmp_path / name).write_bytes(b"there")
    return tmp_path


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace the export by one that keeps its arguments; set `verdict` or `error` before."""
    kept: dict[str, Any] = {"verdict": "passed", "error": None, "calls": 0}

    def make_bundle(
        model: Any, calibration: Any, profile: Any, evaluate: Any, options: Any, on_progress: Any
    ) -> Bundle:
        kept.update(model=model, calibration=calibration, profile=profile, evaluate=evaluate)
        kept.update(options=options, calls=kept["calls"] + 1)
        on_progress("converting", 0, 0)
        on_progress("converting", 1, 2)
        if kept["error"] is not None:
            raise kept["error"]
        bundle = bundle_of(kept["verdict"], kept.get("facts"))
        return replace(bundle, target_files=kept.get("target_files", {}))

    monkeypatch.setattr("tfgreen.pipeline.make_bundle", make_bundle)
    return kept


EXPORT = ("export", "model.keras", "--calibration", "c.npz", "-o", "out/kws")


def test_export_writes_and_tells(files: Path, exported: dict[str, Any]) -> None:
    done = run(*EXPORT)
    assert done.exit_code == 0
    assert done.stdout.split()[0] == "PASSED"
    assert done.stdout.endswith("Written: out/kws\nLook at: out/kws/report.html\n")
    assert done.stderr == "converting ...\n"
    assert Bundle.read("out/kws").content == CONTENT


def test_export_says_what_a_file_alone_leaves_out(files: Path, exported: dict[str, Any]) -> None:
    exported["target_files"] = {"microcontroller/arena.svg": b"<svg/>", "model_vela.tflite": b"npu"}
    done = run(*EXPORT[:-1], "kws.tflite")
    assert done.stdout.splitlines()[-2:] == [
        "Written: kws.tflite",
        "Left out: 2 files for the target; a folder holds them: -o FOLDER/",
    ]
    assert run(*EXPORT).stdout.endswith("Written: out/kws\nLook at: out/kws/report.html\n")
    assert Path("out/kws/model_vela.tflite").read_bytes() == b"npu"


def test_export_hands_every_option_on(files: Path, exported: dict[str, Any]) -> None:
    done = run(
        *EXPORT, "--profile", "microcontroller-int8", "--evaluate", "e.npz",
        "--against", "models:teacher", "--io", "int8:float32", "--arena", "64KB",
        "--flash", "256KB", "--batch", 2, "--custom-objects", "layers", "--allow-unsafe",
        "--allow-select-ops", "--memory-limit", "8GB", "--samples", 7, "-q",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    rules, options = exported["profile"], exported["options"]
    assert (exported["model"], exported["calibration"]) == ("model.keras", "c.npz")
    assert exported["evaluate"] == "e.npz"
    assert rules.name == "microcontroller-int8"
    assert (rules.input_type, rules.output_type, rules.batch) == ("int8", "float32", 2)
    assert rules.budgets.arena_bytes == 64 * 1024
    assert rules.budgets.file_bytes == 256 * 1024
    assert (options.against, options.samples) == ("models:teacher", 7)
    assert options.conversion.custom_objects == "layers"
    assert options.conversion.allow_unsafe
    assert options.conversion.allow_select_ops
    assert options.conversion.memory_limit_bytes == 8 * 1024**3
    assert done.stderr == "", "quiet means no progress"
    assert len(done.stdout.splitlines()) == 3


def test_export_that_fails_a_gate_is_written_and_exits_with_3(
    files: Path, exported: dict[str, Any]
) -> None:
    exported["verdict"] = "failed"
    done = run(*EXPORT)
    assert done.exit_code == 3
    assert done.stdout.split()[0] == "FAILED"
    assert "SQNR at 'logits' is 8.34 dB, at least 10.0 dB are demanded." in done.stdout
    assert Bundle.read("out/kws").certificate.verdict == "failed"


def test_export_as_json_is_one_document(files: Path, exported: dict[str, Any]) -> None:
    exported["verdict"] = "failed"
    done = run(*EXPORT, "--json")
    assert done.exit_code == 3
    document = json.loads(done.stdout)
    assert document["output"] == "out/kws"
    assert Certificate.model_validate(document["certificate"]).verdict == "failed"


ENCODING = {
    "chosen": "sparse",
    "is_told": True,
    "files": [
        {"encoding": "dense", "size_bytes": 900, "gzip_bytes": 400, "arena_bytes": None,
         "methods": {}, "bit_exact": {"xnnpack": True}, "chosen": False, "reason": "larger"},
        {"encoding": "sparse", "size_bytes": 500, "gzip_bytes": 410, "arena_bytes": None,
         "methods": {"sparse": 2}, "bit_exact": {"xnnpack": True}, "chosen": True,
         "reason": "the smallest"},
    ],
}  # fmt: skip


def test_export_tells_the_encodings(files: Path, exported: dict[str, Any]) -> None:
    exported["facts"] = {"encoding": ENCODING}
    done = run(*EXPORT, "--encoding", "sparse")
    assert exported["options"].encoding == "sparse"
    assert "sparse (2 sparse)" in done.stdout
    assert "none of them makes a kernel faster" in done.stdout
    quiet = run(*EXPORT, "-q", "--force").stdout
    assert "sparse: 500 bytes, 410 with gzip; shipped: the smallest" in quiet
    assert json.loads(run(*EXPORT, "--json", "--force").stdout)["encoding"] == ENCODING


def test_export_looks_at_the_output_before_any_work(files: Path, exported: dict[str, Any]) -> None:
    assert run(*EXPORT).exit_code == 0
    again = run(*EXPORT)
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    below_a_file = run("export", "model.keras", "--calibration", "c.npz", "-o", "c.npz/kws")
    assert below_a_file.exit_code == 1
    assert "is a file, not a folder" in below_a_file.stderr
    assert exported["calls"] == 1
    assert run(*EXPORT, "--force").exit_code == 0
    assert exported["calls"] == 2


def test_export_without_needed_calibration(files: Path, exported: dict[str, Any]) -> None:
    done = run("export", "model.keras", "-o", "out")
    assert done.exit_code == 2
    assert "needs calibration samples: --calibration" in done.stderr
    free = run("export", "model.keras", "-o", "out", "--profile", "mobile-float16")
    assert free.exit_code == 0


ERRORS = [
    (ConversionError("The converter died."), 1, "Error: The converter died.\n"),
    (
        RuntimeError("something\nwith lines"),
        1,
        "Error: unexpected RuntimeError: something. Run again with -vv for the traceback.\n",
    ),
    (KeyboardInterrupt(), 130, "Interrupted; nothing was written.\n"),
    (MemoryError(), 1, "Error: unexpected MemoryError. Run again with -vv for the traceback.\n"),
]


@pytest.mark.parametrize(("error", "code", "message"), ERRORS, ids=lambda value: str(value)[:20])
def test_errors_are_one_sentence(
    files: Path, exported: dict[str, Any], error: BaseException, code: int, message: str
) -> None:
    exported["error"] = error
    done = run(*EXPORT, "-q")
    assert done.exit_code == code
    assert done.stderr == message
    assert done.stdout == ""
    assert not (files / "out").exists()


def test_an_interrupted_compression_goes_on(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compress_to(*given: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tfgreen.pipeline.compress_to", compress_to)
    done = run("compress", "model.keras", "--recipe", "pqat", "--train", "e.npz", "-o", "out")
    assert done.exit_code == 130
    assert done.stderr.endswith("no output was written. The same command goes on where it was.\n")


def test_traceback_on_demand(files: Path, exported: dict[str, Any]) -> None:
    exported["error"] = ConversionError("The converter died.")
    assert "Traceback" not in run(*EXPORT, "-v").stderr
    shown = run(*EXPORT, "-vv").stderr
    assert "Traceback" in shown
    assert shown.endswith("Error: The converter died.\n")


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    kept: dict[str, Any] = {"verdict": "passed", "error": None}

    def verify(path: str, *, on_progress: Callable, **choices: Any) -> Certificate:
        kept.update(path=path, choices=choices)
        if kept["error"] is not None:
            raise kept["error"]
        return certificate_of(CONTENT, verdict=kept["verdict"])

    monkeypatch.setattr("tfgreen.recheck.verify", verify)
    return kept


def test_verify(files: Path, verified: dict[str, Any]) -> None:
    done = run("verify", "model.keras", "--against", "c.npz", "--evaluate", "e.npz", "--json")
    assert done.exit_code == 0
    assert Certificate.from_json(done.stdout) == certificate_of(CONTENT)
    assert verified["path"] == "model.keras"
    assert verified["choices"] == {
        "against": "c.npz", "evaluate": "e.npz", "profile": None, "samples": 64,
        "custom_objects": None, "allow_unsafe": False, "device_log": None,
    }  # fmt: skip


def test_verify_writes_the_certificate(files: Path, verified: dict[str, Any]) -> None:
    verified["verdict"] = "failed"
    done = run("verify", "model.keras", "-o", "deep/certificate.json")
    assert done.exit_code == 3
    assert done.stdout.split()[0] == "FAILED"
    written = Certificate.from_json(Path("deep/certificate.json").read_text())
    assert written.verdict == "failed"
    again = run("verify", "model.keras", "-o", "deep/certificate.json")
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    assert run("verify", "model.keras", "-o", "deep/certificate.json", "--force").exit_code == 3


def test_verify_of_a_changed_bundle_exits_with_3(files: Path, verified: dict[str, Any]) -> None:
    verified["error"] = IntegrityError("model.tflite is not the file.")
    done = run("verify", "model.keras")
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == "Error: model.tflite is not the file.\n"


def test_inspect_each_kind(files: Path) -> None:
    (files / "kws.tflite").write_bytes(CONTENT)
    assert "FULLY_CONNECTED" in run("inspect", "kws.tflite").stdout
    assert json.loads(run("inspect", "kws.tflite", "--json").stdout)["kind"] == "tflite"
    bundle_of("failed").save("bundle")
    done = run("inspect", "bundle")
    assert done.exit_code == 0
    assert "failed" in done.stdout
    record = json.loads(run("inspect", "bundle", "--json").stdout)
    assert (record["kind"], record["verdict"]) == ("bundle", "failed")
    assert record["failed_checks"] == [
        "SQNR at 'logits' is 8.34 dB, at least 10.0 dB are demanded."
    ]
    assert record["file"]["macs"] == 16 * 4


def test_inspect_of_rubbish(files: Path) -> None:
    done = run("inspect", "model.keras")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1


def test_inspect_of_a_changed_bundle(files: Path) -> None:
    bundle_of("passed").save("bundle")
    (files / "bundle" / "model.tflite").write_bytes(CONTENT + b"!")
    done = run("inspect", "bundle")
    assert done.exit_code == 3
    assert "model.tflite is not the file" in done.stderr


def test_profiles() -> None:
    assert run("profiles", "-q").stdout.split() == list(list_profiles())
    assert [entry["name"] for entry in json.loads(run("profiles", "--json").stdout)] == list(
        list_profiles()
    )
    assert json.loads(run("profiles", "mobile-int8", "--json").stdout)["scheme"] == "int8"


def test_a_profile_printed_is_a_profile(tmp_path: Path) -> None:
    mine = tmp_path / "microcontroller-int8.toml"
    mine.write_text(run("profiles", "microcontroller-int8").stdout)
    assert load_profile(mine) == load_profile("microcontroller-int8")
    assert run("profiles", mine).stdout == mine.read_text()


def test_unknown_profile() -> None:
    done = run("profiles", "mobile-int9")
    assert done.exit_code == 2
    assert "Did you mean 'mobile-int8'?" in done.stderr


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("optional", 0), ("clash", 1)])
def test_doctor(monkeypatch: pytest.MonkeyPatch, state: str, code: int) -> None:
    packages = (Package("numpy", "2.0", state, "" if state == "ok" else "numpy is off."),)
    diagnosis = Diagnosis("0.1", "3.11", "Linux", 2, packages, ())
    monkeypatch.setattr("tfgreen.doctor.diagnose", lambda: diagnosis)
    done = run("doctor")
    assert done.exit_code == code
    assert ("numpy is off." in done.stdout) == (state != "ok")
    assert json.loads(run("doctor", "--json").stdout)["healthy"] == (code == 0)


def test_doctor_of_this_machine() -> None:
    done = run("doctor")
    assert "numpy" in done.stdout
    assert done.stderr == ""


def test_version() -> None:
    import tfgreen

    first, *others = run("--version").stdout.splitlines()
    assert first == f"tfgreen {tfgreen.__version__}"
    told = dict(line.split() for line in others)
    assert told == {k: v for k, v in stack_versions().items() if k != "tfgreen"}
    assert {"python", "numpy", "click"} <= set(told)


@pytest.mark.parametrize("name", sorted(tfgreen_command.commands))
def test_short_help_called_through_the_group_or_alone(name: str) -> None:
    alone = CliRunner().invoke(tfgreen_command.commands[name], ["-h"])
    through = run(name, "-h")
    assert (alone.exit_code, through.exit_code) == (0, 0)
    assert "-h, --help" in alone.output and "-h, --help" in through.output
