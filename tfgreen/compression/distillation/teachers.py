"""Teachers: frozen for certain, of either Keras, a SavedModel, or the student's own average.

A teacher is called with `training=False` and outside of the gradient's sight. It lies where no
Keras tracks it, so it is neither among the weights nor in a checkpoint, and its `trainable` stays
what the caller set. `Teacher.refuse_change` proves after training that not a bit of it has moved.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.compression.distillation.endings import Ending
from tfgreen.compression.distillation.flavours import package_of
from tfgreen.compression.distillation.forward import Answer, Forward, flat, output_shapes
from tfgreen.errors import InvalidModelError, UnsupportedModelError, UsageError

_SIGNATURE = "serving_default"
# Counted by their place; Keras 2 counts input_1, input_2 by when they were made.
_COUNTED = re.compile(r"(?:args|inputs|output)(?:_\d+)+")


@dataclass(frozen=True)
class MovingAverage:
    """The student's own moving average as its teacher (Tarvainen and Valpola 2017, 1703.01780).

    decay: the share of the average that stays in each step, 0 to below 1. The first steps take
        less: min(decay, (1 + step) / (10 + step)), so that the random start is soon forgotten.

    >>> MovingAverage(decay=1.0)
    Traceback (most recent call last):
    ...
    tfgreen.errors.UsageError: decay received 1.0; expected 0 to below 1, for example 0.999.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        is_number = isinstance(self.decay, int | float) and not isinstance(self.decay, bool)
        if not is_number or not 0 <= self.decay < 1:
            raise UsageError(
                f"decay received {self.decay!r}; expected 0 to below 1, for example 0.999."
            )


class Teacher:
    """One teacher that a distiller asks.

    name: for messages. endings, shapes: of its outputs, empty where nobody knows.
    feature_shapes: of the layers that were asked for.
    order: for each output of the student, which of its own it is.
    """

    name: str = "teacher"
    output_names: Sequence[str] = ()
    order: tuple[int, ...] = ()
    endings: tuple[Ending, ...] = ()
    shapes: Sequence[tuple[Any, ...]] = ()
    feature_shapes: Sequence[tuple[Any, ...]] = ()
    input_shapes: Sequence[tuple[Any, ...]] = ()
    is_fixed = True

    def __call__(self, x: Any) -> Answer:
        """Its answer to a batch; no gradient goes through it."""
        import tensorflow as tf

        answer = self._answer(x)
        before = tuple(None if t is None else tf.stop_gradient(t) for t in answer.before)
        before = self._as_student(before)
        outputs = self._as_student(tuple(map(tf.stop_gradient, answer.outputs)))
        features = tuple(map(tf.stop_gradient, answer.features))
        return Answer(outputs, outputs, before, features)

    def stand_beside(self, student: Any) -> None:
        """Give the outputs in the student's order, where both call them by the same names."""
        names = list(getattr(student, "output_names", None) or ())
        if names == list(self.output_names) or sorted(names) != sorted(self.output_names):
            return
        self.order = tuple(list(self.output_names).index(name) for name in names)
        self.endings, self.shapes = self._as_student(self.endings), self._as_student(self.shapes)

    def variables(self) -> list[Any]:
        """Every variable of it."""
        return []

    def sha256(self) -> str:
        """Of what decides its answers: weights and, where there are, the layers' settings."""
        digest = hashlib.sha256(self._settings().encode())
        for variable in self.variables():
            array = np.ascontiguousarray(np.asarray(variable))
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    def refuse_change(self, before: str) -> None:
        """Raise InvalidModelError if its hash is another one than `before`."""
        if self.is_fixed and self.sha256() != before:
            raise InvalidModelError(
                f"The {self.name} is not what it was before training: it changes its own state "
                "when it is called, or other code trained it meanwhile. Give a teacher whose "
                "layers keep still with training=False."
            )

    def _as_student(self, of_outputs: Sequence[Any]) -> tuple[Any, ...]:
        if len(of_outputs) != len(self.order):
            return tuple(of_outputs)
        return tuple(of_outputs[place] for place in self.order)

    def _answer(self, x: Any) -> Answer:
        raise NotImplementedError

    def _settings(self) -> str:
        return ""


class KerasTeacher(Teacher):
    """A model of either Keras."""

    def __init__(self, model: Any, features: Sequence[str] = (), name: str = "teacher") -> None:
        self.name = name
        self._forward = Forward(model, features, whose=name)
        self.model = model
        self.endings, self.shapes = self._forward.endings, output_shapes(model)
        self.feature_shapes = self._forward.feature_shapes
        self.output_names = list(getattr(model, "output_names", None) or ())
        self.input_shapes = [tuple(t.shape) for t in getattr(model, "inputs", None) or ()]

    def variables(self) -> list[Any]:
        """All weights, and the states of its metrics and random layers not."""
        return list(self.model.weights)

    def _answer(self, x: Any) -> Answer:
        return self._forward(x, training=False)

    def _settings(self) -> str:
        settings = [*_layer_settings(self.model), *_output_places(self.model)]
        return json.dumps(settings, default=repr, sort_keys=True)


class SavedModelTeacher(Teacher):
    """A SavedModel folder, asked through its serving signature."""

    def __init__(self, path: Path, name: str = "teacher") -> None:
        import tensorflow as tf

        from tfgreen.models.loading import identify, scan

        scan(identify(path))
        self.name, self.path = name, path
        self._loaded = tf.saved_model.load(str(path))
        signature = self._loaded.signatures.get(_SIGNATURE)
        if signature is None:
            raise UnsupportedModelError(
                f"The SavedModel '{path}' has no signature '{_SIGNATURE}': it has "
                f"{sorted(self._loaded.signatures) or 'none'}. Save it with model.export(path)."
            )
        self._signature = signature
        specs = signature.structured_input_signature[1]
        self._specs = {name: specs[name] for name in sorted(specs, key=_counted)}
        self.input_shapes = [tuple(spec.shape) for spec in self._specs.values()]
        outputs = signature.structured_outputs
        self.output_names = sorted(outputs, key=_counted)
        self.shapes = [tuple(outputs[name].shape) for name in self.output_names]

    def stand_beside(self, student: Any) -> None:
        """By names; where a signature says nothing about the order, nobody guesses it.

        Raises:
            UsageError: several inputs or outputs of other names than the student's.
        """
        super().stand_beside(student)
        inputs = list(getattr(student, "input_names", None) or ())
        if sorted(inputs) == sorted(self._specs):
            self._specs = {name: self._specs[name] for name in inputs}
            self.input_shapes = [tuple(spec.shape) for spec in self._specs.values()]
        outputs = getattr(student, "output_names", None) or ()
        for what, ours, theirs in (
            ("inputs", inputs, list(self._specs)),
            ("outputs", outputs, list(self.output_names)),
        ):
            is_told = sorted(ours) == sorted(theirs) or all(map(_COUNTED.fullmatch, theirs))
            if len(theirs) > 1 and not is_told:
                raise UsageError(
                    f"The SavedModel '{self.path}' has the {what} {theirs} and the student "
                    f"{list(ours)}: nothing tells which belong together. Name those of the student "
                    "in the same way, or give the Keras model that the SavedModel was made of."
                )

    def variables(self) -> list[Any]:
        """Those that its signature reads."""
        return list(self._signature.variables)

    def _answer(self, x: Any) -> Answer:
        import tensorflow as tf

        given = x if isinstance(x, dict) else dict(zip(self._specs, flat(x), strict=False))
        if set(given) != set(self._specs):
            raise UsageError(
                f"The SavedModel '{self.path}' takes the inputs {list(self._specs)} and received "
                f"{list(given)}: give the inputs as a dict by these names."
            )
        cast = {name: tf.cast(given[name], spec.dtype) for name, spec in self._specs.items()}
        answered = self._signature(**cast)
        outputs = tuple(answered[name] for name in self.output_names)
        return Answer(outputs, outputs, (None,) * len(outputs))

    def _settings(self) -> str:
        graph = hashlib.sha256((self.path / "saved_model.pb").read_bytes()).hexdigest()
        return f"{graph} of {list(self._specs)}"


class AverageTeacher(Teacher):
    """The moving average of the student's weights.

    model: an equal copy of the student, which the distiller keeps among its own, untrainable
        weights, so that a resumed training goes on with it.
    """

    is_fixed = False

    def __init__(
        self, student: Any, decay: float, features: Sequence[str] = (), name: str = "average"
    ) -> None:
        self.name = name
        self._decay = decay
        self.model = _clone(student)
        self._pairs = list(zip(self.model.weights, student.weights, strict=True))
        self.model.trainable = False  # tf_keras lists the weights of wrappers otherwise from here
        self._forward = Forward(self.model, features, whose=name)
        self.endings, self.shapes = self._forward.endings, output_shapes(self.model)
        self.feature_shapes = self._forward.feature_shapes

    def follow(self, step: Any) -> None:
        """Move towards the student. step: how many steps of training are done."""
        import tensorflow as tf

        step = tf.cast(step, tf.float32)
        decay = tf.minimum(self._decay, (1 + step) / (10 + step))
        for mean, value in self._pairs:
            current = tf.convert_to_tensor(value)
            if not current.dtype.is_floating:
                mean.assign(current)
                continue
            share = tf.cast(1 - decay, current.dtype)
            mean.assign(mean - share * (tf.convert_to_tensor(mean) - current))

    def _answer(self, x: Any) -> Answer:
        return self._forward(x, training=False)


def opened(
    teacher: Any, student: Any, features: Sequence[str] = (), name: str = "teacher"
) -> Teacher:
    """A teacher out of a model, a path or a `MovingAverage`.

    Raises:
        UsageError: a name that nobody resolved, or no teacher at all.
    """
    from tfgreen.models.loading import flavour_of, identify, load_source

    if isinstance(teacher, Teacher):
        return teacher
    if isinstance(teacher, MovingAverage):
        return AverageTeacher(student, teacher.decay, features, name)
    if isinstance(teacher, str) and not Path(teacher).exists():
        raise UsageError(
            f"The teacher '{teacher}' is a name or a path that does not exist. Give a model, the "
            "path of one, or say which model the name means: "
            f"technique.with_teachers({{{teacher!r}: model}})."
        )
    if isinstance(teacher, str | Path):
        source = identify(teacher)
        if source.kind == "saved-model":
            if features:
                raise UsageError(
                    f"The SavedModel '{teacher}' has no layers, and features name some of its "
                    "teacher: give the Keras model that it was made of."
                )
            return SavedModelTeacher(Path(teacher), name)
        return KerasTeacher(load_source(source), features, name)
    flavour_of(teacher)
    return KerasTeacher(teacher, features, name)


def refuse_tracked(distiller: Any, teacher: Teacher) -> None:
    """Refuse a teacher that a distiller has come to hold among its own weights."""
    theirs = {_identity(variable) for variable in teacher.variables()}
    if teacher.is_fixed and any(_identity(variable) in theirs for variable in distiller.weights):
        raise UsageError(
            f"The weights of the {teacher.name} are among the distiller's own, and would be "
            "trained: the model was set as an attribute of the distiller. Keep it elsewhere."
        )


def refuse_shared(student: Any, teacher: Teacher) -> None:
    """Refuse a teacher that training the student would change."""
    theirs = {_identity(variable) for variable in teacher.variables()}
    shared = [v for v in student.weights if _identity(v) in theirs]
    if shared:
        raise UsageError(
            f"The {teacher.name} shares {len(shared)} weights with the student (the first is "
            f"'{getattr(shared[0], 'path', shared[0].name)}'), so it would be trained with it. "
            "Give a copy: keras.models.clone_model and set_weights. For a student that learns from "
            "itself, give tg.MovingAverage()."
        )


def _identity(variable: Any) -> int:
    return id(getattr(variable, "value", variable)) if _is_keras3(variable) else id(variable)


def _is_keras3(variable: Any) -> bool:
    return type(variable).__module__.startswith("keras.")


def _layer_settings(model: Any) -> Iterator[Any]:
    """Class and config of every layer without names, which count up from process to process."""
    for layer in model._flatten_layers(include_self=False, recursive=True):
        try:
            config = layer.get_config()
        except (NotImplementedError, TypeError, ValueError):
            config = {}
        if "layers" in config:
            config = {}
        yield type(layer).__name__, {k: v for k, v in config.items() if k != "name"}


def _output_places(model: Any) -> Iterator[Any]:
    """For each output the place of the layer that gives it, among the model's layers."""
    places = {id(layer): place for place, layer in enumerate(getattr(model, "layers", ()))}
    try:
        outputs = list(getattr(model, "outputs", None) or ())
    except (AttributeError, ValueError):
        return
    for tensor in outputs:
        history = tuple(getattr(tensor, "_keras_history", ()))
        if history:
            yield places.get(id(history[0])), history[2]


def _counted(name: str) -> tuple[list[int], str]:
    """A key that sorts output_10 behind output_9."""
    return [int(number) for number in re.findall(r"\d+", name)], name


def _clone(student: Any) -> Any:
    from tfgreen.models.loading import flavour_of

    package = package_of(flavour_of(student))
    try:
        made = package.models.clone_model(student)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise UnsupportedModelError(
            f"The student '{student.name}' cannot be copied for its moving average ({error})."
        ) from error
    made.set_weights(student.get_weights())
    return made
