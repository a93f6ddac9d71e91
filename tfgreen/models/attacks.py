"""Inputs changed against a model by its own gradient: the fast gradient sign method and PGD.

For the process that loads TensorFlow. Sources: Goodfellow, Shlens and Szegedy, "Explaining and
Harnessing Adversarial Examples" (arXiv 1412.6572); Madry et al., "Towards Deep Learning Models
Resistant to Adversarial Attacks" (arXiv 1706.06083).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfgreen.errors import UnsupportedModelError
from tfgreen.models import rewrites
from tfgreen.models.custom_objects import CustomObjects, resolve_custom_objects
from tfgreen.models.loading import ModelSource, load_source, scan
from tfgreen.models.serving import keras_call, serve_saved_model

_BATCH = 64
_PROBABILITY_TOLERANCE, _LEAST_PROBABILITY = 1e-3, 1e-30
_PASSED_THROUGH = frozenset({"Identity", "Cast", "Reshape", "Squeeze"})
_TOLD = {"Softmax": "softmax", "Sigmoid": "logistic function"}


@dataclass(frozen=True, eq=False)
class Attackable:
    """A model as what an attack needs: the gradient of the loss by each input.

    inputs: Names, in the order of the gradients. loss: What is made larger, in words.
    """

    inputs: tuple[str, ...]
    loss: str
    batch: int | None
    gradient: Callable[[Sequence[Any], Any], Sequence[Any]]


@dataclass(frozen=True)
class Reach:
    """How far an attack may go in one input: at most `epsilon` a value, within low and high."""

    epsilon: float
    low: float
    high: float


def open_attackable(
    source: ModelSource,
    output: str,
    position: int,
    *,
    custom_objects: CustomObjects = None,
    allow_unsafe: bool = False,
) -> Attackable:
    """Load a model for attacks on the classes of one output.

    output, position: Its name and place; the place counts where the model knows no such name.

    Raises UnsupportedModelError for a .tflite, which has no gradient, and what loading raises.
    """
    if source.kind == "tflite":
        raise UnsupportedModelError(
            f"'{source.path}' is a .tflite, which has no gradient: attacks need the Keras model "
            "that it was made from."
        )
    if source.kind == "saved-model":
        scan(
            source,
            custom_objects=resolve_custom_objects(custom_objects),
            allow_unsafe=allow_unsafe,
        )
        serving = serve_saved_model(source.path, 1)
        names = tuple(spec.name for spec in serving.inputs)
        key = output if output in serving.outputs else serving.outputs[position]
        gradient, loss = _gradient_of(lambda tensors: serving.function(*tensors)[key], None)
        return Attackable(names, loss, 1, gradient)
    model = load_source(source, custom_objects, allow_unsafe)
    rewrites.compute_in_float32(model)
    call = keras_call(model)

    def scores(tensors: Sequence[Any]) -> Any:
        result = call.run(tensors)
        found = dict(zip(call.names(result), tf.nest.flatten(result), strict=True))
        return found.get(output, tf.nest.flatten(result)[position])

    specs = [tf.TensorSpec((None, *spec.shape[1:]), spec.dtype) for spec in call.specs]
    gradient, loss = _gradient_of(scores, specs)
    return Attackable(tuple(spec.name for spec in call.specs), loss, None, gradient)


def fgsm(
    model: Attackable,
    inputs: Mapping[str, np.ndarray],
    labels: np.ndarray,
    reach: Mapping[str, Reach],
) -> dict[str, np.ndarray]:
    """One step of epsilon along the sign of the gradient."""
    return pgd(model, inputs, labels, reach, steps=1, step_share=1.0)


def pgd(
    model: Attackable,
    inputs: Mapping[str, np.ndarray],
    labels: np.ndarray,
    reach: Mapping[str, Reach],
    *,
    steps: int,
    step_share: float,
) -> dict[str, np.ndarray]:
    """Steps of `step_share * epsilon` from the sample itself, never farther than epsilon."""
    size = model.batch or _BATCH
    parts: dict[str, list[np.ndarray]] = {name: [] for name in reach}
    for start in range(0, len(labels), size):
        rows = slice(start, start + size)
        clean = {name: np.asarray(inputs[name][rows]) for name in model.inputs}
        moved = dict(clean)
        for _ in range(steps):
            tensors = [tf.constant(moved[name]) for name in model.inputs]
            found = model.gradient(tensors, tf.constant(labels[rows]))
            for name, gradient in zip(model.inputs, found, strict=True):
                if name in reach and gradient is not None:
                    moved[name] = _step(clean[name], moved[name], gradient, reach[name], step_share)
        for name in reach:
            parts[name].append(moved[name])
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _step(
    clean: np.ndarray, moved: np.ndarray, gradient: Any, reach: Reach, share: float
) -> np.ndarray:
    direction = np.nan_to_num(np.sign(tf.convert_to_tensor(gradient).numpy()))
    epsilon = clean.dtype.type(reach.epsilon)
    ahead = moved + clean.dtype.type(share * reach.epsilon) * direction
    near = np.clip(ahead, clean - epsilon, clean + epsilon)
    return np.clip(near, clean.dtype.type(reach.low), clean.dtype.type(reach.high))


def _gradient_of(
    scores: Callable[[Sequence[Any]], Any], specs: Sequence[Any] | None
) -> tuple[Callable[[Sequence[Any], Any], Sequence[Any]], str]:
    """The gradient of the cross-entropy, and what the loss was taken from."""
    told: list[str] = []

    def gradient(tensors: Sequence[Any], labels: Any) -> Sequence[Any]:
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss, words = _cross_entropy(scores(tensors), labels)
        told.append(words)
        found: Sequence[Any] = tape.gradient(
            loss, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return found

    if specs is None:
        return gradient, "cross-entropy of the scores"
    traced = tf.function(gradient, autograph=False).get_concrete_function(
        list(specs), tf.TensorSpec((None,), tf.int64)
    )
    return lambda tensors, labels: traced(*tensors, labels), told[-1]


def _cross_entropy(scores: Any, labels: Any) -> tuple[Any, str]:
    """Summed over the samples; from before a softmax or logistic function where there is one.

    After it a sure model's probabilities are rounded to 1 and 0, and so is their gradient. Before
    it the log odds of all other classes stand for the cross-entropy: it is their softplus, and
    grows in the same direction, but its own gradient fades where the model is sure. A single score
    is moved away from the side of its class.
    """
    before, kind = _before_activation(scores)
    count = tf.shape(labels)[0]
    flat = tf.reshape(before, (count, -1))
    if _is_single(before):
        signs = 1 - 2 * tf.cast(labels, flat.dtype)
        words = "binary cross-entropy, from before the logistic function"
        return tf.reduce_sum(signs * flat[:, 0]), words if kind else "the single score"
    if kind:
        is_wanted = tf.one_hot(labels, tf.shape(flat)[1], on_value=True, off_value=False)
        others = tf.where(is_wanted, tf.constant(-np.inf, flat.dtype), flat)
        odds = tf.reduce_logsumexp(others, axis=-1) - tf.gather(flat, labels, batch_dims=1)
        return tf.reduce_sum(odds), f"cross-entropy, from before the {_TOLD[kind]}"
    picked = tf.gather(flat, labels, batch_dims=1)
    sums_to_one = tf.reduce_all(tf.abs(tf.reduce_sum(flat, axis=-1) - 1) < _PROBABILITY_TOLERANCE)
    loss = tf.where(
        sums_to_one & tf.reduce_all(flat >= 0),
        -tf.math.log(tf.maximum(picked, _LEAST_PROBABILITY)),
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, flat),
    )
    return tf.reduce_sum(loss), "cross-entropy of the scores"


def _is_single(scores: Any) -> bool:
    """Whether a sample has one score, over or under a threshold."""
    return math.prod(size or 0 for size in scores.shape[1:]) == 1


def _before_activation(scores: Any) -> tuple[Any, str]:
    """What a softmax or logistic function at the end takes, and its name; else the scores, ""."""
    tensor = scores
    while hasattr(tensor, "op") and not tf.executing_eagerly():
        kind = tensor.op.type
        if kind in _TOLD:
            return tensor.op.inputs[0], kind
        if kind not in _PASSED_THROUGH:
            break
        tensor = tensor.op.inputs[0]
    return scores, ""
