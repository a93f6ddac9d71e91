"""`tfgreen report --html`: pages rebuilt from bundles, with the account where it is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.accounting.test_report import clock as clock
from tests.reporting.page import bundles
from tfgreen.accounting.page import bundle_reports, cost_account
from tfgreen.accounting.report import report
from tfgreen.benchmarking import latency
from tfgreen.cli.main import tfgreen_command
from tfgreen.errors import UsageError
from tfgreen.reporting.page.record import BundleReport

JOULES = (1.0, 4.0, 9.0)  # 1,000 runs of 1 ms at 1, 4 and 9 W


def run(*words: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(tfgreen_command, ["report", *map(str, words)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def mobile(tmp_path: Path) -> Path:
    return bundles.bundle_of(profile="mobile-int8").save(tmp_path / "mobile")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return bundles.deep(3).save(tmp_path / "other")


@pytest.fixture
def nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError("something was timed")

    monkeypatch.setattr(latency, "run_here", refuse)


@pytest.mark.usefixtures("nothing_is_timed")
def test_a_page_alone_is_the_one_in_the_bundle(mobile: Path, tmp_path: Path) -> None:
    page, short = tmp_path / "page.html", tmp_path / "page.md"
    told = run(mobile, "--html", page, "--markdown", short)
    assert told == f"Written: {page}\nWritten: {short}\n"
    assert page.read_bytes() == (mobile / "report.html").read_bytes()
    assert short.read_bytes() == (mobile / "report.md").read_bytes()
    (again,) = bundle_reports([mobile])
    assert again == BundleReport.from_json((mobile / "report.json").read_bytes())


@pytest.mark.usefixtures("nothing_is_timed")
def test_nothing_is_overwritten_and_files_have_no_page(mobile: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert "--force" in run(mobile, "--html", page, code=1)
    assert page.read_text() == "mine"
    run(mobile, "--html", page, "--force")
    assert page.read_text().startswith("<!doctype html>")
    with pytest.raises(UsageError, match="A page is made of bundles, and .*model.tflite is none"):
        bundle_reports([mobile / "model.tflite"])


@pytest.mark.usefixtures("nothing_is_timed")
def test_bundles_of_before_there_were_pages(mobile: Path, tmp_path: Path) -> None:
    """A manifest that lists no report verifies, and its page is made."""

    manifest = json.loads((mobile / "manifest.json").read_text())
    for name in ("report.html", "report.json", "report.md"):
        del manifest["files"][name]
        (mobile / name).unlink()
    (mobile / "manifest.json").write_text(json.dumps(manifest))
    run(mobile, "--html", tmp_path / "page.html")
    assert "keyword_spotter" in (tmp_path / "page.html").read_text()


@pytest.mark.usefixtures("clock")
def test_the_account_is_in_the_page_when_it_is_asked_for(
    mobile: Path, other: Path, tmp_path: Path
) -> None:
    page = tmp_path / "both.html"
    told = run(mobile, other, "--grid", "360", "--watts", "1,4,9", "--html", page)
    assert f"Written: {page}" in told
    text = page.read_text()
    assert "2 bundles side by side" in text
    assert "4 J (1 to 9)" in text and "400 ug (100 to 900)" in text  # 4 J at 360 g/kWh
    assert "Latency on xnnpack, this machine" in text


@pytest.mark.usefixtures("clock")
def test_an_account_by_hand(mobile: Path, other: Path) -> None:
    found = report([mobile, other], grid=360.0, watts=(1, 4, 9))
    cost = cost_account(found, "other")
    first = cost.runtimes[0]
    assert first.where == "xnnpack"
    assert (first.before_joules.low, first.before_joules.typical) == pytest.approx(JOULES[:2])
    assert first.joules.typical == pytest.approx(3 * JOULES[1])
    assert first.latency is not None and first.before_latency is not None
    assert first.latency.typical == pytest.approx(3 * first.before_latency.typical)
    assert first.ratio is not None and first.ratio.typical == pytest.approx(3.0)
    assert first.baseline == "mobile"
    assert all("other" in claim for claim in cost.claims) and cost.claims
    assert cost_account(found, "mobile").runtimes[0].before_joules is None
