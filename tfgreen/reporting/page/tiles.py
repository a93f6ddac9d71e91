"""The four numbers at the top of the page: what was kept, what was won, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tfgreen.footprint.wording import seconds_text
from tfgreen.reporting.page.baseline import given_to_recipe, judge_text
from tfgreen.reporting.page.record import BundleReport, Figure, Value
from tfgreen.reporting.page.values import change_text, outcome_of, value_text
from tfgreen.wording import share_text

_SHORT = {"sqnr": "SQNR", "macs": "Multiply-accumulates"}


@dataclass(frozen=True)
class Tile:
    """One number with what it means and what it is held against."""

    label: str
    number: str
    note: str
    outcome: str = "even"


def tiles_of(report: BundleReport) -> list[Tile]:
    """Answers, size, memory or time, and the cost of it."""
    return [*_answers(report), *_size(report), *_running(report), _cost(report)]


def _answers(report: BundleReport) -> Iterator[Tile]:
    figures = {figure.key: figure for figure in report.figures}
    metric = next((one for one in report.figures if one.key.startswith("metric/")), None)
    if metric is not None:
        name = metric.label.split(" on ")[0]
        note = change_text(metric)
        if metric.before is not None:
            whose = "float" if given_to_recipe(report.compression) is None else "before the recipe"
            note += f"; {whose} {value_text(metric.before, metric.unit)}"
        yield Tile(name, value_text(metric.after, metric.unit), note, outcome_of(metric))
    elif "agreement" in figures:
        agreement = figures["agreement"]
        text = value_text(agreement.after, agreement.unit)
        yield Tile(
            "Same answers", text, f"as {judge_text(report.compression)}; no labels were given"
        )
    elif "sqnr" in figures:
        sqnr = figures["sqnr"]
        yield Tile(
            "SQNR", value_text(sqnr.after, sqnr.unit), f"against {judge_text(report.compression)}"
        )


def _size(report: BundleReport) -> Iterator[Tile]:
    file = next((one for one in report.figures if one.key == "file_bytes"), None)
    if file is not None:
        note = change_text(file)
        if file.before is not None:
            note += f" than {value_text(file.before, file.unit)}"
            if given_to_recipe(report.compression) is not None:
                note += " before the recipe"
        yield Tile("File", value_text(file.after, file.unit), note, outcome_of(file))


def _running(report: BundleReport) -> Iterator[Tile]:
    """Time if it is known, else memory, else fidelity, else work."""
    figures = {figure.key: figure for figure in report.figures}
    wanted = ["latency", "npu/inference_seconds", "arena_bytes", "sqnr", "macs"]
    if not _has_answers(report):
        wanted.remove("sqnr")
    figure = next((figures[key] for key in wanted if key in figures), None)
    if figure is not None:
        note = _share_of_budget(figure) or change_text(figure) or figure.how
        label = _SHORT.get(figure.key, figure.label)
        number, _, bounds = value_text(figure.after, figure.unit).partition(" (")
        note = f"{bounds.rstrip(')')}; {note}" if bounds else note
        yield Tile(label, number, note, outcome_of(figure))


def _share_of_budget(figure: Figure) -> str:
    if figure.unit != "bytes" or figure.limit is None or figure.after is None:
        return ""
    budget = value_text(Value.exactly(figure.limit), figure.unit)
    return f"{share_text(figure.after.typical / figure.limit)} of the {budget} budget"


def _has_answers(report: BundleReport) -> bool:
    return any(one.key == "agreement" or one.key.startswith("metric/") for one in report.figures)


def _cost(report: BundleReport) -> Tile:
    spent = report.spent_total
    if spent is None:
        return Tile("Cost of making it", "not recorded", "the bundle keeps no ledger")
    joules = value_text(spent.joules, "joules")
    number, _, bounds = joules.partition(" (")
    within = f", {bounds.rstrip(')')}" if bounds else ""
    time = seconds_text(spent.cpu_seconds)
    return Tile("Cost of making it", number, f"{spent.method}{within}; {time} of processor time")
