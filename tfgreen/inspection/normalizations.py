"""The BatchNormalization layers of a `.keras` file: what they should turn each channel into."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.errors import MissingDependencyError
from tfgreen.inspection.stored_weights import open_weights
from tfgreen.verification.diagnosis.normalization import Normalization

_MOST_BYTES = 1 << 31


def batch_normalizations(path: Path) -> tuple[Normalization, ...]:
    """Scale and offset of every BatchNormalization at the top level of a Keras 3 model.

    Nothing comes back for any other file, or where h5py is not installed: what they are needed for
    is one finding more, and no condition of others.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            if archive.getinfo("model.weights.h5").file_size > _MOST_BYTES:
                return ()
            weights = archive.read("model.weights.h5")
        with open_weights(weights) as root:
            return tuple(_read(root, config))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, MissingDependencyError):
        return ()


def _read(root: Any, config: Mapping[str, Any]) -> Iterator[Normalization]:
    groups = {
        group["vars"].attrs.get("name"): group["vars"]
        for group in root["layers"].values()
        if "vars" in group
    }
    for layer in config["config"]["layers"]:
        if layer["class_name"] != "BatchNormalization":
            continue
        settings = layer["config"]
        values = groups[settings["name"]]
        arrays = [np.asarray(values[key]) for key in sorted(values, key=int)]
        width = arrays[-1].shape
        gamma = arrays.pop(0) if settings.get("scale", True) else np.ones(width)
        beta = arrays.pop(0) if settings.get("center", True) else np.zeros(width)
        yield Normalization(settings["name"], gamma, beta)
