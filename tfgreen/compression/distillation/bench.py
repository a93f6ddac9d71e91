"""What a distiller knows beyond its student, in an object that no Keras looks into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfgreen.compression.distillation.forward import Answer, Forward
from tfgreen.compression.distillation.losses import (
    Form,
    Kind,
    as_logits,
    feature_losses,
    position_losses,
    weighted_mean,
)
from tfgreen.compression.distillation.plan import OutputPlan, refuse_other_shapes
from tfgreen.compression.distillation.ramps import Setting
from tfgreen.compression.distillation.teachers import AverageTeacher, Teacher
from tfgreen.errors import UsageError

INPUTS, LESSONS = "tfgreen_inputs", "tfgreen_lessons"


@dataclass(frozen=True)
class Lesson:
    """What one teacher says to a batch: logits of each output, and features."""

    logits: tuple[Any, ...]
    features: tuple[Any, ...] = ()


@dataclass
class Bench:
    """A distiller's teachers, settings and plans; a plain object, so that nothing is tracked.

    shares: of the teachers, adding up to 1.
    features: the teacher's layer for each hint layer of the student; of the first teacher.
    is_weighted: whether sample weights count for what the teacher says, too.
    plans: one for each output, once compiled; is_confirmed: samples have shown that they hold.
    seconds: of teachers, "asked" for the cache and "saved" by it.
    """

    teachers: tuple[Teacher, ...]
    shares: tuple[float, ...]
    forward: Forward
    alpha: Setting
    temperature: Setting
    squared: bool
    features: Mapping[str, str]
    feature_weight: float
    is_weighted: bool
    kind: Kind | None
    student_form: Form | None
    teacher_form: Form | None
    cache: Any = None
    projections: tuple[Any, ...] = ()
    plans: tuple[OutputPlan, ...] = ()
    trackers: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    is_confirmed: bool = False

    @property
    def averages(self) -> tuple[AverageTeacher, ...]:
        """The teachers that follow the student."""
        return tuple(t for t in self.teachers if isinstance(t, AverageTeacher))

    def lessons(self, x: Any) -> tuple[Lesson, ...]:
        """Ask every teacher."""
        answers = [teacher(x) for teacher in self.teachers]
        made = []
        for index, (teacher, answer) in enumerate(zip(self.teachers, answers, strict=True)):
            forms = [plan.teacher_forms[index] for plan in self.plans]
            logits = self._logits(answer, teacher.endings, forms, teacher.name)
            made.append(Lesson(logits, answer.features if index == 0 else ()))
        return tuple(made)

    def stored_lessons(self, stored: Sequence[Any]) -> tuple[Lesson, ...]:
        """The lessons that `flat_lessons` put into a list."""
        import tensorflow as tf

        parts = [tf.cast(part, tf.float32) for part in stored]
        count = len(self.plans)
        made = []
        for index in range(len(self.teachers)):
            logits, parts = tuple(parts[:count]), parts[count:]
            features = parts[: len(self.features)] if index == 0 else []
            parts = parts[len(features) :]
            made.append(Lesson(logits, tuple(features)))
        return tuple(made)

    def student_logits(self, answer: Answer) -> tuple[Any, ...]:
        """Of each output."""
        forms = [plan.form for plan in self.plans]
        return self._logits(answer, self.forward.endings, forms, "student")

    def distillation_loss(
        self, answer: Answer, lessons: Sequence[Lesson], y: Any, weights: Any
    ) -> Any:
        """Of all outputs and teachers."""
        total: Any = 0.0
        student = self.student_logits(answer)
        for index, plan in enumerate(self.plans):
            mask = self._mask(answer, index, y, plan)
            own = self._part(weights, index) if self.is_weighted else None
            for share, lesson in zip(self.shares, lessons, strict=True):
                ours, theirs = student[index], lesson.logits[index]
                refuse_other_shapes([ours.shape.as_list()], [theirs.shape.as_list()], "teacher")
                losses = position_losses(
                    plan.kind, ours, theirs, self.temperature.now(), self.squared
                )
                total += plan.weight * share * weighted_mean(losses, own, mask)
        return total

    def feature_loss(self, answer: Answer, lessons: Sequence[Lesson], weights: Any) -> Any:
        """Of all hint layers, already weighted."""
        import tensorflow as tf

        total: Any = 0.0
        for ours, theirs, projection in zip(
            answer.features, lessons[0].features, self.projections, strict=True
        ):
            mask = getattr(ours, "_keras_mask", None)
            projected = ours if projection is None else projection(ours)
            losses = feature_losses(projected, theirs)
            own = self._part(weights, 0) if self.is_weighted else None
            if own is not None and len(own.shape) > len(losses.shape):
                own = tf.reduce_mean(own, range(len(losses.shape), len(own.shape)))
            total += self.feature_weight * weighted_mean(losses, own, mask)
        return total

    def _logits(
        self, answer: Answer, endings: Sequence[Any], forms: Sequence[Form], whose: str
    ) -> tuple[Any, ...]:
        if len(answer.outputs) != len(self.plans):
            raise UsageError(
                f"The {whose} gives {len(answer.outputs)} outputs; expected {len(self.plans)}."
            )
        logits = []
        for index, (plan, form) in enumerate(zip(self.plans, forms, strict=True)):
            before = answer.before[index]
            squashes = bool(endings) and endings[index].form == "probabilities"
            if before is not None and squashes and plan.kind != "regression":
                logits.append(as_logits(before, plan.kind, "logits"))
            else:
                logits.append(as_logits(answer.outputs[index], plan.kind, form))
        return tuple(logits)

    def _mask(self, answer: Answer, index: int, y: Any, plan: OutputPlan) -> Any:
        import tensorflow as tf

        mask = getattr(answer.outputs[index], "_keras_mask", None)
        labels = self._part(y, index)
        if plan.ignored_class is None or labels is None:
            return mask
        counted = tf.not_equal(labels, tf.cast(plan.ignored_class, labels.dtype))
        return counted if mask is None else tf.logical_and(tf.cast(mask, tf.bool), counted)

    def _part(self, nest: Any, index: int) -> Any:
        """What belongs to one output: of a dict by its name, of a list by its place."""
        import keras

        name = self.plans[index].name
        if isinstance(nest, Mapping) and name in nest:
            return nest[name]
        if nest is None or not isinstance(nest, Mapping | list | tuple):
            return nest
        parts = keras.tree.flatten(nest)
        return parts[index] if len(parts) == len(self.plans) else parts[0]


def flat_lessons(lessons: Sequence[Lesson]) -> list[Any]:
    """One list of all arrays of all teachers."""
    return [part for lesson in lessons for part in (*lesson.logits, *lesson.features)]


def packed(x: Any, lessons: Any) -> dict[str, Any]:
    """Inputs with the teachers' stored lessons, as they travel through `fit`."""
    return {INPUTS: x, LESSONS: lessons}


def unpacked(x: Any) -> tuple[Any, Any]:
    """Inputs, and the lessons that travel with them or None."""
    if isinstance(x, Mapping) and set(x) == {INPUTS, LESSONS}:
        return x[INPUTS], x[LESSONS]
    return x, None
