"""How much RAM a file needs under TensorFlow Lite Micro, and whether the board has it.

Where tflite-micro is installed, the runtime itself has said (the certificate's `arena_bytes`);
elsewhere our own plan of its algorithm gives the head, which is a lower bound. Both are figures
of a 64-bit host: pointers are half as long on a 32-bit target, which makes the tail smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile
from tfgreen.targets.microcontroller.lifetimes import Peak, peak_facts, peak_of, remedy, told
from tfgreen.targets.microcontroller.picture import draw_arena
from tfgreen.targets.microcontroller.planner import Plan, plan_arena
from tfgreen.targets.report import TargetReport
from tfgreen.verification import Certificate, Check
from tfgreen.verification.labels import counted

PICTURE = "microcontroller/arena.svg"
"""Where the picture lies in a bundle."""

_NOT_MEASURED = (
    "The arena was not measured: tflite-micro did not run here. Its head was planned by tfgreen's "
    "own copy of TFLM's algorithm; the tail comes on top of it."
)
_TAIL_RULES = (
    "most of it is the tail, what TFLM keeps of every op and output channel; fewer channels or "
    "fewer layers would lower it"
)
_NOT_PLANNED = "The arena was not planned: the file runs other subgraphs, which share it."


@dataclass(frozen=True)
class Arena:
    """What is known of the arena of one file; None where nobody knows it.

    Attributes:
        total_bytes: In use after loading: head and tail.
        head_bytes: Of activations and working memory, which share their space.
        to_load_bytes: The smallest arena in which the file loads.
        plan: Our own plan of the head.
    """

    total_bytes: int | None
    head_bytes: int | None
    to_load_bytes: int | None
    plan: Plan | None

    @classmethod
    def of(cls, model: TfliteModel, certificate: Certificate) -> Arena:
        """What TFLM told when the file was certified, beside our own plan."""
        return cls(
            certificate.arena_bytes,
            certificate.arena_head_bytes,
            certificate.arena_to_load_bytes,
            plan_arena(model),
        )

    @property
    def is_measured(self) -> bool:
        """Whether TFLM itself has told."""
        return self.total_bytes is not None

    @property
    def is_planned_alike(self) -> bool:
        """Whether our plan's head is TFLM's own to the byte; True if there is one of them only."""
        if self.plan is None or self.head_bytes is None:
            return True
        return self.plan.head_bytes == self.head_bytes

    @property
    def needed_bytes(self) -> int | None:
        """What a board has to have: measured, or at least our head."""
        if self.is_measured:
            return self.to_load_bytes or self.total_bytes
        return self.plan.head_bytes if self.plan is not None else None


def report_arena(
    model: TfliteModel, profile: ExportProfile, certificate: Certificate
) -> TargetReport:
    """The arena's gate, its facts, its notes and its picture."""
    arena = Arena.of(model, certificate)
    peak = peak_of(model, arena.plan) if arena.plan is not None else None
    story = told(model, arena.plan, peak) if arena.plan is not None and peak is not None else ""
    way_out = _way_out(model, arena, peak)
    facts: dict[str, Any] = {
        "measured_by": _measured_by(certificate) if arena.is_measured else None,
        "host": "64-bit",
        "total_bytes": arena.total_bytes,
        "head_bytes": arena.head_bytes,
        "tail_bytes": _tail_bytes(arena),
        "to_load_bytes": arena.to_load_bytes,
        "planned_head_bytes": arena.plan.head_bytes if arena.plan is not None else None,
        "peak": peak_facts(model, arena.plan, peak) if arena.plan is not None and peak else None,
    }
    files = {}
    if arena.plan is not None and peak is not None:
        files[PICTURE] = draw_arena(model, arena.plan, peak)
    checks = (_budget(arena, profile, way_out),)
    return TargetReport(checks, {"arena": facts}, files, tuple(_notes(arena, story)))


def _measured_by(certificate: Certificate) -> str:
    known = certificate.kernel_sets.get("micro")
    return f"tflite-micro {known.version}" if known and known.version else "tflite-micro"


def _tail_bytes(arena: Arena) -> int | None:
    if arena.total_bytes is None or arena.head_bytes is None:
        return None
    return arena.total_bytes - arena.head_bytes


def _budget(arena: Arena, profile: ExportProfile, way_out: str) -> Check:
    """The gate: over the budget fails; within it passes only if all of the arena is known."""
    budget, needed = profile.budgets.arena_bytes, arena.needed_bytes
    facts: dict[str, Any] = {"measured": needed, "limit": budget, "unit": "bytes"}
    if needed is None:
        return _check("warning", _NOT_PLANNED, **facts)
    text = f"The tensor arena takes {_parts(arena, needed)}"
    if budget is None:
        return _check("passed", f"{text}; the profile sets no budget (--arena).", **facts)
    if needed > budget:
        over = counted(needed - budget, "byte")
        text += f", {over} over the budget of {budget:,}: {way_out}."
        return _check("failed", text, **facts)
    if not arena.is_measured:
        return _check("warning", f"{text}, within the budget of {budget:,} without it.", **facts)
    return _check("passed", f"{text}, of {budget:,}.", **facts)


def _way_out(model: TfliteModel, arena: Arena, peak: Peak | None) -> str:
    """What to change about an arena that is too large, as a clause."""
    tail, head = _tail_bytes(arena), arena.head_bytes
    if tail is not None and head is not None and tail > head:
        return _TAIL_RULES
    if peak is None or arena.plan is None or arena.needed_bytes is None:
        return "make the layers narrower, or take a board with more RAM"
    clause = remedy(model, peak)
    if peak.narrower is not None:
        left = arena.needed_bytes - arena.plan.head_bytes + peak.narrower[1]
        clause += f" to about {left:,}"
    return clause


def _parts(arena: Arena, needed: int) -> str:
    tail = _tail_bytes(arena)
    if not arena.is_measured:
        return f"at least {counted(needed, 'byte')}: the head as planned; the tail is not known"
    parts = "" if tail is None else f", head {arena.head_bytes:,} and tail {tail:,}"
    return f"{counted(needed, 'byte')} to load (on this 64-bit host{parts})"


def _check(status: Any, message: str, **facts: Any) -> Check:
    return Check(gate="structure", name="arena-bytes", status=status, message=message, **facts)


def _notes(arena: Arena, story: str) -> list[str]:
    notes = []
    if not arena.is_measured and arena.plan is not None:
        notes.append(_NOT_MEASURED)
    if not arena.is_planned_alike and arena.plan is not None:
        notes.append(
            f"Our own plan of the arena's head takes {arena.plan.head_bytes:,} bytes and TFLM's "
            f"{arena.head_bytes:,}: which layer needs how much is only roughly right."
        )
    tail = _tail_bytes(arena)
    if story and tail is not None and tail > (arena.head_bytes or 0):
        story += f" But {_TAIL_RULES}."
    return [*notes, f"The arena's head: {story}"] if story else notes
