"""A comparison as a table: in rich for terminals, in Markdown for a README."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from tfgreen.benchmarking.text import seconds_text
from tfgreen.comparison.record import Comparison, WidthRow
from tfgreen.intervals import Estimate
from tfgreen.reporting.tables import bullet, table, to_text
from tfgreen.reporting.wording import decibel_text
from tfgreen.wording import ABSENT, share_text

_WIDTH = 160
_KIND = {"accuracy": "accuracy", "mean-absolute-error": "error", "agreement": "agreement"}

_TROUBLES = {
    "wrong": "is wrong on",
    "not-judged": "was not judged on",
    "does-not-run": "does not run on",
}


def render_comparison(comparison: Comparison, *, with_notes: bool = True) -> RenderableType:
    """The table, and below it what failed, what is wrong where, and what the figures leave out."""
    columns = [
        f"{'' if index == 0 else '>'}{name}" for index, name in enumerate(_names(comparison))
    ]
    columns[-1] = columns[-1].lstrip(">")
    rows = [_cells(comparison, row) for row in comparison.rows]
    endured = comparison.robustness
    worse: list[RenderableType] = []
    if endured is not None:
        worse = [Text(endured.text(), no_wrap=True, overflow="ignore"), ""]
    told = [bullet(sentence) for sentence in _sentences(comparison) if with_notes]
    widths = table(f"{comparison.model} in {len(rows)} widths", columns, rows)
    return Group(widths, "", *worse, *told)


def comparison_text(comparison: Comparison) -> str:
    """The same as plain text."""
    return to_text(render_comparison(comparison), _WIDTH)


def comparison_markdown(comparison: Comparison) -> str:
    """The table in Markdown, ended by a newline."""
    names = _names(comparison)
    lines = [names, ["---", *["--:"] * (len(names) - 2), "---"]]
    lines += [_cells(comparison, row) for row in comparison.rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _names(comparison: Comparison) -> list[str]:
    kind = _KIND.get(comparison.score_kind or "", "score")
    return [
        "width",
        "bytes",
        "gzip",
        f"{kind} (95 %)",
        "to float32",
        "SQNR",
        "time",
        "of float32's",
        "energy",
        "arena",
        "right on",
    ]


def _cells(comparison: Comparison, row: WidthRow) -> list[str]:
    if row.status == "failed":
        return [f"{row.width}: failed", *[ABSENT] * (len(_names(comparison)) - 1)]
    is_share = comparison.score_kind != "mean-absolute-error"
    sqnr = decibel_text(row.sqnr_db) if row.sqnr_db is not None or row.is_exact else ABSENT
    return [
        row.width if row.status == "passed" else f"{row.width}: gate failed",
        _count(row.file_bytes),
        _count(row.gzip_bytes),
        _score(row.score, is_share),
        _difference(row.difference, is_share),
        sqnr,
        seconds_text(row.latency.median_seconds) if row.latency else ABSENT,
        _speed(row),
        ABSENT if row.energy_ratio is None else f"{row.energy_ratio:.2f}",
        _count(row.arena_bytes),
        _right_on(row),
    ]


def _sentences(comparison: Comparison) -> Iterator[str]:
    for row in comparison.rows:
        if row.message:
            verb = "failed" if row.status == "failed" else "fails a gate"
            yield f"{row.width} {verb}: {row.message}"
        for one in row.runtimes:
            if one.status in _TROUBLES:
                yield f"{row.width} {_TROUBLES[one.status]} {one.kernel_set}: {one.message}"
        if 0 < row.score_samples < comparison.score_samples:
            yield (
                f"{row.width} was scored on {row.score_samples:,} of "
                f"{comparison.score_samples:,} samples: {row.truth} is slow."
            )
        if row.speed is not None and row.speed.verdict == "slower":
            yield (
                f"{row.width} is slower than float32 on this machine: {row.speed.median:.2f} "
                f"times the time ({row.speed.low:.2f} to {row.speed.high:.2f})."
            )
        if row.noise is not None and row.noise.verdict == "noisy":
            yield (
                f"{row.width}: the time is noisy (it scatters by "
                f"{share_text(row.noise.spread_share, 0)}); "
                "its ratio to float32 was taken round by round."
            )
    for one in comparison.rows[0].runtimes if comparison.rows else ():
        if one.status == "missing":
            yield f"{one.kernel_set} was not asked: {one.message}"
    yield from _meaning(comparison)
    yield "Right on all: " + ", ".join(one.kernel_set for one in comparison.rows[0].runtimes) + "."
    yield from comparison.notes


def _meaning(comparison: Comparison) -> Iterator[str]:
    """What the scores and times are."""
    if comparison.score_kind is not None:
        interval = "bootstrap" if comparison.score_kind == "mean-absolute-error" else "Wilson"
        yield (
            f"{_KIND[comparison.score_kind].capitalize()} of '{comparison.output}' on "
            f"{comparison.score_samples:,} samples ({interval} interval), on the kernel set that "
            "is the profile's truth; the difference from float32 by paired bootstrap."
        )
    if comparison.host is not None:
        host = comparison.host
        yield (
            f"Times: median of a run on XNNPACK, one thread, by turns, on {host.processor} with "
            f"{host.cpus} processors, ai-edge-litert {host.litert}; ?: cannot be told apart."
        )


def _right_on(row: WidthRow) -> str:
    """The kernel sets that compute the file rightly, as few words as will do."""
    right, missing = row.on("right"), row.on("missing")
    if len(right) + len(missing) == len(row.runtimes) and right:
        return "all" if not missing else f"all but {', '.join(missing)} (missing here)"
    return ", ".join(right) or "none"


def _count(number: int | None) -> str:
    return ABSENT if number is None else f"{number:,}"


def _score(score: Estimate | None, is_share: bool) -> str:
    if score is None:
        return ABSENT
    if is_share:
        return f"{100 * score.value:.2f} % [{100 * score.low:.2f}, {100 * score.high:.2f}]"
    return f"{score.value:.4g} [{score.low:.4g}, {score.high:.4g}]"


def _difference(apart: Estimate | None, is_share: bool) -> str:
    if apart is None:
        return ""
    if is_share:
        return f"{100 * apart.value:+.2f} [{100 * apart.low:+.2f}, {100 * apart.high:+.2f}]"
    return f"{apart.value:+.3g} [{apart.low:+.3g}, {apart.high:+.3g}]"


def _speed(row: WidthRow) -> str:
    if row.speed is None:
        return "" if row.latency else ABSENT
    mark = "" if row.speed.verdict != "undecided" else "?"
    return f"{row.speed.median:.2f} [{row.speed.low:.2f}, {row.speed.high:.2f}]{mark}"
