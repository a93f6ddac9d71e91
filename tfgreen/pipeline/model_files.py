"""Models as bytes: what a stage gives, kept so that equal models are equal files."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.loading import flavour_of

_METADATA = "metadata.json"
_THE_FIRST_DAY = (1980, 1, 1, 0, 0, 0)


def model_bytes(model: Any) -> tuple[str, bytes]:
    """A suffix (".keras", or ".h5" for tf_keras) and the file of a model.

    Two equal models give the same bytes: no time of saving is in them.

    Raises:
        UnsupportedModelError: Keras cannot save it.
    """
    suffix = ".keras" if flavour_of(model) == "keras3" else ".h5"
    with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        path = Path(folder) / f"model{suffix}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.save(path, **({"include_optimizer": False} if suffix == ".h5" else {}))
        except (NotImplementedError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UnsupportedModelError(
                f"The model '{model.name}' cannot be saved ({reason}), and stages hand it on as a "
                "file. Give its layers get_config."
            ) from error
        content = path.read_bytes()
    return suffix, _without_time(content) if suffix == ".keras" else content


def model_sha256(model: Any) -> str:
    """The hash of a model object: its architecture and its weights."""
    digest = hashlib.sha256(json.dumps(model.get_config(), default=repr, sort_keys=True).encode())
    for weight in model.get_weights():
        array = np.ascontiguousarray(weight)
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _without_time(content: bytes) -> bytes:
    """A .keras archive whose entries are all of one day, and whose metadata tells none."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(made, "w") as written:
        for name in sorted(given.namelist()):
            part = given.read(name)
            if name == _METADATA:
                told = {k: v for k, v in json.loads(part).items() if k != "date_saved"}
                part = json.dumps(told).encode()
            written.writestr(zipfile.ZipInfo(name, _THE_FIRST_DAY), part)
    return made.getvalue()
