"""tf_keras ("Keras 2") and TensorFlow Model Optimization: the only file that imports them.

Importing TensorFlow Model Optimization sets TF_USE_LEGACY_KERAS for the process and turns a
`tf.keras` that nobody has touched yet into tf_keras. Here `tf.keras` is touched first and the
variable is put back, so that the process is left as it was found.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from tfgreen.errors import MissingDependencyError
from tfgreen.models.known_classes import MODEL_OPTIMIZATION, QUANTIZATION_AWARE

_LEGACY_SWITCH = "TF_USE_LEGACY_KERAS"
_PRUNING, _CLUSTERING = "PruneLowMagnitude", "ClusterWeights"


@cache
def tf_keras() -> ModuleType:
    """The tf_keras package; `tf.keras` stays what it was."""
    with _process_kept():
        try:
            import tf_keras as package
        except ImportError as error:
            raise MissingDependencyError(
                "This is a Keras 2 model, and tf_keras is not installed: pip install tf_keras"
            ) from error
    return package  # type: ignore[no-any-return]


@cache
def model_optimization() -> ModuleType:
    """The tensorflow_model_optimization package; `tf.keras` stays what it was."""
    with _process_kept():
        try:
            import tensorflow_model_optimization as package
        except ImportError as error:
            raise MissingDependencyError(
                "This model was made with TensorFlow Model Optimization, which is not installed: "
                "pip install tensorflow-model-optimization"
            ) from error
    return package  # type: ignore[no-any-return]


def load(
    path: Path, classes: Collection[str], custom_objects: Mapping[str, Any], allow_unsafe: bool
) -> Any:
    """Load a tf_keras .keras or .h5 file, uncompiled; its config has been judged before.

    classes: the class names in its config; those of TensorFlow Model Optimization are provided.
    """
    keras = tf_keras()
    if not QUANTIZATION_AWARE.isdisjoint(classes):
        importlib.import_module("tfgreen.models.qat_layers")  # registers its classes
    with ExitStack() as scopes:
        if not MODEL_OPTIMIZATION.isdisjoint(classes):
            package = model_optimization()
            scopes.enter_context(package.quantization.keras.quantize_scope())
            scopes.enter_context(package.sparsity.keras.prune_scope())
            scopes.enter_context(package.clustering.keras.cluster_scope())
        scopes.enter_context(keras.saving.custom_object_scope(dict(custom_objects)))
        return keras.models.load_model(path, compile=False, safe_mode=not allow_unsafe)


def is_model(candidate: object) -> bool:
    """Whether it is a tf_keras model."""
    return isinstance(candidate, tf_keras().Model)


def without_training_wrappers(model: Any) -> tuple[Any, tuple[str, ...]]:
    """The model that pruning and clustering wrappers trained, and what was taken off.

    Without such wrappers the same model comes back.
    """
    names = {type(layer).__name__ for layer in layers_of(model)}
    stripped: list[str] = []
    if any(name.startswith(_PRUNING) for name in names):
        model = model_optimization().sparsity.keras.strip_pruning(model)
        stripped.append("pruning wrappers taken off")
    if any(name.startswith(_CLUSTERING) for name in names):
        model = model_optimization().clustering.keras.strip_clustering(model)
        stripped.append("clustering wrappers taken off")
    return model, tuple(stripped)


def is_being_pruned(model: Any) -> bool:
    """Whether it is a tf_keras model with wrappers that make it sparser while it trains."""
    return any(type(layer).__name__.startswith(_PRUNING) for layer in layers_of(model))


def layers_of(model: Any) -> list[Any]:
    """Every layer, those inside nested models and wrappers too."""
    layer_class = tf_keras().layers.Layer
    return [module for module in model.submodules if isinstance(module, layer_class)]


@contextmanager
def _process_kept() -> Iterator[None]:
    """Pin `tf.keras` before the import, restore the environment after it."""
    import tensorflow as tf

    getattr(tf.keras, "__version__", None)
    before = os.environ.get(_LEGACY_SWITCH)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        if before is None:
            os.environ.pop(_LEGACY_SWITCH, None)
        else:
            os.environ[_LEGACY_SWITCH] = before
