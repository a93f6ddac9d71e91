"""What a stage trains for: its losses and metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfgreen.errors import InvalidDataError, UsageError
from tfgreen.recipe import Stage
from tfgreen.training.optimizers import package_of

_OF_CLASSES = "sparse_categorical_crossentropy"
_CROSSENTROPIES = {
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
}


def losses_of(model: Any, stage: Stage, labels: Mapping[str, np.ndarray] | None) -> dict[str, Any]:
    """The loss of each output: the stage's, or told by how it ends and by what its labels are.

    model: a Keras model. labels: output → (n, ...); None where nobody knows them.

    Raises:
        UsageError: nothing tells, or Keras knows no such loss.
        InvalidDataError: the labels are none that the loss takes.
    """
    from tfgreen.compression.distillation.endings import endings_of
    from tfgreen.models.loading import output_names_of

    names, package = output_names_of(model), package_of(model)
    endings = [ending.activation for ending in endings_of(model)] or [None] * len(names)
    found = {}
    for name, activation, tensor in zip(names, endings, model.outputs, strict=True):
        loss = stage.loss
        if loss is None and labels is None:
            raise UsageError(
                f"Stage '{stage.name}' trains on a pipeline, whose labels nobody knows before: "
                "name its loss (loss = ...), or give a compiled model."
            )
        if loss is None and labels is not None:
            loss = _loss(name, labels[name], activation, tuple(tensor.shape))
        _refuse_unknown_loss(stage, str(loss), package)
        if labels is not None:
            refuse_unfit_labels(name, labels[name], str(loss), tuple(tensor.shape))
        found[name] = _of_logits(str(loss), package) if activation == "linear" else loss
    return found


def metrics_for(losses: Mapping[str, Any]) -> dict[str, list[str]]:
    """Accuracy where classes are told apart, else the mean absolute error."""
    return {
        name: ["accuracy" if "crossentropy" in _name(loss) else "mae"]
        for name, loss in losses.items()
    }


def refuse_unfit_classes(model: Any, losses: Any, labels: Mapping[str, np.ndarray]) -> None:
    """As `refuse_unfit_labels`, for the losses that a model was compiled with.

    losses: one for all outputs, or by their names. Only those of classes are known so well.
    """
    from tfgreen.models.loading import output_names_of

    for name, tensor in zip(output_names_of(model), model.outputs, strict=True):
        loss = losses.get(name) if isinstance(losses, Mapping) else losses
        if name in labels and _name(loss) == _OF_CLASSES:
            refuse_unfit_labels(name, labels[name], _OF_CLASSES, tuple(tensor.shape))


def refuse_unfit_labels(
    name: str, labels: np.ndarray, loss: str, shape: tuple[int | None, ...]
) -> None:
    """Raise InvalidDataError for labels with which the loss could not, or must not, be computed.

    labels: (n, ...) of the output `name`. shape: of the output, its first dimension the batch.

    >>> refuse_unfit_labels("word", np.array([0, 3]), "sparse_categorical_crossentropy", (None, 3))
    Traceback (most recent call last):
    ...
    tfgreen.errors.InvalidDataError: The labels of 'word' reach from 0 to 3; expected class numbers
    from 0 to 2, one for each of its 3 scores. Correct the labels, or the model's last layer.
    """
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        count = int(np.count_nonzero(~np.isfinite(labels)))
        raise InvalidDataError(
            f"The labels of '{name}' hold {count:,} NaN or infinite values; expected numbers. "
            "Remove these samples."
        )
    classes = shape[-1]
    if loss == _OF_CLASSES:
        if classes is None or (_are_whole(labels) and 0 <= labels.min() <= labels.max() < classes):
            return
        raise InvalidDataError(
            f"The labels of '{name}' reach from {labels.min():g} to {labels.max():g}; expected "
            f"class numbers from 0 to {classes - 1}, one for each of its {classes} scores. Correct "
            "the labels, or the model's last layer."
        )
    values = [size or 0 for size in shape[1:]]
    if all(values) and math.prod(labels.shape[1:]) != math.prod(values):
        raise InvalidDataError(
            f"The labels of '{name}' have the shape {labels.shape} and the output has "
            f"{(len(labels), *values)}, and the loss '{loss}' compares them number by number. Give "
            f"labels of that shape, or name a loss of classes: '{_OF_CLASSES}'."
        )


def sole(values: Mapping[str, Any]) -> Any:
    """The value itself for a model of one output."""
    return next(iter(values.values())) if len(values) == 1 else dict(values)


def _refuse_unknown_loss(stage: Stage, loss: str, package: Any) -> None:
    try:
        package.losses.get(loss)
    except ValueError as error:
        raise UsageError(
            f"Stage '{stage.name}' received the loss {loss!r}, which Keras does not know; expected "
            'a name such as "mse" or "sparse_categorical_crossentropy".'
        ) from error


def _are_whole(labels: np.ndarray) -> bool:
    return labels.dtype.kind in "iub" or bool((labels == np.round(labels)).all())


def _loss(name: str, labels: np.ndarray, activation: str | None, shape: tuple[Any, ...]) -> str:
    scores = math.prod(size or 1 for size in shape[1:])
    are_classes = math.prod(labels.shape[1:]) * (shape[-1] or 1) == scores > 1 and _are_whole(
        labels
    )
    if activation in ("softmax", "linear") and are_classes:
        return _OF_CLASSES
    if activation == "softmax":
        return "categorical_crossentropy"
    if activation == "sigmoid":
        return "binary_crossentropy"
    if labels.dtype.kind == "f":
        return "mse"
    raise UsageError(
        f"Nothing tells the loss of the output '{name}': its labels are {labels.dtype} and it ends "
        f"in {activation or 'an unknown activation'}. Name one in the stage (loss = ...)."
    )


def _of_logits(loss: str, package: Any) -> Any:
    """A crossentropy of scores that no softmax or sigmoid has made probabilities of."""
    kind = _CROSSENTROPIES.get(loss)
    return loss if kind is None else getattr(package.losses, kind)(from_logits=True)


def _name(loss: Any) -> str:
    return str(getattr(loss, "name", loss)).lower()
