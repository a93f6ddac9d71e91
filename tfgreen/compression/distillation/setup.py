"""A distiller put together: options checked, models matched, outputs planned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfgreen.compression.distillation.bench import Bench
from tfgreen.compression.distillation.endings import Ending
from tfgreen.compression.distillation.flavours import package_of
from tfgreen.compression.distillation.forward import Forward, output_shapes
from tfgreen.compression.distillation.losses import FORMS, KINDS, Form
from tfgreen.compression.distillation.plan import (
    OutputPlan,
    by_output,
    check_values,
    loss_facts,
    refuse_other_shapes,
    student_plan,
    teacher_form,
)
from tfgreen.compression.distillation.ramps import Setting
from tfgreen.compression.distillation.teachers import (
    KerasTeacher,
    MovingAverage,
    Teacher,
    opened,
    refuse_shared,
)
from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.models.loading import flavour_of


def alpha_setting(alpha: Any) -> Setting:
    """The labels' share of the loss, checked."""
    return Setting("alpha", alpha, 0.0, 1.0)


def temperature_setting(temperature: Any) -> Setting:
    """The temperature, checked."""
    return Setting("temperature", temperature, 0.0, math.inf, with_low=False)


def check_options(options: Mapping[str, Any]) -> None:
    """Raise UsageError for options of `Distiller` that make no sense by themselves."""
    alpha_setting(options["alpha"])
    temperature_setting(options["temperature"])
    weight = options["feature_weight"]
    if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 < weight < math.inf:
        raise UsageError(f"feature_weight received {weight!r}; expected a number above 0.")
    for name, known in (
        ("sample_weights", ("both", "labels")),
        ("kind", (None, *KINDS)),
        ("student_outputs", (None, *FORMS)),
        ("teacher_outputs", (None, *FORMS)),
    ):
        if options[name] not in known:
            raise UsageError(f"{name} received {options[name]!r}; expected one of {known}.")
    squared = options["scale_by_temperature"]
    if not isinstance(squared, bool):
        raise UsageError(f"scale_by_temperature received {squared!r}; expected True or False.")
    teachers_and_shares(options["teacher"], options["teacher_weights"])


def teachers_and_shares(teacher: Any, weights: Any) -> tuple[tuple[Any, ...], tuple[float, ...]]:
    """The teachers as given, and their shares of the loss, which add up to 1.

    Raises:
        UsageError: no teacher, two moving averages, or weights that do not fit.
    """
    given = tuple(teacher) if isinstance(teacher, list | tuple) else (teacher,)
    if not given or any(one is None for one in given):
        raise UsageError(
            "Distillation received no teacher. Give a model, the path of one, or "
            "tg.MovingAverage() for the student's own average."
        )
    if weights is None:
        return given, (1 / len(given),) * len(given)
    numbers = tuple(weights) if isinstance(weights, list | tuple | np.ndarray) else (weights,)
    are_numbers = all(isinstance(w, int | float) and 0 < w < math.inf for w in numbers)
    if len(numbers) != len(given) or not are_numbers:
        raise UsageError(
            f"teacher_weights received {weights!r}; expected {len(given)} numbers above 0, one for "
            "each teacher."
        )
    return given, tuple(float(weight) / sum(numbers) for weight in numbers)


def bench_for(student: Any, teacher: Any, **options: Any) -> Bench:
    """Open the teachers and put them beside the student; see `Distiller` for the options."""
    check_options({"teacher": teacher, **options})
    _refuse_other_backends(student)
    _refuse_unbuilt(student)
    features = dict(options["features"] or {})
    forward = Forward(student, tuple(features))
    given, shares = teachers_and_shares(teacher, options["teacher_weights"])
    teachers = []
    for index, one in enumerate(given):
        name = f"teacher {index}" if len(given) > 1 else "teacher"
        layers = tuple(features.values()) if index == 0 else ()
        if one is student:
            raise UsageError(
                "The teacher is the student itself, and would be trained. For a student that "
                "learns from itself, give tg.MovingAverage()."
            )
        teachers.append(opened(one, student, layers, name))
    for one in teachers:
        one.stand_beside(student)
        refuse_shared(student, one)
        _refuse_other_inputs(student, one)
        ours = output_shapes(student)
        if ours and one.shapes:
            refuse_other_shapes(ours, one.shapes, one.name)
    return Bench(
        teachers=tuple(teachers),
        shares=shares,
        forward=forward,
        alpha=alpha_setting(options["alpha"]),
        temperature=temperature_setting(options["temperature"]),
        squared=options["scale_by_temperature"],
        features=features,
        feature_weight=float(options["feature_weight"]),
        is_weighted=options["sample_weights"] == "both",
        kind=options["kind"],
        student_form=options["student_outputs"],
        teacher_form=options["teacher_outputs"],
        cache=_opened_cache(options["cache"], given),
    )


def projections_for(bench: Bench, flavour: str) -> tuple[Any, ...]:
    """A layer for each hint layer that maps the student's width to the teacher's, or None.

    Raises:
        UsageError: places of the features that differ, as 10 x 10 and 5 x 5 pixels.
    """
    layers = package_of(flavour).layers
    made: list[Any] = []
    names = bench.features.items()
    shapes = zip(bench.forward.feature_shapes, bench.teachers[0].feature_shapes, strict=True)
    for (ours_name, theirs_name), (ours, theirs) in zip(names, shapes, strict=True):
        places_differ = len(ours) != len(theirs) or any(
            a is not None and b is not None and a != b
            for a, b in zip(ours[1:-1], theirs[1:-1], strict=False)
        )
        if places_differ or ours[-1] is None or theirs[-1] is None:
            raise UsageError(
                f"Layer '{ours_name}' of the student gives {ours} and layer '{theirs_name}' of the "
                f"teacher {theirs}: hint layers may differ in the last axis only. Name layers at "
                "the same depth of strides and pooling."
            )
        if ours[-1] == theirs[-1]:
            made.append(None)
            continue
        name = f"projection_{ours_name}".replace("/", "_")
        layer = layers.Dense(theirs[-1], use_bias=False, dtype="float32", name=name)
        layer.build((None, *ours[1:]))
        made.append(layer)
    return tuple(made)


def plans_for(bench: Bench, student: Any, loss: Any, loss_weights: Any) -> tuple[OutputPlan, ...]:
    """What each output means, confirmed on random samples.

    Raises:
        UsageError: nobody tells, or what tells contradicts.
    """
    shapes = output_shapes(student)
    count = max(len(shapes), 1)
    names = list(getattr(student, "output_names", None) or [""] * count)
    losses = by_output(loss, names, count)
    weights = by_output(loss_weights, names, count)
    plans = []
    for index in range(count):
        facts = loss_facts(losses[index])
        ending = _at(bench.forward.endings, index)
        kind, form = student_plan(ending, facts, bench.kind, bench.student_form)
        theirs = tuple(
            teacher_form(_at(one.endings, index), kind, bench.teacher_form, one.name)
            for one in bench.teachers
        )
        weight = 1.0 if weights[index] is None else float(weights[index])
        name = names[index] if index < len(names) else ""
        plans.append(OutputPlan(name, kind, form, theirs, facts.ignored_class, weight))
    bench.is_confirmed = _has_states(student)
    if bench.forward.endings and not bench.is_confirmed:
        from tfgreen.models.bridge.random_input import random_inputs

        confirm(bench, plans, _random_batch(student, random_inputs))
    return tuple(plans)


def confirm(bench: Bench, plans: Sequence[OutputPlan], x: Any) -> None:
    """Ask all models about samples: the outputs have to look as they are said to be.

    Raises:
        UsageError: they do not, or teacher and student differ in shape.
    """
    bench.is_confirmed = True
    answer = bench.forward(x, training=False)
    for index, plan in enumerate(plans):
        declared = bench.student_form is not None and _form_of(bench.forward.endings, index) is None
        check_values(answer.outputs[index], plan.kind, plan.form, "student", declared)
    for position, teacher in enumerate(bench.teachers):
        if isinstance(teacher, KerasTeacher) and _has_states(teacher.model):
            continue
        theirs = teacher(x)
        refuse_other_shapes(
            [tuple(one.shape)[1:] for one in answer.outputs],
            [tuple(one.shape)[1:] for one in theirs.outputs],
            teacher.name,
        )
        for index, plan in enumerate(plans):
            form = plan.teacher_forms[position]
            declared = _form_of(teacher.endings, index) is None
            check_values(theirs.outputs[index], plan.kind, form, teacher.name, declared)


def _random_batch(student: Any, random_inputs: Any) -> Any:
    import keras

    values = random_inputs(student)
    if flavour_of(student) == "keras2":
        structure = student._nested_inputs
    else:
        from tfgreen.models.bridge.nodes import graph_of

        structure = graph_of(student)._inputs_struct
    return keras.tree.pack_sequence_as(structure, values)


def _differ(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return any(a is not None and b is not None and a != b for a, b in pairs)


def _has_states(model: Any) -> bool:
    layers = model._flatten_layers(include_self=False, recursive=True)
    return any(getattr(layer, "stateful", False) for layer in layers)


def _form_of(endings: Sequence[Ending], index: int) -> Form | None:
    ending = _at(endings, index)
    return None if ending is None else ending.form  # type: ignore[return-value]


def _at(endings: Sequence[Ending], index: int) -> Ending | None:
    return endings[index] if index < len(endings) else None


def _opened_cache(cache: Any, teachers: Sequence[Any]) -> Any:
    from tfgreen.compression.distillation.teacher_cache import TeacherCache

    if cache is None or isinstance(cache, TeacherCache):
        opened_cache = cache
    else:
        opened_cache = TeacherCache(cache)
    if opened_cache is not None and any(isinstance(one, MovingAverage) for one in teachers):
        raise UsageError(
            "A moving average changes with every step, so what it says cannot be cached: leave "
            "cache out."
        )
    return opened_cache


def _refuse_other_inputs(student: Any, teacher: Teacher) -> None:
    ours = [tuple(t.shape) for t in getattr(student, "inputs", None) or ()]
    theirs = list(teacher.input_shapes)
    if not ours or not theirs:
        return
    same = len(ours) == len(theirs) and all(
        len(a) == len(b)
        and all(i is None or j is None or i == j for i, j in zip(a, b, strict=True))
        for a, b in zip(ours, theirs, strict=True)
    )
    if not same:
        raise UsageError(
            f"The {teacher.name} takes inputs of shape {theirs} and the student of {ours}: both "
            "are shown the same samples, so the shapes have to agree."
        )


def _refuse_unbuilt(student: Any) -> None:
    if not getattr(student, "built", True):
        raise UsageError(
            f"The student '{student.name}' has no weights yet: give it an Input, or call it once "
            "on a batch, before it is distilled."
        )


def _refuse_other_backends(student: Any) -> None:
    if flavour_of(student) == "keras2":
        return
    import keras

    if keras.config.backend() != "tensorflow":
        raise UnsupportedModelError(
            f"The student '{student.name}' runs on the {keras.config.backend()} backend; "
            "distillation needs TensorFlow. Save it as .keras, and load it in a process with "
            "KERAS_BACKEND=tensorflow."
        )
