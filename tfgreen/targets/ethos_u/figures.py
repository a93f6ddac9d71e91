"""What Vela tells about a compiled file, read from its summary and its last words."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_KIB = 1024
# Printed once, when all is placed; the warnings above it also name ops that end up on the NPU.
_CPU_COUNT = re.compile(r"^CPU operators = (\d+) ", re.MULTILINE)
_NAMED_TENSOR = re.compile(r" \([^()]*[a-z][^()]*\)$")
_REASON = re.compile(r"operator: \w+, ofm: '([^'\n]*)'\nReason: ([^\n]+)")


@dataclass(frozen=True)
class NpuFigures:
    """Vela's own figures of one inference, in whole units.

    Attributes:
        cycles: Of the NPU, with its waiting for memory; those of the CPU are not known.
        inference_seconds: `cycles` at the clock of the system configuration.
        clock_hertz: That clock.
        sram_bytes: Peak of activations, and of weights where they are buffered.
        dram_bytes: The same in DRAM, with the weights where they lie there.
        flash_bytes: What the NPU reads from flash: weights and command streams.
        vela_macs: Multiply-accumulates of the NPU as Vela counts them: of its own blocks, so
            somewhat more than the layers have.
        original_weights_bytes, encoded_weights_bytes: The NPU's weights before and after Vela's
            compression.
        cpu_op_count: Ops that stay on the CPU.
    """

    cycles: int
    inference_seconds: float
    clock_hertz: float
    sram_bytes: int
    dram_bytes: int
    flash_bytes: int
    vela_macs: int
    original_weights_bytes: int
    encoded_weights_bytes: int
    cpu_op_count: int

    @classmethod
    def read(cls, summary: str, output: str) -> NpuFigures:
        """The figures of a run of Vela.

        Raises:
            ValueError: the summary or the printed count is not what this version of Vela writes.
        """
        rows = list(csv.DictReader(io.StringIO(summary)))
        counts = _CPU_COUNT.findall(output)
        if len(rows) != 1 or not counts:
            raise ValueError("one row and one count of CPU operators were expected")
        try:
            return cls._of(rows[0], int(counts[-1]))
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"the summary cannot be read ({error!r})") from error

    @classmethod
    def _of(cls, row: Mapping[str, str], cpu_op_count: int) -> NpuFigures:
        def bytes_in(area: str) -> int:
            return round(float(row[f"{area}_memory_used"]) * _KIB)

        return cls(
            cycles=round(float(row["cycles_total"])),
            inference_seconds=float(row["inference_time"]),
            clock_hertz=float(row["core_clock"]),
            sram_bytes=bytes_in("sram"),
            dram_bytes=bytes_in("dram"),
            flash_bytes=bytes_in("on_chip_flash") + bytes_in("off_chip_flash"),
            vela_macs=round(float(row["nn_macs"])),
            original_weights_bytes=round(float(row["total_original_weights"])),
            encoded_weights_bytes=round(float(row["total_npu_encoded_weights"])),
            cpu_op_count=cpu_op_count,
        )

    def to_facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def reasons(output: str) -> dict[str, str]:
    """Why Vela would not place an op, by the name of the tensor that it writes."""
    return {
        tensor: _NAMED_TENSOR.sub("", reason).strip() for tensor, reason in _REASON.findall(output)
    }
