"""The record: its figures against the certificate's, and the commands against the command line."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from tests.reporting.page import bundles
from tests.tiny_models import int8_classifier
from tfgreen.cli.main import tfgreen_command
from tfgreen.errors import InvalidDataError
from tfgreen.manifest import sha256
from tfgreen.reporting.page import BundleReport, report_of
from tfgreen.reporting.page.record import CostAccount, Figure, RuntimeCost, Value
from tfgreen.reporting.page.side_by_side import rows_of
from tfgreen.reporting.page.values import change_text, outcome_of


def figure(report: BundleReport, key: str) -> Figure:
    return next(one for one in report.figures if one.key == key)


def test_figures_by_hand() -> None:
    bundle = bundles.bundle_of()
    report = report_of(bundle)
    size = len(int8_classifier())
    accuracy = figure(report, "metric/scores/micro")
    assert accuracy.label == "Accuracy on micro (truth)"
    assert accuracy.before == Value.exactly(0.91) and accuracy.after == Value.exactly(0.9)
    file = figure(report, "file_bytes")
    assert (file.before, file.after) == (Value.exactly(4 * size), Value.exactly(size))
    assert figure(report, "macs").after == Value.exactly(64)  # 16 x 4
    assert figure(report, "parameters").after == Value.exactly(68)  # and 4 biases
    arena = figure(report, "arena_bytes")
    assert (arena.after, arena.limit) == (Value.exactly(24_272), 64 * 1024)
    assert report.spent_total is not None
    assert report.spent_total.joules == Value(typical=40, low=10, high=90)
    assert report.spent_total.method == "modelled"


def test_after_a_recipe_all_figures_are_held_against_the_given_model() -> None:
    bundle = bundles.trained(bundles.bundle_of())
    report = report_of(bundle)
    before = {one.key: one.before.typical for one in report.figures if one.before is not None}
    assert before == {
        "metric/scores/micro": 0.975, "metric/scores/reference": 0.975,
        "file_bytes": 9_000, "gzip_bytes": 8_000, "parameters": 2_000, "macs": 128,
    }  # fmt: skip
    assert figure(report, "agreement").label == "Same answer as the trained float model"
    record = bundle.compression
    assert record is not None and record.before is not None
    old = record.model_copy(
        update={"before": record.before.model_copy(update={"float_file": None})}
    )
    known = report_of(replace(bundle, compression=old))
    assert figure(known, "file_bytes").before is None  # and not the trained model's
    assert "sizes before" in {one.what for one in known.skipped}


def test_layers_join_what_the_certificate_holds() -> None:
    connected, softmax = report_of(bundles.bundle_of()).layers
    assert (connected.sqnr_db, connected.ideal_sqnr_db) == (31.52, 40)
    assert connected.clipped_share == 0.0442 and connected.headroom_bits == 14.25
    assert connected.range_low == pytest.approx(0.04 * (-128 - 3))
    assert connected.range_high == pytest.approx(0.04 * (127 - 3))
    assert connected.kernels["reference"].max_quanta == 1
    assert softmax.kernels["reference"].status == "unregistered"
    assert not softmax.is_compared


def test_the_record_comes_back_from_json() -> None:
    report = report_of(bundles.trained(bundles.bundle_of()))
    assert BundleReport.from_json(report.to_json()) == report
    with pytest.raises(InvalidDataError, match="This is no report of a tfgreen bundle"):
        BundleReport.from_json("{}")


def test_the_command_is_one_that_the_command_line_understands() -> None:
    report = report_of(bundles.bundle_of())
    command = next(shlex.split(line) for line in report.reproduction.commands if " export " in line)
    line = [word.replace("keyword_spotter.keras", __file__) for word in command[2:]]
    line = [__file__ if word in ("DATA", "calibration data.npz") else word for word in line]
    export = tfgreen_command.commands["export"]
    with export.make_context("export", line) as context:
        given = context.params
    assert given["profile"] == "microcontroller-int8"
    assert given["arena"] in ("65536", 65536)
    assert (given["samples"], given["repair"], given["encoding"]) == (32, True, "auto")
    assert given["calibration"] == given["evaluate"] == __file__
    assert "'calibration data.npz'" in " ".join(report.reproduction.commands)
    assert report.reproduction.file_sha256 == sha256(int8_classifier())


def test_the_command_of_a_recipe_is_understood_too() -> None:
    bundle = replace(
        bundles.trained(bundles.bundle_of()),
        calibration_source=f"{__file__} (500 of 1980 samples, evenly spaced)",
    )
    report = report_of(bundle)
    (command,) = (line for line in report.reproduction.commands if " compress " in line)
    words = [__file__ if word in ("MODEL", "DATA") else word for word in shlex.split(command)[2:]]
    with tfgreen_command.commands["compress"].make_context("compress", words) as context:
        given = context.params
    assert (given["recipe"], given["seed"], given["train"]) == ("pqat", 7, __file__)
    assert given["calibration"] is None and given["samples"] == 32
    assert report.reproduction.model_sha256 == "6" * 64


def test_what_is_not_known_is_told() -> None:
    bundle = bundles.without_labels(bundles.bundle_of())
    bare = replace(bundle, facts={}, ledger=None)
    skipped = {one.what: one.why for one in report_of(bare).skipped}
    assert skipped["accuracy"] == "No labelled samples were given (--evaluate)."
    assert "sizes before" in skipped and "energy of making it" in skipped
    assert skipped["kernels xnnpack"] == "not installed"
    assert "latency, joules and grams of an inference" in skipped


def test_a_cost_account_becomes_figures() -> None:
    cost = CostAccount(
        runtimes=(
            RuntimeCost(
                where="xnnpack",
                method="modelled",
                how="modelled: 1 ms at 4 W",
                latency=Value(typical=0.001, low=0.0009, high=0.0012),
                before_latency=Value.exactly(0.004),
                joules=Value(typical=4, low=1, high=9),
                grams=Value(typical=0.4, low=0.1, high=0.9),
            ),
        ),
        claims=(),
        left_out=(),
        notes=(),
    )
    report = report_of(bundles.bundle_of(), cost=cost)
    latency = figure(report, "latency")
    assert latency.before == Value.exactly(0.004) and latency.unit == "seconds"
    assert change_text(latency) == "4.00× faster" and outcome_of(latency) == "gain"
    doubtful = latency.model_copy(update={"before": Value(typical=0.004, low=0.001, high=0.005)})
    assert change_text(doubtful) == "not told apart" and outcome_of(doubtful) == "even"
    assert figure(report, "joules").how == "modelled"
    assert figure(report, "grams").after == Value(typical=0.4, low=0.1, high=0.9)
    assert not [one for one in report.skipped if one.what.startswith("latency")]


def test_a_ratio_is_believed_before_the_bounds_of_what_it_relates() -> None:
    """At equal watts the ratio of energies is known, though each has bounds of a factor of nine."""
    wide = Value(typical=4, low=1, high=9)
    joules = Figure(
        key="joules", label="Energy", unit="joules", better="less", before=wide,
        after=Value(typical=2, low=0.5, high=4.5), ratio=Value(typical=0.5, low=0.4, high=0.6),
    )  # fmt: skip
    assert change_text(joules) == "2.00× less" and outcome_of(joules) == "gain"
    unsure = joules.model_copy(update={"ratio": Value(typical=0.9, low=0.8, high=1.1)})
    assert change_text(unsure) == "not told apart" and outcome_of(unsure) == "even"


def test_the_best_is_marked_only_where_the_bounds_leave_no_doubt() -> None:
    def latency(low: float, typical: float, high: float) -> BundleReport:
        figure = Figure(
            key="latency", label="Latency", unit="seconds", better="less",
            after=Value(typical=typical, low=low, high=high),
        )  # fmt: skip
        return report_of(bundles.bundle_of()).model_copy(update={"figures": (figure,)})

    fast, slow, close = latency(0.8, 1, 1.2), latency(2.8, 3, 3.2), latency(1.1, 1.3, 1.5)
    assert rows_of([slow, fast])[-1].best == {1}
    assert rows_of([fast, close, slow])[-1].best == {0, 1}
    assert rows_of([fast, close])[-1].best == frozenset()
    assert rows_of([fast, fast])[-1].best == frozenset()
