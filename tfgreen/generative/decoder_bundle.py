"""An exported decoder with its tokenizer and its certificate, on disk and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from tfgreen import writing
from tfgreen.errors import (
    IntegrityError,
    InvalidModelError,
    MissingPathError,
    OutputError,
    OutputExistsError,
)
from tfgreen.generative.certificate import SequenceCertificate
from tfgreen.generative.runners import render_runners
from tfgreen.generative.tokenizers import TOKENIZER_FILES, Tokenizer, tokenizer_of
from tfgreen.manifest import (
    CERTIFICATE,
    DECODER_FORMAT,
    MANIFEST,
    MODEL,
    Sha256,
    hashes,
    is_bundle,
    sha256,
)
from tfgreen.records import Record
from tfgreen.stack import stack_versions


class DecoderManifest(Record):
    """What lies in the folder, under which hash, and how it was made."""

    format: Literal["tfgreen-decoder"] = DECODER_FORMAT
    schema_version: Literal[1] = 1
    versions: dict[str, str]
    files: dict[str, Sha256]
    conversion: dict[str, Any]


@dataclass(frozen=True, repr=False, eq=False)
class DecoderBundle:
    """What `tfgreen.export_decoder` returns.

    Attributes:
        content: the `.tflite` file with its `prefill_<n>`, `decode` and `score` signatures.
        certificate: the verdict of the four gates on `content`.
        tokenizer: text to tokens and back; None for a model that is spoken to in tokens.
        facts: how the file was made, ready for JSON.
        versions: the stack that made it, package → version.
    """

    content: bytes
    certificate: SequenceCertificate
    tokenizer: Tokenizer | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=stack_versions)

    def __repr__(self) -> str:
        scheme, verdict = self.certificate.scheme, self.certificate.verdict
        return f"DecoderBundle({scheme}, {len(self.content):,} bytes, verdict {verdict})"

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write the folder in one step; returns where.

        It holds `model.tflite`, the tokenizer's file, `certificate.json`, `manifest.json`, and
        runners in Python and C++. With `force` an earlier decoder bundle there is replaced.

        Raises OutputExistsError when something else is there, OutputError when the disk refuses.
        """
        place = Path(folder)
        check_folder(place, force=force)
        files = {MODEL: self.content, CERTIFICATE: self.certificate.to_json().encode()}
        if self.tokenizer is not None:
            files[self.tokenizer.file_name] = self.tokenizer.to_bytes()
        files |= {name: text.encode() for name, text in render_runners().items()}
        manifest = DecoderManifest(
            versions=dict(self.versions), files=hashes(files), conversion=dict(self.facts)
        )
        text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
        writing.write_folder(place, files | {MANIFEST: text.encode()}, force=force)
        return place

    @classmethod
    def read(cls, folder: str | Path) -> DecoderBundle:
        """Read a folder back, with the hash of every file checked.

        Raises MissingPathError, InvalidModelError (no decoder bundle), IntegrityError (a file is
        missing or changed).
        """
        place = Path(folder)
        manifest = _manifest(place)
        files = {name: _checked(place, name, digest) for name, digest in manifest.files.items()}
        for name in (MODEL, CERTIFICATE):
            if name not in files:
                raise IntegrityError(f"The manifest of {folder} lists no {name}. Export again.")
        certificate = SequenceCertificate.from_json(files[CERTIFICATE])
        if certificate.model_sha256 != manifest.files[MODEL]:
            raise IntegrityError(
                f"The certificate in {folder} is of another file than {MODEL}. Export again."
            )
        named = [name for name in TOKENIZER_FILES if name in files]
        tokenizer = tokenizer_of(files[named[0]], named[0]) if named else None
        return cls(files[MODEL], certificate, tokenizer, manifest.conversion, manifest.versions)


def is_decoder_bundle(path: str | Path) -> bool:
    """Whether a path is a folder with the manifest of a decoder."""
    manifest = Path(path) / MANIFEST
    return manifest.is_file() and DECODER_FORMAT.encode() in manifest.read_bytes()[:4096]


def check_folder(folder: Path, *, force: bool) -> None:
    """Raise now what `DecoderBundle.save` would raise about `folder` after a long export."""
    writing.check_writable(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, and a bundle is a folder. Choose another.")
    writing.refuse_existing(folder, force=force)
    if folder.is_dir() and any(folder.iterdir()) and not is_decoder_bundle(folder):
        raise OutputExistsError(
            f"{folder} is a folder of other things, no bundle of a decoder, so it is not replaced "
            "even with --force. Choose another path."
        )


def _manifest(folder: Path) -> DecoderManifest:
    if not folder.exists():
        raise MissingPathError(f"There is no bundle folder {folder}.")
    if is_bundle(folder):
        raise InvalidModelError(
            f"{folder} is the bundle of a model that is no decoder (a classifier, an encoder): it "
            "generates nothing. Give what tfgreen.export_decoder wrote."
        )
    if not is_decoder_bundle(folder):
        raise InvalidModelError(
            f"{folder} is no bundle of a decoder. Expected a folder that tfgreen.export_decoder "
            "or `tfgreen export-decoder` wrote."
        )
    try:
        return DecoderManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidModelError(
            f"{folder / MANIFEST} is damaged: {first['msg']}. Export again."
        ) from error


def _checked(folder: Path, name: str, digest: str) -> bytes:
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise IntegrityError(f"The manifest of {folder} lists {name}, which lies outside of it.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path} is missing from the bundle. Export again.") from error
    if sha256(content) != digest:
        raise IntegrityError(f"{path} is not the file that the manifest describes. Export again.")
    return content
