"""Bundle: what an export returns, on disk and back.

`save("kws.tflite")` writes the file and `kws.certificate.json` beside it. Any other path is a
folder with `model.tflite`, `manifest.json`, `certificate.json`, `golden.npz`, `preprocess.json`,
`snippets/`, `report.html` with its record as JSON and in short as Markdown, `ledger.json` if one
was kept, and `compression.json` if a recipe was run. A kill leaves the old folder, or none; of the
two files it may leave the new certificate alone, whose `model_sha256` tells that it belongs to
another file.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfgreen import manifest as on_disk
from tfgreen import writing
from tfgreen.errors import IntegrityError, OutputError, OutputExistsError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.footprint.entry import LedgerDocument
from tfgreen.golden import Golden
from tfgreen.manifest import DataOrigin, GoldenFacts, Manifest
from tfgreen.preprocess import Preprocess
from tfgreen.recipe.record import CompressionRecord
from tfgreen.reporting.snippets import render_snippets
from tfgreen.stack import stack_versions
from tfgreen.verification.certificate import Certificate

if TYPE_CHECKING:
    from tfgreen.profile import ExportProfile

FILE_SUFFIX, CERTIFICATE_SUFFIX, SNIPPETS = ".tflite", ".certificate.json", "snippets"


@dataclass(frozen=True, repr=False, eq=False)
class Bundle:
    """An exported file with the proof of what it computes.

    Attributes:
        content: the `.tflite` file.
        certificate: the verdict of the four gates on `content`.
        profile: what the target accepts and promises, as it was applied (overrides included).
        facts: how the file was made, ready for JSON: route, candidates, rewrites, options.
        golden: inputs and the answers of each deterministic kernel set.
        target_files: what the target needs beside the file: relative path → content.
        calibration_sha256: hash of the calibration samples; None when the profile needs none.
        calibration_source: where they came from, in words.
        evaluation_sha256, evaluation_source: the same of the evaluation samples.
        labels: class names in output order, when the data told them.
        versions: the stack that made the file, package → version.
        ledger: what making it took, stage by stage; None where nobody kept one.
        compression: what a recipe did to the model before; None where none was run.
    """

    content: bytes
    certificate: Certificate
    profile: ExportProfile
    facts: Mapping[str, Any] = field(default_factory=dict)
    golden: Golden = field(default_factory=Golden)
    target_files: Mapping[str, bytes] = field(default_factory=dict)
    calibration_sha256: str | None = None
    calibration_source: str | None = None
    evaluation_sha256: str | None = None
    evaluation_source: str | None = None
    labels: tuple[str, ...] | None = None
    versions: Mapping[str, str] = field(default_factory=stack_versions)
    ledger: LedgerDocument | None = None
    compression: CompressionRecord | None = None

    def __repr__(self) -> str:
        return (
            f"Bundle({self.profile.name}, {len(self.content):,} bytes, "
            f"verdict {self.certificate.verdict})"
        )

    @functools.cached_property
    def preprocess(self) -> Preprocess:
        """Scale, zero point, dtype and shape of every input and output, and the labels."""
        return Preprocess.of(TfliteModel.from_bytes(self.content), self.labels)

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the file and its certificate, or the whole folder; returns where.

        Args:
            path: ends in `.tflite` for the file alone, else a folder. Missing parents are made.
            force: replace what an earlier export wrote there. A folder that is neither empty nor
                a bundle is never replaced.

        Raises:
            OutputExistsError: something is there that may not be replaced.
            OutputError: the disk refuses; nothing is left half-written.
        """
        check_output(path, force=force)
        place = Path(path)
        if not _is_file(path):
            writing.write_folder(place, self._folder_files(), force=force)
        else:
            certificate = self.certificate.to_json().encode()
            files = {certificate_path(place): certificate, place: self.content}
            writing.write_files(files, force=force)
        return place

    @classmethod
    def read(cls, folder: str | Path) -> Bundle:
        """Read a bundle folder back, with the hash of every file checked.

        Raises:
            MissingPathError: there is no such folder.
            InvalidModelError: it is no bundle, or one of a newer tfgreen.
            IntegrityError: a file is missing, changed, or not listed.
        """
        manifest = on_disk.read_manifest(folder)
        files = on_disk.read_files(folder, manifest)
        certificate = Certificate.from_json(files[on_disk.CERTIFICATE])
        if certificate.model_sha256 != manifest.files[on_disk.MODEL]:
            raise IntegrityError(
                f"The certificate in {folder} is of another file than {on_disk.MODEL}. "
                "Export again."
            )
        calibration, evaluation = manifest.calibration, manifest.evaluation
        return cls(
            content=files[on_disk.MODEL],
            certificate=certificate,
            profile=manifest.profile,
            facts=manifest.conversion,
            golden=Golden.from_bytes(files[on_disk.GOLDEN]),
            target_files={name: files[name] for name in files if not _is_own(name)},
            calibration_sha256=calibration.sha256 if calibration else None,
            calibration_source=calibration.source if calibration else None,
            evaluation_sha256=evaluation.sha256 if evaluation else None,
            evaluation_source=evaluation.source if evaluation else None,
            labels=manifest.labels,
            versions=manifest.versions,
            ledger=_ledger_of(files),
            compression=_compression_of(files),
        )

    def _folder_files(self) -> dict[str, bytes]:
        from tfgreen.reporting.page.files import report_files

        files = {
            on_disk.MODEL: self.content,
            on_disk.CERTIFICATE: self.certificate.to_json().encode(),
            on_disk.GOLDEN: self.golden.to_bytes(),
            on_disk.PREPROCESS: self.preprocess.to_json().encode(),
        }
        for name, text in render_snippets(self.preprocess).items():
            files[f"{SNIPPETS}/{name}"] = text.encode()
        if self.ledger is not None:
            files[on_disk.LEDGER] = self.ledger.to_json().encode()
        if self.compression is not None:
            files[on_disk.COMPRESSION] = self.compression.to_json().encode()
        files |= report_files(self)
        files = {**self.target_files, **files}
        return files | {on_disk.MANIFEST: self._manifest(files).to_json().encode()}

    def _manifest(self, files: Mapping[str, bytes]) -> Manifest:
        return Manifest(
            profile=self.profile,
            versions=dict(self.versions),
            files=on_disk.hashes(files),
            calibration=_origin(self.calibration_sha256, self.calibration_source),
            evaluation=_origin(self.evaluation_sha256, self.evaluation_source),
            labels=self.labels,
            golden=GoldenFacts(
                samples=len(self.golden), kernel_sets=tuple(sorted(self.golden.outputs))
            ),
            conversion=dict(self.facts),
        )


def check_output(path: str | Path, *, force: bool = False) -> None:
    """Raise now what `Bundle.save` would raise about `path` at the end of a long export.

    Raises:
        UsageError: the path is empty.
        OutputExistsError: something is there that may not be replaced.
        OutputError: nothing can be written there.
    """
    if not str(path):
        raise UsageError("The output path is empty. Give a folder, or a file ending in .tflite.")
    place = Path(path)
    writing.check_writable(place)
    if not _is_file(path):
        _check_folder(place, force=force)
        return
    for file in (place, certificate_path(place)):
        if file.is_dir():
            raise OutputError(f"{file} is a folder, and a file should go there. Choose another.")
        writing.refuse_existing(file, force=force)


def certificate_path(file: Path) -> Path:
    """Where the certificate of a `.tflite` file lies.

    >>> certificate_path(Path("build/kws.tflite")).as_posix()
    'build/kws.certificate.json'
    """
    return file.with_name(file.name[: -len(FILE_SUFFIX)] + CERTIFICATE_SUFFIX)


def _check_folder(folder: Path, *, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            f"{folder} is a file, and a bundle is a folder. Choose another path, or a name "
            "ending in .tflite for the file alone."
        )
    writing.refuse_existing(folder, force=force)
    with writing.explained(folder):
        foreign = folder.is_dir() and any(folder.iterdir()) and not on_disk.is_bundle(folder)
    if foreign:
        raise OutputExistsError(
            f"{folder} is a folder of other things, no bundle, so it is not replaced even with "
            "--force. Choose another path."
        )


def _is_file(path: str | Path) -> bool:
    return str(path).lower().endswith(FILE_SUFFIX)


def _is_own(name: str) -> bool:
    """Whether a file is a bundle's own, and not its target's."""
    is_record = name in (*on_disk.REQUIRED, *on_disk.REPORTS, on_disk.LEDGER, on_disk.COMPRESSION)
    return is_record or name.startswith(f"{SNIPPETS}/")


def _ledger_of(files: Mapping[str, bytes]) -> LedgerDocument | None:
    content = files.get(on_disk.LEDGER)
    return None if content is None else LedgerDocument.from_json(content, on_disk.LEDGER)


def _compression_of(files: Mapping[str, bytes]) -> CompressionRecord | None:
    content = files.get(on_disk.COMPRESSION)
    return None if content is None else CompressionRecord.from_json(content)


def _origin(sha256: str | None, source: str | None) -> DataOrigin | None:
    return None if sha256 is None else DataOrigin(sha256=sha256, source=source)
