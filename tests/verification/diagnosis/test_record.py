"""The record: words, JSON, the plot, and the page that lists every cause."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from tests.conftest import ROOT
from tfgreen.verification.diagnosis.examination import _is_aside
from tfgreen.verification.diagnosis.record import Cause, Diagnosis, Fault, LayerRow

ROW = LayerRow(
    op_index=3,
    op="CONV_2D",
    tensor="conv",
    own_sqnr_db=8.0,
    inherited_sqnr_db=None,
    ideal_sqnr_db=40.0,
    stored_sqnr_db=9.0,
    alone_sqnr_db=7.0,
    share_of_final_error=0.9,
)
FAULT = Fault(
    cause="range-too-wide",
    layer="conv",
    op_index=3,
    op="CONV_2D",
    message="The range of 'conv' is too wide.",
    remedy="Choose another.",
    evidence={"stored_high": 60.0},
    share_of_final_error=0.9,
)
FAULTY = Diagnosis(file="kws.tflite", faults=(FAULT,), layers=(ROW,), sqnr_db=7.2, samples=64)


def test_words_come_first_and_numbers_behind() -> None:
    lines = FAULTY.text().splitlines()
    assert lines[0] == "kws.tflite: range too wide at 'conv'."
    assert "stored_high 60.0" in FAULTY.text()
    assert "90 % of the final error" in FAULTY.text()
    assert (FAULTY.culprit, FAULTY.cause) == ("conv", "range-too-wide")
    assert FAULTY.evidence == {"stored_high": 60.0}


def test_a_healthy_file_says_so() -> None:
    healthy = Diagnosis(file="kws.tflite", layers=(ROW,), samples=8)
    assert healthy.is_healthy
    assert healthy.text().startswith("kws.tflite: nothing is wrong")
    assert healthy.evidence == {}


def test_json_comes_back() -> None:
    assert Diagnosis.from_json(FAULTY.to_json()) == FAULTY


def test_the_plot_is_written(tmp_path: Path) -> None:
    path = FAULTY.plot(tmp_path / "layers.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_page_lists_every_cause() -> None:
    page = (ROOT / "docs" / "diagnosis.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert tuple(listed[1:]) == get_args(Cause)


@pytest.mark.parametrize(
    ("deviation", "share", "expected"), [(2.5, 0.9, True), (20.0, 0.9, False), (2.5, 0.1, False)]
)
def test_statistics_slightly_off_stand_behind_an_op_with_much_of_the_error(
    deviation: float, share: float, expected: bool
) -> None:
    statistics = Fault(
        cause="batch-normalization",
        message="Off.",
        remedy="Estimate.",
        evidence={"mean_off_deviations": 0.1, "deviation_off_factor": deviation},
    )
    op = FAULT.model_copy(update={"share_of_final_error": share})
    assert _is_aside([statistics], [op]) is expected
    assert not _is_aside([], [op])
    assert not _is_aside([FAULT], [op])
