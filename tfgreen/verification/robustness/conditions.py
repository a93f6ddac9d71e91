"""Samples under every condition, made one after the other as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import MissingDependencyError, UnknownNameError, UsageError
from tfgreen.tflite import ConversionOptions
from tfgreen.tflite.attacks import Attacked, AttackedInput, AttackName, AttackOrder, attack
from tfgreen.verification.robustness.corruptions import (
    SEVERITIES,
    Corruption,
    catalogue,
    check_severities,
    chosen,
    corrupted,
)
from tfgreen.verification.robustness.kinds import Reference, ToldKind, kinds_of
from tfgreen.verification.robustness.record import AttackFacts, ConditionFacts, InputFacts

OnProgress = Callable[[str, int, int], None]

ATTACKS: tuple[AttackName, ...] = ("fgsm", "pgd")
EPSILON_SHARES = tuple(one / 255 for one in (0.5, 1, 2, 4, 8))
PGD_STEPS, PGD_STEP_SHARE = 10, 0.25
EPSILON_UNIT = "largest change of a value (L-infinity), as a share of the range"


@dataclass(frozen=True)
class Attacker:
    """The model whose gradient is followed: a file, a SavedModel or "module:function"."""

    model: Path | str
    options: ConversionOptions = field(default_factory=ConversionOptions)


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    kind: As for `kinds_of`. ranges: (low, high) by input, where the data do not show it.
    corruptions: Names; all that fit the kind by default. attacks: Of "fgsm", "pgd".
    seed: Of everything random. severities: Of 1 to 5; only these are measured.

    Raises UsageError for a severity, an attack or a seed that there is not.
    """

    kind: str | Mapping[str, str] | None = None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    corruptions: Sequence[str] | None = None
    attacks: Sequence[str] = ATTACKS
    seed: int = 0
    severities: Sequence[int] = SEVERITIES

    def __post_init__(self) -> None:
        for told, names in (("attacks", self.attacks), ("corruptions", self.corruptions)):
            if isinstance(names, str):
                raise UsageError(f"Received {told}='{names}'; expected a tuple, as ('{names}',).")
        check_severities(self.severities)
        for name in self.attacks:
            if name not in ATTACKS:
                raise UnknownNameError("attack", name, ATTACKS)
        if not isinstance(self.seed, int | np.integer) or self.seed < 0:
            raise UsageError(f"Received the seed {self.seed!r}; expected a whole number from 0 on.")


@dataclass(frozen=True, eq=False)
class Condition:
    """The samples under one corruption or attack at one severity."""

    name: str
    severity: int
    is_attack: bool
    samples: Samples


class Conditions:
    """Every condition of a plan for some samples.

    Raises UsageError, InvalidDataError or UnknownNameError for data or names that do not fit, and
    MissingDependencyError for a corruption asked for by name that needs what is not installed.
    """

    def __init__(self, samples: Samples, plan: Plan) -> None:
        self._samples, self._plan = samples, plan
        self._kinds: dict[str, ToldKind] = kinds_of(samples, plan.kind)
        for name in plan.ranges:
            if name not in samples.inputs:
                raise UnknownNameError("input", name, tuple(samples.inputs))
        self._references = {
            name: Reference.of(name, samples.inputs[name], told.kind, plan.ranges.get(name))
            for name, told in self._kinds.items()
        }
        self.notes: list[str] = []
        self._corruptions = self._fitting()
        self.attack: AttackFacts | None = None
        self._attacked: Attacked | None = None

    @property
    def inputs(self) -> tuple[InputFacts, ...]:
        """What is corrupted."""
        return tuple(
            InputFacts(
                name=name,
                kind=told.kind,
                how=told.how,
                low=self._references[name].low,
                high=self._references[name].high,
            )
            for name, told in self._kinds.items()
        )

    @property
    def facts(self) -> tuple[ConditionFacts, ...]:
        """All conditions, the attacks last."""
        found = [
            ConditionFacts(name=one.name, is_attack=False, unit=one.unit, amounts=one.amounts)
            for _, one in self._corruptions
        ]
        for name in self._attacked.inputs if self._attacked else ():
            facts = ConditionFacts(
                name=name, is_attack=True, unit=EPSILON_UNIT, amounts=EPSILON_SHARES
            )
            found.append(facts)
        return tuple({one.name: one for one in found}.values())

    def add_attacks(
        self,
        attacker: Attacker,
        labels: np.ndarray,
        output: str,
        position: int,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Attack every float input that is an image or audio.

        labels: (n,) classes to lead away from. output, position: Whose classes they are.
        """
        reach = {
            name: AttackedInput(
                tuple(share * (one.high - one.low) for share in EPSILON_SHARES), one.low, one.high
            )
            for name, one in self._references.items()
            if self._samples.inputs[name].dtype.kind == "f"
        }
        if not reach:
            self.notes.append("Not attacked: no input takes floats, and steps of a gradient do.")
            return
        names = tuple(name for name in ATTACKS if name in self._plan.attacks)
        order = AttackOrder(names, output, position, reach, PGD_STEPS, PGD_STEP_SHARE)
        self._attacked = attack(
            attacker.model, self._samples.inputs, labels, order, attacker.options, on_progress
        )
        loss = self._attacked.loss
        self.attack = AttackFacts(steps=PGD_STEPS, step_share=PGD_STEP_SHARE, loss=loss)

    def __len__(self) -> int:
        return len(self.facts) * len(self._plan.severities)

    def __iter__(self) -> Iterator[Condition]:
        for name in dict.fromkeys(one.name for _, one in self._corruptions):
            for severity in self._plan.severities:
                yield Condition(name, severity, False, self._corrupted(name, severity))
        for name, strengths in (self._attacked.inputs if self._attacked else {}).items():
            for severity in self._plan.severities:
                yield Condition(name, severity, True, self._with(strengths[severity - 1]))

    def _fitting(self) -> list[tuple[str, Corruption]]:
        """The corruptions of each input; what cannot be is told, or refused if asked for."""
        named = [
            (name, one)
            for name, told in self._kinds.items()
            for one in catalogue(told.kind, self._samples.inputs[name].shape[1:])
        ]
        wanted = {one.name for one in chosen([one for _, one in named], self._plan.corruptions)}
        amounts = {one.name: one.amounts for _, one in named}
        fitting = []
        for name, one in named:
            if one.name in wanted and not one.problem:
                fitting.append((name, one))
            elif one.name in wanted and self._plan.corruptions is not None:
                raise MissingDependencyError(one.problem)
            elif one.name in wanted:
                self.notes.append(f"Left out, {one.name}: {one.problem}")
            if one.name in wanted and one.amounts != amounts[one.name]:
                told = ", ".join(f"{amount:g}" for amount in one.amounts)
                self.notes.append(f"Input '{name}' takes other amounts of {one.name}: {told}.")
        return fitting

    def _corrupted(self, corruption: str, severity: int) -> Samples:
        seed = self._plan.seed
        return self._with(
            {
                name: corrupted(
                    self._samples.inputs[name], one, severity, self._references[name], seed
                )
                for name, one in self._corruptions
                if one.name == corruption
            }
        )

    def _with(self, inputs: Mapping[str, np.ndarray]) -> Samples:
        return replace(self._samples, inputs={**self._samples.inputs, **inputs})
