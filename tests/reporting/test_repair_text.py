"""A repair for people: every step with its numbers, what was kept and why not, what is left."""

from __future__ import annotations

from tfgreen.reporting.repair_text import render_repair, repair_summary
from tfgreen.reporting.tables import to_text
from tfgreen.verification.repair.record import RepairRecord, Score, Step

BEFORE, AFTER = Score(3.25, 0.5, False, 1000), Score(21.5, 0.99, True, 1100)
UNITS = [
    {"tensor": "logits", "op": "FULLY_CONNECTED", "ops": ["logits"], "gain": 0.125,
     "sqnr_db": 4.0, "added_bytes": 64},
    {"tensor": "stem", "op": "CONV_2D", "ops": ["stem", "next"], "gain": 0.75,
     "sqnr_db": 9.0, "added_bytes": 1024},
]  # fmt: skip


def record(*steps: Step, gate: bool = True, left: str = "") -> RepairRecord:
    return RepairRecord(BEFORE, AFTER if gate else BEFORE, steps, 48, True, gate, left)


KEPT = Step("equalize-weights", "cross-layer equalization", True, "Made alike.", BEFORE, AFTER)
SKIPPED = Step("mask", "mask constants", False, "No constant is huge.", BEFORE)
WIDER = Step("widths", "wider layers", False, "3 of 9 layers. Not kept: it does not help.", AFTER,
             BEFORE, {"sensitivity": UNITS, "bits": [16, 8]})  # fmt: skip


def text_of(made: RepairRecord) -> str:
    return to_text(render_repair(made.to_facts()), 160)


def test_every_step_with_its_numbers() -> None:
    text = text_of(record(SKIPPED, KEPT, WIDER))
    rows = [line for line in text.splitlines() if "cross-layer equalization" in line]
    assert "3.2 dB" in rows[0]
    assert "21.5 dB" in rows[0]
    assert "99.0 %" in rows[0]
    assert "yes" in rows[0].split()
    assert "48 held-back samples" in text


def test_sensitivity_starts_with_the_largest_gain() -> None:
    text = text_of(record(WIDER))
    assert text.index("75.0 %") < text.index("12.5 %")
    assert "1,024" in text


def test_what_is_left_is_told() -> None:
    left = "What is left is training."
    made = record(SKIPPED, gate=False, left=left)
    assert left in text_of(made)
    assert list(repair_summary(made.to_facts()))[-1] == left
    assert list(made.notes()) == [left]


def test_nothing_to_repair() -> None:
    told = "nothing was changed, since the fidelity gate passes"
    assert told in text_of(record())
    assert told in next(repair_summary(record().to_facts()))


def test_notes_name_what_was_kept() -> None:
    note, of_layers = record(SKIPPED, KEPT).notes()
    assert "SQNR by layer says nothing" in of_layers
    assert note == (
        "Repair, cross-layer equalization: Made alike. SQNR 3.2 dB to 21.5 dB on 48 held-back "
        "samples."
    )
