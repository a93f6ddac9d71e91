"""A record of robustness in words and tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from tfgreen.intervals import Estimate
from tfgreen.verification.robustness.record import (
    FLOAT,
    GATE_SEVERITY,
    Robustness,
    RobustnessRow,
    Score,
)

_WIDTH = 110
_ABSENT = "–"
_KIND = {"accuracy": "Accuracy", "mean-absolute-error": "Mean absolute error"}


def robustness_text(record: Robustness) -> str:
    """What was done, a table over severities, one over corruptions, and what they say."""
    rows = [row for row in record.rows if row.status == "measured"]
    blocks = [_headline(record)]
    if rows and rows[0].means:
        severities = [f"severity {one.severity}" for one in rows[0].means]
        cells = [[row.name, *(_cell(record, one) for one in _with_clean(row))] for row in rows]
        blocks.append(_table(["mean of corruptions", "clean", *severities], cells))
        cells = [[row.name, *(_apart(record, one.cost) for one in row.means)] for row in rows[1:]]
        blocks += [_table(["beyond the clean loss", *severities], cells)] if cells else []
    if rows and record.conditions:
        blocks.append(_conditions(record, rows))
    blocks.append("\n".join(line for one in sentences(record) for line in _bullets(one)))
    return "\n\n".join(blocks)


def sentences(record: Robustness) -> Iterator[str]:
    """What the figures say, what was done to which input, and what was left out."""
    for row in record.rows:
        if row.status == "failed":
            yield f"{row.name} was not measured: {row.message}"
        elif row.name != FLOAT and row.means:
            yield verdict(record, row)
        if row.status == "measured" and row.samples < record.samples:
            yield (
                f"{row.name} was scored on {row.samples:,} of {record.samples:,} samples: "
                f"{row.truth} is slow."
            )
    for one in record.inputs:
        yield (
            f"Input '{one.name}': {one.kind}, {one.how}; values from {one.low:g} to {one.high:g}."
        )
    if record.attack is not None:
        yield (
            f"Attacks follow the float model's gradient ({record.attack.loss}); PGD takes "
            f"{record.attack.steps} steps of {record.attack.step_share:g} epsilon from the sample "
            "itself. They are not in the means. A file whose weights are others withstands some of "
            "them for that alone: it is not what they were made for."
        )
    yield from record.notes


def verdict(record: Robustness, row: RobustnessRow) -> str:
    """Whether compression costs more under corruption than it costs on clean samples."""
    severity = _shown(row)
    score = row.at(severity)
    clean, cost = row.clean.difference if row.clean else None, score.cost
    if clean is None or cost is None:
        return f"{row.name}: there is nothing to compare with."
    worse = cost.low > 0 if record.score_kind == "mean-absolute-error" else cost.high < 0
    better = cost.high < 0 if record.score_kind == "mean-absolute-error" else cost.low > 0
    told = (
        f"{_apart(record, clean)} on clean samples, {_apart(record, cost)} more at severity "
        f"{severity}"
    )
    if worse:
        return f"{row.name} costs robustness beyond accuracy: {told}."
    if better:
        return f"{row.name} loses less under corruption than on clean samples: {told}."
    return f"{row.name}: no cost of robustness beyond that of accuracy was shown: {told}."


def _headline(record: Robustness) -> str:
    kind = _KIND.get(record.score_kind, "Agreement with the float model's clean classes")
    unit = "" if record.score_kind == "mean-absolute-error" else ", %"
    text = (
        f"{kind}{unit}, of '{record.output}' on {record.samples:,} samples, with 95 % bootstrap "
        "intervals; differences from float32 are paired, in points."
    )
    return "\n".join(textwrap.wrap(text, _WIDTH))


def _conditions(record: Robustness, rows: Sequence[RobustnessRow]) -> str:
    severity = _shown(rows[0])
    header = [f"at severity {severity}", *(row.name for row in rows)]
    cells = [
        [one.name, *(_cell(record, row.at(severity, one.name)) for row in rows)]
        for one in record.conditions
    ]
    return _table(header, cells)


def _shown(row: RobustnessRow) -> int:
    """The middle severity, or the highest where that was not measured."""
    severities = {score.severity for score in row.scores}
    return GATE_SEVERITY if GATE_SEVERITY in severities else max(severities)


def _with_clean(row: RobustnessRow) -> tuple[Score, ...]:
    return (*filter(None, (row.clean,)), *row.means)


def _cell(record: Robustness, score: Score) -> str:
    return _figure(record, score.score, "")


def _apart(record: Robustness, apart: Estimate | None) -> str:
    return _ABSENT if apart is None else _figure(record, apart, "+")


def _figure(record: Robustness, one: Estimate, sign: str) -> str:
    if record.score_kind == "mean-absolute-error":
        return f"{one.value:{sign}.3g} [{one.low:{sign}.3g}, {one.high:{sign}.3g}]"
    value, low, high = (100 * number for number in (one.value, one.low, one.high))
    return f"{value:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        for cells in (header, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _bullets(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, _WIDTH, initial_indent="- ", subsequent_indent="  ")
