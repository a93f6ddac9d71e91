"""The model that a recipe begins with: a path that is loaded when it is needed, or an object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tfgreen.manifest import sha256
from tfgreen.models.loading import (
    ModelSource,
    identify,
    load_source,
    output_names_of,
    refuse_graph,
    scan,
)
from tfgreen.pipeline.model_files import model_bytes, model_sha256
from tfgreen.pipeline.origin import name_of
from tfgreen.signature import InputSpec
from tfgreen.user_code import import_module


@dataclass(frozen=True)
class GivenModel:
    """A model as it was given.

    given: an object of either Keras, a path, or "module:function".
    """

    given: Any
    custom_objects: str | None = None
    allow_unsafe: bool = False

    @cached_property
    def source(self) -> ModelSource | None:
        """The file; None for an object."""
        is_path = isinstance(self.given, str | Path)
        source = identify(self.given) if is_path else None
        return None if source is not None and source.kind == "function" else source

    @cached_property
    def model(self) -> Any:
        """The model object; a file is loaded the first time."""
        if not isinstance(self.given, str | Path):
            return self.given
        return load_source(identify(self.given), self.custom_objects, self.allow_unsafe)

    def refuse_unfit(self, *, is_trained: bool) -> None:
        """Raise now, without loading it, what loading a file would raise after the first export.

        is_trained: whether a Keras model is needed; else a graph does, too.

        Raises:
            UnsupportedModelError: a SavedModel or a `.tflite`, where it is trained.
            UnsafeModelError: it carries code that nobody allowed.
        """
        if self.source is None:
            return
        if is_trained:
            refuse_graph(self.source)
        scan(self.source, custom_objects=self.custom_objects, allow_unsafe=self.allow_unsafe)

    @cached_property
    def sha256(self) -> str:
        """Of the file, or of architecture and weights."""
        return model_sha256(self.model) if self.source is None else self.source.sha256

    @cached_property
    def code_sha256(self) -> str | None:
        """Of the module that defines its own classes; None without one."""
        if self.custom_objects is None:
            return None
        path = import_module(self.custom_objects).__file__
        return None if path is None else sha256(Path(path).read_bytes())

    @cached_property
    def signature(self) -> tuple[tuple[InputSpec, ...], tuple[str, ...]]:
        """Inputs and names of outputs; a file that does not tell them is loaded."""
        source = self.source
        if source is not None and source.inputs is not None and source.outputs is not None:
            return source.inputs, source.outputs
        return signature_of(self.model)

    @cached_property
    def name(self) -> str:
        """What sources call it."""
        return name_of(self.given)

    @cached_property
    def file(self) -> tuple[str, bytes]:
        """Suffix and content of its file; a SavedModel and the like have to be loaded."""
        source = self.source
        if source is not None and source.path.is_file():
            return source.path.suffix, source.path.read_bytes()
        return model_bytes(self.model)

    @cached_property
    def loss(self) -> Any:
        """What an object was compiled with; None for files, which are loaded uncompiled."""
        if isinstance(self.given, str | Path):
            return None
        from tfgreen.models.bridge.compiling import compile_arguments

        return (compile_arguments(self.given) or {}).get("loss")


def signature_of(model: Any) -> tuple[tuple[InputSpec, ...], tuple[str, ...]]:
    """Inputs and output names of a functional or sequential model object."""
    inputs = tuple(
        InputSpec(name, tuple(tensor.shape[1:]), _dtype(tensor))
        for name, tensor in zip(_input_names(model), model.inputs, strict=True)
    )
    return inputs, tuple(output_names_of(model))


def _input_names(model: Any) -> list[str]:
    """As the model's file has them: of the layers that the inputs come from."""
    names = getattr(model, "input_names", None)
    return list(names) if names else [tensor._keras_history[0].name for tensor in model.inputs]


def _dtype(tensor: Any) -> str:
    return str(getattr(tensor.dtype, "name", tensor.dtype))
