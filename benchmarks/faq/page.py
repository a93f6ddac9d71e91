"""docs/faq.md, from the records."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.faq.records import read
from benchmarks.pages.markers import markdown_table
from tfgreen.comparison.record import Comparison

PAGE = Path(__file__).parents[2] / "docs" / "faq.md"
WIDTHS = Path(__file__).parents[1] / "records" / "widths.json"
Record = Mapping[str, Any]
_WIDTH = 100
_LONGER = "[benchmarks](benchmarks.md#compression-of-the-keyword-ds-cnn)"

_HEAD = """\
# Questions that everyone asks

Each is answered by a measurement, not by opinion. This page is written from its records by
`python -m benchmarks.faq`, no figure by hand; `--measure` makes the records anew. Networks are
small and trainings short, so that anybody can repeat them: read directions and sizes, and measure
your own model before you decide.

- [Does pruning cost accuracy?](#does-pruning-cost-accuracy)
- [Does quantization make it faster?](#does-quantization-make-it-faster)
- [Does distillation work for every kind of model?][kinds]

[kinds]: #does-distillation-work-for-every-kind-of-model"""

_ROUTES = {
    "one-shot": "in one shot, no training",
    "one-shot-trained": "in one shot, then trained",
    "in-training": "in training, sparsity rising",
    "in-rounds": "in rounds, each with training",
}
_KERNELS = {
    "xnnpack": "LiteRT, XNNPACK (what apps run)",
    "optimized": "LiteRT, optimized, no delegate",
    "reference": "LiteRT, reference",
    "micro": "TensorFlow Lite Micro, portable C",
}
_NPUS = {
    "ethos-u55-int8": "Ethos-U55-128, 500 MHz",
    "ethos-u65-int8": "Ethos-U65-256, 1 GHz",
    "ethos-u85-int8": "Ethos-U85-256, 1 GHz",
}
_SETTINGS = {
    "few": "a fifth of the labels; a teacher with all",
    "few-both": "a fifth of the labels; a teacher with no more",
    "all": "all labels, both",
}


def page() -> str:
    """The whole page."""
    parts = [_HEAD, *_pruning(read("pruning")), *_speed(read("speed"))]
    return "\n\n".join([*parts, *_distillation(read("distillation"))]) + "\n"


def _filled(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), _WIDTH, break_on_hyphens=False)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _points(interval: Mapping[str, float]) -> str:
    return f"{interval['mean']:+.2f} [{interval['low']:+.2f}, {interval['high']:+.2f}]"


def _pruning(record: Record) -> Iterator[str]:
    rows = {(row["sparsity"], row["route"]): row for row in record["rows"]}
    sparsities = sorted({sparsity for sparsity, _ in rows})
    mild, usual, hard = (rows[sparsity, "in-training"] for sparsity in sparsities)
    yield "## Does pruning cost accuracy?"
    yield _filled(
        f"""**Half of the weights: hardly. {_percent(usual["sparsity"])}: a little, if the network
        is trained while they go. {_percent(hard["sparsity"])}: yes.** The keyword DS-CNN, pruned in
        training, changes by {mild["difference"]["mean"]:+.1f}, {usual["difference"]["mean"]:+.1f}
        and {hard["difference"]["mean"]:+.1f} points. Without any training, in one shot, half of
        the weights already cost {-rows[sparsities[0], "one-shot"]["difference"]["mean"]:.0f}
        points: its answers fall to {rows[sparsities[0], "one-shot"]["accuracy"]:.0f} %. So never
        prune much without training, and let the sparsity rise slowly: at
        {_percent(usual["sparsity"])} that is worth
        {usual["accuracy"] - rows[sparsities[1], "one-shot-trained"]["accuracy"]:.1f} points over
        removing all weights at once and training as long, at {_percent(hard["sparsity"])}
        {hard["accuracy"] - rows[sparsities[2], "one-shot-trained"]["accuracy"]:.1f}."""
    )
    header = ("sparsity", "how", "accuracy, %", "against unpruned, points (95 %)", "gzip, bytes")
    lines: list[tuple[str, ...]] = [
        ("0", "unpruned", f"{record['unpruned']:.2f}", "", f"{_gzip(record):,}")
    ]
    for sparsity in sparsities:
        lines += [_pruned(rows[sparsity, route], record) for route in _ROUTES]
    yield markdown_table(header, lines)
    yield _filled(
        f"""{record["seeds"]} seeds; accuracy of the exported int8 file on
        {record["judged_samples"]:,} clips that nobody was trained on, with XNNPACK; the three ways
        that train have {record["epochs"]} epochs each. Depthwise kernels are left alone. Longer
        training wins some of the loss back: {_LONGER} has 30 epochs. `tg.sensitivity_scan` tells
        which layers of yours bear how much ([pruning](pruning.md#how-much-each-layer-bears)).
        Zeros make a file smaller once it is compressed or stored sparsely; they make no kernel of
        TFLite faster."""
    )


def _gzip(record: Record) -> int:
    return int(record["unpruned_gzip_bytes"])


def _pruned(row: Record, record: Record) -> tuple[str, ...]:
    failed = row["files_failed"]
    note = f"; {failed} of {record['seeds']} files fail a gate" if failed else ""
    return (
        _percent(row["sparsity"]),
        f"{_ROUTES[row['route']]}{note}",
        f"{row['accuracy']:.2f}",
        _points(row["difference"]),
        f"{row['gzip_bytes']:,}",
    )


def _speed(record: Record) -> Iterator[str]:
    found = {(row["network"], row["kernel_set"]): row for row in record["rows"]}
    networks = list(dict.fromkeys(network for network, _ in found))
    phone = [found[network, "xnnpack"]["ratio"]["mean"] for network in networks]
    faster = [ratio for ratio in phone if ratio < 1]
    micro = [row["ratio"]["mean"] for row in record["rows"] if row["kernel_set"] == "micro"]
    yield "## Does quantization make it faster?"
    yield _filled(
        f"""**Often, on the kernels that are made for it; not always.** On XNNPACK int8 takes
        {min(faster):.2f} to {max(faster):.2f} of float32's time in {len(faster)} of {len(phone)}
        networks, and {max(phone):.2f} times as long in {networks[phone.index(max(phone))]}. The
        same file on other kernels may be slower than float32: on the portable ones of TensorFlow
        Lite Micro, run on a processor with fast float arithmetic, {min(micro):.2f} to
        {max(micro):.2f} times as long. An Ethos-U runs integers only, so there it decides
        whether the model runs at all. **Bytes shrink in every case; time has to be measured**, by
        [`tfgreen benchmark`](benchmark.md) on the device."""
    )
    yield "Processor time of int8 over that of float32 (below 1: int8 is faster; **bold**: slower):"
    lines = [_ratios(_KERNELS[name], [found.get((n, name)) for n in networks]) for name in _KERNELS]
    yield markdown_table(("kernels", *networks), lines)
    yield _filled(
        f"""Measured here: {record["host"]["processor"]}, x86-64, one thread, LiteRT
        {record["host"]["litert"]}, files by turns; in brackets the 95 % interval of the median,
        for TensorFlow Lite Micro the quartiles. Where int8 is slower:"""
    )
    yield "\n".join(
        textwrap.fill(point, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        for point in (
            "- **Ops without a fast int8 kernel.** Ops of MobileNetV3Small one by one on XNNPACK, "
            f"int8 over float32, and in brackets how many there are: {_alone(record)}. What the "
            "convolutions gain, the others lose. The autoencoder consists of fully_connected.",
            "- **Kernels that are not made for speed.** Portable C on a processor that has a fast "
            "float unit. On a microcontroller without one it is float that is slow, and CMSIS-NN "
            "and vendors' kernels are made for int8. Neither is measured here: the [golden "
            "test](microcontrollers.md#the-golden-test-on-the-board) tells the time on your board.",
        )
    )
    yield "Other widths than int8, the keyword DS-CNN on XNNPACK (from `tfgreen compare`):"
    yield markdown_table(("width", "time over float32's", "bytes"), list(_widths()))
    yield "Estimated, not measured: an inference by Arm's Vela, whose figures leave the CPU out."
    header = ("NPU", *(network for network in networks if _npu(record, network)))
    yield markdown_table(
        header,
        [
            (_NPUS[name], *(_estimate(_npu(record, network), name) for network in header[1:]))
            for name in _NPUS
        ],
    )
    shares = {row["float32_share_of_macs"] for row in record["npus"]}
    if shares == {0.0}:
        yield _filled("Of the float32 files of these networks none of the work runs on the NPU.")


def _ratios(title: str, rows: Sequence[Record | None]) -> tuple[str, ...]:
    cells = []
    for row in rows:
        if row is None:
            cells.append("")
            continue
        ratio = row["ratio"]
        mean = f"{ratio['mean']:.2f}"
        told = f"**{mean}**" if ratio["mean"] > 1 else mean
        cells.append(f"{told} [{ratio['low']:.2f}, {ratio['high']:.2f}]")
    return title, *cells


def _alone(record: Record) -> str:
    return ", ".join(
        f"{row['op'].lower()} {row['ratio']['mean']:.1f} ({row['count']})" for row in record["ops"]
    )


def _widths() -> Iterator[tuple[str, ...]]:
    comparison = Comparison.from_json(WIDTHS.read_bytes())
    for row in comparison.rows:
        ratio = row.energy_ratio  # of processor time
        told = "" if ratio is None else f"**{ratio:.2f}**" if ratio > 1.05 else f"{ratio:.2f}"
        yield row.width, told, f"{row.file_bytes:,}"


def _npu(record: Record, network: str) -> list[Record]:
    return [row for row in record["npus"] if row["network"] == network]


def _estimate(rows: Sequence[Record], profile: str) -> str:
    (row,) = (row for row in rows if row["profile"] == profile)
    return f"{1e3 * row['int8_seconds']:.2g} ms"


def _distillation(record: Record) -> Iterator[str]:
    rows = record["rows"]
    by = {name: [row for row in rows if row["setting"] == name] for name in _SETTINGS}
    helped = [row["gain"]["mean"] for row in by["few"] if row["gain"]["low"] > 0]
    open_ones = [row for row in by["few"] if row["gain"]["low"] <= 0]
    doubt = "".join(f"; {row['kind']}: {_points(row['gain'])}" for row in open_ones)
    everything = [row["gain"]["mean"] for row in by["all"]]
    both = [row["gain"]["mean"] for row in by["few-both"]]
    yield "## Does distillation work for every kind of model?"
    yield _filled(
        f"""**It runs with every kind, and helps where labels are short, not where they are
        plenty.** With a fifth of the labels and a teacher that was trained on all of them,
        {len(helped)} of {len(by["few"])} students gain for certain, {min(helped):+.1f} to
        {max(helped):+.1f} points{doubt}. A student that is too small for the answers of its
        teacher, or is trained too briefly, may lose by them. If the teacher has no more labels
        than the student, it is {min(both):+.1f} to {max(both):+.1f}. With all labels it is
        {min(everything):+.1f} to {max(everything):+.1f}: train alone then."""
    )
    header = ("kind", "learns", "teacher", "alone", "taught", "gain, points (95 %)")
    for name, title in _SETTINGS.items():
        yield f"{title[0].upper()}{title[1:]}:"
        yield markdown_table(header, [_taught(row) for row in by[name]])
    yield _filled(
        f"""Accuracy in percent, for values the share of variance that is explained, on samples
        that nobody was trained on; {record["seeds"]} seeds, alpha {record["alpha"]}, temperature
        {record["temperature"]}; alone and taught take the same steps. A student with few labels
        sees the other samples, too, with its teacher: that is where the gain comes from. The
        figures of the depthwise-separable network are those of
        [benchmarks](benchmarks.md#distillation), of the exported int8 files; the others are of
        float models. An autoencoder's samples are their own labels, so that none can be missing.
        Of language models, [benchmarks](benchmarks.md#sliced-and-distilled) has a decoder."""
    )


def _taught(row: Record) -> tuple[str, ...]:
    return (
        row["kind"],
        row["task"],
        f"{row['teacher']:.2f}",
        f"{row['alone']:.2f}",
        f"{row['taught']:.2f}",
        _points(row["gain"]),
    )
