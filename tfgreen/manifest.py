"""The manifest of a bundle folder: what lies in it, under which hash, and how it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tfgreen.errors import IntegrityError, InvalidModelError, MissingPathError
from tfgreen.profile import ExportProfile

SCHEMA_VERSION: Literal[1] = 1
MANIFEST, MODEL, CERTIFICATE = "manifest.json", "model.tflite", "certificate.json"
GOLDEN, PREPROCESS, LEDGER = "golden.npz", "preprocess.json", "ledger.json"
COMPRESSION = "compression.json"
REPORT_HTML, REPORT_JSON, REPORT_MARKDOWN = "report.html", "report.json", "report.md"
REPORTS = (REPORT_HTML, REPORT_JSON, REPORT_MARKDOWN)
REQUIRED = (MODEL, CERTIFICATE, GOLDEN, PREPROCESS)

DECODER_FORMAT: Literal["tfgreen-decoder"] = "tfgreen-decoder"
"""What the manifest of a decoder's bundle calls itself, instead of ours."""

_FORMAT: Literal["tfgreen-bundle"] = "tfgreen-bundle"
_LARGEST_MANIFEST_BYTES = 64 * 1024**2

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataOrigin(_Record):
    """Which samples were used: their hash, and where they came from in words."""

    sha256: Sha256
    source: str | None = None


class GoldenFacts(_Record):
    """What `golden.npz` holds: how many samples, and the kernel sets that answered them."""

    samples: int = 0
    kernel_sets: tuple[str, ...] = ()


class Manifest(_Record):
    """Facts of a bundle. `files` lists every other file of the folder with its sha256.

    `profile` is whole, with its overrides; `versions` is the stack that made the file;
    `conversion` holds route, candidates, rewrites and options as the conversion told them.
    """

    format: Literal["tfgreen-bundle"] = _FORMAT
    schema_version: Literal[1] = SCHEMA_VERSION
    profile: ExportProfile
    versions: dict[str, str]
    files: dict[str, Sha256]
    calibration: DataOrigin | None = None
    evaluation: DataOrigin | None = None
    labels: tuple[str, ...] | None = None
    golden: GoldenFacts = Field(default_factory=GoldenFacts)
    conversion: dict[str, Any] = Field(default_factory=dict)

    def to_json(self) -> str:
        """JSON text, indented by two, ended by a newline."""
        document = self.model_dump(mode="json")
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sha256(content: bytes) -> str:
    """The hash as the manifest writes it.

    >>> sha256(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(content).hexdigest()


def is_bundle(path: str | Path) -> bool:
    """Whether a path is a folder with a manifest that tfgreen wrote, sound or not."""
    manifest = Path(path) / MANIFEST
    return manifest.is_file() and _FORMAT.encode() in manifest.read_bytes()[:4096]


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a bundle; the files it lists are not looked at.

    Raises MissingPathError for no such folder, InvalidModelError for a folder that is no bundle,
    for a damaged manifest and for one of a newer tfgreen.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingPathError(f"There is no bundle folder {folder}.")
    path = folder / MANIFEST
    if not path.is_file():
        raise InvalidModelError(
            f"{folder} is no bundle: it holds no {MANIFEST}. Expected a folder that "
            "`tfgreen export` wrote."
        )
    fields = _fields(path)
    if fields.get("format") == DECODER_FORMAT:
        raise InvalidModelError(
            f"{folder} is the bundle of a decoder. It is run by `tfgreen generate`, and judged by "
            "the certificate that lies in it; export it again to judge it on other text."
        )
    version = fields.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InvalidModelError(
            f"{folder} was written by a newer tfgreen (bundle schema {version}, this one reads "
            f"up to {SCHEMA_VERSION}). Upgrade with `pip install -U tfgreen`."
        )
    try:
        return Manifest.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "document"
        raise InvalidModelError(
            f"{path} is no manifest of a tfgreen bundle: at '{where}', {first['msg']}. "
            "Export again."
        ) from error


def read_files(folder: str | Path, manifest: Manifest) -> dict[str, bytes]:
    """Every file that the manifest lists, with its hash checked.

    Raises IntegrityError naming the first file that is missing, changed, or not listed. Hidden
    files and `__pycache__` folders, which systems and Python leave behind, do not count.
    """
    folder = Path(folder)
    listed = {name: _read_checked(folder, name, digest) for name, digest in manifest.files.items()}
    for name in REQUIRED:
        if name not in listed:
            raise IntegrityError(f"The manifest of {folder} does not list {name}. Export again.")
    for name in _present(folder):
        if name not in listed and name != MANIFEST:
            raise IntegrityError(
                f"{folder} holds {name}, which its manifest does not list. "
                "Move it out of the bundle, or export again."
            )
    return listed


def hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    """The `files` of a manifest: name → sha256, sorted by name."""
    return {name: sha256(files[name]) for name in sorted(files)}


def _present(folder: Path) -> list[str]:
    places = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if not path.is_dir()]
    return [
        place.as_posix()
        for place in places
        if not any(part.startswith(".") or part == "__pycache__" for part in place.parts)
    ]


def _fields(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_MANIFEST_BYTES:
            raise InvalidModelError(f"{path} is too large for a manifest. Export again.")
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidModelError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"{path} is damaged: it is no JSON. Export again.") from error
    if not isinstance(fields, dict):
        raise InvalidModelError(f"{path} is damaged: it is no JSON object. Export again.")
    return fields


def _read_checked(folder: Path, name: str, digest: str) -> bytes:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\\" in name or ":" in name:
        raise IntegrityError(
            f"The manifest of {folder} lists '{name}', which lies outside of the bundle. "
            "Do not use this bundle."
        )
    try:
        content = (folder / place).read_bytes()
    except FileNotFoundError as error:
        raise IntegrityError(
            f"{folder} lacks {name}, which its manifest lists. Copy the bundle again, or export "
            "again."
        ) from error
    except OSError as error:
        raise IntegrityError(f"{folder / place} cannot be read: {error.strerror}.") from error
    received = sha256(content)
    if received != digest:
        raise IntegrityError(
            f"{folder / place} is not the file that the manifest describes: its sha256 is "
            f"{received[:16]}…, the manifest says {digest[:16]}…. Copy the bundle again, or "
            "export again."
        )
    return content
