"""The files to be timed: read from paths and bundles, with made-up inputs and a name each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfgreen import manifest
from tfgreen.benchmarking.record import Width
from tfgreen.errors import MissingPathError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.verification.workload import random_inputs


@dataclass(frozen=True)
class TimedFile:
    """A file under the name that the table shows."""

    name: str
    content: bytes

    @property
    def width(self) -> Width:
        """What its weights and activations are stored as."""
        return width_of(TfliteModel.from_bytes(self.content))

    def inputs(self) -> tuple[np.ndarray, ...]:
        """One made-up call, the same whenever it is asked for."""
        model = TfliteModel.from_bytes(self.content)
        return tuple(array[0] for array in random_inputs(model, 1))


def read_files(paths: Sequence[str | Path]) -> tuple[TimedFile, ...]:
    """Files and bundle folders, the latter with their hashes checked.

    Names are the last parts of the paths; two that are alike get their whole paths.

    Raises:
        MissingPathError: nothing is there. IntegrityError: a bundle was changed.
        InvalidModelError: not a .tflite file, nor a bundle. UsageError: the same path twice.
    """
    places = [Path(path) for path in paths]
    if len(set(places)) < len(places):
        raise UsageError("The same path was given twice. Give every file once.")
    short = [_short_name(place) for place in places]
    names = [
        name if short.count(name) == 1 else str(place)
        for name, place in zip(short, places, strict=True)
    ]
    return tuple(
        TimedFile(name, _content(place)) for name, place in zip(names, places, strict=True)
    )


def width_of(model: TfliteModel) -> Width:
    """What a file's weights and activations are stored as.

    "mixed" stands for activations of 8 and of 16 bits in one file.
    """
    activations = {model.tensors[i].dtype for op in model.ops for i in op.outputs}
    weights = {tensor.dtype for tensor in model.tensors if tensor.is_constant}
    if {"int8", "int16"} <= activations:
        return "mixed"
    if "int16" in activations:
        return "int16x8"
    if "int4" in weights:
        return "int4"
    if not activations & FLOAT_DTYPES:
        return "int8"
    if "int8" in activations and any(op.name in ("QUANTIZE", "DEQUANTIZE") for op in model.ops):
        return "int8"
    if "int8" in weights:
        return "dynamic-int8"
    return "float16" if "float16" in weights else "float32"


def _short_name(place: Path) -> str:
    return place.resolve().name


def _content(place: Path) -> bytes:
    if not place.exists():
        raise MissingPathError(f"There is no file or bundle {place}.")
    if place.is_dir():
        return manifest.read_files(place, manifest.read_manifest(place))[manifest.MODEL]
    return TfliteModel.read(place).content
