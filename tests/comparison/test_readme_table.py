"""The README's table of widths is what the script renders from its record."""

from __future__ import annotations

from benchmarks.width_table import BEGIN, END, README, RECORD, rendered, with_table
from tfgreen.comparison.record import Comparison
from tfgreen.comparison.widths import WIDTHS


def test_the_block_is_rendered_from_the_record() -> None:
    record = Comparison.from_json(RECORD.read_bytes())
    page = README.read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert rendered(record) in page
    assert with_table(page, record) == page


def test_the_record_holds_all_widths_on_all_clips() -> None:
    record = Comparison.from_json(RECORD.read_bytes())
    assert tuple(row.width for row in record.rows) == WIDTHS
    assert record.score_samples == 5980
    assert all(row.latency is not None and row.score is not None for row in record.rows)
