"""docs/coverage.md, from the records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.coverage.records import COLUMNS, Cell, Record
from benchmarks.coverage.zoo import ROWS, Row
from tfgreen.wording import share_text

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"
Figures = Mapping[str, float]
TFMOT = {
    "prune": "`prune_low_magnitude`",
    "cluster": "`cluster_weights`",
    "qat": "`quantize_model`",
}
TITLES = {
    "bridge": "bridge difference",
    "prune-at-once": "pruned at once",
    "prune": "pruned in training",
    "cluster": "clustered",
    "qat": "QAT",
    "export": "int8",
    "export-qat": "int8 after QAT",
}

_INTRODUCTION = """\
# Coverage

What works for which kind of network. This page is written by a command that tries everything
with every network and checks what comes out; `make test-all` recomputes it.

```sh
.venv/bin/python -m benchmarks.coverage --write
```
"""

_PLAIN_TFMOT = """
Plain TensorFlow Model Optimization is called on the same Keras 3 models, as its own pages say. It
knows models of tf_keras only: pruning and quantization raise a ValueError, and `cluster_weights`
returns None and says nothing."""

_EXPLANATION = """\
A cell with a figure works, and was checked apart from what the technique says of itself. "Refused"
is an error that names the layer and a way out; "fails" is everything else that went wrong; "?" was
not tried yet: the command goes on where it was stopped.

- **bridge difference**: the tf_keras twin's outputs against the Keras 3 model's, as a share of the
  largest; back in Keras 3 all weights are equal, bit for bit. At most 1e-5; a network in which
  float32 rounds more than that (EfficientNetB0) is compared once more in float64, where at most
  1e-12 is accepted. In mixed precision four steps of float16.
- **pruned at once**: `tg.prune` at the median of all |w|. Every kernel is `w * (|w| >= t)`, bit for
  bit. The share of zeros.
- **pruned in training**: `tg.Pruning(sparsity=0.5)`. Zeros are counted in the weights of the
  pruned layers; the Keras 3 model computes what was trained.
- **clustered**: `tg.Clustering(clusters=8)`. The most different values in a clustered kernel.
- **QAT**: `tg.QuantizationAwareTraining()`. How near it starts to the float model: SQNR in dB of
  the outputs, with ranges from calibration and before the first step. Less than 10 dB fails.
- **int8**: `tg.export` of the plain model for `mobile-int8`: no float op, all gates passed. SQNR in
  dB before the softmax.
- **int8 after QAT**: `tg.export` of the trained model, likewise: no float op, all gates passed. The
  file's outputs on XNNPACK against those of the fake-quant model in Keras, in quanta of the output:
  the largest difference, and in brackets the share of values that differ at all; then the SQNR
  before the softmax. A value that lies between two steps may be rounded to the other one, and each
  layer and the softmax after it enlarge that.

In no cell was the model that was given changed by a bit.

Weights are random, with random scales and fitting statistics of normalization; the last layer is
fitted to made-up data, so that the outputs tell ten classes apart. The filters of MobileNetV1 and
of the networks of keras.applications are smoothed, because random ones multiply every rounding
error from layer to layer. EfficientNets are the most sensitive of them: their samples differ half
as much within a class as those of the others (.15 instead of .3 of what sets classes apart), and
their steps of training are a tenth as large (1e-5). With the others' settings EfficientNetB0 tells
90 % of its own classes apart in float, and its int8 files miss the fidelity gate by some samples.
A few steps of training exercise each technique and improve nothing: for accuracies see
[benchmarks](benchmarks.md).
"""


def page(records: Mapping[str, Record]) -> str:
    """The whole page.

    records: by row, in any order; rows and cells that are missing are told as not tried.
    """
    parts = (
        _INTRODUCTION,
        "\n".join(_summary(records)) + "\n",
        "\n".join(_table(records)) + "\n",
        "\n".join(_footnotes(records)),
        _EXPLANATION,
        "\n".join(_reasons(records)),
    )
    return "\n".join(part for part in parts if part).rstrip("\n") + "\n"


def _summary(records: Mapping[str, Record]) -> Iterator[str]:
    yield f"Of {len(ROWS)} networks:\n"
    yield "| | works | refused | fails | not tried yet |"
    yield "|---|--:|--:|--:|--:|"
    for column, title in TITLES.items():
        statuses = [cell.status for cell in _column(records, column)]
        counts = [statuses.count(s) for s in ("works", "refused", "failed")]
        yield _counted(title, *counts)
    plain = _column(records, "tfmot")
    for name, title in TFMOT.items():
        works = sum(bool(cell.figures.get(name)) for cell in plain)
        yield _counted(f"plain TF-MOT 0.8.1, {title}", works, 0, len(plain) - works)
    yield _PLAIN_TFMOT


def _column(records: Mapping[str, Record], column: str) -> list[Cell]:
    return [record.cells[column] for record in records.values() if column in record.cells]


def _counted(title: str, works: int, refused: int, failed: int) -> str:
    left = len(ROWS) - works - refused - failed
    return f"| {title} | {works} | {refused} | {failed} | {left} |"


def _table(records: Mapping[str, Record]) -> Iterator[str]:
    yield f"| network | input | parameters | {' | '.join(TITLES.values())} |"
    yield f"|---|---|--:|{'--:|' * len(TITLES)}"
    for name, row in ROWS.items():
        record = records.get(name, Record(name, 0, {}))
        cells = " | ".join(shown(column, record.cells.get(column)) for column in TITLES)
        size = f"{record.parameters:,}" if record.parameters else ""
        yield f"| {_title(row, record)} | {row.note} | {size} | {cells} |"


def _title(row: Row, record: Record) -> str:
    return f"{row.title}{' †' if _after_training(record) else ''}"


def _after_training(record: Record) -> int:
    cell = record.cells.get("qat", Cell("failed"))
    return int(cell.figures.get("after_training", 0))


def shown(column: str, cell: Cell | None) -> str:
    """A cell of the table; None is one that was not computed.

    >>> shown("cluster", Cell("works", {"values": 8.0}))
    '8 values'
    >>> shown("cluster", Cell("refused", {}, "Layer 'x' ..."))
    'refused'
    """
    if cell is None:
        return "?"
    return _FIGURES[column](cell.figures) if cell.status == "works" else _WORDS[cell.status]


def _decibels(figures: Figures) -> str:
    """The certificate's SQNR; it has none where there is no error at all."""
    return f"{figures['sqnr_db']:.0f} dB" if "sqnr_db" in figures else "exact"


_WORDS = {"refused": "refused", "failed": "**fails**"}
_FIGURES: dict[str, Callable[[Figures], str]] = {
    "bridge": lambda x: f"{x['difference']:.0e}" if x["difference"] else "0",
    "prune-at-once": lambda x: share_text(x["sparsity"], 1),
    "prune": lambda x: share_text(x["sparsity"], 1),
    "cluster": lambda x: f"{x['values']:.0f} values",
    "qat": lambda x: f"{x['start_db']:.0f} dB",
    "export": lambda x: _decibels(x),
    "export-qat": lambda x: (
        f"{x['max_quanta']:.0f} ({share_text(x['differing_share'], 0)}), {_decibels(x)}"
    ),
}


def _footnotes(records: Mapping[str, Record]) -> Iterator[str]:
    if any(map(_after_training, records.values())):
        yield (
            "† Some of its layers (recurrent ones) stay in float while the others are trained, and "
            "are\nquantized after training, with ranges from the calibration data. So the file "
            "differs from the\nfake-quant model by what that rounding changes.\n"
        )


def _reasons(records: Mapping[str, Record]) -> Iterator[str]:
    """Every refusal and failure in its own words."""
    lines = [
        f"- {ROWS[name].title}, {TITLES[column]}: {' '.join(cell.message.split())}"
        for name in ROWS
        if name in records
        for column in COLUMNS
        if column in TITLES and column in records[name].cells
        if (cell := records[name].cells[column]).status != "works"
    ]
    if lines:
        yield "## What does not work, in its own words\n"
        yield from lines
