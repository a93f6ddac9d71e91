"""What teachers said about each sample of a dataset, on disk: asked once, read ever after.

An entry is a folder whose name is made of two hashes, of the teachers and of the data, so another
teacher or other data are another entry. It is written beside its place and renamed when it is
whole: a kill at any moment leaves no half of it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.errors import IntegrityError, UsageError
from tfgreen.writing import write_folder

_FACTS, _SAMPLES, _LESSON = "teacher_cache.json", "samples.npy", "lesson_{}.npy"
_VERSION = 1
_DIGEST_BYTES = 16
_LARGEST_HALF = 60000.0


@dataclass
class Entry:
    """The lessons of one set of teachers on one dataset.

    rows: from the digest of a sample to its row in every array.
    arrays: (samples, …), float16 (float32 where numbers are too large for it): for each teacher
        the logits of each output, and for the first one the features.
    seconds: wall time that the teachers took for all of it.
    """

    rows: Mapping[bytes, int]
    arrays: Sequence[np.ndarray]
    seconds: float

    def rows_of(self, digests: Sequence[bytes]) -> np.ndarray:
        """The rows of these samples.

        Raises:
            UsageError: one of them is not in the cache.
        """
        try:
            return np.array([self.rows[digest] for digest in digests], np.int64)
        except KeyError:
            raise UsageError(DATA_CHANGE) from None


@dataclass(frozen=True)
class TeacherCache:
    """A folder of cached lessons; many datasets and teachers may share it.

    folder: made when something is written. A folder that is itself one entry is read, and refused
        where it belongs to other data or another teacher.
    """

    folder: Path

    def __post_init__(self) -> None:
        if not isinstance(self.folder, str | Path):
            raise UsageError(f"cache received {self.folder!r}; expected the path of a folder.")
        object.__setattr__(self, "folder", Path(self.folder))
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"cache received '{self.folder}', which is a file and no folder.")

    def read(self, teachers: str, data: str) -> Entry | None:
        """The entry of these hashes; None where there is none.

        Raises:
            IntegrityError: it is damaged, or belongs to other data or another teacher.
        """
        place = self._place(teachers, data)
        if not (place / _FACTS).exists():
            return None
        facts = _facts(place)
        for noun, mine, stored in (
            ("dataset", data, facts["data"]),
            ("teacher", teachers, facts["teachers"]),
        ):
            if mine != stored:
                raise IntegrityError(
                    f"The cache '{place}' belongs to another {noun} (its hash is {stored[:12]}…, "
                    f"that of yours {mine[:12]}…): give a folder of its own, or delete this one."
                )
        names = [_SAMPLES, *(_LESSON.format(i) for i in range(len(facts["files"]) - 1))]
        samples, *arrays = (_array(place / name, facts["files"].get(name)) for name in names)
        rows = {bytes(digest): row for row, digest in enumerate(samples)}
        return Entry(rows, arrays, float(facts["teacher_seconds"]))

    def write(
        self,
        teachers: str,
        data: str,
        digests: Sequence[bytes],
        arrays: Sequence[np.ndarray],
        seconds: float,
    ) -> Entry:
        """Keep lessons; arrays hold one row for each digest, in float32."""
        samples = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _DIGEST_BYTES)
        stored = [_halved(array) for array in arrays]
        files = {_SAMPLES: _bytes(samples)}
        files |= {_LESSON.format(index): _bytes(array) for index, array in enumerate(stored)}
        facts = {
            "version": _VERSION,
            "teachers": teachers,
            "data": data,
            "samples": len(digests),
            "teacher_seconds": seconds,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        files[_FACTS] = json.dumps(facts, indent=2).encode()
        write_folder(self._place(teachers, data), files, force=True)
        return Entry({digest: row for row, digest in enumerate(digests)}, stored, seconds)

    def _place(self, teachers: str, data: str) -> Path:
        if (self.folder / _FACTS).exists():
            return self.folder
        return self.folder / f"{teachers[:16]}-{data[:16]}"


DATA_CHANGE = (
    "The data change from one pass to the next, as augmentation makes them: what the teacher said "
    "about a sample does not fit the sample that the student sees later, so nothing is cached. "
    "Leave cache out, or augment inside the student (layers such as RandomFlip after its input). "
    "A shuffled dataset with drop_remainder=True drops other samples in every pass: leave that out."
)


def digests_of(arrays: Sequence[Any]) -> list[bytes]:
    """One digest for each sample: of the bytes, types and shapes of all its inputs."""
    inputs = [np.ascontiguousarray(array) for array in arrays]
    header = "|".join(f"{array.dtype} {array.shape[1:]}" for array in inputs).encode()
    made = []
    for index in range(len(inputs[0])):
        digest = hashlib.blake2b(header, digest_size=_DIGEST_BYTES)
        for array in inputs:
            digest.update(array[index].tobytes())
        made.append(digest.digest())
    return made


def sha256_of_samples(digests: Sequence[bytes]) -> str:
    """Of a dataset, whatever its order."""
    return hashlib.sha256(b"".join(sorted(set(digests)))).hexdigest()


def _facts(place: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((place / _FACTS).read_text(encoding="utf-8"))
        version = facts["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(_damaged(place)) from error
    if version != _VERSION:
        raise IntegrityError(
            f"The cache '{place}' has version {version!r}; this tfgreen reads {_VERSION}. Delete "
            "the folder: the teacher will be asked again."
        )
    return facts


def _array(path: Path, sha256: str | None) -> np.ndarray:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError(_damaged(path.parent)) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise IntegrityError(_damaged(path.parent))
    array: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def _damaged(place: Path) -> str:
    return (
        f"The cache '{place}' is damaged: a file in it is missing, or not what was written. Delete "
        "the folder: the teacher will be asked again."
    )


def _halved(array: np.ndarray) -> np.ndarray:
    is_small = array.size == 0 or float(np.abs(array).max()) < _LARGEST_HALF
    return array.astype(np.float16 if is_small else np.float32)


def _bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
