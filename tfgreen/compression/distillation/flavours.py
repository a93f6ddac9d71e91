"""What the two flavours of Keras do differently in a step of training; the rest is `Distiller`."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any


class Keras3Steps:
    """For a student of Keras 3."""

    def _label_loss(self: Any, y: Any, predictions: Any, weights: Any) -> Any:
        """The compiled loss alone, scaled for the strategy."""
        return self._compile_loss(y, predictions, weights)

    def _further_losses(self: Any) -> list[Any]:
        """Those of regularizers and `add_loss`, scaled for the strategy."""
        return [self._aggregate_additional_loss(loss) for loss in self.student.losses]

    def _scaled(self: Any, objective: Any) -> Any:
        return self.optimizer.scale_loss(objective)

    def _minimize(self: Any, tape: Any, objective: Any, variables: list[Any]) -> None:
        gradients = tape.gradient(objective, [variable.value for variable in variables])
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))

    def get_metrics_result(self: Any) -> dict[str, Any]:
        """As Keras does; metrics that have seen no labels yet are left out."""
        metrics = self._compile_metrics
        if metrics is not None and not metrics.built:
            return {tracker.name: tracker.result() for tracker in self._own_trackers()}
        return super().get_metrics_result()  # type: ignore[misc,no-any-return]


class Keras2Steps:
    """For a student of tf_keras."""

    def _label_loss(self: Any, y: Any, predictions: Any, weights: Any) -> Any:
        return self.compiled_loss(y, predictions, weights)

    def _further_losses(self: Any) -> list[Any]:
        import tensorflow as tf

        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return [tf.cast(loss, tf.float32) / replicas for loss in self.student.losses]

    def _scaled(self, objective: Any) -> Any:
        return objective

    def _minimize(self: Any, tape: Any, objective: Any, variables: list[Any]) -> None:
        self.optimizer.minimize(objective, variables, tape=tape)


@cache
def class_for(shared: Any, flavour: str) -> Any:
    """The shared body as a keras.Model, or as a tf_keras.Model that takes Keras 3's objects."""
    if flavour == "keras3":
        import keras

        bases: tuple[type, ...] = (shared, Keras3Steps, keras.Model)
    else:
        from tfgreen.models.bridge.fitting import adapted_class
        from tfgreen.models.keras2 import tf_keras

        bases = (shared, Keras2Steps, adapted_class(tf_keras().Model))
    members = {"__module__": shared.__module__, "__doc__": shared.__doc__}
    return type(bases[-1])(shared.__name__, bases, members)


def package_of(flavour: str) -> Any:
    """keras or tf_keras."""
    if flavour == "keras2":
        from tfgreen.models.keras2 import tf_keras

        return tf_keras()
    import keras

    return keras


def ready_to_save(student: Any) -> None:
    """Give a compiled student, which was trained by another one's optimizer, all of its own.

    Keras 3 saves an optimizer that never ran without its moments, and complains on loading.
    """
    optimizer = getattr(student, "optimizer", None)
    if optimizer is not None and not getattr(optimizer, "built", True):
        optimizer.build(student.trainable_variables)


def take_over(distiller: Any, student: Any) -> None:
    """Let a distiller of a prepared student train with what the techniques on it need."""
    from tfgreen.models.loading import flavour_of

    if flavour_of(student) == "keras3":
        return
    from tfgreen.models.bridge.fitting import share_callbacks
    from tfgreen.models.bridge.origin import crossing_of, remember

    crossing = crossing_of(student)
    if crossing is not None:
        remember(distiller, replace(crossing, compile_arguments=None))
    share_callbacks(student, distiller)
