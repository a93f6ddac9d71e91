"""`Recipe` and `Stage`: how a model is compressed in training."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tfgreen.errors import InvalidRecipeError, UsageError
from tfgreen.recipe.kinds import check_kind
from tfgreen.recipe.options import MOST_EPOCHS, RECIPE, STAGE, TECHNIQUES
from tfgreen.recipe.plain_techniques import (
    check_choice,
    check_key,
    from_plain,
    in_words,
    name_of,
    require_table,
    settled,
    to_plain,
)
from tfgreen.recipe.toml_text import toml_lines

_SHORT = {
    "pruning": "prune",
    "clustering": "cluster",
    "quantization_aware_training": "qat",
    "distillation": "distill",
}
_NAME = re.compile(r"[\w .()/+-]{1,40}")
_LAST = "quantization_aware_training"


@dataclass(frozen=True)
class Stage:
    """Techniques that are trained together in one `fit`.

    Args:
        techniques: at most one of Pruning, Clustering and QuantizationAwareTraining, and
            Distillation after it if it is wanted; none: the model is only trained on.
        epochs: passes through the training data.
        name: what progress, ledger and report call it; by default its techniques.
        batch_size: samples in one step, over all devices together.
        optimizer: a name that `tg.fit` knows: "adam", "adamw", "lion", "sgd" or "sgd-nesterov",
            with the weight decay that it has there. Each stage begins with a new one.
        learning_rate: of the optimizer, where the schedule is at its peak.
        learning_rate_schedule: "constant", "cosine" or "one-cycle" over the stage, as of `tg.fit`.
        loss: a name of Keras; by default what the model was compiled with, or what its outputs
            and the labels tell.

    Raises:
        UsageError: an option or a combination that makes no sense.

    >>> from tfgreen import Pruning
    >>> Stage([Pruning(sparsity=0.6)], epochs=4).name
    'prune'
    """

    techniques: Sequence[Any] = ()
    epochs: int = 1
    _: dataclasses.KW_ONLY
    name: str = ""
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    learning_rate_schedule: Literal["constant", "cosine", "one-cycle"] = "constant"
    loss: str | None = None

    def __post_init__(self) -> None:
        given = self.techniques if isinstance(self.techniques, list | tuple) else [self.techniques]
        object.__setattr__(self, "techniques", tuple(map(settled, given)))
        kinds = [name_of(one) for one in self.techniques]
        if not self.name:
            default = "+".join(_SHORT[kind] for kind in kinds) or "train"
            object.__setattr__(self, "name", default)
        object.__setattr__(self, "learning_rate", _number(self.learning_rate))
        self._check(kinds)

    def _check(self, kinds: Sequence[str]) -> None:
        if len([kind for kind in kinds if kind != "distillation"]) > 1 or len(set(kinds)) < len(
            kinds
        ):
            raise UsageError(
                f"A stage received {', '.join(kinds)}; expected at most one of pruning, clustering "
                "and quantization-aware training, since each is trained for itself. Give every one "
                "its own stage; distillation may go with any."
            )
        if "distillation" in kinds and kinds[-1] != "distillation":
            raise UsageError("Distillation comes last among the techniques of a stage.")
        check_name(self.name, "stage")
        for key in ("epochs", "batch_size"):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(f"{key} received {value!r}; expected a whole number from 1 on.")
        if self.epochs > MOST_EPOCHS:
            raise UsageError(f"epochs received {self.epochs}; expected {MOST_EPOCHS:,} at most.")
        if not isinstance(self.learning_rate, float) or not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"learning_rate received {self.learning_rate!r}; expected above 0.")
        if self.loss is not None and not (isinstance(self.loss, str) and self.loss):
            raise UsageError(f"loss received {self.loss!r}; expected a name of Keras.")
        for key in ("optimizer", "learning_rate_schedule"):
            check_choice(getattr(self, key), STAGE[key], key)
            check_kind(getattr(self, key), STAGE[key], key)

    def in_words(self) -> tuple[str, ...]:
        """Its techniques, a line each."""
        return tuple(map(in_words, self.techniques)) or ("training only",)

    def to_plain(self) -> dict[str, Any]:
        """All that is not the default, and the techniques as tables; the name is always told."""
        options = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name in STAGE
            and (field.name in ("name", "epochs") or getattr(self, field.name) != field.default)
        }
        ordered = {key: options[key] for key in STAGE if key in options}
        return ordered | {name_of(one): to_plain(one) for one in self.techniques}

    @classmethod
    def from_plain(cls, table: Any, where: str) -> Stage:
        """The stage of a table; raises as `Recipe.from_toml` does."""
        require_table(table, where)
        techniques, options = [], {}
        for key, value in table.items():
            check_key(key, {**STAGE, **TECHNIQUES}, where)
            if key in TECHNIQUES:
                techniques.append(from_plain(key, value, f"{where}.{key}"))
            else:
                check_choice(value, STAGE[key], f"{where}.{key}")
                options[key] = value
        techniques.sort(key=lambda one: name_of(one) == "distillation")
        try:
            stage = cls(techniques, **options)
        except (OverflowError, UsageError) as error:
            raise InvalidRecipeError(f"In {where}: {error}") from error
        for key, value in options.items():
            check_kind(value, STAGE[key], f"{where}.{key}")
        return stage


@dataclass(frozen=True)
class Recipe:
    """Stages that a model goes through, one after the other; none only quantizes it after training.

    Args:
        stages: in their order. Quantization-aware training is in the last one, if at all.
        name: what the bundle calls it.
        summary: one sentence for people.

    Raises:
        UsageError: stages in an order that undoes what was done, or two of one name.

    >>> from tfgreen import Pruning, QuantizationAwareTraining
    >>> recipe = Recipe([
    ...     Stage([Pruning(sparsity=0.6)], epochs=4),
    ...     Stage([QuantizationAwareTraining(preserve_sparsity=True)], epochs=3),
    ... ])
    >>> Recipe.from_toml(recipe.to_toml()) == recipe
    True
    """

    stages: Sequence[Stage] = ()
    _: dataclasses.KW_ONLY
    name: str = "recipe"
    summary: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        for stage in self.stages:
            if not isinstance(stage, Stage):
                raise UsageError(f"A recipe received {stage!r}; expected stages (tg.Stage).")
        check_name(self.name, "recipe")
        check_kind(self.summary, RECIPE["summary"], "summary")
        names = [stage.name for stage in self.stages]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(
                    f"The recipe received {names.count(name)} stages called '{name}'; give each a "
                    "name of its own, by which ledger and report tell them apart."
                )
        early = [s for s in self.stages[:-1] if _LAST in map(name_of, s.techniques)]
        if early:
            raise UsageError(
                f"Stage '{early[0].name}' quantizes in training, and stages come after it, which "
                "would undo that. Put quantization-aware training into the last stage."
            )

    @property
    def teachers(self) -> tuple[str, ...]:
        """The names and paths that its distillations learn from."""
        found = [
            teacher
            for stage in self.stages
            for technique in stage.techniques
            if name_of(technique) == "distillation"
            for teacher in _as_tuple(technique.teacher)
            if isinstance(teacher, str)
        ]
        return tuple(dict.fromkeys(found))

    @property
    def quantizes_in_training(self) -> bool:
        """Whether the last stage gives a model of tf_keras."""
        return any(_LAST in map(name_of, stage.techniques) for stage in self.stages)

    def to_toml(self) -> str:
        """The recipe as a file holds it; `from_toml` gives an equal one back."""
        lines = toml_lines({"name": self.name, "summary": self.summary})
        if not self.stages:
            lines.append("stages = []")
        for stage in self.stages:
            plain = stage.to_plain()
            techniques = {key: plain.pop(key) for key in TECHNIQUES if key in plain}
            lines += ["", "[[stages]]", *toml_lines(plain)]
            for key, options in techniques.items():
                lines += ["", f"[stages.{key}]", *toml_lines(options)]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str, *, name: str = "recipe") -> Recipe:
        """Read a recipe.

        name: what it is called if it does not say so itself.

        Raises:
            InvalidRecipeError: no TOML, or a value that makes no sense.
            UnknownNameError: a key or a value that is not known; it tells the closest.
        """
        try:
            fields = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidRecipeError(
                f"Recipe {name} is no TOML file: {error}. Start from a ready one: "
                "tfgreen recipes pqat > mine.toml."
            ) from error
        for key in fields:
            check_key(key, {**RECIPE, "stages": {}}, f"recipe {name}")
        tables = fields.pop("stages", None)
        if not isinstance(tables, list):
            raise InvalidRecipeError(
                f"Recipe {name} has no list of stages; expected [[stages]] tables, or stages = []."
            )
        stages = [
            Stage.from_plain(table, f"stage {number}") for number, table in enumerate(tables, 1)
        ]
        try:
            return cls(stages, **({"name": name} | fields))
        except UsageError as error:
            raise InvalidRecipeError(f"In recipe {name}: {error}") from error


def check_name(name: Any, noun: str) -> None:
    """Raise UsageError for a name that files and ledgers could not carry."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"The {noun} received the name {name!r}; expected up to 40 letters, digits and "
            '" .()/+-_".'
        )


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
