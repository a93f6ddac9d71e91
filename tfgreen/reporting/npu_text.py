"""What was found out about the NPU of a target, as tables; nothing for other targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from tfgreen.reporting.tables import facts, heading, table
from tfgreen.wording import share_text


def render_npu(target: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Vela's figures, or how the file stands with the rules of the Edge TPU.

    Args:
        target: A certificate's `target`.
    """
    npu, edgetpu = target.get("npu"), target.get("edgetpu")
    if npu and npu["status"] == "compiled":
        settings = [npu[key] for key in ("accelerator_config", "system_config", "memory_mode")]
        yield heading("NPU", f"{', '.join(settings)}; Vela {npu['vela']}'s own estimate")
        yield facts(_figures(npu))
        if npu["cpu_ops"]:
            columns = ("op", "layer", "why it stays on the CPU")
            yield table("Ops on the CPU", columns, _cpu_ops(npu["cpu_ops"]))
    if edgetpu:
        yield heading("Edge TPU", edgetpu["table"])
        yield facts(_mapped(edgetpu))


def _figures(npu: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    milliseconds, clock = npu["inference_seconds"] * 1000, npu["clock_hertz"] / 1e6
    yield "cycles", f"{npu['cycles']:,}"
    yield "one inference", f"{milliseconds:.3g} ms at {clock:,.0f} MHz"
    yield "SRAM", f"{npu['sram_bytes']:,} bytes"
    for memory in ("dram", "flash"):
        if npu[f"{memory}_bytes"]:
            name = "DRAM" if memory == "dram" else memory
            yield name, f"{npu[f'{memory}_bytes']:,} bytes"
    stored, encoded = npu["original_weights_bytes"], npu["encoded_weights_bytes"]
    yield "weights", f"{stored:,} bytes, compressed to {encoded:,}"
    yield "compiled file", f"{npu['file_bytes']:,} bytes"
    share = npu["npu_share_of_macs"]
    on_npu = "" if share is None else f", {share_text(share)} of them on the NPU"
    yield "multiply-accumulates", f"{npu['macs']:,}{on_npu}"
    yield "ops on the CPU", f"{npu['cpu_op_count']} of {npu['op_count']}"


def _cpu_ops(ops: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[object]]:
    for one in ops:
        yield one["op"], one["layer"] or "", one["reason"]


def _mapped(edgetpu: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    mapped = 0 if edgetpu["refusals"] else edgetpu["mapped_op_count"]
    yield "ops that it takes", f"{mapped} of {edgetpu['op_count']}, by the published rules"
    if edgetpu["macs"] and not edgetpu["refusals"]:
        share = share_text(edgetpu["mapped_macs"] / edgetpu["macs"])
        yield "multiply-accumulates", f"{edgetpu['macs']:,}, {share} of them on the Edge TPU"
    yield "weights", f"{edgetpu['parameter_bytes']:,} bytes"
