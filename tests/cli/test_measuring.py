"""`tfgreen benchmark` and `tfgreen compare`: parse, call one function, print, exit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_verbs import files, run
from tfgreen.benchmarking.record import Benchmark, Host, Row, SpeedComparison
from tfgreen.benchmarking.ssh import Remote
from tfgreen.benchmarking.timings import noise_of, ratio_of, spread_of
from tfgreen.comparison.record import Comparison, RuntimeVerdict, WidthRow
from tfgreen.errors import RemoteHostError
from tfgreen.intervals import Estimate

__all__ = ["files"]  # a fixture

HOST = Host(name="here", processor="P", machine="m", system="S", cpus=2, python="3", litert="2")
STEADY = [[0.001] * 10, [0.001] * 10]
ROW = Row(
    file="c.npz",
    width="int8",
    kernel_set="xnnpack",
    threads=1,
    latency=spread_of(STEADY),
    noise=noise_of(STEADY),
    cpu_seconds=0.001,
    load_seconds=0.01,
)
FASTER = SpeedComparison(
    file="c.npz",
    baseline="e.npz",
    kernel_set="xnnpack",
    threads=1,
    ratio=ratio_of(STEADY, [[0.002] * 10] * 2),
    message="c.npz is faster.",
)
MEASURED = Benchmark(host=HOST, rows=(ROW,), comparisons=(FASTER,), notes=("A note.",))
COMPARED = Comparison(
    model="model.keras",
    score_kind="accuracy",
    score_samples=100,
    output="word",
    rows=(
        WidthRow(
            width="float32",
            file_bytes=4000,
            gzip_bytes=3000,
            score=Estimate(value=0.98, low=0.95, high=0.99),
            is_exact=True,
            latency=spread_of(STEADY),
            runtimes=(RuntimeVerdict(kernel_set="micro", status="missing", message="pip it"),),
        ),
        WidthRow(width="int4", profile="mobile-weights-int4", status="failed", message="No."),
    ),
    notes=("A note.",),
)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    kept: dict[str, Any] = {"error": None}

    def benchmark(paths: Any, on_progress: Any, **choices: Any) -> Benchmark:
        kept.update(choices, paths=paths)
        on_progress("timing", 1, 2)
        if kept["error"] is not None:
            raise kept["error"]
        return MEASURED

    monkeypatch.setattr("tfgreen.benchmarking.latency.benchmark", benchmark)
    return kept


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    kept: dict[str, Any] = {}

    def compare(model: Any, calibration: Any, on_progress: Any, **choices: Any) -> Comparison:
        kept.update(choices, model=model, calibration=calibration)
        on_progress("int8: converting", 0, 0)
        return COMPARED

    monkeypatch.setattr("tfgreen.comparison.widths.compare", compare)
    return kept


def test_benchmark_tells_what_was_found(files: Path, measured: dict[str, Any]) -> None:
    done = run("benchmark", "c.npz", "--against", "e.npz", "--threads", 2, "--rounds", 7)
    assert done.exit_code == 0
    assert done.stdout == MEASURED.text()
    assert "c.npz is faster." in done.stdout
    assert done.stderr == "timing ...\n"
    assert measured["paths"] == ("c.npz",)
    assert (measured["against"], measured["threads"]) == ("e.npz", 2)
    assert measured["kernel_sets"] == ("xnnpack",)
    assert measured["effort"].rounds == 7
    assert measured["ssh"] is None


def test_benchmark_over_ssh(files: Path, measured: dict[str, Any]) -> None:
    run("benchmark", "c.npz", "--ssh", "pi@board", "--port", 2222, "--remote-python", "py/python")
    assert measured["ssh"] == Remote("pi@board", 2222, "py/python")


def test_benchmark_writes_its_record(files: Path, measured: dict[str, Any]) -> None:
    assert run("benchmark", "c.npz", "-q", "-o", "b.json").stdout == MEASURED.text(notes=False)
    assert Benchmark.from_json(Path("b.json").read_bytes()) == MEASURED
    assert run("benchmark", "c.npz", "-o", "b.json").exit_code == 1
    assert run("benchmark", "c.npz", "-o", "b.json", "--force").exit_code == 0
    assert run("benchmark", "c.npz", "--json", "-q").stdout == MEASURED.to_json()


def test_a_machine_that_is_off_is_one_sentence(files: Path, measured: dict[str, Any]) -> None:
    measured["error"] = RemoteHostError("ssh could not log in to board (no route).")
    done = run("benchmark", "c.npz", "--ssh", "board", "-q")
    assert done.exit_code == 1
    assert done.stderr == "Error: ssh could not log in to board (no route).\n"
    measured["error"] = None
    assert run("benchmark", "c.npz", "--ssh", "-oProxyCommand=x").exit_code == 2


COMPARE = ("compare", "model.keras", "--calibration", "c.npz", "--evaluate", "e.npz")


def test_compare_prints_one_table(files: Path, compared: dict[str, Any]) -> None:
    done = run(*COMPARE)
    assert done.exit_code == 0
    assert "model.keras in 2 widths" in done.stdout
    assert "98.00 % [95.00, 99.00]" in done.stdout
    assert "int4: failed" in done.stdout
    assert "int4 failed: No." in done.stdout
    assert "micro was not asked: pip it" in done.stdout
    assert done.stderr == "int8: converting ...\n"
    assert (compared["calibration"], compared["evaluate"]) == ("c.npz", "e.npz")
    assert "int4 failed" not in run(*COMPARE, "-q").stdout


def test_compare_writes_record_and_plot(files: Path, compared: dict[str, Any]) -> None:
    pytest.importorskip("matplotlib")
    done = run(*COMPARE, "--json", "-q", "-o", "w.json", "--plot", "w.png", "--width", "int4")
    assert json.loads(done.stdout)["schema_version"] == 2
    assert Comparison.from_json(Path("w.json").read_bytes()) == COMPARED
    assert Path("w.png").stat().st_size > 5_000
    assert compared["widths"] == ("int4",)
    assert compared["robustness"] is False
    assert run(*COMPARE, "--plot", "w.png").exit_code == 1


def test_compare_takes_a_kind_of_data_or_infers_it(files: Path, compared: dict[str, Any]) -> None:
    for given, expected in (((), True), (("audio",), "audio")):
        assert run(*COMPARE, "-q", "--robustness", *given).exit_code == 0
        assert compared["robustness"] == expected
    assert run(*COMPARE, "--robustness", "smell").exit_code == 2


def test_compare_needs_samples_and_known_widths(files: Path, compared: dict[str, Any]) -> None:
    assert run(*COMPARE[:4]).exit_code == 2
    assert run("compare", "model.keras", "--evaluate", "e.npz").exit_code == 2
    assert run(*COMPARE, "--width", "int2").exit_code == 2
    assert not compared
