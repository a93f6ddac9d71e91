"""Bundles on disk and back, and what happens when the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import io
import itertools
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.certificates import certificate_of
from tests.tiny_models import int8_classifier
from tfgreen import writing
from tfgreen.bundle import Bundle, certificate_path, check_output
from tfgreen.errors import (
    IntegrityError,
    InvalidModelError,
    MissingPathError,
    OutputError,
    OutputExistsError,
    UsageError,
)
from tfgreen.footprint.ledger import Ledger
from tfgreen.golden import Golden
from tfgreen.manifest import sha256
from tfgreen.profile import load_profile
from tfgreen.recipe.record import CompressionRecord, StageRecord
from tfgreen.verification.certificate import Certificate

ROOT = Path(__file__).parents[1]
FILES = {
    "model.tflite",
    "manifest.json",
    "certificate.json",
    "golden.npz",
    "preprocess.json",
    "report.html",
    "report.json",
    "report.md",
    "snippets/model_io.py",
    "snippets/model_io.hpp",
    "snippets/ModelIo.kt",
}


@pytest.fixture
def bundle() -> Bundle:
    content = int8_classifier()
    golden = Golden(
        inputs={"x": np.linspace(-1, 1, 32, dtype=np.float32).reshape(2, 16)},
        file_inputs=(np.arange(32, dtype=np.int8).reshape(2, 16),),
        outputs={
            "reference": (np.arange(8, dtype=np.int8).reshape(2, 4),),
            "micro": (np.arange(8, dtype=np.int8).reshape(2, 4) + np.int8(1),),
        },
    )
    return Bundle(
        content=content,
        certificate=certificate_of(content, profile="microcontroller-int8"),
        profile=load_profile("microcontroller-int8").with_overrides(arena="64KB"),
        facts={"route": "tf-ptq", "candidates": [{"name": "tf-ptq", "sqnr_db": 31.5}]},
        golden=golden,
        calibration_sha256=sha256(b"calibration"),
        calibration_source="calib.npz",
        labels=("yes", "no", "up", "naïve"),
    )


def test_the_record_of_a_compression_is_kept_beside_the_rest(
    bundle: Bundle, tmp_path: Path
) -> None:
    stage = StageRecord(
        name="prune",
        techniques=("pruning: sparsity 0.6",),
        epochs=2,
        batch_size=32,
        optimizer="adam, learning rate 0.001",
        history={"loss": (1.5, None)},
        model_sha256="0" * 64,
    )
    record = CompressionRecord(
        recipe_name="mine", recipe="", seed=0, model_sha256="1" * 64, stages=(stage,)
    )
    folder = replace(bundle, compression=record).save(tmp_path / "with")
    assert listed(folder) == FILES | {"compression.json"}
    assert Bundle.read(folder).compression == record
    (folder / "compression.json").write_text(record.to_json().replace("1.5", "1.6"))
    with pytest.raises(IntegrityError, match="compression.json"):
        Bundle.read(folder)


def test_a_ledger_is_kept_beside_the_rest(bundle: Bundle, tmp_path: Path) -> None:
    ledger = Ledger()
    with ledger.stage("train"):
        pass
    assert Bundle.read(bundle.save(tmp_path / "without")).ledger is None
    kept = replace(bundle, ledger=ledger.document)
    folder = kept.save(tmp_path / "with")
    assert listed(folder) == FILES | {"ledger.json"}
    read = Bundle.read(folder)
    assert read.ledger == ledger.document
    assert read.target_files == {}


def listed(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in listed(folder)}


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.name.startswith(".")]


def test_folder_comes_back_as_it_went(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "build" / "kws")
    assert listed(folder) == FILES
    assert not hidden(tmp_path)
    again = Bundle.read(folder)
    assert again.content == bundle.content
    assert again.certificate == bundle.certificate
    assert again.profile == bundle.profile
    assert again.facts == bundle.facts
    assert again.labels == bundle.labels
    assert again.versions == bundle.versions
    assert again.calibration_sha256 == bundle.calibration_sha256
    assert again.calibration_source == "calib.npz"
    assert again.evaluation_sha256 is None
    assert len(again.golden) == 2
    for kernel_set, (outputs,) in bundle.golden.outputs.items():
        np.testing.assert_array_equal(again.golden.outputs[kernel_set][0], outputs)
    np.testing.assert_array_equal(again.golden.file_inputs[0], bundle.golden.file_inputs[0])
    np.testing.assert_array_equal(again.golden.inputs["x"], bundle.golden.inputs["x"])


def test_every_file_is_in_the_manifest(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "kws")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"] == {
        name: sha256((folder / name).read_bytes()) for name in FILES - {"manifest.json"}
    }
    assert manifest["schema_version"] == 1
    assert manifest["profile"]["budgets"]["arena_bytes"] == 64 * 1024
    assert manifest["golden"] == {"samples": 2, "kernel_sets": ["micro", "reference"]}


def test_saving_twice_gives_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    one, two = bundle.save(tmp_path / "one"), bundle.save(tmp_path / "two")
    for name in FILES:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_golden_archive_carries_no_clock(bundle: Bundle) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle.golden.to_bytes())) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_file_and_certificate(bundle: Bundle, tmp_path: Path) -> None:
    file = bundle.save(str(tmp_path / "new" / "kws.tflite"))
    assert file.read_bytes() == bundle.content
    text = (tmp_path / "new" / "kws.certificate.json").read_text()
    assert Certificate.from_json(text) == bundle.certificate
    assert listed(tmp_path / "new") == {"kws.tflite", "kws.certificate.json"}


def test_preprocess_record(bundle: Bundle, tmp_path: Path) -> None:
    record = json.loads((bundle.save(tmp_path / "kws") / "preprocess.json").read_text())
    assert record["labels"] == ["yes", "no", "up", "naïve"]
    assert record["inputs"] == [
        {"name": "x", "shape": [1, 16], "dtype": "int8", "scale": 1 / 128, "zero_point": 0}
    ]
    assert record["outputs"][0]["name"] == "scores"


@pytest.mark.parametrize("name", ["kws", "kws.tflite"])
def test_nothing_is_overwritten_without_force(bundle: Bundle, tmp_path: Path, name: str) -> None:
    path = bundle.save(tmp_path / name)
    failed = replace(bundle, content=bundle.content + b"\0" * 8)
    with pytest.raises(OutputExistsError, match="exists already.*--force"):
        failed.save(path)
    with pytest.raises(OutputExistsError):
        check_output(path)
    check_output(path, force=True)
    assert listed(tmp_path) and not hidden(tmp_path)


def test_a_lone_certificate_is_not_overwritten(bundle: Bundle, tmp_path: Path) -> None:
    certificate_path(tmp_path / "kws.tflite").write_text("mine")
    with pytest.raises(OutputExistsError, match="kws.certificate.json"):
        bundle.save(tmp_path / "kws.tflite")
    assert listed(tmp_path) == {"kws.certificate.json"}


@pytest.mark.parametrize("exchanges", [True, False])
def test_force_replaces_the_whole_bundle(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr("tfgreen.writing.exchange", lambda one, other: False)
    folder = bundle.save(tmp_path / "kws")
    (folder / "stale.txt").write_text("of the old bundle")
    changed = replace(bundle, labels=None)
    changed.save(folder, force=True)
    assert Bundle.read(folder).labels is None
    assert listed(tmp_path) == {f"kws/{name}" for name in FILES}


def test_force_replaces_file_and_certificate(bundle: Bundle, tmp_path: Path) -> None:
    file = bundle.save(tmp_path / "kws.tflite")
    file.write_bytes(b"old")
    bundle.save(file, force=True)
    assert file.read_bytes() == bundle.content
    assert listed(tmp_path) == {"kws.tflite", "kws.certificate.json"}


def test_force_does_not_replace_what_is_no_bundle(bundle: Bundle, tmp_path: Path) -> None:
    precious = tmp_path / "thesis" / "chapter.tex"
    precious.parent.mkdir()
    precious.write_text("years of work")
    with pytest.raises(OutputExistsError, match="no bundle"):
        bundle.save(precious.parent, force=True)
    assert precious.read_text() == "years of work"


def test_force_fills_an_empty_folder(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "kws").mkdir()
    bundle.save(tmp_path / "kws", force=True)
    assert listed(tmp_path / "kws") == FILES


def test_output_below_a_regular_file(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for name in ("notes.txt/kws", "notes.txt/a/b/kws.tflite", "notes.txt"):
        with pytest.raises(OutputError, match=r"notes\.txt.* is a file") as caught:
            bundle.save(tmp_path / name, force=True)
        assert caught.value.exit_code == 1
    assert listed(tmp_path) == {"notes.txt"}


def test_file_where_a_folder_is(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "kws.tflite").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        bundle.save(tmp_path / "kws.tflite", force=True)


def test_empty_path(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="output path is empty"):
        bundle.save("")


REFUSALS = [(errno.ENOSPC, "Free some space"), (errno.EROFS, "writable file system")]
RENAMES = ["os.rename", "os.replace"]
CALLS = ["os.fsync", "os.mkdir", "pathlib.Path.open", *RENAMES]


def refuse_at(count: int, call: Callable, code: int, *, for_good: bool) -> Callable:
    """A system call that works `count` times and then fails with `code`, once or for good."""
    numbers = itertools.count()

    def refusing(*args: object, **kwargs: object) -> object:
        number = next(numbers)
        if number == count or (for_good and number > count):
            raise OSError(code, os.strerror(code))
        return call(*args, **kwargs)

    return refusing


@contextlib.contextmanager
def refusing_disk(call: str, count: int, code: int, *, for_good: bool = True) -> Iterator[None]:
    owner, _, function = call.rpartition(".")
    target = Path if owner == "pathlib.Path" else os
    refusing = refuse_at(count, getattr(target, function), code, for_good=for_good)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, function, refusing)
        yield


@pytest.mark.parametrize(("code", "remedy"), REFUSALS)
@pytest.mark.parametrize("name", ["deep/below/kws", "deep/below/kws.tflite"])
@pytest.mark.parametrize("call", CALLS)
def test_a_full_or_read_only_disk_leaves_nothing(
    bundle: Bundle, tmp_path: Path, code: int, remedy: str, name: str, call: str
) -> None:
    refusals = 0
    for count in range(6):
        target = tmp_path / str(count) / name
        try:
            with refusing_disk(call, count, code):
                bundle.save(target)
        except OutputError as error:
            refusals += 1
            assert remedy in str(error)
            assert "\n" not in str(error)
            assert not (tmp_path / str(count)).exists(), "something was left behind"
        else:
            assert target.exists()
    assert refusals or call == ("os.replace" if name.endswith("kws") else "os.rename")


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("name", ["kws", "kws.tflite"])
@pytest.mark.parametrize("call", CALLS)
def test_a_full_disk_leaves_the_old_result(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exchanges: bool,
    name: str,
    call: str,
) -> None:
    if not exchanges:
        monkeypatch.setattr("tfgreen.writing.exchange", lambda one, other: False)
    changed = replace(bundle, certificate=certificate_of(bundle.content, verdict="failed"))
    for count in range(6):
        path = bundle.save(tmp_path / name, force=True)
        before = contents(tmp_path)
        try:
            with refusing_disk(call, count, errno.ENOSPC, for_good=call not in RENAMES):
                changed.save(path, force=True)
        except OutputError:
            assert contents(tmp_path) == before
        else:
            assert contents(tmp_path) != before
        assert not hidden(tmp_path)


def test_changed_file_is_told(bundle: Bundle, tmp_path: Path) -> None:
    for name in sorted(FILES - {"manifest.json"}):
        folder = bundle.save(tmp_path / f"with-changed-{Path(name).name}-")
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(IntegrityError, match="is not the file") as caught:
            Bundle.read(folder)
        assert name in str(caught.value).replace("\\", "/")
        assert caught.value.exit_code == 3


def test_missing_and_surplus_files_are_told(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "kws")
    (folder / ".DS_Store").write_bytes(b"")
    Bundle.read(folder)
    (folder / "extra.bin").write_bytes(b"?")
    with pytest.raises(IntegrityError, match=r"holds extra\.bin"):
        Bundle.read(folder)
    (folder / "extra.bin").unlink()
    (folder / "golden.npz").unlink()
    with pytest.raises(IntegrityError, match=r"lacks golden\.npz"):
        Bundle.read(folder)


def rewrite_manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_certificate_of_another_file(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "kws")
    other = certificate_of(b"another").to_json().encode()
    (folder / "certificate.json").write_bytes(other)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    rewrite_manifest(folder, files=files | {"certificate.json": sha256(other)})
    with pytest.raises(IntegrityError, match="of another file"):
        Bundle.read(folder)


def test_newer_schema(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "kws")
    rewrite_manifest(folder, schema_version=2, novelty="unknown")
    with pytest.raises(InvalidModelError, match=r"newer tfgreen \(bundle schema 2.*pip install -U"):
        Bundle.read(folder)


def test_unknown_manifest_key(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "kws")
    rewrite_manifest(folder, novelty="unknown")
    with pytest.raises(InvalidModelError, match="'novelty'"):
        Bundle.read(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\0", "[" * 100_000])
def test_damaged_manifest(bundle: Bundle, tmp_path: Path, text: str) -> None:
    folder = bundle.save(tmp_path / "kws")
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InvalidModelError, match="damaged"):
        Bundle.read(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "..\\secret", "C:x"])
def test_manifest_cannot_point_outside(bundle: Bundle, tmp_path: Path, name: str) -> None:
    folder = bundle.save(tmp_path / "kws")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    rewrite_manifest(folder, files=files | {name: sha256(b"")})
    with pytest.raises(IntegrityError, match="outside of the bundle"):
        Bundle.read(folder)


def test_no_folder_and_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError):
        Bundle.read(tmp_path / "nowhere")
    with pytest.raises(InvalidModelError, match="no bundle"):
        Bundle.read(tmp_path)


def test_python_snippet_of_a_saved_bundle_runs(bundle: Bundle, tmp_path: Path) -> None:
    path = bundle.save(tmp_path / "kws") / "snippets" / "model_io.py"
    spec = importlib.util.spec_from_file_location("model_io", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stored = module.quantize(np.linspace(-1, 1, 16), module.INPUTS[0])
    assert stored.dtype == np.int8
    assert stored.shape == (1, 16)
    assert (stored[0, 0], stored[0, -1]) == (-128, 127)  # 1 / (1 / 128) = 128 clips
    assert module.LABELS[3] == "naïve"


DIE = """
import os, sys
from pathlib import Path
from tfgreen import writing

count, target, exchanges = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "True"
new = {"manifest.json": b"new", "model.tflite": b"new" * 100}
calls = 0

def dying(call):
    def counted(*args, **kwargs):
        global calls
        calls += 1
        if calls > count:
            os.kill(os.getpid(), 9)
        return call(*args, **kwargs)
    return counted

for name in ("mkdir", "rename", "replace", "fsync", "unlink", "rmdir", "open"):
    setattr(os, name, dying(getattr(os, name)))
swap = writing.exchange
writing.exchange = dying(swap) if exchanges else lambda one, other: False
if target.suffix:
    writing.write_files({target.with_suffix(".json"): b"new", target: b"new"}, force=True)
else:
    writing.write_folder(target, new, force=True)
"""


@pytest.mark.parametrize(
    ("exchanges", "old"), [(True, True), (False, True), (True, False)], ids=str
)
def test_a_kill_at_any_moment_leaves_old_or_new(tmp_path: Path, exchanges: bool, old: bool) -> None:
    """Die at every system call that changes the disk, and look at what is left."""
    left, deaths = set(), 0
    for count in itertools.count():
        target = tmp_path / f"died-at-{count}"
        files = {"manifest.json": b"old", "model.tflite": b"old" * 100}
        if old:
            writing.write_folder(target, files)
        command = [sys.executable, "-c", DIE, str(count), str(target), str(exchanges)]
        code = subprocess.run(command, cwd=ROOT, timeout=60).returncode
        if not exchanges:
            writing.recover(target)
        state = {path.read_bytes()[:3] for path in target.iterdir()} if target.exists() else set()
        assert len(state) == 1 if old else len(state) <= 1, f"mixed after {count} calls"
        assert not state or len(listed(target)) == 2
        left |= state or {b"none"}
        writing.write_folder(target, files, force=True)  # and the next save sweeps the leftovers
        assert not list(tmp_path.glob(f".died-at-{count}.*"))
        deaths += code == -9
        if code == 0:
            break
    assert deaths > 5
    assert left == {b"old" if old else b"none", b"new"}
