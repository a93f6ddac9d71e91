"""The certificate: what four gates found out about one .tflite file, as data.

Text for people is made from these records elsewhere. The JSON holds no time, no path and no
seconds, so that the same file judged twice on the same machine gives the same bytes. `null`
stands where a number does not exist; the fields say what that means.

>>> check = Check(gate="structure", name="file-bytes", status="passed", message="3 of 4 bytes.")
>>> GateResult.of("structure", [check]).status
'passed'
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import ValidationError, model_validator

from tfgreen.errors import InvalidDataError
from tfgreen.records import Record
from tfgreen.verification.answer_changes import AnswerChanges

SCHEMA_VERSION: Literal[1] = 1

Gate = Literal["structure", "kernels", "fidelity", "runtime"]
CheckStatus = Literal["passed", "failed", "warning", "skipped"]
GateStatus = Literal["passed", "failed", "skipped"]
KernelStatus = Literal[
    "ok",
    "beyond-limit",
    "known-bad",
    "unregistered",
    "crashed",
    "timed-out",
    "failed",
    "not-compared",
]
GATES: tuple[Gate, ...] = ("structure", "kernels", "fidelity", "runtime")


class Check(Record):
    """One thing that was looked at, with its number.

    `message` is one sentence that stands alone. `limit` is the bound that `measured` was held
    against, both in `unit`; `op` names the op as "CONV_2D 'output tensor'".
    """

    gate: Gate
    name: str
    status: CheckStatus
    message: str
    measured: int | float | str | None = None
    limit: int | float | str | None = None
    unit: str | None = None
    op: str | None = None
    kernel_set: str | None = None


class GateResult(Record):
    """All checks of one gate. A gate without a failed check has passed; warnings do not fail it.

    A gate whose every check was skipped is itself skipped: it proves nothing.
    """

    gate: Gate
    status: GateStatus
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, gate: Gate, checks: Iterable[Check]) -> GateResult:
        """The result that follows from the checks."""
        found = tuple(checks)
        return cls(gate=gate, status=_gate_status(found), checks=found)

    def with_check(self, check: Check | None) -> GateResult:
        """The gate with one check more; itself for None."""
        return self if check is None else GateResult.of(self.gate, (*self.checks, check))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(check.gate != self.gate for check in self.checks):
            raise ValueError(f"gate '{self.gate}' holds a check of another gate")
        expected = _gate_status(self.checks)
        if self.status != expected:
            raise ValueError(f"gate '{self.gate}' says {self.status}, its checks say {expected}")
        return self


def _gate_status(checks: tuple[Check, ...]) -> GateStatus:
    statuses = {check.status for check in checks}
    if "failed" in statuses:
        return "failed"
    return "passed" if statuses - {"skipped"} else "skipped"


class LayerFidelity(Record):
    """One tensor of the file against the tensor of the same name in the float model.

    `sqnr_db` is the signal-to-quantization-noise ratio in dB; `ideal_sqnr_db` the one that the
    float tensor would have if only it were quantized, with the file's own scale. `null`: there
    was no error at all (an infinite ratio).
    """

    tensor: str
    op: str
    sqnr_db: float | None
    ideal_sqnr_db: float | None


class KernelResult(Record):
    """One op of the file on one kernel set, fed the same intermediates as on every other.

    `max_quanta` is the largest difference from the truth's result, `differing_share` the share
    of output elements that differ (0 to 1); both `null` where nothing was compared.
    """

    op_index: int
    op: str
    tensor: str
    kernel_set: str
    status: KernelStatus
    max_quanta: float | None = None
    differing_share: float | None = None
    message: str = ""


class TensorSaturation(Record):
    """How one quantized activation used its range, and the op that wrote it its accumulator.

    `lowest_share` and `highest_share` are the shares of values (0 to 1) at either end of the
    dtype. `clipped_share` counts those that may stand for values beyond it: not the zeros of a
    RELU, nor the sixes of a RELU6; `null` where the op copies values or there is none (graph
    inputs). `headroom_bits` tells how often the largest accumulator could double before it
    overflows, `null` where the oracle saw none.
    """

    tensor: str
    op: str
    lowest_share: float
    highest_share: float
    clipped_share: float | None
    headroom_bits: float | None


class OutputFidelity(Record):
    """One output of the file against the float model's, on the truth kernel set.

    `tensor` is the last tensor before a trailing softmax (or the output itself), where `sqnr_db`
    is taken (`null`: no error at all). `agreement` is the share of samples whose top class is
    the float model's; `null` where the output is no classification.
    """

    output: str
    tensor: str
    sqnr_db: float | None
    agreement: float | None


class RuntimeResult(Record):
    """The whole file on one kernel set against the truth, for one output.

    Shares are of samples (0 to 1). A sample differs where any value of its output does (floats:
    by more than one quantum). `argmax_share` is `null` where there is no class to pick; then
    `sqnr_db` is the ratio of the truth's real numbers to what this kernel set changes, `null` if
    it changes nothing. `max_quanta` is `null` where a result was not finite.
    """

    kernel_set: str
    output: str
    samples: int
    differing_share: float
    max_quanta: float | None
    argmax_share: float | None
    sqnr_db: float | None = None


class Metric(Record):
    """The task's own number for one output, for the float model and for each kernel set.

    Accuracy (0 to 1) for class labels, mean absolute error in the labels' unit for float labels.
    `samples` says on how many samples each number rests; its key "float" is the float model.
    """

    output: str
    kind: Literal["accuracy", "mean-absolute-error"]
    float_model: float | None
    kernel_sets: dict[str, float]
    samples: dict[str, int]


class KernelSetFacts(Record):
    """One kernel set: its part in the judgement, and whether it is installed.

    The `oracle` is what every op is held against; it is in no profile, unless it is named there.
    What is `measured` ran elsewhere, on a device, and is known by its log.
    """

    role: Literal["truth", "compared", "stand-in", "oracle", "measured"]
    available: bool
    version: str | None
    reason: str = ""


class SampleFacts(Record):
    """The samples behind the numbers: how many, their hash, and whether they were made up."""

    count: int
    sha256: str | None
    origin: Literal["given", "random"]


class Judged(Record):
    """What can be asked of every record that holds a verdict and its four gates."""

    if TYPE_CHECKING:
        verdict: Literal["passed", "failed"]
        gates: tuple[GateResult, GateResult, GateResult, GateResult]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = tuple(result.gate for result in self.gates)
        if names != GATES:
            raise ValueError(f"the gates are {', '.join(names)}, expected {', '.join(GATES)}")
        expected = verdict_of(self.gates)
        if self.verdict != expected:
            raise ValueError(f"the verdict says {self.verdict}, the gates say {expected}")
        return self

    @property
    def passed(self) -> bool:
        """True when no gate failed."""
        return self.verdict == "passed"

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check of every gate, in the order of the gates."""
        return tuple(check for result in self.gates for check in result.checks)

    @property
    def failed_checks(self) -> tuple[Check, ...]:
        """Only the failed ones, in the order of the gates."""
        return tuple(check for check in self.checks if check.status == "failed")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """Only the warnings, in the order of the gates."""
        return tuple(check for check in self.checks if check.status == "warning")

    def gate(self, name: Gate) -> GateResult:
        """The result of one gate."""
        return self.gates[GATES.index(name)]


class Certificate(Judged):
    """The verdict over one .tflite file, with everything that led to it.

    Attributes:
        verdict: `failed` if any gate failed.
        arena_bytes: Tensor arena in use after loading on the micro kernels (64-bit host);
            `arena_to_load_bytes` is the smallest one in which the file loads. `null`: not run.
        arena_head_bytes: The part of `arena_bytes` that activations and working memory share.
        kernel_sets: Those of the profile, the truth first, and the oracle.
        samples: What every op was fed; metric_samples: on what metrics and agreement rest.
        calibration: What the ranges were found with, as the export told; `null`: nobody told, or
            none was needed.
        saturation: Every quantized activation; empty where activations are floats.
        answers: Classes that win and lose on the truth, for every labelled output with classes.
        sqnr_db, agreement: The worst over all outputs; `null` where there is no such number.
        target: What was found out about the target beyond the gates, by subject: see
            `tfgreen.targets`; empty for most profiles.
        notes: What the numbers do not say, or cannot.
        created_with: Versions of the packages that computed all this.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    verdict: Literal["passed", "failed"]
    profile: str
    model_sha256: str
    float_sha256: str | None
    file_bytes: int
    arena_bytes: int | None
    arena_to_load_bytes: int | None
    arena_head_bytes: int | None = None
    kernel_sets: dict[str, KernelSetFacts]
    samples: SampleFacts
    metric_samples: SampleFacts | None
    calibration: SampleFacts | None = None
    sqnr_db: float | None
    agreement: float | None
    metrics: tuple[Metric, ...]
    answers: tuple[AnswerChanges, ...] = ()
    gates: tuple[GateResult, GateResult, GateResult, GateResult]
    outputs: tuple[OutputFidelity, ...]
    layers: tuple[LayerFidelity, ...]
    kernels: tuple[KernelResult, ...]
    runtime: tuple[RuntimeResult, ...]
    saturation: tuple[TensorSaturation, ...] = ()
    target: dict[str, Any] = {}
    notes: tuple[str, ...]
    created_with: dict[str, str]

    def to_json(self) -> str:
        """JSON text: sorted as declared, indented by two, ended by a newline."""
        document = self.model_dump(mode="json")
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Certificate:
        """The certificate that `to_json` wrote; the two are exact inverses.

        Raises:
            InvalidDataError: no JSON, an unknown or missing key, another schema version, or a
                verdict that does not follow from the checks.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidDataError(_explain(error)) from error


def verdict_of(gates: Iterable[GateResult]) -> Literal["passed", "failed"]:
    """`failed` when any gate failed."""
    return "failed" if any(result.status == "failed" for result in gates) else "passed"


def _explain(error: ValidationError) -> str:
    details: list[Any] = list(error.errors(include_url=False))
    first = details[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    more = f" ({len(details) - 1} more)" if len(details) > 1 else ""
    return (
        f"This is no tfgreen certificate of schema version {SCHEMA_VERSION}: at '{where}', "
        f"{first['msg']}{more}. Make it again with `tfgreen verify`."
    )
