"""`tfgreen.benchmark` end to end on tiny files; what it says is tested on made-up answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tfgreen as tg
from tests.certificates import certificate_of
from tests.tiny_models import OpSpec, TensorSpec, build, int8_classifier
from tfgreen.benchmarking import latency
from tfgreen.benchmarking.files import TimedFile, read_files, width_of
from tfgreen.benchmarking.latency import Effort, benchmark, benchmark_files
from tfgreen.benchmarking.record import PER_OP
from tfgreen.benchmarking.text import seconds_text
from tfgreen.errors import (
    IntegrityError,
    InvalidDataError,
    InvalidModelError,
    MissingDependencyError,
    MissingPathError,
    UnknownNameError,
    UsageError,
)
from tfgreen.flatbuffer import TfliteModel

QUICK = Effort(
    sessions=1, rounds=5, budget_seconds=0.1, block_seconds=0.0002, warmup_seconds=0.0, probes=1
)


def float_adder() -> bytes:
    tensors = [TensorSpec(name, (1, 4), "float32") for name in ("x", "y")]
    return build(tensors, [OpSpec("ABS", ["x"], ["y"])], ["x"], ["y"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "int8.tflite").write_bytes(int8_classifier())
    (tmp_path / "float.tflite").write_bytes(float_adder())
    return tmp_path


def test_end_to_end(folder: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    found = benchmark(
        folder / "int8.tflite",
        against=folder / "float.tflite",
        threads=1,
        effort=QUICK,
        on_progress=lambda *step: steps.append(step),
    )
    assert [(row.file, row.width, row.status) for row in found.rows] == [
        ("int8.tflite", "int8", "ok"),
        ("float.tflite", "float32", "ok"),
    ]
    for row in found.rows:
        assert row.latency is not None
        assert row.latency.blocks == 5
        assert 0 < row.latency.minimum_seconds <= row.latency.median_seconds
        assert row.noise is not None
        assert row.load_seconds
    (comparison,) = found.comparisons
    assert (comparison.file, comparison.baseline) == ("int8.tflite", "float.tflite")
    assert comparison.ratio.low <= comparison.ratio.median <= comparison.ratio.high
    assert PER_OP in found.notes
    assert steps[-1] == ("timing", 3, 3)
    assert tg.Benchmark.from_json(found.to_json()) == found
    assert found.row("int8.tflite") == found.rows[0]


def test_bundles_are_checked(tmp_path: Path) -> None:
    content = int8_classifier()
    bundle = tg.Bundle(content, certificate_of(content), tg.load_profile()).save(tmp_path / "kws")
    (file,) = read_files([bundle])
    assert (file.name, file.content) == ("kws", content)
    (bundle / "model.tflite").write_bytes(float_adder())
    with pytest.raises(IntegrityError, match="not the file that the manifest describes"):
        read_files([bundle])


def test_names_that_are_alike_become_paths(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "int8.tflite").write_bytes(int8_classifier())
    alike = read_files([folder / "int8.tflite", other / "int8.tflite"])
    assert [file.name for file in alike] == [
        str(folder / "int8.tflite"),
        str(other / "int8.tflite"),
    ]


def test_what_cannot_be_measured_is_refused(folder: Path) -> None:
    (folder / "text.tflite").write_text("no model")
    with pytest.raises(InvalidModelError):
        benchmark(folder / "text.tflite")
    with pytest.raises(MissingPathError, match="There is no file or bundle"):
        benchmark(folder / "none.tflite")
    with pytest.raises(InvalidModelError, match="is no bundle"):
        benchmark(folder)
    with pytest.raises(UsageError, match="twice"):
        benchmark([folder / "int8.tflite", folder / "int8.tflite"])
    with pytest.raises(UsageError, match="No file"):
        benchmark([])
    with pytest.raises(UnknownNameError, match="micro"):
        benchmark(folder / "int8.tflite", kernel_sets=("micro",))
    with pytest.raises(UsageError, match="-1 threads"):
        benchmark(folder / "int8.tflite", threads=-1)


def made_up(
    monkeypatch: pytest.MonkeyPatch, times: list[float], load: float = 0.0, **session: Any
) -> tg.Benchmark:
    """The record that follows when each file takes its time in every block."""
    files = [TimedFile("int8.tflite", int8_classifier()), TimedFile("float.tflite", float_adder())]
    probe = {
        "status": "ok",
        "load_seconds": 0.001,
        "first_run_seconds": 0.002,
        "added_bytes": 4096,
        "peak_bytes": None,
    }
    answer = {
        "host": {
            "processor": "P",
            "machine": "m",
            "system": "S",
            "cpus": 2,
            "python": "3",
            "litert": "2",
            "load_before": load,
            "load_after": load,
        },
        "threads": [1],
        "probes": [[probe], [probe]],
        "sessions": [
            {
                "status": "ok",
                "threads": 1,
                "candidates": [0, 1],
                "cpus": [1],
                "blocks": [[[seconds, 2 * seconds]] * 20 for seconds in times],
                **session,
            }
        ],
    }
    monkeypatch.setattr(latency, "run_here", lambda folder, tell: answer)
    return benchmark_files(files, baseline=1)


def test_int8_that_is_slower_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made_up(monkeypatch, [0.003, 0.002])
    (comparison,) = found.comparisons
    assert comparison.ratio.verdict == "slower"
    assert comparison.cpu_ratio is not None and comparison.cpu_ratio.median == 1.5
    assert comparison.message == (
        "int8.tflite is slower than float.tflite on xnnpack with 1 thread: 1.50 times the time "
        "(1.50 to 1.50). On this machine int8 is SLOWER than float: it saves bytes, not time."
    )
    assert comparison.message in found.text()
    assert found.rows[0].cpu_seconds == 0.006
    assert (found.rows[0].added_bytes, found.rows[0].process_bytes) == (4096, None)


def test_a_clock_too_coarse_for_processor_time_gives_no_ratio_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = [[[0.003, 0.0]] * 20, [[0.002, 0.016]] * 20]
    (comparison,) = made_up(monkeypatch, [0.003, 0.002], blocks=blocks).comparisons
    assert comparison.ratio.median == 1.5
    assert comparison.cpu_ratio is None


def test_int8_that_is_faster_is_not_praised_beyond_the_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (comparison,) = made_up(monkeypatch, [0.001, 0.002]).comparisons
    assert comparison.message == (
        "int8.tflite is faster than float.tflite on xnnpack with 1 thread: 0.50 times the time "
        "(0.50 to 0.50)."
    )


def test_what_cannot_be_told_apart_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    (comparison,) = made_up(monkeypatch, [0.002, 0.002]).comparisons
    assert "cannot be told apart" in comparison.message


def test_a_busy_machine_and_one_that_pins_nothing_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    text = made_up(monkeypatch, [0.002, 0.002], load=3.0, cpus=[]).text()
    assert "The machine was busy before the start (load 3.0 on 2 processors)" in text
    assert "Nothing was pinned" in text
    assert "busy" not in made_up(monkeypatch, [0.002, 0.002]).text()


def test_a_session_that_died_is_a_row_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made_up(monkeypatch, [1, 1], status="crashed", message="signal 6: abort", blocks=None)
    assert {row.status for row in found.rows} == {"crashed"}
    assert "float.tflite did not run on xnnpack with 1 thread (crashed): signal 6" in found.text()
    assert found.comparisons == ()


def test_noise_is_told_with_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    uneven = [[[1.0 + index % 2, 1.0]] for index in range(20)]
    blocks = [[block[0] for block in uneven], [block[0] for block in uneven]]
    text = made_up(monkeypatch, [1, 1], blocks=blocks).text()
    assert "Noisy: int8.tflite on xnnpack with 1 thread scatters by 67 %" in text
    assert "Noisy" not in made_up(monkeypatch, [1, 1], blocks=blocks).text(notes=False)


def test_litert_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr("tfgreen.benchmarking.local._FLAGS", ("-S",))
    monkeypatch.setattr("tfgreen.benchmarking.local.environment_of_children", dict)
    with pytest.raises(MissingDependencyError, match="pip install ai-edge-litert"):
        benchmark(folder / "int8.tflite", effort=QUICK)


def test_records_of_others_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="no record of `tfgreen benchmark`"):
        tg.Benchmark.from_json("{}")


def test_a_row_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidDataError, match="The files are: int8.tflite, float.tflite"):
        made_up(monkeypatch, [1, 1]).row("other.tflite")


def weighted(dtype: str, activation: str = "float32") -> bytes:
    """A FULLY_CONNECTED with weights of a dtype; activations stay float unless said."""
    scale = None if dtype.startswith("float") else 0.1
    data = bytes(32 if dtype == "float16" else 8 if dtype == "int4" else 16)
    tensors = [
        TensorSpec("x", (1, 4), activation, scale=None if activation == "float32" else 0.1),
        TensorSpec("w", (4, 4), dtype, scale=scale, data=data),
        TensorSpec("y", (1, 4), activation, scale=None if activation == "float32" else 0.1),
    ]
    return build(tensors, [OpSpec("FULLY_CONNECTED", ["x", "w", ""], ["y"])], ["x"], ["y"])


@pytest.mark.parametrize(
    ("content", "width"),
    [
        (int8_classifier(), "int8"),
        (float_adder(), "float32"),
        (weighted("float16"), "float16"),
        (weighted("int8"), "dynamic-int8"),
        (weighted("int4"), "int4"),
        (weighted("int8", "int16"), "int16x8"),
    ],
)
def test_widths(content: bytes, width: str) -> None:
    assert width_of(TfliteModel.from_bytes(content)) == width


def test_times_have_a_unit_that_fits() -> None:
    assert [seconds_text(s) for s in (2e-7, 0.9994e-3, 1.0)] == ["0.2 us", "999 us", "1.00 s"]
