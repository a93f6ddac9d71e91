"""The record of a compression as text: one line a stage."""

from __future__ import annotations

from collections.abc import Mapping

from tfgreen.footprint.wording import amount_text, seconds_text
from tfgreen.recipe.record import CompressionRecord, FileFigures, StageRecord
from tfgreen.reporting.summary import metric_name, metric_value
from tfgreen.verification.labels import counted


def compression_text(record: CompressionRecord, reused: Mapping[str, bool]) -> str:
    """What each stage did, what it took, and the file after it.

    reused: names of stages → whether an earlier run had done them.
    """
    lines = [f"Recipe {record.recipe_name}, seed {record.seed}"]
    if record.before is not None:
        lines.append(f"  as it came: {_file(record.before)}")
    for stage in record.stages:
        again = ", reused" if reused.get(stage.name) else ""
        lines.append(f"  {stage.name} ({'; '.join(stage.techniques)}){again}")
        lines.append(f"    {counted(stage.epochs, 'epoch')} of {stage.optimizer}{_spent(stage)}")
        if stage.file is not None:
            lines.append(f"    {_file(stage.file)}")
    return "\n".join(lines)


def _spent(stage: StageRecord) -> str:
    if stage.spent is None:
        return ""
    spent = stage.spent
    joules = f"{amount_text(spent.joules, 'J')} {spent.method}"
    return f"; {seconds_text(spent.wall_seconds)}, {joules}"


def _file(figures: FileFigures) -> str:
    sizes = f"file {figures.file_bytes:,} bytes, {figures.gzip_bytes:,} with gzip"
    if figures.metric is None or figures.value is None:
        return sizes
    value = metric_value(figures.metric, figures.value)
    return f"{sizes}; {metric_name(figures.metric, figures.output)} {value}"
