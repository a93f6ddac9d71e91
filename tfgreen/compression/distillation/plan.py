"""What each output means: classes, labels or values; logits or probabilities. Never guessed.

The loss that the user compiles tells the kind, the last activation the form, and random samples
confirm it. Where they contradict each other, or none of them tells, an error asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from tfgreen.compression.distillation.endings import Ending
from tfgreen.compression.distillation.losses import Form, Kind
from tfgreen.errors import UsageError
from tfgreen.models.known_classes import words

_REGRESSIONS = words(
    """
    meansquarederror mse meanabsoluteerror mae huber logcosh meanabsolutepercentageerror mape
    meansquaredlogarithmicerror msle
    """
)
_KIND_OF: dict[str | None, Kind] = {"softmax": "categorical", "sigmoid": "binary"}
_SUM_TOLERANCE = 1e-2
_ROUNDING_TOLERANCE = 1e-3


@dataclass(frozen=True)
class OutputPlan:
    """One output of the student.

    name: as in the student; "" where it has none.
    kind: which loss; form: what the student gives.
    teacher_forms: what each teacher gives.
    ignored_class: the label of positions that do not count, or None.
    weight: of its losses, as `loss_weights` of compile has it.
    """

    name: str
    kind: Kind
    form: Form
    teacher_forms: tuple[Form, ...]
    ignored_class: int | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class LossFacts:
    """What a loss tells about the output that it judges.

    kind: None for a loss of the caller's own.
    from_logits: None where the loss does not say.
    """

    kind: Kind | None = None
    from_logits: bool | None = None
    ignored_class: int | None = None
    title: str = "no loss"


def loss_facts(loss: Any) -> LossFacts:
    """Read a loss of either Keras: a name, an object or a function."""
    if loss is None:
        return LossFacts()
    title = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    plain = re.sub(r"[^a-z]", "", title.lower())
    kind: Kind | None = None
    if "categorical" in plain or plain.startswith("kl") or "kullback" in plain:
        kind = "categorical"
    elif "binary" in plain:
        kind = "binary"
    elif plain in _REGRESSIONS:
        kind = "regression"
    config = _config(loss)
    squashes = kind in ("categorical", "binary") and "crossentropy" in plain
    from_logits = config.get("from_logits", False) if squashes else None
    return LossFacts(kind, from_logits, config.get("ignore_class"), str(title))


def by_output(value: Any, names: Sequence[str], count: int) -> list[Any]:
    """What compile was given, one for each output: one for all, a list, or a dict by name."""
    if isinstance(value, Mapping):
        return [value.get(name) for name in names]
    if isinstance(value, list | tuple):
        flat = list(value)
        return flat if len(flat) == count else flat * count
    return [value] * count


def student_plan(
    ending: Ending | None, facts: LossFacts, kind: Kind | None, declared: Form | None
) -> tuple[Kind, Form]:
    """The kind and form of one of the student's outputs.

    kind, declared: the caller's word, which goes before everything but a contradiction.

    Raises:
        UsageError: nobody tells, or loss and activation contradict each other.
    """
    activation = ending.activation if ending else None
    told: Kind | None = kind or facts.kind or _KIND_OF.get(activation)
    if told is None:
        raise UsageError(
            f"Nothing tells what the student's output means: it is judged by {facts.title}, and "
            f"its last activation is {activation or 'unknown'}. Give kind='categorical', 'binary' "
            "or 'regression'."
        )
    if told == "regression":
        return "regression", "logits"
    form = _form(ending, told, declared, "student")
    if facts.from_logits is not None and facts.kind == told:
        _refuse_contradiction(facts, form, activation)
    return told, form


def teacher_form(ending: Ending | None, kind: Kind, declared: Form | None, whose: str) -> Form:
    """What a teacher gives at an output of a kind."""
    return "logits" if kind == "regression" else _form(ending, kind, declared, whose)


def check_values(values: Any, kind: Kind, form: Form, whose: str, is_declared: bool) -> None:
    """Refuse outputs that cannot be what they are said to be.

    values: (…, classes) that the model gave for random samples.
    is_declared: the caller said so; values between 0 and 1 are then no logits of labels.
    """
    if kind == "regression":
        return
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        raise UsageError(
            f"The {whose} answers random samples with NaN or infinity: nothing can be learned "
            "from that. Check the model, and the shape and scale of its input."
        )
    is_share = values.min() >= 0 and values.max() <= 1 + _ROUNDING_TOLERANCE
    sums = values.sum(-1)
    classes = values.shape[-1]
    if kind == "categorical" and classes > 1:
        largest_error = np.abs(sums - 1).max()
        if form == "logits" and is_share and largest_error < _ROUNDING_TOLERANCE:
            raise UsageError(_looks_like(whose, "logits", "probabilities: they add up to 1"))
        if form == "probabilities" and not (is_share and largest_error < _SUM_TOLERANCE):
            raise UsageError(_looks_like(whose, "probabilities", "not: they do not add up to 1"))
    elif form == "probabilities" and not is_share:
        raise UsageError(_looks_like(whose, "probabilities", "not all between 0 and 1"))
    elif form == "logits" and is_declared and is_share:
        raise UsageError(_looks_like(whose, "logits", "all between 0 and 1, as probabilities are"))


def refuse_other_shapes(student: Sequence[Any], teacher: Sequence[Any], whose: str) -> None:
    """Refuse a teacher whose outputs do not stand beside the student's, one by one.

    Both hold one shape for each output; None in a shape is any size.
    """
    if len(student) != len(teacher):
        raise UsageError(
            f"The {whose} has {len(teacher)} outputs and the student {len(student)}: each output "
            "of the student needs one to learn from."
        )
    for ours, theirs in zip(student, teacher, strict=True):
        ours, theirs = tuple(ours), tuple(theirs)
        if ours and theirs and len(ours) == len(theirs) and _differ(ours[-1:], theirs[-1:]):
            raise UsageError(
                f"The {whose} gives {theirs[-1]} values and the student {ours[-1]} {ours}: they "
                "have to be the same classes in the same order."
            )
        if len(ours) != len(theirs) or _differ(ours, theirs):
            raise UsageError(
                f"The {whose} gives outputs of shape {theirs} and the student of {ours}: give a "
                "teacher with outputs of the same shape."
            )


def _differ(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    return any(
        a is not None and b is not None and a != b for a, b in zip(ours, theirs, strict=True)
    )


def _form(ending: Ending | None, kind: Kind, declared: Form | None, whose: str) -> Form:
    found = ending.form if ending else None
    activation = ending.activation if ending else None
    other = {"categorical": "sigmoid", "binary": "softmax"}[kind]
    if activation == other:
        raise UsageError(
            f"The {whose} ends with {activation} (layer '{ending.layer if ending else ''}'), which "
            f"does not fit kind='{kind}': use a loss and a kind that fit the activation."
        )
    if declared is not None and found is not None and declared != found:
        raise UsageError(
            f"{whose.split()[0]}_outputs='{declared}' was given, but the {whose} ends with "
            f"{activation} (layer '{ending.layer if ending else ''}'): it gives {found}."
        )
    form = declared or found
    if form is None:
        raise UsageError(
            f"Nobody tells whether the {whose} gives logits or probabilities: "
            + (f"it ends with {activation}" if activation else "its last layer does not tell")
            + f". Give {whose.split()[0]}_outputs='logits' or 'probabilities'."
        )
    return cast(Form, form)


def _refuse_contradiction(facts: LossFacts, form: Form, activation: str | None) -> None:
    if facts.from_logits == (form == "logits"):
        return
    way_out = "from_logits=True" if form == "logits" else "from_logits=False"
    raise UsageError(
        f"The loss {facts.title} has from_logits={facts.from_logits}, but the student gives {form} "
        f"(its last activation is {activation or 'unknown'}): compile with {way_out}, or change "
        "the last activation."
    )


def _config(loss: Any) -> Mapping[str, Any]:
    if isinstance(loss, str) or not hasattr(loss, "get_config"):
        return {}
    try:
        config: Mapping[str, Any] = loss.get_config()
    except (NotImplementedError, TypeError, ValueError):
        return {}
    return config


def _looks_like(whose: str, said: str, found: str) -> str:
    return (
        f"The outputs of the {whose} are said to be {said}, but for random samples they are "
        f"{found}. Give {whose.split()[0]}_outputs as they are."
    )
