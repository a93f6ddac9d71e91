"""Files in which a few layers are wider than the rest: 16 of 8 bits, or 8 of 4.

LiteRT and TensorFlow Lite Micro run 16-bit layers among 8-bit ones: a QUANTIZE op stands on
either side. An activation gains only where the op that writes it and those that read it are wide
together, so the unit that is widened is an activation with all of them; for weights it is one op.

Which units are needed is measured on the exported file: each is widened alone, the best gains
are joined until the target is met, and then each is taken out again if the target stays met.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import Scheme
from tfgreen.tflite.quantizers import AiEdgeQuantizer
from tfgreen.tflite.ranges import Ranges
from tfgreen.tflite.selection import Judge

OnTrial = Callable[[int, int], None]

_MOST_UNITS = 24
_NO_QUANTUM = 1e-30


@dataclass(frozen=True)
class Unit:
    """What is widened together: names of the ops' first outputs, and where it lies.

    tensor: the activation, or the output of the op with the weights. gain: the share of the
    final error's power that widening this unit alone takes away; None before it is measured, and
    where it cannot be widened. hindrance: why it cannot. sqnr_db: the file's then.
    added_bytes: by how much the file grows.
    """

    tensor: str
    op: str
    ops: tuple[str, ...]
    gain: float | None = None
    sqnr_db: float | None = None
    added_bytes: int = 0
    hindrance: str = ""

    def to_facts(self) -> dict[str, Any]:
        """The record for the manifest."""
        return {
            "tensor": self.tensor,
            "op": self.op,
            "ops": list(self.ops),
            "gain": self.gain,
            "sqnr_db": self.sqnr_db,
            "added_bytes": self.added_bytes,
            "hindrance": self.hindrance,
        }


@dataclass(frozen=True)
class Goal:
    """When to stop: SQNR in dB and share of equal classes, both on the judged runs.

    most_bytes: the largest file; with it, widening goes on until nothing fits any more.
    """

    sqnr_db: float
    agreement: float
    most_bytes: int | None = None


@dataclass(frozen=True)
class Search:
    """What came out: the file, the ops that are wide in it, and every unit as it was measured."""

    content: bytes
    wide: tuple[str, ...]
    units: tuple[Unit, ...]
    sqnr_db: float
    agreement: float
    reached: bool


class Mixer:
    """Builds files of a float file with some ops wide."""

    def __init__(
        self, float_content: bytes, scheme: Scheme, ranges: Ranges, *, per_channel: bool = True
    ) -> None:
        self._engine = AiEdgeQuantizer(
            float_content,
            "weights-int4" if scheme == "weights-int4" else "int8",
            per_channel=per_channel,
        )
        self._wide_scheme: Scheme = "dynamic-int8" if scheme == "weights-int4" else "int16x8"
        self._ranges = ranges

    def build(self, wide: Collection[str]) -> bytes:
        """The file whose ops with these first outputs are wide."""
        patterns = [rf"(^|;){re.escape(name)}(;|$)" for name in sorted(wide)]
        return self._engine.quantize(self._ranges, wide=(self._wide_scheme, patterns))


def activation_units(model: TfliteModel, narrow: TfliteModel) -> tuple[Unit, ...]:
    """One unit for each activation between two ops that is 8 bits wide in the narrow file."""
    known = {tensor.name for tensor in narrow.tensors if tensor.dtype == "int8"}
    units = []
    for op in model.ops:
        for index in op.outputs:
            readers = model.consumers(index)
            tensor = model.tensors[index]
            if not readers or tensor.name not in known or tensor.dtype != "float32":
                continue
            names = dict.fromkeys(model.tensors[one.outputs[0]].name for one in (op, *readers))
            units.append(Unit(tensor.name, op.name, tuple(names)))
    return tuple(units)


def weight_units(model: TfliteModel, narrow: TfliteModel) -> tuple[Unit, ...]:
    """One unit for each op with 4-bit weights in the narrow file."""
    names = {
        narrow.tensors[op.outputs[0]].name
        for op in narrow.ops
        if any(i >= 0 and narrow.tensors[i].dtype == "int4" for i in op.inputs)
    }
    return tuple(
        Unit(name, op.name, (name,))
        for op in model.ops
        if (name := model.tensors[op.outputs[0]].name) in names
    )


def ranked(
    units: Sequence[Unit], values: Mapping[str, np.ndarray], narrow: TfliteModel
) -> tuple[Unit, ...]:
    """At most 24 units, those whose tensor loses most in the narrow file's steps first.

    values: sampled float values by tensor name. The loss is the noise of the steps, clipping
    included, over the power of the values.
    """
    facts = {t.name: t.quantization for t in narrow.tensors if t.dtype == "int8"}

    def loss(unit: Unit) -> float:
        steps, sampled = facts.get(unit.tensor), values.get(unit.tensor)
        if steps is None or sampled is None:
            return 0.0
        scale, zero_point = float(steps.scales[0]), int(steps.zero_points[0])
        held = np.clip(np.rint(sampled / max(scale, _NO_QUANTUM)) + zero_point, -128, 127)
        error = (held - zero_point) * scale - sampled
        return float((error**2).mean() / max(float((sampled**2).mean()), _NO_QUANTUM))

    return tuple(sorted(units, key=loss, reverse=True)[:_MOST_UNITS])


class Searching:
    """One search for the smallest set of wide units."""

    def __init__(
        self,
        mixer: Mixer,
        judge: Judge,
        runs: Sequence[int],
        fault_of: Callable[[TfliteModel], str | None],
        finish: Callable[[bytes], bytes],
        on_trial: OnTrial,
    ) -> None:
        self._mixer, self._judge, self._runs = mixer, judge, runs
        self._fault_of, self._finish, self._on_trial = fault_of, finish, on_trial
        self._trials = 0

    def measured(self, units: Sequence[Unit]) -> tuple[Unit, ...]:
        """Every unit widened alone, with what that gains, or what hinders it."""
        start = self._mixer.build(())
        noise = _noise(self._score(start)[0])
        found = []
        for unit in units:
            self._tell(len(units))
            try:
                content = self._mixer.build(unit.ops)
                fault = self._fault_of(TfliteModel.from_bytes(content))
                if fault is not None:
                    found.append(replace(unit, hindrance=fault))
                    continue
                score = self._score(content)[0]
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 (the engine raises anything; it is told)
                found.append(replace(unit, hindrance=f"{type(error).__name__}: {error}"))
                continue
            gain = 1 - _noise(score) / noise
            added = len(content) - len(start)
            found.append(
                replace(unit, gain=round(gain, 4), sqnr_db=round(score, 2), added_bytes=added)
            )
        return tuple(found)

    def search(self, units: Sequence[Unit], goal: Goal) -> Search:
        """Join the best until the goal is reached, then take out what is not needed.

        With `most_bytes`, the best that fit. Where even all units together miss the goal, that
        file is what comes back: a smaller set would not do.
        """
        order = sorted(
            (unit for unit in units if (unit.gain or 0.0) > 0),
            key=lambda unit: _worth(unit, goal),
            reverse=True,
        )
        if goal.most_bytes is not None:
            return self._filled(order, units, goal)
        everything = self._judged(order, units, goal)
        if not everything.reached:
            return everything
        chosen, best = self._joined(order, units, goal, everything)
        for unit in sorted(chosen, key=lambda one: one.gain or 0.0):
            rest = [one for one in chosen if one is not unit]
            trial = self._judged(rest, units, goal)
            if trial.reached:
                chosen, best = rest, trial
        return best

    def _joined(
        self, order: Sequence[Unit], units: Sequence[Unit], goal: Goal, everything: Search
    ) -> tuple[list[Unit], Search]:
        """The fewest of the first units that reach the goal, by halving."""
        least, most, best = 0, len(order), everything
        while least < most:
            middle = (least + most) // 2
            trial = self._judged(order[:middle], units, goal)
            if trial.reached:
                most, best = middle, trial
            else:
                least = middle + 1
        return list(order[:most]), best

    def _filled(self, order: Sequence[Unit], units: Sequence[Unit], goal: Goal) -> Search:
        """As many of the first units as fit; one stays narrow, or the scheme would be another."""
        chosen: list[Unit] = []
        best = self._judged(chosen, units, goal)
        for unit in order:
            if len(chosen) + 1 >= len(units):
                break
            trial = self._judged([*chosen, unit], units, goal)
            fits = goal.most_bytes is None or len(trial.content) <= goal.most_bytes
            if fits and trial.sqnr_db > best.sqnr_db:
                chosen, best = [*chosen, unit], trial
        return best

    def _judged(self, chosen: Sequence[Unit], units: Sequence[Unit], goal: Goal) -> Search:
        self._tell(0)
        wide = tuple(dict.fromkeys(name for unit in chosen for name in unit.ops))
        content = self._finish(self._mixer.build(wide))
        sqnr_db, agreement = self._score(content)
        reached = sqnr_db >= goal.sqnr_db and agreement >= goal.agreement
        return Search(content, wide, tuple(units), sqnr_db, agreement, reached)

    def _score(self, content: bytes) -> tuple[float, float]:
        return self._judge.sqnr_and_agreement(TfliteModel.from_bytes(content), self._runs)

    def _tell(self, of: int) -> None:
        self._trials += 1
        self._on_trial(self._trials, of if self._trials <= of else 0)


def _worth(unit: Unit, goal: Goal) -> float:
    """What to take first: the gain an op, or under a budget the gain a byte."""
    gain = unit.gain or 0.0
    return gain / max(unit.added_bytes, 1) if goal.most_bytes is not None else gain / len(unit.ops)


def _noise(sqnr_db: float) -> float:
    return float(10 ** (-sqnr_db / 10))
