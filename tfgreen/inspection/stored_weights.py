"""The weights in an HDF5 file of Keras, by layer; read with h5py alone.

Only what lies in the file itself is read: links and datasets that point into other files are not
followed, and an array that claims far more bytes than its file has is refused.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfgreen.errors import InvalidModelError, MissingDependencyError
from tfgreen.inspection.sparsity import ZeroCount

MOST_EXPANSION = 20
"""An archive member or an array may claim this many times the bytes of its file.

Keras stores weights uncompressed. Deflate makes at most a thousandth of anything, so that a bound
near there would stop nothing.
"""

_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
_NO_LAYERS = ("optimizer", "metrics", "optimizer_weights")
_NUMBERS = "fiub"


@dataclass
class StoredWeights:
    """What one layer stores; `size_bytes` uncompressed."""

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    dtypes: set[str] = field(default_factory=set)
    parameters: int = 0
    size_bytes: int = 0
    zeros: ZeroCount = field(default_factory=ZeroCount)


def open_weights(content: bytes) -> Any:
    """The root group of an HDF5 file in memory, as a context manager."""
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(
            "Reading a Keras model file needs h5py, which is not installed: pip install h5py."
        ) from error
    return h5py.File(io.BytesIO(content), "r")


def read_archived(content: bytes, layers: Iterable[Mapping[str, Any]]) -> dict[str, StoredWeights]:
    """Layer name → weights of the HDF5 file in a `.keras` archive; "" is the model's own.

    Keras 3 notes a layer's name beside its weights. tf_keras does not: there the groups are
    called by class and count in the order of `layers`, as `dense`, `dense_1`.
    """
    names = _names_by_order(layers)
    groups: dict[str, list[Any]] = {}
    with open_weights(content) as root:
        for key, group in _children(root):
            if key in _CONTAINERS:
                for inner, child in _children(group):
                    name = _noted_name(child) or names.get(inner, inner)
                    groups.setdefault(name, []).append(child)
            else:
                name = "" if key == "vars" else _noted_name(group) or key
                groups.setdefault(name, []).append(group)
        return {name: _collect(found, len(content)) for name, found in groups.items()}


def read_legacy(root: Any, file_bytes: int) -> dict[str, StoredWeights]:
    """Layer name → weights of a whole-model `.h5` file, or of one with weights alone."""
    stored = dict(_children(root)).get("model_weights", root)
    return {name: _collect([group], file_bytes) for name, group in _children(stored)}


def text_of(value: Any) -> str | None:
    """An HDF5 attribute as text, however it was stored; None stays None."""
    return value.decode() if isinstance(value, bytes) else None if value is None else str(value)


def _names_by_order(layers: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    names: dict[str, str] = {}
    for layer in layers:
        stem = _snake_case(layer["class_name"])
        key, count = stem, 0
        while key in names:
            count += 1
            key = f"{stem}_{count}"
        names[key] = layer["config"]["name"]
    return names


def _snake_case(name: str) -> str:
    """As Keras spells a class in a weights file: "Conv2D" → "conv2d", "ReLU" → "re_lu"."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _noted_name(group: Any) -> str | None:
    own = dict(_children(group)).get("vars")
    return None if own is None else text_of(own.attrs.get("name"))


def _children(group: Any) -> list[tuple[str, Any]]:
    """The subgroups that hold layers and lie in the file itself."""
    import h5py

    keys = [key for key in group if isinstance(group.get(key, getlink=True), h5py.HardLink)]
    found = [(key, group[key]) for key in keys if key not in _NO_LAYERS]
    return [(key, child) for key, child in found if isinstance(child, h5py.Group)]


def _collect(groups: Iterable[Any], file_bytes: int) -> StoredWeights:
    weights = StoredWeights()
    for dataset in (found for group in groups for found in _datasets(group)):
        if dataset.nbytes > MOST_EXPANSION * file_bytes:
            raise InvalidModelError(f"{dataset.name} claims {dataset.nbytes:,} bytes: refused.")
        weights.shapes.append(tuple(dataset.shape))
        weights.dtypes.add(str(dataset.dtype))
        weights.parameters += int(dataset.size)
        weights.size_bytes += int(dataset.nbytes)
        if dataset.ndim > 1 and dataset.external is None and not dataset.is_virtual:
            weights.zeros.add(dataset[()])
    return weights


def _datasets(group: Any) -> list[Any]:
    """The arrays of numbers below a group; h5py's visit does not follow links."""
    import h5py

    found: list[Any] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            found.append(item)

    group.visititems(visit)
    return [dataset for dataset in found if dataset.dtype.kind in _NUMBERS]
