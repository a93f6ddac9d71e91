"""Arrays from .npz and .npy files. Pickles are never opened."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from tfgreen.errors import InvalidDataError

# What NumPy and zipfile raise for damaged, truncated, encrypted or boastful files.
_DAMAGE = (
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    OSError,
    MemoryError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Every array of an .npz archive. Raises InvalidDataError for damage and for pickles."""
    remedy = "np.savez('calibration.npz', x=array)"
    try:
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("no zip archive, or a truncated one")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except _DAMAGE as error:
        raise _refusal(path, error, remedy) from error


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file. Raises InvalidDataError for damage and for pickles."""
    try:
        if zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("an .npz archive with the wrong suffix")
        with path.open("rb") as file:
            array: np.ndarray = np.load(file, allow_pickle=False)
    except _DAMAGE as error:
        raise _refusal(path, error, "np.save('calibration.npy', array)") from error
    return array


def _refusal(path: Path, error: BaseException, remedy: str) -> InvalidDataError:
    text = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    if isinstance(error, OSError) and error.strerror:
        return InvalidDataError(f"{path} cannot be read: {error.strerror}.")
    if "pickle" in text.lower():
        return InvalidDataError(
            f"{path} holds pickled Python objects or is no NumPy file; pickles can run code and "
            f"are never opened. Save plain arrays of numbers: {remedy}."
        )
    return InvalidDataError(
        f"{path} is damaged or no NumPy file ({text}). Save plain arrays of numbers: {remedy}."
    )
