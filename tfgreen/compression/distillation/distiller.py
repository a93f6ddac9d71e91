"""`tg.Distiller`: a model that trains its student on labels and on what teachers say.

One body for both flavours of Keras: a student of Keras 3 gets a `keras.Model`, one of tf_keras,
also wrapped for pruning or quantization-aware training, a `tf_keras.Model`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tfgreen.compression.distillation.bench import Bench, Lesson, unpacked
from tfgreen.compression.distillation.flavours import (
    class_for,
    package_of,
    ready_to_save,
    take_over,
)
from tfgreen.compression.distillation.losses import Form, Kind
from tfgreen.compression.distillation.ramps import Number, ramp_callback
from tfgreen.compression.distillation.setup import bench_for, plans_for, projections_for
from tfgreen.compression.distillation.teachers import refuse_tracked
from tfgreen.errors import UsageError
from tfgreen.models.loading import flavour_of

if TYPE_CHECKING:
    from pathlib import Path

    from tfgreen.compression.distillation.teacher_cache import TeacherCache


class Distiller:
    """Train a student on the labels and on its teachers' answers.

    loss = alpha · (loss of compile) + (1 - alpha) · T² · KL(teacher/T ‖ student/T) + features

    `compile`, `fit`, `evaluate` and `predict` are those of Keras; what is trained is the student
    that was given. Afterwards it is a plain Keras model: `distiller.student`, or
    `distiller.save(path)`.

    Args:
        student: a model of Keras 3 or tf_keras; what `prepare` of a technique gave, too.
        teacher: a model of either Keras, the path of one or of a SavedModel,
            `tg.MovingAverage()` for the student's own average, or a list of those.
        alpha: the share of the labels' loss, 0 to 1; a pair (from, to) or a function of the share
            of training that is done changes it along. With 0 no labels are needed.
        temperature: above 0; changing as alpha can.
        scale_by_temperature: multiply by T², as Hinton et al. do; False gives the plain form.
        teacher_weights: one for each teacher, by default the same for all; divided by their sum.
        features: hint layers, {"layer of the student": "layer of the (first) teacher"}. Where
            their last axes differ in width, a learned projection, which is not part of the
            student, lies between.
        feature_weight: of the mean squared differences of the hint layers, which are added.
        sample_weights: what the weights of samples and classes count for: "both", or "labels"
            alone (a sample of weight 0 is then learned from the teacher only).
        kind: "categorical", "binary" (each label for itself) or "regression", where neither the
            loss nor the last activation tells.
        student_outputs, teacher_outputs: "logits" or "probabilities", where the last layer does
            not tell.
        cache: a folder, or a `tg.TeacherCache`: teachers are asked once about each sample of a
            finite dataset without augmentation.

    Raises:
        UsageError: options that make no sense, or models that do not go together.
        UnsupportedModelError: a Keras 3 model on another backend than TensorFlow.
    """

    def __new__(cls, student: Any, *args: Any, **kwargs: Any) -> Any:
        """An instance of the student's own Keras."""
        shared: Any = cls
        made: Any = class_for(shared, flavour_of(student))
        return super().__new__(made)

    def __init__(
        self: Any,
        student: Any,
        teacher: Any,
        *,
        alpha: Number = 0.1,
        temperature: Number = 2.0,
        scale_by_temperature: bool = True,
        teacher_weights: Sequence[float] | None = None,
        features: Mapping[str, str] | None = None,
        feature_weight: float = 1.0,
        sample_weights: Literal["both", "labels"] = "both",
        kind: Kind | None = None,
        student_outputs: Form | None = None,
        teacher_outputs: Form | None = None,
        cache: str | Path | TeacherCache | None = None,
        name: str = "distiller",
    ) -> None:
        bench = bench_for(
            student, teacher, alpha=alpha, temperature=temperature,
            scale_by_temperature=scale_by_temperature,
            teacher_weights=teacher_weights, features=features,
            feature_weight=feature_weight, sample_weights=sample_weights, kind=kind,
            student_outputs=student_outputs, teacher_outputs=teacher_outputs, cache=cache,
        )  # fmt: skip
        _of_keras(super()).__init__(name=name, dtype=student.dtype_policy, autocast=False)
        self.__dict__["_bench"] = bench
        self.student = student
        bench.projections = projections_for(bench, flavour_of(student))
        self.projections = [layer for layer in bench.projections if layer is not None]
        if bench.averages:
            self.averages = [teacher.model for teacher in bench.averages]
        mean = package_of(flavour_of(student)).metrics.Mean
        names = ["loss", "student_loss", "distillation_loss", "feature_loss"]
        absent = {"student_loss"} if bench.alpha.is_always_zero else set()
        absent |= set() if bench.features else {"feature_loss"}
        bench.trackers = {name: mean(name=name) for name in names if name not in absent}
        for setting in (bench.alpha, bench.temperature):
            setting.make()
        if getattr(student, "output_names", None):
            self.output_names = list(student.output_names)
        self.built = True
        take_over(self, student)

    def compile(self: Any, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """As any Keras model is compiled; loss is that of the labels, and not needed with alpha=0.

        Raises:
            UsageError: models and loss contradict each other, or nothing tells what the outputs
                are.
        """
        bench: Bench = vars(self)["_bench"]
        if loss is None and not bench.alpha.is_always_zero:
            raise UsageError(
                f"compile received no loss, and alpha={bench.alpha} weighs the loss of the labels: "
                "give one, or alpha=0 to learn from the teacher alone."
            )
        for teacher in bench.teachers:
            refuse_tracked(self, teacher)
        bench.plans = plans_for(bench, self.student, loss, kwargs.get("loss_weights"))
        _of_keras(super()).compile(optimizer, loss=loss, **kwargs)

    def call(self: Any, inputs: Any, training: Any = None) -> Any:
        """What the student says."""
        return self.student(unpacked(inputs)[0], training=training)

    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        """As any Keras model; alpha and temperature move along, and lessons come from the cache.

        Raises:
            UsageError: the data cannot be cached, or have no labels though alpha is above 0.
            InvalidModelError: a teacher changed while it was asked.
        """
        from tfgreen.compression.distillation.data import (
            cached_arguments,
            confirm_on_first_samples,
            show_to_techniques,
        )

        plain = _of_keras(super()).fit
        given = dict(inspect.signature(plain).bind(*args, **kwargs).arguments)
        bench: Bench = vars(self)["_bench"]
        for teacher in bench.teachers:
            refuse_tracked(self, teacher)
        show_to_techniques(self.student, given)
        confirm_on_first_samples(bench, given.get("x"))
        before = [teacher.sha256() if teacher.is_fixed else "" for teacher in bench.teachers]
        given, after = cached_arguments(bench, given)
        moving = [s for s in (bench.alpha, bench.temperature) if not s.is_fixed]
        if moving:
            others = given.get("callbacks") or []
            others = list(others) if isinstance(others, list | tuple) else [others]
            given["callbacks"] = [ramp_callback(moving, flavour_of(self.student)), *others]
        history = plain(**given)
        after(len(history.epoch))
        for teacher, digest in zip(bench.teachers, before, strict=True):
            teacher.refuse_change(digest)
        return history

    def train_step(self: Any, data: Any) -> dict[str, Any]:
        """One step of training; teachers are asked outside of the gradient's sight."""
        import tensorflow as tf

        bench: Bench = vars(self)["_bench"]
        x, lessons, y, weights = self._unpacked(data)
        with tf.GradientTape() as tape:
            answer = bench.forward(x, training=True)
            objective = self._objective(answer, lessons, y, weights)
            scaled = self._scaled(objective)
        self._minimize(tape, scaled, self.trainable_variables)
        for average in bench.averages:
            average.follow(self.optimizer.iterations)
        return self._results(x, y, answer.predictions, weights)

    def test_step(self: Any, data: Any) -> dict[str, Any]:
        """One step of evaluation: the same losses, without training."""
        bench: Bench = vars(self)["_bench"]
        x, lessons, y, weights = self._unpacked(data)
        answer = bench.forward(x, training=False)
        self._objective(answer, lessons, y, weights)
        return self._results(x, y, answer.predictions, weights)

    @property
    def metrics(self: Any) -> list[Any]:
        """The distiller's losses, and the metrics of compile."""
        compiled = [metric for metric in _of_keras(super()).metrics if metric.name != "loss"]
        return [*self._own_trackers(), *compiled]

    def save(self: Any, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        """Save the student as the plain Keras model that it is."""
        ready_to_save(self.student)
        return self.student.save(filepath, *args, **kwargs)

    def _own_trackers(self: Any) -> list[Any]:
        bench = vars(self).get("_bench")
        return [] if bench is None else list(bench.trackers.values())

    def _unpacked(self: Any, data: Any) -> tuple[Any, tuple[Lesson, ...], Any, Any]:
        bench: Bench = vars(self)["_bench"]
        parts = tuple(data) if isinstance(data, list | tuple) else (data,)
        x, y, weights = (*parts, None, None)[:3]
        x, stored = unpacked(x)
        if y is None and not bench.alpha.is_always_zero:
            raise UsageError(
                f"The data have no labels, and alpha={bench.alpha} weighs their loss: give y, or "
                "alpha=0 to learn from the teacher alone."
            )
        lessons = bench.lessons(x) if stored is None else bench.stored_lessons(stored)
        return x, lessons, y, weights

    def _objective(self: Any, answer: Any, lessons: Any, y: Any, weights: Any) -> Any:
        """What is minimized, scaled for the strategy; the parts go to their trackers."""
        import tensorflow as tf

        bench: Bench = vars(self)["_bench"]
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        alpha = bench.alpha.now()
        taught = bench.distillation_loss(answer, lessons, y, weights)
        parts = {"distillation_loss": taught}
        objective = (1 - alpha) * taught / replicas
        if bench.features:
            parts["feature_loss"] = bench.feature_loss(answer, lessons, weights)
            objective += parts["feature_loss"] / replicas
        if not bench.alpha.is_always_zero:
            labels = tf.cast(self._label_loss(y, answer.predictions, weights), tf.float32)
            parts["student_loss"] = labels * replicas
            objective += alpha * labels
        for loss in self._further_losses():
            objective += tf.cast(loss, tf.float32)
        parts["loss"] = objective * replicas
        for name, value in parts.items():
            bench.trackers[name].update_state(value, sample_weight=tf.shape(answer.outputs[0])[0])
        return objective

    def _results(self: Any, x: Any, y: Any, predictions: Any, weights: Any) -> dict[str, Any]:
        if y is None:
            return {tracker.name: tracker.result() for tracker in self._own_trackers()}
        results: dict[str, Any] = _of_keras(super()).compute_metrics(x, y, predictions, weights)
        return results


def _of_keras(parent: Any) -> Any:
    """What `super()` is in the classes that are made of this one: a model of a Keras."""
    return parent
