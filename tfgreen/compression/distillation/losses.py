"""What a student loses by not answering as its teacher does.

All of it computes on TensorFlow tensors, for students of either Keras. Per position: a position is
a sample, or a step of a sequence, or a pixel; its last axis holds the classes, labels or values.

"categorical"   T² · KL(softmax(t/T) ‖ softmax(s/T))                  over the classes
"binary"        T² · KL of two coins, sigmoid(t/T) and sigmoid(s/T)   mean over the labels
"regression"    (t - s)²                                              mean over the values

t and s are logits of teacher and student. T² keeps the gradients as large as those of the labels
at every temperature (Hinton et al. 2015, arXiv 1503.02531, section 2).
"""

from __future__ import annotations

from typing import Any, Literal

Kind = Literal["categorical", "binary", "regression"]
Form = Literal["logits", "probabilities"]

KINDS: tuple[Kind, ...] = ("categorical", "binary", "regression")
FORMS: tuple[Form, ...] = ("logits", "probabilities")

SMALLEST_PROBABILITY = 1e-30
"""What the probability of a class counts as at least, for it to have a logit."""

_NEAREST_TO_ONE = 1e-7


def as_logits(outputs: Any, kind: Kind, form: Form) -> Any:
    """Outputs as float32 logits; values of a regression as they are.

    The logits of probabilities are their logarithms, which differ from those before the softmax
    by a constant, as softmax does not notice; of one probability, log(p / (1 - p)).
    """
    import tensorflow as tf

    outputs = tf.cast(tf.convert_to_tensor(outputs), tf.float32)
    if kind == "regression" or form == "logits":
        return outputs
    if kind == "categorical":
        return tf.math.log(tf.maximum(outputs, SMALLEST_PROBABILITY))
    outputs = tf.clip_by_value(outputs, _NEAREST_TO_ONE, 1 - _NEAREST_TO_ONE)
    return tf.math.log(outputs) - tf.math.log1p(-outputs)


def position_losses(kind: Kind, student: Any, teacher: Any, temperature: Any, squared: bool) -> Any:
    """The loss of each position, (n,) or (n, steps, …), from logits of (…, classes).

    temperature: above 0; a regression has none. squared: multiply by T².
    """
    import tensorflow as tf

    if kind == "regression":
        return tf.reduce_mean(tf.math.squared_difference(student, teacher), axis=-1)
    losses = (_categorical if kind == "categorical" else _binary)(
        student / temperature, teacher / temperature
    )
    return losses * temperature**2 if squared else losses


def feature_losses(student: Any, teacher: Any) -> Any:
    """Mean squared difference over the last axis, for each position."""
    import tensorflow as tf

    difference = tf.math.squared_difference(
        tf.cast(student, tf.float32), tf.cast(teacher, tf.float32)
    )
    return tf.reduce_mean(difference, axis=-1)


def weighted_mean(losses: Any, weights: Any = None, mask: Any = None) -> Any:
    """Σ loss · weight / number of positions that count, as Keras reduces its losses.

    Args:
        losses: (n, …) float32.
        weights: (n,), (n, 1) or of more axes of the losses; the number does not change with them.
        mask: bool, of the same forms; positions where it is False do not count at all.
    """
    import tensorflow as tf

    losses = tf.convert_to_tensor(losses)
    count = tf.cast(tf.size(losses), tf.float32)
    if mask is not None:
        kept = tf.cast(_like(mask, losses), tf.bool)
        kept = tf.logical_and(kept, tf.ones_like(losses, tf.bool))
        count = tf.reduce_sum(tf.cast(kept, tf.float32))
        losses = tf.where(kept, losses, tf.zeros_like(losses))
    if weights is not None:
        losses = losses * tf.cast(_like(weights, losses), tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), count)


def _categorical(student: Any, teacher: Any) -> Any:
    import tensorflow as tf

    log_teacher, log_student = tf.nn.log_softmax(teacher), tf.nn.log_softmax(student)
    return tf.reduce_sum(tf.exp(log_teacher) * (log_teacher - log_student), axis=-1)


def _binary(student: Any, teacher: Any) -> Any:
    import tensorflow as tf

    yes = tf.sigmoid(teacher)
    gain = tf.math.log_sigmoid(teacher) - tf.math.log_sigmoid(student)
    loss = tf.math.log_sigmoid(-teacher) - tf.math.log_sigmoid(-student)
    return tf.reduce_mean(yes * gain + (1 - yes) * loss, axis=-1)


def _like(values: Any, losses: Any) -> Any:
    """The same values with an axis for each of the losses', (n,) as (n, 1, 1)."""
    import tensorflow as tf

    values = tf.convert_to_tensor(values)
    while values.shape.rank > losses.shape.rank and values.shape[-1] == 1:
        values = tf.squeeze(values, -1)
    while values.shape.rank < losses.shape.rank:
        values = tf.expand_dims(values, -1)
    return values
