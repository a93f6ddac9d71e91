"""The sections of a profile, and what their values may be."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from tfgreen.errors import UsageError

Scheme = Literal["int8", "int16x8", "float16", "dynamic-int8", "weights-int4"]
BoundaryType = Literal["int8", "uint8", "int16", "float32"]
Encoding = Literal["sparse", "lut", "decode"]
KernelSet = Literal["reference", "optimized", "xnnpack", "micro", "numpy"]

_BYTE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 1024,
    "kib": 1024,
    "mb": 1024**2,
    "mib": 1024**2,
    "gb": 1024**3,
    "gib": 1024**3,
}


def parse_bytes(size: int | str) -> int:
    """Bytes from an int or from text such as "64KB", "1.5MB", "8GB" or "4096" (1 KB = 1024 bytes).

    Raises UsageError for anything else, for zero and for a fraction of a byte.

    >>> parse_bytes("64KB"), parse_bytes("1.5 MB"), parse_bytes(512)
    (65536, 1572864, 512)
    """
    expected = "expected a positive whole number of bytes or a text like '64KB' or '1.5MB'"
    if isinstance(size, bool) or not isinstance(size, int | str):
        raise UsageError(f"Received the size {size!r}; {expected}.")
    if isinstance(size, int) and size >= 1:
        return size
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)\s*", str(size).lower())
    if found is None or found[2] not in _BYTE_UNITS:
        raise UsageError(f"Received the size '{size}'; {expected}.")
    size_bytes = float(found[1]) * _BYTE_UNITS[found[2]]
    if size_bytes < 1 or size_bytes != int(size_bytes):
        raise UsageError(f"Received the size '{size}', which is {size_bytes:g} bytes; {expected}.")
    return int(size_bytes)


class Section(BaseModel):
    """Frozen, and strict: no unknown key, no type but the right one."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )


SizeBytes = Annotated[int, BeforeValidator(parse_bytes)]
Share = Annotated[float, Field(ge=0, le=1)]
OpName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]


class Budgets(Section):
    """Most bytes that the file and the tensor arena may take; None means no budget.

    TOML takes ints or texts: `arena_bytes = "64KB"`. The arena is measured by TensorFlow Lite
    Micro on a 64-bit host, where it is somewhat larger than on a 32-bit target.
    """

    file_bytes: SizeBytes | None = None
    arena_bytes: SizeBytes | None = None


class KernelSets(Section):
    """Which kernels decide (`truth`) and which are only held against them (`compared`).

    `reference` is TFLite's plain reference kernels, `optimized` its CPU kernels without any
    delegate, `xnnpack` what phones and desktops run by default, `micro` TensorFlow Lite Micro,
    `numpy` our own interpreter with the rounding of the truth (of `reference` if it is the truth).
    An op that the truth does not register fails the certificate; elsewhere it is told.
    """

    truth: KernelSet
    compared: Annotated[tuple[KernelSet, ...], Field(strict=False)] = ()

    @property
    def runs(self) -> tuple[str, ...]:
        """Every kernel set to run, the truth first."""
        return (self.truth, *self.compared)

    @model_validator(mode="after")
    def _each_once(self) -> KernelSets:
        repeated = sorted({name for name in self.runs if self.runs.count(name) > 1})
        if repeated:
            raise ValueError(
                f"{repeated[0]!r} is named twice; name each kernel set once, "
                "as truth or in compared"
            )
        return self


class RobustnessLimit(Section):
    """How much more than the float model a file may lose where the data get worse.

    drop: most that the accuracy, as a share, may lie below the float model's under the same
        corruptions; the mean over all that fit the kind of data.
    kind: of the data; None where the shape of the input tells it.
    severity: of the corruptions, 1 to 5. 3.
    """

    drop: Share
    kind: Literal["image", "audio", "text"] | None = None
    severity: Annotated[int, Field(ge=1, le=5)] = 3


class Limits(Section):
    """What the gates allow. The defaults suit classifiers in int8; a profile may tighten them.

    op_quanta: largest step between a kernel set and the oracle (the truth, where activations are
        floats) for one op fed the same input.
        1: kernel sets round differently by design, and every sound op compared so far stays
        within 1 quantum. Float tensors count 1e-5 of their range as a quantum.
    sqnr_db: least signal-to-quantization-noise ratio in dB at the last tensor before softmax,
        against the float model. 10: the noise has a tenth of the signal's power. A residual
        network that TF's calibrator had broken showed 8.3 dB (and half its answers changed),
        the same network with right ranges 11.1 dB, sound files 15-45 dB. The same holds end to
        end between a kernel set and the truth, at outputs that hold no classes, unless no step
        is larger than op_quanta.
    agreement: least share of samples on which file and float model pick the same class. 0.95.
    metric_drop: most that the metric (accuracy, as a share) may fall below the float model's,
        absolute. 0.02 is two points.
    runtime_quanta: largest output step between a kernel set and the truth, end to end. None (no
        limit): steps of 1 grow with depth and softmax, to 81 on a sound residual network.
    runtime_argmax_share: most samples, as a share, whose class may differ between a kernel set
        and the truth, end to end. 0.05.
    """

    op_quanta: Annotated[int, Field(ge=0)] = 1
    sqnr_db: float = 10.0
    agreement: Share = 0.95
    metric_drop: Share = 0.02
    runtime_quanta: Annotated[int, Field(ge=0)] | None = None
    runtime_argmax_share: Share = 0.05
