"""The ladder: repairs in the order of their cost, each judged on the file that comes out.

A step is kept if the file gains a tenth of a decibel or more on samples that nothing was fitted
to, and no class is lost by it. The ladder ends where the fidelity gate passes, or where nothing
is left that helps. A file whose gate passes already is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import ConversionError, UsageError
from tfgreen.profile import ExportProfile
from tfgreen.tflite import ConversionOptions, Treated, Treatment, treat
from tfgreen.tflite.treatment import FITS, OF_THE_FLOAT_FILE, Kind
from tfgreen.verification.repair.record import RepairRecord, Score, Step
from tfgreen.verification.repair.referee import Referee, scored_or_none
from tfgreen.wording import share_text

OnProgress = Callable[[str, int, int], None]

LEAST_GAIN_DB = 0.1
_HELD_BACK_EVERY, _FEWEST, _MOST_HELD_BACK = 4, 16, 64
_GATE_SAMPLES = 256
_WORTH_DB = 3.0  # what wider layers have to bring if the limits are missed all the same
_ROUNDING = 1e-9
_MARGIN_DB, _RAISE_DB, _ATTEMPTS = 0.5, 3.0, 3

_TOO_FEW = f"It needs {_FEWEST} calibration samples or more: some to fit to, others to judge by."

TITLES: dict[str, str] = {
    "ranges": "ranges and scales",
    "mask": "mask constants",
    "equalize-weights": "cross-layer equalization",
    "equalize-activations": "equalization of activations",
    "statistics": "statistics of channels",
    "bias": "bias correction",
    "rounding": "learned rounding",
    "widths": "wider layers",
}


@dataclass(frozen=True)
class Order:
    """What is to be repaired, and by what it is judged.

    content: the file. float_content: what it is quantized from. against: the float file that it
    is judged by, mostly the same. calibration: samples; a quarter of them is held back to judge.
    evaluation: samples of the gate, labelled or not; without them the calibration serves.
    is_ours: the file comes from tfgreen's own conversion, whose choice of ranges stands.
    """

    content: bytes
    float_content: bytes
    profile: ExportProfile
    calibration: Samples
    against: bytes | None = None
    evaluation: Samples | None = None
    is_ours: bool = True
    options: ConversionOptions = field(default_factory=ConversionOptions)


@dataclass(frozen=True)
class Repaired:
    """The file that is best, the float file that it comes from, and how it came about."""

    content: bytes
    float_content: bytes
    record: RepairRecord

    def rules(self, profile: ExportProfile) -> ExportProfile:
        """The profile that the file keeps to: wider layers are allowed where it has some."""
        wide = any(step.kind == "widths" for step in self.record.applied)
        if not wide or profile.scheme != "int8":
            return profile
        return profile.model_copy(update={"wider_layers": "allowed"})


def repair_file(order: Order, on_progress: OnProgress | None = None) -> Repaired:
    """Climb the ladder as far as it takes.

    Raises UsageError without calibration samples, and KernelSetError where the file itself does
    not run: that is no question of accuracy.
    """
    if not len(order.calibration):
        raise UsageError("A repair needs calibration samples and received none.")
    return _Ladder(order, on_progress or (lambda step, done, of: None)).climb()


def dealt(count: int, batch: int = 1) -> tuple[np.ndarray, int]:
    """An order of the samples with those held back at its end, and how many these are.

    Every fourth is held back, so that data sorted by class fall into both parts; none of fewer
    than 16 samples.

    >>> dealt(16)
    (array([ 0,  1,  2,  4,  5,  6,  8,  9, 10, 12, 13, 14,  3,  7, 11, 15]), 4)
    """
    positions = np.arange(count)
    if count < _FEWEST * batch:
        return positions, 0
    held = positions[_HELD_BACK_EVERY - 1 :: _HELD_BACK_EVERY][:_MOST_HELD_BACK]
    held = held[: len(held) // batch * batch]
    rest = np.setdiff1d(positions, held)
    rest = rest[: len(rest) // batch * batch]
    return np.concatenate([rest, held]), len(held)


@dataclass(frozen=True)
class _State:
    content: bytes
    float_content: bytes
    score: Score
    fits: tuple[Kind, ...] = ()


class _Ladder:
    def __init__(self, order: Order, on_progress: OnProgress) -> None:
        self._order, self._on_progress = order, on_progress
        positions, self._held_back = dealt(len(order.calibration), order.profile.batch)
        self._samples = order.calibration.take(positions)
        against = order.against or order.float_content
        judged = self._samples
        if self._held_back:
            judged = judged.take(np.arange(len(judged) - self._held_back, len(judged)))
        self._referee = Referee(against, order.profile, replace(judged, labels={}))
        self._gate = self._referee
        gate_samples = order.evaluation or order.calibration
        if gate_samples is not order.calibration or self._held_back:
            few = gate_samples.spread(_GATE_SAMPLES)
            self._gate = Referee(against, order.profile, few)
        self._steps: list[Step] = []

    def climb(self) -> Repaired:
        order = self._order
        before = self._referee.score(order.content)
        state = _State(order.content, order.float_content, before)
        passes = self._gate.score(order.content).passed
        for number, kind in enumerate(() if passes else kinds(order)):
            self._on_progress(f"repair: {TITLES[kind]}", number, 0)
            if kind in FITS and not self._held_back:
                self._steps.append(Step(kind, TITLES[kind], False, _TOO_FEW, state.score))
                continue
            state = self._widened(state) if kind == "widths" else self._tried(kind, state)
            if passes := self._is_good(state):
                break
        record = RepairRecord(
            before,
            state.score,
            tuple(self._steps),
            len(self._referee),
            self._held_back > 0,
            passes,
            "" if passes else recommendation(state.score, order.profile),
        )
        return Repaired(state.content, state.float_content, record)

    def _is_good(self, state: _State) -> bool:
        return state.score.passed and self._gate.score(state.content).passed

    def _tried(self, kind: Kind, state: _State) -> _State:
        treated = self._treat(Treatment(kind, self._held_back), state)
        if isinstance(treated, Step):
            self._steps.append(treated)
            return state
        found, step = self._judged(kind, state, treated)
        self._steps.append(step)
        return found

    def _widened(self, state: _State) -> _State:
        """The search has the limit as its target; higher ones where the truth asks for more."""
        limits = self._order.profile.limits
        has_classes = state.score.agreement is not None
        best: _State = state
        told: Step | None = None
        for attempt in range(_ATTEMPTS):
            treatment = Treatment(
                "widths",
                self._held_back,
                then=state.fits,
                sqnr_db=limits.sqnr_db + _MARGIN_DB + attempt * _RAISE_DB,
                agreement=limits.agreement if has_classes else 0.0,
                most_bytes=self._most_bytes(),
            )
            treated = self._treat(treatment, state)
            if isinstance(treated, Step):
                told = told or treated
                break
            found, step = self._judged("widths", state, treated)
            if told is None or found.score.rank > best.score.rank:
                best, told = found, step
            if not treated.facts.get("reached") or found is state or self._is_good(found):
                break
        if told is not None:
            self._steps.append(told)
        return best

    def _most_bytes(self) -> int | None:
        """A budget says how many layers of 4 bits may be wider; 16-bit ones hardly take bytes."""
        profile = self._order.profile
        return profile.budgets.file_bytes if profile.scheme == "weights-int4" else None

    def _treat(self, treatment: Treatment, state: _State) -> Treated | Step:
        """What came of it; the step that failed where no engine could quantize."""
        order = self._order
        try:
            return treat(
                treatment,
                state.float_content,
                state.content,
                order.profile,
                self._samples.inputs,
                order.options,
                self._on_progress,
            )
        except ConversionError as error:
            kind = treatment.kind
            return Step(kind, TITLES[kind], False, str(error), state.score)

    def _judged(self, kind: Kind, state: _State, treated: Treated) -> tuple[_State, Step]:
        after = scored_or_none(self._referee, treated.content) if treated.is_changed else None
        least = LEAST_GAIN_DB
        if kind == "widths" and not treated.facts["reached"] and self._most_bytes() is None:
            least = _WORTH_DB
        helps = after is not None and _helps(state.score, after, least)
        step = self._step(kind, state, treated, after, applied=helps)
        if not helps or after is None:
            return state, step
        fits = state.fits
        if kind in FITS:
            fits = (*fits, kind)
        elif kind in OF_THE_FLOAT_FILE:
            fits = ()
        return _State(treated.content, treated.float_content, after, fits), step

    def _step(
        self, kind: Kind, state: _State, treated: Treated, after: Score | None, *, applied: bool
    ) -> Step:
        said = treated.said
        if treated.is_changed and not applied:
            said += " Not kept: it does not help." if after else " Not kept: it does not run."
        return Step(kind, TITLES[kind], applied, said, state.score, after, treated.facts)


def _helps(before: Score, after: Score, least_db: float) -> bool:
    if after.rank < before.rank + least_db:
        return False
    lost = (before.agreement or 0.0) - (after.agreement or 0.0)
    return lost <= _ROUNDING or after.passed


def kinds(order: Order) -> Iterator[Kind]:
    """The steps that a profile's scheme allows, the cheapest first."""
    profile = order.profile
    if profile.needs_calibration:
        if not order.is_ours:
            yield "ranges"
        yield "mask"
        per_tensor = profile.weight_scales == "tensor"
        yield "equalize-weights" if per_tensor else "equalize-activations"
    if profile.scheme in ("float16",):
        return
    yield from FITS
    if profile.scheme == "weights-int4" or (
        profile.scheme == "int8" and profile.wider_layers != "refused"
    ):
        yield "widths"


def recommendation(score: Score, profile: ExportProfile) -> str:
    """What is left when no step helps any more, and what it can gain at most."""
    limits = profile.limits
    missing = []
    if score.sqnr_db is not None and score.sqnr_db < limits.sqnr_db:
        missing.append(f"{limits.sqnr_db - score.sqnr_db:.1f} dB of SQNR")
    if score.agreement is not None and score.agreement < 1:
        missing.append(
            f"at most the {share_text(1 - score.agreement)} of samples that change their class"
        )
    gain = f" It has to gain {' and '.join(missing)}." if missing else ""
    return (
        "What is left is training: quantization-aware training (tfgreen.QuantizationAwareTraining) "
        f"lets the weights make up for the rounding.{gain}"
    )
