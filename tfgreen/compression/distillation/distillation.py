"""Distillation as a technique: the student learns from a teacher in the same `fit` as ever.

    distillation = tg.Distillation(teacher=large)
    wrapped = distillation.prepare(model)
    wrapped.fit(x, y, epochs=10)
    student = distillation.finalize(wrapped)

It comes last in a list of techniques: what it prepares is a model around the one that pruning or
quantization-aware training prepared, and all of them work in one `fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from tfgreen.compression.distillation.flavours import ready_to_save
from tfgreen.compression.distillation.losses import Form, Kind
from tfgreen.compression.distillation.ramps import Number
from tfgreen.compression.distillation.setup import check_options
from tfgreen.compression.technique import (
    TechniqueReport,
    attach_state,
    is_finished,
    state_of,
    techniques_of,
)
from tfgreen.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from tfgreen.compression.distillation.teacher_cache import TeacherCache

_ROUNDED = frozenset(["RoundedActivation", "RoundedWeights"])


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Let a model learn from what teachers say, besides the labels.

    Args:
        teacher: a model of either Keras, the path of one or of a SavedModel,
            `tg.MovingAverage()`, a list of those, or a name that `with_teachers` resolves.

    The other arguments are those of `tg.Distiller`.

    Raises:
        UsageError: an option that makes no sense.

    >>> Distillation(teacher="large", temperature=0)
    Traceback (most recent call last):
    ...
    tfgreen.errors.UsageError: temperature received 0; expected a number above 0, a pair (from, to)
    of such numbers, or a function of the share of training (0 to 1) that returns one.
    """

    teacher: Any
    alpha: Number = 0.1
    temperature: Number = 2.0
    scale_by_temperature: bool = True
    teacher_weights: tuple[float, ...] | None = None
    features: Mapping[str, str] | None = None
    feature_weight: float = 1.0
    sample_weights: Literal["both", "labels"] = "both"
    kind: Kind | None = None
    student_outputs: Form | None = None
    teacher_outputs: Form | None = None
    cache: str | Path | TeacherCache | None = None

    def __post_init__(self) -> None:
        for name in ("teacher", "teacher_weights", "alpha", "temperature"):
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        if self.features is not None:
            if not isinstance(self.features, Mapping):
                raise UsageError(
                    f"features received {self.features!r}; expected a dict from layers of the "
                    "student to layers of the teacher."
                )
            object.__setattr__(self, "features", MappingProxyType(dict(self.features)))
        check_options({"teacher": self.teacher, **self._options()})

    def with_teachers(self, teachers: Mapping[str, Any]) -> Distillation:
        """The same technique with models in the place of names.

        Raises:
            UnknownNameError: a name that is neither among them nor a path that exists.
        """
        given = self.teacher if isinstance(self.teacher, tuple) else (self.teacher,)
        found = []
        for one in given:
            if isinstance(one, str) and one in teachers:
                found.append(teachers[one])
            elif isinstance(one, str) and not Path(one).exists():
                raise UnknownNameError("teacher", one, teachers)
            else:
                found.append(one)
        return replace(self, teacher=tuple(found) if isinstance(self.teacher, tuple) else found[0])

    def prepare(self, model: Any, calibration: Any | None = None) -> Any:
        """A distiller of a copy of the model, compiled as the model was.

        Args:
            model: a built Keras 3 or tf_keras model, Sequential or functional, which stays as it
                is; or what another technique prepared, which is then trained inside the distiller.
            calibration: not used.

        Raises:
            UsageError: models or options that do not go together.
            UnsupportedModelError: subclassed or unbuilt models.
        """
        from tfgreen.compression.copies import copy_of
        from tfgreen.compression.distillation.distiller import Distiller

        if isinstance(model, Distiller):
            raise UsageError("The model is a distiller already: distil with several teachers.")
        _refuse_rounded(model)
        student = model if techniques_of(model) else copy_of(model)
        wrapped = Distiller(student, self.teacher, name=model.name, **self._options())
        _compile_as(wrapped, student)
        attach_state(wrapped, self, vars(wrapped)["_bench"])
        return wrapped

    def callbacks(self) -> list[Any]:
        """None: the distiller's `fit` moves alpha and temperature itself."""
        return []

    def finalize(self, wrapped: Any) -> Any:
        """The student: a plain Keras model, or what the technique before this one finalizes.

        Raises:
            UsageError: this technique did not prepare the model.
        """
        state_of(wrapped, self)
        student = wrapped.student
        _compile_back(student, wrapped)
        return student

    def report(self, wrapped: Any) -> TechniqueReport:
        """Who taught, how, and the seconds of teachers that the cache saved.

        Raises:
            UsageError: this technique did not prepare the model.
        """
        from tfgreen.compression.distillation.report import report_of

        return report_of(state_of(wrapped, self))

    def _options(self) -> dict[str, Any]:
        """The arguments of `Distiller` by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "teacher"}


def _refuse_rounded(model: Any) -> None:
    """Refuse what quantization-aware training finalized, also when it comes from a file."""
    kinds = {type(layer).__name__ for layer in getattr(model, "layers", ())}
    if is_finished(model) or (kinds & _ROUNDED and not techniques_of(model)):
        raise UsageError(
            f"The model '{model.name}' was finalized by QuantizationAwareTraining: it is made to "
            "be exported, and its steps no longer move with its weights. Train both in one fit: "
            "prepare the model as it was before with QuantizationAwareTraining, then with "
            "Distillation."
        )


def _compile_as(distiller: Any, model: Any) -> None:
    """Compile a distiller with what its student was compiled with."""
    from tfgreen.compression.copies import unshared_settings
    from tfgreen.models.loading import flavour_of

    if flavour_of(model) == "keras3":
        settings = unshared_settings(model)
        if settings is not None:
            distiller.compile(**settings)
        return
    from tfgreen.models.bridge.compiling import compile_arguments

    arguments = compile_arguments(model)
    if arguments is not None:
        distiller.compile(**arguments)


def _compile_back(student: Any, distiller: Any) -> None:
    """The student is compiled as the distiller is, with its optimizer's settings and step count."""
    from tfgreen.models.loading import flavour_of

    if flavour_of(student) == "keras3":
        from tfgreen.compression.copies import compile_alike

        compile_alike(student, distiller, with_state=False)
        ready_to_save(student)
        return
    from tfgreen.models.bridge import compile_as

    compile_as(student, distiller)
