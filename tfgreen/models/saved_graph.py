"""The graph of a SavedModel, to be changed where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorflow.core.framework.function_pb2 import FunctionDefLibrary
from tensorflow.core.protobuf import saved_model_pb2

from tfgreen.models.saved_model import GRAPH

Function = Any  # a FunctionDef of tensorflow/core/framework/function.proto


def read_graph(folder: Path) -> saved_model_pb2.SavedModel:
    """The message in a SavedModel's folder."""
    return saved_model_pb2.SavedModel.FromString((folder / GRAPH).read_bytes())


def write_graph(saved: saved_model_pb2.SavedModel, folder: Path) -> None:
    """Put it back; the same message gives the same bytes."""
    (folder / GRAPH).write_bytes(saved.SerializeToString(deterministic=True))


def functions_of(saved: saved_model_pb2.SavedModel) -> list[Function]:
    """The functions of all its graphs; what is changed in them is changed in the message."""
    parts = [part for graph in saved.meta_graphs for _, part in graph.graph_def.ListFields()]
    collections = [part for part in parts if isinstance(part, FunctionDefLibrary)]
    return [function for collection in collections for function in collection.function]
