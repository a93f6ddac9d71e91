"""Inspection of `.keras` and `.h5` files: their texts and arrays are read, nothing is built."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfgreen.errors import InvalidModelError, TfgreenError
from tfgreen.inspection.records import LayerFacts, ModelInspection
from tfgreen.inspection.sparsity import ZeroCount
from tfgreen.inspection.stored_weights import (
    MOST_EXPANSION,
    StoredWeights,
    open_weights,
    read_archived,
    read_legacy,
    text_of,
)
from tfgreen.manifest import sha256
from tfgreen.preprocess import BoundaryTensor

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_DAMAGE = (
    OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, EOFError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class _Contents:
    """What a file says: the model's config, the Keras that wrote it, weights by layer name."""

    config: Mapping[str, Any]
    keras_version: str | None
    weights: Mapping[str, StoredWeights]
    notes: tuple[str, ...] = ()

    @property
    def layers(self) -> dict[str, Mapping[str, Any]]:
        return {layer["config"]["name"]: layer for layer in _layers(self.config)}


def inspect_keras_file(path: Path, flavour: str) -> ModelInspection:
    """Layers and weights of a file, whose `flavour` is told on.

    Raises:
        InvalidModelError: the file is damaged.
        MissingDependencyError: h5py is not installed.
    """
    try:
        content = path.read_bytes()
        is_archive = zipfile.is_zipfile(io.BytesIO(content))
        contents = _read_archive(content) if is_archive else _read_legacy(content)
        return _inspection(path, content, contents, flavour)
    except TfgreenError:
        raise
    except _DAMAGE as error:
        raise InvalidModelError(
            f"{path} is damaged or cut off ({type(error).__name__}: {error}). Expected a model "
            "that Keras saved; save it again."
        ) from error


def _read_archive(content: bytes) -> _Contents:
    """A `.keras` file: two JSON texts and one HDF5 file in a zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {member.filename: member.file_size for member in archive.infolist()}
        for name in (_CONFIG, _METADATA, _WEIGHTS):
            if members.get(name, 0) > MOST_EXPANSION * len(content):
                raise InvalidModelError(f"{name} expands to {members[name]:,} bytes: refused.")
        config = json.loads(archive.read(_CONFIG))
        metadata = json.loads(archive.read(_METADATA)) if _METADATA in members else {}
        version = metadata.get("keras_version")
        if _WEIGHTS not in members:
            return _Contents(config, version, {}, ("The weights lie in shards: not counted.",))
        weights = read_archived(archive.read(_WEIGHTS), _layers(config))
    return _Contents(config, version, weights)


def _read_legacy(content: bytes) -> _Contents:
    with open_weights(content) as root:
        weights = read_legacy(root, len(content))
        text = text_of(root.attrs.get("model_config"))
        version = text_of(root.attrs.get("keras_version"))
    if text is None:
        return _Contents({}, version, weights, ("The file holds weights and no model.",))
    return _Contents(json.loads(text), version, weights)


def _layers(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The layers of a functional or sequential config; none of a subclassed model."""
    inner = config.get("config", {})
    layers = inner if isinstance(inner, list) else inner.get("layers", [])
    return [layer for layer in layers if "name" in layer.get("config", {})]


def _inspection(path: Path, content: bytes, contents: _Contents, flavour: str) -> ModelInspection:
    configs, weights = contents.layers, contents.weights
    names = [*configs, *(name for name in weights if name not in configs)]
    layers = (
        _layer(name, configs.get(name, {}), weights.get(name, StoredWeights())) for name in names
    )
    zeros = ZeroCount()
    for stored in weights.values():
        zeros.merge(stored.zeros)
    inner = contents.config.get("config", {})
    return ModelInspection(
        path=str(path),
        size_bytes=len(content),
        sha256=sha256(content),
        parameters=sum(stored.parameters for stored in weights.values()),
        sparsity=zeros.share,
        notes=contents.notes,
        flavour=flavour,
        name=inner.get("name", "") if isinstance(inner, dict) else "",
        class_name=contents.config.get("class_name", ""),
        keras_version=contents.keras_version,
        inputs=tuple(_inputs(configs.values())),
        layers=tuple(layer for layer in layers if layer.class_name or layer.parameters),
    )


def _layer(name: str, config: Mapping[str, Any], weights: StoredWeights) -> LayerFacts:
    return LayerFacts(
        name=name or "(the model's own)",
        class_name=config.get("class_name", ""),
        dtype=", ".join(sorted(weights.dtypes)) or _dtype(config.get("config", {})),
        weights=tuple(weights.shapes),
        parameters=weights.parameters,
        sparsity=weights.zeros.share,
        size_bytes=weights.size_bytes,
    )


def _dtype(config: Mapping[str, Any]) -> str:
    """The dtype or dtype policy of a layer's config, by name."""
    dtype = config.get("dtype")
    if isinstance(dtype, Mapping):
        dtype = dtype.get("config", {}).get("name")
    return dtype if isinstance(dtype, str) else ""


def _inputs(layers: Iterable[Mapping[str, Any]]) -> Iterator[BoundaryTensor]:
    for layer in layers:
        config = layer["config"]
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        if layer.get("class_name") == "InputLayer" and shape:
            sizes = tuple(-1 if size is None else int(size) for size in shape)
            yield BoundaryTensor(
                name=config["name"], shape=sizes, dtype=_dtype(config) or "float32"
            )
